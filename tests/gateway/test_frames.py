"""Packets taken off a stream, however the network cuts it."""

from __future__ import annotations

import socket
from collections.abc import Sequence

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.frames import Bounded, FrameSocket, Published, puback, publish

topics = st.binary(max_size=20)
payloads = st.one_of(st.binary(max_size=40), st.just(b"x" * 300), st.just(b"y" * 20_000))


def at_qos_1(one: Published) -> bytes:
    plain = publish(one.topic, one.message_id.to_bytes(2, "big") + one.payload)
    return b"\x32" + plain[1:]


@settings(deadline=None)
@given(
    st.lists(
        st.one_of(
            st.builds(Published, topics, st.just(0), st.just(0), payloads),
            st.builds(Published, topics, st.integers(1, 65_535), st.just(1), payloads),
            st.builds(puback, st.integers(1, 65_535)),
            st.sampled_from([b"\xd0\x00", b"\x20\x02\x00\x00", b"\x90\x03\x00\x01\x01"]),
        ),
        max_size=12,
    ),
    st.data(),
)
def test_every_publish_is_given_once_and_in_order_and_everything_else_is_left_to_paho(
    packets: list[Published | bytes], data: st.DataObject
) -> None:
    stream = b"".join(
        packet if isinstance(packet, bytes) else at_qos_1(packet) if packet.qos else publish(*packet[::3])
        for packet in packets
    )
    given_to: list[Published] = []
    others = bytearray()
    room = [0]

    def take(found: Sequence[Published]) -> None:
        assert len(found) <= room[0]
        room[0] -= len(found)
        given_to.extend(found)

    here, there = socket.socketpair()
    with here, there:
        here.setblocking(False)
        frames = FrameSocket(here, take, lambda: room[0], lambda wait_s: False)
        at = 0
        while at < len(stream):
            size = data.draw(st.sampled_from([1, 2, 3, 50, 5000, 70_000])) if at < 200 else 9000
            there.sendall(stream[at : at + size])
            at += size
            for _ in range(40):
                room[0] = room[0] or 3
                try:
                    others += frames.recv(7)
                except BlockingIOError:
                    if not frames.pending():
                        break
    assert given_to == [packet for packet in packets if isinstance(packet, Published)]
    assert others == b"".join(packet for packet in packets if isinstance(packet, bytes))


def test_without_room_nothing_is_read() -> None:
    here, there = socket.socketpair()
    with here, there:
        here.setblocking(False)
        frames = FrameSocket(here, lambda found: None, lambda: 0, lambda wait_s: False)
        there.sendall(publish(b"t", b"x"))
        try:
            frames.recv(10)
        except BlockingIOError:
            pass
        else:
            raise AssertionError("there was no room")
        assert here.recv(100) == publish(b"t", b"x")


def test_a_queue_is_full_of_items_or_of_bytes_whatever_comes_first() -> None:
    queue: Bounded[int] = Bounded(4, 100)
    assert queue.room == 4
    queue.put([(1, 10), (2, 10)])
    assert queue.room == 2
    queue.put([(3, 80)])
    assert queue.room == 0
    assert not queue.wait_for_room(0)
    assert queue.take(1, 0, 0) == [1]
    assert queue.room == 2
    assert queue.take(10, 0, 0) == [2, 3]
    assert queue.take(10, 0, 0) == []
    assert queue.room == 4
