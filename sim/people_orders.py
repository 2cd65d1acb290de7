"""The orders of people: documents as `core.order.order_from_json` reads them, lawful but for a few."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from sim.areas import Area
from sim.town import Spot

WEEK = ["Mo", "Tu", "We", "Th", "Fr", "Sa", "Su"]
_DAY_MS = 86_400_000


def clock(minute: int) -> str:
    """Minutes after midnight, modulo a day, as HH:MM."""
    minute %= 1440
    return f"{minute // 60:02d}:{minute % 60:02d}"


def instant_text(t_ms: int) -> str:
    """UTC ms as the instants of an order, whole seconds."""
    return f"{datetime.fromtimestamp(t_ms // 1000, UTC):%Y-%m-%dT%H:%M:%SZ}"


def address(name: str, home: Spot, radius_m: float, residence: bool = False) -> dict[str, Any]:
    """An address of a curfew."""
    place = home.place
    told: dict[str, Any] = {
        "name": name,
        "latitude": round(place.lat, 7),
        "longitude": round(place.lon, 7),
        "radius_m": radius_m,
    }
    if residence:
        told["residence_requirement"] = True
    return told


def timetable(periods: Sequence[tuple[Sequence[int], int, int]]) -> list[dict[str, Any]]:
    """Periods of (weekdays, start minute, end minute)."""
    return [
        {
            "days": [WEEK[day] for day in days],
            "start": clock(start),
            "end": "24:00" if end == 1440 else clock(end),
        }
        for days, start, end in periods
    ]


def zone(kind: str, condition_id: str, name: str, area: Area, **more: Any) -> dict[str, Any]:
    """A condition about a zone."""
    return {"id": condition_id, "type": kind, "name": name, "zone": area.geojson(), **more}


def order(
    name: str,
    wearer: str,
    regime: str,
    begins_ms: int,
    ends_ms: int,
    conviction: str,
    conditions: list[dict[str, Any]],
) -> dict[str, Any]:
    """The first version of an order."""
    return {
        "order_id": f"SIM-{name}",
        "version": 1,
        "regime": regime,
        "wearer": {"id": f"W-{name.upper()}", "name": wearer},
        "effective": instant_text(begins_ms),
        "start": instant_text(begins_ms),
        "end": instant_text(ends_ms),
        "conviction": conviction,
        "conditions": conditions,
    }
