"""The first fix in a span, found without asking the receiver all that it says."""

from __future__ import annotations

import numpy as np
from hypothesis import example, given, settings
from hypothesis import strategies as st

from sim.fixes import NONE_MS, first_fixes
from sim.gnss import receive, receiver_of
from sim.itinerary import Itinerary, Place
from sim.life import Forgery, Life, Span
from sim.way import Surroundings

START_MS = 1_793_600_000_000
STEP_MS = 10_000
MINUTE_MS = 60_000
HOME = Place(52.96, -1.17)
LEGS = st.lists(
    st.tuples(
        st.sampled_from(list(Surroundings)),
        st.integers(1, 300),
        st.booleans(),
    ),
    min_size=1,
    max_size=8,
)
SPANS = st.lists(st.integers(1, 900), min_size=2, max_size=4, unique=True).map(
    lambda minutes: tuple(
        Span(START_MS + a * MINUTE_MS, START_MS + b * MINUTE_MS - 1)
        for a, b in zip(*[iter(sorted(minutes))] * 2, strict=False)
    )
)
"""One span or two, ascending and apart."""


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 1 << 40),
    legs=LEGS,
    flat=SPANS,
    jammed=SPANS,
    forged=SPANS,
    off=SPANS,
    widths=st.lists(st.integers(1, 200_000), min_size=1, max_size=300),
)
@example(
    seed=1,
    legs=[(Surroundings.DEEP, 300, False)],
    flat=(),
    jammed=(),
    forged=(Span(START_MS + 5 * MINUTE_MS, START_MS + 50 * MINUTE_MS),),
    off=(),
    widths=[60_000] * 60,
)
def test_the_first_fix_of_each_span_is_the_first_of_all_that_the_receiver_says_in_it(
    seed: int,
    legs: list[tuple[Surroundings, int, bool]],
    flat: tuple[Span, ...],
    jammed: tuple[Span, ...],
    forged: tuple[Span, ...],
    off: tuple[Span, ...],
    widths: list[int],
) -> None:
    way = Itinerary(START_MS, HOME)
    for number, (about, minutes, goes) in enumerate(legs):
        if goes:
            way.walk(HOME.offset(40.0 * number, 90.0), about=about)
        way.stay(way.end_ms + minutes * MINUTE_MS, about=about)
    led = tuple(Forgery(span.start_ms, span.end_ms, HOME.offset(900, 0)) for span in forged)
    lived = Life(
        "a", seed, START_MS, way.end_ms, way.way(), {}, flat=flat, jammed=jammed, forged=led, off_ankle=off
    )
    ends = START_MS + np.cumsum(widths)
    starts = np.append(START_MS, ends[:-1])
    found = first_fixes(receiver_of(lived, lived.way.left_behind(off)), starts, ends, STEP_MS)
    for start_ms, end_ms, at_ms in zip(starts, ends, found, strict=True):
        instants = np.arange(-(-start_ms // STEP_MS) * STEP_MS, end_ms, STEP_MS)
        fixed = instants[receive(lived, instants).fix]
        assert at_ms == (fixed[0] if len(fixed) else NONE_MS)
