"""A change of an order acts from its effective time and loses nothing that was recorded for later."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.activation import Activation
from gateway.orders import OrderRefused, Orders, activate, add_order
from gateway.orders.kinds import Kind
from gateway.orders.next_version import Change, Document, NothingChangesError, Recorded, note, plan, write
from gateway.store import Store, devices, erasures, intake, order_changes, orders
from gateway.store.order_changes import ChangeRow
from tests.community_order import community_order, every_day

DEVICE = "tag0001"
BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
HOME = {"name": "primary", "latitude": 52.0, "longitude": 0.0, "radius_m": 30}


def at(day: float) -> int:
    """UTC ms of a day of 2026, the first being 0."""
    return int((BEGIN + timedelta(days=day)).timestamp() * 1000)


def curfew(start: str = "19:00", **more: Any) -> dict[str, Any]:
    return {
        "id": "curfew",
        "type": "curfew",
        "address": HOME,
        "timetable": every_day(start, "07:00"),
    } | more


def starts_at(start: str) -> Change:
    def change(document: Document) -> Document:
        for one in document["conditions"]:
            if one["id"] == "curfew":
                one["timetable"] = every_day(start, "07:00")
        return document

    return change


def allows(minutes: int) -> Change:
    return lambda document: document | {"atv_allowance_min": minutes}


def excuses(from_day: float, to_day: float) -> Change:
    def change(document: Document) -> Document:
        span = {name: iso(day) for name, day in (("from", from_day), ("to", to_day))}
        mine = {**span, "kind": "reasonable_excuse", "reason": "ill"}
        listed = document.get("discounts", [])
        return document if mine in listed else document | {"discounts": [*listed, mine]}

    return change


def iso(day: float) -> str:
    return (BEGIN + timedelta(days=day)).isoformat().replace("+00:00", "Z")


def why(kind: str = Kind.HOURS, reason: str = "night shifts") -> Recorded:
    return Recorded(kind, "Sam Officer", reason)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = made(tmp_path / "store.sqlite")
    yield opened
    opened.close()


def made(path: Path | str) -> Store:
    opened = Store.open(path)
    with opened.write() as connection:
        devices.add(connection, devices.Device(DEVICE, bytes(32), b"", 0, None, kind="gps_tag"))
    add_order(opened, community_order("o-1", curfew()))
    activate(opened, DEVICE, "o-1", at(0))
    return opened


def change(
    store: Store, how: Change, now: float, effective: float | None = None, recorded: Recorded | None = None,
    **more: Any,
) -> ChangeRow:  # fmt: skip
    with store.write() as connection:
        from_ms = None if effective is None else at(effective)
        planned = plan(connection, "o-1", how, recorded or why(), at(now), from_ms, **more)
        return write(connection, planned, at(now))


def activation(store: Store) -> Activation:
    with store.read() as connection:
        (found,) = Orders().activations(connection)
    return found


def starts(store: Store) -> list[tuple[int, int]]:
    """From which day of the year on the curfew begins at which hour."""
    found: list[tuple[int, int]] = []
    for from_ms, _, order in activation(store).spans():
        hour = order.conditions[0].places[0].timetable.entries[0].start // 60  # type: ignore[union-attr]
        if not found or found[-1][1] != hour:
            found.append(((from_ms - at(0)) // 86_400_000, hour))
    return found


def test_a_change_of_tomorrow_leaves_today_as_it_is(store: Store) -> None:
    row = change(store, starts_at("21:00"), 10, 11)
    assert (row.version, row.last_version, row.effective_ms) == (2, 2, at(11))
    assert starts(store) == [(0, 19), (11, 21)]


def test_a_change_that_is_recorded_late_acts_from_when_it_says(store: Store) -> None:
    change(store, starts_at("21:00"), 20, 5)
    assert starts(store) == [(0, 19), (5, 21)]


def test_what_is_recorded_for_later_is_neither_brought_forward_nor_lost(store: Store) -> None:
    change(store, starts_at("21:00"), 10, 30)
    row = change(store, allows(60), 11, 12)
    assert (row.version, row.last_version) == (3, 4)
    assert starts(store) == [(0, 19), (30, 21)]
    assert [(order.atv_allowance_min) for _, _, order in activation(store).spans()] == [None, 60, 60]


def test_an_excuse_moves_nothing_forward(store: Store) -> None:
    change(store, starts_at("21:00"), 10, 30)
    row = change(store, excuses(8, 9), 11, recorded=why(Kind.EXCUSE, "ill"))
    assert (row.version, row.last_version) == (3, 3)
    assert starts(store) == [(0, 19), (30, 21)]
    assert len(activation(store).order.discounts) == 1


def test_a_later_version_that_says_something_else_of_the_same_is_not_overruled_by_the_way(
    store: Store,
) -> None:
    change(store, starts_at("21:00"), 10, 30)
    with pytest.raises(OrderRefused, match=r"version 2, which holds from 2026-01-31.*condition curfew"):
        change(store, starts_at("22:00"), 11, 12)
    assert starts(store) == [(0, 19), (30, 21)]
    change(store, starts_at("22:00"), 11, 12, replaces_later=True)
    assert starts(store) == [(0, 19), (12, 22)]


def test_the_same_change_twice_is_one_and_the_same_words_later_are_another(store: Store) -> None:
    first = change(store, starts_at("21:00"), 10, 11)
    assert change(store, starts_at("21:00"), 12, 11) == first
    change(store, starts_at("19:00"), 13, 14)
    again = change(store, starts_at("21:00"), 15, 16)
    assert again.id != first.id
    assert starts(store) == [(0, 19), (11, 21), (14, 19), (16, 21)]


def test_a_change_of_nothing_is_refused(store: Store) -> None:
    with pytest.raises(NothingChangesError, match="says that already"):
        change(store, starts_at("19:00"), 10)


def test_a_version_that_would_say_something_impossible_is_refused_with_its_path(store: Store) -> None:
    with pytest.raises(OrderRefused, match=r"the order as changed can not be used: .*timetable"):
        change(store, starts_at("25:00"), 10)
    with store.read() as connection:
        assert len(orders.versions(connection, "o-1")) == 1
        assert order_changes.of_order(connection, "o-1") == []


def test_before_the_order_holds_nothing_of_it_can_change(store: Store) -> None:
    with pytest.raises(OrderRefused, match="begins to hold at 2026-01-01"):
        change(store, starts_at("21:00"), 10, -3)
    change(store, starts_at("21:00"), -20)
    assert starts(store) == [(0, 21)]


def test_a_closed_or_unknown_order_is_not_changed(store: Store) -> None:
    with store.write() as connection:
        with pytest.raises(OrderRefused, match="o-2 is not known"):
            plan(connection, "o-2", starts_at("21:00"), why(), at(1))
        with pytest.raises(OrderRefused, match="o-2 is not known"):
            note(connection, "o-2", why(), at(1))
        erasures.close(connection, "o-1", at(1), "policy")
    with pytest.raises(OrderRefused, match="o-1 is closed"):
        change(store, starts_at("21:00"), 10)


def test_what_the_law_has_against_it_is_a_task_until_it_is_put_right(store: Store) -> None:
    change(store, starts_at("08:00"), 10, recorded=why(reason="as the court says"))

    def standing() -> list[str]:
        with store.read() as connection:
            return [row.sentence for row in intake.tasks(connection, "o-1") if row.kind == "law"]

    (day, *_) = [one for one in standing() if "23 h" in one]
    assert "Schedule 9" in day
    change(store, starts_at("19:00"), 11)
    # the days on which it held stay too long
    change(store, starts_at("19:00"), 11, 10, recorded=why(Kind.ERROR), replaces_later=True)
    assert not [one for one in standing() if "23 h" in one]


def test_a_record_that_makes_no_version_is_kept_once(store: Store) -> None:
    with store.write() as connection:
        first = note(connection, "o-1", why(Kind.REFUSED, "the sister does not want it"), at(3))
        assert note(connection, "o-1", why(Kind.REFUSED, "the sister does not want it"), at(4)) == first
    assert (first.version, first.last_version) == (1, None)
    assert starts(store) == [(0, 19)]


def test_either_database_keeps_a_change_with_its_record(place: Path | str) -> None:
    store = made(place)
    change(store, starts_at("21:00"), 10, 30)
    row = change(store, allows(60), 11, 12)
    assert change(store, allows(60), 11, 12) == row
    assert starts(store) == [(0, 19), (30, 21)]
    with store.read() as connection:
        assert [one.details for one in order_changes.of_order(connection, "o-1")] == [{}, {}]
        assert order_changes.one(connection, row.id) == row
    store.close()


TIMES = st.integers(0, 40)


@settings(max_examples=8)
@given(
    st.lists(
        st.tuples(st.sampled_from(("curfew", "allowance", "excuse")), TIMES, st.integers(8, 23)), max_size=6
    )
)
def test_whatever_is_recorded_in_whatever_order_each_holds_from_its_own_time(
    tmp_path_factory: pytest.TempPathFactory, changes: list[tuple[str, int, int]]
) -> None:
    """Against a model that knows no versions: of each thing what was said of it, and from when."""
    store = made(tmp_path_factory.mktemp("any") / "store.sqlite")
    said: dict[str, dict[int, object]] = {"curfew": {0: 19}, "allowance": {0: None}}
    excused: set[int] = set()
    for now, (what, day, value) in enumerate(changes, 50):
        if what == "excuse":
            if day not in excused:
                change(store, excuses(day, day + 1), now, recorded=why(Kind.EXCUSE))
            excused.add(day)
            continue
        mine = said[what]
        how = starts_at(f"{value:02}:00") if what == "curfew" else allows(value)
        held = mine[max(from_day for from_day in mine if from_day <= day)]
        if any(from_day > day for from_day in mine):
            # what follows says something else of the same
            with pytest.raises(OrderRefused, match="something else of the same"):
                change(store, how, now, day)
        elif held != value:
            change(store, how, now, day)
            mine[day] = value
    for from_ms, to_ms, order in activation(store).spans():
        for day in range(60):
            if from_ms <= at(day) < to_ms:
                (mine_curfew,) = order.conditions
                start = mine_curfew.places[0].timetable.entries[0].start  # type: ignore[union-attr]
                wanted = {name: mine[max(one for one in mine if one <= day)] for name, mine in said.items()}
                assert (start // 60, order.atv_allowance_min) == (wanted["curfew"], wanted["allowance"])
    assert len(activation(store).order.discounts) == len(excused)
    with store.read() as connection:
        rows = orders.versions(connection, "o-1")
        changed = order_changes.of_order(connection, "o-1")
    assert [row.version for row in rows] == list(range(1, len(rows) + 1))
    assert [n for row in changed for n in range(row.version, (row.last_version or 0) + 1)] == [
        row.version for row in rows[1:]
    ]
    store.close()
