"""What tags and home units say, of every kind, from the wire to the alert: real broker, real ingest, real store."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from core import wire
from core.readings import Kind, TamperCode, TimeQuality, UnitFlag
from gateway.installations import install
from gateway.orders import activate, add_order
from gateway.store import alerts
from tests.community_order import community_order, every_day
from tests.core.wearers import DAY_MS, MONDAY_MS
from tests.gateway.conftest import House
from tests.gateway.stand_in import StandIn, block

MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS
MAINS = int(UnitFlag.MAINS)
HOME = {"name": "home", "latitude": 51.5, "longitude": -0.1, "radius_m": 50}
# 19:00 in London is 18:00 UTC in June
CURFEW = {"id": "curfew-1", "type": "curfew", "address": HOME, "timetable": every_day("19:00", "23:00")}
ALCOHOL = {"id": "alcohol-1", "type": "alcohol", "mode": "abstinence"}


@pytest.fixture(scope="module")
def days() -> Iterator[int]:
    """Every test has days of its own: the gateway's clock never goes back."""
    return (MONDAY_MS + 14 * n * DAY_MS for n in itertools.count())


@pytest.fixture
def day_ms(days: Iterator[int], house: House) -> int:
    """Midnight (UTC) of a day on which the gateway's clock stands at noon."""
    day = next(days)
    house.gateway.advance(day + 12 * HOUR_MS)
    return day


def wear(house: House, device: str, fitted_ms: int, *conditions: dict[str, Any]) -> str:
    """The activation of a device that was fitted under an order with these conditions."""
    order_id = f"order-{device}"
    add_order(house.store, community_order(order_id, *conditions))
    return activate(house.store, device, order_id, fitted_ms)


def told(house: House, activation: str, rule: str | None = None) -> list[dict[str, Any]]:
    """What stands about an activation, oldest first."""
    with house.store.read() as connection:
        rows = alerts.listing(connection, limit=10_000)[::-1]
    mine = [row for row in rows if row["activation"] == activation and row["state"] != "withdrawn"]
    return mine if rule is None else [row for row in mine if row["rule"] == rule]


def tamper(number: int, t_ms: int, code: TamperCode, detail: int) -> wire.Block:
    return block(Kind.TAMPER, number, [t_ms], code=code, detail=detail)


def utc(t_ms: int) -> str:
    from gateway.clock import utc_text

    return utc_text(t_ms)


def restart_ingest(house: House) -> None:
    house.gateway.wait_restarted("ingest", house.gateway.kill_part("ingest"))


def test_an_opened_strap_is_an_alert_until_the_officer_has_been_there(house: House, day_ms: int) -> None:
    tag = house.new_tag()
    worn = wear(house, tag.device, day_ms + 8 * HOUR_MS, CURFEW)
    at = day_ms + 11 * HOUR_MS
    tag.say(tamper(1, at, TamperCode.STRAP, 1))
    house.settle()
    (alert,) = told(house, worn)
    assert (alert["rule"], alert["state"], alert["start"]) == ("strap_tamper", "open", utc(at))
    assert alert["readings"] == [[tag.epoch, 1]]
    tag.say(tamper(2, at + 60_000, TamperCode.STRAP, 0), tamper(3, at + HOUR_MS, TamperCode.TAG_CHECKED, 0))
    house.settle()
    (alert,) = told(house, worn)
    assert (alert["state"], alert["end"]) == ("ended", utc(at + HOUR_MS))


def test_a_reading_whose_time_is_unset_is_stored_and_accuses_nobody(house: House, day_ms: int) -> None:
    tag = house.new_tag()
    worn = wear(house, tag.device, 0, CURFEW)
    unset = block(Kind.TAMPER, 1, [30_000], code=TamperCode.STRAP, detail=1, flags=TimeQuality.UNSET)
    assert tag.say(unset).commit == (tag.epoch, 1)
    house.settle()
    assert told(house, worn, "strap_tamper") == []


