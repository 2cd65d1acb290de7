"""The simulated battery: it is told low when and only when it is, and a tag on its pins sees the same."""

from __future__ import annotations

import numpy as np
import pytest
from boards.esp32_pins import PINS

from core.alerts import Alert
from core.equipment import EquipmentWatch
from core.monitor import evaluate
from core.readings import EventCode, Events, Readings
from sim import equipment
from sim.itinerary import Itinerary
from sim.life import Life, Span
from tests.core.wearers import activation
from tests.sim.drinkers import DAY_MS, HOME, HOUR_MS, MINUTE_MS, ORDER, START_MS, clock

QUARTER_MS = 15 * MINUTE_MS


def walker(
    days: float,
    *,
    charging: tuple[Span, ...] = (),
    flat: tuple[Span, ...] = (),
    seed: int = 1,
    walks_h: float = 5,
) -> Life:
    """Somebody who is on foot for some hours of each day."""
    way = Itinerary(START_MS, HOME)
    end_ms = START_MS + int(days * DAY_MS)
    while way.end_ms < end_ms:
        way.walk(HOME.offset(5000 * walks_h / 2, 0), HOME).stay(way.end_ms + int((24 - walks_h) * HOUR_MS))
    return Life(f"b{seed}", seed, START_MS, end_ms, way.way(), ORDER, charging=charging, flat=flat)


def told(life: Life) -> list[Alert]:
    """The battery's alerts, of what a tag tells every quarter of an hour and whenever the charger comes or goes."""
    off = [*life.flat, Span(life.end_ms, 2 * life.end_ms)]
    edges = [at for span in equipment.charges(life) for at in span]
    t_ms = np.unique(np.append(np.arange(life.start_ms, life.end_ms, QUARTER_MS), edges))
    on = ~np.logical_or.reduce([(t_ms >= span.start_ms) & (t_ms < span.end_ms) for span in off])
    t_ms = t_ms[on].astype(np.int64)
    charging = equipment.on_charger(life, t_ms)
    n = len(t_ms)
    readings = Readings(
        events=Events(
            np.repeat(t_ms, 2),
            np.column_stack(
                [
                    np.full(n, int(EventCode.BATTERY)),
                    np.where(charging, int(EventCode.CHARGER_ON), int(EventCode.CHARGER_OFF)),
                ]
            ).ravel(),
            np.column_stack([equipment.battery_mv(life, t_ms), np.full(n, np.nan)]).ravel(),
            np.full(2 * n, 7, np.uint32),
            np.arange(1, 2 * n + 1, dtype=np.uint32),
        )
    )
    worn = activation(order=None)
    found = evaluate([worn], {worn.id: readings}, life.end_ms, families=(EquipmentWatch,))
    return [alert for alert in found if alert.rule.startswith("battery")]


def nightly(days: int, hours: float = 2.0) -> tuple[Span, ...]:
    return tuple(
        Span(START_MS + day * DAY_MS + 11 * HOUR_MS, START_MS + day * DAY_MS + int((11 + hours) * HOUR_MS))
        for day in range(days)
    )


def test_a_full_battery_lasts_about_forty_hours_longer_at_rest_and_less_on_the_move() -> None:
    hours = {}
    for walks_h in (0.1, 5.0, 23.0):
        life = walker(1.5, walks_h=walks_h, charging=(Span(START_MS, START_MS + HOUR_MS),))
        t_ms = np.arange(START_MS + HOUR_MS, life.end_ms, QUARTER_MS)
        pct = equipment.charge_pct(life, t_ms)
        fell = pct[0] - pct[24 * 4]
        hours[walks_h] = 24 * 100 / fell
    assert 36 < hours[5.0] < 44
    assert hours[23.0] < hours[5.0] < hours[0.1]


def test_a_tag_that_is_charged_every_day_raises_nothing() -> None:
    for seed in range(1, 9):
        life = walker(7, charging=nightly(7), seed=seed)
        assert told(life) == []
    assert told(walker(7)) == []


def test_a_life_that_says_nothing_of_chargers_is_charged_every_evening() -> None:
    life = walker(3)
    assert equipment.charges(life) == tuple(
        Span(clock(f"2026-06-0{day}T20:30"), clock(f"2026-06-0{day}T22:30")) for day in (1, 2, 3)
    )
    assert equipment.charges(walker(1)) == ()


