"""When a position is due, and when it may not wait."""

from __future__ import annotations

import math

import policy
from hypothesis import example, given
from hypothesis import strategies as st
from pyproj import Geod

GEOD = Geod(ellps="WGS84")
LATITUDES = st.integers(-850_000_000, 850_000_000)
LONGITUDES = st.integers(-1_800_000_000, 1_800_000_000)


def test_a_position_is_due_each_minute_each_quarter_in_pursuit_and_each_hour_at_rest() -> None:
    assert policy.period_s(60, 15, False, False) == 60
    assert policy.period_s(60, 15, True, False) == 15
    assert policy.period_s(60, 15, False, True) == 3600
    assert policy.period_s(60, 15, False, False, True) == policy.BRISK_S
    assert policy.period_s(10, 15, False, False, True) == 10


def test_pursuit_goes_before_rest_and_never_makes_positions_rarer() -> None:
    assert policy.period_s(60, 15, True, True) == 15
    assert policy.period_s(5, 15, True, False) == 5
    assert policy.period_s(7200, 15, False, True) == 7200


@given(st.integers(0, 2**40), st.integers(1, 86400), st.lists(st.integers(0, 400), max_size=60))
def test_whatever_comes_one_fix_of_each_interval_is_due(start_ds: int, period: int, steps: list[int]) -> None:
    t_ds, last_ds, made = start_ds, None, []
    for step in steps:
        t_ds += step
        if policy.due(t_ds, last_ds, period):
            last_ds = t_ds
            made.append(t_ds // (period * 10))
    assert made == sorted(set(made))
    if steps:
        assert made[-1] == t_ds // (period * 10)


def test_a_clock_that_steps_back_makes_a_position_due() -> None:
    assert policy.due(1000, 90000, 60)


@given(st.lists(st.integers(0, 1000), max_size=10, unique=True).map(sorted), st.integers(0, 1000))
def test_an_interval_begins_with_its_first_second_and_is_over_with_its_last(
    times: list[int], now_s: int
) -> None:
    times = times[: len(times) // 2 * 2]
    inside = any(now_s in range(times[i], times[i + 1]) for i in range(0, len(times), 2))
    assert policy.in_times(times, now_s) == inside


def test_a_tag_that_does_not_know_the_time_may_be_under_curfew() -> None:
    assert policy.in_times([1000, 2000], None)
    assert not policy.in_times([], None)


@given(LATITUDES, LONGITUDES, st.integers(0, 359), st.integers(1, 100_000))
@example(lat_e7=0, lon_e7=1_799_999_999, azimuth=90, radius_m=100_000)
@example(lat_e7=-850_000_000, lon_e7=-1_800_000_000, azimuth=200, radius_m=100_000)
def test_no_place_in_a_circle_is_taken_for_one_outside(
    lat_e7: int, lon_e7: int, azimuth: int, radius_m: int
) -> None:
    lon, lat, _ = GEOD.fwd(lon_e7 / 1e7, lat_e7 / 1e7, azimuth, radius_m - 0.05)
    place = (round(lat * 1e7), round((lon + 180) % 360 * 1e7) - 1_800_000_000)
    assert policy.within(*place, lat_e7, lon_e7, radius_m)
    assert policy.within(lat_e7, lon_e7, *place, radius_m)


@given(st.integers(-600_000_000, 600_000_000), LONGITUDES, st.integers(0, 359), st.integers(100, 20_000))
def test_a_place_a_fiftieth_beyond_a_circle_is_taken_for_one_outside(
    lat_e7: int, lon_e7: int, azimuth: int, radius_m: int
) -> None:
    lon, lat, _ = GEOD.fwd(lon_e7 / 1e7, lat_e7 / 1e7, azimuth, radius_m * 1.02 + 5)
    place = (round(lat * 1e7), round((lon + 180) % 360 * 1e7) - 1_800_000_000)
    assert not policy.within(*place, lat_e7, lon_e7, radius_m)


@given(st.integers(0, 900_000_000))
def test_the_cosine_is_never_too_large(angle_e7: int) -> None:
    exact = math.cos(math.radians(angle_e7 / 1e7)) * 1e6
    assert exact - 920 <= policy.cosine_e6(angle_e7) <= exact + 1e-6


def test_a_fix_is_near_a_zone_when_its_error_reaches_there() -> None:
    circle = [0, 0, 1000, 521_000_000, 49_000_000, 500]
    north_600_m = 521_000_000 + 53_900
    assert not policy.near_places(circle, north_600_m, 49_000_000, 100)
    assert policy.near_places(circle, north_600_m, 49_000_000, 1500)
    assert policy.near_places(circle, north_600_m, 49_000_000, 65535)  # no one knows how far off it is
    assert not policy.near_places([], 521_000_000, 49_000_000, 65535)
