"""Appointments: kernels that add up what positions show of them. `core.attendance` says what follows."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from core.episodes import NEVER_MS
from core.passes import at
from core.visits import IN, OUT, UNCERTAIN, ZoneLimits, first_after

_OF_APPOINTMENT: list[tuple[str, type]] = [
    ("inside_ms", np.int64),  # certainly there
    ("away_ms", np.int64),  # certainly not there
    ("arrived_ms", np.int64),  # NEVER_MS: not yet
    ("out_ms", np.int64),  # last position of those that show the wearer away before that
    ("late", np.int64),  # such positions came after the grace
    ("fixes", np.int64),  # positions certainly there
    ("first_key", np.uint64),
    ("last_key", np.uint64),
    ("out_key", np.uint64),
]
SEEN = np.dtype(
    [
        ("run", np.int64),  # IN or OUT: consecutive certain positions that agree
        ("run_start_ms", np.int64),
        ("last_ms", np.int64),  # the last certain position
        *_OF_APPOINTMENT,  # that goes on
    ]
)
VERDICT = np.dtype([("start_ms", np.int64), ("end_ms", np.int64), *_OF_APPOINTMENT])
"""What was seen of one appointment, which is over."""


@njit(cache=True)
def _clear(state: Any) -> None:
    state["inside_ms"] = 0
    state["away_ms"] = 0
    state["arrived_ms"] = NEVER_MS
    state["out_ms"] = NEVER_MS
    state["late"] = 0
    state["fixes"] = 0
    state["first_key"] = 0
    state["last_key"] = 0
    state["out_key"] = 0


@njit(cache=True)
def _tell(row: Any, state: Any, start_ms: int, end_ms: int) -> None:
    row["start_ms"], row["end_ms"] = start_ms, end_ms
    row["inside_ms"], row["away_ms"] = state["inside_ms"], state["away_ms"]
    row["arrived_ms"], row["out_ms"] = state["arrived_ms"], state["out_ms"]
    row["late"], row["fixes"] = state["late"], state["fixes"]
    row["first_key"], row["last_key"], row["out_key"] = (
        state["first_key"],
        state["last_key"],
        state["out_key"],
    )


@njit(cache=True)
def _sight(state: Any, window: Any, t_ms: int, key: int, shown: int, sure: bool) -> None:
    """What a certain position says of an appointment that began before it and was not over at the last one."""
    if shown == IN:
        if t_ms < window[1]:
            state["fixes"] += 1
            state["last_key"] = key
            if state["first_key"] == 0:
                state["first_key"] = key
        if sure and state["arrived_ms"] == NEVER_MS and state["run_start_ms"] < window[1]:
            state["arrived_ms"] = max(state["run_start_ms"], window[0])
    elif t_ms < window[1] and sure and state["arrived_ms"] == NEVER_MS:
        state["out_ms"] = t_ms
        state["out_key"] = key
        if t_ms >= window[0] + window[2]:
            state["late"] = 1


@njit(cache=True)
def attend(
    fixes: Any, lo: int, hi: int, table: Any, k: int, windows: Any, state: Any, limits: ZoneLimits
) -> Any:
    """Carry ``state`` on through positions ``lo`` to ``hi``; the verdicts on appointments that are over.

    ``windows`` int64 ``(n, 3)``: from, to, and grace (ms) of every appointment, ascending.
    """
    out = np.empty(len(windows), VERDICT)
    count = 0
    for i in range(lo, hi):
        fix = fixes[i]
        radius_m = fix["radius_m"]
        if not radius_m < np.inf:
            continue
        distance_m = at(table, k, fix["lon"], fix["lat"])
        shown = IN if distance_m < -radius_m else OUT if distance_m > radius_m else UNCERTAIN
        if shown == UNCERTAIN:
            continue
        t_ms, last_ms = fix["t_ms"], state["last_ms"]
        step_ms = t_ms - last_ms
        vouches = shown == state["run"] and step_ms <= limits.vouch_ms
        if shown != state["run"] or step_ms > limits.within_ms:
            state["run"] = shown
            state["run_start_ms"] = t_ms
        sure = t_ms - state["run_start_ms"] >= limits.apart_ms
        p = first_after(windows, 0, len(windows), last_ms)
        while p < len(windows) and windows[p, 0] <= t_ms:
            start_ms, end_ms = windows[p, 0], windows[p, 1]
            if start_ms > last_ms:
                _clear(state)
            if vouches:
                known_ms = min(t_ms, end_ms) - max(last_ms, start_ms)
                state["inside_ms"] += known_ms if shown == IN else 0
                state["away_ms"] += known_ms if shown == OUT else 0
            _sight(state, windows[p], t_ms, fix["key"], shown, sure)
            if end_ms > t_ms:
                break
            _tell(out[count], state, start_ms, end_ms)
            count += 1
            p += 1
        state["last_ms"] = t_ms
    return out[:count]


@njit(cache=True)
def overdue(windows: Any, state: Any, now_ms: int, wait_ms: int) -> Any:
    """Verdicts on appointments that no position is later than, over for ``wait_ms`` at ``now_ms``.

    ``state`` is used up. And the end of the first that is not, ``NEVER_MS`` if there is none.
    """
    out = np.empty(len(windows), VERDICT)
    count = 0
    for p in range(first_after(windows, 0, len(windows), state["last_ms"]), len(windows)):
        if windows[p, 1] + wait_ms > now_ms:
            return out[:count], windows[p, 1]
        if windows[p, 0] > state["last_ms"]:
            _clear(state)
        _tell(out[count], state, windows[p, 0], windows[p, 1])
        count += 1
    return out[:count], NEVER_MS
