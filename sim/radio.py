"""The air between RF tags and home units: which beacons are heard, and how strongly. One channel for everybody.

A beacon sent at distance ``d`` through ``walls`` arrives with

    P = P₁ − 10 n log₁₀(max(d, 0.5 m)) − L · walls + S + B + F        (dBm)

- ``P₁`` −54 dBm at 1 m: 9 dBm sent (an ESP32-S3's default), 41 dB of free space at 2.4 GHz, 8 dB as measured of a radio
  that is carried, 14 more for a case on an ankle;
- ``n`` 2.2, between free space (2) and a furnished flat (3, where the walls are not counted apart, as here they are);
- ``L`` 6 dB a wall, brick and plasterboard together;
- ``S`` shadowing by furniture, which stays while the tag stays where it is: drawn anew for each sojourn;
- ``B`` the wearer's own body, turning within a minute;
- ``F`` fading: Rayleigh power, now and then 20 dB down; of the three channels on which a beacon is said a unit that
  listens to one after the other catches two as a rule, and the stronger counts;
- heard where it is above ``SENSITIVITY_DBM``, unless another tag speaks at that moment (1 in 200 is lost).

docs/sensors.md holds the figures against recordings. Everything follows from the seed, the link's name and the instant
of the beacon (`sim.noise`): the same world gives the same air, in whatever order it is asked.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numba import njit

from core.kernel import BORROWS
from core.readings import F64, I64, U8
from sim import noise
from sim.life import Life, Unit, spans_hold
from sim.way import Bool, Surroundings

SENSITIVITY_DBM = -97.0
SOJOURN_S = 2400
"""So long somebody stays in one room, and in it where he is."""
ROOM_M = (0.5, 4.0)
"""So far from where the way has somebody indoors he is within the room."""
TURN_S = 30.0
BACKUP_MS = 24 * 3_600_000
"""A home unit's battery lasts so long without mains (`Unit.no_mains`)."""
_STRONGEST_DBM, _WEAKEST_DBM = 20.0, -127.0
_FAR_M = 1000.0
_M_PER_DEGREE = 111_195.0


@dataclass(frozen=True, slots=True)
class Place:
    """Where a tag is, as one home unit sees it: metres between them, and walls."""

    distance_m: float
    walls: int = 0


NEAR = Place(5.0, 1)
"""At home: the next room."""
AWAY = Place(2_000.0, 10)
"""Out of the house, far enough for no beacon ever."""


@dataclass(frozen=True, slots=True)
class Channel:
    """The air, see the module's text; figures in dB and dBm."""

    seed: int = 0
    at_1m_dbm: float = -54.0
    exponent: float = 2.2
    wall_db: float = 6.0
    shadow_db: float = 4.0
    body_db: float = 3.0
    lost_one_in: int = 200

    def strengths(
        self,
        link: str,
        t_ms: I64,
        distance_m: F64,
        walls: F64,
        rests_ms: I64 | None = None,
    ) -> F64:
        """How strongly each beacon sent at ``t_ms`` is heard over ``link`` (any name), dBm; NaN: not at all.

        All of one shape. ``rests_ms`` tells since when a tag lies still on nobody, -1 where it is worn: then neither
        place nor body changes.
        """
        heard = np.empty(len(t_ms))
        with np.errstate(over="ignore"):
            _strengths(
                noise.key_of(self.seed, noise.stream_of(f"radio/{link}")),
                np.ascontiguousarray(t_ms, np.int64),
                distance_m,
                walls,
                np.full(len(t_ms), -1) if rests_ms is None else rests_ms,
                (self.at_1m_dbm, self.exponent, self.wall_db, self.shadow_db, self.body_db),
                1.0 / self.lost_one_in,
                _FADES,
                heard,
            )
        return heard

    def at(self, link: str, t_ms: I64, place: Place) -> F64:
        """As `strengths`, of a tag that stays at a place."""
        n = len(t_ms)
        return self.strengths(link, t_ms, np.full(n, place.distance_m), np.full(n, float(place.walls)))

    def heard_dbm(self, link: str, at_ms: int, place: Place) -> int | None:
        """How strongly the beacon sent at ``at_ms`` is heard over ``link``, whole dBm; None: not at all."""
        (dbm,) = self.at(link, np.array([at_ms]), place).tolist()
        return None if math.isnan(dbm) else round(dbm)


