"""One eye on the store for all who listen.

A single task asks the store for its newest revision number a few times a second and wakes the listeners. Listeners keep
nothing but the number they have reached, so one that stalls holds no memory and can go on exactly where it was.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Sequence
from contextlib import suppress
from dataclasses import dataclass

import structlog
from starlette.concurrency import run_in_threadpool

from gateway.web.book import AlertBook, Revision, Status, StoreUnreadableError

log = structlog.get_logger(__name__)

# A person does not notice a third of a second; one indexed look at the largest key costs tens of microseconds.
POLL_S = 0.3
# Browsers take a stream for dead after three of these (static/live.js), so it is also how stale a page can be.
BEAT_S = 5.0
# Revisions kept for listeners that are up to date; those further behind read the store.
RECENT = 256
# Revisions handed to a listener at once: what a stalled one can hold.
BATCH = 10


@dataclass(frozen=True)
class Restored:
    """The store is older than what the listener has seen (a backup was restored): begin again from ``latest``."""

    latest: int


Heard = Sequence[Revision] | Status | Restored


class Watch:
    """Follows a book's revisions for any number of listeners on one event loop."""

    def __init__(self, book: AlertBook, *, poll_s: float = POLL_S, beat_s: float = BEAT_S) -> None:
        self._book = book
        self._poll_s = poll_s
        self._beat_s = beat_s
        self._recent: deque[Revision] = deque(maxlen=RECENT)
        self._changed = asyncio.Condition()
        self._looking = asyncio.Lock()
        self._beats = 0
        self._closing = False
        self._task: asyncio.Task[None] | None = None
        self.latest = 0
        self.status = Status(store=False)
        self.listeners = 0

    async def open(self) -> None:
        """Take a first look, then keep looking until `close`."""
        with suppress(StoreUnreadableError):
            self.latest = await run_in_threadpool(self._book.latest_revision)
        self.status = await run_in_threadpool(self._book.status)
        self._task = asyncio.create_task(self._look_forever(), name="watch the store")

    async def close(self) -> None:
        """End every listener's stream and stop looking. May be called more than once."""
        self._closing = True
        async with self._changed:
            self._changed.notify_all()
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
            self._task = None

    async def follow(self, after: int) -> AsyncGenerator[Heard, None]:
        """Every revision above ``after``, once and ascending, in batches; between them the status at every beat.

        Ends when the watch is closed. Raises `StoreUnreadableError` if a listener that lags can not be served.
        """
        self.listeners += 1
        try:
            beats = self._beats
            while not self._closing:
                if after > self.latest:
                    # a page may have read the store after the last look: look again before judging
                    await self._look()
                    if after > self.latest:
                        after = self.latest
                        yield Restored(self.latest)
                elif after < self.latest:
                    batch = await self._above(after)
                    if batch:
                        after = batch[-1].number
                        yield batch
                    else:
                        # numbers that were given out and rolled back leave holes; nothing to tell
                        after = self.latest
                elif beats != self._beats:
                    beats = self._beats
                    yield self.status
                else:
                    await self._news(after, beats)
        finally:
            self.listeners -= 1

    async def _news(self, after: int, beats: int) -> None:
        async with self._changed:
            await self._changed.wait_for(
                lambda: self._closing or self.latest != after or self._beats != beats
            )

    async def _above(self, after: int) -> Sequence[Revision]:
        # what was written since the last look is told at the next one, lest `after` run ahead of `latest`
        latest = self.latest
        if self._recent and self._recent[0].number <= after + 1:
            known: Sequence[Revision] = self._recent
        else:
            known = await run_in_threadpool(self._book.since, after, BATCH)
        return [revision for revision in known if after < revision.number <= latest][:BATCH]

    async def _look_forever(self) -> None:
        loop = asyncio.get_running_loop()
        next_beat = loop.time() + self._beat_s
        while True:
            await asyncio.sleep(self._poll_s)
            news = await self._look()
            beat = loop.time() >= next_beat
            if beat:
                next_beat = loop.time() + self._beat_s
                self.status = await run_in_threadpool(self._book.status)
                self._beats += 1
            if news or beat:
                async with self._changed:
                    self._changed.notify_all()

    async def _look(self) -> bool:
        async with self._looking:
            return await self._compare()

    async def _compare(self) -> bool:
        try:
            latest = await run_in_threadpool(self._book.latest_revision)
            if latest < self.latest:
                log.warning("store_went_back", had=self.latest, has=latest)
                self._recent.clear()
                self.latest = latest
                return True
            if latest == self.latest:
                return False
            # a burst longer than the ring: its listeners read the store instead
            first = max(self.latest, latest - RECENT)
            if first != self.latest:
                self._recent.clear()
            found = await run_in_threadpool(self._book.since, first, RECENT)
            # what was written since `latest` was asked for comes with the next look, and must not be kept twice
            self._recent.extend(revision for revision in found if revision.number <= latest)
            self.latest = latest
        except StoreUnreadableError as problem:
            if self.status.store:
                log.warning("store_unreadable", reason=str(problem))
                self.status = Status(store=False)
                self._beats += 1
                return True
            return False
        return True
