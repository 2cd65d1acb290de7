"""The tag's link to the gateway: keeps a connection, and lets the conversation speak over it.

What is said stands in ``conversation.py``; here are connections, time and the board. Samplers append to the journal
and call :meth:`Link.wake`; they never wait for the link.
"""

import asyncio

import conversation
import records
from conversation import Conversation
from making import make

try:
    from asyncio import wait_for_ms
except ImportError:  # under CPython, for tests
    from datetime import timedelta  # type: ignore[import-not-found]

    async def wait_for_ms(aw, timeout):  # type: ignore[misc, no-untyped-def]
        """Wait for at most so many milliseconds."""
        return await asyncio.wait_for(aw, timedelta(milliseconds=timeout).total_seconds())


try:
    from typing import TYPE_CHECKING
except ImportError:
    TYPE_CHECKING = False

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Protocol

    from clock import Clock
    from commands import Commands
    from journal import Journal
    from mqtt import Client

    class Wakes(Protocol):
        """Whoever sends readings on, :class:`Link`."""

        def wake(self, urgent: bool) -> None:
            """A reading was appended."""

        def hurry(self) -> None:
            """What was appended may not wait."""

    class LinkBoard(Protocol):
        """What a link needs of its board."""

        def stay_awake(self, on: bool) -> None:
            """Do not sleep: an answer is due."""

        def random(self, n: int) -> bytes:
            """n random bytes."""

        async def network_up(self) -> None:
            """Returns when the network is there; OSError when it can not be had."""

    class Counters(Protocol):
        """The module :mod:`counters`."""

        def count(self, name: str, n: int = 1) -> None:
            """Add to a counter."""


NETWORK_S = 90  # a cellular module may need a minute to attach
CONNECT_S = 60  # dial, handshake and CONNACK over a slow cell
FIRST_PAUSE_MS = 1000
MOST_PAUSE_MS = 120000  # so that a tamper is reported within 3 minutes once the network is back (NIJ 5.4.1)
LEAST_PAUSE_MS = 5000  # even an urgent reading lets a broken network rest that long
# A reading is made when it is on flash: none stays longer in memory only, and one that comes alone is written at once.
# At one position in 15 s that makes 5,760 erases a day over 160 blocks: 100,000 cycles last seven years.
FLUSH_MS = 10000
TAMPER_EVERY_MS = 600000  # docs/protocol.md: what is forged is reported at most once in 10 minutes


