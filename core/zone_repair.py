"""A repair offered for a zone drawn wrongly: what it would be, and how it differs. Never applied here.

The person who drew the zone decides: an exclusion zone that a machine has changed is not the one that was ordered.
"""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import shapely
import shapely.geometry

from core.problems import Problem
from core.zones import ZoneError, metres_per_degree, zone_from_geojson


@dataclass(frozen=True, slots=True)
class RepairProposal:
    """What a zone could be.

    document
        The proposed geometry, GeoJSON, which `core.zones.zone_from_geojson` takes.
    problems
        What is wrong with the zone as it was drawn.
    drawn_m2, proposed_m2
        Areas on the plane of the zone's middle latitude; of the drawn one by the even-odd rule.
    added_m2, removed_m2
        What the repair would forbid (or allow) that was not inside as drawn, and the reverse; 0, 0 where only the way
        of drawing changes.
    parts
        How many separate pieces the proposal has.
    """

    document: Mapping[str, Any]
    problems: tuple[Problem, ...]
    drawn_m2: float
    proposed_m2: float
    added_m2: float
    removed_m2: float
    parts: int

    @property
    def sentence(self) -> str:
        """The proposal as its drawer is asked to accept it."""
        pieces = "one piece" if self.parts == 1 else f"{self.parts} pieces"
        return (
            f"Proposed repair, not applied: {pieces}, {self.proposed_m2:,.0f} m² in place of {self.drawn_m2:,.0f} m² "
            f"drawn; {self.added_m2:,.0f} m² would be added and {self.removed_m2:,.0f} m² left out. Look at it on the "
            "map, then accept it or draw the zone again."
        )


def offer_repair(document: object, path: str = "zone") -> RepairProposal | None:
    """A proposal for a zone that is refused; None if it needs none, or if no honest repair exists.

    Repaired are rings that cross or touch themselves or each other, holes outside, rings left open: each polygon is
    built again from its lines by the even-odd rule, which is how a zone is read, and polygons that overlap become one
    (the rule alone would leave the overlap out: the figures tell how much is added). Not repaired is what would be a
    guess: positions that are not on Earth, a missing size, no area.
    """
    try:
        zone_from_geojson(document, path)
    except ZoneError as error:
        problems = error.problems
    else:
        return None
    polygons = _polygons(document)
    if polygons is None:
        return None
    try:
        pieces = [_even_odd(polygon) for polygon in polygons]
        drawn = pieces[0]
        for piece in pieces[1:]:
            drawn = shapely.symmetric_difference(drawn, piece)
        proposed = shapely.make_valid(shapely.union_all(pieces), method="structure")
        if proposed.geom_type not in ("Polygon", "MultiPolygon"):
            parts = [part for part in shapely.get_parts(proposed) if part.geom_type == "Polygon"]
            proposed = shapely.MultiPolygon(parts)
        geometry: Mapping[str, Any] = json.loads(shapely.to_geojson(proposed))
        zone_from_geojson(geometry, path)
    except (shapely.errors.ShapelyError, ZoneError, ValueError, TypeError):
        return None
    _, south, _, north = proposed.bounds
    kx, ky = metres_per_degree((south + north) / 2)
    square_m = kx * ky
    return RepairProposal(
        geometry,
        problems,
        drawn.area * square_m,
        proposed.area * square_m,
        shapely.difference(proposed, drawn).area * square_m,
        shapely.difference(drawn, proposed).area * square_m,
        len(shapely.get_parts(proposed)),
    )


def _even_odd(rings: list[list[tuple[float, float]]]) -> Any:
    """Everything inside an odd number of rings, each ring read by the even-odd rule too."""
    inside: Any = shapely.MultiPolygon()
    for ring in rings:
        lines = shapely.node(shapely.LineString(ring))
        faces = shapely.get_parts(shapely.polygonize([lines]))
        odd = [face for face in faces if _crossings(ring, shapely.point_on_surface(face)) % 2]
        inside = shapely.symmetric_difference(inside, shapely.union_all(odd))
    return inside


def _crossings(ring: list[tuple[float, float]], point: Any) -> int:
    """How often a ray to the east crosses the ring."""
    count = 0
    for (ax, ay), (bx, by) in itertools.pairwise(ring):
        if (ay > point.y) != (by > point.y):
            count += ax + (point.y - ay) * (bx - ax) / (by - ay) > point.x
    return count


def _polygons(document: object) -> list[list[list[tuple[float, float]]]] | None:
    """The rings of every polygon, closed; None where positions are not numbers or there is no polygon."""
    for _ in range(3):
        if not isinstance(document, Mapping):
            return None
        if document.get("type") == "Feature":
            document = document.get("geometry")
        elif document.get("type") == "FeatureCollection":
            features = document.get("features")
            if not isinstance(features, list | tuple) or len(features) != 1:
                return None
            document = features[0]
    if not isinstance(document, Mapping) or document.get("type") not in ("Polygon", "MultiPolygon"):
        return None
    parts = document.get("coordinates")
    parts = [parts] if document["type"] == "Polygon" else parts
    try:
        rings = [[[(float(p[0]), float(p[1])) for p in ring] for ring in part] for part in parts or ()]
    except (TypeError, ValueError, IndexError, KeyError):
        return None
    if not all(math.isfinite(x) and math.isfinite(y) for part in rings for ring in part for x, y in ring):
        return None
    closed = [
        [ring if ring[0] == ring[-1] else [*ring, ring[0]] for ring in part if len(ring) > 2]
        for part in rings
    ]
    return [part for part in closed if part] or None
