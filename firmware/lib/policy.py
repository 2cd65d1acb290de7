"""When a position is due, and when it may not wait to be sent: pure, in integers.

| the tag | a position every | which is sent |
|---|---|---|
| in pursuit | 15 s | at once |
| at rest (see :mod:`motion`) | 1 h | with others, within 120 s |
| at rest at the times that the gateway has set (curfew) | 10 min | at once |
| otherwise | 60 s | with others, within 120 s |
| at the times and places that the gateway has set (curfew, near a zone) | 20 s while moved, else as above | at once |
"""

try:
    from typing import TYPE_CHECKING
except ImportError:
    TYPE_CHECKING = False

if TYPE_CHECKING:
    from collections.abc import Sequence

REST_S = 3600
# A curfew asks where the wearer is after 15 min without a position: who sleeps at home must not be asked about.
TIMED_REST_S = 600
# A visit or an absence is raised by positions over 70 s: of one a minute the third shows it, of one in 20 s the fifth,
# a minute sooner. Who moves is who comes or goes.
BRISK_S = 20
# 1e-7 degree in micrometres where it is shortest (WGS84 at the equator): of latitude, and of longitude before the
# cosine. So no place is ever taken to be farther away than it is.
NORTH_UM = 11057
EAST_UM = 11131
# What a fix without a precision may be off (indoors 30 m at 80 %, NIJ 1004.00 via secondary): near counts as near.
UNKNOWN_PRECISION_M = 100
UNKNOWN_U16 = 65535
HALF_TURN_E7 = 1800000000
# one radian in 1e-7 degree
RADIAN_E7 = 572957795


def period_s(sample_s: int, pursuit_s: int, in_pursuit: bool, at_rest: bool, brisk: bool = False) -> int:
    """Seconds between two positions; ``brisk``: moved, where no position may wait."""
    if in_pursuit:
        return min(pursuit_s, sample_s)
    if at_rest:
        return max(REST_S, sample_s)
    return min(BRISK_S, sample_s) if brisk else sample_s


def due(t_ds: int, last_ds: int | None, period: int) -> bool:
    """Whether a fix of instant ``t_ds`` becomes a position, when the last is of ``last_ds``.

    The intervals of ``period`` seconds stand still, so that the same sentences give the same positions however they
    arrive; a clock that has stepped back makes one due.
    """
    return last_ds is None or t_ds // (period * 10) != last_ds // (period * 10)


def in_times(times: "Sequence[int]", now_s: int | None) -> bool:
    """Whether an instant lies in one of the intervals: from, to, from, to, … in seconds UTC, ``to`` not included.

    A tag that does not know the time (None) does not know that it is *not* in one: then it may be, if there are any.
    """
    if now_s is None:
        return len(times) > 0
    return any(times[i] <= now_s < times[i + 1] for i in range(0, len(times), 2))


def near_places(places: "Sequence[int]", lat_e7: int, lon_e7: int, precision_dm: int) -> bool:
    """Whether a fix may lie within one of the circles: centre in 1e-7 degree, radius in metres, centre, …"""
    blur_m = UNKNOWN_PRECISION_M if precision_dm == UNKNOWN_U16 else precision_dm // 10 + 1
    for i in range(0, len(places), 3):
        if within(lat_e7, lon_e7, places[i], places[i + 1], places[i + 2] + blur_m):
            return True
    return False


def within(lat_e7: int, lon_e7: int, centre_lat_e7: int, centre_lon_e7: int, radius_m: int) -> bool:
    """Whether two places are at most so far apart; for up to 100 km it never says no where they are.

    On a plane, with the degrees of longitude of that latitude of the two where they are shorter: up to 1 % generous,
    and more for large circles near the poles.
    """
    reach_m = radius_m + radius_m // 5000 + 2  # the Earth is round, and what follows is rounded
    north_m = abs(lat_e7 - centre_lat_e7) * NORTH_UM // 1000000
    east_e7 = abs(lon_e7 - centre_lon_e7)
    if east_e7 > HALF_TURN_E7:
        east_e7 = 2 * HALF_TURN_E7 - east_e7
    east_m = east_e7 * EAST_UM // 1000000 * cosine_e6(max(abs(lat_e7), abs(centre_lat_e7))) // 1000000
    return north_m * north_m + east_m * east_m <= reach_m * reach_m


def cosine_e6(angle_e7: int) -> int:
    """The cosine of an angle of 0 to 90 degrees in millionths, from below by at most 900.

    Its series up to the sixth power: what follows is positive.
    """
    x = angle_e7 * 1000000 // RADIAN_E7  # millionths of a radian
    square = x * x // 1000000 + 1
    fourth = square * square // 1000000
    sixth = fourth * square // 1000000 + 1
    return max(0, 1000000 - (square + 1) // 2 + fourth // 24 - sixth // 720 - 3)
