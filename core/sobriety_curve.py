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
    join_ms: int


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
        rules.tac_join_s * 1000,
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
def drunk(t_ms: Any, tac: Any, first: int, n: int, level: int, sure: int, rate: Rates, body: Any) -> Any:
    """Do the readings that a body can have made show drinking by themselves? ``(confirmed, beyond, peak)``.

    They do when they show all of: three consecutive ones at or above ``sure``; a rise of ``rate.change`` through
    readings none more than ``rate.join_ms`` after the one before; and later a steady fall of ``rate.change`` through
    three consecutive ones. Both rise and fall must be seen, not bridged: what stands there after a leap that no body
    makes is no rise. ``beyond`` counts the readings at or above ``level`` that no body can have made; ``peak`` is that
    of the body curve (scaled). The event begins at reading ``first`` of ``n``; those before only show its rise.
    """
    peak = body_curve(t_ms, tac, n, rate, body)
    beyond = 0
    steady = rose = fell = seen = False
    steady_n = fall_n = 0
    steady_ms = fall_ms = seen_ms = t_ms[0]
    rise_low = fall_low = fall_high = 0
    for i in range(n):
        t, value, high = t_ms[i], tac[i], i >= first and tac[i] >= level
        if value - body[i] > rate.scatter:
            beyond += high
            steady_n = fall_n = 0
            continue
        if i >= first and value >= sure:
            if steady_n == 0:
                steady_ms = t
            steady_n += 1
            steady = steady or (steady_n >= rate.readings and t - steady_ms >= rate.span_ms)
        else:
            steady_n = 0
        rise_low = min(rise_low, value) if seen and t - seen_ms <= rate.join_ms else value
        seen, seen_ms = True, t
        rose = rose or value - rise_low >= rate.change
        # a fall begins anew where the readings rise to a new height, or by more than they scatter
        if fall_n == 0 or value > fall_high or value > fall_low + rate.scatter:
            fall_n, fall_ms, fall_low, fall_high = 0, t, value, value
        fall_n += 1
        fall_low = min(fall_low, value)
        far = fall_n >= rate.readings and t - fall_ms >= rate.span_ms
        fell = fell or (rose and far and fall_high - value >= rate.change)
    return steady and rose and fell, beyond, peak
