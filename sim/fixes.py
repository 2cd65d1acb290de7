"""When a receiver has its first fix in a span, without all that it says of it: for whoever samples.

The same answer as `sim.gnss.receive`'s ``fix`` at each instant (tested), for a part of the work. What is dark, without
power or in a building without signals is passed over as a whole.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numba import njit

from core.kernel import BORROWS
from core.readings import F64, I64
from sim import noise
from sim.gnss import BUILDINGS, INDOORS, KINDS, LOSSES, LOST, LOST_S, TABLE, Keys, Receiver, building

NONE_MS = -1
_LEG, _SEEN_LEG, _DARK, _FLAT, _FORGED, _CURSORS = range(6)
_LOST_SHARE, _THRESHOLD, _PLACES = range(3)
# of what wanders in each kind of surroundings: as in `sim.gnss`
_RATE, _PHASE, _KNOT, _BEHIND, _AHEAD, _WIDTH = range(6)


class Scan(NamedTuple):
    """How far a receiver has been asked: instants ascend. Changed by `first_fix`."""

    cursors: I64
    leg: F64
    keys: Keys
    losses: F64


@njit(cache=True)
def scan_of(receiver: Receiver, table: F64) -> Scan:
    """At the begin of its way."""
    keys, losses = np.empty(KINDS, np.uint64), np.zeros((KINDS, _WIDTH))
    for kind in range(KINDS):
        keys[kind] = noise.part_of(receiver.key, LOSSES + kind)
        losses[kind, _RATE] = 1.0 / (1000.0 * noise.KNOTS_IN_A_MEMORY * table[kind, LOST_S])
        losses[kind, _PHASE] = noise.uniform_at(keys[kind], noise.NEVER)
        losses[kind, _KNOT] = noise.NEVER
    cursors = np.zeros(_CURSORS, np.int64)
    cursors[_SEEN_LEG] = -1
    return Scan(cursors, np.zeros(_PLACES), keys, losses)


# a call would hand over some hundred figures, which takes longer than all that is done here
@njit(cache=True, error_model="numpy", inline="always")
def first_fix(
    receiver: Receiver, scan: Scan, table: F64, buildings: np.uint64, from_ms: int, to_ms: int, step_ms: int
) -> int:
    """The first instant in a span, a multiple of ``step_ms``, at which there is a fix; `NONE_MS`: there is none.

    Spans asked for with the same ``scan`` ascend.
    """
    starts, ends, about = receiver.starts, receiver.ends, receiver.about
    dark, flat, forged = receiver.dark, receiver.flat, receiver.forged
    cursors, keys, losses = scan.cursors, scan.keys, scan.losses
    leg, in_dark, in_flat, in_forged = cursors[_LEG], cursors[_DARK], cursors[_FLAT], cursors[_FORGED]
    found = NONE_MS
    t = -(-from_ms // step_ms) * step_ms
    while t < to_ms:
        while in_flat < len(flat) and flat[in_flat, 1] <= t:
            in_flat += 1
        if in_flat < len(flat) and flat[in_flat, 0] <= t:
            t = -(-flat[in_flat, 1] // step_ms) * step_ms
            continue
        while in_forged < len(forged) and forged[in_forged, 1] <= t:
            in_forged += 1
        if in_forged < len(forged):
            if forged[in_forged, 0] <= t:
                found = t
                break
            until = min(to_ms, forged[in_forged, 0])
        else:
            until = to_ms
        while in_dark < len(dark) and dark[in_dark, 1] <= t:
            in_dark += 1
        if in_dark < len(dark) and dark[in_dark, 0] <= t:
            t = -(-min(dark[in_dark, 1], until) // step_ms) * step_ms
            continue
        while leg + 1 < len(starts) and starts[leg + 1] <= t:
            leg += 1
        kind = about[leg]
        if leg != cursors[_SEEN_LEG]:
            cursors[_SEEN_LEG] = leg
            lost = table[kind, LOST]
            if kind == INDOORS:
                lost = building(buildings, receiver.places[0, leg], receiver.places[1, leg])[1]
            scan.leg[_LOST_SHARE] = lost
            scan.leg[_THRESHOLD] = noise.quantile(lost) if 0.0 < lost < 1.0 else -10.0
        if scan.leg[_LOST_SHARE] >= 1.0:
            over = ends[leg] if leg + 1 < len(starts) else until
            t = max(-(-min(over, until) // step_ms) * step_ms, t + step_ms)
            continue
        if scan.leg[_LOST_SHARE] <= 0.0:
            found = t
            break
        at = t * losses[kind, _RATE] + losses[kind, _PHASE]
        knot = math.floor(at)
        if knot != losses[kind, _KNOT]:
            key = keys[kind]
            if knot == losses[kind, _KNOT] + 1.0:
                losses[kind, _BEHIND] = losses[kind, _AHEAD]
            else:
                losses[kind, _BEHIND] = noise.normal_at(key, 2 * knot)
            losses[kind, _AHEAD] = noise.normal_at(key, 2 * knot + 2)
            losses[kind, _KNOT] = knot
        before, after = noise.weights(at - knot)
        if losses[kind, _BEHIND] * before + losses[kind, _AHEAD] * after > scan.leg[_THRESHOLD]:
            found = t
            break
        t += step_ms
    cursors[_LEG], cursors[_DARK], cursors[_FLAT], cursors[_FORGED] = leg, in_dark, in_flat, in_forged
    return found


@njit(cache=True)
def _each(
    receiver: Receiver, table: F64, buildings: np.uint64, from_ms: I64, to_ms: I64, step_ms: int
) -> I64:
    found = np.empty(len(from_ms), np.int64)
    _fill(receiver, scan_of(receiver, table), table, buildings, from_ms, to_ms, step_ms, found)
    return found


@njit(**BORROWS, error_model="numpy")
def _fill(
    receiver: Receiver,
    scan: Scan,
    table: F64,
    buildings: np.uint64,
    from_ms: I64,
    to_ms: I64,
    step_ms: int,
    found: I64,
) -> None:
    for i in range(len(from_ms)):
        found[i] = first_fix(receiver, scan, table, buildings, from_ms[i], to_ms[i], step_ms)


def first_fixes(receiver: Receiver, from_ms: I64, to_ms: I64, step_ms: int) -> I64:
    """`first_fix` of each of some spans, ascending."""
    with np.errstate(over="ignore"):
        return _each(receiver, TABLE, BUILDINGS, from_ms, to_ms, step_ms)
