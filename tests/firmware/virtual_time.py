"""Minutes of a link in milliseconds: an event loop whose clock jumps, a board on that clock, a broker on paper.

The paper broker is there for what a real one can not be asked to do: to answer at an exact second, or not at all. That
the client speaks MQTT is shown with the real one (``test_mqtt_on_the_board.py``, ``test_link_on_the_board.py``).
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from typing import Any


class _Jump(selectors.DefaultSelector):
    """Waits by moving the clock on."""

    loop: VirtualLoop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise AssertionError("nothing will ever happen again")
        self.loop.now_s += max(timeout, 0)
        return super().select(0)


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop that starts at 1,000 s and never waits."""

    def __init__(self) -> None:
        self.now_s = 1000.0
        selector = _Jump()
        selector.loop = self
        super().__init__(selector)

    def time(self) -> float:
        return self.now_s


def run(main: Coroutine[Any, Any, None]) -> None:
    """Run a coroutine in virtual time."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(main)


def uptime_ms() -> int:
    """The loop's clock in milliseconds."""
    return round(asyncio.get_running_loop().time() * 1000)


class Board:
    """A board on the loop's clock. ``awake`` tells (second, on) of every change."""

    def __init__(self) -> None:
        self.awake: list[tuple[float, bool]] = []
        self.dice = 255

    def ticks_ms(self) -> int:
        return uptime_ms() % (1 << 30)

    def rtc(self) -> tuple[int, ...]:
        return (2026, 1, 5, 0, 12, 0, 0, 0)

    def set_rtc(self, when: tuple[int, ...]) -> None:
        raise AssertionError("nobody sets the clock here")

    def random(self, n: int) -> bytes:
        return bytes([self.dice]) * n

    async def network_up(self) -> None:
        await asyncio.sleep(2)

    def stay_awake(self, on: bool) -> None:
        self.awake.append((asyncio.get_running_loop().time() - 1000, on))


class PaperStream:
    """One connection to the paper broker."""

    def __init__(self, broker: PaperBroker) -> None:
        self._broker = broker
        self._inbox = bytearray()
        self._changed = asyncio.Event()
        self._partial = bytearray()
        self.closed = False
        self.blocked = False

    async def read(self, n: int) -> bytes:
        while len(self._inbox) < n:
            if self.closed:
                raise EOFError
            self._changed.clear()
            await self._changed.wait()
        data = bytes(self._inbox[:n])
        del self._inbox[:n]
        return data

    async def write(self, data: bytes) -> None:
        if self.closed:
            raise OSError(32, "broken pipe")
        while self.blocked:
            await asyncio.sleep(1)
        self._broker.take(self, data)

    def close(self) -> None:
        self.closed = True
        self._changed.set()

    def send(self, data: bytes) -> None:
        """Bytes from the broker to the tag."""
        self._inbox += data
        self._changed.set()


class PaperBroker:
    """Answers each packet after 0.1 s, unless its kind is in ``mute``; ``published`` tells (second, topic, payload)."""

    def __init__(self) -> None:
        self.mute: set[int] = set()
        self.down = False
        self.dials: list[float] = []
        self.streams: list[PaperStream] = []
        self.published: list[tuple[float, str, bytes]] = []
        self.packets: list[tuple[int, bytes]] = []
        self.gateway: Callable[[str, bytes], tuple[str, bytes] | None] = lambda topic, payload: None
        self.connack = b"\x20\x02\x00\x00"
        self.granted = 0

    async def dial(self) -> PaperStream:
        now = asyncio.get_running_loop().time() - 1000
        self.dials.append(now)
        if self.down:
            raise OSError(111, "connection refused")
        await asyncio.sleep(0.5)
        self.streams.append(PaperStream(self))
        return self.streams[-1]

    def publish(self, topic: str, payload: bytes, packet_id: int = 0) -> None:
        """A message to the tag, at QoS 1 with a packet id."""
        body = len(topic).to_bytes(2, "big") + topic.encode()
        body += packet_id.to_bytes(2, "big") * bool(packet_id) + payload
        length = bytes([len(body)]) if len(body) < 128 else bytes([len(body) & 127 | 128, len(body) >> 7])
        self.streams[-1].send(bytes([0x32 if packet_id else 0x30]) + length + body)

    def take(self, stream: PaperStream, packet: bytes) -> None:
        """A whole packet of the client, which writes each in one piece."""
        kind, at = packet[0] >> 4, 2 if packet[1] < 128 else 3
        body = packet[at:]
        self.packets.append((packet[0], body))
        answer = b""
        if kind == 1:
            answer = self.connack
        elif kind == 8:
            answer = b"\x90\x03" + body[:2] + bytes([self.granted])
        elif kind == 12:
            answer = b"\xd0\x00"
        elif kind == 3:
            size = int.from_bytes(body[:2], "big")
            topic, rest = body[2 : 2 + size].decode(), body[2 + size :]
            payload = rest
            if packet[0] & 6:
                answer, payload = b"\x40\x02" + rest[:2], rest[2:]
            self.published.append((asyncio.get_running_loop().time() - 1000, topic, payload))
            heard = self.gateway(topic, payload)
            if heard:
                asyncio.get_running_loop().call_later(0.1, self.publish, *heard)
        if answer and kind not in self.mute:
            asyncio.get_running_loop().call_later(0.1, stream.send, answer)
