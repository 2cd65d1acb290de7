"""Views of the sky, and the signs of jamming and spoofing in them: none in what real receivers wrote."""

from __future__ import annotations

import random
import re
from functools import reduce
from pathlib import Path

import pytest
import sky
from hypothesis import given
from hypothesis import strategies as st
from nmea import Receiver
from records import TAMPER_JAMMING, TAMPER_SPOOFING
from signs import (
    AGAIN_MS,
    FORGED_MS,
    LOOK_MS,
    MOVING,
    STILL_BY_SENSOR,
    STILL_BY_SPEED,
    Signs,
    equal_in,
    fall_of,
)

from sim.recordings import load

View = dict[int, int]
Sign = tuple[int, int]


def sentence(body: str) -> bytes:
    return b"$%s*%02X\r\n" % (body.encode(), reduce(lambda total, byte: total ^ byte, body.encode(), 0))


def gga(second: int) -> bytes:
    return sentence(f"GPGGA,1235{second:02d},4807.03812,N,01131.00056,E,1,08,0.9,545.4,M,46.9,M,,")


def gsv(talker: str, satellites: list[tuple[int, int, str]], signal: str = "") -> list[bytes]:
    """The sentences of a talker for (number, elevation, strength as written)."""
    groups = [satellites[at : at + 4] for at in range(0, len(satellites), 4)]
    return [
        sentence(
            f"{talker}GSV,{len(groups)},{number},{len(satellites):02d}"
            + "".join(f",{prn:02d},{elevation:02d},083,{strength}" for prn, elevation, strength in group)
            + signal
        )
        for number, group in enumerate(groups, start=1)
    ]


GPS = [(4, 60, "45"), (9, 20, "33"), (12, 5, ""), (24, 80, "47"), (5, 33, "41")]


def strengths(view: View) -> list[int]:
    return sorted(value & sky.STRENGTH_MASK for value in view.values())


def viewed(*epochs: list[bytes]) -> Receiver:
    receiver = Receiver()
    receiver.sky.want()
    for second, pieces in enumerate(epochs):
        receiver.feed(b"".join([gga(second), *pieces]))
    receiver.feed(gga(50))
    return receiver


def test_a_view_holds_each_satellite_of_every_constellation_with_its_strength() -> None:
    burst = gsv("GP", GPS) + gsv("GL", [(70, 10, "25")]) + gsv("GA", [(4, 45, "39")], ",7")
    receiver = viewed([], burst)
    assert receiver.sky.taken == 1
    assert strengths(receiver.sky.view) == [0, 25, 33, 39, 41, 45, 47]
    assert sorted(value >> 8 for value in receiver.sky.view.values()) == [5, 10, 20, 33, 45, 60, 80]


def test_one_satellite_in_two_bands_is_two() -> None:
    burst = gsv("GP", [(4, 60, "45")], ",1") + gsv("GP", [(4, 60, "31")], ",6")
    assert strengths(viewed([], burst).sky.view) == [31, 45]


def test_a_view_that_lacks_a_sentence_is_none() -> None:
    whole = gsv("GP", GPS)
    for burst in (whole[:1], whole[1:], [whole[0], whole[1].replace(b"41", b"42")]):
        assert viewed([], burst).sky.taken == 0
        assert viewed([], burst, whole).sky.taken == 1


def test_a_receiver_that_tells_its_satellites_now_and_then_is_waited_for() -> None:
    assert strengths(viewed([], [], [], gsv("GP", GPS), []).sky.view) == [0, 33, 41, 45, 47]


def test_nothing_is_gathered_that_nobody_wants() -> None:
    receiver = viewed([], gsv("GP", GPS), gsv("GP", GPS[:4]))
    assert receiver.sky.taken == 1
    assert len(receiver.sky.view) == 5


@given(
    st.lists(
        st.text("0123456789,.-PGSVxyz", max_size=70).map(lambda rest: sentence("GPGSV," + rest)), max_size=40
    )
)
def test_no_sentence_makes_it_raise_or_grow_without_bound(pieces: list[bytes]) -> None:
    receiver = viewed([], pieces)
    receiver.feed(b"".join(pieces) + gga(51))
    assert len(receiver.sky.view) <= sky.MOST
    assert all(0 <= value & 255 <= 99 and 0 <= value >> 8 <= 90 for value in receiver.sky.view.values())


# ---------------------------------------------------------------------------------------------------- signs


