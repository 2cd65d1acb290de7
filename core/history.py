"""The positions of one activation, kept in order of tag time, each once.

The order is (tag time, journal epoch, sequence number), which no arrival can change. A position is the same as one
already kept when all three are the same; that a number comes with other content is found, kept and alarmed before the
core (``docs/protocol.md``, conflict).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

from core.growing import Growing
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
_PROVES_NOTHING = int(PositionFlag.NOT_SATELLITE | PositionFlag.DATE_SUSPECT)
_TIME_UNSET = int(TimeQuality.UNSET)


def fixes_from(positions: Positions, precision_floor_m: float) -> Fixes:
    """``positions`` as the rules see them, sorted, each once.

    A position proves nothing if its precision is unknown or not finite, if it was not made from satellites, if its date
    is suspect or unset, or if it is not on Earth.
    """
    fixes = np.empty(len(positions), FIX)
    ascending = _convert(
        positions.t_ms,
        positions.lat,
        positions.lon,
        positions.precision_m,
        positions.flags,
        positions.epoch,
        positions.seq,
        precision_floor_m,
        fixes,
    )
    if not ascending:
        fixes = fixes[np.lexsort((fixes["key"], fixes["t_ms"]))]
        fixes = fixes[~_repeats(fixes)]
    return fixes


@njit(cache=True)
def _convert(
    t_ms: Any,
    lat: Any,
    lon: Any,
    precision_m: Any,
    flags: Any,
    epoch: Any,
    seq: Any,
    floor_m: float,
    out: Any,
) -> Any:
    """Fill ``out``; True if it came in ascending order without repeats."""
    ascending = True
    for i in range(len(t_ms)):
        key = np.uint64(epoch[i]) << np.uint64(32) | np.uint64(seq[i])
        known = (
            np.isfinite(precision_m[i])
            and int(flags[i]) & _PROVES_NOTHING == 0
            and int(flags[i]) & TIME_QUALITY_MASK != _TIME_UNSET
            and abs(lat[i]) <= 90.0
            and abs(lon[i]) <= 180.0
        )
        out[i]["t_ms"] = t_ms[i]
        out[i]["lat"] = lat[i] if known else 0.0
        out[i]["lon"] = lon[i] if known else 0.0
        out[i]["radius_m"] = max(precision_m[i], floor_m) if known else np.inf
        out[i]["key"] = key
        if i and (t_ms[i] < t_ms[i - 1] or (t_ms[i] == t_ms[i - 1] and key <= out[i - 1]["key"])):
            ascending = False
    return ascending


def cut(fixes: Fixes, lo: int, hi: int, from_ms: int, to_ms: int) -> tuple[int, int]:
    """Which of the positions ``lo`` to ``hi``, ascending, lie in ``[from_ms, to_ms)``."""
    t = fixes["t_ms"]
    first = lo if t[lo] >= from_ms else lo + int(np.searchsorted(t[lo:hi], from_ms))
    last = hi if t[hi - 1] < to_ms else lo + int(np.searchsorted(t[lo:hi], to_ms))
    return first, last


class History:
    """All positions of one activation in order; adding in order costs only what is added."""

    def __init__(self) -> None:
        self._rows = Growing(np.zeros(0, FIX))

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def fixes(self) -> Fixes:
        """The positions, ascending (a view: do not keep it)."""
        return self._rows.rows

    def add(self, fixes: Fixes) -> int:
        """Add positions as `fixes_from` makes them; the index from which anything is new, the length if nothing is."""
        kept = self.fixes
        count = len(kept)
        if not len(fixes):
            return count
        if not count or _name(fixes[0]) > _name(kept[-1]):
            self._rows.append(fixes)
            return count
        at = int(np.searchsorted(kept["t_ms"], fixes[0]["t_ms"]))
        together = np.concatenate([kept[at:], fixes])
        order = np.lexsort(
            (together["key"], together["t_ms"])
        )  # stable: what is kept comes before its repeat
        together, fresh = together[order], order >= count - at
        once = ~_repeats(together)
        together, fresh = together[once], fresh[once]
        if not fresh.any():
            return count
        self._rows.cut_back(at)
        self._rows.append(together)
        return at + int(np.argmax(fresh))


def _name(fix: Any) -> tuple[int, int]:
    return int(fix["t_ms"]), int(fix["key"])


def _repeats(fixes: Fixes) -> npt.NDArray[np.bool_]:
    """Which of sorted positions repeat the one before."""
    repeats = np.zeros(len(fixes), np.bool_)
    repeats[1:] = (fixes["t_ms"][1:] == fixes["t_ms"][:-1]) & (fixes["key"][1:] == fixes["key"][:-1])
    return repeats
