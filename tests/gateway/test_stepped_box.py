"""Real processes in a box whose clock is stepped, that is switched off and on, and whose disk becomes read-only."""

from __future__ import annotations

import json
import queue
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from core import wire
from core.readings import Kind
from gateway.check import check
from gateway.commands import TIME
from gateway.orders import activate, add_order
from gateway.store import alerts, devices
from tests.community_order import community_order
from tests.gateway import stepped_box
from tests.gateway.conftest import House, open_house
from tests.gateway.stand_in import EPOCH, StandIn, answered, block
from tests.gateway.stepped_box import SteppedBox
from tests.gateway.test_box_clock import SQUARE

box = stepped_box.box
HOUR_S = 3600
DAY_S = 24 * HOUR_S
YEAR_S = 365 * DAY_S
PATIENCE_S = 60


@dataclass
class Town:
    """A gateway in a box of ours, and one tag that is worn."""

    house: House
    box: SteppedBox
    tag: StandIn
    upto: int = 0
    sent: list[bytes] = field(default_factory=list)

    def position(self) -> wire.Block:
        """One made now, by the tag's satellite receiver."""
        self.upto += 1
        return block(Kind.POSITION, self.upto, [self.box.now_ms()], lat=round(51.6e7), precision=80)

    def say(self) -> None:
        """A position is made, sent, and committed."""
        self.sent = [self.tag.seal(self.position(), base=1)]
        self.tag.publish_many(self.sent)
        self.tag.committed_upto(self.upto, again=self.sent)

    def time_told(self) -> bool:
        """Does a tag that asks for the time get it? If so it must be right."""
        self.tag.forget_answers()
        up = wire.Up(EPOCH, self.upto + 1, (), 4711 + self.upto)
        self.tag.publish(self.tag.seal_payload(wire.encode_up(up)))
        until_s = time.monotonic() + 2.5
        while time.monotonic() < until_s:
            try:
                answer = self.tag.answer(1)
            except queue.Empty:
                continue
            command = answer.command
            if command is not None and command.name == TIME:
                assert abs(command.arguments[0] * 100 - self.box.now_ms()) < 5_000
                return True
            if command is not None:  # what else it is told it does, and says so
                self.upto += 1
                done = answered(self.upto, answer.generation, command.n)
                self.tag.publish(self.tag.seal(done, base=1))
        return False

    def time(self) -> dict[str, Any]:
        told: dict[str, Any] = self.house.gateway.status()["time"]
        return told

    def until(self, true: Callable[[], object], what: str) -> None:
        until_s = time.monotonic() + PATIENCE_S
        while not true():
            assert time.monotonic() < until_s, (what, self.house.gateway.status())
            time.sleep(0.2)

    def looks(self) -> None:
        """The gateway looks at the clock, and judges everybody, twice at least."""
        time.sleep(2.1)
        self.until(lambda: (self.house.gateway.status()["judged_ago_s"] or 9) < 2, "it judges")

    def silences(self) -> list[tuple[str, str]]:
        """State of each alert about silence, and since when nothing was heard."""
        with self.house.store.read() as connection:
            found = [one for one in alerts.listing(connection) if one["rule"] == "no_contact"]
        return [(one["state"], one["figures"]["heard"]) for one in found]

    def heard_ms(self) -> int:
        with self.house.store.read() as connection:
            return devices.last_heard(connection)[self.tag.device]


@pytest.fixture
def town(box: SteppedBox, tmp_path: Path) -> Iterator[Town]:
    house = open_house(tmp_path / "data", clock="system", clock_trust="auto", partition_senders=())
    try:
        tag = house.new_tag()
        zone = {"id": "zone-1", "type": "exclusion", "name": "a street", "zone": SQUARE}
        wearer = {"id": "w-1", "name": "Alex Example"}
        add_order(
            house.store,
            community_order("o-1", zone, version=1, wearer=wearer, effective="2025-01-01T00:00:00Z"),
        )
        activate(house.store, tag.device, "o-1", box.now_ms() - 1000 * HOUR_S)
        yield Town(house, box, tag)
    finally:
        house.close()
        house.gateway.stop()


