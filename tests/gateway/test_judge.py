"""Committed positions become alerts in the store, once, whatever is killed in between."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.exc import DBAPIError

from core import envelope, wire
from gateway import topics
from gateway.commit import Committer
from gateway.group import Received
from gateway.judge import Judge
from gateway.orders import activate, add_order, deactivate
from gateway.store import Store, alerts, devices
from gateway.trail import positions_of
from tests.community_order import community_order
from tests.gateway.stand_in import EPOCH, START_S, positions
from tests.gateway.vaults import VAULT, sealed

DEVICE = "tag0001"
IN_ZONE = "in_exclusion_zone"
KEY = bytes(32)
INSIDE = {"lat": 51.5, "lon": -0.1}
OUTSIDE = {"lat": 51.6, "lon": -0.1}
SQUARE = [[-0.11, 51.49], [-0.09, 51.49], [-0.09, 51.51], [-0.11, 51.51], [-0.11, 51.49]]
LATER_MS = (START_S + 7200) * 1000


def order(version: int = 1, **change: Any) -> dict[str, Any]:
    zone = {"type": "Polygon", "coordinates": [SQUARE]}
    condition = {"id": "zone-1", "type": "exclusion", "name": "a street", "zone": zone}
    wearer = {"id": "w-1", "name": "Alex Example"}
    fixed = {"version": version, "wearer": wearer, "effective": "2025-01-01T00:00:00Z"}
    return community_order("o-1", condition, **(fixed | change))


class Desk:
    """A store with one device under an order, and somebody who commits what the device says."""

    def __init__(self, folder: Path) -> None:
        self.store = Store.open(folder / "store.sqlite", busy_timeout_ms=0)
        with self.store.write() as connection:
            devices.add(connection, devices.Device(DEVICE, sealed(DEVICE, KEY), b"", 0, None))
        self.committer = Committer(self.store, VAULT, quarantine_rows=10, quarantine_bytes=64)

    def commit(self, *blocks: wire.Block) -> Any:
        topic = topics.up(DEVICE)
        payload = wire.encode_up(wire.Up(EPOCH, 1, blocks))
        sealed = envelope.seal(KEY, DEVICE, topic, payload)
        return self.committer.commit([Received(topic, sealed, 1)])

    def alerts(self) -> Sequence[dict[str, Any]]:
        with self.store.read() as connection:
            return alerts.listing(connection)


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    made = Desk(tmp_path)
    yield made
    made.store.close()


def fit(desk: Desk, fitted_s: int = START_S - 60) -> str:
    add_order(desk.store, order())
    return activate(desk.store, DEVICE, "o-1", fitted_s * 1000)


def fresh_judge(desk: Desk) -> Judge:
    judge = Judge(desk.store)
    judge.refresh()
    return judge


def test_an_incursion_becomes_an_alert_with_number_wearer_and_reasons(desk: Desk) -> None:
    activation = fit(desk)
    judge = fresh_judge(desk)
    judge.add(desk.commit(positions(1, 5, **INSIDE)))
    assert judge.judge((START_S + 300) * 1000) == 1
    (alert,) = desk.alerts()
    assert (alert["number"], alert["revision"], alert["device"]) == (1, 1, DEVICE)
    assert (alert["activation"], alert["condition"], alert["rule"]) == (activation, "zone-1", IN_ZONE)
    assert alert["wearer"] == {"id": "w-1", "name": "Alex Example"}
    assert alert["readings"][0] == [EPOCH, 1]


def test_a_kill_between_commit_and_judgement_loses_no_alert(desk: Desk) -> None:
    fit(desk)
    desk.commit(positions(1, 5, **INSIDE))  # and then the ingest is gone
    assert fresh_judge(desk).judge(LATER_MS) > 0
    assert "open" in {alert["state"] for alert in desk.alerts()}


def test_a_new_judge_says_nothing_twice(desk: Desk) -> None:
    fit(desk)
    judge = fresh_judge(desk)
    judge.add(desk.commit(positions(1, 5, **INSIDE)))
    judge.judge(LATER_MS)
    before = desk.alerts()
    assert fresh_judge(desk).judge(LATER_MS) == 0
    assert desk.alerts() == before


def test_what_stored_readings_no_longer_say_is_withdrawn_by_the_next_judge(desk: Desk) -> None:
    fit(desk)
    judge = fresh_judge(desk)
    judge.add(desk.commit(positions(1, 5, **INSIDE)))
    judge.judge(LATER_MS)
    with desk.store.write() as connection:
        (standing,) = [alert for alert in alerts.standing(connection, ()).values() if alert.state == "open"]
        alerts.put(
            connection,
            [alerts.AlertEntry("ghost", DEVICE, standing.activation, "x", "open", "high", 0, "{}")],
            5,
        )
    assert fresh_judge(desk).judge(LATER_MS - 1000) == 0, "before the clock is back where it was"
    assert fresh_judge(desk).judge(LATER_MS) == 1
    assert [alert["state"] for alert in desk.alerts()] == ["withdrawn", "open"]


def test_a_device_fitted_later_is_judged_by_what_is_stored_already(desk: Desk) -> None:
    judge = fresh_judge(desk)
    judge.add(desk.commit(positions(1, 5, **INSIDE)))
    assert judge.judge(LATER_MS) == 0
    fit(desk)
    judge.refresh()
    assert judge.judge(LATER_MS) > 0


def test_positions_before_fitting_and_after_removal_are_not_the_wearers(desk: Desk) -> None:
    activation = fit(desk, START_S + 5 * 60)
    deactivate(desk.store, activation, (START_S + 10 * 60) * 1000)
    judge = fresh_judge(desk)
    judge.add(desk.commit(positions(1, 5, **INSIDE), positions(6, 5, **OUTSIDE), positions(11, 5, **INSIDE)))
    judge.judge(LATER_MS)
    assert [alert for alert in desk.alerts() if alert["rule"] == IN_ZONE] == []


def test_a_changed_order_is_taken_over_while_running(desk: Desk) -> None:
    fit(desk)
    judge = fresh_judge(desk)
    judge.add(desk.commit(positions(1, 5, **INSIDE)))
    judge.judge(LATER_MS)
    elsewhere = [[lon, lat + 1] for lon, lat in SQUARE]
    zone = {"type": "Polygon", "coordinates": [elsewhere]}
    moved = [{"id": "zone-1", "type": "exclusion", "name": "a street", "zone": zone}]
    add_order(desk.store, order(2, conditions=moved))
    judge.refresh()
    judge.judge(LATER_MS)
    assert {alert["state"] for alert in desk.alerts() if alert["rule"] == IN_ZONE} <= {"withdrawn"}


def test_an_alert_that_could_not_be_written_is_written_when_it_can(desk: Desk, tmp_path: Path) -> None:
    fit(desk)
    judge = fresh_judge(desk)
    judge.add(desk.commit(positions(1, 5, **INSIDE)))
    other = sqlite3.connect(tmp_path / "store.sqlite", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(DBAPIError):
        judge.judge(LATER_MS)
    other.execute("ROLLBACK")
    other.close()
    assert judge.judge(LATER_MS) > 0
    assert desk.alerts()


def test_an_envelope_that_somebody_changed_on_disk_hides_nothing_else(desk: Desk, tmp_path: Path) -> None:
    fit(desk)
    desk.commit(positions(1, 1, **OUTSIDE))
    desk.commit(positions(2, 5, **INSIDE))
    other = sqlite3.connect(tmp_path / "store.sqlite")
    other.execute("UPDATE envelope SET data = x'00' WHERE id = 1")
    other.commit()
    other.close()
    fresh_judge(desk).judge(LATER_MS)
    assert IN_ZONE in {alert["rule"] for alert in desk.alerts()}
    with desk.store.read() as connection, pytest.raises(ValueError, match="COSE"):
        positions_of(connection, DEVICE)


def test_an_order_that_this_program_can_not_read_hides_no_other(desk: Desk, tmp_path: Path) -> None:
    fit(desk)
    with desk.store.write() as connection:
        devices.add(connection, devices.Device("tag0002", sealed("tag0002", KEY), b"", 0, None))
    add_order(desk.store, order(order_id="o-2"))
    activate(desk.store, "tag0002", "o-2", START_S * 1000)
    other = sqlite3.connect(tmp_path / "store.sqlite")
    other.execute("""UPDATE order_version SET document = '{"order_id": "o-2"}' WHERE order_id = 'o-2'""")
    other.commit()
    other.close()
    judge = fresh_judge(desk)
    judge.add(desk.commit(positions(1, 5, **INSIDE)))
    assert judge.judge(LATER_MS) > 0
