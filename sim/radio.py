"""The air between RF tags and home units: which beacons are heard, and how strongly. One simple channel.

A beacon sent at distance ``d`` through ``walls`` arrives with

    P = P₁ − 10 n log₁₀(max(d, 0.5 m)) − L · walls + S + F        (dBm)

- ``P₁`` −65 dBm at 1 m: 0 dBm sent, 41 dB of free space at 2.4 GHz and 1 m, 24 dB for a tag in a case on an ankle;
- ``n`` 2.2, between free space (2) and a furnished flat (3, where the walls are not counted apart, as here they are);
- ``L`` 6 dB a wall, brick and plasterboard together;
- ``S`` shadowing, normal with 4 dB: one draw for each place the tag rests at, and a new one after ``SHADOW_MS``;
- ``F`` fading: Rayleigh power, now and then 20 dB down; of the three channels on which a beacon is said the strongest;
- heard where it is above ``SENSITIVITY_DBM``, unless another tag speaks at that moment (1 in 200 is lost).

All figures are of ours, from textbooks' ranges; they are still to be compared with data. Everything follows from the
seed, the link's name and the instant of the beacon: the same world gives the same air, in whatever order it is asked.
"""

from __future__ import annotations

import hashlib
import math
import struct
from dataclasses import dataclass

SHADOW_MS = 300_000
SENSITIVITY_DBM = -97.0
_STRONGEST_DBM, _WEAKEST_DBM = 20, -127


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
    at_1m_dbm: float = -65.0
    exponent: float = 2.2
    wall_db: float = 6.0
    shadow_db: float = 4.0
    lost_one_in: int = 200

    def heard_dbm(self, link: str, at_ms: int, place: Place) -> int | None:
        """How strongly the beacon sent at ``at_ms`` is heard over ``link`` (any name), whole dBm; None: not at all."""
        lost, *fades = self._draw(f"{link}/beacon", at_ms)
        if lost * self.lost_one_in < 1.0:
            return None
        spot = f"{link}/{place.distance_m}/{place.walls}"
        shadow_db = self.shadow_db * _normal(*self._draw(spot, at_ms // SHADOW_MS)[:2])
        power_dbm = (
            self.at_1m_dbm
            - 10.0 * self.exponent * math.log10(max(place.distance_m, 0.5))
            - self.wall_db * place.walls
            + shadow_db
            + 10.0 * math.log10(-math.log(min(fades)))
        )
        if power_dbm < SENSITIVITY_DBM:
            return None
        return max(_WEAKEST_DBM, min(_STRONGEST_DBM, round(power_dbm)))

    def _draw(self, name: str, number: int) -> tuple[float, float, float, float]:
        """Four numbers in (0, 1), evenly spread."""
        digest = hashlib.sha256(f"{self.seed}/{name}/{number}".encode()).digest()
        a, b, c, d = ((drawn + 1) / (2**64 + 2) for drawn in struct.unpack("<QQQQ", digest))
        return a, b, c, d


def _normal(first: float, second: float) -> float:
    """A standard normal number of two evenly spread ones (Box and Muller)."""
    return math.sqrt(-2.0 * math.log(first)) * math.cos(2.0 * math.pi * second)
