"""What a satellite receiver on an ankle makes of where it is: fixes with their errors, and what it claims of them.

`receive` answers for any instants, as arrays: an error at an instant follows from the wearer's seed and the instant
alone (`sim.noise`). The error of a fix is the sum of

- what the sky does (ionosphere, orbits): alike in all surroundings, over half an hour;
- signals thrown back by walls (multipath), by surroundings: `RECEPTION`; a building has its own, the same for all who
  are in it;
- excursions, where for seconds to minutes a wrong signal wins: tens of metres in one direction;
- the receiver's own noise, from fix to fix.

Lost fixes come in runs, and a receiver that has seen nothing for a while (`COLD_AFTER_S`) or was switched off looks for
its satellites anew. docs/sensors.md holds all figures against real recordings and says what is left out.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from core.kernel import BORROWS
from core.readings import F64, I64, U8
from sim import noise
from sim.itinerary import Itinerary
from sim.life import Life
from sim.sentences import fix as plain_fix
from sim.sentences import no_fix as plain_no_fix
from sim.way import Bool, Surroundings, Way

I16 = npt.NDArray[np.int16]
Keys = npt.NDArray[np.uint64]
Pair = tuple[float, float]


class Reception(NamedTuple):
    """How signals arrive in one kind of surroundings. Metres are standard deviations per axis."""

    multipath_m: float
    still_s: float
    """For so long the multipath error stays with one who stays (time to 1/e)."""
    moving_s: float
    """And with one who moves."""
    excursions: float
    """Share of the cells of `EXCURSION_S` that hold an excursion."""
    excursion_m: float
    """Its mean size; exponentially spread, and at most `LARGEST` times this."""
    lost: float
    """Share of time without a fix."""
    lost_s: float
    """How long such a run is, as `noise.wander`'s memory."""
    optimism: float
    """By so much the receiver's claim is smaller than an honest one."""
    speed_m_s: float
    cn0_dbhz: float
    spread_db: float
    """Between satellites."""
    satellites: float
    hdop: float


RECEPTION: dict[Surroundings, Reception] = {
    Surroundings.OPEN: Reception(1.7, 60, 30, 0.0, 0, 0.0, 60, 1.0, 0.08, 40, 5.0, 12, 0.9),
    Surroundings.STREET: Reception(5.5, 150, 25, 0.20, 25, 0.01, 20, 1.5, 0.3, 34, 7.0, 8.5, 1.7),
    Surroundings.INDOORS: Reception(8.0, 420, 120, 0.12, 30, 0.12, 500, 1.3, 0.25, 25, 7.0, 6.5, 2.4),
    Surroundings.DEEP: Reception(0.0, 60, 60, 0.0, 0, 1.0, 60, 1.0, 0.0, 0, 5.0, 0, 20.0),
    Surroundings.VEHICLE: Reception(3.5, 90, 20, 0.03, 20, 0.01, 15, 1.1, 0.2, 35, 6.0, 9.5, 1.2),
    Surroundings.TRAIN: Reception(6.0, 60, 20, 0.08, 30, 0.25, 60, 1.3, 0.4, 29, 7.0, 7.0, 1.9),
}

SKY_M, SKY_S = 1.3, 1500.0
NOISE_M = 0.12
EXCURSION_S = (360.0, 60.0)
"""Cells of one who stays and of one who moves. An excursion takes a tenth of its cell to all of it, a quarter as a
rule: phones in rooms were far off for a minute, now and then two, once six."""
LARGEST = 3.0
CLAIM_SPREAD, CLAIM_S = 0.18, 240.0
"""A claim wanders about what it should be, with the satellites that happen to be in use."""
COLD_AFTER_S = 7200
"""After so long without a signal a receiver does not know any more where its satellites are (their orbits hold for
four hours at most, some for less)."""
COLD_S, WARM_S = (28.0, 115.0), (2.0, 12.0)
"""From signals to a fix: without and with knowledge of the sky. A cold fix takes at most 2 min (NIJ 1004.00)."""
LED_KMH = 60.0
"""As fast as forged signals lead the receiver away, or in half of their span where that is quicker."""
JAMMED_DB = 18.0

