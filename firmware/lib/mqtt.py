"""A small MQTT 3.1.1 client for asyncio: what a tag needs, over any stream.

QoS 0 and 1 both ways, clean session, a will, one connection a client: when it is lost, make another. Nothing that was
not acknowledged is kept here; the journal keeps it.
"""

import asyncio
import struct

from counters import count

try:
    from typing import TYPE_CHECKING
except ImportError:
    TYPE_CHECKING = False

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from typing import Protocol

    class Stream(Protocol):
        """A connected byte stream."""

        async def read(self, n: int) -> bytes:
            """Exactly n bytes; EOFError when the peer ends before, OSError when the link fails."""

        async def write(self, data: "bytes | bytearray") -> None:
            """All of ``data``."""

        def close(self) -> None:
            """Give up the connection; never raises."""


ANSWER_MS = 30000  # how long a broker may take to answer; the resend time-out of the protocol
MOST_BYTES = 4200  # of a packet that is read: an envelope of 4096 bytes and its topic
_CONNECT, _PUBLISH, _PUBACK, _SUBSCRIBE, _PING = 0x10, 0x30, 0x40, 0x82, 0xC0
_CONNACK_TYPE, _PUBLISH_TYPE, _PUBACK_TYPE, _SUBACK_TYPE, _PINGRESP_TYPE = 2, 3, 4, 9, 13
_PINGRESP_DUE = 0  # in place of a packet id, which is never 0
_REFUSALS = (
    "",
    "protocol version",
    "client id",
    "server unavailable",
    "bad user or password",
    "not authorised",
)


class Refused(OSError):  # noqa: N818 - what the broker did
    """The broker said no, or said what MQTT does not allow."""


def _text(text: str) -> bytes:
    data = text.encode()
    return struct.pack(">H", len(data)) + data


def _packet(head: int, *pieces: "bytes | memoryview") -> bytearray:
    length = sum([len(piece) for piece in pieces])
    start = bytearray((head,))
    left = length
    while True:
        digit, left = left & 127, left >> 7
        start.append(digit | 128 if left else digit)
        if not left:
            break
    # one piece of memory for all of it, however large
    packet = bytearray(len(start) + length)
    at = 0
    for piece in (start,) + pieces:  # noqa: RUF005 - MicroPython unpacks no tuple there
        packet[at : at + len(piece)] = piece
        at += len(piece)
    return packet


def publish_packet(
    topic: str, payload: "bytes | memoryview", packet_id: int, retain: bool = False
) -> bytearray:
    """A PUBLISH; QoS 1 with a packet id, QoS 0 where that is 0."""
    head = _PUBLISH | (2 if packet_id else 0) | (1 if retain else 0)
    return _packet(head, _text(topic), struct.pack(">H", packet_id) if packet_id else b"", payload)


