"""Where fitting visits are tried: a real gateway, real firmware behind pseudo-terminals, and faults at chosen steps."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from core.readings import EventCode
from gateway import evidence
from gateway.authority import Authority
from gateway.devices import add_device
from gateway.fitting import Asked, Fitted, Stop, fit
from gateway.fitting.console import Console, signature
from gateway.fitting.context import Purpose
from gateway.fitting.line import Line
from gateway.fitting.stops import NoAnswer
from gateway.orders import add_order
from gateway.process import GatewayProcess
from gateway.seal import DEVICE_KEY
from gateway.settings import Settings
from gateway.store import Store, commands, devices, envelopes, intake, orders
from sim.bench.flash import provisioned
from sim.bench.serial import SerialPort
from sim.bench.tag import VirtualTag
from sim.fitting import on_a_leg
from tests.community_order import community_order

PACE = 6.0
TRAIL = {"id": "trail", "type": "trail"}
FAULT_BYTES = 400
Fault = Callable[[str], None]


def settings_of(folder: Path) -> Settings:
    return Settings.load(folder, mqtt_port=0, web=False, clock_trust="box")


class Room:
    """A gateway that runs, and its store."""

    def __init__(self, folder: Path) -> None:
        self.settings = settings_of(folder / "gateway")
        self.folder = folder
        self.gateway = GatewayProcess(self.settings)

    def __enter__(self) -> Self:
        self.gateway.start()
        self.store = Store.open(self.settings.store_place)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.store.close()
        self.gateway.stop()

    def order(self, order_id: str, *conditions: dict[str, Any]) -> str:
        return add_order(self.store, community_order(order_id, *(conditions or (TRAIL,)))).order_id

    def visit(
        self,
        order_id: str,
        plug: Plug | Ports,
        device: str | None = None,
        fault: Fault | None = None,
        purpose: Purpose = "fit",
        **asked: Any,
    ) -> Fitted:
        """Type the command."""
        wanted = typed(order_id, plug, device, asked)
        return fit(self.settings, self.store, wanted, Watcher(fault), purpose)

    def active(self, device: str) -> list[orders.ActivationRow]:
        with self.store.read() as connection:
            return [row for row in orders.activations(connection, device) if row.removed_ms is None]

    def opened(self, device: str) -> int:
        """When the strap of a device was opened, as it has told it; waits for that."""
        while True:
            with self.store.read() as connection:
                events = evidence.said(
                    [evidence.read(one) for one in envelopes.of_device(connection, device)]
                ).events
            opened = events.t_ms[events.code == EventCode.STRAP_OPEN]
            if len(opened):
                return int(opened[-1])
            time.sleep(0.2)

    def is_told(self, unit: str, *wanted: tuple[str, str]) -> bool:
        """Whether the gateway comes to tell a home unit these (command, tag); it looks every now and then."""
        for _ in range(150):
            with self.store.read() as connection:
                rows = commands.hearing_of(connection, unit)
            if {(row.name, row.arguments["tag"]) for row in rows} >= set(wanted):
                return True
            time.sleep(0.2)
        return False

    def tasks(self, order_id: str) -> list[intake.TaskRow]:
        with self.store.read() as connection:
            return intake.tasks(connection, order_id)

    def key(self, device: str) -> bytes:
        with self.store.read() as connection:
            entry = devices.one(connection, device)
        assert entry is not None
        return Authority.of(self.settings).vault.open_sealed(DEVICE_KEY, device, entry.key)

    def given_elsewhere(self, plug: Plug, device: str) -> bytes:
        """Another gateway has given this tag an identity; its key."""
        settings = Settings.load(self.folder / f"elsewhere-{device}", mqtt_port=0)
        store = Store.open(settings.store_place)
        try:
            credentials = add_device(store, Authority.of(settings), device, settings=settings)
        finally:
            store.close()
        with plug.console() as console:
            console.put(provisioned(credentials, {}))
            while True:
                with contextlib.suppress(NoAnswer):
                    if console.identify().device == device:
                        return credentials.key

    def open_visits(self) -> list[Path]:
        return sorted((self.settings.data_dir / "visits" / "open").glob("*.jsonl"))


SPANS: dict[str, Any] = {
    "sky_s": 20.0,
    "strap_s": 6.0,
    "reading_s": 60.0,
    "boot_s": 30.0,
    "room_s": 20.0,
    "pdf": False,
}
"""Short waits; a PDF takes seconds each, and one test has them drawn."""

ALL_WELL = {
    "arrival": "yes",
    "identity": "document",
    "age": "adult",
    "interpreter": "not_needed",
    "consent": "yes",
    "skin": "no",
    "swelling": "no",
    "pregnancy": "no",
    "implant": "no",
}
"""Answers at the door, as of a program that was given them beforehand."""


def typed(order_id: str, plug: Plug | Ports, device: str | None, asked: Mapping[str, Any]) -> Asked:
    """What Sam Officer types; at the door all is well, unless ``answers`` say otherwise."""
    given = {**SPANS, "answers": ALL_WELL, **asked}
    return Asked(order_id, "Sam Officer", device, ports=plug.paths, **given)


class Watcher:
    """Hears what a visit tells; ``fault`` is called as each step begins, and as it is over ("after …")."""

    def __init__(self, fault: Fault | None = None) -> None:
        self.steps: list[str] = []
        self._fault = fault

    def begun(self, step: str, doing: str) -> None:
        self.steps.append(step)
        if self._fault is not None:
            self._fault(step)

    def says(self, text: str) -> None:
        assert text

    def done(self, step: str, verdict: str, *, good: bool) -> None:
        if self._fault is not None:
            self._fault(f"after {step}")


class Ports:
    """Ports by their names, whoever is at them."""

    def __init__(self, *paths: str) -> None:
        self.paths = paths


class Plug:
    """The officer's cable, and what is at its end."""

    def __init__(self, *tags: VirtualTag, pace: float = PACE) -> None:
        self.tags = tags
        self._pace = pace
        self._ports: list[SerialPort] = []

    def __enter__(self) -> Self:
        self.push()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.pull()

    @property
    def paths(self) -> tuple[str, ...]:
        return tuple(port.path for port in self._ports)

    def push(self) -> None:
        self._ports = [SerialPort(tag, pace=self._pace) for tag in self.tags]
        for port in self._ports:
            port.__enter__()

    def pull(self) -> None:
        for port in self._ports:
            port.__exit__(None, None, None)
        self._ports = []

    def swap(self, tag: VirtualTag) -> None:
        """The plug goes on another tag without anybody letting go of the port."""
        self._ports[0]._tag = tag

    def noise(self, seed: int) -> None:
        """Bytes that nobody sent, both ways."""
        some = random.Random(seed)
        for port in self._ports:
            os.write(port._ours, some.randbytes(FAULT_BYTES))
            there = os.open(port.path, os.O_WRONLY | os.O_NOCTTY)
            os.write(there, some.randbytes(FAULT_BYTES).replace(b"{", b"}"))
            os.close(there)

    def console(self, key: bytes | None = None) -> contextlib.AbstractContextManager[Console]:
        return _console(self.paths[0], key)


@contextlib.contextmanager
def _console(path: str, key: bytes | None) -> Iterator[Console]:
    with Line(path) as line:
        console = Console(line)
        if key is not None:
            console.signature = partial(signature, key)
        yield console


@contextlib.contextmanager
def leg(room: Room, name: str, kind: str = "gps_tag") -> Iterator[VirtualTag]:
    """A tag from the factory, on a leg."""
    with on_a_leg(kind, room.folder / "tags" / name) as tag:
        yield tag


def main() -> None:
    """One visit in a process of its own, killed without warning as a step begins or is over.

    Arguments: the gateway's folder, order, device, port, step.
    """
    folder, order_id, device, path, at = sys.argv[1:]

    def kill(step: str) -> None:
        if step == at:
            os.kill(os.getpid(), signal.SIGKILL)

    settings = settings_of(Path(folder))
    store = Store.open(settings.store_place)
    asked = Asked(order_id, "Sam Officer", device, ports=(path,), answers=ALL_WELL, **SPANS)
    try:
        fit(settings, store, asked, Watcher(kill))
    except Stop as stop:
        sys.exit(str(stop))


if __name__ == "__main__":
    main()
