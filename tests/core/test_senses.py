"""Two devices under one order: each judges what it can tell of, and is silent about the rest."""

from __future__ import annotations

from dataclasses import replace
from typing import get_args

import pytest

from core.activation import Activation, watches
from core.alerts import Alert
from core.conditions import Condition
from core.monitor import evaluate
from core.order import order_from_json
from core.senses import EVERYTHING, SENSES

DAY_MS = 86_400_000
FITTED_MS = 1_780_272_000_000
EVERY_DAY = [{"days": ["Mo", "Tu", "We", "Th", "Fr", "Sa", "Su"], "start": "19:00", "end": "07:00"}]
CIRCLE = {"type": "Point", "coordinates": [-1.17, 52.96]}
ORDER = order_from_json(
    {
        "order_id": "o-1",
        "version": 1,
        "regime": "community_order",
        "wearer": {"id": "W-1", "name": "Alex Example"},
        "effective": "2026-01-01T00:00:00Z",
        "conditions": [
            {"id": "market", "type": "exclusion", "name": "Market", "zone": {**CIRCLE, "radius_m": 300}},
            {"id": "hostel", "type": "inclusion", "name": "Hostel", "zone": {**CIRCLE, "radius_m": 300}},
            {"id": "town", "type": "restriction", "name": "Town", "zone": {**CIRCLE, "radius_m": 9000}},
            {
                "id": "course", "type": "attendance", "name": "Course", "zone": {**CIRCLE, "radius_m": 50},
                "schedule": {"weekly": [{"days": ["We"], "start": "10:00", "end": "12:00"}]},
            },
            {"id": "trail", "type": "trail"},
            {
                "id": "curfew", "type": "curfew", "timetable": EVERY_DAY,
                "address": {"name": "primary", "latitude": 52.96, "longitude": -1.18, "radius_m": 30},
            },
            {"id": "sober", "type": "alcohol", "mode": "abstinence"},
        ],
    }
)  # fmt: skip


def activation(kind: str) -> Activation:
    return replace(Activation(f"{kind}-1", kind, ORDER, FITTED_MS), senses=SENSES[kind])


def silence(kind: str) -> list[Alert]:
    return evaluate([activation(kind)], {}, FITTED_MS + 7 * DAY_MS)


def test_every_type_of_condition_is_sensed_by_some_kind_of_device() -> None:
    assert set(get_args(Condition)) == EVERYTHING == frozenset().union(*SENSES.values())


@pytest.mark.parametrize("kind", sorted(SENSES))
def test_a_device_watches_the_conditions_that_it_can_tell_of(kind: str) -> None:
    watched = {condition for condition in EVERYTHING if list(watches(activation(kind), condition))}
    assert watched == SENSES[kind]


def test_of_a_silent_alcohol_tag_nobody_asks_where_its_wearer_is() -> None:
    assert {alert.condition for alert in silence("alcohol_tag")} <= {"sober", "equipment"}
    assert not {alert.rule for alert in silence("alcohol_tag")} & {"whereabouts_unknown", "no_position"}


def test_of_a_silent_rf_tag_the_curfew_alone_is_asked() -> None:
    assert {alert.condition for alert in silence("rf_tag")} == {"curfew"}


def test_a_silent_gps_tag_is_asked_about_every_place() -> None:
    assert {alert.condition for alert in silence("gps_tag")} == {
        "market", "hostel", "town", "course", "trail", "curfew", "equipment",
    }  # fmt: skip
