"""True geometry: how deep in a zone, or how far from an address, somebody is, and from when until when.

Nothing of `core` is used here: what the rules are scored against must not share a mistake with them. Zones are put on
a plane about their own middle, with the metres per degree of the WGS84 ellipsoid there, and left to GEOS (shapely).
For zones of a town (up to 5 km) that is within a metre of the geodesic, as the tests ask of PROJ.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import shapely

from core.readings import F64, I64
from sim.way import Bool, Way

STEP_MS = 1000
"""Ways are looked at this closely where they come near an edge: a car moves 14 m meanwhile, and between two looks the
crossing is put where the depth, taken as even, is 0."""
_A_M, _FLATTENING = 6_378_137.0, 1 / 298.257223563


class Stay(NamedTuple):
    """Within an area from ``start_ms`` up to ``end_ms`` without a break, ``depth_m`` from its edge at the deepest."""

    start_ms: int
    end_ms: int
    depth_m: float


@dataclass(frozen=True, slots=True)
class Area:
    """A zone on its plane: metres east and north of its middle.

    ``skeleton`` is what depth is measured from: the edges of a polygon, the line of a corridor, the middle of a
    circle. ``filled`` is the polygon, None for the other two, which reach ``reach_m`` from their skeleton.
    """

    lat: float
    lon: float
    east_m: float
    north_m: float
    skeleton: Any
    filled: Any
    reach_m: float

    def plane(self, lat: F64, lon: F64) -> tuple[F64, F64]:
        """Metres east and north of the middle."""
        return (lon - self.lon) * self.east_m, (lat - self.lat) * self.north_m

    def depth_m(self, lat: F64, lon: F64) -> F64:
        """Metres from the edge, shape ``(n,)``: positive within, negative without."""
        x, y = self.plane(lat, lon)
        away: F64 = shapely.distance(self.skeleton, shapely.points(x, y))
        if self.filled is None:
            return self.reach_m - away
        return np.where(shapely.contains_xy(self.filled, x, y), away, -away)

    def box(self) -> tuple[float, float, float, float]:
        """West, south, east, north of all that lies within, on the plane."""
        west, south, east, north = shapely.bounds(self.skeleton).tolist()
        return west - self.reach_m, south - self.reach_m, east + self.reach_m, north + self.reach_m


def circle(lat: float, lon: float, radius_m: float) -> Area:
    """All places within ``radius_m`` metres."""
    return _on_plane(shapely.Point(lon, lat), radius_m)


def area_of(zone: Mapping[str, Any]) -> Area:
    """A zone of an order: GeoJSON, as docs/orders.md has it. Raises ValueError for what is none."""
    document: Any = zone
    sizes: dict[str, Any] = dict(zone)
    while document.get("type") in ("Feature", "FeatureCollection"):
        sizes |= document.get("properties") or {}
        document = (
            document["features"][0] if document["type"] == "FeatureCollection" else document["geometry"]
        )
        sizes |= document
    kind = document.get("type")
    drawn = shapely.from_geojson(json.dumps({"type": kind, "coordinates": document["coordinates"]}))
    if kind == "Point":
        return _on_plane(drawn, float(sizes["radius_m"]))
    if kind in ("LineString", "MultiLineString"):
        return _on_plane(drawn, float(sizes["width_m"]) / 2)
    if kind in ("Polygon", "MultiPolygon"):
        return _on_plane(drawn, 0.0)
    raise ValueError(f"a zone of type {kind!r} is no place: give a Polygon, a LineString or a Point")


def stays(area: Area, way: Way, from_ms: int, to_ms: int, beyond_m: float = 0.0) -> list[Stay]:
    """Every stay within ``area`` and ``beyond_m`` metres around it, between two instants; ascending.

    A stay goes on from one leg to the next; it is broken only where the way leaves.
    """
    t_ms, depth_m, new_leg = looks(area, way, from_ms, to_ms, beyond_m)
    return _spells(t_ms, depth_m + beyond_m, new_leg)


def absences(areas: list[Area], way: Way, from_ms: int, to_ms: int, inset_m: float = 0.0) -> list[Stay]:
    """Every time within none of ``areas``, less ``inset_m`` metres at their edges.

    ``depth_m`` is how far from the nearest of them it came at the farthest.
    """
    at = [looks(area, way, from_ms, to_ms, 0.0) for area in areas]
    if len(at) > 1:  # the same instants for all of them
        t_ms = np.unique(np.concatenate([one[0] for one in at]))
        at = [_at(area, way, t_ms, from_ms, to_ms) for area in areas]
    t_ms, _, new_leg = at[0]
    nearest = np.maximum.reduce([one[1] for one in at])
    return _spells(t_ms, inset_m - nearest, new_leg)


def looks(area: Area, way: Way, from_ms: int, to_ms: int, beyond_m: float) -> tuple[I64, F64, Bool]:
    """Instants at which a way is looked at, the depth there, and whether each is the first of another leg.

    Both ends of every leg, and every `STEP_MS` of those that come into the box of the area and ``beyond_m`` around it.
    """
    starts, ends = _reach(way, from_ms, to_ms)
    first, last = np.maximum(starts, from_ms), np.minimum(ends, to_ms)
    x0, y0 = area.plane(way.lat, way.lon)
    x1, y1 = area.plane(way.to_lat, way.to_lon)
    west, south, east, north = area.box()
    near = (np.maximum(x0, x1) >= west - beyond_m) & (np.minimum(x0, x1) <= east + beyond_m)
    near &= (np.maximum(y0, y1) >= south - beyond_m) & (np.minimum(y0, y1) <= north + beyond_m)
    near &= (x0 != x1) | (y0 != y1)
    legs = np.flatnonzero(last > first)
    count = np.where(near[legs], (last[legs] - first[legs] - 1) // STEP_MS, 0) + 2
    total = int(count.sum())
    begins = np.cumsum(count) - count
    which = np.repeat(legs, count)
    step = np.arange(total) - np.repeat(begins, count)
    t_ms = np.minimum(first[which] + step * STEP_MS, last[which])
    t_ms[begins + count - 1] = last[legs]
    return _seen(area, way, t_ms, which)


def _at(area: Area, way: Way, t_ms: I64, from_ms: int, to_ms: int) -> tuple[I64, F64, Bool]:
    """As `looks`, at given instants, each leg's first and last among them."""
    starts, ends = _reach(way, from_ms, to_ms)
    legs = np.arange(len(ends))
    first = np.searchsorted(t_ms, np.maximum(starts, from_ms), "left")
    last = np.searchsorted(t_ms, np.minimum(ends, to_ms), "right")
    count = np.maximum(last - first, 0)
    which = np.repeat(legs, count)
    at = np.arange(len(which)) - np.repeat(np.cumsum(count) - count, count) + np.repeat(first, count)
    return _seen(area, way, t_ms[at], which)


