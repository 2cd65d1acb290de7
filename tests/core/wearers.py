"""Wearers made up by hypothesis: orders, positions at known places, and how they arrive."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
from hypothesis import strategies as st

from core.activation import Activation
from core.order import Order, order_from_json
from core.readings import Positions

DAY_MS = 86_400_000
MONDAY_MS = int(datetime(2026, 6, 1, tzinfo=UTC).timestamp()) * 1000
"""A Monday in British Summer Time: 19:00 there is 18:00 UTC."""

HOME_AT = (0.0300, 51.5000)
PLACES = {
    "home": HOME_AT,
    "door": (0.0310, 51.5000),  # 70 m from home: shows nothing unless precise
    "street": (0.0350, 51.5000),
    "zone": (0.0100, 51.5050),
    "edge": (0.020043, 51.5050),  # 3 m outside
    "kerb": (0.0207, 51.5050),  # 49 m outside
    "far": (0.3, 51.7),
}


def square(west: float, south: float, east: float, north: float) -> dict[str, Any]:
    ring = [[west, south], [east, south], [east, north], [west, north], [west, south]]
    return {"type": "Polygon", "coordinates": [ring]}


def order_json(**changes: Any) -> dict[str, Any]:
    document: dict[str, Any] = {
        "order_id": "order-1",
        "version": 1,
        "regime": "bail",
        "wearer": {"id": "wearer-1", "name": "A. Person"},
        "effective": "2026-01-01T00:00:00Z",
        "conditions": [exclusion(), curfew()],
    }
    return document | changes


def exclusion(condition_id: str = "zone-1", zone: object = None) -> dict[str, Any]:
    drawn = square(0.0, 51.500, 0.02, 51.51) if zone is None else zone
    return {"id": condition_id, "type": "exclusion", "name": "Town centre", "zone": drawn}


def curfew(
    start: str = "19:00", end: str = "07:00", days: Sequence[str] = (), at: Any = HOME_AT
) -> dict[str, Any]:
    week = list(days) or ["Mo", "Tu", "We", "Th", "Fr", "Sa", "Su"]
    return {
        "id": "curfew-1",
        "type": "curfew",
        "address": {"name": "primary", "latitude": at[1], "longitude": at[0], "radius_m": 50},
        "timetable": [{"days": week, "start": start, "end": end}],
    }


def activation(order: Order | None = None, **changes: Any) -> Activation:
    order = order or order_from_json(order_json())
    given: dict[str, Any] = {
        "id": "activation-1",
        "device": "tag0001",
        "order": order,
        "fitted_ms": MONDAY_MS,
    }
    return Activation(**(given | changes))


def positions(*rows: tuple[int, str] | tuple[int, str, float] | tuple[int, str, float, int]) -> Positions:
    """Positions from (t_ms, place[, precision_m[, flags]]), numbered as they stand."""
    full = [(*row, *(10.0, 7)[len(row) - 2 :]) for row in rows]
    return made(
        [row[0] for row in full],
        [PLACES[str(row[1])] for row in full],
        [float(row[2]) for row in full],
        [int(row[3]) for row in full],
    )


def made(
    t_ms: Sequence[int],
    places: Sequence[tuple[float, float]],
    precision_m: Sequence[float],
    flags: Sequence[int] | None = None,
) -> Positions:
    n = len(t_ms)
    nothing = np.full(n, np.nan)
    at = np.array(places, np.float64).reshape(-1, 2)
    return Positions(
        t_ms=np.array(t_ms, np.int64),
        lat=at[:, 1].copy(),
        lon=at[:, 0].copy(),
        precision_m=np.array(precision_m, np.float64),
        speed_kmh=nothing.copy(),
        course_deg=nothing,
        hdop=nothing,
        satellites=np.full(n, 9, np.int16),
        flags=np.array([7] * n if flags is None else flags, np.uint8),
        epoch=np.full(n, 77, np.uint32),
        seq=np.arange(1, n + 1, dtype=np.uint32),
    )


@dataclass(frozen=True)
class Case:
    """An activation, its positions in the order they were made, and when it is judged at last."""

    activation: Activation
    positions: Positions
    now_ms: int


ZONES = [square(0.0, 51.500, 0.02, 51.51), square(0.0, 51.499, 0.04, 51.51), square(0.5, 51.4, 0.51, 51.41)]
# at, below and above every threshold
STEPS_S = [0, 1, 5, 9, 10, 11, 60, 60, 60, 149, 150, 151, 899, 900, 901, 1049, 1050, 1051, 3600, 7200]
CURFEW_S = 18 * 3600
"""When the evening curfew begins on the first day, seconds after its midnight in UTC."""
stays = st.tuples(
    st.sampled_from(["home", "home", "street", "street", "zone", "zone", "far", "door", "edge", "kerb"]),
    st.integers(1, 6),
    st.sampled_from(STEPS_S),
    st.sampled_from([10.0, 10.0, 10.0, 10.0, 10.0, 2.0, 60.0, np.nan]),
    st.sampled_from([7, 7, 7, 7, 7, 7, 7, 15, 71, 4]),
)


@st.composite
def orders(draw: st.DrawFn, version: int, effective_s: int) -> Order:
    conditions = []
    if draw(st.booleans()):
        conditions.append(exclusion(zone=draw(st.sampled_from(ZONES))))
    if draw(st.booleans()):
        conditions.append(exclusion("zone-2", draw(st.sampled_from(ZONES))))
    if draw(st.booleans()) or not conditions:
        start, end = draw(
            st.sampled_from([("19:00", "07:00"), ("01:00", "01:20"), ("12:00", "13:30"), ("00:00", "24:00")])
        )
        at = PLACES[draw(st.sampled_from(["home", "home", "street"]))]
        conditions.append(curfew(start, end, at=at))
    effective = datetime.fromtimestamp(MONDAY_MS // 1000 + effective_s, UTC).isoformat()
    return order_from_json(order_json(version=version, effective=effective, conditions=conditions))


@st.composite
def cases(draw: st.DrawFn, most: int = 60) -> Case:
    first = draw(orders(1, -DAY_MS // 1000))
    later = [
        draw(orders(2 + i, draw(st.sampled_from([CURFEW_S - 1800, CURFEW_S, CURFEW_S + 600, 3600]))))
        for i in range(draw(st.sampled_from([0, 0, 0, 1, 2])))
    ]
    fitted_ms = MONDAY_MS + draw(st.sampled_from([0, 0, 0, CURFEW_S - 600, CURFEW_S + 3600])) * 1000
    removed_ms = draw(st.none() | st.none() | st.integers(1, 90_000).map(lambda s: fitted_ms + s * 1000))
    stayed = draw(st.lists(stays, min_size=draw(st.sampled_from([0, 3, 6])), max_size=most // 4))
    moves = [(place, step, precision, flags) for place, n, step, precision, flags in stayed for _ in range(n)]
    first_s = draw(
        st.sampled_from([CURFEW_S - 3600, CURFEW_S - 150, CURFEW_S - 10, CURFEW_S, 0, -300, 39_600])
    )
    t_ms = MONDAY_MS + first_s * 1000 + np.cumsum([move[1] * 1000 for move in moves], dtype=np.int64)
    rows = made(
        t_ms.tolist(),
        [PLACES[move[0]] for move in moves],
        [move[2] for move in moves],
        [move[3] for move in moves],
    )
    last = int(t_ms[-1]) if moves else fitted_ms
    after_s = draw(st.sampled_from([-7200, -300, 0, 60, 150, 1049, 1050, 1051, 3600, 43_200, 172_800]))
    this, *earlier = reversed([first, *later])
    case = activation(this, fitted_ms=fitted_ms, removed_ms=removed_ms, earlier=tuple(earlier))
    return Case(case, rows, last + after_s * 1000)
