"""What a receiver says, read by the parser that is on the tag."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from nmea import Receiver
from records import PRECISION_GST, TAMPER_JAMMING, TAMPER_SPOOFING, THREE_D, UNKNOWN_U8, UNKNOWN_U16
from signs import MOVING, STILL_BY_SENSOR, Signs

from core.readings import F64
from sim.gnss import Sky, receive
from sim.itinerary import Itinerary, Place
from sim.life import Forgery, Life, Span
from sim.sentences import quantised, sentences
from sim.way import Surroundings

START_MS = 1_793_600_000_000


def column(n: int, least: float, most: float, *, unknown: bool = True) -> st.SearchStrategy[F64]:
    """Figures as doubles are: any, and often at a tie of the rounding."""
    figures = st.one_of(
        st.floats(least, most),
        st.integers(int(least * 2000), int(most * 2000)).map(lambda halves: halves / 2000),
    )
    return arrays.arrays(np.float64, n, elements=st.one_of(figures, st.just(np.nan)) if unknown else figures)


@st.composite
def skies(draw: st.DrawFn) -> Sky:
    n = draw(st.integers(1, 12))
    tenths = draw(st.lists(st.integers(1, 40_000), min_size=n, max_size=n))
    return Sky(
        t_ms=START_MS + 100 * np.cumsum(np.array(tenths, np.int64)),
        on=draw(arrays.arrays(np.bool_, n)),
        fix=draw(arrays.arrays(np.bool_, n)),
        lat=draw(column(n, -90, 90, unknown=False)),
        lon=draw(column(n, -180, 180, unknown=False)),
        precision_m=draw(column(n, 0, 7000)),
        hdop=draw(column(n, 0, 120)),
        satellites=draw(arrays.arrays(np.int16, n, elements=st.integers(0, 99))),
        speed_kmh=draw(column(n, 0, 400)),
        course_deg=draw(column(n, 0, 360)),
        cn0_dbhz=draw(column(n, 0, 60, unknown=False)),
        spread_db=draw(column(n, 0, 8, unknown=False)),
    )


def nan_where(values: list[int], unknown: int, step: float) -> F64:
    return np.array([np.nan if value == unknown else value * step for value in values])


@settings(max_examples=300, deadline=None)  # the first of them compiles
@given(skies())
def test_the_parser_on_the_tag_reads_from_the_sentences_what_quantised_says_bit_for_bit(sky: Sky) -> None:
    receiver, fixes = Receiver(), []
    said = list(sentences(sky))
    assert [t_ms for t_ms, _ in said] == sky.t_ms[sky.on].tolist()
    for _, data in said:
        fixes += receiver.feed(data)
    fixes += receiver.flush()
    assert receiver.rejected == 0
    told = quantised(sky)
    rows = np.flatnonzero(sky.on & sky.fix & ((told.lat != 0) | (told.lon != 0)))
    assert len(fixes) == len(rows)
    for name, read in (
        ("lat", np.array([fix.lat_e7 for fix in fixes]) / 1e7),
        ("lon", np.array([fix.lon_e7 for fix in fixes]) / 1e7),
        ("precision_m", nan_where([fix.precision_dm for fix in fixes], UNKNOWN_U16, 0.1)),
        ("hdop", nan_where([fix.hdop for fix in fixes], UNKNOWN_U8, 0.1)),
        ("speed_kmh", nan_where([fix.speed for fix in fixes], UNKNOWN_U8, 1.0)),
        ("course_deg", nan_where([fix.course for fix in fixes], UNKNOWN_U8, 1.5)),
        ("satellites", np.array([fix.satellites for fix in fixes])),
    ):
        assert np.array_equal(getattr(told, name)[rows], read, equal_nan=True), name
    for fix, i in zip(fixes, rows, strict=True):
        assert fix.time_ds == sky.t_ms[i] // 100 % 864_000
        assert fix.flags == THREE_D | (0 if np.isnan(sky.precision_m[i]) else PRECISION_GST)


@settings(deadline=None)
@given(skies())
def test_what_is_quantised_once_stays_as_it_is(sky: Sky) -> None:
    once = quantised(sky)
    assert all(getattr(once, field.name).dtype == getattr(sky, field.name).dtype for field in fields(Sky))


def signs_of(life: Life) -> list[tuple[int, int]]:
    """What the tag's own watch over the sky tells of a life: (seconds from its start, tamper code)."""
    receiver, signs, told, views = Receiver(), Signs(), [], 0
    for t_ms, data in sentences(receive(life, np.arange(life.start_ms, life.end_ms, 5000))):
        receiver.feed(data)
        receiver.flush()
        if receiver.sky.taken > views:
            views = receiver.sky.taken
            (before, now), _ = life.way.at(np.array([t_ms - 60_000, t_ms]))
            sign = signs.look(receiver.sky.view, t_ms, STILL_BY_SENSOR if before == now else MOVING)
            told += [((t_ms - life.start_ms) // 1000, sign[0])] if sign else []
        receiver.sky.want()
    return told


HOME = Place(52.96, -1.17)


def test_the_tag_sees_a_jammer_and_a_forger_in_these_sentences() -> None:
    # where enough of them are heard well; between walls a jammer may go unseen
    for seed, about in enumerate((Surroundings.OPEN, Surroundings.VEHICLE)):
        way = Itinerary(START_MS, HOME).stay(START_MS + 4 * 3_600_000, about=about)
        life = Life(
            "a",
            seed,
            START_MS,
            way.end_ms,
            way.way(),
            {},
            jammed=(Span(START_MS + 3_600_000, START_MS + 5_400_000),),
            forged=(Forgery(START_MS + 9_000_000, START_MS + 10_800_000, HOME.offset(3000, 0)),),
        )
        (jammed, of_jammer), (forged, of_forger) = signs_of(life)
        assert (of_jammer, of_forger) == (TAMPER_JAMMING, TAMPER_SPOOFING)
        assert 3600 <= jammed <= 3660
        assert 9060 <= forged <= 9120


def test_the_tag_sees_neither_in_an_ordinary_day() -> None:
    rng = np.random.default_rng(1)
    for seed in range(4):
        way = Itinerary(START_MS, HOME)
        while way.end_ms < START_MS + 24 * 3_600_000:
            about = Surroundings(int(rng.choice([0, 1, 2, 2, 3])))
            way.stay(way.end_ms + int(rng.exponential(2400)) * 1000 + 1000, about=about)
            east, north = rng.uniform(-800, 800, 2)
            way.walk(HOME.offset(east, north), about=Surroundings(int(rng.choice([0, 1, 4, 5]))))
        assert signs_of(Life("a", seed, START_MS, way.end_ms, way.way(), {})) == []
