"""The MQTT client where a broker is slow, silent, wrong or hostile; in virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mqtt import MOST_BYTES, Client, publish_packet

from tests.firmware.virtual_time import PaperBroker, run, uptime_ms

Scenario = Callable[[Client, PaperBroker], Coroutine[Any, Any, None]]


def played(scenario: Scenario, broker: PaperBroker | None = None, keepalive_s: int = 300) -> PaperBroker:
    """Play a scenario with a client and a broker, and leave nothing behind."""
    stage = broker or PaperBroker()

    async def main() -> None:
        client = Client(stage.dial, "gps00001", uptime_ms, keepalive_s)
        try:
            await scenario(client, stage)
        finally:
            client.close()

    run(main())
    return stage


def test_connect_carries_a_clean_session_and_a_retained_will() -> None:
    async def scenario(client: Client, broker: PaperBroker) -> None:
        await client.connect(("a/state", b"offline"))
        assert not client.waiting()

    head, body = played(scenario).packets[0]
    assert head == 0x10
    assert (
        body
        == b"\x00\x04MQTT\x04\x26\x01\x2c" + b"\x00\x08gps00001" + b"\x00\x07a/state" + b"\x00\x07offline"
    )


@pytest.mark.parametrize("code", [1, 4, 5, 200])
def test_a_refused_connection_is_told(code: int) -> None:
    broker = PaperBroker()
    broker.connack = b"\x20\x02\x00" + bytes([code])

    async def scenario(client: Client, broker: PaperBroker) -> None:
        with pytest.raises(OSError, match="refused the connection"):
            await client.connect()

    played(scenario, broker)


def test_a_refused_subscription_is_told() -> None:
    broker = PaperBroker()
    broker.granted = 0x80

    async def scenario(client: Client, broker: PaperBroker) -> None:
        await client.connect()
        with pytest.raises(OSError, match="refused the subscription to a/down"):
            await client.subscribe("a/down")

    played(scenario, broker)


@pytest.mark.parametrize(("mute", "what"), [(1, "CONNACK"), (8, "SUBACK|has not answered")])
def test_a_broker_that_does_not_answer_is_left_after_30_s(mute: int, what: str) -> None:
    broker = PaperBroker()
    broker.mute = {mute}

    async def scenario(client: Client, broker: PaperBroker) -> None:
        started = uptime_ms()
        with pytest.raises(OSError, match=what):
            await client.connect()
            await client.subscribe("a/down")
        assert 30_000 <= uptime_ms() - started <= 32_000

    played(scenario, broker)


def test_a_missing_puback_is_noticed_after_30_s_and_no_earlier() -> None:
    async def scenario(client: Client, broker: PaperBroker) -> None:
        await client.connect()
        await client.publish("a/up", b"x", 1)
        await asyncio.sleep(1)
        assert not client.waiting()
        broker.mute = {3}
        await client.publish("a/up", b"x", 1)
        assert client.waiting()
        await asyncio.sleep(29.9)
        client.check()
        assert client.due_ms() <= 100
        await asyncio.sleep(0.2)
        with pytest.raises(OSError, match="has not answered for 30 s"):
            client.check()

    played(scenario)


def test_it_pings_only_when_nothing_was_said_for_the_keepalive_time() -> None:
    async def scenario(client: Client, broker: PaperBroker) -> None:
        await client.connect()
        for second in range(250):
            await client.keep_alive()
            await asyncio.sleep(1)
            if second == 100:
                await client.publish("a/up", b"x", 0)
        # at 60 s, then 60 and 120 s after the message
        assert [head for head, _ in broker.packets].count(0xC0) == 3
        assert not client.waiting()

    played(scenario, keepalive_s=60)


def test_messages_of_both_kinds_are_heard_and_acknowledged() -> None:
    got = []

    async def scenario(client: Client, broker: PaperBroker) -> None:
        client.on_message = lambda topic, payload: got.append((topic, payload))
        await client.connect()
        broker.publish("a/down", b"once")
        broker.publish("a/down", b"", 7)
        broker.publish("a/down", bytes(1000), 65535)
        await asyncio.sleep(1)

    broker = played(scenario)
    assert got == [("a/down", b"once"), ("a/down", b""), ("a/down", bytes(1000))]
    assert [body for head, body in broker.packets if head == 0x40] == [b"\x00\x07", b"\xff\xff"]


def test_a_packet_larger_than_is_read_passes_without_harm() -> None:
    got = []

    async def scenario(client: Client, broker: PaperBroker) -> None:
        client.on_message = lambda topic, payload: got.append(payload)
        await client.connect()
        broker.publish("a/down", bytes(MOST_BYTES))
        broker.publish("a/down", b"after")
        await asyncio.sleep(1)
        client.check()

    played(scenario)
    assert got == [b"after"]


def test_a_peer_that_stops_reading_does_not_hold_the_tag_for_ever() -> None:
    async def scenario(client: Client, broker: PaperBroker) -> None:
        await client.connect()
        broker.streams[0].blocked = True
        started = uptime_ms()
        with pytest.raises(OSError):
            await client.publish("a/up", b"x", 0)
        assert uptime_ms() - started == 30_000

    played(scenario)


def test_the_end_of_the_connection_is_told_to_whoever_waits() -> None:
    async def scenario(client: Client, broker: PaperBroker) -> None:
        notified = []
        client.notify = lambda: notified.append(uptime_ms())
        broker.mute = {1}
        asyncio.get_running_loop().call_later(5, lambda: broker.streams[0].close())
        started = uptime_ms()
        with pytest.raises(OSError, match="connection lost: EOFError"):
            await client.connect()
        assert uptime_ms() - started <= 5_000
        assert notified

    played(scenario)


def test_closing_at_any_moment_ends_whoever_waits_with_an_error() -> None:
    for tenths in range(1, 14):

        async def scenario(client: Client, broker: PaperBroker, tenths: int = tenths) -> None:
            async def talk() -> None:
                await client.connect()
                await client.subscribe("a/down")
                while True:
                    client.check()
                    await client.publish("a/up", b"x", 1)
                    await asyncio.sleep(0.05)

            talking = asyncio.create_task(talk())
            await asyncio.sleep(tenths / 10)
            client.close()
            with pytest.raises(OSError):
                await talking

        played(scenario)


@given(st.binary(max_size=60))
@settings(max_examples=150, deadline=None)
def test_noise_from_a_broker_ends_the_connection_or_is_waited_out(noise: bytes) -> None:
    async def scenario(client: Client, broker: PaperBroker) -> None:
        await client.connect()
        broker.streams[0].send(noise)
        broker.streams[0].close()
        await asyncio.sleep(1)
        with pytest.raises(OSError, match="connection lost"):
            client.check()

    played(scenario)


def test_packet_ids_go_round_and_spare_those_that_are_due() -> None:
    async def scenario(client: Client, broker: PaperBroker) -> None:
        await client.connect()
        broker.mute = {3}
        await client.publish("a/up", b"first", 1)
        client._last_id = 65534
        await client.publish("a/up", b"second", 1)
        await client.publish("a/up", b"third", 1)

    ids = [body[6:8] for head, body in played(scenario).packets if head == 0x32]
    assert ids == [b"\x00\x01", b"\xff\xff", b"\x00\x02"]


@given(st.integers(0, 20000))
def test_the_length_of_a_packet_is_written_as_mqtt_says(size: int) -> None:
    packet = publish_packet("t", bytes(size), 1)
    length, at, shift = 0, 1, 0
    while True:
        length |= (packet[at] & 127) << shift
        shift, at = shift + 7, at + 1
        if packet[at - 1] < 128:
            break
    assert length == len(packet) - at
