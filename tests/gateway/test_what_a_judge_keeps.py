"""A gateway that runs for a year does not keep every alert in memory, and says the same as one that does."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy.exc import DBAPIError

from core.monitor import Monitor
from gateway.judge import Judge
from gateway.orders import add_order
from gateway.store import alerts
from tests.gateway.stand_in import START_S, positions
from tests.gateway.test_judge import DEVICE, INSIDE, OUTSIDE, Desk, fit, order

VISITS, STAY, ROUND = 40, 5, 20
"""So often he goes into the zone, for so many minutes, out of so many."""
LAST_MS = (START_S + (VISITS + 1) * ROUND * 60) * 1000


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    made = Desk(tmp_path)
    yield made
    made.store.close()


def forgetful(desk: Desk) -> Judge:
    """Keeps alerts for two hours, and next to no readings."""
    judge = Judge(desk.store, keep_readings=4, checkpoint_readings=4, remember_s=7200)
    judge.refresh()
    return judge


def monitor_of(judge: Judge) -> Monitor:
    return judge._monitor


def kept(judge: Judge, activation: str) -> int:
    return len(monitor_of(judge)._cases[activation].settled)


def live(desk: Desk, judge: Judge, *, first: int = 0, last: int = VISITS) -> int:
    """Visit after visit, judged each time; returns the most settled alerts that were kept at a time."""
    most = 0
    for visit in range(first, last):
        number = visit * ROUND + 1
        judge.add(desk.commit(positions(number, STAY, **INSIDE)))
        judge.add(desk.commit(positions(number + STAY, ROUND - STAY, **OUTSIDE)))
        judge.judge((START_S + (visit + 1) * ROUND * 60) * 1000)
        most = max(most, kept(judge, f"{DEVICE}-1"))
    judge.judge(LAST_MS)
    return most


def visits(desk: Desk) -> list[str]:
    return [
        one["start"]
        for one in desk.alerts()
        if one["rule"] == "in_exclusion_zone" and one["state"] != "withdrawn"
    ]


def test_settled_alerts_are_let_go_of_when_they_are_in_the_store(desk: Desk) -> None:
    fit(desk)
    assert live(desk, forgetful(desk)) < VISITS // 3
    assert len(visits(desk)) == VISITS
    assert forgetful(desk).judge(LAST_MS) == 0, "one that reads all of it anew says the same"


def test_a_judge_that_begins_compares_what_stands_before_it_forgets_any_of_it(desk: Desk) -> None:
    activation = fit(desk)
    live(desk, forgetful(desk))
    with desk.store.write() as connection:
        ghost = alerts.AlertEntry("ghost", DEVICE, activation, "x", "open", "high", 0, '{"rule": "x"}')
        alerts.put(connection, [ghost], LAST_MS)
    judge = forgetful(desk)
    assert judge.judge(LAST_MS - 1) == 0, "before the clock is back where it was"
    assert kept(judge, activation) >= VISITS - 1
    assert judge.judge(LAST_MS) == 1
    with desk.store.read() as connection:
        assert "ghost" not in alerts.standing(connection, ())
    assert kept(judge, activation) < VISITS // 3, "and now they need not be kept"


def test_an_order_that_changes_takes_back_what_has_long_been_forgotten(desk: Desk) -> None:
    fit(desk)
    judge = forgetful(desk)
    live(desk, judge)
    assert len(visits(desk)) == VISITS
    zone = {"type": "Polygon", "coordinates": [[[1, 1], [1.01, 1], [1.01, 1.01], [1, 1]]]}
    moved = [{"id": "zone-1", "type": "exclusion", "name": "a street", "zone": zone}]
    add_order(desk.store, order(2, conditions=moved))
    judge.refresh()
    judge.judge(LAST_MS)
    assert visits(desk) == []
    assert forgetful(desk).judge(LAST_MS) == 0


def test_a_reading_that_comes_after_everything_was_forgotten_changes_the_alert_that_it_belongs_to(
    desk: Desk,
) -> None:
    fit(desk)
    judge = forgetful(desk)
    live(desk, judge, first=1)
    before = sorted(visits(desk))
    judge.add(desk.commit(positions(1, STAY, **INSIDE)))
    judge.judge(LAST_MS)
    after = sorted(visits(desk))
    assert after[0] < before[0], "the first visit of all began earlier"
    assert after[1:] == before[1:]
    assert forgetful(desk).judge(LAST_MS) == 0


def test_what_could_not_be_written_yet_is_not_lost_when_it_has_to_be_remembered(
    desk: Desk, tmp_path: Path
) -> None:
    activation = fit(desk)
    judge = forgetful(desk)
    live(desk, judge)
    before = sorted(visits(desk))
    judge.add(desk.commit(positions(VISITS * ROUND + 1, STAY, **INSIDE)))
    other = sqlite3.connect(tmp_path / "store.sqlite", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(DBAPIError):
        judge.judge(LAST_MS)
    monitor_of(judge).rebind(monitor_of(judge)._cases[activation].activation)
    with pytest.raises(DBAPIError):
        judge.judge(LAST_MS)
    other.execute("ROLLBACK")
    other.close()
    judge.judge(LAST_MS)
    assert sorted(visits(desk))[:-1] == before
    assert forgetful(desk).judge(LAST_MS) == 0
