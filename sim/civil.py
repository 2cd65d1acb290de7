"""Civil time of the people: local days of a stretch of time, and instants on them. Right on both clock changes."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from core.timetable import instant

LONDON = ZoneInfo("Europe/London")
MINUTE_MS = 60_000
DAY_MIN = 1440


@dataclass(frozen=True, slots=True)
class Days:
    """Local days from the one before ``start_ms`` to some after ``end_ms``: day 1 is the civil day of the start.

    ``midnight[d]`` is the instant (UTC ms) at which day ``d`` begins, ``weekday[d]`` 0 for a Monday.
    """

    start_ms: int
    end_ms: int
    first: date
    midnight: tuple[int, ...]
    weekday: tuple[int, ...]

    @property
    def count(self) -> int:
        """How many days people live, the one before the start among them."""
        return len(self.midnight) - 3

    @property
    def weeks(self) -> list[range]:
        """The days of each week of the life, the last one maybe shorter; neither the day before nor the day after."""
        last = self.count - 1
        return [range(day, min(day + 7, last)) for day in range(1, last, 7)]

    def at(self, day: int, minute: float) -> int:
        """The instant of day ``day`` at which the clock shows ``minute`` after midnight or later.

        1440 and more lie on later days, less than 0 on earlier ones.
        """
        day, minute = day + int(minute // DAY_MIN), minute % DAY_MIN
        begins = self.midnight[day]
        if self.midnight[day + 1] - begins == DAY_MIN * MINUTE_MS:
            return begins + round(minute * MINUTE_MS)
        whole = int(minute)
        return instant(self.first + timedelta(days=day), whole, LONDON) + round((minute - whole) * MINUTE_MS)


@lru_cache(maxsize=64)
def days_of(start_ms: int, days: int) -> Days:
    """The days of a life of ``days`` times 24 hours from ``start_ms``."""
    first = datetime.fromtimestamp(start_ms // 1000, LONDON).date() - timedelta(days=1)
    dates = [first + timedelta(days=d) for d in range(days + 5)]
    midnight = tuple(instant(day, 0, LONDON) for day in dates)
    end_ms = start_ms + days * DAY_MIN * MINUTE_MS
    return Days(start_ms, end_ms, first, midnight, tuple(day.weekday() for day in dates))
