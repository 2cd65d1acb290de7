"""An oracle for signed distance that shares nothing with the core: PROJ's geodesics and GEOS.

An azimuthal equidistant projection about a point keeps the true geodesic distance from that point to every other, so
the nearest piece of a boundary, cut fine enough, is as far as the plane says.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import shapely
from pyproj import Proj

from core.readings import F64

STEP_DEG = 0.002
"""Edges are cut to pieces of some 200 m: a straight piece of a map then strays from the straight edge by under 1 mm."""


class Boundary:
    """The boundary of a zone, edges straight in longitude and latitude, cut fine."""

    def __init__(self, shape: Any) -> None:
        self.shape = shape
        # cut the lines, not the area: of an area GEOS makes a valid one when it cuts it, and drops spikes of no width
        lines = shapely.get_parts(shapely.segmentize(shapely.boundary(shape), STEP_DEG))
        self._rings: list[F64] = [shapely.get_coordinates(line) for line in lines]
        shapely.prepare(shape)

    def signed_distance(self, longitude: float, latitude: float) -> float:
        """Metres to the boundary, negative inside."""
        plane = Proj(proj="aeqd", lon_0=longitude, lat_0=latitude, ellps="WGS84")
        here = shapely.Point(0, 0)
        distance: float = min(
            shapely.LineString(np.column_stack(plane(ring[:, 0], ring[:, 1]))).distance(here)
            for ring in self._rings
        )
        return -distance if shapely.contains_xy(self.shape, longitude, latitude) else distance
