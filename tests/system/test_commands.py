"""Commands through the whole chain: real gateway, broker and tag; links cut, power cut, someone in the middle."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest

from core import envelope, wire
from core.readings import POSITION_WIRE, Kind, PositionFlag
from gateway import commands, topics
from gateway.devices import Credentials
from gateway.store import envelopes
from sim.bench.tag import VirtualTag
from sim.gnss import GnssReceiver
from sim.itinerary import Itinerary, Place
from sim.rig import Rig
from tests.system.brokers import Broker, behind
from tests.system.test_attacks import MALLORY, Mallory

START_MS = 1_793_600_000_000
MINUTE_MS = 60_000
ROUND_MS = 1024 * 7 * 24 * 60 * MINUTE_MS
DONE, EXECUTED = "done", "commands_executed"


class Post:
    """A gateway with one tag whose readings are uploaded every half a minute."""

    def __init__(self, rig: Rig, device: str, behind_ms: int = 0, **enrol: Any) -> None:
        self.rig = rig
        self.device = device
        self.start_ms = max(START_MS, rig.now_ms)
        begin_ms = self.start_ms - behind_ms
        way = Itinerary(begin_ms, Place(52.96, -1.17)).stay(begin_ms + 900 * MINUTE_MS)
        said = GnssReceiver(way, seed=3, interval_ms=10_000).sentences(begin_ms, way.end_ms)
        rig.gateway.advance(self.start_ms)
        line = ((at_ms + behind_ms, data) for at_ms, data in said)
        self.tag: VirtualTag = rig.enrol(device, self.start_ms, line, upload_s=30, **enrol)
        self.credentials = Credentials.read(rig.settings.devices_dir / device)
        self.minutes = 0
        self.live(3)

    def live(self, minutes: int) -> dict[str, int]:
        """Let so many minutes pass; what the tag has counted since its boot."""
        for _ in range(minutes):
            self.minutes += 1
            self.rig.advance(self.start_ms + self.minutes * MINUTE_MS, self.device)
        return self.tag.counters()

    def command(self, name: str, **arguments: object) -> int:
        return commands.queue(self.rig.store, self.device, name, arguments, now_ms=self.rig.now_ms)

    def states(self) -> dict[int, str]:
        """State of each command by its number."""
        rows = commands.listing(self.rig.store, self.device, self.rig.now_ms)
        return {row["n"]: row["state"] for row in rows}

    def until(self, so: Callable[[], bool], minutes: int = 20) -> None:
        """Live on until it is so."""
        for _ in range(minutes):
            if so():
                return
            self.live(1)
        raise AssertionError(f"not so within {minutes} minutes: {self.states()}, {self.tag.counters()}")

    def records(self, kind: Kind) -> list[Mapping[str, int]]:
        """The fields of every record of a kind that the gateway has stored, as they stand on the wire."""
        with self.rig.store.read() as connection:
            stored = [entry.data for entry in envelopes.of_device(connection, self.device)]
        found: list[Mapping[str, int]] = []
        for data in stored:
            for block in wire.decode_up(envelope.parse(data).payload).blocks:
                if block.kind == kind and block.records is not None:
                    found += [
                        {name: int(record[name]) for name in record.dtype.names} | {"t_ms": int(t_ms)}
                        for record, t_ms in zip(block.records, block.t_ms(), strict=True)
                    ]
        return found


@pytest.fixture(scope="module")
def commanded(which: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Broker, Rig]]:
    folder = tmp_path_factory.mktemp("commanded")
    with (
        behind(which, folder, partition_senders=(MALLORY,)) as broker,
        Rig(folder, patience_s=1.0, senders=(MALLORY,)) as rig,
    ):
        yield broker, rig


@pytest.fixture(scope="module")
def broker(commanded: tuple[Broker, Rig]) -> Broker:
    return commanded[0]


@pytest.fixture(scope="module")
def rig(commanded: tuple[Broker, Rig]) -> Rig:
    return commanded[1]


@pytest.fixture(scope="module")
def post(rig: Rig) -> Post:
    return Post(rig, "gps00001")


def test_every_command_is_executed_once_and_acknowledged(post: Post) -> None:
    before = post.live(1)
    given = [
        post.command("settings", sample_s=15),
        post.command("pursuit", minutes=1),
        post.command("locate"),
        post.command("vibrate", pattern=1, times=1),
    ]
    post.until(lambda: all(post.states()[n] != "open" for n in given))
    assert [post.states()[n] for n in given] == [DONE] * 4
    after = post.live(3)
    assert after[EXECUTED] - before.get(EXECUTED, 0) == len(given)
    assert [(record["n"], record["outcome"]) for record in post.records(Kind.COMMAND)][-4:] == [
        (n, 0) for n in given
    ]


def test_changed_settings_hold_over_a_power_cut_and_can_be_taken_back(post: Post) -> None:
    n = post.command("settings", sample_s=10)
    post.until(lambda: post.states()[n] == DONE)
    post.tag.kill()
    post.tag.start()
    post.live(2)
    before = len(post.rig.positions(post.device))
    post.live(4)
    assert len(post.rig.positions(post.device)) - before >= 20
    n = post.command("settings", sample_s=None)
    post.until(lambda: post.states()[n] == DONE)
    post.live(2)
    before = len(post.rig.positions(post.device))
    post.live(4)
    assert len(post.rig.positions(post.device)) - before <= 5


def test_a_command_that_was_said_to_a_dead_broker_arrives_when_it_is_back(post: Post, broker: Broker) -> None:
    n = post.command("settings", upload_s=31)
    before = post.tag.counters().get(EXECUTED, 0)
    broker.kill(post.rig.gateway)
    post.until(lambda: post.states()[n] == DONE)
    assert post.live(2)[EXECUTED] - before == 1


def test_an_ingest_that_dies_with_a_command_under_way_says_it_again_and_it_is_executed_once(
    post: Post,
) -> None:
    n = post.command("settings", upload_s=32)
    before = post.tag.counters().get(EXECUTED, 0)
    old = post.rig.gateway.kill_part("ingest")
    post.rig.gateway.wait_restarted("ingest", old)
    post.until(lambda: post.states()[n] == DONE)
    assert post.live(2)[EXECUTED] - before == 1


class Attacked:
    """A post with someone in the middle who has a certificate, and not the device's key."""

    def __init__(self, post: Post) -> None:
        self.post = post
        self.mallory = Mallory(post.rig)

    def say(self, data: bytes) -> None:
        self.mallory.say(topics.down(self.post.device), data)
        time.sleep(0.2)

    def seal(self, generation: int, command: wire.Command, key: bytes | None = None) -> bytes:
        payload = wire.encode_down(wire.Down(generation, None, command))
        topic = topics.down(self.post.device)
        return envelope.seal(key or self.post.credentials.key, self.post.device, topic, payload)

    def heard_commands(self) -> list[bytes]:
        """Every command that went by to the device, as it was sealed."""
        found = []
        while not self.mallory.heard.empty():
            where, data = self.mallory.heard.get()
            if where == topics.down(self.post.device):
                down = wire.decode_down(envelope.parse(data).payload)
                if down.command is not None:
                    found.append(data)
        return found


