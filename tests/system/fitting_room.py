"""Where fitting visits are tried: a real gateway, real firmware behind pseudo-terminals, and faults at chosen steps."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import random
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Self, cast

from core.readings import EventCode
from gateway import evidence
from gateway.authority import Authority
from gateway.devices import Credentials, add_device
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
from sim.fitting import NEAR_DBM, on_a_leg
from tests.community_order import community_order

PACE = 6.0
TRAIL = {"id": "trail", "type": "trail"}
FAULT_BYTES = 400
PORTS = 3
"""An officer's computer has so many; nothing is plugged in at some."""
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
        self.gives(plug, credentials)
        return credentials.key

    def gives(self, plug: Plug, credentials: Credentials) -> None:
        """Give a tag an identity, without any visit."""
        with plug.console() as console:
            console.put(provisioned(credentials, {}))
            while True:
                with contextlib.suppress(NoAnswer):
                    if console.identify().device == credentials.device:
                        return

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
    """The officer's cables, and what is at their ends: each tag at a port of its own, whose name stays.

    RF tags and home units at one plug are in one room: the units hear the beacons of the tags.
    """

    def __init__(self, *tags: VirtualTag, pace: float = PACE) -> None:
        self.tags = tags
        self._pace = pace
        self._names = tempfile.TemporaryDirectory(prefix="ports-")
        self._ports: dict[VirtualTag, SerialPort] = {}
        self._links: dict[VirtualTag, Path] = {}
        self._in_the_air: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        for number in range(PORTS):
            (Path(self._names.name) / f"port{number}").symlink_to("nothing-is-plugged-in")

    def __enter__(self) -> Self:
        self.push()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self.pull()
        finally:
            self._names.cleanup()

    @property
    def paths(self) -> tuple[str, ...]:
        """The ports that this computer has, with nothing at some of them."""
        return tuple(map(str, self._every()))

    @property
    def there(self) -> tuple[VirtualTag, ...]:
        """What is plugged in."""
        return tuple(self._ports)

    def push(self, *tags: VirtualTag) -> None:
        """Plug in those that are not; all of them where none is named."""
        for tag in tags or self.tags:
            if tag in self._ports:
                continue
            free = next(one for one in self._every() if one not in self._links.values())
            port = SerialPort(tag, pace=self._pace, between=self._between(tag))
            port.__enter__()
            self._ports[tag], self._links[tag] = port, free
            _points_at(free, port.path)

    def pull(self, *tags: VirtualTag) -> None:
        """Pull the plug off those, or off all."""
        for tag in tags or tuple(self._ports):
            port = self._ports.pop(tag, None)
            if port is not None:
                _points_at(self._links.pop(tag), "nothing-is-plugged-in")
                port.__exit__(None, None, None)

    def swap(self, tag: VirtualTag, gone: VirtualTag | None = None) -> None:
        """The plug goes on another tag without anybody letting go of the port."""
        was = gone or next(iter(self._ports))
        port, link = self._ports.pop(was), self._links.pop(was)
        tag.connect_tool()
        port.goes_on(tag, self._between(tag))
        self._ports[tag], self._links[tag] = port, link

    def pin(self, tag: VirtualTag, pin: int, level: int) -> None:
        """Something around a tag that is plugged in changes."""
        self._ports[tag].at_rest(lambda: tag.set_pin(tag.now_ms, pin, level))

    def dies(self, tag: VirtualTag) -> None:
        """Its battery is empty, whatever it is doing; the plug stays on it."""
        self._ports[tag].goes_on(None)
        tag.kill()

    def lives(self, tag: VirtualTag) -> None:
        """It was charged, and boots."""
        tag.said()
        tag.start()
        tag.connect_tool()
        self._ports[tag].goes_on(tag, self._between(tag))

    def noise(self, seed: int) -> None:
        """Bytes that nobody sent, both ways, at every port."""
        some = random.Random(seed)
        for port in self._ports.values():
            os.write(port._ours, some.randbytes(FAULT_BYTES))
            there = os.open(port.path, os.O_WRONLY | os.O_NOCTTY)
            os.write(there, some.randbytes(FAULT_BYTES).replace(b"{", b"}"))
            os.close(there)

    def console(
        self, key: bytes | None = None, tag: VirtualTag | None = None
    ) -> contextlib.AbstractContextManager[Console]:
        link = self._links[tag] if tag is not None else next(iter(self._links.values()))
        return _console(str(link), key)

    def _every(self) -> list[Path]:
        return sorted(Path(self._names.name).iterdir())

    def _between(self, tag: VirtualTag) -> Callable[[], object] | None:
        def send() -> None:
            for beacon in tag.beacons():
                self._in_the_air.put(beacon.data)

        def hear() -> None:
            while not self._in_the_air.empty():
                tag.hear(tag.now_ms + 1, NEAR_DBM, self._in_the_air.get())

        return {"rf_tag": send, "home_unit": hear}.get(tag.kind)


def _points_at(link: Path, path: str) -> None:
    """A port's name leads to what is plugged in there now."""
    fresh = link.with_name(f".{link.name}")
    fresh.symlink_to(path)
    fresh.replace(link)


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

    Arguments: the gateway's folder, order, step, purpose, and what is asked beside that (JSON).
    """
    folder, order_id, at, purpose, more = sys.argv[1:]

    def kill(step: str) -> None:
        if step == at:
            os.kill(os.getpid(), signal.SIGKILL)

    settings = settings_of(Path(folder))
    store = Store.open(settings.store_place)
    told = {name: tuple(one) if isinstance(one, list) else one for name, one in json.loads(more).items()}
    asked = Asked(order_id, "Sam Officer", **{**SPANS, "answers": ALL_WELL, **told})
    try:
        fit(settings, store, asked, Watcher(kill), cast("Purpose", purpose))
    except Stop as stop:
        sys.exit(str(stop))


if __name__ == "__main__":
    main()
