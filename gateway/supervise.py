"""Processes kept alive: each is started again alone when it ends or hangs, and all end with the supervisor."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import structlog

from gateway import logs, systemd, tied
from gateway.heartbeat import READY

log = structlog.get_logger(__name__)

_BACK_OFF_S = (0.1, 5.0)
"""First and longest pause before a restart; a life that became ready starts from the first again."""

_STOP_S = 5.0
_LOOK_S = 0.5
STARTS_S = 60.0
"""Within so long a process says something on its descriptor, or does its work; else it hung as it began."""
_PROBE_S = 10.0
_PROBE_TIMES = 3
"""So often a process must fail to answer in a row before it counts as hung."""
_TIED = (sys.executable, "-I", "-S", tied.__file__)


def _nothing() -> str:
    return ""


class Line:
    """What a process says on its descriptor (`gateway.heartbeat`), heard by its supervisor."""

    def __init__(self, reading: int, starts_s: float) -> None:
        self._reading = reading
        self._part = b""
        self.said_ready = asyncio.Event()
        self._heard = False
        self._due_s: float | None = time.monotonic() + starts_s
        """When it must have been heard again; None for one that works and has never said how often it will be."""
        asyncio.get_running_loop().add_reader(reading, self._hear)

    def overdue(self) -> bool:
        """Has it not been heard within what it said itself?"""
        return self._due_s is not None and time.monotonic() > self._due_s

    def wait_longer(self, seconds: float) -> None:
        """The supervisor itself was not at work for so long, and could not have heard it."""
        if self._due_s is not None:
            self._due_s += seconds

    def works(self) -> None:
        """It does its work, as was seen; it need not say anything if it never did."""
        if not self._heard:
            self._due_s = None

    def close(self) -> None:
        """Stop listening."""
        asyncio.get_running_loop().remove_reader(self._reading)

    def _hear(self) -> None:
        said = os.read(self._reading, 4096)
        if not said:
            self.close()  # it ended, or has nothing more to say; its end is seen elsewhere
            return
        *lines, self._part = (self._part + said).split(b"\n")
        for line in lines:
            if line == READY:
                self.said_ready.set()
            else:
                with contextlib.suppress(ValueError):
                    self._due_s = time.monotonic() + float(line)
                    self._heard = True


@dataclass(slots=True)
class Child:
    """A process that is kept alive.

    ``command`` gets the descriptor on which the process may say that it is ready and goes on, and returns what to
    start; it may raise OSError. ``ready`` hears what it says there, and returns when the process does its work.
    ``last_words`` tells what it complained of last. ``answers`` asks one that is ready and says nothing by itself
    whether it still works. One that is not ``wanted`` is not started until it is, and not waited for.
    """

    name: str
    command: Callable[[int], list[str]]
    ready: Callable[[Line], Awaitable[None]]
    last_words: Callable[[], str] = _nothing
    answers: Callable[[], Awaitable[bool]] | None = None
    wanted: Callable[[], bool] = lambda: True
    is_ready: asyncio.Event = field(default_factory=asyncio.Event)
    pid: int | None = None
    lives: int = 0


class Supervisor:
    """Keeps ``children`` alive. ``changed`` is called whenever one has begun, become ready or ended."""

    def __init__(
        self,
        children: Sequence[Child],
        environment: Mapping[str, str],
        changed: Callable[[], None],
        starts_s: float = STARTS_S,
    ) -> None:
        self.children = children
        self._starts_s = starts_s
        given = {name: value for name, value in os.environ.items() if name not in systemd.VARIABLES}
        self._environment = given | dict(environment)
        self._changed = changed

    async def run(self, stopping: asyncio.Event, announce: Callable[[], None]) -> None:
        """Keep everything alive until ``stopping`` is set; ``announce`` is called once all are ready.

        Raises what a fault of this program raises, with every process ended.
        """
        tasks = [asyncio.create_task(self._keep(child)) for child in self.children]
        tasks.append(asyncio.create_task(self._announce(announce)))
        stop: asyncio.Task[Any] = asyncio.create_task(stopping.wait())
        unfinished: set[asyncio.Task[Any]] = set(tasks)
        try:
            while not stop.done():
                done, _ = await asyncio.wait({stop, *unfinished}, return_when=asyncio.FIRST_COMPLETED)
                for task in unfinished & done:
                    task.result()
                    unfinished.discard(task)
        finally:
            # the page first, the broker last: what is under way can still be acknowledged
            for task in (stop, *reversed(tasks)):
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task

    async def _announce(self, announce: Callable[[], None]) -> None:
        for child in self.children:
            if child.wanted():
                await child.is_ready.wait()
        announce()

    async def _keep(self, child: Child) -> None:
        shortest, longest = _BACK_OFF_S
        pause = shortest
        while True:
            while not child.wanted():
                await asyncio.sleep(_LOOK_S)
            began = time.monotonic()
            try:
                was_ready, ended = await self._live(child)
            except OSError as error:  # no memory, no descriptor, no disk: later there may be
                was_ready, ended = False, logs.safe(error)
            pause = shortest if was_ready else min(2 * pause, longest)
            log.warning(
                "a process has ended and is started again",
                part=child.name,
                ended=ended,
                said=child.last_words(),
                after_s=round(time.monotonic() - began, 1),
                pause_s=pause,
            )
            await asyncio.sleep(pause)

    async def _live(self, child: Child) -> tuple[bool, str]:
        """One life of a child: whether it became ready, and how it ended."""
        reading, writing = os.pipe()
        process: asyncio.subprocess.Process | None = None
        line = Line(reading, self._starts_s)
        looking: list[asyncio.Task[None]] = []
        try:
            process = await asyncio.create_subprocess_exec(
                *_TIED,
                str(os.getpid()),
                *child.command(writing),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=sys.stderr,
                env=self._environment,
                pass_fds=(writing,),
            )
            os.close(writing)
            writing = -1
            child.pid, child.lives = process.pid, child.lives + 1
            self._changed()
            looking.append(asyncio.create_task(self._note_ready(child, line)))
            looking.append(asyncio.create_task(_watch(child, line, process)))
            if child.answers is not None:
                looking.append(asyncio.create_task(_probe(child, child.answers, process)))
            code = await process.wait()
            return child.is_ready.is_set(), f"signal {-code}" if code < 0 else f"exit code {code}"
        finally:
            for task in looking:
                task.cancel()
            await asyncio.gather(*looking, return_exceptions=True)
            line.close()
            if process is not None and process.returncode is None:
                await _end(process)
            for descriptor in (reading, writing):
                if descriptor >= 0:
                    os.close(descriptor)
            child.is_ready.clear()
            child.pid = None
            self._changed()

    async def _note_ready(self, child: Child, line: Line) -> None:
        await child.ready(line)
        line.works()
        child.is_ready.set()
        self._changed()


async def told_ready(line: Line) -> None:
    """Returns when the process has said that it is ready."""
    await line.said_ready.wait()


async def _watch(child: Child, line: Line, process: asyncio.subprocess.Process) -> None:
    """End a process that has not been heard within what it said itself."""
    while not line.overdue():
        began_s = time.monotonic()
        await asyncio.sleep(_LOOK_S)
        line.wait_longer(time.monotonic() - began_s - _LOOK_S)
    _end_hung(child, process)


async def _probe(
    child: Child, answers: Callable[[], Awaitable[bool]], process: asyncio.subprocess.Process
) -> None:
    """End a process that was ready and does not answer any more."""
    failed = 0
    while failed < _PROBE_TIMES:
        await child.is_ready.wait()
        await asyncio.sleep(_PROBE_S)
        failed = 0 if await answers() else failed + 1
    _end_hung(child, process)


def _end_hung(child: Child, process: asyncio.subprocess.Process) -> None:
    log.error("a process hangs and is ended", part=child.name)
    with contextlib.suppress(ProcessLookupError):
        process.kill()  # it would not hear anything gentler


async def _end(process: asyncio.subprocess.Process) -> None:
    with contextlib.suppress(ProcessLookupError):
        process.terminate()
    try:
        await asyncio.wait_for(process.wait(), _STOP_S)
    except TimeoutError:
        process.kill()
        await process.wait()
