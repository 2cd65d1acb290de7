"""Orders and activations: taken once, refused with every reason, read back as the core takes them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from gateway.orders import OrderRefused, Orders, activate, add_order, beyond, deactivate
from gateway.store import Store, devices, orders, state
from tests.gateway.test_judge import order

DEVICE = "tag0001"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store.open(tmp_path / "store.sqlite")
    with opened.write() as connection:
        devices.add(connection, devices.Device(DEVICE, bytes(32), b"", 0, None))
    yield opened
    opened.close()


def test_an_order_is_read_back_as_the_core_takes_it_with_its_earlier_versions(store: Store) -> None:
    add_order(store, order())
    add_order(store, order(2, effective="2025-03-01T00:00:00Z"))
    activate(store, DEVICE, "o-1", 1000)
    with store.read() as connection:
        (activation,) = Orders().activations(connection)
    assert (activation.id, activation.device, activation.fitted_ms) == ("tag0001-1", DEVICE, 1000)
    assert activation.order.version == 2
    assert [earlier.version for earlier in activation.earlier] == [1]


def test_one_activation_is_read_as_it_is_among_all_and_nobody_asked_for_is_none(store: Store) -> None:
    add_order(store, order())
    first = activate(store, DEVICE, "o-1", 1000)
    deactivate(store, first, 2000)
    activate(store, DEVICE, "o-1", 3000)
    with store.read() as connection:
        among_all = {one.id: one for one in Orders().activations(connection)}
        assert Orders().activation(connection, first) == among_all[first]
        assert Orders().activation(connection, "nobody-1") is None


def test_each_device_judges_what_it_can_tell_of_and_what_it_can_not_is_named(store: Store) -> None:
    document = order()
    document["conditions"] = [
        *document["conditions"],
        {"id": "curfew", "type": "curfew", "timetable": [{"days": ["Mo"], "start": "19:00", "end": "07:00"}],
         "address": {"name": "primary", "latitude": 52.0, "longitude": 0.0, "radius_m": 30}},
        {"id": "sober", "type": "alcohol", "mode": "abstinence"},
    ]  # fmt: skip
    add_order(store, document)
    with store.write() as connection:
        for kind in ("rf_tag", "alcohol_tag"):
            devices.add(connection, devices.Device(kind.replace("_", ""), bytes(32), b"", 0, None, kind=kind))
    zone = document["conditions"][0]["id"]
    beyond_it = {
        device: {condition.id for condition in beyond(store, activate(store, device, "o-1", 1000))}
        for device in (DEVICE, "rftag", "alcoholtag")
    }
    assert beyond_it == {DEVICE: {"sober"}, "rftag": {zone, "sober"}, "alcoholtag": {zone, "curfew"}}


def test_a_home_unit_is_fitted_to_nobody(store: Store) -> None:
    add_order(store, order())
    with store.write() as connection:
        devices.add(connection, devices.Device("unit0001", bytes(32), b"", 0, None, kind="home_unit"))
    with pytest.raises(OrderRefused, match="nobody wears: fit the tag"):
        activate(store, "unit0001", "o-1", 1000)


def test_the_same_order_again_changes_nothing(store: Store) -> None:
    add_order(store, order())
    with store.read() as connection:
        before = state.changes(connection)
    add_order(store, order())
    with store.read() as connection:
        assert state.changes(connection) == before
        assert len(orders.versions(connection, "o-1")) == 1


def test_another_order_under_a_known_version_is_refused_with_the_version_to_give(store: Store) -> None:
    add_order(store, order())
    with pytest.raises(OrderRefused, match="give the changed order version 2"):
        add_order(store, order(wearer={"id": "w-2", "name": "Sam Example"}))


def test_an_order_that_can_not_be_used_is_refused_with_every_problem(store: Store) -> None:
    with pytest.raises(OrderRefused, match=r"regime.*effective"):
        add_order(store, order(regime="x", effective="soon"))


def test_a_device_is_worn_once_at_a_time_and_may_be_fitted_again(store: Store) -> None:
    add_order(store, order())
    first = activate(store, DEVICE, "o-1", 1000)
    with pytest.raises(OrderRefused, match=f"is worn .*{first}"):
        activate(store, DEVICE, "o-1", 2000)
    deactivate(store, first, 3000)
    with pytest.raises(OrderRefused, match="is worn"):
        activate(store, DEVICE, "o-1", 2999)
    assert activate(store, DEVICE, "o-1", 3000) == "tag0001-2"


def test_removal_is_recorded_once_and_never_before_fitting(store: Store) -> None:
    add_order(store, order())
    worn = activate(store, DEVICE, "o-1", 1000)
    with pytest.raises(OrderRefused, match="before it was fitted"):
        deactivate(store, worn, 999)
    deactivate(store, worn, 2000)
    with pytest.raises(OrderRefused, match="has ended"):
        deactivate(store, worn, 3000)


def test_what_is_not_known_can_not_be_fitted(store: Store) -> None:
    with pytest.raises(OrderRefused, match="order o-9 is not known"):
        activate(store, DEVICE, "o-9")
    add_order(store, order())
    with pytest.raises(OrderRefused, match="device nobody is not known"):
        activate(store, "nobody", "o-1")


def test_the_instant_of_fitting_is_understood_in_any_zone(store: Store) -> None:
    add_order(store, order())
    summer = datetime(2025, 6, 1, 13, 0, tzinfo=timezone(timedelta(hours=1)))
    worn = activate(store, DEVICE, "o-1", summer)
    deactivate(store, worn, datetime(2025, 6, 1, 12, 30))
    with store.read() as connection:
        (row,) = orders.activations(connection)
    noon_ms = int(datetime(2025, 6, 1, 12, tzinfo=UTC).timestamp() * 1000)
    assert (row.fitted_ms, row.removed_ms) == (noon_ms, noon_ms + 30 * 60_000)