def test_a_battery_that_runs_down_is_told_from_equipment_status(house: House, day_ms: int) -> None:
    tag = house.new_tag()
    worn = wear(house, tag.device, day_ms, CURFEW)
    at = day_ms + 10 * HOUR_MS
    tag.say(block(Kind.STATUS, 1, [at, at + HOUR_MS], battery=[3900, 3500], charger=[0, 0], temperature=20))
    house.settle()
    (alert,) = told(house, worn, "battery")
    assert (alert["state"], alert["start"]) == ("open", utc(at + HOUR_MS))
    tag.say(block(Kind.STATUS, 3, [at + 70 * MINUTE_MS], battery=3600, charger=1, temperature=20))
    house.settle()
    (alert,) = told(house, worn, "battery")
    assert (alert["state"], alert["end"]) == ("ended", utc(at + 70 * MINUTE_MS))


@pytest.fixture
def flat(house: House, day_ms: int) -> tuple[str, StandIn, Callable[..., wire.Block]]:
    """A wearer with an RF tag only, the home unit that listens for him, and what it reports minute by minute."""
    tag, unit = house.new_device("rf_tag"), house.new_tag("home_unit")
    worn = wear(house, tag.device, day_ms, CURFEW)
    install(house.store, unit.device, worn, "home", day_ms)
    beacon = wire.beacon_number(tag.device)
    last = 0

    def heard(from_ms: int, to_ms: int, count: int, ok: int = MAINS, beacon: int = beacon) -> wire.Block:
        ends = range(from_ms + MINUTE_MS, to_ms + 1, MINUTE_MS)
        nonlocal last
        first, last = last + 1, last + len(ends)
        return block(
            Kind.RF_CONTACT,
            first,
            list(ends),
            beacon=beacon,
            span=60,
            count=count,
            strongest=-60 if count else 127,
            median=-70 if count else 127,
            unit=ok,
        )

    return worn, unit, heard


def test_a_home_unit_that_does_not_hear_the_tag_tells_of_a_wearer_who_comes_home_late(
    house: House, day_ms: int, flat: tuple[str, StandIn, Callable[..., wire.Block]]
) -> None:
    worn, unit, heard = flat
    curfew = day_ms + 18 * HOUR_MS
    unit.say(heard(curfew - HOUR_MS, curfew - 20 * MINUTE_MS, 5))
    house.gateway.advance(curfew - 20 * MINUTE_MS)
    unit.say(heard(curfew - 20 * MINUTE_MS, curfew + 40 * MINUTE_MS, 0))
    house.gateway.advance(curfew + 40 * MINUTE_MS)
    (alert,) = told(house, worn, "absent_during_curfew")
    assert (alert["state"], alert["start"]) == ("open", utc(curfew))
    restart_ingest(house)
    unit.say(heard(curfew + 40 * MINUTE_MS, curfew + 90 * MINUTE_MS, 5))
    house.gateway.advance(curfew + 90 * MINUTE_MS)
    (alert,) = told(house, worn, "absent_during_curfew")
    assert (alert["state"], alert["figures"]["kind"]) == ("ended", "late_home")
    assert utc(curfew + 40 * MINUTE_MS) <= alert["end"] <= utc(curfew + 43 * MINUTE_MS)
    assert told(house, worn, "no_contact") == []


def test_a_home_unit_without_mains_knows_nothing_of_an_absence(
    house: House, day_ms: int, flat: tuple[str, StandIn, Callable[..., wire.Block]]
) -> None:
    worn, unit, heard = flat
    curfew = day_ms + 18 * HOUR_MS
    unit.say(heard(curfew - HOUR_MS, curfew + 5 * MINUTE_MS, 5))
    cut = curfew + 5 * MINUTE_MS
    unit.say(heard(cut, curfew + 60 * MINUTE_MS, 0, ok=0))
    unit.say(tamper(200, cut, TamperCode.MAINS, 1), base=126)
    house.gateway.advance(curfew + 60 * MINUTE_MS)
    assert told(house, worn, "absent_during_curfew") == []
    (alert,) = told(house, worn, "home_unit_no_mains")
    assert (alert["state"], alert["start"]) == ("open", utc(cut))
    (alert,) = told(house, worn, "whereabouts_unknown")
    assert alert["state"] == "open"


