"""Equipment alerts: against a plain reference, in any order of arrival, and case by case."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import pytest
from hypothesis import assume, event, given, settings
from hypothesis import strategies as st

from core.activation import Activation
from core.alerts import Alert
from core.battery import drain_limits, percent
from core.contact import CONDITION
from core.equipment import EquipmentWatch
from core.monitor import Monitor, evaluate
from core.order import order_from_json
from core.readings import Contacts, EventCode, Events, Positions, Readings, UnitFlag
from core.rows import fixes_from
from core.rules import DEFAULT_RULES
from core.trail import JUMP, TrailWatch, assess
from tests.core import equipment_reference as reference
from tests.core.equipment_reference import Event, TieError, Told
from tests.core.wearers import DAY_MS, MONDAY_MS, activation, curfew, order_json, positions

E = EventCode
MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS


ONLY = (TrailWatch, EquipmentWatch)


def events(*rows: tuple[int, EventCode] | tuple[int, EventCode, float] | tuple[float, ...]) -> Events:
    """Events from (t_ms, code[, value]), numbered as they stand."""
    n = len(rows)
    return Events(
        np.array([row[0] for row in rows], np.int64),
        np.array([row[1] for row in rows], np.int64),
        np.array([row[2] if len(row) > 2 else np.nan for row in rows], np.float64),
        np.full(n, 78, np.uint32),
        np.arange(1, n + 1, dtype=np.uint32),
    )


def contacts(*rows: tuple[int, int, int]) -> Contacts:
    """Contacts from (t_ms, unit, what the unit says of itself)."""
    n = len(rows)
    return Contacts(
        np.array([row[0] for row in rows], np.int64),
        np.full(n, 60.0),
        np.full(n, 5),
        np.full(n, -70.0),
        np.full(n, -75.0),
        np.array([row[1] for row in rows], np.int64),
        np.array([row[2] for row in rows], np.uint8),
        np.full(n, 79, np.uint32),
        np.arange(1, n + 1, dtype=np.uint32),
    )


def judged(readings: Readings, now_ms: int, case: Activation | None = None) -> list[Alert]:
    case = case or activation(order=None)
    found = [
        a for a in evaluate([case], {case.id: readings}, now_ms, families=ONLY) if a.condition == CONDITION
    ]
    assert len({alert.id for alert in found}) == len(found)
    return found


def at(minute: float) -> int:
    return MONDAY_MS + int(minute * MINUTE_MS)


def of(alerts: list[Alert], rule: str) -> list[Alert]:
    return [alert for alert in alerts if alert.rule == rule]


@dataclass(frozen=True)
class Gear:
    activation: Activation
    readings: Readings
    now_ms: int


IN_MILLIVOLTS = (E.BATTERY, E.BATTERY_ON_CHARGER, E.BATTERY_OFF_CHARGER)
STEPS_S = [0, 1, 30, 59, 60, 61, 599, 900, 901, 1_800, 3_600, 7_500, 7_501, 10_801, 14_400, 14_401]
SPOTS = ["home", "home", "home", "street", "far"]


@st.composite
def gears(draw: st.DrawFn) -> Gear:
    n = draw(st.integers(0, 25))
    t_ms = MONDAY_MS + 1000 * np.cumsum(
        [draw(st.integers(-7_000, 1)), *draw(st.lists(st.sampled_from(STEPS_S), min_size=n, max_size=n))]
    )
    busy = draw(st.sampled_from([[E.BATTERY_PERCENT] * 4 + [E.CHARGER_ON, E.CHARGER_OFF], list(E), list(E)]))
    rows = [
        (
            int(t),
            code,
            float(draw(st.sampled_from([83, 71, 47, 37, 29, 24, 23, 19, 13, 9, 1])))
            if code == E.BATTERY_PERCENT
            else float(draw(st.integers(0, 1))),
        )
        for t in t_ms
        for code in [draw(st.sampled_from([c for c in busy if c not in IN_MILLIVOLTS]))]
    ]
    m = draw(st.integers(0, 25))
    steps = draw(st.lists(st.sampled_from([0, 1, 20, 60, 60, 901, 14_400, 14_401]), min_size=m, max_size=m))
    places = draw(st.lists(st.sampled_from(SPOTS), min_size=m, max_size=m))
    when = MONDAY_MS + 1000 * np.cumsum(np.array(steps, np.int64))
    where = positions(*zip(when.tolist(), places, strict=True)) if m else Positions.empty()
    removed_ms = draw(st.none() | st.none() | st.integers(1, 90_000).map(lambda s: MONDAY_MS + s * 1000))
    now_ms = max([MONDAY_MS, *t_ms.tolist(), *when.tolist()]) + 1000 * draw(
        st.sampled_from([0, 60, 900, 901, 7_200, 14_400, 90_000])
    )
    case = activation(removed_ms=removed_ms)
    return Gear(case, Readings(where, events=events(*rows)), now_ms)


def promised(gear: Gear) -> list[Told]:
    """What the reference finds."""
    from_ms, to_ms = gear.activation.fitted_ms, gear.activation.removed_ms
    gone_ms = to_ms if to_ms is not None and to_ms <= gear.now_ms else None
    rows = gear.readings.events
    happened = sorted(
        (
            Event(int(t), E(int(code)), float(value), int(seq))
            for t, code, value, seq in zip(rows.t_ms, rows.code, rows.value, rows.seq, strict=True)
            if from_ms <= t < (to_ms or t + 1)
        ),
        key=lambda one: (one.t_ms, one.key),
    )
    trail = assess(fixes_from(gear.readings.positions, DEFAULT_RULES.precision_floor_m), DEFAULT_RULES)
    inside = trail.fixes["t_ms"] < (to_ms or 1 << 60)
    jumped = trail.fixes["t_ms"][inside & (trail.quality & JUMP > 0)].tolist()
    trusted = trail.fixes["t_ms"][inside & trail.trusted].tolist()
    opened = next((e.t_ms for e in happened if e.code == E.STRAP_OPEN), None)
    # with the strap open positions prove nothing about the wearer, and jumps cannot be told
    assume(opened is None or not len(gear.readings.positions) or opened > gear.readings.positions.t_ms[-1])
    return [
        *reference.latches(happened, gone_ms),
        *reference.signs(happened, gear.now_ms, gone_ms, DEFAULT_RULES),
        *reference.battery(happened, gear.now_ms, gone_ms, DEFAULT_RULES),
        *reference.jumps(jumped, gear.now_ms, gone_ms, DEFAULT_RULES),
        *reference.losses(trusted, from_ms, gone_ms, gear.now_ms, DEFAULT_RULES),
    ]


def as_told(alert: Alert) -> Told:
    more = {"battery": "stage", "position_jumps": "jumps"} | dict.fromkeys(reference.SIGNS, "reports")
    figure = alert.figures[more[alert.rule]] if alert.rule in more else ""
    assert not isinstance(figure, float)
    return Told(alert.rule, int(alert.figures.get("unit", -1)), alert.start_ms, alert.end_ms, figure)


@given(gears())
@settings(max_examples=200, deadline=None)
def test_equipment_alerts_are_what_the_sentences_promise(gear: Gear) -> None:
    try:
        true = promised(gear)
    except TieError:
        assume(False)
    for told in true:
        event(told.rule)
    found = judged(gear.readings, gear.now_ms, gear.activation)
    assert sorted(map(as_told, found), key=repr) == sorted(true, key=repr)


@given(gears(), st.data())
@settings(max_examples=100, deadline=None)
def test_equipment_readings_in_any_order_and_any_pieces_end_in_the_same_alerts(
    gear: Gear, data: st.DataObject
) -> None:
    units = data.draw(
        st.lists(st.tuples(st.integers(-5, 300).map(at), st.integers(0, 1), st.integers(0, 15)), max_size=12)
    )
    readings = replace(gear.readings, contacts=contacts(*units))
    whole = evaluate([gear.activation], {gear.activation.id: readings}, gear.now_ms, families=ONLY)
    monitor = Monitor(checkpoint_readings=data.draw(st.sampled_from([1, 4, 256])), families=ONLY)
    monitor.bind(gear.activation)
    kinds = ("positions", "events", "contacts")
    pieces = [(kind, i) for kind in kinds for i in range(len(getattr(readings, kind)))]
    shuffled = data.draw(st.permutations(pieces)) if data.draw(st.booleans()) else pieces
    told: dict[str, Alert] = {}
    for kind, i in shuffled:
        piece = getattr(readings, kind).take(np.array([i]))
        monitor.add(gear.activation.id, replace(Readings(), **{kind: piece}))
        if data.draw(st.integers(0, 3)) == 0:
            for alert in monitor.judge(gear.now_ms - data.draw(st.sampled_from([0, 7_000_000]))):
                assert told.get(alert.id) != alert, "told without a change"
                told[alert.id] = alert
    for alert in monitor.judge(gear.now_ms):
        told[alert.id] = alert
    assert monitor.alerts() == whole
    assert {one.id: one for one in told.values() if one.state != "withdrawn"} == {
        one.id: one for one in whole
    }


def test_a_strap_that_is_closed_again_stays_an_alert_until_an_officer_has_checked_it() -> None:
    rows = [(at(10), E.STRAP_OPEN), (at(11), E.STRAP_CLOSED)]
    (alert,) = of(judged(Readings(events=events(*rows)), at(30)), "strap_tamper")
    assert (alert.state, alert.severity, alert.start_ms) == ("open", "high", at(10))
    assert alert.sentence == (
        "Strap opened from 01:10 on 1 June 2026, closed again at 01:11 on 1 June 2026; until an officer's check the "
        "tag proves nothing about its wearer."
    )
    (alert,) = of(judged(Readings(events=events(*rows, (at(60), E.OFFICER_CHECK))), at(90)), "strap_tamper")
    assert (alert.state, alert.end_ms, alert.readings) == ("ended", at(60), ((78, 1), (78, 2), (78, 3)))


def test_a_battery_that_runs_down_is_told_before_it_is_flat_and_then_as_flat() -> None:
    rows = [(at(60 * i), E.BATTERY_PERCENT, 100.0 - 19 * i) for i in range(4)]
    (alert,) = of(judged(Readings(events=events(*rows)), at(180)), "battery")
    assert (alert.start_ms, alert.figures["stage"], alert.severity) == (at(180), "flat soon", "medium")
    # 43 % at 03:00 UTC, 19 % an hour: 2 h 15 min 47 s
    (alert,) = of(judged(Readings(events=events(*rows)), at(360)), "battery")
    assert (alert.figures["stage"], alert.severity) == ("flat", "high")
    assert alert.figures["flat"] == "2026-06-01T05:15:47Z"


def test_a_battery_at_twenty_per_cent_counts_as_not_charged() -> None:
    rows = [(at(0), E.BATTERY_PERCENT, 21.0), (at(600), E.BATTERY_PERCENT, 20.0)]
    (alert,) = of(judged(Readings(events=events(*rows)), at(601)), "battery")
    assert (alert.start_ms, alert.figures["stage"], alert.severity) == (at(600), "low", "medium")
    assert alert.sentence == (
        "Battery of the tag low from 11:00 on 1 June 2026: 20 % at the lowest, 20 % at 11:00 on 1 June 2026."
    )


def test_a_battery_on_the_charger_is_no_alert() -> None:
    rows = [(at(0), E.CHARGER_ON), *((at(i), E.BATTERY_PERCENT, 4.0 + i) for i in range(1, 9))]
    assert judged(Readings(events=events(*rows)), at(10)) == []
    low = [(at(0), E.BATTERY_PERCENT, 12.0), (at(5), E.CHARGER_ON)]
    (alert,) = judged(Readings(events=events(*low)), at(10))
    assert (alert.state, alert.end_ms) == ("ended", at(5))
    assert alert.sentence.endswith("12 % at the lowest; put on the charger.")


@given(
    st.lists(
        st.tuples(
            st.sampled_from([1, 300, 900, 1_800, 3_600]),
            st.sampled_from([np.nan, 3310.0, 3600.0, 3650.0, 3690.0, 3705.0, 3720.0, 3800.0, 4150.0]),
            st.sampled_from([None, True, True, False, False, False]),
        ),
        max_size=20,
    )
)
@settings(max_examples=100, deadline=None)
def test_a_reading_that_tells_of_the_charger_is_one_of_the_battery_after_what_has_changed(
    statuses: list[tuple[int, float, bool | None]],
) -> None:
    told, apart = [], list[tuple[int, EventCode, float]]()
    on, t_ms = False, at(0)
    for seconds, mv, charged in statuses:
        t_ms += seconds * 1000
        code = {None: E.BATTERY, True: E.BATTERY_ON_CHARGER, False: E.BATTERY_OFF_CHARGER}[charged]
        told.append((t_ms, code, mv))
        if charged is not None and charged != on:
            on = charged
            apart.append((t_ms, E.CHARGER_ON if on else E.CHARGER_OFF, np.nan))
        apart.append((t_ms, E.BATTERY, mv))

    def sentences(rows: list[tuple[int, EventCode, float]]) -> list[tuple[str, int, int | None]]:
        found = of(judged(Readings(events=events(*rows)), t_ms + 1), "battery")
        return [(alert.sentence, alert.start_ms, alert.end_ms) for alert in found]

    assert sentences(told) == sentences(apart)


def test_a_battery_that_cannot_be_read_says_nothing() -> None:
    rows = [(at(i), E.BATTERY, value) for i, value in enumerate([np.nan, np.inf, -np.inf, 0.0, -1.0])]
    rows += [(at(9), E.BATTERY_PERCENT, np.nan), (at(10), E.BATTERY_PERCENT, -3.0)]
    assert judged(Readings(events=events(*rows)), at(30)) == []


@pytest.mark.parametrize(
    ("mv", "pct"), [(2500, 0), (3300, 0), (3680, 20), (3710, 27.5), (4180, 100), (5000, 100)]
)
def test_a_voltage_is_a_charge_along_the_curve(mv: float, pct: float) -> None:
    assert percent(float(mv), drain_limits(DEFAULT_RULES)) == pytest.approx(pct)


def test_a_home_unit_tells_of_its_mains_with_its_contacts_too() -> None:
    well, dark = int(UnitFlag.MAINS), 0
    rows = [(at(i), i % 2, dark if i % 2 and 10 < i < 20 else well) for i in range(30)]
    (alert,) = judged(Readings(contacts=contacts(*rows)), at(30))
    assert (alert.rule, alert.start_ms, alert.end_ms) == ("home_unit_no_mains", at(11), at(21))
    assert alert.sentence == (
        "Home unit 2 without mains power from 01:11 on 1 June 2026 until 01:21 on 1 June 2026."
    )


def test_what_an_event_said_of_a_home_unit_its_contacts_do_not_take_back() -> None:
    rows = contacts((at(1), 0, 1), (at(9), 0, 1))
    (alert,) = judged(Readings(contacts=rows, events=events((at(5), E.UNIT_MOVED, 0.0))), at(30))
    assert (alert.rule, alert.state) == ("home_unit_moved", "open")


def test_no_position_for_four_hours_is_told_by_silence_alone_and_ends_with_the_next() -> None:
    found = judged(Readings(positions((at(10), "home"))), at(10 + 240))
    assert [(a.rule, a.start_ms, a.state) for a in found] == [("no_position", at(250), "open")]
    found = judged(Readings(positions((at(10), "home"), (at(400), "home"))), at(401))
    assert [(a.rule, a.start_ms, a.end_ms) for a in found] == [("no_position", at(250), at(400))]
    assert found[0].figures["lost_min"] == 390


def test_positions_are_not_missed_where_no_condition_needs_them() -> None:
    case = activation(order_from_json(order_json(conditions=[curfew()])))
    assert judged(Readings(), MONDAY_MS + DAY_MS, case) == []


def test_an_rf_tag_that_tells_of_an_unopened_strap_again_has_been_checked_but_its_case_has_not() -> None:
    rows = [(at(10), E.STRAP_OPEN), (at(11), E.CASE_OPEN), (at(12), E.CASE_CLOSED), (at(70), E.STRAP_CHECKED)]
    strap, case = judged(Readings(events=events(*rows)), at(100))
    assert (strap.rule, strap.start_ms, strap.end_ms) == ("strap_tamper", at(10), at(70))
    assert (case.rule, case.end_ms) == ("case_tamper", None)


def test_positions_of_a_tag_with_its_strap_open_are_not_missed() -> None:
    rows = positions(*((at(30 * i), "home") for i in range(40)))
    found = judged(Readings(rows, events=events((at(45), E.STRAP_OPEN))), at(30 * 39))
    assert [alert.rule for alert in found] == ["strap_tamper"]


def test_jumps_by_the_minute_to_a_place_that_claims_two_metres_are_a_sign_of_forging() -> None:
    rows = positions(*((at(i), "far" if i in (3, 5, 7) else "home", 2.0) for i in range(30)))
    (alert,) = judged(Readings(rows), at(30))
    assert (alert.rule, alert.start_ms, alert.end_ms) == ("position_jumps", at(3), at(7))
    assert (alert.figures["jumps"], alert.severity) == (3, "high")
    # 22.2 km to the north, 18.7 km to the east
    assert alert.figures["farthest_m"] == pytest.approx(29_100, rel=0.01)


def test_an_echo_of_some_seconds_is_no_sign_of_forging() -> None:
    rows = positions(*((at(i / 60), "far" if i in (30, 31, 32, 33) else "home") for i in range(90)))
    assert judged(Readings(rows), at(5)) == []


def test_before_fitting_and_after_removal_equipment_says_nothing() -> None:
    rows = events((at(-5), E.STRAP_OPEN), (at(-4), E.BATTERY_PERCENT, 3.0), (at(61), E.CASE_OPEN))
    case = activation(removed_ms=at(60))
    assert judged(Readings(events=rows), MONDAY_MS + DAY_MS, case) == []


def test_every_alert_has_a_sentence_with_figures_and_the_readings_it_rests_on() -> None:
    codes = [E.STRAP_OPEN, E.CASE_OPEN, E.MAINS_LOST, E.UNIT_MOVED, E.UNIT_CASE_OPEN, E.UNIT_BATTERY_LOW]
    codes += [E.MOTION_FAULT, E.UNIT_MOTION_FAULT, E.SENSOR_FAULT, *reference.SIGNS.values()]
    rows = [(at(i), code, 0.0) for i, code in enumerate(codes)]
    found = judged(Readings(events=events(*rows, (at(20), E.BATTERY_PERCENT, 7.0))), at(600))
    assert len(found) == 20
    for alert in found:
        assert alert.sentence.endswith(".")
        assert "{" not in alert.sentence
        assert alert.readings or alert.rule == "no_position"
        assert alert.order_version == 1


def test_a_jammer_that_stays_is_one_alert_though_the_tag_reports_it_once_an_hour() -> None:
    hourly = [(at(61 * hour), E.JAMMING, 140.0) for hour in range(1, 9)]
    missed = [one for one in hourly if one[0] != at(61 * 4)]  # a look at rest that came a moment too soon
    for rows in (hourly, missed):
        for now_ms, state in ((at(61 * 8 + 30), "open"), (at(61 * 8 + 126), "ended")):
            (alert,) = of(judged(Readings(events=events(*rows)), now_ms), "jamming")
            assert (alert.state, alert.start_ms, alert.figures["reports"]) == (state, at(61), len(rows))
    later = [*hourly, (at(61 * 8 + 126), E.JAMMING, 140.0)]
    told = of(judged(Readings(events=events(*later)), at(61 * 8 + 130)), "jamming")
    assert [alert.end_ms for alert in told] == [at(61 * 8), None]


def test_what_a_device_could_not_read_at_its_start_is_told_with_what_it_leads_to() -> None:
    rows = events((at(1), E.SETTINGS_LOST, 1.0), (at(2), E.UNIT_COMMANDS_LOST, 1.0))
    settings, commands = judged(Readings(events=rows), at(3))
    assert (settings.rule, settings.state, settings.severity) == ("settings_lost", "open", "medium")
    assert settings.sentence == (
        "The tag could not read its changed settings when it was started, at 01:01 on 1 June 2026, 1 report; "
        "it works as it was provisioned until they are sent again."
    )
    assert (commands.rule, commands.figures) == ("home_unit_command_count_lost", {"unit": 1, "reports": 1})
    assert commands.sentence.startswith("Home unit 2 could not read which command it had executed last, at ")
    ended = judged(Readings(events=rows), at(30))
    assert [alert.end_ms for alert in ended] == [at(1), at(2)]


def test_an_unknown_code_does_not_disturb() -> None:
    odd = events((at(1), E.STRAP_OPEN))
    odd = replace(odd, code=np.array([999], np.int64))
    assert judged(Readings(events=odd), at(2)) == []


def _one_by_one(readings: Readings) -> Iterator[Readings]:
    for i in range(len(readings.events)):
        yield Readings(events=readings.events.take(np.array([i])))


def test_a_late_officers_check_ends_what_stood_open() -> None:
    monitor = Monitor(families=ONLY)
    monitor.bind(activation())
    rows = events((at(10), E.STRAP_OPEN), (at(12), E.OFFICER_CHECK), (at(14), E.CASE_OPEN))
    early, late, other = _one_by_one(Readings(events=rows))
    for readings in (early, other):
        monitor.add("activation-1", readings)
    assert [(a.rule, a.state) for a in monitor.judge(at(20))] == [
        ("strap_tamper", "open"),
        ("case_tamper", "open"),
    ]
    monitor.add("activation-1", late)
    assert [(a.rule, a.state, a.end_ms) for a in monitor.judge(at(20))] == [("strap_tamper", "ended", at(12))]
