"""Processes kept alive: each is started again alone when it ends, and all end with the supervisor."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import signal
import sys
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import structlog

log = structlog.get_logger(__name__)

_BACK_OFF_S = (0.1, 5.0)
"""First and longest pause before a restart; a life that became ready starts from the first again."""

_STOP_S = 5.0
_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)


def _nothing() -> str:
    return ""


@dataclass(slots=True)
class Child:
    """A process that is kept alive.

    ``command`` gets the descriptor on which the process may say that it is ready, and returns what to start; it may
    raise OSError. ``ready`` gets the other end, and returns when the process does its work. ``last_words`` tells what
    it complained of last.
    """

    name: str
    command: Callable[[int], list[str]]
    ready: Callable[[int], Awaitable[None]]
    last_words: Callable[[], str] = _nothing
    is_ready: asyncio.Event = field(default_factory=asyncio.Event)
    pid: int | None = None
    lives: int = 0


class Supervisor:
    """Keeps ``children`` alive. ``changed`` is called whenever one has begun, become ready or ended."""

    def __init__(
        self, children: Sequence[Child], environment: Mapping[str, str], changed: Callable[[], None]
    ) -> None:
        self.children = children
        self._environment = os.environ | dict(environment)
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
            await child.is_ready.wait()
        announce()

    async def _keep(self, child: Child) -> None:
        shortest, longest = _BACK_OFF_S
        pause = shortest
        while True:
            began = time.monotonic()
            try:
                was_ready, ended = await self._live(child)
            except OSError as error:  # no memory, no descriptor, no disk: later there may be
                was_ready, ended = False, str(error)
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
        noting: asyncio.Task[None] | None = None
        try:
            process = await asyncio.create_subprocess_exec(
                *child.command(writing),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=sys.stderr,
                env=self._environment,
                pass_fds=(writing,),
                preexec_fn=_die_with_parent(os.getpid()),
            )
            os.close(writing)
            writing = -1
            child.pid, child.lives = process.pid, child.lives + 1
            self._changed()
            noting = asyncio.create_task(self._note_ready(child, reading))
            code = await process.wait()
            return child.is_ready.is_set(), f"signal {-code}" if code < 0 else f"exit code {code}"
        finally:
            if noting is not None:
                noting.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await noting
            if process is not None and process.returncode is None:
                await _end(process)
            for descriptor in (reading, writing):
                if descriptor >= 0:
                    os.close(descriptor)
            child.is_ready.clear()
            child.pid = None
            self._changed()

    async def _note_ready(self, child: Child, reading: int) -> None:
        await child.ready(reading)
        child.is_ready.set()
        self._changed()


async def told_ready(reading: int) -> None:
    """Returns when the other end of ``reading`` has said something."""
    loop = asyncio.get_running_loop()
    something = asyncio.Event()
    loop.add_reader(reading, something.set)
    try:
        await something.wait()
    finally:
        loop.remove_reader(reading)
    if not os.read(reading, 64):
        await asyncio.Event().wait()  # it ended without a word; its end is seen elsewhere


async def _end(process: asyncio.subprocess.Process) -> None:
    with contextlib.suppress(ProcessLookupError):
        process.terminate()
    try:
        await asyncio.wait_for(process.wait(), _STOP_S)
    except TimeoutError:
        process.kill()
        await process.wait()


def _die_with_parent(parent: int) -> Callable[[], None]:
    """In the child, before it becomes what it is: it is killed when ``parent`` ends, however that ends."""

    def arrange() -> None:
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)  # the parent ended before this was arranged

    return arrange
