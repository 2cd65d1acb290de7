"""Readings packed by the tag are what the gateway's reader and the CDDL's layouts say."""

from __future__ import annotations

import envelope
import mqtt
import numpy as np
import pytest
import records
from conversation import topic
from hypothesis import given
from hypothesis import strategies as st

from core import decoding, readings, wire
from tests.firmware.gateway_side import unpacked

KINDS = st.sampled_from([int(kind) for kind in readings.Kind])
LIMIT = 962


def packed(epoch: int, base: int, found: list[tuple[int, int, int, bytes]]) -> tuple[bytes, int]:
    """The payload of the leading readings, as it comes to lie in a buffer with something before it; how many."""
    buffer = bytearray(b"\xaa" * (7 + LIMIT))
    end, taken = records.put_up(buffer, 7, epoch, base, found, LIMIT)
    assert buffer[:7] == b"\xaa" * 7
    assert buffer[end:] == b"\xaa" * (len(buffer) - end)
    return bytes(buffer[7:end]), taken


@st.composite
def held(draw: st.DrawFn) -> list[tuple[int, int, int, bytes]]:
    """Held readings: ascending numbers with holes, every kind, clocks that jump."""
    number, t_ds = draw(st.integers(1, 2**31)), draw(st.integers(0, 2**35))
    found = []
    for _ in range(draw(st.integers(1, 80))):
        kind = draw(KINDS)
        width = readings.WIRE[readings.Kind(kind)].itemsize - 2
        body = draw(st.binary(min_size=width, max_size=width))
        found.append((number, kind, t_ds, body))
        number += draw(st.sampled_from([1, 1, 1, 1, 2, 900]))
        t_ds = max(0, t_ds + draw(st.sampled_from([10, 600, 601, 0, -50, 70000, -70000, 10**9])))
    return found


@given(held(), st.integers(1, 2**32 - 1), st.integers(0, 3))
def test_the_gateway_reads_the_very_readings_that_were_packed(
    found: list[tuple[int, int, int, bytes]], epoch: int, below: int
) -> None:
    base = max(1, found[0][0] - below)
    payload, taken = packed(epoch, base, found)
    assert 1 <= taken <= len(found)
    assert len(payload) <= LIMIT
    up = wire.decode_up(payload)
    assert (up.epoch, up.base) == (epoch, base)
    assert unpacked(up) == found[:taken]
    assert wire.encode_up(up) == payload  # the one canonical form
    for block in up.blocks:
        assert block.records is not None
        unset = block.records["flags"] & records.QUALITY_MASK == records.UNSET
        assert len(np.unique(unset)) == 1, "a block never mixes unset and dated records"


@given(held())
def test_a_message_is_filled(found: list[tuple[int, int, int, bytes]]) -> None:
    payload, taken = packed(1, 1, found)
    if taken < len(found):
        # what is spared for the largest heads: at most 15 of the 26 bytes of a block of one tamper record
        assert len(payload) > LIMIT * 2 // 5


@given(st.integers(1, 2**32 - 1), st.integers(1, 2**32 - 1))
def test_a_hello_tells_epoch_and_base(epoch: int, base: int) -> None:
    assert wire.decode_up(records.hello(epoch, base)) == wire.Up(epoch, base, ())


@given(
    st.integers(-900000000, 900000000),
    st.integers(-1800000000, 1800000000),
    st.integers(0, 10**6),
    st.integers(0, 999),
    st.integers(0, 240),
    st.integers(0, 255),
    st.integers(0, 999),
    st.integers(0, 127),
)
def test_a_position_arrives_as_it_was_said(
    lat: int, lon: int, precision: int, speed: int, course: int, satellites: int, hdop: int, flags: int
) -> None:
    body = records.position(lat, lon, precision, speed, course, satellites, hdop, flags)
    made = decoding.positions_from_wire(np.frombuffer(b"\x00\x00" + body, readings.POSITION_WIRE), 0, 1, 1)
    assert made.lat[0] == lat / 1e7
    assert made.lon[0] == lon / 1e7
    if precision == records.UNKNOWN_U16:
        assert np.isnan(made.precision_m[0])
    else:
        assert made.precision_m[0] == pytest.approx(min(precision, 65534) / 10)
    assert np.isnan(made.speed_kmh[0]) if speed == 255 else made.speed_kmh[0] == min(speed, 254)
    assert made.course_deg[0] == pytest.approx(course % 240 * 1.5)
    assert made.satellites[0] == (-1 if satellites == 255 else satellites)
    assert np.isnan(made.hdop[0]) if hdop >= 255 else made.hdop[0] == pytest.approx(hdop / 10)
    assert made.flags[0] == flags


@pytest.mark.parametrize(("lat", "lon"), [(900000001, 0), (-900000001, 0), (0, 1800000001)])
def test_a_place_that_is_not_on_earth_is_not_packed(lat: int, lon: int) -> None:
    with pytest.raises(ValueError, match="outside"):
        records.position(lat, lon, 100, 0, 0, 8, 10, 3)


