"""Every condition of an order as JSON brings it, when it holds, and whatever else a document may hold."""

from __future__ import annotations

import itertools
import json
import math
import re
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.activation import Activation, watches
from core.law import check_order
from core.order import (
    AlcoholCondition,
    AlcoholMode,
    AttendanceCondition,
    CurfewCondition,
    DiscountedTime,
    DiscountKind,
    ExclusionCondition,
    InclusionCondition,
    Order,
    OrderError,
    RestrictionCondition,
    Suspension,
    TrailCondition,
    order_from_json,
)
from core.schedule import ALWAYS, ALWAYS_MS, Schedule, without
from core.timetable import CurfewTimetable, TimetableEntry
from tests.core.orders import entry, home, place
from tests.core.wearers import MONDAY_MS, order_json, square

HOUR_MS = 3_600_000
ZONE = square(0.0, 51.5, 0.02, 51.51)


def at(hours: float) -> str:
    """An instant so many hours after Monday 1 June 2026, 00:00 UTC."""
    day, hour = divmod(int(hours), 24)
    return f"2026-06-{1 + day:02d}T{hour:02d}:{int(hours % 1 * 60):02d}:00Z"


def ms(hours: float) -> int:
    return MONDAY_MS + int(hours * HOUR_MS)


def rich() -> dict[str, Any]:
    """An order that uses every key there is."""
    weekly = [entry("08:00", "16:00", "Mo", "Fr")]
    schedule = {
        "weekly": weekly,
        "dated": [{"from": at(30), "to": at(33)}],
        "exceptions": [{"from": at(9), "to": at(10)}],
    }
    zone = {"zone": ZONE, "schedule": schedule, "warning_m": 100}
    sister = {"address": place("sister"), "timetable": [entry("19:00", "07:00", "Sa", "Su")]}
    return order_json(
        start=at(0),
        end=at(600),
        conviction="2026-05-20",
        atv_allowance_min=150,
        suspensions=[{"from": at(48), "to": at(72), "reason": "in hospital"}],
        discounts=[
            {"from": at(19), "to": at(20), "kind": "authorised_absence", "reason": "clinic", "condition": "home"},
            {"from": at(90), "to": at(91), "kind": "reasonable_excuse", "reason": "train late"},
        ],
        conditions=[
            {"id": "out", "type": "exclusion", "name": "Centre"} | zone,
            {"id": "in", "type": "inclusion", "name": "Hostel", "from": at(24), "to": at(240)} | zone,
            {"id": "within", "type": "restriction", "name": "County", "zone": ZONE},
            {"id": "class", "type": "attendance", "name": "Course", "zone": ZONE, "schedule": schedule,
             "at_least_min": 90, "grace_min": 10},
            {"id": "trail", "type": "trail", "to": at(300)},
            {"id": "dry", "type": "alcohol", "mode": "abstinence"},
            {"id": "limit", "type": "alcohol", "mode": "limit", "limit_tac_g_dl": 0.02, "name": "At most 0.02"},
            home(entry("19:00", "07:00", "Mo"), id="home", also=[sister], boundary_area="house and garden",
                 address=place("hostel", residence_requirement=True)),
            {"id": "new", "type": "retina"},
        ],
    )  # fmt: skip


