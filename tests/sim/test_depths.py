"""True geometry, against PROJ's geodesics and against looking at every second."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pyproj
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sim.depths import Area, absences, area_of, circle, stays
from sim.itinerary import Itinerary, Place

GEOD = pyproj.Geod(ellps="WGS84")
HOME = Place(52.95, -1.15)
START_MS = 1_780_000_000_000
MINUTE_MS = 60_000


def ring(*corners: tuple[float, float], about: Place = HOME) -> list[list[float]]:
    """A closed ring through corners, metres east and north."""
    places = [about.offset(east, north) for east, north in (*corners, corners[0])]
    return [[place.lon, place.lat] for place in places]


SQUARE = {"type": "Polygon", "coordinates": [ring((0, 0), (400, 0), (400, 400), (0, 400))]}


@given(
    st.floats(-180, 180), st.floats(0, 2500), st.floats(-70, 70), st.floats(20, 2000), st.floats(-179, 179)
)
def test_depth_in_a_circle_is_that_of_the_geodesic_to_a_metre(
    bearing: float, away_m: float, lat: float, radius_m: float, lon: float
) -> None:
    there_lon, there_lat, _ = GEOD.fwd(lon, lat, bearing, away_m)
    depth_m = circle(lat, lon, radius_m).depth_m(np.array([there_lat]), np.array([there_lon]))[0]
    # beyond the pole side of a parallel the scale changes with the square of the way
    allowed_m = 0.5 + 2 * away_m**2 / 6.4e6 * abs(math.tan(math.radians(lat)))
    if abs(lon) + away_m / 30_000 < 179.9:
        assert depth_m == pytest.approx(radius_m - away_m, abs=allowed_m)


def test_depth_in_a_square_is_measured_from_its_nearest_edge_and_in_a_corridor_from_its_line() -> None:
    square = area_of(SQUARE)
    corridor = area_of({"type": "LineString", "coordinates": ring((0, 0), (400, 0))[:2], "width_m": 60})
    spots = [HOME.offset(east, north) for east, north in ((200, 200), (200, 30), (200, -20), (-30, 40))]
    lat, lon = np.array([spot.lat for spot in spots]), np.array([spot.lon for spot in spots])
    assert square.depth_m(lat, lon) == pytest.approx([200, 30, -20, -30], abs=0.5)
    assert corridor.depth_m(lat, lon) == pytest.approx([-170, 0, 10, -20], abs=0.5)


def test_a_hole_is_not_inside_and_features_are_read_as_geometries() -> None:
    holed = {
        "type": "Feature",
        "properties": {},
        "geometry": {
            "type": "Polygon",
            "coordinates": [*SQUARE["coordinates"], ring((100, 100), (300, 100), (300, 300), (100, 300))],
        },
    }
    spots = [HOME.offset(200, 200), HOME.offset(50, 200)]
    depth_m = area_of({"type": "FeatureCollection", "features": [holed]}).depth_m(
        np.array([spot.lat for spot in spots]), np.array([spot.lon for spot in spots])
    )
    assert depth_m == pytest.approx([-100, 50], abs=0.5)
    round_one = {"type": "Feature", "properties": {"radius_m": 70}, "geometry": _point(HOME)}
    assert area_of(round_one).reach_m == 70
    with pytest.raises(ValueError, match="no place"):
        area_of({"type": "MultiPoint", "coordinates": [[0, 0]]})


def _point(place: Place) -> dict[str, object]:
    return {"type": "Point", "coordinates": [place.lon, place.lat]}


def test_a_walk_into_a_square_and_out_is_one_stay_with_the_edges_at_their_instants() -> None:
    way = Itinerary(START_MS, HOME.offset(-100, 200))
    way.walk(HOME.offset(60, 200), speed_kmh=3.6).stay(START_MS + 20 * MINUTE_MS)
    back_ms = way.end_ms
    way.walk(HOME.offset(-100, 200), speed_kmh=3.6)
    (stay,) = stays(area_of(SQUARE), way.way(), START_MS, way.end_ms)
    assert stay.start_ms == pytest.approx(START_MS + 100_000, abs=500)
    assert stay.end_ms == pytest.approx(back_ms + 60_000, abs=500)
    assert stay.depth_m == pytest.approx(60, abs=0.5)
    # the time asked for cuts it, and what lies around is as wide as said
    (later,) = stays(area_of(SQUARE), way.way(), START_MS + 10 * MINUTE_MS, START_MS + 12 * MINUTE_MS)
    assert (later.start_ms, later.end_ms) == (START_MS + 10 * MINUTE_MS, START_MS + 12 * MINUTE_MS)
    (around,) = stays(area_of(SQUARE), way.way(), START_MS, way.end_ms, beyond_m=50)
    assert around.start_ms == pytest.approx(START_MS + 50_000, abs=500)
    assert around.depth_m == pytest.approx(110, abs=0.5)


def test_time_outside_is_what_is_not_inside_and_two_areas_are_as_good_as_one() -> None:
    way = Itinerary(START_MS, HOME)
    way.stay(START_MS + 10 * MINUTE_MS).walk(HOME.offset(1000, 0), speed_kmh=3.6)
    way.stay(way.end_ms + 30 * MINUTE_MS).walk(HOME.offset(2000, 0), speed_kmh=3.6)
    end_ms = way.end_ms
    here, there = circle(HOME.lat, HOME.lon, 50), _circle(HOME.offset(1000, 0), 100)
    (away,) = absences([here], way.way(), START_MS, end_ms)
    assert away.start_ms == pytest.approx(START_MS + 10 * MINUTE_MS + 50_000, abs=1000)
    assert away.end_ms == end_ms and away.depth_m == pytest.approx(1950, abs=10)
    first, second = absences([here, there], way.way(), START_MS, end_ms)
    assert first.end_ms - first.start_ms == pytest.approx(850_000, abs=2000)
    assert second.start_ms == pytest.approx(
        START_MS + 10 * MINUTE_MS + 1_000_000 + 30 * MINUTE_MS + 100_000, abs=5000
    )


def _circle(place: Place, radius_m: float) -> Area:
    return circle(place.lat, place.lon, radius_m)


steps = st.lists(
    st.tuples(st.floats(-600, 600), st.floats(-600, 600), st.floats(1, 60), st.integers(0, 10)),
    min_size=1,
    max_size=8,
)


@settings(deadline=None)
@given(steps, st.integers(0, 2000), st.integers(1, 4000))
def test_stays_and_absences_are_what_looking_at_every_second_shows(
    moves: list[tuple[float, float, float, int]], skip_s: int, length_s: int
) -> None:
    itinerary = Itinerary(START_MS, HOME.offset(-50, 20))
    for east, north, speed_kmh, rest_min in moves:
        itinerary.walk(HOME.offset(east, north), speed_kmh=speed_kmh)
        itinerary.stay(itinerary.end_ms + rest_min * MINUTE_MS)
    way, area = itinerary.way(), area_of(SQUARE)
    from_ms, to_ms = START_MS + skip_s * 1000, START_MS + (skip_s + length_s) * 1000
    t_ms = np.arange(from_ms, to_ms, 1000)
    depth = area.depth_m(*way.at(t_ms))
    clear = np.abs(depth) > 20  # nobody here goes faster than 17 m/s
    for found, inside in (
        (stays(area, way, from_ms, to_ms), depth > 0),
        (absences([area], way, from_ms, to_ms), depth <= 0),
    ):
        told = np.zeros(len(t_ms), np.bool_)
        for stay in found:
            told |= (t_ms >= stay.start_ms) & (t_ms < stay.end_ms)
        assert (told == inside)[clear].all()
        assert all(a.end_ms < b.start_ms for a, b in itertools.pairwise(found))
