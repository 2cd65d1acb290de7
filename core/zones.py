"""Zones as people draw them, checked and compiled once to flat arrays.

A zone comes as GeoJSON (RFC 7946, WGS84): a Polygon or MultiPolygon with holes, a Feature, or a FeatureCollection of
one Feature. Edges are straight in longitude and latitude, as RFC 7946 §3.1.1 has it. What is inside is decided by the
even-odd rule over all rings; the direction in which a ring runs means nothing. An invalid zone is refused with where
and why; nothing is repaired.

Distances are measured in metres about the position, ``dx = Δlongitude × kx(latitude)`` and
``dy = Δlatitude × ky(latitude)``, with the metres per degree of the WGS84 ellipsoid (prime-vertical radius × cos
latitude, meridian radius) at the position's own latitude. Trigonometry happens here, once per zone: the two curves are
stored as polynomials through five points of the zone's latitudes, so judging a position takes only + − × ÷ √. Within
0.5 % of the geodesic, or 1 m, for zones to 100 km across; near an edge, where it matters, far better at any size.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import shapely

from core.problems import Problem, Problems
from core.readings import F64

MAX_LATITUDE = 85.0
"""Nearer a pole, degrees of longitude shrink to nothing; no zone is drawn there."""
MAX_VERTICES = 200_000
"""All of England's district boundaries together have fewer; more is a mistake or an attack."""
SCALE_TERMS = 5
"""Points through which the curves of metres per degree run: 4e-6 for a zone of 40 degrees, 1e-9 for one of 2."""
_SCALE_MARGIN_DEG = 1.0
_LEAF_EDGES = 8
_WGS84_A_M = 6378137.0
_WGS84_E2 = 0.00669437999014131699614


class ZoneError(Problems):
    """A zone refused, with every problem, where it is and what would be right."""


@dataclass(frozen=True, slots=True)
class Zone:
    """A compiled zone. Two zones are equal when they were drawn alike (``digest``).

    edges
        float64 ``(n, 4)``: longitude, latitude of both ends of every edge of every ring, in degrees.
    boxes, links
        A tree of bounding boxes over runs of edges, in preorder. ``boxes`` float64 ``(m, 4)``: west, south, east,
        north.
        ``links`` int32 ``(m, 3)``: the node that follows if this one is skipped, then first and last+1 edge of a leaf
        (0, 0 where it is not a leaf).
    scale
        float64 ``(3, 5)``: latitudes of the interpolation points; coefficients (Newton's form) of metres per degree of
        longitude; of latitude.
    """

    edges: F64 = field(compare=False, repr=False)
    boxes: F64 = field(compare=False, repr=False)
    links: npt.NDArray[np.int32] = field(compare=False, repr=False)
    scale: F64 = field(compare=False, repr=False)
    digest: str


def zone_from_geojson(document: object, path: str = "zone") -> Zone:
    """Check and compile a zone.

    ``path`` is where the zone stands in a larger document; problems are named from there. Raises `ZoneError`.
    """
    polygons = _polygons(document, path)
    _refuse_invalid(polygons, path)
    starts, ends = [], []
    for polygon in polygons:
        for ring in polygon:
            moved = np.any(ring[1:] != ring[:-1], axis=1)  # a vertex given twice makes an edge without length
            starts.append(ring[:-1][moved])
            ends.append(ring[1:][moved])
    edges = np.ascontiguousarray(np.hstack([np.concatenate(starts), np.concatenate(ends)]))
    boxes, links = _tree(edges)
    digest = hashlib.sha256(edges.astype("<f8").tobytes()).hexdigest()
    return Zone(edges, boxes, links, scale_about(float(boxes[0, 1]), float(boxes[0, 3])), digest)


