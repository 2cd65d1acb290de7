"""The box's clock jumps: what time the gateway takes it for, and that alerts come out as if it had not."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection

from gateway import gateway_time, kernel_clock
from gateway.gateway_time import BUILT_MS, BoxClock
from gateway.group import Committed
from gateway.judge import Judge
from gateway.orders import OrderRefused, activate, add_order, clients, deactivate, view
from gateway.orders.intake import take_in
from gateway.store import Store, alerts, devices, intake, order_clients, orders, outbox, state
from gateway.store.clock import BELIEVE
from gateway.trust import PATIENCE_MS, SETTLE_MS, STEP_MS, Basis, Line, Look, weigh
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


class RightClock(BoxClock):
    """A clock that is told the truth by nobody, and knows it all the same: what the others are compared with."""

    def __init__(self, store: Store, world: World) -> None:
        super().__init__(store, world)
        self._world = world
        self.doubt = ""
        self._line = Line(world.number, 0, Basis.SYNCHRONISED, 0, 0)

    def stamp(self) -> int:
        return self._world.true_ms

    def now_ms(self) -> int:
        return self._world.true_ms

    def look(self, before_long: Callable[[], object] = lambda: None) -> int | None:
        return None


class Gateway:
    """Clock, store and judge of one gateway, as the ingest has them, in a world."""

    def __init__(self, path: Path, world: World, *, right: bool = False) -> None:
        self.world = world
        self._right = right
        self.store = Store.open(path)
        self.begin()

    def begin(self) -> None:
        """The process starts."""
        self.clock = RightClock(self.store, self.world) if self._right else BoxClock(self.store, self.world)
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
        """(device, rule, state, start in ms) of what stands."""
        with self.store.read() as connection:
            found = alerts.standing(connection, ()).values()
        return sorted((one.device or "", one.rule, one.state, one.start_ms) for one in found)

    def tells(self, wanted: Iterable[tuple[str, str, str, int]]) -> bool:
        """Does each of ``wanted`` stand here, at the same time but for `STEP_MS`? One that would begin now may not."""
        here = self.alerts()
        return all(
            any(one[:3] == other[:3] and abs(one[3] - other[3]) <= STEP_MS for other in here)
            for one in wanted
            if one[3] < self.world.true_ms - STEP_MS
        )

    def silences(self) -> list[tuple[str, str, str, int]]:
        """Those of them that are about a device that is not heard."""
        return [one for one in self.alerts() if one[1] == "no_contact"]

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
    gateway = Gateway(copy, World(), right=not disturbed)
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


def off_ms(one: Gateway, other: Gateway) -> int:
    """By how much the two differ at most in when they heard a device last."""
    with one.store.read() as connection, other.store.read() as beside:
        mine, theirs = devices.last_heard(connection), devices.last_heard(beside)
    assert mine.keys() == theirs.keys()
    return max(abs(mine[device] - theirs[device]) for device in mine)


TRIED = settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.too_slow])


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
    assert jumped.tells(right.alerts()) and right.tells(jumped.alerts())
    assert off_ms(jumped, right) <= STEP_MS


@TRIED
@given(st.lists(st.one_of(RUNNING, REBOOTS), min_size=1, max_size=8))
@example([("reboot", 5 * HOUR_MS, 0), ("hear", DEVICES[0], None), ("live", 30 * HOUR_MS)])
@example([("reboot", 5 * HOUR_MS, START_MS + 9 * YEAR_MS), ("hear", DEVICES[1], 0), ("live", HOUR_MS)])
def test_whatever_a_box_shows_when_it_is_switched_on_no_silence_is_made_up_and_none_forgotten(
    bare: Path, tmp_path_factory: pytest.TempPathFactory, events: list[Event]
) -> None:
    folder = tmp_path_factory.mktemp("run")
    jumped, right = (play(bare, folder, events, disturbed=disturbed) for disturbed in (True, False))
    assert right.tells(jumped.alerts()), "none that an undisturbed gateway has not told"
    assert jumped.tells(one for one in right.alerts() if one[2] == "open"), "whoever is silent now is told of"
    assert off_ms(jumped, right) <= STEP_MS


@pytest.mark.long
@pytest.mark.timeout(1800)
@settings(TRIED, max_examples=200)
@given(st.lists(st.one_of(RUNNING, REBOOTS), min_size=1, max_size=16))
def test_no_silence_is_made_up_and_none_forgotten_long(
    bare: Path, tmp_path_factory: pytest.TempPathFactory, events: list[Event]
) -> None:
    folder = tmp_path_factory.mktemp("run")
    jumped, right = (play(bare, folder, events, disturbed=disturbed) for disturbed in (True, False))
    assert right.tells(jumped.alerts())
    assert jumped.tells(one for one in right.alerts() if one[2] == "open")
    assert off_ms(jumped, right) <= STEP_MS


def begun(bare: Path, folder: Path) -> tuple[Gateway, World]:
    """A gateway on a store of its own, and the world that it is in."""
    shutil.copy(bare, file := folder / "store.sqlite")
    return Gateway(file, world := World()), world


LIES = st.one_of(st.integers(-30 * YEAR_MS, -10 * 60_000), st.integers(10 * 60_000, 30 * YEAR_MS))


@TRIED
@given(LIES, st.lists(st.sampled_from(DEVICES), min_size=1, max_size=4))
@example(HOUR_MS, [DEVICES[0]])
@example(-YEAR_MS, [DEVICES[0], DEVICES[1]])
def test_a_time_server_that_lies_to_a_running_gateway_is_contradicted_by_tags_or_by_what_it_said_before(
    bare: Path, tmp_path_factory: pytest.TempPathFactory, lie_ms: int, heard: list[str]
) -> None:
    gateway, world = begun(bare, tmp_path_factory.mktemp("run"))
    gateway.told_time()
    for device in heard:
        gateway.hear(device, 60_000)
    world.wall_off_ms = lie_ms
    gateway.tick()
    for _ in range(3):
        gateway.live(HOUR_MS)
        gateway.hear(heard[0], 60_000)
        gateway.begin()
        gateway.hear(heard[0], 60_000)
        gateway.tick()
        assert abs(gateway.clock.now_ms() - world.true_ms) < STEP_MS
        assert gateway.clock.doubt and not gateway.clock.certain
    assert gateway.silences() == []
    gateway.told_time()
    assert abs(gateway.clock.now_ms() - world.true_ms) < STEP_MS


def test_a_time_server_that_lied_at_the_start_is_found_out_when_it_tells_the_truth_and_a_tag_agrees(
    bare: Path, tmp_path: Path
) -> None:
    gateway, world = begun(bare, tmp_path)
    gateway.hear(DEVICES[0])
    world.reboot(HOUR_MS, START_MS)
    world.wall_off_ms, world.synchronised = 40 * HOUR_MS, True
    gateway.begin()
    gateway.live(2 * SETTLE_MS)
    assert gateway.clock.certain, "there is nobody to contradict it"
    heard_ms = world.true_ms
    gateway.hear(DEVICES[0], 1000)
    gateway.live(HOUR_MS)
    assert gateway.silences(), "by that time most are silent"
    world.wall_off_ms = 0
    gateway.tick()
    assert gateway.clock.doubt
    gateway.hear(DEVICES[0], 1000)
    gateway.live(2 * SETTLE_MS)
    assert gateway.clock.certain
    with gateway.store.read() as connection:
        assert heard_ms <= devices.last_heard(connection)[DEVICES[0]] <= world.true_ms
    assert gateway.silences() == []


def test_three_tags_tell_a_box_that_nobody_tells_the_time_that_it_is_later_and_two_do_not(
    bare: Path, tmp_path: Path
) -> None:
    gateway, world = begun(bare, tmp_path)
    for device in DEVICES:
        gateway.hear(device)
    world.reboot(10 * HOUR_MS, 0)
    gateway.begin()
    for device in DEVICES[:2]:
        gateway.hear(device, 30_000)
        gateway.tick()
    assert not gateway.clock.line.known
    gateway.hear(DEVICES[2], 90_000)
    gateway.tick()
    assert gateway.clock.line.known and not gateway.clock.certain
    assert 0 <= world.true_ms - gateway.clock.now_ms() <= 90_000
    gateway.live(HOUR_MS)
    world.wall_off_ms, world.synchronised = 0, True
    gateway.tick()
    assert gateway.clock.certain and abs(gateway.clock.now_ms() - world.true_ms) < STEP_MS


def test_stamps_of_a_boot_that_was_never_told_the_time_count_as_late_as_they_can_have_been(
    bare: Path, tmp_path: Path
) -> None:
    gateway, world = begun(bare, tmp_path)
    for device in DEVICES:
        gateway.hear(device)
    world.reboot(30 * HOUR_MS, 0)
    gateway.begin()
    for device in DEVICES:
        gateway.hear(device)
    true_ms = world.true_ms
    world.reboot(HOUR_MS, 0)  # power fails again
    gateway.begin()
    world.wall_off_ms, world.synchronised = 0, True
    gateway.tick()
    gateway.live(2 * SETTLE_MS)
    assert gateway.clock.certain
    with gateway.store.read() as connection:
        for at_ms in devices.last_heard(connection).values():
            assert true_ms <= at_ms <= world.boot_ms + 20_000
    assert gateway.silences() == []


def test_what_the_operator_believes_is_believed_at_once_and_only_once(bare: Path, tmp_path: Path) -> None:
    gateway, world = begun(bare, tmp_path)
    world.reboot(HOUR_MS, 0)
    gateway.begin()
    world.wall_off_ms = 500  # set by hand
    gateway.live(HOUR_MS)
    assert not gateway.clock.line.known
    with gateway.store.write() as connection:
        state.set_number(connection, BELIEVE, world.steady_ms())
    gateway.tick()
    assert gateway.clock.certain and abs(gateway.clock.now_ms() - world.true_ms) < STEP_MS
    world.wall_off_ms = YEAR_MS
    gateway.live(HOUR_MS)
    assert abs(gateway.clock.now_ms() - world.true_ms) < STEP_MS


def test_what_waits_to_be_told_moves_with_the_time_by_which_it_was_put_off(
    bare: Path, tmp_path: Path
) -> None:
    gateway, world = begun(bare, tmp_path)
    gateway.hear(DEVICES[0])
    before_ms = world.true_ms
    with gateway.store.write() as connection:
        alerts.put(connection, [_ALERT], before_ms)
        outbox.add(connection, [_message("old", before_ms)])
        outbox.put_escalations(
            connection,
            [
                outbox.Escalation(1, "old", 1, before_ms, 0, before_ms + 900_000),
                outbox.Escalation(1, "new", 1, before_ms, 1, 0),
            ],
        )
    world.reboot(5 * HOUR_MS, 0)
    gateway.begin()
    now_ms = gateway.clock.now_ms()
    with gateway.store.write() as connection:
        outbox.add(connection, [_message("new", now_ms, round_=1)])
        outbox.put_escalations(connection, [outbox.Escalation(1, "new", 1, before_ms, 1, now_ms + 900_000)])
        outbox.put_path(connection, outbox.Path("ann", now_ms, 1, now_ms + 5000))
    world.wall_off_ms, world.synchronised = 0, True
    gateway.hear(DEVICES[1], 1000)
    gateway.tick()
    true_ms = world.true_ms
    with gateway.store.read() as connection:
        messages = {one.route: one for one in outbox.waiting(connection)}
        waiting = {one.route: one for one in outbox.escalations(connection)}
        path = outbox.paths(connection)["ann"]
    assert (messages["old"].made_ms, messages["old"].next_ms) == (before_ms, before_ms + 5000)
    assert messages["new"].made_ms == true_ms and messages["new"].next_ms == true_ms + 5000
    assert waiting["old"].next_ms == before_ms + 900_000, "it was due long ago"
    assert waiting["new"].next_ms == true_ms + 900_000
    assert (path.failing_ms, path.retry_ms) == (true_ms, true_ms + 5000)


def test_what_came_in_while_the_time_was_not_known_is_told_as_not_before_and_put_right_with_it(
    bare: Path, tmp_path: Path
) -> None:
    gateway, world = begun(bare, tmp_path)
    gateway.hear(DEVICES[0])
    clients.add(gateway.store, "cemo", gateway.clock.now_ms())
    before_ms = gateway.clock.now_ms()
    wearer = take_in(gateway.store, "createDW", "cemo", _wearer("early"), before_ms)
    world.reboot(5 * HOUR_MS, 0)
    gateway.begin()
    came_ms, true_ms = gateway.clock.now_ms(), world.true_ms
    assert true_ms - came_ms > 4 * HOUR_MS
    said = json.dumps({"case_id": wearer, "order_id": "LDS-1", "order_type": "Pre-Trial"}).encode()
    order_id = take_in(gateway.store, "createMO", "cemo", said, came_ms)
    take_in(gateway.store, "createMO", "cemo", said, came_ms + 1000)
    with gateway.store.write() as connection:
        order_clients.add_token(connection, "digest", "cemo", came_ms + HOUR_MS, came_ms)

    def stamps() -> tuple[list[int], list[int], str, dict[str, Any]]:
        with gateway.store.read() as connection:
            unsure_ms = unsure_from(connection, world)
            shown = view.one(connection, order_id, gateway.clock.now_ms(), unsure_ms)
            (row,) = intake.messages(connection, order_id)
            case = intake.case(connection, order_id)
            raised = {task.raised_ms for task in intake.tasks(connection, order_id)}
            (early,) = intake.messages(connection, wearer)
            known = orders.versions(connection, order_id)[0].known_at_ms
            assert case is not None and early.received_ms == before_ms and len(raised) == 1
            return [row.received_ms, case.added_at_ms, known, *raised], [row.last_ms], early.content, shown

    stamped, last, _, shown = stamps()
    assert set(stamped) == {came_ms} and last == [came_ms + 1000]
    ats = [one["at"] for one in shown["messages"]]
    assert [at.startswith("not before ") for at in ats] == [False, True]
    assert shown["history"][0]["at"].startswith("not before ")
    world.wall_off_ms, world.synchronised = 0, True
    gateway.hear(DEVICES[1], 1000)
    gateway.tick()
    by_ms = true_ms - came_ms
    stamped, last, _, shown = stamps()
    assert set(stamped) == {came_ms + by_ms} and last == [came_ms + by_ms + 1000]
    assert "not before" not in json.dumps(shown)
    with gateway.store.read() as connection:
        assert order_clients.client_of(connection, "digest", came_ms) is None, (
            "how long it counts is not known any more"
        )


def _wearer(name: str) -> bytes:
    return json.dumps({"first_name": name, "last_name": "Example", "date_of_birth": "1990-01-01"}).encode()


def unsure_from(connection: Connection, world: World) -> int | None:
    """As any other process of that box sees it."""
    with pytest.MonkeyPatch.context() as box:
        box.setattr(kernel_clock, "boot", world.boot)
        return gateway_time.unsure_from_ms(connection, "system")


def test_other_processes_read_the_time_from_the_store_and_know_when_it_is_only_a_lower_bound(
    bare: Path, tmp_path: Path
) -> None:
    shutil.copy(bare, file := tmp_path / "store.sqlite")
    store = Store.open(file)
    assert gateway_time.now(store, "system").known, "a machine's clock, where no gateway has ever run"
    box = gateway_time.ThisBox("box")
    clock = BoxClock(store, box, 0)
    assert not gateway_time.now(store, "system").known
    clock.look()
    told = gateway_time.now(store, "system")
    assert told.known and abs(told.ms - clock.now_ms()) < STEP_MS
    with store.write() as connection:
        devices.hear(connection, {DEVICES[0]: told.ms + HOUR_MS})
        state.set_number(connection, "clock_boot", 1)  # and then the machine was switched off and on
    after = gateway_time.now(store, "system")
    assert not after.known and after.ms > told.ms + HOUR_MS
    with pytest.raises(OrderRefused, match="has not been told the time"):
        deactivate(store, f"{DEVICES[0]}-1")
    store.close()
    reader = gateway_time.Reader(store, "system")
    assert reader().ms > 0
    store.engine.dispose()


_ALERT = alerts.AlertEntry("a1", DEVICES[0], None, "strap_open", "open", "high", START_MS, "{}")


def _message(route: str, made_ms: int, round_: int = 0) -> outbox.Delivery:
    return outbox.Delivery(
        0, 1, 1, "open", "high", route, "ann", round_, f"{route}-key", False, made_ms, made_ms + 5000,
        sms_next_ms=made_ms,
    )  # fmt: skip


@given(st.lists(st.integers(-YEAR_MS, YEAR_MS), max_size=6), st.integers(-YEAR_MS, YEAR_MS))
def test_a_certain_line_is_never_left_for_a_clock_that_nobody_keeps(leads: list[int], wall_ms: int) -> None:
    line = Line(1, 0, Basis.SYNCHRONISED, 0, -YEAR_MS)
    told = weigh(line, Look(1000, wall_ms, synchronised=False), leads, YEAR_MS)
    assert told.line == line