FORGED_DBHZ = 46.0
NOTICED = 0.35
"""Share of an excursion that the receiver finds in its residuals and adds to its claim."""
ASTRAY_M, ASTRAY_S = (100.0, 250.0), 900.0
"""How far off an overconfident receiver is, and how slowly that changes."""
STILL_M_S = 0.3
COURSE_KMH = 2.0

_M_PER_DEGREE = 111_195.0
_CHUNK = 3600
_RAYLEIGH_95 = 2.4477
"""Within so many standard deviations per axis lie 95 % of a round normal spread."""
_CALIBRATED = 1.06
"""A claim that wanders must be so much larger for 95 % of it to hold."""


@dataclass(frozen=True, slots=True)
class Sky:
    """What a receiver says at instants, as columns of shape ``(n,)``.

    ``on``: the receiver has power; ``fix``: it has a position. Without one ``lat``, ``lon`` (WGS84 degrees),
    ``precision_m`` (the 95 % radius that it claims by GST), ``hdop``, ``speed_kmh`` and ``course_deg`` are NaN; a
    receiver that stands tells no course. ``cn0_dbhz`` is the mean strength of its satellites (0: none is heard),
    ``spread_db`` the standard deviation among them.
    """

    t_ms: I64
    on: Bool
    fix: Bool
    lat: F64
    lon: F64
    precision_m: F64
    hdop: F64
    satellites: I16
    speed_kmh: F64
    course_deg: F64
    cn0_dbhz: F64
    spread_db: F64

    def __len__(self) -> int:
        return len(self.t_ms)

    def some(self, rows: I64 | Bool) -> Sky:
        """Those that an index or a mask picks."""
        return Sky(*(getattr(self, name)[rows] for name in COLUMNS))


COLUMNS = tuple(field.name for field in fields(Sky))


class Receiver(NamedTuple):
    """What of a life its receiver's fixes follow from, as kernels take it. Made once for a life and asked often.

    ``starts``, ``ends``, ``places`` (shape ``(4, k)``: from latitude and longitude to latitude and longitude) and
    ``about`` are the legs of the way; the others spans of shape ``(k, 2)``, ``led`` from where to where the ``forged``
    signals lead, shape ``(k, 4)``.
    """

    key: np.uint64
    starts: I64
    ends: I64
    places: F64
    about: U8
    dark: I64
    flat: I64
    jammed: I64
    astray: I64
    forged: I64
    led: F64


def receiver_of(life: Life, way: Way) -> Receiver:
    """The receiver of a life. ``way`` is that of the tag: `Way.left_behind` where it is off the ankle."""
    return Receiver(
        noise.key_of(life.seed, noise.stream_of("gnss")),
        way.start_ms,
        way.ends_ms,
        np.stack([way.lat, way.lon, way.to_lat, way.to_lon]),
        way.surroundings,
        _without_sky(life, way),
        _spans(life.flat),
        _spans(life.jammed),
        _spans(life.overconfident),
        _spans([(forgery.start_ms, forgery.end_ms) for forgery in life.forged]),
        _led(life, way),
    )


def receive(life: Life, t_ms: I64) -> Sky:
    """What the wearer's receiver says at each of ``t_ms``, ascending UTC milliseconds."""
    return says(receiver_of(life, life.way.left_behind(life.off_ankle)), t_ms)


def says(receiver: Receiver, t_ms: I64) -> Sky:
    """As `receive`, of a receiver that is there already."""
    n = len(t_ms)
    columns = np.empty((8, n))
    on, has, satellites = np.empty(n, np.bool_), np.empty(n, np.bool_), np.empty(n, np.int16)
    with np.errstate(over="ignore"):
        keys, wanders = _wanders_of(receiver.key, TABLE)
        t_ms = np.ascontiguousarray(t_ms, np.int64)
        _receive(receiver, BUILDINGS, t_ms, TABLE, keys, wanders, on, has, satellites, columns)
    lat, lon, precision_m, hdop, speed_kmh, course_deg, cn0_dbhz, spread_db = columns
    return Sky(
        t_ms, on, has, lat, lon, precision_m, hdop, satellites, speed_kmh, course_deg, cn0_dbhz, spread_db
    )


def _spans(spans: Sequence[tuple[int, int]]) -> I64:
    return np.array(spans, np.int64).reshape(-1, 2)


