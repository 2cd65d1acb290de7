"""The notice by which probation tells the sentencing court that it has varied a curfew: HTML, and the PDF drawn of it.

It is written once, when the variation is, and kept with it: what the court was given stays what it was, whatever words
a later program has.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from core.alerts import instant_ms
from core.curfew_week import WeekPeriod, week_of
from core.order import CurfewCondition, Order, order_from_json
from core.statute import LegalProblem, Variation
from core.timetable import DAY_MINUTES
from gateway.orders.next_version import Plan
from gateway.orders.times import told

_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_REGIMES = {"community_order": "community order", "suspended_sentence": "suspended sentence order"}
LAWS = (
    (Variation.APPLIES, "which orders: community and suspended sentence, convicted on or after 28 June 2022"),
    (Variation.CIRCUMSTANCES, "a change in the circumstances"),
    (Variation.CONSENT, "consent; start times and places only"),
    (Variation.VIEWS, "the views of those who live at a new place"),
    (Variation.LENGTH, "the length of each period"),
    (Variation.SAME_DAY, "within 24 hours"),
)


@dataclass(frozen=True, slots=True)
class Line:
    """One curfew period of the week."""

    day: str
    begins: str
    ends: str
    length: str
    where: str


@dataclass(frozen=True, slots=True)
class Table:
    """One curfew, before and after: its periods, and what they come to on each day of the week and altogether."""

    condition: str
    before: Sequence[Line]
    after: Sequence[Line]
    per_day: Sequence[tuple[str, str, str]]
    whole: tuple[str, str]


def notice_of(planned: Plan, called: str, doubts: Sequence[LegalProblem], now_ms: int) -> str:
    """The notice of a variation, as HTML. ``called`` is what the court knows the order by.

    ``doubts`` are told in it: the court is to know what is not recorded.
    """
    steps = planned.steps
    before, after = order_from_json(steps[0].before), steps[0].order
    details = planned.recorded.details
    return (
        _environment()
        .get_template("variation_notice.html")
        .render(
            called=called or planned.order_id,
            order=after,
            regime=_REGIMES.get(str(after.regime), str(after.regime).replace("_", " ")),
            version=after.version,
            court=details.get("court") or "the sentencing court",
            kind=str(planned.recorded.kind),
            effective=told(planned.effective_ms),
            written=told(now_ms),
            agreed=_agreed(details),
            by=planned.recorded.by,
            reason=planned.recorded.reason,
            details=details,
            tables=tables(before, after),
            laws=LAWS,
            # that the court is told is what this paper does
            doubts=[one for one in doubts if one.law != Variation.COURT],
        )
    )


def _agreed(details: Any) -> str:
    said = details.get("agreed")
    return "" if said is None else told(instant_ms(said))


def tables(before: Order, after: Order) -> list[Table]:
    """Each curfew that differs, before and after."""
    was = {one.id: one for one in before.conditions if isinstance(one, CurfewCondition)}
    found = []
    for one in after.conditions:
        if isinstance(one, CurfewCondition) and was.get(one.id) not in (None, one):
            weeks = week_of(was[one.id]), week_of(one)
            days = [(_DAYS[day], *(_length(_on(week, day)) for week in weeks)) for day in range(7)]
            sums = [_length(sum(period.length for period in week)) for week in weeks]
            found.append(
                Table(
                    one.name,
                    _lines(weeks[0]),
                    _lines(weeks[1]),
                    [(name, first, second) for name, first, second in days],
                    (sums[0], sums[1]),
                )
            )
    return found


def _lines(week: Sequence[WeekPeriod]) -> list[Line]:
    return [
        Line(
            _DAYS[period.weekday],
            _clock(period.start),
            _clock(period.start + period.length),
            _length(period.length),
            f"{period.address.name} ({period.address.latitude:.5f}, {period.address.longitude:.5f})",
        )
        for period in week
    ]


def _on(week: Sequence[WeekPeriod], day: int) -> int:
    """Minutes of the periods that begin on a day."""
    return sum(period.length for period in week if period.weekday == day)


def _clock(minutes: int) -> str:
    return f"{minutes % DAY_MINUTES // 60:02d}:{minutes % 60:02d}"


def _length(minutes: int) -> str:
    hours, rest = divmod(minutes, 60)
    return f"{hours} h" + (f" {rest} min" if rest else "")


@cache
def _environment() -> Environment:
    return Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
