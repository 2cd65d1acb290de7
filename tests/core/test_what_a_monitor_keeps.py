"""What a monitor keeps in memory: as little as it is allowed, and nothing of those who are gone; the alerts are the
same."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from core.activation import Activation
from core.alerts import Alert
from core.contact import NO_CONTACT
from core.curfew import CurfewWatch
from core.geofence import Geofence
from core.monitor import Monitor, evaluate
from core.periods import PeriodPool
from core.readings import Positions
from core.rules import DEFAULT_RULES
from core.slots import Slots, room_for
from tests.core.test_any_order_of_arrival import arrivals
from tests.core.test_monitor import walk
from tests.core.wearers import DAY_MS, MONDAY_MS, Case, activation, cases


class Desk:
    """A monitor that keeps next to nothing, and a store that has all: what was committed, what was told."""

    def __init__(
        self, case: Activation, checkpoint_readings: int, keep_readings: int, remember_s: int
    ) -> None:
        self.case = case
        self.stored: list[Positions] = []
        self.told: dict[str, Alert] = {}
        self.asked = 0
        self.monitor = Monitor(
            checkpoint_readings=checkpoint_readings,
            keep_readings=keep_readings,
            recall=lambda name, from_ms: Positions.concatenate(self.stored),
            recall_alerts=self.recall_alerts,
            remember_s=remember_s,
        )
        self.monitor.bind(case)

    def recall_alerts(self, name: str) -> list[Alert]:
        assert name == self.case.id
        self.asked += 1
        return [alert for alert in self.told.values() if alert.state != "withdrawn"]

    def add(self, positions: Positions) -> None:
        self.stored.append(positions)
        self.monitor.add(self.case.id, positions)

    def judge(self, now_ms: int) -> None:
        for alert in self.monitor.judge(now_ms):
            assert self.told.get(alert.id) != alert, "told without a change"
            self.told[alert.id] = alert

    def standing(self) -> dict[str, Alert]:
        return {alert.id: alert for alert in self.told.values() if alert.state != "withdrawn"}


@given(st.data(), cases())
@settings(max_examples=150, deadline=None)
def test_a_monitor_that_forgets_what_it_has_told_ends_in_the_same_alerts(
    data: st.DataObject, case: Case
) -> None:
    desk = Desk(
        case.activation,
        data.draw(st.sampled_from([1, 2, 5])),
        data.draw(st.sampled_from([0, 1, 3])),
        data.draw(st.sampled_from([0, 600, 7200])),
    )
    for step in [*data.draw(arrivals(case)), case.now_ms]:
        if isinstance(step, int):
            desk.judge(step)
        else:
            desk.add(step)
            if data.draw(st.booleans()):
                desk.monitor.rebind(case.activation)
    whole = evaluate([case.activation], {case.activation.id: case.positions}, case.now_ms)
    assert desk.standing() == {alert.id: alert for alert in whole}
    assert desk.monitor.alerts() == whole
    desk.judge(case.now_ms)


def test_settled_alerts_are_let_go_of_and_asked_for_when_a_reading_comes_too_late() -> None:
    rows = walk(7200)
    desk = Desk(activation(), 64, 16, 2 * 86_400)
    late = 100
    for first in range(0, 7200, 20):
        if first != late:
            desk.add(rows.take(slice(first, first + 20)))
        desk.judge(int(rows.t_ms[first + 19]))
    kept = desk.monitor._cases[desk.case.id]
    ended = [alert for alert in desk.standing().values() if alert.state == "ended"]
    assert kept.forgotten > 0.3 * len(ended)
    assert desk.asked == 0
    desk.add(rows.take(slice(late, late + 20)))
    now_ms = int(rows.t_ms[-1])
    desk.judge(now_ms)
    assert desk.asked == 1
    whole = evaluate([desk.case], {desk.case.id: rows}, now_ms)
    assert desk.standing() == {alert.id: alert for alert in whole}
    assert desk.monitor.alerts() == whole


def test_a_device_that_is_silent_is_not_asked_for_among_forgotten_alerts() -> None:
    rows = walk(3000)
    desk = Desk(activation(), 16, 4, 3600)
    limit_ms = DEFAULT_RULES.no_contact_s * 1000
    desk.monitor.heard(desk.case.id, MONDAY_MS)
    desk.judge(MONDAY_MS + limit_ms)
    assert NO_CONTACT in {alert.rule for alert in desk.told.values()}
    for first in range(20, 3000, 20):
        desk.add(rows.take(slice(first, first + 20)))
        desk.judge(int(rows.t_ms[first]))
    desk.add(rows.take(slice(0, 20)))
    desk.judge(int(rows.t_ms[-1]))
    assert desk.asked
    (silence,) = [alert for alert in desk.standing().values() if alert.rule == NO_CONTACT]
    assert silence.state == "open"


def test_who_comes_and_goes_leaves_no_room_taken() -> None:
    """Rows are counted, not bytes."""
    monitor = Monitor()
    rooms = []
    rows = walk(100)
    for i in range(60):
        case = replace(activation(), id=f"a{i}", device=f"d{i}")
        for _ in range(5):
            monitor.bind(case)
            monitor.add(case.id, rows)
            monitor.judge(MONDAY_MS + i * DAY_MS)
            monitor.rebind(replace(case, removed_ms=MONDAY_MS + (i + 90) * DAY_MS))
            monitor.judge(MONDAY_MS + (i + 1) * DAY_MS)
            monitor.unbind(case.id)
        (geofence,) = (family for family in monitor._families if isinstance(family, Geofence))
        (curfews,) = (family for family in monitor._families if isinstance(family, CurfewWatch))
        rooms.append(
            (
                *geofence._zones.room(),
                len(geofence._anchors),
                len(geofence._visits),
                len(geofence._plans),
                len(geofence._pieces),
                len(curfews._slots),
                len(curfews._stays),
                len(curfews._places),
                len(curfews._calendars),
                len(monitor._numbered),
            )
        )
        # a calendar that reaches further needs more room, of another length each time
        assert len(geofence._periods) + len(curfews._calendars._periods) < 1000
    assert set(rooms) == {rooms[0]}
    assert not monitor.judge(MONDAY_MS + 400 * DAY_MS)


@given(st.lists(st.tuples(st.integers(1, 40), st.booleans()), max_size=200))
@settings(max_examples=60, deadline=None)
def test_periods_stay_where_they_were_put_until_they_are_dropped(steps: list[tuple[int, bool]]) -> None:
    pool = PeriodPool()
    there: dict[tuple[int, int], int] = {}
    for number, (count, drop) in enumerate(steps):
        if drop and there:
            pool.drop(*there.popitem()[0])
        else:
            there[pool.put(np.full((count, 2), number))] = number
        for (first, last), content in there.items():
            assert (pool.rows[first:last] == content).all()
    taken = sorted(there)
    assert all(before[1] <= after[0] for before, after in itertools.pairwise(taken))


def test_a_million_runs_taken_and_given_back_take_no_more_room_than_those_in_use_at_once() -> None:
    slots = Slots(np.zeros(1, np.dtype([("a", np.int64)])))
    rng = np.random.default_rng(3)
    held: list[tuple[int, int]] = []
    for count in rng.integers(1, 60, 200_000).tolist():
        if len(held) == 40:
            slots.give_back(*held.pop(int(rng.integers(40))))
        length = room_for(count)
        held.append((slots.take(length), length))
    assert len(slots) <= sum(40 * length for length in {room_for(count) for count in range(1, 60)})
    assert all(count <= room_for(count) <= 1.25 * count for count in range(4, 10_000))
