"""The air between RF tags and home units: which beacons are heard, and how strongly. One channel for everybody.

A beacon sent at distance ``d`` through ``walls`` arrives with

    P = P₁ − 10 n log₁₀(max(d, 0.5 m)) − L · walls + S + B + F        (dBm)

- ``P₁`` −60 dBm at 1 m: 0 dBm sent, 41 dB of free space at 2.4 GHz, 7 dB as measured of a tag that is carried, and 12
  for a case on an ankle;
- ``n`` 2.2, between free space (2) and a furnished flat (3, where the walls are not counted apart, as here they are);
- ``L`` 6 dB a wall, brick and plasterboard together;
- ``S`` shadowing by furniture, which stays while the tag stays where it is: drawn anew for each sojourn;
- ``B`` the wearer's own body, turning within a minute;
- ``F`` fading: Rayleigh power, now and then 20 dB down; of the three channels on which a beacon is said the strongest;
- heard where it is above ``SENSITIVITY_DBM``, unless another tag speaks at that moment (1 in 200 is lost).

docs/sensors.md holds the figures against recordings. Everything follows from the seed, the link's name and the instant
of the beacon (`sim.noise`): the same world gives the same air, in whatever order it is asked.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from numba import njit

from core.readings import F64, I64
from sim import noise
from sim.life import Life, Unit, spans_hold
from sim.way import Bool, Surroundings

SENSITIVITY_DBM = -97.0
SOJOURN_S = 2400
"""So long somebody stays in one room, and in it where he is."""
ROOM_M = (1.0, 8.0)
"""From a home unit to a room of the same home."""
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
    at_1m_dbm: float = -60.0
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
        walls: npt.NDArray[np.integer],
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
                walls.astype(np.float64),
                np.full(len(t_ms), -1) if rests_ms is None else rests_ms,
                (self.at_1m_dbm, self.exponent, self.wall_db, self.shadow_db, self.body_db),
                1.0 / self.lost_one_in,
                heard,
            )
        return heard

    def heard_dbm(self, link: str, at_ms: int, place: Place) -> int | None:
        """How strongly the beacon sent at ``at_ms`` is heard over ``link``, whole dBm; None: not at all."""
        (dbm,) = self.strengths(
            link, np.array([at_ms]), np.array([place.distance_m]), np.array([place.walls])
        ).tolist()
        return None if math.isnan(dbm) else round(dbm)


def listening(unit: Unit, t_ms: I64) -> Bool:
    """Whether a home unit works at each instant: it is not off, and has mains or what its battery still holds."""
    empty = [(start + BACKUP_MS, end) for start, end in unit.no_mains if end - start > BACKUP_MS]
    return ~(spans_hold(unit.off, t_ms) | spans_hold(empty, t_ms))


def heard(life: Life, unit: Unit, t_ms: I64) -> F64:
    """How strongly ``unit`` hears the beacons that the wearer's RF tag sends at ``t_ms``, dBm; NaN: not at all.

    Ascending instants. Who is indoors moves about the home: from ``ROOM_M`` away, where the way says that he is at the
    unit's place.
    """
    way = life.way.left_behind(life.off_ankle)
    leg = way.leg(t_ms)
    lat, lon = way.at(t_ms)
    unit_lat, unit_lon = np.full(len(t_ms), unit.place.lat), np.full(len(t_ms), unit.place.lon)
    if unit.carried_to is not None:
        moved = spans_hold(unit.moved, t_ms)
        unit_lat[moved], unit_lon[moved] = unit.carried_to.lat, unit.carried_to.lon
    north_m = (lat - unit_lat) * _M_PER_DEGREE
    east_m = (lon - unit_lon) * _M_PER_DEGREE * math.cos(math.radians(unit.place.lat))
    link = f"{life.name}/{unit.address}"
    rests_ms = np.full(len(t_ms), -1, np.int64)
    for start_ms, end_ms in life.off_ankle:
        rests_ms[(t_ms >= start_ms) & (t_ms < end_ms)] = start_ms
    sojourn = np.where(rests_ms < 0, t_ms, rests_ms) // (1000 * SOJOURN_S)
    share = noise.uniform(life.seed, noise.stream_of(f"room/{link}"), sojourn)
    indoors = (way.surroundings[leg] == Surroundings.INDOORS) | (way.surroundings[leg] == Surroundings.DEEP)
    room_m = np.where(indoors, ROOM_M[0] + (ROOM_M[1] - ROOM_M[0]) * share, 0.0)
    distance_m = np.sqrt(north_m * north_m + east_m * east_m + room_m * room_m)
    dbm = Channel(life.seed).strengths(link, t_ms, distance_m, way.walls[leg], rests_ms)
    dbm[~listening(unit, t_ms)] = np.nan
    return dbm


_LOST, _SHADOW, _BODY, _FADE = range(4)


@njit(cache=True, error_model="numpy")
def _strengths(
    key: np.uint64,
    t_ms: I64,
    distance_m: F64,
    walls: F64,
    rests_ms: I64,
    figures: tuple[float, float, float, float, float],
    lost: float,
    out: F64,
) -> None:
    """Fill ``out``. ``figures``: at 1 m, exponent, dB of a wall, of shadows, of the body."""
    at_1m_dbm, exponent, wall_db, shadow_db, body_db = figures
    lost_key, shadow_key = noise.part_of(key, _LOST), noise.part_of(key, _SHADOW)
    body_key, fade_key = noise.part_of(key, _BODY), noise.part_of(key, _FADE)
    for i in range(len(t_ms)):
        out[i] = np.nan
        if distance_m[i] > _FAR_M or noise.uniform_at(lost_key, t_ms[i]) < lost:
            continue
        since_ms = t_ms[i] if rests_ms[i] < 0 else rests_ms[i]
        power = (
            at_1m_dbm
            - 10.0 * exponent * math.log10(max(distance_m[i], 0.5))
            - wall_db * walls[i]
            + shadow_db * noise.normal_at(shadow_key, since_ms // (1000 * SOJOURN_S))
            + body_db * noise.wander_at(body_key, since_ms, TURN_S)
        )
        # the strongest of three: all are below x with the third power of the share that one is
        of_one = noise.uniform_at(fade_key, t_ms[i]) ** (1.0 / 3.0)
        power += 10.0 * math.log10(-math.log(1.0 - of_one))
        if power >= SENSITIVITY_DBM:
            out[i] = min(max(power, _WEAKEST_DBM), _STRONGEST_DBM)
