"""A file of zones looked at before anybody is judged by it: what each is, what is wrong with it, what would mend it.

The file is GeoJSON (RFC 7946): a geometry, a Feature, or a FeatureCollection, of which every feature is a zone of its
own. Whether a zone is taken, `core.zones` decides; what is odd about one beside that is for the person who drew it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import shapely

from core.problems import Problem
from core.zone_drawing import SIZES, ZoneError, geometry_of, polygons
from core.zone_lines import lines
from core.zone_repair import RepairProposal, offer_repair
from core.zones import metres_per_degree, zone_from_geojson

MAX_BYTES = 256 * 1024 * 1024
_NAMED = ("name", "title", "label", "id")
_BRITAIN = (-9.0, 49.0, 2.5, 61.5)
"""West, south, east, north of the United Kingdom with the Isles of Scilly and Shetland, with some sea, degrees."""
_SMALL_M2, _LARGE_M2 = 300.0, 3e9
"""Less is within what a tag can tell apart (a circle of 10 m); more is a county."""


class ZoneFileError(ValueError):
    """A file that can not be looked at; the text says why and what to do."""


@dataclass(frozen=True, slots=True)
class Figures:
    """What was drawn: corners of its edges, separate pieces and holes, square metres, and west, south, east, north."""

    vertices: int
    pieces: int
    holes: int
    area_m2: float
    bounds: tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class LookedAt:
    """One zone of a file.

    ``path`` is where it stands in the file. It is taken where there are no ``problems``; then ``figures`` tell what it
    is. ``doubts`` tell what is odd about it, or may be behind its problems. ``repair`` is what would mend it, to be
    looked at and accepted by whoever drew it.
    """

    path: str
    name: str
    problems: tuple[Problem, ...] = ()
    doubts: tuple[Problem, ...] = ()
    figures: Figures | None = None
    repair: RepairProposal | None = None


def zones_of(file: Path) -> list[tuple[str, str, object]]:
    """Path, name and document of each zone in ``file``. Raises ZoneFileError where it is not such a file."""
    try:
        if file.stat().st_size > MAX_BYTES:
            raise ZoneFileError(
                f"{file} has more than {MAX_BYTES // 2**20} MB: give the zones in smaller files"
            )
        document = json.loads(file.read_bytes().decode("utf-8-sig"))
    except OSError as error:
        raise ZoneFileError(f"{file} can not be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise ZoneFileError(f"{file} is not UTF-8 at byte {error.start}: save it as UTF-8") from None
    except json.JSONDecodeError as error:
        raise ZoneFileError(
            f"{file}, line {error.lineno}, column {error.colno}: {error.msg}. Give a file of GeoJSON"
        ) from None
    except RecursionError:
        raise ZoneFileError(f"{file} is nested without end: give a file of GeoJSON") from None
    if isinstance(document, dict) and document.get("type") == "FeatureCollection":
        features = document.get("features")
        if not isinstance(features, list) or not features:
            raise ZoneFileError(f"{file} is a FeatureCollection without features: there is no zone in it")
        return [
            (f"features[{index}]", _name(feature, f"feature {index}"), feature)
            for index, feature in enumerate(features)
        ]
    return [("zone", _name(document, "the zone"), document)]


def _name(feature: object, otherwise: str) -> str:
    """What whoever made the file called it: a property that is a name, or ends in NM as those of the ONS do."""
    properties = feature.get("properties") if isinstance(feature, Mapping) else None
    if not isinstance(properties, Mapping):
        return otherwise
    texts = {
        str(key): value.strip()
        for key, value in properties.items()
        if isinstance(value, str) and value.strip()
    }
    for wanted in _NAMED:
        for key, value in texts.items():
            if key.lower() == wanted:
                return value
    ours = (
        value for key, value in texts.items() if key.rstrip("0123456789").upper().endswith(("NM", "NAME"))
    )
    return next(ours, otherwise)


def look(path: str, name: str, document: object) -> LookedAt:
    """Check one zone, and offer a repair where there is an honest one."""
    try:
        zone_from_geojson(document, path)
    except ZoneError as error:
        return LookedAt(
            path, name, error.problems, tuple(_hints(document, path)), repair=offer_repair(document, path)
        )
    figures = _figures(document, path)
    return LookedAt(path, name, doubts=tuple(_doubts(figures, path)), figures=figures)


def with_repairs(zones: Sequence[tuple[str, str, object]], found: Sequence[LookedAt]) -> dict[str, Any]:
    """The zones as a FeatureCollection, those that can be mended mended; each says in ``tagwatch_repair`` if it was."""
    features = []
    for (_, name, document), one in zip(zones, found, strict=True):
        feature = dict(document) if isinstance(document, Mapping) else {}
        if feature.get("type") != "Feature":
            feature = {"type": "Feature", "properties": {"name": name}, "geometry": document}
        if one.repair is not None:
            properties = feature.get("properties")
            told = {"tagwatch_repair": one.repair.sentence}
            feature["properties"] = (dict(properties) if isinstance(properties, Mapping) else {}) | told
            feature["geometry"] = one.repair.document
        features.append(feature)
    return {"type": "FeatureCollection", "features": features}


def _figures(document: object, path: str) -> Figures:
    """What a zone that is taken measures, on the plane of its middle latitude."""
    kind, drawn, at = geometry_of(document, path)
    if kind in SIZES:
        edges, grow_m = lines(kind, drawn, at)
        runs = edges.reshape(-1, 2, 2)
    else:
        rings = polygons(kind, drawn, at)
        runs = np.concatenate([ring for polygon in rings for ring in polygon])[:, None, :]
        grow_m = 0.0
    (west, south), (east, north) = runs.min(axis=(0, 1)), runs.max(axis=(0, 1))
    metres = np.array(metres_per_degree(float(south + north) / 2))
    corner = np.array([west, south])
    if kind in SIZES:
        shape = shapely.union_all(
            shapely.buffer(shapely.linestrings((runs - corner) * metres), grow_m, quad_segs=64)
        )
        west, south = corner - grow_m / metres
        east, north = np.array([east, north]) + grow_m / metres
    else:
        flat = [[(ring - corner) * metres for ring in polygon] for polygon in rings]
        shape = shapely.MultiPolygon([(polygon[0], polygon[1:]) for polygon in flat])
    pieces = shapely.get_parts(shape)
    return Figures(
        int(shapely.get_num_coordinates(shape)) if kind not in SIZES else len(runs),
        len(pieces),
        int(shapely.get_num_interior_rings(pieces).sum()),
        float(shape.area),
        (float(west), float(south), float(east), float(north)),
    )


def _hints(document: object, path: str) -> Iterator[Problem]:
    """What may be behind a zone of which no position is on Earth."""
    positions = list(_positions(document))
    if not positions or any(abs(x) <= 180 and abs(y) <= 90 for x, y in positions):
        return
    if all(0 <= x <= 700_000 and 0 <= y <= 1_300_000 for x, y in positions):
        yield Problem(
            path,
            "all of its positions could be eastings and northings of the British National Grid",
            "Have your drawing program save it in WGS84 (EPSG:4326).",
        )


def _doubts(figures: Figures, path: str) -> Iterator[Problem]:
    """What is odd about a zone that is taken all the same."""
    west, south, east, north = figures.bounds
    if not _touches(_BRITAIN, (west, south, east, north)):
        swapped = _touches(_BRITAIN, (south, west, north, east))
        yield Problem(
            path,
            f"it lies at longitude {west:.3f} to {east:.3f}, latitude {south:.3f} to {north:.3f}, outside the United "
            "Kingdom",
            "Longitude comes first: they may have been exchanged."
            if swapped
            else "See on a map that it is where it should be.",
        )
    if figures.area_m2 < _SMALL_M2:
        yield Problem(
            path,
            f"it has {figures.area_m2:,.0f} m², about as much as a position is off",
            "Draw what surrounds the place, or give a circle of 50 m or more.",
        )
    elif figures.area_m2 > _LARGE_M2:
        yield Problem(
            path,
            f"it has {figures.area_m2 / 1e6:,.0f} km², as much as a county",
            "See that no more is forbidden than the court ordered.",
        )


def _touches(one: tuple[float, float, float, float], other: tuple[float, float, float, float]) -> bool:
    return one[0] <= other[2] and other[0] <= one[2] and one[1] <= other[3] and other[1] <= one[3]


def _positions(value: object) -> Iterator[tuple[float, float]]:
    """Every pair of numbers among the coordinates of a document, whatever else is wrong with it."""
    if isinstance(value, Mapping):
        for key in ("features", "geometry", "coordinates"):
            yield from _positions(value.get(key))
    elif isinstance(value, list) and len(value) >= 2 and all(type(one) in (int, float) for one in value[:2]):
        yield float(value[0]), float(value[1])
    elif isinstance(value, list):
        for one in value:
            yield from _positions(one)
