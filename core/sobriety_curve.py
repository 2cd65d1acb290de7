"""What a body can make of an alcohol curve: the highest curve under the readings that rises and falls as a body does.

Alcohol that was drunk comes through the skin slowly: it rises by no more than 0.05 g/dl an hour and falls by no more
than 0.025 (0.035 after a high peak). Alcohol that is spilt on the tag or hangs in the air comes and goes faster. So the
*body curve* is the highest curve that lies nowhere above a reading and keeps to these rates. **A reading no more than
0.010 g/dl above the body curve is one that a body can have made; one further above it had help from outside.**

The curve is favourable to the wearer: a low reading pulls it down for hours on both sides of it.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from numba import njit

from core.rules import RuleSet

MICRO = 1_000_000
"""Levels are whole µg/dl, so that 0.030 is 0.020 above 0.010 to the last digit."""
SCALE = 3_600_000
"""And are multiplied by the ms of an hour, so that a rate (µg/dl an hour) times ms stands beside them: no rounding."""


class Rates(NamedTuple):
    """How a body curve may run (µg/dl an hour), what must be seen of it (scaled µg/dl, readings, ms)."""

    rise: int
    fall: int
    fall_high: int
    high: int
    scatter: int
    change: int
    readings: int
    span_ms: int


def scaled(g_dl: float) -> int:
    """A level in g/dl as the curves have it."""
    return round(g_dl * MICRO) * SCALE


def rates(rules: RuleSet) -> Rates:
    """Thresholds of ``rules`` for kernels."""
    return Rates(
        round(rules.tac_rise_g_dl_h * MICRO),
        round(rules.tac_fall_g_dl_h * MICRO),
        round(rules.tac_fall_high_g_dl_h * MICRO),
        scaled(rules.tac_high_g_dl),
        scaled(rules.tac_scatter_g_dl),
        scaled(rules.tac_level_g_dl),
        rules.tac_readings,
        rules.tac_span_s * 1000,
    )


@njit(cache=True)
def body_curve(t_ms: Any, tac: Any, n: int, rate: Rates, body: Any) -> int:
    """Fill ``body[:n]`` for readings ``tac[:n]`` (both scaled) at ascending ``t_ms[:n]``; returns its peak.

    Where the faster fall leaves a peak below ``rate.high`` the slower one is the limit.
    """
    peak = _fit(t_ms, tac, n, rate.rise, rate.fall_high, body)
    if peak < rate.high:
        peak = _fit(t_ms, tac, n, rate.rise, rate.fall, body)
    return peak


@njit(cache=True)
def _fit(t_ms: Any, tac: Any, n: int, rise: int, fall: int, body: Any) -> int:
    for i in range(n):
        body[i] = tac[i]
        if i:
            body[i] = min(body[i], body[i - 1] + rise * (t_ms[i] - t_ms[i - 1]))
    peak = 0
    for i in range(n - 1, -1, -1):
        if i < n - 1:
            body[i] = min(body[i], body[i + 1] + fall * (t_ms[i + 1] - t_ms[i]))
        peak = max(peak, body[i])
    return peak


@njit(cache=True)
def drunk(t_ms: Any, tac: Any, n: int, level: int, rate: Rates, body: Any) -> Any:
    """Do the readings that a body can have made show drinking by themselves? ``(confirmed, beyond, peak)``.

    They do when they show all of: three consecutive readings at or above ``level``; a rise of ``rate.change``; and
    after the highest of them a steady fall of three consecutive readings to ``rate.change`` below it. ``beyond`` counts
    the readings at or above ``level`` that no body can have made; ``peak`` is that of the body curve (scaled).
    """
    peak = body_curve(t_ms, tac, n, rate, body)
    beyond = 0
    steady = rose = fell = False
    steady_n = fall_n = 0
    steady_ms = fall_ms = t_ms[0]
    lowest = highest = fall_low = 0
    seen = False
    for i in range(n):
        high = tac[i] >= level
        if tac[i] - body[i] > rate.scatter:
            beyond += high
            steady_n = fall_n = 0
            continue
        if not seen:
            lowest = highest = tac[i]
            seen = True
        if high:
            if steady_n == 0:
                steady_ms = t_ms[i]
            steady_n += 1
            steady = steady or (steady_n >= rate.readings and t_ms[i] - steady_ms >= rate.span_ms)
        else:
            steady_n = 0
        lowest = min(lowest, tac[i])
        rose = rose or tac[i] - lowest >= rate.change
        # a fall begins anew at a new maximum, or where the readings rise by more than they scatter
        if tac[i] > highest or fall_n == 0 or tac[i] > fall_low + rate.scatter:
            highest = max(highest, tac[i])
            fall_n, fall_ms, fall_low = 0, t_ms[i], tac[i]
        fall_n += 1
        fall_low = min(fall_low, tac[i])
        fell = fell or (
            rose
            and fall_n >= rate.readings
            and t_ms[i] - fall_ms >= rate.span_ms
            and highest - tac[i] >= rate.change
        )
    return steady and rose and fell, beyond, peak
