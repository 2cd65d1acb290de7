"""The simulated skin: Widmark's blood, a lag of an hour, and sensors that fare as those of seven real people."""

from __future__ import annotations

from collections import Counter
from dataclasses import astuple, fields
from pathlib import Path
from typing import Literal

import numpy as np
import pytest

from core.monitor import evaluate
from core.readings import Readings
from core.sober_days import sober_days
from core.sober_rates import DayState
from core.sobriety import Sobriety
from sim import skin
from sim.alcohol_feed import CLEAN_AIR_MV, FUEL_CELL, FULL_MV_G_DL, INFRARED, TEMPERATURE, levels_of
from sim.life import Body, Drink, Exposure, Span
from tests.core import drinkers as real
from tests.sim.drinkers import (
    DAY_MS,
    HOUR_MS,
    MINUTE_MS,
    START_MS,
    UNIT_G,
    Traits,
    as_a_tag_samples,
    clock,
    crawler,
    judged,
    sampled,
    samples_at,
    tagged,
    traits,
    wearer,
)

EVENING_MS = clock("2026-06-02T19:00")


def evening(units: float, hours: float = 2.0) -> tuple[Drink, ...]:
    return (Drink(EVENING_MS, EVENING_MS + int(hours * HOUR_MS), units * UNIT_G),)


def test_blood_follows_widmark() -> None:
    body = Body(weight_kg=80, widmark=0.7, elimination_g_dl_h=0.015)
    life = wearer(3, body=body, drinks=evening(10, 1))
    t_ms = np.arange(life.start_ms, life.end_ms, MINUTE_MS)
    bac = skin.blood(life, t_ms)
    # 80 g in 56 l, less what is burnt until three hours after the last drop, when all is taken up
    after = skin.blood(life, np.array([EVENING_MS + 4 * HOUR_MS]))[0]
    assert after == pytest.approx(80 / 560 - 4 * 0.015, abs=0.002)
    falling = skin.blood(life, np.array([EVENING_MS + 4 * HOUR_MS, EVENING_MS + 6 * HOUR_MS]))
    assert falling[0] - falling[1] == pytest.approx(0.03, abs=1e-4)
    assert bac.min() == 0.0
    assert bac[t_ms < EVENING_MS].max() == 0.0
    sober_again_h = (t_ms[np.flatnonzero(bac > 0)[-1]] - EVENING_MS) / HOUR_MS
    assert sober_again_h == pytest.approx(80 / 560 / 0.015, abs=0.3)


def test_drinks_one_after_the_other_add_up_and_a_sober_stretch_between_begins_anew() -> None:
    first, second = evening(4)[0], Drink(EVENING_MS + 3 * HOUR_MS, EVENING_MS + 4 * HOUR_MS, 4 * UNIT_G)
    late = Drink(EVENING_MS + 24 * HOUR_MS, EVENING_MS + 25 * HOUR_MS, 4 * UNIT_G)
    at = np.array([EVENING_MS + 5 * HOUR_MS])
    apart = [skin.blood(wearer(3, drinks=(one,)), at)[0] for one in (first, second)]
    together = skin.blood(wearer(3, drinks=(first, second)), at)[0]
    assert max(apart) < together <= sum(apart) + 0.016 * 5
    t_ms = np.arange(late.start_ms, late.start_ms + 6 * HOUR_MS, MINUTE_MS)
    alone, after = (wearer(3, drinks=drinks) for drinks in ((late,), (first, late)))
    assert skin.blood(after, t_ms) == pytest.approx(skin.blood(alone, t_ms), abs=1e-4)
    assert skin.given_off(after, t_ms) == pytest.approx(skin.given_off(alone, t_ms), abs=1e-3)


