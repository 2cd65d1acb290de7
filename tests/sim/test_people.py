"""The people of the town: the same each time, whole and continuous lives, as varied as they are said to be."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import subprocess
import sys
from collections import Counter
from datetime import datetime
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import shapely

from core.law import check_order
from core.order import order_from_json
from sim.civil import LONDON
from sim.households import BEDS, lodging
from sim.life import Life
from sim.people import person, population
from sim.radio import SENSITIVITY_DBM, Channel
from sim.town import make_town
from tests.sim.seen import LEAST, LEAST_MIN, ground, seen, whereabouts

ROOT = Path(__file__).resolve().parents[2]
START_MS = 1_780_272_000_000  # Monday, 1 June 2026, 00:00 UTC
_M_PER_DEGREE = 111_195.0
_SPANS = (
    "off_ankle",
    "case_open",
    "covered_sensor",
    "flat",
    "charging",
    "offline",
    "jammed",
    "overconfident",
)


@pytest.fixture(scope="module")
def lives() -> list[Life]:
    return list(population(make_town(1), 5, 300, START_MS, 7))


def digest(life: Life) -> str:
    made = hashlib.sha256()
    for field in dataclasses.fields(life):
        value = getattr(life, field.name)
        if field.name == "way":
            for column in dataclasses.fields(value):
                made.update(np.asarray(getattr(value, column.name)).tobytes())
        elif isinstance(value, frozenset):
            made.update(json.dumps(sorted(value)).encode())
        else:
            made.update(repr(value).encode())
    return made.hexdigest()


def test_a_person_is_a_function_of_seed_and_number_whoever_was_made_before(lives: list[Life]) -> None:
    make_town.cache_clear()
    town = make_town(1)
    for number in (299, 0, 42, 17, 11, 9, 3):
        assert digest(person(town, 5, number, START_MS, 7)) == digest(lives[number])
    assert digest(person(town, 6, 42, START_MS, 7)) != digest(lives[42])


_ELSEWHERE = """
from sim.people import person
from sim.town import make_town
from tests.sim.test_people import START_MS, digest

print(*(digest(person(make_town(1), 5, number, START_MS, 7)) for number in (42, 9)))
"""


def test_another_process_makes_the_same_bytes(lives: list[Life]) -> None:
    """Whatever the order of its sets is."""
    for hash_seed in ("1", "2"):
        told = subprocess.run(
            [sys.executable, "-c", _ELSEWHERE],
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        )
        assert told.stdout.split() == [digest(lives[42]), digest(lives[9])]


@pytest.mark.parametrize("days", [1, 3, 20])
def test_a_life_may_be_of_any_length(days: int) -> None:
    for life in population(make_town(3), 4, 40, START_MS + 55_555_123, days):
        assert (life.way.start_ms[0], life.way.end_ms) == (life.start_ms, life.end_ms)
        assert life.end_ms - life.start_ms == days * 86_400_000
        assert not any(
            problem.certain for problem in check_order(order_from_json(life.order), "Europe/London")
        )


def test_every_life_is_whole_and_nobody_is_ever_in_two_places(lives: list[Life]) -> None:
    for life in lives:
        way = life.way
        ends = np.append(way.start_ms[1:], way.end_ms)
        assert way.start_ms[0] == life.start_ms
        assert way.end_ms == life.end_ms
        assert np.all(ends > way.start_ms), life.name
        assert np.array_equal(way.to_lat[:-1], way.lat[1:])
        assert np.array_equal(way.to_lon[:-1], way.lon[1:])
        north = (way.to_lat - way.lat) * _M_PER_DEGREE
        east = (way.to_lon - way.lon) * _M_PER_DEGREE * np.cos(np.radians(way.lat))
        assert np.max(np.hypot(north, east) / (ends - way.start_ms) * 1000) < 60, life.name


def test_spans_are_ascending_apart_and_within_the_life(lives: list[Life]) -> None:
    for life in lives:
        spans = {name: getattr(life, name) for name in _SPANS}
        spans |= {"drinks": life.drinks, "forged": life.forged}
        spans |= {
            f"unit {name}": getattr(unit, name)
            for unit in life.units
            for name in ("no_mains", "off", "moved")
        }
        for name, found in spans.items():
            for span in found:
                assert life.start_ms <= span[0] < span[1] <= life.end_ms, (life.name, name)
            assert all(before[1] <= after[0] for before, after in pairwise(found)), (life.name, name)
        at = [exposure.at_ms for exposure in life.exposures]
        assert at == sorted(at)
        assert all(life.start_ms <= t < life.end_ms for t in at)
        assert life.strata
        assert life.wears
        assert bool(life.units) == ("rf_tag" in life.wears)


def test_every_order_can_be_read_and_hardly_any_breaks_a_law(lives: list[Life]) -> None:
    certain = doubtful = 0
    for life in lives:
        problems = check_order(order_from_json(life.order), "Europe/London")
        certain += any(problem.certain for problem in problems)
        doubtful += bool(problems)
    assert certain == 0
    assert doubtful < 0.05 * len(lives)


@pytest.mark.parametrize("start", ["2026-03-26", "2026-10-22"])
def test_lives_go_through_the_nights_of_the_clock_change(start: str) -> None:
    start_ms = int(np.datetime64(f"{start}T13:37:11", "ms").astype(np.int64))
    for life in population(make_town(1), 5, 25, start_ms, 7):
        assert life.way.start_ms[0] == start_ms
        assert life.way.end_ms == start_ms + 7 * 86_400_000


def test_the_population_is_hard_and_breaks_every_rule_often_enough_to_be_measured() -> None:
    """Half of a score's population: half of what it needs is there, and most people keep to everything."""
    count, happened, keep = 500, Counter[str](), 0
    strata, uncovered, whole = Counter[str](), 0, 0
    sober = {"abstinent": 0, "drank": 0}
    for life in population(make_town(2), 9, count, START_MS, 7):
        found = Counter(
            event.kind
            for event in seen(life)
            if event.minutes >= LEAST_MIN.get(event.kind, 0) and event.most >= LEAST.get(event.kind, 0)
        )
        happened += found
        keep += not found
        strata.update(life.strata)
        ends = np.append(life.way.start_ms[1:], life.way.end_ms) - life.way.start_ms
        uncovered += int(ends[~life.way.covered].sum())
        whole += life.end_ms - life.start_ms
        if any(condition.get("mode") == "abstinence" for condition in life.order["conditions"]):
            sober["abstinent"] += 7
            drank = {datetime.fromtimestamp(drink.start_ms / 1000, LONDON).date() for drink in life.drinks}
            sober["drank"] += len(drank)
    for kind in ("exclusion", "curfew", "inclusion", "drinking", "strap"):
        assert happened[kind] >= 100, happened
    assert happened["restriction"] > 20
    assert happened["attendance"] > 3
    assert keep > count / 2
    assert strata["near_zone"] >= 0.10 * count
    assert 0.035 < uncovered / whole < 0.075
    assert 0.955 < 1 - sober["drank"] / sober["abstinent"] < 0.98
    assert strata["no_fixed_abode"] >= 10
    assert strata["shared_home"] >= 0.08 * count
    assert strata["town"] > count / 2


