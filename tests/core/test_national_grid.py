"""The National Grid against PROJ, as an independent hand, and against places that everybody knows."""

from __future__ import annotations

import math

import pyproj
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.national_grid import ACCURACY_M, OffTheGridError, from_grid, grid_place, to_grid

EASTINGS = st.floats(0, 699_999)
NORTHINGS = st.floats(0, 1_299_999)
PROJ = pyproj.Transformer.from_pipeline(
    "+proj=pipeline +step +inv +proj=tmerc +lat_0=49 +lon_0=-2 +k=0.9996012717 +x_0=400000 +y_0=-100000 +ellps=airy "
    "+step +proj=push +v_3 +step +proj=cart +ellps=airy +step +proj=helmert +x=446.448 +y=-125.157 +z=542.06 "
    "+rx=0.1502 +ry=0.247 +rz=0.8421 +s=-20.4894 +convention=position_vector +step +inv +proj=cart +ellps=WGS84 "
    "+step +proj=pop +v_3 +step +proj=unitconvert +xy_in=rad +xy_out=deg"
)
EARTH = pyproj.Geod(ellps="WGS84")


@given(EASTINGS, NORTHINGS)
def test_a_place_of_the_grid_is_where_proj_has_it(easting: float, northing: float) -> None:
    found = from_grid(easting, northing)
    longitude, latitude = PROJ.transform(easting, northing)
    _, _, apart_m = EARTH.inv(longitude, latitude, found.longitude, found.latitude)
    assert apart_m < 0.02


@given(EASTINGS, NORTHINGS)
def test_there_and_back_is_the_same_place(easting: float, northing: float) -> None:
    there, back = (easting, northing), to_grid(*from_grid(easting, northing))
    assert math.dist(there, back) < 0.02


@pytest.mark.parametrize(
    ("easting", "northing", "latitude", "longitude"),
    [
        (530034, 180381, 51.507415, -0.127708),  # Nelson's Column
        (216666, 771288, 56.796850, -5.003508),  # Ben Nevis
    ],
)
def test_places_that_everybody_knows(
    easting: float, northing: float, latitude: float, longitude: float
) -> None:
    found = from_grid(easting, northing)
    _, _, apart_m = EARTH.inv(longitude, latitude, found.longitude, found.latitude)
    assert apart_m < 20 * ACCURACY_M, "the places themselves are known to some metres only"


@pytest.mark.parametrize(
    ("written", "easting", "northing", "size"),
    [
        ("457200,339900", 457200, 339900, 1),
        (" 457200.5 339900 ", 457200.5, 339900, 1),
        ("SK 572 399", 457250, 339950, 100),
        ("sk57203990", 457205, 339905, 10),
        ("TQ 30034 80381", 530034.5, 180381.5, 1),
        ("SV 9 1", 95000, 15000, 10_000),
        ("HP 60 15", 460500, 1215500, 1000),
    ],
)
def test_what_people_write_for_a_place(written: str, easting: float, northing: float, size: float) -> None:
    assert grid_place(written) == (easting, northing, size)


@pytest.mark.parametrize("written", ["", "SK", "SK 572 39", "AA 1 1", "IA 1 1", "52.95,-1.15", "somewhere"])
def test_what_is_no_place_of_the_grid_is_refused_with_how_it_is_written(written: str) -> None:
    with pytest.raises(OffTheGridError, match=r"grid|Grid|square"):
        grid_place(written)


@pytest.mark.parametrize(("easting", "northing"), [(-1, 0), (700_000, 0), (0, 1_300_000), (1e9, 1e9)])
def test_a_place_off_the_grid_is_refused(easting: float, northing: float) -> None:
    with pytest.raises(OffTheGridError, match="not on the British National Grid"):
        from_grid(easting, northing)
