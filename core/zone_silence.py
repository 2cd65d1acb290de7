"""Whereabouts unknown to zones: kernels for the time in which no position tells where the wearer was.

The silence before a position is settled by that position; what silence means at a given moment is worked out on a copy,
so that whatever arrives later, and however late, is judged as if it had been there all along.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from core.activation import ALWAYS_MS
from core.episodes import EPISODE, NEVER_MS, OPEN_MS, room
from core.geometry import ZoneTable
from core.kernel import BORROWS
from core.passes import at
from core.visits import IN, LOST, VISIT, ZoneLimits, first_after, pass_time


@njit(**BORROWS)
def see(visit: Any, seen: Any) -> None:
    """Remember in a visit what an anchor, or a visit, saw last."""
    if seen["seen_ms"] > visit["seen_ms"]:
        visit["seen_ms"], visit["seen_lat"], visit["seen_lon"] = (
            seen["seen_ms"],
            seen["seen_lat"],
            seen["seen_lon"],
        )
        visit["seen_radius_m"], visit["seen_key"] = seen["seen_radius_m"], seen["seen_key"]


@njit(**BORROWS)
def catch_up(visit: Any, anchor: Any) -> None:
    """Tell a visit what its wearer's anchor knows: positions since it was looked at were certainly OUT."""
    if visit["touch_ms"] < anchor["at_ms"]:
        visit["out_ms"] = anchor["at_ms"]
    see(visit, anchor)


@njit(**BORROWS)
def most_of(plans: Any, first: int, last: int) -> Any:
    """No position, and no silence, makes more episodes of plans ``first`` to ``last`` than this."""
    most = 0
    for q in range(first, last):
        # of every period a visit and a silence, one that ends and one that goes on, and a pass
        most += 2 * (plans[q]["last"] - plans[q]["first"]) + 4
    return most


@njit(**BORROWS)
def known_from(seen_ms: int, plan: Any) -> Any:
    """Since when a silence lasts: the last position, however old, or else the beginning of the watch."""
    return seen_ms if seen_ms != NEVER_MS else plan["from_ms"]


@njit(**BORROWS)
def lost_from(visit: Any, plan: Any, table: ZoneTable, limits: ZoneLimits) -> Any:
    """From when on, without another position, the forbidden side of a zone could have been reached."""
    if visit["seen_ms"] == NEVER_MS:
        return plan["from_ms"] + limits.silence_ms
    away_m = (
        plan["sense"] * at(table, plan["zone"], visit["seen_lon"], visit["seen_lat"]) - visit["seen_radius_m"]
    )
    travel_ms = np.int64(max(away_m, 0.0) / limits.reach_m_s * 1000.0)
    return max(visit["seen_ms"] + max(travel_ms, limits.silence_ms), plan["from_ms"])


@njit(**BORROWS)
def lose(
    visit: Any, draft: Any, plan: Any, lost_ms: int, t_ms: int, key: int, periods: Any, out: Any, count: int
) -> Any:
    """Whereabouts unknown from ``lost_ms`` to ``t_ms``, when the position ``key`` comes (0: none, it is now).

    Puts episodes from ``count`` on into ``out``, which has room for them (`most_of`); returns how many there are.
    """
    p = first_after(periods, plan["first"], plan["last"], lost_ms)
    while p < plan["last"] and periods[p, 0] <= t_ms:
        start_ms, end_ms = max(periods[p, 0], lost_ms), min(periods[p, 1], t_ms)
        if start_ms < end_ms or (key == 0 and start_ms == t_ms and t_ms < periods[p, 1]):
            gap = out[count]
            gap["period_end_ms"], gap["known_ms"], gap["fixes"], gap["contacts"] = 0, 0, 0, 0
            gap["extreme_m"], gap["line_m"], gap["inside_m"] = 0.0, 0.0, 0.0
            gap["confirm_key"], gap["extreme_key"], gap["last_key"], gap["end_key"] = 0, 0, 0, 0
            gap["first_by"], gap["confirm_by"], gap["extreme_by"] = 0, 0, 0
            gap["last_by"], gap["end_by"] = 0, 0
            gap["watch"] = draft["watch"]
            gap["kind"] = LOST
            gap["period_ms"] = periods[p, 0]
            gap["start_ms"] = start_ms
            gap["since_ms"] = visit["seen_ms"]
            gap["end_ms"] = end_ms
            gap["first_key"] = visit["seen_key"]
            if periods[p, 1] > t_ms:
                gap["end_key"] = key
                if key == 0:
                    gap["end_ms"] = OPEN_MS
            count += 1
        p += 1
    return count


@njit(cache=True)
def silence(
    asked: Any, now_ms: int, fences: Any, pieces: Any, plans: Any, periods: Any, table: ZoneTable, anchors: Any,
    visits: Any, drafts: Any, limits: ZoneLimits,
) -> Any:  # fmt: skip
    """What time alone means at ``now_ms`` for the anchors ``asked``: the episodes, and when each has to be asked again.

    Nothing that the rules know changes; visits catch up with what their wearer's anchor knows.
    """
    out = np.empty(16, EPISODE)
    count = 0
    again = np.empty(len(asked), np.int64)
    one_visit, one_draft = np.zeros(1, VISIT), np.zeros(1, EPISODE)
    for f in range(len(asked)):
        fence, anchor = fences[asked[f]], anchors[asked[f]]
        first, last = fence["plan"], fence["plan"] + fence["visits"]
        for n in range(fence["piece"], fence["piece"] + fence["pieces"]):
            if pieces[n]["from_ms"] == anchor["span_ms"]:
                for q in range(pieces[n]["first"], pieces[n]["last"]):
                    catch_up(visits[plans[q]["slot"]], anchor)
        out = room(out, count, most_of(plans, first, last))
        soonest_ms = ALWAYS_MS
        for q in range(first, last):
            plan = plans[q]
            one_visit[0], one_draft[0] = visits[plan["slot"]], drafts[plan["slot"]]
            visit, draft = one_visit[0], one_draft[0]
            # what came after a watch was over says nothing of it
            if visit["seen_ms"] == NEVER_MS and anchor["seen_ms"] < plan["from_ms"]:
                see(visit, anchor)
            again_ms = ALWAYS_MS
            p = first_after(periods, plan["first"], plan["last"], visit["touch_ms"])
            if plan["main"] == 1 and visit["open"] == 0 and plan["first"] < plan["last"]:
                due_ms = max(known_from(visit["seen_ms"], plan) + limits.silence_ms, plan["from_ms"])
                if due_ms <= now_ms:
                    due_ms = lost_from(visit, plan, table, limits)
                    if due_ms <= now_ms:
                        count = lose(visit, draft, plan, due_ms, now_ms, 0, periods, out, count)
                after = first_after(periods, plan["first"], plan["last"], max(due_ms, now_ms))
                if after < plan["last"]:
                    again_ms = max(due_ms, periods[after, 0])
                    if again_ms <= now_ms:
                        again_ms = periods[after, 1]
            p, count = pass_time(visit, draft, now_ms, periods, p, plan["last"], limits, out, count)
            if visit["open"] == 1:
                draft["end_ms"] = OPEN_MS
                out[count] = draft
                count += 1
                again_ms = min(again_ms, periods[p, 1])
            elif visit["run"] == IN and p < plan["last"]:
                soon_ms = periods[p, 0] if periods[p, 0] > now_ms else periods[p, 1]
                again_ms = min(again_ms, soon_ms)
            soonest_ms = min(soonest_ms, again_ms)
        again[f] = soonest_ms
    return out[:count], again
