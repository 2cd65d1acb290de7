"""``tagwatch serve``: broker, ingest and page as processes of their own, each restarted alone when it ends.

They share only the store. Whatever ends, and however, the others go on; when this process ends, all end.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import ctypes
import fcntl
import json
import os
import signal
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

import structlog

from gateway import broker, logs
from gateway.authority import Authority, write_whole
from gateway.process import GatewayProcess
from gateway.settings import Settings, SettingsError
from gateway.store import Store, StoreError

__all__ = ["GatewayProcess", "Service", "ServiceError", "serve"]

log = structlog.get_logger(__name__)

_BACK_OFF_S = (0.1, 5.0)
"""First and longest pause before a restart; a life that became ready starts from the first again."""

_STOP_S = 5.0
_POLL_S = 0.02
_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)


class ServiceError(RuntimeError):
    """The gateway can not be started; the text says why and what to do."""


@dataclass(slots=True)
class _Child:
    """A process that is kept alive. ``ready`` returns when it does its work."""

    name: str
    command: Callable[[int], list[str]]
    ready: Callable[[int], Awaitable[None]]
    is_ready: asyncio.Event = field(default_factory=asyncio.Event)
    pid: int | None = None
    restarts: int = -1


class Service:
    """Supervises the processes of one gateway."""

    def __init__(self, settings: Settings, authority: Authority) -> None:
        self._settings = settings
        self._authority = authority
        self._place = broker.address(settings)
        self._children: list[_Child] = []
        if settings.embedded:
            self._children.append(_Child("broker", self._broker_command, self._broker_ready))
        self._children.append(_Child("ingest", self._ingest_command, _told_ready))
        if settings.web:
            self._web_port = settings.web_port or broker.kept_port(
                settings.data_dir / "web-port", settings.web_host
            )
            self._children.append(_Child("web", self._web_command, self._web_ready))

    async def run(self, announce: Callable[[], None]) -> None:
        """Keep everything alive until SIGTERM or SIGINT; ``announce`` is called once all are ready."""
        stopping = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stopping.set)
        tasks = [asyncio.create_task(self._keep(child), name=child.name) for child in self._children]
        tasks.append(asyncio.create_task(self._announce(announce), name="announce"))
        try:
            await stopping.wait()
        finally:
            # the page first, the broker last: what is under way can still be acknowledged
            for task in reversed(tasks):
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task
            self._settings.run_path.unlink(missing_ok=True)

    def write_run(self) -> None:
        """Write what runs now to ``run.json``."""
        document: dict[str, object] = {
            "serve_pid": os.getpid(),
            "mqtt_host": self._place.host,
            "mqtt_port": self._place.port,
            "ready": all(child.is_ready.is_set() for child in self._children),
            "restarts": {child.name: max(0, child.restarts) for child in self._children},
        }
        document |= {f"{child.name}_pid": child.pid for child in self._children}
        if self._settings.web:
            document |= {
                "web_port": self._web_port,
                "web_url": f"http://{self._settings.web_host}:{self._web_port}/",
            }
        write_whole(self._settings.run_path, json.dumps(document).encode(), 0o600)

    async def _announce(self, announce: Callable[[], None]) -> None:
        for child in self._children:
            await child.is_ready.wait()
        self.write_run()
        announce()

    async def _keep(self, child: _Child) -> None:
        shortest, longest = _BACK_OFF_S
        pause = shortest
        while True:
            began = time.monotonic()
            was_ready, code = await self._live(child)
            pause = shortest if was_ready else min(2 * pause, longest)
            said = {"said": broker.last_error(self._settings)} if child.name == "broker" else {}
            log.warning(
                "a process has ended and is started again",
                ended=child.name,
                code=code,
                after_s=round(time.monotonic() - began, 1),
                pause_s=pause,
                **said,
            )
            await asyncio.sleep(pause)

    async def _live(self, child: _Child) -> tuple[bool, int | None]:
        """One life of a child: whether it became ready, and its exit code."""
        reading, writing = os.pipe()
        process: asyncio.subprocess.Process | None = None
        waiting: asyncio.Task[None] | None = None
        try:
            process = await asyncio.create_subprocess_exec(
                *child.command(writing),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=sys.stderr,
                env=os.environ | self._settings.environment(),
                pass_fds=(writing,),
                preexec_fn=_die_with_parent(os.getpid()),
            )
            os.close(writing)
            writing = -1
            child.pid, child.restarts = process.pid, child.restarts + 1
            self.write_run()
            waiting = asyncio.create_task(self._note_ready(child, reading))
            await process.wait()
            return child.is_ready.is_set(), process.returncode
        finally:
            child.is_ready.clear()
            child.pid = None
            if waiting is not None:
                waiting.cancel()
            if process is not None and process.returncode is None:
                await _end(process)
            for descriptor in (reading, writing):
                if descriptor >= 0:
                    os.close(descriptor)

    async def _note_ready(self, child: _Child, reading: int) -> None:
        await child.ready(reading)
        child.is_ready.set()
        self.write_run()

    def _broker_command(self, _ready: int) -> list[str]:
        return broker.prepare(self._settings, self._authority)

    async def _broker_ready(self, _ready: int) -> None:
        tls = broker.client_tls(self._authority)
        name = self._settings.server_names[0]
        while not await asyncio.to_thread(broker.answers, self._place, tls, name):
            await asyncio.sleep(_POLL_S)

    def _ingest_command(self, ready: int) -> list[str]:
        return [
            sys.executable,
            "-m",
            "gateway.ingest",
            "--data-dir",
            str(self._settings.data_dir),
            "--ready-fd",
            str(ready),
        ]

    def _web_command(self, _ready: int) -> list[str]:
        return [
            sys.executable,
            "-m",
            "gateway.web",
            "--data-dir",
            str(self._settings.data_dir),
            "--host",
            self._settings.web_host,
            "--port",
            str(self._web_port),
        ]

    async def _web_ready(self, _ready: int) -> None:
        while True:
            try:
                _, writer = await asyncio.open_connection(self._settings.web_host, self._web_port)
            except OSError:
                await asyncio.sleep(_POLL_S)
                continue
            writer.close()
            return


def serve(settings: Settings, *, until_stdin_ends: bool = False) -> int:
    """Run a gateway until SIGTERM or SIGINT; returns the exit code, 2 where it can not start.

    Prints one JSON line on standard output when everything is ready. ``until_stdin_ends`` stops it also when whoever
    started it is gone.
    """
    logs.configure("serve")
    try:
        settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        with (settings.data_dir / "serve.lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise ServiceError(f"a gateway runs on {settings.data_dir} already: stop it first") from None
            authority = Authority.open(settings.authority_dir, settings.server_names)
            Store.open(settings.store_path, busy_timeout_ms=settings.busy_timeout_ms).close()
            asyncio.run(_serve(Service(settings, authority), settings, until_stdin_ends))
    except (ServiceError, StoreError, SettingsError, broker.BrokerError, OSError) as error:
        print(f"tagwatch: {error}", file=sys.stderr)
        return 2
    return 0


async def _serve(service: Service, settings: Settings, until_stdin_ends: bool) -> None:
    if until_stdin_ends:
        loop = asyncio.get_running_loop()
        loop.add_reader(0, _stop_at_end_of_input, loop)

    def announce() -> None:
        print(settings.run_path.read_text(), flush=True)
        log.info("ready")

    await service.run(announce)


def _stop_at_end_of_input(loop: asyncio.AbstractEventLoop) -> None:
    if not os.read(0, 4096):
        loop.remove_reader(0)
        os.kill(os.getpid(), signal.SIGTERM)


async def _told_ready(reading: int) -> None:
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


def main(arguments: list[str] | None = None) -> int:
    """``python -m gateway.service``: what ``tagwatch serve`` does, for programs that start a gateway."""
    parser = argparse.ArgumentParser(prog="python -m gateway.service", description=__doc__)
    parser.add_argument("--data-dir", type=Path, help="the gateway's one folder")
    parser.add_argument("--until-stdin-ends", action="store_true", help="stop when standard input ends")
    given = parser.parse_args(arguments)
    try:
        settings = Settings.load(given.data_dir)
    except SettingsError as error:
        print(f"tagwatch: {error}", file=sys.stderr)
        return 2
    return serve(settings, until_stdin_ends=given.until_stdin_ends)


if __name__ == "__main__":
    sys.exit(main())
