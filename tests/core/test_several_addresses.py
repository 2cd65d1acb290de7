"""Curfews at several addresses; and the kinds of absence told apart."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.activation import Activation, watches
from core.alerts import Alert, iso_utc
from core.curfew_calendar import Calendar, Expansion, address_sets, timetable_of
from core.monitor import Monitor, evaluate
from core.order import CurfewCondition, order_from_json
from core.readings import Positions, Readings
from tests.core.homes import contacts
from tests.core.wearers import DAY_MS, MONDAY_MS, PLACES, activation, order_json, positions

WEEK = ["Mo", "Tu", "We", "Th", "Fr", "Sa", "Su"]
CURFEW_MS = MONDAY_MS + 18 * 3_600_000
"""19:00 British Summer Time on a Monday."""


def at(minutes: float) -> int:
    return CURFEW_MS + int(minutes * 60_000)


def stay(place: str, first: int, last: int) -> list[tuple[int, str]]:
    return [(at(m), place) for m in range(first, last)]


def spot(name: str, place: str) -> dict[str, Any]:
    longitude, latitude = PLACES[place]
    return {"name": name, "latitude": latitude, "longitude": longitude, "radius_m": 50}


def times(start: str, end: str, days: list[str] | None = None) -> list[dict[str, Any]]:
    return [{"days": days or WEEK, "start": start, "end": end}]


def curfew_at(
    primary: list[dict[str, Any]], *also: tuple[str, str, list[dict[str, Any]]], **changes: Any
) -> Activation:
    condition = {
        "id": "curfew-1",
        "type": "curfew",
        "address": spot("primary", "home"),
        "timetable": primary,
        "also": [{"address": spot(name, place), "timetable": entries} for name, place, entries in also],
    }
    if not also:
        del condition["also"]
    return activation(
        order_from_json(order_json(conditions=[condition])), **({"fitted_ms": at(-600)} | changes)
    )


def judged(case: Activation, rows: Positions | Readings, now_ms: int) -> list[Alert]:
    readings = rows if isinstance(rows, Readings) else Readings(positions=rows)
    found = evaluate([case], {case.id: readings}, now_ms)
    return [alert for alert in found if alert.rule != "atv_reached"]


BY_TURNS = curfew_at(times("19:00", "22:00"), ("secondary", "street", times("22:00", "07:00")))


def test_each_address_has_its_own_times() -> None:
    kept = positions(*stay("home", -10, 179), *stay("street", 179, 721))
    assert [a.rule for a in judged(BY_TURNS, kept, at(720))] == []
    (alert,) = judged(BY_TURNS, positions(*stay("home", -10, 240), *stay("street", 240, 721)), at(720))
    assert (alert.start_ms, alert.end_ms) == (at(180), at(240))
    assert alert.figures["address"] == "secondary"
    assert alert.figures["kind"] == "late_home"
    assert alert.figures["curfew_start"] == iso_utc(at(180))
    assert alert.sentence.startswith("Away from the secondary address during the curfew that began at 22:00")


def test_the_primary_address_does_not_do_when_it_is_the_turn_of_the_secondary() -> None:
    alerts = judged(BY_TURNS, positions(*stay("street", -10, 730)), at(730))
    assert [(a.figures["address"], a.figures["kind"]) for a in alerts] == [("primary", "whole_curfew_missed")]


def test_on_the_way_from_one_address_to_the_next_nobody_is_out_already() -> None:
    # at the secondary address three minutes too early: left the primary one early, and is not out of the secondary one
    monitor = Monitor()
    monitor.bind(BY_TURNS)
    monitor.add(BY_TURNS.id, positions(*stay("home", -10, 177), *stay("street", 177, 180)))
    (alert,) = monitor.judge(at(180))
    assert (alert.figures["address"], alert.figures["kind"], alert.state) == (
        "primary",
        "left_early",
        "ended",
    )


def test_where_two_addresses_will_do_either_does() -> None:
    case = curfew_at(times("19:00", "07:00"), ("secondary", "street", times("19:00", "07:00")))
    kept = positions(*stay("home", -10, 100), *stay("street", 100, 200), *stay("home", 200, 721))
    assert judged(case, kept, at(720)) == []
    (alert,) = judged(
        case, positions(*stay("home", -10, 100), *stay("zone", 100, 150), *stay("street", 150, 721)), at(720)
    )
    assert (alert.start_ms, alert.end_ms) == (at(100), at(150))
    assert alert.figures["address"] == "primary or secondary"
    # one home unit's silence says nothing of the other address
    quiet = contacts(*((at(m), 0) for m in range(-5, 61)))
    (unknown,) = judged(case, Readings(contacts=quiet), at(60))
    assert unknown.rule == "whereabouts_unknown"


def test_the_home_unit_of_each_address_speaks_for_its_own() -> None:
    first = contacts(*((at(m), 4) for m in range(-5, 180)), *((at(m), 0) for m in range(180, 721)))
    second = contacts(*((at(m), 0) for m in range(-5, 180)), *((at(m), 4) for m in range(180, 721)), unit=1)
    both = Readings(contacts=first.concatenate([first, second]))
    assert judged(BY_TURNS, both, at(720)) == []
    silent = contacts(*((at(m), 0) for m in range(-5, 721)), unit=1)
    alerts = judged(BY_TURNS, Readings(contacts=first.concatenate([first, silent])), at(720))
    assert [(a.figures["address"], a.figures["kind"]) for a in alerts] == [
        ("secondary", "whole_curfew_missed")
    ]


def test_an_address_by_days_of_the_week() -> None:
    case = curfew_at(
        times("19:00", "07:00", ["Mo", "Tu", "We", "Th"]),
        ("secondary", "street", times("20:00", "06:00", ["Fr"])),
    )
    friday = 4 * 24 * 60
    rows = positions(*stay("home", friday - 10, friday + 120))
    (alert,) = judged(replace(case, fitted_ms=at(friday - 60)), rows, at(friday + 120))
    assert (alert.figures["address"], alert.start_ms) == ("secondary", at(friday + 60))


# 01:30 comes twice in October and is skipped in March
entries = st.tuples(
    st.lists(st.sampled_from(WEEK), min_size=1, max_size=4, unique=True),
    st.sampled_from(["00:00", "01:00", "01:30", "12:00", "19:00", "22:00"]),
    st.sampled_from(["01:10", "02:00", "06:00", "20:00", "24:00"]),
).filter(lambda entry: entry[1] != entry[2])
timetables = st.lists(entries, min_size=1, max_size=2)


@given(
    st.lists(timetables, min_size=2, max_size=3), st.sampled_from(["2026-03-27", "2026-06-01", "2026-10-23"])
)
@settings(max_examples=12, deadline=None)
def test_periods_are_where_exactly_those_timetables_ask_for_curfew(
    weeks: list[list[tuple[list[str], str, str]]], day: str
) -> None:
    places = ["home", "street", "zone"]
    names = ["primary", "secondary", "tertiary"]
    tables = [[{"days": days, "start": start, "end": end} for days, start, end in week] for week in weeks]
    from_ms = int(datetime.fromisoformat(day).replace(tzinfo=UTC).timestamp()) * 1000
    case = curfew_at(tables[0], *zip(names[1:], places[1:], tables[1:], strict=False), fitted_ms=from_ms)
    (watch,) = watches(case, CurfewCondition)
    condition = watch.stretches[0].condition
    found: dict[int, tuple[int, ...]] = {}
    step_ms, until_ms = 1_800_000, from_ms + 5 * DAY_MS
    for addresses in address_sets(condition):
        expansion = Expansion(timetable_of(condition, addresses), "Europe/London")
        for start, end in (
            Calendar(watch, [(watch.stretches[0], expansion)], []).between(from_ms, until_ms).tolist()
        ):
            for t_ms in range(-(-start // step_ms) * step_ms, min(end, until_ms), step_ms):
                assert t_ms not in found, "two sets of addresses at once"
                found[t_ms] = addresses
    for t_ms in range(from_ms, until_ms, step_ms):
        asked = tuple(i for i, week in enumerate(weeks) if any(says(entry, t_ms) for entry in week))
        assert found.get(t_ms, ()) == asked, datetime.fromtimestamp(t_ms / 1000, UTC)


def says(entry: tuple[list[str], str, str], t_ms: int) -> bool:
    """Does an entry ask for curfew? By the clock on the wall, day by day."""
    london, days = ZoneInfo("Europe/London"), [WEEK.index(day) for day in entry[0]]
    now = datetime.fromtimestamp(t_ms / 1000, london)
    for back in (0, 1):
        day = now.date() - timedelta(days=back)
        if day.weekday() in days:
            start, end = (first_instant(day, clock, london) for clock in entry[1:])
            if entry[2] <= entry[1]:
                end = first_instant(day + timedelta(days=1), entry[2], london)
            if start <= now.astimezone(UTC) < end:
                return True
    return False


def first_instant(day: Any, clock: str, zone: ZoneInfo) -> datetime:
    """The first minute at which the clock there shows this or a later time on that day."""
    hour, minute = int(clock[:2]), int(clock[3:])
    wanted = datetime(day.year, day.month, day.day) + timedelta(hours=hour, minutes=minute)
    utc = wanted.replace(tzinfo=UTC) - timedelta(hours=2)
    while utc.astimezone(zone).replace(tzinfo=None) < wanted:
        utc += timedelta(minutes=1)
    return utc


PLAIN = curfew_at(times("19:00", "07:00"))
NIGHT = 12 * 60


@pytest.mark.parametrize(
    ("kind", "words", "rows"),
    [
        pytest.param(
            "late_home", "(home late)", stay("street", -60, 30) + stay("home", 30, 721), id="late home"
        ),
        pytest.param(
            "left_early",
            "(left before its end)",
            stay("home", -60, 600) + stay("street", 600, 730),
            id="left early",
        ),
        pytest.param(
            "out_during",
            "2026, from",
            stay("home", -60, 60) + stay("street", 60, 90) + stay("home", 90, 721),
            id="out during",
        ),
        pytest.param(
            "whole_curfew_missed", "(missed as a whole)", stay("street", -60, 730), id="whole curfew missed"
        ),
    ],
)
def test_the_kind_of_an_absence_is_told(kind: str, words: str, rows: list[tuple[int, str]]) -> None:
    (alert,) = judged(PLAIN, positions(*rows), at(NIGHT + 5))
    assert (alert.rule, alert.figures["kind"]) == ("absent_during_curfew", kind)
    assert words in alert.sentence


def test_out_already_is_told_at_once_and_becomes_home_late_under_the_same_identity() -> None:
    monitor = Monitor()
    monitor.bind(PLAIN)
    monitor.add(PLAIN.id, positions(*stay("street", -60, 0)))
    (opened,) = monitor.judge(at(0))
    assert opened.figures["kind"] == "already_out"
    assert "the curfew that began at 19:00 on 1 June 2026 (out when it began)" in opened.sentence
    monitor.add(PLAIN.id, positions(*stay("street", -60, 30), *stay("home", 30, 35)))
    (ended,) = monitor.judge(at(35))
    assert (ended.id, ended.state, ended.figures["kind"]) == (opened.id, "ended", "late_home")


def test_a_whole_curfew_is_not_missed_where_part_of_it_is_unknown() -> None:
    rows = positions(*stay("street", -60, 100), *stay("street", 200, 730))
    (alert, unknown) = judged(PLAIN, rows, at(NIGHT + 5))
    assert (alert.figures["kind"], unknown.rule) == ("already_out", "whereabouts_unknown")
    rows = positions(*stay("home", -60, 100), *stay("street", 100, 200))  # and never heard again
    (alert, _) = judged(PLAIN, rows, at(NIGHT + 5))
    assert (alert.end_ms, alert.figures["kind"]) == (at(NIGHT), "out_during")


def test_somebody_never_seen_at_home_has_not_left_early() -> None:
    rows = positions(*stay("street", 300, 730))  # fitted at home or not, nothing was heard until 300
    (_, alert) = sorted(judged(PLAIN, rows, at(NIGHT + 5)), key=lambda one: one.start_ms)
    assert (alert.rule, alert.figures["kind"]) == ("absent_during_curfew", "out_during")


def test_removal_of_the_tag_is_not_leaving_early() -> None:
    case = replace(PLAIN, removed_ms=at(300))
    (alert,) = judged(case, positions(*stay("home", -60, 200), *stay("street", 200, 400)), at(400))
    assert (alert.end_ms, alert.figures["kind"]) == (at(300), "out_during")
