"""Topics of protocol version 1: ``em/v1/{partition}/{device}/up``, ``…/down`` and ``…/state``."""

from __future__ import annotations

import re
from zlib import crc32

PARTITIONS = 64
UP_FILTER = "em/v1/+/+/up"
_UP = re.compile(r"em/v1/([0-9]{2})/([a-z0-9]{4,16})/up")


def partition(device: str) -> int:
    """The partition that keeps a device's messages in order."""
    return crc32(device.encode()) % PARTITIONS


def up(device: str) -> str:
    """Where a device speaks."""
    return f"em/v1/{partition(device):02d}/{device}/up"


def down(device: str) -> str:
    """Where a device listens."""
    return f"em/v1/{partition(device):02d}/{device}/down"


def state(device: str) -> str:
    """Where a device, or the broker as its will, says whether it is connected."""
    return f"em/v1/{partition(device):02d}/{device}/state"


def speaker(topic: str) -> str | None:
    """The device whose ``up`` topic this is; None where it is nobody's."""
    match = _UP.fullmatch(topic)
    if match is None or int(match[1]) != partition(match[2]):
        return None
    return match[2]
