"""Circles and corridors against PROJ's geodesics, and every way of drawing one wrongly."""

from __future__ import annotations

import math

import numpy as np
import pytest
import shapely
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from pyproj import Geod, Proj

from core.geometry import pool, signed_distances
from core.zones import Zone, ZoneError, zone_from_geojson

GEOD = Geod(ellps="WGS84")


def circle(longitude: float, latitude: float, radius_m: object) -> dict[str, object]:
    return {"type": "Point", "coordinates": [longitude, latitude], "radius_m": radius_m}


def corridor(line: object, width_m: object) -> dict[str, object]:
    return {"type": "LineString", "coordinates": line, "width_m": width_m}


def distance(zone: Zone, longitude: float, latitude: float) -> float:
    return float(signed_distances(pool([zone]), 0, np.array([longitude]), np.array([latitude]))[0])


@given(
    st.floats(-70, 70),
    st.floats(1, 50_000),
    st.floats(0, 360),
    st.floats(-1, 1),
    st.sampled_from([1, 50, 2000]),
)
@settings(max_examples=60, deadline=None)
def test_a_circle_is_where_the_geodesic_says_near_its_edge_too(
    latitude: float, radius_m: float, bearing: float, aside: float, scale: float
) -> None:
    zone = zone_from_geojson(circle(1.0, latitude, radius_m))
    away_m = max(0.0, radius_m + aside * scale)
    longitude, at_latitude, _ = GEOD.fwd(1.0, latitude, bearing, away_m)
    found, true = distance(zone, longitude, at_latitude), away_m - radius_m
    assert abs(found - true) <= max(1.0, 0.005 * abs(true))


@pytest.mark.parametrize("radius_m", [50.0, 500.0, 5000.0])
def test_points_a_centimetre_from_a_circle_of_a_town_are_told_apart(radius_m: float) -> None:
    zone = zone_from_geojson(circle(-1.5, 53.8, radius_m))
    for bearing in range(0, 360, 15):
        for aside in (-0.01, 0.01):
            longitude, latitude, _ = GEOD.fwd(-1.5, 53.8, bearing, radius_m + aside)
            assert distance(zone, longitude, latitude) == pytest.approx(aside, abs=0.008)


@given(st.floats(50, 58), st.floats(2, 4000), st.randoms(use_true_random=False))
@settings(max_examples=40, deadline=None)
def test_a_corridor_is_as_wide_as_it_says_on_both_sides_and_round_at_its_ends(
    middle: float, width_m: float, random: object
) -> None:
    line = [[0.05 * random.uniform(-1, 1), middle + 0.03 * random.uniform(-1, 1)] for _ in range(5)]  # type: ignore[attr-defined]
    assume(len({tuple(place) for place in line}) > 1)
    zone = zone_from_geojson(corridor(line, width_m))
    dense = shapely.get_coordinates(shapely.segmentize(shapely.LineString(line), 0.001))
    for _ in range(4):
        longitude, latitude = 0.06 * random.uniform(-1, 1), middle + 0.04 * random.uniform(-1, 1)  # type: ignore[attr-defined]
        plane = Proj(proj="aeqd", lon_0=longitude, lat_0=latitude, ellps="WGS84")
        true = shapely.LineString(np.column_stack(plane(dense[:, 0], dense[:, 1]))).distance(
            shapely.Point(0, 0)
        )
        assert abs(distance(zone, longitude, latitude) - (true - width_m / 2)) <= max(1.0, 0.005 * true)


def test_a_corridor_that_comes_back_on_itself_is_inside_everywhere_along_it() -> None:
    # the even-odd rule belongs to rings: a closed line is a road round a place, not the place
    loop = [[0, 51.5], [0.02, 51.5], [0.02, 51.52], [0, 51.52], [0, 51.5], [0.02, 51.5]]
    zone = zone_from_geojson(corridor(loop, 60))
    assert distance(zone, 0.01, 51.5) == pytest.approx(-30)
    assert distance(zone, 0.01, 51.51) > 600
    branches = {"type": "MultiLineString", "coordinates": [loop[:2], loop[2:4]], "width_m": 60}
    assert distance(zone_from_geojson(branches), 0.01, 51.52) == pytest.approx(-30, abs=0.01)


def test_sizes_may_stand_among_the_properties_of_a_feature() -> None:
    plain = zone_from_geojson(circle(0.0, 51.5, 200))
    feature = {
        "type": "Feature",
        "properties": {"radius_m": 200},
        "geometry": {"type": "Point", "coordinates": [0.0, 51.5]},
    }
    assert zone_from_geojson(feature) == plain
    assert zone_from_geojson({"type": "FeatureCollection", "features": [feature]}) == plain
    assert zone_from_geojson(circle(0.0, 51.5, 201)) != plain


@pytest.mark.parametrize(
    ("drawn", "path", "fact"),
    [
        (circle(0, 51, 0), "zone.radius_m", "radius_m is 0"),
        (circle(0, 51, True), "zone.radius_m", "True"),
        (circle(0, 51, math.nan), "zone.radius_m", "nan"),
        (circle(0, 51, "5"), "zone.radius_m", "'5'"),
        (circle(0, 51, 50_001), "zone.radius_m", "50001"),
        (circle(0, 91, 5), "zone.coordinates", "not on Earth"),
        (circle(math.nan, 51, 5), "zone.coordinates", "not finite"),
        (circle(0, 84.9, 50_000), "zone", "polar"),
        (circle(179.99, 51, 5000), "zone", "antimeridian"),
        ({"type": "Point", "radius_m": 5}, "zone.coordinates", "a position is needed"),
        (corridor([[0, 51]], 5), "zone.coordinates", "1 positions"),
        (corridor(None, 5), "zone.coordinates", "0 positions"),
        (corridor([[0, 51], [0, 51]], 5), "zone", "no length"),
        (corridor([[0, 51], [0, 95]], 5), "zone.coordinates[1]", "not on Earth"),
        (corridor([[179, 51], [-179, 51]], 5), "zone.coordinates[0]", "antimeridian"),
        ({"type": "LineString", "coordinates": [[0, 51], [1, 51]]}, "zone.type", "without width_m"),
        ({"type": "MultiLineString", "coordinates": [], "width_m": 5}, "zone.coordinates", "no lines"),
        ({"type": "MultiLineString", "coordinates": 3, "width_m": 5}, "zone.coordinates", "no lines"),
    ],
)
def test_a_circle_or_corridor_drawn_wrongly_is_refused_with_where_and_why(
    drawn: object, path: str, fact: str
) -> None:
    with pytest.raises(ZoneError) as refused:
        zone_from_geojson(drawn)
    problem = refused.value.problems[0]
    assert (problem.path, fact in problem.fact) == (path, True), problem
    assert problem.remedy
