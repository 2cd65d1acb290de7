"""Curfew timetables: civil times of a week, and the UTC intervals they mean.

One sentence governs both clock changes: **a civil time means the first instant of that date at which the clock shows
that time or a later one.** So a curfew from 01:30 begins, on the night in March on which 01:30 is skipped, when the
clock jumps from 01:00 to 02:00; and on the night in October on which 01:30 comes twice, when it comes first. The same
holds for an end. A curfew from 19:00 to 07:00 thus lasts 11 hours on the one night and 13 on the other.

An end at or before the start falls on the next day. ``24:00`` is the midnight at the end of the day.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt

DAYS = ("Mo", "Tu", "We", "Th", "Fr", "Sa", "Su")
DAY_MINUTES = 24 * 60


@dataclass(frozen=True, slots=True)
class TimetableEntry:
    """One curfew period, on the days on which it starts.

    ``days`` are weekdays (0 is Monday), ``start`` and ``end`` civil minutes after midnight, 0 to 1440.
    """

    days: tuple[int, ...]
    start: int
    end: int

    @property
    def past_midnight(self) -> bool:
        """Does the period run into the next day?"""
        return self.end <= self.start


@dataclass(frozen=True, slots=True)
class CurfewTimetable:
    """The curfew periods of a week, every week."""

    entries: tuple[TimetableEntry, ...]

    def periods(self, from_ms: int, to_ms: int, timezone: str) -> list[tuple[int, int]]:
        """Curfew as UTC intervals ``[start, end)`` in ms, ascending, those that overlap ``[from_ms, to_ms)``.

        Periods are whole, not cut at ``from_ms`` or ``to_ms``. Periods that overlap or touch are one period: two
        entries 19:00–24:00 and 00:00–07:00 are one night.
        """
        zone = ZoneInfo(timezone)
        first = datetime.fromtimestamp(from_ms // 1000, zone).date() - timedelta(days=8)
        last = datetime.fromtimestamp(to_ms // 1000, zone).date() + timedelta(days=8)
        found = []
        for offset in range((last - first).days + 1):
            day = first + timedelta(days=offset)
            for entry in self.entries:
                if day.weekday() in entry.days:
                    start = instant(day, entry.start, zone)
                    end = instant(day + timedelta(days=1) if entry.past_midnight else day, entry.end, zone)
                    # the skipped hour can swallow a whole period (01:10–01:50 in March): it has no length that night
                    if end > start:
                        found.append((start, end))
        return [(start, end) for start, end in joined(found) if end > from_ms and start < to_ms]


def joined(periods: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """``periods`` ascending, with those that overlap or touch made one."""
    whole: list[tuple[int, int]] = []
    for start, end in sorted(periods):
        if whole and start <= whole[-1][1]:
            whole[-1] = (whole[-1][0], max(end, whole[-1][1]))
        else:
            whole.append((start, end))
    return whole


def columns(periods: Sequence[tuple[int, int]]) -> npt.NDArray[np.int64]:
    """Periods as an array of shape ``(n, 2)``: start and end in ms."""
    return np.array(periods, np.int64).reshape(-1, 2)


@lru_cache(maxsize=8192)  # many wearers have the same evenings
def instant(day: date, minutes: int, zone: ZoneInfo) -> int:
    """UTC ms of the first instant of ``day`` at which the clock shows ``minutes`` after midnight or later."""
    if minutes == DAY_MINUTES:
        day, minutes = day + timedelta(days=1), 0
    wanted = datetime(day.year, day.month, day.day, minutes // 60, minutes % 60)
    # fold=0 is the first of two; in a skipped hour it reads the time by the offset before the jump
    utc = wanted.replace(tzinfo=zone).astimezone(UTC)
    if utc.astimezone(zone).replace(tzinfo=None) == wanted:
        return int(utc.timestamp()) * 1000
    # skipped: the clock jumps somewhere in the gap's length before `utc`; find the first second after the jump
    late = int(utc.timestamp())
    early = int(wanted.replace(tzinfo=zone, fold=1).timestamp())
    while late - early > 1:
        middle = (early + late) // 2
        if datetime.fromtimestamp(middle, zone).replace(tzinfo=None) >= wanted:
            late = middle
        else:
            early = middle
    return late * 1000
