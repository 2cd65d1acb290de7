"""Where the streets, the river and the railway run: an invented town, a valley beyond the hills, a business park.

Everything is in metres east and north of the market (`sim.market.MARKET`), and follows from the seed. The middle of the
town is the same for every seed: the High Street runs north and south 8 m outside the demo's exclusion zone.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from random import Random

import numpy as np

from core.readings import F64
from sim.streets import Kind, Streets

HIGH_STREET_X = 208.0
_HIGH_STREET_Y, _STRAIGHT_Y = 430.0, 720.0
_RIVER_X = -760.0
_BLOCK_M = (108.0, 172.0)
_RADIUS_M = 1650.0
VALLEY = (-13_200.0, -6_400.0)
"""The lower end of the valley: 14.7 km from the market."""
PARKWAY = (9_000.0, 1_500.0)
_STEMS = (
    "Alder Ashby Barley Beacon Beech Birchfield Bramble Brewery Brook Canal Castle Cedar Chandler Chapel"
    " Cherry Clay Clover Cobden Corn Cross Dale Dyer Elm Fairfield Ferry Field Finch Forge Foundry Fuller"
    " Garden Gladstone Granary Green Greyfriars Harbour Hawthorn Hazel Heron Holly Hope Hyacinth Iron Ivy"
    " Jubilee Kestrel Lark Laurel Lime Linden Malt Maple Meadow Mill Mint Nelson Northgate Oak Orchard Osier"
    " Park Pear Plough Poplar Priory Quarry Queen Raven Reed Regent Rosemary Rowan Saddler Salt Shepherd Silver"
    " Smithy Southgate Spinner Spring Station Swan Tanner Thistle Tower Trinity Union Vicarage Victoria Water"
    " Weaver Wellington Wharf Wheat Willow Wood Wren Yew"
)
_SUFFIXES = ("Street", "Road", "Lane", "Avenue", "Close", "Terrace", "Row", "Drive", "Way", "Grove", "Walk")
_VALLEY_NAMES = (
    "Heol y Bont",
    "Lôn Isaf",
    "Lôn Uchaf",
    "Heol y Capel",
    "Lôn y Felin",
    "Ffordd y Graig",
    "Lôn Las",
)


@dataclass(frozen=True, slots=True)
class Railway:
    """A line through ``x``, ``y``; ``tunnel`` says of each piece between two points whether it runs in a tunnel."""

    x: tuple[float, ...]
    y: tuple[float, ...]
    tunnel: tuple[bool, ...]
    stations: tuple[tuple[str, int], ...]
    """Name of each station, and at which point of the line it lies."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything that is drawn but houses and places."""

    streets: Streets
    river: tuple[tuple[float, float], ...]
    railway: Railway
    parks: tuple[tuple[str, float, float, float], ...]
    """Name, middle and radius."""
    not_spots: tuple[tuple[float, float, float], ...]
    """Circles without mobile coverage: middle and radius."""


def draw(seed: int) -> Plan:
    """The plan of the town of ``seed``."""
    rng = Random(f"{seed}/plan")
    railway = _railway()
    parks = (
        ("Castle Park", -430.0, 690.0, 200.0),
        ("Arboretum", 880.0, -900.0, 230.0),
        ("Miners' Welfare Field", 960.0, 820.0, 170.0),
    )
    net = _Net()
    river = _grid(net, rng, railway, parks)
    valley = _valley(net, rng)
    _parkway(net)
    _country_road(net, rng, "Welshpool Road", VALLEY)
    _country_road(net, rng, "Parkway Link", (PARKWAY[0] - 180.0, PARKWAY[1]))
    return Plan(net.streets(), river, railway, parks, valley)


