"""What the motion sensor of a worn tag feels: a wearer who goes somewhere, and one who sits, or sleeps, and stirs.

A life says where somebody is, not how they sit. So a tag that stays is stirred now and then, by chance that follows
from the life's seed: while somebody is awake in seven of ten spans of five minutes (an ankle is crossed over the other,
a kettle is filled), asleep once in an hour or two. One stir in five is longer: somebody walks about the
house for up to a minute. All figures are of ours; they decide how often a tag is at rest, and
with it how many positions it makes. The same spans move the pin of the virtual board's accelerometer.
"""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import numpy as np
from numba import njit

from core.kernel import BORROWS
from core.readings import I64
from sim import noise
from sim.life import Life
from sim.way import Bool, Way

SLOT_MS = 300_000
STIR_MS = 4_000
"""So long it is felt: longer than the 2 s between two looks."""
ABOUT_MS = (10_000, 60_000)
"""So long somebody walks about the house."""
_ABOUT = 0.2
"""Share of stirs that are such walks."""
_AWAKE, _ASLEEP = 0.70, 0.06
"""Shares of slots with a stir."""
_TO_BED_H, _LASTS_H, _BETWEEN_H = 23.2, 7.6, 0.8
_NAP_MS = 3 * 3_600_000
"""Who sleeps stays somewhere for longer than this."""
_LONDON = ZoneInfo("Europe/London")
_STIRS, _WHEN, _HABIT, _WALKS = (
    noise.stream_of(f"motion/{name}") for name in ("stirs", "when", "habit", "walks")
)


def felt(life: Life, way: Way | None = None) -> I64:
    """When a worn tag is moved: ascending spans that do not touch, UTC ms, shape ``(n, 2)``.

    ``way`` is that of the tag (`Way.left_behind`), where somebody has it already.
    """
    way = life.way.left_behind(life.off_ankle) if way is None else way
    offset = datetime.fromtimestamp(life.start_ms / 1000, UTC).astimezone(_LONDON).utcoffset()
    assert offset is not None
    with np.errstate(over="ignore"):
        spans: I64 = _felt(
            noise.key_of(life.seed, _STIRS),
            noise.key_of(life.seed, _WHEN),
            noise.key_of(life.seed, _HABIT),
            noise.key_of(life.seed, _WALKS),
            (life.start_ms, life.end_ms),
            offset.total_seconds() / 3600,
            _legs(life.way),
            _legs(way),
            np.array(life.off_ankle, np.int64).reshape(-1, 2),
        )
    return spans


def _legs(way: Way) -> tuple[I64, I64, Bool]:
    """Starts and ends of the legs, and whether the wearer goes somewhere on each."""
    return way.start_ms, way.ends_ms, (way.lat != way.to_lat) | (way.lon != way.to_lon)


@njit(cache=True)
def _felt(
    stirs: np.uint64,
    when: np.uint64,
    habit: np.uint64,
    walks: np.uint64,
    life: tuple[int, int],
    offset_h: float,
    own: tuple[I64, I64, Bool],
    tags: tuple[I64, I64, Bool],
    off: I64,
) -> I64:
    """Goings and stirs, both ascending, merged. ``own`` are the legs of the wearer, ``tags`` those of the tag."""
    starts, ends, goes = own
    to_bed_h = _TO_BED_H + _BETWEEN_H * noise.normal_at(habit, 0)
    first, last = life[0] // SLOT_MS, life[1] // SLOT_MS
    begins, lasts = np.empty(last - first + 1, np.int64), np.empty(last - first + 1, np.int64)
    n = leg = laid = 0
    for slot in range(first, last + 1):
        t_ms = slot * SLOT_MS
        while leg + 1 < len(starts) and starts[leg + 1] <= t_ms:
            leg += 1
        asleep = (
            not goes[leg]
            and ends[leg] - starts[leg] >= _NAP_MS
            and (t_ms / 3_600_000 + offset_h - to_bed_h) % 24 < _LASTS_H
        )
        if noise.uniform_at(stirs, slot) < (_ASLEEP if asleep else _AWAKE):
            walk, length = noise.uniform_at(walks, slot) / _ABOUT, STIR_MS
            if walk < 1.0:
                length = ABOUT_MS[0] + int((ABOUT_MS[1] - ABOUT_MS[0]) * walk)
            begin = t_ms + int((SLOT_MS - length) * noise.uniform_at(when, slot))
            while laid < len(off) and off[laid, 1] <= begin:
                laid += 1
            if laid == len(off) or begin < off[laid, 0]:
                begins[n], lasts[n] = begin, length
                n += 1
    starts, ends, goes = tags
    found = np.empty((n + len(starts), 2), np.int64)
    count = stir = 0
    for leg in range(len(starts) + 1):
        until = starts[leg] if leg < len(starts) else np.int64(1 << 62)
        while stir < n and begins[stir] <= until:
            count = _join(found, count, begins[stir], begins[stir] + lasts[stir])
            stir += 1
        if leg < len(starts) and goes[leg]:
            count = _join(found, count, starts[leg], ends[leg])
    return found[:count]


@njit(**BORROWS)
def _join(spans: I64, count: int, start_ms: int, end_ms: int) -> int:
    """Add a span to ascending ones, to the last where they touch; how many there are then."""
    if count and start_ms <= spans[count - 1, 1]:
        spans[count - 1, 1] = max(spans[count - 1, 1], end_ms)
        return count
    spans[count, 0], spans[count, 1] = start_ms, end_ms
    return count + 1


def joined(spans: I64) -> I64:
    """Spans ascending, those that overlap or touch made one; shape ``(n, 2)``."""
    if not len(spans):
        return spans.reshape(0, 2)
    spans = spans[np.argsort(spans[:, 0], kind="stable")]
    reach = np.maximum.accumulate(spans[:, 1])
    first = np.append(0, np.flatnonzero(spans[1:, 0] > reach[:-1]) + 1)
    last = np.append(first[1:], len(spans)) - 1
    return np.stack([spans[first, 0], reach[last]], axis=1)