def test_the_skin_lags_as_a_real_tag_was_measured_to() -> None:
    """PMC6779481: alcohol seen within 30 min, best aligned 69 min behind, highest 120 min behind, at 0.08 %."""
    life = wearer(2, drinks=(Drink(EVENING_MS, EVENING_MS + 15 * MINUTE_MS, 56),))
    t_ms = np.arange(EVENING_MS, EVENING_MS + 12 * HOUR_MS, MINUTE_MS)
    bac, tac = skin.blood(life, t_ms), skin.given_off(life, t_ms)
    assert bac.max() == pytest.approx(0.08, abs=0.01)
    assert np.argmax(tac > 0.002) <= 30
    aligned = max(range(180), key=lambda lag: float(np.corrcoef(bac[: len(bac) - lag], tac[lag:])[0, 1]))
    assert aligned == pytest.approx(69, abs=10)
    assert np.argmax(tac) - np.argmax(bac) == pytest.approx(120, abs=20)
    slower = wearer(2, drinks=life.drinks, body=Body(lag_s=2 * 4140))
    assert np.argmax(skin.given_off(slower, t_ms)) > np.argmax(tac) + 40


def test_the_peak_of_each_bout_is_the_gain_times_that_of_the_blood() -> None:
    drinks = tuple(
        Drink(EVENING_MS + day * DAY_MS, EVENING_MS + day * DAY_MS + HOUR_MS, 40) for day in range(3)
    )
    life = wearer(5, drinks=drinks, body=Body(skin_gain=1.4))
    for drink in drinks:
        t_ms = np.arange(drink.start_ms, drink.start_ms + 20 * HOUR_MS, MINUTE_MS)
        assert skin.given_off(life, t_ms).max() == pytest.approx(1.4 * skin.blood(life, t_ms).max(), rel=1e-3)


def test_any_instant_is_answered_alike_in_whatever_order_and_company() -> None:
    life = wearer(
        5,
        drinks=evening(6),
        exposures=(Exposure(EVENING_MS - HOUR_MS, "sanitiser", 1.0), Exposure(EVENING_MS, "cleaning", 1.0)),
        off_ankle=(Span(START_MS + 60 * HOUR_MS, START_MS + 64 * HOUR_MS),),
        covered_sensor=(Span(START_MS + 80 * HOUR_MS, START_MS + 84 * HOUR_MS),),
    )
    t_ms = np.arange(life.start_ms, life.end_ms, 7 * MINUTE_MS + 1234)
    felt = skin.feel(life, t_ms)
    order = np.random.default_rng(1).permutation(len(t_ms))
    for few in (order, order[:50], order[:1]):
        again = skin.feel(life, t_ms[few])
        for name in ("tac_g_dl", "ir_v", "temp_c"):
            assert np.array_equal(getattr(again, name), getattr(felt, name)[few]), name


def test_sensors_change_with_the_minute_in_steps_of_a_tags_pins_which_it_is_played() -> None:
    life = wearer(
        1, drinks=(Drink(START_MS, START_MS + HOUR_MS, 60),), exposures=(Exposure(START_MS, "bar", 1),)
    )
    from_ms, to_ms = START_MS + 90_500, START_MS + 6 * HOUR_MS
    pins: dict[int, int] = {}
    due = list(levels_of(life, from_ms, to_ms))
    for at_ms in range(from_ms, to_ms, 97_000):
        while due and due[0][0] <= at_ms:
            _, pin, level = due.pop(0)
            pins[pin] = level
        felt = skin.feel(life, np.array([at_ms]))
        assert pins[FUEL_CELL] == pytest.approx(CLEAN_AIR_MV + felt.tac_g_dl[0] * FULL_MV_G_DL, abs=1e-6)
        assert pins[INFRARED] == pytest.approx(felt.ir_v[0] * 1000, abs=1e-6)
        assert pins[TEMPERATURE] == pytest.approx(500 + felt.temp_c[0] * 10, abs=1e-6)


def test_a_sober_week_is_calm_and_counted_sober() -> None:
    for seed in range(1, 13):
        life = wearer(7, seed=seed)
        samples = as_a_tag_samples(life)
        assert np.abs(samples.tac_g_dl).max() < 0.006
        assert judged(life, samples) == []
        (days,) = sober_days(tagged(life), samples, real.events_of(), life.end_ms).values()
        assert Counter(day.state for day in days) == {DayState.SOBER: 6, DayState.UNVERIFIED: 1}


