"""What a receiver makes of a place: the satellites' view with a slowly wandering error, as NMEA bytes."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator

from sim.itinerary import Itinerary
from sim.sentences import fix, no_fix

_SIGMA_M = 2.5
"""Per axis, open sky: 95 % within 6.1 m, a usual single-frequency figure, and within the 10 m × HDOP a tag claims."""
_MEMORY_S = 120.0
"""An error of the sky stays for minutes (ionosphere, multipath): successive fixes are not independent."""


class GnssReceiver:
    """One receiver on one person; errors are an Ornstein–Uhlenbeck walk, the same for the same seed."""

    def __init__(self, itinerary: Itinerary, seed: int, interval_ms: int = 5000) -> None:
        self._itinerary = itinerary
        self._noise = random.Random(seed)
        self._interval_ms = interval_ms
        self._east_m = self._noise.gauss(0, _SIGMA_M)
        self._north_m = self._noise.gauss(0, _SIGMA_M)
        self._keep = math.exp(-interval_ms / 1000 / _MEMORY_S)

    def sentences(self, from_ms: int, to_ms: int) -> Iterator[tuple[int, bytes]]:
        """``(instant_ms, bytes)`` of each fix after ``from_ms`` up to ``to_ms`` inclusive; call it in order."""
        first = (from_ms // self._interval_ms + 1) * self._interval_ms
        for t_ms in range(first, to_ms + 1, self._interval_ms):
            place, sky = self._itinerary.where(t_ms)
            push = _SIGMA_M * math.sqrt(1 - self._keep**2)
            self._east_m = self._east_m * self._keep + self._noise.gauss(0, push)
            self._north_m = self._north_m * self._keep + self._noise.gauss(0, push)
            if not sky:
                yield t_ms, no_fix(t_ms)
                continue
            seen = place.offset(self._east_m, self._north_m)
            yield t_ms, fix(t_ms, seen.lat, seen.lon)
