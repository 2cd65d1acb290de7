"""Visits to exclusion zones: what raises one, what ends it, what does neither, on real days too."""

from __future__ import annotations

import csv
import math
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
import shapely
from pyproj import Proj

from core.activation import Activation
from core.alerts import Alert
from core.monitor import Monitor, evaluate
from core.order import order_from_json
from core.readings import PositionFlag, Positions
from core.rules import DEFAULT_RULES, RuleSet
from tests.core.reference import Seen, visits
from tests.core.wearers import (
    DAY_MS,
    MONDAY_MS,
    PLACES,
    ZONES,
    activation,
    exclusion,
    made,
    order_json,
    positions,
    square,
)

NOW = MONDAY_MS + 3 * 3_600_000


def watched(*conditions: dict[str, object], **changes: object) -> Activation:
    order = order_from_json(order_json(conditions=list(conditions) or [exclusion()]))
    return activation(order, **changes)


def judged(rows: Positions, now_ms: int = NOW, case: Activation | None = None) -> list[Alert]:
    """The visits; silence and what is inferred have their own tests (test_zone_rules)."""
    case = case or watched()
    return visits_of(evaluate([case], {case.id: rows}, now_ms))


def visits_of(alerts: list[Alert]) -> list[Alert]:
    return [alert for alert in alerts if alert.rule == "in_exclusion_zone"]


def minute(count: float) -> int:
    return MONDAY_MS + int(count * 60_000)


def stay(place: str, first: int, last: int) -> list[tuple[int, str]]:
    return [(minute(m), place) for m in range(first, last)]


def test_a_visit_begins_at_the_first_position_inside_and_ends_at_the_first_outside() -> None:
    (alert,) = judged(positions(*stay("street", 0, 5), *stay("zone", 5, 25), *stay("street", 25, 30)))
    assert (alert.rule, alert.condition, alert.state, alert.severity) == (
        "in_exclusion_zone",
        "zone-1",
        "ended",
        "critical",
    )
    assert (alert.start_ms, alert.end_ms) == (minute(5), minute(25))
    assert alert.figures["positions"] == 20
    assert (alert.figures["at_least_min"], alert.figures["at_most_min"]) == (19, 21)
    assert alert.figures["greatest_depth_m"] == pytest.approx(556.3, abs=0.3)
    assert alert.readings == ((77, 6), (77, 8), (77, 25), (77, 26))
    assert alert.sentence == (
        "Inside exclusion zone “Town centre” from 01:05 on 1 June 2026 until 01:25 on 1 June 2026, "
        f"at least 19 min, at most 21 min: 20 positions inside by more than their own uncertainty, "
        f"the deepest by {alert.figures['greatest_depth_m']:.2f} m."
    )


def test_a_visit_that_goes_on_is_open_and_has_no_upper_bound() -> None:
    (alert,) = judged(positions(*stay("street", 0, 5), *stay("zone", 5, 8)))
    assert (alert.state, alert.end_ms) == ("open", None)
    assert "at_most_min" not in alert.figures
    assert "for at least 2 min" in alert.sentence


@pytest.mark.parametrize("wrong", [PLACES["zone"], PLACES["street"]], ids=["into the zone", "out of it"])
def test_a_fix_50_m_wrong_raises_nothing_and_ends_nothing(wrong: tuple[float, float]) -> None:
    # a receiver that claims 2 m and is wrong by far more than 50 m, once
    truly = "street" if wrong == PLACES["zone"] else "zone"
    rows = positions(*((t, place, 2.0) for t, place in stay(truly, 0, 30)))
    rows.lon[15], rows.lat[15] = wrong
    alerts = judged(rows)
    assert [(alert.state, alert.start_ms) for alert in alerts] == (
        [("open", minute(0))] if truly == "zone" else []
    )


