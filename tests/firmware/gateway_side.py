"""What the gateway's own readers make of a tag's bytes, in the plain values of the protocol's model."""

from __future__ import annotations

from core import envelope, wire
from core.readings import GAP_WIRE, Kind
from tests.protocol.model import Message

Reading = tuple[int, int, int, bytes]


def unpacked(up: wire.Up) -> list[Reading]:
    """Every reading of a decoded ``up`` as the tag holds it: (number, kind, tenths of a second, body)."""
    found = []
    for block in up.blocks:
        width = len(block.raw) // block.count
        for i in range(block.count):
            record = block.raw[i * width : (i + 1) * width]
            t_ds = block.base_time_s * 10 + int.from_bytes(record[:2], "little")
            found.append((block.first + i, block.kind, t_ds, record[2:]))
    return found


def authentic(data: bytes | memoryview, key: bytes, topic: str) -> Message:
    """The message in an envelope; AssertionError where it is not sealed under ``key`` for ``topic``.

    The content of a reading is (kind, tenths of a second, body).
    """
    opened = envelope.parse(bytes(data))
    assert envelope.authentic(opened, key, topic)
    up = wire.decode_up(opened.payload)
    gaps = []
    for block in up.blocks:
        if block.kind == Kind.GAP:
            assert block.records is not None
            assert block.records.dtype == GAP_WIRE
            gaps += [(int(record["first"]), int(record["count"])) for record in block.records]
    readings = {number: (kind, t_ds, body) for number, kind, t_ds, body in unpacked(up)}
    return Message(up.epoch, up.base, readings, tuple(gaps))
