"""Whoever says more than any device may is kept out for a while (`gateway.rates` counts).

The embedded broker's door (`gateway.doorkeeper`) reads that in the store; of an outside broker's it is told.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import structlog

from gateway import topics
from gateway.ingest.progress import Progress
from gateway.rates import BARRED_MS, Rates
from gateway.store import Store, devices

log = structlog.get_logger(__name__)

_BAR_AGAIN_S = 1.0


class Floods:
    """Used by the ingest's thread. ``keep_out`` is told who is barred from now on, once the store says so."""

    def __init__(
        self, store: Store, rates: Rates, keep_out: Callable[[Sequence[str]], None], progress: Progress
    ) -> None:
        self._store = store
        self._rates = rates
        self._keep_out = keep_out
        self._progress = progress
        self._barred_s: dict[str, float] = {}
        """Who was barred just now, and when: what it has said before is still on its way here."""

    def bar(self) -> None:
        """Bar whoever has said too much since this was called last."""
        over = self._rates.taken()
        if not over:
            return
        now_s = time.monotonic()
        self._barred_s = {name: at_s for name, at_s in self._barred_s.items() if now_s - at_s < _BAR_AGAIN_S}
        names = {topics.speaker(topic.decode(errors="replace")) for topic in over}
        floods = [name for name in names if name is not None and name not in self._barred_s]
        if not floods:
            return
        self._barred_s |= dict.fromkeys(floods, now_s)
        log.warning("a device says more than any may, and is kept out for a while", devices=sorted(floods))

        def bar() -> None:
            with self._store.write() as connection:
                devices.bar(connection, floods, time.time_ns() // 1_000_000 + BARRED_MS)

        if self._progress.look(bar):
            self._keep_out(floods)
