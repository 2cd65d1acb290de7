"""The people of the demonstration: each shows one thing the rules do, or rightly do not do.

They live in the fictional town (`sim.town`), about its market. It is a night, because a day is counted at nine past
three of the next: the skin lags, and a gap of two hours is waited for. The night repeats, so the demonstration can run
for as long as someone looks.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from sim.itinerary import Itinerary, Place
from sim.life import Body, Drink, Exposure, Life, Span, Unit
from sim.market import MARKET, market_zone
from sim.streets import By
from sim.town import Spot, Town, make_town
from sim.way import Surroundings

LONDON = ZoneInfo("Europe/London")
TOWN_SEED = 1
NIGHTS = 31
_MINUTE_MS = 60_000
_HOUR_MS = 60 * _MINUTE_MS
_OPENING = time(1, 20)
_FITTED = time(22, 30)
"""Alcohol tags are fitted on the evening before the day that is counted."""
_WEEK = ["Mo", "Tu", "We", "Th", "Fr", "Sa", "Su"]
_UNIT_G = 8.0


@dataclass(frozen=True)
class Part:
    """One person: what they wear, what they are an example of, and all that happens to them."""

    device: str
    kind: str
    shows: str
    life: Life
    unit: str = ""
    """The home unit that listens for them, if there is one."""

    @property
    def name(self) -> str:
        """The wearer's."""
        return str(self.life.order["wearer"]["name"])


def opening_ms(today: datetime) -> int:
    """The instant at which the demonstration begins: twenty past one of this night, just before the curfews."""
    return _at(today.astimezone(LONDON).date(), _OPENING)


def cast(opening_ms: int) -> list[Part]:
    """The parts, in the order in which they are introduced. The same opening gives the same."""
    stage = _Stage(opening_ms)
    return [
        stage.part("anna", "Anna Field", "walks into the exclusion zone", stage.zone_visitor, zone=True),
        stage.part(
            "bill",
            "Bill Marsh",
            "comes home late",
            stage.late_home,
            curfew=("01:30", "09:30"),
            home=(295, -523),
        ),
        stage.part(
            "cara",
            "Cara Stone",
            "keeps every condition",
            stage.stays,
            zone=True,
            curfew=_EVENING,
            home=(-307, 395),
        ),
        stage.part(
            "dave", "Dave Brook", "passes close by the zone", stage.passes_by, zone=True, home=(233, 765)
        ),
        stage.part(
            "esme", "Esme Heath", "loses the sky at home", stage.no_sky, curfew=_EVENING, home=(42, -699)
        ),
        stage.part(
            "finn", "Finn Dale", "cuts the strap", stage.stays, curfew=_EVENING, home=(-36, 800), cuts=True
        ),
        stage.part(
            "gina",
            "Gina Nash",
            "comes home late, as her home unit hears",
            stage.late_home,
            "rf_tag",
            curfew=("01:45", "09:30"),
            home=(-257, -651),
            unit="hmu0gina",
        ),
        stage.part(
            "hugo",
            "Hugo Pike",
            "is at home, as the home unit that he shares hears",
            stage.stays,
            "rf_tag",
            curfew=_EVENING,
            home=(304, -701),
            unit="hmu0home",
        ),
        stage.part(
            "iris",
            "Iris Vale",
            "lives with him and slips out",
            stage.slips_out,
            "rf_tag",
            curfew=_EVENING,
            home=(304, -701),
            unit="hmu0home",
        ),
        stage.part("jack", "Jack Orme", "abstains", stage.stays, "alcohol_tag", home=(483, 507)),
        stage.part(
            "kate", "Kate Rowe", "drinks tonight", stage.stays, "alcohol_tag", home=(456, -531), drinks=True
        ),
        stage.part(
            "liam",
            "Liam West",
            "cleans with spirit, and abstains",
            stage.stays,
            "alcohol_tag",
            home=(-462, 192),
            cleans=True,
        ),
    ]


_EVENING = ("19:00", "07:00")


def _at(day: date, clock: time) -> int:
    return int(datetime.combine(day, clock, LONDON).timestamp() * 1000)


class _Walk:
    """Somebody's way through the town, on foot and by its streets."""

    def __init__(self, town: Town, start_ms: int, at: Spot) -> None:
        self._town, self.at = town, at
        self.way = Itinerary(start_ms, at.place)

    def stay(self, until_ms: int, *, deep: bool = False) -> _Walk:
        """Stay until an instant; ``deep`` where no satellite is seen."""
        self.way.stay(until_ms, about=Surroundings.DEEP if deep else self.at.about)
        return self

    def go(self, to: Spot) -> _Walk:
        """Walk there."""
        route = self._town.route(self.at, to, By.FOOT)
        for x, y, seconds, about in zip(route.x[1:], route.y[1:], route.seconds, route.about, strict=True):
            place = MARKET.offset(x, y)
            length_m = self.way.at.distance_m(place)
            if length_m > 0:
                self.way.walk(place, speed_kmh=3.6 * length_m / seconds, about=Surroundings(about))
            else:
                self.way.stay(self.way.end_ms + round(seconds * 1000), about=Surroundings(about))
        self.at = to
        return self


