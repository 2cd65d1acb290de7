"""Where a person is at every instant: places, stays, walks, and times without a view of the sky."""

from __future__ import annotations

import math
from bisect import bisect_right
from dataclasses import dataclass

import numpy as np

from sim.way import Surroundings, Way

_M_PER_DEGREE = (
    111_195.0  # a mean degree of latitude; a walk is a few hundred metres, so 0.3 % is a pace or two
)


@dataclass(frozen=True, slots=True)
class Place:
    """A point, WGS84 degrees."""

    lat: float
    lon: float

    def offset(self, east_m: float, north_m: float) -> Place:
        """The place so many metres to the east and north."""
        east_degrees = east_m / (_M_PER_DEGREE * math.cos(math.radians(self.lat)))
        return Place(self.lat + north_m / _M_PER_DEGREE, self.lon + east_degrees)

    def distance_m(self, other: Place) -> float:
        """Metres to ``other``, for places within a town."""
        north = (other.lat - self.lat) * _M_PER_DEGREE
        east = (other.lon - self.lon) * _M_PER_DEGREE * math.cos(math.radians(self.lat))
        return math.hypot(east, north)


@dataclass(frozen=True, slots=True)
class _Leg:
    start_ms: int
    end_ms: int
    start: Place
    end: Place
    about: Surroundings
    covered: bool
    walls: int


class Itinerary:
    """A person's way through time, built leg by leg and asked for any instant within it."""

    def __init__(self, start_ms: int, at: Place) -> None:
        self._legs: list[_Leg] = []
        self._starts: list[int] = []
        self.end_ms = start_ms
        self.at = at

    def stay(
        self,
        until_ms: int,
        *,
        sky: bool = True,
        about: Surroundings = Surroundings.OPEN,
        covered: bool = True,
        walls: int = 1,
    ) -> Itinerary:
        """Stay until an instant; ``sky=False`` where no satellite is seen. One in the past adds nothing.

        ``about``, ``covered`` and ``walls`` as in `sim.way.Way`.
        """
        if until_ms > self.end_ms:
            self._add(until_ms, self.at, about if sky else Surroundings.DEEP, covered, walls)
        return self

    def walk(
        self,
        *places: Place,
        speed_kmh: float = 5.0,
        about: Surroundings = Surroundings.OPEN,
        covered: bool = True,
        walls: int = 10,
    ) -> Itinerary:
        """Go to each place in turn, in straight lines, on foot or by whatever goes so fast."""
        for place in places:
            took_ms = self.at.distance_m(place) / (speed_kmh / 3.6) * 1000
            self._add(self.end_ms + max(round(took_ms), 1), place, about, covered, walls)
        return self

    def way(self) -> Way:
        """All legs as arrays. Raises ValueError for an itinerary without any."""
        if not self._legs:
            raise ValueError("an itinerary without a leg is no way: let somebody stay or walk first")
        legs = self._legs
        return Way(
            start_ms=np.array([leg.start_ms for leg in legs], np.int64),
            end_ms=self.end_ms,
            lat=np.array([leg.start.lat for leg in legs]),
            lon=np.array([leg.start.lon for leg in legs]),
            to_lat=np.array([leg.end.lat for leg in legs]),
            to_lon=np.array([leg.end.lon for leg in legs]),
            surroundings=np.array([leg.about for leg in legs], np.uint8),
            covered=np.array([leg.covered for leg in legs], np.bool_),
            walls=np.array([leg.walls for leg in legs], np.uint8),
        )

    def where(self, t_ms: int) -> tuple[Place, bool]:
        """Place and view of the sky at ``t_ms``; before the first and after the last leg, the nearest end of it."""
        leg = self._legs[min(max(bisect_right(self._starts, t_ms) - 1, 0), len(self._legs) - 1)]
        share = min(max((t_ms - leg.start_ms) / (leg.end_ms - leg.start_ms), 0.0), 1.0)
        place = Place(
            leg.start.lat + (leg.end.lat - leg.start.lat) * share,
            leg.start.lon + (leg.end.lon - leg.start.lon) * share,
        )
        return place, leg.about != Surroundings.DEEP

    def _add(self, end_ms: int, to: Place, about: Surroundings, covered: bool, walls: int) -> None:
        self._starts.append(self.end_ms)
        self._legs.append(_Leg(self.end_ms, end_ms, self.at, to, about, covered, walls))
        self.end_ms, self.at = end_ms, to