def _led(life: Life, way: Way) -> F64:
    """From where to where forged signals lead, shape ``(k, 4)``."""
    if not life.forged:
        return np.empty((0, 4))
    lat, lon = way.at(np.array([forgery.start_ms for forgery in life.forged], np.int64))
    to = np.array([(forgery.to.lat, forgery.to.lon) for forgery in life.forged])
    return np.column_stack([lat, lon, to])


def _without_sky(life: Life, way: Way) -> I64:
    """When the receiver has no position for want of signals, and for as long as it then takes to find them again.

    Spans of shape ``(k, 2)``, ascending, apart.
    """
    deep = np.concatenate([[False], way.surroundings == Surroundings.DEEP, [False]]).astype(np.int8)
    ends = np.append(way.start_ms, way.end_ms)
    into, out = np.flatnonzero(np.diff(deep) == 1), np.flatnonzero(np.diff(deep) == -1)
    dark = [(int(ends[a]), int(ends[b]), False) for a, b in zip(into, out, strict=True)]
    dark += [(span[0], span[1], True) for span in life.flat]
    dark += [(span[0], span[1], False) for span in life.jammed]
    # forged signals have driven the true ones out: when they stop, these are looked for
    dark += [(forgery.end_ms, forgery.end_ms, False) for forgery in life.forged]
    merged: list[tuple[int, int]] = []
    key = noise.key_of(life.seed, noise.stream_of("gnss/start"))
    cold, since, until, found = False, 0, 0, None
    for start, end, off in sorted(dark):
        if found is None or start > found:
            if found is not None:
                merged.append((since, found))
            cold, since, until = False, start, end
        until = max(until, end)
        cold = cold or off or until - since >= 1000 * COLD_AFTER_S
        least, most = COLD_S if cold else WARM_S
        with np.errstate(over="ignore"):
            share = noise.uniform_at(key, until)
        found = until + round(1000 * (least + (most - least) * share * share))
    if found is not None:
        merged.append((since, found))
    return _spans(merged)


TABLE = np.array([RECEPTION[about] for about in Surroundings])
"""A row for each of `Surroundings`, the columns of `Reception`."""
BUILDINGS = noise.key_of(0, noise.stream_of("gnss/buildings"))
"""A building is what it is for all who are in it, whatever their seed."""

# columns of the table
_MULTIPATH, _STILL, _MOVING, _EXCURSIONS, _EXCURSION, LOST, LOST_S = range(7)
_OPTIMISM, _SPEED, _CN0, _SPREAD, _SATELLITES, _HDOP = range(7, 13)
KINDS = len(Surroundings)
INDOORS, _DEEP = int(Surroundings.INDOORS), int(Surroundings.DEEP)

# what wanders, two numbers each: parts of the stream
_SKY, _CLAIM, _ASTRAY, LOSSES = 0, 1, 2, 3
_WALLS = LOSSES + KINDS
_WANDERS = _WALLS + 2 * KINDS
_CELLS, _NOISES = 100, 101
_16_BITS = np.uint64(0xFFFF)
_S16, _S32, _S48 = np.uint64(16), np.uint64(32), np.uint64(48)
_FOUR = math.sqrt(6.0) / 2**16
"""Two numbers of 16 bits make one of variance 1."""


# of each of them: knots in a millisecond, phase, the knot last passed, two numbers there and two at the next
_RATE, _PHASE, _KNOT, _BEHIND, _AHEAD = 0, 1, 2, 3, 5


# a call would count references to the arrays, which takes longer than all that is done here
@njit(cache=True, error_model="numpy", inline="always")
def _wander(keys: Keys, wanders: F64, slot: int, t_ms: int) -> Pair:
    """Two numbers like `noise.wander`'s. The knots that they are between are kept in ``wanders``."""
    at = t_ms * wanders[slot, _RATE] + wanders[slot, _PHASE]
    knot = math.floor(at)
    if knot != wanders[slot, _KNOT]:
        key = keys[slot]
        if knot == wanders[slot, _KNOT] + 1.0:
            wanders[slot, _BEHIND] = wanders[slot, _AHEAD]
            wanders[slot, _BEHIND + 1] = wanders[slot, _AHEAD + 1]
        else:
            wanders[slot, _BEHIND] = noise.normal_at(key, 2 * knot)
            wanders[slot, _BEHIND + 1] = noise.normal_at(key, 2 * knot + 1)
        wanders[slot, _AHEAD] = noise.normal_at(key, 2 * knot + 2)
        wanders[slot, _AHEAD + 1] = noise.normal_at(key, 2 * knot + 3)
        wanders[slot, _KNOT] = knot
    before, after = noise.weights(at - knot)
    return (
        wanders[slot, _BEHIND] * before + wanders[slot, _AHEAD] * after,
        wanders[slot, _BEHIND + 1] * before + wanders[slot, _AHEAD + 1] * after,
    )


