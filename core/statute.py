"""The statutory figures, each with its reference: what the law allows by regime and date of conviction; and a problem.

These are law, not configuration: a figure changes when Parliament changes it, and then with the date from which the
new one holds. ``confidence`` is domain.md's letter: Q read in the source, P from a paraphrase, M from memory.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import Literal

from core.order import Regime

COMMENCEMENT = date(2022, 6, 28)
"""For convictions on or after this day: Police, Crime, Sentencing and Courts Act 2022, ss 150, 151, Sch 17 para 19."""


@dataclass(frozen=True, slots=True)
class Law:
    """Where a rule stands, and how sure we are of the figure."""

    reference: str
    confidence: Literal["Q", "P", "M"]


@dataclass(frozen=True, slots=True)
class HoursLimits:
    """Curfew hours in a civil day, in clock minutes.

    ``least`` holds for every day that has curfew at all, or, where ``every_day``, for every day except the first and
    the last. ``most_before`` and ``most_since`` are the limits for convictions before and since `COMMENCEMENT`.
    """

    law: Law
    least: int
    every_day: bool = False
    most_before: int | None = None
    most_since: int | None = None


@dataclass(frozen=True, slots=True)
class WeekLimit:
    """Curfew hours in each fixed seven days, counted from the day on which the requirement first takes effect."""

    law: Law
    most: int


@dataclass(frozen=True, slots=True)
class SpanLimit:
    """Months, from the day on which the requirement first takes effect, within which every curfew period must lie."""

    law: Law
    months_before: int
    months_since: int


@dataclass(frozen=True, slots=True)
class DaysLimit:
    """The longest alcohol condition, in civil days, the first and the last among them."""

    law: Law
    most: int


_ADULT = "Sentencing Act 2020, Schedule 9, paragraph 9"
_YOUTH = "Sentencing Act 2020, Schedule 6, paragraph 18"
_HOUR = 60

_ADULT_HOURS = HoursLimits(
    Law(f"{_ADULT}(4)(a) and (b)", "Q"), 2 * _HOUR, most_before=16 * _HOUR, most_since=20 * _HOUR
)
_YOUTH_HOURS = HoursLimits(
    Law(f"{_YOUTH}(4)(a) and (b)", "Q"), 2 * _HOUR, most_before=16 * _HOUR, most_since=20 * _HOUR
)
# the figure is Halsbury's (Q); the number of the section is from memory, so the letter is the lower of the two
_DETENTION_HOURS = HoursLimits(Law("Criminal Justice Act 2003, section 253", "M"), 9 * _HOUR, every_day=True)

HOURS = {
    Regime.COMMUNITY_ORDER: _ADULT_HOURS,
    Regime.SUSPENDED_SENTENCE: _ADULT_HOURS,
    Regime.YOUTH_REHABILITATION: _YOUTH_HOURS,
    Regime.HOME_DETENTION_CURFEW: _DETENTION_HOURS,
}
_ADULT_WEEK, _YOUTH_WEEK = (WeekLimit(Law(f"{law}(4)(c)", "Q"), 112 * _HOUR) for law in (_ADULT, _YOUTH))
WEEK = {
    Regime.COMMUNITY_ORDER: _ADULT_WEEK,
    Regime.SUSPENDED_SENTENCE: _ADULT_WEEK,
    Regime.YOUTH_REHABILITATION: _YOUTH_WEEK,
}
_ADULT_SPAN = SpanLimit(Law(f"{_ADULT}(5) and (6)", "Q"), 12, 24)
SPAN = {
    Regime.COMMUNITY_ORDER: _ADULT_SPAN,
    Regime.SUSPENDED_SENTENCE: _ADULT_SPAN,
    Regime.YOUTH_REHABILITATION: SpanLimit(Law(f"{_YOUTH}(5)", "Q"), 12, 12),
}
_ABSTINENCE = DaysLimit(Law("Sentencing Act 2020, Schedule 9, paragraph 25(4)(b)", "Q"), 120)
ALCOHOL = {
    Regime.COMMUNITY_ORDER: _ABSTINENCE,
    Regime.SUSPENDED_SENTENCE: _ABSTINENCE,
    Regime.LICENCE: DaysLimit(
        Law("alcohol monitoring as a condition of licence, at most 365 days", "M"), 365
    ),
}


class Variation:
    """What probation may vary by itself. The Act names start times and places; the 24 hours and the boundary area are
    in the notice of 28 June 2022 by which probation explains it.
    """

    _ACT = "Sentencing Act 2020, Schedule 9, paragraph 10A"
    _NOTICE = "probation notice of 28 June 2022 on paragraph 10A of Schedule 9"
    APPLIES = Law(f"{_ACT}(1)", "Q")
    CIRCUMSTANCES = Law(f"{_ACT}(2)", "Q")
    CONSENT = Law(f"{_ACT}(3)", "Q")
    ONLY = Law(f"{_ACT}(3)", "Q")
    VIEWS = Law(f"{_ACT}(6) and (7)", "Q")
    LENGTH = Law(f"{_ACT}(8)(a)", "Q")
    RESIDENCE = Law(f"{_ACT}(8)", "Q")
    SAME_DAY = Law(f"{_NOTICE}: within 24 hours", "Q")
    BOUNDARY = Law(f"{_NOTICE}: boundary area", "Q")
    COURT = Law(f"{_NOTICE}: notice to the sentencing court", "Q")


class Check(StrEnum):
    """What was looked at."""

    REGIME = "regime"
    DATES = "dates"
    MOST_HOURS = "most_hours_per_day"
    LEAST_HOURS = "least_hours_per_day"
    WEEK_HOURS = "hours_per_week"
    SPAN = "span"
    ALCOHOL_DAYS = "alcohol_days"
    VARIATION = "variation"


@dataclass(frozen=True, slots=True)
class LegalProblem:
    """A limit that an order breaks, or may break.

    ``found`` and ``limit`` are figures in ``unit``; ``first`` and ``last`` the civil days concerned. None where the
    problem has no such figure or day. ``certain`` is False where it is a doubt; ``fact`` then says why.
    """

    check: Check
    law: Law
    fact: str
    remedy: str
    certain: bool
    conditions: tuple[str, ...] = ()
    found: float | None = None
    limit: float | None = None
    unit: str = ""
    first: date | None = None
    last: date | None = None

    def __str__(self) -> str:
        return f"{'' if self.certain else 'Doubtful: '}{self.fact} ({self.law.reference}). {self.remedy}"


ASK = "It is monitored as made; ask the court or the prison that made it."
FIND_DATES = "Find out the dates."
