"""Lives made by hand, for tests of what becomes of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sim.itinerary import Itinerary, Place
from sim.life import Life
from sim.way import Surroundings

START_MS = 1_780_272_000_000
"""00:00 UTC, 01:00 in London, on Monday 1 June 2026."""
MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS
DAY_MS = 24 * HOUR_MS
HOME = Place(52.95, -1.15)
EVERY_DAY = ["Mo", "Tu", "We", "Th", "Fr", "Sa", "Su"]
INDOORS = Surroundings.INDOORS


def ring(east_m: float, north_m: float, half_m: float) -> dict[str, Any]:
    """A square zone about a place, metres from home."""
    corners = ((-1, -1), (1, -1), (1, 1), (-1, 1), (-1, -1))
    places = [HOME.offset(east_m + x * half_m, north_m + y * half_m) for x, y in corners]
    return {"type": "Polygon", "coordinates": [[[place.lon, place.lat] for place in places]]}


def curfew(start: str = "19:00", end: str = "07:00", radius_m: float = 30, **more: Any) -> dict[str, Any]:
    """A curfew at home every night."""
    return {
        "id": "curfew",
        "type": "curfew",
        "address": address(HOME, radius_m),
        "timetable": [{"days": EVERY_DAY, "start": start, "end": end}],
        **more,
    }


def address(place: Place, radius_m: float = 30, name: str = "primary") -> dict[str, Any]:
    return {"name": name, "latitude": place.lat, "longitude": place.lon, "radius_m": radius_m}


def exclusion(east_m: float, north_m: float, half_m: float, **more: Any) -> dict[str, Any]:
    """A square to keep out of."""
    return {"id": "zone", "type": "exclusion", "name": "Zone", "zone": ring(east_m, north_m, half_m), **more}


def order(*conditions: dict[str, Any], **more: Any) -> dict[str, Any]:
    """An order of these conditions."""
    return {
        "order_id": "LIFE-1",
        "version": 1,
        "regime": "bail",
        "wearer": {"id": "W-1", "name": "A. Person"},
        "effective": "2026-01-01T00:00:00Z",
        "conditions": list(conditions),
        **more,
    }


def life(
    itinerary: Itinerary | None = None,
    conditions: Sequence[dict[str, Any]] = (),
    *,
    days: float = 1,
    imposed: dict[str, Any] | None = None,
    **more: Any,
) -> Life:
    """A life from `START_MS` on, at home all the time where no way is given."""
    end_ms = START_MS + round(days * DAY_MS)
    itinerary = Itinerary(START_MS, HOME) if itinerary is None else itinerary
    itinerary.stay(end_ms, about=INDOORS)
    return Life(
        name=more.pop("name", "ann"),
        seed=more.pop("seed", 1),
        start_ms=START_MS,
        end_ms=end_ms,
        way=itinerary.way(),
        order=order(*(conditions or [curfew()])) if imposed is None else imposed,
        **more,
    )