def test_wrong_fixes_for_little_more_than_a_minute_show_nothing_however_many_they_are() -> None:
    burst = [(minute(10) + s * 1000, "zone", 2.0) for s in range(70)]
    around = positions(*stay("street", 0, 10), *burst, *stay("street", 12, 20))
    assert judged(around) == []
    longer = positions(
        *stay("street", 0, 10), *burst, (minute(10) + 70_000, "zone", 2.0), *stay("street", 12, 20)
    )
    assert len(judged(longer)) == 1


@pytest.mark.parametrize(
    ("speeds", "raised"),
    [((5, 3), True), ((2, 2), False), ((5, 2), False), ((math.nan, math.nan), False)],
)
@pytest.mark.parametrize("apart_s", [14, 15, 20])
def test_who_walks_into_a_zone_is_believed_after_15_s(
    speeds: tuple[float, ...], raised: bool, apart_s: int
) -> None:
    rows = positions(*stay("street", 0, 10), *((minute(10) + s * 1000, "zone", 5.0) for s in (0, apart_s)))
    rows.speed_kmh[-2:] = speeds
    alerts = judged(rows)
    raised = raised and apart_s >= 15
    assert len(alerts) == raised
    assert all(alert.start_ms == minute(10) for alert in alerts)


def test_poor_accuracy_does_not_count_as_inside_and_not_as_outside() -> None:
    inside = [(t, place, 600.0) for t, place in stay("zone", 0, 30)]
    assert judged(positions(*inside)) == []
    outside = [(t, place, 2000.0) for t, place in stay("street", 10, 30)]
    (alert,) = judged(positions(*stay("zone", 0, 10), *outside))
    assert alert.state == "open"


@pytest.mark.parametrize(
    "spoil",
    [
        lambda rows: rows.precision_m.fill(np.nan),
        lambda rows: rows.precision_m.fill(np.inf),
        lambda rows: rows.flags.fill(3 | PositionFlag.NOT_SATELLITE),
        lambda rows: rows.flags.fill(3 | PositionFlag.DATE_SUSPECT),
        lambda rows: rows.flags.fill(0),
        lambda rows: rows.lat.fill(np.nan),
        lambda rows: rows.lon.fill(np.inf),
        lambda rows: rows.lat.fill(91.0),
        lambda rows: rows.t_ms.fill(0),
    ],
    ids=["precision unknown", "precision infinite", "not from satellites", "date suspect", "time unset",
         "no latitude", "infinite longitude", "latitude 91", "time zero"],
)  # fmt: skip
def test_a_position_that_proves_nothing_raises_nothing(spoil: object) -> None:
    rows = positions(*stay("zone", 0, 30))
    spoil(rows)  # type: ignore[operator]
    assert judged(rows) == []


def test_precision_is_not_believed_below_the_floor() -> None:
    # 3 m outside of the edge and 3 m inside of it, each claiming 1 m: neither is certain
    at_edge = [(0.020043, 51.505), (0.019957, 51.505)]
    rows = made([minute(m) for m in range(40)], [at_edge[m % 2] for m in range(40)], [1.0] * 40)
    assert judged(rows) == []
    eager = RuleSet(version="test", precision_floor_m=0.5)
    inside = made([minute(m) for m in range(40)], [at_edge[1]] * 40, [1.0] * 40)
    assert judged(inside) == []
    assert len(visits_of(evaluate([watched()], {"activation-1": inside}, NOW, eager))) == 1


def test_two_positions_with_too_much_silence_between_do_not_confirm_each_other() -> None:
    assert judged(positions((minute(0), "zone"), (minute(15.1), "zone"))) == []
    assert len(judged(positions((minute(0), "zone"), (minute(15), "zone")))) == 1


def test_a_certain_position_outside_between_two_inside_breaks_the_confirmation() -> None:
    # the uncertain one at the same spot must not let the certain one pass unseen
    rows = positions((minute(0), "zone"), (minute(1), "kerb", 60.0), (minute(2), "kerb"), (minute(3), "zone"))
    assert judged(rows) == []
    assert len(judged(rows.take(np.array([0, 1, 3])))) == 1


