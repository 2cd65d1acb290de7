"""What the motion sensor of a worn tag feels: a wearer who goes somewhere, and one who sits, or sleeps, and stirs.

A life says where somebody is, not how they sit. So a tag that stays is stirred now and then, by chance that follows
from the life's seed: while somebody is awake in seven of ten spans of five minutes (an ankle is crossed over the other,
a kettle is filled), asleep once in an hour or two. All figures are of ours; they decide how often a tag is at rest, and
with it how many positions it makes. The same spans move the pin of the virtual board's accelerometer.
"""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import numpy as np

from core.readings import F64, I64
from sim import noise
from sim.life import Life, spans_hold

SLOT_MS = 300_000
STIR_MS = 4_000
"""So long it is felt: longer than the 2 s between two looks."""
_AWAKE, _ASLEEP = 0.70, 0.06
"""Shares of slots with a stir."""
_TO_BED_H, _LASTS_H, _BETWEEN_H = 23.2, 7.6, 0.8
_NAP_MS = 3 * 3_600_000
"""Who sleeps stays somewhere for longer than this."""
_LONDON = ZoneInfo("Europe/London")
_STIRS, _WHEN, _HABIT = (noise.stream_of(f"motion/{name}") for name in ("stirs", "when", "habit"))


def felt(life: Life) -> I64:
    """When a worn tag is moved: ascending spans that do not touch, UTC ms, shape ``(n, 2)``."""
    way = life.way.left_behind(life.off_ankle)
    starts, ends = way.start_ms, np.append(way.start_ms[1:], way.end_ms)
    goes = (way.lat != way.to_lat) | (way.lon != way.to_lon)
    slots = np.arange(life.start_ms // SLOT_MS, life.end_ms // SLOT_MS + 1)
    stirs = noise.uniform(life.seed, _STIRS, slots) < np.where(
        _asleep(life, slots * SLOT_MS), _ASLEEP, _AWAKE
    )
    slots = slots[stirs]
    begin = slots * SLOT_MS + np.int64((SLOT_MS - STIR_MS) * noise.uniform(life.seed, _WHEN, slots))
    if life.off_ankle:
        begin = begin[~spans_hold(life.off_ankle, begin)]
    spans = np.concatenate(
        [np.stack([starts[goes], ends[goes]], axis=1), np.stack([begin, begin + STIR_MS], axis=1)]
    )
    return joined(spans)


def joined(spans: I64) -> I64:
    """Spans ascending, those that overlap or touch made one; shape ``(n, 2)``."""
    if not len(spans):
        return spans.reshape(0, 2)
    spans = spans[np.argsort(spans[:, 0], kind="stable")]
    reach = np.maximum.accumulate(spans[:, 1])
    first = np.append(0, np.flatnonzero(spans[1:, 0] > reach[:-1]) + 1)
    last = np.append(first[1:], len(spans)) - 1
    return np.stack([spans[first, 0], reach[last]], axis=1)


def _asleep(life: Life, t_ms: I64) -> F64:
    way = life.way
    stays = (way.lat == way.to_lat) & (way.lon == way.to_lon)
    long = np.append(way.start_ms[1:], way.end_ms) - way.start_ms >= _NAP_MS
    offset = datetime.fromtimestamp(life.start_ms / 1000, UTC).astimezone(_LONDON).utcoffset()
    assert offset is not None
    hour = t_ms / 3_600_000 + offset.total_seconds() / 3600
    habit = noise.normal(life.seed, _HABIT, np.arange(1))[0]
    in_bed: F64 = (stays & long)[way.leg(t_ms)] & ((hour - _TO_BED_H - _BETWEEN_H * habit) % 24 < _LASTS_H)
    return in_bed
