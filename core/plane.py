"""Metres per degree anywhere on Earth by plain arithmetic, for kernels that follow a wearer and know no zone.

`core.zones.metres_per_degree` is the same by the mathematical library, whose last digit differs between machines; here
only + − × ÷ √ are used, so every machine finds the same number (design law 6).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

_DEGREE = 0.017453292519943295
"""One degree in radians."""
_WGS84_A_M = 6_378_137.0
_WGS84_E2 = 0.0066943799901413165


@njit(cache=True)
def metres_per_degree_at(latitude: float) -> Any:
    """Metres per degree of longitude and of latitude on the WGS84 ellipsoid at ``latitude`` (degrees, −90 to 90)."""
    x = latitude * _DEGREE
    x2 = x * x
    # Taylor's series of the cosine: at 90° the first term left out is 2e-17
    cosine = 1.0
    for k in range(20, 0, -2):
        cosine = 1.0 - cosine * x2 / (k * (k - 1))
    w2 = 1.0 - _WGS84_E2 * (1.0 - cosine * cosine)
    w = np.sqrt(w2)
    kx = _DEGREE * _WGS84_A_M / w * cosine
    ky = _DEGREE * _WGS84_A_M * (1.0 - _WGS84_E2) / (w2 * w)
    return max(kx, 0.0), ky


@njit(cache=True)
def metres_between(lon_a: float, lat_a: float, lon_b: float, lat_b: float, kx: float, ky: float) -> Any:
    """Metres from a to b (degrees) where a degree measures ``kx`` and ``ky``; the short way round at 180°."""
    dx = abs(lon_b - lon_a)
    dx = min(dx, 360.0 - dx) * kx
    dy = (lat_b - lat_a) * ky
    return np.sqrt(dx * dx + dy * dy)
