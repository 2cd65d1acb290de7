"""Appointments: kept, missed, late, cut short, and what is not known of them."""

from __future__ import annotations

from typing import Any

import pytest

from core.activation import Activation
from core.alerts import Alert
from core.monitor import Monitor, evaluate
from core.order import order_from_json
from core.readings import Positions
from tests.core.wearers import MONDAY_MS, activation, order_json, positions, square

OFFICE = {"type": "Point", "coordinates": [0.0100, 51.5050], "radius_m": 300}
MINUTE_MS = 60_000
# 10:00 to 11:00 on Monday 1 June 2026 in London is 09:00 to 10:00 UTC
BEGINS = MONDAY_MS + 9 * 3_600_000
ENDS = BEGINS + 60 * MINUTE_MS


def watched(schedule: dict[str, Any] | None = None, **changes: Any) -> Activation:
    condition = {
        "id": "office",
        "type": "attendance",
        "name": "probation office",
        "zone": OFFICE,
        "schedule": schedule or {"weekly": [{"days": ["Mo"], "start": "10:00", "end": "11:00"}]},
        "at_least_min": 30,
        "grace_min": 10,
    }
    fitted = {key: changes.pop(key) for key in ("fitted_ms", "removed_ms") if key in changes}
    return activation(order_from_json(order_json(conditions=[condition | changes])), **fitted)


def day(*stays: tuple[str, int, int]) -> Positions:
    """A position a minute: (place, first, last minute from the beginning of the appointment)."""
    return positions(
        *((BEGINS + minute * MINUTE_MS, place) for place, a, b in stays for minute in range(a, b))
    )


def judged(rows: Positions, now_ms: int = ENDS + 600_000, case: Activation | None = None) -> list[Alert]:
    case = case or watched()
    return [a for a in evaluate([case], {case.id: rows}, now_ms) if a.rule.startswith("attendance")]


def rules_of(rows: Positions, **changes: Any) -> list[str]:
    return [alert.rule for alert in judged(rows, case=watched(**changes))]


def test_an_appointment_kept_raises_nothing() -> None:
    assert judged(day(("street", -30, 0), ("zone", 0, 40), ("street", 40, 90))) == []
    assert judged(day(("street", -30, 9), ("zone", 9, 60), ("street", 60, 90))) == []


def test_an_appointment_missed_is_told_at_its_end_by_now_alone() -> None:
    rows = day(("street", -30, 59))
    assert judged(rows, ENDS + 149_000) == []
    (alert,) = judged(rows, ENDS + 150_000)
    assert (alert.rule, alert.severity, alert.state) == ("attendance_missed", "high", "ended")
    assert (alert.start_ms, alert.end_ms) == (BEGINS, ENDS)
    assert (alert.figures["at_least_min"], alert.figures["at_most_min"], alert.figures["asked_min"]) == (
        0,
        2,
        30,
    )
    assert alert.sentence == (
        "Appointment “probation office” from 10:00 on 1 June 2026 until 11:00 on 1 June 2026 missed: there for at "
        "least 0 min, at most 2 min, of 30 min asked for."
    )


def test_an_arrival_after_the_grace_is_late_by_two_bounds() -> None:
    (alert,) = judged(day(("street", -30, 20), ("zone", 22, 60), ("street", 60, 90)))
    assert alert.rule == "attendance_late"
    assert (alert.figures["late_at_least_min"], alert.figures["late_at_most_min"]) == (19, 22)
    assert "late by at least 19 min, at most 22 min" in alert.sentence


def test_an_arrival_seen_late_but_perhaps_in_time_is_not_late() -> None:
    assert rules_of(day(("street", -30, 8), ("zone", 18, 60), ("street", 60, 90))) == []


def test_leaving_before_the_time_asked_for_cuts_it_short() -> None:
    (alert,) = judged(day(("street", -30, 0), ("zone", 0, 20), ("street", 20, 90)))
    assert alert.rule == "attendance_cut_short"
    assert (alert.figures["at_least_min"], alert.figures["at_most_min"]) == (19, 20)


def test_the_whole_of_an_appointment_is_asked_for_where_the_order_names_no_length() -> None:
    rows = day(("street", -30, 5), ("zone", 5, 45), ("street", 45, 90))
    assert rules_of(rows) == []
    assert rules_of(rows, at_least_min=59) == ["attendance_cut_short"]


@pytest.mark.parametrize("rows", [day(), day(("street", -30, -5)), day(("zone", 0, 5))])
def test_what_is_not_known_of_an_appointment_is_never_absence(rows: Positions) -> None:
    (alert,) = judged(rows)
    assert (alert.rule, alert.severity) == ("attendance_unverified", "medium")
    assert "neither shown to be kept nor to be missed" in alert.sentence


def test_a_single_position_there_is_no_arrival() -> None:
    assert rules_of(day(("street", -30, 20), ("zone", 20, 21), ("street", 21, 90))) == ["attendance_missed"]


def test_an_appointment_not_watched_from_beginning_to_end_is_not_judged() -> None:
    rows = day(("street", -30, 90))
    assert judged(rows, case=watched(fitted_ms=BEGINS + MINUTE_MS)) == []
    assert judged(rows, case=watched(removed_ms=ENDS - MINUTE_MS)) == []
    assert len(judged(rows, case=watched(fitted_ms=BEGINS))) == 1


def test_dated_appointments_and_exceptions_are_kept_to() -> None:
    dated = {"dated": [{"from": "2026-06-01T09:00:00Z", "to": "2026-06-01T10:00:00Z"}]}
    assert rules_of(day(("street", -30, 90)), schedule=dated) == ["attendance_missed"]
    off = {
        "weekly": [{"days": ["Mo"], "start": "10:00", "end": "11:00"}],
        "exceptions": [{"from": "2026-06-01T00:00:00Z", "to": "2026-06-02T00:00:00Z"}],
    }
    assert rules_of(day(("street", -30, 90)), schedule=off) == []


def test_a_late_reading_withdraws_what_its_absence_made_and_every_order_of_arrival_ends_alike() -> None:
    rows = day(("street", -30, 0), ("zone", 0, 40), ("street", 40, 90))
    case, now_ms = watched(), ENDS + 600_000
    monitor = Monitor(checkpoint_readings=7)
    monitor.bind(case)
    monitor.add(case.id, rows.take(slice(0, 30)))
    (told,) = [alert for alert in monitor.judge(now_ms) if alert.rule.startswith("attendance")]
    assert told.rule == "attendance_unverified"
    monitor.add(case.id, rows.take(slice(90, 120)))
    monitor.judge(now_ms)
    monitor.add(case.id, rows.take(slice(25, 95)))
    withdrawn = [alert for alert in monitor.judge(now_ms) if alert.state == "withdrawn"]
    assert told.id in {alert.id for alert in withdrawn}
    assert monitor.alerts() == evaluate([case], {case.id: rows}, now_ms)


def test_a_place_drawn_as_a_square_serves_as_well() -> None:
    assert rules_of(day(("street", -30, 90)), zone=square(0.0, 51.5, 0.02, 51.51)) == ["attendance_missed"]
