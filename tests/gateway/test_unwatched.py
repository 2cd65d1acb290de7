"""A condition that nothing watches is an alert while a tag is worn, and an exception in words suppresses none."""

from __future__ import annotations

from typing import Any

import pytest

from core.activation import Activation
from core.alerts import About, raise_alert
from core.order import order_from_json
from gateway.orders import activate, add_order, deactivate
from gateway.orders.unwatched import with_exception
from gateway.store import Store, alerts, outbox
from tests.community_order import community_order, every_day
from tests.gateway.one_tag import TAG, store_with_a_tag

HOME = {"name": "primary", "latitude": 52.0, "longitude": 0.0, "radius_m": 30}
EXCEPT = "not to enter except to attend court"


store = pytest.fixture(store_with_a_tag)


def curfew(**changes: Any) -> dict[str, Any]:
    hours = [{"address": "primary", "timetable": every_day("19:00", "07:00")}]
    return {
        "id": "curfew",
        "type": "curfew",
        "name": "Curfew with EM",
        "not_monitored": "its address has no place on the map yet",
        "hours": hours,
        "stated": {"court_text": "at home", "addresses": {"primary": "1 High Street"}},
    } | changes


def listed(store: Store) -> list[tuple[str, str, str]]:
    with store.read() as connection:
        return [(one["rule"], one["condition"], one["state"]) for one in alerts.listing(connection)]


def test_a_worn_tag_under_an_order_that_can_not_be_watched_is_told_until_it_can(store: Store) -> None:
    add_order(store, community_order("o-1", curfew()))
    assert listed(store) == [], "nobody wears anything yet: nothing is monitored, and tasks say so"
    activate(store, TAG, "o-1", 1_000)
    assert listed(store) == [("not_monitored", "curfew", "open")]
    with store.read() as connection:
        assert len(outbox.undecided(connection)) == 1, (
            "it goes to people, and on until somebody acknowledges it"
        )
    add_order(store, community_order("o-1", curfew(), version=2, effective="2026-02-01T00:00:00Z"))
    with store.read() as connection:
        (row,) = alerts.listing(connection)
    assert row["revision"] == 1, "another version that says the same is no news"
    placed = {"id": "curfew", "type": "curfew", "address": HOME, "timetable": every_day("19:00", "07:00")}
    add_order(store, community_order("o-1", placed, version=3, effective="2026-03-01T00:00:00Z"))
    assert listed(store) == [("not_monitored", "curfew", "ended")]
    add_order(store, community_order("o-1", curfew(), version=4, effective="2026-04-01T00:00:00Z"))
    assert listed(store) == [("not_monitored", "curfew", "open")]


def test_the_alert_ends_when_the_tag_is_taken_off(store: Store) -> None:
    add_order(store, community_order("o-1", curfew(), {"id": "x", "type": "retina"}))
    worn = activate(store, TAG, "o-1", 1_000)
    assert sorted(listed(store)) == [("not_monitored", "curfew", "open"), ("not_monitored", "x", "open")]
    deactivate(store, worn, 2_000)
    assert {state for _, _, state in listed(store)} == {"ended"}


def test_an_exception_in_words_stands_with_the_alert_and_the_alert_stands() -> None:
    zone = {"type": "Point", "coordinates": [0.0, 52.0], "radius_m": 100}
    market = {"id": "market", "type": "exclusion", "name": "Market", "zone": zone, "exception": EXCEPT}
    order = order_from_json(community_order("o-1", market, {"id": "trail", "type": "trail"}))
    assert order.exception_to("market") == EXCEPT
    worn = Activation("a-1", TAG, order, 1_000)

    def alert(condition: str) -> Any:
        about = About("a-1", condition, 1, "r")
        return raise_alert(about, "in_exclusion_zone", "high", 5, None, "Inside.", {"n": 1}, (), (5,))

    told = with_exception(alert("market"), worn)
    assert told.figures == {"n": 1, "stated_exception": EXCEPT}
    assert (told.id, told.state, told.severity) == (alert("market").id, "open", "high")
    assert with_exception(alert("trail"), worn) == alert("trail")


def test_of_an_order_that_has_ended_nothing_is_wanting(store: Store) -> None:
    add_order(store, community_order("o-1", curfew()))
    activate(store, TAG, "o-1")
    assert listed(store) == [("not_monitored", "curfew", "open")]
    add_order(store, community_order("o-1", curfew(), version=2, end="2020-02-01T00:00:00Z"))
    assert listed(store) == [("not_monitored", "curfew", "ended")]