def test_those_near_a_zone_live_outside_it_and_within_a_hundred_metres(lives: list[Life]) -> None:
    near = [life for life in lives if "near_zone" in life.strata]
    assert len(near) > 30
    for life in near:
        (zone,) = [c["zone"] for c in life.order["conditions"] if c["type"] == "exclusion"]
        home = lodging(make_town(1), 5, int(life.name[1:])).home
        assert 0 < shapely.distance(ground(zone), shapely.points(home.x, home.y)) <= 100


def test_an_approved_premises_has_twenty_six_tags() -> None:
    numbers = range(11, 38 * BEDS, 38)
    assert len(numbers) == BEDS
    homes = {lodging(make_town(1), 5, number).home for number in numbers}
    assert len(homes) == 1


def test_who_shares_a_home_has_the_same_address(lives: list[Life]) -> None:
    first, second = (lodging(make_town(1), 5, number).home for number in (24, 25))
    assert first == second
    assert "shared_home" in lives[24].strata & lives[25].strata


def test_whoever_has_no_fixed_abode_has_no_curfew_and_sleeps_in_several_places(lives: list[Life]) -> None:
    rough = [life for life in lives if "no_fixed_abode" in life.strata]
    assert len(rough) >= 8
    nights = 0
    for life in rough:
        assert not any(c["type"] == "curfew" for c in life.order["conditions"])
        t, x, y = whereabouts(life)
        asleep = (t // 60_000) % 1440 == 120  # three in the morning, British summer time
        nights += len({(round(px, -2), round(py, -2)) for px, py in zip(x[asleep], y[asleep], strict=True)})
    assert nights > 2 * len(rough)


def test_a_home_unit_hears_every_room_of_its_home(lives: list[Life]) -> None:
    """Straight through its walls, without luck or misfortune: 10 dB and more above what it can hear."""
    worst = []
    for life in lives:
        for unit in life.units:
            way = life.way
            north = (way.lat - unit.place.lat) * _M_PER_DEGREE
            east = (way.lon - unit.place.lon) * _M_PER_DEGREE * np.cos(np.radians(unit.place.lat))
            far = np.hypot(north, east)
            rests = (far < 20) & (way.lat == way.to_lat) & (way.lon == way.to_lon) & (way.walls < 3)
            air = Channel()
            strength = (
                air.at_1m_dbm - 10 * air.exponent * np.log10(np.maximum(far, 0.5)) - air.wall_db * way.walls
            )
            worst.append(float(strength[rests].min()))
    assert len(worst) > 40
    assert min(worst) > SENSITIVITY_DBM + 10
