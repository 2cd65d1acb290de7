"""Whole visits of each kind, and what goes wrong in them: put in as a step begins, while the command runs.

A visit is typed again after each fault, and has the next one at a later step; so one visit has them all.
"""

from __future__ import annotations

import contextlib
import json
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol

import pytest
from boards.esp32_pins import PINS

from gateway.authority import Authority
from gateway.devices import add_device
from gateway.fitting import Fitted, Stop
from gateway.fitting.console import signature
from gateway.fitting.context import Purpose
from gateway.fitting.stops import NoAnswer
from gateway.store import installations, orders
from sim.bench.tag import VirtualTag
from tests.community_order import every_day
from tests.system.fitting_faults import DOOR, STEPS, CutOffError
from tests.system.fitting_room import Fault, Plug, Room, leg

HOME = {"name": "home", "latitude": 52.1, "longitude": 4.9, "radius_m": 30}
CURFEW = {"id": "c", "type": "curfew", "address": HOME, "timetable": every_day("19:00", "07:00")}
FLAT_MV, FULL_MV = 1600, 1950
"""At the pin, which has half of the battery's voltage."""
RF_PACE = 18.0

TAG = ("find", "identify", "identity", "read back", "self-test")
OF_GPS_TAG = (*TAG, "sky", "strap", "check", "first reading")
OF_RF_TAG = (*TAG, "strap", "check", "lock")
OF_UNIT = (*(f"unit {step}" for step in TAG), "hear", "survey", "unit check", "first reading")
AFTER_RF = ("bind", "unit lock", "wipe", "leaflet", "record")
OF_CHECK = ("find", "identify", "self-test", "strap", "check", "first reading")
OF_REMOVE = ("find", "identify", "last readings")
OF_OLD = ("old find", "old identify", "old last readings")


@dataclass
class Course:
    """One visit. ``at`` says for each step that speaks with a device with which one; ``steps`` are all of them.

    ``numbers`` are the devices' own.
    """

    room: Room
    order_id: str
    plug: Plug
    at: Mapping[str, VirtualTag]
    steps: Sequence[str]
    numbers: Mapping[VirtualTag, str]
    purpose: Purpose = "fit"
    asked: dict[str, Any] = field(default_factory=dict)
    worn: int = 1
    """So many activations are open under the order when the visit is over."""

    def go(self, fault: Fault | None = None) -> Fitted:
        """Type the command."""
        more = dict(self.asked)
        device = more.pop("device", None)
        return self.room.visit(self.order_id, self.plug, device, fault, self.purpose, **more)

    def killed(self, at: str) -> None:
        """Type it in a process of its own, which is killed there."""
        more = json.dumps({**self.asked, "ports": self.plug.paths})
        command = (sys.executable, "-m", "tests.system.fitting_room", str(self.room.settings.data_dir))
        ended = subprocess.run(
            [*command, self.order_id, at, self.purpose, more], capture_output=True, text=True, timeout=300
        )
        assert ended.returncode == -9, (at, ended.stdout, ended.stderr)

    def intact(self) -> None:
        """Each device has all of its identity or none; what is bound is bound whole."""
        for tag, number in self.numbers.items():
            if tag in self.plug.there:
                with self.plug.console(tag=tag) as console:
                    for _ in range(10):
                        with contextlib.suppress(NoAnswer):
                            said = console.identify()
                            break
                    assert said.device in (None, number)
                    if said.device is not None:
                        console.signature = partial(signature, self.room.key(number))
                        told = console.ask("read")
                        assert told["settings"]["device"] == number
                        assert all(told["sha256"].values())
        with self.room.store.read() as connection:
            rows = [
                row
                for row in orders.activations(connection)
                if row.order_id == self.order_id and row.removed_ms is None
            ]
            stand = {one.activation for one in installations.every(connection) if one.removed_ms is None} & {
                row.id for row in orders.activations(connection) if row.order_id == self.order_id
            }
        assert len(rows) <= 1, "at most one of a kind is worn"
        rf = {row.id for row in rows if row.device.startswith("rf")}
        assert stand == rf, "an RF tag that is worn has its home unit, and no unit stands for one that is not"

    def over(self, done: Fitted) -> None:
        """It has ended well, once."""
        self.intact()
        outcome = {"fit": "fitted", "check": "checked", "remove": "removed", "swap": "swapped"}[self.purpose]
        assert done.outcome == outcome
        with self.room.store.read() as connection:
            rows = [row for row in orders.activations(connection) if row.order_id == self.order_id]
        assert len([row for row in rows if row.removed_ms is None]) == self.worn
        assert len(rows) == (2 if self.purpose == "swap" else 1), "nothing was bound twice"
        assert done.folder is not None
        assert {"journal.jsonl", "record.json", "record.html"} <= {one.name for one in done.folder.iterdir()}
        record = json.loads((done.folder / "record.json").read_text())
        told = {one for one in self.steps if one not in ("find", "unit find", "record")}
        assert told <= set(record["steps"]), "also what a command did that was cut off"
        assert not [one for one in self.room.open_visits() if f"{self.order_id}-{self.purpose}-" in one.name]


