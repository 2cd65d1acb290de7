"""Chance that can be asked for any instant: each number follows from a seed, a stream and an index alone.

A sensor's error must be the same whoever asks for it, in whatever order and however often: the tag on its virtual
board fix by fix, the score a week at once. So there is no generator with a state. An index is hashed (a counter through
the finaliser of SplitMix64; Steele, Lea, Flood 2014), and what follows is made of the hash.

A stream keeps unlike things apart: name it with `stream_of`. The kernels below are for other kernels. (numba does not
see that a kernel in another file has changed: `gateway.kernels` does.)
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Sequence

import numpy as np
from numba import njit

from core.kernel import BORROWS
from core.readings import F64, I64

KNOTS_IN_A_MEMORY = 1.2
"""Memories between two knots of `wander`: so its correlation falls to 1/e within one memory."""

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2 = np.uint64(0x94D049BB133111EB)
_S30, _S27, _S31, _S11 = np.uint64(30), np.uint64(27), np.uint64(31), np.uint64(11)
_TO_UNIT = 2.0**-53
_ALL = 2**64
_LOWEST = 2**62
"""An index is at least minus this."""
NEVER = -_LOWEST
"""An index that no instant reaches; a stream's phase is drawn there."""


def stream_of(name: str) -> int:
    """The stream of a name, such as ``"gnss/sky"``."""
    return zlib.crc32(name.encode())


def key_of(seed: int, stream: int) -> np.uint64:
    """What a seed and a stream, any whole numbers, are to the kernels."""
    return np.uint64(_mixed(_mixed((seed + int(_GOLDEN)) % _ALL) ^ stream % _ALL))


def _mixed(bits: int) -> int:
    """As `_mix`, in whole numbers: a call of a kernel takes longer."""
    bits = (bits ^ (bits >> 30)) * int(_MIX_1) % _ALL
    bits = (bits ^ (bits >> 27)) * int(_MIX_2) % _ALL
    return bits ^ (bits >> 31)


def uniform(seed: int, stream: int, index: I64) -> F64:
    """A number in (0, 1) for each index, evenly spread; shape of ``index``."""
    with np.errstate(over="ignore"):
        return _uniforms(key_of(seed, stream), np.ascontiguousarray(index, np.int64))


def normal(seed: int, stream: int, index: I64) -> F64:
    """A standard normal number for each index; shape of ``index``."""
    with np.errstate(over="ignore"):
        return _normals(key_of(seed, stream), np.ascontiguousarray(index, np.int64))


def wander(seed: int, stream: int, t_ms: I64, memory_s: float) -> F64:
    """A number that wanders through time with mean 0 and variance 1 at every instant; shape of ``t_ms``.

    Its correlation is 1/e after ``memory_s`` and nothing after 2.4 of them.
    """
    with np.errstate(over="ignore"):
        return _wanders(key_of(seed, stream), np.ascontiguousarray(t_ms, np.int64), memory_s)


# ------------------------------------------------------------------------------------------------- kernels


@njit(cache=True)
def _mix(bits: np.uint64) -> np.uint64:
    bits = (bits ^ (bits >> _S30)) * _MIX_1
    bits = (bits ^ (bits >> _S27)) * _MIX_2
    return np.uint64(bits ^ (bits >> _S31))


@njit(cache=True)
def part_of(key: np.uint64, part: int) -> np.uint64:
    """The key of one of a stream's parts, from 0."""
    return np.uint64(_mix(key ^ (_MIX_1 * np.uint64(part + 1))))


@njit(cache=True)
def bits_at(key: np.uint64, index: int) -> np.uint64:
    """64 bits."""
    return np.uint64(_mix(key + _GOLDEN * np.uint64(index + _LOWEST)))


@njit(cache=True)
def uniform_at(key: np.uint64, index: int) -> float:
    """In (0, 1)."""
    return (float(bits_at(key, index) >> _S11) + 0.5) * _TO_UNIT


@njit(cache=True)
def normal_at(key: np.uint64, index: int) -> float:
    """Standard normal."""
    return quantile(uniform_at(key, index))