def test_every_kind_of_condition_is_read_with_its_dates() -> None:
    order = order_from_json(rich())
    out, inside, within, course, trail, dry, limit, curfew = order.conditions
    schedule = Schedule(
        CurfewTimetable((TimetableEntry((0, 4), 480, 960),)), ((ms(30), ms(33)),), ((ms(9), ms(10)),)
    )
    assert isinstance(out, ExclusionCondition)
    assert (out.schedule, out.warning_m, out.from_ms, out.to_ms) == (schedule, 100, -ALWAYS_MS, ALWAYS_MS)
    assert isinstance(inside, InclusionCondition)
    assert (inside.from_ms, inside.to_ms) == (ms(24), ms(240))
    assert isinstance(within, RestrictionCondition)
    assert (within.schedule, within.warning_m) == (ALWAYS, 0)
    assert isinstance(course, AttendanceCondition)
    assert (course.schedule, course.at_least_min, course.grace_min) == (schedule, 90, 10)
    assert trail == TrailCondition("trail", "trail", to_ms=ms(300))
    assert dry == AlcoholCondition("dry", "alcohol", AlcoholMode.ABSTINENCE)
    assert limit == AlcoholCondition("limit", "At most 0.02", AlcoholMode.LIMIT, 0.02)
    assert isinstance(curfew, CurfewCondition)
    assert [there.address.name for there in curfew.places] == ["hostel", "sister"]
    assert [there.address.residence_requirement for there in curfew.places] == [True, False]
    assert curfew.boundary_area == "house and garden"
    assert (order.start_ms, order.end_ms, order.conviction) == (ms(0), ms(600), date(2026, 5, 20))
    assert order.atv_allowance_min == 150
    assert order.suspensions == (Suspension(ms(48), ms(72), "in hospital"),)
    assert order.discounts == (
        DiscountedTime(ms(19), ms(20), DiscountKind.AUTHORISED_ABSENCE, "clinic", "home"),
        DiscountedTime(ms(90), ms(91), DiscountKind.REASONABLE_EXCUSE, "train late", None),
    )
    assert [unwatched.id for unwatched in order.unmonitored] == ["new"]


def test_the_examples_of_the_documentation_are_orders() -> None:
    page = (Path(__file__).parents[2] / "docs" / "orders.md").read_text()
    whole, curfew, schedule = (
        json.loads(block) for block in re.findall(r"```json\n(.*?)```", page, re.DOTALL)
    )
    order_from_json(whole)
    assert len(order_from_json(whole | {"conditions": [curfew]}).conditions) == 1
    order_from_json(whole | {"conditions": [whole["conditions"][0] | {"schedule": schedule}]})
    assert all(f"`{key}`" in page for key in rich())


def changed(path: tuple[str | int, ...], value: Any) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(json.dumps(rich()))  # nothing shared
    spot: Any = document
    for step in path[:-1]:
        spot = spot[step]
    if value is ...:
        del spot[path[-1]]
    else:
        spot[path[-1]] = value
    return document


