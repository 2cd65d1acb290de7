"""The orders of people: documents as `core.order.order_from_json` reads them, lawful but for a few."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from random import Random
from typing import Any

from sim.areas import Area
from sim.civil import Days
from sim.terms import Period, Terms
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


def _address(name: str, home: Spot, radius_m: float, residence: bool = False) -> dict[str, Any]:
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


def _timetable(periods: Sequence[tuple[Sequence[int], int, int]]) -> list[dict[str, Any]]:
    """Periods of (weekdays, start minute, end minute)."""
    return [
        {
            "days": [WEEK[day] for day in days],
            "start": clock(start),
            "end": "24:00" if end == 1440 else clock(end),
        }
        for days, start, end in periods
    ]


def _zone(kind: str, condition_id: str, name: str, area: Area, **more: Any) -> dict[str, Any]:
    """A condition about a zone."""
    return {"id": condition_id, "type": kind, "name": name, "zone": area.geojson(), **more}


def _order(
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


def document(name: str, wearer: str, terms: Terms, days: Days, rng: Random) -> dict[str, Any]:
    """The order as JSON (docs/orders.md), in force since some days before the life begins."""
    begins = days.midnight[1] - rng.randint(1, 18) * _DAY_MS
    ends = days.end_ms + rng.randint(20, 90) * _DAY_MS
    conditions: list[dict[str, Any]] = []
    if terms.exclusion is not None:
        more: dict[str, Any] = {"warning_m": 50.0} if rng.random() < 0.2 else {}
        if terms.exclusion_times is not None:
            more["schedule"] = {"weekly": _weekly(terms.exclusion_times)}
        conditions.append(_zone("exclusion", "keep-out", "Keep out", terms.exclusion, **more))
    if terms.inclusion is not None:
        schedule = {"weekly": _weekly(terms.inclusion.times)}
        name_of = terms.inclusion.spot.name
        conditions.append(_zone("inclusion", "be-there", name_of, terms.inclusion.area, schedule=schedule))
    if terms.restriction is not None:
        conditions.append(_zone("restriction", "stay-within", "Area not to be left", terms.restriction))
    if terms.attendance is not None:
        schedule = {"weekly": _weekly(terms.attendance.times)}
        asked = {"schedule": schedule, "at_least_min": 25, "grace_min": 10}
        conditions.append(
            _zone("attendance", "appointment", terms.attendance.spot.name, terms.attendance.area, **asked)
        )
    if terms.curfew:
        radius = 60.0 if terms.homes[0].kind in ("approved_premises", "flats") else 30.0
        tables: list[list[dict[str, Any]]] = [[], []]
        for home, period in terms.curfew:
            tables[home] += _weekly(period)
        curfew: dict[str, Any] = {"id": "curfew", "type": "curfew"}
        curfew |= {"address": _address("primary", terms.homes[0], radius), "timetable": tables[0]}
        if tables[1]:
            second = {"address": _address("secondary", terms.homes[1], 30.0), "timetable": tables[1]}
            curfew["also"] = [second]
        conditions.append(curfew)
    if terms.trail:
        conditions.append({"id": "trail", "type": "trail"})
    if terms.alcohol:
        until = min(begins + 119 * _DAY_MS, ends)
        drinking: dict[str, Any] = {"id": "alcohol", "type": "alcohol", "mode": terms.alcohol}
        drinking |= {"from": instant_text(begins), "to": instant_text(until)}
        if terms.alcohol == "limit":
            drinking["limit_tac_g_dl"] = 0.05
        conditions.append(drinking)
    return _order(name, wearer, terms.regime, begins, ends, "2024-03-01", conditions)


def _weekly(period: Period) -> list[dict[str, Any]]:
    return _timetable([(period.days, period.start, 1440 if period.end == 1440 else period.end % 1440)])
