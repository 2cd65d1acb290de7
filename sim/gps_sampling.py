"""Which instants a GPS tag makes positions of, without running it (firmware/gps_tag: sampler, duty, rest, policy).

- one position for each UTC minute, of its first fix;
- at rest, after ten minutes without a movement, one an hour, at the times that the gateway has set one in ten minutes:
  the first fix within three minutes of when it is wanted, or none; a movement ends that, and the next fix is a
  position at once;
- none without power.

The receiver speaks every `FIX_MS`. It comes to the tag as bytes, so a position is made a moment after its fix.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from core.readings import I64
from sim.gnss import Sky, receive
from sim.in_force import less
from sim.life import Life, Span
from sim.motion import felt
from sim.way import Surroundings

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


def sample(life: Life, times: I64) -> Sampling:
    """When the wearer's tag makes a position, and of which fix. ``times``, ``(n, 2)``, are those that were set."""
    lives = less([Span(life.start_ms, life.end_ms)], life.flat)
    moved = felt(life)
    rest = _rests(moved, lives)
    awake = _between(lives, rest)
    asked = _Asked(life)
    asked.first_fixes(*_minutes(awake))
    tried = _resting(asked, rest, times)
    return Sampling(asked.found(), rest, awake, tried, moved)


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


def _minutes(awake: I64) -> tuple[I64, I64]:
    """First and last+1 instant in which each position may be made: the minutes of each span, cut to it."""
    first = awake[:, 0] // MINUTE_MS
    count = (awake[:, 1] - 1) // MINUTE_MS - first + 1
    span = np.repeat(np.arange(len(awake)), count)
    minute = np.arange(len(span)) - np.repeat(np.cumsum(count) - count, count) + first[span]
    return (
        np.maximum(minute * MINUTE_MS, awake[span, 0]),
        np.minimum((minute + 1) * MINUTE_MS, awake[span, 1]),
    )


class _Asked:
    """A wearer's receiver, and the fixes found with it."""

    def __init__(self, life: Life) -> None:
        self._life = life
        self._dark = _dark(life)
        self._found: list[Sky] = []

    def found(self) -> Sky:
        """All fixes found, ascending."""
        columns = [np.concatenate([getattr(sky, name) for sky in self._found]) for name in _COLUMNS]
        order = np.argsort(columns[0], kind="stable")
        return Sky(*(column[order] for column in columns))

    def first_fixes(self, from_ms: I64, to_ms: I64) -> I64:
        """Find the first fix in each of some spans, which ascend; its instant, -1 where there is none."""
        first = -(-from_ms // FIX_MS) * FIX_MS
        at = np.full(len(first), -1, np.int64)
        left = np.flatnonzero((first < to_ms) & (_until_light(self._dark, first) < to_ms))
        sky = receive(self._life, first[left])
        self._keep(sky, np.flatnonzero(sky.fix))
        at[left[sky.fix]] = first[left[sky.fix]]
        left = left[~sky.fix]
        # nearly all have theirs; of the others all instants at once
        count = np.maximum(-(-(to_ms[left] - first[left]) // FIX_MS) - 1, 0)
        slot = np.repeat(np.arange(len(left)), count)
        step = np.arange(len(slot)) - np.repeat(np.cumsum(count) - count, count) + 1
        sky = receive(self._life, first[left][slot] + step * FIX_MS)
        fixed = np.flatnonzero(sky.fix)
        slots = slot[fixed]
        fixed = fixed[np.append(True, slots[1:] != slots[:-1])[: len(slots)]]
        self._keep(sky, fixed)
        at[left[slot[fixed]]] = sky.t_ms[fixed]
        return at

    def _keep(self, sky: Sky, rows: I64) -> None:
        self._found.append(Sky(*(getattr(sky, name)[rows] for name in _COLUMNS)))


_COLUMNS = tuple(field.name for field in fields(Sky))


def _dark(life: Life) -> I64:
    """Spans of the tag's way in which there is no sky at all: no need to ask the receiver."""
    way = life.way.left_behind(life.off_ankle)
    ends = np.append(way.start_ms[1:], way.end_ms)
    deep = np.flatnonzero(way.surroundings == Surroundings.DEEP)
    return np.stack([way.start_ms[deep], ends[deep]], axis=1)


def _until_light(dark: I64, t_ms: I64) -> I64:
    """Until when each instant's darkness lasts; the instant itself in the light."""
    if not len(dark):
        return t_ms
    at = np.searchsorted(dark[:, 0], t_ms, "right") - 1
    ends = dark[np.maximum(at, 0), 1]
    return np.where((at >= 0) & (t_ms < ends), ends, t_ms)


def _resting(asked: _Asked, rest: I64, times: I64) -> I64:
    """Positions at rest: of all rests at once, one after the other; returns when the receiver had power for them."""
    tried = [np.zeros((0, 2), np.int64)]
    wanted, ends = _next(rest[:, 0], times), rest[:, 1]
    while (wanted < ends).any():
        mine = wanted < ends
        wanted, ends = wanted[mine], ends[mine]
        until = np.minimum(wanted + ACQUIRE_MS, ends)
        at = asked.first_fixes(wanted, until)
        tried.append(np.stack([wanted, np.where(at >= 0, at, until)], axis=1))
        # the next is wanted some time after this one was made, or was wanted in vain
        wanted = _next(np.where(at >= 0, at + HEARD_MS, wanted), times)
    return np.concatenate(tried)


def _next(since_ms: I64, times: I64) -> I64:
    """When the next position at rest is wanted: sooner where a time lies before the end of the hour."""
    soon, late = since_ms + TIMED_REST_MS, since_ms + REST_MS
    if not len(times):
        return late
    following = np.searchsorted(times[:, 1], soon, "right")
    begins = times[np.minimum(following, len(times) - 1), 0]
    timed = np.where(following < len(times), np.maximum(soon, begins), late)
    return np.minimum(timed, late)
