"""What is fed with anything at all, and what must hold whatever it was. Each target raises only where it does not.

Where a MAC would stop all but a few inputs, the input is sealed under the right key: whoever has the key of one device
is an attacker, too.
"""

from __future__ import annotations

import random
import socket
from collections.abc import Callable, Mapping

import cbor as tags_cbor
import cbor2
import envelope as tags_envelope
from clock import Clock
from commands import Commands
from console import Lines
from conversation import Conversation
from journal import Journal

from core import envelope, wire
from gateway import evidence, topics, verify
from gateway.frames import FrameSocket, Published
from gateway.sequences import Known, Span, hear
from tests.firmware.flash import Flash
from tests.firmware.test_clock import Board

KEY = bytes(range(32))
DEVICE = "tag0001"
UP, DOWN = topics.up(DEVICE), topics.down(DEVICE)


def envelope_as_received(data: bytes) -> None:
    """The gateway reads an envelope of anybody: it is refused with a reason, or is of the one accepted shape."""
    found = verify.read(UP, data, {DEVICE: KEY}, frozenset())
    assert isinstance(found, verify.Refused) or found.device == DEVICE
    try:
        sealed = envelope.parse(data)
    except envelope.EnvelopeError:
        return
    parts = [b"\xa1\x01\x05", {4: sealed.kid.encode()}, sealed.payload, sealed.tag]
    assert cbor2.dumps(cbor2.CBORTag(17, parts), canonical=True) == data, "no other bytes say the same"


def payload_up(data: bytes) -> None:
    """The gateway reads what a device says: kept, committed and decoded, whatever the records hold."""
    found = verify.read(UP, envelope.seal(KEY, DEVICE, UP, data), {DEVICE: KEY}, frozenset())
    if isinstance(found, verify.Refused):
        assert found.reason == "too_large", found
        return
    known = Known()
    for _ in range(2):
        if found.heard is None:
            break
        decision = hear(
            known, found.heard, lambda first, last: dict.fromkeys(range(first, min(last, first + 9) + 1))
        )
        assert 0 <= decision.commit < 2**32
        ends = [0, *(end for part in known.ranges for end in (part.first, part.last))]
        assert ends == sorted(ends), "ranges are apart and in order"
    if found.up is None:
        return
    said = evidence.said([(found.up, tuple(Span(block.first, block.last) for block in found.up.blocks))])
    assert len(said) <= 8 * sum(block.count for block in found.up.blocks)
    again = wire.decode_up(wire.encode_up(found.up))
    assert [block.raw for block in again.blocks] == [block.raw for block in found.up.blocks]


def payload_down(data: bytes) -> None:
    """What a gateway says is read as it was written, or refused."""
    try:
        down = wire.decode_down(data)
    except wire.WireError:
        return
    assert wire.decode_down(wire.encode_down(down)) == down


def command_to_a_tag(data: bytes) -> None:
    """A tag hears anything under its own key: its journal keeps what it holds, and no command is done twice."""
    flash, done = Flash(), []
    journal = Journal("", 1 << 16, random.Random(1).randbytes, folder=flash)

    def do(arguments: list[object]) -> int:
        done.append(arguments)
        return 0

    handlers = dict.fromkeys(("settings", "pursuit", "locate", "vibrate", "baseline", "hear", "unhear"), do)
    commands = Commands(journal, Clock(Board()), random.Random(2).randbytes, flash, handlers)
    talk = Conversation(journal, DEVICE, KEY)
    message = envelope.seal(KEY, DEVICE, DOWN, data)
    for _ in range(2):
        assert isinstance(talk.hear(message), str)
        if talk.command is not None:
            assert isinstance(commands.take(*talk.command), str)
    assert len(done) <= 1
    assert journal.base == 1, "nothing is forgotten that was never sent"


def envelope_to_a_tag(data: bytes) -> None:
    """A tag takes from the air nothing but what was sealed for it, and gateway and tag read envelopes alike."""
    try:
        payload = tags_envelope.open(KEY, DEVICE.encode(), DOWN.encode(), data)
    except tags_envelope.Forged:
        payload = None
    try:
        sealed = envelope.parse(data)
        right = sealed.kid == DEVICE and envelope.authentic(sealed, KEY, DOWN)
    except envelope.EnvelopeError:
        right = False
    assert (payload is not None) == right


def cbor_in_a_tag(data: bytes) -> None:
    """The tag's own reader of CBOR agrees with the library of the gateway wherever it takes something."""
    try:
        found = tags_cbor.decode(data)
    except ValueError:
        return
    if not _holds_an_envelope(found):  # which the library gives as something else
        assert cbor2.loads(data) == found


def _holds_an_envelope(found: object) -> bool:
    if isinstance(found, dict):
        return any(_holds_an_envelope(part) for pair in found.items() for part in pair)
    if isinstance(found, list):
        return any(_holds_an_envelope(part) for part in found)
    return isinstance(found, tags_cbor.Mac0)


def stream_from_the_broker(data: bytes) -> None:
    """Packets are dealt out alike however the network cuts the stream, and nothing is made up or lost."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        whole, cut = (_dealt(data, piece, ours, theirs) for piece in (len(data) or 1, 1 + (len(data) // 7)))
    assert whole == cut


def _dealt(
    data: bytes, piece: int, ours: socket.socket, theirs: socket.socket
) -> tuple[list[Published], bytes]:
    found: list[Published] = []
    frames = FrameSocket(theirs, found.extend, lambda: 1000, lambda wait_s: True)
    theirs.setblocking(False)
    others = b""
    for at in range(0, min(len(data), 4096), piece):
        ours.sendall(data[at : min(at + piece, 4096)])
        while True:
            try:
                others += frames.recv(65536)
            except BlockingIOError:
                break
    return found, others


def line_of_a_tool(data: bytes) -> None:
    """Lines on the console are the same however they come, and none is longer than may be."""
    whole, single = Lines(), Lines()
    found = whole.feed(data)
    assert found == [line for at in range(len(data)) for line in single.feed(data[at : at + 1])]
    assert all(line is None or 0 < len(line) <= 1024 + 64 + 16 for line in found)


TARGETS: Mapping[str, Callable[[bytes], None]] = {
    target.__name__: target
    for target in (
        envelope_as_received,
        payload_up,
        payload_down,
        command_to_a_tag,
        envelope_to_a_tag,
        cbor_in_a_tag,
        stream_from_the_broker,
        line_of_a_tool,
    )
}
