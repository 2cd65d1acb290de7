"""What a worn tag tells of itself: starts, strap, case, officers' checks, charger (firmware/lib/equipment.py)."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from core.readings import F64, I64, EventCode
from sim import equipment
from sim.in_force import union
from sim.life import Life, Span, spans_hold
from sim.way import Bool

LOOK_MS = 2_000
BOOTED_MS = 900
"""From power on to the first look at everything."""
STATUS_MS = 900_000
POWER_ON = 1
CONTACTS = (EventCode.STRAP_OPEN, EventCode.STRAP_CLOSED, EventCode.CASE_OPEN, EventCode.CASE_CLOSED)
_PLUGGED, _ALONE = int(EventCode.BATTERY_ON_CHARGER), int(EventCode.BATTERY_OFF_CHARGER)


class Occurred(NamedTuple):
    """Events of a tag, ascending, columns of shape ``(n,)``; ``urgent`` ones do not wait."""

    t_ms: I64
    code: I64
    value: F64
    urgent: Bool


def occurred(
    life: Life, lives: Sequence[Span], kind: str, signs: Sequence[tuple[int, int, float]] = ()
) -> Occurred:
    """All that a tag tells of itself in its ``lives`` (while it has power), and ``signs``: instant, code, value."""
    lives = [Span(start_ms + BOOTED_MS, end_ms) for start_ms, end_ms in lives]
    rare = [*_contacts(life, lives), *signs]
    boots = np.array([start_ms for start_ms, _ in lives], np.int64)
    status_ms = np.concatenate([_status_times(life, span, kind) for span in lives])
    plugged = (
        spans_hold(equipment.charges(life), status_ms)
        if kind == "gps_tag"
        else np.zeros(len(status_ms), np.bool_)
    )
    t_ms = np.concatenate([boots, status_ms, np.array([one[0] for one in rare], np.int64)])
    code = np.concatenate(
        [
            np.full(len(boots), EventCode.BOOT, np.int64),
            np.where(plugged, _PLUGGED, _ALONE),
            np.array([one[1] for one in rare], np.int64),
        ]
    )
    value = np.concatenate(
        [
            np.full(len(boots), float(POWER_ON)),
            np.rint(equipment.battery_mv(life, status_ms, kind)),
            np.array([one[2] for one in rare], np.float64),
        ]
    )
    urgent = np.arange(len(t_ms)) >= len(boots) + len(status_ms)
    order = np.lexsort((code, t_ms))
    return Occurred(t_ms[order], code[order], value[order], urgent[order])


def _contacts(life: Life, lives: Sequence[Span]) -> list[tuple[int, int, float]]:
    """Strap and case, and the officer's check that ends either."""
    found = []
    for spans, opens, closes in (
        (union(life.off_ankle), EventCode.STRAP_OPEN, EventCode.STRAP_CLOSED),
        (union(life.case_open), EventCode.CASE_OPEN, EventCode.CASE_CLOSED),
    ):
        for span in spans:
            opened_ms, closed_ms = _seen(lives, span.start_ms), _seen(lives, span.end_ms)
            if opened_ms is None or opened_ms == closed_ms or span.start_ms >= life.end_ms:
                continue  # what is opened and closed again without power is not seen
            found.append((opened_ms, int(opens), 1.0))
            if closed_ms is not None and span.end_ms < life.end_ms:
                found.append((closed_ms, int(closes), 0.0))
    for span in union([*life.off_ankle, *life.case_open]):
        checked_ms = _seen(lives, span.end_ms)
        if checked_ms is not None and span.end_ms < life.end_ms:
            found.append((checked_ms + LOOK_MS, int(EventCode.OFFICER_CHECK), 0.0))
    return found


def _seen(lives: Sequence[Span], t_ms: int) -> int | None:
    """The first look that sees what happens at an instant: at once, or at the next start; None: there is none."""
    for start_ms, end_ms in lives:
        seen_ms = start_ms if t_ms <= start_ms else start_ms - (start_ms - t_ms) // LOOK_MS * LOOK_MS
        if seen_ms < end_ms:
            return seen_ms
    return None


def _status_times(life: Life, span: Span, kind: str) -> I64:
    """Every quarter of an hour, and when the charger comes or goes."""
    marks = {span.start_ms}
    for charge in union(equipment.charges(life)) if kind == "gps_tag" else ():
        for mark in charge:
            if span.start_ms < mark < span.end_ms:
                marks.add(span.start_ms - (span.start_ms - mark) // LOOK_MS * LOOK_MS)
    edges = [*sorted(marks), span.end_ms]
    return np.concatenate([np.arange(a, b, STATUS_MS) for a, b in itertools.pairwise(edges)]).astype(np.int64)
