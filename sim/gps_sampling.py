"""Which instants a GPS tag makes positions of, without running it (firmware/gps_tag: sampler, duty, rest, policy).

- one position for each UTC minute, of its first fix; for each third of one while it is moved, if the position before
  was at a time or place that the gateway has set;
- at rest, after ten minutes without a movement, one an hour, at the times that the gateway has set one in ten minutes:
  the first fix within three minutes of when it is wanted, or none; a movement ends that, and the next fix is a
  position at once;
- none without power.

The receiver speaks every `FIX_MS`. It comes to the tag as bytes, so a position is made a moment after its fix.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit

from core.kernel import BORROWS
from core.readings import F64, I64
from sim.fixes import NONE_MS, Scan, first_fix, scan_of
from sim.gnss import BUILDINGS, TABLE, Receiver, Sky, receiver_of, says
from sim.in_force import less
from sim.life import Life, Span
from sim.motion import felt, joined
from sim.sentences import quantised
from sim.way import Bool, Way

FIX_MS = 10_000
"""How often the receiver speaks; whoever feeds a virtual tag does so as often."""
HEARD_MS = 700
"""From the instant of a fix until its position is on flash: the bytes, and the silence that ends them (300 ms)."""
TAKEN_MS = 500
"""And until the tag asks whether it is one, between two looks at the motion sensor."""
MINUTE_MS = 60_000
BRISK_MS = 20_000
SETTLED_MS = 60_000
STIRRED_LOOKS = 5
DRIVEN_KMH = 10
LOOK_MS = 2_000
STILL_MS = 600_000
REST_MS, TIMED_REST_MS = 3_600_000, 600_000
ACQUIRE_MS = 180_000


@dataclass(frozen=True, slots=True)
class Sampling:
    """``fixes`` that became positions, ascending, as the tag reads them: ``hurried`` at a time or place that was set,
    ``not_moved`` not carried away since the one before (firmware/gps_tag/duty.py).

    When the tag was at ``rest``, when its receiver had power all the time (``awake``) and when at rest (``tried``), and
    when it was ``moved``: spans of shape ``(n, 2)``.
    """

    fixes: Sky
    hurried: Bool
    not_moved: Bool
    rest: I64
    awake: I64
    tried: I64
    moved: I64


def sample(
    life: Life, times: I64, hurries: Callable[[Sky], Bool], places: bool, way: Way | None = None
) -> Sampling:
    """When the wearer's tag makes a position, and of which fix.

    ``times``, ``(n, 2)``, are those that were set; ``hurries`` says which fixes, as the tag reads them, are at such a
    time or place; ``places``: some were set. ``way`` is that of the tag (`Way.left_behind`), where somebody has it
    already.
    """
    way = life.way.left_behind(life.off_ankle) if way is None else way
    lives = less([Span(life.start_ms, life.end_ms)], life.flat)
    moved = felt(life, way)
    rest = _rests(moved, lives)
    awake = _between(lives, rest)
    looks = _looks(moved, lives)
    brisk = _within(_brisk(looks, lives), awake)
    if not places:
        brisk = _within(brisk, times + np.array([0, MINUTE_MS]))
    receiver = receiver_of(life, way)
    with np.errstate(over="ignore"):
        at_ms, tried = _fixes(receiver, TABLE, BUILDINGS, awake, rest, times, brisk)
    found = quantised(says(receiver, at_ms))
    hurried = hurries(found)
    made = _made(at_ms, hurried, _inside(brisk, at_ms) % 2 == 1, _inside(awake, at_ms))
    fixes = found.some(made)
    return Sampling(fixes, hurried[made], _not_moved(fixes, looks, lives), rest, awake, tried, moved)


def _looks(moved: I64, lives: list[Span]) -> I64:
    """The looks that feel a movement: the first and the last of each run of them, shape ``(n, 2)``."""
    found = [np.zeros((0, 2), np.int64)]
    for start_ms, end_ms in lives:
        mine = moved[(moved[:, 1] > start_ms) & (moved[:, 0] < end_ms)]
        first = _look(np.maximum(mine[:, 0], start_ms), start_ms)
        last = _look(np.minimum(mine[:, 1], end_ms) - 1, start_ms)
        # of two movements within a look the later one begins with the next
        first[1:] = np.maximum(first[1:], last[:-1] + LOOK_MS)
        found.append(np.stack([first, last], axis=1)[first <= last])
    return np.concatenate(found)


def _brisk(looks: I64, lives: list[Span]) -> I64:
    """When the tag takes itself to be moved, as a fix of an instant finds it; shape ``(n, 2)``."""
    # at its start it takes itself to have just moved
    starts = np.array([[start_ms, start_ms] for start_ms, _ in lives], np.int64).reshape(-1, 2)
    return joined(np.concatenate([looks, starts]) + np.array([0, SETTLED_MS]) - TAKEN_MS)


def _not_moved(fixes: Sky, looks: I64, lives: list[Span]) -> Bool:
    """Which positions say that the tag was not carried away since the one before."""
    taken = fixes.t_ms + TAKEN_MS
    counts = (looks[:, 1] - looks[:, 0]) // LOOK_MS + 1
    before = np.append(0, np.cumsum(counts))
    at = np.searchsorted(looks[:, 0], taken, "right")
    if len(looks):
        over = (looks[np.maximum(at - 1, 0), 1] - taken + LOOK_MS - 1) // LOOK_MS
        felt_looks = before[at] - np.where(at > 0, np.maximum(over, 0), 0)
    else:
        felt_looks = np.zeros(len(taken), np.int64)
    life = np.searchsorted(np.array([start_ms for start_ms, _ in lives], np.int64), taken, "right")
    few = np.append(False, (np.diff(felt_looks) <= STIRRED_LOOKS) & (np.diff(life) == 0))[: len(taken)]
    few &= fixes.speed_kmh < DRIVEN_KMH
    return few


def _inside(spans: I64, t_ms: I64) -> I64:
    """Of each instant an odd number that names the span which holds it, or an even one where none does."""
    found: I64 = np.searchsorted(spans.ravel(), t_ms, "right")
    return found


@njit(cache=True)
def _within(these: Any, those: Any) -> Any:
    """What of ``these`` spans lies in ``those``, piece by piece; both ascend and do not overlap."""
    found = np.empty((len(these) + len(those), 2), np.int64)
    n = j = 0
    for i in range(len(these)):
        while j < len(those) and those[j, 1] <= these[i, 0]:
            j += 1
        k = j
        while k < len(those) and those[k, 0] < these[i, 1]:
            found[n, 0], found[n, 1] = max(these[i, 0], those[k, 0]), min(these[i, 1], those[k, 1])
            n += 1
            k += 1
    return found[:n]


@njit(cache=True)
def _made(t_ms: Any, hurried: Any, brisk: Any, awake: Any) -> Any:
    """Which of the fixes found become positions: firmware/lib/policy.py, `due`. ``awake`` is odd where it is."""
    made = np.zeros(len(t_ms), np.bool_)
    last = -1
    for i in range(len(t_ms)):
        period = BRISK_MS if last >= 0 and hurried[last] and brisk[i] else MINUTE_MS
        # at rest all that were looked for are wanted; when a rest is over the next is
        if (
            awake[i] % 2 == 0
            or last < 0
            or awake[i] != awake[last]
            or t_ms[i] // period != t_ms[last] // period
        ):
            made[i] = True
            last = i
    return made


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
    receiver: Receiver, table: F64, buildings: np.uint64, awake: I64, rest: I64, times: I64, brisk: I64
) -> tuple[I64, I64]:
    """The instants of fixes that may become positions, ascending, and when the receiver had power at rest, ``(k, 2)``.

    ``brisk`` lies within times awake. Times awake and at rest take turns or follow each other, and do not overlap.
    """
    most = tries = 0
    for i in range(len(awake)):
        most += (awake[i, 1] - awake[i, 0]) // MINUTE_MS + 2
    for i in range(len(brisk)):
        most += (brisk[i, 1] - brisk[i, 0]) // BRISK_MS + 3
    for i in range(len(rest)):
        tries += (rest[i, 1] - rest[i, 0]) // TIMED_REST_MS + 2
    found, tried = np.empty(most + tries, np.int64), np.empty((tries, 2), np.int64)
    scan = scan_of(receiver, table)
    n = k = a = r = b = 0
    while a < len(awake) or r < len(rest):
        if r == len(rest) or (a < len(awake) and awake[a, 0] < rest[r, 0]):
            n, b = _each_slot(receiver, scan, table, buildings, awake[a, 0], awake[a, 1], brisk, b, found, n)
            a += 1
        else:
            n, k = _resting(
                receiver, scan, table, buildings, rest[r, 0], rest[r, 1], times, found, n, tried, k
            )
            r += 1
    return found[:n], tried[:k]


@njit(**BORROWS)
def _each_slot(
    receiver: Receiver,
    scan: Scan,
    table: F64,
    buildings: np.uint64,
    from_ms: int,
    to_ms: int,
    brisk: I64,
    b: int,
    found: I64,
    n: int,
) -> tuple[int, int]:
    """Add the first fix in each minute of a span, and in each third of one that is ``brisk``, to ``found``, which holds
    ``n``; how many it holds then. The first of ``brisk`` that is not over is ``b``; and that afterwards."""
    begin, minute_found = from_ms, -1
    while begin < to_ms:
        while b < len(brisk) and brisk[b, 1] <= begin:
            b += 1
        minute = begin // MINUTE_MS
        end = min((minute + 1) * MINUTE_MS, to_ms)
        fast = b < len(brisk) and brisk[b, 0] <= begin
        if fast:
            end = min(end, brisk[b, 1], (begin // BRISK_MS + 1) * BRISK_MS)
        elif b < len(brisk):
            end = min(end, brisk[b, 0])
        if fast or minute != minute_found:
            at = first_fix(receiver, scan, table, buildings, begin, end, FIX_MS)
            if at != NONE_MS:
                found[n] = at
                n += 1
                minute_found = minute
        begin = end
    return n, b


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
