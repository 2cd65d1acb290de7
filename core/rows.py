"""Readings as the rules see them: rows of structured arrays, one dtype a kind, sorted, each once.

The order within a kind is (tag time, journal epoch, sequence number), which no arrival can change; of contacts the home
unit comes last, because each has a journal of its own. A reading is the same as another when all of these are the same;
that a number comes with other content is found, kept and alarmed before the core (``docs/protocol.md``, conflict).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from core.readings import (
    F64,
    I64,
    TIME_QUALITY_MASK,
    Contacts,
    Events,
    PositionFlag,
    Positions,
    Readings,
    Samples,
    TimeQuality,
)

Rows = npt.NDArray[np.void]
"""Readings of one kind, shape ``(n,)``; the dtype is one of `DTYPES`."""
Fixes = npt.NDArray[np.void]
"""Positions as the rules see them, dtype `FIX`, shape ``(n,)``."""

POSITION, CONTACT, SAMPLE, EVENT = range(4)
"""The kinds, by their place in `DTYPES` and wherever four things stand side by side."""

FIX = np.dtype(  # 48 bytes, aligned and without gaps: every family reads them all
    [
        ("t_ms", np.int64),
        ("lat", np.float64),
        ("lon", np.float64),
        # radius that holds the wearer 95 times in 100, never below the rule set's floor; infinite where the position
        # proves nothing about the wearer's place, so that no distance exceeds it and every answer is UNCERTAIN
        ("radius_m", np.float64),
        ("key", np.uint64),  # epoch << 32 | seq: names the reading
        ("worn", np.int32),  # 0 from strap open until an officer's check
        ("quality", np.int32),  # bits of `core.trail.FixQuality`, once the trail family has seen it
    ],
    align=True,
)
"""What no rule asks of a position (speed, course, satellites) stays behind in `core.readings.Positions`."""


class Columns(NamedTuple):
    """The same positions column by column: what zones ask of every one of them, and nothing else has to be fetched."""

    t_ms: I64
    lat: F64
    lon: F64
    radius_m: F64


CONTACT_ROW = np.dtype(
    [
        ("t_ms", np.int64),  # end of the interval
        ("span_ms", np.int64),
        ("count", np.int64),
        ("strongest_dbm", np.float64),
        ("median_dbm", np.float64),
        ("unit", np.int64),
        ("unit_ok", np.int64),
        ("key", np.uint64),
        ("worn", np.int64),  # 0: the interval touches the time from strap open until an officer's check
    ]
)
SAMPLE_ROW = np.dtype(
    [
        ("t_ms", np.int64),
        ("tac_g_dl", np.float64),
        ("ir_v", np.float64),
        ("temp_c", np.float64),
        ("flags", np.int64),
        ("key", np.uint64),
        ("worn", np.int64),
    ]
)
EVENT_ROW = np.dtype([("t_ms", np.int64), ("code", np.int64), ("value", np.float64), ("key", np.uint64)])
DTYPES = (FIX, CONTACT_ROW, SAMPLE_ROW, EVENT_ROW)

_PROVES_NOTHING = int(PositionFlag.NOT_SATELLITE | PositionFlag.DATE_SUSPECT)
_TIME_UNSET = int(TimeQuality.UNSET)
_NOT_MOVED = int(PositionFlag.NOT_MOVED)
NOT_MOVED, WALKING = 1 << 5, 1 << 7
"""The bits of `core.trail.FixQuality` that a position brings along."""
_WALKING_KMH = 3.0
"""Receivers that lie still measure 2 km/h at most, nearly always (docs/sensors.md)."""


def rows_from(readings: Readings, precision_floor_m: float) -> tuple[Rows | None, ...]:
    """``readings`` as the rules see them, kind by kind; None for a kind of which there are none."""
    return (
        fixes_from(readings.positions, precision_floor_m) if len(readings.positions) else None,
        _others_from(readings.contacts, CONTACT_ROW) if len(readings.contacts) else None,
        _others_from(readings.samples, SAMPLE_ROW) if len(readings.samples) else None,
        _others_from(readings.events, EVENT_ROW) if len(readings.events) else None,
    )


def fixes_from(positions: Positions, precision_floor_m: float) -> Fixes:
    """``positions`` as the rules see them, sorted, each once.

    A position proves nothing if its precision is unknown or not finite, if it was not made from satellites, if its date
    is suspect or unset, or if it is not on Earth. Where it is not on Earth it stands at 0°, 0°.
    """
    fixes = np.empty(len(positions), FIX)
    ascending = _convert(
        positions.t_ms,
        positions.lat,
        positions.lon,
        positions.precision_m,
        positions.speed_kmh,
        positions.flags,
        positions.epoch,
        positions.seq,
        precision_floor_m,
        fixes,
    )
    return fixes if ascending else in_order(fixes)


@njit(cache=True)
def _convert(
    t_ms: Any,
    lat: Any,
    lon: Any,
    precision_m: Any,
    speed_kmh: Any,
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
        on_earth = abs(lat[i]) <= 90.0 and abs(lon[i]) <= 180.0
        known = (
            on_earth
            and np.isfinite(precision_m[i])
            and int(flags[i]) & _PROVES_NOTHING == 0
            and int(flags[i]) & TIME_QUALITY_MASK != _TIME_UNSET
        )
        out[i]["t_ms"] = t_ms[i]
        out[i]["lat"] = lat[i] if on_earth else 0.0
        out[i]["lon"] = lon[i] if on_earth else 0.0
        out[i]["radius_m"] = max(precision_m[i], floor_m) if known else np.inf
        out[i]["key"] = key
        out[i]["worn"] = 1
        out[i]["quality"] = (NOT_MOVED if int(flags[i]) & _NOT_MOVED else 0) | (
            WALKING if _WALKING_KMH <= speed_kmh[i] < np.inf else 0
        )
        if i and (t_ms[i] < t_ms[i - 1] or (t_ms[i] == t_ms[i - 1] and key <= out[i - 1]["key"])):
            ascending = False
    return ascending


def columns_of(fixes: Fixes) -> Columns:
    """``fixes`` column by column, copied."""
    return Columns(*(np.ascontiguousarray(fixes[name]) for name in Columns._fields))


def _others_from(columns: Contacts | Samples | Events, dtype: np.dtype[np.void]) -> Rows:
    """Readings of another kind than positions as the rules see them, sorted, each once."""
    rows = np.zeros(len(columns), dtype)
    names = dtype.names or ()
    for name in columns.DTYPES:
        if name in names:
            rows[name] = getattr(columns, name)
    rows["key"] = columns.epoch.astype(np.uint64) << np.uint64(32) | columns.seq.astype(np.uint64)
    if isinstance(columns, Contacts):
        # what is not a number, or no span, is an interval of no length: it touches nothing but its end
        spans = np.nan_to_num(columns.span_s * 1000, nan=0.0, posinf=0.0, neginf=0.0)
        rows["span_ms"] = np.clip(spans, 0, _LONGEST_SPAN_MS).astype(np.int64)
    if "worn" in names:
        rows["worn"] = 1
    return in_order(rows)


_LONGEST_SPAN_MS = 86_400_000
"""No home unit listens for more than a day before it reports."""


def in_order(rows: Rows) -> Rows:
    """Sorted, each once; of repeats the first that stands there."""
    t_ms, key = rows["t_ms"], rows["key"]
    if (
        len(rows) > 1
        and not ((t_ms[1:] > t_ms[:-1]) | ((t_ms[1:] == t_ms[:-1]) & (key[1:] > key[:-1]))).all()
    ):
        rows = rows[order_of(rows)]
        rows = rows[~repeats(rows)]
    return rows


def order_of(rows: Rows) -> npt.NDArray[np.int64]:
    """The indices that sort ``rows``; stable."""
    by = (rows["key"], rows["t_ms"])
    return np.lexsort((rows["unit"], *by) if rows.dtype == CONTACT_ROW else by)


def name_of(row: Any) -> tuple[int, int, int]:
    """What makes a reading the one it is among those of its kind, and where it stands."""
    return int(row["t_ms"]), int(row["key"]), int(row["unit"]) if row.dtype == CONTACT_ROW else 0


def repeats(rows: Rows) -> npt.NDArray[np.bool_]:
    """Which of sorted readings repeat the one before."""
    found = np.zeros(len(rows), np.bool_)
    found[1:] = (rows["t_ms"][1:] == rows["t_ms"][:-1]) & (rows["key"][1:] == rows["key"][:-1])
    if rows.dtype == CONTACT_ROW:
        found[1:] &= rows["unit"][1:] == rows["unit"][:-1]
    return found


def cut(rows: Rows, lo: int, hi: int, from_ms: int, to_ms: int) -> tuple[int, int]:
    """Which of the readings ``lo`` to ``hi``, ascending, lie in ``[from_ms, to_ms)``."""
    if lo == hi:
        return lo, hi
    t = rows["t_ms"]
    first = lo if t[lo] >= from_ms else lo + int(np.searchsorted(t[lo:hi], from_ms))
    last = hi if t[hi - 1] < to_ms else lo + int(np.searchsorted(t[lo:hi], to_ms))
    return first, last


@njit(cache=True)
def first_at(t_ms: Any, lo: int, hi: int, at_ms: int) -> Any:
    """The first of ascending ``t_ms[lo:hi]`` at or after ``at_ms``."""
    if lo == hi or t_ms[lo] >= at_ms:
        return lo
    if t_ms[hi - 1] < at_ms:
        return hi
    while lo < hi:
        middle = (lo + hi) // 2
        if t_ms[middle] < at_ms:
            lo = middle + 1
        else:
            hi = middle
    return lo
