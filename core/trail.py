"""The trail of a wearer: what each position is worth beside the positions before it.

A position can be wrong and claim to be precise. **A position that could only have been reached from the last trusted
one at more than 84 m/s, allowing for the uncertainty of both and a second of their time, is a jump: it proves nothing
until positions at least 10 s apart, each possible from the one before, agree with it; from the one that confirms it on,
they are trusted again.** (84 m/s, 1 s and 10 s: ``RuleSet.fastest_m_s``, ``time_grain_s``, ``confirm_apart_s``.) Nor is
a position trusted whose number says that it was made before positions which claim to be older: its clock was wrong.

**A position of a tag that was not carried away since the one before (`core.readings.PositionFlag`), as its motion
sensor says, reaches at least to the middle of those before it, taken together since it last was.** So where a house
leads its receiver astray by more than the receiver claims, the position is uncertain rather than wrong. A sensor is
believed against positions for 10 min (``RuleSet.unmoved_s``): when they have disagreed for so long, they count from
there as they are.

Whether a position is trusted depends on positions before it in tag time only, through a state of one row per wearer,
so it comes out the same however the positions arrive (design law 3). What is not trusted gets an infinite radius: every
rule after it finds it UNCERTAIN. An error too small to be impossible (200 m in a minute) is for the rules to bear: each
of them asks for two positions.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import IntFlag
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from core import rows
from core.activation import ALWAYS_MS, Activation
from core.alerts import Alert
from core.episodes import NEVER_MS
from core.family import Batch, Part
from core.plane import metres_between, metres_per_degree_at
from core.rows import Fixes
from core.rules import RuleSet
from core.slots import Slots


class FixQuality(IntFlag):
    """What is the matter with a position; 0: nothing."""

    JUMP = 1 << 0
    """Not to be reached from the last trusted position; not trusted."""
    STALE_TIME = 1 << 1
    """Its number and its time contradict each other: made before positions that claim to be older; not trusted."""
    DUPLICATE_TIME = 1 << 2
    """Another position has the same time; trusted where both can be true."""
    DRIFT = 1 << 3
    """Apart from where the wearer was by no more than its own uncertainty: no evidence of movement. Trusted."""
    PROVES_NOTHING = 1 << 4
    """Precision unknown, not from satellites, date suspect, or not on Earth (`core.rows.fixes_from`)."""
    NOT_MOVED = rows.NOT_MOVED
    """Not carried away since the position before, says the tag's motion sensor."""
    ASTRAY = 1 << 6
    """And yet elsewhere, by more than the receiver claims: its ``radius_m`` reaches to where the others are."""
    WALKING = rows.WALKING
    """The receiver measures a speed of 3 km/h or more."""


JUMP, STALE_TIME, DUPLICATE_TIME = (int(FixQuality(1 << bit)) for bit in range(3))
DRIFT, PROVES_NOTHING, NOT_MOVED, ASTRAY = (int(FixQuality(1 << bit)) for bit in range(3, 7))
BROUGHT = NOT_MOVED | rows.WALKING
"""What a position says of itself."""
UNTRUSTED = JUMP | STALE_TIME | PROVES_NOTHING
"""With any of these a position proves nothing about place."""

TRUST = np.dtype(
    [
        ("seen_ms", np.int64),  # the last position of all that could prove something
        ("top_key", np.uint64),  # the highest number so far, and the highest before it was reached; 0: none
        ("below_key", np.uint64),
        # the last trusted position; t_ms NEVER_MS: none
        ("t_ms", np.int64),
        ("lat", np.float64),
        ("lon", np.float64),
        ("radius_m", np.float64),
        # positions that agree with each other, not with the trusted one: since when, and the last; NEVER_MS: none
        ("other_from_ms", np.int64),
        ("other_ms", np.int64),
        ("other_lat", np.float64),
        ("other_lon", np.float64),
        ("other_radius_m", np.float64),
        # from here the wearer has not evidently moved; way_m counts the moves between such places
        ("still_lat", np.float64),
        ("still_lon", np.float64),
        ("still_radius_m", np.float64),
        ("way_m", np.float64),
        # the middle of the positions since the tag was last moved, each weighed by its precision; weight 0: none
        ("stay_weight", np.float64),
        ("stay_lat", np.float64),
        ("stay_lon", np.float64),
        ("astray_ms", np.int64),  # since when positions disagree with it; NEVER_MS: they do not
        # metres per degree, worked out anew every twentieth of a degree (5 km): within 0.5 % below 80°
        ("scale_lat", np.float64),
        ("kx", np.float64),
        ("ky", np.float64),
    ]
)
_SCALE_REACH_DEG = 0.05


class TrustLimits(NamedTuple):
    """The thresholds that the kernel needs."""

    fastest_m_ms: float
    grain_ms: float
    apart_ms: int
    unmoved_ms: int
    unmoved_share: float
    join_ms: int


