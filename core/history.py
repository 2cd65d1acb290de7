"""The readings of one activation, kept in order of tag time, kind by kind, each once.

Rows, their order and what makes two readings the same: `core.rows`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from core.activation import ALWAYS_MS
from core.growing import Growing
from core.rows import DTYPES, FIX, Fixes, Rows, cut, fixes_from, repeats

__all__ = ["FIX", "Ends", "Fixes", "History", "Timeline", "cut", "fixes_from"]

Ends = tuple[int, ...]
"""So many readings of each kind, the first ones."""
_NO_ROWS = tuple(np.zeros(0, dtype) for dtype in DTYPES)


class History:
    """All readings of one kind in order; adding in order costs only what is added."""

    __slots__ = ("_rows",)

    def __init__(self, dtype: np.dtype[np.void] = FIX) -> None:
        self._rows = Growing(np.zeros(0, dtype))

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def fixes(self) -> Rows:
        """The readings, ascending (a view: do not keep it)."""
        return self._rows.rows

    def add(self, fixes: Rows) -> int:
        """Add readings, sorted, each once; the index from which anything is new, the length if nothing is."""
        kept = self.fixes
        count = len(kept)
        if not len(fixes):
            return count
        if not count or _name(fixes[0]) > _name(kept[-1]):
            self._rows.append(fixes)
            return count
        at = int(np.searchsorted(kept["t_ms"], fixes[0]["t_ms"]))
        together = np.concatenate([kept[at:], fixes])
        # stable: what is kept comes before its repeat
        order = np.lexsort((together["key"], together["t_ms"]))
        together, fresh = together[order], order >= count - at
        once = ~repeats(together)
        together, fresh = together[once], fresh[once]
        if not fresh.any():
            return count
        self._rows.cut_back(at)
        self._rows.append(together)
        return at + int(np.argmax(fresh))

    def after(self, t_ms: int) -> History | None:
        """A history of the readings dated after ``t_ms`` only; None if there are none."""
        rows = self.fixes[_upto(self.fixes, t_ms) :]
        if not len(rows):
            return None
        rest = History(rows.dtype)
        rest.add(rows)
        return rest


def _name(row: Any) -> tuple[int, int]:
    return int(row["t_ms"]), int(row["key"])


class Timeline:
    """The readings of one activation, a `History` for every kind that it has."""

    __slots__ = ("_kinds",)

    def __init__(self) -> None:
        self._kinds: list[History | None] = [None] * len(DTYPES)

    def __len__(self) -> int:
        return sum(len(history) for history in self._kinds if history is not None)

    def rows(self, kind: int) -> Rows:
        """The readings of one kind, ascending (a view: do not keep it)."""
        history = self._kinds[kind]
        return _NO_ROWS[kind] if history is None else history.fixes

    def add(self, added: tuple[Rows | None, ...]) -> int:
        """Add readings as `core.rows.rows_from` makes them; the first instant at which anything is new.

        ALWAYS_MS if nothing is.
        """
        first_ms = ALWAYS_MS
        for kind, rows in enumerate(added):
            if rows is None:
                continue
            history = self._kinds[kind]
            if history is None:
                history = self._kinds[kind] = History(DTYPES[kind])
            at = history.add(rows)
            if at < len(history):
                first_ms = min(first_ms, int(history.fixes["t_ms"][at]))
        return first_ms

    def drop(self, upto_ms: int) -> None:
        """Keep only the readings dated after ``upto_ms``."""
        for kind, history in enumerate(self._kinds):
            if history is not None and len(history):
                self._kinds[kind] = history.after(upto_ms)

    def ends(self, upto_ms: int) -> Ends:
        """How many readings of each kind are dated up to and with ``upto_ms``."""
        return tuple(0 if h is None else _upto(h.fixes, upto_ms) for h in self._kinds)

    def stride(self, done: Ends, until: Ends, most: int, rest: int = 0) -> Ends:
        """From ``done`` towards ``until``: about ``most`` of a kind, and no instant divided.

        The last stride is one of about ``rest``, so that a checkpoint comes to lie before it (0: no matter).
        """
        left = max(map(int.__sub__, until, done))
        most = min(most, left - rest) if left > rest else left
        over = [kind for kind in range(len(until)) if until[kind] - done[kind] > most]
        if not over:
            return until
        upto_ms = min(int(self.rows(kind)["t_ms"][done[kind] + most - 1]) for kind in over)
        return self.ends(upto_ms)

    def last_ms(self, ends: Ends) -> int:
        """The latest instant among the first readings, so many of each kind; −ALWAYS_MS if there are none."""
        dated = [int(self.rows(kind)["t_ms"][end - 1]) for kind, end in enumerate(ends) if end]
        return max(dated, default=-ALWAYS_MS)


def _upto(rows: Rows, upto_ms: int) -> int:
    count = len(rows)
    if not count or rows["t_ms"][-1] <= upto_ms:
        return count
    return int(np.searchsorted(rows["t_ms"], upto_ms, "right"))