@pytest.mark.parametrize(
    ("path", "value", "named", "fact"),
    [
        (("start",), at(600), "end", "not after it begins"),
        (("end",), "2027", "end", "not an instant"),
        (("end",), "9999-12-31T00:00:00Z", "end", "not an instant"),
        (("effective",), "0001-01-01T00:00:00+14:00", "effective", "not an instant"),
        (("conviction",), "20.5.2026", "conviction", "not a date"),
        (("conviction",), "2026-02-30", "conviction", "not a date"),
        (("atv_allowance_min",), -1, "atv_allowance_min", "not a whole number"),
        (("suspensions",), [], "suspensions", "missing or empty"),
        (("suspensions", 0, "to"), at(48), "suspensions[0].to", "not after it begins"),
        (("suspensions", 0, "from"), ..., "suspensions[0].from", "missing"),
        (("suspensions", 0, "reason"), "", "suspensions[0].reason", "not a text"),
        (("discounts", 0, "kind"), "holiday", "discounts[0].kind", "not a kind"),
        (("discounts", 0, "condition"), "nowhere", "discounts[0].condition", "no condition"),
        (("conditions", 0, "warning_m"), math.inf, "conditions[0].warning_m", "not a number"),
        (("conditions", 0, "schedule", "weekly"), [], "conditions[0].schedule.weekly", "missing or empty"),
        (("conditions", 0, "schedule", "dated", 0, "to"), at(30), "conditions[0].schedule.dated[0].to",
         "not after it begins"),
        (("conditions", 0, "schedule", "monthly"), 1, "conditions[0].schedule.monthly", "not known"),
        (("conditions", 1, "to"), at(24), "conditions[1].to", "not after it begins"),
        (("conditions", 3, "schedule"), ..., "conditions[3].schedule", "missing"),
        (("conditions", 3, "schedule"), {"exceptions": [{"from": at(1), "to": at(2)}]}, "conditions[3].schedule",
         "names no appointment"),
        (("conditions", 3, "at_least_min"), 0, "conditions[3].at_least_min", "not a whole number"),
        (("conditions", 3, "grace_min"), 1.5, "conditions[3].grace_min", "not a whole number"),
        (("conditions", 5, "mode"), "moderation", "conditions[5].mode", "not a mode"),
        (("conditions", 5, "limit_tac_g_dl"), 0.02, "conditions[5].limit_tac_g_dl", "abstinence has no limit"),
        (("conditions", 6, "limit_tac_g_dl"), ..., "conditions[6].limit_tac_g_dl", "missing"),
        (("conditions", 6, "limit_tac_g_dl"), 35, "conditions[6].limit_tac_g_dl", "out of range"),
        (("conditions", 7, "also"), [], "conditions[7].also", "missing or empty"),
        (("conditions", 7, "also", 0, "address", "name"), "hostel", "conditions[7].also", "the same name"),
        (("conditions", 7, "also", 0, "address", "radius_m"), 9e9, "conditions[7].also[0].address.radius_m",
         "out of range"),
        (("conditions", 7, "address", "residence_requirement"), "yes",
         "conditions[7].address.residence_requirement", "not true or false"),
        (("conditions", 7, "boundary_area"), " ", "conditions[7].boundary_area", "not a text"),
    ],
)  # fmt: skip
def test_a_problem_in_any_condition_is_named_by_path(
    path: tuple[str | int, ...], value: Any, named: str, fact: str
) -> None:
    with pytest.raises(OrderError) as refused:
        order_from_json(changed(path, value))
    assert [problem.path for problem in refused.value.problems] == [named]
    assert fact in refused.value.problems[0].fact


