"""Batteries and chargers of what a wearer wears, and the levels of strap, case, charger and battery at a tag's pins.

**GPS tag**: its battery lasts about 40 h, less on the move (the receiver runs) and more at rest (it is off, as
docs/firmware.md has it). It is charged in the spans of ``Life.charging``, and empty when a span of ``Life.flat`` begins
and only then. A life of which neither is said is charged every evening (`charges`). The voltage is that of
``RuleSet.battery_mv`` at the charge, so that what the rules read of it is the charge.

**RF and alcohol tag**: a cell that lasts for years, a battery that is changed or charged at visits: they stay well.

Left out: a cell that ages, and one that frost or a sending modem pulls down.
"""

from __future__ import annotations

import runpy
from collections.abc import Iterator
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import numpy as np
from numba import njit

from core.kernel import BORROWS
from core.readings import F64, I64
from core.rules import DEFAULT_RULES
from sim import noise
from sim.bench.tag import FIRMWARE
from sim.life import Life, Span, spans_hold
from sim.way import Bool

MINUTE_MS = 60_000
_HOUR_MS = 3_600_000
_MOVING_PCT_H, _RESTING_PCT_H = 4.0, 2.0
"""So a day with five hours on the move takes 58 %: some 41 h from full to empty."""
_REST_MS = 10 * MINUTE_MS  # after so long a tag takes itself to be at rest (domain.md)
_CHARGING_PCT_H = 45.0
_FIRST_PCT = 96.0  # as an officer hands it out
_LEAST_PCT = 3.0
"""Only a life that says so has a battery that falls lower: else the tag would be off, and `Life.flat` not say it."""
_UNSEEN_PCT = 60.0  # of a tag that was flat and is on again, and nobody says how it was charged
_WELL_PCT = 85.0  # RF and alcohol tags
_MV_STEP = 2  # the pin of a tag is at half the battery's voltage, in whole millivolts
_SCATTER_MV = 1.2
_SCATTER = noise.stream_of("equipment/battery")
_LONDON = ZoneInfo("Europe/London")
_EVENING, _EVENING_MS = time(20, 30), 2 * _HOUR_MS
_LONG_MS = 30 * _HOUR_MS
_WIRING: dict[str, int] = runpy.run_path(str(FIRMWARE / "boards" / "esp32_pins.py"))["PINS"]


def charges(life: Life) -> tuple[Span, ...]:
    """When the GPS tag is on its charger, ascending.

    A life that lasts for more than 30 h and says neither when it is charged nor when it is flat has it on the charger
    every evening at half past eight for two hours.
    """
    if life.charging or life.flat or life.end_ms - life.start_ms <= _LONG_MS:
        return life.charging
    day = datetime.fromtimestamp(life.start_ms / 1000, UTC).astimezone(_LONDON).date()
    found: list[Span] = []
    while True:
        begin_ms = int(datetime.combine(day, _EVENING, _LONDON).timestamp()) * 1000
        if begin_ms >= life.end_ms:
            return tuple(found)
        if begin_ms >= life.start_ms:
            found.append(Span(begin_ms, begin_ms + _EVENING_MS))
        day += timedelta(days=1)


def on_charger(life: Life, t_ms: I64) -> Bool:
    """Whether the GPS tag is on its charger at each instant, shape ``(n,)``."""
    return spans_hold(charges(life), t_ms)


def charge_pct(life: Life, t_ms: I64) -> F64:
    """How full the GPS tag's battery truly is at each instant, 0 to 100 %, in any order."""
    used = _use(life)
    pct: F64 = _charged(np.ascontiguousarray(t_ms, np.int64), _pieces(life, used), *used)
    return pct


def battery_mv(life: Life, t_ms: I64, kind: str = "gps_tag") -> F64:
    """The voltage of a tag's battery at each instant, in steps of 2 mV that change with the UTC minute."""
    minute = np.asarray(t_ms, np.int64) // MINUTE_MS
    pct = charge_pct(life, minute * MINUTE_MS) if kind == "gps_tag" else _WELL_PCT
    mv = np.interp(pct, DEFAULT_RULES.battery_pct, DEFAULT_RULES.battery_mv)
    return _MV_STEP * np.rint((mv + _SCATTER_MV * noise.normal(life.seed, _SCATTER, minute)) / _MV_STEP)


