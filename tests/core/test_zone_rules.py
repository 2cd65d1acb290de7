"""Zones at times, inclusion and restriction, warning rings, silence, and passes that nobody saw."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from core.activation import Activation
from core.alerts import Alert
from core.geofence import Geofence
from core.monitor import Monitor, evaluate
from core.order import order_from_json
from core.readings import Positions
from core.rules import DEFAULT_RULES
from tests.core.wearers import DAY_MS, MONDAY_MS, PLACES, STEPS_S, activation, made, order_json, square

MINUTE_MS = 60_000
BEGINS = MONDAY_MS + 9 * 3_600_000
"""10:00 in London."""
WORKING = {"weekly": [{"days": ["Mo", "Tu"], "start": "10:00", "end": "12:00"}]}
AT = {**PLACES, "west": (-0.0030, 51.5050), "ring": (0.0215, 51.5050)}  # 208 m west, 104 m east of the zone


def watched(kind: str = "exclusion", **changes: Any) -> Activation:
    condition = {"id": "z", "type": kind, "name": "Market", "zone": square(0.0, 51.5, 0.02, 51.51)}
    fitted = {key: changes.pop(key) for key in ("fitted_ms", "removed_ms") if key in changes}
    return activation(order_from_json(order_json(conditions=[condition | changes])), **fitted)


def rows_at(*stays: tuple[str, float, float], step: float = 1.0) -> Positions:
    """Positions ``step`` minutes apart: (place, from, to), minutes from ten o'clock."""
    rows = [(minute, place) for place, a, b in stays for minute in np.arange(a, b, step)]
    return made(
        [BEGINS + round(minute * MINUTE_MS) for minute, _ in rows],
        [AT[p] for _, p in rows],
        [10.0] * len(rows),
    )


def judged(rows: Positions, case: Activation, now: float = 60, *rules: str) -> list[Alert]:
    """The alerts ``now`` minutes after ten, of these rules; without rules all but whereabouts unknown."""
    if "whereabouts_unknown" in rules and len(rows):
        case = replace(case, fitted_ms=int(rows.t_ms[0]))
    found = [
        a for a in evaluate([case], {case.id: rows}, BEGINS + round(now * MINUTE_MS)) if a.condition == "z"
    ]
    return [a for a in found if (a.rule in rules if rules else a.rule != "whereabouts_unknown")]


def spans(alerts: Sequence[Alert]) -> list[tuple[float, float | None]]:
    """From and to in minutes from ten."""
    return [
        ((a.start_ms - BEGINS) / MINUTE_MS, None if a.end_ms is None else (a.end_ms - BEGINS) / MINUTE_MS)
        for a in alerts
    ]


def test_a_zone_counts_at_its_times_only() -> None:
    rows = rows_at(
        ("zone", -60, -30), ("street", -30, 30), ("zone", 30, 40), ("street", 40, 130), ("zone", 130, 150)
    )
    assert spans(judged(rows, watched(schedule=WORKING), 160)) == [(30, 40)]


def test_a_wearer_in_a_zone_when_it_comes_into_force_is_alerted_at_that_instant_by_now_alone() -> None:
    rows = rows_at(("street", -60, -20), ("zone", -20, 0))
    case = watched(schedule=WORKING)
    assert judged(rows, case, -0.01) == []
    (alert,) = judged(rows, case, 0)
    assert (spans([alert]), alert.state, alert.figures["positions"]) == ([(0, None)], "open", 1)
    assert alert.sentence.endswith(
        "It came into force at 10:00 on 1 June 2026 with the wearer there already."
    )
    monitor = Monitor(families=(Geofence,))
    monitor.bind(case)
    monitor.add(case.id, rows)
    assert [told.rule for told in monitor.judge(BEGINS - 60_000)] == []
    assert [told.id for told in monitor.judge(BEGINS)] == [alert.id]
    # and however it goes on, it is the same alert
    (later,) = judged(rows_at(("street", -60, -20), ("zone", -20, 5), ("street", 5, 20)), case)
    assert (later.id, spans([later])) == (alert.id, [(0, 5)])
    assert later.figures["at_least_min"] == 4


def test_a_position_too_old_to_vouch_puts_nobody_in_a_zone_that_comes_into_force() -> None:
    case = watched(schedule=WORKING)
    rows = rows_at(("zone", -20, -3))
    assert judged(rows, case) == []
    rows = rows_at(("zone", -20, -3), ("zone", 4, 6))
    assert spans(judged(rows, case)) == [(4, None)]


