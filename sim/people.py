"""The people of the town: each a whole `Life`, a function of seed and number alone.

Who they are stands in docs/town.md, with figures. `sim.households` says where they live, `sim.terms` what their orders
ask, `sim.routine` and `sim.lapses` what they do, `sim.habits` what they do to their tags; `sim.rounds` makes the way
of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import Any

import numpy as np

from core.readings import F64
from sim import habits
from sim.civil import MINUTE_MS, Days, days_of
from sim.households import Lodging, household, lodging
from sim.lapses import how_many, lapses
from sim.life import Body, Drink, Exposure, Forgery, Life, Span, Unit
from sim.people_orders import instant_text
from sim.rounds import Walker
from sim.routine import Means, Week, duties, haunts, periods, pleasures
from sim.terms import Terms, document, terms_of, workplace
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
_DRINKING = 0.235
"""Occasions a week of those who are to abstain: with two on some days, 97 of 100 days are sober."""
_LIMITED = 2.2
"""Occasions a week of those who may drink a little."""
_CUTS = 0.24


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
    pace = min(max(rng.gauss(1.0, 0.1), 0.8), 1.3)
    means = Means(spread(seed, number, "car") < 0.35, rng.random() < 0.2)
    sleep = (
        (540.0, 960.0)
        if job_kind == "night"
        else (1260.0, 290.0)
        if job_kind == "early"
        else (rng.uniform(1310, 1440), rng.uniform(370, 510))
    )
    basement = spread(seed, number, "basement") < 0.01 and lives.home.kind == "home"
    samples, avoid = _forbidden(town, terms)
    bases = _bases(rng, when, terms, lives, basement)
    walker = Walker(
        town,
        rng,
        bases,
        household(rng, lives.home, sleep, garden=spread(seed, number, "smoker") < 0.4),
        avoid,
        pace,
        when.midnight[0],
        means.to,
    )
    week = Week(town, when, walker, rng)
    week.kept_in = sorted(p for _, period in terms.curfew for p in periods(when, period))
    excuse, discounts = _absence(seed, number, rng, week, terms, when)
    skipped = lapses(week, terms, seed, number, rng, samples, excuse)
    shifts = duties(week, terms, job, rng, skipped)
    favourites, evenings = haunts(town, rng, lives.home, terms)
    pleasures(week, terms, rng, favourites, evenings, spread(seed, number, "children") < 0.2)
    begin = when.midnight[0] + 4 * _HOUR_MS
    outings = [outing for outing in week.outings() if outing.go_ms > begin]
    walker.begin(begin)
    walker.follow(outings, when.end_ms + _HOUR_MS)
    name = f"p{number:05d}"
    order = document(name, f"{rng.choice(_FIRST.split())} {rng.choice(_LAST.split())}", terms, when, rng)
    if discounts:
        order["discounts"] = discounts
    return _life(
        seed,
        number,
        name,
        when,
        walker,
        terms,
        order,
        shifts if job else [],
        job.exposure if job else "",
        sleep[1],
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
    if basement:
        home = Spot(
            home.kind,
            home.name,
            home.x,
            home.y,
            home.edge,
            home.node,
            home.foot_x,
            home.foot_y,
            Surroundings.DEEP,
        )
    if len(terms.homes) < 2:
        return [(0, home)]
    bases = [(0, home)]
    for day in range(when.count):
        if when.weekday[day] == 5:
            bases.append((when.at(day, rng.uniform(840, 1000)), terms.homes[1]))
        elif when.weekday[day] == 0:
            # home again before Monday's curfew, with the whole day for the way
            bases.append((when.at(day, rng.uniform(700, 900)), home))
    return bases


def _absence(
    seed: int, number: int, rng: Random, week: Week, terms: Terms, when: Days
) -> tuple[Span | None, list[dict[str, Any]]]:
    """An evening agreed with probation, or a night in hospital excused afterwards."""
    chance = spread(seed, number, "discount")
    if not terms.curfew or chance > 0.06:
        return None, []
    nights = [night for night in week.kept_in if when.start_ms <= night[0] < when.end_ms]
    if not nights:
        return None, []
    start, end = rng.choice(nights)
    if chance < 0.045:
        kind, reason = (
            "authorised_absence",
            rng.choice(("a funeral", "a shift agreed with the employer", "a family birth")),
        )
        place, until = (
            rng.choice(week.town.of("church", "hospital", "pub")),
            start + round(rng.uniform(1.5, 4) * _HOUR_MS),
        )
    else:
        kind, reason = "reasonable_excuse", "taken to hospital"
        place, until = week.town.first("hospital"), min(start + round(rng.uniform(3, 9) * _HOUR_MS), end)
    if terms.exclusion is not None and terms.exclusion.depth_at(place.x, place.y) > -25:
        return None, []
    leaves = start - round(rng.uniform(5, 60) * MINUTE_MS)
    if not week.add(place, leaves, until, 3, curfew_too=True):
        return None, []
    way = week.way_ms(place, start)
    span = Span(leaves - way - 10 * MINUTE_MS, until + way + 25 * MINUTE_MS)
    told = {
        "from": instant_text(span.start_ms),
        "to": instant_text(span.end_ms),
        "kind": kind,
        "reason": reason,
    }
    return span, [{**told, "condition": "curfew"}]


def _life(
    seed: int,
    number: int,
    name: str,
    when: Days,
    walker: Walker,
    terms: Terms,
    order: dict[str, Any],
    shifts: list[tuple[int, int]],
    exposure: str,
    wake_min: float,
) -> Life:
    """Everything that is not walking: what happens to body, tags and home unit."""
    start, end = when.start_ms, when.end_ms
    rng = Random(f"{seed}/{number}/habits")

    def one_in(trait: str, share: float) -> bool:
        return spread(seed, number, trait) < share

    who = habits.body(rng)
    at_home = [stay for stay in walker.home_stays if stay[1] > start]
    gps, alcohol = "gps_tag" in terms.wears, bool(terms.alcohol)
    power = (
        habits.power(rng, start, end, at_home, 0.5 if one_in("forgets", 0.1) else 0.04)
        if gps
        else habits.Power((), ())
    )
    return Life(
        name=name,
        seed=int.from_bytes(Random(f"{seed}/{number}/sensors").randbytes(6), "big"),
        start_ms=start,
        end_ms=end,
        way=walker.way(start, end),
        order=order,
        wears=terms.wears,
        units=_units(rng, when, terms, one_in("unit_trouble", 0.05)) if terms.home_unit else (),
        body=who,
        drinks=_drinks(seed, number, rng, when, terms, who) if alcohol else (),
        exposures=_exposures(rng, when, shifts, exposure, wake_min, one_in("perfume", 0.12))
        if alcohol
        else (),
        off_ankle=_cuts(seed, number, rng, when),
        case_open=habits.within(
            [habits.some_span(rng, when, 0.3, 6)] if one_in("case", 0.02) else [], start, end
        ),
        covered_sensor=habits.within(
            [habits.some_span(rng, when, 1, 9)] if alcohol and one_in("foil", 0.05) else [], start, end
        ),
        flat=power.flat,
        charging=power.charging,
        offline=habits.within(
            [habits.some_span(rng, when, 0.3, 8)] if one_in("outage", 0.04) else [], start, end
        ),
        jammed=habits.within(
            [habits.some_span(rng, when, 0.3, 3)] if gps and one_in("jammed", 0.015) else [], start, end
        ),
        forged=_forged(rng, when, walker) if gps and one_in("forged", 0.006) else (),
        overconfident=habits.within(
            [habits.some_span(rng, when, 0.05, 0.7) for _ in range(2)]
            if gps and one_in("overconfident", 0.02)
            else [],
            start,
            end,
        ),
        strata=terms.strata,
    )


def _drinks(seed: int, number: int, rng: Random, when: Days, terms: Terms, who: Body) -> tuple[Drink, ...]:
    """Occasions spread evenly over the people of a week; those who may drink a little do so more often, and less."""
    limited = terms.alcohol == "limit"
    drinks: list[Drink] = []
    for turn, in_week in enumerate(when.weeks):
        rate = (_LIMITED if limited else _DRINKING) * len(in_week) / 7
        wanted = (
            how_many(seed, number, "drinking", turn, rate)
            if not limited
            else round(rate * rng.uniform(0.3, 1.7))
        )
        # evenings of the weekend are likelier
        order = sorted(in_week, key=lambda day: rng.random() * (0.55 if when.weekday[day] in (4, 5) else 1.0))
        for day in order[:wanted]:
            units = rng.uniform(0.7, 2.6) if limited and rng.random() < 0.85 else habits.units_of(rng, who)
            minute = rng.gauss(1190, 90) if rng.random() < 0.8 else rng.uniform(720, 1000)
            drinks += habits.session(rng, when.at(day, min(max(minute, 660), 1390)), units)
            if not limited and minute > 1140 and rng.random() < 0.12:
                drinks += habits.session(rng, when.at(day, rng.uniform(690, 780)), rng.uniform(4, 6))
    drinks.sort()
    sober: list[Drink] = []
    for drink in drinks:
        if (
            drink.start_ms >= when.start_ms
            and drink.end_ms <= when.end_ms
            and (not sober or sober[-1].end_ms <= drink.start_ms)
        ):
            sober.append(drink)
    return tuple(sober)


def _exposures(
    rng: Random, when: Days, shifts: list[tuple[int, int]], exposure: str, wake_min: float, perfumed: bool
) -> tuple[Exposure, ...]:
    found: list[Exposure] = []
    if exposure == "sanitiser":
        found += habits.sanitiser(rng, shifts)
    elif exposure == "cleaning":
        found += habits.cleaning(rng, shifts)
    if perfumed:
        found += habits.perfume(rng, when, wake_min)
    return tuple(sorted(e for e in found if when.start_ms <= e.at_ms < when.end_ms))


def _cuts(seed: int, number: int, rng: Random, when: Days) -> tuple[Span, ...]:
    """Straps cut, until an officer comes."""
    spans = []
    for turn, in_week in enumerate(when.weeks):
        for day in rng.sample(in_week, how_many(seed, number, "cuts", turn, _CUTS * len(in_week) / 7)):
            start = when.at(day, rng.triangular(420, 1430, 1150))
            spans.append((start, start + round(min(0.7 + rng.expovariate(1 / 4.5), 30) * _HOUR_MS)))
    return habits.within(spans, when.start_ms, when.end_ms)


def _units(rng: Random, when: Days, terms: Terms, trouble: bool) -> tuple[Unit, ...]:
    home = terms.homes[0]
    place = home.place.offset(rng.uniform(-2, 2), rng.uniform(-2, 2))
    if not trouble:
        return (Unit("primary", place),)
    span = habits.within([habits.some_span(rng, when, 0.2, 20)], when.start_ms, when.end_ms)
    kind = rng.random()
    if kind < 0.6:
        return (Unit("primary", place, no_mains=span),)
    if kind < 0.85:
        return (Unit("primary", place, off=span),)
    return (
        Unit(
            "primary",
            place,
            moved=span,
            carried_to=place.offset(rng.uniform(300, 900), rng.uniform(-600, 600)),
        ),
    )


def _forged(rng: Random, when: Days, walker: Walker) -> tuple[Forgery, ...]:
    span = habits.within([habits.some_span(rng, when, 0.3, 2)], when.start_ms, when.end_ms)
    home = walker.base(when.start_ms).place
    return tuple(
        Forgery(a, b, home.offset(rng.uniform(-3000, 3000), rng.uniform(-3000, 3000))) for a, b in span
    )
