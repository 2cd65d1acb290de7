"""Circles and corridors: zones drawn as a point or a line and how far around it; checked, nothing repaired."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from core.problems import Problem
from core.readings import F64
from core.zone_drawing import MAX_LATITUDE, MAX_VERTICES, SIZES, ZoneError, fault, place, refuse_antimeridian

MAX_RADIUS_M = 50_000.0
"""Zones are measured to 0.5 % up to 100 km across (`core.zones`); a larger circle is drawn as a polygon."""
_DEGREE_M = 110_500.0
"""Less than a degree of latitude measures anywhere on the ellipsoid."""


def lines(kind: str, document: Mapping[str, Any], path: str) -> tuple[F64, float]:
    """The edges of a Point, LineString or MultiLineString, float64 ``(n, 4)``, and the metres around them.

    Raises `ZoneError`, also for a zone that reaches a pole or across longitude 180.
    """
    problems: list[Problem] = []
    grow_m = _size(kind, document, path, problems)
    parts, paths = document.get("coordinates"), [f"{path}.coordinates"]
    if kind == "MultiLineString":
        paths = [f"{paths[0]}[{i}]" for i in range(len(parts) if isinstance(parts, list | tuple) else 0)]
        if not paths:
            fact, remedy = "there are no lines", "Draw at least one line of two positions."
            problems.append(Problem(f"{path}.coordinates", fact, remedy))
    else:
        parts = [[parts, parts]] if kind == "Point" else [parts]
    given = parts if isinstance(parts, list | tuple) else ()
    drawn = [
        _line(part, part_path, problems, point=kind == "Point")
        for part, part_path in zip(given, paths, strict=True)
    ]
    if problems:
        raise ZoneError(problems)
    edges = np.concatenate([np.hstack([line[:-1], line[1:]]) for line in drawn])
    if kind != "Point":
        edges = edges[np.any(edges[:, :2] != edges[:, 2:], axis=1)]
    if not len(edges):
        raise ZoneError([Problem(path, "the line has no length", "Draw a line, or a Point with radius_m.")])
    if len(edges) > MAX_VERTICES:
        fact, remedy = f"the zone has {len(edges):,} edges", f"Simplify it to at most {MAX_VERTICES:,}."
        raise ZoneError([Problem(path, fact, remedy)])
    _refuse_far(edges, grow_m, path)
    return np.ascontiguousarray(edges), grow_m


def _size(kind: str, document: Mapping[str, Any], path: str, problems: list[Problem]) -> float:
    """Metres around the line."""
    name = SIZES[kind]
    most = MAX_RADIUS_M if kind == "Point" else 2 * MAX_RADIUS_M
    value = document.get(name)
    if (
        isinstance(value, int | float)
        and not isinstance(value, bool)
        and math.isfinite(value)
        and 1 <= value <= most
    ):
        return float(value) if kind == "Point" else float(value) / 2
    fact, remedy = f"{name} is {value!r}", f"Give metres, from 1 to {most:,.0f}."
    problems.append(Problem(f"{path}.{name}", fact, remedy))
    return 1.0


def _line(line: object, path: str, problems: list[Problem], point: bool) -> F64:
    """One line as an array ``(n, 2)``; what is wrong goes to ``problems``."""
    if not isinstance(line, list | tuple) or len(line) < 2:
        count = len(line) if isinstance(line, list | tuple) else 0
        problems.append(Problem(path, f"the line has {count} positions", "A line has at least two."))
        return np.zeros((2, 2))
    found = len(problems)
    for i, position in enumerate(line[:1] if point else line):
        wrong = fault(position)
        if wrong:
            problems.append(Problem(path if point else f"{path}[{i}]", *wrong))
    if len(problems) > found:
        return np.zeros((2, 2))
    points = np.array([position[:2] for position in line], np.float64)
    refuse_antimeridian(points, path, problems)
    return points


def _refuse_far(edges: F64, grow_m: float, path: str) -> None:
    """Refuse what reaches a pole or longitude 180 by its width."""
    points = np.concatenate([edges[:, :2], edges[:, 2:]])
    north = grow_m / _DEGREE_M
    for point in (points[np.argmax(np.abs(points[:, 1]))], points[np.argmax(np.abs(points[:, 0]))]):
        reach = abs(float(point[1])) + north
        if reach > MAX_LATITUDE:
            remedy = f"Zones beyond latitude {MAX_LATITUDE:.0f} are not monitored."
            raise ZoneError([Problem(path, f"{grow_m:g} m around {place(point)} is polar", remedy)])
        if abs(float(point[0])) + north / math.cos(math.radians(reach)) > 180:
            fact = f"{grow_m:g} m around {place(point)} crosses the antimeridian"
            raise ZoneError([Problem(path, fact, "Zones across longitude 180 are not monitored.")])
