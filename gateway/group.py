"""What one group of messages is going to write: envelopes, gaps, conflicts, quarantine, incidents, counts."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from core import wire
from core.readings import Kind, TamperCode
from gateway import incidents, verify
from gateway.sequences import Decision, Range, Span
from gateway.store.commands import Answer, Loss
from gateway.store.envelopes import EnvelopeRow, Stored
from gateway.store.quarantine import QuarantineRow

_TOPIC_CHARACTERS = 256  # a topic may have 65,535, and a stranger chooses them
_SETTINGS_LOST = 1  # detail of a tamper record, see docs/protocol.md


class Received(NamedTuple):
    """A message as it came. ``ticket`` is for the link, which acknowledges it.

    ``received_ms`` is gateway time; in the link's queue still a stamp (`gateway.clock.Clock.stamp`).
    """

    topic: str
    data: bytes
    received_ms: int
    ticket: object = None


@dataclass(slots=True)
class Committed:
    """What a group came to, once it is on disk.

    ``commits`` maps (device, epoch) to the commit that is to be sent; ``understood`` is what each device said and which
    of its numbers count, in the order of their hearing; ``heard`` when each device was heard (gateway time), also where
    it had nothing fresh to say; ``counts`` what is added to the counters; ``alerts`` how many alerts were written with
    it; ``hellos`` are the devices that said hello, ``nonces`` those that asked for the time (the nonce, and when it was
    heard); ``answers`` the fresh command records; ``adopted`` the devices that have changed to their next key.
    """

    commits: dict[tuple[str, int], int] = field(default_factory=dict)
    understood: dict[str, list[tuple[wire.Up, Sequence[Span]]]] = field(default_factory=dict)
    heard: dict[str, int] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)
    alerts: int = 0
    hellos: set[str] = field(default_factory=set)
    nonces: dict[str, tuple[int, int]] = field(default_factory=dict)
    answers: list[Answer] = field(default_factory=list)
    adopted: set[str] = field(default_factory=set)


class _Since(NamedTuple):
    """When something began: the tag's time where it told one, else the gateway's."""

    ms: int
    tag_time: bool


@dataclass(slots=True)
class Group:
    """The rows of one transaction, before they are written. ``before`` are the ranges as they stand in the store."""

    committed: Committed = field(default_factory=Committed)
    before: dict[tuple[str, int], list[Range]] = field(default_factory=dict)
    envelopes: list[EnvelopeRow] = field(default_factory=list)
    of_device: dict[str, list[EnvelopeRow]] = field(default_factory=dict)
    """The same, device by device."""
    gaps: list[dict[str, Any]] = field(default_factory=list)
    conflicts: list[dict[str, Any]] = field(default_factory=list)
    quarantine: list[QuarantineRow] = field(default_factory=list)
    incidents: list[incidents.Incident] = field(default_factory=list)
    losses: list[Loss] = field(default_factory=list)
    at_ms: int = 0

    def count(self, message: Received) -> None:
        """A message belongs to this group."""
        self.committed.counts["messages"] += 1
        self.at_ms = max(self.at_ms, message.received_ms)

    def hear(self, device: str, received_ms: int) -> None:
        """A device was heard, under a good MAC. While nobody has told the clock the time this means nothing."""
        if received_ms > 0:
            self.committed.heard[device] = max(received_ms, self.committed.heard.get(device, 0))

    def unwritten(self, device: str, epoch: int) -> Iterator[Stored]:
        """The envelopes of a device that this group will store, in the order of their hearing."""
        for row in self.of_device.get(device, ()):
            if row.epoch == epoch:
                yield Stored(row.data, row.fresh, row.received_ms, 0)

    def put_aside(
        self,
        message: Received,
        refused: verify.Refused,
        keep_bytes: int,
        *,
        authentic: bool = False,
        unread: bool = False,
    ) -> None:
        """Put a message into quarantine."""
        self.committed.counts["quarantined"] += 1
        self.committed.counts[f"quarantined_{refused.reason}"] += 1
        self.quarantine.append(
            QuarantineRow(
                received_ms=message.received_ms,
                reason=refused.reason,
                detail=refused.detail,
                topic=message.topic[:_TOPIC_CHARACTERS],
                authentic=authentic,
                unread=unread,
                size=len(message.data),
                sha256=hashlib.sha256(message.data).hexdigest(),
                data=message.data[:keep_bytes],
            )
        )

    def account(self, message: Received, device: str, up: wire.Up, decision: Decision) -> None:
        """Note what an understood message brings."""
        counts = self.committed.counts
        counts["readings"] += _numbers(decision.fresh)
        counts["duplicates"] += len(decision.duplicates)
        counts["conflicts"] += len(decision.conflicts)
        counts["forgotten"] += _numbers(decision.forgotten)
        counts["hellos"] += not up.blocks
        if not up.blocks:
            self.committed.hellos.add(device)
        if up.nonce is not None and message.received_ms > 0:
            self.committed.nonces[device] = (up.nonce, message.received_ms)
        span = _tag_times(up)
        since = _Since(message.received_ms, False) if span is None else _Since(span[0], True)
        if decision.fresh:
            self._keep(message, device, up, decision.fresh, span)
            self.committed.understood.setdefault(device, []).append((up, decision.fresh))
        if decision.conflicts:
            self._disagree(message, device, up.epoch, decision.conflicts, since)
        for hole in decision.forgotten:
            self.incidents.append(
                incidents.forgotten(device, up.epoch, hole, since.ms, tag_time=since.tag_time)
            )
        for block in up.blocks:
            if block.kind == Kind.GAP:
                self._note_gaps(device, up.epoch, block)
            elif block.kind == Kind.TAMPER:
                self._note_tamper(message, device, up.epoch, block, decision.fresh)
            elif block.kind == Kind.BOOT:
                self._note_boots(device, up.epoch, block, decision.fresh)
            elif block.kind == Kind.COMMAND:
                self._note_answers(device, up.epoch, block, decision.fresh)

    def _keep(
        self,
        message: Received,
        device: str,
        up: wire.Up,
        fresh: Sequence[Span],
        span: tuple[int, int] | None,
    ) -> None:
        everything = all(block.records is not None for block in up.blocks) and _numbers(fresh) == sum(
            block.count for block in up.blocks
        )
        row = EnvelopeRow(
            device=device,
            epoch=up.epoch,
            first_seq=up.blocks[0].first,
            last_seq=up.blocks[-1].last,
            first_t_ms=None if span is None else span[0],
            last_t_ms=None if span is None else span[1],
            received_ms=message.received_ms,
            data=message.data,
            fresh=None if everything else tuple(fresh),
        )
        self.envelopes.append(row)
        self.of_device.setdefault(device, []).append(row)

    def _disagree(
        self, message: Received, device: str, epoch: int, numbers: list[int], since: _Since
    ) -> None:
        self.conflicts.append(
            {
                "device": device,
                "epoch": epoch,
                "first_seq": numbers[0],
                "last_seq": numbers[-1],
                "received_ms": message.received_ms,
                "sha256": hashlib.sha256(message.data).hexdigest(),
                "data": message.data,
            }
        )
        self.incidents.append(incidents.conflict(device, epoch, numbers, since.ms, tag_time=since.tag_time))

    def _note_gaps(self, device: str, epoch: int, block: wire.Block) -> None:
        for number, span, reason in verify.gap_records(block):
            count = span.last - span.first + 1
            self.gaps.append(
                {
                    "device": device,
                    "epoch": epoch,
                    "seq": number,
                    "first": span.first,
                    "count": count,
                    "reason": reason,
                }
            )

    def _note_tamper(
        self, message: Received, device: str, epoch: int, block: wire.Block, fresh: Sequence[Span]
    ) -> None:
        assert block.records is not None
        for at, (record, t_ms) in enumerate(zip(block.records, block.t_ms(), strict=True)):
            number = block.first + at
            if not any(span.first <= number <= span.last for span in fresh):
                continue
            if record["code"] == TamperCode.KEPT_LOST and record["detail"] == _SETTINGS_LOST:
                self.losses.append(Loss(device, epoch, number))
            if record["code"] != TamperCode.LINK:
                continue
            since = _Since(int(t_ms), True) if block.dated else _Since(message.received_ms, False)
            forged = int(record["detail"])
            self.incidents.append(
                incidents.link_tamper(device, epoch, number, forged, since.ms, tag_time=since.tag_time)
            )

    def _note_boots(self, device: str, epoch: int, block: wire.Block, fresh: Sequence[Span]) -> None:
        """A journal that begins anew may be that of a device that was emptied: what it was told may be gone."""
        assert block.records is not None
        for number, record in enumerate(block.records, block.first):
            if record["boots"] == 1 and any(span.first <= number <= span.last for span in fresh):
                self.losses.append(Loss(device, epoch, number))

    def _note_answers(self, device: str, epoch: int, block: wire.Block, fresh: Sequence[Span]) -> None:
        assert block.records is not None
        for number, record in enumerate(block.records, block.first):
            if any(span.first <= number <= span.last for span in fresh):
                generation, n, outcome = (int(record[name]) for name in ("generation", "n", "outcome"))
                self.committed.answers.append(Answer(device, generation, n, epoch, number, outcome))


def _numbers(spans: Sequence[Span]) -> int:
    return sum(span.last - span.first + 1 for span in spans)


def _tag_times(up: wire.Up) -> tuple[int, int] | None:
    """Tag time of the earliest and the latest dated reading, milliseconds; None where there is none."""
    found = [block.within_ms() for block in up.blocks if block.dated and block.records is not None]
    if not found:
        return None
    return min(first for first, _ in found), max(last for _, last in found)
