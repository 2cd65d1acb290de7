"""Visits to zones: kernels that carry one zone's watch from one position to the next. `core.geofence` says what they
mean, `core.zone_watch` calls them.

What a zone forbids is called IN: inside an exclusion zone, outside an inclusion zone. One machine serves both.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import njit

from core.episodes import NEVER_MS, OPEN_MS
from core.kernel import BORROWS
from core.rules import RuleSet

IN, OUT, UNCERTAIN = 1, 2, 0
VISITED, LOST, PASSED = 0, 1, 2
"""Kinds of episode."""

VISIT = np.dtype(
    [
        ("open", np.int8),
        ("run", np.int8),  # IN or OUT: consecutive certain positions that agree; UNCERTAIN: none
        ("run_start_ms", np.int64),
        ("run_start_key", np.uint64),
        ("run_last_ms", np.int64),
        ("run_last_key", np.uint64),
        ("run_walks", np.int8),  # at each of its positions the receiver measured a walk
        ("run_last_m", np.float64),  # how far IN; 0 if no period begins for which it could vouch
        ("drafted", np.int8),  # the draft is of this run, in the period that goes on
        ("vouched", np.int8),  # when that period began, a position IN still vouched
        ("touch_ms", np.int64),  # last position at which the zone was looked at; OUT at all since then
        ("out_ms", np.int64),  # last position certainly OUT
        ("was", np.int8),  # what the last position at which it was looked at showed
        ("calm_ms", np.int64),  # from here on certainly OUT, and no pass
        ("passing", np.int8),  # a pass waits for its confirmation
        ("seen_ms", np.int64),  # the last position that told where the wearer was
        ("seen_lat", np.float64),
        ("seen_lon", np.float64),
        ("seen_radius_m", np.float64),
        ("seen_key", np.uint64),
    ]
)


class ZoneLimits(NamedTuple):
    """The thresholds that kernels need: ms and metres."""

    apart_ms: int
    accuse_ms: int
    walk_ms: int
    within_ms: int
    vouch_ms: int
    silence_ms: int
    reach_m_s: float
    located_m: float
    pass_within_ms: int
    pass_depth_m: float
    pass_share: float


def zone_limits(rules: RuleSet) -> ZoneLimits:
    """Thresholds of ``rules`` for kernels."""
    return ZoneLimits(
        rules.confirm_apart_s * 1000,
        rules.accuse_apart_s * 1000,
        rules.accuse_walking_s * 1000,
        rules.confirm_within_s * 1000,
        rules.vouch_s * 1000,
        rules.zone_silence_s * 1000,
        rules.reach_m_s,
        rules.located_m,
        rules.pass_within_s * 1000,
        rules.pass_depth_m,
        rules.pass_share,
    )


@njit(**BORROWS)
def first_after(periods: Any, first: int, last: int, t_ms: int) -> Any:
    """The first of periods ``first`` to ``last`` that ends after ``t_ms``; ``last`` if none does."""
    while first < last:
        middle = (first + last) // 2
        if periods[middle, 1] > t_ms:
            last = middle
        else:
            first = middle + 1
    return first


@njit(**BORROWS)
def _begin(visit: Any, draft: Any, start_ms: int, period_ms: int) -> None:
    """A new draft: the run IN goes on, or begins, at ``start_ms`` within a period."""
    visit["drafted"] = 1
    draft["kind"] = VISITED
    draft["period_ms"] = period_ms
    draft["start_ms"] = start_ms
    draft["end_ms"] = OPEN_MS
    draft["since_ms"] = max(period_ms, visit["out_ms"])
    draft["known_ms"] = 0
    draft["fixes"] = 0
    draft["extreme_m"] = 0.0
    draft["first_key"] = visit["run_start_key"]
    draft["confirm_key"] = 0
    draft["end_key"] = 0
    if visit["vouched"] == 1:
        draft["fixes"] = 1
        draft["extreme_m"] = visit["run_last_m"]
        draft["extreme_key"] = visit["run_last_key"]
        draft["last_key"] = visit["run_last_key"]


@njit(**BORROWS)
def _believed(visit: Any, last_ms: int, limits: ZoneLimits) -> Any:
    """Is the run IN, which lasts until ``last_ms``, long enough to accuse?"""
    return last_ms - visit["run_start_ms"] >= (
        limits.walk_ms if visit["run_walks"] == 1 else limits.accuse_ms
    )


@njit(**BORROWS)
def pass_time(
    visit: Any,
    draft: Any,
    t_ms: int,
    periods: Any,
    p: int,
    last: int,
    limits: ZoneLimits,
    out: Any,
    count: int,
) -> Any:
    """From the last position judged here to ``t_ms``: periods begin and end.

    ``p`` is the first period that ends after that position. Returns the first that ends after ``t_ms``, and how many
    episodes there are in ``out`` now.
    """
    while p < last and periods[p, 0] <= t_ms:
        if periods[p, 0] > visit["touch_ms"]:
            visit["drafted"] = 0
            visit["vouched"] = 0
            if visit["run"] == IN and periods[p, 0] < visit["run_last_ms"] + limits.vouch_ms:
                visit["vouched"] = 1
                if _believed(visit, visit["run_last_ms"], limits):
                    _begin(visit, draft, periods[p, 0], periods[p, 0])
                    visit["open"] = 1
                    draft["confirm_key"] = visit["run_last_key"]
        if periods[p, 1] > t_ms:
            break
        if visit["open"] == 1:
            draft["end_ms"] = periods[p, 1]
            draft["end_key"] = 0
            out[count] = draft
            count += 1
            visit["open"] = 0
            if visit["run"] == OUT:
                visit["run"] = UNCERTAIN
        p += 1
    return p, count


@njit(**BORROWS)
def step_in(
    visit: Any,
    draft: Any,
    t_ms: int,
    key: int,
    depth_m: float,
    period_ms: int,
    walks: bool,
    limits: ZoneLimits,
) -> None:
    """A position certainly IN; ``period_ms`` is when the period that goes on began, NEVER_MS if none goes on."""
    step_ms = t_ms - visit["run_last_ms"]
    goes_on = visit["run"] == IN and step_ms <= limits.within_ms
    if not goes_on:
        visit["run"] = IN
        visit["run_start_ms"] = t_ms
        visit["run_start_key"] = key
    visit["run_walks"] = 1 if walks and (not goes_on or visit["run_walks"] == 1) else 0
    if period_ms != NEVER_MS:
        if visit["open"] == 0 and (not goes_on or visit["drafted"] == 0):
            if not goes_on:
                visit["vouched"] = 0
            _begin(visit, draft, period_ms if visit["vouched"] == 1 else t_ms, period_ms)
        if goes_on and step_ms <= limits.vouch_ms and draft["start_ms"] < t_ms:
            draft["known_ms"] += t_ms - max(visit["run_last_ms"], draft["start_ms"])
        draft["fixes"] += 1
        draft["last_key"] = key
        if depth_m > draft["extreme_m"]:
            draft["extreme_m"] = depth_m
            draft["extreme_key"] = key
        if visit["open"] == 0 and _believed(visit, t_ms, limits):
            visit["open"] = 1
            draft["confirm_key"] = key
    visit["run_last_ms"] = t_ms
    visit["run_last_key"] = key
    visit["run_last_m"] = depth_m


@njit(**BORROWS)
def step_out(visit: Any, draft: Any, t_ms: int, key: int, limits: ZoneLimits) -> Any:
    """A position certainly OUT; True when it ends a visit."""
    visit["out_ms"] = t_ms
    if visit["open"] == 0:
        visit["run"] = UNCERTAIN
        return False
    if visit["run"] != OUT or t_ms - visit["run_last_ms"] > limits.within_ms:
        visit["run"] = OUT
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