def test_every_kind_has_the_layout_of_the_gateway() -> None:
    bodies = {
        "RF_CONTACT": (
            records.contact(0x89ABCDEF, 60, 70000, -40, 127, 2**32 - 1, 300, 0b1001, 3),
            (0x89ABCDEF, 60, 65535, -40, 127, 2**32 - 1, 255, 0b1001, 3),
        ),
        "ALCOHOL": (records.sample(40000, 70000, -40000, 0b10011), (32767, 65534, -32767, 0b10011)),
        "STATUS": (records.status(4012, -7, 1, 70000, 1), (4012, -7, 1, 65535, 1)),
        "TAMPER": (records.tamper(2, 3, 1), (2, 3, 1)),
        "BOOT": (records.boot(4, 0x0102, 99999, 0), (4, 0x0102, 65535, 0)),
        "GAP": (records.gap(7, 136, 1, 3), (7, 136, 1, 3)),
        "TIME": (records.time_quality(86400, -(2**40), 1, 3), (86400, -(2**31 - 1), 1, 3)),
    }
    for name, (body, values) in bodies.items():
        layout = readings.WIRE[readings.Kind[name]]
        assert np.frombuffer(b"\x00\x00" + body, layout)[0].item()[1:] == values
    assert records.gap_range(bodies["GAP"][0]) == (7, 136)


def decoded(body: bytes, kind: readings.Kind) -> np.ndarray[tuple[int], np.dtype[np.void]]:
    return np.frombuffer(b"\x07\x00" + body, readings.WIRE[kind])


def test_a_contact_arrives_as_it_was_said() -> None:
    body = records.contact(wire.beacon_number("rf000001"), 60, 4, -61, 127, 900, 2, records.UNIT_MAINS, 1)
    raw = decoded(body, readings.Kind.RF_CONTACT)
    assert raw["beacon"][0] == wire.beacon_number("rf000001")
    made = decoding.contacts_from_wire(raw, 1000, 5, 9, unit=1)
    assert (made.t_ms[0], made.span_s[0], made.count[0], made.unit[0]) == (1_000_700, 60, 4, 1)
    assert made.strongest_dbm[0] == -61
    assert np.isnan(made.median_dbm[0])
    assert made.unit_ok[0] == readings.UnitFlag.MAINS
    assert (made.epoch[0], made.seq[0]) == (5, 9)


def test_a_strength_of_nothing_heard_is_none() -> None:
    body = records.contact(1, 60, 0, -61, -70, 0, 0, records.UNIT_MAINS, 1)
    made = decoding.contacts_from_wire(decoded(body, readings.Kind.RF_CONTACT), 0, 1, 1)
    assert np.isnan([made.strongest_dbm[0], made.median_dbm[0]]).all()


def test_an_alcohol_sample_arrives_as_it_was_said() -> None:
    made = decoding.samples_from_wire(
        decoded(records.sample(2500, 1042, 3361, records.FAST | 1), readings.Kind.ALCOHOL), 1000, 5, 9
    )
    assert (made.tac_g_dl[0], made.ir_v[0], made.temp_c[0]) == pytest.approx((0.025, 1.042, 33.61))
    assert (made.t_ms[0], made.flags[0], made.seq[0]) == (1_000_700, records.FAST | 1, 9)


@pytest.mark.parametrize(
    "body",
    [
        records.sample(records.UNKNOWN_I16, records.UNKNOWN_U16, records.UNKNOWN_I16, 1),
        records.sample(2500, 1042, 3361, records.FAULT | 1),
    ],
    ids=["unknown", "faulty"],
)
def test_what_the_sensor_does_not_know_is_no_figure(body: bytes) -> None:
    made = decoding.samples_from_wire(decoded(body, readings.Kind.ALCOHOL), 0, 1, 1)
    assert np.isnan([made.tac_g_dl[0], made.ir_v[0], made.temp_c[0]]).all()


def test_the_tags_tamper_codes_are_those_of_the_core() -> None:
    said = {name: value for name, value in vars(records).items() if name.startswith("TAMPER_")}
    assert sorted(said.values()) == sorted(readings.TamperCode)
    assert said["TAMPER_STRAP"] == readings.TamperCode.STRAP
    assert said["TAMPER_BEACON"] == readings.TamperCode.BEACON
    assert said["TAMPER_SENSOR_FAULT"] == readings.TamperCode.SENSOR_FAULT


def test_a_position_costs_at_most_28_bytes_of_publish_in_batches_of_ten() -> None:
    """The budget of the design: before TLS, device id of 8 characters, minute fixes, the largest numbers."""
    device, first, t_ds = "gps00001", 2**32 - 100, 17_900_000_000
    body = records.position(515000000, -1000000, 35, 4, 120, 11, 8, 0x27)
    batch = [(first + i, records.POSITION, t_ds + 600 * i, body) for i in range(10)]
    payload, taken = packed(2**32 - 1, first, batch)
    sealed = envelope.seal(bytes(32), device.encode(), topic(device, "up").encode(), payload)
    publish = mqtt.publish_packet(topic(device, "up"), sealed, 65535)
    assert taken == 10
    assert len(publish) == 275
    assert len(publish) / 10 <= 28
