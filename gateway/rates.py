"""Who says so much that the others would have to wait.

A tag that obeys the protocol has four messages unanswered at a time, so the gateway's own answers set its pace. One
that does not could fill the one queue that all stand in.
"""

from __future__ import annotations

import threading
from collections import Counter

WINDOW_S = 5.0
"""Over so long a tag's messages are counted: a backlog may come in a burst."""

BARRED_MS = 60_000
"""So long who says too much is kept out."""


def is_barred(until_ms: int, now_ms: int) -> bool:
    """Whether somebody is kept out still. The box's clock may have been set back since: then it is over, too."""
    return 0 < until_ms - now_ms <= BARRED_MS


class Rates:
    """Counts what each has said in the present window. `over` is one thread's, `taken` another's."""

    def __init__(self, per_s: int) -> None:
        self._most = per_s * WINDOW_S
        self._said: Counter[bytes] = Counter()
        self._until_s = 0.0
        self._over: set[bytes] = set()
        self._guard = threading.Lock()

    def over(self, topic: bytes, now_s: float) -> bool:
        """Whether this message, on this topic, is beyond what one may say; it is counted."""
        if now_s >= self._until_s:
            self._said.clear()  # a window holds those that speak in it, not all that are registered
            self._until_s = now_s + WINDOW_S
        self._said[topic] += 1
        if self._said[topic] <= self._most:
            return False
        with self._guard:
            self._over.add(topic)
        return True

    def taken(self) -> set[bytes]:
        """The topics on which too much was said since this was asked last."""
        with self._guard:
            found, self._over = self._over, set()
        return found
