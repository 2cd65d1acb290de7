"""What a committer remembers of each device is bounded, and what it has forgotten it finds again in the store."""

from __future__ import annotations

import random
from pathlib import Path

from core import envelope, wire
from gateway import topics
from gateway.commit import Committer
from gateway.group import Received
from gateway.store import Store, devices, envelopes
from tests.gateway.stand_in import EPOCH, positions
from tests.gateway.vaults import VAULT, sealed

KEY = bytes(32)
DEVICES = [f"tag{number:04d}" for number in range(40)]


def message(device: str, first: int, epoch: int = EPOCH) -> Received:
    payload = wire.encode_up(wire.Up(epoch, 1, (positions(first, 5, lat=51.5, lon=-0.1),)))
    topic = topics.up(device)
    return Received(topic, envelope.seal(KEY, device, topic, payload), 1)


def committed(folder: Path, remembered: int) -> tuple[dict[str, int], object]:
    """Counters, and what is known of every device, after messages with holes, repeats and several journals."""
    store = Store.open(folder / "store.sqlite")
    with store.write() as connection:
        devices.add(connection, *(devices.Device(name, sealed(name, KEY), b"", 0, None) for name in DEVICES))
    committer = Committer(store, VAULT, quarantine_rows=10, quarantine_bytes=64, remembered=remembered)
    dice, counts = random.Random(7), dict[str, int]()
    for _ in range(60):
        some = dice.sample(DEVICES, 6)
        group = [message(one, 5 * dice.randrange(12) + 1, dice.choice([EPOCH, EPOCH + 1])) for one in some]
        found = committer.commit(group)
        for name, count in found.counts.items():
            counts[name] = counts.get(name, 0) + count
        kept = sum(
            1 + sum(1 + len(known.ranges) for known in journals.values())
            for journals in committer._known.values()
        )
        assert kept == committer._weight <= remembered
    with store.read() as connection:
        known = envelopes.ranges_of(connection, DEVICES)
    store.close()
    return counts, known


def test_one_that_remembers_next_to_nothing_decides_like_one_that_remembers_all(tmp_path: Path) -> None:
    for name in ("all", "few", "none"):
        (tmp_path / name).mkdir()
    everything = committed(tmp_path / "all", 10_000)
    assert everything[0]["duplicates"] > 0
    assert everything[0]["readings"] > 0
    assert committed(tmp_path / "few", 30) == everything
    assert committed(tmp_path / "none", 0) == everything
