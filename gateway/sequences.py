"""Which numbers of a device are known, and what a message adds: rules 3 to 5 of ``docs/protocol.md``, "The gateway".

Pure: no store, no clock, no bytes. The protocol's model drives this module beside a real store.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import NamedTuple

from core.wire import MAX_SEQUENCE


class How(IntEnum):
    """How a number is known; the values are those of the store."""

    STORED = 1
    GAP = 2
    UNREAD = 3
    FORGOTTEN = 4


class Span(NamedTuple):
    """The numbers ``first`` to ``last``, both included."""

    first: int
    last: int


class Range(NamedTuple):
    """The numbers ``first`` to ``last`` and how they are known."""

    first: int
    last: int
    how: int


class Known:
    """K of one device and epoch: disjoint ranges, ascending; neighbours of one kind are one range."""

    __slots__ = ("ranges",)

    def __init__(self, ranges: Iterable[Range] = ()) -> None:
        self.ranges: list[Range] = list(ranges)

    def contiguous(self) -> int:
        """The highest S with {1 … S} ⊆ K: what may be committed."""
        upto = 0
        for part in self.ranges:
            if part.first != upto + 1:
                break
            upto = part.last
        return upto

    def split(self, first: int, last: int) -> Iterator[tuple[Span, int | None]]:
        """``first`` to ``last`` cut at the borders of what is known; None for what is not."""
        at = first
        for part in self.ranges[self._index(first) :]:
            if part.first > last:
                break
            if part.first > at:
                yield Span(at, part.first - 1), None
                at = part.first
            end = min(part.last, last)
            yield Span(at, end), part.how
            at = end + 1
        if at <= last:
            yield Span(at, last), None

    def put(self, first: int, last: int, how: How) -> None:
        """From now on ``first`` to ``last`` are known as ``how``, whatever they were."""
        newest = self.ranges[-1] if self.ranges else None
        if newest is not None and newest.last + 1 == first and newest.how == how:
            # every day, and all day long: the next ones
            self.ranges[-1] = Range(newest.first, last, newest.how)
            return
        begin = self._index(first)
        end = begin
        new: list[Range] = []
        tail: Range | None = None
        while end < len(self.ranges) and self.ranges[end].first <= last:
            part = self.ranges[end]
            if part.first < first:
                new.append(Range(part.first, first - 1, part.how))
            if part.last > last:
                tail = Range(last + 1, part.last, part.how)
            end += 1
        new.append(Range(first, last, int(how)))
        if tail is not None:
            new.append(tail)
        # neighbours of one kind become one
        if begin > 0:
            begin -= 1
            new.insert(0, self.ranges[begin])
        if end < len(self.ranges):
            new.append(self.ranges[end])
            end += 1
        self.ranges[begin:end] = _merged(new)

    def fill(self, first: int, last: int, how: How) -> list[Span]:
        """Where ``first`` to ``last`` are not known yet they are now, as ``how``; returns those."""
        new = [span for span, known in self.split(first, last) if known is None]
        for span in new:
            self.put(span.first, span.last, how)
        return new

    def _index(self, number: int) -> int:
        """The first range that ends at ``number`` or beyond."""
        at = bisect_left(self.ranges, (number, 0, 0))
        return at - 1 if at and self.ranges[at - 1].last >= number else at


@dataclass(frozen=True, slots=True)
class Run:
    """Readings with consecutive numbers; ``content(number)`` is what the reading says, comparable by ``==``."""

    first: int
    last: int
    content: Callable[[int], object]


@dataclass(frozen=True, slots=True)
class Heard:
    """An authentic message as numbers.

    ``base`` is None where it could not be told; ``gaps`` are the numbers that gap records name.
    """

    epoch: int
    base: int | None
    runs: tuple[Run, ...] = ()
    gaps: tuple[Span, ...] = ()
    unread: tuple[Span, ...] = ()


@dataclass(slots=True)
class Decision:
    """What a message added. ``commit`` is what may be committed for its epoch once this is on disk."""

    commit: int = 0
    fresh: list[Span] = field(default_factory=list)
    duplicates: list[int] = field(default_factory=list)
    conflicts: list[int] = field(default_factory=list)
    unread: list[Span] = field(default_factory=list)
    gaps: list[Span] = field(default_factory=list)
    forgotten: list[Span] = field(default_factory=list)


ERASED = object()
"""The content of a reading that was stored and has been deleted by policy: whatever comes under its number is known."""

Evidence = Callable[[int, int], Mapping[int, object]]
"""``evidence(first, last)``: the content of the stored readings among these numbers, or `ERASED`."""


def hear(known: Known, message: Heard, evidence: Evidence) -> Decision:
    """Decide upon one authentic message, and add to ``known`` what it told."""
    decision = Decision()
    for run in message.runs:
        for span, how in list(known.split(run.first, run.last)):
            if how == How.STORED:
                _compare(span, run, evidence(span.first, span.last), decision)
            else:
                known.put(span.first, span.last, How.STORED)
                decision.fresh.append(span)
    for span in message.unread:
        decision.unread += known.fill(span.first, span.last, How.UNREAD)
    for span in message.gaps:
        decision.gaps += known.fill(span.first, span.last, How.GAP)
    if message.base is not None and message.base > known.contiguous() + 1:
        last = min(message.base - 1, MAX_SEQUENCE)
        decision.forgotten = known.fill(1, last, How.FORGOTTEN)
    decision.commit = known.contiguous()
    return decision


def _compare(span: Span, run: Run, stored: Mapping[int, object], decision: Decision) -> None:
    for number in range(span.first, span.last + 1):
        same = number in stored and (stored[number] is ERASED or stored[number] == run.content(number))
        (decision.duplicates if same else decision.conflicts).append(number)


def _merged(ranges: list[Range]) -> list[Range]:
    merged: list[Range] = []
    for part in ranges:
        if merged and merged[-1].how == part.how and merged[-1].last + 1 == part.first:
            merged[-1] = Range(merged[-1].first, part.last, part.how)
        else:
            merged.append(part)
    return merged
