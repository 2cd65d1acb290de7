"""Files of zones as an officer looks at them before anybody is judged by them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyproj
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from core.zones import zone_from_geojson
from gateway.cli import app
from gateway.zone_files import ZoneFileError, look, zones_of

HALF_A_PERCENT = 0.005
"""So far an area on the plane of the middle latitude may be from the geodesic one, for 150 km at most."""


def write(folder: Path, document: object) -> Path:
    file = folder / "zones.geojson"
    file.write_text(json.dumps(document))
    return file


def checked(*arguments: object) -> tuple[int, str]:
    done = CliRunner().invoke(app, ["zone", "check", *map(str, arguments)])
    return done.exit_code, done.output


def square(west: float, south: float, size: float = 0.01) -> dict[str, Any]:
    east, north = west + size, south + size
    return {
        "type": "Polygon",
        "coordinates": [[[west, south], [east, south], [east, north], [west, north], [west, south]]],
    }


@pytest.mark.parametrize("name", ["police_force_areas.geojson", "lad_england_2024_buc.geojson"])
def test_every_real_boundary_is_told_with_its_name_pieces_holes_and_area(data: Path, name: str) -> None:
    features = json.loads((data / "zones" / name).read_text())["features"]
    found = [look(*zone) for zone in zones_of(data / "zones" / name)]
    assert len(found) == len(features)
    earth = pyproj.Geod(ellps="WGS84")
    refused = []
    for one, feature in zip(found, features, strict=True):
        assert one.name in feature["properties"].values()
        if one.problems:
            refused.append(one.name)
            continue
        assert one.figures is not None
        true = shapely.geometry.shape(feature["geometry"])
        parts = shapely.get_parts(true)
        assert one.figures.pieces == len(parts)
        assert one.figures.holes == sum(len(part.interiors) for part in parts)
        assert one.figures.bounds == pytest.approx(true.bounds)
        area_m2 = abs(earth.geometry_area_perimeter(shapely.orient_polygons(true))[0])
        assert one.figures.area_m2 == pytest.approx(area_m2, rel=HALF_A_PERCENT)
    assert refused == (["Hampshire"] if name.startswith("police") else [])


def test_the_invalid_one_is_refused_with_the_place_and_a_repair_that_changes_nothing_on_the_ground(
    data: Path, tmp_path: Path
) -> None:
    repaired = tmp_path / "repaired.geojson"
    code, said = checked(data / "zones" / "police_force_areas.geojson", "--repaired", repaired)
    assert code == 1
    assert "43 zones: 42 can be monitored, 1 are refused" in said
    assert "Hampshire: REFUSED" in said
    assert "ring self-intersection at longitude -0.759334, latitude 51.103259" in said
    assert "Proposed repair, not applied" in said
    code, said = checked(repaired)
    assert (code, "43 zones: 43 can be monitored" in said) == (0, True)
    code, said = checked(data / "zones" / "police_force_areas.geojson", "--repaired", repaired)
    assert code == 2, "a file that is there is not written over"


@pytest.mark.parametrize(
    ("document", "telling"),
    [
        pytest.param(square(51.5, -0.13), "they may have been exchanged", id="latitude-first"),
        pytest.param(
            square(-0.13, 51.5, 1e-4), "about as much as a position is off", id="smaller-than-an-error"
        ),
        pytest.param(square(-2.0, 51.5, 1.0), "as much as a county", id="as-large-as-a-county"),
        pytest.param(square(2.6, 48.8), "See on a map", id="abroad"),
        pytest.param(square(530_000, 180_000, 100), "British National Grid", id="eastings-and-northings"),
    ],
)
def test_what_is_odd_about_a_zone_is_told(tmp_path: Path, document: dict[str, Any], telling: str) -> None:
    _, said = checked(write(tmp_path, document))
    assert telling in said
    assert "TO BE LOOKED AT" in said


def test_a_zone_of_ordinary_size_at_an_ordinary_place_is_told_without_a_doubt(tmp_path: Path) -> None:
    code, said = checked(write(tmp_path, square(-0.13, 51.5)))
    assert (code, "TO BE LOOKED AT" in said) == (0, False)
    assert "can be monitored. 1 piece, 772," in said


@pytest.mark.parametrize(
    ("drawn", "area_m2"),
    [
        ({"type": "Point", "coordinates": [-1.5, 53.8], "radius_m": 100}, 31_416),
        (
            {"type": "LineString", "coordinates": [[-1.5, 53.8], [-1.5, 53.81]], "width_m": 20},
            20 * 1112.9 + 314,
        ),
    ],
    ids=["circle", "corridor"],
)
def test_a_circle_and_a_corridor_have_the_area_of_their_size(drawn: dict[str, Any], area_m2: float) -> None:
    found = look("zone", "it", drawn)
    assert found.figures is not None
    assert found.figures.area_m2 == pytest.approx(area_m2, rel=0.002)


@pytest.mark.parametrize(
    ("content", "telling"),
    [
        (b"", "line 1, column 1"),
        (b'{"type": "Polygon",\n "coordinates": [[}', "line 2, column 19"),
        (b"\xff\xfe{", "not UTF-8 at byte 0"),
        (b"[" * 100_000, "GeoJSON"),
        (b'{"type": "FeatureCollection", "features": []}', "no zone in it"),
        (b"[]", "a GeoJSON object is needed"),
        (b'{"type": "FeatureCollection", "features": [null, 7, {"type": "Feature"}]}', "features[1]"),
    ],
)
def test_a_file_that_is_none_of_zones_is_refused_where_it_is_wrong(
    tmp_path: Path, content: bytes, telling: str
) -> None:
    file = tmp_path / "zones.geojson"
    file.write_bytes(content)
    code, said = checked(file)
    assert code in (1, 2)
    assert telling in said


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ZoneFileError, match="can not be read: No such file"):
        zones_of(tmp_path / "none.geojson")


def test_a_program_is_told_every_problem_and_a_person_the_first_ten(tmp_path: Path) -> None:
    far = {"type": "Polygon", "coordinates": [[[200 + i, 0] for i in range(40)]]}
    file = write(tmp_path, far)
    _, said = checked(file)
    assert "and 30 more like these" in said
    code, said = checked(file, "--json")
    document = json.loads(said)
    assert (code, document["zones"], document["refused"]) == (1, 1, 1)
    assert len(document["found"][0]["problems"]) == 40


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                ["type", "coordinates", "geometry", "features", "properties", "radius_m", "width_m"]
            ),
            inner
            | st.sampled_from(
                ["Polygon", "Point", "LineString", "Feature", "FeatureCollection", "MultiPolygon"]
            ),
            max_size=4,
        )
    ),
    max_leaves=20,
)


@given(document=anything)
def test_whatever_a_file_holds_it_is_either_taken_as_a_zone_is_or_refused_with_a_problem(
    document: object,
) -> None:
    found = look("zone", "it", document)
    if found.problems:
        assert found.figures is None
    else:
        assert zone_from_geojson(document).edges.size
