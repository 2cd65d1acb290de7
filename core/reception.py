"""Whether a tag finds positions at all, and whether they can be true.

A *loss* is a time of more than 4 h (``RuleSet.no_position_s``) without a trusted position. What a tag says with its
strap open counts here: it is the tag that is asked about, not the wearer.

*Forging* shows as impossible jumps (`core.trail`): at least three, each within 15 min of the one before, the first and
the last at least a minute apart (``jumps_fewest``, ``jumps_within_s``, ``jumps_apart_s``). Each of them claimed to be
more precise than the jump, or it would not be one.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from core.episodes import NEVER_MS
from core.plane import metres_between, metres_per_degree_at
from core.rules import RuleSet
from core.trail import JUMP, STALE_TIME

LOSS, JUMPS = 0, 1

RECEPTION = np.dtype(
    [
        ("seen_ms", np.int64),  # the last position that says something about the tag; NEVER_MS: none
        ("seen_key", np.uint64),
        ("lat", np.float64),
        ("lon", np.float64),
        # jumps that follow each other closely enough; 0: none
        ("jumps", np.int64),
        ("first_ms", np.int64),
        ("first_key", np.uint64),
        ("last_ms", np.int64),
        ("last_key", np.uint64),
        ("farthest_m", np.float64),  # from the last trusted position
        ("farthest_key", np.uint64),
    ]
)
SPELL = np.dtype(
    [
        ("slot", np.int64),
        ("kind", np.int64),  # LOSS or JUMPS
        ("start_ms", np.int64),  # LOSS: the last position before; JUMPS: the first
        ("end_ms", np.int64),  # LOSS: the first position after; JUMPS: the last
        ("first_key", np.uint64),
        ("last_key", np.uint64),
        ("count", np.int64),
        ("farthest_m", np.float64),
        ("farthest_key", np.uint64),
    ]
)


class ReceptionLimits(NamedTuple):
    """The thresholds that the kernel needs."""

    loss_ms: int
    fewest: int
    apart_ms: int
    within_ms: int


def reception_limits(rules: RuleSet) -> ReceptionLimits:
    """Thresholds of ``rules`` for `receive`."""
    return ReceptionLimits(
        rules.no_position_s * 1000,
        rules.jumps_fewest,
        rules.jumps_apart_s * 1000,
        rules.jumps_within_s * 1000,
    )


def nothing_received() -> npt.NDArray[np.void]:
    """The state before the first position, shape ``(1,)``, dtype `RECEPTION`."""
    state = np.zeros(1, RECEPTION)
    state["seen_ms"] = NEVER_MS
    return state


@njit(cache=True)
def forged(state: Any, limits: ReceptionLimits) -> Any:
    """Whether the jumps so far are enough."""
    return state["jumps"] >= limits.fewest and state["last_ms"] - state["first_ms"] >= limits.apart_ms


@njit(cache=True)
def jumps_of(state: Any, slot: int, spell: Any) -> None:
    """Write the jumps of ``state`` into ``spell``."""
    spell["slot"] = slot
    spell["kind"] = JUMPS
    spell["start_ms"] = state["first_ms"]
    spell["end_ms"] = state["last_ms"]
    spell["first_key"] = state["first_key"]
    spell["last_key"] = state["last_key"]
    spell["count"] = state["jumps"]
    spell["farthest_m"] = state["farthest_m"]
    spell["farthest_key"] = state["farthest_key"]


@njit(cache=True)
def _room(out: Any, count: int) -> Any:
    if count < len(out):
        return out
    grown = np.zeros(2 * len(out) + 1, SPELL)
    grown[:count] = out
    return grown


@njit(cache=True)
def receive(fixes: Any, parts: Any, states: Any, limits: ReceptionLimits) -> Any:
    """Carry reception on through positions ``lo`` to ``hi`` for each (slot, lo, hi) of ``parts``; spells that are over.

    ``fixes`` have been through `core.trail.trust`.
    """
    out = np.zeros(8, SPELL)
    count = 0
    for p in range(len(parts)):
        slot = parts[p, 0]
        state = states[slot]
        # what nearly every position changes is kept in registers
        seen_ms, seen, placed = state["seen_ms"], -1, -1
        for i in range(parts[p, 1], parts[p, 2]):
            fix = fixes[i]
            t_ms = fix["t_ms"]
            if fix["quality"] & JUMP:
                if placed >= 0:
                    state["lat"] = fixes[placed]["lat"]
                    state["lon"] = fixes[placed]["lon"]
                if state["jumps"] and t_ms - state["last_ms"] > limits.within_ms:
                    if forged(state, limits):
                        out = _room(out, count)
                        jumps_of(state, slot, out[count])
                        count += 1
                    state["jumps"] = 0
                if state["jumps"] == 0:
                    state["first_ms"] = t_ms
                    state["first_key"] = fix["key"]
                    state["farthest_m"] = 0.0
                state["jumps"] += 1
                state["last_ms"] = t_ms
                state["last_key"] = fix["key"]
                kx, ky = metres_per_degree_at(state["lat"])
                apart_m = metres_between(state["lon"], state["lat"], fix["lon"], fix["lat"], kx, ky)
                if apart_m > state["farthest_m"]:
                    state["farthest_m"] = apart_m
                    state["farthest_key"] = fix["key"]
            elif fix["radius_m"] < np.inf or (fix["worn"] == 0 and fix["quality"] & STALE_TIME == 0):
                if seen_ms != NEVER_MS and t_ms - seen_ms > limits.loss_ms:
                    out = _room(out, count)
                    out[count]["slot"] = slot
                    out[count]["kind"] = LOSS
                    out[count]["start_ms"] = seen_ms
                    out[count]["end_ms"] = t_ms
                    out[count]["first_key"] = fixes[seen]["key"] if seen >= 0 else state["seen_key"]
                    out[count]["last_key"] = fix["key"]
                    count += 1
                seen_ms, seen = t_ms, i
                if fix["radius_m"] < np.inf:
                    placed = i
        if seen >= 0:
            state["seen_ms"] = seen_ms
            state["seen_key"] = fixes[seen]["key"]
        if placed >= 0:
            state["lat"] = fixes[placed]["lat"]
            state["lon"] = fixes[placed]["lon"]
    return out[:count]
