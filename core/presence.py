"""HOME, NOT_HOME or UNKNOWN at an address, from positions.

A position shows HOME when the whole of its uncertainty lies within the address's radius plus the rule set's margin,
NOT_HOME when the whole of it lies without; else it shows nothing. What is shown holds until the next position that
shows something, but no longer than the rule set lets a position vouch; then the state is UNKNOWN.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

from core.geometry import metres_at
from core.history import Fixes
from core.order import Address
from core.readings import F64, I64
from core.rules import RuleSet
from core.zones import scale_about


class Presence(IntEnum):
    """The three values."""

    UNKNOWN = 0
    HOME = 1
    NOT_HOME = 2


UNKNOWN, HOME, NOT_HOME = int(Presence.UNKNOWN), int(Presence.HOME), int(Presence.NOT_HOME)

Sightings = npt.NDArray[np.void]
"""What was shown when, dtype `SIGHTING`: only HOME and NOT_HOME, ascending in time."""
SIGHTING = np.dtype(
    [
        ("t_ms", np.int64),
        ("presence", np.int64),
        ("away_m", np.float64),  # from the middle of the address
        ("key", np.uint64),
    ]
)


@dataclass(frozen=True, slots=True)
class Place:
    """An address compiled: longitude, latitude (degrees), reach (m) in ``spot``; metres per degree in ``scale``."""

    spot: F64
    scale: F64


def place_of(address: Address, rules: RuleSet) -> Place:
    """Compile ``address`` (the only trigonometry)."""
    reach_m = address.radius_m + rules.address_margin_m
    spot = np.array([address.longitude, address.latitude, reach_m])
    return Place(spot, scale_about(address.latitude, address.latitude))


@njit(cache=True)
def _sight(fixes: Any, ranges: Any, spots: Any, scales: Any) -> Any:
    """Sightings of every range of positions at its own place; and offsets, shape ``(ranges + 1,)``."""
    offsets = np.zeros(len(ranges) + 1, np.int64)
    total = 0
    for r in range(len(ranges)):
        total += ranges[r, 1] - ranges[r, 0]
    out = np.empty(total, SIGHTING)
    count = 0
    for r in range(len(ranges)):
        for i in range(ranges[r, 0], ranges[r, 1]):
            fix = fixes[i]
            kx, ky = metres_at(scales[r], fix["lat"])
            dx, dy = (fix["lon"] - spots[r, 0]) * kx, (fix["lat"] - spots[r, 1]) * ky
            away_m = np.sqrt(dx * dx + dy * dy)
            presence = UNKNOWN
            if away_m + fix["radius_m"] < spots[r, 2]:
                presence = HOME
            elif away_m - fix["radius_m"] > spots[r, 2]:
                presence = NOT_HOME
            if presence != UNKNOWN:
                out[count]["t_ms"] = fix["t_ms"]
                out[count]["presence"] = presence
                out[count]["away_m"] = away_m
                out[count]["key"] = fix["key"]
                count += 1
        offsets[r + 1] = count
    return out[:count], offsets


def sight(fixes: Fixes, ranges: Sequence[tuple[int, int, Place]]) -> tuple[Sightings, I64]:
    """Sightings of positions ``lo`` to ``hi`` at ``place`` for each (lo, hi, place); and where each range begins."""
    found, offsets = _sight(
        fixes,
        np.array([(lo, hi) for lo, hi, _ in ranges], np.int64),
        np.array([place.spot for _, _, place in ranges]),
        np.array([place.scale for _, _, place in ranges]),
    )
    return found, offsets


def intervals(
    fixes: Fixes, address: Address, rules: RuleSet, from_ms: int, to_ms: int
) -> list[tuple[int, int, Presence]]:
    """The state at ``address`` from ``from_ms`` to ``to_ms``: ``(start, end, state)``, without a gap, none empty."""
    seen, _ = sight(fixes, [(0, len(fixes), place_of(address, rules))])
    found: list[tuple[int, int, Presence]] = []

    def say(start: int, end: int, state: Presence) -> None:
        start, end = max(start, from_ms), min(end, to_ms)
        if start < end and found and found[-1][2] == state:
            found[-1] = (found[-1][0], end, state)
        elif start < end:
            found.append((start, end, state))

    reached = from_ms
    for i in range(len(seen)):
        t_ms = int(seen["t_ms"][i])
        following = int(seen["t_ms"][i + 1]) if i + 1 < len(seen) else to_ms
        end = min(t_ms + rules.vouch_s * 1000, following)
        say(reached, t_ms, Presence.UNKNOWN)
        say(t_ms, end, Presence(int(seen["presence"][i])))
        reached = max(reached, end)
    say(reached, to_ms, Presence.UNKNOWN)
    return found
