"""The people of the demonstration: each shows one thing the rules do, or rightly do not do.

They live around one exclusion zone of an invented town on real English coordinates. The day repeats, so the
demonstration can run for as long as someone looks.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from sim.itinerary import Itinerary, Place

LONDON = ZoneInfo("Europe/London")
_HOUR_MS = 3_600_000
_MINUTE_MS = 60_000
MARKET = Place(52.9630, -1.1710)  # the centre of the zone
_CURFEW_FROM, _CURFEW_TO = time(19), time(7)


@dataclass(frozen=True)
class Part:
    """One person: the device they wear, what they are an example of, where they go, what their order says."""

    device: str
    shows: str
    order: dict[str, Any]
    itinerary: Callable[[int], Itinerary]


def opening_ms(today: datetime) -> int:
    """The instant at which the demonstration begins: ten to seven in the evening, just before the curfews."""
    evening = datetime.combine(today.astimezone(LONDON).date(), time(18, 50), LONDON)
    return int(evening.timestamp() * 1000)


def market_zone() -> dict[str, object]:
    """An exclusion zone of about 400 m by 360 m; the probation office within it is cut out as a hole."""

    def ring(*corners: tuple[float, float]) -> list[list[float]]:
        places = [MARKET.offset(east, north) for east, north in (*corners, corners[0])]
        return [[round(place.lon, 6), round(place.lat, 6)] for place in places]

    outer = ring((-200, -180), (120, -180), (200, -60), (200, 180), (-200, 180))
    office = ring((60, 60), (60, 120), (140, 120), (140, 60))
    return {"type": "Polygon", "coordinates": [outer, office]}


def cast() -> list[Part]:
    """The parts, in the order in which they are introduced."""
    return [
        Part("gps0anna", "walks into the exclusion zone", _order("anna", zone=True), _zone_visitor),
        Part("gps0bill", "comes home late", _order("bill", home=_home(2)), _late_home),
        Part("gps0cara", "keeps every condition", _order("cara", True, _home(3)), _keeps_all),
        Part("gps0dave", "passes close by the zone", _order("dave", zone=True), _passes_by),
        Part("gps0esme", "loses the sky at home", _order("esme", home=_home(5)), _no_sky),
    ]


def _home(number: int) -> Place:
    return MARKET.offset(-700.0 + 90 * number, 420.0 + 35 * number)


def _order(name: str, zone: bool = False, home: Place | None = None) -> dict[str, Any]:
    conditions: list[dict[str, object]] = []
    if zone:
        conditions.append({"id": "market", "type": "exclusion", "name": "Market", "zone": market_zone()})
    if home is not None:
        week = ["Mo", "Tu", "We", "Th", "Fr", "Sa", "Su"]
        conditions.append(
            {
                "id": "curfew",
                "type": "curfew",
                "address": {"name": "primary", "latitude": home.lat, "longitude": home.lon, "radius_m": 30},
                "timetable": [{"days": week, "start": f"{_CURFEW_FROM:%H:%M}", "end": f"{_CURFEW_TO:%H:%M}"}],
            }
        )
    return {
        "order_id": f"demo-{name}",
        "version": 1,
        "regime": "community_order",
        "wearer": {"id": f"W-{name.upper()}", "name": _NAMES[name]},
        "effective": "2020-01-01T00:00:00Z",
        "conditions": conditions,
    }


_NAMES = {
    "anna": "Anna Field",
    "bill": "Bill Marsh",
    "cara": "Cara Stone",
    "dave": "Dave Brook",
    "esme": "Esme Heath",
}


def _days(start_ms: int) -> list[tuple[int, int]]:
    """``(curfew start, curfew end)`` of the evenings to come, a month of them."""
    first = datetime.fromtimestamp(start_ms / 1000, UTC).astimezone(LONDON).date()
    evenings = []
    for day in (first + timedelta(days=n) for n in range(31)):
        begins = datetime.combine(day, _CURFEW_FROM, LONDON)
        ends = datetime.combine(day + timedelta(days=1), _CURFEW_TO, LONDON)
        evenings.append((int(begins.timestamp() * 1000), int(ends.timestamp() * 1000)))
    return evenings


def _zone_visitor(start_ms: int) -> Itinerary:
    home = MARKET.offset(-520, -260)
    way = Itinerary(start_ms, home)
    while way.end_ms < start_ms + 31 * 24 * _HOUR_MS:
        way.stay(way.end_ms + 8 * _MINUTE_MS).walk(MARKET.offset(-60, -40))
        way.stay(way.end_ms + 12 * _MINUTE_MS).walk(home).stay(way.end_ms + 90 * _MINUTE_MS)
    return way


def _late_home(start_ms: int) -> Itinerary:
    home, pub = _home(2), _home(2).offset(-600, 350)
    way = Itinerary(start_ms, pub)
    for begins, ends in _days(start_ms):
        way.stay(begins + 25 * _MINUTE_MS).walk(home).stay(ends + _HOUR_MS).walk(pub)
    return way


def _keeps_all(start_ms: int) -> Itinerary:
    home, work = _home(3), _home(3).offset(-900, -300)
    way = Itinerary(start_ms, home)
    for begins, ends in _days(start_ms):
        way.stay(ends + _HOUR_MS).walk(work).stay(begins + 20 * _HOUR_MS).walk(home)
    return way


def _passes_by(start_ms: int) -> Itinerary:
    north, south = MARKET.offset(208, 700), MARKET.offset(208, -700)  # a street 8 m outside the zone
    way = Itinerary(start_ms, south)
    while way.end_ms < start_ms + 31 * 24 * _HOUR_MS:
        way.walk(north).stay(way.end_ms + 5 * _MINUTE_MS).walk(south).stay(way.end_ms + 5 * _MINUTE_MS)
    return way


def _no_sky(start_ms: int) -> Itinerary:
    home = _home(5)
    way = Itinerary(start_ms, home)
    for begins, ends in _days(start_ms):
        way.stay(begins + 5 * _MINUTE_MS).stay(begins + 55 * _MINUTE_MS, sky=False).stay(ends)
    return way
