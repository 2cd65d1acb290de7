"""What the tag says and when, with every answer and every second given by hand.

Three of these tests are dead ends that the protocol's state machine ran into before the firmware knew ways out.
"""

from __future__ import annotations

import random
from collections.abc import Iterator

import conversation
import envelope
import journal
import pytest
import records
from conversation import Conversation

from core import wire
from tests.firmware.flash import Flash
from tests.firmware.gateway_side import authentic
from tests.protocol.model import GatewayModel, Message

DEVICE, KEY = "gps00001", bytes(range(32))
LARGE = 200  # a kind that has no layout yet


@pytest.fixture(autouse=True, scope="module")
def a_large_kind_may_be_dropped() -> Iterator[None]:
    """Fills a journal soon; as readings do that are not kept at any price."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(journal, "_BULK", (*journal._BULK, LARGE))
        yield


class Talk:
    """A conversation over a journal in memory, and a gateway that hears what it is given."""

    def __init__(self, limit: int = 1 << 20) -> None:
        self.flash = Flash()
        self.limit = limit
        self.gateway = GatewayModel()
        self.boot()

    def boot(self) -> None:
        """A tag that knows nothing but its flash."""
        self.journal = journal.Journal("", self.limit, random.Random(3).randbytes, folder=self.flash)
        self.talk = Conversation(self.journal, DEVICE, KEY)

    def make(self, n: int, size: int = 15) -> None:
        """n positions on flash, released."""
        for i in range(n):
            kind = records.POSITION if size == 15 else LARGE
            self.journal.append(kind, 17_000_000_000 + i, bytes(size - 1) + b"\x03")
        self.journal.flush()
        self.talk.release()

    def tamper(self) -> int:
        """An urgent reading, released; its number."""
        number = self.journal.append(records.TAMPER, 17_000_000_000, records.tamper(2, 0, 3), urgent=True)
        self.talk.release()
        return int(number)

    def hello(self, now_ms: int = 0) -> Message:
        return authentic(self.talk.hello(now_ms), KEY, self.talk.up)

    def said(self, now_ms: int) -> list[Message]:
        """Everything that the tag says now."""
        found = []
        while (data := self.talk.message(now_ms)) is not None:
            found.append(authentic(data, KEY, self.talk.up))
        return found

    def answer(self, upto: int) -> str:
        payload = wire.encode_down(wire.Down(0, (self.journal.epoch, upto)))
        return str(self.talk.hear(envelope.seal(KEY, DEVICE.encode(), self.talk.down.encode(), payload)))

    def heard(self, messages: list[Message]) -> str:
        """The gateway hears them, and answers once."""
        for message in messages:
            outcome = self.gateway.hear(message)
            assert not outcome.forgotten
            assert not outcome.conflicts
        return self.answer(outcome.commit)

    def drain(self, now_ms: int) -> int:
        """Talk until the tag has nothing more to say; the number of messages."""
        total = 0
        while messages := self.said(now_ms):
            total += len(messages)
            assert total < 1000
            self.heard(messages)
        return total


def numbers(messages: list[Message]) -> list[list[int]]:
    return [list(message.readings) for message in messages]


def test_four_messages_are_unanswered_at_most_and_lowest_numbers_go_first() -> None:
    talk = Talk()
    talk.make(500)
    talk.hello()
    sent = talk.said(0)
    assert len(sent) == 4
    together = [number for message in sent for number in message.readings]
    assert together == list(range(1, len(together) + 1))
    assert talk.heard(sent[:1]) == conversation.COMMITTED
    assert len(talk.said(0)) == 1
    assert talk.drain(30_000) > 4
    assert talk.journal.base == 501


def test_what_was_made_is_not_said_before_it_is_released() -> None:
    talk = Talk()
    talk.hello()
    talk.journal.append(records.POSITION, 17_000_000_000, bytes(14) + b"\x03")
    assert talk.said(0) == []
    talk.journal.flush()
    assert talk.said(0) == []
    talk.talk.release()
    assert numbers(talk.said(0)) == [[1]]


def test_what_has_no_answer_is_said_again_after_30_s_then_60_and_so_on_up_to_5_minutes() -> None:
    talk = Talk()
    talk.make(3)
    talk.hello()
    first = talk.said(0)
    at, waits = 0, []
    for _ in range(7):
        wait = talk.talk.due_ms(at)
        assert wait is not None
        assert talk.said(at + wait - 1) == []
        at += wait
        assert numbers(talk.said(at)) == numbers(first)
        waits.append(wait // 1000)
    assert waits == [30, 60, 120, 240, 300, 300, 300]
    assert talk.heard(first) == conversation.COMMITTED
    assert talk.talk.due_ms(at) is None


def test_a_gateway_that_does_not_answer_is_waited_for_30_s_and_no_longer() -> None:
    talk = Talk()
    talk.hello(1000)
    assert talk.talk.waiting()
    talk.said(30_999)
    assert talk.talk.waiting()
    talk.make(3)
    talk.said(31_000)
    assert not talk.talk.waiting(), "not for what is sent into the silence either"
    assert talk.answer(3) == conversation.COMMITTED
    assert not talk.talk.waiting(), "all is answered"
    talk.make(1)
    talk.said(40_000)
    assert talk.talk.waiting(), "it speaks again"
    talk.talk.lost()
    assert not talk.talk.waiting()


def test_a_new_connection_says_everything_held_again() -> None:
    talk = Talk()
    talk.make(5)
    talk.hello()
    talk.said(0)
    talk.answer(2)
    talk.talk.lost()
    assert talk.hello(50).base == 3
    assert numbers(talk.said(50)) == [[3, 4, 5]]


def test_an_urgent_reading_overtakes_a_backlog_and_is_said_again_in_its_turn() -> None:
    talk = Talk()
    talk.make(400)
    number = talk.tamper()
    talk.hello()
    sent = talk.said(0)
    assert numbers(sent)[0] == [number]
    assert numbers(sent)[1][0] == 1
    assert numbers(talk.said(30_000))[0] == [number], "and again, without an answer"
    talk.heard(sent)
    assert talk.drain(60_000)
    assert talk.journal.base == talk.journal.next


def test_many_urgent_readings_do_not_keep_the_lowest_from_being_said() -> None:
    """A dead end once: four urgent messages, none of which a commit could cover, and nothing else allowed."""
    talk = Talk()
    talk.make(6, size=200)
    for _ in range(20):
        talk.tamper()
        talk.make(6, size=200)
    talk.hello()
    talk.drain(0)
    assert talk.journal.base == talk.journal.next


def test_a_hole_is_told_of_before_what_follows_it() -> None:
    """A dead end once: dropped numbers, and the gap record behind more messages than may be unanswered."""
    talk = Talk(limit=16384)
    for i in range(60):
        talk.make(5, size=200)
        if i % 7 == 0:
            talk.tamper()
    talk.boot()
    talk.talk.release()
    talk.hello()
    assert talk.drain(0) > 8
    assert talk.journal.base == talk.journal.next
    assert talk.gateway.contiguous(talk.journal.epoch) == talk.journal.flushed


def test_numbers_dropped_while_they_are_unanswered_are_told_of_when_it_is_time_to_say_them_again() -> None:
    talk = Talk(limit=16384)
    talk.make(30, size=200)
    talk.hello()
    assert len(talk.said(0)) == 4
    talk.make(200, size=200)
    again = talk.said(30_000)
    assert again[0].gaps
    assert again[0].gaps[0][0] == 1
    talk.heard(again)
    talk.drain(30_000)
    assert talk.journal.base == talk.journal.next


def test_a_rebooted_tag_catches_up_with_a_gateway_that_knows_more_than_it_has_said() -> None:
    """A dead end once: every true answer is beyond what was sent since boot, and four messages are unanswered."""
    talk = Talk()
    talk.make(53, size=150)
    talk.hello()
    sent: list[Message] = []
    for _ in range(10):
        sent += (new := talk.said(0))
        for message in new:
            talk.gateway.hear(message)
        talk.answer(26)
    talk.boot()
    talk.make(20, size=150)
    talk.hello()
    talk.drain(0)
    assert talk.journal.base == talk.journal.next


def test_a_gateway_that_claims_everything_makes_the_tag_forget_nothing_it_has_not_said() -> None:
    talk = Talk()
    talk.make(400)
    talk.hello()
    sent = talk.said(0)
    highest = talk.talk.highest_sent
    for upto in (highest + 1, 400, 401, 2**32 - 1):
        assert talk.answer(upto) == conversation.BEYOND_SENT
    assert talk.journal.base == 1
    assert sent
    assert talk.answer(highest) == conversation.COMMITTED


def test_no_message_is_over_1024_bytes_whatever_it_holds() -> None:
    talk = Talk()
    draw = random.Random(5)
    for i in range(400):
        kind, size = draw.choice([(1, 15), (4, 7), (5, 4), (6, 6), (8, 10), (2, 255), (3, 90)])
        body = bytes(size - 1) + bytes([draw.randrange(4)])
        talk.journal.append(kind, draw.randrange(10) * 10**6 + i, body)
    talk.journal.flush()
    talk.talk.release()
    talk.talk.hello(0)
    longest = 0
    while (data := talk.talk.message(0)) is not None:
        longest = max(longest, len(data))
        talk.answer(talk.talk.highest_sent)
    assert 500 < longest <= envelope.TAG_BYTES
    assert talk.journal.base == talk.journal.next


def test_where_memory_has_no_large_piece_left_messages_are_smaller_and_nothing_else_changes() -> None:
    plain, shrunk = Talk(), Talk()
    for _ in range(8):  # as often as it is asked: some messages always fit
        shrunk.talk.shrink()
    for talk in (plain, shrunk):
        talk.make(200)
        talk.hello()
    assert shrunk.drain(0) > 3 * plain.drain(0)
    assert shrunk.journal.base == plain.journal.base == 201


def test_what_was_sent_before_an_answered_message_and_not_answered_is_sent_again_at_once() -> None:
    talk = Talk()
    talk.make(110)  # four messages of thirty at most
    talk.hello()
    # into a broker that forgets them
    lost = [bytes(talk.talk.message(now_ms)) for now_ms in (0, 1000, 2000, 3000)]
    firsts = [min(authentic(data, KEY, talk.talk.up).readings) for data in lost]
    again = authentic(talk.talk.message(30_000), KEY, talk.talk.up)
    assert min(again.readings) == firsts[0]
    talk.heard([again])
    # no need to wait until each of the other three has been silent for its own thirty seconds
    assert [min(message.readings) for message in talk.said(30_001)] == firsts[1:]
