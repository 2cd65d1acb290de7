"""The box's clock jumps: what time the gateway takes it for, and that alerts come out as if it had not."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from gateway.gateway_time import BUILT_MS, BoxClock
from gateway.group import Committed
from gateway.judge import Judge
from gateway.orders import activate, add_order
from gateway.store import Store, alerts, devices
from gateway.trust import PATIENCE_MS, SETTLE_MS, STEP_MS, Look
from tests.community_order import community_order

DEVICES = tuple(f"tag{n:04d}" for n in range(1, 6))
START_MS = BUILT_MS + 100 * 86_400_000
HOUR_MS = 3_600_000
YEAR_MS = 365 * 24 * HOUR_MS
SQUARE = {
    "type": "Polygon",
    "coordinates": [[[-0.11, 51.49], [-0.09, 51.49], [-0.09, 51.51], [-0.11, 51.51], [-0.11, 51.49]]],
}


@dataclass
class World:
    """True time, and a box that shows what it likes (`gateway.gateway_time.Box`)."""

    true_ms: int = START_MS
    boot_ms: int = START_MS - HOUR_MS
    """When it was switched on, in truth."""
    number: int = 1
    wall_off_ms: int = 0
    synchronised: bool = True
    kept: bool = False

    def boot(self) -> int:
        return self.number

    def steady_ms(self) -> int:
        return self.true_ms - self.boot_ms

    def look(self) -> Look:
        return Look(self.steady_ms(), self.true_ms + self.wall_off_ms, self.synchronised, self.kept)

    def reboot(self, off_ms: int, wall_ms: int) -> None:
        """Off for so long; it wakes with that on its clock, and nobody has told it the time."""
        self.boot_ms = self.true_ms + off_ms
        self.true_ms = self.boot_ms + 20_000
        self.number += 1
        self.wall_off_ms, self.synchronised = wall_ms - self.true_ms, False


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with some tags, each fitted an hour before the start."""
    path = tmp_path_factory.mktemp("bare") / "store.sqlite"
    store = Store.open(path)
    with store.write() as connection:
        devices.add(connection, *(devices.Device(name, bytes(32), b"", 0, None) for name in DEVICES))
    for n, name in enumerate(DEVICES):
        wearer = {"id": f"w-{n}", "name": "Alex Example"}
        zone = {"id": "zone-1", "type": "exclusion", "name": "a street", "zone": SQUARE}
        order = community_order(f"o-{n}", zone, version=1, wearer=wearer, effective="2025-01-01T00:00:00Z")
        add_order(store, order)
        activate(store, name, f"o-{n}", START_MS - HOUR_MS)
    with store.write() as connection:  # one file
        connection.exec_driver_sql("UPDATE order_version SET known_at_ms = 0")
    store.close()
    return path


class Gateway:
    """Clock, store and judge of one gateway, as the ingest has them, in a world."""

    def __init__(self, path: Path, world: World) -> None:
        self.world = world
        self.store = Store.open(path)
        self.begin()

    def begin(self) -> None:
        """The process starts."""
        self.clock = BoxClock(self.store, self.world)
        self.judge: Judge | None = None
        self.tick()

    def tick(self) -> None:
        if self.clock.look() is not None:
            self.judge = None
        if self.judge is None:
            self.judge = Judge(self.store)
        self.judge.refresh()
        self.judge.judge(self.clock.now_ms(), present=self.clock.certain)

    def live(self, ms: int) -> None:
        """Time passes, and the gateway looks at least every hour, and a minute after the last change."""
        until_ms = self.world.true_ms + ms
        while self.world.true_ms < until_ms:
            self.world.true_ms = min(until_ms, self.world.true_ms + HOUR_MS)
            self.tick()

    def hear(self, device: str, late_ms: int | None = None) -> None:
        """A message comes; with ``late_ms`` its newest reading is so old, by its satellite receiver."""
        stamp = self.clock.stamp()
        heard = {device: self.clock.at(stamp)}
        with self.store.write() as connection:
            devices.hear(connection, heard)
        if late_ms is not None:
            self.clock.sight(device, self.world.true_ms - late_ms - stamp, stamp)
        assert self.judge is not None
        self.judge.add(Committed(heard=heard))

    def alerts(self) -> list[tuple[str, str, str, int]]:
        """(device, rule, state, start in seconds) of what stands."""
        with self.store.read() as connection:
            found = alerts.standing(connection, ()).values()
        return sorted((one.device, one.rule, one.state, round(one.start_ms / 1000)) for one in found)

    def told_time(self) -> None:
        """A time server tells the box the time, and it settles."""
        self.world.wall_off_ms, self.world.synchronised = 0, True
        self.tick()
        self.live(SETTLE_MS)
        self.live(PATIENCE_MS)
        assert self.clock.certain, self.clock.doubt


