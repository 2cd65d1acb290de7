"""RF tags and home units: their firmware as it is, from the beacon to the alert, through a real broker and gateway."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterator
from pathlib import Path

import beacon
import numpy as np
import pytest
from boards.esp32_pins import PINS

from core import wire
from core.readings import CONTACT_WIRE, Kind, UnitFlag
from gateway import evidence
from gateway.trail import messages_of
from sim.bench.tag import HEAP_BYTES, Beacon, VirtualTag
from sim.radio import AWAY, NEAR, Channel, Place
from sim.rig import Rig
from tests.community_order import community_order, every_day
from tests.sim.days import HEAD
from tests.sim.scene import Scene
from tests.sim.stand_in import StandIn

START_MS = 1_780_329_600_000  # 2026-06-01, a Monday, 16:00 UTC: 17:00 in London
MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS
CURFEW_MS = START_MS + 2 * HOUR_MS  # 19:00 in London
HOME = {"name": "home", "latitude": 51.5, "longitude": -0.1, "radius_m": 50}
CURFEW = {"id": "curfew-1", "type": "curfew", "address": HOME, "timetable": every_day("19:00", "23:00")}
TAG, UNIT = "rf000001", "unit0001"


class Flat(Scene):
    """One wearer with an RF tag, and the home unit in the next room."""

    def __init__(self, rig: Rig) -> None:
        super().__init__(rig, START_MS, step_ms=5 * MINUTE_MS)
        self.tag = rig.enrol(TAG, START_MS, (), order=community_order(TAG, CURFEW), kind="rf_tag")
        self.unit = rig.enrol_unit(UNIT, START_MS, [TAG])

    def said(self) -> evidence.Said:
        with self.rig.store.read() as connection:
            return evidence.said(messages_of(connection, UNIT))

    def play(self, recorded: list[Beacon], at_ms: int) -> None:
        """Play beacons that were recorded earlier, in the order and at the rate of the recording."""
        for one in recorded:
            self.unit.hear(at_ms + one.at_ms - recorded[0].at_ms, -50, one.data)


@pytest.fixture
def flat(tmp_path: Path) -> Iterator[Flat]:
    with Rig(tmp_path) as rig:
        yield Flat(rig)


def test_a_wearer_at_home_is_heard_and_one_who_leaves_is_absent_from_the_curfew(flat: Flat) -> None:
    flat.live(CURFEW_MS + 30 * MINUTE_MS)
    assert flat.told() == []
    said = flat.said()
    assert len(said.contacts) >= 148
    # an interval of a minute is told up to its last beacon, and the next one begins there: none is lost between them
    spans_s, ends_s = said.contacts.span_s, said.contacts.t_ms / 1000
    assert 40 <= spans_s.min() <= spans_s.max() <= 80
    assert (np.abs(np.diff(ends_s) - spans_s[1:]) <= 1).all()
    assert abs(spans_s.sum() - (ends_s[-1] - START_MS / 1000)) < 5
    assert int(said.contacts.count.sum()) > 0.9 * len(flat.rig.aired[TAG])
    assert said.contacts.count.max() <= 6
    assert ((said.contacts.strongest_dbm > -97) & (said.contacts.strongest_dbm < -50)).all()
    assert (said.contacts.median_dbm <= said.contacts.strongest_dbm).all()
    assert (said.contacts.unit_ok == UnitFlag.MAINS).all()
    assert len(flat.tag.counters()) == 1, "nothing went wrong on the tag"
    left_ms = flat.now_ms
    flat.rig.place(TAG, AWAY)
    flat.live(left_ms + 20 * MINUTE_MS)
    (alert,) = flat.told()
    assert alert["rule"] == "absent_during_curfew"
    assert alert["state"] == "open"
    silent = flat.said().contacts
    silent = silent.take(slice(len(said.contacts), None))
    assert silent.span_s[silent.count == 0].max() <= 135
    silences = silent.take(silent.count == 0)
    lasted_s = (silences.t_ms - silences.t_ms[0]) / 1000 + silences.span_s[0]
    assert ((lasted_s >= 181) & (lasted_s <= 186)).any(), "three minutes are told at once"
    flat.rig.place(TAG, NEAR)
    flat.live(left_ms + 40 * MINUTE_MS)
    (alert,) = flat.told()
    assert alert["state"] == "ended"


def test_beacons_that_were_recorded_earlier_are_refused_and_reported(flat: Flat) -> None:
    flat.live(START_MS + HOUR_MS)
    heard_at_home = flat.rig.aired[TAG][-80:]
    flat.rig.place(TAG, AWAY)
    flat.live(START_MS + 2 * HOUR_MS)
    recorded_outside = [one for one in flat.rig.aired[TAG] if one.at_ms > START_MS + HOUR_MS][:80]
    flat.play(heard_at_home, flat.now_ms + MINUTE_MS)
    flat.play(recorded_outside, flat.now_ms + MINUTE_MS + 3000)
    flat.live(flat.now_ms + 40 * MINUTE_MS)
    contacts = flat.said().contacts
    assert contacts.count[contacts.t_ms > START_MS + 2 * HOUR_MS].sum() == 0, "none of them is presence"
    assert {alert["rule"] for alert in flat.told()} == {"absent_during_curfew", "forged_beacons"}
    (forged,) = flat.told("forged_beacons")
    assert forged["activation"] == flat.told("absent_during_curfew")[0]["activation"]
    assert flat.unit.counters()["beacons_refused"] >= 155


def test_a_copy_of_a_tag_is_reported_while_both_are_heard(flat: Flat) -> None:
    key, number = flat.rig.beacon_key(TAG), wire.beacon_number(TAG)
    flat.live(START_MS + 30 * MINUTE_MS)
    for slot in range(120):
        copy = beacon.seal(key, number, 5000 + slot, 0, 190, 65535)
        flat.unit.hear(flat.now_ms + slot * beacon.SLOT_MS, -60, HEAD + copy)
    flat.live(flat.now_ms + 35 * MINUTE_MS)
    (alert,) = flat.told("forged_beacons")
    assert alert["severity"] == "high"


def test_a_cut_of_the_mains_leaves_the_wearer_unknown_and_not_absent(flat: Flat) -> None:
    flat.live(CURFEW_MS + 30 * MINUTE_MS)
    cut_ms = flat.now_ms + 1000
    flat.unit.set_pin(cut_ms, PINS["mains"], 1)
    flat.rig.place(TAG, AWAY)
    flat.live(cut_ms + 40 * MINUTE_MS)
    assert {alert["rule"] for alert in flat.told()} == {"home_unit_no_mains", "whereabouts_unknown"}
    flat.unit.set_pin(flat.now_ms + 1000, PINS["mains"], 0)
    flat.live(flat.now_ms + 15 * MINUTE_MS)
    (mains,) = flat.told("home_unit_no_mains")
    assert mains["state"] == "ended"
    assert [alert["rule"] for alert in flat.told("absent_during_curfew")] == ["absent_during_curfew"]


def test_an_opened_strap_is_told_within_seconds(flat: Flat) -> None:
    flat.live(START_MS + 30 * MINUTE_MS)
    cut_ms = flat.now_ms + 7000
    flat.tag.set_pin(cut_ms, PINS["strap"], 1)
    flat.tag.set_pin(cut_ms + 30_000, PINS["strap"], 0)
    # one step: what is urgent does not wait for a step of the rig
    flat.live(flat.now_ms + 40_000)
    (alert,) = flat.told()
    assert (alert["rule"], alert["state"]) == ("strap_tamper", "open")
    opened = flat.said().tag_events
    begun_ms = int(opened.t_ms[opened.code == 1].min())
    assert cut_ms - 10_000 <= begun_ms <= cut_ms + 10_000


def test_a_unit_that_is_moved_or_opened_says_so_at_once(flat: Flat) -> None:
    flat.live(START_MS + 20 * MINUTE_MS)
    flat.unit.set_pin(flat.now_ms + 5000, PINS["moved"], 1)
    flat.unit.set_pin(flat.now_ms + 12_000, PINS["moved"], 0)
    flat.unit.set_pin(flat.now_ms + 15_000, PINS["case"], 1)
    flat.live(flat.now_ms + 20_000)
    assert {alert["rule"] for alert in flat.told()} == {"home_unit_moved", "home_unit_case_open"}
    flat.live(flat.now_ms + 5 * MINUTE_MS)
    assert flat.said().contacts.unit_ok[-1] & UnitFlag.MOVED, "until an officer has been there"


def test_what_a_unit_has_believed_outlives_its_power(flat: Flat) -> None:
    flat.live(START_MS + 30 * MINUTE_MS)
    recorded = flat.rig.aired[TAG][:40]
    flat.unit.kill()
    flat.unit.start()
    flat.live(flat.now_ms + 2 * MINUTE_MS)
    flat.rig.place(TAG, AWAY)
    flat.play(recorded, flat.now_ms + MINUTE_MS)
    flat.live(flat.now_ms + 15 * MINUTE_MS)
    assert flat.unit.counters()["beacons_refused"] == 40
    assert flat.told("forged_beacons")


def test_a_tag_that_loses_power_goes_on_with_counters_never_used(flat: Flat) -> None:
    for _ in range(5):
        flat.live(flat.now_ms + 3 * MINUTE_MS, MINUTE_MS)
        flat.tag.kill()
        flat.tag.start()
    flat.live(flat.now_ms + 3 * MINUTE_MS)
    sent = [int.from_bytes(one.data[12:16], "little") for one in flat.rig.aired[TAG]]
    assert sent == sorted(set(sent))
    assert flat.told("forged_beacons", "beacon_goes_back") == []
    assert "beacons_refused" not in flat.unit.counters()


def test_with_the_same_seed_a_tag_sends_the_same_beacons_at_the_same_instants(tmp_path: Path) -> None:
    credentials = StandIn(tmp_path / "gateway").credentials(TAG)
    sent: list[list[Beacon]] = []
    for name in ("one", "other"):
        with VirtualTag(tmp_path / name, credentials, start_ms=START_MS, seed=4, kind="rf_tag") as tag:
            tag.start()
            tag.set_pin(START_MS + 50_000, PINS["strap"], 1)
            tag.run_until(START_MS + 10 * MINUTE_MS)
            tag.kill()
            tag.start()
            tag.run_until(START_MS + 20 * MINUTE_MS)
            sent.append(tag.beacons())
    assert len(sent[0]) >= 85
    assert sent[0] == sent[1]


# thirty tags


def test_thirty_tags_are_heard_and_told_by_one_unit_in_the_heap_of_a_board(tmp_path: Path) -> None:
    with StandIn(tmp_path / "gateway") as gateway:
        names = [f"rf{n:06d}" for n in range(30)]
        keys = {name: hmac.digest(bytes([n]) * 32, b"beacon", hashlib.sha256) for n, name in enumerate(names)}
        listed = [[wire.beacon_number(name), keys[name].hex()] for name in names]
        credentials = gateway.credentials(UNIT)
        config = {"tags": listed, "upload_s": 120}
        minutes = 90
        with VirtualTag(
            tmp_path / "unit",
            credentials,
            start_ms=START_MS,
            kind="home_unit",
            config=config,
            clock_set=True,
            heap_bytes=HEAP_BYTES,
            patience_s=20.0,
        ) as unit:
            unit.start()
            for slot in range(minutes * 4):
                for n, name in enumerate(names):
                    at_ms = START_MS + slot * beacon.SLOT_MS + n * 150
                    data = HEAD + beacon.seal(keys[name], wire.beacon_number(name), slot + 1, 0, 190, 65535)
                    for again_ms in (0, 100, 200, 300):  # as a radio repeats it
                        unit.hear(at_ms + again_ms, -60 - n, data)
            unit.run_until(START_MS + (minutes + 3) * MINUTE_MS)
            counted = unit.counters()
        assert unit.log() == ""
        assert (counted["connections"], unit.resets) == (1, 0)
        assert counted.keys().isdisjoint({"beacons_refused", "memory_errors", "flash_errors"})
        records = [record for kind, _, record in gateway.readings[UNIT].values() if kind == Kind.RF_CONTACT]
        layout = [(name, CONTACT_WIRE[name]) for name in CONTACT_WIRE.names or () if name != "dt"]
        told = np.frombuffer(b"".join(records), np.dtype(layout))
        told = told[told["count"] > 0]
        assert len(told) == 30 * minutes
        assert (told["refused"] == 0).all()
        for n, name in enumerate(names):
            mine = told[told["beacon"] == wire.beacon_number(name)]
            assert mine["count"].sum() == minutes * 4
            last_s = (minutes * 4 - 1) * beacon.SLOT_MS / 1000 + n * 0.15
            assert abs(mine["span"].sum() - last_s) <= 1, "all the time up to the last beacon"
            assert (mine["strongest"] == -60 - n).all()
            assert (mine["median"] == -60 - n).all()
            assert mine["counter"].max() == minutes * 4


# the air


def test_the_air_is_the_same_however_it_is_asked() -> None:
    air, again = Channel(5), Channel(5)
    instants = [START_MS + n * 14_000 for n in range(500)]
    first = [air.heard_dbm("a/b", at, NEAR) for at in instants]
    assert [again.heard_dbm("a/b", at, NEAR) for at in reversed(instants)][::-1] == first
    assert [Channel(6).heard_dbm("a/b", at, NEAR) for at in instants] != first


def test_the_air_carries_less_the_further_and_the_more_walls() -> None:
    air = Channel(1)
    instants = [START_MS + n * 400_000 for n in range(400)]

    def heard(place: Place) -> float:
        return sum(air.heard_dbm("a/b", at, place) is not None for at in instants) / len(instants)

    shares = [heard(place) for place in (NEAR, Place(15, 2), Place(40, 3), AWAY)]
    assert shares[0] > 0.95
    assert shares == sorted(shares, reverse=True)
    assert shares[-1] == 0
