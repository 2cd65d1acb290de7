"""Curfews: absences and whereabouts unknown, at their starts and ends, by readings and by silence."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from core.activation import Activation
from core.alerts import Alert, iso_utc
from core.history import fixes_from
from core.home_status import intervals
from core.monitor import Monitor, evaluate
from core.order import CurfewCondition, order_from_json
from core.presence import Presence
from core.readings import Positions
from core.rules import DEFAULT_RULES
from tests.core.wearers import DAY_MS, MONDAY_MS, PLACES, activation, curfew, made, order_json, positions

CURFEW_MS = MONDAY_MS + 18 * 3_600_000
"""19:00 British Summer Time; the curfew ends at 07:00, 12 h later."""
END_MS = CURFEW_MS + 12 * 3_600_000


def at(minutes: float) -> int:
    """Minutes after the curfew begins."""
    return CURFEW_MS + int(minutes * 60_000)


def stay(place: str, first: int, last: int, precision_m: float = 10.0) -> list[tuple[int, str, float]]:
    return [(at(m), place, precision_m) for m in range(first, last)]


def watched(condition: dict[str, Any] | None = None, **changes: Any) -> Activation:
    order = order_from_json(order_json(conditions=[condition or curfew()]))
    return activation(order, **({"fitted_ms": at(-600)} | changes))


def judged(rows: Positions, now_ms: int, case: Activation | None = None) -> list[Alert]:
    case = case or watched()
    return evaluate([case], {case.id: rows}, now_ms)


def absences(rows: Positions, now_ms: int, case: Activation | None = None) -> list[Alert]:
    return [alert for alert in judged(rows, now_ms, case) if alert.rule == "absent_during_curfew"]


def test_a_night_at_home_raises_nothing() -> None:
    assert judged(positions(*stay("home", -5, 12 * 60 + 5)), at(12 * 60 + 5)) == []


def test_a_curfew_that_begins_while_the_person_is_already_out_alerts_at_its_start() -> None:
    monitor = Monitor()
    case = watched()
    monitor.bind(case)
    monitor.add(case.id, positions(*stay("street", -60, 0)))
    assert monitor.judge(at(0) - 1) == []
    (alert,) = monitor.judge(at(0))  # nothing but time has passed
    assert (alert.rule, alert.state, alert.start_ms) == ("absent_during_curfew", "open", CURFEW_MS)
    assert alert.figures["curfew_start"] == iso_utc(CURFEW_MS)
    assert alert.readings


def test_out_already_counts_from_the_start_even_when_the_second_position_comes_after_it() -> None:
    rows = positions((at(-3), "home"), (at(-2), "street"), (at(1), "street"), (at(2), "street"))
    (alert,) = absences(rows, at(3))
    assert alert.start_ms == CURFEW_MS
    assert alert.readings[0] == (77, 2)


def test_a_last_position_away_vouches_for_the_start_of_a_curfew_for_150_seconds_and_no_longer() -> None:
    for gap_ms, raised in ((149_999, True), (150_000, False)):
        rows = made([CURFEW_MS - gap_ms - 70_000, CURFEW_MS - gap_ms], [PLACES["street"]] * 2, [10.0] * 2)
        assert bool(absences(rows, at(1))) is raised


def test_an_absence_begins_at_the_first_position_away_and_ends_at_the_first_at_home() -> None:
    rows = positions(*stay("home", -10, 60), *stay("street", 60, 100), *stay("home", 100, 120))
    (alert,) = absences(rows, at(120))
    assert (alert.start_ms, alert.end_ms, alert.state) == (at(60), at(100), "ended")
    assert (alert.figures["at_least_min"], alert.figures["at_most_min"]) == (39, 41)
    assert alert.figures["positions"] == 40
    assert alert.figures["farthest_m"] == pytest.approx(347, abs=2)
    assert alert.severity == "high"
    assert alert.sentence == (
        "Away from the primary address during the curfew that began at 19:00 on 1 June 2026, "
        "from 20:00 on 1 June 2026 until 20:40 on 1 June 2026: at least 39 min, at most 41 min, "
        f"at the farthest {alert.figures['farthest_m']:.2f} m from it."
    )


def test_an_absence_that_is_partly_unknown_has_two_bounds() -> None:
    # away 20 minutes, then two hours of silence, then home
    rows = positions(*stay("home", -10, 60), *stay("street", 60, 80), *stay("home", 200, 220))
    (absent, unknown) = judged(rows, at(220))
    assert (absent.figures["at_least_min"], absent.figures["at_most_min"]) == (19, 141)
    assert (unknown.rule, unknown.start_ms, unknown.end_ms) == (
        "whereabouts_unknown",
        at(79) + 150_000,
        at(200),
    )


def test_an_absence_that_outlasts_the_curfew_ends_with_it() -> None:
    rows = positions(*stay("home", -10, 600), *stay("street", 600, 760))
    (alert,) = absences(rows, at(760))
    assert (alert.start_ms, alert.end_ms, alert.state) == (at(600), END_MS, "ended")
    assert alert.figures["at_least_min"] == 120


def test_a_whole_curfew_missed_is_one_absence_from_its_start_to_its_end() -> None:
    (alert,) = absences(positions(*stay("street", -60, 800)), at(800))
    assert (alert.start_ms, alert.end_ms) == (CURFEW_MS, END_MS)
    assert alert.figures["at_least_min"] == 720


def test_each_curfew_has_its_own_absence() -> None:
    alerts = absences(positions(*stay("street", -60, 2000)), at(2000))
    assert [alert.start_ms for alert in alerts] == [CURFEW_MS, CURFEW_MS + DAY_MS]
    assert len({alert.id for alert in alerts}) == 2


@pytest.mark.parametrize("truly", ["home", "street"])
def test_one_wrong_position_raises_no_absence_and_ends_none(truly: str) -> None:
    wrong = "street" if truly == "home" else "home"
    rows = positions(*stay(truly, -10, 60), (at(60), wrong, 2.0), *stay(truly, 61, 120))
    assert [(alert.start_ms, alert.state) for alert in absences(rows, at(120))] == (
        [] if truly == "home" else [(CURFEW_MS, "open")]
    )


def test_poor_accuracy_does_not_count_as_at_home_and_not_as_away() -> None:
    rows = positions(*stay("home", -10, 30), *stay("home", 30, 60, 200.0), *stay("street", 60, 90, 400.0))
    (alert,) = judged(rows, at(90))
    assert (alert.rule, alert.start_ms) == ("whereabouts_unknown", at(29) + 150_000)


def test_whereabouts_unknown_opens_by_time_alone_and_is_not_a_violation() -> None:
    monitor = Monitor()
    case = watched()
    monitor.bind(case)
    monitor.add(case.id, positions(*stay("home", -10, 60)))
    quiet_ms = at(59) + 150_000
    assert monitor.judge(quiet_ms + 899_999) == []
    (alert,) = monitor.judge(quiet_ms + 900_000)
    assert (alert.rule, alert.state, alert.start_ms, alert.severity) == (
        "whereabouts_unknown",
        "open",
        quiet_ms,
        "medium",
    )
    assert alert.readings == ((77, 70),)
    assert monitor.judge(quiet_ms + 1_000_000) == []
    monitor.add(case.id, positions(*stay("home", -10, 60), *stay("home", 90, 91)))
    (ended,) = monitor.judge(at(91))
    assert (ended.id, ended.state, ended.end_ms, ended.readings) == (
        alert.id,
        "ended",
        at(90),
        ((77, 70), (77, 71)),
    )
    # the readings were only late: it was never unknown
    monitor.add(case.id, positions(*stay("home", -10, 60), *stay("home", 90, 91), *stay("home", 60, 90)))
    (withdrawn,) = monitor.judge(at(91))
    assert (withdrawn.id, withdrawn.state) == (alert.id, "withdrawn")
    assert monitor.alerts() == []


def test_a_tag_that_was_never_heard_is_unknown_from_the_start_of_the_curfew() -> None:
    (alert,) = judged(Positions.empty(), at(15))
    assert (alert.rule, alert.start_ms, alert.readings) == ("whereabouts_unknown", CURFEW_MS, ())


def test_silence_through_three_nights_is_told_once_a_night() -> None:
    alerts = judged(positions(*stay("home", -10, 0)), at(3 * 24 * 60))
    nights = [CURFEW_MS + DAY_MS * night for night in (0, 1, 2)]
    assert [alert.end_ms for alert in alerts] == [night + 12 * 3_600_000 for night in nights]
    assert [alert.start_ms for alert in alerts][1:] == nights[1:]


def test_outside_of_curfew_hours_nobody_is_absent_or_unknown() -> None:
    day = watched(fitted_ms=END_MS)
    rows = positions(*((END_MS + m * 60_000, "street") for m in range(0, 600, 50)))
    assert judged(rows, END_MS + 11 * 3_600_000, day) == []


def test_before_fitting_and_after_removal_is_not_monitored_never_absent() -> None:
    case = watched(fitted_ms=at(60), removed_ms=at(120))
    rows = positions(*stay("street", -60, 60), *stay("home", 60, 120), *stay("street", 120, 300))
    assert judged(rows, at(300), case) == []
    # fitted during a curfew: the wearer is away at once, from the first position on
    away = positions(*stay("street", -60, 120))
    (alert,) = absences(away, at(300), case)
    assert (alert.start_ms, alert.end_ms) == (at(60), at(120))


def test_a_removal_told_afterwards_ends_what_was_open() -> None:
    monitor = Monitor()
    case = watched()
    monitor.bind(case)
    monitor.add(case.id, positions(*stay("street", -10, 60)))
    (opened,) = monitor.judge(at(60))
    monitor.rebind(replace(case, removed_ms=at(50)))
    (ended,) = monitor.judge(at(60))
    assert (ended.id, ended.state, ended.end_ms) == (opened.id, "ended", at(50))


def test_a_curfew_edited_while_it_runs_is_still_one_period() -> None:
    longer = order_from_json(
        order_json(version=2, effective=iso_utc(at(60)), conditions=[curfew("19:00", "08:00")])
    )
    case = watched()
    case = replace(case, order=longer, earlier=(case.order,))
    (alert,) = absences(positions(*stay("street", -10, 900)), at(900), case)
    assert (alert.start_ms, alert.end_ms) == (CURFEW_MS, END_MS + 3_600_000)


def test_a_curfew_round_the_clock_is_one_period_however_long_it_is_watched() -> None:
    case = watched(curfew("00:00", "24:00"))
    rows = positions(*stay("home", -600, 100), *stay("street", 100, 200), *stay("home", 200, 210))
    (early,) = absences(rows, at(210), case)
    (late,) = absences(rows, at(210) + 400 * DAY_MS, case)
    assert early == late
    assert early.figures["curfew_start"] == iso_utc(at(-600))


def test_summer_time_moves_the_curfew_with_the_clock() -> None:
    before = int(datetime(2026, 10, 23, 12, tzinfo=UTC).timestamp()) * 1000
    alerts = judged(Positions.empty(), before + 3 * DAY_MS, watched(fitted_ms=before))
    assert [(iso_utc(alert.start_ms)[5:16], iso_utc(alert.end_ms or 0)[5:16]) for alert in alerts] == [
        ("10-23T18:00", "10-24T06:00"),
        ("10-24T18:00", "10-25T07:00"),  # the night of the change: 13 hours
        ("10-25T19:00", "10-26T07:00"),
    ]


def test_in_summer_time_and_out_of_it_a_wearer_home_by_the_clock_on_the_wall_is_not_late() -> None:
    for day, starts in (("2026-03-27", (19, 19, 18)), ("2026-10-23", (18, 18, 19))):
        noon = int(datetime.fromisoformat(f"{day}T12:00:00+00:00").timestamp()) * 1000
        rows = []
        for night, hour in enumerate(
            starts
        ):  # in the street until a minute before 19:00 there, home until noon
            begins = noon + night * DAY_MS + (hour - 12) * 3_600_000
            rows += [(begins + m * 60_000, "street") for m in range(-60, -1)]
            rows += [(begins + m * 60_000, "home") for m in range(-1, 13 * 60 + 5)]
        assert judged(positions(*rows), noon + 3 * DAY_MS - 3_600_000, watched(fitted_ms=noon)) == []


def test_presence_is_home_not_home_or_unknown_without_a_gap() -> None:
    (condition,) = watched().order.conditions
    assert isinstance(condition, CurfewCondition)
    rows = positions(
        *stay("home", 0, 10), *stay("door", 10, 12, 30.0), *stay("street", 12, 20), *stay("home", 40, 41)
    )
    found = intervals(fixes_from(rows, 5.0), condition.address, DEFAULT_RULES, at(-5), at(60))
    assert found == [
        (at(-5), at(0), Presence.UNKNOWN),
        (at(0), at(11.5), Presence.HOME),
        (at(11.5), at(12), Presence.UNKNOWN),
        (at(12), at(21.5), Presence.NOT_HOME),
        (at(21.5), at(40), Presence.UNKNOWN),
        (at(40), at(42.5), Presence.HOME),
        (at(42.5), at(60), Presence.UNKNOWN),
    ]
    assert intervals(fixes_from(rows, 5.0), condition.address, DEFAULT_RULES, at(1), at(2)) == [
        (at(1), at(2), Presence.HOME)
    ]
