"""Faults of fitting visits at chosen steps: what is disturbed, and what has to be whole after it."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import zlib
from functools import partial

import pytest

from gateway.fitting import Stop
from gateway.fitting.console import signature
from gateway.fitting.stops import CableGone, NoAnswer
from gateway.store import orders
from sim.bench.tag import VirtualTag
from tests.system.fitting_room import Fault, Plug, Room, leg

DOOR = tuple(
    f"door {name}"
    for name in (
        *("arrival", "identity", "age", "interpreter", "consent"),
        *("skin", "swelling", "pregnancy", "implant"),
    )
)
STEPS = (
    *DOOR,
    "find",
    "identify",
    "identity",
    "read back",
    "self-test",
    "sky",
    "strap",
    "check",
    "first reading",
    "bind",
    "lock",
    "wipe",
    "leaflet",
    "record",
)
"""Of a visit with a GPS tag, in their order."""
TOUCHES = (*STEPS[len(DOOR) + 1 : len(DOOR) + 9], "lock")
"""Those that speak with the tag."""


MOVES = (
    *("old find", "after old find", "old last readings", "after old last readings", "identity", "check"),
    *("bind", "after bind", "lock", "after lock", "leaflet", "record"),
)
"""Of a visit at which a tag takes another's place: where it is cut off, in this order."""


class CutOffError(BaseException):
    """The command is gone as a step begins or is over."""


def no_further_than(step: str) -> Fault:
    def stop(at: str) -> None:
        if at == f"after {step}":
            raise Stop("it would not go on", "this is a test")

    return stop


def whole(room: Room, plug: Plug, device: str) -> None:
    """The tag has all of its identity or none, and there is at most one activation."""
    with plug.console() as console:
        for _ in range(10):
            with contextlib.suppress(NoAnswer):
                said = console.identify()
                break
        assert said.device in (None, device)
        if said.device is not None:
            console.signature = partial(signature, room.key(device))
            told = console.ask("read")
            assert told["settings"]["device"] == device
            assert all(told["sha256"].values())
    assert len(room.active(device)) <= 1


def killed_at(room: Room, step: str) -> None:
    name = f"kill{zlib.crc32(step.encode()) % 10**8}"
    order_id = room.order(name)
    with leg(room, name) as tag, Plug(tag) as plug:
        asked = json.dumps({"device": name, "ports": plug.paths})
        command = (sys.executable, "-m", "tests.system.fitting_room", str(room.settings.data_dir))
        ended = subprocess.run(
            [*command, order_id, step, "fit", asked], capture_output=True, text=True, timeout=200
        )
        assert ended.returncode == -9, ended.stderr
        whole(room, plug, name)
        fitted = room.visit(order_id, plug, name)
        assert fitted.resumed
        assert fitted.activation == f"{name}-1"
        assert len(room.active(name)) == 1


def disturbed(room: Room, name: str, kind: str, *, pulled: tuple[str, ...], swapped: tuple[str, ...]) -> None:
    """A visit whose plug is pulled, or goes on a stranger's tag, as these steps begin; each time it goes on."""
    order_id, device = room.order(name), f"gps{name}"
    with leg(room, name) as tag, leg(room, f"stranger{name}") as stranger:
        number = stranger_of(room, stranger, kind)
        with Plug(tag) as plug:
            for step in sorted({*pulled, *swapped}, key=STEPS.index):
                stop: type[Stop] = CableGone if step in pulled else Stop
                said = (
                    "type the same command again"
                    if step in pulled
                    else "visit is about gps.*: put the plug on"
                )

                def disturb(at: str, wanted: str = step) -> None:
                    if at == wanted and wanted in pulled:
                        plug.pull()
                    elif at == wanted:
                        plug.swap(stranger)

                if step in swapped:
                    stranger.connect_tool()
                with pytest.raises(stop, match=said):
                    room.visit(order_id, plug, device, disturb)
                if step in pulled:
                    plug.push()
                else:
                    plug.swap(tag)
                whole(room, plug, device)
            assert room.visit(order_id, plug, device).activation == f"{device}-1"
            assert len(room.active(device)) == 1
        stranger.connect_tool()
        assert stranger.console('{"do": "identify"}')["device"] == number


def stranger_of(room: Room, tag: VirtualTag, kind: str) -> str | None:
    """Make a tag one that is new, worn by another, or locked and of another gateway; its number."""
    if kind == "new":
        return None
    with Plug(tag) as plug:
        if kind == "worn":
            room.visit(room.order("of the stranger"), plug, "gpsworn1")
            return "gpsworn1"
        key = room.given_elsewhere(plug, "gpstheirs1")
        with plug.console(key) as console:
            console.ask("lock")
    return "gpstheirs1"


def cut_at(wanted: str) -> Fault:
    """The command is gone at this point."""

    def cut(at: str) -> None:
        if at == wanted:
            raise CutOffError

    return cut


def swapped_at(room: Room, name: str, cuts: tuple[str, ...]) -> None:
    """One tag takes another's place in a visit that is cut off at these points: one whole tag is bound throughout."""
    order_id, goes, comes = room.order(name), f"go{name}"[:16], f"co{name}"[:16]
    with leg(room, goes) as old, leg(room, comes) as new:
        with Plug(old) as plug:
            room.visit(order_id, plug, goes)
        with Plug(old, new) as plug:
            for point in cuts:
                with pytest.raises(CutOffError):
                    room.visit(order_id, plug, comes, cut_at(point), purpose="swap")
                assert len([*room.active(goes), *room.active(comes)]) == 1, point
            done = room.visit(order_id, plug, comes, purpose="swap")
    assert (done.outcome, done.activation) == ("swapped", f"{comes}-1")
    assert done.steps["bind"]["unproven_ms"] is None
    with room.store.read() as connection:
        rows = {row.id: row for row in orders.activations(connection)}
    assert rows[f"{goes}-1"].removed_ms == rows[f"{comes}-1"].fitted_ms
    assert done.folder is not None
    record = json.loads((done.folder / "record.json").read_text())
    assert (record["purpose"], record["steps"]["bind"]["replaced"]) == ("swap", goes)
