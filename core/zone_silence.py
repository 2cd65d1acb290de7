"""Whereabouts unknown to zones: kernels for the time in which no position tells where the wearer was.

The silence before a position is settled by that position; what silence means at a given moment is worked out on a copy,
so that whatever arrives later, and however late, is judged as if it had been there all along.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from core.activation import ALWAYS_MS
from core.episodes import EPISODE, NEVER_MS, OPEN_MS, emit
from core.geometry import ZoneTable
from core.passes import at
from core.visits import IN, LOST, VISIT, ZoneLimits, first_after, pass_time


@njit(cache=True)
def see(visit: Any, seen: Any) -> None:
    """Remember in a visit what an anchor, or a visit, saw last."""
    if seen["seen_ms"] > visit["seen_ms"]:
        visit["seen_ms"], visit["seen_lat"], visit["seen_lon"] = (
            seen["seen_ms"],
            seen["seen_lat"],
            seen["seen_lon"],
        )
        visit["seen_radius_m"], visit["seen_key"] = seen["seen_radius_m"], seen["seen_key"]


@njit(cache=True)
def known_from(seen_ms: int, plan: Any) -> Any:
    """Since when a silence lasts: the last position, however old, or else the beginning of the watch."""
    return seen_ms if seen_ms != NEVER_MS else plan["from_ms"]


@njit(cache=True)
def lost_from(visit: Any, plan: Any, table: ZoneTable, limits: ZoneLimits) -> Any:
    """From when on, without another position, the forbidden side of a zone could have been reached."""
    if visit["seen_ms"] == NEVER_MS:
        return plan["from_ms"] + limits.silence_ms
    away_m = (
        plan["sense"] * at(table, plan["zone"], visit["seen_lon"], visit["seen_lat"]) - visit["seen_radius_m"]
    )
    travel_ms = np.int64(max(away_m, 0.0) / limits.reach_m_s * 1000.0)
    return max(visit["seen_ms"] + max(travel_ms, limits.silence_ms), plan["from_ms"])


@njit(cache=True)
def lose(
    visit: Any, draft: Any, plan: Any, lost_ms: int, t_ms: int, key: int, periods: Any, out: Any, count: int
) -> Any:
    """Whereabouts unknown from ``lost_ms`` to ``t_ms``, when the position ``key`` comes (0: none, it is now)."""
    p = first_after(periods, plan["first"], plan["last"], lost_ms)
    while p < plan["last"] and periods[p, 0] <= t_ms:
        start_ms, end_ms = max(periods[p, 0], lost_ms), min(periods[p, 1], t_ms)
        if start_ms < end_ms or (key == 0 and start_ms == t_ms and t_ms < periods[p, 1]):
            gap = np.zeros(1, EPISODE)[0]
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
            out = emit(out, count, gap)
            count += 1
        p += 1
    return out, count


@njit(cache=True)
def silence(
    plans: Any, wearers: Any, now_ms: int, periods: Any, table: ZoneTable, anchors: Any, visits: Any, drafts: Any,
    limits: ZoneLimits,
) -> Any:  # fmt: skip
    """What time alone means at ``now_ms``, nothing changed: the episodes, and when each plan has to be asked again.

    ``wearers`` says which anchor each of ``plans`` belongs to.
    """
    out = np.empty(16, EPISODE)
    count = 0
    again = np.empty(len(plans), np.int64)
    one_visit, one_draft = np.zeros(1, VISIT), np.zeros(1, EPISODE)
    for q in range(len(plans)):
        plan = plans[q]
        one_visit[0], one_draft[0] = visits[plan["slot"]], drafts[plan["slot"]]
        visit, draft = one_visit[0], one_draft[0]
        # what came after a watch was over says nothing of it
        if visit["seen_ms"] == NEVER_MS and anchors[wearers[q]]["seen_ms"] < plan["from_ms"]:
            see(visit, anchors[wearers[q]])
        again_ms = ALWAYS_MS
        p = first_after(periods, plan["first"], plan["last"], visit["touch_ms"])
        if plan["main"] == 1 and visit["open"] == 0 and plan["first"] < plan["last"]:
            due_ms = max(known_from(visit["seen_ms"], plan) + limits.silence_ms, plan["from_ms"])
            if due_ms <= now_ms:
                due_ms = lost_from(visit, plan, table, limits)
                if due_ms <= now_ms:
                    out, count = lose(visit, draft, plan, due_ms, now_ms, 0, periods, out, count)
            after = first_after(periods, plan["first"], plan["last"], max(due_ms, now_ms))
            if after < plan["last"]:
                again_ms = max(due_ms, periods[after, 0])
                if again_ms <= now_ms:
                    again_ms = periods[after, 1]
        p, out, count = pass_time(visit, draft, now_ms, periods, p, plan["last"], limits, out, count)
        if visit["open"] == 1:
            draft["end_ms"] = OPEN_MS
            out = emit(out, count, draft)
            count += 1
            again_ms = min(again_ms, periods[p, 1])
        elif visit["run"] == IN and p < plan["last"]:
            soon_ms = periods[p, 0] if periods[p, 0] > now_ms else periods[p, 1]
            again_ms = min(again_ms, soon_ms)
        again[q] = again_ms
    return out[:count], again
