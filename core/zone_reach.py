"""How far a wearer may move before a zone has to be looked at again: the *reach* of one zone, measured once.

A zone is **quiet** while nothing goes on about it and every position since it was looked at was certainly OUT. As long
as positions stay nearer to where that was than what is forbidden is, it stays so, and nothing is worked out.

That is never wrong, because lengths here obey the triangle inequality with distances as the rules measure them, at
whatever latitude they do: a length *moved* counts degrees at the most metres that they are anywhere in reach of the
zone's scale, a distance *left* at the least (`docs/decisions/0012-zones-that-are-not-looked-at.md`).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from core.kernel import BORROWS
from core.zones import Zone, metres_per_degree

REACH = np.dtype(
    [
        (
            "west",
            np.float64,
        ),  # what is forbidden lies in this box, widened by so many metres; or, where to be outside
        ("south", np.float64),  # is forbidden, all around: then the box says nothing
        ("east", np.float64),
        ("north", np.float64),
        ("width_m", np.float64),
        ("kx", np.float64),  # metres per degree of longitude: the least that the zone's scale gives
        ("most", np.float64),  # and more than the most
        ("share", np.float64),  # of a distance, what is left of it by the least metres per degree
        ("lon", np.float64),  # where the zone was looked at last
        ("lat", np.float64),
        ("clear_m", np.float64),  # nothing forbidden is nearer than this to there; not above 0: not quiet
        ("edge", np.int64),  # the edge, in the zone table, that was nearest last; −1: none yet
        ("side_lon", np.float64),  # where its boundary was measured last
        ("side_lat", np.float64),
        ("side_m", np.float64),  # and the signed distance to it; 0: not yet
    ]
)
MOST_PER_DEGREE_M = 111_700.0
LEAST_PER_DEGREE_M = 110_500.0
"""More and less than a degree of latitude measures anywhere on the ellipsoid."""
_A_HAIR = 1e-4
"""More than the polynomials of a scale, and rounding, are wrong by."""
_TOO_NEAR_M = 0.1
"""So near to a boundary, rounding is left to decide as it does without knowing anything."""
_FAR_M = 50_000.0
_STEEP_DEG = 75.0


def reach_of(zone: Zone, sense: float, margin_m: float) -> tuple[float, ...]:
    """The reach, a row of `REACH`, of a zone looked at from nowhere yet."""
    south, north = float(zone.scale[0, 0]), float(zone.scale[0, -1])
    ends = [metres_per_degree(south)[0], metres_per_degree(north)[0]]
    most = max(*ends, metres_per_degree(0.0)[0] if south < 0.0 < north else 0.0) * (1.0 + _A_HAIR)
    least = min(ends) * (1.0 - _A_HAIR)
    everywhere = [-np.inf, -np.inf, np.inf, np.inf]
    box = zone.boxes[0].tolist() if sense > 0.0 else everywhere
    width_m = margin_m + (zone.grow_m if sense > 0.0 else 0.0)
    share = min(least / most, LEAST_PER_DEGREE_M / MOST_PER_DEGREE_M)
    return (*box, width_m, least, most, share, 0.0, 0.0, -1.0, -1, 0.0, 0.0, 0.0)


@njit(**BORROWS)
def moved2(reach: Any, lon: float, lat: float, kx: float) -> Any:
    """The square of the metres from where the zone was looked at last, or more; ``kx`` is the most that there are."""
    dx, dy = (lon - reach["lon"]) * kx, (lat - reach["lat"]) * MOST_PER_DEGREE_M
    return dx * dx + dy * dy


@njit(**BORROWS)
def side_of(reach: Any, lon: float, lat: float, kx: float, least_m: float) -> Any:
    """On which side of the boundary a position lies, negative inside, if it is further from it than ``least_m`` for
    certain; else 0: only the boundary itself can tell.

    No boundary lies nearer to where it was measured than was measured; who has moved less has not crossed it.
    """
    left_m = reach["share"] * abs(reach["side_m"]) - least_m - _TOO_NEAR_M
    dx, dy = (lon - reach["side_lon"]) * kx, (lat - reach["side_lat"]) * MOST_PER_DEGREE_M
    return reach["side_m"] if left_m > 0.0 and dx * dx + dy * dy < left_m * left_m else 0.0


@njit(**BORROWS)
def boxed_m(reach: Any, lon: float, lat: float) -> Any:
    """Metres from a position to what is forbidden, or less: those to the box. Not above 0 within."""
    dx = max(reach["west"] - lon, 0.0, lon - reach["east"]) * reach["kx"]
    dy = max(reach["south"] - lat, 0.0, lat - reach["north"]) * LEAST_PER_DEGREE_M
    return np.sqrt(dx * dx + dy * dy) - reach["width_m"]


@njit(**BORROWS)
def free_m(reach: Any, gap_m: float, lat: float, inside: bool) -> Any:
    """Of ``gap_m`` metres between a position and what is forbidden, what is left by the least metres per degree.

    ``inside``: the position lies within a line or point with a width, which it is forbidden to leave. Its depth is the
    width less a distance, so that what shortens the one lengthens the other: there a tenth is allowed for on both
    sides, more than metres per degree change within 50 km below 75°.
    """
    if not inside:
        return (gap_m + reach["width_m"]) * reach["share"] - reach["width_m"]
    if abs(lat) > _STEEP_DEG:
        return -1.0
    return 0.8 * reach["share"] * min(gap_m, _FAR_M)
