"""What a worn tag tells of itself: starts, strap, case, officers' checks, charger (firmware/lib/equipment.py)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numba import njit

from core.readings import F64, I64, EventCode
from sim import equipment
from sim.in_force import union
from sim.life import Life, Span
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
    boots = [(start_ms, int(EventCode.BOOT), float(POWER_ON)) for start_ms, _ in lives]
    charges = union(equipment.charges(life)) if kind == "gps_tag" else []
    status_ms, plugged = _statuses(
        np.array(lives, np.int64).reshape(-1, 2), np.array(charges, np.int64).reshape(-1, 2)
    )
    n = len(status_ms)
    alone = np.array([*boots, *rare], np.float64).reshape(-1, 3)
    t_ms = np.concatenate([status_ms, alone[:, 0].astype(np.int64)])
    code = np.concatenate([np.where(plugged, _PLUGGED, _ALONE), alone[:, 1].astype(np.int64)])
    value = np.concatenate([np.rint(equipment.battery_mv(life, status_ms, kind)), alone[:, 2]])
    order = np.lexsort((code, t_ms))
    return Occurred(t_ms[order], code[order], value[order], order >= n + len(boots))


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


@njit(cache=True)
def _statuses(lives: I64, charges: I64) -> tuple[I64, Bool]:
    """Every quarter of an hour, and when the charger comes or goes; whether it is there. Charges lie apart."""
    most = 0
    for i in range(len(lives)):
        most += (lives[i, 1] - lives[i, 0]) // STATUS_MS + 2 * len(charges) + 2
    found, plugged = np.empty(most, np.int64), np.empty(most, np.bool_)
    n = 0
    for i in range(len(lives)):
        start_ms, end_ms = lives[i]
        t_ms = start_ms
        for edge in range(2 * len(charges) + 1):
            until_ms = end_ms
            if edge < 2 * len(charges):
                mark = charges[edge // 2, edge % 2]
                if not start_ms < mark < end_ms:
                    continue
                until_ms = start_ms - (start_ms - mark) // LOOK_MS * LOOK_MS
            while t_ms < until_ms:
                found[n] = t_ms
                n += 1
                t_ms += STATUS_MS
            t_ms = until_ms
    at = 0
    for i in range(n):
        while at < len(charges) and charges[at, 1] <= found[i]:
            at += 1
        plugged[i] = at < len(charges) and charges[at, 0] <= found[i]
    return found[:n], plugged[:n]
