"""When something holds: always, weekly or on dates, with exceptions; and intervals of UTC milliseconds.

An interval is ``(from_ms, to_ms)``: from the one up to, not with, the other.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from core.timetable import CurfewTimetable, joined

Interval = tuple[int, int]
ALWAYS_MS = 1 << 60
"""Later than any instant; −ALWAYS_MS is earlier than any."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """The times at which a condition holds.

    ``weekly`` are civil times of every week; ``dated`` are intervals that are added to them (a football match, an
    appointment); with neither of the two it always holds. ``exceptions`` are taken from all of that (a hearing at the
    court that lies in the zone).
    """

    weekly: CurfewTimetable | None = None
    dated: tuple[Interval, ...] = ()
    exceptions: tuple[Interval, ...] = ()

    @property
    def always(self) -> bool:
        """Does it hold at every instant?"""
        return self.weekly is None and not self.dated and not self.exceptions

    def periods(self, from_ms: int, to_ms: int, timezone: str) -> list[Interval]:
        """When it holds, as intervals that overlap ``[from_ms, to_ms)``, ascending, apart from each other.

        Weekly and dated periods come whole, as far as no exception cuts them; what always holds comes cut to
        ``from_ms`` and ``to_ms``, because it has no other ends.
        """
        if self.weekly is None and not self.dated:
            return without([(from_ms, to_ms)], self.exceptions)
        weekly = [] if self.weekly is None else self.weekly.periods(from_ms, to_ms, timezone)
        # an interval that touches a period found is one with it, even where it lies wholly outside the span
        whole = without(joined([*weekly, *self.dated]), self.exceptions)
        return [(start, end) for start, end in whole if end > from_ms and start < to_ms]


ALWAYS = Schedule()


def without(periods: Iterable[Interval], taken: Sequence[Interval]) -> list[Interval]:
    """``periods`` (ascending, apart) less every instant in ``taken``."""
    found: list[Interval] = []
    gaps, i = joined(taken), 0
    for start, end in periods:
        while i < len(gaps) and gaps[i][1] <= start:
            i += 1
        for gap_start, gap_end in itertools.islice(gaps, i, None):
            if gap_start >= end:
                break
            if gap_start > start:
                found.append((start, gap_start))
            start = gap_end
        if start < end:
            found.append((start, end))
    return found