@njit(cache=True)
def quantile(share: float) -> float:
    """Below which value ``share`` of all standard normal numbers lie; within 1e-8 of it (Acklam's approximation)."""
    if share < 0.02425 or share > 0.97575:
        r = math.sqrt(-2.0 * math.log(min(share, 1.0 - share)))
        tail = (
            (
                (((-7.784894002430293e-03 * r - 3.223964580411365e-01) * r - 2.400758277161838e00) * r)
                - 2.549732539343734e00
            )
            * r
            + 4.374664141464968e00
        ) * r + 2.938163982698783e00
        over = (
            ((7.784695709041462e-03 * r + 3.224671290700398e-01) * r + 2.445134137142996e00) * r
            + 3.754408661907416e00
        ) * r + 1.0
        return tail / over if share < 0.5 else -tail / over
    q = share - 0.5
    r = q * q
    top = (
        (
            ((-3.969683028665376e01 * r + 2.209460984245205e02) * r - 2.759285104469687e02) * r
            + 1.383577518672690e02
        )
        * r
        - 3.066479806614716e01
    ) * r + 2.506628277459239e00
    under = (
        (
            ((-5.447609879822406e01 * r + 1.615858368580409e02) * r - 1.556989798598866e02) * r
            + 6.680131188771972e01
        )
        * r
        - 1.328068155288572e01
    ) * r + 1.0
    return top * q / under


@njit(cache=True)
def weights(share: float) -> tuple[float, float]:
    """What two standard normal numbers count, ``share`` of the way from one to the other, for a sum of variance 1."""
    ahead = share * share * (3.0 - 2.0 * share)
    behind = 1.0 - ahead
    whole = 1.0 / math.sqrt(behind * behind + ahead * ahead)
    return behind * whole, ahead * whole


@njit(cache=True)
def between(before: float, after: float, share: float) -> float:
    """``share`` of the way from one standard normal number to another, still with variance 1."""
    behind, ahead = weights(share)
    return before * behind + after * ahead


@njit(cache=True)
def knots(key: np.uint64, t_ms: int, memory_s: float) -> tuple[int, float]:
    """The knot at or before an instant, and how far it lies towards the next, 0 to 1."""
    at = t_ms / (1000.0 * KNOTS_IN_A_MEMORY * memory_s) + uniform_at(key, NEVER)
    knot = math.floor(at)
    return int(knot), at - knot


@njit(cache=True)
def wander_at(key: np.uint64, t_ms: int, memory_s: float) -> float:
    """As `wander`, at one instant."""
    knot, share = knots(key, t_ms, memory_s)
    return between(normal_at(key, knot), normal_at(key, knot + 1), share)


_EVERY, _PHASE, _KNOT, _BEHIND, _AHEAD, _KEPT = range(6)


def kept(memories_s: Sequence[float]) -> F64:
    """What `wander_kept` keeps of each of some streams that wander."""
    found = np.zeros((len(memories_s), _KEPT))
    found[:, _EVERY] = 1000.0 * KNOTS_IN_A_MEMORY * np.array(memories_s)
    found[:, _PHASE] = np.nan
    found[:, _KNOT] = NEVER
    return found


@njit(**BORROWS)
def wander_kept(key: np.uint64, kept: F64, stream: int, t_ms: int) -> float:
    """As `wander_at`. The knots about the instant are kept in ``kept[stream]`` for the next time."""
    if math.isnan(kept[stream, _PHASE]):
        kept[stream, _PHASE] = uniform_at(key, NEVER)
    at = t_ms / kept[stream, _EVERY] + kept[stream, _PHASE]
    knot = math.floor(at)
    if knot != kept[stream, _KNOT]:
        last = kept[stream, _KNOT]
        kept[stream, _BEHIND] = kept[stream, _AHEAD] if knot == last + 1.0 else normal_at(key, int(knot))
        kept[stream, _AHEAD] = normal_at(key, int(knot) + 1)
        kept[stream, _KNOT] = knot
    return between(kept[stream, _BEHIND], kept[stream, _AHEAD], at - knot)


@njit(cache=True)
def _uniforms(key: np.uint64, index: I64) -> F64:
    drawn = np.empty(len(index))
    for i in range(len(index)):
        drawn[i] = uniform_at(key, index[i])
    return drawn


@njit(cache=True)
def _normals(key: np.uint64, index: I64) -> F64:
    drawn = np.empty(len(index))
    for i in range(len(index)):
        drawn[i] = normal_at(key, index[i])
    return drawn


@njit(cache=True)
def _wanders(key: np.uint64, t_ms: I64, memory_s: float) -> F64:
    drawn = np.empty(len(t_ms))
    last = NEVER
    before = after = 0.0
    for i in range(len(t_ms)):
        knot, share = knots(key, t_ms[i], memory_s)
        if knot != last:
            before = after if knot == last + 1 else normal_at(key, knot)
            after = normal_at(key, knot + 1)
            last = knot
        drawn[i] = between(before, after, share)
    return drawn
