"""What every device that talks to the gateway is made of: board, settings, journal, clock, link.

A device's own module makes a :class:`Device` of its board, adds its sensors, and is run by :func:`run`.
"""

import asyncio
import os
import sys

import config
import counters
import kept
import records
from clock import Clock
from commands import Commands
from console import ANSWER_MS, Console, serve
from device_key import DeviceKey
from equipment import started
from fitting import Fitting
from folder import Folder
from journal import Journal
from link import Link
from making import make
from mqtt import Client
from safe_mode import LIFE_MS, SafeMode
from tls_stream import dial, dial_bare

try:
    from typing import TYPE_CHECKING
except ImportError:
    TYPE_CHECKING = False

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from typing import NoReturn, Protocol, TypeVar

    from clock import TimeBoard
    from console import Line
    from link import LinkBoard
    from tls_stream import TlsStream

    class Resets(Protocol):
        """What is needed of a board that has failed, or was never fitted."""

        @property
        def console(self) -> "Line":
            """The serial line of an officer's tool."""

        def random(self, n: int) -> bytes:
            """n random bytes."""

        def feed_watchdog(self) -> None:
            """The firmware is alive."""

        def reset_cause(self) -> int:
            """Why the processor started: machine's numbers."""

        def reset(self) -> "NoReturn":
            """Start again from nothing."""

    class DeviceBoard(TimeBoard, LinkBoard, Resets, Protocol):
        """What a device needs of its board, whatever its sensors."""

    B = TypeVar("B", bound=Resets)


def _read(path: str) -> bytes:
    with open(path, "rb") as file:
        content: bytes = file.read()
    return content


class Unfit(Exception):  # noqa: N818 - a fact about a device, not a fault of the program
    """What is provisioned can not be used, or nothing is; the text says what is wrong."""


# So long a device waits for an officer's tool before it tries what is provisioned, and can not be used, again.
UNFIT_MS = 60000


def provisioned(sample_s: int = 60) -> config.Config:
    """The provisioned settings; ``sample_s`` where none is. Raises Unfit."""
    try:
        return config.load("/config.json", sample_s)
    except ValueError as problem:
        raise Unfit(str(problem)) from None


class Device:
    """The parts that all devices share, made from what stands on flash; :meth:`run` runs them beside the sensors.

    ``sample_s`` is the sampling interval where none is provisioned. ``changeable`` are the settings that the gateway
    may change, ``commands.handlers`` takes the device's own commands.
    """

    def __init__(self, board: "DeviceBoard", kind: str, sample_s: int = 60) -> None:
        self.folder = Folder(kept.FOLDER)
        self.safe_mode = SafeMode(self.folder, board.reset_cause())
        self._board = board
        self.settings = provisioned(sample_s)
        self.key = DeviceKey(self.settings, self.folder)
        self.clock = Clock(board)
        self.journal = Journal("/journal", self.settings.journal_kib * 1024, board.random)
        self.changeable = config.Changeable(self.settings, self.folder)
        self.commands = Commands(self.journal, self.clock, board.random, self.folder)
        self.commands.handlers["settings"] = self._change
        self.commands.handlers["rekey"] = self.key.rekey
        self.link = Link(
            self.journal,
            self.clock,
            self._client,
            board,
            self.settings.device,
            self.key.now,
            counters,
            self.changeable.upload_s,
            self.commands,
            self.key.before,
        )
        self.key.told.append(self.link.rekey)
        self.console = Console(kind, board.random, self.folder, Fitting(), self.settings, self.journal)
        self.console.tests["radio"] = self._radio
        self.console.forged = self.link.refused

    async def run(
        self, watch: "Coroutine[object, object, None]", *sensors: "Coroutine[object, object, None]"
    ) -> None:
        """Run the watch over the equipment, the sensors and the link, in safe mode without the sensors.

        Returns only by raising what one of them could not deal with.
        """
        self.tell(self.changeable.lost, records.TAMPER_KEPT_LOST, records.LOST_SETTINGS)
        self.tell(self.commands.lost, records.TAMPER_KEPT_LOST, records.LOST_COMMAND)
        self.tell(self.safe_mode.on, records.TAMPER_SAFE_MODE, self.safe_mode.crashes)
        started(self.journal, self.clock, self.link, self._board.reset_cause())
        if self.safe_mode.on:
            for sensor in sensors:
                sensor.close()
            sensors = ()
        await asyncio.gather(watch, *sensors, self.link.run(), self._outlive(), self._serve())

    async def _serve(self) -> None:
        """Answer an officer's tool."""
        await serve(self.console, self._board.console)
        self.journal.flush()
        self.safe_mode.meant()
        self._board.reset()

    def _radio(self) -> "bool | str":
        """Whether there is, or was, a connection to the broker."""
        problem = self.link.problem
        if counters.COUNTERS.get("connections", 0) and problem is None:
            return True
        return "no connection yet" if problem is None else "%s: %s" % (type(problem).__name__, problem)

    async def _outlive(self) -> None:
        """In a whole life: be well after a while. In safe mode: try the whole device again."""
        if not self.safe_mode.on:
            await asyncio.sleep_ms(LIFE_MS)
            self.safe_mode.survived()
            return
        await asyncio.sleep_ms(self.safe_mode.hold_ms())
        self.journal.flush()
        self.safe_mode.leave()
        self._board.reset()

    def _change(self, arguments: list[object]) -> int:
        outcome = self.changeable.change(arguments)
        self.link.upload_ms = self.changeable.upload_s * 1000
        return outcome

    def tell(self, so: bool, code: int, detail: int) -> None:
        """If it is so, say it by a tamper reading."""
        if not so:
            return
        t_ds, flags = self.clock.now()
        make(self.journal, self.link, records.TAMPER, t_ds, records.tamper(code, detail, flags), True)

    def _client(self) -> Client:
        return Client(self._connect, self.settings.device, self.clock.uptime_ms)

    async def _connect(self) -> "TlsStream":
        settings = self.settings
        if not settings.tls:
            return await dial_bare(settings.host, settings.port)
        # read at each connection, not held: DER files are larger than what else the link keeps
        return await dial(
            settings.host,
            settings.port,
            settings.server_name,
            _read("/ca.der"),
            _read("/cert.der"),
            _read("/key.der"),
        )


async def _unfit(board: "Resets", kind: str) -> None:
    """Wait for an officer's tool: for ever without settings, else for a while."""
    console = Console(kind, board.random, Folder(kept.FOLDER), Fitting(), None)

    async def wait() -> None:
        left_ms = UNFIT_MS
        while left_ms > 0 and not console.leave:
            board.feed_watchdog()
            await asyncio.sleep_ms(1000)
            if "config.json" in os.listdir("/"):
                left_ms -= 1000
        await asyncio.sleep_ms(ANSWER_MS)

    asyncio.create_task(serve(console, board.console))
    await wait()


def run(board: "B", live: "Callable[[B], Coroutine[object, object, None]]", kind: str) -> "NoReturn":
    """Be a device; whatever ends that is printed and answered with a reset, of which the next boot record tells.

    A device that is not provisioned, or can not use what is, waits for an officer's tool.
    """
    try:
        Fitting().finish()
        asyncio.run(live(board))
    except Unfit as problem:
        print(problem)
        asyncio.run(_unfit(board, kind))
    except Exception as problem:
        sys.print_exception(problem)
    board.reset()
