"""The people of the town: the same each time, whole and continuous lives, as varied as they are said to be."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from itertools import pairwise

import numpy as np
import pytest

from core.law import check_order
from core.order import order_from_json
from sim.life import Life
from sim.people import person, population
from sim.town import make_town

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
