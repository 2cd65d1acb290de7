"""Visits to zones: kernels that carry three-valued positions to confirmed visits. `core.geofence` says what they mean.

Speed comes from not doing work. While nothing is going on, each wearer keeps how far the nearest zone was from the last
position tested in full; positions that stay within that clearance are outside of every zone without being tested.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from core.episodes import EPISODE, Limits, emit
from core.geometry import ZoneTable, box_distance, metres_at, signed_distance

INSIDE, OUTSIDE, UNCERTAIN = 1, 2, 0

VISIT = np.dtype(
    [
        ("open", np.int64),
        ("run", np.int64),  # INSIDE or OUTSIDE: consecutive certain positions that agree; UNCERTAIN: none
        ("run_start_ms", np.int64),
        ("run_start_key", np.uint64),
        ("run_last_ms", np.int64),
        ("out_ms", np.int64),  # last position certainly outside
    ]
)
ANCHOR = np.dtype(
    [
        ("span_ms", np.int64),  # which version of the order the clearance was measured for
        ("lat", np.float64),  # the position tested in full
        ("lon", np.float64),
        ("kx", np.float64),  # metres per degree there, or more
        ("ky", np.float64),
        ("clear_m", np.float64),  # no zone is nearer than this; negative: test every position
        ("out_ms", np.int64),  # last position that was outside of every zone untested
    ]
)
STINT = (
    np.dtype(  # positions lo to hi, of one wearer, under one version of the order, with zones first to last
        [
            ("anchor", np.int64),
            ("span_ms", np.int64),
            ("lo", np.int64),
            ("hi", np.int64),
            ("first", np.int64),
            ("last", np.int64),
        ]
    )
)

_CLEAR_CAP_M = 50_000.0
"""A clearance is not trusted further: over 50 km metres per degree change by 2 % at 70°, a tenth is allowed for."""
_CLEAR_LATITUDE = 75.0
_DEGREE_M = 111_700.0
"""More than a degree of latitude measures anywhere on the ellipsoid."""


@njit(cache=True)
def _inside(visit: Any, draft: Any, t_ms: int, key: int, depth_m: float, out_ms: int, limits: Limits) -> None:
    """A position certainly inside."""
    step = t_ms - visit["run_last_ms"]
    if visit["run"] == INSIDE and step <= limits.within_ms:
        if step <= limits.vouch_ms:
            draft["known_ms"] += step
    else:
        visit["run"] = INSIDE
        visit["run_start_ms"] = t_ms
        if visit["open"] == 0:
            draft["start_ms"] = t_ms
            draft["since_ms"] = max(out_ms, visit["out_ms"])
            draft["known_ms"] = 0
            draft["fixes"] = 0
            draft["extreme_m"] = 0.0
            draft["first_key"] = key
            draft["end_key"] = 0
    visit["run_last_ms"] = t_ms
    draft["fixes"] += 1
    draft["last_key"] = key
    if depth_m > draft["extreme_m"]:
        draft["extreme_m"] = depth_m
        draft["extreme_key"] = key
    if visit["open"] == 0 and t_ms - visit["run_start_ms"] >= limits.apart_ms:
        visit["open"] = 1
        draft["confirm_key"] = key


@njit(cache=True)
def _outside(visit: Any, draft: Any, t_ms: int, key: int, limits: Limits) -> Any:
    """A position certainly outside; True when it ends a visit."""
    visit["out_ms"] = t_ms
    if visit["open"] == 0:
        visit["run"] = UNCERTAIN
        return False
    if visit["run"] != OUTSIDE or t_ms - visit["run_last_ms"] > limits.within_ms:
        visit["run"] = OUTSIDE
        visit["run_start_ms"] = t_ms
        visit["run_start_key"] = key
    visit["run_last_ms"] = t_ms
    if t_ms - visit["run_start_ms"] < limits.apart_ms:
        return False
    draft["end_ms"] = visit["run_start_ms"]
    draft["end_key"] = visit["run_start_key"]
    visit["open"] = 0
    visit["run"] = UNCERTAIN
    return True


@njit(cache=True)
def watch_zones(
    fixes: Any,
    stints: Any,
    slots: Any,
    zones: Any,
    table: ZoneTable,
    anchors: Any,
    visits: Any,
    drafts: Any,
    limits: Limits,
) -> Any:
    """Carry the visits of every stint on through its positions; the episodes that ended.

    ``slots`` and ``zones`` say, from ``first`` to ``last`` of a stint, which visit row watches which zone of ``table``.
    """
    out = np.empty(16, EPISODE)
    count = 0
    for s in range(len(stints)):
        stint = stints[s]
        anchor = anchors[stint["anchor"]]
        if anchor["span_ms"] != stint["span_ms"]:
            anchor["span_ms"] = stint["span_ms"]
            anchor["clear_m"] = -1.0
        for i in range(stint["lo"], stint["hi"]):
            fix = fixes[i]
            radius_m = fix["radius_m"]
            if not radius_m < np.inf:
                continue
            t_ms, lon, lat = fix["t_ms"], fix["lon"], fix["lat"]
            if anchor["clear_m"] > 0.0:
                dx = (lon - anchor["lon"]) * anchor["kx"]
                dy = (lat - anchor["lat"]) * anchor["ky"]
                if 1.1 * np.sqrt(dx * dx + dy * dy) + radius_m < 0.9 * anchor["clear_m"]:
                    anchor["out_ms"] = t_ms
                    continue
            clear_m = _CLEAR_CAP_M if abs(lat) <= _CLEAR_LATITUDE else -1.0
            widest_kx = 0.0
            for q in range(stint["first"], stint["last"]):
                k, visit, draft = zones[q], visits[slots[q]], drafts[slots[q]]
                kx, ky = metres_at(table.scales[k], lat)
                # right for every zone within a degree of latitude; those beyond are out of reach of any clearance
                widest_kx = max(widest_kx, kx)
                distance_m = box_distance(table, k, lon, lat, kx, ky)
                if distance_m <= radius_m:
                    distance_m = signed_distance(table, k, lon, lat, kx, ky)
                if distance_m < -radius_m:
                    _inside(visit, draft, t_ms, fix["key"], -distance_m, anchor["out_ms"], limits)
                elif distance_m > radius_m and _outside(visit, draft, t_ms, fix["key"], limits):
                    out = emit(out, count, draft)
                    count += 1
                going_on = visit["open"] == 1 or visit["run"] != UNCERTAIN
                clear_m = -1.0 if going_on else min(clear_m, distance_m)
            anchor["lat"], anchor["lon"] = lat, lon
            anchor["kx"], anchor["ky"], anchor["clear_m"] = widest_kx, _DEGREE_M, clear_m
    return out[:count]