def trust_limits(rules: RuleSet) -> TrustLimits:
    """Thresholds of ``rules`` for `trust`."""
    return TrustLimits(
        rules.fastest_m_s / 1000.0,
        rules.time_grain_s * 1000.0,
        rules.confirm_apart_s * 1000,
        rules.unmoved_s * 1000,
        rules.unmoved_share,
        rules.trail_silence_s * 1000,
    )


def nothing_known() -> npt.NDArray[np.void]:
    """The state before the first position, shape ``(1,)``, dtype `TRUST`."""
    state = np.zeros(1, TRUST)
    for name in ("seen_ms", "t_ms", "other_from_ms", "other_ms", "astray_ms"):
        state[name] = NEVER_MS
    state["scale_lat"] = np.inf
    return state


@njit(cache=True)
def _stale(state: Any, key: Any) -> Any:
    """Carry the numbers on; True for a number below those that were there already.

    One number above all others proves nothing: it may be the stale one itself, a position stamped too early. Hence two.
    """
    thirty_two = np.uint64(32)
    if state["top_key"] >> thirty_two != key >> thirty_two:
        state["top_key"] = key
        state["below_key"] = np.uint64(0)
    elif key > state["top_key"]:
        state["below_key"] = state["top_key"]
        state["top_key"] = key
    elif key > state["below_key"]:
        state["top_key"] = key
    else:
        return True
    return False


@njit(cache=True)
def _accept(state: Any, fix: Any) -> Any:
    """Trust a position; True if it is drift: the wearer has not evidently moved."""
    first = state["t_ms"] == NEVER_MS
    state["t_ms"] = fix["t_ms"]
    state["lat"] = fix["lat"]
    state["lon"] = fix["lon"]
    state["radius_m"] = fix["radius_m"]
    state["other_ms"] = NEVER_MS
    moved_m = 0.0
    if not first:
        moved_m = metres_between(
            state["still_lon"], state["still_lat"], fix["lon"], fix["lat"], state["kx"], state["ky"]
        )
        if moved_m <= max(state["still_radius_m"], fix["radius_m"]):
            # the most precise position at a place is the one to tell movement from
            state["still_radius_m"] = min(state["still_radius_m"], fix["radius_m"])
            return moved_m > 0.0
    state["way_m"] += moved_m
    state["still_lat"] = fix["lat"]
    state["still_lon"] = fix["lon"]
    state["still_radius_m"] = fix["radius_m"]
    return False


@njit(cache=True)
def _stay(state: Any, fix: Any, limits: TrustLimits) -> Any:
    """Take a trusted position of a tag that was not moved into its stay; True if it is astray: then its radius reaches
    to the middle of the others."""
    lat, lon, radius_m = fix["lat"], fix["lon"], fix["radius_m"]
    if state["stay_weight"] > 0.0:
        away_m = metres_between(state["stay_lon"], state["stay_lat"], lon, lat, state["kx"], state["ky"])
        if away_m <= radius_m:
            state["astray_ms"] = NEVER_MS
        elif state["astray_ms"] == NEVER_MS:
            state["astray_ms"] = fix["t_ms"]
        if state["astray_ms"] == NEVER_MS or fix["t_ms"] - state["astray_ms"] < limits.unmoved_ms:
            # what is far off counts for little, or one wrong signal would lead the middle astray too
            reach_m = max(away_m, radius_m)
            weight = 1.0 / (reach_m * reach_m)
            state["stay_weight"] += weight
            share = weight / state["stay_weight"]
            state["stay_lat"] += (lat - state["stay_lat"]) * share
            state["stay_lon"] += (lon - state["stay_lon"]) * share
            fix["radius_m"] = max(away_m, radius_m * limits.unmoved_share)
            return away_m > radius_m
    fix["radius_m"] = radius_m * limits.unmoved_share
    state["stay_weight"] = 1.0 / (radius_m * radius_m)
    state["stay_lat"], state["stay_lon"] = lat, lon
    state["astray_ms"] = NEVER_MS
    return False


