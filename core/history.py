"""The positions of one activation, kept in order of tag time, each once.

The order is (tag time, journal epoch, sequence number), which no arrival can change. A position is the same as one
already kept when all three are the same; that a number comes with other content is found, kept and alarmed before the
core (``docs/protocol.md``, conflict).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from core.readings import TIME_QUALITY_MASK, PositionFlag, Positions, TimeQuality

Fixes = npt.NDArray[np.void]
"""Positions as the rules see them, dtype `FIX`, shape ``(n,)``."""

FIX = np.dtype(
    [
        ("t_ms", np.int64),
        ("lat", np.float64),
        ("lon", np.float64),
        # radius that holds the wearer 95 times in 100, never below the rule set's floor; infinite where the position
        # proves nothing about place, so that no distance exceeds it and every answer is UNCERTAIN
        ("radius_m", np.float64),
        ("key", np.uint64),  # epoch << 32 | seq: names the reading
    ]
)
_PROVES_NOTHING = PositionFlag.NOT_SATELLITE | PositionFlag.DATE_SUSPECT


def fixes_from(positions: Positions, precision_floor_m: float) -> Fixes:
    """``positions`` as the rules see them, sorted, each once.

    A position proves nothing if its precision is unknown or not finite, if it was not made from satellites, if its date
    is suspect or unset, or if it is not on Earth.
    """
    fixes = np.zeros(len(positions), FIX)
    known = (
        np.isfinite(positions.precision_m)
        & (positions.flags & _PROVES_NOTHING == 0)
        & (positions.flags & TIME_QUALITY_MASK != TimeQuality.UNSET)
        & (np.abs(positions.lat) <= 90)
        & (np.abs(positions.lon) <= 180)
    )
    fixes["t_ms"] = positions.t_ms
    fixes["lat"] = np.where(known, positions.lat, 0.0)
    fixes["lon"] = np.where(known, positions.lon, 0.0)
    fixes["radius_m"] = np.where(known, np.maximum(positions.precision_m, precision_floor_m), np.inf)
    fixes["key"] = positions.epoch.astype(np.uint64) << np.uint64(32) | positions.seq.astype(np.uint64)
    if not _ascending(fixes):
        fixes = fixes[np.lexsort((fixes["key"], fixes["t_ms"]))]
        fixes = fixes[~_repeats(fixes)]
    return fixes


def cut(fixes: Fixes, lo: int, hi: int, from_ms: int, to_ms: int) -> tuple[int, int]:
    """Which of the positions ``lo`` to ``hi``, ascending, lie in ``[from_ms, to_ms)``."""
    t = fixes["t_ms"]
    first = lo if t[lo] >= from_ms else lo + int(np.searchsorted(t[lo:hi], from_ms))
    last = hi if t[hi - 1] < to_ms else lo + int(np.searchsorted(t[lo:hi], to_ms))
    return first, last


class History:
    """All positions of one activation in order; grows by doubling, so adding in order costs only what is added."""

    def __init__(self) -> None:
        self._rows: Fixes = np.zeros(0, FIX)
        self._count = 0

    def __len__(self) -> int:
        return self._count

    @property
    def fixes(self) -> Fixes:
        """The positions, ascending (a view: do not keep it)."""
        return self._rows[: self._count]

    def add(self, fixes: Fixes) -> int:
        """Add positions as `fixes_from` makes them; the index from which anything is new, the length if nothing is."""
        if not len(fixes):
            return self._count
        if not self._count or _name(fixes[0]) > _name(self._rows[self._count - 1]):
            first = self._count
            self._append(fixes)
            return first
        at = int(np.searchsorted(self.fixes["t_ms"], fixes[0]["t_ms"]))
        together = np.concatenate([self.fixes[at:], fixes])
        order = np.lexsort(
            (together["key"], together["t_ms"])
        )  # stable: what is kept comes before its repeat
        together, fresh = together[order], order >= self._count - at
        once = ~_repeats(together)
        together, fresh = together[once], fresh[once]
        if not fresh.any():
            return self._count
        self._count = at
        self._append(together)
        return at + int(np.argmax(fresh))

    def _append(self, fixes: Fixes) -> None:
        need = self._count + len(fixes)
        if need > len(self._rows):
            grown = np.zeros(max(need, 2 * len(self._rows)), FIX)
            grown[: self._count] = self._rows[: self._count]
            self._rows = grown
        self._rows[self._count : need] = fixes
        self._count = need


def _name(fix: Any) -> tuple[int, int]:
    return int(fix["t_ms"]), int(fix["key"])


def _ascending(fixes: Fixes) -> bool:
    t, key = fixes["t_ms"], fixes["key"]
    return bool(np.all((t[1:] > t[:-1]) | ((t[1:] == t[:-1]) & (key[1:] > key[:-1]))))


def _repeats(fixes: Fixes) -> npt.NDArray[np.bool_]:
    """Which of sorted positions repeat the one before."""
    repeats = np.zeros(len(fixes), np.bool_)
    repeats[1:] = (fixes["t_ms"][1:] == fixes["t_ms"][:-1]) & (fixes["key"][1:] == fixes["key"][:-1])
    return repeats
