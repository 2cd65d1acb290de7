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

from core.readings import F64, I64
from core.zones import Zone

FAR_M = 1e9
"""Further than anything on Earth."""


class ZoneTable(NamedTuple):
    """Compiled zones, pooled. ``first_node`` int64 ``(k + 1,)`` holds the offsets of each zone's nodes."""

    edges: F64
    boxes: F64
    links: npt.NDArray[np.int32]
    scales: F64
    first_node: I64


def pool(zones: Sequence[Zone]) -> ZoneTable:
    """One table of ``zones``; zone k of the table is ``zones[k]``."""
    first_node = np.zeros(len(zones) + 1, np.int64)
    links, edges = [], 0
    for k, zone in enumerate(zones):
        first_node[k + 1] = first_node[k] + len(zone.boxes)
        leaf = zone.links[:, 2:] > 0
        moved = np.where(leaf, zone.links[:, 1:] + edges, 0)
        links.append(np.hstack([zone.links[:, :1] + first_node[k], moved]).astype(np.int32))
        edges += len(zone.edges)
    return ZoneTable(
        np.concatenate([np.zeros((0, 4)), *(zone.edges for zone in zones)]),
        np.concatenate([np.zeros((0, 4)), *(zone.boxes for zone in zones)]),
        np.concatenate([np.zeros((0, 3), np.int32), *links]),
        np.array([zone.scale for zone in zones]).reshape(-1, 3, 5),
        first_node,
    )


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
    """Metres from a position to the bounding box of zone k; 0 within. Never more than the distance to the zone."""
    box = table.boxes[table.first_node[k]]
    dx = max(box[0] - longitude, 0.0, longitude - box[2]) * kx
    dy = max(box[1] - latitude, 0.0, latitude - box[3]) * ky
    return np.sqrt(dx * dx + dy * dy)


@njit(cache=True)
def signed_distance(table: Any, k: int, longitude: float, latitude: float, kx: float, ky: float) -> Any:
    """Metres from a position to the boundary of zone k, negative inside.

    ``kx``, ``ky`` are `metres_at` the position. One walk through the tree of boxes answers both questions: how near is
    the nearest edge, and how often does a ray to the east cross the boundary.
    """
    nearest = FAR_M * FAR_M
    inside = False
    node, end = table.first_node[k], table.first_node[k + 1]
    while node < end:
        west, south = table.boxes[node, 0], table.boxes[node, 1]
        east, north = table.boxes[node, 2], table.boxes[node, 3]
        dx = max(west - longitude, 0.0, longitude - east) * kx
        dy = max(south - latitude, 0.0, latitude - north) * ky
        # a hair of slack: rounding in the box must not hide an edge that ties with the nearest
        near = (dx * dx + dy * dy) * 0.999999999 <= nearest
        crossed = south <= latitude < north and longitude < east
        if not near and not crossed:
            node = table.links[node, 0]
            continue
        for e in range(table.links[node, 1], table.links[node, 2]):
            ax, ay = table.edges[e, 0] - longitude, table.edges[e, 1] - latitude
            bx, by = table.edges[e, 2] - longitude, table.edges[e, 3] - latitude
            # half-open in latitude, so that a vertex on the ray counts once
            if (ay > 0.0) != (by > 0.0) and ax - ay * (bx - ax) / (by - ay) > 0.0:
                inside = not inside
            if near:
                ax, ay, bx, by = ax * kx, ay * ky, bx * kx, by * ky
                ux, uy = bx - ax, by - ay
                along = min(max(-(ax * ux + ay * uy) / (ux * ux + uy * uy), 0.0), 1.0)
                px, py = ax + along * ux, ay + along * uy
                nearest = min(nearest, px * px + py * py)
        node += 1
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