def test_a_visit_ends_when_the_zone_is_in_force_no_longer() -> None:
    rows = rows_at(("street", 100, 110), ("zone", 110, 150))
    case = watched(schedule=WORKING)
    (alert,) = judged(rows, case, 160)
    assert (spans([alert]), alert.state, alert.figures["at_most_min"]) == ([(110, 120)], "ended", 11)
    assert spans(judged(rows_at(("street", 100, 110), ("zone", 110, 118)), case, 121)) == [(110, 120)]


def test_exceptions_are_taken_out_and_dates_are_kept_to() -> None:
    court = [{"from": "2026-06-01T09:30:00Z", "to": "2026-06-01T10:00:00Z"}]
    rows = rows_at(("zone", 0, 110), step=2)
    case = watched(schedule={**WORKING, "exceptions": court})
    assert spans(judged(rows, case, 115)) == [(0, 30), (60, None)]
    case = watched(schedule={"exceptions": court})
    assert spans(judged(rows, case, 115)) == [(0, 30), (60, None)]
    case = watched(schedule={"dated": court})
    assert spans(judged(rows, case, 115)) == [(30, 60)]


@pytest.mark.parametrize(
    ("kind", "rule"), [("inclusion", "outside_inclusion_zone"), ("restriction", "outside_restriction_zone")]
)
def test_outside_of_a_zone_to_be_in_is_the_mirror_of_inside_a_zone_to_keep_out_of(
    kind: str, rule: str
) -> None:
    rows = rows_at(("zone", -30, 20), ("street", 20, 40), ("zone", 40, 60))
    case = watched(kind, schedule=WORKING)
    (alert,) = judged(rows, case)
    assert (alert.rule, alert.severity, spans([alert])) == (rule, "high", [(20, 40)])
    assert alert.figures["greatest_distance_m"] == pytest.approx(1041, abs=3)
    assert f"Outside {kind} zone “Market” from 10:20" in alert.sentence
    assert "20 positions outside by more than their own uncertainty, the farthest by 10" in alert.sentence
    mirrored = judged(
        rows_at(("street", -30, 20), ("zone", 20, 40), ("street", 40, 60)), watched(schedule=WORKING)
    )
    assert spans(mirrored) == spans([alert])


def test_one_position_outside_of_a_zone_to_be_in_raises_nothing() -> None:
    rows = rows_at(("zone", 0, 20), ("street", 20, 21), ("zone", 21, 40))
    assert judged(rows, watched("inclusion")) == []
    assert judged(rows_at(("edge", 0, 40)), watched("inclusion")) == []


def test_a_wearer_out_already_when_a_zone_to_be_in_comes_into_force_is_alerted_at_that_instant() -> None:
    (alert,) = judged(rows_at(("street", -30, 0)), watched("inclusion", schedule=WORKING), 0)
    assert spans([alert]) == [(0, None)]


def test_a_warning_ring_warns_and_forbids_nothing() -> None:
    case = watched(warning_m=200)
    (alert,) = judged(rows_at(("street", 0, 10), ("ring", 10, 20), ("street", 20, 30)), case)
    assert (alert.rule, alert.severity, spans([alert])) == ("near_exclusion_zone", "low", [(10, 20)])
    assert alert.figures["nearest_m"] == pytest.approx(104, abs=1)
    assert "A warning: the order forbids nothing here." in alert.sentence
    rules = {a.rule for a in judged(rows_at(("street", 0, 10), ("zone", 10, 20)), case)}
    assert rules == {"near_exclusion_zone", "in_exclusion_zone"}
    assert judged(rows_at(("street", 0, 30)), case) == []
    inner = watched("restriction", warning_m=200)
    near = [(0.0190, 51.505), AT["zone"]]
    rows = made([BEGINS + m * MINUTE_MS for m in range(20)], [near[m >= 10] for m in range(20)], [10.0] * 20)
    assert [(a.rule, spans([a])) for a in judged(rows, inner)] == [
        ("near_edge_of_restriction_zone", [(0, 10)])
    ]


def test_a_circle_is_a_zone_like_any_other() -> None:
    circle = {"type": "Point", "coordinates": list(PLACES["zone"]), "radius_m": 250}
    (alert,) = judged(rows_at(("street", 0, 10), ("zone", 10, 20), ("street", 20, 30)), watched(zone=circle))
    assert (spans([alert]), alert.figures["greatest_depth_m"]) == ([(10, 20)], 250.0)


