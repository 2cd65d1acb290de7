"""From strap open until an officer's check a tag's readings prove nothing about its wearer (design law 5).

Closing the strap proves nothing: whoever opened it can close it around a bedpost. What a tag said in that time is
kept, and shown, but its positions have no radius that holds the wearer (infinite), and ``worn`` is 0 on positions,
contacts and samples. Fitting is an officer's check.
"""

from __future__ import annotations

import numpy as np

from core.activation import ALWAYS_MS
from core.codes import among, kinds_of
from core.readings import I64, EventCode
from core.rows import CONTACT, EVENT, POSITION, Rows

_OPEN = int(EventCode.STRAP_OPEN)
_CHECKS = (int(EventCode.OFFICER_CHECK), int(EventCode.STRAP_CHECKED))
_TOLD = kinds_of((_OPEN, *_CHECKS))


def unworn(events: Rows, fitted_ms: int, before: I64 | None = None, floor_ms: int = -ALWAYS_MS) -> I64:
    """When the tag proves nothing: ``[start, end)`` in ms, ascending, shape ``(n, 2)``; ALWAYS_MS: no check yet.

    ``events`` are sorted; what happened before the tag was fitted means nothing. At one instant the order of the
    sequence numbers decides. ``before`` is what was found earlier; it counts up to ``floor_ms``, ``events`` after it.
    """
    marks = events[(events["t_ms"] >= fitted_ms) & among(events["code"], _TOLD)]
    found = [] if before is None else [(a, b) for a, b in before.tolist() if a <= floor_ms]
    since_ms: int | None = None
    if found and found[-1][1] > floor_ms:
        since_ms = found.pop()[0]
    for t_ms, code in zip(marks["t_ms"].tolist(), marks["code"].tolist(), strict=True):
        if code == _OPEN and since_ms is None:
            since_ms = t_ms
        elif code in _CHECKS and since_ms is not None:
            if since_ms < t_ms:
                found.append((since_ms, t_ms))
            since_ms = None
    if since_ms is not None:
        found.append((since_ms, ALWAYS_MS))
    return np.array(found, np.int64).reshape(-1, 2)


def mask(rows: Rows, kind: int, spans: I64) -> None:
    """Take from ``rows``, readings of one kind in order, what they prove within ``spans`` (as `unworn` gives them).

    A contact interval counts as unworn if any of it is: the beacons may be those of the unworn part.
    """
    if kind == EVENT or not len(rows) or not len(spans):
        return
    end_ms = rows["t_ms"]
    begin_ms = end_ms - rows["span_ms"] if kind == CONTACT else end_ms
    last = np.searchsorted(spans[:, 0], end_ms, "right") - 1
    unproven = (last >= 0) & (begin_ms < spans[last, 1])
    rows["worn"][unproven] = 0
    if kind == POSITION:
        rows["radius_m"][unproven] = np.inf