@njit(cache=True)
def _two(bits: np.uint64) -> Pair:
    """Two numbers of mean 0 and variance 1, none beyond 2.5, of a hash: for what is small and changes each time."""
    first = float((bits & _16_BITS) + ((bits >> _S16) & _16_BITS))
    second = float(((bits >> _S32) & _16_BITS) + (bits >> _S48))
    return (first - 65535.0) * _FOUR, (second - 65535.0) * _FOUR


@njit(cache=True)
def _spans_hold(spans: I64, t_ms: int, at: int) -> int:
    """The first of ``spans`` from number ``at`` on that is not over at an instant."""
    while at < len(spans) and spans[at, 1] <= t_ms:
        at += 1
    return at


@njit(cache=True)
def building(key: np.uint64, lat: float, lon: float) -> tuple[float, float]:
    """How a building weakens signals: factor of its multipath, and share of time without a fix."""
    place = round(lat * 1e5) * 100_000_000 + round(lon * 1e5)
    share = noise.uniform_at(key, place)
    factor = min(max(math.exp(0.5 * noise.quantile(share)), 0.4), 2.2)
    if share > 0.96:
        return factor, 1.0
    return factor, 0.02 if share < 0.8 else 0.02 + (share - 0.8) * 4.0


@njit(cache=True)
def _wanders_of(key: np.uint64, table: F64) -> tuple[Keys, F64]:
    """What wanders: the key of each, and what is kept of it."""
    keys = np.empty(_WANDERS, np.uint64)
    wanders = np.zeros((_WANDERS, _AHEAD + 2))
    for slot in range(_WANDERS):
        keys[slot] = noise.part_of(key, slot)
        wanders[slot, _PHASE] = noise.uniform_at(keys[slot], noise.NEVER)
        wanders[slot, _KNOT] = noise.NEVER
        if slot < _CLAIM:
            memory_s = SKY_S
        elif slot < _ASTRAY:
            memory_s = CLAIM_S
        elif slot < LOSSES:
            memory_s = ASTRAY_S
        elif slot < _WALLS:
            memory_s = table[slot - LOSSES, LOST_S]
        else:
            memory_s = table[(slot - _WALLS) // 2, _MOVING if (slot - _WALLS) % 2 else _STILL]
        wanders[slot, _RATE] = 1.0 / (1000.0 * noise.KNOTS_IN_A_MEMORY * memory_s)
    return keys, wanders


@njit(**BORROWS, error_model="numpy")
def _receive(
    receiver: Receiver,
    buildings: np.uint64,
    t_ms: I64,
    table: F64,
    keys: Keys,
    wanders: F64,
    on: Bool,
    fix: Bool,
    satellites: I16,
    out: F64,
) -> None:
    """Fill the columns of `Sky`: ``on``, ``fix``, ``satellites``, and ``out`` of shape ``(8, n)`` in their order."""
    key, starts, ends, places, about, dark, flat, jammed, astray, forged, led = receiver
    cell_key, noise_key = noise.part_of(key, _CELLS), noise.part_of(key, _NOISES)
    speed_key = noise.part_of(noise_key, 1)
    cell_phase, cell_ms, cell_width = noise.uniform_at(cell_key, noise.NEVER), 1000.0 * EXCURSION_S[0], 1.0
    cell_drawn, cell, cell_is, cell_log, cell_cos, cell_sin = noise.NEVER, noise.NEVER, 1.0, 0.0, 0.0, 0.0
    leg, of_leg = 0, -1
    in_dark = in_flat = in_jam = in_astray = in_forged = 0
    east_m = moved_north = moved_east = north_m_s = east_m_s = 0.0
    kind = walls = 0
    factor, lost, threshold, multipath, honest = 1.0, 0.0, -10.0, 0.0, 0.0
    for i in range(len(t_ms)):
        t = t_ms[i]
        while leg + 1 < len(starts) and starts[leg + 1] <= t:
            leg += 1
        if leg != of_leg:
            of_leg = leg
            kind = about[leg]
            east_m = _M_PER_DEGREE * math.cos(math.radians(places[0, leg]))
            moved_north, moved_east = places[2, leg] - places[0, leg], places[3, leg] - places[1, leg]
            took_s = max(ends[leg] - starts[leg], 1) / 1000.0
            north_m_s, east_m_s = moved_north * _M_PER_DEGREE / took_s, moved_east * east_m / took_s
            moving = 1 if north_m_s * north_m_s + east_m_s * east_m_s > STILL_M_S * STILL_M_S else 0
            walls = _WALLS + 2 * kind + moving
            if cell_ms != 1000.0 * EXCURSION_S[moving]:
                cell_ms = 1000.0 * EXCURSION_S[moving]
                cell_drawn, cell = noise.NEVER, noise.NEVER
            factor, lost = 1.0, table[kind, LOST]
            if kind == INDOORS:
                factor, lost = building(buildings, places[0, leg], places[1, leg])
            threshold = noise.quantile(lost) if 0.0 < lost < 1.0 else -10.0
            multipath = table[kind, _MULTIPATH] * factor
            honest = (_RAYLEIGH_95 * _CALIBRATED / table[kind, _OPTIMISM]) * math.sqrt(
                SKY_M * SKY_M + NOISE_M * NOISE_M + multipath * multipath
            )
        in_dark, in_flat = _spans_hold(dark, t, in_dark), _spans_hold(flat, t, in_flat)
        in_jam, in_astray = _spans_hold(jammed, t, in_jam), _spans_hold(astray, t, in_astray)
        in_forged = _spans_hold(forged, t, in_forged)
        on[i] = not (in_flat < len(flat) and flat[in_flat, 0] <= t)
        is_forged = in_forged < len(forged) and forged[in_forged, 0] <= t
        is_jammed = in_jam < len(jammed) and jammed[in_jam, 0] <= t
        luck, _ = _wander(keys, wanders, _CLAIM, t)
        x = CLAIM_SPREAD * luck
        spread = 1.0 + x * (1.0 + x * (0.5 + x / 6.0))  # e to that power: it is small
        seen = on[i] and lost < 1.0
        if seen and in_dark < len(dark):
            seen = dark[in_dark, 0] > t
        if seen and lost > 0.0:
            seen = _wander(keys, wanders, LOSSES + kind, t)[0] > threshold
        fix[i] = seen or (is_forged and on[i])
        out[7, i] = table[kind, _SPREAD]
        out[6, i] = 0.0
        if on[i] and kind != _DEEP:
            out[6, i] = max(table[kind, _CN0] - 1.5 * luck - (JAMMED_DB if is_jammed else 0.0), 0.0)
        if not fix[i]:
            satellites[i] = 2 if out[6, i] > 20.0 else 0
            for column in range(6):
                out[column, i] = np.nan
            continue
        share = min(max((t - starts[leg]) / max(ends[leg] - starts[leg], 1), 0.0), 1.0)
        lat, lon = places[0, leg] + moved_north * share, places[1, leg] + moved_east * share
        north, east = _two(noise.bits_at(noise_key, t))
        north, east = NOISE_M * north, NOISE_M * east
        if is_forged:
            span_ms = forged[in_forged, 1] - forged[in_forged, 0]
            far_north = (led[in_forged, 2] - led[in_forged, 0]) * _M_PER_DEGREE
            far_east = (led[in_forged, 3] - led[in_forged, 1]) * east_m
            far = math.sqrt(far_north * far_north + far_east * far_east)
            lead_s = max(min(far / (LED_KMH / 3.6), span_ms / 2000.0), 1.0)
            x = min((t - forged[in_forged, 0]) / 1000.0 / lead_s, 1.0)
            gone, pace = x * x * (3.0 - 2.0 * x), 6.0 * x * (1.0 - x) / lead_s
            lat = led[in_forged, 0] + (led[in_forged, 2] - led[in_forged, 0]) * gone
            lon = led[in_forged, 1] + (led[in_forged, 3] - led[in_forged, 1]) * gone
            going_north, going_east = far_north * pace, far_east * pace
            claim = 2.5 * spread
            satellites[i], out[3, i], out[6, i], out[7, i] = 11, 0.8, FORGED_DBHZ, 0.3
        else:
            far_north, far_east = _wander(keys, wanders, _SKY, t)
            near_north, near_east = _wander(keys, wanders, walls, t)
            north += SKY_M * far_north + multipath * near_north
            east += SKY_M * far_east + multipath * near_east
            claim = honest * spread
            if table[kind, _EXCURSIONS] > 0.0:
                at = t / cell_ms + cell_phase
                now = math.floor(at)
                if now != cell_drawn:
                    cell_drawn = now
                    cell_is = noise.uniform_at(cell_key, 4 * now)
                if cell_is < table[kind, _EXCURSIONS]:
                    if now != cell:
                        cell = now
                        angle = 2.0 * math.pi * noise.uniform_at(cell_key, 4 * cell + 1)
                        cell_log = min(-math.log(noise.uniform_at(cell_key, 4 * cell + 2)), LARGEST)
                        cell_cos, cell_sin = math.cos(angle), math.sin(angle)
                        cell_width = max(noise.uniform_at(cell_key, 4 * cell + 3) ** 2, 0.1)
                    # from nothing over its size to nothing again
                    x = (2.0 * (at - cell) - 1.0) / cell_width
                    size = table[kind, _EXCURSION] * cell_log * max(1.0 - x * x * x * x, 0.0)
                    north += size * cell_cos
                    east += size * cell_sin
                    claim += NOTICED * size
            if in_astray < len(astray) and astray[in_astray, 0] <= t:
                swing, turn = _wander(keys, wanders, _ASTRAY, t)
                size = ASTRAY_M[0] + (ASTRAY_M[1] - ASTRAY_M[0]) * (0.5 + 0.5 * math.sin(1.5 * swing))
                angle = 2.0 * math.pi * noise.uniform_at(cell_key, astray[in_astray, 0]) + turn
                north += size * math.cos(angle)
                east += size * math.sin(angle)
                claim = 2.0 * spread
            going_north, going_east = north_m_s, east_m_s
            satellites[i] = max(round(table[kind, _SATELLITES] - 1.5 * luck), 4)
            out[3, i] = table[kind, _HDOP] * spread
        out[0, i] = lat + north / _M_PER_DEGREE
        out[1, i] = lon + east / east_m
        out[2, i] = claim
        gust_north, gust_east = _two(noise.bits_at(speed_key, t))
        going_north += table[kind, _SPEED] * gust_north
        going_east += table[kind, _SPEED] * gust_east
        out[4, i] = 3.6 * math.sqrt(going_north * going_north + going_east * going_east)
        out[5, i] = np.nan
        if out[4, i] >= COURSE_KMH:
            course = math.degrees(math.atan2(going_east, going_north))
            out[5, i] = course if course >= 0.0 else course + 360.0


class GnssReceiver:
    """A plain receiver on one person, who is never off and whom nothing disturbs: it tells GGA and RMC, and no more.

    The same itinerary on another day gives the same errors.
    """

    def __init__(self, itinerary: Itinerary, seed: int, interval_ms: int = 5000) -> None:
        way = itinerary.way()
        self._start_ms = int(way.start_ms[0])
        way = replace(way, start_ms=way.start_ms - self._start_ms, end_ms=way.end_ms - self._start_ms)
        self._life = Life("receiver", seed, 0, way.end_ms, way, {})
        self._interval_ms = interval_ms

    def sentences(self, from_ms: int, to_ms: int) -> Iterator[tuple[int, bytes]]:
        """``(instant_ms, bytes)`` of each fix after ``from_ms`` up to ``to_ms`` inclusive."""
        step = self._interval_ms
        for chunk_ms in range((from_ms // step + 1) * step, to_ms + 1, _CHUNK * step):
            instants = np.arange(chunk_ms, min(chunk_ms + _CHUNK * step, to_ms + 1), step)
            sky = receive(self._life, instants - self._start_ms)
            for i, t_ms in enumerate(instants.tolist()):
                if sky.fix[i]:
                    hdop, satellites = float(sky.hdop[i]), int(sky.satellites[i])
                    yield t_ms, plain_fix(t_ms, sky.lat[i], sky.lon[i], hdop=hdop, satellites=satellites)
                else:
                    yield t_ms, plain_no_fix(t_ms)
