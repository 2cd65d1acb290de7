"""Whatever is killed, at whatever moment: no reading is lost, none is there twice, and the alerts are the same.

Each round is one person's evening through the real chain; once in it something is ended by SIGKILL at a random moment:
the ingest, the whole gateway, the broker (whose store is emptied at every start), or the tag. The round's seed is in
its name, so a failure can be played again: ``pytest tests/system/test_kill_nine.py -k 'round-7'``.
"""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from gateway.process import GatewayProcess
from gateway.sequences import How
from gateway.store import envelopes
from sim.bench.tag import BenchError
from sim.gnss import GnssReceiver
from sim.itinerary import Itinerary, Place
from sim.rig import Rig
from tests.community_order import community_order, every_day
from tests.system.flash import journal_of

HOME = Place(52.9630, -1.1710)
CORNERS = [HOME.offset(*corner) for corner in ((300, -150), (600, -150), (600, 150), (300, 150), (300, -150))]
ZONE = {"type": "Polygon", "coordinates": [[[round(p.lon, 6), round(p.lat, 6)] for p in CORNERS]]}
DAY_MS, MINUTE_MS = 86_400_000, 60_000
FIRST_EVENING = datetime(2026, 11, 2, 18, 50, tzinfo=ZoneInfo("Europe/London"))
LENGTH_MS = 50 * MINUTE_MS
VICTIMS = ("ingest", "gateway", "broker", "tag")


def evening(start_ms: int) -> Itinerary:
    """Home, to the zone before the curfew of 19:00, out of it during the curfew, home late."""
    way = Itinerary(start_ms, HOME).stay(start_ms + 4 * MINUTE_MS).walk(HOME.offset(450, 0))
    way.stay(way.end_ms + 9 * MINUTE_MS).walk(HOME.offset(900, 0)).stay(way.end_ms + 6 * MINUTE_MS)
    return way.walk(HOME).stay(start_ms + DAY_MS)


def order(name: str) -> dict[str, Any]:
    address = {"name": "primary", "latitude": HOME.lat, "longitude": HOME.lon, "radius_m": 30}
    return community_order(
        name,
        {"id": "zone", "type": "exclusion", "name": "Zone", "zone": ZONE},
        {"id": "curfew", "type": "curfew", "address": address, "timetable": every_day("19:00", "07:00")},
    )


class Killer(threading.Thread):
    """Ends ``victim`` after ``after_s`` seconds of real time, and brings back what does not come back by itself."""

    def __init__(self, rig: Rig, device: str, victim: str, after_s: float) -> None:
        super().__init__(name=f"killer of the {victim}")
        self._rig, self._device, self._victim, self._after_s = rig, device, victim, after_s
        self.revived: GatewayProcess | None = None

    def run(self) -> None:
        time.sleep(self._after_s)
        gateway = self._rig.gateway
        if self._victim == "tag":
            process = self._rig.tags[self._device]._process
            if process is not None:
                process.kill()
        elif self._victim == "gateway":
            os.kill(gateway.run()["serve_pid"], signal.SIGKILL)
            self.revived = GatewayProcess(self._rig.settings)
            wait_until_free(self._rig)
            self.revived.start()
        elif self._victim == "ingest":
            gateway.kill_part("ingest")
        else:
            gateway.kill_part("broker")


def wait_until_free(rig: Rig) -> None:
    """Until the killed supervisor's children are gone too: a new one may not start beside them."""
    pids = [rig.gateway.run().get(f"{part}_pid") for part in ("ingest", "broker")]
    while any(pid is not None and Path(f"/proc/{pid}").exists() for pid in pids):
        time.sleep(0.01)


