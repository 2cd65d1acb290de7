"""The firmware's real journal and conversation against the protocol's model, through everything that may go wrong.

Power is cut between any two steps of flash; messages are lost, doubled and reordered both ways; commits are forged or
false; the gateway restarts, and is restored from a backup; the journal runs full. Times are the test's own.
"""

from __future__ import annotations

import copy
import random
import struct
from collections.abc import Callable, Iterator
from typing import Any

import commands
import conversation
import envelope as tag_envelope
import journal
import kept
import pytest
import records
from commands import Commands
from conversation import Conversation
from hypothesis import HealthCheck, note, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from core import envelope, wire
from tests.firmware.flash import Flash, PowerCut
from tests.firmware.gateway_side import authentic
from tests.protocol.model import (
    ANSWERED,
    EXECUTED,
    REPEATED,
    REPLAYED,
    GatewayCommands,
    GatewayModel,
    Pair,
    TagCommands,
    TagModel,
)

DEVICE, KEY = "gps00001", bytes(range(32))
LIMIT = 16384  # the least that a journal takes: it runs full after about 70 of the larger readings
CUTS = st.none() | st.integers(1, 12)  # flash steps until power goes, if it goes
KINDS = st.sampled_from([records.POSITION, records.POSITION, records.STATUS, records.TAMPER, records.BOOT])
PICK = st.integers(0, 10**6)
COUNTERS = {
    EXECUTED: Commands.EXECUTED,
    ANSWERED: Commands.ANSWERED,
    REPEATED: Commands.REPEATED,
    REPLAYED: Commands.REPLAYED,
}
LARGE, LARGE_RESERVED = 200, 201  # kinds that have no layout yet


@pytest.fixture(autouse=True, scope="module")
def a_large_kind_may_be_dropped() -> Iterator[None]:
    """Fills a journal soon; as readings do that are not kept at any price."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(journal, "_BULK", (*journal._BULK, LARGE))
        yield


class Hands:
    """The tag's clock, as far as commands ask it; what was executed is noted by the machine."""

    wanted_ms = 1 << 60

    def now(self) -> tuple[int, int]:
        return 17_000_000_000, records.KEPT

    def uptime_ms(self) -> int:
        return 0


