"""Orders in short: conditions as a scenario writes them, turned into the document of docs/orders.md.

``{ curfew = "home", times = "19:00-07:00" }``, ``{ exclusion = "market", times = "Sa 12:00-18:00", warning_m = 100 }``,
``{ attendance = "office", on = ["2026-11-03 10:00-11:00"] }``, ``{ trail = true }``, ``{ alcohol = "abstinence" }``,
``{ alcohol = "limit", limit_tac_g_dl = 0.05 }``. What is not said here (``grace_min`` and so on) is handed on as it is.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from core.document import Reader
from sim.acts import Spot
from sim.civil_time import CivilTimeError, instant_ms
from sim.itinerary import Place

DAYS = ("Mo", "Tu", "We", "Th", "Fr", "Sa", "Su")
_CLOCK = r"(?:[01]\d|2[0-3]):[0-5]\d|24:00"
_TIMES = re.compile(rf"(?:(?P<days>[A-Z][A-Za-z -]*?) )?(?P<start>{_CLOCK})-(?P<end>{_CLOCK})")
_SPAN = re.compile(
    r"(?P<first>\d{4}-\d\d-\d\d) (?P<start>\d\d:\d\d(?: BST| GMT)?) ?- ?"
    r"(?P<last>(?:\d{4}-\d\d-\d\d )?\d\d:\d\d(?: BST| GMT)?)"
)
_RADIUS_M = 30
KINDS = ("curfew", "exclusion", "inclusion", "restriction", "attendance", "trail", "alcohol")
Body = Mapping[str, Any]


def iso(t_ms: int) -> str:
    """An instant as an order has it."""
    return f"{datetime.fromtimestamp(t_ms / 1000, UTC):%Y-%m-%dT%H:%M:%SZ}"


def zone(
    read: Reader, body: Body, path: str, centre: Place, spots: Mapping[str, Spot]
) -> dict[str, Any] | None:
    """A zone as GeoJSON: ``polygon`` in metres about the centre or ``at``, ``radius_m`` about ``at``, or ``along``."""
    middle = spots[body["at"]].place if body.get("at") in spots else centre
    if "at" in body and body["at"] not in spots:
        read.refuse(f"{path}.at", f"{body['at']!r} is no place", f"Places are: {', '.join(sorted(spots))}.")
    if "polygon" in body:
        read.keys(body, path, "polygon", "at", "holes")
        rings = [body["polygon"], *body.get("holes", ())]
        if not all(_is_ring(ring) for ring in rings):
            read.refuse(f"{path}.polygon", "is not a ring", "Give at least three [east, north] in metres.")
            return None
        return {"type": "Polygon", "coordinates": [_ring(middle, ring) for ring in rings]}
    if "radius_m" in body:
        read.keys(body, path, "radius_m", "at")
        radius_m = read.number(body, "radius_m", path, 1, 100_000)
        point = {"type": "Point", "coordinates": _point(middle)}
        return {"type": "Feature", "geometry": point, "properties": {"radius_m": radius_m}}
    if "along" in body:
        read.keys(body, path, "along", "width_m")
        names = [name for name in read.items(body, "along", path) if name in spots]
        if len(names) < max(2, len(body["along"])):
            read.refuse(f"{path}.along", "names too few places", "Give at least two places that are known.")
            return None
        line = {"type": "LineString", "coordinates": [_point(spots[name].place) for name in names]}
        width_m = read.number(body, "width_m", path, 1, 10_000)
        return {"type": "Feature", "geometry": line, "properties": {"width_m": width_m}}
    read.refuse(path, "tells no shape", "Give polygon, radius_m (with at), or along (with width_m).")
    return None


def conditions(
    read: Reader, found: Sequence[Any], path: str, zones: Mapping[str, Body], spots: Mapping[str, Spot]
) -> list[dict[str, Any]]:
    """Conditions of an order's document; problems go to ``read``."""
    made = []
    for i, item in enumerate(found):
        at = f"{path}[{i}]"
        body = read.mapping(item, at)
        if body is None:
            continue
        kinds = [kind for kind in KINDS if kind in body]
        if len(kinds) != 1:
            read.refuse(at, f"says {' and '.join(kinds) or 'nothing'}", f"Say one of: {', '.join(KINDS)}.")
            continue
        condition = _condition(read, body, kinds[0], at, zones, spots)
        if condition is not None:
            made.append(condition)
    return made


