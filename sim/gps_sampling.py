"""Which instants a GPS tag makes positions of, without running it (firmware/gps_tag: sampler, duty, rest, policy).

- one position for each UTC minute, of its first fix;
- at rest, after ten minutes without a movement, one an hour, at the times that the gateway has set one in ten minutes:
  the first fix within three minutes of when it is wanted, or none; a movement ends that, and the next fix is a
  position at once;
- none without power.

The receiver speaks every `FIX_MS`. It comes to the tag as bytes, so a position is made a moment after its fix.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit

from core.kernel import BORROWS
from core.readings import F64, I64
from sim.fixes import NONE_MS, Scan, first_fix, scan_of
from sim.gnss import BUILDINGS, TABLE, Receiver, Sky, receiver_of, says
from sim.in_force import less
from sim.life import Life, Span
from sim.motion import felt
from sim.way import Way

FIX_MS = 10_000
"""How often the receiver speaks; whoever feeds a virtual tag does so as often."""
HEARD_MS = 700
"""From the instant of a fix until its position is on flash: the bytes, and the silence that ends them (300 ms)."""
MINUTE_MS = 60_000
LOOK_MS = 2_000
STILL_MS = 600_000
REST_MS, TIMED_REST_MS = 3_600_000, 600_000
ACQUIRE_MS = 180_000


@dataclass(frozen=True, slots=True)
class Sampling:
    """``fixes`` that became positions, ascending; when the tag was at ``rest``, when its receiver had power all the
    time (``awake``) and when at rest (``tried``), and when it was ``moved``: spans of shape ``(n, 2)``."""

    fixes: Sky
    rest: I64
    awake: I64
    tried: I64
    moved: I64


def sample(life: Life, times: I64, way: Way | None = None) -> Sampling:
    """When the wearer's tag makes a position, and of which fix. ``times``, ``(n, 2)``, are those that were set.

    ``way`` is that of the tag (`Way.left_behind`), where somebody has it already.
    """
    way = life.way.left_behind(life.off_ankle) if way is None else way
    lives = less([Span(life.start_ms, life.end_ms)], life.flat)
    moved = felt(life, way)
    rest = _rests(moved, lives)
    awake = _between(lives, rest)
    receiver = receiver_of(life, way)
    with np.errstate(over="ignore"):
        at_ms, tried = _fixes(receiver, TABLE, BUILDINGS, awake, rest, times)
    return Sampling(says(receiver, at_ms), rest, awake, tried, moved)


def _between(lives: list[Span], rest: I64) -> I64:
    """The tag's lives less its rests, which lie within them; shape ``(n, 2)``."""
    starts, ends = np.array(lives, np.int64).reshape(-1, 2).T
    spans = np.stack(
        [np.sort(np.concatenate([starts, rest[:, 1]])), np.sort(np.concatenate([rest[:, 0], ends]))], axis=1
    )
    return spans[spans[:, 1] > spans[:, 0]]


def _rests(moved: I64, lives: list[Span]) -> I64:
    """When the tag is at rest, shape ``(n, 2)``: from the look that finds it still to the one that feels a move."""
    found = []
    for start_ms, end_ms in lives:
        # at its start it takes itself to have just moved
        mine = moved[(moved[:, 1] > start_ms) & (moved[:, 0] < end_ms)]
        still = np.append(start_ms, np.minimum(mine[:, 1], end_ms))
        until = np.append(np.maximum(mine[:, 0], start_ms), end_ms)
        last_felt = _look(still - 1, start_ms)
        last_felt[0] = start_ms
        since = _look(last_felt + STILL_MS, start_ms)
        ends = _look(until, start_ms)
        ends[-1] = end_ms
        long = since < ends
        found.append(np.stack([since[long], ends[long]], axis=1))
    return np.concatenate(found) if found else np.zeros((0, 2), np.int64)


def _look(t_ms: I64, start_ms: int) -> I64:
    """The first look at or after each instant."""
    looks: I64 = start_ms + -((start_ms - t_ms) // LOOK_MS) * LOOK_MS
    return looks


@njit(cache=True)
def _fixes(
    receiver: Receiver, table: F64, buildings: np.uint64, awake: I64, rest: I64, times: I64
) -> tuple[I64, I64]:
    """The instants of all fixes that become positions, ascending, and when the receiver had power at rest, ``(k, 2)``.

    Times awake and at rest take turns or follow each other, and do not overlap.
    """
    most = tries = 0
    for i in range(len(awake)):
        most += (awake[i, 1] - awake[i, 0]) // MINUTE_MS + 2
    for i in range(len(rest)):
        tries += (rest[i, 1] - rest[i, 0]) // TIMED_REST_MS + 2
    found, tried = np.empty(most + tries, np.int64), np.empty((tries, 2), np.int64)
    scan = scan_of(receiver, table)
    n = k = a = r = 0
    while a < len(awake) or r < len(rest):
        if r == len(rest) or (a < len(awake) and awake[a, 0] < rest[r, 0]):
            n = _each_minute(receiver, scan, table, buildings, awake[a, 0], awake[a, 1], found, n)
            a += 1
        else:
            n, k = _resting(
                receiver, scan, table, buildings, rest[r, 0], rest[r, 1], times, found, n, tried, k
            )
            r += 1
    return found[:n], tried[:k]


@njit(**BORROWS)
def _each_minute(
    receiver: Receiver,
    scan: Scan,
    table: F64,
    buildings: np.uint64,
    from_ms: int,
    to_ms: int,
    found: I64,
    n: int,
) -> int:
    """Add the first fix in each minute of a span to ``found``, which holds ``n``; how many it holds then."""
    for minute in range(from_ms // MINUTE_MS, (to_ms - 1) // MINUTE_MS + 1):
        begin, end = max(minute * MINUTE_MS, from_ms), min((minute + 1) * MINUTE_MS, to_ms)
        at = first_fix(receiver, scan, table, buildings, begin, end, FIX_MS)
        if at != NONE_MS:
            found[n] = at
            n += 1
    return n


@njit(**BORROWS)
def _resting(
    receiver: Receiver,
    scan: Scan,
    table: F64,
    buildings: np.uint64,
    from_ms: int,
    to_ms: int,
    times: I64,
    found: I64,
    n: int,
    tried: I64,
    k: int,
) -> tuple[int, int]:
    """Add the positions of a rest to ``found``, and to ``tried`` when the receiver had power for them."""
    wanted = _next(from_ms, times)
    while wanted < to_ms:
        until = min(wanted + ACQUIRE_MS, to_ms)
        at = first_fix(receiver, scan, table, buildings, wanted, until, FIX_MS)
        tried[k, 0], tried[k, 1] = wanted, until if at == NONE_MS else at
        k += 1
        if at != NONE_MS:
            found[n] = at
            n += 1
        # the next is wanted some time after this one was made, or was wanted in vain
        wanted = _next(wanted if at == NONE_MS else at + HEARD_MS, times)
    return n, k


@njit(**BORROWS)
def _next(since_ms: int, times: I64) -> int:
    """When the next position at rest is wanted: sooner where a time lies before the end of the hour."""
    soon, late = since_ms + TIMED_REST_MS, since_ms + REST_MS
    for i in range(len(times)):
        if times[i, 1] > soon:
            return int(min(max(soon, times[i, 0]), late))
    return late
