"""What stored envelopes say: the readings that count, and nothing that was stored before under the same number."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from core import envelope, wire
from core.readings import Kind, Positions, positions_from_wire
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


def positions(up: wire.Up, fresh: Sequence[Span]) -> list[Positions]:
    """The positions with a known time among the readings ``fresh`` of a message."""
    return [
        positions_from_wire(
            block.records[begin - block.first : end - block.first + 1], block.base_time_s, up.epoch, begin
        )
        for block in up.blocks
        if block.kind == Kind.POSITION and block.dated and block.records is not None
        for begin, end in _within(block, fresh)
    ]


def _within(block: wire.Block, fresh: Sequence[Span]) -> list[Span]:
    if block.records is None:
        return []
    spans = [Span(max(span.first, block.first), min(span.last, block.last)) for span in fresh]
    return [span for span in spans if span.first <= span.last]
