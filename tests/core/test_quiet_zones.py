"""Zones that are not looked at: leaving them out changes nothing, wherever the wearer goes and whatever is drawn."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from core.alerts import Alert
from core.family import batch_of, part_of
from core.geofence import Geofence
from core.order import order_from_json
from core.rows import Fixes, fixes_from
from core.rules import DEFAULT_RULES
from tests.core.wearers import MONDAY_MS, activation, made, order_json

HOUR_MS = 3_600_000


def blob(rng: np.random.Generator, lon: float, lat: float, radius_m: float, kx: float) -> dict[str, Any]:
    angle = np.linspace(0, 2 * np.pi, int(rng.integers(4, 40)), endpoint=False)
    out = radius_m * rng.uniform(0.6, 1.0, len(angle))
    ring = np.stack([lon + out * np.cos(angle) / kx, lat + out * np.sin(angle) / 111_250.0], axis=1).tolist()
    return {"type": "Polygon", "coordinates": [[*ring, ring[0]]]}


def conditions(rng: np.random.Generator, lat: float, kx: float) -> list[dict[str, Any]]:
    """Zones of every kind and shape about 10° east, at the latitude given."""
    found = []
    for i in range(int(rng.integers(1, 9))):
        kind = str(rng.choice(["exclusion", "exclusion", "exclusion", "inclusion", "restriction"]))
        far_m = 3000.0 if kind == "exclusion" else 300.0
        at = 10.0 + rng.normal(0, far_m) / kx, lat + rng.normal(0, far_m) / 111_250.0
        size_m = float(rng.uniform(30, 1500)) * (1 if kind == "exclusion" else 3)
        zone: dict[str, Any] = blob(rng, *at, size_m, kx)
        shape = rng.integers(4)
        if shape == 0:
            zone = {"type": "Point", "coordinates": list(at), "radius_m": size_m}
        elif shape == 1 and kind != "inclusion":
            line = [list(at), [at[0] + 2000.0 / kx, at[1]], [at[0] + 2000.0 / kx, at[1] + 0.02]]
            zone = {"type": "LineString", "coordinates": line, "width_m": size_m}
        one: dict[str, Any] = {"id": f"z{i}", "type": kind, "name": f"Zone {i}", "zone": zone}
        if rng.integers(2):
            one["warning_m"] = float(rng.uniform(10, 400))
        if rng.integers(4) == 0:
            day = {"days": ["Mo"], "start": "07:00", "end": "09:00"}
            one["schedule"] = {"weekly": [day, day | {"start": "10:00", "end": "11:30"}]}
        found.append(one)
    return found


def walk(rng: np.random.Generator, lat: float, kx: float) -> Fixes:
    """Some hours: still, on foot or driving, now and then silent, far away or of no use."""
    steps_s = rng.choice([1, 10, 30, 60, 120, 600, 5000], 400, p=[0.05, 0.15, 0.2, 0.5, 0.05, 0.03, 0.02])
    speed = np.repeat(rng.choice([0.0, 1.0, 3.0, 15.0, 40.0], 40), 10)
    heading = np.cumsum(rng.normal(0, 0.4, 400))
    reach = np.minimum(speed * steps_s, 20_000.0)
    east, north = np.cumsum(reach * np.cos(heading)), np.cumsum(reach * np.sin(heading))
    # drawn back to the zones, so that something happens
    east, north = 2500.0 * np.sin(east / 2500.0), 2500.0 * np.sin(north / 2500.0)
    away = rng.integers(0, 40, 400) == 0
    at = np.stack([10.0 + (east + 60_000.0 * away) / kx, lat + (north + 30_000.0 * away) / 111_250.0], axis=1)
    precise = [3.0, 8.0, 25.0, 90.0, 250.0, 900.0, np.nan]
    precision_m = rng.choice(precise, 400, p=[0.3, 0.3, 0.2, 0.1, 0.05, 0.03, 0.02])
    t_ms = MONDAY_MS + 6 * HOUR_MS + np.cumsum(steps_s) * 1000
    rows = made(t_ms.tolist(), [tuple(one) for one in at.tolist()], precision_m.tolist())
    return fixes_from(rows, DEFAULT_RULES.precision_floor_m)


def judged(case: Any, fixes: Fixes, everything: bool) -> list[Alert]:
    """The alerts of the zones alone; with ``everything`` each zone is looked at for every position."""
    family = Geofence(DEFAULT_RULES)
    fence = family.enrol(case)
    assert fence is not None
    told: list[Alert] = []
    cuts = (np.flatnonzero(np.diff(fixes["t_ms"])) + 1).tolist() if everything else []
    for some in np.split(fixes, cuts):
        batch = batch_of(positions=some)
        told += family.advance(batch, [part_of(fence, batch)])
        # what comes back from a checkpoint has measured nothing yet
        if everything:
            family.restore(fence, family.save(fence))
    return sorted(
        told + family.tail([fence], int(fixes["t_ms"][-1]) + HOUR_MS)[0], key=lambda a: (a.start_ms, a.id)
    )


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("lat", [0.0, 53.0, -72.0, 79.5])
def test_a_zone_that_is_not_looked_at_would_have_shown_nothing(seed: int, lat: float) -> None:
    rng = np.random.default_rng([seed, round(lat + 90)])
    kx = 111_320.0 * float(np.cos(np.radians(lat)))
    drawn = conditions(rng, lat, kx)
    case = activation(order_from_json(order_json(conditions=drawn)))
    fixes = walk(rng, lat, kx)
    assert judged(case, fixes, everything=False) == judged(case, fixes, everything=True)
