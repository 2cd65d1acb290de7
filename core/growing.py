"""Arrays that grow by doubling, so that adding costs only what is added."""

from __future__ import annotations

from typing import Any, Generic, TypeVar

import numpy as np
import numpy.typing as npt

Scalar = TypeVar("Scalar", bound=np.generic)


class Growing(Generic[Scalar]):
    """An array that rows are appended to; ``like`` gives dtype and the shape of a row (its length is ignored)."""

    def __init__(self, like: npt.NDArray[Scalar]) -> None:
        self._room: npt.NDArray[Scalar] = like[:0]
        self._count = 0

    def __len__(self) -> int:
        return self._count

    @property
    def rows(self) -> npt.NDArray[Scalar]:
        """What is there (a view: another append may leave it behind)."""
        return self._room[: self._count]

    def append(self, rows: npt.NDArray[Any]) -> None:
        """Add ``rows`` at the end; the first ones are kept as they are, not copied, if they are nobody else's view."""
        if not len(self._room) and rows.base is None and rows.dtype == self._room.dtype:
            self._room, self._count = rows, len(rows)
            return
        need = self._count + len(rows)
        if need > len(self._room):
            room = np.empty((max(need, 2 * len(self._room)), *self._room.shape[1:]), self._room.dtype)
            room[: self._count] = self.rows
            self._room = room
        self._room[self._count : need] = rows
        self._count = need

    def cut_back(self, count: int) -> None:
        """Keep only the first ``count``."""
        self._count = min(self._count, count)