def test_a_pass_between_two_positions_is_inferred_and_marked_as_such() -> None:
    rows = rows_at(("west", 0, 5), ("kerb", 5, 10))
    (alert,) = judged(rows, watched(), 11)
    assert (alert.rule, alert.severity, alert.state) == ("inferred_pass", "low", "ended")
    assert spans([alert]) == [(4, 5)]
    assert alert.figures["inferred"] == "straight line between two positions"
    assert alert.figures["line_m"] == pytest.approx(1645, abs=5)
    assert alert.figures["inside_m"] == pytest.approx(1388, abs=30)
    assert alert.figures["depth_of_line_m"] == pytest.approx(556, abs=2)
    assert alert.figures["speed_kmh"] == 99
    assert alert.sentence.startswith(
        "Inferred, not seen: a pass through exclusion zone “Market” between 10:04"
    )
    assert alert.readings == ((77, 5), (77, 7), (77, 6))


@pytest.mark.parametrize(
    "rows",
    [
        rows_at(("west", 0, 5), ("kerb", 5, 6), ("west", 6, 10)),  # one erroneous position beyond the zone
        rows_at(("west", 0, 5), ("kerb", 5, 6)),  # not confirmed yet
        rows_at(("west", 0, 1), ("kerb", 1, 9)),  # nothing before it
        rows_at(("west", 0, 5), ("kerb", 10, 15)),  # too long between
        rows_at(("west", 0, 5, ), ("kerb", 4.5, 9), step=0.5),  # 1,645 m in 30 s
        rows_at(("street", 0, 5), ("kerb", 5, 10)),  # beside it
    ],
    ids=["one error", "unconfirmed", "unsupported", "5 min and more", "too fast", "beside"],
)  # fmt: skip
def test_a_line_that_proves_too_little_infers_no_pass(rows: Positions) -> None:
    assert judged(rows, watched(), 20) == []


def test_no_pass_is_inferred_through_a_zone_that_is_not_in_force() -> None:
    rows = rows_at(("west", -10, -5), ("kerb", -5, 0))
    assert judged(rows, watched(schedule=WORKING)) == []


def test_silence_near_a_zone_leaves_whereabouts_unknown_after_75_minutes() -> None:
    rows = rows_at(("street", 0, 5))
    assert judged(rows, watched(), 78, "whereabouts_unknown") == []
    (alert,) = judged(rows, watched(), 79, "whereabouts_unknown")
    assert (spans([alert]), alert.severity, alert.readings) == ([(79, None)], "medium", ((77, 5),))
    assert "Not a violation" in alert.sentence
    again = judged(rows_at(("street", 0, 5), ("street", 100, 101)), watched(), 102, "whereabouts_unknown")
    assert spans(again) == [(79, 100)]
    assert again[0].id == alert.id


def test_far_from_a_zone_whereabouts_are_known_until_it_could_have_been_reached() -> None:
    zone = {"type": "Point", "coordinates": [0.035, 54.2], "radius_m": 100}  # 300.5 km from the street
    rows = rows_at(("street", 0, 1))
    (alert,) = judged(rows, watched(zone=zone), 200, "whereabouts_unknown")
    ((start, _),) = spans([alert])
    assert start == pytest.approx(300_350 / 50 / 60, rel=0.005)
    assert judged(rows, watched(zone=zone), 99, "whereabouts_unknown") == []


def test_hourly_positions_of_a_tag_at_rest_leave_nothing_unknown() -> None:
    rows = rows_at(("street", 0, 600), step=60)
    assert judged(rows, watched(), 601, "whereabouts_unknown") == []


def test_positions_too_poor_to_tell_a_place_are_no_hiding_place() -> None:
    rows = rows_at(("kerb", 0, 200))
    rows.precision_m.fill(900.0)
    assert spans(judged(rows, watched(fitted_ms=BEGINS), 200, "whereabouts_unknown")) == [(75, None)]


def test_a_wearer_who_lives_on_a_boundary_is_not_asked_about_every_night() -> None:
    assert judged(rows_at(("edge", 0, 600)), watched(), 600, "whereabouts_unknown") == []


