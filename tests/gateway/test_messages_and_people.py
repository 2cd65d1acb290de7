"""A message of the order service and what people have changed of the same order: neither undoes the other unseen."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.clock import utc_text
from gateway.orders import Orders, activate, history, life
from gateway.orders.intake import state_of, take_in
from gateway.orders.kinds import Kind
from gateway.orders.next_version import Change, Recorded, plan, write
from gateway.store import Store, devices, intake, orders
from tests.community_order import every_day
from tests.gateway.test_next_version import DEVICE, HOME, at, starts_at

PERSON = {
    "first_name": "Siân",
    "last_name": "Jones",
    "pnc_id": "1/2",
    "address_1": "1 High Street",
    "alias": "",
}
NIGHTS = [
    {"day": day, "start": "19:00", "end": "07:00"} for day in ("Mo", "Tu", "We", "Th", "Fr", "Sa", "Su")
]


class Service:
    """A store that messages come to, one a minute of 2026 and later."""

    def __init__(self, path: Path) -> None:
        self.store = Store.open(path)
        self.now = 1.0
        self.case_id = self.send("createDW", PERSON)
        self.order = {
            "case_id": self.case_id,
            "order_id": "called-1",
            "order_type": "Community",
            "condition_type": "Requirement of Community Order",
            "order_request_type": "New Order",
            "responsible_organization": "Probation",
            "order_start": "2026-01-01 00:00:00",
            "order_end": "2027-06-01 00:00:00",
            "enforceable_condition": [
                {
                    "condition": "Curfew with EM",
                    "start_date": "2026-01-01 00:00:00",
                    "end_date": "2027-06-01 00:00:00",
                }
            ],
            "curfew_duration": [{"location": "primary", "schedule": NIGHTS}],
        }
        self.order_id = self.send("createMO", self.order)

    def send(self, operation: Any, fields: dict[str, Any]) -> str:
        self.now += 0.01
        return take_in(self.store, operation, "cemo", json.dumps(fields).encode(), at(self.now))

    def send_order(self, **change: Any) -> None:
        self.order = self.order | change
        self.send("updateMO", self.order)

    def send_wearer(self, **change: Any) -> None:
        self.send("updateDW", PERSON | change)

    def by_people(self, change: Change, effective: float | None = None) -> None:
        self.now += 0.01
        with self.store.write() as connection:
            recorded = Recorded(Kind.HOURS, "Sam Officer", "varied")
            from_ms = None if effective is None else at(effective)
            planned = plan(connection, self.order_id, change, recorded, at(self.now), from_ms)
            write(connection, planned, at(self.now))

    def complete(self) -> None:
        """Somebody finds the address on the map."""

        def change(document: dict[str, Any]) -> dict[str, Any]:
            (curfew,) = document["conditions"]
            kept = {key: value for key, value in curfew.items() if key not in ("not_monitored", "hours")}
            mine = {**kept, "address": HOME, "timetable": curfew["hours"][0]["timetable"]}
            return document | {"conditions": [mine]}

        self.by_people(change)

    def end(self, day: float) -> None:
        self.now += 0.01
        with self.store.write() as connection:
            recorded = Recorded(Kind.END, "Sam Officer", "the court has said so")
            life.end(connection, self.order_id, at(day), recorded, at(self.now))

    def document(self) -> dict[str, Any]:
        with self.store.read() as connection:
            found: dict[str, Any] = json.loads(orders.versions(connection, self.order_id)[-1].document)
        return found

    def tasks(self) -> set[str]:
        with self.store.read() as connection:
            return {row.kind for row in intake.tasks(connection, self.order_id)}

    def fit(self) -> None:
        with self.store.write() as connection:
            devices.add(connection, devices.Device(DEVICE, bytes(32), b"", 0, None, kind="gps_tag"))
        activate(self.store, DEVICE, self.order_id, at(1.1))

    def hours_at(self, day: float) -> str:
        with self.store.read() as connection:
            (activation,) = Orders().activations(connection)
        order = next(order for start, end, order in activation.spans() if start <= at(day) < end)
        return f"{order.conditions[0].places[0].timetable.entries[0].start // 60}:00"  # type: ignore[union-attr]


def nights(start: str) -> list[dict[str, Any]]:
    return [{"location": "primary", "schedule": [night | {"start": start} for night in NIGHTS]}]


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    made = Service(tmp_path / "store.sqlite")
    made.complete()
    yield made
    made.store.close()


def test_another_name_moves_neither_the_hours_nor_what_is_recorded_for_later(service: Service) -> None:
    service.fit()
    service.by_people(starts_at("21:00"), 20)
    service.send_wearer(last_name="Evans")
    assert service.document()["wearer"]["name"] == "Siân Evans"
    assert (service.hours_at(5), service.hours_at(19.9), service.hours_at(20)) == ("19:00", "19:00", "21:00")


def test_a_message_that_says_other_hours_holds_and_one_that_says_the_old_ones_leaves_them(
    service: Service,
) -> None:
    service.fit()
    service.by_people(starts_at("21:00"))
    service.send_order(service_end_date="2027-06-01")
    assert service.hours_at(40) == "21:00"
    service.send_order(
        order_request_type="Variation", order_variation_date="2026-02-01", curfew_duration=nights("22:00")
    )
    assert (service.hours_at(20), service.hours_at(40)) == ("21:00", "22:00")


def test_an_order_that_people_have_ended_does_not_begin_again_by_a_message(service: Service) -> None:
    service.fit()
    service.end(30)
    assert "remove_tag" in service.tasks()
    service.send_wearer(last_name="Evans")
    assert service.document()["end"] == utc_text(at(30))
    service.send_order(order_end="2027-12-01 00:00:00")
    assert service.document()["end"] == utc_text(at(30))
    assert {"ended", "remove_tag"} <= service.tasks()
    assert state_of(service.store, service.order_id, at(29)) == "18"
    assert state_of(service.store, service.order_id, at(30)) == "3"


def test_a_revocation_in_a_message_ends_the_order_and_one_that_is_gone_does_not(service: Service) -> None:
    service.fit()
    service.send_order(revocation_date="2026-03-01", revocation_type="Revoked by court")
    assert service.document()["end"] == "2026-03-02T00:00:00Z"
    assert "remove_tag" in service.tasks()
    assert "not_acted_on" not in service.tasks()
    assert state_of(service.store, service.order_id, at(70)) == "3"
    service.send_order(revocation_date="", revocation_type="")
    assert service.document()["end"] == "2027-05-31T23:00:00Z"
    assert state_of(service.store, service.order_id, at(70)) == "18", (
        "the tag need not come off, a person settles that"
    )


@pytest.mark.parametrize(
    "said",
    [
        {"revocation_type": "Revoked by court"},
        {"revocation_date": "soon"},
        {"revocation_date": "2025-12-01"},
        {"reason_for_order_ending_early": "recall"},
        {"order_request_type": "Variation", "order_variation_type": "Order Suspension"},
    ],
)
def test_what_is_not_dated_or_can_not_be_so_is_a_task_and_changes_nothing(
    service: Service, said: dict[str, Any]
) -> None:
    before = service.document()
    service.send_order(**said)
    assert service.tasks() & {"not_acted_on", "unreadable", "contradiction"}
    assert {key: before[key] for key in ("end", "conditions")} == {
        key: service.document()[key] for key in ("end", "conditions")
    }
    assert "suspensions" not in service.document()


def test_an_order_that_ends_early_by_an_earlier_end_is_over_then(service: Service) -> None:
    service.send_order(order_end="2026-05-01 10:00:00", reason_for_order_ending_early="recall")
    assert service.document()["end"] == "2026-05-01T09:00:00Z"
    assert "not_acted_on" not in service.tasks()
    assert state_of(service.store, service.order_id, at(200)) == "3"


def test_a_dated_suspension_holds_until_people_resume_it_whatever_comes_next(service: Service) -> None:
    service.send_order(
        order_request_type="Variation",
        order_variation_type="Order Suspension",
        order_variation_date="2026-02-01 12:00:00",
        order_variation_details="in hospital",
    )
    (suspension,) = service.document()["suspensions"]
    assert suspension == {
        "from": "2026-02-01T12:00:00Z", "to": "2027-05-31T23:00:00Z", "reason": "in hospital"
    }  # fmt: skip
    assert "suspended" in service.tasks()
    service.send_wearer(last_name="Evans")
    with service.store.write() as connection:
        recorded = Recorded(Kind.RESUMED, "Sam Officer", "home again")
        life.resume(connection, service.order_id, at(45), recorded, at(45))
    assert "suspended" not in service.tasks()
    service.now = 46
    service.send_wearer(last_name="Price")
    service.send_order(order_variation_type="Other", order_variation_date="2026-02-20 00:00:00")
    assert service.document()["suspensions"] == [suspension | {"to": utc_text(at(45))}]


def test_every_version_that_a_message_made_says_so_and_why(service: Service) -> None:
    service.send_order(order_request_type="Variation", order_variation_date="2026-02-01",
                       order_variation_type="Change to Curfew Hours", curfew_duration=nights("22:00"))  # fmt: skip
    with service.store.read() as connection:
        told = history.of_order(connection, service.order_id)
    assert [(one["kind"], one["by"], one["reason"]) for one in told] == [
        ("Message of the order service", "by order service cemo", ""),
        ("Change to Curfew Hours", "by Sam Officer", "varied"),
        ("Message of the order service", "by order service cemo", "Change to Curfew Hours"),
    ]
    assert "says" not in json.dumps(told)


EVENTS = st.lists(
    st.tuples(st.sampled_from(("message", "people", "name")), st.sampled_from(("19:00", "20:00", "21:00"))),
    max_size=7,
)


@settings(max_examples=5)
@given(EVENTS)
def test_of_the_hours_the_last_who_said_something_new_is_right(
    tmp_path_factory: pytest.TempPathFactory, events: list[tuple[str, str]]
) -> None:
    service = Service(tmp_path_factory.mktemp("both") / "store.sqlite")
    service.complete()
    said = held = "19:00"
    for number, (who, hours) in enumerate(events):
        if who == "message":
            service.send_order(curfew_duration=nights(hours), court=f"court {number}")
            held = held if hours == said else hours
            said = hours
        elif who == "people":
            if hours != held:
                service.by_people(starts_at(hours))
            held = hours
        else:
            service.send_wearer(last_name=f"Jones {number}")
    (curfew,) = service.document()["conditions"]
    assert curfew["timetable"] == every_day(held, "07:00")
    assert curfew["address"] == HOME
    service.store.close()
