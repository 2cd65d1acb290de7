"""What an RF tag says over the short-range radio: 20 bytes that nobody without its beacon key can make, and counted.

``version u8 · beacon u32 · counter u32 · state u8 · battery u8 · age u16 · mac 7 bytes``, little-endian. See
docs/protocol.md "The beacon".
"""

import hashlib
import struct

import envelope

VERSION = 1
BYTES = 20
# One beacon in each slot, up to JITTER_MS after its beginning: 10 to 20 s apart. So a counter is a clock, too.
SLOT_MS = 15000
JITTER_MS = 5000

# state
STRAP_OPEN = 1 << 0
STRAP_WAS_OPENED = 1 << 1  # since the last officer's check at the tag
CASE_OPEN = 1 << 2
BATTERY_LOW = 1 << 3
STARTED = 1 << 4  # less than an hour ago: its counter is no clock

BATTERY_UNIT_MV = 20
AGE_UNIT_MS = 10000
UNKNOWN_BATTERY, UNKNOWN_AGE = 255, 65535

_LAYOUT = "<BIIBBH"
_SAID = 13  # bytes before the MAC


def number(device: str) -> int:
    """What beacons and home units call the tag ``device``."""
    found: int = struct.unpack(">I", hashlib.sha256(device.encode()).digest()[:4])[0]
    return found


def beacon_key(device_key: bytes) -> bytes:
    """The key of a tag's beacons: a home unit that is given it can not speak for the tag anywhere else."""
    return envelope.hmac(device_key, b"beacon")


def seal(key: bytes, beacon: int, counter: int, state: int, battery: int, age: int) -> bytes:
    """One beacon; ``battery`` and ``age`` in their units."""
    said = struct.pack(_LAYOUT, VERSION, beacon, counter, state, battery, age)
    return said + envelope.hmac(key, said)[: BYTES - _SAID]


def named(data: bytes) -> int | None:
    """The tag in whose name a beacon speaks, true or not; None where it is no beacon of ours."""
    if len(data) != BYTES or data[0] != VERSION:
        return None
    found: int = struct.unpack("<I", data[1:5])[0]
    return found


def open(key: bytes, data: bytes) -> tuple[int, int, int, int] | None:  # noqa: A001 - seal and open are the pair
    """``(counter, state, battery, age)`` of a beacon that was made with ``key``; None where it was not."""
    if named(data) is None or not envelope.same(
        data[_SAID:], envelope.hmac(key, data[:_SAID])[: BYTES - _SAID]
    ):
        return None
    _version, _beacon, counter, state, battery, age = struct.unpack(_LAYOUT, data[:_SAID])
    return counter, state, battery, age
