"""From strap open until an officer's check a tag's readings prove nothing about its wearer (design law 5).

Closing the strap proves nothing: whoever opened it can close it around a bedpost. What a tag said in that time is
kept, and shown, but its positions have no radius that holds the wearer (infinite), and ``worn`` is 0 on positions,
contacts and samples. Fitting is an officer's check.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from core.activation import ALWAYS_MS
from core.readings import I64, EventCode
from core.rows import CONTACT, POSITION, SAMPLE, Rows

_OPEN, _CHECK = int(EventCode.STRAP_OPEN), int(EventCode.OFFICER_CHECK)


def unworn(events: Rows, fitted_ms: int) -> I64:
    """When the tag proves nothing: ``[start, end)`` in ms, ascending, shape ``(n, 2)``; ALWAYS_MS: no check yet.

    ``events`` are sorted; what happened before the tag was fitted means nothing. At one instant the order of the
    sequence numbers decides.
    """
    marks = events[(events["t_ms"] >= fitted_ms) & ((events["code"] == _OPEN) | (events["code"] == _CHECK))]
    found: list[tuple[int, int]] = []
    since_ms: int | None = None
    for t_ms, code in zip(marks["t_ms"].tolist(), marks["code"].tolist(), strict=True):
        if code == _OPEN and since_ms is None:
            since_ms = t_ms
        elif code == _CHECK and since_ms is not None:
            if since_ms < t_ms:
                found.append((since_ms, t_ms))
            since_ms = None
    if since_ms is not None:
        found.append((since_ms, ALWAYS_MS))
    return np.array(found, np.int64).reshape(-1, 2)


def mask(rows: Rows, kind: int, spans: I64) -> None:
    """Take from ``rows``, readings of one kind in order, what they prove within ``spans`` (as `unworn` gives them)."""
    if kind == POSITION:
        _mask(rows, spans, True)
    elif kind == SAMPLE:
        _mask(rows, spans, False)
    elif kind == CONTACT:
        _mask_intervals(rows, spans)


@njit(cache=True)
def _mask(rows: Any, spans: Any, positions: bool) -> None:
    s = 0
    for i in range(len(rows)):
        while s < len(spans) and spans[s, 1] <= rows[i]["t_ms"]:
            s += 1
        if s < len(spans) and spans[s, 0] <= rows[i]["t_ms"]:
            rows[i]["worn"] = 0
            if positions:
                rows[i]["radius_m"] = np.inf


@njit(cache=True)
def _mask_intervals(rows: Any, spans: Any) -> None:
    """An interval counts as unworn if any of it is: the beacons may be those of the unworn part."""
    for i in range(len(rows)):
        end_ms = rows[i]["t_ms"]
        begin_ms = end_ms - rows[i]["span_ms"]
        for s in range(len(spans)):
            if spans[s, 0] <= end_ms and begin_ms < spans[s, 1]:
                rows[i]["worn"] = 0