def _condition(
    read: Reader, body: Body, kind: str, path: str, zones: Mapping[str, Body], spots: Mapping[str, Spot]
) -> dict[str, Any] | None:
    what = body[kind]
    own = {
        key: value
        for key, value in body.items()
        if key not in (kind, "times", "on", "except", "also", "radius_m")
    }
    made: dict[str, Any] = {"id": kind, "type": kind} | own
    for key in ("from", "to"):
        if key in own:
            made[key] = iso(_instant(read, str(own[key]), f"{path}.{key}"))
    if kind == "trail":
        return made
    if kind == "alcohol":
        return made | {"mode": what}
    if kind == "curfew":
        place = _address(read, body, path, spots)
        if place is None:
            return None
        also = [
            further
            for i, one in enumerate(body.get("also", ()))
            if (further := _address(read, one, f"{path}.also[{i}]", spots)) is not None
        ]
        return made | place | ({"also": also} if also else {})
    if what not in zones:
        read.refuse(
            f"{path}.{kind}", f"{what!r} is no zone", f"Zones are: {', '.join(sorted(zones)) or 'none'}."
        )
        return None
    made |= {"name": body.get("name", str(what).replace("_", " ").capitalize()), "zone": zones[what]}
    schedule: dict[str, Any] = {}
    if "times" in body:
        schedule["weekly"] = _timetable(read, body["times"], f"{path}.times")
    for key, name in (("on", "dated"), ("except", "exceptions")):
        if key in body:
            schedule[name] = _dated(read, body[key], f"{path}.{key}")
    return made | ({"schedule": schedule} if schedule else {})


def _address(read: Reader, body: Body, path: str, spots: Mapping[str, Spot]) -> dict[str, Any] | None:
    name = body.get("curfew")
    if name not in spots:
        read.refuse(f"{path}.curfew", f"{name!r} is no place", f"Places are: {', '.join(sorted(spots))}.")
        return None
    place = spots[str(name)].place
    address = {
        "name": name,
        "latitude": round(place.lat, 7),
        "longitude": round(place.lon, 7),
        "radius_m": body.get("radius_m", _RADIUS_M),
    }
    return {"address": address, "timetable": _timetable(read, body.get("times"), f"{path}.times")}


def _timetable(read: Reader, text: object, path: str) -> list[dict[str, Any]]:
    """``Mo-Fr 19:00-07:00, Sa Su 21:00-09:00``; without days, every day."""
    entries = []
    for part in text.split(", ") if isinstance(text, str) else [""]:
        match = _TIMES.fullmatch(part)
        days = _days(match["days"]) if match else []
        if match is None or not days:
            read.refuse(
                path,
                f"{text!r} is no timetable",
                "Give 19:00-07:00, or Mo-Fr 19:00-07:00, Sa Su 21:00-09:00.",
            )
            continue
        entries.append({"days": days, "start": match["start"], "end": match["end"]})
    return entries


def _days(text: str | None) -> list[str]:
    """Mo-Fr, or Sa Su; every day where none is said; none where it can not be read."""
    if text is None:
        return list(DAYS)
    found: list[str] = []
    for word in text.split():
        first, _, last = word.partition("-")
        if first not in DAYS or (last or first) not in DAYS:
            return []
        found += DAYS[DAYS.index(first) : DAYS.index(last or first) + 1]
    return found


def _dated(read: Reader, texts: object, path: str) -> list[dict[str, str]]:
    """``["2026-11-03 10:00-11:00", "2026-11-03 22:00-2026-11-04 06:00"]``."""
    return [
        {"from": iso(from_ms), "to": iso(to_ms)}
        for i, text in enumerate(texts if isinstance(texts, list) else [texts])
        for from_ms, to_ms in [interval(read, text, f"{path}[{i}]")]
    ]


def interval(read: Reader, text: object, path: str) -> tuple[int, int]:
    """UTC ms of ``2026-11-03 10:00-11:00``; (0, 1) and a problem where it can not be read."""
    match = _SPAN.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        read.refuse(path, f"{text!r} is no interval", "Give 2026-11-03 10:00-11:00, or with two dates.")
        return 0, 1
    from_ms = _instant(read, f"{match['first']} {match['start']}", path)
    return from_ms, _instant(read, match["last"], path, from_ms)


def _instant(read: Reader, text: str, path: str, after_ms: int | None = None) -> int:
    try:
        return instant_ms(text, after_ms)
    except CivilTimeError as error:
        read.refuse(path, error.fact, error.remedy)
        return 0


def _is_ring(ring: object) -> bool:
    return (
        isinstance(ring, list)
        and len(ring) >= 3
        and all(
            isinstance(corner, list) and len(corner) == 2 and all(isinstance(m, int | float) for m in corner)
            for corner in ring
        )
    )


def _ring(middle: Place, corners: Sequence[Sequence[float]]) -> list[list[float]]:
    return [_point(middle.offset(east, north)) for east, north in (*corners, corners[0])]


def _point(place: Place) -> list[float]:
    return [round(place.lon, 7), round(place.lat, 7)]
