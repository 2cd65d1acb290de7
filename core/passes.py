"""A pass inferred between two positions: kernels that follow the straight line from one to the other through a zone.

An inference, never a sighting: `core.geofence` says what it takes, and alerts mark it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from core.geometry import ZoneTable, metres_at, signed_distance
from core.kernel import BORROWS
from core.visits import OUT, PASSED, ZoneLimits

_FINEST_M = 1.0
_STEPS = 256
_SAMPLES = 64


@njit(**BORROWS)
def at(table: Any, k: int, lon: float, lat: float) -> Any:
    """Signed distance of one position to zone k."""
    kx, ky = metres_at(table.scales[k], lat)
    return signed_distance(table, k, lon, lat, kx, ky)


@njit(**BORROWS)
def through(
    table: Any, k: int, lon: float, lat: float, to_lon: float, to_lat: float, length_m: float, need_m: float
) -> Any:
    """Follow a line of ``length_m`` through zone k: the greatest depth, and the metres of it inside; 0, 0 if the line
    nowhere comes deeper than ``need_m``.

    Distance changes no faster than the line runs: from a place ``d`` metres outside the next ``d + need_m`` metres
    hold nothing deep enough, so few places are measured. Nothing deeper by more than a step's length (a metre, or a
    256th of the line) is passed over.
    """
    found = False
    along_m = 0.0
    finest_m = max(_FINEST_M, length_m / _STEPS)
    while along_m < length_m and not found:
        part = along_m / length_m
        distance_m = at(table, k, lon + part * (to_lon - lon), lat + part * (to_lat - lat))
        found = distance_m < -need_m
        along_m += max(distance_m + need_m, finest_m)
    deepest_m, inside = 0.0, 0
    if found:
        for i in range(_SAMPLES):
            part = (i + 0.5) / _SAMPLES
            distance_m = at(table, k, lon + part * (to_lon - lon), lat + part * (to_lat - lat))
            deepest_m = max(deepest_m, -distance_m)
            inside += 1 if distance_m < 0.0 else 0
        deepest_m = max(deepest_m, need_m)
    return deepest_m, inside * length_m / _SAMPLES


@njit(**BORROWS)
def _infer(
    visit: Any,
    draft: Any,
    plan: Any,
    was: Any,
    fix: Any,
    gap_m: float,
    calm_ms: int,
    table: ZoneTable,
    limits: Any,
) -> Any:
    """Two positions certainly OUT follow each other: True if the straight line between them passes the zone."""
    kx, ky = metres_at(table.scales[plan["zone"]], (fix["lat"] + was["at_lat"]) / 2.0)
    dx, dy = (fix["lon"] - was["at_lon"]) * kx, (fix["lat"] - was["at_lat"]) * ky
    length_m = np.sqrt(dx * dx + dy * dy)
    need_m = max(limits.pass_depth_m, fix["radius_m"], was["at_radius_m"], limits.pass_share * length_m)
    # a line that leaves one place and reaches the other gets no nearer than this to what lies between
    if gap_m + 2.0 * need_m >= length_m * 1.01:
        return False
    if gap_m + at(table, plan["zone"], was["at_lon"], was["at_lat"]) + 2.0 * need_m >= length_m * 1.01:
        return False
    deepest_m, inside_m = through(
        table, plan["zone"], was["at_lon"], was["at_lat"], fix["lon"], fix["lat"], length_m, need_m
    )
    if deepest_m == 0.0:
        return False
    step_ms = fix["t_ms"] - was["at_ms"]
    supported = was["at_ms"] - calm_ms >= limits.apart_ms
    if supported and visit["passing"] == 0 and length_m * 1000.0 <= limits.reach_m_s * step_ms:
        visit["passing"] = 1
        draft["kind"] = PASSED
        draft["period_ms"] = 0
        draft["start_ms"], draft["end_ms"] = was["at_ms"], fix["t_ms"]
        draft["since_ms"], draft["known_ms"], draft["fixes"] = was["at_ms"], 0, 2
        draft["extreme_m"], draft["line_m"], draft["inside_m"] = deepest_m, length_m, inside_m
        draft["first_key"], draft["end_key"] = was["at_key"], fix["key"]
        draft["confirm_key"], draft["extreme_key"], draft["last_key"] = 0, 0, 0
    else:
        visit["passing"] = 0
    return True


@njit(**BORROWS)
def passes(
    visit: Any, draft: Any, plan: Any, was: Any, linked: bool, fix: Any, gap_m: float, calm_ms: int, begun_ms: int,
    table: ZoneTable, limits: ZoneLimits, out: Any, count: int,
) -> Any:  # fmt: skip
    """A position certainly OUT, no visit going on: begin, confirm or drop a pass. Returns how many ``out`` has now."""
    t_ms, step_ms = fix["t_ms"], fix["t_ms"] - was["at_ms"]
    before_out = linked and (visit["touch_ms"] < was["at_ms"] or visit["was"] == OUT)
    if not before_out:
        visit["calm_ms"] = t_ms
    if step_ms > limits.within_ms:
        visit["passing"] = 0
    may_pass = before_out and step_ms <= limits.pass_within_ms and begun_ms <= was["at_ms"]
    waits = visit["passing"] == 1
    if may_pass and _infer(
        visit, draft, plan, was, fix, gap_m, max(calm_ms, visit["calm_ms"]), table, limits
    ):
        if waits:
            visit["passing"] = 0
        visit["calm_ms"] = t_ms
    elif waits and visit["passing"] == 1 and before_out and t_ms - draft["end_ms"] >= limits.apart_ms:
        visit["passing"] = 0
        draft["confirm_key"] = fix["key"]
        out[count] = draft
        count += 1
    return count
