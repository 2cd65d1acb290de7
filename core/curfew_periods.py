"""When it is curfew for many wearers at once: rows that kernels read, shared by all who have the same timetable."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit

from core.curfew_calendar import Calendar, Expansion
from core.periods import PeriodPool
from core.readings import I64
from core.slots import Slots
from core.visits import first_after

CALENDAR = np.dtype(
    [
        ("first", np.int64),  # its periods in the pool
        ("last", np.int64),
        ("to_ms", np.int64),  # those that begin up to and with this are there
    ]
)


@dataclass(slots=True)
class _Shared:
    """A calendar, and by how many curfews it is used. ``key``: under which they find it; None: it is one curfew's."""

    source: Calendar | Expansion
    key: object
    users: int = 0
    placed: I64 | None = None
    """What of it stands in the pool."""


class CalendarPool:
    """Calendars by number; their periods stand in one array."""

    def __init__(self) -> None:
        self._periods = PeriodPool()
        self._slots = Slots(terms=[np.zeros(1, CALENDAR)])
        self._numbers: dict[object, int] = {}

    def __len__(self) -> int:
        """For how many calendars there is room, used or not."""
        return len(self._slots)

    @property
    def periods(self) -> I64:
        """Start and end (ms) of all periods, shape ``(n, 2)``."""
        return self._periods.rows

    @property
    def calendars(self) -> Any:
        """Where the periods of each calendar lie, dtype `CALENDAR`."""
        return self._slots.terms[0]

    def take(self, source: Calendar | Expansion, from_ms: int, key: object = None) -> int:
        """The number of ``source``, which is needed from ``from_ms`` on; the same for all who give the same ``key``."""
        number = None if key is None else self._numbers.get(key)
        if number is None:
            number = self._slots.take(1, _Shared(source, key))
            if key is not None:
                self._numbers[key] = number
        self._slots.owners[number].users += 1
        self._work_out(number, from_ms, from_ms)
        return number

    def give_back(self, number: int) -> None:
        """One user less."""
        shared: _Shared = self._slots.owners[number]
        shared.users -= 1
        if not shared.users:
            row = self.calendars[number]
            self._periods.drop(int(row["first"]), int(row["last"]))
            self._slots.give_back(number)
            if shared.key is not None:
                del self._numbers[shared.key]

    def reach(self, numbers: I64, to_ms: int) -> None:
        """See that the periods of these calendars are there that begin up to and with ``to_ms``."""
        short = numbers[self.calendars["to_ms"][numbers] < to_ms]
        for number in np.unique(short).tolist():
            self._work_out(number, to_ms, to_ms)

    def _work_out(self, number: int, from_ms: int, to_ms: int) -> None:
        shared: _Shared = self._slots.owners[number]
        source = shared.source
        source.between(from_ms, to_ms + 1)
        if source.known is not shared.placed:
            row = self.calendars[number]
            self._periods.drop(int(row["first"]), int(row["last"]))
            row["first"], row["last"] = self._periods.put(source.known)
            row["to_ms"], shared.placed = source.known_to_ms, source.known


@njit(cache=True)
def periods_within(
    periods: Any, calendar: Any, from_ms: int, to_ms: int, after_ms: int, upto_ms: int, room: Any
) -> Any:
    """Periods of ``calendar``, cut to ``[from_ms, to_ms)``, that end after ``after_ms`` and begin up to ``upto_ms``.

    Into ``room``, shape ``(n, 2)``, or a longer one where they are more; returns it, and how many they are.
    """
    p = first_after(periods, calendar["first"], calendar["last"], max(after_ms, from_ms))
    count = 0
    while p < calendar["last"] and periods[p, 0] <= upto_ms and periods[p, 0] < to_ms and after_ms < to_ms:
        if count == len(room):
            longer = np.empty((2 * count, 2), np.int64)
            longer[:count] = room
            room = longer
        room[count, 0] = max(periods[p, 0], from_ms)
        room[count, 1] = min(periods[p, 1], to_ms)
        count += 1
        p += 1
    return room, count