@pytest.fixture(scope="module")
def attacked(post: Post) -> Iterator[Attacked]:
    attacked = Attacked(post)
    yield attacked
    attacked.mallory.leave()


def link_tampers(post: Post) -> int:
    return sum(record["detail"] for record in post.records(Kind.TAMPER) if record["code"] == 1)


def test_forged_commands_are_refused_and_reported(attacked: Attacked) -> None:
    post = attacked.post
    before = post.live(1)
    told = link_tampers(post)
    attacked.say(attacked.seal(1, wire.Command(9999, "pursuit", [600]), key=bytes(32)))
    attacked.say(attacked.seal(2, wire.Command(1, "settings", [{1: 3600}]), key=bytes(32)))
    after = post.live(1)
    assert after["down_forged"] - before.get("down_forged", 0) == 2
    assert after.get(EXECUTED, 0) == before.get(EXECUTED, 0)
    post.until(lambda: link_tampers(post) - told == 2)


def test_replayed_and_reordered_commands_are_refused_and_reported(attacked: Attacked) -> None:
    post = attacked.post
    attacked.heard_commands()
    given = [post.command("settings", upload_s=seconds) for seconds in (33, 34, 35)]
    post.until(lambda: all(post.states()[n] == DONE for n in given))
    heard = attacked.heard_commands()
    assert len(heard) >= 3
    before = post.live(1)
    told = link_tampers(post)
    for data in (heard[1], heard[0]):  # in another order, and again
        attacked.say(data)
    after = post.live(1)
    assert after["command_replayed"] - before.get("command_replayed", 0) == 2
    assert after[EXECUTED] == before[EXECUTED]
    post.until(lambda: link_tampers(post) - told == 2)


