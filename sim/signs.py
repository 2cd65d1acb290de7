"""Signs of disturbed and forged satellite signals that a GPS tag would tell, without running it.

- *jamming*: all satellites fall at once while the tag lies still; told after 10 s of a receiver that has power, and
  once an hour until the tag is moved: then nothing is left to compare with. So it lies still from before the fall on;
- *forged signals*: all satellites equally strong for a minute; likewise told once an hour at most.

At rest the receiver is on for three minutes an hour, or until it has a fix: no more is seen of either.
"""

from __future__ import annotations

import numpy as np

from core.readings import I64, EventCode
from sim.gps_sampling import Sampling
from sim.in_force import both
from sim.life import Life, Span

AGAIN_MS = 3_600_000
SETTLED_MS = 60_000
COMPARED_MS = 35_000
"""From lying still until there is an earlier view that a fall is seen by."""
JAMMED_AFTER_MS, FORGED_AFTER_MS = 10_000, 65_000
_FALL_E1 = 180.0


def signs(life: Life, sampling: Sampling) -> list[tuple[int, int, float]]:
    """``(t_ms, EventCode, value)`` of each sign that is told, ascending."""
    if not life.jammed and not life.forged:
        return []
    seen = []
    for jam in life.jammed:
        since_ms, until_ms = _still(life, sampling.moved, jam.start_ms)
        if since_ms + COMPARED_MS <= jam.start_ms < until_ms:
            seen.append(Span(jam.start_ms, min(jam.end_ms, until_ms)))
    jammed = _told(both(seen, _on(sampling, seen)), JAMMED_AFTER_MS)
    spans = [Span(one.start_ms, one.end_ms) for one in life.forged]
    forged = _told(both(spans, _on(sampling, spans)), FORGED_AFTER_MS)
    return sorted(
        [(t, int(EventCode.JAMMING), _FALL_E1) for t in jammed]
        + [(t, int(EventCode.SPOOFING), 8.0) for t in forged]
    )


def _still(life: Life, moved: I64, t_ms: int) -> tuple[int, int]:
    """Since when the tag has settled at an instant, and until when it is not moved."""
    following = int(np.searchsorted(moved[:, 0], t_ms, "right"))
    since_ms = int(moved[following - 1, 1]) if following else life.start_ms
    until_ms = int(moved[following, 0]) if following < len(moved) else life.end_ms
    return max(since_ms, life.start_ms) + SETTLED_MS, min(until_ms, life.end_ms)


def _on(sampling: Sampling, about: list[Span]) -> list[Span]:
    """When the receiver has power, as far as it touches some spans."""
    on = np.concatenate([sampling.awake, sampling.tried])
    touched = np.zeros(len(on), np.bool_)
    for span in about:
        touched |= (on[:, 0] < span.end_ms) & (on[:, 1] > span.start_ms)
    return [Span(a, b) for a, b in on[touched].tolist()]


def _told(spans: list[Span], after_ms: int) -> list[int]:
    found: list[int] = []
    for start_ms, end_ms in spans:
        t_ms = start_ms + after_ms
        if found:
            t_ms = max(t_ms, found[-1] + AGAIN_MS)
        found += np.arange(t_ms, end_ms, AGAIN_MS).tolist()
    return found
