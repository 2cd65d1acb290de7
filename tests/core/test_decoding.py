"""What tags and home units say on the wire, as the events that the rules know."""

from __future__ import annotations

import numpy as np
import pytest

from core.decoding import (
    EVENT_KINDS,
    UNIT_UNKNOWN,
    events_from_wire,
    forged_from_wire,
    tag_states_from_wire,
)
from core.readings import WIRE, EventCode, Kind, TamperCode

E, T = EventCode, TamperCode


def tampered(code: int, detail: int, unit: int = UNIT_UNKNOWN) -> list[tuple[int, float]]:
    records = np.array([(7, code, detail, 3)], WIRE[Kind.TAMPER])
    made = events_from_wire(Kind.TAMPER, records, 1000, 5, 9, unit)
    assert made.t_ms.tolist() == [1_000_700] * len(made)
    return list(zip(made.code.tolist(), made.value.tolist(), strict=True))


@pytest.mark.parametrize(
    ("code", "detail", "meaning"),
    [
        (T.LINK, 4, E.LINK_TAMPER),
        (T.STRAP, 1, E.STRAP_OPEN),
        (T.STRAP, 0, E.STRAP_CLOSED),
        (T.CASE, 1, E.CASE_OPEN),
        (T.CASE, 0, E.CASE_CLOSED),
        (T.JAMMING, 0, E.JAMMING),
        (T.SPOOFING, 0, E.SPOOFING),
        (T.MOTION_FAULT, 1, E.MOTION_FAULT),
        (T.MOTION_FAULT, 0, E.MOTION_WELL),
        (T.SAFE_MODE, 3, E.SAFE_MODE),
        (T.TAG_CHECKED, 0, E.OFFICER_CHECK),
        (T.SENSOR_FAULT, 1, E.SENSOR_FAULT),
        (T.SENSOR_FAULT, 0, E.SENSOR_WELL),
        (T.KEPT_LOST, 1, E.SETTINGS_LOST),
        (T.KEPT_LOST, 2, E.COMMANDS_LOST),
    ],
)
def test_a_tag_tells_of_itself(code: int, detail: int, meaning: EventCode) -> None:
    assert tampered(code, detail) == [(meaning, detail)]


@pytest.mark.parametrize(
    ("code", "detail", "meaning"),
    [
        (T.CASE, 1, E.UNIT_CASE_OPEN),
        (T.CASE, 0, E.UNIT_CASE_CLOSED),
        (T.MAINS, 1, E.MAINS_LOST),
        (T.MAINS, 0, E.MAINS_BACK),
        (T.MOVED, 1, E.UNIT_MOVED),
        (T.BACKUP_BATTERY_LOW, 1, E.UNIT_BATTERY_LOW),
        (T.BACKUP_BATTERY_LOW, 0, E.UNIT_BATTERY_WELL),
        (T.MOTION_FAULT, 1, E.UNIT_MOTION_FAULT),
        (T.MOTION_FAULT, 0, E.UNIT_MOTION_WELL),
        (T.SAFE_MODE, 3, E.UNIT_SAFE_MODE),
        (T.UNIT_CHECKED, 0, E.UNIT_CHECKED),
        (T.KEPT_LOST, 1, E.UNIT_SETTINGS_LOST),
        (T.KEPT_LOST, 2, E.UNIT_COMMANDS_LOST),
    ],
)
def test_a_home_unit_tells_of_itself_and_says_which_it_is(code: int, detail: int, meaning: EventCode) -> None:
    assert tampered(code, detail, unit=2) == [(meaning, 2)]


def test_a_home_unit_is_no_tag_and_a_tag_no_home_unit() -> None:
    assert tampered(T.STRAP, 1, unit=0) == tampered(T.TAG_CHECKED, 0, unit=0) == []
    assert tampered(T.MAINS, 1) == tampered(T.UNIT_CHECKED, 0) == []
    assert tampered(T.MOVED, 0, unit=0) == [], "nothing moves back"
    assert tampered(T.BEACON, 3, unit=0) == [], "the contact record beside it says of which tag"
    assert tampered(T.KEPT_LOST, 0) == tampered(T.KEPT_LOST, 3) == [], "which of them is not known yet"
    assert tampered(250, 1) == tampered(250, 1, unit=0) == [], "a code of the future means nothing yet"


