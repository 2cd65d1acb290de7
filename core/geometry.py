"""Where a position lies with respect to a zone: kernels over compiled zones.

Only + − × ÷ √ on doubles, in a fixed order, so every machine finds the same number. The zones of one call lie one
after the other in a `ZoneTable`. Signed distance is in metres, negative inside. A position exactly on a boundary has
distance 0: it is neither deeper inside nor further outside than any precision, hence always UNCERTAIN.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from core.kernel import BORROWS
from core.readings import F64, I64
from core.slots import Slots, room_for
from core.zones import SCALE_TERMS, Zone

FAR_M = 1e9
"""Further than anything on Earth."""


class ZoneTable(NamedTuple):
    """Compiled zones, pooled.

    ``nodes`` int64 ``(k, 2)`` holds the first of each zone's nodes and the one behind its last, ``grows`` float64
    ``(k,)`` by how many metres its edges are widened (`Zone.grow_m`). Rows that belong to no zone mean nothing.
    """

    edges: F64
    boxes: F64
    links: npt.NDArray[np.int32]
    scales: F64
    nodes: I64
    grows: F64


@dataclass(slots=True)
class _Held:
    """A zone of the pool: how many use it, and the first of its edges."""

    zone: Zone
    edge: int
    users: int = 0


class ZonePool:
    """Zones, each once however often it is added; room is given back with the last user of a zone."""

    def __init__(self) -> None:
        self._numbers: dict[Zone, int] = {}
        self._zones = Slots(terms=[np.zeros((1, 3, SCALE_TERMS)), np.zeros((1, 2), np.int64), np.zeros(1)])
        self._edges = Slots(terms=[np.zeros((1, 4))])
        self._nodes = Slots(terms=[np.zeros((1, 4)), np.zeros((1, 3), np.int32)])

    def room(self) -> tuple[int, int, int]:
        """For how many zones, edges and nodes there is room, used or not."""
        return len(self._zones), len(self._edges), len(self._nodes)

    def add(self, zone: Zone) -> int:
        """The number of ``zone`` in `table`, which has one user more."""
        number = self._numbers.get(zone)
        if number is None:
            edges, nodes = len(zone.edges), len(zone.boxes)
            edge, node = self._edges.take(room_for(edges)), self._nodes.take(room_for(nodes))
            self._numbers[zone] = number = self._zones.take(1, _Held(zone, edge))
            self._edges.terms[0][edge : edge + edges] = zone.edges
            boxes, links = self._nodes.terms
            boxes[node : node + nodes] = zone.boxes
            # links point to nodes and edges of the zone alone: move them to where it comes to lie
            links[node : node + nodes] = zone.links + np.where(
                zone.links[:, 2:] > 0, np.array([node, edge, edge]), np.array([node, 0, 0])
            )
            for column, value in zip(
                self._zones.terms,
                (zone.scale, (node, node + nodes), zone.grow_m),
                strict=True,
            ):
                column[number] = value
        self._zones.owners[number].users += 1
        return number

    def number(self, zone: Zone) -> int:
        """The number of ``zone``, which has users."""
        return self._numbers[zone]

    def drop(self, zone: Zone) -> None:
        """``zone`` has one user less."""
        number = self._numbers[zone]
        held: _Held = self._zones.owners[number]
        held.users -= 1
        if not held.users:
            self._edges.give_back(held.edge, room_for(len(held.zone.edges)))
            self._nodes.give_back(int(self._zones.terms[1][number, 0]), room_for(len(held.zone.boxes)))
            self._zones.give_back(number)
            del self._numbers[zone]

    def table(self) -> ZoneTable:
        """The zones for kernels."""
        return ZoneTable(*self._edges.terms, *self._nodes.terms, *self._zones.terms)


def pool(zones: Sequence[Zone]) -> ZoneTable:
    """A table of ``zones``, all of them different; zone k of the table is ``zones[k]``."""
    pooled = ZonePool()
    for zone in zones:
        pooled.add(zone)
    return pooled.table()


@njit(**BORROWS, error_model="numpy")
def metres_at(scale: Any, latitude: float) -> Any:
    """Metres per degree of longitude and of latitude (``Zone.scale``); held at the ends of the zone's latitudes."""
    at = min(max(latitude, scale[0, 0]), scale[0, 4])
    kx, ky = scale[1, 4], scale[2, 4]
    for i in range(3, -1, -1):
        step = at - scale[0, i]
        kx = scale[1, i] + step * kx
        ky = scale[2, i] + step * ky
    return kx, ky


@njit(**BORROWS, error_model="numpy")
def _bound(table: Any, k: int, longitude: float, latitude: float, kx: float, ky: float) -> Any:
    """A little more than the squared distance to a vertex that is likely to be among the nearest of zone k.

    Down the tree by the nearer box: with it the walk that follows passes over nearly all the rest.
    """
    node = table.nodes[k, 0]
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


