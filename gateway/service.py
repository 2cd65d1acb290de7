"""``tagwatch serve``: broker, doorkeeper, ingest and page as processes of their own, each restarted alone when it ends.

They share only the store. Whatever ends, and however, the others go on; when this process ends, all end.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import fcntl
import json
import os
import signal
import ssl
import sys
from collections.abc import Callable
from pathlib import Path

import structlog

from gateway import broker, kernels, keys, logs, reach, restore, shredding, systemd
from gateway.authority import Authority
from gateway.backup import BackupError
from gateway.control import Control, ControlError
from gateway.process import GatewayProcess
from gateway.seal import SealError
from gateway.settings import Settings, SettingsError
from gateway.store import Store, StoreError
from gateway.supervise import STARTS_S, Child, Line, Supervisor, told_ready
from gateway.whole_files import write_whole

__all__ = ["GatewayProcess", "Service", "ServiceError", "serve"]

log = structlog.get_logger(__name__)

_POLL_S = 0.02
_ANSWER_S = 5.0
_LOOK_S = 1.0
_REFUSED_S = 6.0
"""NATS ends a connection whose message it could not store within 5 s."""
_STARTING_S = 60
"""So much longer than what the unit allows systemd lets a start take, each time it is asked (rules are compiled)."""


class ServiceError(RuntimeError):
    """The gateway can not be started; the text says why and what to do."""


class Service:
    """The processes of one gateway."""

    def __init__(
        self, settings: Settings, authority: Authority, tell: Callable[[dict[str, object]], None]
    ) -> None:
        self._settings = settings
        self._tell = tell
        self._authority = authority
        self._place = broker.address(settings)
        self._web_port = 0
        self._page_tls = None if reach.certificate(settings) is None else _any_certificate()
        self._announced = False
        self._unwritten = False
        children: list[Child] = []
        if settings.embedded:
            children.append(
                Child(
                    "broker",
                    lambda _: broker.prepare(settings, authority),
                    self._broker_answers,
                    lambda: broker.last_error(settings),
                    lambda: asyncio.to_thread(self._broker_accepts, _ANSWER_S),
                )
            )
            children.append(Child("door", self._door_command, told_ready))
        children.append(Child("ingest", self._ingest_command, told_ready))
        if settings.web:
            self._web_port = settings.web_port or broker.kept_port(
                settings.data_dir / "web-port", settings.web_host
            )
            children.append(Child("web", self._web_command, self._page_answers, answers=self._page_lives))
        self._order_port = 0
        if settings.orders:
            self._order_port = settings.order_port or broker.kept_port(
                settings.data_dir / "order-port", settings.order_host
            )
            children.append(Child("orders", self._orders_command, told_ready))
        children.append(
            Child("notifier", self._notifier_command, told_ready, wanted=settings.routes_path.exists)
        )
        environment = settings.environment() | kernels.environment(settings.data_dir)
        self._supervisor = Supervisor(
            children, environment, self._write_run, max(STARTS_S, 2 * settings.hung_after_s)
        )

    async def run(self, *, until_stdin_ends: bool) -> None:
        """Serve until SIGTERM or SIGINT, or the end of standard input."""
        stopping = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stopping.set)
        if until_stdin_ends:
            loop.add_reader(0, _set_at_end_of_input, stopping)
        with contextlib.suppress(
            OSError
        ):  # what a gateway that was killed has left tells of processes long gone
            self._settings.run_path.unlink(missing_ok=True)
        beside = [asyncio.create_task(self._talk_to_systemd()), asyncio.create_task(self._keep_run_true())]
        if self._settings.embedded:
            beside.append(asyncio.create_task(self._look_after_broker()))
        try:
            await self._supervisor.run(stopping, self._announce)
        finally:
            systemd.tell("STOPPING=1")
            for task in beside:
                task.cancel()
            with contextlib.suppress(
                OSError
            ):  # a disk that can not be written does not keep anybody from stopping
                self._settings.run_path.unlink(missing_ok=True)

    def _announce(self) -> None:
        self._announced = True
        with contextlib.suppress(OSError):  # whoever would read it may be gone
            self._tell(self._running())
        systemd.tell("READY=1", "STATUS=receiving")
        log.info("ready")

    async def _talk_to_systemd(self) -> None:
        """Say that this process goes on, for as long as it does; and while it starts, that it needs more time."""
        every_s = systemd.watchdog_s() or _STARTING_S / 4
        while True:
            lines = ["WATCHDOG=1"]
            if not self._announced:
                lines.append(f"EXTEND_TIMEOUT_USEC={_STARTING_S * 1_000_000}")
            if not systemd.tell(*lines):
                return  # nobody listens
            await asyncio.sleep(min(every_s, _STARTING_S / 4))

    async def _look_after_broker(self) -> None:
        """End a broker that takes nothing any more, as one does for ever whose disk was full once.

        Its store, which it could not write, is made anew with its next life; whatever was in it the tags still have.
        """
        process, door = (
            next(child for child in self._supervisor.children if child.name == name)
            for name in ("broker", "door")
        )
        control = Control(self._settings.control_path, timeout_s=_ANSWER_S)
        often = 0
        while True:
            await asyncio.sleep(_LOOK_S)
            refuses = process.is_ready.is_set() and door.is_ready.is_set() and await self._refuses(control)
            # twice: a connection that is new may not have heard yet
            often = often + 1 if refuses else 0
            if often > 1 and process.pid is not None:
                often = 0
                log.error(
                    "the broker takes nothing and is started anew", problem=broker.last_error(self._settings)
                )
                with contextlib.suppress(ProcessLookupError):
                    process.is_ready.clear()
                    os.kill(process.pid, signal.SIGKILL)

    async def _refuses(self, control: Control) -> bool:
        """Whether the broker has long refused what the ingest wants of it, and the ingest is not at fault."""
        try:
            connected, refused_s = await asyncio.to_thread(control.link)
        except ControlError:
            return False  # an ingest that is not there, or busy, tells nothing about the broker
        if refused_s < _REFUSED_S:
            return False
        return connected or not await asyncio.to_thread(self._broker_accepts, _ANSWER_S)

    def _running(self) -> dict[str, object]:
        children = self._supervisor.children
        waited_for = [
            child.name
            for child in children
            if not child.is_ready.is_set() and (child.lives or child.wanted())
        ]
        document: dict[str, object] = {
            "serve_pid": os.getpid(),
            "mqtt_host": self._place.host,
            "mqtt_port": self._place.port,
            "ready": not waited_for,
            "waited_for": waited_for,
            "lives": {child.name: child.lives for child in children if child.lives or child.wanted()},
        }
        document |= {f"{child.name}_pid": child.pid for child in children if child.lives or child.wanted()}
        if self._settings.web:
            document |= {
                "web_port": self._web_port,
                "web_url": reach.url(self._settings, self._web_port),
            }
        if self._settings.orders:
            document["order_port"] = self._order_port
        return document

    def _write_run(self) -> None:
        # on a full disk the gateway must go on; who asks then gets the last that could be written
        self._unwritten = True
        with contextlib.suppress(OSError):
            write_whole(self._settings.run_path, json.dumps(self._running()).encode(), 0o600)
            self._unwritten = False

    async def _keep_run_true(self) -> None:
        """Write what runs as soon as it can be written, where a disk did not take it when it changed."""
        while True:
            await asyncio.sleep(_LOOK_S)
            if self._unwritten:
                self._write_run()

    async def _broker_answers(self, line: Line) -> None:
        while True:
            if not broker.door_is_open(self._settings):
                line.wait_longer(_POLL_S)  # that is the doorkeeper's beginning, not the broker's
            elif await asyncio.to_thread(self._broker_accepts):
                return
            await asyncio.sleep(_POLL_S)

    def _broker_accepts(self, timeout_s: float = 2.0) -> bool:
        tls = broker.probe_tls(self._authority)
        return broker.answers(self._place, tls, self._settings.server_names[0], timeout_s)

    async def _page_lives(self) -> bool:
        """Does the page's process answer a request?"""
        try:
            async with asyncio.timeout(_ANSWER_S):
                reader, writer = await asyncio.open_connection(
                    reach.near(self._settings), self._web_port, ssl=self._page_tls
                )
                try:
                    writer.write(b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
                    return bool(await reader.readline())
                finally:
                    writer.close()
        except (OSError, TimeoutError):
            return False

    async def _page_answers(self, _line: Line) -> None:
        while True:
            try:
                _, writer = await asyncio.open_connection(reach.near(self._settings), self._web_port)
            except OSError:
                await asyncio.sleep(_POLL_S)
                continue
            writer.close()
            return

    def _ingest_command(self, ready: int) -> list[str]:
        return [*self._module("gateway.ingest"), "--ready-fd", str(ready)]

    def _door_command(self, ready: int) -> list[str]:
        return [*self._module("gateway.doorkeeper"), "--ready-fd", str(ready)]

    def _web_command(self, _ready: int) -> list[str]:
        where = ["--host", self._settings.web_host, "--port", str(self._web_port)]
        return [*self._module("gateway.web"), *where]

    def _orders_command(self, ready: int) -> list[str]:
        return [*self._module("gateway.orders"), "--ready-fd", str(ready)]

    def _notifier_command(self, ready: int) -> list[str]:
        return [*self._module("gateway.delivery"), "--ready-fd", str(ready)]

    def _module(self, name: str) -> list[str]:
        return [sys.executable, "-m", name, "--data-dir", str(self._settings.data_dir)]


def print_json(running: dict[str, object]) -> None:
    """One line on standard output, for a program that waits for it."""
    print(json.dumps(running), flush=True)


def serve(
    settings: Settings,
    *,
    until_stdin_ends: bool = False,
    tell: Callable[[dict[str, object]], None] = print_json,
) -> int:
    """Run a gateway until SIGTERM or SIGINT; returns the exit code, 2 where it can not start.

    ``tell`` hears what runs (as in ``run.json``) when everything is ready. ``until_stdin_ends`` stops it also when
    whoever started it is gone.
    """
    logs.configure("serve", settings.log_format)
    try:
        settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        with (settings.data_dir / "serve.lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise ServiceError(f"a gateway runs on {settings.data_dir} already: stop it first") from None
            restore.finish(settings)
            authority = Authority.of(settings)
            store = Store.open(settings.store_place, busy_timeout_ms=settings.busy_timeout_ms)
            try:
                keys.make_ready(settings, store, authority)
                shredding.scrubbed(store)  # of what a run that was cut off has deleted
                if settings.web:
                    with store.read() as connection:
                        reach.check(settings, connection)
            finally:
                store.close()
            asyncio.run(Service(settings, authority, tell).run(until_stdin_ends=until_stdin_ends))
    except (
        ServiceError,
        BackupError,
        StoreError,
        SealError,
        SettingsError,
        broker.BrokerError,
        OSError,
    ) as error:
        print(f"tagwatch: {error}", file=sys.stderr)
        return 2
    return 0


def _any_certificate() -> ssl.SSLContext:
    """For asking the page of this machine whether it lives: nothing is told to it that it must prove itself for."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _set_at_end_of_input(stopping: asyncio.Event) -> None:
    if not os.read(0, 4096):
        asyncio.get_running_loop().remove_reader(0)
        stopping.set()


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
