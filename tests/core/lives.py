"""Whole lives under order, made up by hypothesis: every kind of condition, every kind of reading, over two days.

Nothing here need make sense of a person. What matters is that every rule is reached, at its thresholds and across its
edges: versions of an order, suspensions, excuses, schedules, clock changes, fitting and removal.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
from hypothesis import strategies as st

from core.activation import Activation
from core.alerts import iso_utc
from core.order import Order, order_from_json
from core.readings import Contacts, EventCode, Events, Positions, Readings, Samples, UnitFlag
from tests.core.wearers import MONDAY_MS, PLACES, STEPS_S, exclusion, made, order_json, square

MINUTE_MS, HOUR_MS = 60_000, 3_600_000
BEGINNINGS_MS = [
    MONDAY_MS + 12 * HOUR_MS,
    int(datetime(2026, 10, 24, 12, tzinfo=UTC).timestamp()) * 1000,  # the clock goes back that night
    int(datetime(2026, 3, 28, 12, tzinfo=UTC).timestamp()) * 1000,  # and forward
]
CENTRE, WIDER = square(0.0, 51.500, 0.02, 51.51), square(0.0, 51.499, 0.04, 51.51)
CIRCLE = {"type": "Point", "coordinates": [0.0100, 51.5050], "radius_m": 300}
CORRIDOR = {"type": "LineString", "coordinates": [[0.0, 51.5], [0.034, 51.5]], "width_m": 60}
PLACED = {**PLACES, "ring": (0.0215, 51.5050), "west": (-0.0030, 51.5050), "elsewhere": (-0.3, 51.3)}
WEEK = ["Mo", "Tu", "We", "Th", "Fr", "Sa", "Su"]
HOURS = [
    *[("19:00", "07:00")] * 3,
    *[("19:00", "19:20")] * 3,
    ("00:30", "01:50"),
    ("01:10", "01:40"),
    ("12:00", "13:30"),
    ("00:00", "24:00"),
]


@dataclass(frozen=True)
class Life:
    """An activation as it is known at last, all its readings in the order they were made, and when it is judged."""

    activation: Activation
    readings: Readings
    now_ms: int


def timetable(draw: st.DrawFn) -> list[dict[str, Any]]:
    start, end = draw(st.sampled_from(HOURS))
    return [{"days": WEEK, "start": start, "end": end}]


def interval(draw: st.DrawFn, begins_ms: int) -> dict[str, str]:
    first = draw(st.integers(-2, 40))
    return {
        "from": iso_utc(begins_ms + first * HOUR_MS),
        "to": iso_utc(begins_ms + (first + draw(st.integers(1, 9))) * HOUR_MS),
    }


def schedule(draw: st.DrawFn, begins_ms: int) -> dict[str, Any]:
    weekly = {"weekly": timetable(draw)}
    dated = {"dated": [interval(draw, begins_ms)]}
    without = {"exceptions": [interval(draw, begins_ms)]} if draw(st.booleans()) else {}
    chosen: dict[str, Any] = draw(st.sampled_from([weekly, dated, weekly | dated]))
    return chosen | without


def address(name: str, place: str) -> dict[str, Any]:
    longitude, latitude = PLACED[place]
    return {"name": name, "latitude": latitude, "longitude": longitude, "radius_m": 50}


def condition(draw: st.DrawFn, kind: str, begins_ms: int) -> dict[str, Any]:
    found: dict[str, Any]
    if kind == "curfew":
        found = {"id": "curfew-1", "type": kind, "timetable": timetable(draw)}
        found["address"] = address("primary", draw(st.sampled_from(["home", "home", "street"])))
        if draw(st.integers(0, 2)) == 0:
            found["also"] = [{"address": address("secondary", "zone"), "timetable": timetable(draw)}]
        return found
    if kind == "alcohol":
        limit = draw(st.sampled_from([None, None, 0.08]))
        found = {"id": "alcohol-1", "type": kind, "mode": "abstinence" if limit is None else "limit"}
        return found if limit is None else found | {"limit_tac_g_dl": limit}
    if kind == "trail":
        return {"id": "trail-1", "type": kind}
    found = exclusion(kind, draw(st.sampled_from([CENTRE, WIDER, CIRCLE, CORRIDOR])))
    found["type"] = kind
    if kind == "attendance":
        found |= {"schedule": schedule(draw, begins_ms), "grace_min": 10}
        return found | {"at_least_min": 30} if draw(st.booleans()) else found
    if draw(st.booleans()):
        found["warning_m"] = draw(st.sampled_from([40, 150]))
    if draw(st.integers(0, 2)) == 0:
        found["schedule"] = schedule(draw, begins_ms)
    return found


KINDS = ["curfew", "exclusion", "inclusion", "restriction", "attendance", "alcohol", "trail"]


@st.composite
def orders(draw: st.DrawFn, version: int, begins_ms: int, effective_ms: int) -> Order:
    kinds = draw(
        st.lists(st.sampled_from(KINDS), min_size=draw(st.sampled_from([1, 3])), max_size=5, unique=True)
    )
    conditions = [condition(draw, kind, begins_ms) for kind in kinds]
    for one in conditions:
        if draw(st.integers(0, 7)) == 0:
            one |= interval(draw, begins_ms)
    changes: dict[str, Any] = {}
    if draw(st.integers(0, 3)) == 0:
        changes["suspensions"] = [interval(draw, begins_ms) | {"reason": "in hospital"}]
    if draw(st.integers(0, 3)) == 0:
        kind = draw(st.sampled_from(["authorised_absence", "reasonable_excuse"]))
        changes["discounts"] = [interval(draw, begins_ms) | {"kind": kind, "reason": "told"}]
        if draw(st.booleans()):
            changes["discounts"][0]["recorded"] = interval(draw, begins_ms)["from"]
    if draw(st.integers(0, 2)) == 0:
        changes["atv_allowance_min"] = draw(st.sampled_from([1, 5, 30]))
    effective = iso_utc(effective_ms)
    return order_from_json(order_json(version=version, effective=effective, conditions=conditions, **changes))


def times(draw: st.DrawFn, first_ms: int, count: int, steps_s: list[int]) -> list[int]:
    """Instants one after the other, every minute or by ``steps_s``."""
    first = first_ms + draw(st.sampled_from([0, 0, 0, -30, 180])) * MINUTE_MS
    usual = draw(st.sampled_from([[60], steps_s, steps_s]))
    steps = draw(st.lists(st.sampled_from(usual), min_size=count, max_size=count))
    found: list[int] = (first + 1000 * np.cumsum(np.array(steps, np.int64))).tolist()
    return found


def places(draw: st.DrawFn, first_ms: int, most: int) -> Positions:
    stays = draw(
        st.lists(
            st.tuples(
                st.sampled_from([*["home", "street", "zone"] * 4, *PLACED]),
                st.sampled_from([1, 2, 3, 6, 15]),
                st.sampled_from([10.0] * 8 + [2.0, 60.0, np.nan]),
                # bit 7: the tag's motion sensor felt nothing since the position before, whatever that says
                st.sampled_from([7] * 8 + [135] * 5 + [15, 71, 4]),
                st.sampled_from([np.nan, np.nan, 0.0, 5.0]),
            ),
            max_size=most // 4,
        )
    )
    rows = [(place, precision, flags, kmh) for place, n, precision, flags, kmh in stays for _ in range(n)]
    t_ms = times(draw, first_ms, len(rows), STEPS_S)
    found = made(t_ms, [PLACED[row[0]] for row in rows], [row[1] for row in rows], [row[2] for row in rows])
    found.speed_kmh[:] = [row[3] for row in rows]
    if len(rows) > 2 and draw(st.integers(0, 3)) == 0:  # a number out of turn
        i, j = draw(st.integers(0, len(rows) - 1)), draw(st.integers(0, len(rows) - 1))
        found.seq[[i, j]] = found.seq[[j, i]]
    return found


def heard(draw: st.DrawFn, first_ms: int, most: int) -> Contacts:
    mains = int(UnitFlag.MAINS)
    odd = [0, mains | int(UnitFlag.MOVED), mains | int(UnitFlag.CASE_OPEN), mains | int(UnitFlag.BATTERY_LOW)]
    odd.append(mains | int(UnitFlag.DOUBTFUL))
    stretches = draw(
        st.lists(
            st.tuples(
                st.sampled_from([4, 4, 0, 0, 1]),
                st.sampled_from([1, 3, 8, 15]),
                st.sampled_from([mains] * 5 + odd),
            ),
            max_size=most // 5,
        )
    )
    rows = [(count, ok) for count, n, ok in stretches for _ in range(n)]
    n = len(rows)
    count = np.array([row[0] for row in rows], np.int64)
    dbm = np.where(count > 0, draw(st.sampled_from([-60.0, -60.0, -99.0])), np.nan)
    return Contacts(
        np.array(times(draw, first_ms, n, [0, 30, 60, 60, 60, 60, 149, 151, 901, 7200]), np.int64),
        np.array([draw(st.sampled_from([60.0, 60.0, 0.0, 300.0])) for _ in rows], np.float64),
        count,
        dbm,
        dbm,
        np.array([draw(st.sampled_from([0, 0, 0, 1])) for _ in rows], np.int64),
        np.array([row[1] for row in rows], np.uint8),
        np.full(n, 90, np.uint32),
        np.arange(1, n + 1, dtype=np.uint32),
    )


def sampled(draw: st.DrawFn, first_ms: int, most: int) -> Samples:
    climbs = draw(
        st.lists(
            st.tuples(st.sampled_from([0.0, 0.012, 0.024, -0.012, -0.012, -0.03, 0.12]), st.integers(1, 6)),
            max_size=most // 4,
        )
    )
    steps = [step for step, n in climbs for _ in range(n)]
    n = len(steps)
    tac, value = [], 0.0
    for step in steps:
        value = min(0.4, max(0.0, round(value + step, 3)))
        tac.append(value if draw(st.integers(0, 30)) else np.nan)
    return Samples(
        np.array(times(draw, first_ms, n, [300, 1800, 1800, 1800, 1800, 4500, 4501, 7201]), np.int64),
        np.array(tac, np.float64),
        np.array([draw(st.sampled_from([1.0] * 8 + [1.6, np.nan])) for _ in steps], np.float64),
        np.array([draw(st.sampled_from([30.0] * 8 + [20.0, 4.0])) for _ in steps], np.float64),
        np.array([draw(st.sampled_from([3] * 9 + [0])) for _ in steps], np.uint8),
        np.full(n, 79, np.uint32),
        np.arange(1, n + 1, dtype=np.uint32),
    )


def happened(draw: st.DrawFn, first_ms: int, most: int) -> Events:
    power = [EventCode.BATTERY, *[EventCode.BATTERY_PERCENT] * 4, EventCode.CHARGER_ON, EventCode.CHARGER_OFF]
    likely = draw(st.sampled_from([[], power, list(EventCode)]))
    codes = draw(st.lists(st.sampled_from(likely), max_size=most // 3)) if likely else []
    values = {
        EventCode.BATTERY: [4100.0, 3700.0, 3600.0, 3350.0, 0.0],
        EventCode.BATTERY_PERCENT: [80.0, 40.0, 22.0, 19.0, 12.0, 9.0],
    }
    n = len(codes)
    return Events(
        np.array(times(draw, first_ms, n, [0, 30, 60, 900, 901, 1800, 7200]), np.int64),
        np.array([int(code) for code in codes], np.int64),
        np.array([draw(st.sampled_from(values.get(code, [0.0, 1.0, np.nan]))) for code in codes], np.float64),
        np.full(n, 80, np.uint32),
        np.arange(1, n + 1, dtype=np.uint32),
    )


@st.composite
def lives(draw: st.DrawFn, name: str = "activation-1", most: int = 40) -> Life:
    """One life; ``most`` bounds its readings of each kind roughly."""
    begins_ms = draw(st.sampled_from(BEGINNINGS_MS))
    after_h = [-24, *(draw(st.integers(0, 30)) for _ in range(draw(st.sampled_from([0, 0, 1, 2]))))]
    versions = [
        draw(orders(1 + i, begins_ms, begins_ms + hours * HOUR_MS)) for i, hours in enumerate(after_h)
    ]
    fitted_ms = begins_ms + draw(st.sampled_from([0, 0, 0, 7 * HOUR_MS, 18 * HOUR_MS]))
    removed_ms = draw(st.none() | st.none() | st.integers(1, 40).map(lambda h: fitted_ms + h * HOUR_MS))
    this, *earlier = reversed(versions)
    case = Activation(name, "tag0001", this, fitted_ms, removed_ms, tuple(earlier))
    # about noon, the evening's curfew, or the hour of the night in which the clock may change
    first_ms = begins_ms + draw(st.sampled_from([-5, 0, 357, 357, 357, 360, 417, 11 * 60])) * MINUTE_MS
    some = [makes(draw, first_ms, most) for makes in (places, heard, sampled, happened)]
    readings = Readings(*some)  # type: ignore[arg-type]  # in the order of the kinds
    last_ms = max([fitted_ms, *(int(rows.t_ms[-1]) for rows in readings.kinds() if len(rows))])
    after_s = draw(st.sampled_from([-7200, 0, 150, 901, 4500, 7201, 14_401, 43_200, 172_800]))
    return Life(case, readings, last_ms + after_s * 1000)