def test_each_visit_rests_on_its_own_readings() -> None:
    rows = positions(*stay("zone", 0, 5), *stay("street", 5, 10), *stay("zone", 10, 15))
    first, second = judged(rows)
    assert first.readings == ((77, 1), (77, 3), (77, 5), (77, 6))
    assert second.readings == ((77, 11), (77, 13), (77, 15))


def test_editing_a_zone_invents_no_transition() -> None:
    before = watched()
    rows = positions(*stay("street", 0, 5), *stay("zone", 5, 60))
    wider = square(-0.01, 51.495, 0.02, 51.52)
    effective = "2026-06-01T00:20:00Z"
    edited = order_from_json(order_json(version=2, effective=effective, conditions=[exclusion(zone=wider)]))
    after = replace(before, order=edited, earlier=(before.order,))
    monitor = Monitor()
    monitor.bind(before)
    monitor.add(before.id, rows)
    (told,) = monitor.judge(NOW)
    monitor.rebind(after)
    changed = monitor.judge(NOW)
    (alert,) = monitor.alerts()
    assert (alert.id, alert.start_ms, alert.state) == (told.id, told.start_ms, told.state)
    # nothing but the greater depth in the wider zone is new, and the visit is still the one of version 1
    assert [one.id for one in changed] == [told.id]
    assert alert.order_version == 1
    assert {k for k in alert.figures if alert.figures[k] != told.figures[k]} == {"greatest_depth_m"}


def test_an_edit_that_draws_the_same_zone_again_changes_nothing() -> None:
    before = watched()
    again = order_from_json(order_json(version=2, effective="2026-06-01T00:20:00Z", conditions=[exclusion()]))
    monitor = Monitor()
    monitor.bind(before)
    monitor.add(before.id, positions(*stay("zone", 0, 60)))
    monitor.judge(NOW)
    monitor.rebind(replace(before, order=again, earlier=(before.order,)))
    assert monitor.judge(NOW) == []


def test_a_zone_drawn_round_a_wearer_who_is_far_from_the_old_one_begins_a_visit_when_it_is_in_force() -> None:
    near = [0.29, 51.69, 0.31, 51.71]
    edited = order_from_json(
        order_json(version=2, effective="2026-06-01T00:30:00Z", conditions=[exclusion(zone=square(*near))])
    )
    case = replace(watched(), order=edited, earlier=(watched().order,))
    (alert,) = judged(positions(*stay("far", 0, 60)), case=case)
    assert (alert.start_ms, alert.order_version) == (minute(30), 2)


def test_a_version_in_force_earlier_than_the_one_before_it_rules_from_then_on() -> None:
    lenient = order_from_json(order_json(version=3, conditions=[exclusion(zone=ZONES[2])]))
    case = replace(watched(), order=lenient, earlier=(watched().order,))
    assert judged(positions(*stay("zone", 0, 60)), case=case) == []


def test_a_visit_ends_with_the_condition_or_with_removal() -> None:
    none = order_from_json(
        order_json(version=2, effective="2026-06-01T00:30:00Z", conditions=[exclusion("other", ZONES[2])])
    )
    dropped = replace(watched(), order=none, earlier=(watched().order,))
    removed = watched(removed_ms=minute(30))
    for case in (dropped, removed):
        (alert,) = judged(positions(*stay("zone", 0, 60)), case=case)
        assert (alert.state, alert.end_ms) == ("ended", minute(30))
        (alert,) = judged(positions(*stay("zone", 0, 60)), now_ms=minute(29), case=case)
        assert alert.state == "open"


def test_before_fitting_and_after_removal_nothing_is_judged() -> None:
    case = watched(fitted_ms=minute(20), removed_ms=minute(40))
    rows = positions(*stay("zone", 0, 20), *stay("street", 20, 40), *stay("zone", 40, 60))
    assert judged(rows, case=case) == []


