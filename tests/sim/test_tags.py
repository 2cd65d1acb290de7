"""What `sim.tags` says that devices would tell, against the devices: the same instants, the same values."""

from __future__ import annotations

import hashlib
import hmac
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from core import decoding, wire
from core.readings import WIRE, Contacts, EventCode, Events, Kind, Positions
from core.wire import beacon_number
from gateway.at_once import wanted
from sim import equipment
from sim.bench.tag import MOVING_PIN, VirtualTag
from sim.gnss import receive
from sim.gps_sampling import FIX_MS
from sim.home_units import beacons
from sim.itinerary import Itinerary
from sim.life import Life, Span, Unit
from sim.motion import felt
from sim.radio import heard
from sim.sentences import sentences
from sim.tags import activations, device_of, wear
from sim.way import Surroundings
from tests.sim.lives import HOME, HOUR_MS, MINUTE_MS, START_MS, curfew, exclusion, life
from tests.sim.stand_in import StandIn

HEAD = bytes.fromhex("02010417ffffff")
SAID_AFTER_MS = 200


@contextmanager
def running(lived: Life, folder: Path, kind: str, **config: object) -> Iterator[tuple[StandIn, VirtualTag]]:
    """A device of a life with the real firmware, switched on when the life begins."""
    gateway = StandIn(folder / "gateway")
    with gateway:
        tag = VirtualTag(
            folder / kind,
            gateway.credentials(device_of(lived, kind)),
            start_ms=lived.start_ms,
            kind=kind,
            clock_set=True,
            patience_s=1.0,
            config=config,
        )
        with tag:
            tag.start()
            yield gateway, tag


def told(gateway: StandIn, device: str, kind: int) -> list[tuple[int, int, bytes]]:
    """(number, instant, record) of each reading of a kind."""
    readings = gateway.readings[device]
    return [
        (number[1], t_ms or 0, record)
        for number, (made, t_ms, record) in sorted(readings.items())
        if made == kind
    ]


def rows(some: list[tuple[int, int, bytes]], kind: int) -> np.ndarray[tuple[int], np.dtype[np.void]]:
    return np.frombuffer(b"".join(b"\0\0" + record for _, _, record in some), WIRE[kind])


def positions_told(gateway: StandIn, device: str) -> Positions:
    some = told(gateway, device, Kind.POSITION)
    found = decoding.positions_from_wire(rows(some, Kind.POSITION), 0, 1, 1)
    found.t_ms[:] = [t_ms for _, t_ms, _ in some]
    return found


def events_told(gateway: StandIn, device: str) -> list[tuple[int, int, float]]:
    """(number, code, value) of what a tag tells of itself."""
    found = []
    for kind in (Kind.STATUS, Kind.TAMPER, Kind.BOOT):
        for number, t_ms, record in told(gateway, device, kind):
            row = rows([(number, t_ms, record)], kind)
            event: Events = decoding.events_from_wire(kind, row, 0, 1, 1)
            found += [
                (t_ms, int(code), float(value)) for code, value in zip(event.code, event.value, strict=True)
            ]
    return sorted(found)