@njit(**BORROWS, error_model="numpy")
def _box_distance2(table: Any, node: int, longitude: float, latitude: float, kx: float, ky: float) -> Any:
    dx = max(table.boxes[node, 0] - longitude, 0.0, longitude - table.boxes[node, 2]) * kx
    dy = max(table.boxes[node, 1] - latitude, 0.0, latitude - table.boxes[node, 3]) * ky
    return dx * dx + dy * dy


@njit(**BORROWS, error_model="numpy")
def _edge_distance2(table: Any, e: int, longitude: float, latitude: float, kx: float, ky: float) -> Any:
    """The square of the metres to edge ``e``, and the degrees to its nearest point, times ``kx`` and ``ky``."""
    ax, ay = (table.edges[e, 0] - longitude) * kx, (table.edges[e, 1] - latitude) * ky
    bx, by = (table.edges[e, 2] - longitude) * kx, (table.edges[e, 3] - latitude) * ky
    ux, uy = bx - ax, by - ay
    length2 = ux * ux + uy * uy
    # an edge can be too short for its square to be a number: then either end will do
    along = min(max(-(ax * ux + ay * uy) / length2, 0.0), 1.0) if length2 > 0.0 else 0.0
    px, py = ax + along * ux, ay + along * uy
    return px * px + py * py, px, py


@njit(**BORROWS, error_model="numpy")
def edge_m(table: Any, e: int, longitude: float, latitude: float, kx: float, ky: float) -> Any:
    """Metres from a position to edge ``e``: no boundary that it belongs to is further."""
    return np.sqrt(_edge_distance2(table, e, longitude, latitude, kx, ky)[0])


@njit(**BORROWS, error_model="numpy")
def signed_distance(table: Any, k: int, longitude: float, latitude: float, kx: float, ky: float) -> Any:
    """Metres from a position to the boundary of zone k, negative inside.

    ``kx``, ``ky`` are `metres_at` the position. A line or a point with a width has no inside of its own: there the
    distance is that to the line, less the width.
    """
    return distance_from(table, k, longitude, latitude, kx, ky, -1, 0.0)[0]


@njit(**BORROWS, error_model="numpy")
def distance_from(
    table: Any, k: int, longitude: float, latitude: float, kx: float, ky: float, edge: int, side: float
) -> Any:
    """`signed_distance`, and the nearest edge, for somebody who knows something already.

    ``edge`` is one of the zone that is likely to be near, −1 where none is known; ``side`` is negative inside and
    positive outside, 0 where that is not known. What is given changes the time, never the answer.

    One walk through the tree of boxes answers both questions: how near is the nearest edge, and how often does a ray to
    the east cross the boundary.
    """
    if edge < 0:
        nearest = _bound(table, k, longitude, latitude, kx, ky)
    else:
        # a little more, so that the walk finds that edge, or the first that ties with it, again
        nearest = _edge_distance2(table, edge, longitude, latitude, kx, ky)[0] * 1.000001 + 1e-6
    east_m, north_m = 0.0, 0.0
    grow_m = table.grows[k]
    rays = grow_m == 0.0 and side == 0.0
    inside = side < 0.0
    node, end = table.nodes[k, 0], table.nodes[k, 1]
    while node < end:
        west, south = table.boxes[node, 0], table.boxes[node, 1]
        east, north = table.boxes[node, 2], table.boxes[node, 3]
        dx = max(west - longitude, 0.0, longitude - east) * kx
        dy = max(south - latitude, 0.0, latitude - north) * ky
        # a hair of slack: rounding in the box must not hide an edge that ties with the nearest
        near = (dx * dx + dy * dy) * 0.999999999 <= nearest
        crossed = rays and south <= latitude < north and longitude < east
        if not near and not crossed:
            node = table.links[node, 0]
            continue
        first, last = table.links[node, 1], table.links[node, 2]
        if crossed:
            for e in range(first, last):
                ax, ay = table.edges[e, 0] - longitude, table.edges[e, 1] - latitude
                bx, by = table.edges[e, 2] - longitude, table.edges[e, 3] - latitude
                # half-open in latitude, so that a vertex on the ray counts once
                if (ay > 0.0) != (by > 0.0) and ax - ay * (bx - ax) / (by - ay) > 0.0:
                    inside = not inside
        if near:
            for e in range(first, last):
                distance2, px, py = _edge_distance2(table, e, longitude, latitude, kx, ky)
                if distance2 < nearest:
                    nearest, edge = distance2, e
                    east_m, north_m = px, py
        node += 1
    if grow_m > 0.0:
        # the boundary lies between here and the line: over the width, degrees are worth what they are half-way
        east_deg, north_deg = east_m / kx, north_m / ky
        kx, ky = metres_at(table.scales[k], latitude + north_deg / 2.0)
        dx, dy = east_deg * kx, north_deg * ky
        return np.sqrt(dx * dx + dy * dy) - grow_m, edge
    distance = np.sqrt(nearest)
    return (-distance if inside else distance), edge


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
