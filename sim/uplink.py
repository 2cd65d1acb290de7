"""When what a device made is with the gateway: how long it waits in the tag, and for a link (firmware/lib/link.py).

A reading waits at most ``wait_ms`` for company, an urgent one, or a position at a time or place that the gateway has
set, not at all; what is sent takes everything with it that was made before. Without a link all stays in the journal,
in order; once there is one again the tag finds it after a pause that doubles up to two minutes, and hands over
everything.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numba import njit

from core.readings import I64
from sim import noise
from sim.motion import joined
from sim.way import Bool

WAIT_MS = 120_000
"""A reading that may wait does so for at most this long (``upload_s``)."""
LATENCY_MS = 500
"""From the tag to what the gateway has committed: a cell's round trip and a write to disk."""
CONNECT_MS = 2_500
"""Dial, handshake and the first answer."""
MOST_PAUSE_MS = 120_000
ATTACH_MS = 10_000
"""A modem that was switched on attaches to its network meanwhile."""
BACKLOG_MS = 12
"""Each reading of a backlog takes so long: messages of thirty, each answered before the fifth."""
_PAUSE = noise.stream_of("uplink/pause")


def arrivals(made_ms: I64, at_once: Bool, links: I64, wait_ms: int = WAIT_MS) -> I64:
    """When each reading is committed, gateway time; shape of ``made_ms``, which ascends.

    ``at_once``: it does not wait, nor does what was made before it. ``links`` are the spans in which the tag is
    connected, shape ``(k, 2)``, ascending. What never arrives is given ``NEVER_MS``.
    """
    arrived: I64 = _arrivals(made_ms, at_once, links, wait_ms)
    return arrived


NEVER_MS = 1 << 60


def connected(seed: int, ways: I64, broken: Iterable[tuple[int, int]], off: Iterable[tuple[int, int]]) -> I64:
    """When a device is connected: spans of shape ``(k, 2)``.

    ``ways`` are the spans in which there is a network, ``broken`` those in which it is down all the same, ``off`` those
    in which the device has no power.
    """
    dark = [*((a, b, False) for a, b in broken), *((a, b, True) for a, b in off)]
    edges = joined(ways)
    if len(edges) > 1:
        dark += [(int(a), int(b), False) for a, b in zip(edges[:-1, 1], edges[1:, 0], strict=True)]
    if not len(edges):
        return np.zeros((0, 2), np.int64)
    first, last = int(edges[0, 0]), int(edges[-1, 1])
    found = []
    up_ms = first + CONNECT_MS
    merged: list[tuple[int, int, bool]] = []
    for start, end, power in sorted(dark):
        if merged and start <= merged[-1][1]:
            before = merged.pop()
            start, end, power = before[0], max(before[1], end), before[2] or power
        merged.append((start, end, power))
    draws = noise.uniform(seed, _PAUSE, np.array([end for _, end, _ in merged], np.int64)).tolist()
    for (start, end, power), share in zip(merged, draws, strict=True):
        if start > up_ms:
            found.append((up_ms, min(start, last)))
        pause = ATTACH_MS if power else round(share * min(end - start, MOST_PAUSE_MS))
        up_ms = max(up_ms, end + pause + CONNECT_MS)
    if up_ms < last:
        found.append((up_ms, last))
    return np.array(found, np.int64).reshape(-1, 2)


@njit(cache=True)
def _arrivals(made_ms: Any, at_once: Any, links: Any, wait_ms: int) -> Any:
    n = len(made_ms)
    arrived = np.full(n, NEVER_MS, np.int64)
    link = first = 0
    while first < n:  # the first reading that is not sent
        while link < len(links) and links[link, 1] <= made_ms[first]:
            link += 1
        if link == len(links):
            break
        backlog = made_ms[first] < links[link, 0]
        due_ms = links[link, 0]
        if not backlog:
            due_ms = made_ms[first] + wait_ms
            k = first
            while k < n and made_ms[k] < due_ms:
                if at_once[k]:
                    due_ms = made_ms[k]
                k += 1
            if due_ms >= links[link, 1]:
                # the link is lost before: all goes with the next one
                if link + 1 == len(links):
                    break
                backlog, due_ms = True, links[link + 1, 0]
        k = first
        while k < n and made_ms[k] <= due_ms:
            arrived[k] = due_ms + LATENCY_MS + (BACKLOG_MS * (k - first) if backlog else 0)
            k += 1
        first = k
    return arrived