def scale_about(south: float, north: float) -> F64:
    """Metres per degree between two latitudes and a degree beyond, as ``Zone.scale`` describes."""
    low, high = south - _SCALE_MARGIN_DEG, north + _SCALE_MARGIN_DEG
    nodes = [
        (low + high) / 2 - (high - low) / 2 * math.cos(math.pi * (2 * i + 1) / (2 * SCALE_TERMS))
        for i in range(SCALE_TERMS)
    ]
    scale = np.zeros((3, SCALE_TERMS))
    scale[0] = nodes
    metres = [metres_per_degree(latitude) for latitude in nodes]
    for row in (1, 2):
        # divided differences, by plain arithmetic so that every machine makes the same numbers
        values = [pair[row - 1] for pair in metres]
        for order in range(1, SCALE_TERMS):
            for i in range(SCALE_TERMS - 1, order - 1, -1):
                values[i] = (values[i] - values[i - 1]) / (nodes[i] - nodes[i - order])
        scale[row] = values
    return scale


def metres_per_degree(latitude: float) -> tuple[float, float]:
    """Metres per degree of longitude and of latitude on the WGS84 ellipsoid at ``latitude`` degrees."""
    sine, cosine = math.sin(math.radians(latitude)), math.cos(math.radians(latitude))
    w2 = 1 - _WGS84_E2 * sine * sine
    prime_vertical = _WGS84_A_M / math.sqrt(w2)
    meridian = _WGS84_A_M * (1 - _WGS84_E2) / (w2 * math.sqrt(w2))
    return math.radians(prime_vertical * cosine), math.radians(meridian)


def _tree(edges: F64) -> tuple[F64, npt.NDArray[np.int32]]:
    """Bounding boxes over edges in ring order, halved until few are left; preorder with skip links."""
    boxes: list[tuple[float, float, float, float]] = []
    links: list[list[int]] = []
    low = np.minimum(edges[:, :2], edges[:, 2:])
    high = np.maximum(edges[:, :2], edges[:, 2:])

    def build(first: int, last: int) -> None:
        node = len(boxes)
        west, south = low[first:last].min(axis=0)
        east, north = high[first:last].max(axis=0)
        boxes.append((west, south, east, north))
        links.append([0, 0, 0])
        if last - first <= _LEAF_EDGES:
            links[node][1:] = [first, last]
        else:
            middle = (first + last) // 2
            build(first, middle)
            build(middle, last)
        links[node][0] = len(boxes)

    build(0, len(edges))
    return np.array(boxes), np.array(links, np.int32)


def _polygons(document: object, path: str) -> list[list[F64]]:
    """The rings of every polygon, each float64 ``(n, 2)``; refuses whatever is not the shape of a zone."""
    kind, document, path = _geometry(document, path)
    parts = document.get("coordinates")
    path = f"{path}.coordinates"
    if kind == "Polygon":
        parts, paths = [parts], [path]
    else:
        paths = [f"{path}[{i}]" for i in range(len(parts) if isinstance(parts, list | tuple) else 0)]
    if not isinstance(parts, list | tuple) or not parts:
        raise ZoneError([Problem(path, "there are no polygons", "Draw at least one ring of four positions.")])
    problems: list[Problem] = []
    polygons: list[list[F64]] = []
    for part, part_path in zip(parts, paths, strict=True):
        if not isinstance(part, list | tuple) or not part:
            problems.append(Problem(part_path, "the polygon has no rings", "Draw its outer ring."))
            continue
        polygons.append([_ring(ring, f"{part_path}[{i}]", problems) for i, ring in enumerate(part)])
    if problems:
        raise ZoneError(problems)
    vertices = sum(len(ring) for polygon in polygons for ring in polygon)
    if vertices > MAX_VERTICES:
        remedy = f"Simplify it to at most {MAX_VERTICES:,}."
        raise ZoneError([Problem(path, f"the zone has {vertices:,} vertices", remedy)])
    return polygons