class Firmware(RuleBasedStateMachine):
    """One tag, one gateway, two wires."""

    def __init__(self) -> None:
        super().__init__()
        self.flash = Flash()
        self.tag = TagModel()
        self.gateway = GatewayModel()
        self.backup = GatewayModel()
        self.restored = False
        self.taken: dict[int, object] = {}  # what the journal was given in this life, flushed or not
        self.seen: dict[int, object] = {}  # what was seen of each number outside the tag, in any life
        self.ever_known: set[int] = set()
        self.orders = TagCommands()
        self.desk = GatewayCommands()
        self.executed: list[Pair] = []  # in any life
        self.cut_at: set[Pair] = set()  # power went while it was heard
        self.under_way: Pair = (0, 0)
        self.said: list[bytes] = []  # commands on their way
        self.overheard: list[bytes] = []  # every command that ever was
        self.up: list[bytes] = []
        self.down: list[bytes] = []
        self.now_ms = 0
        self.made = 0

    @initialize()
    def first_boot(self) -> None:
        self.boot()
        self.epoch: int = self.journal.epoch

    # the tag

    def boot(self) -> None:
        self.flash.cut_at = None
        self.journal = journal.Journal("", LIMIT, random.Random(7).randbytes, folder=self.flash)
        self.talk = Conversation(self.journal, DEVICE, KEY)
        handlers = {"locate": self.execute}
        self.executor = Commands(self.journal, Hands(), random.Random(8).randbytes, self.flash, handlers)
        assert not self.executor.lost
        self.answer = 0  # the number of the last command record since boot
        self.tag.reboot()
        self.look()
        self.taken = {}

    def powered(self, cut: int | None, act: Callable[[], object]) -> object:
        """Do ``act``; if power goes meanwhile, boot again, perhaps with the power going in that too."""
        self.flash.cut_at = None if cut is None else self.flash.steps + cut
        try:
            result = act()
        except PowerCut:
            note("power cut")
            result = None
            while True:
                self.flash.cut_at = self.flash.steps + 3 if self.made % 2 else None
                self.made += 1
                try:
                    journal.Journal("", LIMIT, random.Random(7).randbytes, folder=self.flash)
                except PowerCut:
                    continue
                break
            self.boot()
        self.flash.cut_at = None
        self.look()
        return result

    def look(self) -> None:
        """Let the model take note of what has come to flash, and what was dropped from it."""
        for number, content in self.held().items():
            if number < self.tag.next:
                continue
            self.tag.made[number] = content
            if number in self.taken and content[0] != records.GAP:
                # (a number that did not reach flash may be given to a gap record at the next boot)
                assert content == self.taken[number], "a number is flushed with what it was taken with"
            if content[0] == records.GAP:
                first, count = records.gap_range(content[2])
                self.tag.gaps[number] = (first, count)
                self.tag.dropped |= set(range(first, first + count))
        self.tag.next = max(self.tag.next, self.journal.flushed + 1)
        self.tag.upto = max(self.tag.upto, self.journal.base - 1)

    def held(self) -> dict[int, tuple[int, int, bytes]]:
        """What the journal holds on flash."""
        found: dict[int, tuple[int, int, bytes]] = {}
        at = 0
        while part := self.journal.read(at, 64):
            found |= {number: (kind, t_ds, body) for number, kind, t_ds, body in part}
            at = part[-1][0] + 1
        return found

    @rule(kind=KINDS, n=st.integers(1, 30), size=st.integers(4, 220), urgent=st.booleans(), cut=CUTS)
    def append(self, kind: int, n: int, size: int, urgent: bool, cut: int | None) -> None:
        def act() -> None:
            for _ in range(n):
                self.made += 1
                t_ds = 17_000_000_000 + self.made * 10
                body = self.made.to_bytes(3, "little") + bytes(widths.get(kind, size) - 4) + b"\x03"
                before = self.journal.next
                number = self.journal.append(kind, t_ds, body, urgent and kind == records.TAMPER)
                assert number >= before
                self.taken[number] = (kind, t_ds, body)

        widths = {records.POSITION: 15, records.STATUS: 7, records.TAMPER: 4, records.BOOT: 6}
        if size > 120:  # larger than any kind of today, so that the journal runs full
            kind, widths = (LARGE if kind < records.TAMPER else LARGE_RESERVED), {}
        self.powered(cut, act)

    @rule(cut=CUTS)
    def flush(self, cut: int | None) -> None:
        self.powered(cut, self.journal.flush)

    @rule()
    def power_cycle(self) -> None:
        self.boot()

    @rule(seconds=st.sampled_from([0, 1, 29, 31, 61, 400]))
    def time_passes(self, seconds: int) -> None:
        self.now_ms += seconds * 1000

    @rule()
    def connect(self) -> None:
        self.say(bytes(self.talk.hello(self.now_ms)))

    @rule(most=st.integers(1, 6))
    def send(self, most: int) -> None:
        self.talk.release()
        for _ in range(most):
            data = self.talk.message(self.now_ms)
            if data is None:
                break
            self.say(bytes(data))

    @rule()
    def lose_the_connection(self) -> None:
        self.talk.lost()
        assert not self.talk.waiting()
        self.up, self.down, self.said = [], [], []

    def say(self, data: bytes) -> None:
        """A message leaves the tag: is it one that the model allows?"""
        assert len(data) <= tag_envelope.TAG_BYTES
        message = authentic(data, KEY, self.talk.up)
        assert message.epoch == self.epoch
        assert message.base == self.tag.base
        held = self.tag.held
        for number, content in message.readings.items():
            assert number not in self.seen or self.seen[number] == content, "a number names two readings"
            self.seen[number] = content
            # dropped, but its segment not yet unlinked when power went: it may still be said
            assert held.get(number, self.tag.made.get(number)) == content, "only what is on flash is sent"
        self.tag.highest_sent = max(self.tag.highest_sent, *message.readings, 0)
        assert self.talk.highest_sent == self.tag.highest_sent
        self.up.append(data)

    # the wires

    @precondition(lambda self: self.up)
    @rule(pick=PICK, again=st.booleans())
    def a_message_arrives(self, pick: int, again: bool) -> None:
        at = pick % len(self.up)
        self.deliver(self.up[at] if again else self.up.pop(at))

    @precondition(lambda self: self.up)
    @rule()
    def all_messages_arrive(self) -> None:
        for data in self.up:
            self.deliver(data)
        self.up = []

    @precondition(lambda self: self.up or self.down)
    @rule(pick=PICK)
    def a_message_is_lost(self, pick: int) -> None:
        wire_ = self.up if self.up and (pick % 2 or not self.down) else self.down
        wire_.pop(pick % len(wire_))

    def deliver(self, data: bytes) -> None:
        message = authentic(data, KEY, self.talk.up)
        outcome = self.gateway.hear(message)
        for number in outcome.fresh:
            reading: Any = message.readings[number]
            if reading[0] == records.COMMAND:
                generation, n, came, _ = struct.unpack("<IIBB", reading[2])
                self.desk.acknowledged((generation, n), came)
        assert not outcome.conflicts
        assert self.restored or not outcome.forgotten, "only a restored gateway finds something forgotten"
        self.ever_known |= self.gateway.known(self.epoch)
        self.down.append(self.commit(self.epoch, outcome.commit))

    def commit(self, epoch: int, upto: int) -> bytes:
        payload = wire.encode_down(wire.Down(self.desk.generation, (epoch, upto)))
        return envelope.seal(KEY, DEVICE, self.talk.down, payload)

    @precondition(lambda self: self.down)
    @rule(pick=PICK, again=st.booleans(), cut=CUTS)
    def an_answer_arrives(self, pick: int, again: bool, cut: int | None) -> None:
        at = pick % len(self.down)
        data = self.down[at] if again else self.down.pop(at)
        self.hear(data, cut)

    def hear(self, data: bytes, cut: int | None = None) -> None:
        commit = wire.decode_down(envelope.parse(data).payload).commit
        assert commit is not None
        upto = commit[1]
        before = self.tag.upto
        obeyed = self.tag.obey(upto)
        expected = conversation.COMMITTED if obeyed else conversation.BEYOND_SENT
        if upto <= before:
            expected = conversation.KNOWN
        self.tag.upto = before  # until flash tells; power may go on the way
        outcome = self.powered(cut, lambda: self.talk.hear(data))
        if outcome is not None:
            assert outcome == expected
            assert self.tag.upto == (upto if expected == conversation.COMMITTED else before)
        else:
            assert self.tag.upto in (before, upto)

    # those who lie

    @rule(how=st.integers(0, 4), ahead=st.integers(0, 50), pick=PICK)
    def a_forged_commit_is_refused(self, how: int, ahead: int, pick: int) -> None:
        payload = wire.encode_down(wire.Down(1, (self.epoch, self.tag.upto + ahead)))
        good = self.commit(self.epoch, self.tag.upto + ahead)
        flipped = bytearray(good)
        flipped[pick % len(good)] ^= 1 << pick % 8
        forged = [
            envelope.seal(bytes(32), DEVICE, self.talk.down, payload),
            envelope.seal(KEY, DEVICE, self.talk.up, payload),
            envelope.seal(KEY, "gps00002", self.talk.down, payload),
            bytes(flipped),
            good[: pick % len(good)],
        ][how]
        before = self.journal.base
        assert self.talk.hear(forged) == conversation.FORGED
        assert self.journal.base == before

    @rule(beyond=st.integers(1, 99))
    def a_commit_beyond_what_was_sent_is_refused(self, beyond: int) -> None:
        upto = max(self.tag.highest_sent, self.tag.upto) + beyond
        before = self.journal.base
        assert self.talk.hear(self.commit(self.epoch, upto)) == conversation.BEYOND_SENT
        assert self.journal.base == before

    @rule(upto=st.integers(0, 99))
    def a_commit_of_another_epoch_is_refused(self, upto: int) -> None:
        before = self.journal.base
        assert self.talk.hear(self.commit(self.epoch ^ 1, upto)) == conversation.FOREIGN_EPOCH
        assert self.journal.base == before

    @rule(pick=PICK)
    def what_is_not_understood_changes_nothing(self, pick: int) -> None:
        payload = [
            b"",
            b"\xff",
            b"\xa0",
            b"\xa2\x01\x02\x02\x00",
            b"\xa2\x01\x01\x02\x00",
            b"\xa2\x01\x01\x03\x81\x01",
        ][pick % 6]
        before = self.journal.base
        outcome = self.talk.hear(envelope.seal(KEY, DEVICE, self.talk.down, payload))
        assert outcome in (conversation.NOT_UNDERSTOOD, conversation.NO_COMMIT)
        assert self.journal.base == before

    # the gateway

    @rule()
    def the_gateway_restarts(self) -> None:
        self.up, self.down, self.said = self.up[1:], [], []

    @rule()
    def a_backup_is_taken(self) -> None:
        self.backup = copy.deepcopy(self.gateway)

    @rule()
    def the_backup_is_restored(self) -> None:
        self.restored = True
        self.gateway = copy.deepcopy(self.backup)
        self.desk.restore()

    # commands

    @rule(more=st.integers(0, 2), cut=CUTS, on_the_way=st.booleans())
    def the_gateway_commands(self, more: int, cut: int | None, on_the_way: bool) -> None:
        for _ in range(more if self.desk.next() else 1):
            self.desk.give()
        data = self.sealed_command()
        self.overheard.append(data)
        if on_the_way:
            self.said.append(data)
        else:
            self.hear_command(data, cut)

    @rule()
    def a_command_expires(self) -> None:
        self.desk.expire()
        self.said = []  # a clean session keeps nothing for later: what is said next is heard next

    def sealed_command(self, key: bytes = KEY) -> bytes:
        pair = self.desk.next()
        assert pair is not None
        payload = wire.encode_down(wire.Down(pair[0], None, wire.Command(pair[1], "locate", [])))
        return envelope.seal(key, DEVICE, self.talk.down, payload)

    @precondition(lambda self: self.said)
    @rule(cut=CUTS, lost=st.booleans())
    def a_command_arrives_or_is_lost(self, cut: int | None, lost: bool) -> None:
        data = self.said.pop(0)
        if not lost:
            self.hear_command(data, cut)

    @precondition(lambda self: self.overheard)
    @rule(pick=PICK, cut=CUTS)
    def a_command_is_replayed(self, pick: int, cut: int | None) -> None:
        data = self.overheard[pick % len(self.overheard)]
        pair = self.pair_of(data)
        if pair <= self.orders.last:  # a newer one would only be the gateway's word, brought by another
            self.hear_command(data, cut)

    @precondition(lambda self: self.desk.next())
    @rule()
    def a_forged_command_is_refused(self) -> None:
        assert self.talk.hear(self.sealed_command(bytes(32))) == conversation.FORGED
        assert self.talk.command is None

    def pair_of(self, data: bytes) -> Pair:
        down = wire.decode_down(envelope.parse(data).payload)
        assert down.command is not None
        return down.generation, down.command.n

    def execute(self, arguments: list[object]) -> int:
        assert not arguments
        assert self.under_way not in self.executed, "executed twice"
        self.executed.append(self.under_way)
        return self.means(self.under_way)

    def means(self, pair: Pair) -> int:
        return int(commands.REFUSED if pair[1] % 2 else commands.DONE)

    def hear_command(self, data: bytes, cut: int | None = None) -> None:
        self.under_way = self.pair_of(data)
        before = self.orders.last
        held = self.answer >= self.journal.base
        expected = self.orders.hear(self.under_way, answer_held=held)

        def act() -> object:
            assert self.talk.hear(data) == conversation.NO_COMMIT
            assert self.talk.command is not None
            return self.executor.take(*self.talk.command)

        outcome = self.powered(cut, act)
        if outcome is None:  # power went: what stands on flash counts
            self.cut_at.add(self.under_way)
            last = kept.read(self.flash, "command")
            self.orders.last = struct.unpack("<II", last[:8]) if last else (0, 0)
            assert self.orders.last in (before, self.under_way)
            assert self.under_way not in self.executed or self.orders.last >= self.under_way
            return
        assert outcome == COUNTERS[expected]
        if expected in (EXECUTED, ANSWERED):
            self.answer = self.journal.next - 1

    # what must hold

    @invariant()
    def nothing_flushed_is_lost(self) -> None:
        held = self.held()
        accounted = set(held)
        for kind, _, body in held.values():
            if kind == records.GAP:
                first, count = records.gap_range(body)
                accounted |= set(range(first, first + count))
        missing = set(range(self.journal.base, self.tag.next)) - accounted
        assert not missing, f"{missing} are neither held nor named by a gap"
        assert held.items() >= {n: c for n, c in self.tag.held.items() if n not in self.tag.dropped}.items()

    @invariant()
    def nothing_is_forgotten_that_the_gateway_does_not_know(self) -> None:
        assert set(range(1, self.journal.base)) <= self.ever_known

    @invariant()
    def the_flash_keeps_to_its_limit(self) -> None:
        assert sum(len(data) for data in self.flash.files.values()) <= LIMIT + 4096

    @invariant()
    def what_the_gateway_stored_is_what_the_tag_made(self) -> None:
        for (_, number), content in self.gateway.content.items():
            assert self.tag.made[number] == content

    @invariant()
    def what_came_of_a_command_is_told_as_it_was(self) -> None:
        for pair, outcome in self.desk.outcomes.items():
            if outcome == commands.FAILED:
                assert pair in self.cut_at
            else:
                assert outcome == self.means(pair)
                assert pair in self.executed

    @invariant()
    def commands_are_executed_in_their_order(self) -> None:
        assert self.executed == sorted(set(self.executed))

    @invariant()
    def nobody_is_waited_for_without_end(self) -> None:
        due = self.talk.due_ms(self.now_ms)
        assert not self.talk.waiting() or due is not None

    def teardown(self) -> None:
        """Whatever happened: over a working link everything made comes to be known, and the tag holds nothing."""
        if not hasattr(self, "epoch"):
            return
        self.journal.flush()
        self.look()
        self.up, self.down, self.said = [], [], []
        self.say(bytes(self.talk.hello(self.now_ms)))
        for _ in range(200):
            if self.desk.next():
                self.hear_command(self.sealed_command())
            self.talk.release()
            data = self.talk.message(self.now_ms)
            if data is None and not self.up and not self.down and not self.desk.next():
                if self.journal.base > self.journal.flushed:
                    break
                self.now_ms += 300_000
            elif data is not None:
                self.say(bytes(data))
            for sent in self.up:
                self.deliver(sent)
            self.up = []
            for answer in self.down:
                self.hear(answer)
            self.down = []
        assert self.journal.base == self.journal.flushed + 1 == self.tag.next
        assert self.gateway.contiguous(self.epoch) == self.journal.flushed
        assert not self.talk.waiting()
        of_now = {pair for pair in self.desk.given if pair[0] == self.desk.generation}
        assert of_now <= self.desk.expired | set(self.desk.outcomes), "every command is answered, or expired"
        super().teardown()


TestFirmwareFollowsTheModel = Firmware.TestCase
TestFirmwareFollowsTheModel.settings = settings(
    max_examples=200, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
)


@pytest.mark.long
def test_the_firmware_follows_the_model_for_long() -> None:
    run_state_machine_as_test(
        Firmware,
        settings=settings(
            max_examples=3000, stateful_step_count=60, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )
