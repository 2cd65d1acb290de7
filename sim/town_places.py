"""The places of the town: shops, pubs, schools, court, probation office and the rest, each with a door to a street."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

import numpy as np

from sim.itinerary import Place
from sim.market import MARKET
from sim.streets import DRIVEN_M_S, Kind, Streets
from sim.town_plan import HIGH_STREET_X, Plan
from sim.way import Bool, Surroundings


@dataclass(frozen=True, slots=True)
class Spot:
    """A place with a door: where it is (metres east and north of the market), and where its door meets a street.

    ``about`` is what stands between somebody in it and the sky (`sim.way.Surroundings`).
    """

    kind: str
    name: str
    x: float
    y: float
    edge: int
    node: int
    foot_x: float
    foot_y: float
    about: Surroundings = Surroundings.INDOORS

    @property
    def place(self) -> Place:
        """Where it is, WGS84."""
        return MARKET.offset(self.x, self.y)

    def away_m(self, x: float, y: float) -> float:
        """Metres to a point of the plane."""
        return math.hypot(self.x - x, self.y - y)


def build(plan: Plan, rng: Random) -> tuple[Spot, ...]:
    """All places of a town; the first of a kind is in the town where there is one there."""
    return _Builder(plan, rng).places()


def spot_at(
    streets: Streets, kind: str, name: str, x: float, y: float, about: Surroundings, edge: int | None
) -> Spot:
    """A place whose door opens to the nearest street that one can drive on, or to ``edge``."""
    driven = DRIVEN_M_S[streets.kind] > 0
    if edge is None:
        edge, foot_x, foot_y = streets.nearest(x, y, driven)
    else:
        driven = np.zeros(len(streets.start), np.bool_)
        driven[edge] = True
        _, foot_x, foot_y = streets.nearest(x, y, driven)
    ends = int(streets.start[edge]), int(streets.end[edge])
    node = min(ends, key=lambda end: math.hypot(streets.x[end] - foot_x, streets.y[end] - foot_y))
    return Spot(kind, name, x, y, edge, node, foot_x, foot_y, about)


class _Builder:
    """Puts places on streets, one side of a street each."""

    def __init__(self, plan: Plan, rng: Random) -> None:
        self.streets, self.rng = plan.streets, rng
        self.plan = plan
        self.taken: set[tuple[int, int]] = set()
        self.built: list[Spot] = []
        s = self.streets
        self.x, self.y = (s.x[s.start] + s.x[s.end]) / 2, (s.y[s.start] + s.y[s.end]) / 2
        self.far = np.hypot(self.x, self.y)
        self.driven = DRIVEN_M_S[s.kind] > 0

    def put(
        self,
        kind: str,
        names: Sequence[str],
        where: Bool,
        about: Surroundings = Surroundings.INDOORS,
        back_m: float = 15.0,
    ) -> None:
        """One place of each name on some street of ``where``."""
        edges = np.flatnonzero(where & self.driven & (self.streets.length_m < 400)).tolist()
        for name in names:
            free = [(edge, side) for edge in edges for side in (-1, 1) if (edge, side) not in self.taken]
            edge, side = self.rng.choice(free)
            self.taken.add((edge, side))
            a, b = self.streets.start[edge], self.streets.end[edge]
            length = self.streets.length_m[edge]
            share = self.rng.uniform(0.3, 0.7)
            ux = (self.streets.x[b] - self.streets.x[a]) / length
            uy = (self.streets.y[b] - self.streets.y[a]) / length
            x = self.streets.x[a] + ux * length * share - uy * back_m * side
            y = self.streets.y[a] + uy * length * share + ux * back_m * side
            self.built.append(spot_at(self.streets, kind, name, float(x), float(y), about, edge))

    def at(
        self, kind: str, name: str, x: float, y: float, about: Surroundings = Surroundings.INDOORS
    ) -> None:
        """A place at a point."""
        self.built.append(spot_at(self.streets, kind, name, x, y, about, None))

    def places(self) -> tuple[Spot, ...]:
        kind = self.streets.kind
        town, centre = self.far < 2200, self.far < 700
        valley, parkway = self.x < -9000, self.x > 7000
        high, main = kind == Kind.HIGH_STREET, kind == Kind.MAIN
        village = valley & main
        put, deep, sky = self.put, Surroundings.DEEP, Surroundings.OPEN
        self.at("probation_office", "Merebridge Probation Office", 100.0, 90.0)
        self.at("high_street", "High Street", HIGH_STREET_X + 6.0, -60.0, Surroundings.STREET)
        put(
            "shop",
            [f"{n}, High Street" for n in ("Fresh & Fare", "Dawson's", "Penny Lane Stores", "Bright Optics")],
            high,
        )
        put(
            "court",
            ["Merebridge Magistrates' Court"],
            town & main & (self.far > 250) & (self.far < 900),
            back_m=22,
        )
        put("police_station", ["Merebridge Police Station"], town & (self.far > 350) & (self.far < 1100))
        put("hospital", ["Queen Eleanor Hospital"], town & main & (self.far > 700), back_m=45)
        put("college", ["Merebridge College"], town & (self.far > 500) & (self.far < 1300), back_m=40)
        put(
            "treatment_centre",
            ["Lifeline Recovery Centre"],
            town & (self.far > 500) & (self.far < 1200),
            back_m=24,
        )
        put("payback", ["Community Payback Depot"], town & (self.far > 700), back_m=24)
        put(
            "school",
            [f"{n} School" for n in ("Priory", "Brook", "St Wilfrid's", "Hillside", "Northgate")],
            town & (self.far > 450),
            back_m=35,
        )
        put(
            "supermarket",
            ["Fairway Superstore", "Value Hall", "Corner & Co"],
            town & (self.far > 350),
            back_m=35,
        )
        put(
            "shop",
            [f"{n} News" for n in ("Park", "Mill", "Station", "Orchard", "Castle", "Brook", "Elm")],
            town & (kind == Kind.TERRACE),
        )
        put(
            "pub",
            [
                f"The {n}"
                for n in (
                    "Plough",
                    "Red Lion",
                    "Railway",
                    "Bell",
                    "Miners' Arms",
                    "Fox",
                    "Navigation",
                    "Star",
                )
            ],
            town,
        )
        put("cafe", ["Nook", "Tilly's", "Market Café"], town & centre)
        put("nightclub", ["The Vault"], town & centre & (self.far > 250), deep)
        put("betting_shop", ["Straight & Sons"], town & centre)
        put("gym", ["Iron Works Gym", "Mere Leisure Centre"], town & (self.far > 400), back_m=25)
        put("surgery", ["Elm Tree Surgery", "Station Road Surgery"], town & (self.far > 300))
        put("church", ["St Mary's", "Trinity Methodist"], town)
        put("mosque", ["Merebridge Mosque"], town & (self.far > 300))
        put("office", [f"{n} House" for n in ("Trent", "Mere", "Lacey", "Arkwright")], town & (main | high))
        put("factory", ["Merebridge Castings", "Hosiery Works"], town & (self.far > 900), deep, 45)
        put("warehouse", ["Parcel Shed 4", "Cold Store"], town & (self.far > 900), deep, 45)
        put("workshop", ["Brook Autos", "Mill Joinery", "Tyre Bay"], town & (self.far > 500))
        put("care_home", ["The Willows", "Rosewood"], town & (self.far > 400), back_m=24)
        put("building_site", ["Canalside Phase 2"], town & (self.far > 500), sky, 25)
        put("day_centre", ["St Anne's Drop-in"], town & (self.far > 300) & (self.far < 1000))
        put("hostel", ["Canal Street Hostel"], town & (self.far > 400) & (self.far < 1200))
        put(
            "approved_premises",
            ["Elmfield House", "Basford Lodge"],
            town & (self.far > 600) & (kind >= Kind.RESIDENTIAL),
            back_m=20,
        )
        put(
            "flats",
            [f"{n} Court" for n in ("Lark", "Heron", "Kestrel", "Wren", "Raven", "Swift")],
            town & (self.far > 400),
            back_m=22,
        )
        for name, x, y, _ in self.plan.parks:
            self.at("park", name, x, y, sky)
        self.at("bus_station", "Merebridge Bus Station", HIGH_STREET_X + 60.0, -470.0, Surroundings.STREET)
        line = self.plan.railway
        for name, point in line.stations:
            self.at("station", name, line.x[point] + 12.0, line.y[point] + 22.0, sky)
        put("office", ["Parkway One", "Parkway Two"], parkway)
        put("warehouse", ["Parkway Distribution"], parkway, deep, 40)
        put("pub", ["Y Llew Coch", "The Drovers"], village)
        put("shop", ["Siop y Cwm"], village)
        put("school", ["Ysgol Cwm Tarog"], village)
        put("surgery", ["Meddygfa Tarog"], village)
        put("chapel", ["Capel Seion"], valley)
        put("farm", ["Hendre Isaf", "Tŷ Mawr", "Cae Glas"], valley & ~village, sky, 60)
        put("quarry", ["Tarog Slate"], valley & ~village, deep, 60)
        return tuple(self.built)
