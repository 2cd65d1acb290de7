"""What a receiver says, read by the parser that is on the tag."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from nmea import Receiver
from records import PRECISION_GST, THREE_D, UNKNOWN_U8, UNKNOWN_U16

from core.readings import F64
from sim.gnss import Sky
from sim.sentences import quantised, sentences

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