class Client:
    """One connection to a broker.

    ``dial()`` opens the stream; ``uptime_ms()`` counts milliseconds and does not wrap. ``on_message(topic, payload)``
    is called for every message, ``notify()`` after every packet and when the connection is lost; neither may raise.
    """

    def __init__(
        self,
        dial: "Callable[[], Awaitable[Stream]]",
        client_id: str,
        uptime_ms: "Callable[[], int]",
        keepalive_s: int = 300,
    ) -> None:
        self.on_message: "Callable[[str, bytes], None]" = lambda topic, payload: None
        self.notify: "Callable[[], None]" = lambda: None
        self._dial = dial
        self._client_id = client_id
        self._uptime_ms = uptime_ms
        self._keepalive_s = keepalive_s
        self._stream: "Stream | None" = None
        self._reader: "asyncio.Task[None] | None" = None
        self._writing = asyncio.Lock()
        self._heard = asyncio.Event()
        self._problem: Exception | None = None
        self._connected: int | None = None  # the CONNACK's code
        self._granted: dict[int, int] = {}  # packet id of a SUBSCRIBE: granted QoS
        self._due: dict[int, int] = {}  # packet id whose answer is due: since when
        self._last_id = 0
        self._written_ms = 0

    async def connect(self, will: "tuple[str, bytes] | None" = None) -> None:
        """Dial, and connect with a retained will (topic, payload) at QoS 0. Raises OSError."""
        self._stream = await self._dial()
        flags = 2  # clean session
        body = _text(self._client_id)
        if will:
            flags |= 4 | 32
            body += _text(will[0]) + struct.pack(">H", len(will[1])) + will[1]
        await self._write(
            _packet(_CONNECT, _text("MQTT") + struct.pack(">BBH", 4, flags, self._keepalive_s) + body)
        )
        # only now: a TLS stream does its handshake in the first write, and reads for it
        self._reader = asyncio.create_task(self._read_for_ever(self._stream))
        await self._until(lambda: self._connected is not None, "CONNACK")
        code = self._connected or 0
        if code:
            raise Refused("the broker refused the connection: %s" % (_REFUSALS[code] if code < 6 else code))

    async def subscribe(self, topic: str) -> None:
        """Subscribe at QoS 0 and wait for the broker's word. Raises OSError."""
        packet_id = self._expect()
        await self._write(_packet(_SUBSCRIBE, struct.pack(">H", packet_id) + _text(topic) + b"\x00"))
        await self._until(lambda: packet_id in self._granted, "SUBACK")
        if self._granted.pop(packet_id) & 0x80:
            raise Refused("the broker refused the subscription to %s" % topic)

    async def publish(
        self, topic: str, payload: "bytes | memoryview", qos: int, retain: bool = False
    ) -> None:
        """Publish; does not wait for the PUBACK, which :meth:`waiting` tells. Raises OSError."""
        packet_id = self._expect() if qos else 0
        await self._write(publish_packet(topic, payload, packet_id, retain))

    async def keep_alive(self) -> None:
        """Ping if nothing was written for the keepalive time. Raises OSError."""
        if (
            self._uptime_ms() - self._written_ms >= self._keepalive_s * 1000
            and _PINGRESP_DUE not in self._due
        ):
            self._due[_PINGRESP_DUE] = self._uptime_ms()
            await self._write(_packet(_PING, b""))

    def waiting(self) -> bool:
        """Whether an answer of the broker is due."""
        return bool(self._due)

    def due_ms(self) -> int:
        """Milliseconds until :meth:`check` or :meth:`keep_alive` has something to do."""
        due = self._written_ms + self._keepalive_s * 1000
        if self._due:
            due = min(self._due.values()) + ANSWER_MS
        return max(0, due - self._uptime_ms())

    def check(self) -> None:
        """Raises OSError when the connection is lost, or an answer has not come in time."""
        if self._problem is not None:
            raise OSError("connection lost: %r" % self._problem)
        if self._due and self._uptime_ms() - min(self._due.values()) >= ANSWER_MS:
            raise OSError("the broker has not answered for %d s" % (ANSWER_MS // 1000))

    def close(self) -> None:
        """End the connection, without farewell: the will tells that the tag is gone. May be called at any time."""
        # the reader first: it must not wait for a socket that is closed
        if self._reader is not None:
            self._reader.cancel()
            self._reader = None
        if self._stream is not None:
            self._stream.close()
            self._stream = None
        if self._problem is None:
            self._problem = OSError("closed")

    def _expect(self) -> int:
        while True:
            self._last_id = self._last_id % 65535 + 1
            if self._last_id not in self._due:
                self._due[self._last_id] = self._uptime_ms()
                return self._last_id

    async def _write(self, packet: bytearray) -> None:
        self.check()
        self._written_ms = self._uptime_ms()
        # a peer that stops reading must not hold the tag for ever
        await asyncio.wait_for(self._write_in_turn(packet), ANSWER_MS // 1000)

    async def _write_in_turn(self, packet: bytearray) -> None:
        async with self._writing:
            if self._stream is None:
                raise OSError("closed")
            await self._stream.write(packet)

    async def _until(self, done: "Callable[[], bool]", what: str) -> None:
        deadline = self._uptime_ms() + ANSWER_MS
        while not done():
            self.check()
            left_ms = deadline - self._uptime_ms()
            if left_ms <= 0:
                raise OSError("no %s within %d s" % (what, ANSWER_MS // 1000))
            self._heard.clear()
            try:
                await asyncio.wait_for(self._heard.wait(), (left_ms + 999) // 1000)
            except asyncio.TimeoutError:
                pass

    async def _read_for_ever(self, stream: "Stream") -> None:
        try:
            while True:
                await self._read_packet(stream)
                self._heard.set()
                self.notify()
        except (OSError, EOFError, MemoryError) as problem:
            self._problem = problem
            self._heard.set()
            self.notify()

    async def _read_packet(self, stream: "Stream") -> None:
        head = (await stream.read(1))[0]
        length = shift = 0
        while True:
            digit = (await stream.read(1))[0]
            length |= (digit & 127) << shift
            shift += 7
            if digit < 128:
                break
            if shift == 28:
                raise Refused("a packet length of more than 4 bytes")
        if length > MOST_BYTES:
            # nothing of ours is that large: let it pass without making room for it
            count("packets_too_large")
            while length:
                length -= len(await stream.read(min(length, 256)))
            return
        await self._packet(head, await stream.read(length) if length else b"")

    async def _packet(self, head: int, body: bytes) -> None:
        kind = head >> 4
        if kind == _PUBLISH_TYPE:
            await self._incoming(head, body)
        elif kind == _PINGRESP_TYPE:
            self._due.pop(_PINGRESP_DUE, None)
        elif len(body) < 2:
            raise Refused("a packet of type %d with %d bytes" % (kind, len(body)))
        elif kind == _CONNACK_TYPE:
            self._connected = body[1]
        elif kind in (_PUBACK_TYPE, _SUBACK_TYPE):
            packet_id = body[0] << 8 | body[1]
            self._due.pop(packet_id, None)
            if kind == _SUBACK_TYPE:
                self._granted[packet_id] = body[2] if len(body) > 2 else 0x80
        else:
            raise Refused("a packet of type %d" % kind)

    async def _incoming(self, head: int, body: bytes) -> None:
        qos = head >> 1 & 3
        start = 2 + (body[0] << 8 | body[1] if len(body) > 1 else 0)
        end = start + (2 if qos else 0)
        if qos > 1 or len(body) < end or start == 2:
            raise Refused("a PUBLISH that was not asked for")
        try:
            topic = body[2:start].decode()
        except UnicodeError:
            raise Refused("a topic that is not UTF-8") from None
        self.on_message(topic, body[end:])
        if qos:
            await self._write(_packet(_PUBACK, body[start:end]))
