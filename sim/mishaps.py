"""What happens to bodies, tags and home units over a life: drinks, vapours, cuts, empty batteries, lost signals."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from sim import habits
from sim.civil import MINUTE_MS, Days
from sim.lapses import how_many
from sim.life import Body, Drink, Exposure, Forgery, Span, Unit
from sim.terms import Terms
from sim.town import Spot
from sim.traits import spread

_HOUR_MS = 60 * MINUTE_MS
DRINKING = 0.28
"""Occasions a week of those who are to abstain: 96 of 100 days are sober."""
_LIMITED = 2.2
"""Occasions a week of those who may drink a little."""
_LATE_IN_WEEK = {4: 0.5, 5: 0.5, 6: 1.25}
"""The less, the likelier somebody drinks on that weekday: Friday, Saturday, Sunday."""
CUTS = 0.24
"""Straps cut a week and wearer."""


@dataclass(frozen=True, slots=True)
class Wearer:
    """Whose mishaps they are."""

    seed: int
    number: int
    when: Days
    terms: Terms
    rng: Random

    def one_in(self, trait: str, share: float) -> bool:
        """Whether this is one of the ``share`` of people to whom it happens."""
        return spread(self.seed, self.number, trait) < share

    def spans(self, trait: str, share: float, from_h: float, to_h: float, count: int = 1) -> tuple[Span, ...]:
        """Stretches of so many hours, if this is one of those people."""
        some = [habits.some_span(self.rng, self.when, from_h, to_h) for _ in range(count)]
        found = some if self.one_in(trait, share) else []
        return habits.within(found, self.when.start_ms, self.when.end_ms)


def drinks(who: Wearer, body: Body) -> tuple[Drink, ...]:
    """Occasions spread evenly over the people of a week; those who may drink a little do so more often, and less."""
    if not who.terms.alcohol:
        return ()
    limited, rng, when = who.terms.alcohol == "limit", who.rng, who.when
    found: list[Drink] = []
    for turn, in_week in enumerate(when.weeks):
        share = len(in_week) / 7
        if limited:
            wanted = round(_LIMITED * share * rng.uniform(0.3, 1.7))
        else:
            wanted = how_many(who.seed, who.number, "drinking", turn, DRINKING * share)
        likely = sorted(in_week, key=lambda day: rng.random() * _LATE_IN_WEEK.get(when.weekday[day], 1.0))
        for day in likely[:wanted]:
            units = rng.uniform(0.7, 2.6) if limited and rng.random() < 0.85 else habits.units_of(rng, body)
            minute = rng.gauss(1190, 90) if rng.random() < 0.8 else rng.uniform(720, 1000)
            found += habits.session(rng, when.at(day, min(max(minute, 660), 1390)), units)
            if not limited and minute > 1140 and rng.random() < 0.2:
                found += habits.session(rng, when.at(day, rng.uniform(630, 720)), rng.uniform(3.2, 4.4))
    kept: list[Drink] = []
    for drink in sorted(found):
        within = when.start_ms <= drink.start_ms and drink.end_ms <= when.end_ms
        if within and (not kept or kept[-1].end_ms <= drink.start_ms):
            kept.append(drink)
    return tuple(kept)


def exposures(
    who: Wearer, shifts: list[tuple[int, int]], exposure: str, wake_min: float
) -> tuple[Exposure, ...]:
    """What is in the air at work, and perfume at home."""
    if not who.terms.alcohol:
        return ()
    found: list[Exposure] = []
    if exposure == "sanitiser":
        found += habits.sanitiser(who.rng, shifts)
    elif exposure == "cleaning":
        found += habits.cleaning(who.rng, shifts)
    if who.one_in("perfume", 0.12):
        found += habits.perfume(who.rng, who.when, wake_min)
    return tuple(sorted(e for e in found if who.when.start_ms <= e.at_ms < who.when.end_ms))


def cuts(who: Wearer, at_home: list[tuple[int, int]]) -> tuple[Span, ...]:
    """Straps cut, until an officer comes: some hours, at most a day and a quarter. At home, but for one in 25."""
    spans, rng, when = [], who.rng, who.when
    for turn, in_week in enumerate(when.weeks):
        wanted = how_many(who.seed, who.number, "cuts", turn, CUTS * len(in_week) / 7)
        for day in rng.sample(in_week, min(wanted, len(in_week))):
            start = when.at(day, rng.triangular(420, 1430, 1150))
            if rng.random() < 0.96:
                start = _nearest(at_home, start, rng)
            spans.append((start, start + round(min(0.7 + rng.expovariate(1 / 4.5), 30) * _HOUR_MS)))
    return habits.within(spans, when.start_ms, when.end_ms)


def _nearest(stays: list[tuple[int, int]], t_ms: int, rng: Random) -> int:
    """An instant within a stay: itself, or else one in the first minutes of the next stay."""
    for start, end in stays:
        if end - start > 20 * MINUTE_MS and t_ms < end:
            return max(t_ms, start + round(rng.uniform(2, 18) * MINUTE_MS))
    return t_ms


def covered(who: Wearer, drunk: tuple[Drink, ...]) -> tuple[Span, ...]:
    """Foil between sensor and skin, of every second who does it just when they drink."""
    found = who.spans("foil", 0.05, 1, 9)
    if not who.terms.alcohol or not found:
        return ()
    if drunk and who.rng.random() < 0.5:
        drink = who.rng.choice(drunk)
        start = drink.start_ms - round(who.rng.uniform(5, 60) * MINUTE_MS)
        span = (start, drink.end_ms + round(who.rng.uniform(2, 7) * _HOUR_MS))
        found = habits.within([span], who.when.start_ms, who.when.end_ms)
    return found


def units(who: Wearer) -> tuple[Unit, ...]:
    """The home unit at the first address, and what one in 20 of them goes through."""
    if not who.terms.home_unit:
        return ()
    rng = who.rng
    place = who.terms.homes[0].place.offset(rng.uniform(-0.4, 0.4), rng.uniform(-0.4, 0.4))
    span, kind = who.spans("unit_trouble", 0.05, 0.2, 20), rng.random()
    if not span:
        return (Unit("primary", place),)
    if kind < 0.6:
        return (Unit("primary", place, no_mains=span),)
    if kind < 0.85:
        return (Unit("primary", place, off=span),)
    elsewhere = place.offset(rng.uniform(300, 900), rng.uniform(-600, 600))
    return (Unit("primary", place, moved=span, carried_to=elsewhere),)


def forged(who: Wearer, home: Spot) -> tuple[Forgery, ...]:
    """The receiver is led somewhere else."""
    place = home.place.offset(who.rng.uniform(-3000, 3000), who.rng.uniform(-3000, 3000))
    return tuple(Forgery(start, end, place) for start, end in who.spans("forged", 0.006, 0.3, 2))