def listening(unit: Unit, t_ms: I64) -> Bool:
    """Whether a home unit works at each instant: it is not off, and has mains or what its battery still holds."""
    empty = [(start + BACKUP_MS, end) for start, end in unit.no_mains if end - start > BACKUP_MS]
    return ~(spans_hold(unit.off, t_ms) | spans_hold(empty, t_ms))


def heard(life: Life, unit: Unit, t_ms: I64) -> F64:
    """How strongly ``unit`` hears the beacons that the wearer's RF tag sends at ``t_ms``, dBm; NaN: not at all.

    Ascending instants. Who is indoors moves about the room (``ROOM_M``), also where the way lets him stay.
    """
    way = life.way.left_behind(life.off_ankle)
    t_ms = np.ascontiguousarray(t_ms, np.int64)
    places = [(unit.place.lat, unit.place.lon)]
    if unit.carried_to is not None:
        places.append((unit.carried_to.lat, unit.carried_to.lon))
    link = f"{life.name}/{unit.address}"
    distance_m, walls, rests_ms = np.empty(len(t_ms)), np.empty(len(t_ms)), np.empty(len(t_ms), np.int64)
    with np.errstate(over="ignore"):
        _stand(
            noise.key_of(life.seed, noise.stream_of(f"room/{link}")),
            t_ms,
            way.start_ms,
            np.append(way.start_ms[1:], way.end_ms),
            np.stack([way.lat, way.lon, way.to_lat, way.to_lon]),
            way.surroundings,
            way.walls,
            np.array(life.off_ankle, np.int64).reshape(-1, 2),
            np.array(unit.moved if unit.carried_to is not None else (), np.int64).reshape(-1, 2),
            np.array(places),
            distance_m,
            walls,
            rests_ms,
        )
    dbm = Channel(life.seed).strengths(link, t_ms, distance_m, walls, rests_ms)
    if unit.off or unit.no_mains:
        dbm[~listening(unit, t_ms)] = np.nan
    return dbm


_LOST, _SHADOW, _BODY, _FADE = range(4)
_INDOORS, _DEEP = int(Surroundings.INDOORS), int(Surroundings.DEEP)
_STEPS = 1024


@njit(cache=True)
def _fade_db(share: float) -> float:
    """The stronger of two Rayleigh channels, which is weaker in ``share`` of all cases."""
    # both are below a level with the square of the share that one is
    return 10.0 * math.log10(-math.log(1.0 - math.sqrt(share)))


_FADES = np.array([_fade_db(min(max(step, 0.5), _STEPS - 0.5) / _STEPS) for step in range(_STEPS + 1)])
"""Between its first and last step `_fade_db` is read off here."""