def test_the_last_command_said_again_is_answered_and_not_executed_again(attacked: Attacked) -> None:
    post = attacked.post
    attacked.heard_commands()
    n = post.command("settings", upload_s=30)
    post.until(lambda: post.states()[n] == DONE)
    (*_, last) = attacked.heard_commands()
    before = post.live(1)
    for _ in range(5):
        attacked.say(last)

    def heard_again() -> int:
        now = post.tag.counters()
        return sum(
            now.get(name, 0) - before.get(name, 0) for name in ("commands_answered", "commands_repeated")
        )

    post.until(lambda: heard_again() >= 5)  # a busy broker hands them over later than the tag's minutes pass
    after = post.live(2)
    assert after[EXECUTED] == before[EXECUTED]
    assert heard_again() == 5
    assert post.states()[n] == DONE
    assert after.get("command_replayed", 0) == before.get("command_replayed", 0)


def test_a_tag_that_loses_power_before_it_could_acknowledge_executes_nothing_twice(
    rig: Rig, broker: Broker
) -> None:
    post = Post(rig, "gps00002")
    n = post.command("settings", sample_s=20)
    post.rig.gateway.advance(rig.now_ms)  # said; the tag hears it when its time goes on, or now
    broker.kill(rig.gateway)  # so that the acknowledgement does not leave the tag
    post.tag.kill()
    post.tag.start()
    post.until(lambda: post.states()[n] != "open")
    told = {(record["n"], record["outcome"]) for record in post.records(Kind.COMMAND)}
    assert len(told) == 1, "one outcome, however often it is told"
    post.live(2)
    assert post.states()[n] == DONE


@pytest.mark.parametrize("rounds", [1, 2])
def test_a_tag_whose_receiver_is_rounds_of_weeks_behind_gets_the_right_time_and_its_positions_are_right_or_flagged(
    rig: Rig, rounds: int
) -> None:
    post = Post(rig, f"gps0003{rounds}", behind_ms=rounds * ROUND_MS, clock_set=False)
    post.live(10)
    positions = post.records(Kind.POSITION)
    assert len(positions) >= 10
    assert POSITION_WIRE.names is not None
    wrong = [
        record
        for record in positions
        if not post.start_ms <= record["t_ms"] <= rig.now_ms
        and not record["flags"] & PositionFlag.DATE_SUSPECT
    ]
    assert not wrong
    assert [record["source"] for record in post.records(Kind.TIME)][-1] in (1, 2)
    last = positions[-1]
    assert post.start_ms <= last["t_ms"] <= rig.now_ms
    assert not last["flags"] & PositionFlag.DATE_SUSPECT, "once the gateway has told the time it is sure"
    assert "done" in post.states().values()


def test_a_tag_without_a_date_asks_for_the_time_and_gets_it(rig: Rig) -> None:
    start_ms = max(START_MS, rig.now_ms)
    rig.gateway.advance(start_ms)
    tag = rig.enrol("gps00004", start_ms, (), clock_set=False)
    for minute in range(1, 21):  # no leap: a busy gateway's answer would be twenty minutes late for the tag
        rig.advance(start_ms + minute * MINUTE_MS, "gps00004")
    assert tag.counters()[EXECUTED] == 1
    rows = commands.listing(rig.store, "gps00004", rig.now_ms)
    assert [(row["name"], row["state"]) for row in rows] == [("time", "done")]
