"""Devices for a fitting visit without hardware: the real firmware, as from the factory, behind pseudo-terminals.

Their flash lies in a folder and stays, so a visit that was broken off finds the device as it left it. What is worn is
on a leg already: the strap is closed, an alcohol tag feels skin, a GPS tag sees more of the sky from second to second.
"""

from __future__ import annotations

import contextlib
import queue
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from gateway.simulated import KINDS, Simulated
from sim.alcohol_feed import CALIBRATION, Curve
from sim.bench.serial import SerialPort
from sim.bench.tag import MOVING_PIN, VirtualTag
from sim.sentences import fix, no_fix, sentence

AHEAD_S = 3600
"""So long a visit lasts at most; then the device hears nothing more of the world."""
BLIND_S = 8
"""Without a fix at first."""
_PLACE = 52.1, 4.9
_MOST_HEARD = 12
NEAR_DBM = -62
"""In the next room."""


@contextlib.contextmanager
def behind_a_port(kind: str, folder: Path, *, pace: float = 1.0) -> Iterator[Simulated]:
    """A device of a kind of `KINDS` at a port, an RF tag with a home unit that hears it."""
    if kind == "rf":
        with (
            on_a_leg("rf_tag", folder / "rf") as tag,
            on_a_leg("home_unit", folder / "home-unit") as unit,
            in_one_room(tag, unit, pace=pace) as (of_tag, of_unit),
        ):
            yield Simulated((of_tag.path, of_unit.path))
        return
    with on_a_leg(KINDS[kind], folder / kind) as tag, SerialPort(tag, pace=pace) as port:
        yield Simulated((port.path,), CALIBRATION if kind == "alcohol" else {})


@contextlib.contextmanager
def in_one_room(
    tag: VirtualTag, unit: VirtualTag, *, pace: float = 1.0, dbm: int = NEAR_DBM
) -> Iterator[tuple[SerialPort, SerialPort]]:
    """The ports of an RF tag and of a home unit that hears every beacon of it, so strong."""
    in_the_air: queue.SimpleQueue[bytes] = queue.SimpleQueue()

    def send() -> None:
        for beacon in tag.beacons():
            in_the_air.put(beacon.data)

    def hear() -> None:
        while not in_the_air.empty():
            unit.hear(unit.now_ms + 1, dbm, in_the_air.get())

    with (
        SerialPort(tag, pace=pace, between=send) as of_tag,
        SerialPort(unit, pace=pace, between=hear) as of_unit,
    ):
        yield of_tag, of_unit


@contextlib.contextmanager
def on_a_leg(kind: str, folder: Path) -> Iterator[VirtualTag]:
    """A device with power, whose world goes on for `AHEAD_S` from now."""
    start_ms = time.time_ns() // 1_000_000
    with VirtualTag(folder, None, start_ms=start_ms, clock_set=True, kind=kind) as tag:
        feel(tag)
        tag.start()
        yield tag


def feel(tag: VirtualTag) -> None:
    """Let it see, or feel, what it does on a leg."""
    start_ms = tag.now_ms
    if tag.kind == "gps_tag":
        tag.set_pin(start_ms, MOVING_PIN, 0)  # who is fitted sits still
        for second in range(AHEAD_S):
            t_ms = (start_ms // 1000 + second + 1) * 1000
            said = no_fix(t_ms) if second < BLIND_S else fix(t_ms, *_PLACE)
            tag.feed(t_ms, said + view(min(second + 1, _MOST_HEARD)))
    elif tag.kind == "alcohol_tag":
        span_ms = np.array([start_ms, start_ms + AHEAD_S * 1000], np.int64)
        worn = Curve(span_ms, np.zeros(2), np.full(2, 1.2), np.full(2, 33.0))
        worn.play(tag, start_ms, start_ms + AHEAD_S * 1000)


def view(heard: int) -> bytes:
    """GSV of twelve satellites, of which so many are heard."""
    said = b""
    for group in range(3):
        body = f"GPGSV,3,{group + 1},12"
        for number in range(4 * group, 4 * group + 4):
            body += f",{number + 1:02d},45,{30 * number:03d},{'40' if number < heard else ''}"
        said += sentence(body)
    return said
