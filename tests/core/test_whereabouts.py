"""Whereabouts unknown to trail monitoring and to zones, and the home unit that knows better."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, get_args

import pytest
from hypothesis import event as note
from hypothesis import given, settings
from hypothesis import strategies as st

from core import conditions
from core.activation import ALWAYS_MS, Activation
from core.alerts import Alert, Source, iso_utc
from core.conditions import Condition
from core.monitor import FAMILIES, Monitor, evaluate
from core.order import order_from_json
from core.readings import Contacts, EventCode, Positions, Readings
from core.rules import DEFAULT_RULES
from tests.core.homes import MAINS, contacts, events
from tests.core.wearers import MONDAY_MS, activation, curfew, exclusion, made, order_json, square

MINUTE_MS = 60_000
TEN_MS = MONDAY_MS + 9 * 3_600_000
HOME_LON = 0.0300
TRAIL = {"id": "trail", "type": "trail"}
NO_CURFEW_NOW = curfew("23:00", "23:30")
"""A curfew that gives the home unit its address, at another time of the day."""


def at(minute: float) -> int:
    return TEN_MS + round(minute * MINUTE_MS)


def watched(*conditions: dict[str, Any], **changes: Any) -> Activation:
    order = order_from_json(order_json(conditions=list(conditions)))
    return replace(activation(order, fitted_ms=at(0)), **changes)


def fixes(*minutes: float, precision_m: float = 10.0) -> Positions:
    return made([at(m) for m in minutes], [(HOME_LON, 51.5)] * len(minutes), [precision_m] * len(minutes))


def heard(
    *minutes: float, count: int = 5, strongest_dbm: float = -60.0, unit_ok: int = MAINS, unit: int = 0
) -> Contacts:
    """A home unit that hears the tag well in the minute that ends at each of ``minutes``."""
    return contacts(*((at(m), count, strongest_dbm, unit_ok) for m in minutes), unit=unit)


def unknown(case: Activation, readings: Readings, now: float, condition: str = "trail") -> list[Alert]:
    alerts = evaluate([case], {case.id: readings}, at(now))
    return [a for a in alerts if a.rule == "whereabouts_unknown" and a.condition == condition]


def spans(alerts: list[Alert]) -> list[tuple[float, float | None]]:
    return [
        ((a.start_ms - TEN_MS) / MINUTE_MS, None if a.end_ms is None else (a.end_ms - TEN_MS) / MINUTE_MS)
        for a in alerts
    ]


def test_every_type_of_condition_has_a_rule_family_or_is_told_not_to_be_monitored() -> None:
    """By discovery: a class of conditions that nobody thought of here fails it."""
    types = {
        found
        for found in vars(conditions).values()
        if isinstance(found, type) and found.__name__.endswith("Condition") and found.__name__[0] != "_"
    }
    assert types - set(get_args(Condition)) == {conditions.UnmonitoredCondition}
    zone = square(0.0, 51.5, 0.02, 51.51)
    more: dict[type, dict[str, Any]] = {
        conditions.CurfewCondition: curfew(),
        conditions.AttendanceCondition: {
            "zone": zone,
            "name": "Course",
            "schedule": {"weekly": [{"days": ["Mo"], "start": "09:00", "end": "10:00"}]},
        },
        conditions.AlcoholCondition: {"mode": "abstinence"},
        conditions.TrailCondition: {},
    }
    silent = watched(TRAIL)
    silent = replace(silent, order=replace(silent.order, conditions=()))
    idle = [family(DEFAULT_RULES).enrol(silent) is not None for family in FAMILIES]
    for kind in types - {conditions.UnmonitoredCondition}:
        name = kind.__name__.removesuffix("Condition").lower()
        case = watched(more.get(kind, {"zone": zone, "name": "Zone"}) | {"id": "one", "type": name})
        assert type(case.order.conditions[0]) is kind
        watching = [family(DEFAULT_RULES).enrol(case) is not None for family in FAMILIES]
        assert sum(watching) > sum(idle), f"nothing watches a {kind.__name__}"
    order = order_from_json(order_json(conditions=[{"id": "one", "type": "polygraph"}]))
    assert [told.id for told in order.unmonitored] == ["one"]
    assert "not monitored" in order.unmonitored[0].reason


def test_a_followed_wearer_of_whom_nothing_is_heard_is_asked_about_after_75_minutes() -> None:
    case = watched(TRAIL)
    assert unknown(case, Readings(fixes(0, 1, 2)), 76.9) == []
    (alert,) = unknown(case, Readings(fixes(0, 1, 2)), 77)
    assert (spans([alert]), alert.severity, alert.state) == ([(77, None)], "medium", "open")
    assert alert.figures["last_position"] == iso_utc(at(2))
    assert "Not a violation" in alert.sentence
    (ended,) = unknown(case, Readings(fixes(0, 1, 2, 100)), 101)
    assert (ended.id, spans([ended])) == (alert.id, [(77, 100)])
    assert ended.readings == ((77, 3), (77, 4))


def test_without_any_position_a_trail_counts_from_the_fitting_and_stops_with_the_condition() -> None:
    assert spans(unknown(watched(TRAIL), Readings(), 80)) == [(75, None)]
    over = watched(TRAIL | {"to": iso_utc(at(90))})
    for readings in (Readings(), Readings(fixes(200))):
        assert spans(unknown(over, readings, 300)) == [(75, 90)]
    assert spans(unknown(watched(TRAIL, removed_ms=at(80)), Readings(), 300)) == [(75, 80)]
    assert unknown(watched(TRAIL | {"to": iso_utc(at(70))}), Readings(), 300) == []


def test_positions_too_poor_to_tell_a_place_leave_a_trail_unknown() -> None:
    poor = fixes(*range(0, 100, 5), precision_m=900.0)
    assert spans(unknown(watched(TRAIL), Readings(poor), 100)) == [(75, None)]


def test_a_trail_condition_forbids_no_place_and_needs_no_more_than_hourly_positions() -> None:
    case = watched(TRAIL)
    assert evaluate([case], {case.id: fixes(*range(0, 1200, 60))}, at(1200)) == []


@pytest.mark.parametrize("condition", ["trail", "zone-1"])
def test_a_wearer_whom_a_home_unit_hears_is_not_asked_about(condition: str) -> None:
    case = watched(TRAIL, exclusion(), NO_CURFEW_NOW)
    night = Readings(fixes(0), heard(*range(1, 301)))
    assert unknown(case, night, 301, condition) == []
    assert unknown(case, night, 374.9, condition) == []
    (alert,) = unknown(case, night, 375, condition)
    assert spans([alert]) == [(375, None)]
    assert alert.figures["last_heard"] == iso_utc(at(300))
    assert alert.sources == (Source("contact", 0),)
    assert "the home unit heard the tag last" in alert.sentence
    again = Readings(fixes(0), heard(*range(1, 301), *range(400, 410)))
    (ended,) = unknown(case, again, 410, condition)
    assert (ended.id, spans([ended])) == (alert.id, [(375, 400)])
    assert ended.sources == (Source("contact", 0), Source("contact", 0))


@pytest.mark.parametrize(
    "changes",
    [{"unit_ok": 0}, {"unit_ok": 3}, {"count": 1}, {"strongest_dbm": -99.0}, {"count": 0}, {"unit": 7}],
    ids=["no mains", "moved", "one beacon", "weak", "silent", "of no address"],
)
def test_a_home_unit_that_proves_nothing_breaks_no_silence(changes: dict[str, Any]) -> None:
    case = watched(TRAIL, exclusion(), NO_CURFEW_NOW)
    night = Readings(fixes(0), heard(*range(1, 101), **changes))
    for condition in ("trail", "zone-1"):
        assert spans(unknown(case, night, 101, condition)) == [(75, None)]


def test_a_tag_that_is_heard_with_its_strap_open_breaks_no_silence() -> None:
    case = watched(TRAIL, exclusion(), NO_CURFEW_NOW)
    opened = events((at(0.5), EventCode.STRAP_OPEN))
    night = Readings(fixes(0), heard(*range(1, 101)), events=opened)
    for condition in ("trail", "zone-1"):
        assert spans(unknown(case, night, 101, condition)) == [(75, None)]


def test_a_home_on_the_forbidden_side_of_a_zone_does_not_hide_who_is_heard_there() -> None:
    """What a home unit hears raises no visit: so it must not still the question either."""
    around = square(HOME_LON - 0.01, 51.49, HOME_LON + 0.01, 51.51)
    edge = square(HOME_LON, 51.49, HOME_LON + 0.01, 51.51)
    elsewhere = square(0.0, 51.5, 0.02, 51.51)
    for kind, zone, asked in (
        ("exclusion", around, True),
        ("exclusion", edge, True),
        ("exclusion", elsewhere, False),
        ("inclusion", around, False),
        ("inclusion", elsewhere, True),
    ):
        case = watched({"id": "z", "type": kind, "name": "Zone", "zone": zone}, NO_CURFEW_NOW)
        alerts = unknown(case, Readings(contacts=heard(*range(1, 101))), 101, "z")
        assert spans(alerts) == ([(75, None)] if asked else []), (kind, zone)


def test_two_curfews_that_place_the_same_home_unit_differently_tell_no_place() -> None:
    other = NO_CURFEW_NOW | {"id": "curfew-2"}
    same = watched(TRAIL, NO_CURFEW_NOW, other)
    other = other | {"address": dict(other["address"]) | {"latitude": 52.0}}
    different = watched(TRAIL, NO_CURFEW_NOW, other)
    night = Readings(contacts=heard(*range(1, 101)))
    assert unknown(same, night, 101) == []
    assert spans(unknown(different, night, 101)) == [(75, None)]


def test_what_a_zone_asked_about_when_it_was_over_no_later_position_takes_back() -> None:
    """A zone that is dropped, and drawn again two versions later."""
    drawn = watched(exclusion())
    none = replace(drawn.order, version=2, effective_ms=at(100), conditions=())
    again = replace(drawn.order, version=3, effective_ms=at(120))
    case = replace(drawn, order=again, earlier=(drawn.order, none))
    rows = fixes(105, 110, 121)
    assert spans(unknown(case, Readings(rows), 130, "zone-1")) == [(75, 100)]


def promised(known: list[float], over: float, now: float) -> list[tuple[float, float | None]]:
    """The sentence: more than 75 min between instants at which it was known where the wearer was."""
    found: list[tuple[float, float | None]] = []
    marks = [0.0, *sorted(known)]
    for before, after in zip(marks, [*marks[1:], None], strict=True):
        start = before + 75
        end = over if after is None or after > over else after
        if after is None and now < over:
            end = ALWAYS_MS
        if start < end and (start <= now or after is not None):
            found.append((start, None if end == ALWAYS_MS else end))
    return found


minutes = st.lists(st.integers(0, 600), max_size=12, unique=True)


@given(st.data(), minutes, minutes, st.integers(0, 700), st.integers(1, 700))
@settings(max_examples=120, deadline=None)
def test_silence_is_what_neither_positions_nor_the_home_unit_broke_in_any_order(
    data: st.DataObject, seen: list[int], told: list[int], now: int, over: int
) -> None:
    ends = {"to": iso_utc(at(over))}
    case = watched(TRAIL | ends, exclusion() | ends, NO_CURFEW_NOW)
    whole = Readings(fixes(*sorted(seen)), heard(*sorted(told)))
    ahead = now + DEFAULT_RULES.ahead_s / 60
    known = [float(m) for m in (*seen, *told) if m <= ahead]
    true = promised(known, over, now)
    note(f"{len(true)} silences")
    for condition in ("trail", "zone-1"):
        assert spans(unknown(case, whole, now, condition)) == true, condition
    monitor = Monitor(checkpoint_readings=data.draw(st.sampled_from([1, 2, 256])))
    monitor.bind(case)
    arriving = data.draw(
        st.permutations([(0, i) for i in range(len(seen))] + [(1, i) for i in range(len(told))])
    )
    for kind, i in [*arriving, *arriving[:3]]:
        one = slice(i, i + 1)
        seen_now, told_now = whole.positions.take(one), whole.contacts.take(one)
        monitor.add(case.id, Readings(seen_now) if kind == 0 else Readings(contacts=told_now))
        if data.draw(st.booleans()):
            monitor.judge(at(data.draw(st.integers(0, 700))))
    monitor.judge(at(now))
    assert monitor.alerts() == evaluate([case], {case.id: whole}, at(now))


def test_an_alert_says_of_every_reading_whose_journal_it_stands_in() -> None:
    """A home unit and a tag count their readings each for itself, and the numbers may be the same."""
    case = watched(curfew("10:00", "20:00"))
    silent = heard(*range(1, 20), count=0)
    happened = events(
        (at(1), EventCode.MAINS_LOST, 1.0), (at(2), EventCode.CASE_OPEN), (at(3), EventCode.JAMMING)
    )
    by_rule = {
        alert.rule: alert
        for alert in evaluate([case], {case.id: Readings(contacts=silent, events=happened)}, at(20))
    }
    absent = by_rule["absent_during_curfew"]
    assert set(absent.sources) == {Source("contact", 0)}
    assert by_rule["home_unit_no_mains"].sources == (Source("event", 1),)
    assert by_rule["case_tamper"].sources == (Source("event"),)
    assert by_rule["jamming"].sources == (Source("event"),)
    for alert in by_rule.values():
        assert len(alert.sources) == len(alert.readings)
        assert alert.to_json()["sources"] == [list(source) for source in alert.sources]
    away = made([at(m) for m in range(1, 20)], [(0.035, 51.5)] * 19, [10.0] * 19)
    (absent,) = (a for a in evaluate([case], {case.id: away}, at(20)) if a.condition == "curfew-1")
    assert set(absent.sources) == {Source("position")}
    unhealthy = heard(*range(1, 5), unit_ok=0)
    alerts = evaluate([case], {case.id: Readings(contacts=unhealthy)}, at(5))
    assert [a.sources for a in alerts if a.rule == "home_unit_no_mains"] == [(Source("contact", 0),)]
