"""One zone as a person chooses it: out of a file, or as a circle about a place; looked at before it goes into an order.

Nothing is mended without somebody's consent, and what is odd about a zone (`gateway.zone_files`) has to be confirmed:
latitude and longitude exchanged make an exclusion zone off the coast of Somalia, which protects nobody.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.national_grid import ACCURACY_M, OffTheGridError, from_grid, grid_place
from gateway import postcodes
from gateway.zone_files import LookedAt, look, zones_of

_MOST = 10
_DEGREES = re.compile(r"\s*([-+]?\d{1,3}(?:\.\d+)?)\s*[,; ]\s*([-+]?\d{1,3}(?:\.\d+)?)\s*")


class ZoneChoiceError(ValueError):
    """There is no such zone, or it can not be taken; the text says why and what to do."""


@dataclass(frozen=True, slots=True)
class Spot:
    """A place that somebody named, WGS84 degrees; where it comes from, and what is doubtful about it."""

    latitude: float
    longitude: float
    source: str
    doubts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Chosen:
    """A zone that can be monitored, as GeoJSON.

    ``source`` says where it is from, ``doubts`` what somebody has to confirm, ``repair`` what was mended and how (None
    where it is as it was drawn).
    """

    name: str
    geometry: Mapping[str, Any]
    source: str
    doubts: tuple[str, ...] = ()
    repair: str | None = None


def degrees(written: str) -> Spot:
    """``52.95,-1.15``: latitude, longitude. Raises ZoneChoiceError."""
    found = _DEGREES.fullmatch(written)
    latitude, longitude = (float(part) for part in found.groups()) if found else (0.0, 0.0)
    if found is None or abs(latitude) > 90 or abs(longitude) > 180:
        raise ZoneChoiceError(
            f"{written!r} is no place: give latitude,longitude in degrees (52.95,-1.15), or the place by --grid"
        )
    return Spot(latitude, longitude, f"latitude {latitude:g}, longitude {longitude:g}")


def national_grid(written: str) -> Spot:
    """``457200,339900`` or ``SK 572 399``. Raises ZoneChoiceError."""
    try:
        easting, northing, size = grid_place(written)
        place = from_grid(easting, northing)
    except OffTheGridError as error:
        raise ZoneChoiceError(str(error)) from None
    doubts = []
    if size > 10:
        doubts.append(
            f"{written} is a square of {size:,.0f} m, and its middle was taken: give more digits for a place"
        )
    source = f"easting {easting:.0f}, northing {northing:.0f} (OSGB36, within {ACCURACY_M:.0f} m)"
    return Spot(round(place.latitude, 6), round(place.longitude, 6), source, tuple(doubts))


def postcode(written: str, file: Path | None, folder: Path, watch: postcodes.Watch) -> Spot:
    """The middle of a postcode. Raises ZoneChoiceError."""
    try:
        found = postcodes.centre_of(written, file, folder, watch)
    except postcodes.PostcodeError as error:
        raise ZoneChoiceError(str(error)) from None
    place = found.place
    source = f"the middle of {found.postcode} ({found.source})"
    return Spot(round(place.latitude, 6), round(place.longitude, 6), source, found.doubts)


def circle(spot: Spot, radius_m: float) -> Chosen:
    """So many metres about a place. Raises ZoneChoiceError."""
    radius: float = int(radius_m) if radius_m == int(radius_m) else radius_m
    geometry = {"type": "Point", "coordinates": [spot.longitude, spot.latitude], "radius_m": radius}
    name = f"{radius:g} m about {spot.source}"
    return _taken(look("zone", name, geometry), geometry, name, spot.doubts, None)


def out_of_file(file: Path, feature: str | None, *, repaired: bool) -> Chosen:
    """A zone of a file of GeoJSON: the only one, or that called ``feature`` (its name, or its number from 0).

    With ``repaired`` somebody has agreed to the repair that is offered. Raises ZoneChoiceError, ZoneFileError.
    """
    zones = zones_of(file)
    mine = _called(zones, feature, file)
    found = look(*mine)
    sha256 = hashlib.sha256(file.read_bytes()).hexdigest()
    source = f"{file.name} (SHA-256 {sha256}), {mine[0]}"
    if found.problems and repaired and found.repair is not None:
        geometry = found.repair.document
        mended = look(mine[0], mine[1], geometry)
        repair = found.repair.sentence.split(" Look at it")[0].replace(
            "Proposed repair, not applied", "Repaired"
        )
        return _taken(mended, geometry, source, (), repair)
    return _taken(found, _geometry(mine[2]), source, (), None)


def _called(zones: list[tuple[str, str, object]], feature: str | None, file: Path) -> tuple[str, str, object]:
    if feature is None:
        if len(zones) == 1:
            return zones[0]
        raise ZoneChoiceError(
            f"{file.name} holds {len(zones)} zones: say which by --feature, its name or its number from 0 to "
            f"{len(zones) - 1} (`tagwatch zone check` lists them)"
        )
    named = [one for one in zones if one[1].casefold() == feature.strip().casefold()]
    if len(named) == 1:
        return named[0]
    if named:
        raise ZoneChoiceError(
            f"{len(named)} zones of {file.name} are called {feature}: give the number of one"
        )
    if feature.isascii() and feature.isdigit() and int(feature) < len(zones):
        return zones[int(feature)]
    near = [one[1] for one in zones if feature.strip().casefold() in one[1].casefold()][:5]
    more = f": is one of these meant? {', '.join(near)}" if near else " (`tagwatch zone check` lists them)"
    raise ZoneChoiceError(f"no zone of {file.name} is called {feature}{more}")


def _geometry(document: object) -> Mapping[str, Any]:
    """What the order keeps of it: the geometry alone, for the properties are somebody else's."""
    assert isinstance(document, Mapping)
    if document.get("type") == "Feature":
        geometry, properties = document["geometry"], document.get("properties")
        sizes = {
            key: properties[key]
            for key in ("radius_m", "width_m")
            if isinstance(properties, Mapping) and key in properties and key not in geometry
        }
        return {**geometry, **sizes}
    return document


def _taken(
    found: LookedAt,
    geometry: Mapping[str, Any],
    source: str,
    doubts: tuple[str, ...],
    repair: str | None,
) -> Chosen:
    if found.problems:
        lines = [f"{found.name} is refused", *(str(problem) for problem in found.problems[:_MOST])]
        if len(found.problems) > _MOST:
            lines.append(
                f"and {len(found.problems) - _MOST} more like these (`tagwatch zone check --json` tells all)"
            )
        lines += [str(doubt) for doubt in found.doubts]
        if found.repair is not None:
            lines.append(f"{found.repair.sentence} Whoever drew it agrees by --repaired-by NAME")
        raise ZoneChoiceError("\n  ".join(lines))
    return Chosen(found.name, geometry, source, (*doubts, *(str(doubt) for doubt in found.doubts)), repair)