class _Net:
    """Nodes and edges while they are drawn."""

    def __init__(self) -> None:
        self.x: list[float] = []
        self.y: list[float] = []
        self.edges: list[tuple[int, int, Kind, str]] = []

    def node(self, x: float, y: float) -> int:
        self.x.append(x)
        self.y.append(y)
        return len(self.x) - 1

    def join(self, a: int, b: int, kind: Kind, name: str) -> None:
        self.edges.append((a, b, kind, name))

    def nearest(self, x: float, y: float) -> int:
        return min(range(len(self.x)), key=lambda i: (self.x[i] - x) ** 2 + (self.y[i] - y) ** 2)

    def streets(self) -> Streets:
        names = sorted({name for *_, name in self.edges})
        number = {name: i for i, name in enumerate(names)}
        columns = list(zip(*self.edges, strict=True))
        return Streets.of(
            np.array(self.x),
            np.array(self.y),
            np.array(columns[0], np.int32),
            np.array(columns[1], np.int32),
            np.array(columns[2], np.uint8),
            np.array([number[name] for name in columns[3]], np.int32),
            tuple(names),
        )


def _lines(rng: Random, fixed: float) -> list[float]:
    """Where the streets of one direction run: from ``fixed`` on both ways, a block apart."""
    lines = [fixed]
    while lines[-1] < 2100:
        lines.append(lines[-1] + rng.uniform(*_BLOCK_M))
    while lines[0] > -2100:
        lines.insert(0, lines[0] - rng.uniform(*_BLOCK_M))
    return lines


def _grid(
    net: _Net,
    rng: Random,
    railway: Railway,
    parks: tuple[tuple[str, float, float, float], ...],
) -> tuple[tuple[float, float], ...]:
    """Streets of the town: a crooked grid with gaps, cut by the railway and by the river, which it returns."""
    columns, rows = _lines(rng, HIGH_STREET_X), _lines(rng, -230.0)
    high, middle = columns.index(HIGH_STREET_X), rows.index(-230.0)
    phases = [rng.uniform(0, 6.28) for _ in range(4)]
    west = max(i for i, x in enumerate(columns) if x < _RIVER_X)
    banks: list[list[tuple[float, float]]] = [[] for _ in rows]
    places: dict[tuple[int, int], tuple[float, float]] = {}
    for i, x in enumerate(columns):
        for j, y in enumerate(rows):
            bent = min(max((math.hypot(x, y) - 620) / 500, 0.0), 1.0)
            at_x = x + bent * 75 * math.sin(y / 430 + phases[0]) + rng.uniform(-14, 14)
            at_y = y + bent * 75 * math.sin(x / 390 + phases[1]) + rng.uniform(-14, 14)
            if i == high and abs(y) < _STRAIGHT_Y:
                at_x, at_y = x, y
            if i in (west, west + 1):
                banks[j].append((at_x, at_y))
            angle = math.atan2(at_y, at_x)
            edge = _RADIUS_M * (
                1 + 0.14 * math.sin(2 * angle + phases[2]) + 0.09 * math.sin(3 * angle + phases[3])
            )
            if math.hypot(at_x, at_y) < edge:
                places[i, j] = at_x, at_y
    names = _names(rng)
    line_names: dict[tuple[bool, int, int], str] = {}
    wanted: list[tuple[tuple[int, int], tuple[int, int], Kind, str]] = []
    for i, j in places:
        for other, across in (((i + 1, j), True), ((i, j + 1), False)):
            if other not in places:
                continue
            line = j - middle if across else i - high
            x, y = ((places[i, j][k] + places[other][k]) / 2 for k in (0, 1))
            main = line % 4 == 0
            if not across and line == 0 and abs(y) < _HIGH_STREET_Y:
                kind, name = Kind.HIGH_STREET, "High Street"
            else:
                block = (i if across else j) // (8 if main else 4)
                name = line_names.setdefault((across, line, block), "")
                if not name:
                    name = line_names[across, line, block] = names.pop()
                near = math.hypot(x, y) < 1000
                kind = Kind.MAIN if main else Kind.TERRACE if near and line % 3 else Kind.RESIDENTIAL
            if any(math.hypot(x - px, y - py) < radius for _, px, py, radius in parks):
                kind = Kind.PATH if not main else kind
            if across and i == high and abs(y - 250) < 80:
                kind, name = Kind.ARCADE, "Market Arcade"
            piece = (*places[i, j], *places[other])
            crosses_line = _crosses(piece, tuple(zip(railway.x, railway.y, strict=True)))
            if kind in (Kind.HIGH_STREET, Kind.MAIN) or not (
                (across and i == west) or (crosses_line and rng.random() < 0.6)
            ):
                wanted.append(((i, j), other, kind, name))
    _keep(net, rng, places, wanted)
    return tuple(((a[0] + b[0]) / 2, (a[1] + b[1]) / 2) for a, b in banks)