def test_beacons_of_somebody_elses_tag_are_not_the_wearers(
    house: House, day_ms: int, flat: tuple[str, StandIn, Callable[..., wire.Block]]
) -> None:
    worn, unit, heard = flat
    curfew = day_ms + 18 * HOUR_MS
    unit.say(heard(curfew - HOUR_MS, curfew + HOUR_MS // 2, 0, beacon=wire.beacon_number("another")))
    house.gateway.advance(curfew + HOUR_MS // 2)
    assert {alert["rule"] for alert in told(house, worn)} == {"whereabouts_unknown"}


def test_an_evening_of_drinking_is_told_from_the_samples(house: House, day_ms: int) -> None:
    tag = house.new_tag("alcohol_tag")
    worn = wear(house, tag.device, day_ms - DAY_MS, ALCOHOL)
    curve = [0] * 8 + [1000, 2600, 4500, 6000, 6400, 6000, 5000, 4000, 3000, 2000, 1000] + [0] * 8
    times = [day_ms - 2 * HOUR_MS + 30 * MINUTE_MS * n for n in range(len(curve))]
    samples = [
        block(
            Kind.ALCOHOL, at + 1, times[at : at + 3], tac=curve[at : at + 3], infrared=1000, temperature=3300
        )
        for at in range(0, len(curve), 3)
    ]
    assert tag.say(*samples).commit == (tag.epoch, len(curve))
    house.gateway.advance(day_ms + 14 * HOUR_MS)
    (alert,) = told(house, worn, "drinking_event")
    assert (alert["state"], alert["figures"]["status"]) == ("ended", "confirmed")
    assert alert["start"] == utc(times[9])


def test_silence_is_told_by_the_gateways_clock_and_a_restart_makes_none(house: House, day_ms: int) -> None:
    tag = house.new_tag()
    worn = wear(house, tag.device, day_ms, CURFEW)
    heard_ms = day_ms + 12 * HOUR_MS
    tag.say(base=1)  # a hello: nothing to store, but it was heard
    house.gateway.advance(heard_ms + DAY_MS - 1)
    restart_ingest(house)
    house.gateway.advance(heard_ms + DAY_MS - 1)
    assert told(house, worn, "no_contact") == []
    house.gateway.advance(heard_ms + DAY_MS)
    (alert,) = told(house, worn, "no_contact")
    assert (alert["state"], alert["figures"]["heard"]) == ("open", utc(heard_ms))
    restart_ingest(house)
    house.gateway.advance(heard_ms + DAY_MS + HOUR_MS)
    assert told(house, worn, "no_contact") == [alert]
    tag.say(base=1)
    house.settle()
    (over,) = told(house, worn, "no_contact")
    assert (over["number"], over["state"]) == (alert["number"], "ended")
    assert over["end"] == utc(heard_ms + DAY_MS + HOUR_MS)


def test_readings_ahead_of_the_gateways_clock_are_told_once_while_that_lasts(
    house: House, day_ms: int
) -> None:
    tag = house.new_tag()
    worn = wear(house, tag.device, day_ms, CURFEW)
    now = day_ms + 12 * HOUR_MS
    tag.say(tamper(1, now + 2 * HOUR_MS, TamperCode.STRAP, 1))
    house.gateway.advance(now + MINUTE_MS)
    (alert,) = told(house, worn)
    assert (alert["rule"], alert["state"], alert["figures"]["readings"]) == ("readings_ahead", "open", 1)
    assert house.gateway.status()["ahead"] == {worn: 1}
    restart_ingest(house)
    house.gateway.advance(now + HOUR_MS)
    assert told(house, worn) == [alert]
    house.gateway.advance(now + 2 * HOUR_MS)
    strap, over = sorted(told(house, worn), key=lambda one: str(one["rule"]), reverse=True)
    assert (over["number"], over["state"]) == (alert["number"], "ended")
    assert (strap["rule"], strap["start"]) == ("strap_tamper", utc(now + 2 * HOUR_MS))
    assert house.gateway.status()["ahead"] == {}
