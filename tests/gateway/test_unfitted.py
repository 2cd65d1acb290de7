"""An order under which nobody wears a tag is told of: before it begins where it is not whole, then in any case."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from alembic import command
from alembic.config import Config
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from core.order import order_from_json
from gateway.check import check
from gateway.cli import app
from gateway.orders import activate, add_order, deactivate, unfitted
from gateway.policy import Policy
from gateway.retention import plan
from gateway.still_needed import survey_of
from gateway.store import Store, alerts, outbox
from gateway.store.database import MIGRATIONS
from gateway.store.dialect import WRITES, make_engine, url_of
from gateway.store.orders import ActivationRow
from gateway.store.tables import alert, order_due
from gateway.web.stored import StoredBook
from tests.community_order import community_order, every_day
from tests.gateway.kept_store import keep
from tests.gateway.one_tag import TAG, store_with_a_tag

MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000
BEGINS = 1_767_225_600_000
"""1 January 2026, when the order of these tests takes effect."""
ENDS = 1_780_272_000_000
"""1 June 2026, when it ends where it has an end."""
HOME = {"name": "primary", "latitude": 52.0, "longitude": 0.0, "radius_m": 30}
CURFEW = {"id": "curfew", "type": "curfew", "address": HOME, "timetable": every_day("19:00", "07:00")}
COURT_TEXT = {
    "id": "exclusion-1",
    "type": "exclusion",
    "name": "not to enter the High Street",
    "not_monitored": "it is court text, without a place on the map",
    "stated": {"court_text": "not to enter the High Street"},
}


store = pytest.fixture(store_with_a_tag)


def listed(store: Store) -> list[tuple[str, str, str]]:
    with store.read() as connection:
        return [(one["rule"], one["severity"], one["state"]) for one in alerts.listing(connection)]


def looked(store: Store, now_ms: int) -> list[tuple[str, str, str]]:
    """What stands when the gateway has looked at ``now_ms``, and again when the time for second thoughts is over."""
    unfitted.look(store, now_ms)
    unfitted.look(store, now_ms + unfitted.SOON_MS)
    return listed(store)


RULE = unfitted.RULE


def test_an_order_in_force_without_a_tag_is_told_once_and_until_somebody_acknowledges_it(
    store: Store,
) -> None:
    add_order(store, community_order("o-1", CURFEW))
    assert listed(store) == []
    assert looked(store, BEGINS + DAY) == [(RULE, "high", "open")]
    for later in range(2, 40):
        unfitted.look(store, BEGINS + later * DAY)
    with store.read() as connection:
        (row,) = alerts.listing(connection)
        assert (row["device"], row["activation"], row["revision"]) == (None, None, 1), "told once"
        assert (row["order"], row["wearer"]["name"]) == ("o-1", "Alex Example")
        assert [len(told) for told in outbox.undecided(connection).values()] == [1], (
            "in the outbox, to be escalated"
        )
        assert outbox.about(connection, row["number"]) == outbox.About(RULE, "community_order", "o-1")
    assert "nothing of it is monitored. Fit a tag." in row["sentence"]


def test_an_order_that_is_not_whole_is_told_before_it_begins_and_anew_when_it_does(store: Store) -> None:
    add_order(store, community_order("o-1", CURFEW, COURT_TEXT))
    assert looked(store, BEGINS - 3 * DAY) == [(RULE, "medium", "open")]
    with store.read() as connection:
        (row,) = alerts.listing(connection)
    assert (
        "1 of 2 conditions are NOT MONITORED: “not to enter the High Street” (it is court text"
        in row["sentence"]
    )
    unfitted.look(store, BEGINS)
    assert listed(store) == [(RULE, "high", "open")]
    with store.read() as connection:
        told = [one.severity for one in outbox.undecided(connection)[row["number"]]]
    assert told == ["medium", "high"], (
        "what is more severe wakes people again, whoever has acknowledged it before"
    )


def test_an_order_that_is_whole_is_told_of_to_nobody_before_it_begins(store: Store) -> None:
    add_order(store, community_order("o-1", CURFEW))
    assert looked(store, BEGINS - 3 * DAY) == []
    unfitted.look(store, BEGINS - 1)
    assert listed(store) == []
    unfitted.look(store, BEGINS)
    assert listed(store) == [(RULE, "high", "open")]


def test_a_completed_order_is_no_news_any_more_before_it_begins(store: Store) -> None:
    add_order(store, community_order("o-1", CURFEW, COURT_TEXT))
    looked(store, BEGINS - 3 * DAY)
    zone = {"type": "Point", "coordinates": [0.0, 52.0], "radius_m": 100}
    whole = {"id": "exclusion-1", "type": "exclusion", "name": "High Street", "zone": zone}
    add_order(store, community_order("o-1", CURFEW, whole, version=2))
    unfitted.look(store, BEGINS - 2 * DAY)
    assert listed(store) == [(RULE, "medium", "ended")]


def test_the_fitting_ends_it_at_once_and_a_condition_that_nothing_watches_is_told_then(store: Store) -> None:
    add_order(store, community_order("o-1", CURFEW, COURT_TEXT))
    looked(store, BEGINS + DAY)
    activate(store, TAG, "o-1", BEGINS + DAY + HOUR)
    assert sorted(listed(store)) == [("not_monitored", "high", "open"), (RULE, "high", "ended")]
    assert looked(store, BEGINS + 2 * DAY) == listed(store)


def test_an_order_that_is_entered_and_fitted_in_one_go_is_told_of_to_nobody(store: Store) -> None:
    add_order(store, community_order("o-1", CURFEW))
    unfitted.look(store, BEGINS + DAY)
    activate(store, TAG, "o-1", BEGINS + DAY + MINUTE)
    assert looked(store, BEGINS + DAY + 2 * MINUTE) == []


def test_a_tag_that_is_taken_off_and_not_replaced_is_told_of_where_the_order_goes_on(store: Store) -> None:
    add_order(store, community_order("o-1", CURFEW, end="2026-06-01T00:00:00Z"))
    worn = activate(store, TAG, "o-1", BEGINS + DAY)
    deactivate(store, worn, BEGINS + 9 * DAY)
    assert looked(store, BEGINS + 9 * DAY) == [], "it may be a swap"
    unfitted.look(store, BEGINS + 9 * DAY + unfitted.SWAP_MS)
    assert listed(store) == [(RULE, "high", "open")]
    unfitted.look(store, ENDS)
    assert listed(store) == [(RULE, "high", "ended")], "the order is over"


def test_an_order_without_an_end_is_over_when_its_tag_is_taken_off(store: Store) -> None:
    add_order(store, community_order("o-1", CURFEW))
    deactivate(store, activate(store, TAG, "o-1", BEGINS + DAY), BEGINS + 9 * DAY)
    assert looked(store, BEGINS + 30 * DAY) == []


def test_a_suspended_order_needs_no_tag_until_it_goes_on(store: Store) -> None:
    stay = {"from": "2026-01-01T00:00:00Z", "to": "2026-02-01T00:00:00Z", "reason": "in hospital"}
    add_order(store, community_order("o-1", CURFEW, suspensions=[stay]))
    assert looked(store, BEGINS + DAY) == []
    unfitted.look(store, BEGINS + 31 * DAY)
    assert listed(store) == [(RULE, "high", "open")]


@given(
    st.lists(st.integers(0, 20), min_size=1, max_size=3),
    st.lists(st.tuples(st.integers(0, 20), st.none() | st.integers(0, 20)), max_size=2),
    st.integers(-2, 22),
)
def test_nothing_changes_between_one_look_and_the_next(
    starts: list[int], worn: list[tuple[int, int | None]], day: int
) -> None:
    def instant(day: int) -> str:
        return f"2026-01-{day + 1:02d}T00:00:00Z"

    orders = [
        order_from_json(
            community_order("o-1", CURFEW, COURT_TEXT, version=n, effective=instant(start), end=instant(24))
        )
        for n, start in enumerate(sorted(starts), 1)
    ]
    rows = [
        ActivationRow(
            f"a-{n}", TAG, "o-1", BEGINS + on * DAY, None if off is None else BEGINS + (on + off) * DAY
        )
        for n, (on, off) in enumerate(worn)
    ]
    now_ms = BEGINS + day * DAY
    found = unfitted.unfitted(orders, rows, now_ms)
    until_ms = now_ms + 9 * DAY if found.next_ms is None else found.next_ms
    assert until_ms > now_ms
    for between in (now_ms + 1, (now_ms + until_ms) // 2, until_ms - 1):
        assert unfitted.unfitted(orders, rows, max(between, now_ms)).severity == found.severity


def test_every_reader_of_alerts_takes_one_without_a_device(tmp_path: Path) -> None:
    kept = keep(tmp_path / "box")
    add_order(kept.store, community_order("o-1", CURFEW, end="2026-06-01T00:00:00Z"))
    looked(kept.store, BEGINS + DAY)
    record = StoredBook(kept.store).numbered(1)
    assert record is not None
    assert (record.device, record.activation, record.order) == (None, None, "o-1")
    assert record.wearer is not None
    assert record.wearer.name == "Alex Example"
    assert json.loads(record.model_dump_json())["device"] is None
    assert check(kept.store, kept.vault).faults == []
    kept.store.close()
    shown = CliRunner().invoke(app, ["alerts", "--data-dir", str(tmp_path / "box"), "--json"])
    assert [one["rule"] for one in json.loads(shown.output)] == [RULE]


def test_the_order_keeps_what_stands_while_its_own_alert_is_open_and_loses_it_with_the_others(
    store: Store,
) -> None:
    add_order(store, community_order("o-1", CURFEW, end="2026-06-01T00:00:00Z"))
    looked(store, BEGINS + DAY)
    worn = activate(store, TAG, "o-1", BEGINS + 2 * DAY)
    deactivate(store, worn, BEGINS + 3 * DAY)
    assert looked(store, BEGINS + 4 * DAY) == [(RULE, "high", "open")]
    with store.read() as connection:
        case = survey_of(connection, BEGINS + 5 * DAY).cases["o-1"]
    assert case.needed == ("alert 1 is open",)
    unfitted.look(store, ENDS)
    chosen = Policy.model_validate({"version": "1", "source": "x", "alerts": {"days": 1, "text": "y"}})
    years_later = ENDS + 9 * 365 * DAY
    assert plan(store, chosen, years_later).items == {"alerts": 1}


def test_a_store_of_before_is_brought_to_this_form_with_all_that_it_holds(tmp_path: Path) -> None:
    path = tmp_path / "old.sqlite"
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    engine = make_engine(url_of(path), 1000)
    with engine.execution_options(**{WRITES: True}).begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0013")
        for words in OF_BEFORE:
            connection.exec_driver_sql(words)
    engine.dispose()
    store = Store.open(path)
    try:
        with store.write() as connection:
            assert connection.exec_driver_sql("PRAGMA integrity_check").scalar() == "ok"
            assert connection.exec_driver_sql("PRAGMA foreign_key_check").all() == []
            assert [tuple(row) for row in connection.execute(order_due.select())] == [("o-1", 0)]
            connection.execute(alert.update().values(device=None))
        with store.read() as connection:
            assert alerts.revisions(connection, 7) == [{"rule": "no_contact", "revision": 1, "at_ms": 5}]
    finally:
        store.close()


OF_BEFORE = (
    "INSERT INTO device (id, key, certificate, added_at_ms) VALUES ('tag0001', x'00', x'00', 0)",
    "INSERT INTO order_version VALUES ('o-1', 1, 0, 0, 'w-1', 'Alex Example', '{}')",
    "INSERT INTO order_version VALUES ('o-1', 2, 0, 0, 'w-1', 'Alex Example', '{}')",
    "INSERT INTO alert (number, id, revision, device, rule, state, severity, start_ms, raised_at_ms, changed_at_ms, "
    "document) VALUES (7, 'a', 1, 'tag0001', 'no_contact', 'open', 'high', 1, 5, 5, '{}')",
    'INSERT INTO alert_revision (alert, revision, at_ms, document) VALUES (7, 1, 5, \'{"rule": "no_contact"}\')',
)
"""Rows of a store in form 0013, where every alert was of a device."""
