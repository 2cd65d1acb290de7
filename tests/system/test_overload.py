"""More than the store can take: memory stays bounded, nothing is dropped, and everything is committed once."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
import time
from pathlib import Path

from gateway.authority import Authority
from gateway.process import GatewayProcess
from gateway.settings import Settings
from gateway.store import Store, envelopes
from sim import fleet
from sim.fleet_messages import POSITIONS, device_name, messages
from tests.system.brokers import behind

SECRET = b"flood"
WEARERS = 400
MESSAGES = 12_000
QUEUE = 512


def resident_bytes(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096


def test_a_flood_onto_a_store_that_can_not_be_written_waits_outside_and_is_then_committed_once(
    tmp_path: Path, which_at_length: str
) -> None:
    with behind(which_at_length, tmp_path, partition_senders=fleet.SENDERS, queue_size=QUEUE):
        flooded(tmp_path)


def flooded(folder: Path) -> None:
    settings = Settings.load(
        folder,
        web=False,
        mqtt_port=0,
        queue_size=QUEUE,
        busy_timeout_ms=200,
        partition_senders=fleet.SENDERS,
    )
    authority = Authority.open(settings.authority_dir, settings.server_names)
    fleet.register(settings, SECRET, WEARERS, 0)
    ring = messages(SECRET, WEARERS, MESSAGES, round(time.time() * 1000), 3, lambda done: None)
    with GatewayProcess(settings) as gateway:
        pid = gateway.ingest_pid
        held = sqlite3.connect(settings.store_path, isolation_level=None, check_same_thread=False)
        held.execute("BEGIN IMMEDIATE")
        flood = fleet.Fleet(ring, rate=1e9)
        tls = fleet.identities(authority, folder / "fleet")
        sending = threading.Thread(target=lambda: asyncio.run(flood.drive(settings, tls)))
        began = resident_bytes(pid)
        sending.start()
        deadline = time.monotonic() + 60
        while flood.sent < MESSAGES and time.monotonic() < deadline:
            time.sleep(0.05)
        assert flood.sent == MESSAGES
        status = gateway.status()
        for _ in range(20):
            time.sleep(0.1)
            status = gateway.status()
            assert status["queue"] <= QUEUE
        assert "locked" in status["trouble"]
        assert (status["committed"], flood.committed_s) == (0, []), "nothing is said before it is on disk"
        # some 250 bytes and their objects of each message that waits here; 12,000 of them would be over 10 MB
        assert resident_bytes(pid) - began < 8 * 1024 * 1024
        held.execute("ROLLBACK")
        held.close()
        sending.join(120)
        status = gateway.status()
    assert len(flood.committed_s) == MESSAGES
    assert (status["committed"], status["quarantined"]) == (MESSAGES * POSITIONS, 0)
    store = Store.open(settings.store_path)
    with store.read() as connection:
        assert envelopes.count(connection) == MESSAGES, "none twice"
        for number in range(WEARERS):
            (parts,) = envelopes.ranges(connection, device_name(number)).values()
            assert [(part.first, part.last) for part in parts] == [(1, MESSAGES // WEARERS * POSITIONS)]
    store.close()
