"""The British National Grid (OSGB36) to WGS84 and back, for places that people write as easting and northing.

Transverse Mercator on the Airy 1830 ellipsoid, by the series of Redfearn, and the seven parameters (Helmert) between
OSGB36 and WGS84, both as in Ordnance Survey's *A guide to coordinate systems in Great Britain*. Against OS's own grid
of shifts (OSTN15), which is a file of 15 MB, it is off by up to 5 m, as a rule by 2: less than a position of a tag is.
"""

from __future__ import annotations

import math
import re
from typing import NamedTuple

EAST_M, NORTH_M = (0.0, 700_000.0), (0.0, 1_300_000.0)
"""How far the grid's letters reach over Great Britain."""
ACCURACY_M = 5.0

_AIRY = (6_377_563.396, 6_356_256.909)
_WGS84 = (6_378_137.0, 6_356_752.314245)
_SCALE = 0.9996012717
_ORIGIN = math.radians(49.0), math.radians(-2.0)
_FALSE = 400_000.0, -100_000.0
_SHIFT_M = 446.448, -125.157, 542.060
_TURN = tuple(math.radians(seconds / 3600) for seconds in (0.1502, 0.2470, 0.8421))
_GROWTH = -20.4894e-6
_LETTERS = "ABCDEFGHJKLMNOPQRSTUVWXYZ"


class OffTheGridError(ValueError):
    """No place of the National Grid; the text says why and what to do."""


class Degrees(NamedTuple):
    """A place on WGS84."""

    latitude: float
    longitude: float


def from_grid(easting_m: float, northing_m: float) -> Degrees:
    """WGS84 degrees of a place of the grid, within `ACCURACY_M`. Raises OffTheGridError."""
    if not (EAST_M[0] <= easting_m < EAST_M[1] and NORTH_M[0] <= northing_m < NORTH_M[1]):
        raise OffTheGridError(
            f"easting {easting_m:g}, northing {northing_m:g} is not on the British National Grid: give metres, "
            f"easting 0 to {EAST_M[1]:,.0f}, northing 0 to {NORTH_M[1]:,.0f}"
        )
    latitude, longitude = _unprojected(easting_m, northing_m)
    return Degrees(*_geodetic(_shifted(_cartesian(latitude, longitude, _AIRY), 1), _WGS84))


def to_grid(latitude: float, longitude: float) -> tuple[float, float]:
    """Easting and northing, metres, of a place in WGS84 degrees, within `ACCURACY_M`."""
    point = _cartesian(math.radians(latitude), math.radians(longitude), _WGS84)
    there = _geodetic(_shifted(point, -1), _AIRY)
    return _projected(math.radians(there.latitude), math.radians(there.longitude))


_REFERENCE = re.compile(r"([A-HJ-Z]{2})\s*((?:\d\s*){2,10})", re.I)
_NUMBERS = re.compile(r"(\d+(?:\.\d+)?)\s*[,; ]\s*(\d+(?:\.\d+)?)")


def grid_place(written: str) -> tuple[float, float, float]:
    """Easting, northing and the size of the square that is meant, metres: ``457200,339900`` or ``SK 572 399``.

    The place is the middle of the square. Raises OffTheGridError.
    """
    plain = _NUMBERS.fullmatch(written.strip())
    if plain is not None:
        return float(plain[1]), float(plain[2]), 1.0
    found = _REFERENCE.fullmatch(written.strip())
    digits = "" if found is None else "".join(found[2].split())
    if found is None or len(digits) % 2:
        raise OffTheGridError(
            f"{written!r} is no place of the National Grid: give easting and northing in metres (457200,339900) or "
            "letters with an even number of digits (SK 572 399)"
        )
    first, second = (_LETTERS.index(letter) for letter in found[1].upper())
    # 500 km squares count from the false origin, two to the west and one to the south of S; then 100 km squares
    east = ((first - 2) % 5) * 5 + second % 5
    north = 19 - first // 5 * 5 - second // 5
    half = len(digits) // 2
    size = 10.0 ** (5 - half)
    easting = east * 100_000 + int(digits[:half]) * size + size / 2
    northing = north * 100_000 + int(digits[half:]) * size + size / 2
    if not (EAST_M[0] <= easting < EAST_M[1] and NORTH_M[0] <= northing < NORTH_M[1]):
        raise OffTheGridError(
            f"there is no square {found[1].upper()} over Great Britain: look at its letters"
        )
    return easting, northing, size


