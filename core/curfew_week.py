"""The curfew periods of one week, and which of them became which when a timetable was varied."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from core.order import Address, CurfewCondition
from core.timetable import DAY_MINUTES, DAYS, CurfewTimetable, joined

WEEK_MINUTES = 7 * DAY_MINUTES


@dataclass(frozen=True, slots=True)
class WeekPeriod:
    """One curfew period of every week: clock minutes after Monday 00:00 (0 to 10079), its length, and where."""

    start: int
    length: int
    address: Address

    @property
    def weekday(self) -> int:
        """The day on which it begins; 0 is Monday."""
        return self.start // DAY_MINUTES

    def __str__(self) -> str:
        begins, ends = self.start % DAY_MINUTES, (self.start + self.length) % DAY_MINUTES
        return (
            f"{DAYS[self.weekday]} {begins // 60:02d}:{begins % 60:02d} to {ends // 60:02d}:{ends % 60:02d}"
        )


def week_of(condition: CurfewCondition) -> list[WeekPeriod]:
    """Every period of a week, per address, ascending; entries that touch are one period, over midnight and Sunday."""
    found = []
    for place in condition.places:
        found += [WeekPeriod(start, length, place.address) for start, length in _circle(place.timetable)]
    return sorted(found, key=lambda period: (period.start, period.length, period.address.name))


def _circle(timetable: CurfewTimetable) -> list[tuple[int, int]]:
    """Start and length of every period of the week, which closes on itself."""
    spans = []
    for entry in timetable.entries:
        for day in entry.days:
            start = day * DAY_MINUTES + entry.start
            end = day * DAY_MINUTES + entry.end + (DAY_MINUTES if entry.past_midnight else 0)
            spans += [(start + week * WEEK_MINUTES, end + week * WEEK_MINUTES) for week in range(3)]
    # of three weeks in a row the middle one has every period whole; where there is no gap, none begins in it
    found = [(a - WEEK_MINUTES, b - a) for a, b in joined(spans) if WEEK_MINUTES <= a < 2 * WEEK_MINUTES]
    return found or [(0, WEEK_MINUTES)]


def shift(one: WeekPeriod, other: WeekPeriod) -> int:
    """By how many minutes the start moved, the shorter way around the week."""
    ahead = (other.start - one.start) % WEEK_MINUTES
    return min(ahead, WEEK_MINUTES - ahead)


def match(
    before: Sequence[WeekPeriod],
    after: Sequence[WeekPeriod],
    may_become: Callable[[WeekPeriod, WeekPeriod], bool],
) -> list[tuple[int, int]]:
    """The largest number of pairs (index before, index after) in which each period stands at most once.

    By augmenting paths: a week has a dozen periods, so the cubic cost is nothing.
    """
    became: dict[int, int] = {}

    def place(i: int, tried: set[int]) -> bool:
        for j, candidate in enumerate(after):
            if j not in tried and may_become(before[i], candidate):
                tried.add(j)
                if j not in became or place(became[j], tried):
                    became[j] = i
                    return True
        return False

    for i in range(len(before)):
        place(i, set())
    return sorted((i, j) for j, i in became.items())