class Link:
    """Sends the journal's readings and obeys the gateway; see :meth:`run`.

    ``client_factory()`` makes an unconnected :class:`mqtt.Client`. A reading waits at most ``upload_s`` seconds before
    it is sent, an urgent one not at all; ``upload_ms`` may be changed at any time. ``commands`` executes the gateway's
    commands. ``problem`` is why the last connection ended.
    """

    def __init__(
        self,
        journal: "Journal",
        clock: "Clock",
        client_factory: "Callable[[], Client]",
        board: "LinkBoard",
        device: str,
        key: bytes,
        counters: "Counters",
        upload_s: int = 120,
        commands: "Commands | None" = None,
        key_before: bytes = b"",
    ) -> None:
        self.problem: BaseException | None = None
        self._journal = journal
        self._clock = clock
        self._client_factory = client_factory
        self._board = board
        self._counters = counters
        self.upload_ms = upload_s * 1000
        self._commands = commands
        self._conversation = Conversation(journal, device, key, key_before)
        self.rekey = self._conversation.rekey
        self._state = conversation.topic(device, "state")
        self._event = asyncio.Event()
        self._awake: bool | None = None
        self._send_ms: int | None = None  # when what has been made is to be sent
        self._woken_ms = -FLUSH_MS  # when the last reading was appended
        self._unflushed_ms: int | None = None  # since when a reading is in memory only
        self._urgent = False
        self._failures = 0
        self._forged = 0
        self._tamper_ms: int | None = None  # when the last tamper record was made

    def wake(self, urgent: bool) -> None:
        """A reading was appended. Never raises: flash errors are counted and tried again."""
        now_ms = self._clock.uptime_ms()
        if urgent:
            self._urgent = True
            self._send_ms = now_ms
            self._event.set()
        elif self._send_ms is None:
            self._send_ms = now_ms + self.upload_ms
            self._event.set()
        alone = now_ms - self._woken_ms >= FLUSH_MS
        self._woken_ms = now_ms
        if self._unflushed_ms is None:
            self._unflushed_ms = now_ms
        if urgent or alone or now_ms - self._unflushed_ms >= FLUSH_MS:
            self._flush()  # also when there is no connection
        elif self._unflushed_ms == now_ms:
            self._event.set()  # whoever waits must not wait too long

    def hurry(self) -> None:
        """Send what has been made at once; unlike an urgent reading, without cutting short the rest of a lost link."""
        self._send_ms = self._clock.uptime_ms()
        self._event.set()

    def refused(self) -> None:
        """Something was said that was signed with another key, elsewhere than over the link: it is told like that."""
        self._forged += 1
        self._report_forged(self._clock.uptime_ms())

    async def run(self) -> None:
        """Connect, converse, and connect again, for ever."""
        while True:
            await self._connection()
            self._counters.count("reconnects")
            await self._pause()

    async def _connection(self) -> None:
        """One connection from dial to loss."""
        self._urgent = False
        self._stay_awake(True)
        client = self._client_factory()
        client.on_message = self._heard
        client.notify = self._event.set
        try:
            await asyncio.wait_for(self._board.network_up(), NETWORK_S)
            await asyncio.wait_for(client.connect((self._state, b"offline")), CONNECT_S)
            await client.subscribe(self._conversation.down)
            await client.publish(self._state, b"online", 0, True)
            nonce = self._commands.nonce() if self._commands is not None else None
            hello = self._conversation.hello(self._clock.uptime_ms(), nonce)
            await client.publish(self._conversation.up, hello, 1)
            self._counters.count("connections")
            self._release()
            while True:
                await self._turn(client)
        except (OSError, EOFError, ValueError, MemoryError, asyncio.TimeoutError) as problem:
            self.problem = problem
            if isinstance(problem, MemoryError):
                self._counters.count("memory_errors")
                self._conversation.shrink()
        finally:
            self._conversation.lost()
            client.close()
            self._stay_awake(False)

    async def _turn(self, client: "Client") -> None:
        """Send one message, or wait until there is a reason to."""
        self._event.clear()
        now_ms = self._clock.uptime_ms()
        client.check()
        self._report_forged(now_ms)
        if self._send_ms is not None and now_ms >= self._send_ms:
            self._release()
        message = self._conversation.message(now_ms)
        if message is not None:
            await client.publish(self._conversation.up, message, 1)
            self._counters.count("messages_sent")
            return
        nonce = self._commands.ask(now_ms) if self._commands is not None else None
        if nonce is not None:
            await client.publish(self._conversation.up, self._conversation.ask(now_ms, nonce), 1)
            return
        await client.keep_alive()
        self._stay_awake(client.waiting() or self._conversation.waiting())
        waits = [client.due_ms()]
        due_ms = self._conversation.due_ms(now_ms)
        if due_ms is not None:
            waits.append(due_ms)
        if self._send_ms is not None:
            waits.append(self._send_ms - now_ms)
        if self._commands is not None:
            waits.append(self._commands.due_ms(now_ms))
        if self._forged and self._tamper_ms is not None:
            waits.append(self._tamper_ms + TAMPER_EVERY_MS - now_ms)
        await self._wait(min(waits))

    async def _wait(self, ms: int) -> None:
        """Until something happens, at most so long; flushes what has been in memory for long enough."""
        if self._unflushed_ms is not None:
            ms = min(ms, self._unflushed_ms + FLUSH_MS - self._clock.uptime_ms())
        try:
            await wait_for_ms(self._event.wait(), max(ms, 1))
        except asyncio.TimeoutError:
            pass
        if self._unflushed_ms is not None and self._clock.uptime_ms() - self._unflushed_ms >= FLUSH_MS:
            self._flush()

    async def _pause(self) -> None:
        """Back off, doubling, by a random half: many tags that lost one broker must not come back at once."""
        most_ms = min(FIRST_PAUSE_MS << min(self._failures, 7), MOST_PAUSE_MS)
        self._failures += 1
        start_ms = self._clock.uptime_ms()
        end_ms = start_ms + most_ms // 2 + most_ms // 2 * self._board.random(1)[0] // 255
        while True:
            now_ms = self._clock.uptime_ms()
            self._report_forged(now_ms)
            if self._urgent:
                end_ms = min(end_ms, start_ms + LEAST_PAUSE_MS)
            if now_ms >= end_ms:
                return
            self._event.clear()
            await self._wait(end_ms - now_ms)

    def _heard(self, topic: str, payload: bytes) -> None:
        if topic != self._conversation.down:
            self._counters.count("down_elsewhere")
            return
        try:
            outcome = self._conversation.hear(payload)
        except OSError:
            self._counters.count("flash_errors")
            return
        self._counters.count(outcome)
        if outcome == conversation.FORGED:
            self._forged += 1
        elif outcome in (conversation.COMMITTED, conversation.KNOWN):
            self._failures = 0
        if self._conversation.command is not None and self._commands is not None:
            self._obey(self._commands, *self._conversation.command)

    def _obey(self, executor: "Commands", generation: object, command: object) -> None:
        try:
            outcome = executor.take(generation, command)
        except OSError:
            self._counters.count("flash_errors")  # nothing was executed; the gateway says it again
            return
        self._counters.count(outcome)
        if outcome == executor.REPLAYED:
            self._forged += 1
        elif outcome in (executor.EXECUTED, executor.ANSWERED):
            self.wake(True)

    def _report_forged(self, now_ms: int) -> None:
        if not self._forged or (self._tamper_ms is not None and now_ms - self._tamper_ms < TAMPER_EVERY_MS):
            return
        t_ds, quality = self._clock.now()
        body = records.tamper(records.TAMPER_LINK, self._forged, quality)
        self._tamper_ms = now_ms
        if make(self._journal, self, records.TAMPER, t_ds, body, True):
            self._forged = 0

    def _release(self) -> None:
        self._flush()
        self._send_ms = None
        self._conversation.release()

    def _flush(self) -> None:
        self._unflushed_ms = None
        try:
            self._journal.flush()
        except OSError:
            self._counters.count("flash_errors")
            self._unflushed_ms = self._clock.uptime_ms()

    def _stay_awake(self, on: bool) -> None:
        if on != self._awake:
            self._awake = on
            self._board.stay_awake(on)
