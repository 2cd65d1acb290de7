"""Where the fuzzer begins: honest messages of every kind, so that it need not find out the protocol first."""

from __future__ import annotations

from collections.abc import Iterator

import cbor2

from core import envelope, wire
from core.readings import WIRE, Kind
from gateway.frames import publish
from tests.fuzz.targets import DEVICE, DOWN, KEY, UP
from tests.gateway.stand_in import START_S, answered, block, boot, gap, link_tamper, positions, strange

EPOCH = 77


def payloads_up() -> Iterator[bytes]:
    """Payloads of ``up``: every kind of reading, a hello, the time asked for."""
    blocks = [positions(1, 3), gap(4, 1, 2), link_tamper(5, 9), answered(6, 1, 2), boot(7), strange(8, 2)]
    yield wire.encode_up(wire.Up(EPOCH, 1, tuple(blocks)))
    yield from (wire.encode_up(wire.Up(EPOCH, one.first, (one,))) for one in blocks)
    yield from (
        wire.encode_up(wire.Up(EPOCH, 3, (block(Kind(kind), 3, [START_S * 1000, START_S * 1000 + 700]),)))
        for kind in WIRE
    )
    yield wire.encode_up(wire.Up(EPOCH, 9, ()))
    yield wire.encode_up(wire.Up(EPOCH, 9, (), 2**32 - 1))


def payloads_down() -> Iterator[bytes]:
    """Payloads of ``down``: a commit, and every command."""
    yield wire.encode_down(wire.Down(1, (EPOCH, 5)))
    settings = {1: 60, 2: 120, 3: None, 4: [1, 2, 5, 9], 5: [515_000_000, -1_000_000, 800]}
    for name, arguments in (
        ("settings", [settings]),
        ("pursuit", [10]),
        ("locate", []),
        ("vibrate", [1, 2]),
        ("time", [17_936_000_000, 5]),
        ("baseline", []),
        ("hear", [7, 8, bytes(32)]),
        ("unhear", [7]),
    ):
        yield wire.encode_down(wire.Down(2, (EPOCH, 5), wire.Command(1, name, arguments)))


def seeds() -> Iterator[bytes]:
    """All of them, as payloads, envelopes, packets and lines."""
    for payload in payloads_up():
        yield payload
        yield envelope.seal(KEY, DEVICE, UP, payload)
        yield publish(UP.encode(), payload) + b"\x40\x02\x00\x01"
    for payload in payloads_down():
        yield payload
        yield envelope.seal(KEY, DEVICE, DOWN, payload)
    yield cbor2.dumps({1: [1, -1, b"x", "y", None, True], -5: {2: 2**32}}, canonical=True)
    yield b'{"do": "identify"}\n\n{"do": "counters"}\r\n' + b"x" * 1100 + b"\n"
