"""Beacons of one wearer as a home unit hears them."""

from __future__ import annotations

import numpy as np

from sim.itinerary import Itinerary, Place
from sim.life import Life, Span, Unit
from sim.radio import Channel, heard, listening
from sim.way import Surroundings

START_MS = 1_793_600_000_000
HOUR_MS = 3_600_000
HOME, WORK = Place(52.96, -1.17), Place(52.97, -1.17)
OUT_MS, BACK_MS, END_MS = START_MS + 8 * HOUR_MS, START_MS + 16 * HOUR_MS, START_MS + 48 * HOUR_MS
BEACONS = np.arange(START_MS, END_MS, 15_000)


def life(seed: int = 1, walls: int = 1, **more: object) -> Life:
    way = Itinerary(START_MS, HOME).stay(OUT_MS, about=Surroundings.INDOORS, walls=walls)
    way.walk(WORK, speed_kmh=60).stay(BACK_MS, about=Surroundings.INDOORS, walls=2).walk(HOME, speed_kmh=60)
    way.stay(END_MS, about=Surroundings.INDOORS, walls=walls)
    return Life("a", seed, START_MS, END_MS, way.way(), {}, **more)  # type: ignore[arg-type]


def hears(of: Life, unit: Unit) -> tuple[float, float, float]:
    """Shares of beacons heard before the wearer leaves, while he is away, and from an hour after he is back."""
    there = ~np.isnan(heard(of, unit, BEACONS))
    at_home, late = BEACONS < OUT_MS, BEACONS >= BACK_MS + HOUR_MS
    away = (BEACONS >= OUT_MS + HOUR_MS) & (BEACONS < BACK_MS)
    return float(there[at_home].mean()), float(there[away].mean()), float(there[late].mean())


def test_a_wearer_at_home_is_heard_and_one_a_kilometre_off_is_not() -> None:
    for seed in range(20):
        before, away, after = hears(life(seed), Unit("home", HOME))
        assert before > 0.97
        assert away == 0
        assert after > 0.97


def test_it_is_the_same_whoever_asks_for_which_beacons() -> None:
    of, unit = life(), Unit("home", HOME, off=(Span(OUT_MS - HOUR_MS, OUT_MS),))
    every = heard(of, unit, BEACONS)
    some = np.random.default_rng(1).choice(len(BEACONS), 500, replace=False)
    assert np.array_equal(heard(of, unit, BEACONS[np.sort(some)]), every[np.sort(some)], equal_nan=True)
    assert not np.array_equal(heard(life(2), unit, BEACONS), every, equal_nan=True)


def test_a_unit_hears_nothing_when_it_is_off_or_its_battery_is_empty_too() -> None:
    off = Unit("home", HOME, off=(Span(START_MS, START_MS + HOUR_MS),))
    assert np.array_equal(listening(off, BEACONS), BEACONS >= START_MS + HOUR_MS)
    cut = Unit("home", HOME, no_mains=(Span(START_MS + HOUR_MS, END_MS - HOUR_MS),))
    empty = (BEACONS >= START_MS + 25 * HOUR_MS) & (BEACONS < END_MS - HOUR_MS)
    assert np.array_equal(~listening(cut, BEACONS), empty)
    assert np.isnan(heard(life(), cut, BEACONS)[empty]).all()


def test_a_unit_that_is_carried_along_hears_the_wearer_there() -> None:
    unit = Unit("home", HOME, moved=(Span(OUT_MS, BACK_MS),), carried_to=WORK)
    before, away, after = hears(life(walls=1), unit)
    assert min(before, after) > 0.97
    assert away > 0.8


def test_a_tag_that_was_taken_off_at_home_is_heard_there_as_one_that_lies_still() -> None:
    for seed in range(20):
        of = life(seed, off_ankle=(Span(START_MS + HOUR_MS, END_MS),))
        assert min(hears(of, Unit("home", HOME))) > 0.5
        lying = heard(of, Unit("home", HOME), BEACONS)[BEACONS > START_MS + HOUR_MS]
        assert np.nanstd(lying) < 4.5, "nothing but fading is left"


def test_strength_falls_with_distance_as_its_exponent_says() -> None:
    t_ms = np.arange(40_000) * 3_600_000

    def mean(distance_m: float, walls: int) -> float:
        n = len(t_ms)
        return float(np.mean(air.strengths("a/b", t_ms, np.full(n, distance_m), np.full(n, float(walls)))))

    air = Channel(3, at_1m_dbm=-20.0, lost_one_in=10**9)
    assert abs(mean(1.0, 0) - mean(10.0, 0) - 22) < 0.1
    assert abs(mean(1.0, 0) - mean(1.0, 2) - 12) < 0.1
