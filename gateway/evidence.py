"""What stored envelopes say: the readings that count, and nothing that was stored before under the same number."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from core import envelope, wire
from core.decoding import (
    EVENT_KINDS,
    contacts_from_wire,
    events_from_wire,
    forged_from_wire,
    positions_from_wire,
    samples_from_wire,
    tag_states_from_wire,
)
from core.readings import U32, WIRE, Contacts, Events, Kind, Positions, Samples
from gateway import verify
from gateway.sequences import Span
from gateway.store.envelopes import Stored

C = TypeVar("C", Positions, Contacts, Samples, Events)


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


@dataclass(frozen=True, slots=True)
class Said:
    """What a device said that counts and is dated, decoded, kind by kind.

    ``events`` is what it said of itself as a tag; ``unit_events`` the same records as of a home unit, their ``value``
    still to be set to the unit's index. ``contacts`` are of no unit yet; ``beacons``, shape ``(n,)``, name the tag that
    each is about, and ``counters`` are the highest heard of it (0: none). ``tag_events`` are what else a home unit said
    of tags, with ``tag_beacons``, shape ``(n,)``; where ``tag_units`` is True the ``value`` is still to be set to the
    unit's index.
    """

    positions: Positions
    samples: Samples
    events: Events
    contacts: Contacts
    beacons: U32
    counters: U32
    unit_events: Events
    tag_events: Events
    tag_beacons: U32
    tag_units: npt.NDArray[np.bool_]

    def __len__(self) -> int:
        return (
            len(self.positions)
            + len(self.samples)
            + len(self.events)
            + len(self.contacts)
            + len(self.tag_events)
        )


Messages = Iterable[tuple[wire.Up, Sequence[Span]]]
"""What was understood of messages, and which of their numbers count."""


def said(messages: Messages) -> Said:
    """The readings of every kind with a known time among those that count, in the order of the messages.

    Converted all at once: a day of a thousand wearers has to be read back within seconds.
    """
    piles = _piles(messages, tuple(WIRE))
    contacts = piles.get(Kind.RF_CONTACT)
    heard = [_about(contacts, forged_from_wire), _about(piles.get(Kind.TAG_STATE), tag_states_from_wire)]
    told = [(kind, piles[kind]) for kind in EVENT_KINDS if kind in piles]
    return Said(
        positions=_positions(piles),
        samples=piles[Kind.ALCOHOL].decoded(samples_from_wire) if Kind.ALCOHOL in piles else Samples.empty(),
        events=Events.concatenate([pile.decoded(partial(events_from_wire, kind)) for kind, pile in told]),
        contacts=Contacts.empty() if contacts is None else contacts.decoded(contacts_from_wire),
        beacons=np.zeros(0, np.uint32) if contacts is None else contacts.records()["beacon"].copy(),
        counters=np.zeros(0, np.uint32) if contacts is None else contacts.records()["counter"].copy(),
        unit_events=Events.concatenate(
            [pile.decoded(partial(events_from_wire, kind, unit=0)) for kind, pile in told]
        ),
        tag_events=Events.concatenate([events for events, _ in heard]),
        tag_beacons=np.concatenate([beacons for _, beacons in heard]),
        tag_units=np.arange(sum(len(events) for events, _ in heard)) < len(heard[0][0]),
    )


def positions(messages: Messages) -> Positions:
    """The positions alone, likewise."""
    return _positions(_piles(messages, (Kind.POSITION,)))


@dataclass(slots=True)
class _Pile:
    """Records of one kind, run by run of consecutive numbers."""

    dtype: np.dtype[np.void]
    raw: list[bytes] = field(default_factory=list)
    base_s: list[int] = field(default_factory=list)
    epochs: list[int] = field(default_factory=list)
    firsts: list[int] = field(default_factory=list)

    def records(self) -> npt.NDArray[np.void]:
        return np.frombuffer(b"".join(self.raw), self.dtype)

    def decoded(self, decode: Callable[[npt.NDArray[np.void], int, int, int], C]) -> C:
        """All of it as columns; ``decode`` is one of `core.decoding`."""
        counts = np.array([len(part) // self.dtype.itemsize for part in self.raw])
        # numbered from 0 on, so that what was decoded says which record it was
        found = decode(self.records(), 0, 0, 0)
        at = found.seq.astype(np.intp)
        run = np.repeat(np.arange(len(counts)), counts)[at]
        within = at - (np.cumsum(counts) - counts)[run]
        return replace(
            found,
            t_ms=found.t_ms + np.array(self.base_s, np.int64)[run] * 1000,
            epoch=np.array(self.epochs, np.uint32)[run],
            seq=(np.array(self.firsts, np.int64)[run] + within).astype(np.uint32),
        )


def _about(
    pile: _Pile | None, decode: Callable[[npt.NDArray[np.void], int, int, int], Events]
) -> tuple[Events, U32]:
    """Events that a home unit tells of tags, and of which tag each is."""
    if pile is None:
        return Events.empty(), np.zeros(0, np.uint32)
    records = pile.records()
    return pile.decoded(decode), records["beacon"][decode(records, 0, 0, 0).seq].astype(np.uint32)


def _piles(messages: Messages, kinds: Container[int]) -> dict[int, _Pile]:
    piles: dict[int, _Pile] = {}
    for up, fresh in messages:
        for block in up.blocks:
            if block.kind not in kinds or block.records is None or not block.dated:
                continue
            pile = piles.get(block.kind)
            if pile is None:
                pile = piles[block.kind] = _Pile(WIRE[block.kind])
            width = pile.dtype.itemsize
            for begin, end in _within(block, fresh):
                pile.raw.append(block.raw[(begin - block.first) * width : (end - block.first + 1) * width])
                pile.base_s.append(block.base_time_s)
                pile.epochs.append(up.epoch)
                pile.firsts.append(begin)
    return {kind: pile for kind, pile in piles.items() if pile.raw}


def _positions(piles: Mapping[int, _Pile]) -> Positions:
    return piles[Kind.POSITION].decoded(positions_from_wire) if Kind.POSITION in piles else Positions.empty()


def _within(block: wire.Block, fresh: Sequence[Span]) -> list[Span]:
    if block.records is None:
        return []
    if len(fresh) == 1 and fresh[0].first <= block.first and block.last <= fresh[0].last:
        return [Span(block.first, block.last)]
    spans = [Span(max(span.first, block.first), min(span.last, block.last)) for span in fresh]
    return [span for span in spans if span.first <= span.last]
