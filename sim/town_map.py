"""The town as GeoJSON: a base map that needs no internet."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from shapely.geometry import LineString, Point

from sim.streets import Kind, Streets
from sim.way import Surroundings

if TYPE_CHECKING:
    from sim.town import Spot, Town

_RIVER_M, _TERRACE_M, _CORNER_M = 16.0, 9.0, 12.0
_HALF_M = {Surroundings.INDOORS: (11.0, 7.0), Surroundings.DEEP: (30.0, 18.0)}

Feature = dict[str, Any]


def features(town: Town) -> list[Feature]:
    """Everything to be drawn, what lies below first."""
    return [
        *_land(town),
        *_streets(town.streets),
        *_rail(town),
        *_terraces(town),
        *_buses(town),
        *(feature for spot in town.places for feature in _place(spot)),
    ]


def write(town: Town, path: Path) -> int:
    """Write the map; returns the number of features."""
    found = town.geojson()
    path.write_text(json.dumps(found, ensure_ascii=False, separators=(",", ":")) + "\n", "utf-8")
    return len(found["features"])  # type: ignore[arg-type]


def _feature(kind: str, name: str, shape: str, coordinates: object) -> Feature:
    geometry = {"type": shape, "coordinates": coordinates}
    return {"type": "Feature", "properties": {"kind": kind, "name": name}, "geometry": geometry}


def _degrees(points: Iterable[tuple[float, float]]) -> list[list[float]]:
    from sim.town import latitude, longitude

    at = np.array(list(points), np.float64)
    return np.column_stack([longitude(at[:, 0]), latitude(at[:, 1])]).round(6).tolist()  # type: ignore[no-any-return]


def _land(town: Town) -> Iterator[Feature]:
    for name, x, y, radius in town.plan.parks:
        yield _feature("park", name, "Polygon", [_degrees(Point(x, y).buffer(radius, 12).exterior.coords)])
    water = LineString(town.plan.river).buffer(_RIVER_M, 4)
    yield _feature("water", "River Mere", "Polygon", [_degrees(water.exterior.coords)])
    for number, (x, y, radius) in enumerate(town.plan.not_spots, 1):
        ring = _degrees(Point(x, y).buffer(radius, 12).exterior.coords)
        yield _feature("not_spot", f"No mobile coverage {number}", "Polygon", [ring])


def _streets(streets: Streets) -> Iterator[Feature]:
    """One line for each street of a name and kind; its pieces stay apart where they do not meet."""
    for edge in range(len(streets.start)):
        ends = [(streets.x[node], streets.y[node]) for node in (streets.start[edge], streets.end[edge])]
        kind = Kind(streets.kind[edge]).name.lower()
        yield _feature(f"street_{kind}", streets.names[streets.name[edge]], "LineString", _degrees(ends))


def _rail(town: Town) -> Iterator[Feature]:
    line = town.plan.railway
    first = 0
    for k in range(1, len(line.tunnel) + 1):
        if k == len(line.tunnel) or line.tunnel[k] != line.tunnel[first]:
            points = zip(line.x[first : k + 1], line.y[first : k + 1], strict=True)
            kind = "rail_tunnel" if line.tunnel[first] else "rail"
            yield _feature(
                kind, "Tunnel" if line.tunnel[first] else "Railway", "LineString", _degrees(points)
            )
            first = k


def _terraces(town: Town) -> Iterator[Feature]:
    """The houses of one side of a street as one building each."""
    x, y = town.house_x, town.house_y
    starts = np.flatnonzero(np.diff(town.house_edge, prepend=-1) != 0)
    for start, end in zip(starts, [*starts[1:], len(x)], strict=True):
        half = (start + end) // 2
        for a, b in ((start, half), (half, end)):
            if b - a < 2:
                continue
            edge = int(town.house_edge[a])
            length = math.hypot(x[b - 1] - x[a], y[b - 1] - y[a])
            ux, uy = (x[b - 1] - x[a]) / length, (y[b - 1] - y[a]) / length
            name = town.streets.names[town.streets.name[edge]]
            yield _feature(
                "terrace",
                name,
                "Polygon",
                [_box((x[a] + x[b - 1]) / 2, (y[a] + y[b - 1]) / 2, ux, uy, length / 2 + 6, 4.5)],
            )


def _box(x: float, y: float, ux: float, uy: float, along: float, across: float) -> list[list[float]]:
    corners = ((-along, -across), (along, -across), (along, across), (-along, across), (-along, -across))
    return _degrees((x + ux * p - uy * q, y + uy * p + ux * q) for p, q in corners)


def _buses(town: Town) -> Iterator[Feature]:
    for bus in town.buses:
        points = [(town.streets.x[node], town.streets.y[node]) for node in bus.nodes]
        yield _feature("bus_route", bus.name, "LineString", _degrees(points))


def _place(spot: Spot) -> Iterator[Feature]:
    half = _HALF_M.get(spot.about)
    if half is not None:
        away = spot.away_m(spot.foot_x, spot.foot_y) or 1.0
        ux, uy = (spot.y - spot.foot_y) / away, (spot.foot_x - spot.x) / away  # along the street
        yield _feature(f"building_{spot.kind}", spot.name, "Polygon", [_box(spot.x, spot.y, ux, uy, *half)])
    yield _feature(spot.kind, spot.name, "Point", _degrees([(spot.x, spot.y)])[0])
