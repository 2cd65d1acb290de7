"""When zones are in force: the periods of every watch."""

from __future__ import annotations

from collections.abc import Sequence

from core.activation import ALWAYS_MS
from core.readings import I64
from core.schedule import Interval, Schedule, without
from core.timetable import columns, joined

AHEAD_MS = 8 * 86_400_000
"""How far beyond the instant asked for periods are worked out: a week holds the next period of every timetable."""

Part = tuple[int, int, Schedule]
"""From, to (UTC ms) and the schedule in force between them."""


class Calendar:
    """The periods of one watch: those of each version of the order while it is in force, joined where they touch."""

    def __init__(self, parts: Sequence[Part], timezone: str) -> None:
        self._parts, self._timezone = tuple(parts), timezone
        weekly = any(schedule.weekly is not None for _, _, schedule in self._parts)
        self.known_to_ms = self._parts[0][0] if weekly else ALWAYS_MS
        """Periods that begin before this are known."""

    def extend(self, to_ms: int) -> None:
        """Work further periods out. Each time as far again, so that the work stays in proportion to the time."""
        if self.known_to_ms <= to_ms:
            first_ms = self._parts[0][0]
            self.known_to_ms = to_ms + max(AHEAD_MS, self.known_to_ms - first_ms)

    def periods(self) -> I64:
        """All periods that begin before ``known_to_ms``, ascending, shape ``(n, 2)``, cut to the watch."""
        return columns(joined(interval for part in self._parts for interval in self._cut(*part)))

    def whole_periods(self) -> list[Interval]:
        """The periods that the watch holds from beginning to end; those that the horizon may have cut are left out."""
        uncut = [interval for part in self._parts for interval in self._uncut(*part)]
        starts, ends = {start for start, _ in uncut}, {end for _, end in uncut}
        return [
            (start, end)
            for start, end in self.periods().tolist()
            if start in starts and end in ends and end < self.known_to_ms
        ]

    def _uncut(self, from_ms: int, to_ms: int, schedule: Schedule) -> list[Interval]:
        if schedule.weekly is not None:
            end_ms = min(to_ms, self.known_to_ms)
            return schedule.periods(from_ms, end_ms, self._timezone) if from_ms < end_ms else []
        if schedule.dated:
            return without(joined(schedule.dated), schedule.exceptions)
        return without([(from_ms, to_ms)], schedule.exceptions)

    def _cut(self, from_ms: int, to_ms: int, schedule: Schedule) -> list[Interval]:
        found = self._uncut(from_ms, to_ms, schedule)
        return [(max(a, from_ms), min(b, to_ms)) for a, b in found if b > from_ms and a < to_ms]
