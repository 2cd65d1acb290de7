"""Every reading late, each in turn, a checkpoint after every one: what a rule has saved is what it goes back to.

Nothing is drawn: each life holds what its rule must remember, so that a rule that goes back to anything else is found.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import fields
from typing import Any

import numpy as np
import pytest

from core.activation import Activation
from core.monitor import Monitor, evaluate
from core.order import order_from_json
from core.readings import EventCode, Readings
from tests.core.drinkers import events_of, samples_of, sober_order, tagged
from tests.core.homes import contacts
from tests.core.wearers import MONDAY_MS, activation, curfew, exclusion, order_json, positions

MIN = 60_000
OFFICE = {
    "id": "office",
    "type": "attendance",
    "name": "probation office",
    "zone": {"type": "Point", "coordinates": [0.0100, 51.5050], "radius_m": 300},
    "schedule": {"weekly": [{"days": ["Mo"], "start": "10:00", "end": "11:00"}]},
    "at_least_min": 50,
    "grace_min": 10,
}
NINE = MONDAY_MS + 9 * 3_600_000
EVENING = MONDAY_MS + 18 * 3_600_000
Life = tuple[Activation, Readings, int]


def under(*conditions: dict[str, Any], **changes: Any) -> Activation:
    return activation(order_from_json(order_json(conditions=list(conditions), **changes)))


def a_silence_of_a_zone() -> Life:
    """Positions a quarter of an hour apart, 80 min without any, and some more: two of them in the zone."""
    minutes = [0, 15, 30, 110, 125, 126, 127, 128, 140, 230]
    places = ["street", "far", "street", "street", "zone", "zone", "zone", "street", "street", "street"]
    rows = positions(*((NINE + m * MIN, place) for m, place in zip(minutes, places, strict=True)))
    return under(exclusion()), Readings(positions=rows), NINE + 400 * MIN


def an_evening_of_drinking() -> Life:
    """Every half hour, up to 0.09 g/dl and down again; then the sensor is covered for two hours."""
    tac = [0, 0, 0, 0.02, 0.04, 0.06, 0.08, 0.09, 0.08, 0.07, 0.055, 0.04, 0.03, 0.02, 0.01] + [0.0] * 12
    infrared = [1.0] * 20 + [1.6] * 5 + [1.0] * 2
    times = [NINE + 30 * MIN * i for i in range(len(tac))]
    return tagged(sober_order()), Readings(samples=samples_of(times, tac, infrared)), times[-1] + 3 * MIN


def an_appointment_cut_short() -> Life:
    """There from the 5th to the 25th minute of 60."""
    rows = positions(
        *((NINE + m * MIN, "zone" if 5 <= m < 25 else "street") for m in range(-4, 64, 2)),
    )
    return under(OFFICE), Readings(positions=rows), NINE + 90 * MIN


def an_evening_out() -> Life:
    """Two absences, one by a home unit's silence, one by positions, which use up the allowance of the order."""
    heard = [*range(-3, 5), *range(16, 20)]
    rf = contacts(*((EVENING + m * MIN, 4 if m in heard else 0) for m in range(-3, 20)))
    gps = positions(*((EVENING + m * MIN, "street" if 25 <= m < 40 else "home") for m in range(22, 44, 2)))
    case = under(curfew("19:00", "20:00"), atv_allowance_min=12)
    return case, Readings(positions=gps, contacts=rf), EVENING + 90 * MIN


def a_strap_and_a_jammed_sky() -> Life:
    """Strap opened and checked, signs of jamming that recur, six hours without a position."""
    told = events_of(
        (NINE + 5 * MIN, EventCode.STRAP_OPEN),
        (NINE + 30 * MIN, EventCode.OFFICER_CHECK),
        (NINE + 40 * MIN, EventCode.JAMMING),
        (NINE + 45 * MIN, EventCode.JAMMING),
        (NINE + 120 * MIN, EventCode.STRAP_OPEN),
    )
    gps = positions(*((NINE + m * MIN, "street") for m in (0, 10, 20, 31, 32, 50, 410, 411)))
    return under(exclusion()), Readings(positions=gps, events=told), NINE + 500 * MIN


def a_trail_with_gaps() -> Life:
    """Whereabouts unknown twice, and a jump that nothing confirms."""
    minutes = [0, 10, 100, 101, 102, 103, 200, 201]
    places = ["street", "street", "street", "street", "far", "street", "street", "home"]
    rows = positions(*((NINE + m * MIN, place) for m, place in zip(minutes, places, strict=True)))
    trail = {"id": "trail-1", "type": "trail"}
    return under(trail, exclusion()), Readings(positions=rows), NINE + 300 * MIN


