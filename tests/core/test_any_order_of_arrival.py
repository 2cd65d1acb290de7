"""Law 3: however readings arrive, the alerts are those of one evaluation, and those that the sentences promise."""

from __future__ import annotations

import itertools
from dataclasses import replace
from functools import cache
from math import inf

import numpy as np
import pytest
import shapely
from hypothesis import event, given, settings
from hypothesis import strategies as st
from pyproj import Geod

from core.activation import ALWAYS_MS
from core.alerts import Alert
from core.monitor import Monitor, evaluate
from core.order import Condition, CurfewCondition, ExclusionCondition
from core.readings import Positions
from core.rules import DEFAULT_RULES
from core.timetable import joined
from core.zones import zone_from_geojson
from tests.core import trail_reference
from tests.core.geodesic import Boundary
from tests.core.reference import Found, Seen, curfews, silences, visits
from tests.core.wearers import MONDAY_MS, PLACES, ZONES, Case, activation, cases, made

GEOD = Geod(ellps="WGS84")


@cache
def zone_metres(digest: str, place: tuple[float, float]) -> float:
    """Signed geodesic distance of a place to the zone drawn so."""
    drawn = next(zone for zone in ZONES if zone_from_geojson(zone).digest == digest)
    return Boundary(shapely.geometry.shape(drawn)).signed_distance(*place)


@cache
def metres_from(longitude: float, latitude: float, place: tuple[float, float]) -> float:
    return float(GEOD.inv(longitude, latitude, *place)[2])


def spans(case: Case) -> list[tuple[int, int, dict[str, Condition]]]:
    """Which conditions are in force when, worked out instant by instant."""
    this = case.activation
    orders = [*this.earlier, this.order]
    last = ALWAYS_MS if this.removed_ms is None else this.removed_ms
    marks = sorted({this.fitted_ms, last, *(order.effective_ms for order in orders)})
    return [
        (start, end, {one.id: one for one in max(known, key=lambda order: order.version).conditions})
        for start, end in itertools.pairwise(marks)
        if start >= this.fitted_ms
        and end <= last
        and (known := [o for o in orders if o.effective_ms <= start])
    ]


def trusted(case: Case) -> list[bool]:
    """Which positions are no jumps, position by position."""
    rows = case.positions
    trail = [
        trail_reference.Fix(
            int(rows.t_ms[i]),
            float(rows.lat[i]),
            float(rows.lon[i]),
            inf
            if np.isnan(rows.precision_m[i]) or rows.flags[i] & 0b1001000 or not rows.flags[i] & 3
            else max(float(rows.precision_m[i]), DEFAULT_RULES.precision_floor_m),
            int(rows.epoch[i]),
            int(rows.seq[i]),
        )
        for i in range(len(rows))
    ]
    return [good for good, _ in trail_reference.judged(trail, DEFAULT_RULES)]


def seen_at(case: Case, condition: Condition, from_ms: int, to_ms: int) -> list[Seen]:
    """What the positions show of one wording of a condition, while it is in force."""
    shown = []
    rows = case.positions
    for t_ms, lon, lat, precision, flags, good in zip(
        rows.t_ms.tolist(),
        rows.lon.tolist(),
        rows.lat.tolist(),
        rows.precision_m,
        rows.flags,
        trusted(case),
        strict=True,
    ):
        too_far_ahead = t_ms > case.now_ms + DEFAULT_RULES.ahead_s * 1000
        if (
            not from_ms <= t_ms < to_ms
            or np.isnan(precision)
            or flags & 0b1001000
            or not flags & 3
            or too_far_ahead
            or not good
        ):
            continue
        unsure = max(float(precision), DEFAULT_RULES.precision_floor_m)
        if isinstance(condition, ExclusionCondition):
            outside = zone_metres(condition.zone.digest, (lon, lat))
        else:
            assert isinstance(condition, CurfewCondition)
            spot = condition.address
            outside = metres_from(spot.longitude, spot.latitude, (lon, lat))
            outside -= spot.radius_m + DEFAULT_RULES.address_margin_m
        if abs(outside) > unsure:
            inside = outside < 0
            if isinstance(condition, ExclusionCondition):
                shown.append(Seen(t_ms, inside, -outside))
            else:
                assert isinstance(condition, CurfewCondition)
                far = outside + condition.address.radius_m + DEFAULT_RULES.address_margin_m
                shown.append(Seen(t_ms, not inside, far))
    return shown


