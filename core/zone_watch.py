"""Zones watched: kernels that carry every zone of many wearers on through positions.

Speed comes from not doing work. While all zones of a wearer are quiet (`core.zone_reach`), positions are only compared
with the distance that may be moved; where that is used up, only the zones that this may concern are looked at.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from core.episodes import EPISODE, NEVER_MS, room
from core.geometry import FAR_M, ZoneTable, distance_from, edge_m, metres_at
from core.kernel import BORROWS
from core.passes import passes
from core.rows import WALKING, first_at
from core.visits import IN, OUT, UNCERTAIN, ZoneLimits, first_after, pass_time, step_in, step_out
from core.zone_reach import MOST_PER_DEGREE_M, boxed_m, free_m, moved2, side_of
from core.zone_silence import catch_up, known_from, lose, lost_from, most_of, see

_BLOCK = 16
"""Positions that are looked at together while all zones are quiet."""
ANCHOR = np.dtype(
    [
        ("span_ms", np.int64),  # since when the zones have been those that are watched
        ("lat", np.float64),  # the last position at which zones were looked at
        ("lon", np.float64),
        ("clear_m", np.float64),  # all zones are quiet so far around it; not above 0: they are not
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
PIECE = (
    np.dtype(  # from when to when the plans first to last hold; to over are those of watches that are over
        [(name, np.int64) for name in ("from_ms", "to_ms", "first", "last", "over")]
    )
)
FENCE = (
    np.dtype(  # what one wearer has: visits, plans (the first ones hold at the end), and pieces, ascending
        [(name, np.int32) for name in ("visit", "visits", "plan", "plans", "piece", "pieces")]
        + [("known_to_ms", np.int64)]
    )
)


@njit(**BORROWS)
def _keep(row: Any, prefix_is_seen: bool, fix: Any) -> None:
    """Remember a position in an anchor."""
    if prefix_is_seen:
        row["seen_ms"], row["seen_lat"], row["seen_lon"] = fix["t_ms"], fix["lat"], fix["lon"]
        row["seen_radius_m"], row["seen_key"] = fix["radius_m"], fix["key"]
    else:
        row["at_ms"], row["at_lat"], row["at_lon"] = fix["t_ms"], fix["lat"], fix["lon"]
        row["at_radius_m"], row["at_key"] = fix["radius_m"], fix["key"]


@njit(**BORROWS)
def _keep_both(anchor: Any, fixes: Any, at: int, seen: int) -> None:
    """Remember the last position that told a place, and the last that told where the wearer was (−1: no later ones)."""
    if at >= 0:
        _keep(anchor, False, fixes[at])
    if seen >= 0:
        _keep(anchor, True, fixes[seen])


@njit(**BORROWS)
def _calm(
    visit: Any, plan: Any, was: Any, linked: bool, t_ms: int, radius_m: float, gap_m: float, line2: float,
    limits: ZoneLimits,
) -> Any:  # fmt: skip
    """A position certainly OUT, ``gap_m`` away at least: True where that is all there is to be known of the zone.

    Nothing goes on, no silence has been long enough, and the line from the last position, ``line2`` the square of its
    metres, is too short to pass.
    """
    if visit["open"] == 1 or visit["run"] != UNCERTAIN or visit["passing"] == 1:
        return False
    if t_ms - known_from(max(visit["seen_ms"], was["seen_ms"]), plan) > limits.silence_ms:
        return False
    if plan["main"] == 0 or plan["sense"] < 0.0:
        return True
    if not linked or (visit["touch_ms"] >= was["at_ms"] and visit["was"] != OUT):
        return False
    reach_m = gap_m + 2.0 * max(limits.pass_depth_m, radius_m, was["at_radius_m"])
    # a twentieth for metres per degree that differ along the line
    return reach_m * reach_m >= 1.1 * line2


@njit(**BORROWS)
def _gap(
    reach: Any, plan: Any, table: ZoneTable, lon: float, lat: float, kx: float, kx_here: float, ky_here: float
) -> Any:
    """Metres from a position to what is forbidden, negative within; remembers from where they were measured."""
    side = side_of(reach, lon, lat, kx, 0.0)
    distance_m, reach["edge"] = distance_from(
        table, plan["zone"], lon, lat, kx_here, ky_here, reach["edge"], side
    )
    reach["side_lon"], reach["side_lat"], reach["side_m"] = lon, lat, distance_m
    return plan["sense"] * distance_m - plan["margin_m"]


@njit(**BORROWS)
def _turn(anchor: Any, fence: Any, piece: Any, pieces: Any, plans: Any, reaches: Any, visits: Any) -> None:
    """From the zones that were watched to those of ``piece``."""
    for n in range(fence["piece"], fence["piece"] + fence["pieces"]):
        if pieces[n]["from_ms"] == anchor["span_ms"]:
            for q in range(pieces[n]["first"], pieces[n]["last"]):
                catch_up(visits[plans[q]["slot"]], anchor)
    anchor["span_ms"] = piece["from_ms"]
    anchor["clear_m"] = -1.0
    for q in range(piece["first"], piece["last"]):
        reaches[q]["clear_m"] = -1.0
    for q in range(piece["last"], piece["over"]):
        # what was known when a watch ended stays what it asks about
        visit = visits[plans[q]["slot"]]
        if visit["seen_ms"] == NEVER_MS and anchor["seen_ms"] < plans[q]["to_ms"]:
            see(visit, anchor)


@njit(**BORROWS)
def _stay(
    t_ms: Any, lats: Any, lons: Any, radii_m: Any, i: int, hi: int, last_ms: int, calm_ms: int,
    lon: float, lat: float, clear_m: float, kx: float, limits: ZoneLimits,
) -> Any:  # fmt: skip
    """From position ``i`` on past all that leave every zone quiet: nearly all. Apart for speed.

    Returns the first that may not, the last that told a place (−1: none), and since when it has been calm.
    """
    soon_ms = min(limits.within_ms, limits.silence_ms - 1)
    # where no zone is near it is endless, and so is the radius of a position that proves nothing
    clear_m = min(clear_m, FAR_M)
    passed = -1
    while i < hi:
        # a block at once, without a branch, where all of it stays: as at home
        while i + _BLOCK <= hi and t_ms[i] - last_ms <= soon_ms:
            held = 0
            for j in range(i, i + _BLOCK):
                dx, dy = (lons[j] - lon) * kx, (lats[j] - lat) * MOST_PER_DEGREE_M
                room_m = clear_m - radii_m[j]
                held += (room_m > 0.0) & (dx * dx + dy * dy < room_m * room_m)
            if t_ms[i + _BLOCK - 1] - last_ms <= soon_ms:
                held += _BLOCK - 1
            else:
                for j in range(i + 1, i + _BLOCK):
                    held += t_ms[j] - t_ms[j - 1] <= soon_ms
            if held != 2 * _BLOCK - 1:
                break
            i += _BLOCK
            passed = i - 1
            last_ms = t_ms[passed]
        for j in range(i, min(i + _BLOCK, hi)):
            radius_m = radii_m[j]
            dx, dy = (lons[j] - lon) * kx, (lats[j] - lat) * MOST_PER_DEGREE_M
            room_m = clear_m - radius_m
            near = room_m > 0.0 and dx * dx + dy * dy < room_m * room_m
            if near and t_ms[j] - last_ms <= soon_ms:
                last_ms = t_ms[j]
                passed = j
            elif radius_m < np.inf:
                if not near or t_ms[j] - last_ms >= limits.silence_ms:
                    return j, passed, calm_ms
                if t_ms[j] - last_ms > limits.within_ms:
                    calm_ms = t_ms[j]
                last_ms = t_ms[j]
                passed = j
        i = min(i + _BLOCK, hi)
    return hi, passed, calm_ms


@njit(**BORROWS)
def _carry(
    fixes: Any, columns: Any, i: int, hi: int, piece: Any, plans: Any, reaches: Any, periods: Any, table: ZoneTable,
    anchor: Any, visits: Any, drafts: Any, linked: bool, most: int, limits: ZoneLimits, out: Any, count: int,
) -> Any:  # fmt: skip
    """Carry the zones of one wearer on through positions ``i`` to ``hi``, as far as ``out`` has room.

    ``linked``: the position before was judged by the same zones. ``most``: so many episodes one position may make.
    Returns how far it came, how many episodes there are now, and ``linked``.
    """
    times_ms, lats, lons, radii_m = columns
    kx = 0.0
    for q in range(piece["first"], piece["last"]):
        kx = max(kx, reaches[q]["most"])
    # the anchor is written when somebody looks at it
    middle_lat, middle_lon, free = anchor["lat"], anchor["lon"], anchor["clear_m"]
    at_ms, at_lat, at_lon = anchor["at_ms"], anchor["at_lat"], anchor["at_lon"]
    at, seen = -1, -1
    while i < hi:
        if free > 0.0:
            i, passed, calm_ms = _stay(
                times_ms, lats, lons, radii_m, i, hi, at_ms, anchor["calm_ms"], middle_lon, middle_lat, free, kx,
                limits,
            )  # fmt: skip
            anchor["calm_ms"] = calm_ms
            if passed >= 0:
                at, seen = passed, passed
                at_ms, at_lat, at_lon = times_ms[at], lats[at], lons[at]
            if i == hi:
                break
        if count + most > len(out):
            break
        this = i
        i += 1
        radius_m = radii_m[this]
        if not radius_m < np.inf:
            continue
        fix = fixes[this]
        t_ms, lon, lat = times_ms[this], lons[this], lats[this]
        step_ms = t_ms - at_ms
        if step_ms > limits.within_ms:
            anchor["calm_ms"] = t_ms
        dx, dy = (lon - at_lon) * kx, (lat - at_lat) * MOST_PER_DEGREE_M
        line2 = dx * dx + dy * dy
        tells = radius_m <= limits.located_m
        # else every zone has to note for itself what the position told it
        may_stay = tells and step_ms < limits.silence_ms
        clear_m, all_out = np.inf, True
        for q in range(piece["first"], piece["last"]):
            reach = reaches[q]
            away_m = reach["clear_m"]
            if away_m > 0.0 and may_stay:
                away_m -= np.sqrt(moved2(reach, lon, lat, kx))
                if away_m <= radius_m or 2.0 * away_m < reach["clear_m"]:
                    box_m = boxed_m(reach, lon, lat)
                    # quiet from here, if the line to here is quiet too
                    if box_m > max(away_m, radius_m) and (away_m > radius_m or box_m * box_m > line2):
                        reach["lon"], reach["lat"], reach["clear_m"] = lon, lat, box_m
                        away_m = box_m
                if away_m > radius_m:
                    clear_m = min(clear_m, away_m)
                    continue
            if at >= 0:
                _keep_both(anchor, fixes, at, seen)
                at, seen = -1, -1
            plan = plans[q]
            k, visit, draft = plan["zone"], visits[plan["slot"]], drafts[plan["slot"]]
            gap_m, measured = boxed_m(reach, lon, lat), True
            away_m = gap_m
            if not gap_m > radius_m:
                kx_here, ky_here = metres_at(table.scales[k], lat)
                near_m = np.inf
                if reach["edge"] >= 0 and table.grows[k] == 0.0 and plan["margin_m"] == 0.0:
                    near_m = edge_m(table, reach["edge"], lon, lat, kx_here, ky_here)
                away_m = -1.0
                if near_m <= radius_m:
                    # UNCERTAIN, whatever else is near; of that no distance is asked
                    gap_m = 0.0
                elif near_m < np.inf and plan["sense"] * side_of(reach, lon, lat, kx, radius_m) < 0.0:
                    # IN, and no deeper than this
                    gap_m, measured = -near_m, False
                else:
                    gap_m = _gap(reach, plan, table, lon, lat, kx, kx_here, ky_here)
                    away_m = free_m(reach, gap_m, lat, plan["sense"] < 0.0 and table.grows[k] > 0.0)
            reach["lon"], reach["lat"], reach["clear_m"] = lon, lat, away_m
            if gap_m > radius_m and _calm(visit, plan, anchor, linked, t_ms, radius_m, gap_m, line2, limits):
                visit["touch_ms"], visit["was"], visit["out_ms"] = t_ms, OUT, t_ms
                if not tells:
                    visit["seen_ms"], visit["seen_lat"], visit["seen_lon"] = t_ms, lat, lon
                    visit["seen_radius_m"], visit["seen_key"] = radius_m, fix["key"]
                clear_m = min(clear_m, away_m)
                continue
            shown = IN if gap_m < -radius_m else OUT if gap_m > radius_m else UNCERTAIN
            all_out = all_out and shown == OUT
            if linked:
                catch_up(visit, anchor)
            else:
                see(visit, anchor)
            silent_ms = t_ms - known_from(visit["seen_ms"], plan)
            if (
                plan["main"] == 1
                and (shown != UNCERTAIN or tells)
                and visit["open"] == 0
                and silent_ms > limits.silence_ms
            ):
                lost_ms = lost_from(visit, plan, table, limits)
                count = lose(visit, draft, plan, lost_ms, t_ms, fix["key"], periods, out, count)
            p = first_after(periods, plan["first"], plan["last"], visit["touch_ms"])
            p, count = pass_time(visit, draft, t_ms, periods, p, plan["last"], limits, out, count)
            begun_ms = NEVER_MS
            if p < plan["last"] and periods[p, 0] <= t_ms:
                begun_ms = periods[p, 0]
            if shown == IN or begun_ms == NEVER_MS:
                visit["passing"] = 0
            if shown == IN:
                following = p if begun_ms == NEVER_MS else p + 1
                vouches = following < plan["last"] and periods[following, 0] < t_ms + limits.vouch_ms
                # a depth matters that is the greatest, or the last before a period
                if not measured and (vouches or visit["open"] == 0 or -gap_m > draft["extreme_m"]):
                    kx_here, ky_here = metres_at(table.scales[k], lat)
                    gap_m = _gap(reach, plan, table, lon, lat, kx, kx_here, ky_here)
                step_in(
                    visit, draft, t_ms, fix["key"], -gap_m, begun_ms, fix["quality"] & WALKING != 0, limits
                )
                if not vouches:
                    visit["run_last_m"] = 0.0
            elif shown == OUT:
                if plan["main"] == 1 and plan["sense"] > 0.0 and visit["open"] == 0 and begun_ms != NEVER_MS:
                    count = passes(
                        visit, draft, plan, anchor, linked, fix, gap_m, anchor["calm_ms"], begun_ms,
                        table, limits, out, count,
                    )  # fmt: skip
                if step_out(visit, draft, t_ms, fix["key"], limits):
                    out[count] = draft
                    count += 1
            visit["touch_ms"], visit["was"] = t_ms, shown
            # a position that tells any zone where the wearer is goes through the anchor (`see`)
            if shown != UNCERTAIN and not tells:
                visit["seen_ms"], visit["seen_lat"], visit["seen_lon"] = t_ms, lat, lon
                visit["seen_radius_m"], visit["seen_key"] = radius_m, fix["key"]
            # what is not certain has to be looked at again, however far the next position is from here
            if shown != OUT or visit["open"] == 1 or visit["run"] != UNCERTAIN or visit["passing"] == 1:
                reach["clear_m"] = away_m = -1.0
            clear_m = min(clear_m, away_m)
        middle_lat, middle_lon, free = lat, lon, clear_m
        at, at_ms, at_lat, at_lon = this, t_ms, lat, lon
        if tells or all_out:
            seen = this
        linked = True
    _keep_both(anchor, fixes, at, seen)
    anchor["lat"], anchor["lon"], anchor["clear_m"] = middle_lat, middle_lon, free
    return i, count, linked


@njit(cache=True)
def watch_zones(
    fixes: Any, columns: Any, stints: Any, fences: Any, pieces: Any, plans: Any, reaches: Any, periods: Any,
    table: ZoneTable, anchors: Any, visits: Any, drafts: Any, limits: ZoneLimits,
) -> Any:  # fmt: skip
    """Carry the zones of every stint on through its positions; the episodes that are settled.

    ``columns`` are `core.rows.Columns` of ``fixes``, ``stints`` int64 ``(n, 3)``: anchor, and its positions lo to hi.
    """
    out = np.empty(16, EPISODE)
    count = 0
    t_ms = columns.t_ms
    for s in range(len(stints)):
        anchor, fence = anchors[stints[s, 0]], fences[stints[s, 0]]
        hi = stints[s, 1]
        for n in range(fence["piece"], fence["piece"] + fence["pieces"]):
            piece = pieces[n]
            i = first_at(t_ms, hi, stints[s, 2], piece["from_ms"])
            hi = first_at(t_ms, i, stints[s, 2], piece["to_ms"])
            if i == hi:
                continue
            linked = anchor["span_ms"] == piece["from_ms"]
            if not linked:
                _turn(anchor, fence, piece, pieces, plans, reaches, visits)
            most = most_of(plans, piece["first"], piece["last"])
            while i < hi:
                out = room(out, count, most)
                i, count, linked = _carry(
                    fixes, columns, i, hi, piece, plans, reaches, periods, table, anchor, visits, drafts, linked,
                    most, limits, out, count,
                )  # fmt: skip
    return out[:count]