@njit(cache=True)
def trust(fixes: Any, lo: int, hi: int, state: Any, limits: TrustLimits, way_m: Any) -> None:
    """Judge positions ``lo`` to ``hi``, ascending, of one wearer; carries ``state`` (one row of `TRUST`) on.

    Writes `FixQuality` bits into ``quality``, gives what is not trusted an infinite ``radius_m``, and writes the metres
    travelled so far into ``way_m``, as long as ``fixes`` or empty.
    """
    for i in range(lo, hi):
        fix = fixes[i]
        t_ms, lat, lon, radius_m = fix["t_ms"], fix["lat"], fix["lon"], fix["radius_m"]
        stale = _stale(state, fix["key"])
        flags = fix["quality"] & BROUGHT
        if flags & NOT_MOVED == 0:
            state["stay_weight"] = 0.0
        if not radius_m < np.inf:
            flags |= PROVES_NOTHING
        if stale:
            flags |= STALE_TIME
        if flags & ~BROUGHT:
            fix["radius_m"] = np.inf
            fix["quality"] = flags
            if len(way_m):
                way_m[i] = state["way_m"]
            continue
        if t_ms == state["seen_ms"]:
            flags |= DUPLICATE_TIME
        state["seen_ms"] = t_ms
        if not abs(lat - state["scale_lat"]) <= _SCALE_REACH_DEG:
            state["scale_lat"] = lat
            state["kx"], state["ky"] = metres_per_degree_at(lat)
        kx, ky = state["kx"], state["ky"]
        possible = state["t_ms"] == NEVER_MS
        if not possible:
            apart_m = metres_between(state["lon"], state["lat"], lon, lat, kx, ky)
            reach_m = limits.fastest_m_ms * (t_ms - state["t_ms"] + limits.grain_ms)
            possible = apart_m <= radius_m + state["radius_m"] + reach_m
        if not possible:
            flags |= JUMP
            agrees = state["other_ms"] != NEVER_MS
            if agrees:
                apart_m = metres_between(state["other_lon"], state["other_lat"], lon, lat, kx, ky)
                reach_m = limits.fastest_m_ms * (t_ms - state["other_ms"] + limits.grain_ms)
                agrees = apart_m <= radius_m + state["other_radius_m"] + reach_m
            if not agrees:
                state["other_from_ms"] = t_ms
            state["other_ms"] = t_ms
            state["other_lat"] = lat
            state["other_lon"] = lon
            state["other_radius_m"] = radius_m
            if agrees and t_ms - state["other_from_ms"] >= limits.apart_ms:
                flags &= ~JUMP
                possible = True
        if possible:
            if t_ms - state["t_ms"] > limits.join_ms:
                state["stay_weight"] = 0.0
            if _accept(state, fix):
                flags |= DRIFT
            if flags & NOT_MOVED and _stay(state, fix, limits):
                flags |= ASTRAY
        else:
            fix["radius_m"] = np.inf
        fix["quality"] = flags
        if len(way_m):
            way_m[i] = state["way_m"]


@njit(cache=True)
def _trust_all(fixes: Any, radius_m: Any, parts: Any, states: Any, limits: TrustLimits, no_way: Any) -> None:
    for p in range(len(parts)):
        trust(fixes, parts[p, 1], parts[p, 2], states[parts[p, 0]], limits, no_way)
        for i in range(parts[p, 1], parts[p, 2]):
            radius_m[i] = fixes[i]["radius_m"]


class TrailWatch:
    """The rule family that comes before all that look at positions: it takes from them what they do not prove.

    It raises nothing itself.
    """

    def __init__(self, rules: RuleSet) -> None:
        self._limits = trust_limits(rules)
        self._slots = Slots(nothing_known())
        self._no_way = np.zeros(0)

    def enrol(self, activation: Activation) -> int:
        """Take on an activation, nothing known yet: its slot."""
        return self._slots.take()

    def dismiss(self, slot: int) -> None:
        """Let it go."""
        self._slots.give_back(slot)

    def reset(self, slot: int) -> None:
        """Back to nothing known."""
        self._slots.clear(slot)

    def save(self, slot: int) -> bytes:
        """A copy of its state."""
        return self._slots.save(slot)

    def restore(self, slot: int, saved: bytes) -> None:
        """Back to that state."""
        self._slots.restore(slot, 1, saved)

    def advance(self, batch: Batch, parts: Sequence[Part]) -> list[Alert]:
        """Judge the positions of each part where they stand in the batch."""
        places = [(slot, *positions) for slot, positions, *_ in parts if positions[0] < positions[1]]
        if places:
            _trust_all(
                batch.positions,
                batch.columns.radius_m,
                np.array(places, np.int64),
                self._slots.rows[0],
                self._limits,
                self._no_way,
            )
        return []

    def tail(self, handles: Iterable[int], now_ms: int) -> tuple[list[Alert], list[int]]:
        """Time alone changes nothing."""
        return [], [ALWAYS_MS for _ in handles]


@dataclass(frozen=True, slots=True)
class Trail:
    """Positions in order of tag time, each once, with what each is worth; shapes ``(n,)``.

    ``fixes`` have an infinite radius where not trusted; ``quality`` are `FixQuality` bits; ``way_m`` is the distance
    travelled up to each: the sum of the moves greater than their own uncertainty.
    """

    fixes: Fixes
    way_m: npt.NDArray[np.float64]

    @property
    def quality(self) -> npt.NDArray[np.int32]:
        """`FixQuality` bits of each position."""
        found: npt.NDArray[np.int32] = self.fixes["quality"]
        return found

    @property
    def trusted(self) -> npt.NDArray[np.bool_]:
        """Which positions say something about place."""
        found: npt.NDArray[np.bool_] = (self.quality & UNTRUSTED) == 0
        return found


def assess(fixes: Fixes, rules: RuleSet) -> Trail:
    """The trail of one wearer from positions as `core.rows.fixes_from` makes them (left as they are)."""
    judged, way_m = fixes.copy(), np.zeros(len(fixes))
    trust(judged, 0, len(judged), nothing_known()[0], trust_limits(rules), way_m)
    return Trail(judged, way_m)
