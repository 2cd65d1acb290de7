"""A town for benchmarks: wearers who stay at home and go about, and zones drawn by hand, all from one seed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from core.activation import Activation
from core.order import Order, order_from_json
from core.readings import F64, Positions
from core.zones import Zone, zone_from_geojson

START_MS = 1_780_272_000_000 + 6 * 3_600_000
"""06:00 UTC on a Monday in summer."""
CENTRE = (-1.15, 52.95)
KX_M, KY_M = 67_200.0, 111_250.0
"""Metres per degree there, near enough to make a town of."""
Ring = list[list[float]]


def blob(rng: np.random.Generator, middle: F64, vertices: int, radius_m: float = 0.0) -> Ring:
    """A closed ring about a point, 200 to 800 m wide where no radius is given, with dents."""
    angle = np.linspace(0, 2 * np.pi, vertices, endpoint=False)
    radius = (radius_m or rng.uniform(200, 800)) * (1 + 0.15 * np.sin(3 * angle + rng.uniform(0, 6)))
    radius *= 1 + 0.3 / vertices * rng.uniform(-1, 1, vertices)
    lon = middle[0] + radius * np.cos(angle) / KX_M
    lat = middle[1] + radius * np.sin(angle) / KY_M
    ring = np.stack([lon, lat], axis=1).tolist()
    return [*ring, ring[0]]


def homes(rng: np.random.Generator, count: int, spread_m: float = 8000.0) -> F64:
    """Places in the town, shape ``(count, 2)``: longitude, latitude."""
    return np.array(CENTRE) + rng.uniform(-spread_m, spread_m, (count, 2)) / (KX_M, KY_M)


def elsewhere(rng: np.random.Generator, home: F64, count: int, spread_m: float = 8000.0) -> F64:
    """Middles of zones in the town: nobody's home lies in a zone to keep out of, or within 1.3 km of its middle."""
    found = homes(rng, 4 * count, spread_m)
    metres = np.hypot(*((found - home) * (KX_M, KY_M)).T)
    chosen: F64 = found[metres > 1300][:count]
    return chosen


def walk(rng: np.random.Generator, home: F64, count: int, step_s: int = 60) -> Positions:
    """Begins at 06:00; on the way to somewhere within a few kilometres and back, again and again, else at home.

    From 18:00 to 06:00 UTC, which is a curfew from 19:00 to 07:00 in summer, at home but for one way in thirty.
    """
    at = np.repeat(home[None], count, axis=0)
    i = int(rng.integers(0, 60))
    while i < count:
        away = int(rng.integers(20, 90))
        day_s = (i * step_s) % 86_400, ((i + away) * step_s) % 86_400
        if max(day_s) < 43_200 or rng.integers(30) == 0:
            target = rng.normal(0, 2500, 2) / (KX_M, KY_M)
            share = np.minimum(1, 2 * (1 - np.abs(np.linspace(-1, 1, away))))
            at[i : i + away] = home + np.outer(share, target)[: count - i]
        i += away + int(rng.integers(50, 200))
    at = at + rng.normal(0, 4, (count, 2)) / (KX_M, KY_M)
    return positions(
        START_MS + np.arange(count) * step_s * 1000, at, rng.choice([5.0, 8.0, 12.0, 25.0], count)
    )


def positions(t_ms: Any, at: F64, precision_m: F64) -> Positions:
    """Positions with everything known."""
    n = len(at)
    return Positions(
        t_ms=np.asarray(t_ms, np.int64),
        lat=np.ascontiguousarray(at[:, 1]),
        lon=np.ascontiguousarray(at[:, 0]),
        precision_m=np.asarray(precision_m, np.float64),
        speed_kmh=np.full(n, 3.0),
        course_deg=np.full(n, 90.0),
        hdop=np.full(n, 0.9),
        satellites=np.full(n, 11, np.int16),
        flags=np.full(n, 7, np.uint8),
        epoch=np.full(n, 7, np.uint32),
        seq=np.arange(1, n + 1, dtype=np.uint32),
    )


def order(name: str, rings: Sequence[Ring], home: F64 | None, *more: dict[str, Any]) -> Order:
    """An order with an exclusion zone for every ring, a night curfew at ``home``, and whatever else is given."""
    conditions: list[dict[str, Any]] = [
        {"id": f"zone-{i}", "type": "exclusion", "name": f"Zone {i}", "zone": drawn(ring)}
        for i, ring in enumerate(rings)
    ]
    if home is not None:
        conditions.append(
            {
                "id": "curfew",
                "type": "curfew",
                "address": {
                    "name": "primary",
                    "latitude": float(home[1]),
                    "longitude": float(home[0]),
                    "radius_m": 50,
                },
                "timetable": [
                    {"days": ["Mo", "Tu", "We", "Th", "Fr", "Sa", "Su"], "start": "19:00", "end": "07:00"}
                ],
            }
        )
    return order_from_json(
        {
            "order_id": name,
            "version": 1,
            "regime": "bail",
            "wearer": {"id": name, "name": "A. Person"},
            "effective": "2026-01-01T00:00:00Z",
            "conditions": [*conditions, *more],
        }
    )


def drawn(ring: Ring) -> dict[str, Any]:
    """A ring as GeoJSON."""
    return {"type": "Polygon", "coordinates": [ring]}


def zone(ring: Ring) -> Zone:
    """A ring compiled."""
    return zone_from_geojson(drawn(ring))


def activation(name: str, imposed: Order) -> Activation:
    """A tag fitted when the benchmark begins."""
    return Activation(name, f"tag{name}", imposed, START_MS)