def test_one_that_is_forgotten_is_told_low_before_it_is_flat_and_not_while_it_is_well() -> None:
    for seed in range(1, 9):
        flat = Span(START_MS + (50 + seed) * HOUR_MS, START_MS + 70 * HOUR_MS)
        life = walker(
            4, charging=(*nightly(1), Span(flat.end_ms, flat.end_ms + 3 * HOUR_MS)), flat=(flat,), seed=seed
        )
        (alert,) = told(life)
        low_ms = next(
            t_ms
            for t_ms in range(START_MS + 13 * HOUR_MS, flat.start_ms, MINUTE_MS)
            if equipment.charge_pct(life, np.array([t_ms]))[0] <= 20
        )
        # or earlier, where its line runs out within three hours
        assert (
            min(low_ms, flat.start_ms - 3 * HOUR_MS) - 45 * MINUTE_MS < alert.start_ms <= low_ms + QUARTER_MS
        )
        assert alert.end_ms is not None
        assert abs(alert.end_ms - flat.end_ms) <= QUARTER_MS
        assert equipment.charge_pct(life, np.array([flat.start_ms, flat.end_ms - 1])).tolist() == [0.0, 0.0]
        just_before = equipment.charge_pct(life, np.array([flat.start_ms - MINUTE_MS]))[0]
        assert 0 < just_before < 1


def test_only_a_life_that_says_so_has_an_empty_battery() -> None:
    life = walker(6, charging=nightly(1))
    pct = equipment.charge_pct(life, np.arange(START_MS, life.end_ms, QUARTER_MS))
    assert pct.min() >= 2.9
    assert pct[-1] == pytest.approx(3, abs=0.1)


def test_the_voltage_is_read_as_the_charge_by_the_rules() -> None:
    from core.battery import drain_limits, percent
    from core.rules import DEFAULT_RULES

    life = walker(3, charging=nightly(1))
    t_ms = np.arange(START_MS, life.end_ms, QUARTER_MS)
    limits = drain_limits(DEFAULT_RULES)
    read = np.array([percent(mv, limits) for mv in equipment.battery_mv(life, t_ms)])
    assert np.abs(read - equipment.charge_pct(life, t_ms)).max() < 1.5


def test_any_order_of_instants_is_answered_alike() -> None:
    life = walker(3, charging=nightly(2), flat=(Span(START_MS + 60 * HOUR_MS, START_MS + 66 * HOUR_MS),))
    t_ms = np.arange(START_MS, life.end_ms, 7 * MINUTE_MS + 333)
    order = np.random.default_rng(1).permutation(len(t_ms))
    assert np.array_equal(equipment.battery_mv(life, t_ms)[order], equipment.battery_mv(life, t_ms[order]))
    assert np.array_equal(equipment.charge_pct(life, t_ms)[order], equipment.charge_pct(life, t_ms[order]))


def test_strap_case_charger_and_battery_are_played_to_a_tags_pins() -> None:
    off, opened = (
        Span(START_MS + 30_000, START_MS + HOUR_MS),
        Span(START_MS + 2 * HOUR_MS, START_MS + 3 * HOUR_MS),
    )
    charging = Span(START_MS - HOUR_MS, START_MS + 4 * HOUR_MS)
    way = Itinerary(START_MS, HOME).stay(START_MS + DAY_MS).way()
    life = Life(
        "p1",
        1,
        START_MS,
        START_MS + DAY_MS,
        way,
        ORDER,
        off_ankle=(off,),
        case_open=(opened,),
        charging=(charging,),
    )
    from_ms, to_ms = START_MS + 10_000, START_MS + 6 * HOUR_MS
    played = list(equipment.levels(life, "gps_tag", from_ms, to_ms))
    assert played == sorted(played)

    def of(pin: str) -> list[tuple[int, int]]:
        return [(at_ms - START_MS, level) for at_ms, number, level in played if number == PINS[pin]]

    assert of("strap") == [(10_000, 0), (30_000, 1), (HOUR_MS, 0)]
    assert of("case") == [(10_000, 0), (2 * HOUR_MS, 1), (3 * HOUR_MS, 0)]
    assert of("charger") == [(10_000, 1), (4 * HOUR_MS, 0)]
    seen = dict(of("battery_adc"))
    for at_ms, half_mv in seen.items():
        assert 2 * half_mv == equipment.battery_mv(life, np.array([START_MS + at_ms]))[0]
    others = {pin for _, pin, _ in equipment.levels(life, "alcohol_tag", from_ms, to_ms)}
    assert others == {PINS["strap"], PINS["case"], PINS["battery_adc"]}
