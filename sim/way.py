"""Where somebody is at every instant, and what stands about them: the truth, as arrays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
import numpy.typing as npt

from core.readings import F64, I64, U8

Bool = npt.NDArray[np.bool_]


class Surroundings(IntEnum):
    """What stands between a wearer and the sky."""

    OPEN = 0
    """Open sky."""
    STREET = 1
    """Between buildings: walls throw signals back."""
    INDOORS = 2
    """A room with windows: weak, reflected, often nothing."""
    DEEP = 3
    """A cellar, a tunnel, a steel hall: nothing at all."""
    VEHICLE = 4
    """A car or a bus, on a road."""
    TRAIN = 5


@dataclass(frozen=True, slots=True)
class Way:
    """Where somebody is at every instant, as legs of shape ``(n,)`` one after the other, ``n`` at least 1.

    Leg ``i`` lasts from ``start_ms[i]`` until the next begins, the last one until ``end_ms``; on it the wearer moves
    evenly and straight from (``lat``, ``lon``) to (``to_lat``, ``to_lon``), WGS84 degrees. ``surroundings`` are
    `Surroundings`; ``covered`` says whether a tag there reaches the mobile network; ``walls`` how many walls stand
    between the wearer and a home unit, where one is within reach (`sim.life.Unit`).
    """

    start_ms: I64
    end_ms: int
    lat: F64
    lon: F64
    to_lat: F64
    to_lon: F64
    surroundings: U8
    covered: Bool
    walls: U8

    @property
    def ends_ms(self) -> I64:
        """When each leg ends."""
        return np.append(self.start_ms[1:], self.end_ms)

    def leg(self, t_ms: I64) -> npt.NDArray[np.intp]:
        """Which leg holds at each instant; before the first the first, after the last the last."""
        return np.clip(np.searchsorted(self.start_ms, t_ms, side="right") - 1, 0, len(self.start_ms) - 1)

    def at(self, t_ms: I64) -> tuple[F64, F64]:
        """Latitude and longitude at each instant; before the first leg and after the last, their ends."""
        leg = self.leg(t_ms)
        ends = np.append(self.start_ms[1:], self.end_ms)
        share = np.clip((t_ms - self.start_ms[leg]) / np.maximum(ends[leg] - self.start_ms[leg], 1), 0.0, 1.0)
        lat = self.lat[leg] + (self.to_lat[leg] - self.lat[leg]) * share
        lon = self.lon[leg] + (self.to_lon[leg] - self.lon[leg]) * share
        return lat, lon

    def left_behind(self, spans: Sequence[tuple[int, int]]) -> Way:
        """The way of what lies still in each of ``spans`` (start, end) where it was at its start, else goes along.

        What stands about it is then what stood there. ``spans`` are ascending and do not overlap.
        """
        if not spans:
            return self
        from_ms, to_ms = np.array(spans, np.int64).T
        cuts = np.union1d(self.start_ms, np.concatenate([from_ms, to_ms]))
        cuts = cuts[(cuts >= self.start_ms[0]) & (cuts < self.end_ms)]
        span = np.searchsorted(from_ms, cuts, side="right") - 1
        lies = (span >= 0) & (cuts < to_ms[span])
        since_ms = np.where(lies, from_ms[span], cuts)
        leg = self.leg(since_ms)
        start_ms, end_ms = self.start_ms[leg], np.append(self.start_ms[1:], self.end_ms)[leg]
        until_ms = np.where(lies, since_ms, np.append(cuts[1:], self.end_ms))
        before, after = (
            np.clip((t_ms - start_ms) / np.maximum(end_ms - start_ms, 1), 0.0, 1.0)
            for t_ms in (since_ms, until_ms)
        )
        north, east = self.to_lat[leg] - self.lat[leg], self.to_lon[leg] - self.lon[leg]
        return Way(
            start_ms=cuts,
            end_ms=self.end_ms,
            lat=self.lat[leg] + north * before,
            lon=self.lon[leg] + east * before,
            to_lat=self.lat[leg] + north * after,
            to_lon=self.lon[leg] + east * after,
            surroundings=self.surroundings[leg],
            covered=self.covered[leg],
            walls=self.walls[leg],
        )
