"""When an alcohol tag takes a sample: pure, in integers.

Every 30 min; every 5 min from when something was seen until an hour in which nothing was:

- alcohol, of 0.010 g/dl and more: half of what the rules call drinking, so that the rise is sampled fast as well
- infrared further than 0.25 V from the baseline of fitting: something may lie between the sensor and the skin
- a temperature 5 degrees C below that of the sample before, or 10 below the baseline, or below 10 or above 45:
  off the skin, as it seems. Worn tags were up to 9 degrees colder than at fitting
- tamper: the strap or the case has opened or closed, a sensor has failed or works again
- a new baseline: the rules take theirs from the first 12 samples after a fitting, which so is an hour's

What it means is judged by the rules, not here. A figure that is not known says nothing.
"""

from records import UNKNOWN_I16, UNKNOWN_U16

try:
    from typing import TYPE_CHECKING
except ImportError:
    TYPE_CHECKING = False

if TYPE_CHECKING:
    Values = tuple[int, int, int]  # 1e-5 g/dl, mV, 0.01 degrees C

SLOW_S = 1800
FAST_S = 300
CALM_MS = 3600000
ALCOHOL_E5 = 1000
BAND_MV = 250
FALL_E2 = 500
COLDER_E2 = 1000
COLDEST_E2, WARMEST_E2 = 1000, 4500  # of a skin


def alcohol(values: "Values") -> bool:
    """Whether a sample shows alcohol."""
    return values[0] >= ALCOHOL_E5


def away(values: "Values", before_e2: int, baseline_mv: int, baseline_e2: int) -> bool:
    """Whether a sample looks as if taken away from the skin; ``before_e2`` is the temperature of the one before."""
    _tac, infrared, temperature = values
    if infrared != UNKNOWN_U16 and baseline_mv != UNKNOWN_U16 and abs(infrared - baseline_mv) > BAND_MV:
        return True
    if temperature == UNKNOWN_I16:
        return False
    # an unknown one is colder than any
    return (
        before_e2 - temperature >= FALL_E2
        or baseline_e2 - temperature >= COLDER_E2
        or not COLDEST_E2 <= temperature <= WARMEST_E2
    )


class Rhythm:
    """When the next sample is due, by milliseconds since boot. The first is due at once."""

    def __init__(self) -> None:
        self._last_ms: int | None = None
        self._calm_ms = 0  # nothing will have been seen for CALM_MS

    def see(self, now_ms: int) -> None:
        """Something was seen that asks for fast sampling."""
        self._calm_ms = now_ms + CALM_MS

    def fast(self, now_ms: int) -> bool:
        """Whether sampling is fast."""
        return now_ms < self._calm_ms

    def take(self, now_ms: int) -> None:
        """A sample was taken."""
        self._last_ms = now_ms

    def due(self, now_ms: int, slow_s: int) -> bool:
        """Whether a sample is due, where the slow interval is ``slow_s`` seconds; the fast one is never longer."""
        period_s = min(FAST_S, slow_s) if self.fast(now_ms) else slow_s
        return self._last_ms is None or now_ms - self._last_ms >= period_s * 1000
