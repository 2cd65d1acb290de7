"""The law of curfews: hours a day, hours in each fixed week, and how long a requirement may last (docs/law.md)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from zoneinfo import ZoneInfo

from core.clock_hours import (
    Curfew,
    Specified,
    by_calendar,
    by_start,
    civil_day,
    curfew_minutes,
    last_day,
    months_on,
    specified,
)
from core.order import CurfewCondition, Order
from core.schedule import ALWAYS_MS, Interval
from core.statute import (
    ASK,
    COMMENCEMENT,
    FIND_DATES,
    HOURS,
    SPAN,
    WEEK,
    Check,
    HoursLimits,
    Law,
    LegalProblem,
    SpanLimit,
    WeekLimit,
)

MAX_DAYS = 1_100
"""Hours are counted for so many days: a year more than any curfew may last (24 months)."""
_BEYOND_DAYS = 28
"""A timetable repeats every week; where no end or start is told, four weeks beyond the last change show all of it."""


@dataclass(frozen=True, slots=True)
class _Case:
    """The curfew of an order: its parts, the days on which its hours are counted, and what is known of its dates."""

    order: Order
    zone: ZoneInfo
    parts: list[Specified[Curfew]]
    first: date | None
    days: Interval
    ended: bool
    periods: list[Interval]

    @property
    def ids(self) -> tuple[str, ...]:
        return tuple(sorted({part.condition.id for part in self.parts}))

    def day(self, i: int) -> date:
        return date.fromordinal(self.days[0] + i)


def curfew_problems(orders: Sequence[Order], order: Order, zone: ZoneInfo) -> list[LegalProblem]:
    """What is doubtful about the curfews of ``order``; ``orders`` are all its versions, itself among them."""
    parts = specified(orders, CurfewCondition, "curfew")
    if not parts:
        return []
    problems: list[LegalProblem] = []
    # one whose hours were not stated has none to count, but it has its dates
    timed = [part for part in parts if part.condition.places]
    if timed:
        case = _case(order, zone, timed)
        if hours := HOURS.get(order.regime):
            problems += _most_hours(case, hours) + _least_hours(case, hours)
        if week := WEEK.get(order.regime):
            problems += _week_hours(case, week)
    if span := SPAN.get(order.regime):
        problems += _span(_case(order, zone, parts), span)
    return problems


def _case(order: Order, zone: ZoneInfo, parts: list[Specified[Curfew]]) -> _Case:
    starts, ends = [part.from_ms for part in parts], [part.to_ms for part in parts]
    known = [t_ms for t_ms in (*starts, *ends, order.effective_ms) if abs(t_ms) != ALWAYS_MS]
    told, ended = min(starts) != -ALWAYS_MS, max(ends) != ALWAYS_MS
    beyond = timedelta(days=_BEYOND_DAYS)
    first = civil_day(min(starts), zone) if told else civil_day(min(known), zone) - beyond
    last = last_day(max(ends), zone) if ended else civil_day(max(known), zone) + beyond
    days = first.toordinal(), min(last.toordinal(), first.toordinal() + MAX_DAYS)
    # two days more, so that a period that begins on the last day counted is whole
    periods = curfew_minutes(parts, zone, (days[0] - 2, days[1] + 2))
    return _Case(order, zone, parts, first if told else None, days, ended, periods)


def _by_conviction(order: Order, before: int, since: int) -> tuple[int, int | None]:
    """The limit that is broken for certain, and the lower one that may be (None where the conviction decides)."""
    if order.conviction is None:
        return max(before, since), min(before, since) if before != since else None
    return (before if order.conviction < COMMENCEMENT else since), None


def _when(order: Order) -> str:
    if order.conviction is None:
        return f"and the date of conviction is not known; the limit depends on {COMMENCEMENT}"
    return f"for a conviction on {order.conviction}"


def _most_hours(case: _Case, limits: HoursLimits) -> list[LegalProblem]:
    if limits.most_before is None or limits.most_since is None:
        return []
    sure, doubtful = _by_conviction(case.order, limits.most_before, limits.most_since)
    for limit, certain in ((sure, True), (doubtful, False)):
        if limit is None:
            continue
        found = _days(case, lambda minutes, _, limit=limit: minutes > limit, max, certain)  # type: ignore[misc]
        if found:
            return [_hours_problem(case, limits.law, Check.MOST_HOURS, "at most", limit, found)]
    return []


def _least_hours(case: _Case, limits: HoursLimits) -> list[LegalProblem]:
    final = case.days[1] - case.days[0]

    def short(minutes: int, i: int) -> bool:
        if limits.every_day:
            return i > 0 and (i < final or not case.ended) and minutes < limits.least
        return 0 < minutes < limits.least

    found = _days(case, short, min, True)
    return (
        [_hours_problem(case, limits.law, Check.LEAST_HOURS, "at least", limits.least, found)]
        if found
        else []
    )


@dataclass(frozen=True, slots=True)
class _Days:
    minutes: int
    first: date
    last: date
    certain: bool
    readings_agree: bool


def _days(
    case: _Case,
    wrong: Callable[[int, int], bool],
    worst: Callable[[list[int]], int],
    certain: bool,
) -> _Days | None:
    """The days on which ``wrong(minutes, i)``: by both readings of "in any day", else by one of them.

    The statute does not say whether a night belongs to the two days it lies in or to the day on which it begins; for
    a timetable that is the same every day both give the same.
    """
    calendar, begun = by_calendar(case.periods, case.days), by_start(case.periods, case.days)
    final = len(calendar) - 1
    both = [i for i, pair in enumerate(zip(calendar, begun, strict=True)) if all(wrong(m, i) for m in pair)]
    # on the first and the last day one reading cuts a night that the other leaves whole: that is no doubt
    one = [i for i in range(1, final) if wrong(calendar[i], i) or wrong(begun[i], i)]
    days = both or one
    if not days:
        return None
    minutes = worst([m for i in days for m in (calendar[i], begun[i]) if wrong(m, i)])
    return _Days(minutes, case.day(days[0]), case.day(days[-1]), certain and bool(both), bool(both))


def _hours_problem(case: _Case, law: Law, check: Check, bound: str, limit: int, found: _Days) -> LegalProblem:
    fact = (
        f"Curfew of {_hours(found.minutes)} in a day, first on {found.first}; "
        f"the law allows {bound} {_hours(limit)}"
    )
    if check == Check.MOST_HOURS:
        fact += f" {_when(case.order)}"
    if not found.readings_agree:
        fact += "; whether the hours of a night count for the day on which it begins decides"
    figures = found.minutes / 60, limit / 60, "hours"
    return LegalProblem(check, law, fact, ASK, found.certain, case.ids, *figures, found.first, found.last)


def _week_hours(case: _Case, limit: WeekLimit) -> list[LegalProblem]:
    daily = by_calendar(case.periods, case.days)
    phases = [_weeks(daily, limit.most, phase) for phase in range(1 if case.first else 7)]
    over = [weeks for weeks in phases if weeks]
    if not over:
        return []
    weeks = over[0]
    first, last = case.day(weeks[0]), case.day(min(weeks[-1] + 6, len(daily) - 1))
    minutes = max(sum(daily[i : i + 7]) for i in weeks)
    counted = (
        f"counted in sevens from {case.first}"
        if case.first
        else "and the first day of the curfew is not known"
    )
    fact = f"Curfew of {_hours(minutes)} in the seven days from {first}, {counted}; the law allows {_hours(limit.most)}"
    certain = len(over) == len(phases)
    figures = minutes / 60, limit.most / 60, "hours"
    return [LegalProblem(Check.WEEK_HOURS, limit.law, fact, ASK, certain, case.ids, *figures, first, last)]


def _weeks(daily: Sequence[int], most: int, phase: int) -> list[int]:
    """Where the weeks begin that have more than ``most`` minutes, when the first of them begins at ``phase``."""
    return [i for i in range(phase, len(daily), 7) if sum(daily[i : i + 7]) > most]


def _span(case: _Case, limit: SpanLimit) -> list[LegalProblem]:
    if case.first is None or not case.ended:
        known = [(case.first is not None, "first day"), (case.ended, "last day")]
        missing = " and the ".join(name for told, name in known if not told)
        fact = f"The order does not tell the {missing} of the curfew, so how long it lasts can not be checked"
        return [LegalProblem(Check.SPAN, limit.law, fact, FIND_DATES, False, case.ids, first=case.first)]
    last = last_day(max(part.to_ms for part in case.parts), case.zone)
    sure, doubtful = _by_conviction(case.order, limit.months_before, limit.months_since)
    for months, certain in ((sure, True), (doubtful, False)):
        if months is None or last < months_on(case.first, months):
            continue
        over = months_on(case.first, months)
        allowed = over - timedelta(days=1)
        fact = f"Curfew from {case.first} to {last}; {months} months end on {allowed} {_when(case.order)}"
        alone = any(_exceeds(case, condition, months) for condition in case.ids)
        if not alone:
            fact += "; whether the curfew conditions are one requirement decides"
        figures = (last - case.first).days + 1, (allowed - case.first).days + 1, "days"
        sides = case.ids, *figures, over, last
        return [LegalProblem(Check.SPAN, limit.law, fact, ASK, certain and alone, *sides)]
    return []


def _exceeds(case: _Case, condition: str, months: int) -> bool:
    """Does one condition last longer than so many months by itself?"""
    parts = [part for part in case.parts if part.condition.id == condition]
    first = civil_day(min(part.from_ms for part in parts), case.zone)
    return last_day(max(part.to_ms for part in parts), case.zone) >= months_on(first, months)


def _hours(minutes: int) -> str:
    hours, rest = divmod(minutes, 60)
    return f"{hours} h {rest} min" if rest else f"{hours} h"
