"""The fictional town of Merebridge, its valley Cwm Tarog beyond the hills, and how one gets about in them.

It lies on real coordinates around the demo's market, but no street of it exists. The same seed gives the same town.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import pairwise
from random import Random

import numpy as np

from core.readings import F64
from sim.market import MARKET
from sim.streets import DRIVEN_M_S, I32, WALKED, By, Kind, Route, Streets
from sim.town_places import Spot, build, spot_at
from sim.town_plan import PARKWAY, VALLEY, Plan, draw
from sim.way import Bool, Surroundings

__all__ = ["BusRoute", "Spot", "Town", "latitude", "longitude", "make_town"]

_M_PER_DEGREE = 111_195.0
"""As `sim.itinerary.Place.offset` has it, so that both agree."""
_EAST_M_PER_DEGREE = _M_PER_DEGREE * math.cos(math.radians(MARKET.lat))
_WALK_M_S = 1.35
_BUS_M_S, _STOP_S, _BUS_WAIT_S = 8.0, 14.0, 240.0
_TRAIN_M_S, _TRAIN_WAIT_S = 27.0, 300.0
_AVOIDED = 60.0
"""How many times longer an avoided street seems: only somebody who lives on it uses it."""
_HOUSE_M, _CORNER_M, _FRONT_M = 14.0, 16.0, 11.0
_ROUTES_KEPT = 40_000


@dataclass(frozen=True, slots=True)
class BusRoute:
    """A bus line: the nodes it runs along, and which of them are stops (positions in ``nodes``)."""

    name: str
    nodes: tuple[int, ...]
    stops: tuple[int, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Town:
    """Streets and places. Houses are arrays of shape (n,): ``house_x``, ``house_y``, and the edge each stands on."""

    seed: int
    plan: Plan
    places: tuple[Spot, ...]
    buses: tuple[BusRoute, ...]
    house_x: F64
    house_y: F64
    house_edge: I32
    in_valley: Bool
    _costs: dict[By, F64] = field(default_factory=dict)
    _trees: dict[tuple[By, int], I32] = field(default_factory=dict)
    _routes: dict[tuple[float, float, float, float, By], Route] = field(default_factory=dict)

    @property
    def valley_houses(self) -> I32:
        """Numbers of the homes in the valley."""
        return np.flatnonzero(self.in_valley).astype(np.int32)

    @property
    def streets(self) -> Streets:
        """The graph of the streets."""
        return self.plan.streets

    def of(self, *kinds: str) -> tuple[Spot, ...]:
        """All places of some kinds, in the order in which they were built."""
        return tuple(spot for spot in self.places if spot.kind in kinds)

    def first(self, kind: str) -> Spot:
        """The first place of a kind. Raises LookupError where there is none."""
        for spot in self.places:
            if spot.kind == kind:
                return spot
        raise LookupError(
            f"there is no {kind!r} in the town; there are {', '.join(sorted({s.kind for s in self.places}))}"
        )

    def house(self, number: int) -> Spot:
        """The home of that number, 0 to ``len(house_x) - 1``."""
        edge = int(self.house_edge[number])
        name = f"{number % 97 + 1} {self.streets.names[self.streets.name[edge]]}"
        return self.spot("home", name, float(self.house_x[number]), float(self.house_y[number]), edge=edge)

    def house_near(self, x: float, y: float) -> Spot:
        """The home nearest to a point of the plane, in whichever town."""
        return self.house(int(np.argmin((self.house_x - x) ** 2 + (self.house_y - y) ** 2)))

    def spot(
        self,
        kind: str,
        name: str,
        x: float,
        y: float,
        about: Surroundings = Surroundings.INDOORS,
        edge: int | None = None,
    ) -> Spot:
        """A place anywhere, whose door opens to the nearest street, or to ``edge``."""
        return spot_at(self.streets, kind, name, x, y, about, edge)

    def covered(self, x: F64, y: F64) -> Bool:
        """Whether the mobile network reaches each point."""
        reached: Bool = np.ones(len(x), np.bool_)
        for middle_x, middle_y, radius in self.plan.not_spots:
            reached &= (x - middle_x) ** 2 + (y - middle_y) ** 2 > radius**2
        return reached

    def geojson(self) -> dict[str, object]:
        """A FeatureCollection that serves as a base map: every feature has ``kind`` and ``name``."""
        from sim.town_map import features

        return {"type": "FeatureCollection", "features": features(self)}

    def route(self, a: Spot, b: Spot, by: By, avoid: Bool | None = None) -> Route:
        """How one gets from ``a`` to ``b``. ``avoid`` (m,) marks edges that one keeps off if there is any other way.

        By bus or train where one runs that helps, else on foot; by car where there is a street. Of the same two places
        it is the same each time.
        """
        if avoid is not None:
            return self._find(a, b, by, avoid)
        key = (a.x, a.y, b.x, b.y, by)
        found = self._routes.get(key)
        if found is None:
            if len(self._routes) >= _ROUTES_KEPT:
                self._routes.clear()
            found = self._routes[key] = self._find(a, b, by, None)
        return found

    def _find(self, a: Spot, b: Spot, by: By, avoid: Bool | None) -> Route:
        if by == By.BUS:
            return self._by_bus(a, b, avoid)
        if by == By.TRAIN:
            return self._by_train(a, b, avoid)
        return self._along(a, b, by, avoid)

    def _reached(self, source: int, by: By, avoid: Bool | None) -> I32:
        cost = self._costs.get(by)
        if cost is None:
            cost = self._costs[by] = self.streets.cost(by)
        if avoid is not None:
            return self.streets.tree(source, np.where(avoid, cost * _AVOIDED, cost))[1]
        found = self._trees.get((by, source))
        if found is None:
            found = self._trees[by, source] = self.streets.tree(source, cost)[1]
        return found

    def _along(self, a: Spot, b: Spot, by: By, avoid: Bool | None) -> Route:
        streets = self.streets
        xs, ys, edges = [a.x, a.foot_x], [a.y, a.foot_y], [a.edge]
        if a.edge != b.edge:
            nodes = streets.along(self._reached(a.node, by, avoid), a.node, b.node)
            between = [streets.between(p, q) for p, q in pairwise(nodes)]
            if (
                between and between[0] == a.edge
            ):  # to the far end of one's own street: not by way of the near one
                nodes, between = nodes[1:], between[1:]
            if between and between[-1] == b.edge:
                nodes, between = nodes[:-1], between[:-1]
            xs += streets.x[nodes].tolist()
            ys += streets.y[nodes].tolist()
            edges += [a.edge, *between]
        xs += [b.foot_x, b.x]
        ys += [b.foot_y, b.y]
        edges += [b.edge, b.edge]
        kinds = streets.kind[edges]
        lengths = np.hypot(np.diff(xs), np.diff(ys))
        if by == By.CAR:
            speed, about = DRIVEN_M_S[kinds], np.full(len(kinds), Surroundings.VEHICLE, np.uint8)
            about[[0, -1]] = WALKED[kinds[[0, -1]]]
            speed[[0, -1]] = _WALK_M_S
        else:
            speed = np.full(len(kinds), _WALK_M_S if by == By.FOOT else 4.2)
            about = WALKED[kinds]
        seconds = np.maximum(lengths / speed, 0.1)
        return Route(tuple(xs), tuple(ys), tuple(seconds.tolist()), tuple(about.tolist()))

    def _by_bus(self, a: Spot, b: Spot, avoid: Bool | None) -> Route:
        direct, best = math.hypot(a.x - b.x, a.y - b.y), None
        x, y = self.streets.x, self.streets.y
        for bus in self.buses:
            stops = np.array(bus.nodes)[list(bus.stops)]
            to_a = np.hypot(x[stops] - a.x, y[stops] - a.y)
            to_b = np.hypot(x[stops] - b.x, y[stops] - b.y)
            on, off = int(np.argmin(to_a)), int(np.argmin(to_b))
            walked = float(to_a[on] + to_b[off])
            if on != off and walked < 0.6 * direct and (best is None or walked < best[0]):
                best = (walked, bus, bus.stops[on], bus.stops[off])
        if best is None:
            return self._along(a, b, By.FOOT, avoid)
        _, bus, on, off = best
        step = 1 if off > on else -1
        ride = [bus.nodes[i] for i in range(on, off + step, step)]
        if avoid is not None and any(avoid[self.streets.between(p, q)] for p, q in pairwise(ride)):
            return self._along(
                a, b, By.CAR if direct > 4000 else By.FOOT, avoid
            )  # with somebody who drives round
        stops_at = {bus.nodes[i] for i in bus.stops}
        xs, ys = [float(x[ride[0]])] * 2, [float(y[ride[0]])] * 2
        seconds, about = [_BUS_WAIT_S], [int(Surroundings.STREET)]
        for p, q in pairwise(ride):
            kind = self.streets.kind[self.streets.between(p, q)]
            xs.append(float(x[q]))
            ys.append(float(y[q]))
            seconds.append(
                math.hypot(xs[-1] - xs[-2], ys[-1] - ys[-2]) / (17.0 if kind == Kind.ROAD else _BUS_M_S)
            )
            about.append(int(Surroundings.VEHICLE))
            if q in stops_at and q != ride[-1]:
                xs.append(xs[-1])
                ys.append(ys[-1])
                seconds.append(_STOP_S)
                about.append(int(Surroundings.VEHICLE))
        middle = Route(tuple(xs), tuple(ys), tuple(seconds), tuple(about))
        first, last = self._stop(ride[0]), self._stop(ride[-1])
        return self._along(a, first, By.FOOT, avoid).then(middle).then(self._along(last, b, By.FOOT, avoid))

    def _stop(self, node: int) -> Spot:
        x, y = float(self.streets.x[node]), float(self.streets.y[node])
        edge = int(self.streets.edge[self.streets.first[node]])
        return Spot("bus_stop", "bus stop", x, y, edge, node, x, y, Surroundings.STREET)

    def _by_train(self, a: Spot, b: Spot, avoid: Bool | None) -> Route:
        stations = self.of("station")
        on = min(stations, key=lambda station: station.away_m(a.x, a.y))
        off = min(stations, key=lambda station: station.away_m(b.x, b.y))
        if on is off:
            return self._along(a, b, By.FOOT, avoid)
        line = self.plan.railway
        points = dict(line.stations)
        p, q = points[on.name], points[off.name]
        step = 1 if q > p else -1
        way = range(p, q + step, step)
        # from the platform's door to the track, and the wait for the train, in the station
        xs, ys = (
            [on.x, on.x, *(line.x[i] for i in way), off.x],
            [on.y, on.y, *(line.y[i] for i in way), off.y],
        )
        seconds, about = [_TRAIN_WAIT_S], [int(Surroundings.OPEN)]
        for k in range(1, len(xs) - 1):
            length = math.hypot(xs[k + 1] - xs[k], ys[k + 1] - ys[k])
            on_foot = k in (1, len(xs) - 2)
            seconds.append(max(length / (_WALK_M_S if on_foot else _TRAIN_M_S), 0.1))
            piece = min(way[k - 2], way[k - 1]) if not on_foot else -1
            inside = Surroundings.DEEP if not on_foot and line.tunnel[piece] else Surroundings.TRAIN
            about.append(int(Surroundings.OPEN if on_foot else inside))
        middle = Route(tuple(xs), tuple(ys), tuple(seconds), tuple(about))
        return self._along(a, on, By.FOOT, avoid).then(middle).then(self._along(off, b, By.FOOT, avoid))


def latitude(y: F64) -> F64:
    """Degrees north of points so many metres north of the market."""
    return MARKET.lat + y / _M_PER_DEGREE


def longitude(x: F64) -> F64:
    """Degrees east of points so many metres east of the market."""
    return MARKET.lon + x / _EAST_M_PER_DEGREE


@lru_cache(maxsize=8)
def make_town(seed: int) -> Town:
    """The town of ``seed``: the same object each time."""
    plan = draw(seed)
    house_x, house_y, house_edge = _houses(plan.streets)
    return Town(
        seed,
        plan,
        build(plan, Random(f"{seed}/places")),
        _buses(plan.streets),
        house_x,
        house_y,
        house_edge,
        house_x < -9000.0,
    )


def _houses(streets: Streets) -> tuple[F64, F64, I32]:
    """On both sides of every street with homes, a door every few metres."""
    xs, ys, edges = [], [], []
    for edge in np.flatnonzero(np.isin(streets.kind, (Kind.TERRACE, Kind.RESIDENTIAL, Kind.MAIN, Kind.LANE))):
        a, b = streets.start[edge], streets.end[edge]
        length = streets.length_m[edge]
        doors = np.arange(_CORNER_M, length - _CORNER_M, _HOUSE_M)
        if math.hypot(streets.x[a] - PARKWAY[0], streets.y[a] - PARKWAY[1]) < 1500 or length > 400:
            continue
        ux, uy = (streets.x[b] - streets.x[a]) / length, (streets.y[b] - streets.y[a]) / length
        for side in (-1, 1):
            xs.append(streets.x[a] + ux * doors - uy * _FRONT_M * side)
            ys.append(streets.y[a] + uy * doors + ux * _FRONT_M * side)
            edges.append(np.full(len(doors), edge, np.int32))
    return np.concatenate(xs), np.concatenate(ys), np.concatenate(edges)


def _buses(streets: Streets) -> tuple[BusRoute, ...]:
    """Lines between the ends of the town, and one up the valley."""
    ends = {
        "1 Northgate – Southgate": ((150.0, 1500.0), (250.0, -1500.0)),
        "2 Westend – Eastend": ((-1500.0, 100.0), (1500.0, 100.0)),
        "3 Crosstown": ((-1200.0, 1100.0), (1200.0, -1100.0)),
        "X75 Cwm Tarog": (VALLEY, (208.0, 0.0)),
    }
    cost = streets.cost(By.CAR) * np.where(streets.kind <= Kind.MAIN, 0.7, 1.0)
    found = []
    for name, (start, end) in ends.items():
        a, b = (int(np.argmin(np.hypot(streets.x - x, streets.y - y))) for x, y in (start, end))
        if name.startswith("X"):
            a = int(
                np.argmax(
                    np.where(streets.x < -9000, np.hypot(streets.x - VALLEY[0], streets.y - VALLEY[1]), 0)
                )
            )
        nodes = streets.along(streets.tree(a, cost)[1], a, b)
        stops, since = [0], 0.0
        for k in range(1, len(nodes)):
            since += math.hypot(
                streets.x[nodes[k]] - streets.x[nodes[k - 1]], streets.y[nodes[k]] - streets.y[nodes[k - 1]]
            )
            country = streets.kind[streets.between(nodes[k - 1], nodes[k])] == Kind.ROAD
            if (since > 260 and not country) or k == len(nodes) - 1:
                stops.append(k)
                since = 0.0
        found.append(BusRoute(name, tuple(nodes), tuple(stops)))
    return tuple(found)