def levels(life: Life, kind: str, from_ms: int, to_ms: int) -> Iterator[tuple[int, int, int]]:
    """``(instant, pin, level)`` of each change in ``[from_ms, to_ms)`` at a tag's strap, case, charger and battery.

    The levels at ``from_ms`` come first. Whoever closes the strap again is an officer, who also has to say so at the
    tag's console (`checked`).
    """
    contacts = {"strap": life.off_ankle, "case": life.case_open}
    if kind == "gps_tag":
        contacts["charger"] = charges(life)
    played = []
    for name, spans in contacts.items():
        now = bool(spans_hold(spans, np.array([from_ms]))[0])
        played.append((from_ms, _WIRING[name], int(now)))
        for span in spans:
            for at_ms, level in ((span.start_ms, 1), (span.end_ms, 0)):
                if from_ms < at_ms < to_ms:
                    played.append((at_ms, _WIRING[name], level))
    t_ms = np.append(from_ms, np.arange(from_ms // MINUTE_MS + 1, -(-to_ms // MINUTE_MS)) * MINUTE_MS)
    half_mv = (battery_mv(life, t_ms, kind) / 2).astype(int)
    changed = np.flatnonzero(np.diff(half_mv, prepend=-1))
    played += [(int(t_ms[i]), _WIRING["battery_adc"], int(half_mv[i])) for i in changed]
    return iter(sorted(played))


_START, _PCT, _PER_USE, _PER_MS, _LEAST, _COLUMNS = range(6)
"""A piece of a battery's time: from its start on a charge less so much of what is used, or more with each millisecond,
and never less than the least."""


def _use(life: Life) -> tuple[F64, F64]:
    """What a battery gives since the begin of the way, in per cent of a full one, at the ends of its legs."""
    way = life.way
    edges = np.append(way.start_ms, way.end_ms)
    lasts_ms = np.diff(edges)
    rests = (way.lat == way.to_lat) & (way.lon == way.to_lon)
    awake_ms = np.where(rests, np.minimum(lasts_ms, _REST_MS), lasts_ms)
    pct = (_MOVING_PCT_H * awake_ms + _RESTING_PCT_H * (lasts_ms - awake_ms)) / _HOUR_MS
    used = np.concatenate(([0.0], np.cumsum(pct)))
    # a way may end before the life, which goes on at rest
    end_ms = max(life.end_ms, way.end_ms) + 1
    return np.append(edges, end_ms).astype(np.float64), np.append(
        used, used[-1] + _RESTING_PCT_H * (end_ms - edges[-1]) / _HOUR_MS
    )


def _pieces(life: Life, used: tuple[F64, F64]) -> F64:
    """The battery from charge to charge, a row for each piece."""
    charging = np.array([*charges(life), (life.end_ms, life.end_ms)], np.int64)
    pieces: F64 = _charge_by_charge(
        life.start_ms, charging, np.array(life.flat, np.int64).reshape(-1, 2), *used
    )
    return pieces


@njit(**BORROWS)
def _between(t_ms: float, marks_ms: F64, values: F64) -> float:
    """As `numpy.interp`, at one instant."""
    at = np.searchsorted(marks_ms, t_ms, "right") - 1
    if at < 0:
        return float(values[0])
    if at + 1 >= len(values):
        return float(values[-1])
    slope = (values[at + 1] - values[at]) / (marks_ms[at + 1] - marks_ms[at])
    return float(slope * (t_ms - marks_ms[at]) + values[at])


@njit(cache=True)
def _charge_by_charge(start_ms: int, charging: I64, flat: I64, used_ms: F64, used_pct: F64) -> F64:
    pieces = np.zeros((2 * len(charging) + 2 * len(flat) + 1, _COLUMNS))
    n = 0
    now_ms, pct = start_ms, _FIRST_PCT
    for c in range(len(charging)):
        begin_ms, end_ms = charging[c]
        for f in range(len(flat)):
            if not now_ms <= flat[f, 0] < begin_ms:
                continue
            whole = _between(flat[f, 0], used_ms, used_pct) - _between(now_ms, used_ms, used_pct)
            pieces[n, _START], pieces[n, _PCT] = now_ms, pct
            pieces[n, _PER_USE] = pct / whole if whole > 0 else 0.0
            pieces[n + 1, _START] = flat[f, 0]
            n += 2
            now_ms, pct = flat[f, 0], 0.0
            if flat[f, 1] < begin_ms:
                now_ms, pct = flat[f, 1], _UNSEEN_PCT
        if pct > 0:
            least = min(pct, _LEAST_PCT)
            pieces[n, _START], pieces[n, _PCT], pieces[n, _PER_USE], pieces[n, _LEAST] = (
                now_ms,
                pct,
                1.0,
                least,
            )
            n += 1
            used = _between(begin_ms, used_ms, used_pct) - _between(now_ms, used_ms, used_pct)
            pct = max(pct - used, least)
        if end_ms > begin_ms:
            pieces[n, _START], pieces[n, _PCT], pieces[n, _PER_MS] = begin_ms, pct, _CHARGING_PCT_H / _HOUR_MS
            n += 1
            pct = min(100.0, pct + _CHARGING_PCT_H * (end_ms - begin_ms) / _HOUR_MS)
            now_ms = end_ms
    return pieces[:n]


@njit(cache=True)
def _charged(t_ms: I64, pieces: F64, used_ms: F64, used_pct: F64) -> F64:
    pct = np.empty(len(t_ms))
    of, used = -1, 0.0
    for i in range(len(t_ms)):
        at = 0
        while at + 1 < len(pieces) and pieces[at + 1, _START] <= t_ms[i]:
            at += 1
        if at != of:
            of, used = at, _between(pieces[at, _START], used_ms, used_pct)
        piece = pieces[at]
        use = _between(t_ms[i], used_ms, used_pct) - used
        charge = piece[_PCT] - piece[_PER_USE] * use + piece[_PER_MS] * (t_ms[i] - piece[_START])
        pct[i] = min(max(charge, piece[_LEAST]), 100.0)
    return pct