def test_a_zone_that_comes_into_force_during_a_silence_asks_at_once() -> None:
    before = watched("inclusion", id="other")
    drawn = watched()
    case = replace(
        before, order=replace(drawn.order, version=2, effective_ms=BEGINS), earlier=(before.order,)
    )
    for rows in (rows_at(("street", -90, -89)), rows_at(("street", -90, -89), ("street", 30, 31))):
        alerts = [a for a in judged(rows, case, 40, "whereabouts_unknown") if a.condition == "z"]
        assert [(start, a.order_version) for (start, _), a in zip(spans(alerts), alerts, strict=True)] == [
            (0, 2)
        ]


def test_a_position_after_a_zone_is_over_takes_nothing_back() -> None:
    drawn, other = watched(fitted_ms=BEGINS), watched("inclusion")
    none = replace(other.order.conditions[0], id="other")
    after = replace(other.order, version=2, effective_ms=BEGINS + 100 * MINUTE_MS, conditions=(none,))
    case = replace(drawn, order=after, earlier=(drawn.order,))
    found = evaluate([case], {case.id: rows_at(("zone", 120, 121))}, BEGINS + 130 * MINUTE_MS)
    assert spans([a for a in found if a.condition == "z"]) == [(75, 100)]


def test_without_any_position_whereabouts_are_unknown_from_75_minutes_on() -> None:
    case = watched(fitted_ms=BEGINS)
    (alert,) = judged(rows_at(), case, 80, "whereabouts_unknown")
    assert spans([alert]) == [(75, None)]
    assert "there has been no position at all" in alert.sentence


def test_silence_counts_while_a_zone_is_in_force_only_and_not_during_a_visit() -> None:
    case = watched(schedule=WORKING)
    assert spans(judged(rows_at(("street", -200, -199)), case, 130, "whereabouts_unknown")) == [(0, 120)]
    assert judged(rows_at(("zone", 0, 5)), watched(), 300, "whereabouts_unknown") == []


# -- against a reference that reads like the sentences

KINDS = ("exclusion", "inclusion", "restriction")
SCHEDULES: list[dict[str, Any] | None] = [
    None,
    WORKING,
    {
        "weekly": [
            {"days": ["Mo"], "start": "10:30", "end": "10:31"},
            {"days": ["Mo"], "start": "11:00", "end": "24:00"},
        ]
    },
    {"dated": [{"from": "2026-06-01T09:10:00Z", "to": "2026-06-01T09:40:00Z"}]},
    {"exceptions": [{"from": "2026-06-01T09:10:00Z", "to": "2026-06-01T10:40:00Z"}]},
]
moves = st.tuples(
    st.sampled_from(["street", "zone", "zone", "kerb", "west", "edge", "ring"]),
    st.integers(1, 6),
    st.sampled_from([*STEPS_S, 30, 60, 4499, 4500, 4501]),
)


@st.composite
def cases(draw: st.DrawFn) -> tuple[str, Any, Activation, Positions, int]:
    kind, schedule = draw(st.sampled_from(KINDS)), draw(st.sampled_from(SCHEDULES))
    changes = {} if schedule is None else {"schedule": schedule}
    walked = [(place, step) for place, n, step in draw(st.lists(moves, max_size=9)) for _ in range(n)]
    start = BEGINS + draw(st.sampled_from([-1800, -600, -140, -10, 0, 600])) * 1000
    t_ms = start + np.cumsum([step * 1000 for _, step in walked], dtype=np.int64)
    rows = made(t_ms.tolist(), [AT[place] for place, _ in walked], [10.0] * len(walked))
    last = int(t_ms[-1]) if walked else start
    now_ms = last + draw(st.sampled_from([0, 60, 149, 150, 600, 4500, 4501, 9000])) * 1000
    case = watched(kind, fitted_ms=MONDAY_MS, **changes, **draw(st.sampled_from([{}, {"warning_m": 300}])))
    return kind, schedule, case, rows, now_ms


