"""The line between two positions, followed through zones, against GEOS."""

from __future__ import annotations

import math

import numpy as np
import pytest
import shapely
from hypothesis import assume, event, given, settings
from hypothesis import strategies as st

from core.geometry import pool
from core.passes import through
from core.zones import metres_per_degree, zone_from_geojson

KX, KY = metres_per_degree(52.0)


@given(st.integers(0, 2**32 - 1), st.floats(20, 300))
@settings(max_examples=60, deadline=None)
def test_a_line_is_found_deep_in_a_zone_exactly_when_geos_says_it_is(seed: int, need_m: float) -> None:
    random = np.random.default_rng(seed)
    turns = sorted(random.uniform(0, 2 * math.pi) for _ in range(12))
    reach = [random.uniform(200, 1500) for _ in turns]
    plane = [(m * math.cos(turn), m * math.sin(turn)) for m, turn in zip(reach, turns, strict=True)]
    shape = shapely.Polygon(plane)
    assume(shape.is_valid and shape.area > 10_000)
    line = np.array([[random.uniform(-3000, 3000) for _ in range(2)] for _ in range(2)])
    length_m = float(np.hypot(*(line[1] - line[0])))
    assume(length_m > 10)
    path, edge = shapely.LineString(line), shapely.boundary(shape)
    step_m = max(1.0, length_m / 256)
    inner = shapely.intersection(path, shape)
    places = [shapely.Point(xy) for xy in shapely.get_coordinates(shapely.segmentize(inner, 0.5))]
    deepest_m = max((edge.distance(place) for place in places), default=0.0)
    # what is deeper by less than a step may be passed over; degrees and metres differ by a little
    assume(not need_m * 0.99 < deepest_m < need_m * 1.01 + step_m)
    drawn = shapely.Polygon([(x / KX, 52 + y / KY) for x, y in plane])
    assume(drawn.is_valid)
    table = pool([zone_from_geojson(shapely.geometry.mapping(drawn))])
    ends = [(x / KX, 52 + y / KY) for x, y in line]
    found_m, inside_m = through(table, 0, *ends[0], *ends[1], length_m, need_m)
    event("through" if deepest_m > need_m else "not")
    assert (found_m > 0) == (deepest_m > need_m)
    if found_m:
        assert found_m == pytest.approx(deepest_m, abs=length_m / 64 + 5)
        assert inside_m == pytest.approx(inner.length, abs=length_m / 64 * 6 + 5)