def _meridian_m(latitude: float) -> float:
    """Scaled length of the meridian from the true origin, metres."""
    a, b = _AIRY
    n = (a - b) / (a + b)
    less, more = latitude - _ORIGIN[0], latitude + _ORIGIN[0]
    return (
        b
        * _SCALE
        * (
            (1 + n + 1.25 * n**2 + 1.25 * n**3) * less
            - (3 * n + 3 * n**2 + 2.625 * n**3) * math.sin(less) * math.cos(more)
            + (1.875 * n**2 + 1.875 * n**3) * math.sin(2 * less) * math.cos(2 * more)
            - 35 / 24 * n**3 * math.sin(3 * less) * math.cos(3 * more)
        )
    )


def _radii(latitude: float) -> tuple[float, float, float]:
    """Scaled radii of curvature (across, along the meridian) on Airy, metres; and what OS calls eta squared."""
    a, b = _AIRY
    e2 = 1 - (b / a) ** 2
    w2 = 1 - e2 * math.sin(latitude) ** 2
    across = a * _SCALE / math.sqrt(w2)
    along = a * _SCALE * (1 - e2) / w2**1.5
    return across, along, across / along - 1


def _projected(latitude: float, longitude: float) -> tuple[float, float]:
    nu, rho, eta2 = _radii(latitude)
    sine, cosine, t2 = math.sin(latitude), math.cos(latitude), math.tan(latitude) ** 2
    p = longitude - _ORIGIN[1]
    northing = (
        _FALSE[1]
        + _meridian_m(latitude)
        + nu / 2 * sine * cosine * p**2
        + nu / 24 * sine * cosine**3 * (5 - t2 + 9 * eta2) * p**4
        + nu / 720 * sine * cosine**5 * (61 - 58 * t2 + t2**2) * p**6
    )
    easting = (
        _FALSE[0]
        + nu * cosine * p
        + nu / 6 * cosine**3 * (nu / rho - t2) * p**3
        + nu / 120 * cosine**5 * (5 - 18 * t2 + t2**2 + 14 * eta2 - 58 * t2 * eta2) * p**5
    )
    return easting, northing


def _unprojected(easting_m: float, northing_m: float) -> tuple[float, float]:
    """Latitude and longitude on Airy, radians."""
    a = _AIRY[0] * _SCALE
    latitude = _ORIGIN[0] + (northing_m - _FALSE[1]) / a
    while abs(rest := northing_m - _FALSE[1] - _meridian_m(latitude)) > 1e-5:
        latitude += rest / a
    nu, rho, eta2 = _radii(latitude)
    t = math.tan(latitude)
    t2, secant, x = t * t, 1 / math.cos(latitude), easting_m - _FALSE[0]
    return (
        latitude
        - t / (2 * rho * nu) * x**2
        + t / (24 * rho * nu**3) * (5 + 3 * t2 + eta2 - 9 * t2 * eta2) * x**4
        - t / (720 * rho * nu**5) * (61 + 90 * t2 + 45 * t2**2) * x**6,
        _ORIGIN[1]
        + secant / nu * x
        - secant / (6 * nu**3) * (nu / rho + 2 * t2) * x**3
        + secant / (120 * nu**5) * (5 + 28 * t2 + 24 * t2**2) * x**5
        - secant / (5040 * nu**7) * (61 + 662 * t2 + 1320 * t2**2 + 720 * t2**3) * x**7,
    )


_Point = tuple[float, float, float]


def _cartesian(latitude: float, longitude: float, axes: tuple[float, float]) -> _Point:
    """The point on an ellipsoid's surface, metres from the Earth's middle."""
    a, b = axes
    e2 = 1 - (b / a) ** 2
    nu = a / math.sqrt(1 - e2 * math.sin(latitude) ** 2)
    return (
        nu * math.cos(latitude) * math.cos(longitude),
        nu * math.cos(latitude) * math.sin(longitude),
        (1 - e2) * nu * math.sin(latitude),
    )


def _shifted(point: _Point, sign: int) -> _Point:
    """From OSGB36 to WGS84 (1) or back (-1)."""
    (x, y, z), (tx, ty, tz) = point, (sign * one for one in _SHIFT_M)
    rx, ry, rz = (sign * one for one in _TURN)
    s = 1 + sign * _GROWTH
    return tx + s * x - rz * y + ry * z, ty + rz * x + s * y - rx * z, tz - ry * x + rx * y + s * z


def _geodetic(point: _Point, axes: tuple[float, float]) -> Degrees:
    x, y, z = point
    a, b = axes
    e2 = 1 - (b / a) ** 2
    flat = math.hypot(x, y)
    latitude = math.atan2(z, flat * (1 - e2))
    for _ in range(8):  # each turn divides what is left by 150
        nu = a / math.sqrt(1 - e2 * math.sin(latitude) ** 2)
        latitude = math.atan2(z + e2 * nu * math.sin(latitude), flat)
    return Degrees(math.degrees(latitude), math.degrees(math.atan2(y, x)))
