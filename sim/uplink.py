"""When what a device made is with the gateway: how long it waits in the tag, and for a link (firmware/lib/link.py).

A reading waits at most ``wait_ms`` for company, an urgent one, or a position at a time or place that the gateway has
set, not at all; what is sent takes everything with it that was made before. Without a link all stays in the journal,
in order; once there is one again the tag finds it after a pause that doubles up to two minutes, and hands over
everything.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numba import njit

from core.readings import I64, U32
from sim import noise
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


def handed_over(made_ms: Sequence[I64], at_once: Bool, links: I64) -> tuple[U32, I64]:
    """Number, from 1, and arrival of each reading that a device keeps in one journal.

    ``made_ms``: of several kinds of readings, each ascending; ``at_once`` and what comes back are of all, in turn.
    """
    seq: U32
    arrived: I64
    seq, arrived = _handed_over(
        np.concatenate(made_ms), np.array([len(some) for some in made_ms], np.int64), at_once, links
    )
    return seq, arrived


@njit(cache=True)
def _handed_over(made_ms: Any, counts: Any, at_once: Any, links: Any) -> Any:
    n = len(made_ms)
    order = np.arange(n)
    until = counts[0]
    for k in range(1, len(counts)):  # of readings of one instant those of the first kind come first
        i, j = until - 1, until + counts[k] - 1
        out = j
        while j >= until:
            if i >= 0 and made_ms[order[i]] > made_ms[j]:
                order[out] = order[i]
                i -= 1
            else:
                order[out] = j
                j -= 1
            out -= 1
        until += counts[k]
    in_turn = _arrivals(made_ms[order], at_once[order], links, WAIT_MS)
    seq, arrived = np.empty(n, np.uint32), np.empty(n, np.int64)
    for turn in range(n):
        seq[order[turn]], arrived[order[turn]] = turn + 1, in_turn[turn]
    return seq, arrived


def connected(seed: int, ways: I64, broken: Iterable[tuple[int, int]], off: Iterable[tuple[int, int]]) -> I64:
    """When a device is connected: spans of shape ``(k, 2)``.

    ``ways`` are the spans in which there is a network, ascending, ``broken`` those in which it is down all the same,
    ``off`` those in which the device has no power.
    """
    with np.errstate(over="ignore"):
        links: I64 = _connected(noise.key_of(seed, _PAUSE), ways, _spans(broken), _spans(off))
    return links


def _spans(spans: Iterable[tuple[int, int]]) -> I64:
    return np.array(list(spans), np.int64).reshape(-1, 2)


@njit(cache=True)
def _connected(key: Any, ways: Any, broken: Any, off: Any) -> Any:
    dark = np.empty((len(ways) + len(broken) + len(off), 3), np.int64)
    links = np.empty((len(dark) + 1, 2), np.int64)
    if not len(ways):
        return links[:0]
    n = 0
    first, last = ways[0, 0], ways[0, 1]
    for i in range(1, len(ways)):
        if ways[i, 0] > last:
            dark[n, 0], dark[n, 1], dark[n, 2] = last, ways[i, 0], 0
            n += 1
        last = max(last, ways[i, 1])
    for i in range(len(broken)):
        dark[n, 0], dark[n, 1], dark[n, 2] = broken[i, 0], broken[i, 1], 0
        n += 1
    for i in range(len(off)):
        dark[n, 0], dark[n, 1], dark[n, 2] = off[i, 0], off[i, 1], 1
        n += 1
    dark = dark[np.argsort(dark[:n, 0])]
    k = i = 0
    up_ms = first + CONNECT_MS
    while i < n:
        start, end, power = dark[i]
        i += 1
        while i < n and dark[i, 0] <= end:
            end, power = max(end, dark[i, 1]), max(power, dark[i, 2])
            i += 1
        if start > up_ms:
            links[k, 0], links[k, 1] = up_ms, min(start, last)
            k += 1
        pause = ATTACH_MS
        if not power:
            pause = round(noise.uniform_at(key, end) * min(end - start, MOST_PAUSE_MS))
        up_ms = max(up_ms, end + pause + CONNECT_MS)
    if up_ms < last:
        links[k, 0], links[k, 1] = up_ms, last
        k += 1
    return links[:k]


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
            if k and arrived[k] < arrived[k - 1]:  # a backlog is still on its way, and what is new follows it
                arrived[k] = arrived[k - 1]
            k += 1
        first = k
    return arrived
