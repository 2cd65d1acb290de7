"""The readings of one activation, kept in order of tag time, kind by kind, each once.

Rows, their order and what makes two readings the same: `core.rows`.
"""

from __future__ import annotations

import numpy as np

from core.activation import ALWAYS_MS
from core.rows import DTYPES, FIX, Fixes, Rows, cut, fixes_from, name_of, order_of, repeats

__all__ = ["FIX", "Ends", "Fixes", "History", "Timeline", "cut", "fixes_from"]

Ends = tuple[int, ...]
"""So many readings of each kind, the first ones."""
_NO_ROWS = tuple(np.zeros(0, dtype) for dtype in DTYPES)


class History:
    """All readings of one kind in order; adding in order costs only what is added."""

    __slots__ = ("_count", "_room")

    def __init__(self, dtype: np.dtype[np.void] = FIX) -> None:
        self._room: Rows = np.zeros(0, dtype)
        self._count = 0

    def __len__(self) -> int:
        return self._count

    @property
    def fixes(self) -> Rows:
        """The readings, ascending (a view: do not keep it)."""
        return self._room[: self._count]

    def add(self, fixes: Rows) -> int:
        """Add readings, sorted, each once; the index from which anything is new, the length if nothing is."""
        count = self._count
        if not len(fixes):
            return count
        if not count or name_of(fixes[0]) > name_of(self._room[count - 1]):
            self._append(fixes)
            return count
        kept = self.fixes
        at = int(np.searchsorted(kept["t_ms"], fixes[0]["t_ms"]))
        together = np.concatenate([kept[at:], fixes])
        # stable: what is kept comes before its repeat
        order = order_of(together)
        together, fresh = together[order], order >= count - at
        once = ~repeats(together)
        together, fresh = together[once], fresh[once]
        if not fresh.any():
            return count
        self._count = at
        self._append(together)
        return at + int(np.argmax(fresh))

    def _append(self, rows: Rows) -> None:
        need = self._count + len(rows)
        if not self._count and rows.base is None:
            # nobody else's view: kept as they are
            self._room = rows
        else:
            if need > len(self._room):
                # by half as many again, so that adding costs only what is added
                room = np.empty(max(need, 4, len(self._room) * 3 // 2), self._room.dtype)
                room[: self._count] = self.fixes
                self._room = room
            self._room[self._count : need] = rows
        self._count = need

    def after(self, t_ms: int) -> History | None:
        """A history of the readings dated after ``t_ms`` only; None if there are none."""
        first = _upto(self.fixes, t_ms)
        if first == self._count:
            return None
        rest = History(self._room.dtype)
        rest._append(self.fixes[first:].copy())
        return rest


class Timeline:
    """The readings of one activation, a `History` for every kind that it has."""

    __slots__ = ("_kinds", "_last_ms", "counts")

    def __init__(self) -> None:
        self._kinds: tuple[History | None, ...] = (None,) * len(DTYPES)
        self.counts: Ends = (0,) * len(DTYPES)
        """How many there are of each kind."""
        self._last_ms = -ALWAYS_MS

    def __len__(self) -> int:
        return sum(self.counts)

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
                history = History(DTYPES[kind])
                self._kinds = (*self._kinds[:kind], history, *self._kinds[kind + 1 :])
            at = history.add(rows)
            if at < len(history):
                t_ms = history.fixes["t_ms"]
                first_ms = min(first_ms, int(t_ms[at]))
                self._last_ms = max(self._last_ms, int(t_ms[-1]))
                self._count()
        return first_ms

    def drop(self, upto_ms: int) -> None:
        """Keep only the readings dated after ``upto_ms``."""
        self._kinds = tuple(None if h is None else h.after(upto_ms) for h in self._kinds)
        self._count()
        self._last_ms = max(
            (int(h.fixes["t_ms"][-1]) for h in self._kinds if h is not None), default=-ALWAYS_MS
        )

    def _count(self) -> None:
        self.counts = tuple([0 if h is None else len(h) for h in self._kinds])

    def ends(self, upto_ms: int) -> Ends:
        """How many readings of each kind are dated up to and with ``upto_ms``."""
        if upto_ms >= self._last_ms:
            return self.counts
        return tuple(0 if h is None else _upto(h.fixes, upto_ms) for h in self._kinds)

    def stride(self, done: Ends, until: Ends, most: int, rest: int = 0) -> Ends:
        """From ``done`` towards ``until``: about ``most`` of a kind, and no instant divided.

        The last stride is one of about ``rest``, so that a checkpoint comes to lie before it (0: no matter).
        """
        left = max(map(int.__sub__, until, done))
        if left <= rest or (left <= most and not rest):
            return until
        most = min(most, left - rest) if left > rest else left
        over = [kind for kind in range(len(until)) if until[kind] - done[kind] > most]
        if not over:
            return until
        upto_ms = min(int(self.rows(kind)["t_ms"][done[kind] + most - 1]) for kind in over)
        return self.ends(upto_ms)

    def last_ms(self, ends: Ends) -> int:
        """The latest instant among the first readings, so many of each kind; −ALWAYS_MS if there are none."""
        if ends == self.counts:
            return self._last_ms
        dated = [int(self.rows(kind)["t_ms"][end - 1]) for kind, end in enumerate(ends) if end]
        return max(dated, default=-ALWAYS_MS)


def _upto(rows: Rows, upto_ms: int) -> int:
    count = len(rows)
    if not count or rows["t_ms"][-1] <= upto_ms:
        return count
    return int(np.searchsorted(rows["t_ms"], upto_ms, "right"))