def an_impossible_position_in_the_zone() -> Life:
    """In the zone, far away a minute later, and there for good: what was trusted before decides."""
    minutes = [0, 1, 2, 3, 4, 5, 6, 7]
    places = ["street", "zone", "far", "zone", "zone", "far", "far", "far"]
    rows = positions(*((NINE + m * MIN, place) for m, place in zip(minutes, places, strict=True)))
    return under(exclusion()), Readings(positions=rows), NINE + 30 * MIN


LIVES: dict[str, tuple[Callable[[], Life], set[str]]] = {
    "zone": (a_silence_of_a_zone, {"whereabouts_unknown", "in_exclusion_zone"}),
    "alcohol": (an_evening_of_drinking, {"drinking_event", "sensor_obstructed"}),
    "appointment": (an_appointment_cut_short, {"attendance_cut_short"}),
    "curfew": (an_evening_out, {"absent_during_curfew", "atv_reached"}),
    "equipment": (a_strap_and_a_jammed_sky, {"strap_tamper", "jamming", "no_position"}),
    "trail": (a_trail_with_gaps, {"whereabouts_unknown"}),
    "jump": (an_impossible_position_in_the_zone, {"in_exclusion_zone"}),
}


def one_by_one(readings: Readings) -> list[tuple[int, Readings]]:
    """Each reading by itself, by tag time."""
    found: list[tuple[int, Readings]] = []
    for field in fields(Readings):
        rows = getattr(readings, field.name)
        singles = (rows.take(slice(i, i + 1)) for i in range(len(rows)))
        found += [(int(one.t_ms[0]), Readings(**{field.name: one})) for one in singles]
    return sorted(found, key=lambda one: one[0])


def late(case: Activation, told: Sequence[tuple[int, Readings]], which: int, now_ms: int) -> Monitor:
    """A monitor that heard of everything in order, but of one reading at last."""
    monitor = Monitor(checkpoint_readings=1)
    monitor.bind(case)
    for t_ms, reading in [*told[:which], *told[which + 1 :]]:
        monitor.add(case.id, reading)
        monitor.judge(t_ms)
    monitor.judge(now_ms)
    monitor.add(case.id, told[which][1])
    monitor.judge(now_ms)
    return monitor


@pytest.mark.parametrize("name", LIVES)
def test_a_rule_goes_back_to_what_it_knew_for_every_reading_that_comes_late(name: str) -> None:
    made, rules = LIVES[name]
    case, readings, now_ms = made()
    whole = evaluate([case], {case.id: readings}, now_ms)
    assert rules <= {alert.rule for alert in whole}, "the life does not show what it is for"
    told = one_by_one(readings)
    for which in range(len(told)):
        found = late(case, told, which, now_ms).alerts()
        assert found == whole, f"reading {which} of {len(told)} late"


def test_a_zone_asks_at_the_very_instant_at_which_its_silence_has_lasted_long_enough() -> None:
    """By *now* alone: a deadline may be kept earlier than due, never later."""
    case = under(exclusion())
    for odd_ms in (0, 1, 299_999, 300_000, 599_999):
        monitor, last_ms = Monitor(), NINE + odd_ms
        monitor.bind(case)
        monitor.add(case.id, positions((last_ms - MIN, "street"), (last_ms, "street")))
        monitor.judge(last_ms + MIN)
        due_ms = last_ms + 4_500_000
        assert monitor.judge(due_ms - 1) == []
        (alert,) = monitor.judge(due_ms)
        assert (alert.rule, alert.start_ms) == ("whereabouts_unknown", due_ms)


def test_an_alert_that_a_late_reading_takes_back_is_told_withdrawn_once() -> None:
    case, monitor = under(exclusion()), Monitor(checkpoint_readings=1)
    monitor.bind(case)
    rows = positions(*((NINE + m * MIN, "zone" if m in (2, 4) else "street") for m in range(8)))
    monitor.add(case.id, rows.take(np.array([0, 1, 2, 4, 5, 6, 7])))
    (visit,) = (alert for alert in monitor.judge(NINE + 8 * MIN) if alert.rule == "in_exclusion_zone")
    monitor.add(case.id, rows)
    told = monitor.judge(NINE + 8 * MIN)
    assert [(alert.id, alert.state) for alert in told if alert.rule == visit.rule] == [
        (visit.id, "withdrawn")
    ]
    assert monitor.alerts() == evaluate([case], {case.id: rows}, NINE + 8 * MIN)
    assert monitor.judge(NINE + 8 * MIN) == []