def _reach(way: Way, from_ms: int, to_ms: int) -> tuple[I64, I64]:
    """From when until when each leg counts: the first and the last reach to the ends of what is asked for."""
    starts, ends = way.start_ms.copy(), np.append(way.start_ms[1:], way.end_ms)
    starts[0], ends[-1] = min(int(starts[0]), from_ms), max(int(ends[-1]), to_ms)
    return starts, ends


def _seen(area: Area, way: Way, t_ms: I64, which: I64) -> tuple[I64, F64, Bool]:
    ends = np.append(way.start_ms[1:], way.end_ms)
    took = np.maximum(ends[which] - way.start_ms[which], 1)
    share = np.clip((t_ms - way.start_ms[which]) / took, 0.0, 1.0)
    lat = way.lat[which] + (way.to_lat[which] - way.lat[which]) * share
    lon = way.lon[which] + (way.to_lon[which] - way.lon[which]) * share
    return t_ms, area.depth_m(lat, lon), np.append(True, which[1:] != which[:-1])


def _spells(t_ms: I64, depth_m: F64, new_leg: Bool) -> list[Stay]:
    """Times of a depth above 0, each from where it is crossed to where it is crossed again."""
    if len(t_ms) < 2:
        return []
    t0, t1, d0, d1 = t_ms[:-1], t_ms[1:], depth_m[:-1], depth_m[1:]
    piece = ~new_leg[1:] & (t1 > t0) & ((d0 > 0) | (d1 > 0))
    t0, t1, d0, d1 = t0[piece], t1[piece], d0[piece], d1[piece]
    with np.errstate(divide="ignore", invalid="ignore"):
        crossed = t0 + np.round((t1 - t0) * d0 / (d0 - d1))
    begin = np.where(d0 > 0, t0, crossed).astype(np.int64)
    end = np.where(d1 > 0, t1, crossed).astype(np.int64)
    deepest = np.maximum(d0, d1)
    if not len(begin):
        return []
    apart = np.flatnonzero(begin[1:] > end[:-1]) + 1
    starts = np.append(0, apart)
    stops = np.append(apart, len(begin)) - 1
    found = zip(
        begin[starts].tolist(),
        end[stops].tolist(),
        np.maximum.reduceat(deepest, starts).tolist(),
        strict=True,
    )
    return [Stay(a, b, depth) for a, b, depth in found if b > a]


def _on_plane(drawn: Any, reach_m: float) -> Area:
    west, south, east, north = shapely.bounds(drawn).tolist()
    lat, lon = (south + north) / 2, (west + east) / 2
    east_m, north_m = _metres_per_degree(lat)
    flat = shapely.transform(drawn, lambda xy: (xy - (lon, lat)) * (east_m, north_m))
    if reach_m:
        return Area(lat, lon, east_m, north_m, flat, None, reach_m)
    shapely.prepare(flat)
    return Area(lat, lon, east_m, north_m, shapely.boundary(flat), flat, 0.0)


def _metres_per_degree(lat: float) -> tuple[float, float]:
    """East and north, on the ellipsoid: by the reduced latitude's radii of curvature."""
    e2 = _FLATTENING * (2 - _FLATTENING)
    sine = math.sin(math.radians(lat))
    bend = 1 - e2 * sine * sine
    east = _A_M / math.sqrt(bend) * math.cos(math.radians(lat))
    north = _A_M * (1 - e2) / bend**1.5
    return math.radians(east), math.radians(north)
