"""The market of the demonstration, about which the town lies, and the exclusion zone around it."""

from __future__ import annotations

from sim.itinerary import Place

MARKET = Place(52.9630, -1.1710)
"""The centre of the zone."""


def market_zone() -> dict[str, object]:
    """An exclusion zone of about 400 m by 360 m; the probation office within it is cut out as a hole."""

    def ring(*corners: tuple[float, float]) -> list[list[float]]:
        places = [MARKET.offset(east, north) for east, north in (*corners, corners[0])]
        return [[round(place.lon, 6), round(place.lat, 6)] for place in places]

    outer = ring((-200, -180), (120, -180), (200, -60), (200, 180), (-200, 180))
    office = ring((60, 60), (60, 120), (140, 120), (140, 60))
    return {"type": "Polygon", "coordinates": [outer, office]}
