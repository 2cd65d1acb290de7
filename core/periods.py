"""Periods of many watches as rows of one array, which kernels read."""

from __future__ import annotations

import numpy as np

from core.readings import I64
from core.slots import Slots, room_for


class PeriodPool:
    """Periods, shape ``(n, 2)``: start and end in ms; each user has a range of them.

    Room is given back, so that what users come and go with is used again.
    """

    def __init__(self) -> None:
        self._slots = Slots(np.zeros((1, 2), np.int64))

    def __len__(self) -> int:
        """How many there is room for, used or not."""
        return len(self._slots)

    @property
    def rows(self) -> I64:
        """All periods; what belongs to nobody means nothing."""
        rows: I64 = self._slots.rows[0]
        return rows

    def put(self, periods: I64) -> tuple[int, int]:
        """The range at which ``periods`` stand from now on."""
        if not len(periods):
            return 0, 0
        first = self._slots.take(room_for(len(periods)))
        last = first + len(periods)
        self._slots.rows[0][first:last] = periods
        return first, last

    def drop(self, first: int, last: int) -> None:
        """A range that `put` gave is no longer used."""
        if first < last:
            self._slots.give_back(first, room_for(last - first))
