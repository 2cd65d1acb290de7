"""What lies between paho and its socket: PUBLISH packets are taken off the stream by the bufferful.

paho reads three times from the socket and locks some ten times for each message; with its answers that was 65 µs of
processor time a message, and is 8 (docs/load.md). It goes on to connect, subscribe, keep alive and reconnect; only the
packets that come by the thousand do not pass through it.
"""

from __future__ import annotations

import socket
import ssl
import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Generic, NamedTuple, TypeVar

_PUBLISH = 3
_READ_BYTES = 65_536
_ROOM_S = 0.1
"""So long reading waits for room at a time: the thread that reads also answers the broker's keep-alive."""
_MOST_HEAD = 5

T = TypeVar("T")


class Published(NamedTuple):
    """A PUBLISH: ``message_id`` is 0 at QoS 0."""

    topic: bytes
    message_id: int
    qos: int
    payload: bytes


class Bounded(Generic[T]):
    """A queue between two threads, bounded in items and in bytes; taken from and added to many at a time."""

    def __init__(self, most: int, most_bytes: int) -> None:
        self._most, self._most_bytes = most, most_bytes
        self._items: deque[tuple[T, int]] = deque()
        self._bytes = 0
        self._changed = threading.Condition()

    def __len__(self) -> int:
        return len(self._items)

    @property
    def room(self) -> int:
        """How many more items there is room for."""
        return 0 if self._bytes >= self._most_bytes else self._most - len(self._items)

    def wait_for_room(self, wait_s: float) -> bool:
        """Whether there is room, waiting for it up to ``wait_s``."""
        with self._changed:
            return self._changed.wait_for(lambda: self.room > 0, wait_s)

    def put(self, items: Sequence[tuple[T, int]]) -> None:
        """Add items, each with its size in bytes, in their order."""
        with self._changed:
            self._items.extend(items)
            self._bytes += sum(size for _, size in items)
            self._changed.notify_all()

    def take(self, most: int, wait_s: float, company_s: float) -> list[T]:
        """At most ``most`` items, none if there is none within ``wait_s``; after the first ``company_s`` for more."""
        with self._changed:
            if not self._changed.wait_for(lambda: self._items, wait_s):
                return []
            if company_s > 0 and len(self._items) < most:
                self._changed.wait_for(lambda: len(self._items) >= most, company_s)
            taken = [self._items.popleft() for _ in range(min(most, len(self._items)))]
            self._bytes -= sum(size for _, size in taken)
            self._changed.notify_all()
        return [item for item, _ in taken]


class FrameSocket:
    """A connected socket, TLS or not, as paho uses one. PUBLISH packets go to ``publish``; paho reads the others.

    ``room`` is how many it may be given now; while there is none, nothing is read, and that is what makes the broker
    wait. ``wait`` waits for room up to so many seconds.
    """

    def __init__(
        self,
        stream: socket.socket,
        publish: Callable[[Sequence[Published]], None],
        room: Callable[[], int],
        wait: Callable[[float], bool],
    ) -> None:
        self._stream = stream
        self._publish = publish
        self._room = room
        self._wait = wait
        self._read = bytearray()
        self._others = bytearray()
        self._left = False
        self._need = 0
        self._lost = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def fileno(self) -> int:
        """For ``select``."""
        return self._stream.fileno()

    def send(self, data: bytes) -> int:
        """As of a socket."""
        return self._stream.send(data)

    def close(self) -> None:
        """As of a socket."""
        self._stream.close()

    def pending(self) -> int:
        """Not 0 where there is something to do that ``select`` does not know of."""
        below = self._stream.pending() if isinstance(self._stream, ssl.SSLSocket) else 0
        return len(self._others) + self._left + below

    def recv(self, most: int) -> bytes:
        """What paho has to deal with itself, up to ``most`` bytes. Raises BlockingIOError where that is nothing."""
        if not self._others:
            if self._room() <= 0 and not self._wait(_ROOM_S):
                raise BlockingIOError
            if not self._left:
                data = self._stream.recv(_READ_BYTES)
                if not data:
                    return b""
                self._read += data
            if len(self._read) >= self._need:
                self._split()
        if not self._others:
            raise BlockingIOError
        found = bytes(self._others[:most])
        del self._others[:most]
        return found

    def _split(self) -> None:
        """Deal out every whole packet, up to what there is room for."""
        data = bytes(self._read)
        if self._lost:
            self._others += data
            self._read.clear()
            return
        room = self._room()
        at, end = 0, len(data)
        found: list[Published] = []
        self._left = False
        self._need = 0
        while at < end:
            begin = at + 1
            length = shift = 0
            while begin < end:
                byte = data[begin]
                begin += 1
                length |= (byte & 0x7F) << shift
                shift += 7
                if not byte & 0x80:
                    break
                if begin - at >= _MOST_HEAD:
                    # no length of MQTT: paho says so to the broker, and where a packet begins nobody knows any more
                    self._others += data[at:]
                    self._lost = True
                    at = begin = end
                    break
            else:
                break
            if at == end:
                break
            if begin + length > end:
                self._need = begin + length - at
                break
            qos = data[at] >> 1 & 3
            if data[at] >> 4 != _PUBLISH or qos > 1 or length < 2 + 2 * qos:
                self._others += data[at : begin + length]
            elif len(found) == room:
                self._left = True
                break
            else:
                topic_end = begin + 2 + (data[begin] << 8 | data[begin + 1])
                body = topic_end + 2 * qos
                if body > begin + length:
                    self._others += data[at : begin + length]
                else:
                    message_id = data[topic_end] << 8 | data[topic_end + 1] if qos else 0
                    topic = data[begin + 2 : topic_end]
                    found.append(Published(topic, message_id, qos, data[body : begin + length]))
            at = begin + length
        del self._read[:at]
        if found:
            self._publish(found)


def puback(message_id: int) -> bytes:
    """The packet that acknowledges a message."""
    return b"\x40\x02" + message_id.to_bytes(2, "big")


def publish(topic: bytes, payload: bytes) -> bytes:
    """The packet that publishes at QoS 0."""
    length = 2 + len(topic) + len(payload)
    head = bytearray(b"\x30")
    while True:
        length, low = length >> 7, length & 0x7F
        head.append(low | (0x80 if length else 0))
        if not length:
            return bytes(head) + len(topic).to_bytes(2, "big") + topic + payload