def spots(value: Any, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    """The path of everything that stands in a document."""
    found = [path] if path else []
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in inner:
        found += spots(item, (*path, key))
    return found


values = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5)
    | st.sampled_from([at(1), "0001-01-01T00:00:00Z", "9999-12-31T23:59:59-14:00", "1970-01-01T00:00:00Z", "24:00",
                       "2099-12-31T23:59:59Z", "licence", "youth_rehabilitation", "home_detention_curfew"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)  # fmt: skip


@given(st.sampled_from(spots(rich())), values | st.just(...))
@settings(max_examples=200, deadline=None)
def test_whatever_stands_in_an_order_is_read_and_checked_or_refused(
    path: tuple[str | int, ...], anything: Any
) -> None:
    try:
        order = order_from_json(changed(path, anything))
    except OrderError as refused:
        assert refused.problems
        assert all(problem.remedy for problem in refused.problems)
    else:
        assert all(problem.law.reference for problem in check_order(order, "Europe/London"))


def held(order: Order, *earlier: Order) -> list[tuple[str, list[tuple[float, float, int]]]]:
    """What is watched of curfews: hours after Monday, and versions."""
    case = Activation("a", "tag0001", order, ms(-100), ms(1000), earlier)
    return [
        (
            watch.condition,
            [
                ((s.from_ms - ms(0)) / HOUR_MS, (s.to_ms - ms(0)) / HOUR_MS, s.version)
                for s in watch.stretches
            ],
        )
        for watch in watches(case, CurfewCondition)
    ]


def version(number: int = 1, effective: float = -50, **changes: Any) -> Order:
    since = "2026-05-29T22:00:00Z" if effective < 0 else at(effective)
    return order_from_json(order_json(version=number, effective=since, **changes))


def test_a_condition_is_watched_between_its_own_dates_and_the_orders() -> None:
    night = entry("19:00", "07:00")
    assert held(version(conditions=[home(night)])) == [("curfew-1", [(-50, 1000, 1)])]
    dates: dict[str, Any] = {"start": at(10), "end": at(500)}
    assert held(version(conditions=[home(night)], **dates)) == [("curfew-1", [(10, 500, 1)])]
    own = home(night, **{"from": at(5), "to": at(300)})
    assert held(version(conditions=[own], **dates)) == [("curfew-1", [(10, 300, 1)])]
    assert held(version(conditions=[home(night, to=at(9))], **dates)) == []


def test_a_suspension_interrupts_the_watch_and_a_new_version_does_not() -> None:
    night = home(entry("19:00", "07:00"))
    stopped = [{"from": at(48), "to": at(72), "reason": "in hospital"}]
    assert held(version(conditions=[night], suspensions=stopped)) == [
        ("curfew-1", [(-50, 48, 1)]),
        ("curfew-1", [(72, 1000, 1)]),
    ]
    # told by the second version, it holds for the time of the first
    second = version(2, 60, conditions=[night], suspensions=stopped)
    assert held(second, version(conditions=[night])) == [
        ("curfew-1", [(-50, 48, 1)]),
        ("curfew-1", [(72, 1000, 2)]),
    ]
    calm = version(2, 60, conditions=[night])
    assert held(calm, version(conditions=[night])) == [("curfew-1", [(-50, 60, 1), (60, 1000, 2)])]


spans = st.lists(
    st.tuples(st.integers(0, 200), st.integers(1, 60)).map(lambda pair: (pair[0], pair[0] + pair[1])),
    max_size=6,
)


def hours_of(periods: list[tuple[int, int]]) -> set[int]:
    return {hour for start, end in periods for hour in range(start, end)}


@given(spans, spans)
@settings(max_examples=100, deadline=None)
def test_periods_less_what_is_taken_are_the_hours_that_remain(
    periods: list[tuple[int, int]], taken: list[tuple[int, int]]
) -> None:
    apart: list[tuple[int, int]] = []
    for start, end in sorted(periods):
        if not apart or start > apart[-1][1]:
            apart.append((start, end))
    left = without(apart, taken)
    assert hours_of(left) == hours_of(apart) - hours_of(taken)
    assert left == sorted(left)
    assert all(start < end for start, end in left)


@given(
    st.none() | st.lists(st.integers(0, 6), min_size=1, max_size=3, unique=True),
    spans,
    spans,
    st.integers(0, 150),
)
@settings(max_examples=60, deadline=None)
def test_a_schedule_holds_weekly_or_on_its_dates_and_not_on_its_exceptions(
    days: list[int] | None, dated: list[tuple[int, int]], exceptions: list[tuple[int, int]], first: int
) -> None:
    """Asked of every hour of the span, in UTC, where no clock changes."""
    weekly = (
        None if days is None else CurfewTimetable((TimetableEntry(tuple(sorted(days)), 22 * 60, 6 * 60),))
    )
    on = [[(ms(a), ms(b)) for a, b in some] for some in (dated, exceptions)]
    schedule = Schedule(weekly, tuple(on[0]), tuple(on[1]))
    last = first + 80
    found = [
        ((a - ms(0)) // HOUR_MS, (b - ms(0)) // HOUR_MS)
        for a, b in schedule.periods(ms(first), ms(last), "UTC")
    ]

    def holds(hour: int) -> bool:
        if hour in hours_of(exceptions):
            return False
        if days is None and not dated:
            return True
        night = days is not None and (
            (hour % 24 >= 22 and hour // 24 % 7 in days) or (hour % 24 < 6 and (hour // 24 - 1) % 7 in days)
        )
        return night or hour in hours_of(dated)

    assert hours_of(found) & set(range(first, last)) == {hour for hour in range(first, last) if holds(hour)}
    assert schedule.always == (days is None and not dated and not exceptions)
    assert all(a < b <= c for (a, b), (c, _) in itertools.pairwise(found))
