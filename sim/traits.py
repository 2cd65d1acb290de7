"""Who is what: shares of a population, spread so evenly that a thousand people hold each share to a few heads.

Person ``number`` has trait ``name`` if `spread` gives less than the share of those who have it. The numbers of one
trait are multiples of an irrational number, modulo 1, whose start the seed decides; different traits use different
irrationals, so that they are independent of each other. So a person is a function of seed and number alone, and still
the counts of a population hardly vary.
"""

from __future__ import annotations

import math
from functools import lru_cache
from hashlib import blake2b

_NAMES = (
    "near_zone exclusion curfew inclusion restriction attendance trail alcohol limit curfew_by"
    " second_address discount job car forgets hospital cleaner perfume exclusion_visits curfew_absences"
    " inclusion_absences drinking cuts foil case outage jammed forged overconfident unit_trouble smoker"
    " basement children scheduled attendance_missed unruly restriction_absences curfew_only holiday"
)
TRAITS = {name: number for number, name in enumerate(_NAMES.split())}
"""Every trait, and the number of its own prime."""
_PRIMES = tuple(p for p in range(2, 400) if all(p % q for q in range(2, math.isqrt(p) + 1)))


@lru_cache(maxsize=4096)
def _step_and_start(seed: int, name: str) -> tuple[float, float]:
    digest = blake2b(f"{seed}/{name}".encode(), digest_size=8).digest()
    start = int.from_bytes(digest, "big") / 2**64
    return math.sqrt(_PRIMES[TRAITS[name]]) % 1.0, start


def spread(seed: int, number: int, name: str, week: int = 0) -> float:
    """Evenly spread over [0, 1) among people, for one trait; in another ``week`` another person's."""
    step, start = _step_and_start(seed, name)
    return (start + (number + 1) * step + week * 0.6180339887498949) % 1.0
