"""State of many wearers as rows of a few arrays, so that one kernel call serves them all."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from core.readings import I64

Rows = npt.NDArray[np.void]


class Slots:
    """Rows that are taken and given back; a slot is the same row of every array in ``rows``.

    ``blanks`` are arrays of one row each: what a row taken begins as.
    """

    def __init__(self, *blanks: Rows) -> None:
        self._blanks = blanks
        self._free: list[int] = []
        self._used = 0
        self.rows = tuple(np.zeros(16, blank.dtype) for blank in blanks)

    def take(self, count: int) -> I64:
        """Numbers of ``count`` slots, all blank."""
        reused = [self._free.pop() for _ in range(min(count, len(self._free)))]
        fresh = range(self._used, self._used + count - len(reused))
        self._used = fresh.stop
        if self._used > len(self.rows[0]):
            self.rows = tuple(_grown(rows, 2 * self._used) for rows in self.rows)
        slots = np.array([*reused, *fresh], np.int64)
        self.clear(slots)
        return slots

    def clear(self, slots: I64) -> None:
        """Make these slots blank again."""
        self.restore(slots, self._blanks)

    def give_back(self, slots: I64) -> None:
        """These slots are no longer used."""
        self._free.extend(int(slot) for slot in slots)

    def save(self, slots: I64) -> tuple[Rows, ...]:
        """Copies of the rows of ``slots``."""
        return tuple(rows[slots] for rows in self.rows)

    def restore(self, slots: I64, saved: tuple[Rows, ...]) -> None:
        """Put back what `save` gave."""
        for rows, row in zip(self.rows, saved, strict=True):
            rows[slots] = row


def _grown(rows: Rows, length: int) -> Rows:
    grown = np.zeros(length, rows.dtype)
    grown[: len(rows)] = rows
    return grown
