"""The network between a device and its broker: bytes go through as they are, until it is cut."""

from __future__ import annotations

import socket
import socketserver
import threading
from collections.abc import Iterator

import pytest

from sim.relay import Relay


class Shout(socketserver.BaseRequestHandler):
    """Says everything back in capitals."""

    def handle(self) -> None:
        while data := self.request.recv(4096):
            self.request.sendall(data.upper())


class Far(socketserver.ThreadingTCPServer):
    daemon_threads = True
    block_on_close = False


@pytest.fixture
def relay() -> Iterator[Relay]:
    with Far(("127.0.0.1", 0), Shout) as far:
        threading.Thread(target=far.serve_forever, daemon=True).start()
        with Relay(lambda: ("127.0.0.1", int(far.server_address[1]))) as relay:
            yield relay
        far.shutdown()


def call(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=10)


def test_bytes_go_both_ways_as_they_are(relay: Relay) -> None:
    with call(relay.port("one")) as one, call(relay.port("other")) as other:
        one.sendall(b"a" * 100_000)
        other.sendall(b"b")
        assert other.recv(10) == b"B"
        heard = b""
        while len(heard) < 100_000:
            heard += one.recv(65536)
        assert heard == b"A" * 100_000


def test_a_device_that_is_cut_off_loses_its_connections_and_gets_none_and_others_keep_theirs(
    relay: Relay,
) -> None:
    port = relay.port("one")
    with call(port) as one, call(relay.port("other")) as other:
        one.sendall(b"x")
        assert one.recv(10) == b"X"
        relay.cut("one")
        assert one.recv(10) == b""
        with pytest.raises(ConnectionRefusedError):
            call(port)
        other.sendall(b"y")
        assert other.recv(10) == b"Y"
    relay.connect("one")
    assert relay.port("one") == port
    with call(port) as again:
        again.sendall(b"z")
        assert again.recv(10) == b"Z"


def test_where_the_broker_is_away_a_device_is_hung_up_on() -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        free = int(closed.getsockname()[1])
    with Relay(lambda: ("127.0.0.1", free)) as relay, call(relay.port("one")) as one:
        assert one.recv(10) == b""