def test_a_reading_dated_far_ahead_is_held_until_the_clock_gets_there() -> None:
    monitor = Monitor()
    case = watched()
    monitor.bind(case)
    monitor.add(case.id, positions(*stay("zone", 0, 3), *((minute(m) + DAY_MS, "zone") for m in range(3))))
    (alert,) = monitor.judge(minute(5))
    assert (alert.figures["positions"], monitor.held()) == (3, {case.id: 3})
    assert monitor.judge(minute(6)) == []
    (alert,) = visits_of(monitor.judge(minute(5) + DAY_MS))
    assert (alert.figures["positions"], monitor.held()) == (6, {})
    # the clock goes back: what it judged ahead of time is unjudged
    (alert,) = visits_of(monitor.judge(minute(7)))
    assert (alert.figures["positions"], monitor.held()) == (3, {case.id: 3})


def test_many_zones_are_each_judged_by_themselves() -> None:
    cells = [exclusion(f"cell-{i}", square(i * 0.001, 51.50, i * 0.001 + 0.0009, 51.51)) for i in range(200)]
    rows = made(
        [minute(m) for m in range(40)], [(0.0005 + (m // 4) * 0.002, 51.505) for m in range(40)], [10.0] * 40
    )
    alerts = judged(rows, case=watched(*cells))
    assert [alert.condition for alert in alerts] == [f"cell-{i}" for i in range(0, 20, 2)]


def trail(path: Path) -> tuple[Positions, np.ndarray]:
    with path.open() as file:
        rows = [
            (
                int(datetime.fromisoformat(row["timestamp"]).timestamp() * 1000),
                float(row["longitude"]),
                float(row["latitude"]),
            )
            for row in csv.DictReader(file)
        ]
    at = np.array([row[1:] for row in rows])
    return made([row[0] for row in rows], [(row[1], row[2]) for row in rows], [10.0] * len(rows)), at


def test_a_zone_across_real_days_gives_exactly_the_visits_that_geos_finds(data: Path) -> None:
    rng = np.random.default_rng(6)
    total = 0
    for path in sorted((data / "trails").glob("*.csv")):
        rows, at = trail(path)
        for middle in at[rng.choice(len(at), 8)]:
            plane = Proj(proj="aeqd", lon_0=middle[0], lat_0=middle[1], ellps="WGS84")
            turns = np.linspace(0, 2 * np.pi, 13)[:-1]
            ring = np.column_stack([np.cos(turns), np.sin(turns)]) * rng.uniform(30, 400, (12, 1))
            hole = ring * 0.3
            outer, inner = (
                np.column_stack(plane(part[:, 0], part[:, 1], inverse=True)) for part in (ring, hole)
            )
            zone = shapely.geometry.mapping(shapely.Polygon(outer, [inner]))
            shape = shapely.Polygon(ring, [hole])
            points = shapely.points(*plane(at[:, 0], at[:, 1]))
            metres = shapely.distance(shapely.boundary(shape), points)
            # a position within 0.5 % or 20 cm of its own uncertainty may fall on either side
            clear = np.abs(metres - 10) > np.maximum(0.2, 0.005 * metres)
            inside = shapely.contains(shape, points)
            seen = [
                Seen(int(t), bool(within), float(depth))
                for t, within, depth in zip(rows.t_ms[clear], inside[clear], metres[clear], strict=True)
                if depth > 10
            ]
            case = watched(exclusion(zone=zone), fitted_ms=int(rows.t_ms[0]))
            case = replace(case, order=replace(case.order, effective_ms=0))
            now_ms = int(rows.t_ms[-1]) + DAY_MS
            alerts = judged(rows.take(np.flatnonzero(clear)), now_ms, case)
            true = visits(seen, case.fitted_ms, 1 << 60, now_ms, DEFAULT_RULES)
            assert [(a.start_ms, a.end_ms, a.figures["positions"]) for a in alerts] == [
                (v.start_ms, v.end_ms, v.positions) for v in true
            ]
            total += len(true)
    assert total > 40
