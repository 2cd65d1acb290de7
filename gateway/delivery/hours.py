"""Civil hours of routes and contacts, and the set times of digests, through every change of the clocks."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_HOURS = re.compile(
    r"(?:(mon|tue|wed|thu|fri|sat|sun)(?:-(mon|tue|wed|thu|fri|sat|sun))? )?(\d\d):(\d\d)-(\d\d):(\d\d)",
    re.ASCII,
)
_TIME = re.compile(r"(\d\d):(\d\d)", re.ASCII)
_DAY_MIN = 24 * 60


@dataclass(frozen=True, slots=True)
class Hours:
    """``days`` (0 is Monday) on which the hours begin; minutes of the day, ``end_min`` not included.

    Hours that end at or before they begin go on into the next day.
    """

    days: frozenset[int]
    begin_min: int
    end_min: int


def hours(text: str) -> Hours:
    """Read ``mon-fri 08:00-18:00``, ``sat 09:00-12:00`` or ``22:00-06:00`` (every day). Raises ValueError."""
    match = _HOURS.fullmatch(text.strip().lower())
    if match is None:
        raise ValueError(f"{text!r} are no hours: write them like 'mon-fri 08:00-18:00' or '22:00-06:00'")
    first, last, *figures = match.groups()
    begin = _minute(figures[0], figures[1], text)
    end = _minute(figures[2], figures[3], text)
    if first is None:
        return Hours(frozenset(range(7)), begin, end)
    start = DAYS.index(first)
    count = 1 if last is None else (DAYS.index(last) - start) % 7 + 1
    return Hours(frozenset((start + day) % 7 for day in range(count)), begin, end)


def clock_time(text: str) -> time:
    """Read ``08:00``. Raises ValueError."""
    match = _TIME.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"{text!r} is no time of day: write it like '08:00'")
    minute = _minute(match[1], match[2], text)
    if minute == _DAY_MIN:
        raise ValueError("write midnight as '00:00'")
    return time(minute // 60, minute % 60)


def within(spans: Sequence[Hours], now_ms: int, zone: ZoneInfo) -> bool:
    """Whether the civil time at ``now_ms`` lies in one of ``spans``; in none there is always time.

    An hour that happens twice in autumn counts twice, one that is left out in spring not at all.
    """
    if not spans:
        return True
    local = datetime.fromtimestamp(now_ms / 1000, zone)
    minute, today = local.hour * 60 + local.minute, local.weekday()
    return any(_covers(span, minute, today) for span in spans)


def next_time(times: Sequence[time], now_ms: int, zone: ZoneInfo) -> int:
    """The first of the ``times`` of day after ``now_ms``, UTC ms.

    A time that happens twice is the first of the two; one that is left out is as long after the change as it would
    have been after the hour before.
    """
    today = datetime.fromtimestamp(now_ms / 1000, zone).date()
    found = [
        _utc_ms(datetime.combine(today + timedelta(days=day), one, zone)) for day in range(3) for one in times
    ]
    return min(t_ms for t_ms in found if t_ms > now_ms)


def _utc_ms(local: datetime) -> int:
    return round(local.astimezone(UTC).timestamp() * 1000)


def _covers(span: Hours, minute: int, today: int) -> bool:
    if span.begin_min < span.end_min:
        return today in span.days and span.begin_min <= minute < span.end_min
    if today in span.days and minute >= span.begin_min:
        return True
    return (today - 1) % 7 in span.days and minute < span.end_min


def _minute(hour: str, minute: str, text: str) -> int:
    found = int(hour) * 60 + int(minute)
    if int(minute) > 59 or found > _DAY_MIN:
        raise ValueError(f"{text!r}: there is no {hour}:{minute} o'clock")
    return found