def test_an_evening_of_drinking_is_confirmed_whatever_the_body() -> None:
    for seed in range(1, 13):
        body = Body(
            weight_kg=60 + 3 * seed,
            elimination_g_dl_h=0.012 + 0.001 * (seed % 9),
            skin_gain=0.8 + 0.05 * seed,
        )
        life = wearer(2.5, seed=seed, body=body, drinks=evening(8, 1 + seed % 4))
        (alert,) = judged(life, sampled(life))
        assert (alert.rule, alert.figures["status"]) == ("drinking_event", "confirmed"), seed


def met(kind: Literal["sanitiser", "perfume", "cleaning", "bar"], seed: int) -> tuple[Exposure, ...]:
    """Six days: a nurse's shift, a bathroom, a cleaner's shift, a sober evening in a bar."""
    drawn = np.random.default_rng(seed)
    begins_h, count, least_min, most_min, strength = {
        "sanitiser": (2, 40, 4, 25, 1.5),
        "perfume": (0, 3, 120, 480, 3.0),
        "cleaning": (2, 5, 40, 120, 2.0),
        "bar": (9, 18, 5, 25, 2.0),
    }[kind]
    found = []
    for day in range(6):
        at_ms = START_MS + day * DAY_MS + int((begins_h + drawn.random()) * HOUR_MS)
        for _ in range(count):
            found.append(Exposure(at_ms, kind, float(drawn.uniform(0.3, strength))))
            at_ms += int(drawn.uniform(least_min, most_min) * MINUTE_MS)
    return tuple(sorted(found))


@pytest.mark.parametrize("kind", ["sanitiser", "perfume", "cleaning", "bar"])
def test_alcohol_that_was_not_drunk_comes_and_goes_faster_than_a_body_and_is_never_confirmed(
    kind: Literal["sanitiser", "perfume", "cleaning", "bar"],
) -> None:
    rates = []
    for seed in range(1, 17):
        at = EVENING_MS - 10 * HOUR_MS
        once = wearer(2.5, seed=seed, exposures=(Exposure(at, kind, 2.0),))
        t_ms = np.arange(at - MINUTE_MS, at + 3 * HOUR_MS, 5 * MINUTE_MS)
        tac = skin.feel(once, t_ms).tac_g_dl
        rates.append((np.diff(tac).max() * 12, -np.diff(tac).min() * 12))
        for life in (once, wearer(6.5, seed=seed, exposures=met(kind, seed))):
            told = [alert.figures["status"] for alert in judged(life, as_a_tag_samples(life))]
            assert set(told) <= {"environmental", "suspected"}, seed
    rise, fall = np.median(np.array(rates), axis=0)
    assert rise > 2 * 0.05
    assert fall > 2 * 0.025


def test_a_covered_sensor_is_flat_and_told_as_an_obstruction() -> None:
    cover = Span(EVENING_MS - HOUR_MS, EVENING_MS + 10 * HOUR_MS)
    for seed in range(1, 9):
        drinks = evening(8)
        bare = wearer(2.5, seed=seed, drinks=drinks)
        life = wearer(2.5, seed=seed, drinks=drinks, covered_sensor=(cover,))
        t_ms = np.arange(cover.start_ms + HOUR_MS, cover.end_ms, 30 * MINUTE_MS)
        assert skin.feel(life, t_ms).tac_g_dl.max() < 0.2 * skin.feel(bare, t_ms).tac_g_dl.max()
        found = {alert.rule: alert for alert in judged(life, sampled(life))}
        assert found["sensor_obstructed"].figures["status"] == "confirmed"
        assert abs(found["sensor_obstructed"].start_ms - cover.start_ms) <= 30 * MINUTE_MS


