"""What people do to their bodies and their tags: drink, clean their hands, charge, cut, cover."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from random import Random

from sim.civil import MINUTE_MS, Days
from sim.life import Body, Drink, Exposure, Span

_HOUR_MS = 60 * MINUTE_MS
UNIT_G = 8.0
"""Grams of ethanol in a UK unit."""


def body(rng: Random) -> Body:
    """A grown person's: weight and Widmark factor of men and women, elimination and skin as they vary."""
    woman = rng.random() < 0.2
    return Body(
        weight_kg=min(max(rng.gauss(71 if woman else 84, 14), 48.0), 140.0),
        widmark=min(max(rng.gauss(0.56 if woman else 0.68, 0.05), 0.45), 0.8),
        elimination_g_dl_h=min(max(rng.gauss(0.0165, 0.0035), 0.010), 0.030),
        lag_s=min(max(rng.gauss(4140, 900), 2000.0), 7200.0),
        skin_gain=min(max(rng.gauss(1.0, 0.12), 0.7), 1.35),
    )


def session(rng: Random, from_ms: int, units: float) -> list[Drink]:
    """One occasion: drinks one after the other, so many units in all."""
    drinks, t_ms = [], from_ms
    while units > 0.4:
        portion = min(units, rng.choice((1.0, 1.5, 2.3, 2.3, 2.8)))
        lasts = round(rng.uniform(12, 35) * MINUTE_MS)
        drinks.append(Drink(t_ms, t_ms + lasts, portion * UNIT_G))
        t_ms += lasts + round(rng.expovariate(1 / 6) * MINUTE_MS)
        units -= portion
    return drinks


def units_of(rng: Random, who: Body) -> float:
    """Units on one occasion: mostly plenty, one time in 16 a single drink or two."""
    scale = who.weight_kg * who.widmark / 55.0
    if rng.random() < 0.06:
        return rng.uniform(0.8, 1.8) * scale
    return min(4.8 + rng.expovariate(1 / 3.5), 20.0) * scale


def sanitiser(rng: Random, shifts: Iterable[tuple[int, int]]) -> list[Exposure]:
    """Hands cleaned on a ward, two or three times an hour: at the height of the chest, so the ankle has part of it."""
    found = []
    for start_ms, end_ms in shifts:
        t_ms = start_ms + round(rng.expovariate(1 / 12) * MINUTE_MS)
        while t_ms < end_ms:
            found.append(Exposure(t_ms, "sanitiser", round(rng.uniform(0.15, 1.0), 2)))
            t_ms += round((4 + rng.expovariate(1 / 22)) * MINUTE_MS)
    return found


def cleaning(rng: Random, shifts: Iterable[tuple[int, int]]) -> list[Exposure]:
    """Spirit cleaners: once every two or three hours; room after room on one shift in 40."""
    found = []
    for start_ms, end_ms in shifts:
        between = (20, 60) if rng.random() < 0.025 else (110, 200)
        t_ms = start_ms + round(rng.uniform(5, 100) * MINUTE_MS)
        while t_ms < end_ms:
            found.append(Exposure(t_ms, "cleaning", round(rng.uniform(0.3, 1.4), 2)))
            t_ms += round(rng.uniform(*between) * MINUTE_MS)
    return found


def perfume(rng: Random, days: Days, wake_min: float) -> list[Exposure]:
    """After the morning's wash, most days; now and then before the evening too."""
    found = []
    for day in range(days.count):
        if rng.random() < 0.8:
            found.append(
                Exposure(
                    days.at(day, wake_min + rng.uniform(10, 60)), "perfume", round(rng.uniform(0.3, 1.5), 2)
                )
            )
        if rng.random() < 0.2:
            found.append(
                Exposure(
                    days.at(day, wake_min + rng.uniform(650, 750)), "perfume", round(rng.uniform(0.3, 1.5), 2)
                )
            )
    return found


@dataclass(frozen=True, slots=True)
class Power:
    """The GPS tag's battery: when it was on the charger, and when it was empty."""

    charging: tuple[Span, ...]
    flat: tuple[Span, ...]


def power(
    rng: Random, start_ms: int, end_ms: int, at_home: Sequence[tuple[int, int]], forgets: float
) -> Power:
    """A battery of some 45 h, charged at home in a stay of half an hour and more, unless that is forgotten."""
    lasts_ms, full_ms = rng.uniform(40, 50) * _HOUR_MS, rng.uniform(100, 140) * MINUTE_MS
    left, now = lasts_ms * rng.uniform(0.45, 1.0), start_ms
    due = start_ms + round(rng.uniform(0, 12) * _HOUR_MS)
    charging, flat = [], []
    for home_ms, out_ms in at_home:
        begin = max(home_ms + round(rng.uniform(3, 50) * MINUTE_MS), due)
        while begin < min(out_ms - 30 * MINUTE_MS, end_ms):
            low = left - (begin - now) < 0.2 * lasts_ms  # then the tag vibrates, and fewer forget
            if rng.random() < forgets * (0.5 if low else 1.0):
                begin += round(rng.uniform(5, 11) * _HOUR_MS)
                continue
            left -= begin - now
            if left <= 0:
                flat.append(Span(begin + round(left), begin))
                left = 0.0
            wanted = (1 - left / lasts_ms) * rng.uniform(0.8, 1.1) * full_ms
            until = min(begin + max(round(min(wanted, full_ms)), 5 * MINUTE_MS), out_ms, end_ms)
            charging.append(Span(begin, until))
            left, now = min(left + (until - begin) / full_ms * lasts_ms, lasts_ms), until
            due = begin = until + round(rng.uniform(14, 24) * _HOUR_MS)
    if end_ms - now > left:
        flat.append(Span(now + round(left), end_ms))
    return Power(tuple(charging), within(flat, start_ms, end_ms))


def within(spans: Iterable[tuple[int, int]], start_ms: int, end_ms: int) -> tuple[Span, ...]:
    """Spans ascending, those that overlap or touch made one, cut to a stretch of time."""
    found: list[Span] = []
    for begin, end in sorted((max(begin, start_ms), min(end, end_ms)) for begin, end in spans):
        if begin >= end:
            continue
        if found and begin <= found[-1].end_ms:
            found[-1] = Span(found[-1].start_ms, max(end, found[-1].end_ms))
        else:
            found.append(Span(begin, end))
    return tuple(found)


def some_span(rng: Random, days: Days, from_h: float, to_h: float) -> Span:
    """A stretch of so many hours, at any waking time of the life."""
    day = rng.randrange(1, max(days.count - 1, 2))
    start = days.at(day, rng.uniform(8 * 60, 23 * 60))
    return Span(start, start + round(rng.uniform(from_h, to_h) * _HOUR_MS))
