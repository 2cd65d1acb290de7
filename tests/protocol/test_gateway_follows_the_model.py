"""The gateway's real decision core on a real store, against ``GatewayModel``: the same messages, the same conclusions.

Messages are real envelopes. Between them the gateway is killed (a new one finds what the store holds) and the store
fails (nothing may have been concluded).
"""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cbor2
import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from sqlalchemy.exc import DBAPIError

from core import envelope, wire
from core.readings import COMMAND_WIRE, GAP_WIRE, POSITION_WIRE, Kind, TimeQuality
from gateway import evidence, topics, verify
from gateway.commands import AGAIN_MS, Outbox, queue
from gateway.commit import Committer
from gateway.group import Received
from gateway.sequences import How
from gateway.store import Store, commands, devices, envelopes, state
from tests.gateway.vaults import VAULT, sealed
from tests.protocol.model import (
    FORGOTTEN,
    GAP,
    STORED,
    UNREAD,
    GatewayCommands,
    GatewayModel,
    Message,
    Outcome,
)

DEVICE = "tag0001"
KEY = bytes(range(32))
STRANGE_KIND = 99
HOW = {How.STORED: STORED, How.GAP: GAP, How.UNREAD: UNREAD, How.FORGOTTEN: FORGOTTEN}
NUMBERS = st.integers(1, 30)
EPOCHS = st.sampled_from([7, 2**32 - 1])
ANSWERS = 9
"""The epoch of command records, so that their numbers are theirs alone."""


@dataclass(frozen=True)
class Reading:
    """A reading to be sent: a position with some value, a gap record, or one of a kind that nobody knows."""

    kind: int
    value: int
    gap: tuple[int, int] = (0, 0)


@st.composite
def payloads(draw: st.DrawFn) -> tuple[int, int, dict[int, Reading], list[int]]:
    """Epoch, base, readings by number, and the numbers at which a new block begins."""
    readings: dict[int, Reading] = {}
    for number in draw(st.sets(NUMBERS, max_size=8)):
        kind = draw(st.sampled_from([Kind.POSITION, Kind.POSITION, Kind.POSITION, Kind.GAP, STRANGE_KIND]))
        value = draw(st.integers(0, 1))
        if kind == Kind.GAP and number > 1:
            first = draw(st.integers(1, number - 1))
            readings[number] = Reading(kind, value, (first, draw(st.integers(1, number - first))))
        else:
            readings[number] = Reading(STRANGE_KIND if kind == STRANGE_KIND else Kind.POSITION, value)
    base = draw(st.integers(1, min(readings, default=31)))
    cuts = [number for number in readings if draw(st.booleans())]
    return draw(EPOCHS), base, readings, cuts


def blocks_of(readings: dict[int, Reading], cuts: list[int]) -> tuple[wire.Block, ...]:
    runs: list[list[int]] = []
    for number in sorted(readings):
        joins = runs and runs[-1][-1] == number - 1 and number not in cuts
        if joins and readings[number].kind == readings[runs[-1][0]].kind:
            runs[-1].append(number)
        else:
            runs.append([number])
    return tuple(_block(run[0], [readings[number] for number in run]) for run in runs)


def _block(first: int, run: list[Reading]) -> wire.Block:
    base_time_s = 1_700_000_000 + first  # re-batching changes base time and dt, never the time
    if run[0].kind == STRANGE_KIND:
        raw = b"".join(bytes([0, 0, reading.value, 0, 0]) for reading in run)
        return wire.Block(STRANGE_KIND, first, len(run), base_time_s, None, raw, dated=True)
    records = np.zeros(len(run), GAP_WIRE if run[0].kind == Kind.GAP else POSITION_WIRE)
    records["dt"] = 10 * np.arange(len(run))
    records["flags"] = TimeQuality.GNSS
    if run[0].kind == Kind.GAP:
        records["first"], records["count"] = zip(*(reading.gap for reading in run), strict=True)
        records["reason"] = [reading.value for reading in run]
    else:
        records["lat"] = [reading.value for reading in run]
    return wire.make_block(run[0].kind, first, base_time_s, records)