def drive(tag: VirtualTag, lived: Life, kind: str, from_ms: int, to_ms: int) -> None:
    """Play a life to a device's pins and receiver."""
    for at_ms, pin, level in equipment.levels(lived, kind, from_ms, to_ms):
        tag.set_pin(at_ms, pin, level)
    if kind == "gps_tag":
        for begin, end in felt(lived).tolist():
            for at_ms, level in ((begin, 1), (end, 0)):
                if from_ms <= at_ms < to_ms:
                    tag.set_pin(at_ms, MOVING_PIN, level)
        sky = receive(lived, np.arange(-(-from_ms // FIX_MS) * FIX_MS, to_ms, FIX_MS))
        for at_ms, said in sentences(sky):
            tag.feed(at_ms + SAID_AFTER_MS, said)
    tag.run_until(to_ms)


def test_a_gps_tag_makes_the_positions_and_events_that_are_said_of_it(tmp_path: Path) -> None:
    way = Itinerary(START_MS, HOME)
    way.stay(START_MS + 100 * MINUTE_MS, about=Surroundings.INDOORS)  # asleep: at rest for some of it
    way.walk(HOME.offset(900, 200), about=Surroundings.STREET)
    way.stay(way.end_ms + 12 * MINUTE_MS, about=Surroundings.DEEP)
    way.walk(HOME.offset(3000, -400), about=Surroundings.VEHICLE, speed_kmh=45)
    way.stay(way.end_ms + 40 * MINUTE_MS, about=Surroundings.INDOORS)
    opened = Span(START_MS + 170 * MINUTE_MS + 500, START_MS + 185 * MINUTE_MS + 300)
    lived = life(
        way,
        [curfew(), exclusion(900, 200, 100)],
        days=3.5 / 24,
        seed=8,  # no movement begins between a look and a fix: by how much the tag's looks lag is its own affair
        off_ankle=(opened,),
        charging=(Span(START_MS + 20 * MINUTE_MS, START_MS + 50 * MINUTE_MS),),
    )
    sent = wear(lived)["gps_tag"]
    device = device_of(lived, "gps_tag")
    with running(lived, tmp_path, "gps_tag") as (gateway, tag):
        wish = wanted(list(activations(lived).values()), START_MS, 1000.0, "Europe/London")
        times = [mark for span in wish.times for mark in span]
        gateway.commands[device] = wire.Command(
            1, "settings", [{4: times, 5: [n for c in wish.places for n in c]}]
        )
        drive(tag, lived, "gps_tag", START_MS, opened.end_ms + 1000)
        assert tag.console('{"do": "check"}')["ok"]
        drive(tag, lived, "gps_tag", tag.now_ms, lived.end_ms)
        tag.run_until(lived.end_ms + 5 * MINUTE_MS)
        made = positions_told(gateway, device)
        events = events_told(gateway, device)
    said = sent.readings.positions
    assert made.t_ms.tolist() == said.t_ms.tolist()
    assert 60 < len(said) < 190
    for name in ("lat", "lon", "precision_m", "speed_kmh", "course_deg", "hdop", "satellites", "flags"):
        np.testing.assert_array_equal(getattr(made, name), getattr(said, name), err_msg=name)
    _events_alike(events, sent.readings.events)


def _events_alike(events: list[tuple[int, int, float]], said: Events) -> None:
    """The same events, each within two looks of where it is said to be."""
    expected = sorted(zip(said.code.tolist(), said.t_ms.tolist(), said.value.tolist(), strict=True))
    known = {int(code) for code in EventCode} - {int(EventCode.CLOCK_SET)}
    made = sorted((code, t_ms, value) for t_ms, code, value in events if code in known)
    assert [(code, value) for code, _, value in made] == [(code, value) for code, _, value in expected]
    for (code, t_ms, _), (_, said_ms, _) in zip(made, expected, strict=True):
        assert abs(t_ms - said_ms) <= 4000, EventCode(code).name


def test_a_home_unit_tells_the_intervals_that_are_said_of_it(tmp_path: Path) -> None:
    way = Itinerary(START_MS, HOME)
    way.stay(START_MS + 30 * MINUTE_MS, about=Surroundings.INDOORS)
    way.walk(HOME.offset(1500, 0)).stay(way.end_ms + 30 * MINUTE_MS).walk(HOME)
    cut = Span(START_MS + 15 * MINUTE_MS + 700, START_MS + 20 * MINUTE_MS + 900)
    unit = Unit("primary", HOME, no_mains=(cut,))
    lived = life(way, days=2 / 24, wears=frozenset({"rf_tag"}), units=(unit,))
    sent = wear(lived)["rf_tag"]
    key, number = bytes(range(32)), beacon_number(device_of(lived, "rf_tag"))
    device = device_of(lived, "home_unit")
    with running(lived, tmp_path, "home_unit", tags=[[number, key.hex()]]) as (gateway, tag):
        sent_ms = beacons(lived)
        for i, (at_ms, dbm) in enumerate(
            zip(sent_ms.tolist(), heard(lived, unit, sent_ms).tolist(), strict=True)
        ):
            if not np.isnan(dbm):
                state = 16 if at_ms < START_MS + HOUR_MS else 0
                tag.hear(at_ms, round(dbm), HEAD + _beacon(key, number, i + 1, state))
        for at_ms, level in ((cut.start_ms, 1), (cut.end_ms, 0)):
            tag.set_pin(at_ms, 12, level)
        tag.run_until(lived.end_ms + 5 * MINUTE_MS)
        some = told(gateway, device, Kind.RF_CONTACT)
        states = told(gateway, device, Kind.TAG_STATE)
        tampers = told(gateway, device, Kind.TAMPER)
    made: Contacts = decoding.contacts_from_wire(rows(some, Kind.RF_CONTACT), 0, 1, 1)
    t_ms = np.array([at for _, at, _ in some])
    said = sent.readings.contacts
    mine = np.flatnonzero(t_ms <= lived.end_ms)
    assert len(mine) == len(said) > 60
    np.testing.assert_allclose(t_ms[mine], said.t_ms, atol=3000)
    for name in ("span_s", "count", "strongest_dbm", "median_dbm", "unit_ok"):
        np.testing.assert_allclose(
            getattr(made, name)[mine], getattr(said, name), atol=3 if name == "span_s" else 0
        )
    codes = sent.readings.events.code
    assert int((codes == EventCode.BATTERY).sum()) == len(states)
    assert int(np.isin(codes, [EventCode.MAINS_LOST, EventCode.MAINS_BACK]).sum()) == len(tampers) == 2


def _beacon(key: bytes, number: int, counter: int, state: int) -> bytes:
    said = struct.pack("<BIIBBH", 1, number, counter, state, 180, 65535)
    return said + hmac.digest(key, said, hashlib.sha256)[:7]
