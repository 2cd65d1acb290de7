"""What an all-seeing eye would count in a life: visits, absences, drinking. By shapely and plain arithmetic."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime, timedelta
from typing import Any, NamedTuple

import numpy as np
import shapely
from shapely.geometry import shape

from core.order import DiscountKind, order_from_json
from core.readings import F64, I64
from core.timetable import instant
from sim.civil import LONDON
from sim.life import Life
from sim.market import MARKET

STEP_MS = 20_000
LEAST_MIN = {"exclusion": 3, "curfew": 5, "inclusion": 5, "restriction": 5}
"""Shorter ones are not counted by a score."""
LEAST = {"exclusion": 30.0, "inclusion": 30.0, "restriction": 30.0, "drinking": 0.03}
"""Nor shallower ones (m), nor what stays below (g/dl)."""
_LAT_M = 111_195.0
_LON_M = _LAT_M * np.cos(np.radians(MARKET.lat))
_DAYS = ("Mo", "Tu", "We", "Th", "Fr", "Sa", "Su")


class Seen(NamedTuple):
    """Something that happened: of which condition, for how long, how deep or high."""

    kind: str
    start_ms: int
    minutes: float
    most: float = 0.0


def _plane(degrees: F64) -> F64:
    return (degrees - (MARKET.lon, MARKET.lat)) * (_LON_M, _LAT_M)


def ground(zone: dict[str, Any]) -> Any:
    """A zone as a shape in metres east and north of the market."""
    drawn = shapely.transform(shape(zone), _plane)
    if zone["type"] == "Point":
        return drawn.buffer(zone["radius_m"], 64)
    return drawn.buffer(zone["width_m"] / 2, 32) if zone["type"] == "LineString" else drawn


def weekly(entries: list[dict[str, Any]], life: Life) -> list[tuple[int, int]]:
    """The periods of a timetable that overlap a life, cut to it."""
    first = datetime.fromtimestamp(life.start_ms / 1000, LONDON).date() - timedelta(days=2)
    found = []
    for day in (first + timedelta(days=n) for n in range((life.end_ms - life.start_ms) // 86_400_000 + 5)):
        for entry in entries:
            if _DAYS[day.weekday()] in entry["days"]:
                start, end = _at(day, entry["start"]), _at(day, entry["end"])
                end = end if end > start else _at(day + timedelta(days=1), entry["end"])
                if start < life.end_ms and end > life.start_ms:
                    found.append((max(start, life.start_ms), min(end, life.end_ms)))
    return sorted(found)


def _at(day: date, text: str) -> int:
    return instant(day, int(text[:2]) * 60 + int(text[3:]), LONDON)


def _runs(held: Any) -> Iterator[tuple[int, int]]:
    edges = np.diff(np.concatenate([[0], np.asarray(held, np.int8), [0]]))
    yield from zip(np.flatnonzero(edges == 1).tolist(), np.flatnonzero(edges == -1).tolist(), strict=True)


def _during(t: I64, spans: list[tuple[int, int]]) -> Any:
    held = np.zeros(len(t), np.bool_)
    for start, end in spans:
        held |= (t >= start) & (t < end)
    return held


def whereabouts(life: Life) -> tuple[I64, F64, F64]:
    """Instants 20 s apart, and metres east and north of the market."""
    t = np.arange(life.start_ms, life.end_ms, STEP_MS)
    lat, lon = life.way.at(t)
    return t, (lon - MARKET.lon) * _LON_M, (lat - MARKET.lat) * _LAT_M


def seen(life: Life) -> Iterator[Seen]:
    """Everything against the order of a life, whatever its tags made of it."""
    t, x, y = whereabouts(life)
    minutes = STEP_MS / 60_000
    for condition in life.order["conditions"]:
        kind = condition["type"]
        times = condition.get("schedule", {}).get("weekly")
        due = np.ones(len(t), np.bool_) if times is None else _during(t, weekly(times, life))
        if kind in ("exclusion", "inclusion", "restriction"):
            area = ground(condition["zone"])
            inside = shapely.contains_xy(area, x, y)
            forbidden = (inside if kind == "exclusion" else ~inside) & due
            for a, b in _runs(forbidden):
                deep = shapely.distance(area.boundary, shapely.points(x[a:b], y[a:b])).max()
                yield Seen(kind, int(t[a]), (b - a) * minutes, float(deep))
        elif kind == "attendance":
            inside = shapely.contains_xy(ground(condition["zone"]), x, y)
            for start, end in weekly(times, life):
                there = inside & (t >= start) & (t < end)
                if there.sum() * minutes < condition["at_least_min"]:
                    yield Seen(kind, start, there.sum() * minutes)
        elif kind == "curfew":
            yield from _absences(life, condition, t, x, y)
    yield from (Seen("drinking", a, (b - a) / 60_000, peak) for a, b, peak in drinking(life))
    yield from (Seen("strap", a, (b - a) / 60_000) for a, b in life.off_ankle)


def _absences(life: Life, condition: dict[str, Any], t: I64, x: F64, y: F64) -> Iterator[Seen]:
    excused = [
        (d.from_ms, d.to_ms)
        for d in order_from_json(life.order).discounts
        if d.kind == DiscountKind.AUTHORISED_ABSENCE
    ]
    for place in (condition, *condition.get("also", ())):
        at = place["address"]
        far = np.hypot(
            x - (at["longitude"] - MARKET.lon) * _LON_M, y - (at["latitude"] - MARKET.lat) * _LAT_M
        )
        for start, end in weekly(place["timetable"], life):
            out = (far > at["radius_m"]) & (t >= start) & (t < end) & ~_during(t, excused)
            for a, b in _runs(out):
                yield Seen("curfew", int(t[a]), (b - a) * STEP_MS / 60_000, float(far[a:b].max()))


def drinking(life: Life) -> Iterator[tuple[int, int, float]]:
    """Stretches (ms, ms) with alcohol in the blood, and its peak (g/dl), by Widmark."""
    if not life.drinks:
        return
    body, step = life.body, 300_000
    t = np.arange(life.drinks[0].start_ms, life.end_ms + 86_400_000, step)
    taken = np.zeros(len(t))
    for drink in life.drinks:
        # as much every minute, and half an hour until it is in the blood
        taken += drink.grams * np.clip(
            (t - drink.start_ms) / (drink.end_ms - drink.start_ms + 1_800_000), 0, 1
        )
    rise = np.diff(taken, prepend=0.0) / (body.weight_kg * 1000 * body.widmark) * 100
    level, levels = 0.0, np.empty(len(t))
    for i, more in enumerate(rise.tolist()):
        level = max(level + more - body.elimination_g_dl_h * step / 3_600_000, 0.0)
        levels[i] = level
    for a, b in _runs(levels > 0):
        yield int(t[a]), int(t[b - 1]), float(levels[a:b].max())
