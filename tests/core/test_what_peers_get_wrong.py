"""What the trackers and rule engines that others use get wrong, one test a sentence; each names whom it was seen in.

Short evenings through `core.monitor.Monitor`, as a gateway would live them. The rules themselves have their own tests.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

import numpy as np
import pytest

from core.activation import Activation
from core.alerts import Alert, iso_utc
from core.conditions import CurfewCondition
from core.home_status import intervals
from core.monitor import Monitor, evaluate
from core.order import order_from_json
from core.presence import Presence
from core.readings import Positions
from core.rows import fixes_from
from core.rules import DEFAULT_RULES
from tests.core.wearers import (
    DAY_MS,
    MONDAY_MS,
    PLACES,
    activation,
    curfew,
    exclusion,
    made,
    order_json,
    positions,
    square,
)

MINUTE_MS, HOUR_MS = 60_000, 3_600_000
CURFEW_MS = MONDAY_MS + 18 * HOUR_MS
"""19:00 in London; the curfew ends at 07:00."""
METRE = 1 / 111_200
"""In degrees of latitude, to one part in a thousand."""


def at(minutes: float) -> int:
    """Minutes after the curfew begins."""
    return CURFEW_MS + int(minutes * MINUTE_MS)


def stay(place: str, first: int, last: int, *precision_m: float) -> list[Any]:
    """A position a minute."""
    return [(at(minute), place, *precision_m) for minute in range(first, last)]


def under(*conditions: dict[str, Any], **changes: Any) -> Activation:
    order = order_from_json(order_json(conditions=list(conditions)))
    return activation(order, **({"fitted_ms": at(-60)} | changes))


def watching(*cases: Activation) -> Monitor:
    monitor = Monitor()
    for case in cases:
        monitor.bind(case)
    return monitor


def told(alerts: Sequence[Alert]) -> list[tuple[str, str, int, int | None]]:
    return [(alert.rule, alert.state, alert.start_ms, alert.end_ms) for alert in alerts]


def test_a_curfew_that_begins_while_the_person_is_already_out_raises_at_its_start() -> None:
    """Traccar raises on a change of state only; nothing changes here but the time."""
    case = under(curfew())
    monitor = watching(case)
    for minute in range(-60, 0):
        monitor.add(case.id, positions((at(minute), "street")))
        assert monitor.judge(at(minute)) == []
    assert told(monitor.judge(at(0))) == [("absent_during_curfew", "open", CURFEW_MS, None)]


def test_late_data_raises_as_of_when_it_happened() -> None:
    """Traccar, Tile38: a position older than the newest one is stored, and no rule is asked about it."""
    case = under(exclusion())
    monitor = watching(case)
    day = positions(*stay("street", 0, 60), *stay("zone", 60, 90), *stay("street", 90, 300))
    visit = (day.t_ms >= at(60)) & (day.t_ms < at(90))
    monitor.add(case.id, day.take(np.flatnonzero(~visit)))
    assert monitor.judge(at(300)) == []
    monitor.add(case.id, day.take(np.flatnonzero(visit)))
    assert told(monitor.judge(at(300))) == [("in_exclusion_zone", "ended", at(60), at(90))]


def test_an_alert_whose_notification_failed_is_not_lost() -> None:
    """Traccar writes a line into its log. Here what was told still stands, and a monitor built anew tells it again.

    That the gateway keeps what it could not write until it can: tests/gateway/test_judge.py.
    """
    case, rows = under(exclusion()), positions(*stay("zone", 0, 5))
    monitor = watching(case)
    monitor.add(case.id, rows)
    (alert,) = monitor.judge(at(5))  # and here whoever should have passed it on fell over
    assert monitor.judge(at(6)) == []
    assert monitor.alerts() == [alert]
    again = watching(case)
    again.add(case.id, rows)
    assert again.judge(at(6)) == [alert]


def test_poor_accuracy_does_not_count_as_inside_so_no_exit_is_missed() -> None:
    """Home Assistant counts a position as in a zone when its circle of uncertainty touches it.

    Away from home, and out of an area not to be left, with a receiver that is poor but not that poor: 250 m of
    uncertainty at 347 m from home. And where it is too poor to tell, nobody is told that the wearer is at home.
    """
    area = {"type": "Point", "coordinates": list(PLACES["home"]), "radius_m": 50}
    leave = {"id": "area", "type": "restriction", "name": "home", "zone": area}
    case = under(curfew(), leave)
    monitor = watching(case)
    monitor.add(case.id, positions(*stay("home", -10, 10), *stay("street", 10, 30, 250.0)))
    assert told(monitor.judge(at(30))) == [
        ("absent_during_curfew", "open", at(10), None),
        ("outside_restriction_zone", "open", at(10), None),
    ]
    poor = watching(case)
    poor.add(case.id, positions(*stay("home", -10, 10), *stay("street", 10, 30, 400.0)))
    assert told(poor.judge(at(30))) == [("whereabouts_unknown", "open", at(11.5), None)]


@pytest.mark.parametrize(
    ("evening", "ends_at"),
    [
        pytest.param("2026-03-28T19:00:00+00:00", "2026-03-29T07:00:00+01:00", id="eleven hours in March"),
        pytest.param("2026-10-24T19:00:00+01:00", "2026-10-25T07:00:00+00:00", id="thirteen in October"),
        pytest.param("2026-06-01T19:00:00+01:00", "2026-06-02T07:00:00+01:00", id="twelve in June"),
    ],
)
def test_summer_time_shifts_no_schedule(evening: str, ends_at: str) -> None:
    """Home Assistant: schedules that end an hour early or late on the nights on which the clock changes."""
    begins, ends = (int(datetime.fromisoformat(text).timestamp()) * 1000 for text in (evening, ends_at))

    def night(leaves_ms: int) -> list[Alert]:
        """At home from before the curfew until then, from then on in the street."""
        case = under(curfew(), fitted_ms=begins - HOUR_MS)
        minutes = range(begins - 5 * MINUTE_MS, ends + 90 * MINUTE_MS, MINUTE_MS)
        rows = positions(*((t_ms, "home" if t_ms < leaves_ms else "street") for t_ms in minutes))
        return evaluate([case], {case.id: rows}, minutes[-1])

    assert night(ends) == []
    early = ends - 30 * MINUTE_MS
    assert told(night(early)) == [("absent_during_curfew", "ended", early, ends)]
    assert told(night(begins - 3 * MINUTE_MS))[0] == ("absent_during_curfew", "ended", begins, ends)


def test_a_watch_lasts_a_year_and_need_not_be_renewed() -> None:
    """Tile38: a hook expires 30 s after it was set, and says nothing about it."""
    case = under(exclusion(), curfew(), fitted_ms=at(-420))
    monitor = watching(case)
    for day in range(366):
        # one position an hour, as a tag at rest sends them
        rows = positions(*((at(60 * hour) + day * DAY_MS, "home") for hour in range(-7, 17)))
        rows.seq[:] += 24 * day
        monitor.add(case.id, rows)
        monitor.judge(at(16 * 60) + day * DAY_MS)
    assert {alert.rule for alert in monitor.alerts()} <= {"whereabouts_unknown"}, (
        "hourly is little in a curfew"
    )
    noon_ms = at(-420) + 366 * DAY_MS
    for minute, place in enumerate(["zone", "zone", "zone"]):
        row = positions((noon_ms + minute * MINUTE_MS, place))
        row.seq[:] += 24 * 366 + minute
        monitor.add(case.id, row)
    assert told(monitor.judge(noon_ms + 2 * MINUTE_MS)) == [("in_exclusion_zone", "open", noon_ms, None)]


def test_a_zone_has_times() -> None:
    """Tile38: a fence holds always or never."""
    hours = {"weekly": [{"days": ["Mo"], "start": "20:00", "end": "21:00"}]}
    case = under(exclusion() | {"schedule": hours})
    monitor = watching(case)
    monitor.add(case.id, positions(*stay("zone", 0, 180)))
    found = [alert for alert in monitor.judge(at(180)) if alert.rule == "in_exclusion_zone"]
    assert told(found) == [("in_exclusion_zone", "ended", at(60), at(120))]


def test_a_position_is_as_good_as_its_accuracy() -> None:
    """Tile38: a point is inside or not, whatever its receiver said about it."""
    case = under(exclusion())
    monitor = watching(case)
    kerb = stay("kerb", 0, 30, 60.0)  # 49 m outside, give or take 60 m
    inside = [(at(minute), "zone", 800.0) for minute in range(30, 60)]  # somewhere in the borough
    vague = positions(*kerb, *inside)
    monitor.add(case.id, vague)
    assert [alert for alert in monitor.judge(at(60)) if alert.rule == "in_exclusion_zone"] == []
    sharp = replace(vague, precision_m=np.where(vague.t_ms >= at(57), 10.0, vague.precision_m))
    found = evaluate([case], {case.id: sharp}, at(60))
    assert told(found) == [("in_exclusion_zone", "open", at(57), None)]


@pytest.mark.parametrize("place", ["street", "zone"])
@pytest.mark.parametrize(
    "redrawn",
    [
        pytest.param(square(-0.01, 51.495, 0.022, 51.52), id="wider"),
        pytest.param(square(0.005, 51.502, 0.015, 51.508), id="narrower"),
        pytest.param(square(0.0, 51.500, 0.02, 51.51), id="the same again"),
    ],
)
def test_editing_a_zone_invents_no_transition(place: str, redrawn: dict[str, Any]) -> None:
    """ThingsBoard: on every edit the wearer "entered" anew, or had "left"."""
    before = under(exclusion())
    monitor = watching(before)
    first, second = positions(*stay(place, 0, 30)), positions(*stay(place, 0, 60))
    monitor.add(before.id, first)
    monitor.judge(at(30))
    standing = told(monitor.alerts())
    assert standing == ([("in_exclusion_zone", "open", at(0), None)] if place == "zone" else [])
    edited = order_from_json(
        order_json(version=2, effective=iso_utc(at(30)), conditions=[exclusion(zone=redrawn)])
    )
    monitor.rebind(replace(before, order=edited, earlier=(before.order,)))
    assert [alert for alert in monitor.judge(at(30)) if alert.state != "open"] == []
    monitor.add(before.id, second)
    monitor.judge(at(60))
    assert told(monitor.alerts()) == standing


@pytest.mark.parametrize("late_ms", [1000, 61_000, 3 * HOUR_MS])
def test_an_event_that_comes_late_by_a_second_or_by_hours_counts(late_ms: int) -> None:
    """eKuiper drops what comes 1 s after its watermark."""
    case = under(exclusion(), curfew())
    day = positions(*stay("home", -10, 60), *stay("zone", 60, 90), *stay("home", 90, 200))
    whole = evaluate([case], {case.id: day}, at(400))
    assert {alert.rule for alert in whole} == {
        "absent_during_curfew",
        "in_exclusion_zone",
        "whereabouts_unknown",
    }
    monitor = watching(case)
    # every third position comes late, and the clock has always passed it
    arrives = day.t_ms + np.where(np.arange(len(day)) % 3 == 1, late_ms, 0)
    for i in np.argsort(arrives, kind="stable").tolist():
        monitor.add(case.id, day.take(slice(i, i + 1)))
        monitor.judge(int(arrives[i]))
    monitor.judge(at(400))
    assert monitor.alerts() == whole


def test_leaving_while_disconnected_is_not_lost() -> None:
    """OwnTracks: a leave event that could not be sent is gone. Here the tag keeps positions, and rules make events."""
    case = under(curfew())
    monitor = watching(case)
    evening = positions(*stay("home", -10, 90), *stay("street", 90, 150), *stay("home", 150, 181))
    before, after = (
        evening.take(np.flatnonzero(part)) for part in (evening.t_ms < at(60), evening.t_ms >= at(60))
    )
    monitor.add(case.id, before)
    assert monitor.judge(at(60)) == []
    # no link from 20:00 on: nobody knows, and that is what is said
    asked = monitor.judge(at(120))
    assert told(asked) == [("whereabouts_unknown", "open", at(61.5), None)]
    # the link is back at 22:00, and the tag's journal is handed in
    monitor.add(case.id, after)
    changes = {alert.rule: alert for alert in monitor.judge(at(181))}
    assert told([changes["absent_during_curfew"]]) == [("absent_during_curfew", "ended", at(90), at(150))]
    assert changes["whereabouts_unknown"] == replace(asked[0], state="withdrawn")
    assert told(monitor.alerts()) == [("absent_during_curfew", "ended", at(90), at(150))]


def lives_beside(bearing_deg: int, wrong: Sequence[int]) -> Positions:
    """An evening 30 m from a zone's edge, 40 m from the middle of a home; positions 50 m ``wrong``, claiming 3 m."""
    longitude, latitude = BESIDE
    east = METRE / math.cos(math.radians(latitude))
    rows = made([at(minute) for minute in range(-30, 120)], [BESIDE] * 150, [3.0] * 150)
    turn = math.radians(bearing_deg)
    for minute in wrong:
        rows.lon[minute + 30] = longitude + 50 * east * math.sin(turn)
        rows.lat[minute + 30] = latitude + 50 * METRE * math.cos(turn)
    return rows


