"""Where people do not do what their order asks: into zones, out of homes, away from duties; in every way there is."""

from __future__ import annotations

import math
from random import Random
from typing import NamedTuple

import numpy as np

from core.readings import F64
from sim.areas import Area
from sim.civil import MINUTE_MS
from sim.life import Span
from sim.routine import Week, periods
from sim.terms import Duty, Terms, allowed
from sim.town import Spot, Town
from sim.traits import spread

_HOUR_MS = 60 * MINUTE_MS


class Rates(NamedTuple):
    """How many a week and wearer, among those whom a condition binds."""

    exclusion_visits: float = 0.76
    curfew_absences: float = 0.55
    inclusion_absences: float = 0.95
    restriction_absences: float = 0.45
    attendance_missed: float = 0.15


RATES = Rates()
UNRULY = 0.42
"""The share of people who break anything on purpose."""


def how_many(seed: int, number: int, name: str, week: int, rate: float) -> int:
    """How often in one week: ``rate`` on average over people, but never for those who keep to everything.

    `_UNRULY` of all people do what is forbidden, whatever it is; with them the numbers are as if by chance (Poisson's),
    yet spread evenly (`spread`), so that a population's sums hardly vary.
    """
    if spread(seed, number, "unruly") >= UNRULY:
        return 0
    mean = rate / UNRULY
    at, count, share = spread(seed, number, name, week), 0, math.exp(-mean)
    while at >= share and count < 6:
        at -= share
        count += 1
        share *= mean / count
    return count


def into_the_zone(week: Week, terms: Terms, samples: tuple[F64, F64, F64], rng: Random, day: int) -> bool:
    """A visit to the exclusion zone on one day. ``samples``: places of streets, and how deep in the zone they are."""
    area, days = terms.exclusion, week.days
    assert area is not None
    x, y, depth = samples
    deep = np.flatnonzero(depth > 45)
    if len(deep):
        at = int(deep[rng.randrange(len(deep))])
        spot = week.town.spot("visit", "in the zone", float(x[at]) + 6, float(y[at]) + 6)
    else:
        spot = _inmost(week.town, area)
    first, last = (
        (540, 1290)
        if terms.exclusion_times is None
        else (terms.exclusion_times.start, terms.exclusion_times.end)
    )
    kind = rng.random()
    for _ in range(12):
        start = days.at(day, rng.uniform(first + 10, last - 40))
        if kind < 0.55:
            stay = rng.uniform(4, 110)
        elif kind < 0.78:
            stay = rng.uniform(6, 25)
        else:
            stay = rng.uniform(0.3, 2.0)  # there and back: only the way lies in the zone
        end = start + round(stay * MINUTE_MS)
        way = week.way_ms(spot, start, direct=True)
        if not week.home_hours(start - way - 5 * MINUTE_MS, end + way + 8 * MINUTE_MS) and week.add(
            spot, start, end, 3, direct=True, roams=0.55 <= kind < 0.78
        ):
            return True
    return False


def _inmost(town: Town, area: Area) -> Spot:
    points = np.array([point for line in area.lines[:1] for point in line])
    x, y = points.mean(axis=0)
    return town.spot("visit", "in the zone", float(x), float(y))


def out_of_curfew(
    week: Week, terms: Terms, rng: Random, night: tuple[int, int], friend: Spot, corner: Spot
) -> bool:
    """One night's curfew not kept: late, left early, out during (a few minutes or hours), missed altogether."""
    start, end = night
    kind, length = rng.random(), end - start
    place = rng.choice((friend, *week.town.of("pub")[:4]))
    if terms.exclusion is not None and terms.exclusion.depth_at(place.x, place.y) > -25:
        place = friend
    way = week.way_ms(place, start)
    if kind < 0.30:  # late home
        late = _away_ms(rng, length)
        return week.add(
            place,
            start - round(rng.uniform(15, 90) * MINUTE_MS),
            max(start + late - way, start - 14 * MINUTE_MS),
            3,
            curfew_too=True,
        )
    if kind < 0.48:  # left early
        early = _away_ms(rng, length)
        return week.add(
            place, end - early + way, end + round(rng.uniform(10, 90) * MINUTE_MS), 3, curfew_too=True
        )
    if kind < 0.60:  # the whole night
        return week.add(
            place,
            start - round(rng.uniform(10, 120) * MINUTE_MS),
            end + round(rng.uniform(5, 60) * MINUTE_MS),
            3,
            curfew_too=True,
        )
    if kind < 0.82:  # a few minutes: the bins, a cigarette at the corner, the shop
        begin = start + round(rng.uniform(0.02, 0.9) * length)
        return week.add(corner, begin, begin + round(rng.uniform(0.1, 2.5) * MINUTE_MS), 3, curfew_too=True)
    away = rng.uniform(12 * MINUTE_MS, min(length * 0.5, 4 * _HOUR_MS))
    begin = start + round(rng.uniform(0.03, 0.45) * length)
    return week.add(place, begin + way, begin + way + round(away), 3, curfew_too=True)


