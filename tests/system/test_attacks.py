"""Someone with a valid certificate, and everything they may say to a tag and in its name, through the whole chain."""

from __future__ import annotations

import queue
import random
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from core import envelope, wire
from gateway import broker, topics
from gateway.devices import Credentials
from gateway.store import envelopes
from sim.fleet import identity
from sim.gnss import GnssReceiver
from sim.itinerary import Itinerary, Place
from sim.rig import Rig
from tests.system.brokers import NATS, behind
from tests.system.flash import journal_of

START_MS = 1_793_600_000_000
MINUTE_MS = 60_000
MEBIBYTE = 1 << 20
MOST_AT_MOSQUITTO = 65_000
"""Who says more is cut off there (test_attacks_on_the_socket)."""
DEVICE = "gps00001"
MALLORY = "mallory-liar"
"""The rig's settings let this certificate say everything: what permissions keep out, keys must refuse as well."""


class Mallory:
    """A broker that lies, or somebody who owns it: who hears everything, and says what they like."""

    def __init__(self, rig: Rig) -> None:
        place = broker.address(rig.settings)
        self.heard: queue.Queue[tuple[str, bytes]] = queue.Queue()
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id=MALLORY)
        self._client.tls_set_context(identity(rig.authority, rig.settings.data_dir / MALLORY, MALLORY))
        self._client.on_message = lambda client, data, message: self.heard.put(
            (message.topic, bytes(message.payload))
        )
        self._client.connect(rig.settings.server_names[0], place.port)
        self._client.loop_start()
        self._client.subscribe("em/v1/#", 0)
        time.sleep(0.2)

    def say(self, where: str, data: bytes) -> None:
        """Publish, and wait until the broker has it."""
        self._client.publish(where, data, qos=1).wait_for_publish(10)

    def hear(self, leaf: str) -> bytes:
        """The next message that went by on a topic that ends so."""
        while True:
            where, data = self.heard.get(timeout=60)
            if where.endswith(leaf):
                return data

    def leave(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


class House:
    """A gateway and one tag at rest, with Mallory in the middle."""

    def __init__(self, rig: Rig) -> None:
        self.rig = rig
        way = Itinerary(START_MS, Place(52.96, -1.17)).stay(START_MS + 600 * MINUTE_MS)
        line = GnssReceiver(way, seed=3, interval_ms=10_000).sentences(START_MS, way.end_ms)
        self.tag = rig.enrol(DEVICE, START_MS, line, upload_s=30)
        self.mallory = Mallory(rig)
        self.credentials = Credentials.read(rig.settings.devices_dir / DEVICE)
        self.minutes = 0
        self.live(3)

    def live(self, minutes: int) -> dict[str, int]:
        """Let so many minutes pass; what the tag has counted since its boot."""
        for _ in range(minutes):
            self.minutes += 1
            self.rig.advance(START_MS + self.minutes * MINUTE_MS)
        return self.tag.counters()

    def down(self, data: bytes) -> None:
        """Say something to the tag, and give it the time to hear it."""
        self.mallory.say(topics.down(DEVICE), data)
        time.sleep(0.2)

    def commit(self, upto: int, *, key: bytes | None = None, epoch: int | None = None) -> bytes:
        """A commit as the gateway would seal it."""
        with self.rig.store.read() as connection:
            (known,) = envelopes.ranges(connection, DEVICE)
        payload = wire.encode_down(wire.Down(1, (known if epoch is None else epoch, upto)))
        return envelope.seal(key or self.credentials.key, DEVICE, topics.down(DEVICE), payload)

    def committed(self) -> int:
        return int(self.rig.gateway.status()["committed"])


@pytest.fixture(scope="module")
def house(which: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    folder = tmp_path_factory.mktemp("attacked")
    with (
        behind(which, folder, partition_senders=(MALLORY,)),
        Rig(folder, patience_s=1.0, senders=(MALLORY,)) as rig,
    ):
        house = House(rig)
        yield house
        house.mallory.leave()


def test_a_forged_commit_is_refused_by_the_tag_and_told_to_the_gateway(house: House) -> None:
    before = house.live(1)
    house.down(house.commit(10_000, key=bytes(32)))
    house.down(b"\x00" * 500)
    after = house.live(2)
    assert after["down_forged"] - before.get("down_forged", 0) == 2
    house.live(1)
    (alert,) = [alert for alert in house.rig.alerts() if alert["rule"] == "link_tamper"]
    assert alert["device"] == DEVICE


def test_a_commit_beyond_what_was_sent_is_refused_although_it_is_authentic(house: House) -> None:
    before = house.live(1)
    house.down(house.commit(10_000))
    after = house.live(1)
    assert after["commit_beyond_sent"] - before.get("commit_beyond_sent", 0) == 1


def test_a_commit_for_another_journal_or_another_tag_is_refused(house: House) -> None:
    before = house.live(1)
    house.down(house.commit(5, epoch=12345))
    other = envelope.seal(house.credentials.key, "gps00002", topics.down("gps00002"), b"\xa0")
    house.down(other)
    after = house.live(1)
    assert after["commit_foreign_epoch"] - before.get("commit_foreign_epoch", 0) == 1
    assert after["down_forged"] - before["down_forged"] == 1


def test_an_up_reflected_as_a_down_is_refused(house: House) -> None:
    before = house.live(1)
    house.down(house.mallory.hear("/up"))
    assert house.live(1)["down_forged"] - before["down_forged"] == 1


def test_a_true_commit_said_again_changes_nothing(house: House) -> None:
    before = house.live(1)
    again = house.mallory.hear("/down")
    for _ in range(3):
        house.down(again)
    after = house.live(1)
    assert after["down_forged"] == before["down_forged"]
    assert after["commit_beyond_sent"] == before["commit_beyond_sent"]


def test_what_a_tag_said_said_again_is_a_duplicate_and_changes_nothing(house: House) -> None:
    house.live(1)
    status, positions = house.rig.gateway.status(), house.rig.positions(DEVICE)
    while not house.mallory.heard.empty():
        where, said = house.mallory.heard.get()
        if where.endswith("/up"):
            house.mallory.say(topics.up(DEVICE), said)
            house.mallory.say(topics.up(DEVICE), said)
            break
    now = house.rig.gateway.status()
    deadline = time.monotonic() + 60
    while now["duplicates"] == status["duplicates"] and time.monotonic() < deadline:
        time.sleep(0.05)
        now = house.rig.gateway.status()
    assert now["duplicates"] > status["duplicates"]
    assert now["committed"] == status["committed"]
    assert now["conflicts"] == status["conflicts"] == 0
    assert house.rig.positions(DEVICE).seq.tolist() == positions.seq.tolist()


def noise(house: House, most: int) -> list[tuple[str, str, bytes]]:
    chance = random.Random(9)
    sealed = envelope.seal(bytes(32), DEVICE, topics.up(DEVICE), wire.encode_up(wire.Up(7, 1, ())))
    foreign = envelope.seal(house.credentials.key, "gps99999", topics.up("gps99999"), b"\xa0")
    return [
        ("a forged MAC", topics.up(DEVICE), sealed),
        ("a foreign device", topics.up("gps99999"), foreign),
        ("a truncated envelope", topics.up(DEVICE), sealed[:-7]),
        ("as much noise as gets through", topics.up(DEVICE), chance.randbytes(most)),
        ("nothing at all", topics.up(DEVICE), b""),
    ]


def test_noise_and_forgeries_are_put_aside_and_counted_while_the_tag_is_heard_on(
    house: House, which: str
) -> None:
    before: dict[str, Any] = house.rig.gateway.status()
    said = noise(house, MEBIBYTE if which == NATS else MOST_AT_MOSQUITTO)
    for _, where, data in said:
        house.mallory.say(where, data)
    house.live(3)
    after = house.rig.gateway.status()
    assert after["quarantined"] - before["quarantined"] == len(said)
    assert after["committed"] > before["committed"]
    assert after["connected"] is True


def test_after_all_that_every_reading_of_the_tag_is_there_once(house: House, tmp_path: Path) -> None:
    house.rig.drain()
    journal = journal_of(house.tag.folder / "flash.img", tmp_path / "copy")
    assert journal.base == journal.next
    assert house.committed() == journal.next - 1
    instants = house.rig.positions(DEVICE).t_ms
    assert len(set(instants.tolist())) == len(instants) >= house.minutes


def test_a_wrong_signature_at_a_locked_tags_console_is_told_to_the_gateway(
    tmp_path: Path, which: str
) -> None:
    with (
        behind(which, tmp_path, partition_senders=(MALLORY,)),
        Rig(tmp_path, patience_s=1.0, senders=(MALLORY,)) as rig,
    ):
        house = House(rig)
        house.mallory.leave()
        assert house.tag.console('{"do": "lock"}') == {"ok": True}
        assert "error" in house.tag.console("0" * 64 + '{"do": "reset", "force": true}')
        house.live(2)
        (alert,) = rig.alerts(DEVICE)
        assert alert["rule"] == "link_tamper"
        assert "console" in alert["sentence"]