@njit(**BORROWS, error_model="numpy")
def _stand(
    key: np.uint64,
    t_ms: I64,
    starts: I64,
    ends: I64,
    legs: F64,
    about: U8,
    between: U8,
    off_ankle: I64,
    moved: I64,
    places: F64,
    distance_m: F64,
    walls: F64,
    rests_ms: I64,
) -> None:
    """How a tag and a home unit stand to each other: fill the last three.

    ``places`` are those of the unit: its own, and where it is in ``moved``.
    """
    leg = off = away = 0
    of_leg, unit, sojourn = -1, 0, noise.NEVER
    north = east = north_more = east_more = room_m = east_m = 0.0
    far_m = distant_m = 0.0
    for i in range(len(t_ms)):
        t = t_ms[i]
        while leg + 1 < len(starts) and starts[leg + 1] <= t:
            leg += 1
        while off < len(off_ankle) and off_ankle[off, 1] <= t:
            off += 1
        while away < len(moved) and moved[away, 1] <= t:
            away += 1
        now_at = 1 if away < len(moved) and moved[away, 0] <= t else 0
        rests_ms[i] = off_ankle[off, 0] if off < len(off_ankle) and off_ankle[off, 0] <= t else -1
        if leg != of_leg or now_at != unit:
            of_leg, unit = leg, now_at
            east_m = _M_PER_DEGREE * math.cos(math.radians(places[unit, 0]))
            north = (legs[0, leg] - places[unit, 0]) * _M_PER_DEGREE
            east = (legs[1, leg] - places[unit, 1]) * east_m
            north_more = (legs[2, leg] - legs[0, leg]) * _M_PER_DEGREE
            east_more = (legs[3, leg] - legs[1, leg]) * east_m
            far_m, distant_m = -1.0, -1.0
        room = 0.0
        if about[leg] == _INDOORS or about[leg] == _DEEP:
            now_in = (t if rests_ms[i] < 0 else rests_ms[i]) // (1000 * SOJOURN_S)
            if now_in != sojourn:
                sojourn = now_in
                room_m = ROOM_M[0] + (ROOM_M[1] - ROOM_M[0]) * noise.uniform_at(key, sojourn)
            room = room_m
        if north_more == 0.0 and east_more == 0.0:
            if room != far_m:
                far_m = room
                distant_m = math.sqrt(north * north + east * east + room * room)
            distance_m[i] = distant_m
        else:
            share = min(max((t - starts[leg]) / max(ends[leg] - starts[leg], 1), 0.0), 1.0)
            y, x = north + north_more * share, east + east_more * share
            distance_m[i] = math.sqrt(y * y + x * x + room * room)
        walls[i] = between[leg]


@njit(**BORROWS, error_model="numpy")
def _strengths(
    key: np.uint64,
    t_ms: I64,
    distance_m: F64,
    walls: F64,
    rests_ms: I64,
    figures: tuple[float, float, float, float, float],
    lost: float,
    fades: F64,
    out: F64,
) -> None:
    """Fill ``out``. ``figures``: at 1 m, exponent, dB of a wall, of shadows, of the body."""
    at_1m_dbm, exponent, wall_db, shadow_db, body_db = figures
    lost_key, shadow_key = noise.part_of(key, _LOST), noise.part_of(key, _SHADOW)
    body_key, fade_key = noise.part_of(key, _BODY), noise.part_of(key, _FADE)
    sojourn, knot_passed = noise.NEVER, noise.NEVER
    shadow = behind = ahead = path = 0.0
    reckoned_m = -1.0
    for i in range(len(t_ms)):
        out[i] = np.nan
        if distance_m[i] > _FAR_M or noise.uniform_at(lost_key, t_ms[i]) < lost:
            continue
        since_ms = t_ms[i] if rests_ms[i] < 0 else rests_ms[i]
        if distance_m[i] != reckoned_m:
            reckoned_m = distance_m[i]
            path = at_1m_dbm - 10.0 * exponent * math.log10(max(reckoned_m, 0.5))
        if since_ms // (1000 * SOJOURN_S) != sojourn:
            sojourn = since_ms // (1000 * SOJOURN_S)
            shadow = shadow_db * noise.normal_at(shadow_key, sojourn)
        knot, share = noise.knots(body_key, since_ms, TURN_S)
        if knot != knot_passed:
            behind = ahead if knot == knot_passed + 1 else noise.normal_at(body_key, knot)
            ahead = noise.normal_at(body_key, knot + 1)
            knot_passed = knot
        body = body_db * noise.between(behind, ahead, share)
        of_all = noise.uniform_at(fade_key, t_ms[i])
        step = int(of_all * _STEPS)
        if 0 < step < _STEPS - 1:
            fade = fades[step] + (fades[step + 1] - fades[step]) * (of_all * _STEPS - step)
        else:
            fade = _fade_db(of_all)
        power = path - wall_db * walls[i] + shadow + body + fade
        if power >= SENSITIVITY_DBM:
            out[i] = min(max(power, _WEAKEST_DBM), _STRONGEST_DBM)
