"""Streets as a graph, and the shortest ways along them. Metres in the town's plane: east and north of the market."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, StrEnum

import numpy as np
import numpy.typing as npt
from numba import njit

from core.readings import F64, U8
from sim.way import Bool, Surroundings

I32 = npt.NDArray[np.int32]


class By(StrEnum):
    """How somebody goes."""

    FOOT = "foot"
    BICYCLE = "bicycle"
    CAR = "car"
    BUS = "bus"
    TRAIN = "train"


class Kind(IntEnum):
    """What sort of street an edge is."""

    HIGH_STREET = 0
    """Shops on both sides, three storeys."""
    MAIN = 1
    TERRACE = 2
    """Houses wall to wall: a canyon, though a low one."""
    RESIDENTIAL = 3
    LANE = 4
    """A lane below a hillside: half of the sky is rock."""
    PATH = 5
    """No cars."""
    ROAD = 6
    """A road through open country."""
    ARCADE = 7
    """A roofed passage between shops: no cars, hardly any sky."""


WALKED = np.array([
    Surroundings.STREET, Surroundings.STREET, Surroundings.STREET, Surroundings.OPEN, Surroundings.STREET,
    Surroundings.OPEN, Surroundings.OPEN, Surroundings.INDOORS,
], np.uint8)  # fmt: skip
"""What stands about somebody on foot, by `Kind`."""
DRIVEN_M_S = np.array([5.0, 9.5, 6.5, 7.5, 9.0, 0.0, 20.0, 0.0])
"""How fast a car goes on each kind, stops included; 0 where none may."""
_SPEED_M_S = {By.FOOT: 1.35, By.BICYCLE: 4.2}
_NO_WAY = 1e15


@dataclass(frozen=True, slots=True)
class Route:
    """Legs ``(n,)`` one after the other from (``x[0]``, ``y[0]``) on: the end of each, its seconds, what is about it.

    ``x`` and ``y`` have one more than there are legs. A leg in which nothing moves is a wait.
    """

    x: tuple[float, ...]
    y: tuple[float, ...]
    seconds: tuple[float, ...]
    about: tuple[int, ...]

    @property
    def whole_s(self) -> float:
        """How long it takes."""
        return sum(self.seconds)

    @property
    def length_m(self) -> float:
        """How long it is."""
        return float(np.hypot(np.diff(self.x), np.diff(self.y)).sum())

    def then(self, other: Route) -> Route:
        """This route and then ``other``, which begins where this one ends."""
        return Route(
            self.x + other.x[1:], self.y + other.y[1:], self.seconds + other.seconds, self.about + other.about
        )


@dataclass(frozen=True, slots=True, eq=False)
class Streets:
    """Nodes ``x``, ``y`` of shape (n,) and edges ``start``, ``end``, ``kind``, ``name``, ``length_m`` of shape (m,).

    ``first`` (n + 1), ``other`` (2 m) and ``edge`` (2 m) list the edges at each node. ``name`` counts into ``names``.
    """

    x: F64
    y: F64
    start: I32
    end: I32
    kind: U8
    name: I32
    names: tuple[str, ...]
    length_m: F64
    first: I32
    other: I32
    edge: I32

    @staticmethod
    def of(x: F64, y: F64, start: I32, end: I32, kind: U8, name: I32, names: tuple[str, ...]) -> Streets:
        """Streets of nodes and edges."""
        both = np.concatenate([start, end])
        order = np.argsort(both, kind="stable")
        first = np.searchsorted(both[order], np.arange(len(x) + 1)).astype(np.int32)
        m = len(start)
        return Streets(
            *(x, y, start, end, kind, name, names),
            length_m=np.hypot(x[start] - x[end], y[start] - y[end]),
            first=first,
            other=np.concatenate([end, start])[order].astype(np.int32),
            edge=np.concatenate([np.arange(m), np.arange(m)])[order].astype(np.int32),
        )

    def cost(self, by: By) -> F64:
        """Seconds along each edge; `_NO_WAY` where one can not go so."""
        if by in _SPEED_M_S:
            slower = np.where(self.kind == Kind.ROAD, 3.0, 1.0)  # nobody likes to walk along it
            return self.length_m / _SPEED_M_S[by] * slower
        speed = DRIVEN_M_S[self.kind]
        return np.where(speed > 0, self.length_m / np.maximum(speed, 0.1), _NO_WAY)

    def tree(self, source: int, cost: F64) -> tuple[F64, I32]:
        """Cost from ``source`` to each node, and by which edge each is reached (−1 at the source)."""
        return shortest(source, self.first, self.other, self.edge, cost)

    def along(self, reached: I32, source: int, target: int) -> list[int]:
        """Nodes from ``source`` to ``target`` by a tree of `tree`."""
        start, end = self.start, self.end
        nodes = [target]
        while nodes[-1] != source:
            here = nodes[-1]
            edge = reached[here]
            nodes.append(int(end[edge]) if start[edge] == here else int(start[edge]))
        nodes.reverse()
        return nodes

    def between(self, a: int, b: int) -> int:
        """The edge from node ``a`` to ``b``, −1 where there is none."""
        for i in range(self.first[a], self.first[a + 1]):
            if self.other[i] == b:
                return int(self.edge[i])
        return -1

    def nearest(self, x: float, y: float, allowed: Bool) -> tuple[int, float, float]:
        """Of the ``allowed`` edges the nearest to a point, and the foot of the perpendicular on it."""
        ax, ay = self.x[self.start], self.y[self.start]
        dx, dy = self.x[self.end] - ax, self.y[self.end] - ay
        share = np.clip(((x - ax) * dx + (y - ay) * dy) / np.maximum(self.length_m**2, 1e-9), 0.0, 1.0)
        foot_x, foot_y = ax + share * dx, ay + share * dy
        away = np.where(allowed, (foot_x - x) ** 2 + (foot_y - y) ** 2, np.inf)
        found = int(np.argmin(away))
        return found, float(foot_x[found]), float(foot_y[found])


@njit(cache=True)
def shortest(source: int, first: I32, other: I32, edge: I32, cost: F64) -> tuple[F64, I32]:
    """Dijkstra's shortest paths with a binary heap: cost to each node and the edge by which it is reached.

    Of two ways equally long the one found first stays, in the order of the edges: the same on every machine.
    """
    n = len(first) - 1
    least = np.full(n, np.inf)
    reached = np.full(n, -1, np.int32)
    done = np.zeros(n, np.bool_)
    heap = np.empty(len(other) + 1, np.int32)
    key = np.empty(len(other) + 1, np.float64)
    heap[0], key[0], size = source, 0.0, 1
    least[source] = 0.0
    while size > 0:
        here = heap[0]
        size -= 1
        moved, moved_key, hole = heap[size], key[size], 0
        while True:
            child = 2 * hole + 1
            if child >= size:
                break
            if child + 1 < size and key[child + 1] < key[child]:
                child += 1
            if key[child] >= moved_key:
                break
            heap[hole], key[hole] = heap[child], key[child]
            hole = child
        heap[hole], key[hole] = moved, moved_key
        if done[here]:
            continue
        done[here] = True
        for i in range(first[here], first[here + 1]):
            there = other[i]
            total = least[here] + cost[edge[i]]
            if total < least[there]:
                least[there] = total
                reached[there] = edge[i]
                hole = size
                size += 1
                while hole > 0 and key[(hole - 1) // 2] > total:
                    heap[hole], key[hole] = heap[(hole - 1) // 2], key[(hole - 1) // 2]
                    hole = (hole - 1) // 2
                heap[hole], key[hole] = there, total
    return least, reached
