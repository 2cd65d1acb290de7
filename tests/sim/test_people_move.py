"""Itineraries and the sentences of a receiver that goes with them."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from functools import reduce
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from core.order import order_from_json
from sim.cast import cast, opening_ms
from sim.gnss import GnssReceiver
from sim.itinerary import Itinerary, Place
from sim.sentences import fix, no_fix

HOME = Place(52.96, -1.17)


@given(
    st.integers(0, 4_000_000_000_000 // 100).map(lambda tenths: tenths * 100),
    st.floats(-90, 90),
    st.floats(-180, 180),
)
def test_a_sentence_says_the_place_to_a_millimetre_and_has_a_right_checksum(
    t_ms: int, lat: float, lon: float
) -> None:
    for line in fix(t_ms, lat, lon).decode("ascii").splitlines():
        body, checksum = line[1:].split("*")
        assert int(checksum, 16) == reduce(lambda total, byte: total ^ byte, body.encode(), 0)
        fields = body.split(",")
        at = 2 if fields[0] == "GPGGA" else 3
        assert re.fullmatch(r"\d{4}\.\d{7}", fields[at])
        assert re.fullmatch(r"\d{5}\.\d{7}", fields[at + 2])
        assert float(fields[at][2:]) < 60
        assert float(fields[at + 2][3:]) < 60
        told_lat = (int(fields[at][:2]) + float(fields[at][2:]) / 60) * (1 if fields[at + 1] == "N" else -1)
        told_lon = (int(fields[at + 2][:3]) + float(fields[at + 2][3:]) / 60) * (
            1 if fields[at + 3] == "E" else -1
        )
        assert abs(told_lat - lat) < 1e-8
        assert abs(told_lon - lon) < 1e-8


def test_a_walk_takes_the_time_it_takes_and_passes_the_middle_at_half_time() -> None:
    there = HOME.offset(500, 0)
    way = Itinerary(0, HOME).stay(60_000).walk(there, speed_kmh=5)
    assert abs(way.end_ms - 60_000 - 360_000) < 1000
    middle, _ = way.where(60_000 + 180_000)
    assert abs(middle.distance_m(HOME) - 250) < 2
    assert way.where(10**12)[0] == there


def test_without_the_sky_a_receiver_gives_the_time_and_no_place() -> None:
    way = Itinerary(0, HOME).stay(20_000).stay(40_000, sky=False)
    heard = dict(GnssReceiver(way, seed=1).sentences(0, 40_000))
    assert all(b",A," in heard[t] for t in (5000, 10_000, 15_000))
    assert heard[35_000] == no_fix(35_000)


def test_the_same_seed_gives_the_same_bytes_however_time_is_cut() -> None:
    def heard(cuts: list[int]) -> list[tuple[int, bytes]]:
        receiver = GnssReceiver(Itinerary(0, HOME).stay(10**6), seed=7)
        return [piece for a, b in pairwise(cuts) for piece in receiver.sentences(a, b)]

    assert heard([0, 300_000]) == heard([0, 1, 4999, 5000, 77_777, 300_000])


def test_every_part_of_the_demonstration_moves_for_a_month_from_the_opening() -> None:
    start = opening_ms(datetime(2026, 11, 21, tzinfo=UTC))
    assert datetime.fromtimestamp(start / 1000, UTC) == datetime(2026, 11, 21, 1, 20, tzinfo=UTC)
    parts = cast(start)
    assert [part.kind for part in parts] == ["gps_tag"] * 6 + ["rf_tag"] * 3 + ["alcohol_tag"] * 3
    for part in parts:
        life = part.life
        assert life.start_ms <= start - 120_000
        assert min(life.end_ms, life.way.end_ms) - start > 29 * 86_400_000
        assert re.fullmatch("[a-z0-9]{4,16}", part.device)
        assert order_from_json(life.order).wearer.name == part.name