def test_a_status_is_a_reading_of_the_battery_and_says_whether_it_is_charged() -> None:
    records = np.zeros(5, WIRE[Kind.STATUS])
    records["battery"] = (4000, 4010, 4020, 65535, 65535)
    records["charger"] = (255, 1, 0, 1, 255)
    made = events_from_wire(Kind.STATUS, records, 1000, 5, 9)
    assert made.code.tolist() == [
        E.BATTERY,
        E.BATTERY_ON_CHARGER,
        E.BATTERY_OFF_CHARGER,
        E.BATTERY_ON_CHARGER,
    ]
    assert made.value[:3].tolist() == [4000, 4010, 4020]
    assert np.isnan(made.value[3])
    assert made.seq.tolist() == [9, 10, 11, 12]


@pytest.mark.parametrize(
    ("kind", "record", "code", "value"),
    [
        (Kind.BOOT, (0, 4, 256, 2, 1), E.BOOT, 4),
        (Kind.GAP, (0, 7, 136, 1, 1), E.GAP, 136),
        (Kind.TIME, (0, 60, -5, 1, 1), E.CLOCK_SET, -5),
    ],
)
def test_what_else_happened_to_a_tag_is_an_event(
    kind: Kind, record: tuple[int, ...], code: EventCode, value: float
) -> None:
    records = np.array([record], WIRE[kind])
    made = events_from_wire(kind, records, 1000, 5, 9)
    assert (made.code.tolist(), made.value.tolist()) == ([code], [value])
    assert kind in EVENT_KINDS
    assert len(events_from_wire(kind, records, 1000, 5, 9, unit=0)) == 0, (
        "a unit's own boots concern no wearer"
    )


def stated(state: int, age: int = 65535, battery: int = 255) -> list[tuple[int, int, float]]:
    """(ms before the record's time, code, value) of what one tag state tells; events of strap and case first."""
    records = np.array([(5, 7, 99, battery, state, age, 1)], WIRE[Kind.TAG_STATE])
    made = tag_states_from_wire(records, 1000, 5, 9)
    assert made.seq.tolist() == [9] * len(made)
    assert len(set(made.t_ms.tolist())) == len(made), "instant and number name an event"
    before = (1_000_500 - made.t_ms) // 100 * 100 + 100 * ((1_000_500 - made.t_ms) % 100 > 0)
    return list(zip(before.tolist(), made.code.tolist(), made.value.tolist(), strict=True))


def test_a_tag_state_tells_what_was_opened_and_when() -> None:
    assert [row[:2] for row in stated(0b0001, 3)] == [(30_000, E.STRAP_OPEN)]
    assert [row[:2] for row in stated(0b0011)] == [(0, E.STRAP_OPEN)], "an unknown age is at the latest now"
    assert [row[:2] for row in stated(0b0010, 6)] == [(60_000, E.STRAP_OPEN), (60_000, E.STRAP_CLOSED)]
    assert (10_000, E.CASE_OPEN) in [row[:2] for row in stated(0b0100, 1)]
    assert [row[1] for row in stated(0b1000)] == [E.STRAP_CHECKED], (
        "that a battery is low is told by its voltage"
    )
    assert stated(0b0001, battery=190)[-1] == (0, E.BATTERY, 3800.0)
    assert [code for _, code, _ in stated(0b10010)][-1] == E.BOOT


def test_a_tag_state_without_an_opened_strap_tells_that_an_officer_has_been_there_since_one() -> None:
    assert [row[:2] for row in stated(0, 3)] == [(0, E.STRAP_CHECKED)]
    assert E.STRAP_CHECKED not in [row[1] for row in (*stated(0b0001), *stated(0b0010), *stated(0b0011))]


def test_refused_beacons_are_forged_ones_of_the_tag_in_the_contact() -> None:
    records = np.zeros(3, WIRE[Kind.RF_CONTACT])
    records["refused"] = (0, 4, 0)
    made = forged_from_wire(records, 1000, 5, 9)
    assert (made.seq.tolist(), made.code.tolist()) == ([10], [E.FORGED_BEACON])