class Wrong(Protocol):
    """Something that goes wrong with a device: ``put`` while a command runs, ``mended`` before the next."""

    def put(self, course: Course, tag: VirtualTag) -> None: ...

    def mended(self, course: Course, tag: VirtualTag) -> None: ...

    def says(self, step: str) -> str | None:
        """What the command says when it stops, as a pattern; None: it goes on."""


class CablePulled:
    """The plug comes off."""

    def put(self, course: Course, tag: VirtualTag) -> None:
        course.plug.pull(tag)

    def mended(self, course: Course, tag: VirtualTag) -> None:
        course.plug.push(tag)

    def says(self, step: str) -> str | None:
        if step.endswith("find"):
            return (
                r"no tag answers at .*put the plug on|is not what order .* plug in the right one|"
                r"the tag that is to go: .*put the plug on the new tag"
            )
        return r"is gone: push the plug in until it holds, and type the same command again"


class BatteryEmpty(CablePulled):
    """The device dies of it, the plug on it; then it is charged."""

    def put(self, course: Course, tag: VirtualTag) -> None:
        course.plug.dies(tag)

    def mended(self, course: Course, tag: VirtualTag) -> None:
        course.plug.lives(tag)

    def says(self, step: str) -> str | None:
        if step.endswith("find"):
            return (
                r"no tag answers at .*charge the tag|is not what order .* plug in the right one|"
                r"the tag that is to go: .*put the plug on the new tag"
            )
        return r"answers as a tag does: .* charge the tag for ten minutes"


class BatteryLow(CablePulled):
    """It would not last the night."""

    def put(self, course: Course, tag: VirtualTag) -> None:
        course.plug.pin(tag, PINS["battery_adc"], FLAT_MV)

    def mended(self, course: Course, tag: VirtualTag) -> None:
        course.plug.pin(tag, PINS["battery_adc"], FULL_MV)

    def says(self, step: str) -> str | None:
        return r"battery of \w+: 3200 mV: charge it until its light stays on, or take another one"


class Noise(CablePulled):
    """400 bytes that nobody sent, both ways."""

    def put(self, course: Course, tag: VirtualTag) -> None:
        course.plug.noise(sum(course.order_id.encode()) + len(course.plug.paths))

    def mended(self, course: Course, tag: VirtualTag) -> None:
        pass

    def says(self, step: str) -> str | None:
        return None


@dataclass
class AnotherOnThePlug:
    """The plug goes on a stranger, and nobody lets go of the port. ``said`` where the command begins with it."""

    stranger: VirtualTag
    said: str

    def put(self, course: Course, tag: VirtualTag) -> None:
        course.plug.swap(self.stranger, tag)

    def mended(self, course: Course, tag: VirtualTag) -> None:
        course.plug.swap(tag, self.stranger)

    def says(self, step: str) -> str | None:
        return self.said if step.endswith("find") else r"the visit is about [\w ]+: put the plug on"


@dataclass
class SecondPluggedIn:
    """Another is plugged in beside it, where nothing was."""

    stranger: VirtualTag
    said: str | None = None
    """What is said where the command begins with both; None: it knows which is which."""

    def put(self, course: Course, tag: VirtualTag) -> None:
        course.plug.push(self.stranger)

    def mended(self, course: Course, tag: VirtualTag) -> None:
        course.plug.pull(self.stranger)

    def says(self, step: str) -> str | None:
        return self.said if step.endswith("find") else None


def at_every_step(course: Course, wrong: Wrong, steps: Sequence[str] | None = None) -> None:
    """It goes wrong at each of these steps of one visit, each time while the command runs; then the visit goes well."""
    wrong_at_each(course, wrong, steps if steps is not None else list(course.at))
    course.plug.push()
    course.over(course.go())


def killed_at_every_step(course: Course, steps: Sequence[str]) -> None:
    """The command is killed as each of these steps begins and as it is over; then the visit goes well."""
    course.plug.push()
    for point in (at for step in steps for at in (step, f"after {step}")):
        course.killed(point)
        course.intact()
    done = course.go()
    assert done.resumed
    course.over(done)


# --------------------------------------------------------------------------------------------- the visits


@contextlib.contextmanager
def fitting(room: Room, name: str) -> Iterator[Course]:
    """A GPS tag from the factory."""
    device = f"gps{name}"[:16]
    with leg(room, name) as tag, Plug(tag) as plug:
        at = dict.fromkeys((*OF_GPS_TAG, "lock"), tag)
        yield Course(room, room.order(name), plug, at, STEPS, {tag: device}, asked={"device": device})


