"""May probation vary a curfew so, without the court? A list of problems with law, figure and dates (docs/law.md).

Probation may move the start of a curfew period within 24 hours and change the address, with the wearer's consent, of
community and suspended sentence orders for a conviction on or after 28 June 2022. The length of each period stays, a
boundary area that the court stated stays, and a curfew stays at an address that a residence requirement names.

Whether the order as varied keeps to the limits on hours is `core.law.check_order`'s to say.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date
from zoneinfo import ZoneInfo

from core.clock_hours import civil_day
from core.curfew_week import WeekPeriod, match, shift, week_of
from core.order import Address, Condition, CurfewCondition, Order, Regime
from core.statute import COMMENCEMENT, Check, Law, LegalProblem, Variation
from core.timetable import DAY_MINUTES

_COURT = "Ask the court to vary the order."
_RECORD = "Record it before the notice is given."
Rule = Callable[[WeekPeriod, WeekPeriod], bool]

_VARIABLE = frozenset({Regime.COMMUNITY_ORDER, Regime.SUSPENDED_SENTENCE})


@dataclass(frozen=True, slots=True)
class VariationNotice:
    """What probation has recorded of a variation.

    ``consent`` of the wearer: None where it was not asked. ``circumstances``: what changed since the order was made.
    ``views``: what the people at a new address think of it. ``court_told``: the date of the notice to the sentencing
    court. Empty or None where nothing is recorded.
    """

    consent: bool | None = None
    circumstances: str = ""
    views: str = ""
    court_told: date | None = None


class NotVersionsError(ValueError):
    """Two orders of which the second is not a later version of the first."""


def check_variation(
    before: Order, after: Order, notice: VariationNotice, timezone: str
) -> list[LegalProblem]:
    """Everything that keeps probation from varying ``before`` into ``after``; what is not recorded is a doubt.

    Raises NotVersionsError.
    """
    if before.order_id != after.order_id or before.version >= after.version:
        raise NotVersionsError(
            f"order {after.order_id} version {after.version} does not follow order {before.order_id} "
            f"version {before.version}: give a higher version of the same order"
        )
    day = civil_day(after.effective_ms, ZoneInfo(timezone))
    curfews = {
        condition.id: condition for condition in before.conditions if isinstance(condition, CurfewCondition)
    }
    problems = [*_applies(before), *_only_curfew(before, after)]
    moved = False
    for condition in after.conditions:
        if isinstance(condition, CurfewCondition) and condition.id in curfews:
            was = curfews[condition.id]
            moved = moved or bool(_places(condition) - _places(was))
            found = _addresses(was, condition)
            # an address that is gone altogether is told once, not again for each of its periods
            bound = all(problem.law != Variation.RESIDENCE for problem in found)
            problems += [*_times(was, condition, _stays if bound else _goes), *found]
    problems += _recorded(notice, moved)
    return [replace(problem, first=day) for problem in problems]


def _problem(
    law: Law, fact: str, certain: bool = True, remedy: str = _COURT, condition: str = ""
) -> LegalProblem:
    ids = (condition,) if condition else ()
    return LegalProblem(Check.VARIATION, law, fact, remedy, certain, ids)


def _applies(order: Order) -> list[LegalProblem]:
    if order.regime == Regime.UNKNOWN:
        return [_problem(Variation.APPLIES, "The regime of the order is not known", False)]
    if order.regime not in _VARIABLE:
        fact = f"The order is of the regime {order.regime}; only community and suspended sentence orders may be varied"
        return [_problem(Variation.APPLIES, fact)]
    if order.conviction is None:
        return [_problem(Variation.APPLIES, "The date of conviction is not known", False)]
    if order.conviction < COMMENCEMENT:
        fact = f"The conviction of {order.conviction} lies before {COMMENCEMENT}"
        return [_problem(Variation.APPLIES, fact)]
    return []


def _only_curfew(before: Order, after: Order) -> list[LegalProblem]:
    """Everything but times and addresses of curfews has to stay as it is."""
    changed = [
        name.replace("_ms", "").replace("_", " ")
        for name in (
            "regime",
            "wearer",
            "conviction",
            "start_ms",
            "end_ms",
            "atv_allowance_min",
            "unmonitored",
        )
        if getattr(before, name) != getattr(after, name)
    ]
    was, becomes = ({c.id: _fixed(c) for c in order.conditions} for order in (before, after))
    changed += [f"condition {i}" for i in sorted({*was, *becomes}) if was.get(i) != becomes.get(i)]
    return [
        _problem(Variation.ONLY, f"Changed besides the curfew's times and address: {what}")
        for what in changed
    ]


def _fixed(condition: Condition) -> object:
    """What of a condition probation may not touch."""
    if isinstance(condition, CurfewCondition):
        return condition.from_ms, condition.to_ms
    return condition


def _times(was: CurfewCondition, becomes: CurfewCondition, stays: Rule) -> list[LegalProblem]:
    """Every period has to become one of the same length that begins less than 24 hours away.

    Pairs are sought that break as little as may be: first with every period on its day, then any within 24 hours,
    and last even away from an address that a residence requirement names.
    """
    before, after = week_of(was), week_of(becomes)

    def pairs(*rules: Rule) -> list[tuple[int, int]]:
        return match(before, after, lambda a, b: a.length == b.length and all(rule(a, b) for rule in rules))

    def all_of(found: list[tuple[int, int]]) -> bool:
        return len(found) == len(before) == len(after)

    if all_of(pairs(_same_day, stays)):
        return []
    if all_of(pairs(_near, stays)):
        fact = "A period begins on another day than before, though less than 24 hours away"
        return [_problem(Variation.SAME_DAY, fact, False, condition=was.id)]
    if all_of(found := pairs(_same_day)) or all_of(found := pairs(_near)):
        leaves = next(before[i] for i, j in found if not stays(before[i], after[j]))
        fact = (
            f"{leaves} leaves {leaves.address.name}, where a residence requirement binds the wearer to live"
        )
        return [_problem(Variation.RESIDENCE, fact, condition=was.id)]
    if all_of(found := pairs()):
        far = next((before[i], after[j]) for i, j in found if not _near(before[i], after[j]))
        return [_far(*far, was.id)]
    found = pairs(_near)
    lost = [str(period) for i, period in enumerate(before) if i not in {i for i, _ in found}]
    new = [str(period) for j, period in enumerate(after) if j not in {j for _, j in found}]
    fact = (
        f"The length of a period changes: {', '.join(lost) or 'no period'} becomes {', '.join(new) or 'none'}"
    )
    return [_lengths(fact, before, after, was.id)]


def _same_day(a: WeekPeriod, b: WeekPeriod) -> bool:
    return a.weekday == b.weekday


def _near(a: WeekPeriod, b: WeekPeriod) -> bool:
    return shift(a, b) < DAY_MINUTES


def _goes(_: WeekPeriod, __: WeekPeriod) -> bool:
    return True


def _stays(a: WeekPeriod, b: WeekPeriod) -> bool:
    return not a.address.residence_requirement or _place(a.address) == _place(b.address)


def _far(one: WeekPeriod, other: WeekPeriod, condition: str) -> LegalProblem:
    hours = shift(one, other) / 60
    fact = f"{one} becomes {other}: it begins {hours:g} h away; less than 24 h are allowed"
    problem = _problem(Variation.SAME_DAY, fact, condition=condition)
    return replace(problem, found=hours, limit=24.0, unit="hours")


def _lengths(fact: str, before: list[WeekPeriod], after: list[WeekPeriod], condition: str) -> LegalProblem:
    problem = _problem(Variation.LENGTH, fact, condition=condition)
    found, limit = (sum(period.length for period in periods) / 60 for periods in (after, before))
    return replace(problem, found=found, limit=limit, unit="hours a week")


def _addresses(was: CurfewCondition, becomes: CurfewCondition) -> list[LegalProblem]:
    problems = []
    if was.boundary_area != becomes.boundary_area:
        fact = f"The boundary area changes from {was.boundary_area or 'none'} to {becomes.boundary_area or 'none'}"
        problems.append(_problem(Variation.BOUNDARY, fact, condition=was.id))
    elif was.boundary_area and _places(was) != _places(becomes):
        fact = "The address changes, and the boundary area that the court stated would have to move with it"
        problems.append(_problem(Variation.BOUNDARY, fact, False, condition=was.id))
    kept = {_place(place.address) for place in becomes.places if place.address.residence_requirement}
    for place in was.places:
        if place.address.residence_requirement and _place(place.address) not in kept:
            fact = (
                f"A residence requirement binds the wearer to {place.address.name}, which the curfew leaves"
            )
            problems.append(_problem(Variation.RESIDENCE, fact, condition=was.id))
    return problems


def _place(address: Address) -> tuple[float, float]:
    """Where an address is. Its name and its radius are ours, not the court's."""
    return address.latitude, address.longitude


def _places(condition: CurfewCondition) -> set[tuple[float, float]]:
    return {_place(place.address) for place in condition.places}


def _recorded(notice: VariationNotice, moved: bool) -> list[LegalProblem]:
    missing = [
        (
            Variation.CIRCUMSTANCES,
            "No change in the wearer's circumstances is recorded",
            not notice.circumstances.strip(),
        ),
        (Variation.CONSENT, "It is not recorded whether the wearer consents", notice.consent is None),
        (
            Variation.VIEWS,
            "The views of the people at the new address are not recorded",
            moved and not notice.views.strip(),
        ),
        (Variation.COURT, "No notice to the sentencing court is recorded", notice.court_told is None),
    ]
    problems = [_problem(law, fact, False, _RECORD) for law, fact, wanting in missing if wanting]
    if notice.consent is False:
        problems.append(_problem(Variation.CONSENT, "The wearer does not consent"))
    return problems
