"""What a receiver makes of where it is."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.readings import F64
from sim.gnss import Sky, receive
from sim.itinerary import Itinerary, Place
from sim.life import Forgery, Life, Span
from sim.way import Bool, Surroundings

START_MS = 1_793_600_000_000
HOUR_MS = 3_600_000
MINUTE_MS = 60_000
HOME = Place(52.96, -1.17)
COLUMNS = (
    "on",
    "fix",
    "lat",
    "lon",
    "precision_m",
    "hdop",
    "satellites",
    "speed_kmh",
    "course_deg",
    "cn0_dbhz",
)


def life(way: Itinerary, seed: int = 1, **more: object) -> Life:
    return Life("a", seed, START_MS, way.end_ms, way.way(), {}, **more)  # type: ignore[arg-type]


def staying(hours: float, about: Surroundings = Surroundings.OPEN) -> Itinerary:
    return Itinerary(START_MS, HOME).stay(START_MS + round(hours * HOUR_MS), about=about)


def each(seconds: float, of: Life) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    return np.arange(of.start_ms, of.end_ms, round(seconds * 1000))


def off_m(of: Life, sky: Sky) -> F64:
    """How far each fix lies from the truth; NaN without one."""
    lat, lon = of.way.at(sky.t_ms)
    return np.hypot((sky.lat - lat) * 111_195, (sky.lon - lon) * 111_195 * np.cos(np.radians(lat)))


def held(sky: Sky, of: Life) -> float:
    """The share of fixes that lie within what is claimed."""
    return float((off_m(of, sky)[sky.fix] <= sky.precision_m[sky.fix]).mean())


WEEKS = [(about, [life(staying(168, about), seed) for seed in range(12)]) for about in Surroundings]


@pytest.mark.parametrize(
    ("about", "least", "most"),
    [
        (Surroundings.OPEN, 0.93, 0.97),
        (Surroundings.VEHICLE, 0.86, 0.96),
        (Surroundings.STREET, 0.65, 0.85),
        (Surroundings.TRAIN, 0.70, 0.92),
    ],
    ids=lambda value: value.name if isinstance(value, Surroundings) else None,
)
def test_a_claim_holds_as_often_as_it_should_in_the_open_and_less_between_walls(
    about: Surroundings, least: float, most: float
) -> None:
    shares = [held(receive(one, each(300, one)), one) for one in dict(WEEKS)[about]]
    assert least < np.mean(shares) < most


def test_it_is_the_same_whoever_asks_for_which_instants() -> None:
    way = staying(1).walk(HOME.offset(900, 400), about=Surroundings.STREET)
    way.stay(way.end_ms + HOUR_MS, about=Surroundings.DEEP).stay(way.end_ms + 2 * HOUR_MS)
    one = life(
        way,
        flat=(Span(way.end_ms - HOUR_MS, way.end_ms - HOUR_MS // 2),),
        jammed=(Span(START_MS + 100_000, START_MS + 400_000),),
        forged=(Forgery(START_MS + 600_000, START_MS + 1_500_000, HOME.offset(4000, 0)),),
        overconfident=(Span(START_MS + 1_600_000, START_MS + 2_000_000),),
    )
    every = receive(one, each(1, one))

    @settings(deadline=None)
    @given(st.lists(st.integers(0, len(every) - 1), min_size=1, max_size=40, unique=True).map(sorted))
    def some(rows: list[int]) -> None:
        few = receive(one, every.t_ms[rows])
        for name in COLUMNS:
            assert np.array_equal(
                getattr(few, name), getattr(every, name)[rows], equal_nan=name not in ("on", "fix")
            ), name

    some()


def spell(sky: Sky, start_ms: int, end_ms: int) -> Bool:
    return (sky.t_ms >= start_ms) & (sky.t_ms < end_ms)


def first_fix_s(sky: Sky, after_ms: int) -> float:
    """From an instant to the first fix after it."""
    return float(sky.t_ms[sky.fix & (sky.t_ms >= after_ms)][0] - after_ms) / 1000


def test_a_tunnel_ends_all_fixes_and_it_takes_longer_to_find_the_sky_again_the_longer_it_was() -> None:
    for seed in range(40):
        way = staying(1)
        into = way.end_ms
        way.stay(into + 10 * MINUTE_MS, about=Surroundings.DEEP)
        out = way.end_ms
        way.stay(out + HOUR_MS).stay(out + 6 * HOUR_MS, about=Surroundings.DEEP)
        late = way.end_ms
        way.stay(late + HOUR_MS)
        one = life(way, seed)
        sky = receive(one, each(1, one))
        assert not sky.fix[spell(sky, into, out)].any()
        assert (sky.cn0_dbhz[spell(sky, into, out)] == 0).all()
        assert sky.on.all()
        assert 0 < first_fix_s(sky, out) <= 13
        assert 27 < first_fix_s(sky, late) <= 120


def test_a_tag_without_power_says_nothing_and_starts_cold_within_two_minutes() -> None:
    for seed in range(40):
        dead = Span(START_MS + HOUR_MS, START_MS + 2 * HOUR_MS)
        one = life(staying(4), seed, flat=(dead,))
        sky = receive(one, each(1, one))
        assert np.array_equal(~sky.on, spell(sky, *dead))
        assert not sky.fix[~sky.on].any()
        assert 27 < first_fix_s(sky, dead.end_ms) <= 120


def test_a_jammer_drowns_every_satellite_and_leaves_no_fix() -> None:
    jammed = Span(START_MS + HOUR_MS, START_MS + 2 * HOUR_MS)
    one = life(staying(3), jammed=(jammed,))
    sky = receive(one, each(1, one))
    during = spell(sky, *jammed)
    assert not sky.fix[during].any()
    assert sky.cn0_dbhz[during].max() < sky.cn0_dbhz[~during].min() - 8
    assert sky.fix[spell(sky, jammed.end_ms + 15_000, one.end_ms)].all()


def test_forged_signals_lead_smoothly_to_a_place_and_hold_there() -> None:
    there = HOME.offset(5000, 1000)
    forged = Forgery(START_MS + HOUR_MS, START_MS + 2 * HOUR_MS, there)
    one = life(staying(3), forged=(forged,))
    sky = receive(one, each(1, one))
    during = spell(sky, forged.start_ms, forged.end_ms)
    assert sky.fix[during].all()
    lat, lon = sky.lat[during], sky.lon[during]
    steps = np.hypot(np.diff(lat) * 111_195, np.diff(lon) * 111_195 * np.cos(np.radians(52.96)))
    assert steps.max() < 40
    assert Place(lat[0], lon[0]).distance_m(HOME) < 30
    assert all(Place(a, b).distance_m(there) < 5 for a, b in zip(lat[-1000:], lon[-1000:], strict=True))
    assert (sky.spread_db[during] < 0.5).all()
    assert off_m(one, sky)[spell(sky, forged.end_ms + 15_000, one.end_ms)].max() < 30


def test_an_overconfident_receiver_errs_by_a_hundred_metres_and_more_and_claims_a_few() -> None:
    wrong = Span(START_MS + HOUR_MS, START_MS + 2 * HOUR_MS)
    one = life(staying(3), overconfident=(wrong,))
    sky = receive(one, each(10, one))
    during = spell(sky, *wrong)
    assert off_m(one, sky)[during].min() > 90
    assert off_m(one, sky)[during].max() < 265
    assert sky.precision_m[during].max() < 4


def test_a_tag_that_was_taken_off_lies_where_that_happened() -> None:
    way = staying(1).walk(HOME.offset(3000, 0), speed_kmh=30)
    way.stay(way.end_ms + HOUR_MS, about=Surroundings.DEEP)
    off = Span(START_MS + HOUR_MS // 2, START_MS + 2 * HOUR_MS)
    one = life(way, off_ankle=(off,))
    sky = receive(one, each(10, one))
    during = spell(sky, *off)
    assert sky.fix[during].all()
    assert (
        max(Place(a, b).distance_m(HOME) for a, b in zip(sky.lat[during], sky.lon[during], strict=True)) < 30
    )


def test_in_a_room_the_error_wanders_by_tens_of_metres_and_some_rooms_have_no_fix() -> None:
    far, without = [], []
    for number in range(60):
        home = HOME.offset(150 * number, 0)
        way = Itinerary(START_MS, home).stay(START_MS + 24 * HOUR_MS, about=Surroundings.INDOORS)
        one = life(way, number)
        sky = receive(one, each(60, one))
        without.append(1 - sky.fix.mean())
        if sky.fix.any():
            far.append(float(np.nanpercentile(off_m(one, sky), 95)))
    assert 8 < np.median(far) < 35
    assert max(far) > 25
    assert np.median(without) < 0.1
    assert max(without) > 0.5