def _keep(
    net: _Net,
    rng: Random,
    places: dict[tuple[int, int], tuple[float, float]],
    wanted: list[tuple[tuple[int, int], tuple[int, int], Kind, str]],
) -> None:
    """Leave out one small street in five where one can still drive to all that is left."""
    root = {place: place for place in places}

    def find(place: tuple[int, int]) -> tuple[int, int]:
        while root[place] != place:
            root[place] = place = root[root[place]]
        return place

    rng.shuffle(wanted)
    wanted.sort(key=lambda street: (street[2] in (Kind.PATH, Kind.ARCADE), street[2] > Kind.MAIN))
    kept = []
    for a, b, kind, name in wanted:
        walked = kind in (Kind.PATH, Kind.ARCADE)
        joins = find(a) != find(b)
        if joins and not walked:
            root[find(a)] = find(b)
        if kind <= Kind.MAIN or walked or joins or rng.random() > 0.2:
            kept.append((a, b, kind, name))
    sizes: dict[tuple[int, int], int] = {}
    for place in places:
        sizes[find(place)] = sizes.get(find(place), 0) + 1
    town = max(sizes, key=lambda place: (sizes[place], place))
    number: dict[tuple[int, int], int] = {}
    kept.sort()
    for a, b, kind, name in kept:
        if find(a) == town and find(b) == town:
            for place in (a, b):
                if place not in number:
                    number[place] = net.node(*places[place])
            net.join(number[a], number[b], kind, name)


def _names(rng: Random) -> list[str]:
    """Every name of a street once, in some order; those at the end are given first."""
    pairs = [f"{stem} {suffix}" for stem in _STEMS.split() for suffix in rng.sample(_SUFFIXES, 3)]
    rng.shuffle(pairs)
    return pairs


def _crosses(piece: tuple[float, float, float, float], line: tuple[tuple[float, float], ...]) -> bool:
    """Whether a straight piece meets a line of straight pieces."""
    ax, ay, bx, by = piece
    at: F64 = np.array(line)
    px, py, qx, qy = at[:-1, 0], at[:-1, 1], at[1:, 0], at[1:, 1]
    one = (bx - ax) * (py - ay) - (by - ay) * (px - ax)
    two = (bx - ax) * (qy - ay) - (by - ay) * (qx - ax)
    three = (qx - px) * (ay - py) - (qy - py) * (ax - px)
    four = (qx - px) * (by - py) - (qy - py) * (bx - px)
    return bool(np.any((one * two < 0) & (three * four < 0)))


def _valley_axis(share: float) -> tuple[float, float]:
    """The bottom of the valley, ``share`` of its 3.4 km up from the lower end."""
    along, aside = 3400.0 * share, 170 * math.sin(share * 7) + 60 * math.sin(share * 19)
    direction = math.radians(118)
    return (
        VALLEY[0] + along * math.cos(direction) - aside * math.sin(direction),
        VALLEY[1] + along * math.sin(direction) + aside * math.cos(direction),
    )