def located(case: Case) -> list[int]:
    """When positions of the activation tell a place, each instant as often as it was told."""
    rows, this = case.positions, case.activation
    last = ALWAYS_MS if this.removed_ms is None else this.removed_ms
    return [
        t_ms
        for t_ms, precision, flags, good in zip(
            rows.t_ms.tolist(), rows.precision_m, rows.flags, trusted(case), strict=True
        )
        if good
        and this.fitted_ms <= t_ms < last
        and t_ms <= case.now_ms + DEFAULT_RULES.ahead_s * 1000
        and not np.isnan(precision)
        and not flags & 0b1001000
        and flags & 3
    ]


def unbroken(
    all_spans: list[tuple[int, int, dict[str, Condition]]], condition_id: str
) -> list[list[tuple[int, int, dict[str, Condition]]]]:
    """The stretches of time through which a condition is in force without a break."""
    chains = itertools.groupby(all_spans, lambda span: condition_id in span[2])
    return [list(chain) for here, chain in chains if here]


def promised(case: Case) -> list[tuple[str, Found]]:
    """What the reference finds for every condition."""
    found: list[tuple[str, Found]] = []
    all_spans = spans(case)
    for condition_id in ("zone-1", "zone-2", "curfew-1"):
        for chain in unbroken(all_spans, condition_id):
            watch = [(start, end, named[condition_id]) for start, end, named in chain]
            seen = [one for start, end, condition in watch for one in seen_at(case, condition, start, end)]
            if condition_id != "curfew-1":
                bounds = watch[0][0], watch[-1][1], case.now_ms, DEFAULT_RULES
                told = visits(seen, *bounds) + silences(seen, located(case), *bounds)
            else:
                periods = []
                horizon = max([case.now_ms, *(one.t_ms for one in seen)]) + 1
                for start, end, condition in watch:
                    assert isinstance(condition, CurfewCondition)
                    for begins, ends in condition.timetable.periods(
                        start, min(end, horizon), "Europe/London"
                    ):
                        periods.append((max(begins, start), min(ends, end)))
                told = curfews(seen, joined(periods), case.now_ms, DEFAULT_RULES)
            found += [(condition_id, one) for one in told]
    return sorted(found, key=repr)


def as_found(alert: Alert) -> tuple[str, Found]:
    figures = {key: alert.figures.get(key) for key in ("at_least_min", "at_most_min", "positions")}
    metres = alert.figures.get("greatest_depth_m", alert.figures.get("farthest_m"))
    return alert.condition, Found(alert.rule, alert.start_ms, alert.end_ms, **figures, metres=metres)  # type: ignore[arg-type]


def rounded(found: list[tuple[str, Found]]) -> list[tuple[str, Found]]:
    """The same without distances, which two ways of measuring tell to 0.5 % only."""
    return sorted(((name, replace(one, metres=None)) for name, one in found), key=repr)


@given(cases())
@settings(max_examples=150, deadline=None)
def test_alerts_are_what_the_sentences_promise(case: Case) -> None:
    alerts = evaluate([case.activation], {case.activation.id: case.positions}, case.now_ms)
    # of equipment: test_equipment
    found = sorted((as_found(alert) for alert in alerts if alert.condition != "equipment"), key=repr)
    true = promised(case)
    event(f"{min(len(true), 4)} alerts")
    assert rounded(found) == rounded(true)
    for (_, mine), (_, theirs) in zip(found, true, strict=True):
        if theirs.metres is not None:
            assert mine.metres == pytest.approx(theirs.metres, rel=0.005, abs=1)


