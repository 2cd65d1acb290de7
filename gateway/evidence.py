"""What stored envelopes say: the readings that count, and nothing that was stored before under the same number."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np

from core import envelope, wire
from core.decoding import positions_from_wire
from core.readings import POSITION_WIRE, Kind, Positions
from gateway import verify
from gateway.sequences import Span
from gateway.store.envelopes import Stored


def read(stored: Stored) -> tuple[wire.Up, tuple[Span, ...]]:
    """What a stored envelope says, and which of its numbers count. It was verified when it came.

    Raises EnvelopeError or WireError (both ValueError) where somebody has changed the store.
    """
    up = wire.decode_up(envelope.parse(stored.data).payload)
    if stored.fresh is not None:
        return up, stored.fresh
    return up, tuple(Span(block.first, block.last) for block in up.blocks)


def contents(stored: Iterable[Stored], first: int, last: int) -> dict[int, object]:
    """The content (``verify.content``) of the readings ``first`` to ``last`` that these envelopes are evidence of."""
    found: dict[int, object] = {}
    for one in stored:
        up, fresh = read(one)
        for block in up.blocks:
            for begin, end in _within(block, fresh):
                for number in range(max(first, begin), min(last, end) + 1):
                    found[number] = verify.content(block, number)
    return found


def positions(messages: Iterable[tuple[wire.Up, Sequence[Span]]]) -> Positions:
    """The positions with a known time among the readings that count, in the order of the messages.

    Converted all at once: a day of a thousand wearers has to be read back within seconds.
    """
    width = POSITION_WIRE.itemsize
    records: list[bytes] = []
    bases: list[int] = []
    epochs: list[int] = []
    firsts: list[int] = []
    for up, fresh in messages:
        for block in up.blocks:
            if block.kind != Kind.POSITION or not block.dated:
                continue
            for begin, end in _within(block, fresh):
                records.append(block.raw[(begin - block.first) * width : (end - block.first + 1) * width])
                bases.append(block.base_time_s)
                epochs.append(up.epoch)
                firsts.append(begin)
    if not records:
        return Positions.empty()
    counts = np.array([len(part) // width for part in records])
    found = positions_from_wire(np.frombuffer(b"".join(records), POSITION_WIRE), 0, 1, 1)
    within = np.arange(len(found)) - np.repeat(np.cumsum(counts) - counts, counts)
    return replace(
        found,
        t_ms=found.t_ms + np.repeat(np.array(bases, np.int64), counts) * 1000,
        epoch=np.repeat(np.array(epochs, np.uint32), counts),
        seq=(np.repeat(np.array(firsts, np.int64), counts) + within).astype(np.uint32),
    )


def _within(block: wire.Block, fresh: Sequence[Span]) -> list[Span]:
    if block.records is None:
        return []
    if len(fresh) == 1 and fresh[0].first <= block.first and block.last <= fresh[0].last:
        return [Span(block.first, block.last)]
    spans = [Span(max(span.first, block.first), min(span.last, block.last)) for span in fresh]
    return [span for span in spans if span.first <= span.last]
