"""Zones as people draw them: GeoJSON read and checked, every problem named, nothing repaired."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import shapely

from core.problems import Problem, Problems
from core.readings import F64

MAX_LATITUDE = 85.0
"""Nearer a pole, degrees of longitude shrink to nothing; no zone is drawn there."""
MAX_VERTICES = 200_000
"""All of England's district boundaries together have fewer; more is a mistake or an attack."""
SIZES = {"Point": "radius_m", "LineString": "width_m", "MultiLineString": "width_m"}
"""What makes a zone of a shape without area."""


class ZoneError(Problems):
    """A zone refused, with every problem, where it is and what would be right."""


def polygons(kind: str, document: Mapping[str, Any], path: str) -> list[list[F64]]:
    """The rings of every polygon of a Polygon or MultiPolygon, each float64 ``(n, 2)``. Raises `ZoneError`."""
    parts = document.get("coordinates")
    path = f"{path}.coordinates"
    if kind == "Polygon":
        parts, paths = [parts], [path]
    else:
        paths = [f"{path}[{i}]" for i in range(len(parts) if isinstance(parts, list | tuple) else 0)]
    if not isinstance(parts, list | tuple) or not parts:
        raise ZoneError([Problem(path, "there are no polygons", "Draw at least one ring of four positions.")])
    problems: list[Problem] = []
    drawn: list[list[F64]] = []
    for part, part_path in zip(parts, paths, strict=True):
        if not isinstance(part, list | tuple) or not part:
            problems.append(Problem(part_path, "the polygon has no rings", "Draw its outer ring."))
            continue
        drawn.append([_ring(ring, f"{part_path}[{i}]", problems) for i, ring in enumerate(part)])
    if problems:
        raise ZoneError(problems)
    vertices = sum(len(ring) for polygon in drawn for ring in polygon)
    if vertices > MAX_VERTICES:
        remedy = f"Simplify it to at most {MAX_VERTICES:,}."
        raise ZoneError([Problem(path, f"the zone has {vertices:,} vertices", remedy)])
    return drawn


def geometry_of(document: object, path: str) -> tuple[str, Mapping[str, Any], str]:
    """Down through FeatureCollection and Feature to the geometry: its kind, itself and its path. Raises `ZoneError`.

    A size (``radius_m`` of a Point, ``width_m`` of a line) stands beside the coordinates or among the properties of the
    Feature; it comes back beside the coordinates.
    """
    remedy = "Give a Polygon or MultiPolygon, alone, as a Feature, or as a FeatureCollection of one Feature."
    properties: object = None
    for _ in range(3):
        if not isinstance(document, Mapping):
            raise ZoneError([Problem(path, f"a GeoJSON object is needed, not {_kind(document)}", remedy)])
        kind = document.get("type")
        if kind in ("Polygon", "MultiPolygon"):
            return str(kind), document, path
        if isinstance(kind, str) and kind in SIZES:
            size = SIZES[kind]
            given = properties if isinstance(properties, Mapping) and size not in document else document
            if size in given:
                return kind, {**document, size: given[size]}, path
            more = f"A Point is a zone with radius_m, a LineString or MultiLineString with width_m. {remedy}"
            raise ZoneError([Problem(f"{path}.type", f"{kind!r} is not a zone without {size}", more)])
        if kind == "Feature":
            properties = document.get("properties")
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
        wrong = fault(position)
        if wrong:
            problems.append(Problem(f"{path}[{i}]", *wrong))
    if len(problems) > found:
        return np.zeros((0, 2))
    points = np.array([position[:2] for position in ring], np.float64)
    if not np.array_equal(points[0], points[-1]):
        first, last = place(points[0]), place(points[-1])
        remedy = "Repeat the first position at the end."
        problems.append(
            Problem(path, f"the ring is not closed: it begins at {first} and ends at {last}", remedy)
        )
    refuse_antimeridian(points, path, problems)
    return points


def refuse_antimeridian(points: F64, path: str, problems: list[Problem]) -> None:
    """An edge over more than half of the Earth runs the other way round, across longitude 180: a problem."""
    jump = int(np.argmax(np.abs(np.diff(points[:, 0]))))
    if abs(points[jump + 1, 0] - points[jump, 0]) > 180:
        fact = f"the edge from {place(points[jump])} to {place(points[jump + 1])} crosses the antimeridian"
        problems.append(Problem(f"{path}[{jump}]", fact, "Zones across longitude 180 are not monitored."))


def fault(position: object) -> tuple[str, str] | None:
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


def refuse_invalid(polygons: list[list[F64]], path: str) -> None:
    """Refuse rings that cross themselves or each other, holes outside, and zones without area."""
    shape = shapely.MultiPolygon([(rings[0], rings[1:]) for rings in polygons])
    if shapely.convex_hull(shape).area == 0:
        raise ZoneError([Problem(path, "the zone has no area", "Draw a ring around the place.")])
    if not shape.is_valid:
        reason, _, where = shapely.is_valid_reason(shape).partition("[")
        longitude, _, latitude = where.rstrip("]").partition(" ")
        where = place((float(longitude), float(latitude))) if latitude else "an unknown place"
        remedy = "Redraw it there so that no boundary crosses or touches itself."
        raise ZoneError([Problem(path, f"{reason.strip().lower()} at {where}", remedy)])


def place(point: tuple[float, float] | F64) -> str:
    """A position as problems name it."""
    return f"longitude {point[0]:.6f}, latitude {point[1]:.6f}"


def _kind(value: object) -> str:
    return "nothing" if value is None else type(value).__name__
