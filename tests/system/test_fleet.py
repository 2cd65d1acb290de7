"""Load of a fleet: real broker, real gateway, messages sealed before, nothing lost."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from core import envelope, wire
from gateway import topics
from gateway.settings import Settings
from gateway.store import Store, envelopes
from sim import fleet
from sim.fleet_messages import POSITIONS, device_name, key_of, messages
from sim.publisher import Publisher, PublisherError
from tests.sim.stand_in import StandIn
from tests.system.brokers import behind
from tests.system.test_replay import run

SECRET = b"secret"
NOON_MS = 1_793_620_800_000


def test_messages_of_a_fleet_are_authentic_and_number_each_devices_positions_without_a_hole() -> None:
    ring = messages(SECRET, 40, 100, NOON_MS, 7, lambda done: None)
    assert len(ring) == 100
    assert ring == messages(SECRET, 40, 100, NOON_MS, 7, lambda done: None)
    last: dict[str, int] = {}
    for message in ring:
        topic = message.topic.decode()
        assert topics.speaker(topic) == message.device
        sealed = envelope.parse(message.data)
        assert envelope.authentic(sealed, key_of(SECRET, message.device), topic)
        up = wire.decode_up(sealed.payload)
        (block,) = up.blocks
        assert (up.epoch, block.first, block.count) == (1, last.get(message.device, 0) + 1, POSITIONS)
        assert block.last == message.last
        t_ms = block.t_ms()
        assert (t_ms[1:] - t_ms[:-1] == 60_000).all()
        assert t_ms[-1] <= NOON_MS
        last[message.device] = message.last
    # twenty have had a third turn
    assert sorted(last.values()) == [2 * POSITIONS] * 20 + [3 * POSITIONS] * 20


@pytest.mark.long
def test_three_thousand_wearers_are_sent_acknowledged_and_committed_to_the_last_reading(
    tmp_path: Path, which_at_length: str
) -> None:
    with behind(which_at_length, tmp_path, partition_senders=fleet.SENDERS):
        report = fleet.run(tmp_path, 3000, 10, rate=400, ordered=50)
    assert (report.sent, report.acknowledged, report.committed) == (4000, 4000, 4000)
    assert report.readings_in_store == 4000 * POSITIONS
    assert report.quarantined == 0
    assert report.alerts > 0
    assert 0 < report.acknowledged_p50_ms <= report.acknowledged_p99_ms
    assert 0 < report.committed_p50_ms <= report.committed_p99_ms
    store = Store.open(Settings.load(tmp_path).store_path)
    with store.read() as connection:
        for number in (0, 999, 1000, 2999):
            (parts,) = envelopes.ranges(connection, device_name(number)).values()
            assert [(part.first, part.last) for part in parts] == [
                (1, POSITIONS * (2 if number < 1000 else 1))
            ]
    store.close()


def test_the_command_prints_one_object(tmp_path: Path) -> None:
    done = run("sim", "fleet", "--wearers", 600, "--for", 3, "--rate", 200, "--json")
    report = json.loads(done.stdout)
    assert (report["wearers"], report["connections"], report["sent"], report["committed"]) == (
        600,
        64,
        600,
        600,
    )
    done = run("sim", "fleet", "--wearers", 1000, "--for", 1000, "--rate", 100_000, code=1)
    assert "shorter time" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_broker_that_ends_is_told_and_not_waited_for(tmp_path: Path) -> None:
    async def talk(gateway: StandIn) -> None:
        publisher = Publisher(fleet.SENDERS[0], lambda took_s: None, lambda topic, data: None)
        tls = fleet.identity(gateway.authority, tmp_path / "fleet", fleet.SENDERS[0])
        place = gateway.address
        await publisher.connect(
            place.host, place.port, tls, gateway.settings.server_names[0], "em/v1/00/+/down"
        )
        gateway.stop()
        try:
            while True:
                await asyncio.sleep(0.01)
                publisher.check()
        finally:
            await publisher.close()

    gateway = StandIn(tmp_path / "gateway")
    gateway.start()
    with pytest.raises(PublisherError, match="closed the connection"):
        asyncio.run(talk(gateway))
