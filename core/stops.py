"""Stops and gaps of a trail: where the wearer stayed, from when to when, and when nobody knows.

**A stop is a stay of at least 180 s within 50 m of its middle: it begins at its first position, and ends at the first
of two positions at least 10 s apart, none at the place between them, that lie further out by more than their own
uncertainty.** (180 s, 50 m, 10 s: ``RuleSet.stop_min_s``, ``still_m``, ``confirm_apart_s``.) So no single position
ends a stop. Positions that are not trusted take no part.

A gap is a time of more than 600 s (``RuleSet.gap_s``) between trusted positions. A stop goes on through a gap when the
next position lies at the same place: that the wearer stayed is then not known, so ``known_s`` leaves the gap out.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from core.episodes import NEVER_MS, OPEN_MS
from core.plane import metres_between, metres_per_degree_at
from core.readings import I64
from core.rows import Fixes
from core.rules import RuleSet

Stops = npt.NDArray[np.void]
STOP = np.dtype(
    [
        ("arrival_ms", np.int64),  # first position at the place
        ("departure_ms", np.int64),  # first position away; OPEN_MS: still there
        ("before_ms", np.int64),  # last position before the arrival; NEVER_MS: none
        ("last_ms", np.int64),  # last position at the place
        ("known_s", np.float64),  # arrival to last, gaps left out
        ("lat", np.float64),  # middle of its positions
        ("lon", np.float64),
        ("extent_m", np.float64),  # furthest position from the middle as it then was
        ("fixes", np.int64),
        ("arrival_key", np.uint64),
        ("last_key", np.uint64),
        ("departure_key", np.uint64),  # 0: none
    ]
)
STAY = np.dtype(
    [
        *((name, STOP[name]) for name in STOP.names or ()),
        ("settled", np.int64),  # long enough to be a stop
        ("seen_ms", np.int64),  # the last trusted position of all
        # positions away that have not been confirmed: the first of them, and the last
        ("away_ms", np.int64),
        ("away_key", np.uint64),
        ("away_last_ms", np.int64),
    ]
)


class StopLimits(NamedTuple):
    """The thresholds that the kernel needs."""

    still_m: float
    stop_min_ms: int
    apart_ms: int
    gap_ms: int


def stop_limits(rules: RuleSet) -> StopLimits:
    """Thresholds of ``rules`` for `follow`."""
    return StopLimits(
        rules.still_m, rules.stop_min_s * 1000, rules.confirm_apart_s * 1000, rules.gap_s * 1000
    )


def no_stay() -> npt.NDArray[np.void]:
    """The state before the first position, shape ``(1,)``, dtype `STAY`."""
    stay = np.zeros(1, STAY)
    for name in ("before_ms", "seen_ms", "away_ms", "away_last_ms"):
        stay[name] = NEVER_MS
    stay["departure_ms"] = OPEN_MS
    return stay


@njit(cache=True)
def _begin(stay: Any, fix: Any, before_ms: int) -> None:
    stay["arrival_ms"] = stay["last_ms"] = fix["t_ms"]
    stay["departure_ms"] = OPEN_MS
    stay["before_ms"] = before_ms
    stay["known_s"] = stay["extent_m"] = 0.0
    stay["lat"] = fix["lat"]
    stay["lon"] = fix["lon"]
    stay["fixes"] = 1
    stay["arrival_key"] = stay["last_key"] = fix["key"]
    stay["departure_key"] = np.uint64(0)
    stay["settled"] = 0
    stay["away_ms"] = NEVER_MS


@njit(cache=True)
def _copy(stay: Any, out: Any) -> None:
    out["arrival_ms"] = stay["arrival_ms"]
    out["departure_ms"] = stay["departure_ms"]
    out["before_ms"] = stay["before_ms"]
    out["last_ms"] = stay["last_ms"]
    out["known_s"] = stay["known_s"]
    out["lat"] = stay["lat"]
    out["lon"] = stay["lon"]
    out["extent_m"] = stay["extent_m"]
    out["fixes"] = stay["fixes"]
    out["arrival_key"] = stay["arrival_key"]
    out["last_key"] = stay["last_key"]
    out["departure_key"] = stay["departure_key"]


@njit(cache=True)
def follow(fixes: Any, lo: int, hi: int, stay: Any, limits: StopLimits, out: Any) -> Any:
    """Carry a stay on through positions ``lo`` to ``hi``, ascending; how many stops it left in ``out`` (`STOP`).

    ``out`` has room for one stop more than there are positions. What is not trusted has an infinite radius.
    """
    count = 0
    for i in range(lo, hi):
        fix = fixes[i]
        t_ms = fix["t_ms"]
        if not fix["radius_m"] < np.inf:
            continue
        if stay["fixes"] == 0:
            _begin(stay, fix, stay["seen_ms"])
            stay["seen_ms"] = t_ms
            continue
        kx, ky = metres_per_degree_at(stay["lat"])
        from_middle_m = metres_between(stay["lon"], stay["lat"], fix["lon"], fix["lat"], kx, ky)
        if from_middle_m - fix["radius_m"] <= limits.still_m:
            if t_ms - stay["seen_ms"] <= limits.gap_ms:
                stay["known_s"] += (t_ms - stay["seen_ms"]) / 1000.0
            stay["fixes"] += 1
            stay["lat"] += (fix["lat"] - stay["lat"]) / stay["fixes"]
            stay["lon"] += (fix["lon"] - stay["lon"]) / stay["fixes"]
            stay["extent_m"] = max(stay["extent_m"], from_middle_m)
            stay["last_ms"] = t_ms
            stay["last_key"] = fix["key"]
            stay["away_ms"] = NEVER_MS
            if t_ms - stay["arrival_ms"] >= limits.stop_min_ms:
                stay["settled"] = 1
        else:
            if stay["away_ms"] == NEVER_MS:
                stay["away_ms"] = t_ms
                stay["away_key"] = fix["key"]
            if t_ms - stay["away_ms"] >= limits.apart_ms:
                if stay["settled"] == 1:
                    stay["departure_ms"] = stay["away_ms"]
                    stay["departure_key"] = stay["away_key"]
                    _copy(stay, out[count])
                    count += 1
                _begin(stay, fix, stay["seen_ms"])
        stay["seen_ms"] = t_ms
    return count


def stops_of(fixes: Fixes, rules: RuleSet) -> Stops:
    """All stops of one wearer's trail (`core.trail.Trail.fixes`), ascending; the last may go on (OPEN_MS)."""
    stay, out = no_stay()[0], np.zeros(len(fixes) + 1, STOP)
    count = follow(fixes, 0, len(fixes), stay, stop_limits(rules), out)
    if stay["settled"]:
        _copy(stay, out[count])
        count += 1
    return out[:count].copy()


def gaps_of(fixes: Fixes, rules: RuleSet, from_ms: int, to_ms: int) -> I64:
    """The gaps between ``from_ms`` and ``to_ms``: ``(start_ms, end_ms)``, ascending, shape ``(n, 2)``."""
    trusted = fixes["t_ms"][np.isfinite(fixes["radius_m"])]
    inner = trusted[(trusted >= from_ms) & (trusted < to_ms)]
    marks = np.concatenate([[from_ms], inner, [to_ms]]).astype(np.int64)
    pairs = np.stack([marks[:-1], marks[1:]], axis=1)
    found: I64 = pairs[pairs[:, 1] - pairs[:, 0] > rules.gap_s * 1000]
    return found
