"""Messages of a fleet, sealed before the clock starts: what very many GPS tags would have said, byte for byte.

Each message holds five positions a minute apart, as a tag sends them that neither is in a hurry nor has been offline.
Numbers go up without a hole, from 1. A device's key follows from the fleet's secret and its name.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from core import envelope, wire
from core.readings import POSITION_WIRE, Kind
from gateway import topics
from sim.market import MARKET

POSITIONS = 5
"""In a message."""
EPOCH = 1
_MINUTE_MS = 60_000
_WALK_E7 = 9000  # 100 m a minute at most, in 1e-7 degrees
_SPREAD_DEGREES = 0.05
_FLAGS = 3 | 4 | 32  # time from satellites, three-dimensional, precision from GST


class Message(NamedTuple):
    """One PUBLISH of a device: what comes before its packet id and after, and the last number that it holds."""

    device: str
    topic: bytes
    data: bytes
    last: int


def device_name(number: int) -> str:
    """The id of device ``number`` of a fleet."""
    return f"flt{number:07d}"


def key_of(secret: bytes, device: str) -> bytes:
    """The MAC key of a device."""
    return hmac.digest(secret, device.encode(), hashlib.sha256)


def messages(
    secret: bytes, wearers: int, count: int, until_ms: int, seed: int, sealed: Callable[[int], None]
) -> list[Message]:
    """``count`` messages in the order in which they are to be sent: each device in turn, again and again.

    The last position of each device is of ``until_ms`` (UTC) at most. ``sealed`` hears how many there are.
    """
    rounds = -(-count // wearers)
    drawn = np.random.default_rng(seed)
    speaking = min(wearers, count)
    east = MARKET.lon + _SPREAD_DEGREES * (drawn.random(speaking) - 0.5)
    north = MARKET.lat + _SPREAD_DEGREES * (drawn.random(speaking) - 0.5)
    lat, lon = (north * 1e7).astype(np.int64), (east * 1e7).astype(np.int64)
    names = [device_name(number) for number in range(speaking)]
    keys = [key_of(secret, name) for name in names]
    spoken = [topics.up(name) for name in names]
    found: list[Message] = []
    for turn in range(rounds):
        base_s = (until_ms - (rounds - turn) * POSITIONS * _MINUTE_MS) // 1000
        records = np.zeros((speaking, POSITIONS), POSITION_WIRE)
        records["dt"] = np.arange(POSITIONS) * (_MINUTE_MS // 100)
        for column, last in (("lat", lat), ("lon", lon)):
            steps = drawn.integers(-_WALK_E7, _WALK_E7, (speaking, POSITIONS)).cumsum(axis=1)
            records[column] = last[:, None] + steps
            last += steps[:, -1]
        records["precision"] = drawn.integers(40, 150, (speaking, POSITIONS))
        records["speed"] = drawn.integers(0, 12, (speaking, POSITIONS))
        records["satellites"], records["hdop"], records["flags"] = 9, 10, _FLAGS
        first = 1 + turn * POSITIONS
        for number in range(min(speaking, count - turn * wearers)):
            raw = records[number].tobytes()
            block = wire.Block(int(Kind.POSITION), first, POSITIONS, base_s, None, raw, dated=True)
            payload = wire.encode_up(wire.Up(EPOCH, first, (block,)))
            topic = spoken[number]
            data = envelope.seal(keys[number], names[number], topic, payload)
            found.append(Message(names[number], topic.encode(), data, first + POSITIONS - 1))
        sealed(len(found))
    return found