class Gateway(RuleBasedStateMachine):
    """Both gateways hear the same."""

    template: Path

    @initialize()
    def begin(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        path = Path(self.folder.name) / "store.sqlite"
        shutil.copy(self.template, path)
        self.path = path
        self.store = Store.open(path, busy_timeout_ms=0)
        self.committer = Committer(self.store, VAULT, quarantine_rows=5, quarantine_bytes=64)
        self.model = GatewayModel()
        self.received_ms = 0
        self.outbox = Outbox(self.store, VAULT)
        self.desk = GatewayCommands()
        self.answers = 0

    def teardown(self) -> None:
        if hasattr(self, "store"):
            self.store.close()
            self.folder.cleanup()

    @rule(group=st.lists(payloads(), min_size=1, max_size=3))
    def hear(self, group: list[tuple[int, int, dict[int, Reading], list[int]]]) -> None:
        """A group of understood messages, committed together."""
        messages, outcomes = [], []
        for epoch, base, readings, cuts in group:
            up = wire.Up(epoch, base, blocks_of(readings, cuts))
            messages.append(self._received(wire.encode_up(up)))
            outcomes.append((epoch, self.model.hear(_message(up, readings))))
        self._compare(messages, outcomes)

    @rule(epoch=EPOCHS, first=NUMBERS, count=st.integers(2, 4))
    def hear_nonsense(self, epoch: int, first: int, count: int) -> None:
        """A message under the right key of which only the numbers can be told."""
        records = np.zeros(count, POSITION_WIRE)
        records["flags"][0] = TimeQuality.GNSS  # dated and undated in one block: not allowed
        document = {1: 1, 2: epoch, 4: [[1, first, 0, records.tobytes()]]}
        unread = tuple(range(first, first + count))
        outcome = self.model.hear(Message(epoch, base=0, unread=unread))
        self._compare([self._received(_canonical(document))], [(epoch, outcome)])

    @rule(payload=payloads(), late=st.booleans())
    def hear_in_vain(self, payload: tuple[int, int, dict[int, Reading], list[int]], late: bool) -> None:
        """The store fails, at the first statement or at the last: nothing is concluded, nothing answered."""
        epoch, base, readings, cuts = payload
        message = self._received(wire.encode_up(wire.Up(epoch, base, blocks_of(readings, cuts))))
        other = sqlite3.connect(self.path, isolation_level=None)
        if late:  # counters are written last
            other.execute("CREATE TRIGGER fail BEFORE INSERT ON counter BEGIN SELECT RAISE(ABORT, 'no'); END")
        else:
            other.execute("BEGIN IMMEDIATE")
        with pytest.raises(DBAPIError):
            self.committer.commit([message])
        other.execute("DROP TRIGGER fail" if late else "ROLLBACK")
        other.close()

    @rule()
    def be_killed(self) -> None:
        """A new gateway finds what the store holds."""
        self.store.close()
        self.store = Store.open(self.path, busy_timeout_ms=0)
        self.committer = Committer(self.store, VAULT, quarantine_rows=5, quarantine_bytes=64)
        self.outbox = Outbox(self.store, VAULT)

    @rule(more=st.integers(1, 3))
    def something_is_commanded(self, more: int) -> None:
        for _ in range(more):
            n = queue(self.store, DEVICE, "locate", {}, now_ms=self.received_ms)
            assert (self.desk.generation, n) == self.desk.give()

    @rule(back=st.integers(0, 3), ahead=st.integers(0, 2), outcome=st.integers(0, 3), other=st.booleans())
    def a_command_is_acknowledged(self, back: int, ahead: int, outcome: int, other: bool) -> None:
        """The one that was said, or an earlier one again, or one that never was."""
        said = self.desk.next() or (self.desk.generation, 1)
        pair = (said[0] + other, max(1, said[1] - back + ahead))
        self.answers += 1
        records = np.zeros(1, COMMAND_WIRE)
        records["generation"], records["n"], records["outcome"] = *pair, outcome
        records["flags"] = TimeQuality.GNSS
        block = wire.make_block(Kind.COMMAND, self.answers, 1_700_000_000, records)
        up = wire.Up(ANSWERS, 1, (block,))
        message = Message(ANSWERS, 1, {self.answers: verify.content(block, self.answers)})
        outcomes = [(ANSWERS, self.model.hear(message))]
        self._compare([self._received(wire.encode_up(up))], outcomes)
        self.desk.acknowledged(pair, outcome)

    @rule()
    def commands_expire(self) -> None:
        with self.store.write() as connection:
            commands.expire(connection, DEVICE, "locate", self.received_ms)
        while self.desk.next():
            self.desk.expire()

    @rule()
    def a_backup_is_restored(self) -> None:
        """As far as commands see it: the generation rises."""
        self.desk.restore()
        with self.store.write() as connection:
            state.set_number(connection, state.GENERATION, self.desk.generation)
            state.note_command(connection)

    @rule(alone=st.booleans())
    def the_command_that_is_said_is_the_lowest_open_one(self, alone: bool) -> None:
        self.received_ms += AGAIN_MS
        self.outbox.refresh(self.received_ms, None if alone else [DEVICE])
        command = self.outbox.next_for(DEVICE, self.received_ms, hello=not alone)
        expected = self.desk.next()
        assert (command and command.n) == (expected and expected[1])
        assert self.outbox.due(self.received_ms + AGAIN_MS - 1) == [], "it was said just now"

    @invariant()
    def the_store_knows_what_came_of_every_command(self) -> None:
        if not hasattr(self, "store"):
            return
        with self.store.read() as connection:
            rows = commands.of_device(connection, DEVICE)
        assert {(row.generation, row.n) for row in rows} == set(self.desk.given)
        told = {(row.generation, row.n): row.outcome for row in rows if row.outcome is not None}
        assert told == self.desk.outcomes

    @invariant()
    def the_store_knows_what_the_model_knows(self) -> None:
        if not hasattr(self, "store"):
            return
        with self.store.read() as connection:
            ranges = envelopes.ranges(connection, DEVICE)
            for epoch, model in self.model.how.items():
                known = {
                    number: HOW[How(part.how)]
                    for part in ranges.get(epoch, [])
                    for number in range(part.first, part.last + 1)
                }
                assert known == model
                stored = envelopes.holding(connection, DEVICE, epoch, 1, 40)
                evident = evidence.contents(stored, 1, 40)
                assert evident == {
                    number: content for (of, number), content in self.model.content.items() if of == epoch
                }

    def _received(self, payload: bytes) -> Received:
        topic = topics.up(DEVICE)
        self.received_ms += 1
        return Received(topic, envelope.seal(KEY, DEVICE, topic, payload), self.received_ms)

    def _compare(self, messages: list[Received], outcomes: list[tuple[int, Outcome]]) -> None:
        committed = self.committer.commit(messages)
        assert committed.commits == {(DEVICE, epoch): outcome.commit for epoch, outcome in outcomes}
        counts = committed.counts
        assert counts["readings"] == sum(len(outcome.fresh) for _, outcome in outcomes)
        assert counts["duplicates"] == sum(len(outcome.duplicates) for _, outcome in outcomes)
        assert counts["conflicts"] == sum(len(outcome.conflicts) for _, outcome in outcomes)
        assert counts["forgotten"] == sum(len(outcome.forgotten) for _, outcome in outcomes)
        fresh = sorted(
            (epoch, number)
            for epoch, outcome in outcomes
            for number in outcome.fresh
            if self.model.content[epoch, number][0] == Kind.POSITION  # type: ignore[index]
        )
        judged = [evidence.said(understood).positions for understood in committed.understood.values()]
        assert fresh == sorted(
            (int(epoch), int(seq)) for part in judged for epoch, seq in zip(part.epoch, part.seq, strict=True)
        )


def _message(up: wire.Up, readings: dict[int, Reading]) -> Message:
    contents: dict[int, object] = {}
    unread: list[int] = []
    for block in up.blocks:
        for number in range(block.first, block.last + 1):
            if block.records is None:
                unread.append(number)
            else:
                contents[number] = verify.content(block, number)
    gaps = tuple(reading.gap for _, reading in sorted(readings.items()) if reading.kind == Kind.GAP)
    return Message(up.epoch, up.base, contents, gaps, tuple(unread))


def _canonical(document: dict[int, Any]) -> bytes:
    return cbor2.dumps(document, canonical=True)


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A store with one device, made once."""
    path = tmp_path_factory.mktemp("template") / "store.sqlite"
    store = Store.open(path)
    with store.write() as connection:
        devices.add(connection, devices.Device(DEVICE, sealed(DEVICE, KEY), b"", 0, None))
    store.close()
    yield path


@pytest.mark.parametrize(
    "examples", [pytest.param(30, id="short"), pytest.param(600, id="long", marks=pytest.mark.long)]
)
def test_the_gateway_concludes_what_the_protocol_says(template: Path, examples: int) -> None:
    Gateway.template = template
    run_state_machine_as_test(
        Gateway,
        settings=settings(
            max_examples=examples,
            stateful_step_count=25,
            deadline=None,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
        ),
    )
