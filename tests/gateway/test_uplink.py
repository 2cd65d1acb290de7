"""The link's order of things, against a broker whose every byte the test chooses."""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Iterator

import pytest

from gateway.broker import Address
from gateway.group import Received
from gateway.topics import UP_FILTER
from gateway.uplink import LinkDeadError, Uplink

CONNECT, PUBLISH, PUBACK, SUBSCRIBE = 1, 3, 4, 8


class ScriptedBroker:
    """One MQTT connection at a time, packet by packet, on a plain socket."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(10)
        self.port = self._listener.getsockname()[1]
        self.stream: socket.socket | None = None

    def accept(self) -> None:
        """Take the next connection and let it subscribe."""
        self.stream, _ = self._listener.accept()
        self.stream.settimeout(10)
        kind, _ = self.packet()
        assert kind == CONNECT
        self.stream.sendall(b"\x20\x02\x00\x00")
        kind, body = self.packet()
        assert kind == SUBSCRIBE
        assert UP_FILTER.encode() in body
        self.stream.sendall(b"\x90\x03" + body[:2] + b"\x01")

    def publish(self, message_id: int, topic: str = "em/v1/00/x/up", data: bytes = b"x") -> None:
        assert self.stream is not None
        body = struct.pack(">H", len(topic)) + topic.encode() + struct.pack(">H", message_id) + data
        self.stream.sendall(b"\x32" + bytes([len(body)]) + body)

    def packet(self, timeout_s: float = 60) -> tuple[int, bytes]:
        """The next packet: its type and body."""
        assert self.stream is not None
        self.stream.settimeout(timeout_s)
        kind = self.stream.recv(1)[0] >> 4
        length = self.stream.recv(1)[0]
        body = b""
        while len(body) < length:
            body += self.stream.recv(length - len(body))
        return kind, body

    def silent_for(self, seconds: float) -> bool:
        """Whether nothing comes for so long."""
        assert self.stream is not None
        self.stream.settimeout(seconds)
        try:
            self.stream.recv(1, socket.MSG_PEEK)
        except TimeoutError:
            return True
        return False

    def cut(self) -> None:
        assert self.stream is not None
        self.stream.close()

    def close(self) -> None:
        if self.stream is not None:
            self.stream.close()
        self._listener.close()


@pytest.fixture
def broker() -> Iterator[ScriptedBroker]:
    scripted = ScriptedBroker()
    yield scripted
    scripted.close()


@pytest.fixture
def link(broker: ScriptedBroker) -> Iterator[Uplink]:
    place = Address("127.0.0.1", broker.port, tls=False)
    started = Uplink(place, None, queue_size=4, stamp=lambda: 5)
    started.start()
    broker.accept()
    assert started.subscribed.wait(60)
    yield started
    started.stop()


def take(link: Uplink, count: int) -> list[Received]:
    found: list[Received] = []
    deadline = time.monotonic() + 60
    while len(found) < count and time.monotonic() < deadline:
        found += [item for item in link.take(10, 0.1, 0) if isinstance(item, Received)]
    assert len(found) == count
    return found


def test_nothing_is_acknowledged_until_it_is_said_to_be_done(broker: ScriptedBroker, link: Uplink) -> None:
    broker.publish(1)
    (message,) = take(link, 1)
    assert broker.silent_for(0.3)
    link.acknowledge([message.ticket])
    assert broker.packet() == (PUBACK, b"\x00\x01")


def test_acknowledgements_go_out_in_the_order_of_arrival(broker: ScriptedBroker, link: Uplink) -> None:
    for message_id in (3, 1, 2):
        broker.publish(message_id)
    link.acknowledge([message.ticket for message in take(link, 3)])
    assert [broker.packet()[1] for _ in range(3)] == [b"\x00\x03", b"\x00\x01", b"\x00\x02"]


def test_an_old_connections_message_is_not_acknowledged_on_the_new_one(
    broker: ScriptedBroker, link: Uplink
) -> None:
    broker.publish(1)
    (old,) = take(link, 1)
    broker.cut()
    broker.accept()  # subscribed again, by itself
    assert link.subscribed.wait(60)
    broker.publish(1, data=b"another message under the same id")
    (new,) = take(link, 1)
    link.acknowledge([old.ticket])
    assert broker.silent_for(0.3), "the new message would be lost"
    link.acknowledge([new.ticket])
    assert broker.packet() == (PUBACK, b"\x00\x01")


def test_a_full_queue_makes_the_broker_wait_and_loses_nothing(broker: ScriptedBroker, link: Uplink) -> None:
    for message_id in range(1, 11):
        broker.publish(message_id, data=bytes([message_id]))
    time.sleep(0.7)
    assert link.waiting == 4
    assert link.counts["queue_full"] > 0
    assert [message.data[0] for message in take(link, 10)] == list(range(1, 11))


def test_how_long_a_broker_takes_no_message_or_connection_is_known_until_it_takes_one(
    broker: ScriptedBroker, link: Uplink
) -> None:
    assert link.refused_s == 0
    assert link.echo("one")
    assert broker.packet()[0] == PUBLISH
    time.sleep(0.2)
    assert link.refused_s >= 0.2
    broker.cut()
    while link.subscribed.is_set():
        time.sleep(0.01)
    assert link.refused_s < 0.2, "from now on it is a connection that is wanted"
    broker.accept()
    assert link.subscribed.wait(60)
    assert link.refused_s >= 0.2, "it was connected to before, and took nothing"
    kind, body = broker.packet()
    assert kind == PUBLISH
    (length,) = struct.unpack_from(">H", body)
    assert broker.stream is not None
    broker.stream.sendall(b"\x40\x02" + body[2 + length : 4 + length])
    deadline = time.monotonic() + 60
    while link.refused_s and time.monotonic() < deadline:
        time.sleep(0.01)
    assert link.refused_s == 0


def test_a_handler_that_fails_does_not_stop_the_link(broker: ScriptedBroker) -> None:
    faults = [ZeroDivisionError()]

    def now_ms() -> int:
        if faults:
            raise faults.pop()
        return 7

    link = Uplink(Address("127.0.0.1", broker.port, tls=False), None, queue_size=4, stamp=now_ms)
    link.start()
    broker.accept()
    broker.publish(1)
    broker.publish(2)
    (message,) = take(link, 1)
    assert (message.received_ms, link.counts["callback_errors"]) == (7, 1)
    link.check()
    link.stop()


def test_a_network_thread_that_has_ended_is_noticed(link: Uplink) -> None:
    link.check()
    link.stop()
    with pytest.raises(LinkDeadError):
        link.check()
