"""The battery of a tag: how full it is, whether it is charged, and when it will be flat.

While a tag is off the charger, a straight line through all its readings since then (least squares) tells when it will
be flat; three readings over half an hour at least (``RuleSet.battery_trend_readings``, ``battery_trend_s``). A rise
that no charger explains begins a new line: the charger was not reported.

**A battery alert opens at 20 % and below, or when the line runs out within 3 h; at 10 % and below, or when it has run
out, it is critical. It ends on the charger, or at 25 % and above with more than 3 h left.**
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from core.activation import ALWAYS_MS
from core.episodes import NEVER_MS
from core.readings import F64, EventCode
from core.rules import RuleSet

FINE, LOW, FLAT_SOON, CRITICAL, FLAT = range(5)
"""How bad it is, worst last; FLAT is a matter of time alone."""

_BATTERY, _PERCENT = int(EventCode.BATTERY), int(EventCode.BATTERY_PERCENT)
_CHARGER_ON, _CHARGER_OFF = int(EventCode.CHARGER_ON), int(EventCode.CHARGER_OFF)
_ON_CHARGER, _OFF_CHARGER = int(EventCode.BATTERY_ON_CHARGER), int(EventCode.BATTERY_OFF_CHARGER)
_HOUR_MS = 3_600_000.0

DRAIN = np.dtype(
    [
        ("charging", np.int8),
        ("open", np.int8),
        ("stage", np.int8),  # the worst of the alert so far
        ("start_ms", np.int64),
        ("first_key", np.uint64),
        ("lowest_pct", np.float64),
        ("flat_ms", np.int64),  # where the line runs out; ALWAYS_MS: it does not, or there is none
        ("end_ms", np.int64),
        ("end_key", np.uint64),
        ("last_ms", np.int64),  # the last reading; NEVER_MS: none
        ("last_pct", np.float64),
        ("last_key", np.uint64),
        # sums of the line: hours since its first reading, and per cent
        ("count", np.int64),
        ("first_ms", np.int64),
        ("sum_h", np.float64),
        ("sum_hh", np.float64),
        ("sum_pct", np.float64),
        ("sum_h_pct", np.float64),
    ]
)


class DrainLimits(NamedTuple):
    """The thresholds that the kernel needs."""

    low_pct: float
    critical_pct: float
    recovered_pct: float
    rise_pct: float
    trend_ms: int
    trend_readings: int
    ahead_ms: int
    mv: F64
    pct: F64


def drain_limits(rules: RuleSet) -> DrainLimits:
    """Thresholds of ``rules`` for `drain`."""
    return DrainLimits(
        rules.battery_low_pct,
        rules.battery_critical_pct,
        rules.battery_recovered_pct,
        rules.battery_rise_pct,
        rules.battery_trend_s * 1000,
        rules.battery_trend_readings,
        rules.battery_flat_ahead_s * 1000,
        np.array(rules.battery_mv, np.float64),
        np.array(rules.battery_pct, np.float64),
    )


def nothing_drained() -> npt.NDArray[np.void]:
    """The state before the first reading, shape ``(1,)``, dtype `DRAIN`."""
    state = np.zeros(1, DRAIN)
    state["last_ms"] = NEVER_MS
    state["flat_ms"] = state["end_ms"] = ALWAYS_MS
    return state


@njit(cache=True)
def percent(millivolts: float, limits: DrainLimits) -> Any:
    """Charge (0 to 100 %) at a voltage, along the lines of ``RuleSet.battery_mv`` and ``battery_pct``."""
    mv, pct = limits.mv, limits.pct
    if millivolts <= mv[0]:
        return pct[0]
    for i in range(1, len(mv)):
        if millivolts <= mv[i]:
            return pct[i - 1] + (pct[i] - pct[i - 1]) * (millivolts - mv[i - 1]) / (mv[i] - mv[i - 1])
    return pct[-1]


@njit(cache=True)
def _no_line(state: Any) -> None:
    state["count"] = 0
    state["sum_h"] = state["sum_hh"] = state["sum_pct"] = state["sum_h_pct"] = 0.0
    state["flat_ms"] = ALWAYS_MS


@njit(cache=True)
def _draw_line(state: Any, t_ms: int, pct: float, limits: DrainLimits) -> None:
    """Add a reading to the line; sets when it runs out."""
    if state["count"] == 0:
        state["first_ms"] = t_ms
    hours = (t_ms - state["first_ms"]) / _HOUR_MS
    state["count"] += 1
    state["sum_h"] += hours
    state["sum_hh"] += hours * hours
    state["sum_pct"] += pct
    state["sum_h_pct"] += hours * pct
    state["flat_ms"] = ALWAYS_MS
    count = state["count"]
    if count < limits.trend_readings or t_ms - state["first_ms"] < limits.trend_ms:
        return
    spread = count * state["sum_hh"] - state["sum_h"] * state["sum_h"]
    slope = count * state["sum_h_pct"] - state["sum_h"] * state["sum_pct"]
    if spread > 0.0 and slope < 0.0:
        left_h = -pct * spread / slope
        if left_h < 10_000.0:
            state["flat_ms"] = t_ms + np.int64(left_h * 3600.0) * 1000


@njit(cache=True)
def _read(state: Any, t_ms: int, key: int, value: float, in_percent: bool, limits: DrainLimits) -> Any:
    """Carry a battery on through a reading of it, in per cent or millivolts; True if that ends an alert."""
    # a voltage of nothing is a sensor that does not answer
    if not (0.0 < value < np.inf or (value == 0.0 and in_percent)):
        return False
    pct = min(value, 100.0) if in_percent else percent(value, limits)
    if state["last_ms"] != NEVER_MS and pct > state["last_pct"] + limits.rise_pct:
        _no_line(state)
    state["last_ms"] = t_ms
    state["last_pct"] = pct
    state["last_key"] = key
    if state["charging"] == 1:
        return False
    _draw_line(state, t_ms, pct, limits)
    stage = FINE
    if pct <= limits.low_pct:
        stage = LOW
    if state["flat_ms"] - t_ms <= limits.ahead_ms:
        stage = FLAT_SOON
    if pct <= limits.critical_pct:
        stage = CRITICAL
    if state["open"] == 1:
        state["stage"] = max(state["stage"], stage)
        state["lowest_pct"] = min(state["lowest_pct"], pct)
        return stage == FINE and pct >= limits.recovered_pct
    if stage != FINE:
        state["open"] = 1
        state["stage"] = stage
        state["start_ms"] = t_ms
        state["first_key"] = key
        state["lowest_pct"] = pct
    return False


@njit(cache=True)
def drain(events: Any, lo: int, hi: int, state: Any, limits: DrainLimits, out: Any) -> Any:
    """Carry a battery on through events ``lo`` to ``hi``, ascending; how many alerts it left, ended, in ``out``.

    ``out`` (dtype `DRAIN`) has room for one more than there are events.
    """
    found = 0
    for i in range(lo, hi):
        code, t_ms, key = events[i]["code"], events[i]["t_ms"], events[i]["key"]
        over = False
        # a reading of the battery that tells of the charger is a change of the charger only where it says another
        if code == _CHARGER_ON or (code == _ON_CHARGER and state["charging"] == 0):
            state["charging"] = 1
            _no_line(state)
            over = True
        elif code == _CHARGER_OFF or (code == _OFF_CHARGER and state["charging"] == 1):
            state["charging"] = 0
            _no_line(state)
        if code in (_BATTERY, _PERCENT, _ON_CHARGER, _OFF_CHARGER):
            over = _read(state, t_ms, key, events[i]["value"], code == _PERCENT, limits) or over
        if over and state["open"] == 1:
            state["end_ms"] = t_ms
            state["end_key"] = key
            out[found] = state
            found += 1
            state["open"] = 0
            state["end_ms"] = ALWAYS_MS
            state["end_key"] = np.uint64(0)
    return found
