"""Zones as people draw them, checked and compiled once to flat arrays.

A zone comes as GeoJSON (RFC 7946, WGS84): a Polygon or MultiPolygon with holes; a circle, which is a Point with
``radius_m``; or a corridor, which is a LineString or MultiLineString with ``width_m`` (both sides together; its ends
are round). Sizes are metres, beside the coordinates or among the properties of the Feature; alone, as a Feature, or as
a FeatureCollection of one Feature. Edges are straight in longitude and latitude, as RFC 7946 §3.1.1 has it. What is
inside is decided by the even-odd rule over all rings; the direction in which a ring runs means nothing. An invalid zone
is refused with where and why; nothing is repaired (`core.zone_repair` offers).

Distances are measured in metres about the position, ``dx = Δlongitude × kx(latitude)`` and
``dy = Δlatitude × ky(latitude)``, with the metres per degree of the WGS84 ellipsoid (prime-vertical radius × cos
latitude, meridian radius) at the position's own latitude. Trigonometry happens here, once per zone: the two curves are
stored as polynomials through five points of the zone's latitudes, so judging a position takes only + − × ÷ √. Within
0.5 % of the geodesic, or 1 m, for zones to 100 km across, up to 75 degrees of latitude (0.8 % at 80, where a degree of
longitude shrinks by 3 % from one end of such a zone to its middle); near an edge, where it matters, far better at any
size.
A circle's edge lies far from what it is measured from: there the scale is taken half-way between the two.
"""

from __future__ import annotations

import hashlib
import math
import struct
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from core.readings import F64
from core.zone_drawing import MAX_LATITUDE, SIZES, ZoneError, geometry_of, polygons, refuse_invalid
from core.zone_lines import lines

__all__ = ["MAX_LATITUDE", "Zone", "ZoneError", "scale_about", "zone_from_geojson"]

SCALE_TERMS = 5
"""Points through which the curves of metres per degree run: 4e-6 for a zone of 40 degrees, 1e-9 for one of 2."""
_SCALE_MARGIN_DEG = 1.0
_LEAF_EDGES = 8
_DEGREE_M = 110_500.0
"""Less than a degree of latitude measures anywhere on the ellipsoid."""
_WGS84_A_M = 6378137.0
_WGS84_E2 = 0.00669437999014131699614


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
    grow_m
        Metres by which edges are widened to both sides (half the width of a corridor, the radius of a circle, whose
        one edge has no length); 0 for rings.
    """

    edges: F64 = field(compare=False, repr=False)
    boxes: F64 = field(compare=False, repr=False)
    links: npt.NDArray[np.int32] = field(compare=False, repr=False)
    scale: F64 = field(compare=False, repr=False)
    digest: str
    grow_m: float = 0.0


def zone_from_geojson(document: object, path: str = "zone") -> Zone:
    """Check and compile a zone.

    ``path`` is where the zone stands in a larger document; problems are named from there. Raises `ZoneError`.
    """
    kind, drawn, at = geometry_of(document, path)
    if kind in SIZES:
        edges, grow_m = lines(kind, drawn, at)
        digest = hashlib.sha256(edges.astype("<f8").tobytes() + struct.pack("<d", grow_m)).hexdigest()
    else:
        edges, grow_m = _edges(polygons(kind, drawn, at), path), 0.0
        digest = hashlib.sha256(edges.astype("<f8").tobytes()).hexdigest()
    boxes, links = _tree(edges)
    more = grow_m / _DEGREE_M
    scale = scale_about(float(boxes[0, 1]) - more, float(boxes[0, 3]) + more)
    return Zone(edges, boxes, links, scale, digest, grow_m)


def _edges(drawn: list[list[F64]], path: str) -> F64:
    """The edges of all rings, as ``Zone.edges`` describes. Raises `ZoneError` where they make no area."""
    refuse_invalid(drawn, path)
    starts, ends = [], []
    for polygon in drawn:
        for ring in polygon:
            moved = np.any(ring[1:] != ring[:-1], axis=1)  # a vertex given twice makes an edge without length
            starts.append(ring[:-1][moved])
            ends.append(ring[1:][moved])
    return np.ascontiguousarray(np.hstack([np.concatenate(starts), np.concatenate(ends)]))


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