def expected(kind: str, case: Activation, rows: Positions, now_ms: int) -> list[tuple[int, int | None, int]]:
    """Visits from the sentences: start, end, positions."""
    rules = DEFAULT_RULES
    apart, accuse = rules.confirm_apart_s * 1000, rules.accuse_apart_s * 1000
    within, vouch = rules.confirm_within_s * 1000, rules.vouch_s * 1000
    (condition,) = case.order.conditions
    horizon = now_ms + 1
    periods = condition.schedule.periods(MONDAY_MS, horizon, rules.timezone)  # type: ignore[union-attr]
    inner = {name: name == "zone" for name in AT if name != "edge"}
    names = {place: name for name, place in AT.items()}
    seen = []
    for t_ms, place in zip(
        rows.t_ms.tolist(), zip(rows.lon.tolist(), rows.lat.tolist(), strict=True), strict=True
    ):
        name = names[place]
        if name in inner:
            seen.append((t_ms, inner[name] == (kind == "exclusion")))
    runs: list[int] = []
    for i, (t_ms, value) in enumerate(seen):
        goes_on = i and seen[i - 1][1] == value and t_ms - seen[i - 1][0] <= within
        runs.append(runs[-1] if goes_on else i)
    found: list[tuple[int, int | None, int]] = []
    for begins, ends in periods:
        ends = 1 << 60 if ends == horizon else ends  # what always holds was cut there
        before = [i for i, one in enumerate(seen) if one[0] < begins]
        last = before[-1] if before else None
        vouched = last is not None and seen[last][1] and begins < seen[last][0] + vouch and begins > MONDAY_MS
        open_: tuple[int, int, int] | None = None  # start, first position that counts, how many vouch
        if (
            last is not None
            and vouched
            and seen[last][0] - seen[runs[last]][0] >= accuse
            and begins <= now_ms
        ):
            open_ = begins, last + 1, 1
        inside = [i for i, one in enumerate(seen) if begins <= one[0] < ends]
        for i in inside:
            sure = seen[i][0] - seen[runs[i]][0] >= (accuse if seen[i][1] else apart)
            if seen[i][1] and open_ is None and sure:
                first = max(runs[i], inside[0])
                came = runs[i] < inside[0] and vouched
                open_ = (begins if came else seen[first][0]), first, int(came)
            elif not seen[i][1] and open_ is not None and sure:
                count = open_[2] + sum(one[1] for one in seen[open_[1] : runs[i]])
                found.append((open_[0], seen[runs[i]][0], count))
                open_ = None
        if open_ is not None:
            count = open_[2] + sum(seen[i][1] for i in inside if i >= open_[1])
            reached = max([now_ms, *(one[0] for one in seen)])
            found.append((open_[0], ends if ends <= reached else None, count))
    return found


@given(cases())
@settings(max_examples=120, deadline=None)
def test_visits_are_what_the_sentences_promise_at_any_schedule_and_either_way_round(case_: Any) -> None:
    kind, _, case, rows, now_ms = case_
    # by themselves: what the trail does not believe has its own tests
    monitor = Monitor(families=(Geofence,))
    monitor.bind(case)
    monitor.add(case.id, rows)
    monitor.judge(now_ms)
    found = [
        (a.start_ms, a.end_ms, a.figures["positions"])
        for a in monitor.alerts()
        if a.rule in ("in_exclusion_zone", "outside_inclusion_zone", "outside_restriction_zone")
    ]
    event(f"{min(len(found), 3)} visits")
    assert found == expected(kind, case, rows, now_ms)


@given(st.data(), cases())
@settings(max_examples=120, deadline=None)
def test_zones_of_every_kind_end_in_the_same_alerts_in_any_order_of_arrival(
    data: st.DataObject, case_: Any
) -> None:
    _, _, case, rows, now_ms = case_
    if data.draw(st.booleans()):
        change = data.draw(st.sampled_from([-600, 0, 900, 5000])) * 1000
        first = replace(case.order, version=1, effective_ms=0)
        case = replace(case, order=replace(first, version=2, effective_ms=BEGINS + change), earlier=(first,))
    monitor = Monitor(checkpoint_readings=data.draw(st.sampled_from([1, 3, 256])))
    monitor.bind(case)
    order = data.draw(st.permutations(range(len(rows))))
    cuts = sorted({0, len(order), *data.draw(st.lists(st.integers(0, len(order)), max_size=6))})
    for lo, hi in itertools.pairwise(cuts):
        monitor.add(case.id, rows.take(np.array(order[lo:hi], np.intp)))
        if data.draw(st.booleans()):
            monitor.judge(now_ms - data.draw(st.sampled_from([0, 600_000, 5_000_000, -DAY_MS])))
    monitor.judge(now_ms)
    whole = evaluate([case], {case.id: rows}, now_ms)
    event(", ".join(sorted({alert.rule for alert in whole})))
    assert monitor.alerts() == whole
    assert monitor.judge(now_ms) == []
    assert len({alert.id for alert in whole}) == len(whole)