def _away_ms(rng: Random, length: int) -> int:
    shape = rng.random()
    minutes = (
        rng.uniform(2, 5) if shape < 0.15 else rng.uniform(6, 30) if shape < 0.5 else rng.uniform(30, 240)
    )
    return round(min(minutes * MINUTE_MS, length * 0.8))


def off_duty(week: Week, duty: Duty, start: int, end: int, rng: Random) -> None:
    """A duty not kept: never there, late, gone early, or out in the middle of it."""
    kind, length = rng.random(), end - start
    before, after = (round(rng.uniform(4, 20) * MINUTE_MS) for _ in range(2))
    part = round(rng.uniform(0.15, 0.6) * length)
    if kind < 0.3:
        return
    if kind < 0.6:
        week.add(duty.spot, start + part, end + after, 2)
    elif kind < 0.8:
        week.add(duty.spot, start - before, end - part, 2)
    else:
        away = max(part // 2, 6 * MINUTE_MS)
        week.add(duty.spot, start - before, start + part // 2, 2)
        week.add(duty.spot, start + part // 2 + away + 2 * week.way_ms(duty.spot, start), end + after, 2)


def out_of_the_area(week: Week, terms: Terms, rng: Random, day: int) -> bool:
    """Beyond an area not to be left, for some time."""
    area = terms.restriction
    assert area is not None
    for _ in range(12):
        place = rng.choice(week.town.places)
        if -3500 < area.depth_at(place.x, place.y) < -80 and (
            terms.exclusion is None or terms.exclusion.depth_at(place.x, place.y) < -25
        ):
            start = week.days.at(day, rng.uniform(540, 1230))
            if week.add(place, start, start + round(rng.uniform(8, 200) * MINUTE_MS), 3, direct=True):
                return True
    return False


def corner_of(town: Town, rng: Random, home: Spot) -> Spot:
    """A hundred metres down the street."""
    turn = rng.uniform(0, 2 * math.pi)
    far = rng.uniform(90, 150)
    return town.spot("corner", "the corner", home.x + far * math.cos(turn), home.y + far * math.sin(turn))


def lapses(
    week: Week,
    terms: Terms,
    seed: int,
    number: int,
    rng: Random,
    samples: tuple[F64, F64, F64] | None,
    excused: Span | None,
) -> set[tuple[str, int]]:
    """All of a life; returns (condition, instant) of the duties that are not kept, which are then no more planned."""
    days, skipped = week.days, set[tuple[str, int]]()
    friend = next(
        (
            o
            for o in (week.town.house(rng.randrange(len(week.town.house_x))) for _ in range(20))
            if _may(o, terms)
        ),
        week.town.first("pub"),
    )
    corner = corner_of(week.town, rng, week.walker.base(days.start_ms))
    for turn, in_week in enumerate(days.weeks):
        share = len(in_week) / 7

        def count(name: str, rate: float, turn: int = turn, share: float = share) -> int:
            return how_many(seed, number, name, turn, rate * share)

        for name, duty, rate in (
            ("be-there", terms.inclusion, RATES.inclusion_absences),
            ("appointment", terms.attendance, RATES.attendance_missed),
        ):
            if duty is not None:
                due = [
                    p
                    for p in periods(days, duty.times)
                    if days.at(in_week[0], 0) <= p[0] < days.at(in_week[-1], 1440)
                ]
                trait = "inclusion_absences" if name == "be-there" else "attendance_missed"
                for start, end in rng.sample(due, min(count(trait, rate), len(due))):
                    skipped.add((name, start))
                    off_duty(week, duty, start, end, rng)
        if terms.curfew:
            nights = [p for p in week.kept_in if days.at(in_week[0], 0) <= p[0] < days.at(in_week[-1], 1440)]
            if excused is not None:
                nights = [p for p in nights if p[1] < excused.start_ms or p[0] > excused.end_ms]
            wanted = min(count("curfew_absences", RATES.curfew_absences), len(nights))
            for night in rng.sample(nights, wanted):
                out_of_curfew(week, terms, rng, night, friend, corner)
        if terms.exclusion is not None and samples is not None:
            wanted = count("exclusion_visits", RATES.exclusion_visits)
            on = [
                d
                for d in in_week
                if terms.exclusion_times is None or days.weekday[d] in terms.exclusion_times.days
            ]
            for day in rng.sample(on, min(wanted, len(on))):
                into_the_zone(week, terms, samples, rng, day)
        if terms.restriction is not None:
            for day in rng.sample(
                in_week, min(count("restriction_absences", RATES.restriction_absences), len(in_week))
            ):
                out_of_the_area(week, terms, rng, day)
    return skipped


def _may(spot: Spot, terms: Terms) -> bool:
    """Whether a friend may live there: not beyond the hills, but for those who live there themselves."""
    return allowed(spot, terms) and (abs(spot.x) < 5000 or terms.homes[0].x < -9000)
