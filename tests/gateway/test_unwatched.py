"""A condition that nothing watches is an alert while a tag is worn, and an exception in words suppresses none."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.activation import Activation
from core.alerts import About, instant_ms, raise_alert
from core.order import order_from_json
from gateway.orders import activate, add_order, deactivate, unfitted
from gateway.orders.unwatched import next_ms, unwatched, with_exception
from gateway.store import Store, alerts, outbox
from tests.community_order import community_order, every_day
from tests.gateway.one_tag import TAG, store_with_a_tag

DAY = 86_400_000
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


def test_a_completion_that_acts_only_later_ends_the_alert_then_and_not_before(store: Store) -> None:
    """What is in force now is what counts; and that a version begins to act is seen with nobody there."""
    begins_ms = 1_767_225_600_000
    add_order(store, community_order("o-1", curfew()))
    activate(store, TAG, "o-1", begins_ms + DAY)
    unfitted.look(store, begins_ms + DAY)
    placed = {"id": "curfew", "type": "curfew", "address": HOME, "timetable": every_day("19:00", "07:00")}
    add_order(store, community_order("o-1", placed, version=2, effective="2099-01-11T00:00:00Z"))
    acts_ms = instant_ms("2099-01-11T00:00:00Z")
    assert listed(store) == [("not_monitored", "curfew", "open")]
    for now_ms in (begins_ms + 2 * DAY, acts_ms - 1):
        unfitted.look(store, now_ms)
        assert listed(store) == [("not_monitored", "curfew", "open")]
    unfitted.look(store, acts_ms)
    assert listed(store) == [("not_monitored", "curfew", "ended")]
    with store.read() as connection:
        (row,) = alerts.listing(connection)
    assert instant_ms(row["end"]) == acts_ms


def test_what_a_later_version_leaves_unwatched_is_told_when_it_begins_to_act(store: Store) -> None:
    placed = {"id": "curfew", "type": "curfew", "address": HOME, "timetable": every_day("19:00", "07:00")}
    add_order(store, community_order("o-1", placed))
    activate(store, TAG, "o-1", 1_767_225_600_000)
    moved = community_order("o-1", curfew(), version=2, effective="2099-01-11T00:00:00Z")
    add_order(store, moved | {"end": "2099-02-01T00:00:00Z"})
    unfitted.look(store, instant_ms("2099-01-10T00:00:00Z"))
    assert listed(store) == [], "the curfew that holds now is watched"
    unfitted.look(store, instant_ms("2099-01-11T00:00:00Z"))
    assert listed(store) == [("not_monitored", "curfew", "open")]
    unfitted.look(store, instant_ms("2099-02-01T00:00:00Z"))
    assert listed(store) == [("not_monitored", "curfew", "ended")], "the order is over"


@given(
    st.lists(st.tuples(st.integers(0, 20), st.booleans(), st.integers(0, 30)), min_size=1, max_size=4),
    st.integers(-2, 32),
)
def test_between_one_look_and_the_next_the_same_is_unwatched(
    said: list[tuple[int, bool, int]], day: int
) -> None:
    placed = {"id": "curfew", "type": "curfew", "address": HOME, "timetable": every_day("19:00", "07:00")}
    begins_ms = 1_767_225_600_000
    versions = [
        order_from_json(
            community_order(
                "o-1",
                {**(placed if whole else curfew()), "to": f"2026-01-{until + 1:02d}T00:00:00Z"},
                version=number,
                effective=f"2026-01-{start + 1:02d}T00:00:00Z",
            )
        )
        for number, (start, whole, until) in enumerate(said, 1)
    ]
    now_ms = begins_ms + day * DAY
    until_ms = next_ms(versions, now_ms)
    if until_ms is None:
        until_ms = now_ms + 99 * DAY
    _, missing = unwatched(versions, now_ms)
    for between in (now_ms + 1, (now_ms + until_ms) // 2, until_ms - 1):
        assert unwatched(versions, max(between, now_ms))[1] == missing


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