def _valley(net: _Net, rng: Random) -> tuple[tuple[float, float, float], ...]:
    """Lanes of the valley; returns its not-spots."""
    bottom = [net.node(*_valley_axis(k / 26)) for k in range(27)]
    for k, (a, b) in enumerate(pairwise(bottom)):
        village = 9 <= k < 16
        net.join(
            a,
            b,
            Kind.MAIN if village else Kind.LANE,
            "Stryd Fawr" if village else _VALLEY_NAMES[0 if k < 9 else 5],
        )
    for k in range(1, 26):
        for side in (-1, 1):
            if rng.random() < 0.62:
                here, before = bottom[k], bottom[k - 1]
                dx, dy = net.x[here] - net.x[before], net.y[here] - net.y[before]
                angle = math.atan2(dy, dx) + side * math.radians(rng.uniform(60, 110))
                name = rng.choice(_VALLEY_NAMES)
                for _ in range(rng.randint(1, 2)):
                    far = rng.uniform(70, 130)
                    there = net.node(net.x[here] + far * math.cos(angle), net.y[here] + far * math.sin(angle))
                    net.join(here, there, Kind.LANE, name)
                    here, angle = there, angle + rng.uniform(-0.4, 0.4)
    return (
        (*_valley_axis(0.15), 540.0),
        (*_valley_axis(0.86), 640.0),
        (-7_900.0, -3_700.0, 900.0),  # the hills between, where road and railway run
    )


def _parkway(net: _Net) -> None:
    """A business park beside a station: a ladder of wide roads."""
    nodes = [[net.node(PARKWAY[0] + 180 * i, PARKWAY[1] + 160 * j) for j in (0, 1, 2)] for i in (-1, 0, 1)]
    for i in range(3):
        for j in range(3):
            if i < 2:
                net.join(nodes[i][j], nodes[i + 1][j], Kind.RESIDENTIAL, f"Parkway {'ABC'[j]}")
            if j < 2:
                net.join(nodes[i][j], nodes[i][j + 1], Kind.RESIDENTIAL, f"Enterprise Way {i + 1}")


def _country_road(net: _Net, rng: Random, name: str, to: tuple[float, float]) -> None:
    """From the edge of the town to another place, in pieces of some 700 m that wind a little."""
    far = math.hypot(*to)
    end = net.nearest(*to)
    inner = [i for i in range(len(net.x)) if math.hypot(net.x[i], net.y[i]) < 2500]
    driven = {node for a, b, kind, _ in net.edges if kind == Kind.MAIN for node in (a, b)}
    here = max(
        (i for i in inner if i in driven),
        key=lambda i: (
            (net.x[i] * to[0] + net.y[i] * to[1]) / far - 0.5 * abs(net.x[i] * to[1] - net.y[i] * to[0]) / far
        ),
    )
    x, y = net.x[here], net.y[here]
    pieces = max(round(math.hypot(to[0] - x, to[1] - y) / 700), 2)
    for k in range(1, pieces):
        share = k / pieces
        aside = 160 * math.sin(share * 9 + 1) * min(share, 1 - share) * 4 + rng.uniform(-40, 40)
        there = net.node(
            x + (net.x[end] - x) * share - aside * to[1] / far,
            y + (net.y[end] - y) * share + aside * to[0] / far,
        )
        net.join(here, there, Kind.ROAD, name)
        here = there
    net.join(here, end, Kind.ROAD, name)


def _railway() -> Railway:
    """From the halt in the valley through a tunnel in the hills, through the town and its tunnel, to the parkway."""
    halt = _valley_axis(0.5)
    ends = [(halt[0] + 120, halt[1] - 40), (-150.0, -590.0), (PARKWAY[0], PARKWAY[1] - 90)]
    x, y, tunnel, stations = [ends[0][0]], [ends[0][1]], [], [("Cwm Tarog Halt", 0)]
    for ((ax, ay), (bx, by)), name in zip(pairwise(ends), ("Merebridge", "Merebridge Parkway"), strict=True):
        pieces = round(math.hypot(bx - ax, by - ay) / 330)
        for k in range(1, pieces + 1):
            share = k / pieces
            bow = 260 * math.sin(math.pi * share)
            far = math.hypot(bx - ax, by - ay)
            x.append(ax + (bx - ax) * share - bow * (by - ay) / far)
            y.append(ay + (by - ay) * share + bow * (bx - ax) / far)
            tunnel.append(0.36 < share < 0.5 if name == "Merebridge" else 0.07 < share < 0.15)
        stations.append((name, len(x) - 1))
    return Railway(tuple(x), tuple(y), tuple(tunnel), tuple(stations))
