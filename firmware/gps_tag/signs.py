"""Signs that someone disturbs (jamming) or forges (spoofing) the satellites' signals, from how strongly they are heard.

They are signs, not proof; docs/firmware.md says what else looks like them.

- *Jamming* raises the noise for all satellites alike. So: the tag lies still, and all that were heard well have become
  weaker by about as much, or are not heard at all any more. A hand, a wall, a car take more from one direction than
  from another, and one has to move to get there.
- *Spoofing* with one antenna sends all satellites from one place with one power. So: many satellites from high and low
  in the sky, all equally strong, for a minute. True ones differ by 10 dB and more, for those that stand low come
  through more air and worse antenna.
"""

from records import TAMPER_JAMMING, TAMPER_SPOOFING
from sky import STRENGTH_MASK

LOOK_MS = 5000
# What is compared with now is from 30 to 60 s ago: a jammer is switched on at once, the sky turns slowly.
AGO_MS = 30000
# Heard well: those below 33 dB-Hz come and go by themselves.
WELL_DB = 33
FEWEST = 5
# Four times the noise power is 6 dB, which a cheap jammer makes in the next room; 8 dB leaves room for fading.
FALL_DB = 8
SPREAD_DB = 6
# Two looks in a row, so that one disturbed second is none.
LOOKS = 2

FORGED_FEWEST = 6
FORGED_SPREAD_DB = 2
FORGED_ELEVATION_DEG = 30
FORGED_MS = 60000

AGAIN_MS = 3600000  # a sign is told at most so often

# how it is known that the tag lies still
MOVING, STILL_BY_SPEED, STILL_BY_SENSOR = range(3)


class Signs:
    """Watches one view after the other."""

    def __init__(self) -> None:
        self._old: dict[int, int] | None = None
        self._mid: dict[int, int] | None = None
        self._rotated_ms = 0
        self._fallen = 0  # looks in a row
        self._equal_ms: int | None = None  # since when all satellites are equally strong
        self._told_ms: dict[int, int] = {}

    def look(self, view: dict[int, int], now_ms: int, still: int) -> tuple[int, int] | None:
        """(tamper code, detail) of a sign to be told now: mean fall in tenths of a dB; how many are equal."""
        sign = self._jammed(view, now_ms, still) or self._forged(view, now_ms)
        if sign is None:
            return None
        told_ms = self._told_ms.get(sign[0])
        if told_ms is not None and now_ms - told_ms < AGAIN_MS:
            return None
        self._told_ms[sign[0]] = now_ms
        return sign

    def _jammed(self, view: dict[int, int], now_ms: int, still: int) -> tuple[int, int] | None:
        if still == MOVING:
            self._old = self._mid = None
            self._fallen = 0
            return None
        fall = 0 if self._old is None else fall_of(self._old, view, still == STILL_BY_SENSOR)
        if fall:
            # what was before is kept to compare with for as long as it lasts
            self._fallen += 1
            return (TAMPER_JAMMING, fall) if self._fallen >= LOOKS else None
        self._fallen = 0
        if self._mid is None or now_ms - self._rotated_ms >= AGO_MS:
            self._rotated_ms = now_ms
            self._old = self._mid
            self._mid = view
        return None

    def _forged(self, view: dict[int, int], now_ms: int) -> tuple[int, int] | None:
        equal = equal_in(view)
        if not equal:
            self._equal_ms = None
            return None
        if self._equal_ms is None:
            self._equal_ms = now_ms
        return (TAMPER_SPOOFING, equal) if now_ms - self._equal_ms >= FORGED_MS else None


def fall_of(old: dict[int, int], new: dict[int, int], lost_counts: bool) -> int:
    """The mean fall in tenths of a dB if all that were heard well fell alike; 0 if they did not.

    ``lost_counts`` also takes for a fall that every one of them has been lost.
    """
    n = heard = total = most = 0
    least = 99
    for key in old:
        before = old[key] & STRENGTH_MASK
        if before < WELL_DB:
            continue
        after = new.get(key, 0) & STRENGTH_MASK
        n += 1
        heard += after > 0
        total += before - after
        most = max(most, before - after)
        least = min(least, before - after)
    if n < FEWEST:
        return 0
    alike = heard == n and total >= FALL_DB * n and most - least <= SPREAD_DB
    lost = lost_counts and heard == 0
    return total * 10 // n if alike or lost else 0


def equal_in(view: dict[int, int]) -> int:
    """How many satellites there are, if they are many, from all over the sky, and equally strong; 0 if not."""
    n = strongest = highest = 0
    weakest = lowest = 99
    for value in view.values():
        strength, elevation = value & STRENGTH_MASK, value >> 8
        if strength:
            n += 1
            strongest, weakest = max(strongest, strength), min(weakest, strength)
            highest, lowest = max(highest, elevation), min(lowest, elevation)
    if (
        n >= FORGED_FEWEST
        and strongest - weakest <= FORGED_SPREAD_DB
        and highest - lowest >= FORGED_ELEVATION_DEG
    ):
        return n
    return 0
