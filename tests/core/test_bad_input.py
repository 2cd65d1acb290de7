"""Bad input gets a typed error or a flag, never a wrong alert: one named test for each kind of it."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from core.activation import Activation
from core.alerts import Alert
from core.monitor import Monitor, evaluate
from core.order import OrderError, order_from_json
from core.readings import Contacts, EventCode, Events, Positions, Readings, Samples
from core.rows import fixes_from
from core.rules import DEFAULT_RULES, RuleSet
from core.trail import FixQuality, assess
from core.zones import ZoneError, zone_from_geojson
from tests.core.homes import contacts, events
from tests.core.wearers import (
    MONDAY_MS,
    PLACES,
    activation,
    curfew,
    exclusion,
    made,
    order_json,
    square,
)

MINUTE_MS = 60_000
EVENING_MS = MONDAY_MS + 18 * 3_600_000
NOT_NUMBERS = [math.nan, math.inf, -math.inf]
ZONE = PLACES["zone"]
ALL = order_from_json(
    order_json(
        conditions=[
            exclusion(),
            curfew(),
            {"id": "t", "type": "trail"},
            {"id": "a", "type": "alcohol", "mode": "abstinence"},
        ]
    )
)


def wearer(**changes: Any) -> Activation:
    return activation(ALL, **({"fitted_ms": EVENING_MS} | changes))


def minutes(count: int, first: int = 0) -> list[int]:
    return [EVENING_MS + (first + i) * MINUTE_MS for i in range(count)]


def found(readings: Readings | Positions, now_min: float = 14, case: Activation | None = None) -> list[Alert]:
    case = case or wearer()
    whole = Readings(readings) if isinstance(readings, Positions) else readings
    return evaluate([case], {case.id: whole}, EVENING_MS + round(now_min * MINUTE_MS))


def at(place: tuple[float, float], count: int = 10) -> Positions:
    return made(minutes(count), [place] * count, [10.0] * count)


def refused(**changes: Any) -> OrderError:
    with pytest.raises(OrderError) as caught:
        order_from_json(order_json(**changes))
    return caught.value


@pytest.mark.parametrize("bad", NOT_NUMBERS, ids=str)
@pytest.mark.parametrize("column", ["lat", "lon", "precision_m"])
def test_a_position_that_is_no_number_is_flagged_and_raises_nothing(column: str, bad: float) -> None:
    rows = at(ZONE)
    getattr(rows, column).fill(bad)
    quality = assess(fixes_from(rows, DEFAULT_RULES.precision_floor_m), DEFAULT_RULES).quality
    assert all(FixQuality(int(bits)) & FixQuality.PROVES_NOTHING for bits in quality)
    assert found(rows) == []


@pytest.mark.parametrize("bad", NOT_NUMBERS, ids=str)
@pytest.mark.parametrize("column", ["speed_kmh", "course_deg", "hdop"])
def test_what_no_rule_asks_of_a_position_may_be_any_number(column: str, bad: float) -> None:
    rows = at(ZONE)
    getattr(rows, column).fill(bad)
    assert found(rows) == found(at(ZONE)) != []


@pytest.mark.parametrize("bad", [*NOT_NUMBERS, -60.0], ids=str)
def test_a_contact_of_no_length_shows_no_absence(bad: float) -> None:
    rows = contacts(*((t, 0) for t in minutes(20)))
    rows.span_s.fill(bad)
    assert [alert.rule for alert in found(Readings(contacts=rows))] == []


@pytest.mark.parametrize("bad", [math.nan, -math.inf], ids=str)
def test_a_contact_of_no_strength_shows_no_presence(bad: float) -> None:
    rows = contacts(*((t, 5, bad) for t in minutes(20)))
    alerts = found(Readings(contacts=rows), 18)
    assert [alert.rule for alert in alerts] == ["whereabouts_unknown"], "it is not taken for being at home"


@pytest.mark.parametrize("bad", NOT_NUMBERS, ids=str)
@pytest.mark.parametrize("column", ["tac_g_dl", "ir_v", "temp_c"])
def test_a_sample_that_is_no_number_is_no_drinking(column: str, bad: float) -> None:
    n = 30
    flags, epoch = np.full(n, 3, np.uint8), np.full(n, 79, np.uint32)
    times = np.array([EVENING_MS + i * 30 * MINUTE_MS for i in range(n)])
    rows = Samples(
        times, np.zeros(n), np.ones(n), np.full(n, 33.0), flags, epoch, np.arange(1, n + 1, dtype="u4")
    )
    getattr(rows, column)[5:].fill(bad)
    alerts = found(Readings(samples=rows), 16 * 60)
    assert "drinking_event" not in [alert.rule for alert in alerts]


@pytest.mark.parametrize("bad", NOT_NUMBERS, ids=str)
def test_an_event_with_a_value_that_is_no_number_is_heard_all_the_same(bad: float) -> None:
    rows = events((EVENING_MS, EventCode.BATTERY, bad), (EVENING_MS + 1, EventCode.BATTERY_PERCENT, bad))
    assert found(Readings(events=rows)) == []
    (alert,) = found(Readings(events=events((EVENING_MS, EventCode.MAINS_LOST, bad))))
    assert alert.rule == "home_unit_no_mains"


@pytest.mark.parametrize("bad", NOT_NUMBERS, ids=str)
def test_an_order_with_a_number_that_is_none_is_refused_with_its_place(bad: float) -> None:
    home = curfew()
    home["address"] |= {"latitude": bad}
    assert "conditions[0].address.latitude" in str(refused(conditions=[home]))
    with pytest.raises(ZoneError, match="coordinates"):
        zone_from_geojson({"type": "Polygon", "coordinates": [[[0, 51], [bad, 51], [0, 52], [0, 51]]]})
    with pytest.raises(ValueError, match="fastest_m_s"):
        RuleSet(fastest_m_s=bad)


@pytest.mark.parametrize(("lon", "lat"), [(0.01, 91.0), (0.01, -91.0), (181.0, 51.505), (-181.0, 51.505)])
def test_latitude_91_is_a_place_nowhere(lon: float, lat: float) -> None:
    rows = at((lon, lat))
    quality = assess(fixes_from(rows, DEFAULT_RULES.precision_floor_m), DEFAULT_RULES).quality
    assert all(FixQuality(int(bits)) & FixQuality.PROVES_NOTHING for bits in quality)
    assert found(rows) == []
    home = curfew(at=(lon, lat))
    assert "out of range" in str(refused(conditions=[home]))
    with pytest.raises(ZoneError, match="Give"):
        zone_from_geojson({"type": "Point", "coordinates": [lon, lat], "radius_m": 100})


def test_time_zero_is_before_every_fitting_and_means_nothing() -> None:
    rows = at(ZONE)
    rows.t_ms[:] = 0
    assert found(rows) == []
    opened = events((0, EventCode.STRAP_OPEN), (0, EventCode.MAINS_LOST), (0, EventCode.JAMMING))
    silent = contacts(*((0, 0) for _ in range(20)))
    assert found(Readings(events=opened, contacts=silent)) == []
    inside = at(ZONE)
    both = Positions.concatenate([rows, replace(inside, seq=inside.seq + np.uint32(100))])
    assert [a.rule for a in found(both)] == [a.rule for a in found(inside)]


@pytest.mark.parametrize("t_ms", [-(2**62), -1, 2**62])
def test_times_that_no_clock_shows_break_nothing(t_ms: int) -> None:
    rows = at(ZONE)
    rows.t_ms[:5] = t_ms
    assert {alert.rule for alert in found(rows)} == {"in_exclusion_zone", "absent_during_curfew"}


def test_times_in_the_future_are_held_until_the_clock_gets_there() -> None:
    case, monitor = wearer(), Monitor()
    rows = made(minutes(10, first=600), [ZONE] * 10, [10.0] * 10)
    monitor.bind(case)
    monitor.add(case.id, Readings(rows, contacts(*((t, 0) for t in rows.t_ms.tolist()))))
    monitor.judge(EVENING_MS)
    assert (monitor.alerts(), monitor.held()) == ([], {case.id: 20})
    monitor.judge(EVENING_MS + 610 * MINUTE_MS)
    assert monitor.held() == {}
    assert "in_exclusion_zone" in [alert.rule for alert in monitor.alerts()]


def test_an_order_that_begins_before_1970_or_after_2100_is_refused() -> None:
    for instant in ("1969-12-31T23:59:59Z", "2100-01-01T00:00:00Z", "0001-01-01T00:00:00+14:00"):
        assert "effective" in str(refused(effective=instant))
    with pytest.raises(ValueError, match="fitted at"):
        wearer(fitted_ms=-1)


def test_ten_thousand_zones_are_watched_and_only_the_one_that_was_entered_is_told() -> None:
    def zone(i: int) -> dict[str, Any]:
        west, south = 0.1 + (i % 100) * 0.01, 51.6 + (i // 100) * 0.01
        return exclusion(f"zone-{i}", square(west, south, west + 0.005, south + 0.005))

    order = order_from_json(order_json(conditions=[*(zone(i) for i in range(10_000)), exclusion("here")]))
    case = activation(order, fitted_ms=EVENING_MS)
    assert [(a.condition, a.rule) for a in found(at(ZONE), 14, case)] == [("here", "in_exclusion_zone")]


@pytest.mark.parametrize(
    "drawn",
    [
        {"type": "Polygon", "coordinates": [[[0, 51], [0, 51], [0, 51], [0, 51]]]},
        {"type": "Polygon", "coordinates": [[[0, 51], [1, 51], [2, 51], [0, 51]]]},
        {"type": "Polygon", "coordinates": [[[0, 51], [1, 51], [0, 51]]]},
        {"type": "Polygon", "coordinates": [[]]},
        {"type": "MultiPolygon", "coordinates": []},
        {"type": "Point", "coordinates": [0.0, 51.0], "radius_m": 0},
        {"type": "LineString", "coordinates": [[0.0, 51.0], [0.0, 51.0]], "width_m": 50},
        {"type": "LineString", "coordinates": [[0.0, 51.0], [1.0, 51.0]], "width_m": 0},
    ],
    ids=["a point", "a line", "two points", "no point", "no polygon", "no radius", "no length", "no width"],
)
def test_a_zone_without_area_is_refused_with_where_and_why(drawn: dict[str, Any]) -> None:
    with pytest.raises(ZoneError) as caught:
        zone_from_geojson(drawn)
    assert all(problem.path and problem.remedy for problem in caught.value.problems)
    assert "conditions[0].zone" in str(refused(conditions=[exclusion(zone=drawn)]))


@pytest.mark.parametrize("timetable", [[], None, {}, [{}], [{"days": [], "start": "19:00", "end": "07:00"}]])
def test_an_empty_timetable_is_refused(timetable: object) -> None:
    assert "timetable" in str(refused(conditions=[curfew() | {"timetable": timetable}]))
    scheduled = exclusion() | {"schedule": {"weekly": timetable}}
    assert "weekly" in str(refused(conditions=[scheduled]))


def test_no_readings_at_all_raise_nothing_but_questions() -> None:
    nothing = Readings(Positions.empty(), Contacts.empty(), Samples.empty(), Events.empty())
    alerts = found(nothing, 6 * 60)
    assert {alert.rule for alert in alerts} == {"whereabouts_unknown", "no_position"}
    assert {alert.severity for alert in alerts} == {"medium"}