@contextlib.contextmanager
def fitting_rf(room: Room, name: str) -> Iterator[Course]:
    """An RF tag and its home unit, both from the factory and both plugged in."""
    device, number = f"rf{name}"[:16], f"unit{name}"[:16]
    order_id = room.order(name, CURFEW)
    with (
        leg(room, f"rf{name}", "rf_tag") as tag,
        leg(room, f"unit{name}", "home_unit") as unit,
        Plug(tag, unit, pace=RF_PACE) as plug,
    ):
        asked = {"device": device, "unit": number, "rooms": ("hall",)}
        at = dict.fromkeys(OF_RF_TAG, tag) | dict.fromkeys((*OF_UNIT, "unit lock"), unit)
        steps = (*DOOR, *OF_RF_TAG, *OF_UNIT, *AFTER_RF)
        yield Course(room, order_id, plug, at, steps, {tag: device, unit: number}, asked=asked)


@contextlib.contextmanager
def worn(room: Room, name: str) -> Iterator[Course]:
    """A visit to a GPS tag that a wearer has on."""
    with fitting(room, name) as course:
        course.go()
        course.asked = {}
        yield course


@contextlib.contextmanager
def checking(room: Room, name: str) -> Iterator[Course]:
    """A check of it."""
    with worn(room, name) as course:
        (tag,) = course.numbers
        course.purpose, course.at = "check", dict.fromkeys(OF_CHECK, tag)
        course.steps = (*DOOR, *OF_CHECK, "record")
        yield course


@contextlib.contextmanager
def removing(room: Room, name: str) -> Iterator[Course]:
    """Its removal."""
    with worn(room, name) as course:
        (tag,) = course.numbers
        course.purpose, course.at, course.worn = "remove", dict.fromkeys(OF_REMOVE, tag), 0
        course.steps = (*DOOR[:4], *OF_REMOVE, "unbind", "record")
        yield course


@contextlib.contextmanager
def swapping(room: Room, name: str) -> Iterator[Course]:
    """Another in its place."""
    device = f"new{name}"[:16]
    with worn(room, name) as course, leg(room, f"new{name}") as new:
        (old,) = course.numbers
        course.plug.tags = (old, new)
        course.purpose, course.asked = "swap", {"device": device}
        course.at = dict.fromkeys(OF_OLD, old) | dict.fromkeys((*OF_GPS_TAG, "lock"), new)
        course.numbers = {**course.numbers, new: device}
        course.steps = (*DOOR, *OF_OLD, *STEPS[len(DOOR) :])
        try:
            yield course
        finally:
            course.plug.pull(new)


# --------------------------------------------------------------------------------------------- strangers


@contextlib.contextmanager
def stranger(room: Room, name: str, device_kind: str, how: str) -> Iterator[tuple[VirtualTag, str | None]]:
    """A device that is not the visit's, and its number.

    ``how`` is new, worn (by another wearer, or listening for another's tag), stock (of this gateway, and unlocked:
    it obeys whoever speaks) or foreign (locked, of another gateway).
    """
    if how == "worn":
        make = fitting if device_kind == "gps_tag" else fitting_rf
        with make(room, f"w{name}") as other:
            other.go()
            other.plug.pull()
            yield next((tag, number) for tag, number in other.numbers.items() if tag.kind == device_kind)
        return
    with leg(room, f"str{name}", device_kind) as tag:
        number = None if how == "new" else f"str{name}"[:16]
        if number is not None:
            with Plug(tag) as plug:
                if how == "foreign":
                    key = room.given_elsewhere(plug, number)
                    with plug.console(key) as console:
                        console.ask("lock")
                else:
                    made = add_device(
                        room.store,
                        Authority.of(room.settings),
                        number,
                        settings=room.settings,
                        kind=device_kind,
                    )
                    room.gives(plug, made)
        yield tag, number


def who_is(tag: VirtualTag) -> str | None:
    """What a device that is at no port says of itself."""
    tag.connect_tool()
    told: str | None = tag.console('{"do": "identify"}')["device"]
    return told


def wrong_at_each(course: Course, wrong: Wrong, steps: Sequence[str]) -> None:
    """As `at_every_step`, and the visit is not over."""
    for step in steps:
        wrong_at(course, wrong, step)


def wrong_at(course: Course, wrong: Wrong, step: str) -> None:
    """It goes wrong as this step begins."""
    tag, said = course.at[step], wrong.says(step)
    course.plug.push(tag)

    struck = []

    def strike(at: str) -> None:
        if at == step:
            struck.append(at)
            wrong.put(course, tag)
        elif at == f"after {step}" and said is None:
            raise CutOffError

    if said is None:
        with pytest.raises(CutOffError):
            course.go(strike)
    else:
        with pytest.raises(Stop) as stopped:
            course.go(strike)
        assert re.search(said, str(stopped.value)), f"{step}: {stopped.value}"
    assert struck == [step], "this step is not done again"
    wrong.mended(course, tag)
    course.intact()
