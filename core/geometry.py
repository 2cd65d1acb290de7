"""Where a position lies with respect to a zone: kernels over compiled zones.

Only + − × ÷ √ on doubles, in a fixed order, so every machine finds the same number. The zones of one call lie one
after the other in a `ZoneTable`. Signed distance is in metres, negative inside. A position exactly on a boundary has
distance 0: it is neither deeper inside nor further outside than any precision, hence always UNCERTAIN.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from core.growing import Growing
from core.readings import F64, I64
from core.zones import SCALE_TERMS, Zone

FAR_M = 1e9
"""Further than anything on Earth."""


class ZoneTable(NamedTuple):
    """Compiled zones, pooled.

    ``first_node`` int64 ``(k + 1,)`` holds the offsets of each zone's nodes, ``grows`` float64 ``(k,)`` by how many
    metres its edges are widened (`Zone.grow_m`).
    """

    edges: F64
    boxes: F64
    links: npt.NDArray[np.int32]
    scales: F64
    first_node: I64
    grows: F64


class ZonePool:
    """Zones one after the other, each once however often it is added; adding one costs only that one."""

    def __init__(self) -> None:
        self._numbers: dict[Zone, int] = {}
        self._edges = Growing(np.zeros((0, 4)))
        self._boxes = Growing(np.zeros((0, 4)))
        self._links = Growing(np.zeros((0, 3), np.int32))
        self._scales = Growing(np.zeros((0, 3, SCALE_TERMS)))
        self._first_node = Growing(np.zeros(0, np.int64))
        self._first_node.append(np.zeros(1, np.int64))
        self._grows = Growing(np.zeros(0))

    def add(self, zone: Zone) -> int:
        """The number of ``zone`` in `table`."""
        number = self._numbers.setdefault(zone, len(self._numbers))
        if number == len(self._scales):
            # links point to nodes and edges of the zone alone: move them to where it comes to lie
            moved = zone.links + np.where(
                zone.links[:, 2:] > 0,
                np.array([len(self._boxes), len(self._edges), len(self._edges)]),
                np.array([len(self._boxes), 0, 0]),
            )
            self._edges.append(zone.edges)
            self._boxes.append(zone.boxes)
            self._links.append(moved)
            self._scales.append(zone.scale[None])
            self._first_node.append(np.array([len(self._boxes)]))
            self._grows.append(np.array([zone.grow_m]))
        return number

    def table(self) -> ZoneTable:
        """The zones for kernels."""
        return ZoneTable(
            self._edges.rows,
            self._boxes.rows,
            self._links.rows,
            self._scales.rows,
            self._first_node.rows,
            self._grows.rows,
        )


def pool(zones: Sequence[Zone]) -> ZoneTable:
    """A table of ``zones``, all of them different; zone k of the table is ``zones[k]``."""
    pooled = ZonePool()
    for zone in zones:
        pooled.add(zone)
    return pooled.table()


@njit(cache=True)
def metres_at(scale: Any, latitude: float) -> Any:
    """Metres per degree of longitude and of latitude (``Zone.scale``); held at the ends of the zone's latitudes."""
    at = min(max(latitude, scale[0, 0]), scale[0, 4])
    kx, ky = scale[1, 4], scale[2, 4]
    for i in range(3, -1, -1):
        step = at - scale[0, i]
        kx = scale[1, i] + step * kx
        ky = scale[2, i] + step * ky
    return kx, ky


@njit(cache=True)
def box_distance(table: Any, k: int, longitude: float, latitude: float, kx: float, ky: float) -> Any:
    """Metres from a position to the bounding box of zone k; 0 within.

    Never more than the distance to the zone.
    """
    box = table.boxes[table.first_node[k]]
    dx = max(box[0] - longitude, 0.0, longitude - box[2]) * kx
    dy = max(box[1] - latitude, 0.0, latitude - box[3]) * ky
    metres = np.sqrt(dx * dx + dy * dy)
    grow_m = table.grows[k]
    # a twentieth off: the width is measured by the scale half-way, which a box knows nothing of
    return metres if grow_m == 0.0 else max(0.95 * metres - grow_m, 0.0)