def open_sky(seed: int = 1) -> View:
    """Eleven satellites, weaker towards the horizon, as they are."""
    chance = random.Random(seed)
    return {
        prn: min(30 + elevation // 5 + chance.randint(-1, 1), 50) | elevation << 8
        for prn, elevation in enumerate(range(8, 88, 7))
    }


def weaker(view: View, by: int, prns: set[int] | None = None) -> View:
    return {
        prn: (max(value & 255, by) - by if prns is None or prn in prns else value & 255) | value >> 8 << 8
        for prn, value in view.items()
    }


def watched(views: list[View], still: int = STILL_BY_SENSOR, signs: Signs | None = None) -> list[Sign]:
    signs = signs or Signs()
    told = [signs.look(view, number * LOOK_MS, still) for number, view in enumerate(views)]
    return [sign for sign in told if sign is not None]


def sky_of(looks: int) -> list[View]:
    return [open_sky(number) for number in range(looks)]


@pytest.mark.parametrize("still", [STILL_BY_SENSOR, STILL_BY_SPEED])
def test_all_satellites_that_become_weaker_at_once_while_the_tag_lies_still_are_a_sign_of_jamming(
    still: int,
) -> None:
    ((code, detail),) = watched(sky_of(20) + [weaker(view, 12) for view in sky_of(20)], still)
    assert code == TAMPER_JAMMING
    assert 100 <= detail <= 140  # tenths of a dB


def test_all_satellites_lost_at_once_are_a_sign_only_where_the_sensor_knows_that_nobody_walked_in() -> None:
    views = sky_of(20) + [weaker(view, 99) for view in sky_of(20)]
    assert [code for code, _ in watched(views)] == [TAMPER_JAMMING]
    assert watched(views, STILL_BY_SPEED) == []


def test_whoever_moves_and_what_takes_only_one_side_of_the_sky_is_no_sign() -> None:
    assert watched(sky_of(20) + [weaker(view, 12) for view in sky_of(20)], MOVING) == []
    assert watched(sky_of(20) + [weaker(view, 20, {5, 6, 7, 8}) for view in sky_of(20)]) == []
    assert watched(sky_of(20) + [weaker(view, 5) for view in sky_of(20)]) == []


def test_one_disturbed_look_and_a_slow_fading_are_no_sign() -> None:
    assert watched([*sky_of(20), weaker(open_sky(), 12), *sky_of(20)]) == []
    assert watched([weaker(open_sky(number), number // 20) for number in range(400)]) == []


def test_too_few_satellites_are_no_sign() -> None:
    def few(view: View) -> View:
        return {prn: value for prn, value in view.items() if prn > 7}

    views = [few(view) for view in sky_of(20)]
    assert watched(views + [weaker(view, 15) for view in views]) == []


def test_a_jammer_that_stays_is_told_once_an_hour() -> None:
    hours = 3
    jammed = [weaker(open_sky(number), 15) for number in range(hours * AGAIN_MS // LOOK_MS)]
    assert [code for code, _ in watched(sky_of(20) + jammed)] == [TAMPER_JAMMING] * hours


def forged(number: int) -> View:
    return {prn: 44 + (prn + number) % 3 | value >> 8 << 8 for prn, value in open_sky().items()}


def test_a_whole_sky_of_one_strength_for_a_minute_is_a_sign_of_spoofing() -> None:
    looks = FORGED_MS // LOOK_MS
    assert watched([forged(number) for number in range(looks)]) == []
    assert watched([forged(number) for number in range(2 * looks)], MOVING) == [(TAMPER_SPOOFING, 12)]


def test_a_minute_that_was_interrupted_begins_anew() -> None:
    looks = FORGED_MS // LOOK_MS
    views = [forged(number) for number in range(looks)]
    assert watched([*views, open_sky(), *views], MOVING) == []


def test_few_satellites_or_a_band_of_the_sky_of_one_strength_are_no_sign() -> None:
    assert equal_in({prn: 40 | prn * 15 << 8 for prn in range(5)}) == 0
    assert equal_in({prn: 40 | 20 + prn << 8 for prn in range(12)}) == 0
    assert equal_in({}) == 0
    assert fall_of({}, {}, True) == 0


# --------------------------------------------------------------------------------------------- real receivers


def logs(data: Path) -> list[Path]:
    return sorted((data / "gnss-logs").glob("*.log"))


def signs_in(pieces: list[tuple[int, bytes]], still: int) -> tuple[list[Sign], int]:
    """The signs that a line gives, and how many views of the sky it held."""
    receiver, signs, told, taken = Receiver(), Signs(), [], 0
    for at_ms, data in pieces:
        receiver.sky.want()
        receiver.feed(data)
        if receiver.sky.taken != taken:
            taken = receiver.sky.taken
            told.append(signs.look(receiver.sky.view, at_ms, still))
    return [sign for sign in told if sign is not None], taken


def test_no_real_receiver_gives_a_sign_of_either(data: Path) -> None:
    views = 0
    for log in logs(data):
        pieces = list(load(log, 0).pieces)
        for still in (MOVING, STILL_BY_SPEED, STILL_BY_SENSOR):
            told, taken = signs_in(pieces, still)
            assert told == [], log.name
        views += taken
    assert views > 250


def test_true_skies_differ_by_ten_decibels_and_more(data: Path) -> None:
    least = 99
    for log in logs(data):
        receiver = Receiver()
        for _, piece in load(log, 0).pieces:
            receiver.sky.want()
            receiver.feed(piece)
            heard = [strength for strength in strengths(receiver.sky.view) if strength]
            if len(heard) >= 6:
                least = min(least, max(heard) - min(heard))
    assert 10 <= least < 99


GSV = re.compile(rb"\$..GSV,[^*\r\n]*")


def jammed(line: bytes, by: int) -> bytes:
    """The line with every strength of its GSV sentences so much lower."""

    def lower(found: re.Match[bytes]) -> bytes:
        fields = found[0].split(b",")
        for at in range(7, len(fields), 4):
            if fields[at].isdigit():
                fields[at] = b"%02d" % max(int(fields[at]) - by, 0)
        return b",".join(fields)

    body = GSV.sub(lower, line)
    return re.sub(
        rb"\$([^*\r\n]*)\*[0-9A-F]{2}",
        lambda found: b"$%s*%02X" % (found[1], reduce(lambda total, byte: total ^ byte, found[1], 0)),
        body,
    )


def test_a_real_receivers_sky_with_a_jammer_switched_on_gives_the_sign(data: Path) -> None:
    recording = load(data / "gnss-logs" / "ublox-neo-m9n-nmea.log", 0)
    minute = list(recording.pieces)
    length = recording.end_ms - recording.start_ms + 1000
    later = [(at_ms + length, jammed(piece, 12)) for at_ms, piece in minute]
    told, _ = signs_in(minute + later, STILL_BY_SENSOR)
    assert [code for code, _ in told] == [TAMPER_JAMMING]
    assert told[0][1] in range(100, 140)
