"""Curfew as an order specifies it, in the hours that a clock on the wall shows: what statutes count.

Statutory hours are clock hours: a curfew from 19:00 to 07:00 has twelve of them on every night, also on the two nights
of the year on which 11 or 13 hours pass. A *clock minute* is a number: days since 0001-01-01 (`date.toordinal`) × 1440
+ minutes after midnight as the clock shows them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Generic, TypeVar
from zoneinfo import ZoneInfo

from core.activation import in_turn
from core.order import Condition, CurfewCondition, Order, UnmonitoredCondition
from core.schedule import ALWAYS_MS, Interval
from core.timetable import DAY_MINUTES, CurfewTimetable, joined

C = TypeVar("C", bound=Condition | UnmonitoredCondition)
Curfew = CurfewCondition | UnmonitoredCondition
"""A curfew, whether it is monitored or waits for its place on the map."""


@dataclass(frozen=True, slots=True)
class Specified(Generic[C]):
    """A condition as one version of an order specifies it, from ``from_ms`` to ``to_ms`` (UTC ms).

    ±`ALWAYS_MS` where it is not told when the condition begins or ends. Suspensions do not count: what is suspended
    is still specified.
    """

    from_ms: int
    to_ms: int
    condition: C


def specified(
    orders: Sequence[Order], kind: type[C], unwatched: str
) -> list[Specified[C | UnmonitoredCondition]]:
    """Every condition of type ``kind``, by all versions of an order, each while it is the one in force.

    With them those that are not monitored and are of the type that is called ``unwatched``: the law asks what was
    imposed.
    """
    if not orders:
        return []
    first = min(orders, key=lambda order: (order.effective_ms, order.version))
    found: list[Specified[C | UnmonitoredCondition]] = []
    for from_ms, to_ms, order in in_turn(orders, -ALWAYS_MS, ALWAYS_MS):
        # the first version known speaks for the time before it, except where it is the first of all and says no start
        if order is first and (order.start_ms is not None or order.version != 1):
            from_ms = -ALWAYS_MS
        mine: list[C | UnmonitoredCondition] = [one for one in order.conditions if isinstance(one, kind)]
        mine += [one for one in order.unmonitored if one.type == unwatched]
        for condition in mine:
            start, end = order.dates_of(condition)
            start, end = max(start, from_ms), min(end, to_ms)
            if start < end:
                found.append(Specified(start, end, condition))
    return found


def clock_minute(t_ms: int, zone: ZoneInfo) -> int:
    """The clock minute at an instant."""
    shows = datetime.fromtimestamp(t_ms // 1000, UTC).astimezone(zone)
    return shows.toordinal() * DAY_MINUTES + shows.hour * 60 + shows.minute


def civil_day(t_ms: int, zone: ZoneInfo) -> date:
    """The civil day of an instant."""
    return date.fromordinal(clock_minute(t_ms, zone) // DAY_MINUTES)


def last_day(end_ms: int, zone: ZoneInfo) -> date:
    """The last civil day of what ends at ``end_ms``: an end at midnight belongs to the day before."""
    return civil_day(end_ms - 1, zone)


def curfew_minutes(parts: Sequence[Specified[Curfew]], zone: ZoneInfo, days: Interval) -> list[Interval]:
    """Curfew of all addresses together as intervals of clock minutes, ascending, apart from each other.

    ``days`` are ordinals, from the one up to and with the other; what begins or ends there is cut.
    """
    low, high = days[0] * DAY_MINUTES, (days[1] + 1) * DAY_MINUTES
    found = []
    for part in parts:
        start = low if part.from_ms == -ALWAYS_MS else max(low, clock_minute(part.from_ms, zone))
        # a minute that has begun counts whole
        end = high if part.to_ms == ALWAYS_MS else min(high, clock_minute(part.to_ms - 1, zone) + 1)
        for place in part.condition.places:
            for from_minute, to_minute in _weekly(place.timetable, start, end):
                if max(from_minute, start) < min(to_minute, end):
                    found.append((max(from_minute, start), min(to_minute, end)))
    return joined(found)


def _weekly(timetable: CurfewTimetable, start: int, end: int) -> list[Interval]:
    """The periods of a timetable that can overlap two clock minutes, and a few beyond."""
    found = []
    for ordinal in range(start // DAY_MINUTES - 1, end // DAY_MINUTES + 1):
        day = ordinal * DAY_MINUTES
        for entry in timetable.entries:
            if (ordinal - 1) % 7 in entry.days:  # 0001-01-01, ordinal 1, was a Monday
                to_minute = entry.end + (DAY_MINUTES if entry.past_midnight else 0)
                found.append((day + entry.start, day + to_minute))
    return found


def by_calendar(periods: Sequence[Interval], days: Interval) -> list[int]:
    """Minutes of curfew that lie in each civil day, for ``days`` (ordinals) from the one up to and with the other."""
    total = [0] * (days[1] - days[0] + 1)
    for start, end in periods:
        while start < end:
            ordinal = start // DAY_MINUTES
            cut = min(end, (ordinal + 1) * DAY_MINUTES)
            if days[0] <= ordinal <= days[1]:
                total[ordinal - days[0]] += cut - start
            start = cut
    return total


def by_start(periods: Sequence[Interval], days: Interval) -> list[int]:
    """Minutes of the curfew periods that begin on each civil day; one of over 24 hours begins anew every 24 hours."""
    total = [0] * (days[1] - days[0] + 1)
    for start, end in periods:
        for piece in range(start, end, DAY_MINUTES):
            ordinal = piece // DAY_MINUTES
            if days[0] <= ordinal <= days[1]:
                total[ordinal - days[0]] += min(end - piece, DAY_MINUTES)
    return total


def months_on(day: date, months: int) -> date:
    """The first day after a period of months that begins with ``day``: 12 months from 1 March end before 1 March.

    Where that month has no such day the period takes the whole month: 12 months from 29 February 2024 end with
    28 February 2025, so this is 1 March 2025.
    """
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    first = date(year, month + 1, 1)
    following = (first + timedelta(days=31)).replace(day=1)
    return min(first + timedelta(days=day.day - 1), following)
