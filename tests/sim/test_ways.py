"""Where somebody is: the itinerary as it is built, and the same as arrays."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.itinerary import Itinerary, Place
from sim.life import Span, spans_hold
from sim.way import Surroundings

START_MS = 1_780_000_000_000
HOME = Place(52.96, -1.17)


@given(
    st.lists(st.tuples(st.floats(-3000, 3000), st.floats(-3000, 3000), st.integers(0, 7200)), min_size=1),
    st.lists(st.integers(-1000, 200_000), min_size=1, max_size=40),
)
def test_a_way_says_of_every_instant_what_its_itinerary_says(
    legs: list[tuple[float, float, int]], seconds: list[int]
) -> None:
    itinerary = Itinerary(START_MS, HOME).stay(START_MS + 1000, about=Surroundings.INDOORS)
    for east, north, stay_s in legs:
        itinerary.walk(HOME.offset(east, north)).stay(itinerary.end_ms + stay_s * 1000, sky=False)
    way = itinerary.way()
    asked = np.array([START_MS + 1000 * second for second in seconds])
    lat, lon = way.at(asked)
    for i, t_ms in enumerate(asked):
        place, sky = itinerary.where(int(t_ms))
        assert (lat[i], lon[i]) == pytest.approx((place.lat, place.lon), abs=1e-9)
        assert sky == (way.surroundings[way.leg(asked)[i]] != Surroundings.DEEP)


def test_an_itinerary_without_a_leg_is_no_way() -> None:
    with pytest.raises(ValueError, match="let somebody stay or walk first"):
        Itinerary(START_MS, HOME).way()


def test_a_span_holds_its_start_and_not_its_end() -> None:
    assert spans_hold((Span(10, 20), Span(30, 31)), np.array([9, 10, 19, 20, 30, 31])).tolist() == [
        False, True, True, False, True, False,
    ]  # fmt: skip
