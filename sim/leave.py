"""Time away that probation has agreed to or excuses: an evening, a night in hospital, a holiday."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import Any

from sim.civil import MINUTE_MS, Days
from sim.life import Span
from sim.people_orders import instant_text
from sim.routine import Week
from sim.terms import Terms, allowed
from sim.town import Spot, Town
from sim.traits import spread

_HOUR_MS = 60 * MINUTE_MS
_REASONS = ("a funeral", "a shift agreed with the employer", "a family birth")


@dataclass(frozen=True, slots=True)
class Holiday:
    """Some days at another place, from leaving home until being back."""

    span: Span
    place: Spot

    def discount(self) -> dict[str, Any]:
        """How the order has it: agreed, with time for the journey."""
        margin = round(1.5 * _HOUR_MS)
        span = Span(self.span.start_ms - margin, self.span.end_ms + 2 * margin)
        return discount(span, "authorised_absence", "a holiday with the family")


def discount(span: Span, kind: str, reason: str) -> dict[str, Any]:
    """Discounted time of the curfew."""
    told = {"from": instant_text(span.start_ms), "to": instant_text(span.end_ms), "kind": kind}
    return {**told, "reason": reason, "condition": "curfew"}


def holiday(town: Town, seed: int, number: int, rng: Random, when: Days, terms: Terms) -> Holiday | None:
    """Two or three nights beyond the hills, for one in 25 of those whom nothing but a curfew or a zone binds."""
    bound = terms.inclusion or terms.attendance or terms.restriction or len(terms.homes) != 1
    if bound or when.count < 7 or spread(seed, number, "holiday") >= 0.04:
        return None
    if terms.strata & {"no_fixed_abode", "approved_premises"}:
        return None
    valley = terms.homes[0].x < -9000
    for _ in range(20):
        house = rng.randrange(len(town.house_x)) if valley else int(rng.choice(town.valley_houses))
        place = town.house(house)
        if town.in_valley[house] != valley and allowed(place, terms):
            day, nights = rng.randrange(1, when.count - 4), rng.choice((2, 2, 3))
            leaves, back = when.at(day, rng.uniform(560, 840)), when.at(day + nights, rng.uniform(720, 960))
            return Holiday(Span(leaves, back), place)
    return None


def evening(
    seed: int, number: int, rng: Random, week: Week, terms: Terms, when: Days
) -> tuple[Span, dict[str, Any]] | None:
    """An evening agreed with probation, or a night in hospital excused afterwards: when, and as the order has it."""
    chance = spread(seed, number, "discount")
    nights = [night for night in week.kept_in if when.start_ms <= night[0] < when.end_ms]
    if not nights or chance > 0.06:
        return None
    start, end = rng.choice(nights)
    if chance < 0.045:
        kind, reason = "authorised_absence", rng.choice(_REASONS)
        place = rng.choice(week.town.of("church", "hospital", "pub"))
        until = start + round(rng.uniform(1.5, 4) * _HOUR_MS)
    else:
        kind, reason, place = "reasonable_excuse", "taken to hospital", week.town.first("hospital")
        until = min(start + round(rng.uniform(3, 9) * _HOUR_MS), end)
    leaves = start - round(rng.uniform(5, 60) * MINUTE_MS)
    if not allowed(place, terms) or not week.add(place, leaves, until, 3, curfew_too=True):
        return None
    way = week.way_ms(place, start)
    span = Span(leaves - way - 10 * MINUTE_MS, until + way + 25 * MINUTE_MS)
    return span, discount(span, kind, reason)