def _geometry(document: object, path: str) -> tuple[str, Mapping[str, Any], str]:
    """Down through FeatureCollection and Feature to the geometry."""
    remedy = "Give a Polygon or MultiPolygon, alone, as a Feature, or as a FeatureCollection of one Feature."
    for _ in range(3):
        if not isinstance(document, Mapping):
            raise ZoneError([Problem(path, f"a GeoJSON object is needed, not {_kind(document)}", remedy)])
        kind = document.get("type")
        if kind in ("Polygon", "MultiPolygon"):
            return str(kind), document, path
        if kind == "Feature":
            document, path = document.get("geometry"), f"{path}.geometry"
        elif kind == "FeatureCollection":
            features = document.get("features")
            if not isinstance(features, list | tuple) or len(features) != 1:
                count = len(features) if isinstance(features, list | tuple) else "no"
                raise ZoneError([Problem(f"{path}.features", f"it holds {count} features", remedy)])
            document, path = features[0], f"{path}.features[0]"
        else:
            raise ZoneError([Problem(f"{path}.type", f"{kind!r} is not a zone", remedy)])
    raise ZoneError([Problem(path, "features are nested in features", remedy)])


def _ring(ring: object, path: str, problems: list[Problem]) -> F64:
    """One ring as an array; what is wrong goes to ``problems``."""
    found = len(problems)
    if not isinstance(ring, list | tuple) or len(ring) < 4:
        count = len(ring) if isinstance(ring, list | tuple) else 0
        remedy = "A ring has at least four, the last equal to the first."
        problems.append(Problem(path, f"the ring has {count} positions", remedy))
        return np.zeros((0, 2))
    for i, position in enumerate(ring):
        fault = _fault(position)
        if fault:
            problems.append(Problem(f"{path}[{i}]", *fault))
    if len(problems) > found:
        return np.zeros((0, 2))
    points = np.array([position[:2] for position in ring], np.float64)
    if not np.array_equal(points[0], points[-1]):
        first, last = _place(points[0]), _place(points[-1])
        remedy = "Repeat the first position at the end."
        problems.append(
            Problem(path, f"the ring is not closed: it begins at {first} and ends at {last}", remedy)
        )
    jump = int(np.argmax(np.abs(np.diff(points[:, 0]))))
    if abs(points[jump + 1, 0] - points[jump, 0]) > 180:
        fact = f"the edge from {_place(points[jump])} to {_place(points[jump + 1])} crosses the antimeridian"
        problems.append(Problem(f"{path}[{jump}]", fact, "Zones across longitude 180 are not monitored."))
    return points


def _fault(position: object) -> tuple[str, str] | None:
    """What is wrong with one position, and the remedy; None if nothing."""
    if (
        not isinstance(position, list | tuple)
        or len(position) not in (2, 3)
        or not all(isinstance(number, int | float) and not isinstance(number, bool) for number in position)
    ):
        return "a position is needed", "Give [longitude, latitude] in degrees."
    longitude, latitude = position[0], position[1]
    if not (math.isfinite(longitude) and math.isfinite(latitude)):
        return f"[{longitude}, {latitude}] is not finite", "Give numbers."
    if abs(longitude) > 180 or abs(latitude) > 90:
        return (
            f"longitude {longitude}, latitude {latitude} is not on Earth",
            "Give WGS84 degrees, longitude first (not a national grid).",
        )
    if abs(latitude) > MAX_LATITUDE:
        return f"latitude {latitude} is polar", f"Zones beyond latitude {MAX_LATITUDE:.0f} are not monitored."
    return None


def _refuse_invalid(polygons: list[list[F64]], path: str) -> None:
    """Refuse rings that cross themselves or each other, holes outside, and zones without area."""
    shape = shapely.MultiPolygon([(rings[0], rings[1:]) for rings in polygons])
    if shapely.convex_hull(shape).area == 0:
        raise ZoneError([Problem(path, "the zone has no area", "Draw a ring around the place.")])
    if not shape.is_valid:
        reason, _, where = shapely.is_valid_reason(shape).partition("[")
        longitude, _, latitude = where.rstrip("]").partition(" ")
        place = _place((float(longitude), float(latitude))) if latitude else "an unknown place"
        remedy = "Redraw it there so that no boundary crosses or touches itself."
        raise ZoneError([Problem(path, f"{reason.strip().lower()} at {place}", remedy)])


def _place(point: tuple[float, float] | F64) -> str:
    return f"longitude {point[0]:.6f}, latitude {point[1]:.6f}"


def _kind(value: object) -> str:
    return "nothing" if value is None else type(value).__name__
