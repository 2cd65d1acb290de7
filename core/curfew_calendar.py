"""When it is curfew, and at which addresses: UTC periods per set of addresses, for each version of the order.

Where an order has several addresses, each has its own times. Time divides into periods through which the same
addresses will do; a period at another set of addresses is another period. Authorised absences are no curfew.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from core.activation import Stretch, Watch
from core.conditions import CurfewCondition
from core.readings import I64
from core.schedule import Interval, without
from core.timetable import DAY_MINUTES, CurfewTimetable, columns, joined

_DAY_MS = 86_400_000
AHEAD_MS = 8 * _DAY_MS
"""How far beyond now periods are worked out: a week holds the next period of every timetable."""
_WEEK_MINUTES = 7 * DAY_MINUTES

AddressSet = tuple[int, ...]
"""Addresses of a curfew of which any will do, by their number in `CurfewCondition.places`, ascending."""


class _Timetable(Protocol):
    def periods(self, from_ms: int, to_ms: int, timezone: str) -> list[Interval]: ...


@dataclass(frozen=True, slots=True)
class _Only:
    """The times at which all of ``these`` timetables say curfew, and none of the ``others``."""

    these: tuple[CurfewTimetable, ...]
    others: tuple[CurfewTimetable, ...]

    def periods(self, from_ms: int, to_ms: int, timezone: str) -> list[Interval]:
        """As `CurfewTimetable.periods`."""
        span = from_ms - AHEAD_MS, to_ms + AHEAD_MS
        found = self.these[0].periods(*span, timezone)
        for timetable in self.these[1:]:
            # what is in both is the one less what the other lacks
            found = without(found, without([_around(found, *span)], timetable.periods(*span, timezone)))
        for timetable in self.others:
            found = without(found, timetable.periods(*span, timezone))
        return [(start, end) for start, end in found if end > from_ms and start < to_ms]


def _around(periods: Sequence[Interval], from_ms: int, to_ms: int) -> Interval:
    return min([from_ms, *(start for start, _ in periods)]), max([to_ms, *(end for _, end in periods)])


def address_sets(condition: CurfewCondition) -> list[AddressSet]:
    """The sets of addresses that the timetables ask for at some time of the week, ascending."""
    if not condition.also:
        return [(0,)]
    weeks = [_minutes_of_week(place.timetable) for place in condition.places]
    marks = sorted({minute for week in weeks for span in week for minute in span})
    found = set()
    for minute in marks:
        found.add(tuple(i for i, week in enumerate(weeks) if any(a <= minute < b for a, b in week)))
    return sorted(found - {()})


def _minutes_of_week(timetable: CurfewTimetable) -> list[tuple[int, int]]:
    """A timetable as spans of minutes after the midnight on which Monday begins, within the week."""
    spans = []
    for entry in timetable.entries:
        for day in entry.days:
            start = day * DAY_MINUTES + entry.start
            end = day * DAY_MINUTES + entry.end + (DAY_MINUTES if entry.past_midnight else 0)
            spans.append((start, min(end, _WEEK_MINUTES)))
            if end > _WEEK_MINUTES:
                spans.append((0, end - _WEEK_MINUTES))
    return spans


def timetable_of(condition: CurfewCondition, addresses: AddressSet) -> CurfewTimetable | _Only:
    """When ``addresses``, and no others, will do."""
    if not condition.also:
        return condition.timetable
    places = list(enumerate(condition.places))
    return _Only(
        tuple(place.timetable for i, place in places if i in addresses),
        tuple(place.timetable for i, place in places if i not in addresses),
    )


class Expansion:
    """The periods of one timetable in UTC, worked out as far as they were asked for; shared by all who have it."""

    def __init__(self, timetable: _Timetable, timezone: str) -> None:
        self._timetable, self._timezone = timetable, timezone
        self._from_ms = self._to_ms = 0
        self._periods = columns([])

    @property
    def known(self) -> I64:
        """All periods worked out so far; the same array until there are more."""
        return self._periods

    @property
    def known_to_ms(self) -> int:
        """Those that begin up to and with this are known."""
        return self._to_ms - 1

    def between(self, from_ms: int, to_ms: int) -> I64:
        """Whole periods that overlap ``[from_ms, to_ms)``, ascending, shape ``(n, 2)``."""
        if from_ms < self._from_ms or to_ms > self._to_ms:
            if self._from_ms == self._to_ms:
                self._from_ms, self._to_ms = from_ms, to_ms
            # further each time, so that all the working out stays in proportion to the time covered
            more_ms = max(AHEAD_MS, self._to_ms - self._from_ms)
            if from_ms <= self._from_ms:
                self._from_ms = from_ms - more_ms
            if to_ms >= self._to_ms:
                self._to_ms = to_ms + more_ms
            self._periods = columns(self._timetable.periods(self._from_ms, self._to_ms, self._timezone))
        lo = np.searchsorted(self._periods[:, 1], from_ms, "right")
        hi = np.searchsorted(self._periods[:, 0], to_ms, "left")
        return self._periods[lo:hi]


class Calendar:
    """The curfew periods of one watch at one set of addresses: those of each version of the order while in force."""

    def __init__(
        self,
        watch: Watch[CurfewCondition],
        parts: Sequence[tuple[Stretch[CurfewCondition], Expansion]],
        authorised: Sequence[Interval],
    ) -> None:
        self._parts = tuple(parts)
        self._authorised = tuple(authorised)
        self._known_to_ms = watch.from_ms
        self._periods = columns([])

    @property
    def known(self) -> I64:
        """All periods worked out so far, where they are not one timetable's; the same array until there are more."""
        return self._periods

    @property
    def known_to_ms(self) -> int:
        """Those that begin up to and with this are known."""
        return self._known_to_ms

    def between(self, from_ms: int, to_ms: int) -> I64:
        """Periods that end after ``from_ms`` and begin at or before ``to_ms``, ascending, shape ``(n, 2)``."""
        if len(self._parts) == 1 and not self._authorised:
            return _clipped(*self._parts[0], from_ms, to_ms)
        # where versions meet, two periods may be one: work them out from the first version on, and keep them
        if to_ms > self._known_to_ms:
            first_ms = self._parts[0][0].from_ms
            self._known_to_ms = to_ms + max(AHEAD_MS, self._known_to_ms - first_ms)
            parts = [_clipped(*part, first_ms, self._known_to_ms) for part in self._parts]
            whole = joined((int(a), int(b)) for part in parts for a, b in part)
            self._periods = columns(without(whole, self._authorised))
        lo = np.searchsorted(self._periods[:, 1], from_ms, "right")
        hi = np.searchsorted(self._periods[:, 0], to_ms, "right")
        return self._periods[lo:hi]


def _clipped(stretch: Stretch[CurfewCondition], expansion: Expansion, from_ms: int, to_ms: int) -> I64:
    """The periods of one stretch from ``from_ms`` up to and with ``to_ms``, cut where the stretch begins and ends."""
    from_ms, to_ms = max(from_ms, stretch.from_ms), min(to_ms + 1, stretch.to_ms)
    if from_ms >= to_ms:
        return columns([])
    found: I64 = np.minimum(np.maximum(expansion.between(from_ms, to_ms), stretch.from_ms), stretch.to_ms)
    return found