@st.composite
def arrivals(draw: st.DrawFn, case: Case) -> list[Positions | int]:
    """Positions in batches, in any order, some twice; instants at which the alerts are judged in between."""
    n = len(case.positions)
    order = list(range(n))
    for _ in range(draw(st.integers(0, 4))):  # some come late, by a little or by hours
        if n:
            order.insert(draw(st.integers(0, n - 1)), order.pop(draw(st.integers(0, n - 1))))
    if draw(st.booleans()) and n:
        order += draw(st.lists(st.integers(0, n - 1), max_size=5))
    cuts = sorted({0, len(order), *draw(st.lists(st.integers(0, len(order)), max_size=8))})
    steps: list[Positions | int] = []
    for lo, hi in itertools.pairwise(cuts):
        steps.append(case.positions.take(np.array(order[lo:hi], np.intp)))
        if draw(st.booleans()):
            latest = int(case.positions.t_ms[order[hi - 1]])
            steps.append(latest + draw(st.sampled_from([0, 0, 90_000, 1_200_000, -900_000, 90_000_000])))
    return steps


@given(st.data(), cases())
@settings(max_examples=150, deadline=None)
def test_any_split_order_repetition_and_clock_ends_in_the_same_alerts(
    data: st.DataObject, case: Case
) -> None:
    name = case.activation.id
    monitor = Monitor(checkpoint_readings=data.draw(st.sampled_from([1, 3, 256])))
    monitor.bind(case.activation)
    told: dict[str, Alert] = {}
    for step in [*data.draw(arrivals(case)), case.now_ms]:
        if isinstance(step, int):
            for alert in monitor.judge(step):
                assert told.get(alert.id) != alert, "told without a change"
                told[alert.id] = alert
        else:
            monitor.add(name, step)
    whole = evaluate([case.activation], {name: case.positions}, case.now_ms)
    assert monitor.alerts() == whole
    assert {alert.id: alert for alert in told.values() if alert.state != "withdrawn"} == {
        a.id: a for a in whole
    }
    assert monitor.judge(case.now_ms) == []
    assert len({alert.id for alert in whole}) == len(whole)


@given(st.lists(cases(most=25), min_size=2, max_size=4), st.randoms(use_true_random=False))
@settings(max_examples=40, deadline=None)
def test_wearers_do_not_touch_each_other(all_cases: list[Case], random: object) -> None:
    now_ms = max(case.now_ms for case in all_cases)
    named = [
        Case(replace(case.activation, id=f"a{i}"), case.positions, now_ms) for i, case in enumerate(all_cases)
    ]
    together = evaluate(
        [case.activation for case in named], {case.activation.id: case.positions for case in named}, now_ms
    )
    alone = [
        alert
        for case in named
        for alert in evaluate([case.activation], {case.activation.id: case.positions}, now_ms)
    ]
    assert together == alone


def test_hours_of_late_data_raise_the_same_alerts() -> None:
    minutes = np.arange(24 * 60)
    rng = np.random.default_rng(5)
    places = ["home"] * 300 + ["zone"] * 40 + ["street"] * 700 + ["home"] * 400
    day = made(
        (MONDAY_MS + minutes * 60_000).tolist(), [PLACES[place] for place in places], [10.0] * len(places)
    )
    case, now_ms = activation(), MONDAY_MS + 30 * 3_600_000
    whole = evaluate([case], {case.id: day}, now_ms)
    assert {alert.rule for alert in whole} == {
        "in_exclusion_zone",
        "absent_during_curfew",
        "whereabouts_unknown",
        "no_position",
    }
    for _ in range(10):
        monitor = Monitor()
        monitor.bind(case)
        delayed = minutes + rng.choice([0, 0, 0, 5, 60, 400], len(minutes))
        for minute in range(0, 2000, 20):
            due = np.flatnonzero((delayed >= minute) & (delayed < minute + 20))
            if len(due):
                monitor.add(case.id, day.take(rng.permutation(due)))
            monitor.judge(MONDAY_MS + minute * 60_000)
        monitor.judge(now_ms)
        assert monitor.alerts() == whole