Event = tuple[Any, ...]
DURATIONS = st.one_of(st.integers(1000, HOUR_MS), st.integers(HOUR_MS, 40 * HOUR_MS))
JUMPS = st.one_of(st.integers(-2 * HOUR_MS, 2 * HOUR_MS), st.integers(-30 * YEAR_MS, 30 * YEAR_MS))
RUNNING = st.one_of(
    st.tuples(st.just("live"), DURATIONS),
    st.tuples(st.just("hear"), st.sampled_from(DEVICES), st.one_of(st.none(), st.integers(0, 120_000))),
    st.tuples(st.just("jump"), JUMPS),
    st.tuples(st.just("restart")),
)
REBOOTS = st.tuples(
    st.just("reboot"), DURATIONS, st.one_of(st.just(0), st.integers(0, START_MS + 30 * YEAR_MS))
)


def play(path: Path, folder: Path, events: Sequence[Event], *, disturbed: bool) -> Gateway:
    """Live through ``events``; undisturbed the box's clock is always right."""
    copy = folder / f"{disturbed}.sqlite"
    shutil.copy(path, copy)
    gateway = Gateway(copy, World())
    world = gateway.world
    for device in DEVICES:
        gateway.hear(device)
    for what, *how in events:
        if what == "live":
            gateway.live(how[0])
        elif what == "hear":
            gateway.hear(how[0], how[1])
        elif what == "restart":
            gateway.begin()
        elif what == "jump" and disturbed:
            world.wall_off_ms, world.synchronised = how[0], False
            gateway.tick()
        elif what == "lie" and disturbed:
            world.wall_off_ms, world.synchronised = how[0], True
            gateway.tick()
        elif what == "reboot":
            gateway.told_time()
            world.reboot(how[0], how[1])
            if not disturbed:
                world.wall_off_ms, world.synchronised = 0, True
            gateway.begin()
        if disturbed:
            now_ms = gateway.clock.now_ms()
            assert now_ms <= world.true_ms + STEP_MS, "it is never taken to be later than it is"
            if gateway.clock.certain:
                assert abs(now_ms - world.true_ms) <= STEP_MS, "nobody is told a wrong time"
    gateway.told_time()
    gateway.store.close()
    gateway.store = Store.open(copy)
    return gateway


def stamps(gateway: Gateway) -> dict[str, int]:
    with gateway.store.read() as connection:
        return {device: round(at_ms / 10_000) for device, at_ms in devices.last_heard(connection).items()}


TRIED = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@TRIED
@given(st.lists(RUNNING, min_size=1, max_size=8))
@example([("jump", -50 * YEAR_MS), ("live", 25 * HOUR_MS), ("hear", DEVICES[0], None), ("restart",)])
@example(
    [("jump", YEAR_MS), ("live", 1000), ("restart",), ("live", 1000), ("jump", 0), ("live", 26 * HOUR_MS)]
)
def test_however_the_clock_of_a_running_box_jumps_alerts_are_those_of_one_that_is_right(
    bare: Path, tmp_path_factory: pytest.TempPathFactory, events: list[Event]
) -> None:
    folder = tmp_path_factory.mktemp("run")
    jumped, right = (play(bare, folder, events, disturbed=disturbed) for disturbed in (True, False))
    assert jumped.alerts() == right.alerts()
    assert stamps(jumped) == stamps(right)


@TRIED
@given(st.lists(st.one_of(RUNNING, REBOOTS), min_size=1, max_size=8))
@example([("reboot", 5 * HOUR_MS, 0), ("hear", DEVICES[0], None), ("live", 30 * HOUR_MS)])
@example([("reboot", 5 * HOUR_MS, START_MS + 9 * YEAR_MS), ("hear", DEVICES[1], 0), ("live", HOUR_MS)])
def test_whatever_a_box_shows_when_it_is_switched_on_no_silence_is_made_up_and_none_forgotten(
    bare: Path, tmp_path_factory: pytest.TempPathFactory, events: list[Event]
) -> None:
    folder = tmp_path_factory.mktemp("run")
    jumped, right = (play(bare, folder, events, disturbed=disturbed) for disturbed in (True, False))
    assert set(jumped.alerts()) <= set(right.alerts()), "none that an undisturbed gateway has not told"
    still = {one for one in right.alerts() if one[2] == "open"}
    assert still <= set(jumped.alerts()), "whoever is silent now is told of"
    assert stamps(jumped) == stamps(right)
