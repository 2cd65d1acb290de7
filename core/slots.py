"""State of many wearers as rows of a few arrays, so that one kernel call serves them all."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Rows = npt.NDArray[Any]


class Slots:
    """Rows that are taken and given back; a slot is the same row of every array in ``rows`` and ``terms``.

    ``blanks`` are arrays of one row each: what a row of ``rows``, which are state, begins as. ``terms`` are the same
    for what does not change while a slot is taken; it is neither saved nor made blank again. ``owners`` notes who has a
    slot.

    Slots are taken in runs, one after the other. A run given back goes to the next who wants as many: there are never
    more than were in use at once, of each length.
    """

    def __init__(self, *blanks: Rows, terms: Sequence[Rows] = ()) -> None:
        self._blanks, self._free_terms = blanks, tuple(terms)
        self._free: dict[int, list[int]] = {}
        self._used = 0
        self.owners: list[Any] = []
        self.rows = tuple(_grown(blank[:0], 16) for blank in blanks)
        self.terms = tuple(_grown(term[:0], 16) for term in terms)

    def __len__(self) -> int:
        """How many slots there are, taken or free."""
        return self._used

    def take(self, count: int = 1, owner: object = None) -> int:
        """The first of ``count`` slots that follow each other, all blank."""
        free = self._free.get(count)
        if free:
            first = free.pop()
        else:
            first = self._used
            self._used += count
            if self._used > len((*self.rows, *self.terms)[0]):
                # by an eighth, as lists grow: at a million wearers room that is not used is memory all the same
                length = max(self._used + self._used // 8, 2 * count, 16)
                self.rows = tuple(_grown(rows, length) for rows in self.rows)
                self.terms = tuple(_grown(rows, length) for rows in self.terms)
        if owner is not None:
            if len(self.owners) < self._used:
                self.owners += [None] * (self._used - len(self.owners))
            self.owners[first : first + count] = [owner] * count
        for rows, blank in zip(self.terms, self._free_terms, strict=True):
            rows[first : first + count] = blank
        self.clear(first, count)
        return first

    def clear(self, first: int, count: int = 1) -> None:
        """Make the state of these slots blank again."""
        for rows, blank in zip(self.rows, self._blanks, strict=True):
            rows[first : first + count] = blank

    def give_back(self, first: int, count: int = 1) -> None:
        """These slots, taken together, are no longer used."""
        if first < len(self.owners):
            self.owners[first : first + count] = [None] * count
        self._free.setdefault(count, []).append(first)

    def save(self, first: int, count: int = 1) -> bytes:
        """The state of these slots, array by array."""
        return b"".join([rows[first : first + count].tobytes() for rows in self.rows])

    def restore(self, first: int, count: int, saved: bytes) -> None:
        """Put back what `save` gave, of these slots or, in another life of this program, of others as many.

        A row that names its own slot (``watch``) then names the one that it lies in now.
        """
        offset = 0
        for rows in self.rows:
            rows[first : first + count] = np.frombuffer(saved, rows.dtype, count, offset)
            offset += count * rows.itemsize
            _renumber(rows[first : first + count], first)
        if offset != len(saved):
            raise ValueError(f"{len(saved)} bytes of saved state where {offset} are meant")


def room_for(count: int) -> int:
    """``count`` or up to a quarter more: one of few lengths, so that runs of about as many serve each other's users."""
    step = 1 << max(count.bit_length() - 3, 0)
    return -(-count // step) * step


def _renumber(rows: Rows, first: int) -> None:
    for name in rows.dtype.names or ():
        if name == "watch":
            rows[name] = np.arange(first, first + len(rows))
        elif rows.dtype[name].names:
            _renumber(rows[name], first)


def _grown(rows: Rows, length: int) -> Rows:
    grown = np.zeros((length, *rows.shape[1:]), rows.dtype)
    grown[: len(rows)] = rows
    return grown