def test_off_the_ankle_it_comes_to_the_room_and_smells_nothing() -> None:
    off = Span(EVENING_MS + HOUR_MS, EVENING_MS + 9 * HOUR_MS)
    life = wearer(2.5, drinks=evening(8), off_ankle=(off,))
    t_ms = np.arange(off.start_ms + HOUR_MS, off.end_ms, 30 * MINUTE_MS)
    felt = skin.feel(life, t_ms)
    assert np.abs(felt.tac_g_dl).max() < 0.006
    assert np.median(felt.temp_c) == pytest.approx(19, abs=1)
    before = skin.feel(life, np.arange(START_MS, off.start_ms, 30 * MINUTE_MS))
    assert abs(np.median(felt.ir_v) - np.median(before.ir_v)) > 0.35


def test_seven_real_people_and_people_made_up_differ_by_no_more_than_real_ones_do(data: Path) -> None:
    """On a bar crawl; what of it is within what is written in docs/sensors.md."""
    people = []
    for name in real.PEOPLE:
        samples = real.person(data, name)
        worn = real.tagged(real.sober_order(), fitted_ms=int(samples.t_ms[0]) - 1000)
        found = evaluate(
            [worn], {worn.id: Readings(samples=samples)}, int(samples.t_ms[-1]), families=(Sobriety,)
        )
        (alert,) = [alert for alert in found if alert.rule == "drinking_event"]
        people.append(traits(samples, alert))
    made_up, confirmed = [], 0
    for seed in range(1, 41):
        life = crawler(seed)
        samples = sampled(life, int(30.6 * MINUTE_MS))
        told = ("drinking_event", "alcohol_in_surroundings")
        (alert,) = [alert for alert in judged(life, samples) if alert.rule in told]
        confirmed += alert.figures["status"] == "confirmed"
        made_up.append(traits(samples, alert))
    assert confirmed >= 30
    truth, ours = (np.array([astuple(one) for one in some]) for some in (people, made_up))
    names = [field.name for field in fields(Traits)]
    for name, seen, made in zip(names, truth.T, ours.T, strict=True):
        middle, middle_of_ours = np.median(seen), np.median(made)
        if name.endswith("_c"):
            assert abs(middle - middle_of_ours) < 1.5, name
        elif name in ("rise_g_dl_h", "ir_away"):
            # seven people do not tell the middle of what varies tenfold between them
            assert seen.min() <= middle_of_ours <= seen.max(), name
        else:
            assert middle / 1.5 < middle_of_ours < middle * 1.5, name
        assert seen.min() <= middle_of_ours <= seen.max(), name
        assert made.min() <= middle <= made.max(), name


def test_feeling_a_week_costs_a_fraction_of_what_judging_a_gps_week_does() -> None:
    """Few calls, no loop over readings in Python: a thousand instants cost no ten times what ten do."""
    import time

    life = wearer(
        7,
        drinks=evening(8),
        exposures=tuple(Exposure(EVENING_MS + n * HOUR_MS, "sanitiser", 1) for n in range(50)),
    )

    def cost(n: int) -> float:
        t_ms = np.linspace(life.start_ms, life.end_ms - 1, n).astype(np.int64)
        took = []
        for _ in range(20):
            began = time.perf_counter()
            skin.feel(life, t_ms)
            took.append(time.perf_counter() - began)
        return min(took)

    cost(10)
    assert cost(1000) < 10 * cost(10)


def test_samples_that_a_life_ends_with_are_still_its_own() -> None:
    life = wearer(1)
    late = samples_at(life, np.array([life.start_ms - DAY_MS, life.end_ms + DAY_MS]))
    assert np.isfinite(late.tac_g_dl).all()
    assert np.isfinite(late.temp_c).all()


def test_the_page_is_what_the_recordings_and_the_model_say(data: Path) -> None:
    from tests.bench.alcohol_page import DOCS, HEADING, text

    written = (DOCS / "sensors.md").read_text(encoding="utf-8").partition(HEADING)[2]
    assert written == text(data), "docs/sensors.md is stale: run python -m tests.bench.alcohol_page"
