"""Under curfew and near a zone every position is with the gateway at once, because the gateway has told the tag so."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from gateway import commands
from gateway.orders import add_order, deactivate
from sim.gnss import GnssReceiver
from sim.itinerary import Itinerary, Place
from sim.rig import Rig
from tests.community_order import community_order, every_day
from tests.system.brokers import behind

MINUTE_MS = 60_000
BEGIN_MS = int(datetime(2026, 10, 24, 17, 30, tzinfo=UTC).timestamp() * 1000)
"""Half an hour before curfew, on the evening before the clocks go back."""
HOME, STREET = Place(52.96, -1.17), Place(52.99, -1.17)
TAGS = ("gps00001", "gps00002", "gps00003")


def curfew() -> dict[str, Any]:
    address = {"name": "home", "latitude": HOME.lat, "longitude": HOME.lon, "radius_m": 50}
    return {"id": "curfew", "type": "curfew", "address": address, "timetable": every_day("19:00", "07:00")}


def exclusion(place: Place) -> dict[str, Any]:
    zone = {"type": "Point", "coordinates": [place.lon, place.lat], "radius_m": 200}
    return {"id": "street", "type": "exclusion", "name": "a street", "zone": zone}


class Evening:
    """Three tags that lie at home: one with a curfew, one by a zone, one with a zone 3 km off."""

    def __init__(self, rig: Rig) -> None:
        self.rig = rig
        self.at_ms = BEGIN_MS
        rig.gateway.advance(BEGIN_MS)
        orders = [
            community_order("curfew", curfew()),
            community_order("near", exclusion(Place(HOME.lat + 0.005, HOME.lon))),
            community_order("far", exclusion(STREET)),
        ]
        way = Itinerary(BEGIN_MS, HOME).stay(BEGIN_MS + 900 * MINUTE_MS)
        for device, given in zip(TAGS, orders, strict=True):
            said = GnssReceiver(way, seed=3, interval_ms=10_000).sentences(BEGIN_MS, way.end_ms)
            rig.enrol(device, BEGIN_MS, said, order=given)
        self.live(6)

    def live(self, minutes: int) -> dict[str, list[int]]:
        """Let so many minutes pass; of each tag how old its newest position was to the gateway, 20 s into each."""
        ages: dict[str, list[int]] = {device: [] for device in TAGS}
        for _ in range(minutes):
            self.at_ms += MINUTE_MS
            self.rig.advance(self.at_ms + 20_000)
            for device in TAGS:
                last_ms = int(self.rig.positions(device).t_ms.max(initial=0))
                ages[device].append(self.at_ms + 20_000 - last_ms)
        return ages

    def settings(self, device: str) -> list[dict[str, Any]]:
        rows = commands.listing(self.rig.store, device, self.rig.now_ms)
        return [row for row in rows if row["name"] == "settings"]


@pytest.fixture(scope="module")
def evening(which_at_length: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Evening]:
    folder = tmp_path_factory.mktemp("at-once")
    with behind(which_at_length, folder), Rig(folder) as rig:
        yield Evening(rig)


def test_near_a_zone_and_under_curfew_every_position_comes_at_once_and_else_in_batches(
    evening: Evening,
) -> None:
    for device in TAGS:
        assert [(row["state"], row["given_by"]) for row in evening.settings(device)] == [("done", "gateway")]
    before = evening.live(8)
    assert max(before["gps00001"]) > MINUTE_MS, "no curfew yet"
    assert max(before["gps00002"]) <= 21_000
    assert max(before["gps00003"]) > MINUTE_MS
    evening.live(18)
    after = evening.live(8)
    assert max(after["gps00001"]) <= 21_000, "curfew"
    assert max(after["gps00002"]) <= 21_000
    assert max(after["gps00003"]) > MINUTE_MS
    assert [len(evening.settings(device)) for device in TAGS] == [1, 1, 1], "and nothing is said twice"


def test_a_changed_order_and_a_removal_reach_the_tag(evening: Evening) -> None:
    add_order(evening.rig.store, community_order("far", exclusion(HOME), version=2))
    worn = "gps00002-1"
    deactivate(evening.rig.store, worn, evening.rig.now_ms)
    evening.live(4)
    ages = evening.live(8)
    assert max(ages["gps00003"]) <= 21_000
    assert max(ages["gps00002"]) > MINUTE_MS
    assert [row["state"] for device in TAGS for row in evening.settings(device)] == ["done"] * 5