BESIDE = (0.02 + 30 * METRE / math.cos(math.radians(51.505)), 51.505)
HOME_BESIDE = (BESIDE[0] + 40 * METRE / math.cos(math.radians(51.505)), 51.505)


@pytest.mark.parametrize("bearing_deg", range(0, 360, 45))
def test_a_fix_50_m_wrong_is_no_false_alert(bearing_deg: int) -> None:
    """All of them: two values, and one position is enough to change between them."""
    within = {"type": "Point", "coordinates": list(BESIDE), "radius_m": 45}
    case = under(
        exclusion(),
        curfew(at=HOME_BESIDE),
        {"id": "in", "type": "inclusion", "name": "hostel", "zone": within},
        {"id": "area", "type": "restriction", "name": "hostel", "zone": within},
    )
    assert evaluate([case], {case.id: lives_beside(bearing_deg, (0, 20, 59, 61))}, at(119)) == []
    # not because nothing could: the same in earnest, for three minutes
    true = evaluate([case], {case.id: lives_beside(bearing_deg, range(60, 63))}, at(119))
    assert {alert.rule for alert in true} >= {"outside_inclusion_zone", "outside_restriction_zone"}


def test_there_are_three_values_and_an_unknown_is_not_made_one_of_the_other_two() -> None:
    """All of them: where nothing is known the last value is kept, or "away" is assumed."""
    (condition,) = under(curfew()).order.conditions
    assert isinstance(condition, CurfewCondition)
    rows = positions(*stay("home", 0, 10), *stay("street", 60, 70))
    shown = intervals(fixes_from(rows, 5.0), condition.address, DEFAULT_RULES, at(0), at(80))
    assert [state for _, _, state in shown] == [
        Presence.HOME,
        Presence.UNKNOWN,
        Presence.NOT_HOME,
        Presence.UNKNOWN,
    ]
