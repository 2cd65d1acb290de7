"""A repair is offered with its figures, and never applied."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import shapely

from core.zone_repair import offer_repair
from core.zones import ZoneError, zone_from_geojson
from tests.core.wearers import square


def polygon(*rings: Any) -> dict[str, Any]:
    return {"type": "Polygon", "coordinates": list(rings)}


BOW = [[0.0, 51.5], [0.02, 51.51], [0.02, 51.5], [0.0, 51.51], [0.0, 51.5]]


def test_a_ring_that_crosses_itself_is_offered_as_the_two_pieces_it_encloses() -> None:
    drawn = polygon(BOW)
    proposal = offer_repair(drawn)
    assert proposal is not None
    assert proposal.parts == 2
    assert proposal.proposed_m2 == pytest.approx(proposal.drawn_m2) == pytest.approx(772_000, rel=0.01)
    assert (proposal.added_m2, proposal.removed_m2) == (0, 0)
    assert "self-intersection" in proposal.problems[0].fact
    assert "not applied: 2 pieces" in proposal.sentence
    zone_from_geojson(proposal.document)


def test_offering_a_repair_applies_nothing() -> None:
    drawn = polygon(BOW)
    before = json.dumps(drawn)
    offer_repair(drawn)
    assert json.dumps(drawn) == before
    with pytest.raises(ZoneError):
        zone_from_geojson(drawn)


def test_hampshire_can_be_repaired_without_a_square_metre_of_difference(data: Path) -> None:
    features = json.loads((data / "zones" / "police_force_areas.geojson").read_text())["features"]
    hampshire = next(f for f in features if f["properties"]["PFA20NM"] == "Hampshire")
    proposal = offer_repair(hampshire)
    assert proposal is not None
    assert proposal.added_m2 < 1
    assert proposal.removed_m2 < 1
    true = shapely.make_valid(shapely.geometry.shape(hampshire["geometry"]))
    assert shapely.geometry.shape(proposal.document).area == pytest.approx(true.area, rel=1e-6)


def test_the_overlap_of_two_pieces_is_told_as_added() -> None:
    one, other = (square(west, 51.5, west + 0.02, 51.51)["coordinates"] for west in (0.0, 0.01))
    proposal = offer_repair({"type": "MultiPolygon", "coordinates": [one, other]})
    assert proposal is not None
    assert proposal.parts == 1
    assert proposal.added_m2 == pytest.approx(772_000, rel=0.01)
    assert proposal.removed_m2 == 0


def test_an_open_ring_is_offered_closed() -> None:
    ring = square(0.0, 51.5, 0.02, 51.51)["coordinates"][0]
    proposal = offer_repair(polygon(ring[:-1]))
    assert proposal is not None
    assert zone_from_geojson(proposal.document)


@pytest.mark.parametrize(
    "drawn",
    [
        square(0.0, 51.5, 0.02, 51.51),  # nothing to repair
        None,
        polygon([[0, 91], [1, 51], [1, 52], [0, 91]]),
        polygon([["a", "b"]] * 5),
        polygon([[0, 51], [1, 51], [2, 51], [0, 51]]),
        {"type": "Point", "coordinates": [0, 51]},
        polygon([[0, float("nan")], [1, 51], [1, 52], [0, 51]]),
        {"type": "MultiPolygon", "coordinates": []},
        {"type": "Feature", "geometry": None},
    ],
)
def test_what_would_be_a_guess_is_not_offered(drawn: object) -> None:
    assert offer_repair(drawn) is None
