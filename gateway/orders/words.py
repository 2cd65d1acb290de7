"""Values as the order service writes them: lenient in form, strict in meaning; no guesses.

What can not be read comes back as None, and whoever asked makes a task of it. An empty text, null and a missing field
are the same: absent.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from core.timetable import DAY_MINUTES, instant
from gateway.orders.reading import Number

_YES, _NO = ("true", "yes", "y", "1"), ("false", "no", "n", "0")
_DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_DATE = re.compile(r"(\d{4})-(\d{1,2})-(\d{1,2})|(\d{1,2})/(\d{1,2})/(\d{4})|(\d{4})(\d{2})(\d{2})")
_CLOCK = re.compile(
    r"(\d{1,2})[:.](\d{2})(?:[:.](\d{2})(?:[.,]\d+)?)?\s*([ap]\.?m\.?)?|(\d{1,2})\s*([ap]\.?m\.?)", re.I
)
_ZONE = re.compile(r"(z|utc|gmt|[+-]\d{2}:?\d{2})$", re.I)
_FIRST, _LAST = date(1970, 1, 2), date(2099, 12, 30)
"""Dates of an order lie between these (`core.document`), whatever the zone."""


def text(value: object) -> str:
    """A text, without spaces around it; '' where there is none. Numbers count as they were written.

    What no database can hold (half characters, NUL) becomes a replacement character.
    """
    if isinstance(value, Number):
        return value.text
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list) and len(value) == 1:  # some systems wrap every value
        return text(value[0])
    if not isinstance(value, str):
        return ""
    return value.encode("utf-8", "replace").decode().replace("\x00", "�").strip()


def is_absent(value: object) -> bool:
    """Whether a field says nothing: missing, null, empty, or a list or object of nothing but that."""
    if isinstance(value, str):
        return not value.strip()
    if isinstance(value, Mapping):
        return all(is_absent(one) for one in value.values())
    if isinstance(value, list):
        return all(is_absent(one) for one in value)
    return value is None


def flag(value: object) -> bool | None:
    """Yes or no."""
    word = text(value).casefold()
    return True if word in _YES else False if word in _NO else None


def folded(value: object) -> str:
    """The letters and digits of a word, small: two that differ in form only are the same."""
    return "".join(re.findall(r"[^\W_]+", text(value).casefold()))


def listed(value: object) -> list[Any]:
    """The entries of a list; a single thing where a list is usual counts as a list of one."""
    if isinstance(value, list):
        return value
    return [] if is_absent(value) else [value]


@dataclass(frozen=True, slots=True)
class Civil:
    """A date, and the time of day where one was told: minutes after midnight; local, or else with its UTC offset."""

    day: date
    minutes: int | None = None
    seconds: int = 0
    offset: timedelta | None = None

    def ms(self, zone: ZoneInfo, *, ends: bool = False) -> int:
        """The instant, UTC ms; a bare date means its beginning or, for an end, the midnight after it."""
        if self.minutes is None:
            return instant(self.day, DAY_MINUTES if ends else 0, zone)
        if self.offset is not None:
            at = datetime(self.day.year, self.day.month, self.day.day, tzinfo=UTC) - self.offset
            return round(at.timestamp() + self.minutes * 60 + self.seconds) * 1000
        return instant(self.day, self.minutes, zone) + self.seconds * 1000


def civil(value: object) -> Civil | None:
    """A date, with or without a time: ``2025-01-22 10:00:00``, ``2025-01-22``, ``22/01/2025 10:00``, ISO 8601."""
    written = text(value)
    found = _DATE.match(written)
    if found is None:
        return None
    parts = [int(part) for part in found.groups() if part is not None]
    year, month, on = reversed(parts) if found[4] else parts
    try:
        day = date(year, month, on)
    except ValueError:
        return None
    if not _FIRST <= day <= _LAST:
        return None
    rest = written[found.end() :]
    if not rest:
        return Civil(day)
    if rest[0] not in "Tt ":
        return None
    return _with_time(day, rest[1:].strip())


def _with_time(day: date, rest: str) -> Civil | None:
    offset = None
    zone = _ZONE.search(rest)
    if zone is not None and (zone[1][0] not in "+-" or len(zone[1]) >= 5):
        offset = _offset(zone[1])
        if offset is None:
            return None
        rest = rest[: zone.start()].strip()
    clock = _clock(rest)
    if clock is None:
        return None
    minutes, seconds = clock
    return Civil(day, minutes, seconds, offset)


def _offset(written: str) -> timedelta | None:
    if written[0] not in "+-":
        return timedelta(0)
    hours, minutes = int(written[1:3]), int(written[-2:])
    if hours > 14 or minutes > 59:
        return None
    return (1 if written[0] == "+" else -1) * timedelta(hours=hours, minutes=minutes)


def birthday(value: object) -> date | None:
    """A date of birth; also one before 1970."""
    found = _DATE.match(text(value))
    if found is None:
        return None
    parts = [int(part) for part in found.groups() if part is not None]
    year, month, on = reversed(parts) if found[4] else parts
    try:
        return date(year, month, on) if 1880 <= year <= 2100 else None
    except ValueError:
        return None


def time_of_day(value: object, *, ends: bool = False) -> int | None:
    """A civil time, minutes after midnight: ``19:00``, ``19:00:00``, ``7pm``; an end of 23:59:59 is the midnight."""
    clock = _clock(text(value))
    if clock is None:
        return None
    minutes, seconds = clock
    if seconds == 0:
        return minutes
    return minutes + 1 if ends and seconds == 59 else None


def _clock(written: str) -> tuple[int, int] | None:
    found = _CLOCK.fullmatch(written)
    if found is None:
        return None
    hour, half = int(found[1] or found[5]), (found[4] or found[6] or "").casefold()[:1]
    minute, second = int(found[2] or 0), int(found[3] or 0)
    if half:
        if not 1 <= hour <= 12:
            return None
        hour = hour % 12 + (12 if half == "p" else 0)
    if (hour, minute, second) == (24, 0, 0):
        return DAY_MINUTES, 0
    if hour > 23 or minute > 59 or second > 59:
        return None
    return hour * 60 + minute, second


def weekday(value: object) -> int | None:
    """A day of the week, 0 for Monday: ``Mo``, ``Wed``, ``Thurs``, ``Sunday``."""
    word = text(value).casefold().rstrip(".")
    if len(word) < 2:
        return None
    return next((i for i, name in enumerate(_DAYS) if name.startswith(word)), None)


def local(ms: int, zone: ZoneInfo) -> str:
    """``2025-01-22 10:00``, by the clock on the wall."""
    return f"{datetime.fromtimestamp(ms / 1000, zone):%Y-%m-%d %H:%M}"


def clock(minutes: int) -> str:
    """``19:00``."""
    return f"{minutes // 60:02d}:{minutes % 60:02d}"
