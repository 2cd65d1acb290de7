"""The parts that people are made of: traits, civil days, areas, batteries, drinks."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from itertools import pairwise
from random import Random

import numpy as np
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

from core.zones import zone_from_geojson
from sim import habits
from sim.areas import MARKET_AREA, Area, circle, drawn_by_hand
from sim.civil import days_of
from sim.lapses import UNRULY, how_many
from sim.market import market_zone
from sim.traits import TRAITS, spread
from tests.sim.seen import ground

HOUR_MS = 3_600_000


@pytest.mark.parametrize("name", TRAITS)
def test_a_thousand_people_hold_the_share_of_a_trait_to_a_few_heads(name: str) -> None:
    for seed in (1, 2):
        for share in (0.05, 0.42):
            have = sum(spread(seed, number, name) < share for number in range(1000))
            assert abs(have - 1000 * share) < 25


def test_two_traits_go_together_no_more_often_than_by_chance() -> None:
    names = list(TRAITS)
    for one, other in pairwise(names):
        both = sum(spread(1, n, one) < 0.4 and spread(1, n, other) < 0.4 for n in range(1000))
        assert 110 < both < 210, (one, other)


@pytest.mark.parametrize("rate", [0.24, 0.55, 0.95])
def test_things_happen_as_often_as_said_and_to_few(rate: float) -> None:
    often = [how_many(3, number, "cuts", 0, rate) for number in range(2000)]
    assert sum(often) / 2000 == pytest.approx(rate, rel=0.08)
    assert sum(n > 0 for n in often) / 2000 <= UNRULY + 0.01


@pytest.mark.parametrize(
    ("day", "hour", "offset"), [("2026-03-29", 12, 1), ("2026-10-25", 12, 0), ("2026-06-01", 0, 1)]
)
def test_a_time_of_day_is_what_the_clock_on_the_wall_shows(day: str, hour: int, offset: int) -> None:
    start = datetime.fromisoformat(f"{day}T00:30:00+00:00")
    days = days_of(int(start.timestamp() * 1000), 2)
    at = datetime.fromtimestamp(days.at(1, hour * 60) / 1000, UTC)
    assert (at.hour + offset) % 24 == hour
    assert days.at(1, 1440) == days.midnight[2]
    assert days.at(2, -60) == days.midnight[2] - HOUR_MS


@given(st.integers(0, 10_000), st.floats(-900, 900), st.floats(-900, 900))
def test_an_area_is_as_deep_as_shapely_measures_it_where_the_order_draws_it(
    seed: int, x: float, y: float
) -> None:
    rng = Random(seed)
    areas = (
        circle(rng.uniform(-300, 300), 0.0, 200),
        drawn_by_hand(rng, 0.0, rng.uniform(-300, 300), rng.uniform(90, 300)),
        Area((((-100.0, 0.0), (50.0, 80.0), (200.0, -60.0)),), 70.0),
        Area(MARKET_AREA),
    )
    for area in areas:
        zone_from_geojson(area.geojson())
        drawn = ground(area.geojson())
        point = shapely.Point(x, y)
        expected = point.distance(drawn.boundary) * (1 if drawn.contains(point) else -1)
        if len(area.lines[0]) > 1 and area.grow_m:  # in the bend of a corridor both its sides are further
            expected = area.grow_m - point.distance(shapely.LineString(area.lines[0]))
            assert abs(expected) < 0.3 or (expected > 0) == drawn.contains(point)
        assert area.depth_at(x, y) == pytest.approx(expected, abs=0.3)


def test_the_market_is_the_zone_of_the_demonstration() -> None:
    assert ground(Area(MARKET_AREA).geojson()).symmetric_difference(ground(market_zone())).area < 100


@given(st.integers(0, 10_000), st.floats(0, 1))
def test_a_battery_is_charged_only_at_home_and_flat_only_until_it_is_charged(
    seed: int, forgets: float
) -> None:
    stays = [(day * 24 * HOUR_MS, (day * 24 + 11) * HOUR_MS) for day in range(10)]
    end = 240 * HOUR_MS
    power = habits.power(Random(seed), 0, end, stays, forgets)
    for begin, until in power.charging:
        assert any(a <= begin and until <= b for a, b in stays)
    charged = {span.start_ms for span in power.charging}
    for begin, until in power.flat:
        assert until in charged or until == end
        assert not any(a < until and begin < b for a, b in power.charging)


def test_an_occasion_is_one_drink_after_the_other() -> None:
    rng, size = Random(4), Counter[str]()
    for _ in range(300):
        who = habits.body(rng)
        units = habits.units_of(rng, who)
        drinks = habits.session(rng, 0, units)
        assert all(before.end_ms <= after.start_ms for before, after in pairwise(drinks))
        assert abs(sum(drink.grams for drink in drinks) - units * habits.UNIT_G) < 0.5 * habits.UNIT_G
        size["large" if units > 3 else "small"] += 1
    assert 5 < size["small"] < 50


@given(st.lists(st.tuples(st.integers(0, 100), st.integers(0, 100))))
def test_spans_within_a_life_are_those_instants_and_no_others(spans: list[tuple[int, int]]) -> None:
    found = habits.within(spans, 10, 80)
    held = {t for a, b in spans for t in range(max(a, 10), min(b, 80))}
    assert {t for a, b in found for t in range(a, b)} == held
    assert all(before.end_ms < after.start_ms for before, after in pairwise(found))
    assert np.all([a < b for a, b in found])