@njit(cache=True)
def _bound(table: Any, k: int, longitude: float, latitude: float, kx: float, ky: float) -> Any:
    """A little more than the squared distance to a vertex that is likely to be among the nearest of zone k.

    Down the tree by the nearer box: with it the walk that follows passes over nearly all the rest.
    """
    node = table.first_node[k]
    while table.links[node, 2] == 0:
        left = node + 1
        right = table.links[left, 0]
        node = left
        if _box_distance2(table, right, longitude, latitude, kx, ky) < _box_distance2(
            table, left, longitude, latitude, kx, ky
        ):
            node = right
    nearest = FAR_M * FAR_M
    for e in range(table.links[node, 1], table.links[node, 2]):
        ax, ay = (table.edges[e, 0] - longitude) * kx, (table.edges[e, 1] - latitude) * ky
        nearest = min(nearest, ax * ax + ay * ay)
    # more than that edge's own distance, so that the walk finds it, or the first that ties with it, again
    return nearest * 1.000001 + 1e-6


@njit(cache=True)
def _box_distance2(table: Any, node: int, longitude: float, latitude: float, kx: float, ky: float) -> Any:
    dx = max(table.boxes[node, 0] - longitude, 0.0, longitude - table.boxes[node, 2]) * kx
    dy = max(table.boxes[node, 1] - latitude, 0.0, latitude - table.boxes[node, 3]) * ky
    return dx * dx + dy * dy


@njit(cache=True)
def signed_distance(table: Any, k: int, longitude: float, latitude: float, kx: float, ky: float) -> Any:
    """Metres from a position to the boundary of zone k, negative inside.

    ``kx``, ``ky`` are `metres_at` the position. One walk through the tree of boxes answers both questions: how near is
    the nearest edge, and how often does a ray to the east cross the boundary. A line or a point with a width has no
    inside of its own: there the distance is that to the line, less the width.
    """
    nearest = _bound(table, k, longitude, latitude, kx, ky)
    east_deg, north_deg = 0.0, 0.0
    grow_m = table.grows[k]
    inside = False
    node, end = table.first_node[k], table.first_node[k + 1]
    while node < end:
        west, south = table.boxes[node, 0], table.boxes[node, 1]
        east, north = table.boxes[node, 2], table.boxes[node, 3]
        dx = max(west - longitude, 0.0, longitude - east) * kx
        dy = max(south - latitude, 0.0, latitude - north) * ky
        # a hair of slack: rounding in the box must not hide an edge that ties with the nearest
        near = (dx * dx + dy * dy) * 0.999999999 <= nearest
        crossed = grow_m == 0.0 and south <= latitude < north and longitude < east
        if not near and not crossed:
            node = table.links[node, 0]
            continue
        for e in range(table.links[node, 1], table.links[node, 2]):
            ax, ay = table.edges[e, 0] - longitude, table.edges[e, 1] - latitude
            bx, by = table.edges[e, 2] - longitude, table.edges[e, 3] - latitude
            # half-open in latitude, so that a vertex on the ray counts once
            if crossed and (ay > 0.0) != (by > 0.0) and ax - ay * (bx - ax) / (by - ay) > 0.0:
                inside = not inside
            if near:
                ax, ay, bx, by = ax * kx, ay * ky, bx * kx, by * ky
                ux, uy = bx - ax, by - ay
                length2 = ux * ux + uy * uy
                # an edge can be too short for its square to be a number: then either end will do
                along = min(max(-(ax * ux + ay * uy) / length2, 0.0), 1.0) if length2 > 0.0 else 0.0
                px, py = ax + along * ux, ay + along * uy
                if px * px + py * py < nearest:
                    nearest = px * px + py * py
                    east_deg, north_deg = px / kx, py / ky
        node += 1
    if grow_m > 0.0:
        # the boundary lies between here and the line: over the width, degrees are worth what they are half-way
        kx, ky = metres_at(table.scales[k], latitude + north_deg / 2.0)
        dx, dy = east_deg * kx, north_deg * ky
        return np.sqrt(dx * dx + dy * dy) - grow_m
    distance = np.sqrt(nearest)
    return -distance if inside else distance


@njit(cache=True)
def signed_distances(table: Any, k: int, longitudes: Any, latitudes: Any) -> Any:
    """`signed_distance` of many positions (degrees, shape ``(n,)``) to zone k; NaN where not finite."""
    out = np.empty(len(longitudes), np.float64)
    for i in range(len(longitudes)):
        if np.isfinite(longitudes[i]) and np.isfinite(latitudes[i]):
            kx, ky = metres_at(table.scales[k], latitudes[i])
            out[i] = signed_distance(table, k, longitudes[i], latitudes[i], kx, ky)
        else:
            out[i] = np.nan
    return out
