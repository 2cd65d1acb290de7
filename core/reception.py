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
def _pass_quiet(fixes: Any, i: int, hi: int, seen_ms: int, loss_ms: int) -> Any:
    """From position ``i`` on past all that are neither a jump nor after a loss: nearly all. Apart for speed.

    Returns the first that is one, when the tag was seen last before it, and which of those passed said so, and where
    (−1: none).
    """
    seen, placed = -1, -1
    while i < hi:
        fix = fixes[i]
        if fix["quality"] & JUMP:
            break
        trusted = fix["radius_m"] < np.inf
        if trusted or _of_the_tag(fix):
            t_ms = fix["t_ms"]
            if t_ms - seen_ms > loss_ms:
                break
            seen_ms, seen = t_ms, i
            if trusted:
                placed = i
        i += 1
    return i, seen_ms, seen, placed


@njit(cache=True)
def _of_the_tag(fix: Any) -> Any:
    """Whether an untrusted position says all the same where the tag is: its strap is open."""
    return fix["worn"] == 0 and fix["quality"] & STALE_TIME == 0


@njit(cache=True)
def _jump(state: Any, slot: int, fix: Any, limits: ReceptionLimits, out: Any, count: int) -> Any:
    """Count a jump; the spells, with those before it if they are over."""
    t_ms = fix["t_ms"]
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
    return out, count


@njit(cache=True)
def receive(fixes: Any, parts: Any, terms: Any, states: Any, limits: ReceptionLimits) -> Any:
    """Carry reception on through positions ``lo`` to ``hi`` for each (slot, lo, hi) of ``parts``; spells that are over.

    ``fixes`` have been through `core.trail.trust`. Those before the tag was fitted and after its removal (``terms``)
    mean nothing.
    """
    out = np.zeros(8, SPELL)
    count = 0
    for p in range(len(parts)):
        slot, i, hi = parts[p]
        state, fitted_ms, removed_ms = states[slot], terms[slot]["fitted_ms"], terms[slot]["removed_ms"]
        while i < hi and fixes[i]["t_ms"] < fitted_ms:
            i += 1
        while i < hi and fixes[hi - 1]["t_ms"] >= removed_ms:
            hi -= 1
        while i < hi:
            i, seen_ms, seen, placed = _pass_quiet(fixes, i, hi, state["seen_ms"], limits.loss_ms)
            if seen >= 0:
                state["seen_ms"] = seen_ms
                state["seen_key"] = fixes[seen]["key"]
            if placed >= 0:
                state["lat"] = fixes[placed]["lat"]
                state["lon"] = fixes[placed]["lon"]
            if i == hi:
                break
            fix = fixes[i]
            if fix["quality"] & JUMP:
                out, count = _jump(state, slot, fix, limits, out, count)
            else:
                if state["seen_ms"] != NEVER_MS:
                    out = _room(out, count)
                    out[count]["slot"] = slot
                    out[count]["kind"] = LOSS
                    out[count]["start_ms"] = state["seen_ms"]
                    out[count]["end_ms"] = fix["t_ms"]
                    out[count]["first_key"] = state["seen_key"]
                    out[count]["last_key"] = fix["key"]
                    count += 1
                state["seen_ms"] = fix["t_ms"]
                state["seen_key"] = fix["key"]
                if fix["radius_m"] < np.inf:
                    state["lat"] = fix["lat"]
                    state["lon"] = fix["lon"]
            i += 1
    return out[:count]
