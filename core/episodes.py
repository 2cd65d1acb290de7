"""What the kernels of the rules tell: episodes, as rows of one array; the rules make alerts of them."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from core.activation import ALWAYS_MS
from core.rules import RuleSet

NEVER_MS = -ALWAYS_MS
"""Earlier than any instant; stands for *not yet*."""
OPEN_MS = ALWAYS_MS
"""The end of an episode that goes on."""

Episodes = npt.NDArray[np.void]
EPISODE = np.dtype(
    [
        ("watch", np.int32),  # which watch of the rule family
        ("kind", np.int32),  # the family's own
        ("period_ms", np.int64),  # start of the curfew period, where there is one
        ("period_end_ms", np.int64),
        ("start_ms", np.int64),
        ("end_ms", np.int64),  # OPEN_MS while it goes on
        (
            "since_ms",
            np.int64,
        ),  # the last instant at which the contrary is known to have held; NEVER_MS if none
        ("known_ms", np.int64),  # how much of it is known for certain
        ("fixes", np.int32),  # positions that show it
        ("contacts", np.int32),  # intervals of a home unit that show it
        ("extreme_m", np.float64),  # the most telling distance
        ("line_m", np.float64),  # of a pass inferred: the straight line between its two positions
        ("inside_m", np.float64),  # and how much of it lies inside
        ("first_key", np.uint64),  # readings: 0 where there is none
        ("confirm_key", np.uint64),
        ("extreme_key", np.uint64),
        ("last_key", np.uint64),
        ("end_key", np.uint64),
        # who made them: 0 the tag (a position), else the index of the home unit and one more
        ("first_by", np.int16),
        ("confirm_by", np.int16),
        ("extreme_by", np.int16),
        ("last_by", np.int16),
        ("end_by", np.int16),
    ]
)
ROLES = ("first", "confirm", "extreme", "last", "end")
"""What the readings are to an episode, in the order in which an alert names them."""


class Limits(NamedTuple):
    """The thresholds that kernels need, in ms, dBm and beacons."""

    apart_ms: int
    accuse_ms: int
    within_ms: int
    vouch_ms: int
    unknown_ms: int
    missed_ms: int
    disagree_ms: int
    weak_dbm: float
    fewest: int


def limits(rules: RuleSet) -> Limits:
    """Thresholds of ``rules`` for kernels."""
    return Limits(
        rules.confirm_apart_s * 1000,
        rules.accuse_apart_s * 1000,
        rules.confirm_within_s * 1000,
        rules.vouch_s * 1000,
        rules.unknown_after_s * 1000,
        rules.rf_missed_s * 1000,
        rules.disagree_s * 1000,
        rules.rf_weak_below_dbm,
        rules.rf_fewest_beacons,
    )


@njit(cache=True)
def emit(out: Any, count: int, episode: Any) -> Any:
    """Put ``episode`` at ``count``; returns the array, twice as long where it was full."""
    if count == len(out):
        grown = np.empty(2 * len(out) + 1, EPISODE)
        grown[:count] = out
        out = grown
    out[count] = episode
    return out


@njit(cache=True)
def room(out: Any, count: int, more: int) -> Any:
    """``out`` with room for ``more`` episodes after the first ``count``."""
    if count + more <= len(out):
        return out
    grown = np.empty(2 * len(out) + more, EPISODE)
    grown[:count] = out[:count]
    return grown
