"""Days in the life of each device, as a soak or a benchmark feeds them: all that can happen in an ordinary one."""

from __future__ import annotations

import hashlib
import hmac
import struct
from collections.abc import Callable
from pathlib import Path

from core import wire
from firmware.boards.esp32_pins import PINS
from sim.alcohol_feed import CALIBRATION, CLEAN_AIR_MV, FUEL_CELL, INFRARED, TEMPERATURE
from sim.bench.tag import MOVING_PIN, VirtualTag
from sim.sentences import fix, no_fix
from tests.sim.stand_in import StandIn

START_MS = 1_793_577_600_000  # a midnight
MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS
DAY_MS = 24 * HOUR_MS
SLOT_MS = 15_000
DEVICES = {"gps_tag": "gps00001", "rf_tag": "rf000001", "home_unit": "unit0001", "alcohol_tag": "alc00001"}
UNIT_TAGS = {7 + i: bytes([i]) * 32 for i in range(3)}
HEAD = bytes.fromhex("02010417ffffff")
"""Of an advertisement, before the beacon: firmware/boards/esp32_radio.py."""


def begin(gateway: StandIn, folder: Path, kind: str, *, metered: bool = True, **config: object) -> VirtualTag:
    """A device at the beginning of its first day, with a broker under mutual TLS behind it, switched on."""
    if kind == "home_unit":
        config["tags"] = [[number, key.hex()] for number, key in UNIT_TAGS.items()]
    elif kind == "alcohol_tag":
        config.update(CALIBRATION)
    tag = VirtualTag(
        folder,
        gateway.credentials(DEVICES[kind]),
        start_ms=START_MS,
        kind=kind,
        config=config,
        clock_set=True,
        metered=metered,
        patience_s=1.0,
    )
    tag.start()
    return tag


def live_a_day(
    gateway: StandIn, tag: VirtualTag, *, step_ms: int = 10_000, passed: Callable[[int], None] | None = None
) -> None:
    """Let one day pass. ``step_ms``: between fixes. ``passed`` is told each hour."""
    for hour in range(24):
        begin_ms = tag.now_ms
        FEEDS[tag.kind](gateway, tag, hour, step_ms)
        tag.run_until(begin_ms + HOUR_MS)
        if passed is not None:
            passed(hour)


def _gps(gateway: StandIn, tag: VirtualTag, hour: int, step_ms: int) -> None:
    """Asleep till seven and in the evening, out between; a tunnel, a charge, a strap, a deaf gateway, commands."""
    at_ms = tag.now_ms
    tag.set_pin(at_ms, MOVING_PIN, int(7 <= hour < 20))
    tag.set_pin(at_ms, PINS["charger"], int(hour == 21))
    if hour == 18:
        tag.set_pin(at_ms + 10 * MINUTE_MS, PINS["strap"], 1)
        tag.set_pin(at_ms + 11 * MINUTE_MS, PINS["strap"], 0)
    gateway.silent = hour == 15
    told: dict[int, tuple[str, list[object]]] = {
        8: ("pursuit", [20]),
        10: ("settings", [{4: [at_ms // 1000, at_ms // 1000 + 3600], 5: [521_000_000, 49_000_000, 300]}]),
        12: ("locate", []),
        13: ("vibrate", [1, 2]),
    }
    if hour in told:
        n = (at_ms - START_MS) // HOUR_MS
        gateway.commands[tag.device] = wire.Command(n, *told[hour])
    for t_ms in range(at_ms, at_ms + HOUR_MS, step_ms):
        inside = hour == 11 and t_ms - at_ms < 20 * MINUTE_MS
        lon = 4.9 + (max(hour - 7, 0) * HOUR_MS + t_ms - at_ms) * 1e-9 if hour < 20 else 4.9
        tag.feed(t_ms + 200, no_fix(t_ms) if inside else fix(t_ms, 52.1, lon))


def _rf(_gateway: StandIn, tag: VirtualTag, hour: int, _step_ms: int) -> None:
    """Worn; opened for a minute in the evening."""
    if hour == 18:
        tag.set_pin(tag.now_ms + 10 * MINUTE_MS, PINS["strap"], 1)
        tag.set_pin(tag.now_ms + 11 * MINUTE_MS, PINS["strap"], 0)


def _unit(gateway: StandIn, tag: VirtualTag, hour: int, _step_ms: int) -> None:
    """Three tags at home in the evening and at night, one of them forged for a while; a power cut; moved once."""
    at_ms = tag.now_ms
    tag.set_pin(at_ms, PINS["mains"], int(hour == 13))
    tag.set_pin(at_ms + 5 * MINUTE_MS, PINS["moved"], int(hour == 16))
    tag.set_pin(at_ms + 6 * MINUTE_MS, PINS["moved"], 0)
    gateway.silent = hour == 15
    if 9 <= hour < 17:
        return
    for t_ms in range(at_ms, at_ms + HOUR_MS, SLOT_MS):
        for i, (number, key) in enumerate(UNIT_TAGS.items()):
            counter = 1 + (t_ms - START_MS) // SLOT_MS
            forged = hour == 20 and i == 2
            sealed = _beacon(bytes(32) if forged else key, number, counter)
            tag.hear(t_ms + 100 + 1000 * i, -60 - 5 * i, HEAD + sealed)


def _beacon(key: bytes, number: int, counter: int) -> bytes:
    """A beacon of a tag that is well: docs/protocol.md, "The beacon"."""
    said = struct.pack("<BIIBBH", 1, number, counter, 0, 180, 65535)
    return said + hmac.digest(key, said, hashlib.sha256)[:7]


def _alcohol(gateway: StandIn, tag: VirtualTag, hour: int, _step_ms: int) -> None:
    """Drinks from seven in the evening on, sober again after midnight; obstructed at noon; a deaf gateway."""
    at_ms = tag.now_ms
    drunk = max(0, 5 - abs(hour - 22)) if hour >= 19 else 0
    for minute in range(0, 60, 5):
        then_ms = at_ms + minute * MINUTE_MS
        tag.set_pin(then_ms, FUEL_CELL, CLEAN_AIR_MV + 60 * drunk + minute % 3)
        tag.set_pin(then_ms, INFRARED, 300 if hour == 12 else 1500 + minute % 7)
        tag.set_pin(then_ms, TEMPERATURE, 820 + minute % 5)
    if hour == 18:
        tag.set_pin(at_ms + 10 * MINUTE_MS, PINS["strap"], 1)
        tag.set_pin(at_ms + 11 * MINUTE_MS, PINS["strap"], 0)
    gateway.silent = hour == 15


FEEDS: dict[str, Callable[[StandIn, VirtualTag, int, int], None]] = {
    "gps_tag": _gps,
    "rf_tag": _rf,
    "home_unit": _unit,
    "alcohol_tag": _alcohol,
}