class Stage:
    """One gateway for all rounds; each round is the same evening, a day later, with a new tag."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.rig = Rig(folder / "gateway", patience_s=0.5)
        self.days = 0

    def play(self, victim: str | None, moment: float, seed: int) -> tuple[list[tuple[Any, ...]], float]:
        """One evening, with ``victim`` killed at ``moment`` (real seconds). Its alerts, and how long it took.

        Asserts that every reading on the tag's flash is stored, once.
        """
        device = f"tag{self.days:05d}"
        # ten to seven by the clock on the wall, also when the rounds have come as far as summer time
        start_ms = int((FIRST_EVENING + timedelta(days=self.days)).timestamp() * 1000)
        self.days += 1
        receiver = GnssReceiver(evening(start_ms), seed=1, interval_ms=15_000)
        line = receiver.sentences(start_ms, start_ms + LENGTH_MS)
        self.rig.enrol(device, start_ms, line, order=order(device), every_fix=True, upload_s=30)
        began = time.monotonic()
        killer = None if victim is None else Killer(self.rig, device, victim, moment)
        if killer:
            killer.start()
        # five seconds after a fix: what the receiver said has been read, and what was read can be asked for
        for at_ms in range(start_ms + MINUTE_MS + 5000, start_ms + LENGTH_MS + 6000, MINUTE_MS):
            self.advance(device, at_ms)
        took_s = time.monotonic() - began
        if killer:
            killer.join()
            if killer.revived:
                self.rig.gateway.stop()
                self.rig.gateway = killer.revived
        self.settle(device, f"{device}-{seed}")
        alerts = [
            (
                alert["rule"],
                alert["condition"],
                since(start_ms, alert["start"]),
                alert["end"] and since(start_ms, alert["end"]),
                alert["state"],
            )
            for alert in self.rig.alerts(device)
            if alert["state"] != "withdrawn"
        ]
        self.rig.retire(device)
        return sorted(alerts, key=str), took_s

    def advance(self, device: str, at_ms: int) -> None:
        """To ``at_ms``; a tag that was killed gets its power back, and hears again what it had not yet kept."""
        tag = self.rig.tags[device]
        while True:
            try:
                self.rig.advance(at_ms)
                return
            except BenchError as error:
                assert "exit code -9" in str(error), error
                tag.start()

    def settle(self, device: str, name: str) -> None:
        """Let the tag send the rest; then its flash and the store must agree to the last reading."""
        tag = self.rig.tags[device]
        for attempt in range(8):
            self.rig.now_ms += 150_000
            self.advance(device, self.rig.now_ms)
            journal = journal_of(tag.folder / "flash.img", self.folder / f"{name}-{attempt}")
            if journal.base == journal.next:
                break
        made = journal.next - 1
        assert journal.base == journal.next, f"{device} still holds {journal.base}…{made}"
        with self.rig.store.read() as connection:
            known = envelopes.ranges(connection, device)
        assert {epoch: [tuple(part) for part in ranges] for epoch, ranges in known.items()} == {
            journal.epoch: [(1, made, How.STORED)]
        }
        positions = self.rig.positions(device)
        named = list(zip(positions.epoch.tolist(), positions.seq.tolist(), strict=True))
        assert len(named) == len(set(named))
        # every quarter of a minute was sampled: what a killed tag had not kept, it heard again
        assert len(set(positions.t_ms.tolist())) == LENGTH_MS // 15_000


def since(start_ms: int, instant: str) -> int:
    return int(datetime.fromisoformat(instant).timestamp()) - start_ms // 1000


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    stage = Stage(tmp_path_factory.mktemp("stage"))
    with stage.rig:
        yield stage


@pytest.fixture(scope="module")
def undisturbed(stage: Stage) -> tuple[list[tuple[Any, ...]], float]:
    """The alerts of an evening in which nothing is killed, and how long it takes."""
    alerts, took_s = stage.play(None, 0.0, seed=-1)
    assert {alert[0] for alert in alerts} == {"in_exclusion_zone", "absent_during_curfew"}
    return alerts, took_s


def play_round(stage: Stage, undisturbed: tuple[list[tuple[Any, ...]], float], seed: int) -> None:
    chance = random.Random(seed)
    expected, length_s = undisturbed
    alerts, _ = stage.play(VICTIMS[seed % len(VICTIMS)], chance.uniform(0, length_s), seed)
    assert alerts == expected


@pytest.mark.parametrize("seed", range(20), ids=lambda seed: f"round-{seed}-{VICTIMS[seed % 4]}")
def test_a_kill_loses_nothing_doubles_nothing_and_changes_no_alert(
    stage: Stage, undisturbed: tuple[list[tuple[Any, ...]], float], seed: int
) -> None:
    play_round(stage, undisturbed, seed)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(20, 200), ids=lambda seed: f"round-{seed}-{VICTIMS[seed % 4]}")
def test_a_kill_loses_nothing_however_often_it_is_tried(
    stage: Stage, undisturbed: tuple[list[tuple[Any, ...]], float], seed: int
) -> None:
    play_round(stage, undisturbed, seed)