@pytest.mark.parametrize(
    "offs_s",
    [
        # the last not before 2020: certificates are not valid earlier, and a new process could not connect
        pytest.param((-30 * YEAR_S, 2 * DAY_S), marks=pytest.mark.long),
        pytest.param((YEAR_S, -YEAR_S, HOUR_S, 30 * YEAR_S, -56 * YEAR_S, -HOUR_S), marks=pytest.mark.long),
    ],
)
def test_a_running_gateway_keeps_its_time_whatever_the_clock_of_its_box_is_set_to(
    town: Town, offs_s: tuple[int, ...]
) -> None:
    town.say()
    assert town.time()["basis"] == "synchronised"
    for off_s in offs_s:
        town.box.set_wall(off_s, kept=False)
        town.looks()
        assert abs(town.house.gateway.status()["now_ms"] - town.box.now_ms()) < 2_000
    # a new process has the time of the old one
    old = town.house.gateway.kill_part("ingest")
    town.house.gateway.wait_restarted("ingest", old)
    town.say()
    assert abs(town.heard_ms() - town.box.now_ms()) < 5_000
    # a time server that lies: tags know better, and are told nothing meanwhile
    town.box.set_wall(YEAR_S, kept=True)
    town.until(lambda: town.time()["doubt"], "it is in doubt")
    town.say()
    town.looks()
    assert abs(town.house.gateway.status()["now_ms"] - town.box.now_ms()) < 2_000
    assert not town.time_told()
    assert town.silences() == []
    town.box.set_wall(0, kept=True)
    town.until(lambda: town.time()["certain"], "it is certain again")
    town.until(town.time_told, "tags are told the time")
    # silence is told when it is due, and not before
    town.box.let_pass(23 * HOUR_S)
    town.looks()
    assert town.silences() == []
    town.box.let_pass(1.1 * HOUR_S)
    town.until(town.silences, "silence is told")
    town.say()
    town.until(lambda: town.silences()[0][0] == "ended", "it is over when the tag is heard")


def test_a_box_that_wakes_in_the_past_puts_right_what_it_stamped_when_it_is_told_the_time(town: Town) -> None:
    town.say()
    assert town.house.gateway.stop() == 0
    town.tag.close()
    town.box.reboot(off_for_s=30 * HOUR_S, wall_off_s=-5 * YEAR_S, number=2)
    town.house.gateway.start()
    town.tag = town.house.connect(town.tag.credentials)
    town.say()
    told = town.time()
    assert (told["known"], told["basis"]) == (False, "floor")
    town.looks()
    assert town.silences() == [], "nobody knows yet for how long the box was off"
    assert not town.time_told()
    # and a restart before the time is known forgets nothing
    old = town.house.gateway.kill_part("ingest")
    town.house.gateway.wait_restarted("ingest", old)
    heard_ms = town.box.now_ms()
    town.say()
    assert town.heard_ms() < heard_ms - 29 * HOUR_S * 1000
    town.box.set_wall(0, kept=True)
    town.until(lambda: town.time()["certain"], "a time server and the tag say the same")
    assert abs(town.heard_ms() - heard_ms) < 5_000
    assert town.silences() == []
    town.until(town.time_told, "tags are told the time")
    town.box.let_pass(24.1 * HOUR_S)
    town.until(town.silences, "silence is told from then on")
    log = [
        json.loads(line) for line in (town.house.settings.data_dir / "gateway.log").read_text().splitlines()
    ]
    (put_right,) = [one for one in log if one["event"].startswith("gateway time is put right")]
    assert put_right["by_s"] > 29 * HOUR_S


@pytest.mark.parametrize("times", [1, pytest.param(4, marks=pytest.mark.long)])
def test_a_disk_that_was_read_only_is_recovered_from_without_a_restart(
    box: SteppedBox, tmp_path: Path, times: int
) -> None:
    store = tmp_path / "disk" / "store.sqlite"
    house = open_house(tmp_path / "data", clock="system", clock_trust="auto", store=str(store), web=False)
    try:
        town = Town(house, box, house.new_tag())
        town.say()
        pid = house.gateway.ingest_pid
        for _ in range(times):
            box.read_only(True)
            waiting = town.tag.seal(town.position(), base=1)
            town.tag.forget_answers()
            town.tag.publish(waiting)
            town.until(lambda: house.gateway.status()["trouble"], "it says what is wrong")
            time.sleep(1.5)  # every connection that is opened meanwhile is one that can only read
            assert town.tag.downs.empty(), "nothing is acknowledged"
            assert house.gateway.status()["trouble"]
            box.read_only(False)
            town.tag.committed_upto(town.upto, again=[waiting])
            town.until(lambda: not house.gateway.status()["trouble"], "it is well")
        assert house.gateway.ingest_pid == pid, "the same process has recovered"
        assert check(house.store, house.authority.vault).faults == []
    finally:
        house.close()
        house.gateway.stop()