class _Stage:
    """The town, and when the night begins."""

    def __init__(self, opening_ms: int) -> None:
        self._town = make_town(TOWN_SEED)
        self._opening_ms = opening_ms
        self._today = datetime.fromtimestamp(opening_ms / 1000, LONDON).date()
        # from when on each is worn, and until when each night is played
        self._nights = [
            opening_ms + _at(self._today + timedelta(days=n), _OPENING) - _at(self._today, _OPENING)
            for n in range(NIGHTS + 1)
        ]

    def part(
        self,
        name: str,
        whole_name: str,
        shows: str,
        moves: Callable[[_Walk, Spot], None],
        kind: str = "gps_tag",
        *,
        zone: bool = False,
        curfew: tuple[str, str] | None = None,
        home: tuple[float, float] = (-319, -240),
        unit: str = "",
        cuts: bool = False,
        drinks: bool = False,
        cleans: bool = False,
    ) -> Part:
        """One of them, who lives in the house nearest to ``home`` (metres east and north of the market)."""
        lives = self._town.house_near(*home)
        start_ms = self._opening_ms - 2 * _MINUTE_MS
        if kind == "alcohol_tag":
            start_ms = _at(self._today - timedelta(days=2), _FITTED)
        walk = _Walk(self._town, start_ms, lives)
        moves(walk, lives)
        end_ms = self._nights[-1]
        walk.stay(end_ms)
        number = ord(name[0])
        life = Life(
            name=name,
            seed=number,
            start_ms=start_ms,
            end_ms=end_ms,
            way=walk.way.way(),
            order=_order(name, whole_name, zone, curfew, lives.place, kind == "alcohol_tag"),
            wears=frozenset({kind}),
            units=(Unit("primary", lives.place),) if unit else (),
            body=Body(weight_kg=64, widmark=0.58) if drinks else Body(),
            drinks=tuple(
                Drink(t - 50 * _MINUTE_MS, t + 40 * _MINUTE_MS, 9 * _UNIT_G)
                for t in self._nights[::3] * drinks
            ),
            exposures=tuple(
                Exposure(t - 14 * _HOUR_MS + n * 40 * _MINUTE_MS, "cleaning", 0.8)
                for t in self._nights * cleans
                for n in range(3)
                if t - 14 * _HOUR_MS > start_ms
            ),
            off_ankle=(Span(self._opening_ms + 25 * _MINUTE_MS, end_ms),) * cuts,
        )
        device = {"gps_tag": "gps0", "rf_tag": "rf00", "alcohol_tag": "alc0"}[kind] + name
        return Part(device, kind, shows, life, unit)

    def stays(self, walk: _Walk, home: Spot) -> None:
        """At home all night, and out by day."""
        for night_ms in self._nights:
            walk.stay(night_ms + 10 * _HOUR_MS).go(self._shop(1)).stay(night_ms + 12 * _HOUR_MS).go(home)

    def zone_visitor(self, walk: _Walk, home: Spot) -> None:
        """Every two hours to somebody who lives in the zone, and home again."""
        friend = self._town.house_near(81, -55)
        while walk.way.end_ms < self._nights[-1]:
            walk.stay(walk.way.end_ms + 12 * _MINUTE_MS).go(friend).stay(walk.way.end_ms + 12 * _MINUTE_MS)
            walk.go(home).stay(walk.way.end_ms + 80 * _MINUTE_MS)

    def late_home(self, walk: _Walk, home: Spot) -> None:
        """From work, when the curfew has begun half an hour before."""
        work = self._town.of("supermarket")[0]
        walk.at, walk.way = work, Itinerary(walk.way.end_ms, work.place)
        for night_ms in self._nights:
            walk.stay(night_ms + 35 * _MINUTE_MS).go(home).stay(night_ms + 15 * _HOUR_MS).go(work)

    def passes_by(self, walk: _Walk, home: Spot) -> None:
        """Up and down the High Street, eight metres outside the zone."""
        ends = (
            self._town.spot("corner", "High Street", 209.0, -600.0),
            self._town.spot("corner", "High Street", 209.0, 640.0),
        )
        walk.at, walk.way = ends[0], Itinerary(walk.way.end_ms, ends[0].place)
        while walk.way.end_ms < self._nights[-1]:
            for corner in ends[::-1]:
                walk.stay(walk.way.end_ms + 5 * _MINUTE_MS).go(corner)

    def no_sky(self, walk: _Walk, home: Spot) -> None:
        """At home, for an hour of the night in the cellar."""
        for night_ms in self._nights:
            walk.stay(night_ms + 5 * _MINUTE_MS).stay(night_ms + 60 * _MINUTE_MS, deep=True)

    def slips_out(self, walk: _Walk, home: Spot) -> None:
        """Out for forty minutes of the night."""
        for night_ms in self._nights:
            walk.stay(night_ms + 50 * _MINUTE_MS).go(self._shop(5)).stay(night_ms + 90 * _MINUTE_MS).go(home)

    def _shop(self, number: int) -> Spot:
        return self._town.of("shop")[number]


def _order(
    name: str, whole_name: str, zone: bool, curfew: tuple[str, str] | None, home: Place, abstains: bool
) -> dict[str, Any]:
    conditions: list[dict[str, object]] = []
    if zone:
        conditions.append({"id": "market", "type": "exclusion", "name": "Market", "zone": market_zone()})
    if curfew is not None:
        conditions.append(
            {
                "id": "curfew",
                "type": "curfew",
                "address": {"name": "primary", "latitude": home.lat, "longitude": home.lon, "radius_m": 30},
                "timetable": [{"days": _WEEK, "start": curfew[0], "end": curfew[1]}],
            }
        )
    if abstains:
        conditions.append({"id": "alcohol", "type": "alcohol", "mode": "abstinence"})
    return {
        "order_id": f"demo-{name}",
        "version": 1,
        "regime": "community_order",
        "wearer": {"id": f"W-{name.upper()}", "name": whole_name},
        "effective": "2020-01-01T00:00:00Z",
        "conditions": conditions,
    }
