"""The people of the town: each a whole `Life`, a function of seed and number alone.

Who they are stands in docs/town.md, with figures. `sim.households` says where they live, `sim.terms` what their orders
ask, `sim.routine` and `sim.lapses` what they do, `sim.leave` when they may be away, `sim.mishaps` what happens to
them and their tags; `sim.rounds` makes the way of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from random import Random
from typing import Any

import numpy as np

from core.readings import F64
from sim import habits, mishaps
from sim.civil import MINUTE_MS, Days, days_of
from sim.households import Lodging, household, lodging
from sim.lapses import lapses
from sim.leave import evening, holiday
from sim.life import Exposure, Life
from sim.mishaps import Wearer
from sim.people_orders import document
from sim.rounds import Walker
from sim.routine import Means, Week, duties, haunts, periods, pleasures
from sim.terms import Terms, terms_of, workplace
from sim.town import Spot, Town
from sim.traits import spread
from sim.way import Bool, Surroundings

_HOUR_MS = 60 * MINUTE_MS
_FIRST = (
    "Adam Aisha Alan Alex Amy Anita Ben Beth Callum Carys Chloe Craig Dafydd Dan Dawn Dean Elin Emma Ethan Farah Gareth"
    " Gemma Hana Harry Ian Imran Jade Jamie Jodie Karl Kelly Lee Liam Lisa Marek Megan Nia Omar Paul Priya Rhys Rob"
    " Sam Sian Steve Tara Tom Wayne Yusuf Zoe"
)
_LAST = (
    "Abbott Bevan Birch Bowler Brook Carver Cross Dale Dyer Ellis Fenn Field Frost Gill Hale Heath Hobbs Hurst Ivory"
    " Jarvis Keane Lamb Lowe Marsh Mercer Moss Nash Nolan Orme Parry Peel Pike Quill Rowe Sharp Shaw Slater"
    " Stone Tanner Thorne Upton Vale Voss Wade Walsh West Wilde Wynn Yates York"
)


_SLEEP = {"night": (540.0, 960.0), "early": (1260.0, 290.0)}
"""Bed and waking of those whose work asks for it, minutes after midnight."""


def population(town: Town, seed: int, count: int, start_ms: int, days: int) -> Iterator[Life]:
    """People 0 to ``count - 1``, one after the other."""
    return (person(town, seed, number, start_ms, days) for number in range(count))


def person(town: Town, seed: int, number: int, start_ms: int, days: int) -> Life:
    """Person ``number`` of ``seed``, for ``days`` times 24 hours from ``start_ms`` (UTC ms)."""
    when = days_of(start_ms, days)
    rng = Random(f"{seed}/{number}/life")
    lives = lodging(town, seed, number)
    terms, job_kind = terms_of(town, seed, number, lives)
    job = workplace(town, seed, number, job_kind, terms)
    means = Means(spread(seed, number, "car") < 0.35, rng.random() < 0.2)
    sleep = _SLEEP.get(job_kind) or (rng.uniform(1310, 1440), rng.uniform(370, 510))
    away = holiday(town, seed, number, rng, when, terms)
    bases = _bases(rng, when, terms, lives, spread(seed, number, "basement") < 0.01)
    if away is not None:
        bases = [*bases, (away.span.start_ms, away.place), (away.span.end_ms, bases[0][1])]
    rooms = household(
        rng, lives.home, sleep, garden=spread(seed, number, "smoker") < 0.4, home_unit=terms.home_unit
    )
    samples, avoid = _forbidden(town, terms)
    pace = min(max(rng.gauss(1.0, 0.1), 0.8), 1.3)
    walker = Walker(town, rng, bases, rooms, avoid, pace, when.midnight[0], means.to)
    week = Week(town, when, walker, rng, None if away is None else away.span)
    week.keep_in(p for _, period in terms.curfew for p in periods(when, period))
    agreed = evening(seed, number, rng, week, terms, when)
    skipped = lapses(week, terms, seed, number, rng, samples, agreed[0] if agreed else None)
    shifts = duties(week, terms, job, rng, skipped)
    favourites, evenings = haunts(town, rng, lives.home, terms)
    pleasures(week, terms, rng, favourites, evenings, spread(seed, number, "children") < 0.2)
    begin = when.midnight[0] + 4 * _HOUR_MS
    walker.begin(begin)
    walker.follow([outing for outing in week.outings() if outing.go_ms > begin], when.end_ms + _HOUR_MS)
    name = f"p{number:05d}"
    order = document(name, f"{rng.choice(_FIRST.split())} {rng.choice(_LAST.split())}", terms, when, rng)
    discounts = ([agreed[1]] if agreed else []) + ([away.discount()] if away and terms.curfew else [])
    if discounts:
        order["discounts"] = discounts
    wearer = Wearer(seed, number, when, terms, Random(f"{seed}/{number}/mishaps"))
    return _life(
        name, wearer, walker, order, mishaps.exposures(wearer, shifts, job.exposure if job else "", sleep[1])
    )


def _forbidden(town: Town, terms: Terms) -> tuple[tuple[F64, F64, F64] | None, Bool | None]:
    """Places of streets with how deep in the exclusion zone they are, and the streets that are kept off."""
    if terms.exclusion is None and terms.restriction is None:
        return None, None
    streets = town.streets
    n = len(streets.x)
    middle_x = (streets.x[streets.start] + streets.x[streets.end]) / 2
    middle_y = (streets.y[streets.start] + streets.y[streets.end]) / 2
    x, y = np.concatenate([streets.x, middle_x]), np.concatenate([streets.y, middle_y])
    avoid = np.zeros(len(streets.start), np.bool_)
    samples = None
    for area, sign in ((terms.exclusion, 1.0), (terms.restriction, -1.0)):
        if area is not None:
            depth = area.depth(x, y)
            near = depth * sign > -12.0
            avoid |= near[n:] | near[streets.start] | near[streets.end]
            if sign > 0:
                samples = (x, y, depth)
    return samples, avoid


def _bases(rng: Random, when: Days, terms: Terms, lives: Lodging, basement: bool) -> list[tuple[int, Spot]]:
    """Where home is from when on."""
    home = lives.home
    if lives.sleeps:
        nights = [when.at(day, rng.uniform(1140, 1380)) for day in range(when.count)]
        return [(0, lives.sleeps[0]), *((night, rng.choice(lives.sleeps)) for night in nights)]
    if basement and home.kind == "home":
        home = replace(home, about=Surroundings.DEEP)
    if len(terms.homes) < 2:
        return [(0, home)]
    bases = [(0, terms.homes[1] if when.weekday[0] == 6 else home)]
    for day in range(when.count):
        if when.weekday[day] == 5:
            bases.append((when.at(day, rng.uniform(840, 1000)), terms.homes[1]))
        elif when.weekday[day] == 0:
            # home again before Monday's curfew, with the whole day for the way
            bases.append((when.at(day, rng.uniform(700, 900)), home))
    return bases


def _life(
    name: str, who: Wearer, walker: Walker, order: dict[str, Any], exposures: tuple[Exposure, ...]
) -> Life:
    """The way that was walked, and everything else that happened."""
    start, end = who.when.start_ms, who.when.end_ms
    gps, rng = "gps_tag" in who.terms.wears, who.rng
    body = habits.body(rng)
    drunk = mishaps.drinks(who, body)
    power = habits.Power((), ())
    at_home = [stay for stay in walker.home_stays if stay[1] > start]
    if gps:
        power = habits.power(rng, start, end, at_home, 0.5 if who.one_in("forgets", 0.1) else 0.04)
    return Life(
        name=name,
        seed=int.from_bytes(Random(f"{who.seed}/{who.number}/sensors").randbytes(6), "big"),
        start_ms=start,
        end_ms=end,
        way=walker.way(start, end),
        order=order,
        wears=who.terms.wears,
        units=mishaps.units(who),
        body=body,
        drinks=drunk,
        exposures=exposures,
        off_ankle=mishaps.cuts(who, at_home),
        case_open=who.spans("case", 0.02, 0.3, 6),
        covered_sensor=mishaps.covered(who, drunk),
        flat=power.flat,
        charging=power.charging,
        offline=who.spans("outage", 0.04, 0.3, 8),
        jammed=who.spans("jammed", 0.02, 0.3, 3) if gps else (),
        forged=mishaps.forged(who, walker.base(start)) if gps else (),
        overconfident=who.spans("overconfident", 0.01, 0.05, 0.7) if gps else (),
        strata=who.terms.strata,
    )
