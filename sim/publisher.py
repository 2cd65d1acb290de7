"""The least of MQTT 3.1.1 that a fleet needs: QoS 1 out, QoS 0 in, over one TLS connection. Quick, and nothing else."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import struct
import time
from collections.abc import Callable

_CONNACK, _PUBLISH, _PUBACK, _SUBACK, _PINGRESP = 2, 3, 4, 9, 13
_KEEPALIVE_S = 60
_MOST_IN_FLIGHT = 4096
"""Unacknowledged on one connection; packet ids end at 65,535."""


class PublisherError(RuntimeError):
    """The broker does not do as it should; the text says what it did."""


class Publisher:
    """One connection. ``acknowledged(t_s, sent_s)`` hears of each PUBACK, ``heard(topic, data)`` of each message."""

    def __init__(
        self,
        name: str,
        acknowledged: Callable[[float], None],
        heard: Callable[[bytes, bytes], None],
    ) -> None:
        self._name = name
        self._acknowledged = acknowledged
        self._heard = heard
        self._in_flight: dict[int, float] = {}
        self._next = 1
        self._reading: asyncio.Task[None] | None = None
        self._writer: asyncio.StreamWriter | None = None

    async def connect(
        self, host: str, port: int, tls: ssl.SSLContext | None, server_name: str, topics: str
    ) -> None:
        """Connect, and listen to ``topics``. Raises PublisherError or OSError."""
        self._reader, writer = await asyncio.open_connection(
            host, port, ssl=tls, server_hostname=server_name if tls else None
        )
        self._writer = writer
        name = self._name.encode()
        body = b"\x00\x04MQTT\x04\x02" + struct.pack(">HH", _KEEPALIVE_S, len(name)) + name
        writer.write(b"\x10" + _length(len(body)) + body)
        kind, answer = await self._packet()
        if kind >> 4 != _CONNACK or answer[1:2] != b"\x00":
            raise PublisherError(f"{self._name}: the broker refuses the connection: {answer.hex()}")
        wanted = topics.encode()
        body = struct.pack(">HH", 0xFFFF, len(wanted)) + wanted + b"\x00"
        writer.write(b"\x82" + _length(len(body)) + body)
        kind, answer = await self._packet()
        if kind >> 4 != _SUBACK or answer[2:3] != b"\x00":
            raise PublisherError(f"{self._name}: the broker refuses the subscription: {answer.hex()}")
        self._reading = asyncio.create_task(self._read())

    @property
    def full(self) -> bool:
        """Whether the broker owes too many acknowledgements already."""
        return len(self._in_flight) >= _MOST_IN_FLIGHT

    @property
    def in_flight(self) -> int:
        """How many acknowledgements the broker owes."""
        return len(self._in_flight)

    def publish(self, topic: bytes, data: bytes) -> float:
        """Send at QoS 1; returns when (monotonic seconds)."""
        assert self._writer is not None, "connect first"
        while self._next in self._in_flight:
            self._next = self._next % 65_534 + 1
        packet_id = self._next
        self._next = packet_id % 65_534 + 1
        length = 4 + len(topic) + len(data)
        head = b"\x32" + _length(length) + struct.pack(">H", len(topic)) + topic
        self._writer.write(head + struct.pack(">H", packet_id) + data)
        self._in_flight[packet_id] = now = time.monotonic()
        return now

    async def drained(self) -> None:
        """Wait until what was published is on its way."""
        assert self._writer is not None, "connect first"
        await self._writer.drain()

    async def close(self) -> None:
        """Say goodbye, if anybody listens, and let go of the connection."""
        if self._reading is not None:
            self._reading.cancel()
            with contextlib.suppress(asyncio.CancelledError, PublisherError, OSError):
                await self._reading
        if self._writer is not None:
            with contextlib.suppress(OSError):
                self._writer.write(b"\xe0\x00")
                self._writer.close()
                await self._writer.wait_closed()

    def check(self) -> None:
        """Raises what ended the connection, if something has."""
        if self._reading is not None and self._reading.done():
            self._reading.result()

    async def _read(self) -> None:
        assert self._writer is not None
        pinged = time.monotonic()
        while True:
            kind, body = await self._packet()
            now = time.monotonic()
            if kind >> 4 == _PUBACK:
                self._acknowledged(now - self._in_flight.pop(struct.unpack(">H", body)[0]))
            elif kind >> 4 == _PUBLISH:
                length = struct.unpack_from(">H", body)[0]
                self._heard(body[2 : 2 + length], body[2 + length :])
            elif kind >> 4 != _PINGRESP:
                raise PublisherError(f"{self._name}: packet {kind:#04x} was not asked for")
            if now - pinged > _KEEPALIVE_S / 3:
                pinged = now
                self._writer.write(b"\xc0\x00")

    async def _packet(self) -> tuple[int, bytes]:
        try:
            kind = (await self._reader.readexactly(1))[0]
            length = shift = 0
            while True:
                byte = (await self._reader.readexactly(1))[0]
                length |= (byte & 0x7F) << shift
                shift += 7
                if not byte & 0x80:
                    break
            return kind, await self._reader.readexactly(length)
        except asyncio.IncompleteReadError:
            raise PublisherError(f"{self._name}: the broker has closed the connection") from None


def _length(value: int) -> bytes:
    found = bytearray()
    while True:
        value, low = value >> 7, value & 0x7F
        found.append(low | (0x80 if value else 0))
        if not value:
            return bytes(found)
