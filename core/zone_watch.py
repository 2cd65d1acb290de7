"""Zones watched: kernels that carry every zone of many wearers on through positions.

Speed comes from not doing work. While nothing is going on, each wearer keeps how far away anything forbidden was from
the last position tested in full; positions that stay within that clearance are certainly OUT of it, untested.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from core.episodes import EPISODE, NEVER_MS, emit
from core.geometry import ZoneTable, box_distance, metres_at, signed_distance
from core.passes import passes
from core.rows import first_at
from core.visits import IN, OUT, UNCERTAIN, ZoneLimits, first_after, pass_time, step_in, step_out
from core.zone_silence import known_from, lose, lost_from, see

ANCHOR = np.dtype(
    [
        ("span_ms", np.int64),  # since when the zones have been those that the clearance was measured for
        ("lat", np.float64),  # the position tested in full
        ("lon", np.float64),
        ("kx", np.float64),  # metres per degree there, or more
        ("ky", np.float64),
        ("clear_m", np.float64),  # nothing forbidden is nearer than this; negative: test every position
        ("out_ms", np.int64),  # last position that was OUT of everything untested
        ("calm_ms", np.int64),  # since when positions have followed each other closely enough to agree
        ("at_ms", np.int64),  # the last position that tells a place
        ("at_lat", np.float64),
        ("at_lon", np.float64),
        ("at_radius_m", np.float64),
        ("at_key", np.uint64),
        ("seen_ms", np.int64),  # the last position that told where the wearer was
        ("seen_lat", np.float64),
        ("seen_lon", np.float64),
        ("seen_radius_m", np.float64),
        ("seen_key", np.uint64),
    ]
)
PLAN = np.dtype(  # one zone of one wearer: visit row, zone in the table, and its periods
    [
        ("slot", np.int32),
        ("zone", np.int32),
        ("sense", np.float64),  # 1: inside is forbidden; -1: outside is
        ("margin_m", np.float64),  # so much further reaches what is forbidden (a warning ring)
        (
            "main",
            np.int64,
        ),  # 1: the zone itself; 0: its warning ring, of which neither passes nor silence are told
        ("from_ms", np.int64),  # since when it has been watched
        ("to_ms", np.int64),  # and until when
        ("first", np.int32),  # periods of the pool
        ("last", np.int32),
    ]
)
STINT = (
    np.dtype(  # positions lo to hi of one wearer, plans first to last; to over those of watches that are over
        [(name, np.int64) for name in ("anchor", "span_ms", "lo", "hi", "first", "last", "over")]
    )
)
PIECE = (
    np.dtype(  # from when to when the plans first to last hold; to over are those of watches that are over
        [(name, np.int64) for name in ("from_ms", "to_ms", "first", "last", "over")]
    )
)

_CLEAR_CAP_M = 50_000.0
"""A clearance is not trusted further: over 50 km metres per degree change by 2 % at 70°, a tenth is allowed for."""
_CLEAR_LATITUDE = 75.0
_DEGREE_M = 111_700.0
"""More than a degree of latitude measures anywhere on the ellipsoid."""


@njit(cache=True)
def stints(t_ms: Any, parts: Any, fences: Any, pieces: Any) -> Any:
    """What each of ``parts`` (anchor, first and last+1 position) is judged by: rows of `STINT`, none without positions.

    ``t_ms`` are those of the positions; the pieces of an anchor, ascending and next to each other, stand in ``fences``.
    """
    total = 0
    for p in range(len(parts)):
        total += fences[parts[p, 0]]["pieces"]
    found = np.empty(total, STINT)
    count = 0
    for p in range(len(parts)):
        i, hi = parts[p, 1], parts[p, 2]
        first = fences[parts[p, 0]]["piece"]
        for q in range(first, first + fences[parts[p, 0]]["pieces"]):
            piece = pieces[q]
            lo = first_at(t_ms, i, hi, piece["from_ms"])
            i = first_at(t_ms, lo, hi, piece["to_ms"])
            if lo < i:
                stint = found[count]
                stint["anchor"], stint["span_ms"], stint["lo"], stint["hi"] = (
                    parts[p, 0],
                    piece["from_ms"],
                    lo,
                    i,
                )
                stint["first"], stint["last"], stint["over"] = piece["first"], piece["last"], piece["over"]
                count += 1
    return found[:count]


@njit(cache=True)
def _keep(
    row: Any, prefix_is_seen: bool, t_ms: int, lat: float, lon: float, radius_m: float, key: int
) -> None:
    """Remember a position in an anchor."""
    if prefix_is_seen:
        row["seen_ms"], row["seen_lat"], row["seen_lon"] = t_ms, lat, lon
        row["seen_radius_m"], row["seen_key"] = radius_m, key
    else:
        row["at_ms"], row["at_lat"], row["at_lon"] = t_ms, lat, lon
        row["at_radius_m"], row["at_key"] = radius_m, key


@njit(cache=True)
def _calm(
    visit: Any, plan: Any, was: Any, linked: bool, fix: Any, gap_m: float, kx: float, limits: ZoneLimits
) -> Any:
    """A position certainly OUT, ``gap_m`` away at least: True where that is all there is to be known of the zone.

    Nothing goes on, no silence has been long enough, and the line from the last position is too short to pass.
    """
    if visit["open"] == 1 or visit["run"] != UNCERTAIN or visit["passing"] == 1:
        return False
    if fix["t_ms"] - known_from(max(visit["seen_ms"], was["seen_ms"]), plan) > limits.silence_ms:
        return False
    if plan["main"] == 0 or plan["sense"] < 0.0:
        return True
    if not linked or (visit["touch_ms"] >= was["at_ms"] and visit["was"] != OUT):
        return False
    dx, dy = (fix["lon"] - was["at_lon"]) * kx, (fix["lat"] - was["at_lat"]) * _DEGREE_M
    reach_m = gap_m + 2.0 * max(limits.pass_depth_m, fix["radius_m"], was["at_radius_m"])
    # a twentieth for metres per degree that differ along the line
    return reach_m * reach_m >= 1.1 * (dx * dx + dy * dy)


@njit(cache=True)
def watch_zones(
    fixes: Any, stints: Any, plans: Any, periods: Any, table: ZoneTable, anchors: Any, visits: Any, drafts: Any,
    limits: ZoneLimits,
) -> Any:  # fmt: skip
    """Carry the visits of every stint on through its positions; the episodes that are settled."""
    out = np.empty(16, EPISODE)
    count = 0
    for s in range(len(stints)):
        stint = stints[s]
        anchor = anchors[stint["anchor"]]
        linked = anchor["span_ms"] == stint["span_ms"]
        if not linked:
            anchor["span_ms"] = stint["span_ms"]
            anchor["clear_m"] = -1.0
            for q in range(stint["last"], stint["over"]):
                # what was known when a watch ended stays what it asks about
                visit = visits[plans[q]["slot"]]
                if visit["seen_ms"] == NEVER_MS and anchor["seen_ms"] < plans[q]["to_ms"]:
                    see(visit, anchor)
        before, before_ms = -1, anchor["at_ms"]
        passed = -1
        for i in range(stint["lo"], stint["hi"]):
            fix = fixes[i]
            radius_m = fix["radius_m"]
            if not radius_m < np.inf:
                continue
            t_ms, lon, lat = fix["t_ms"], fix["lon"], fix["lat"]
            step_ms = t_ms - before_ms
            before_ms = t_ms
            if step_ms > limits.within_ms:
                anchor["calm_ms"] = t_ms
            if anchor["clear_m"] > 0.0 and step_ms < limits.silence_ms:
                dx = (lon - anchor["lon"]) * anchor["kx"]
                dy = (lat - anchor["lat"]) * anchor["ky"]
                if 1.1 * np.sqrt(dx * dx + dy * dy) + radius_m < 0.9 * anchor["clear_m"]:
                    before = passed = i
                    continue
            if before >= 0:
                last = fixes[before]
                _keep(anchor, False, last["t_ms"], last["lat"], last["lon"], last["radius_m"], last["key"])
            if passed >= 0:
                last = fixes[passed]
                anchor["out_ms"] = last["t_ms"]
                _keep(anchor, True, last["t_ms"], last["lat"], last["lon"], last["radius_m"], last["key"])
                passed = -1
            clear_m = _CLEAR_CAP_M if abs(lat) <= _CLEAR_LATITUDE else -1.0
            widest_kx = 0.0
            for q in range(stint["first"], stint["last"]):
                plan = plans[q]
                k, margin_m = plan["zone"], plan["margin_m"]
                visit, draft = visits[plan["slot"]], drafts[plan["slot"]]
                kx, ky = metres_at(table.scales[k], lat)
                # right for every zone within a degree of latitude; those beyond are out of reach of any clearance
                widest_kx = max(widest_kx, kx)
                distance_m = box_distance(table, k, lon, lat, kx, ky)
                if plan["sense"] < 0.0 or distance_m <= radius_m + margin_m:
                    distance_m = signed_distance(table, k, lon, lat, kx, ky)
                gap_m = plan["sense"] * distance_m - margin_m
                if gap_m > radius_m and _calm(visit, plan, anchor, linked, fix, gap_m, kx, limits):
                    visit["touch_ms"], visit["was"], visit["out_ms"] = t_ms, OUT, t_ms
                    if radius_m > limits.located_m:
                        visit["seen_ms"], visit["seen_lat"], visit["seen_lon"] = t_ms, lat, lon
                        visit["seen_radius_m"], visit["seen_key"] = radius_m, fix["key"]
                    clear_m = min(clear_m, gap_m)
                    continue
                shown = IN if gap_m < -radius_m else OUT if gap_m > radius_m else UNCERTAIN
                see(visit, anchor)
                tells = plan["main"] == 1 and (shown != UNCERTAIN or radius_m <= limits.located_m)
                silent_ms = t_ms - known_from(visit["seen_ms"], plan)
                if tells and visit["open"] == 0 and silent_ms > limits.silence_ms:
                    lost_ms = lost_from(visit, plan, table, limits)
                    out, count = lose(visit, draft, plan, lost_ms, t_ms, fix["key"], periods, out, count)
                p = first_after(periods, plan["first"], plan["last"], visit["touch_ms"])
                p, out, count = pass_time(visit, draft, t_ms, periods, p, plan["last"], limits, out, count)
                begun_ms = NEVER_MS
                if p < plan["last"] and periods[p, 0] <= t_ms:
                    begun_ms = periods[p, 0]
                if shown == IN or begun_ms == NEVER_MS:
                    visit["passing"] = 0
                if shown == IN:
                    step_in(visit, draft, t_ms, fix["key"], -gap_m, begun_ms, anchor["out_ms"], limits)
                elif shown == OUT:
                    if (
                        plan["main"] == 1
                        and plan["sense"] > 0.0
                        and visit["open"] == 0
                        and begun_ms != NEVER_MS
                    ):
                        out, count = passes(
                            visit, draft, plan, anchor, linked, fix, gap_m, anchor["calm_ms"], begun_ms,
                            table, limits, out, count,
                        )  # fmt: skip
                    if step_out(visit, draft, t_ms, fix["key"], limits):
                        out = emit(out, count, draft)
                        count += 1
                visit["touch_ms"], visit["was"] = t_ms, shown
                # a position that tells any zone where the wearer is goes through the anchor (`see`)
                if shown != UNCERTAIN and radius_m > limits.located_m:
                    visit["seen_ms"], visit["seen_lat"], visit["seen_lon"] = t_ms, lat, lon
                    visit["seen_radius_m"], visit["seen_key"] = radius_m, fix["key"]
                going_on = visit["open"] == 1 or visit["run"] != UNCERTAIN or visit["passing"] == 1
                # what is not certain has to be looked at again, however far the next position is from here
                clear_m = -1.0 if going_on or shown != OUT else min(clear_m, gap_m)
            anchor["lat"], anchor["lon"] = lat, lon
            anchor["kx"], anchor["ky"], anchor["clear_m"] = widest_kx, _DEGREE_M, clear_m
            _keep(anchor, False, t_ms, lat, lon, radius_m, fix["key"])
            if radius_m <= limits.located_m:
                _keep(anchor, True, t_ms, lat, lon, radius_m, fix["key"])
            before, linked = -1, True
        if before >= 0:
            last = fixes[before]
            _keep(anchor, False, last["t_ms"], last["lat"], last["lon"], last["radius_m"], last["key"])
        if passed >= 0:
            last = fixes[passed]
            anchor["out_ms"] = last["t_ms"]
            _keep(anchor, True, last["t_ms"], last["lat"], last["lon"], last["radius_m"], last["key"])
        for q in range(stint["first"], stint["last"]):
            see(visits[plans[q]["slot"]], anchor)
    return out[:count]
