"""Orders from JSON: what is read, and that every problem is named with its path, fact and remedy."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.activation import ALWAYS_MS, Activation
from core.alerts import iso_utc
from core.order import (
    CurfewCondition,
    ExclusionCondition,
    OrderError,
    Regime,
    UnmonitoredCondition,
    order_from_json,
)
from core.timetable import DAY_MINUTES, TimetableEntry
from tests.core.wearers import HOME_AT, MONDAY_MS, curfew, exclusion, order_json


def test_an_order_is_read_whole() -> None:
    order = order_from_json(order_json(effective="2026-01-01T01:00:00.250+01:00"))
    assert (order.order_id, order.version, order.regime) == ("order-1", 1, Regime.BAIL)
    assert (order.wearer.id, order.wearer.name) == ("wearer-1", "A. Person")
    assert order.effective_ms % 1000 == 250
    assert iso_utc(order.effective_ms) == "2026-01-01T00:00:00Z"
    zone, home = order.conditions
    assert isinstance(zone, ExclusionCondition)
    assert isinstance(home, CurfewCondition)
    assert (home.address.longitude, home.address.latitude, home.address.radius_m) == (*HOME_AT, 50)
    assert home.timetable.entries == (TimetableEntry(tuple(range(7)), 19 * 60, 7 * 60),)
    assert order == order_from_json(order_json(effective="2026-01-01T00:00:00.250Z"))


def test_a_condition_of_a_type_that_is_not_monitored_stays_on_the_order_for_a_person_to_see() -> None:
    order = order_from_json(order_json(conditions=[exclusion(), {"id": "a", "type": "retina", "limit": 0}]))
    assert len(order.conditions) == 1
    assert order.unmonitored == (
        UnmonitoredCondition("a", "retina", "conditions of type 'retina' are not monitored by this version"),
    )


def changed(*path: str | int, to: Any) -> dict[str, Any]:
    """The order with one place changed (``...`` takes it away)."""
    document = order_json()
    at: Any = document
    for step in path[:-1]:
        at = at[step]
    if to is ...:
        del at[path[-1]]
    else:
        at[path[-1]] = to
    return document


ENTRY = ("conditions", 1, "timetable", 0)


@pytest.mark.parametrize(
    ("document", "path", "fact"),
    [
        (changed("order_id", to=...), "order_id", "missing"),
        (changed("order_id", to="  "), "order_id", "is not a text"),
        (changed("version", to=0), "version", "not a whole number"),
        (changed("version", to=True), "version", "not a whole number"),
        (changed("regime", to="parole"), "regime", "'parole' is not a regime"),
        (changed("wearer", to=...), "wearer", "missing"),
        (changed("wearer", to={}), "wearer.id", "missing"),
        (changed("wearer", "surname", to="x"), "wearer.surname", "not known"),
        (changed("effective", to="2026-01-01T00:00:00"), "effective", "not an instant"),
        (changed("effective", to="soon"), "effective", "not an instant"),
        (changed("effective", to=1735689600), "effective", "not an instant"),
        (changed("ends", to="2027"), "ends", "not known"),
        (changed("conditions", to=[]), "conditions", "missing or empty"),
        (changed("conditions", 0, to="x"), "conditions[0]", "not an object"),
        (changed("conditions", 0, "type", to=...), "conditions[0].type", "missing"),
        (changed("conditions", 1, "id", to="zone-1"), "conditions[1].id", "stands twice"),
        (changed("conditions", 0, "zone", to=...), "conditions[0].zone", "not nothing"),
        (changed("conditions", 0, "zone", "coordinates", 0, 2, to=[0, 91]), "conditions[0].zone.coordinates[0][2]",
         "not on Earth"),
        (changed("conditions", 0, "buffer_m", to=5), "conditions[0].buffer_m", "not known"),
        (changed("conditions", 1, "address", to=None), "conditions[1].address", "missing"),
        (changed("conditions", 1, "address", "latitude", to=math.nan), "conditions[1].address.latitude",
         "not a number"),
        (changed("conditions", 1, "address", "latitude", to=86), "conditions[1].address.latitude", "out of range"),
        (changed("conditions", 1, "address", "longitude", to="0"), "conditions[1].address.longitude",
         "not a number"),
        (changed("conditions", 1, "address", "radius_m", to=0), "conditions[1].address.radius_m", "out of range"),
        (changed("conditions", 1, "timetable", to=[]), "conditions[1].timetable", "missing or empty"),
        (changed(*ENTRY, to=7), "conditions[1].timetable[0]", "not an object"),
        (changed(*ENTRY, "days", to=["Monday"]), "conditions[1].timetable[0].days", "'Monday' is not a day"),
        (changed(*ENTRY, "days", to=["Mo", "Mo"]), "conditions[1].timetable[0].days", "stands twice"),
        (changed(*ENTRY, "days", to=[[]]), "conditions[1].timetable[0].days", "not a day"),
        (changed(*ENTRY, "start", to="7pm"), "conditions[1].timetable[0].start", "not a time of day"),
        (changed(*ENTRY, "start", to="24:00"), "conditions[1].timetable[0].start", "begins no day"),
        (changed(*ENTRY, "end", to="24:01"), "conditions[1].timetable[0].end", "not a time of day"),
        (changed(*ENTRY, "end", to="19:00"), "conditions[1].timetable[0]", "start and end are both 19:00"),
        (changed(*ENTRY, "end", to=...), "conditions[1].timetable[0].end", "missing"),
    ],
)  # fmt: skip
def test_a_problem_is_named_by_path_and_fact_with_a_remedy(
    document: dict[str, Any], path: str, fact: str
) -> None:
    with pytest.raises(OrderError) as refused:
        order_from_json(document)
    problem = refused.value.problems[0]
    assert problem.path == path
    assert fact in problem.fact
    assert problem.remedy.endswith(".")
    assert str(problem) in str(refused.value)


@pytest.mark.parametrize("document", [None, [], "order", 3])
def test_what_is_no_object_is_no_order(document: Any) -> None:
    with pytest.raises(OrderError, match="order: "):
        order_from_json(document)


def test_all_problems_are_told_at_once() -> None:
    document = order_json(regime="x", conditions=[exclusion(zone={}), curfew("1", "2")])
    with pytest.raises(OrderError) as refused:
        order_from_json(document)
    assert [problem.path for problem in refused.value.problems] == [
        "regime",
        "conditions[0].zone.type",
        "conditions[1].timetable[0].start",
        "conditions[1].timetable[0].end",
    ]


def test_midnight_at_the_end_of_the_day_is_written_24_00() -> None:
    order = order_from_json(order_json(conditions=[curfew("00:00", "24:00")]))
    (home,) = order.conditions
    assert isinstance(home, CurfewCondition)
    assert home.timetable.entries[0].end == DAY_MINUTES


json = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
places = st.sampled_from(
    [(), ("wearer",), ("conditions",), ("conditions", 0), ("conditions", 0, "zone"), ("conditions", 1, "address"),
     ("conditions", 0, "zone", "coordinates"), ("conditions", 0, "zone", "coordinates", 0), ENTRY]
)  # fmt: skip


@given(st.data(), places, json)
@settings(max_examples=150, deadline=None)
def test_whatever_stands_in_an_order_is_read_or_refused_never_a_crash(
    data: st.DataObject, place: tuple[str | int, ...], anything: Any
) -> None:
    at: Any = order_json()
    document = at
    for step in place:
        at = at[step]
    key = data.draw(st.sampled_from(list(at) if isinstance(at, dict) else list(range(len(at)))))
    at[key] = anything
    try:
        order_from_json(document)
    except OrderError as refused:
        assert refused.problems


def test_spans_follow_the_highest_version_in_force() -> None:
    def version(number: int, hours: int) -> Any:
        effective = iso_utc(MONDAY_MS + hours * 3_600_000)
        return order_from_json(order_json(version=number, effective=effective))

    one, two, three = version(1, -5), version(2, 10), version(3, 5)
    hour = 3_600_000
    case = Activation("a", "tag0001", two, MONDAY_MS, None, (three, one))
    assert [(start - MONDAY_MS, end, order.version) for start, end, order in case.spans()] == [
        (0, MONDAY_MS + 5 * hour, 1),
        (5 * hour, MONDAY_MS + 10 * hour, 3),
        (10 * hour, ALWAYS_MS, 3),
    ]
    late = Activation("a", "tag0001", two, MONDAY_MS, MONDAY_MS + 20 * hour)
    assert [(start - MONDAY_MS, order.version) for start, _, order in late.spans()] == [(10 * hour, 2)]
    assert Activation("a", "tag0001", one, MONDAY_MS, MONDAY_MS).spans() == []
    assert Activation("a", "tag0001", two, MONDAY_MS, MONDAY_MS + hour).spans() == []
