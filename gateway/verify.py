"""From bytes on a topic to an authentic message, or to the reason why not (rules 1 and 2 of the protocol)."""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Literal

from core import envelope, wire
from core.readings import Kind
from gateway import topics
from gateway.sequences import Heard, Run, Span

Reason = Literal[
    "bad_topic",
    "too_large",
    "malformed",
    "foreign_device",
    "unknown_device",
    "revoked_device",
    "shut_key",
    "bad_mac",
    "retired_key",
    "undecodable",
    "unknown_kind",
    "internal_error",
]


@dataclass(frozen=True, slots=True)
class Refused:
    """A message that is not believed: nothing of it is committed, nothing is answered."""

    reason: Reason
    detail: str


@dataclass(frozen=True, slots=True)
class Authentic:
    """A message of ``device``, its MAC right.

    ``heard`` is what it tells of numbers, None where not even those could be told; ``up`` what it says, None where that
    is not understood. ``unread`` is the reason why something in it is not: then it belongs into quarantine as well.
    ``by_next``: it is sealed under the key that the device was to change to, so it has.
    """

    device: str
    heard: Heard | None
    up: wire.Up | None
    unread: Refused | None
    by_next: bool = False


@dataclass(frozen=True, slots=True)
class Beside:
    """The keys of a device beside the one in use: that which it is to change to, and the one before."""

    next: bytes | None = field(default=None, repr=False)
    retired: bytes | None = field(default=None, repr=False)


def nothing_beside(_device: str) -> Beside:
    """No device is about to change its key, and none has."""
    return Beside()


def read(
    topic: str,
    data: bytes,
    keys: Mapping[str, bytes],
    revoked: Container[str],
    beside: Callable[[str], Beside] = nothing_beside,
) -> Authentic | Refused:
    """Judge one message. ``keys`` are the MAC keys of the devices that are believed, as a `Keyring` gives them.

    ``beside`` is asked only where the key in use is not the right one. Raises nothing.
    """
    device = topics.speaker(topic)
    if device is None:
        return Refused("bad_topic", "not a device's up topic, or not in its partition")
    if len(data) > envelope.MAX_ENVELOPE_BYTES:
        return Refused("too_large", f"{len(data)} bytes, at most {envelope.MAX_ENVELOPE_BYTES} are read")
    try:
        sealed = envelope.parse(data)
    except envelope.EnvelopeError as error:
        return Refused("malformed", str(error))
    if sealed.kid != device:
        return Refused("foreign_device", "the key id names another device than the topic")
    key = keys.get(device)
    if key is None:
        if device in revoked:
            return Refused("revoked_device", "this device was revoked")
        if device in keys:
            return Refused("shut_key", "the key kept for this device can not be opened")
        return Refused("unknown_device", "this device was never added")
    by_next = False
    if not envelope.authentic(sealed, key, topic):
        others = beside(device)
        by_next = others.next is not None and envelope.authentic(sealed, others.next, topic)
        if not by_next and others.retired is not None and envelope.authentic(sealed, others.retired, topic):
            return Refused("retired_key", "sealed under the key that this device had before")
        if not by_next:
            return Refused("bad_mac", "not sealed under this device's key for this topic")
    try:
        up = wire.decode_up(sealed.payload)
    except wire.WireError as error:
        return Authentic(device, _numbers(error), None, Refused("undecodable", str(error)), by_next)
    strange = sorted({block.kind for block in up.blocks if block.records is None})
    unread = Refused("unknown_kind", f"kinds {strange} are not known here") if strange else None
    return Authentic(device, _heard(up), up, unread, by_next)


def content(block: wire.Block, number: int) -> tuple[int, int, bytes]:
    """What the reading ``number`` of a known kind says, however it was batched: kind, tenths of a second, rest."""
    assert block.records is not None
    at = number - block.first
    width = block.records.dtype.itemsize
    record = block.raw[at * width : (at + 1) * width]
    return block.kind, block.base_time_s * 10 + int.from_bytes(record[:2], "little"), record[2:]


def _heard(up: wire.Up) -> Heard:
    runs: list[Run] = []
    gaps: list[Span] = []
    unread: list[Span] = []
    for block in up.blocks:
        if block.records is None:
            unread.append(Span(block.first, block.last))
            continue
        runs.append(Run(block.first, block.last, partial(content, block)))
        if block.kind == Kind.GAP:
            gaps += (span for _, span, _ in gap_records(block))
    return Heard(up.epoch, up.base, tuple(runs), tuple(gaps), tuple(unread))


def gap_records(block: wire.Block) -> list[tuple[int, Span, int]]:
    """The gap records of a block: their own number, the numbers that they name, the reason.

    A tag names only what it dropped before; whatever a record claims from its own number on is passed over, else one
    false record could commit readings that are still to come.
    """
    assert block.records is not None
    found = []
    for number, record in enumerate(block.records, block.first):
        first, count = max(1, int(record["first"])), int(record["count"])
        last = min(int(record["first"]) + count, number) - 1
        if first <= last:
            found.append((number, Span(first, last), int(record["reason"])))
    return found


def _numbers(error: wire.WireError) -> Heard | None:
    numbers = [(epoch, Span(first, first + count - 1)) for epoch, first, count in error.numbers]
    if not numbers:
        return None
    return Heard(numbers[0][0], None, unread=tuple(span for _, span in numbers))
