"""The trail: what each position is worth, against a plain reference and in properties."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from core.episodes import OPEN_MS
from core.monitor import evaluate
from core.order import order_from_json
from core.plane import metres_per_degree_at
from core.rows import FIX, Fixes
from core.rules import DEFAULT_RULES
from core.stops import gaps_of, stops_of
from core.trail import (
    ASTRAY,
    DRIFT,
    DUPLICATE_TIME,
    JUMP,
    NOT_MOVED,
    PROVES_NOTHING,
    STALE_TIME,
    UNTRUSTED,
    assess,
    nothing_known,
    trust,
    trust_limits,
)
from core.zones import metres_per_degree
from tests.core import trail_reference as reference
from tests.core.trail_reference import Fix
from tests.core.wearers import MONDAY_MS, activation, exclusion, made, order_json

MORNING_MS = 1_718_000_000_000
KY = 111_257.0
KX = 69_440.0


def rows(trail: list[Fix]) -> Fixes:
    fixes = np.zeros(len(trail), FIX)
    for i, fix in enumerate(trail):
        fixes[i]["t_ms"], fixes[i]["lat"], fixes[i]["lon"] = fix.t_ms, fix.lat, fix.lon
        fixes[i]["radius_m"] = fix.radius_m
        fixes[i]["key"] = fix.epoch << 32 | fix.seq
    return fixes


def along(*steps: tuple[float, float] | tuple[float, float, float], radius_m: float = 5.0) -> list[Fix]:
    """Positions from (second, metres east[, metres north]) at 51.5° north."""
    return [
        Fix(
            MORNING_MS + int(step[0] * 1000),
            51.5 + (step[2] if len(step) > 2 else 0.0) / KY,
            step[1] / KX,
            radius_m,
            1,
            i + 1,
        )
        for i, step in enumerate(steps)
    ]


def quality(trail: list[Fix]) -> list[int]:
    found: list[int] = assess(rows(trail), DEFAULT_RULES).quality.tolist()
    return found


# metres east, no two of which differ by anything near a threshold
SPOTS_M = [0.0, 0.0, 3.0, 31.0, 207.0, 1_003.0, 5_009.0, 40_013.0]
STEPS_S = [0, 1, 1, 1, 4, 9, 10, 11, 60, 60, 240, 700, 3_600]


@st.composite
def trails(draw: st.DrawFn, most: int = 30) -> list[Fix]:
    n = draw(st.integers(0, most))
    stayed = draw(st.lists(st.tuples(st.sampled_from(SPOTS_M), st.integers(1, 8)), min_size=n, max_size=n))
    spots = [spot for spot, count in stayed for _ in range(count)][:n]
    steps = draw(st.lists(st.sampled_from(STEPS_S), min_size=n, max_size=n))
    t_s = list(itertools.accumulate(steps))
    radii = draw(st.lists(st.sampled_from([5.0, 5.0, 11.0, np.inf]), min_size=n, max_size=n))
    numbers = list(range(10, 10 + n))
    for _ in range(draw(st.integers(0, 2))):
        if n:  # a clock was wrong: a number stands where it does not belong
            numbers.insert(draw(st.integers(0, n - 1)), numbers.pop(draw(st.integers(0, n - 1))))
    restart = draw(st.integers(0, 3 * most))
    made = [
        replace(fix, radius_m=radius, epoch=1 if i < restart else 2, seq=number)
        for i, (fix, radius, number) in enumerate(
            zip(along(*zip(t_s, spots, strict=True)), radii, numbers, strict=True)
        )
    ]
    return sorted(made, key=lambda fix: (fix.t_ms, fix.epoch, fix.seq))


@given(trails())
@settings(max_examples=200, deadline=None)
def test_a_position_is_trusted_exactly_when_the_sentence_says_so(trail: list[Fix]) -> None:
    found = assess(rows(trail), DEFAULT_RULES)
    true = reference.judged(trail, DEFAULT_RULES)
    event(f"jumps: {min(3, sum(why == 'jump' for _, why in true))}")
    event(f"stale: {min(3, sum(why == 'stale' for _, why in true))}")
    assert found.trusted.tolist() == [good for good, _ in true]
    bits = {"": 0, "jump": JUMP, "stale": STALE_TIME, "nothing": PROVES_NOTHING}
    for flags, (_, why) in zip(found.quality.tolist(), true, strict=True):
        assert (flags & UNTRUSTED) & bits[why] == bits[why]
    assert np.isfinite(found.fixes["radius_m"]).tolist() == found.trusted.tolist()


@given(trails(), st.lists(st.integers(0, 30), max_size=5))
@settings(max_examples=100, deadline=None)
def test_a_trail_in_pieces_is_judged_as_the_whole(trail: list[Fix], cuts: list[int]) -> None:
    whole, pieces = assess(rows(trail), DEFAULT_RULES), rows(trail)
    way_m, state = np.zeros(len(trail)), nothing_known()
    for lo, hi in itertools.pairwise(sorted({0, len(trail), *(min(one, len(trail)) for one in cuts)})):
        trust(pieces, lo, hi, state[0], trust_limits(DEFAULT_RULES), way_m)
    assert (pieces == whole.fixes).all()
    assert (way_m == whole.way_m).all()


@given(trails(), st.data())
@settings(max_examples=50, deadline=None)
def test_what_comes_later_changes_nothing_before_it(trail: list[Fix], data: st.DataObject) -> None:
    upto = data.draw(st.integers(0, len(trail)))
    assert quality(trail[:upto]) == quality(trail)[:upto]


@given(trails())
@settings(max_examples=50, deadline=None)
def test_the_way_only_grows_and_never_exceeds_the_legs_between_trusted_positions(trail: list[Fix]) -> None:
    found = assess(rows(trail), DEFAULT_RULES)
    good = [fix for fix, trusted in zip(trail, found.trusted, strict=True) if trusted]
    legs = sum(reference.metres(a, b) for a, b in itertools.pairwise(good))
    assert (np.diff(found.way_m) >= 0).all()
    assert not len(trail) or found.way_m[-1] <= legs * 1.001 + 1e-6


def test_an_error_of_200_m_in_a_second_is_a_jump_however_precise_it_claims_to_be() -> None:
    trail = along((0, 0), (1, 1), (2, 202), (3, 3), (4, 4), radius_m=5.0)
    assert [flags & JUMP for flags in quality(trail)] == [0, 0, JUMP, 0, 0]


def test_a_new_place_is_believed_once_positions_ten_seconds_apart_agree_on_it() -> None:
    trail = along((0, 0), *((s, 20_000) for s in range(1, 14)))
    assert [flags & JUMP for flags in quality(trail)] == [0, *[JUMP] * 10, 0, 0, 0]


def test_two_places_that_take_turns_do_not_confirm_each_other() -> None:
    trail = along((0, 0), *((s, 20_000 if s % 2 else 0) for s in range(1, 40)))
    assert [flags & JUMP for flags in quality(trail)] == [0, *[JUMP if s % 2 else 0 for s in range(1, 40)]]


def test_an_imprecise_position_is_not_a_jump_for_its_imprecision() -> None:
    trail = [*along((0, 0), (1, 1)), replace(along((2, 400))[0], radius_m=400.0, seq=3)]
    assert quality(trail)[2] & JUMP == 0


def test_a_position_stamped_an_hour_ahead_is_not_trusted_when_its_hour_comes() -> None:
    trail = along(*((60 * i, 0) for i in range(90)))
    ahead = replace(trail[20], t_ms=trail[20].t_ms + 3_600_500)
    shuffled = sorted([*trail[:20], *trail[21:], ahead], key=lambda fix: fix.t_ms)
    flags = quality(shuffled)
    assert [i for i, one in enumerate(flags) if one & STALE_TIME] == [shuffled.index(ahead)]


def test_a_position_stamped_an_hour_too_early_makes_none_of_the_others_stale() -> None:
    trail = along(*((60 * i, 0) for i in range(90)))
    early = replace(trail[80], t_ms=trail[80].t_ms - 3_600_500)
    shuffled = sorted([*trail[:80], *trail[81:], early], key=lambda fix: fix.t_ms)
    assert not any(one & STALE_TIME for one in quality(shuffled))


def test_two_positions_of_one_instant_are_flagged_and_trusted_where_both_can_be_true() -> None:
    flags = quality(along((0, 0), (60, 4), (60, 8), (60, 4_000)))
    assert [one & (DUPLICATE_TIME | JUMP) for one in flags] == [0, 0, DUPLICATE_TIME, DUPLICATE_TIME | JUMP]


def test_drift_while_still_is_flagged_and_goes_no_distance() -> None:
    rng = np.random.default_rng(3)
    trail = along(*((60 * i, east, north) for i, (east, north) in enumerate(rng.uniform(-7, 7, (500, 2)))))
    found = assess(rows([replace(fix, radius_m=20.0) for fix in trail]), DEFAULT_RULES)
    assert found.way_m[-1] == 0.0
    assert (found.quality[1:] == DRIFT).all()


def test_a_walk_in_a_straight_line_is_as_long_as_it_is() -> None:
    trail = along(*((s, 1.4 * s) for s in range(0, 3601, 20)))
    assert assess(rows(trail), DEFAULT_RULES).way_m[-1] == pytest.approx(1.4 * 3600, rel=0.005, abs=10)


@pytest.mark.parametrize("latitude", [-90.0, -75.3, -51.5, 0.0, 0.001, 33.3, 51.5, 60.9, 84.0, 90.0])
def test_plain_arithmetic_measures_a_degree_as_the_mathematical_library_does(latitude: float) -> None:
    assert metres_per_degree_at(latitude) == pytest.approx(metres_per_degree(latitude), rel=1e-12, abs=1e-8)


def test_the_short_way_round_is_taken_at_180_degrees() -> None:
    trail = [
        replace(fix, lon=lon) for fix, lon in zip(along((0, 0), (1, 0)), (179.9999, -179.9999), strict=True)
    ]
    assert quality(trail)[1] & JUMP == 0


def trusted(trail: list[Fix]) -> tuple[list[Fix], Fixes]:
    """The positions of a trail that are trusted, and its rows as they were judged."""
    found = assess(rows(trail), DEFAULT_RULES)
    return [fix for fix, good in zip(trail, found.trusted, strict=True) if good], found.fixes


@given(trails(most=60))
@settings(max_examples=150, deadline=None)
def test_stops_are_those_that_the_sentence_promises(trail: list[Fix]) -> None:
    good, fixes = trusted(trail)
    found = [
        (int(stop["arrival_ms"]), None if stop["departure_ms"] == OPEN_MS else int(stop["departure_ms"]))
        for stop in stops_of(fixes, DEFAULT_RULES)
    ]
    true = reference.stays(good, DEFAULT_RULES)
    event(f"stops: {min(3, len(true))}")
    assert found == true


@given(trails(most=40))
@settings(max_examples=80, deadline=None)
def test_stops_and_gaps_lie_apart_and_in_order(trail: list[Fix]) -> None:
    good, fixes = trusted(trail)
    stops = stops_of(fixes, DEFAULT_RULES)
    assert (stops["last_ms"] - stops["arrival_ms"] >= DEFAULT_RULES.stop_min_s * 1000).all()
    assert (stops["last_ms"] < stops["departure_ms"]).all()
    assert (stops["arrival_ms"][1:] >= stops["departure_ms"][:-1]).all()
    assert (stops["known_s"] * 1000 <= stops["last_ms"] - stops["arrival_ms"]).all()
    from_ms, to_ms = MORNING_MS - 1_000_000, MORNING_MS + 10_000_000_000
    marks = [from_ms, *(fix.t_ms for fix in good), to_ms]
    gaps = [(a, b) for a, b in itertools.pairwise(marks) if b - a > DEFAULT_RULES.gap_s * 1000]
    assert gaps_of(fixes, DEFAULT_RULES, from_ms, to_ms).tolist() == [list(gap) for gap in gaps]


def test_a_single_wrong_position_does_not_end_a_stop() -> None:
    trail = along(*((60 * i, 300 if i == 20 else 0) for i in range(60)))
    (stop,) = stops_of(rows(trail), DEFAULT_RULES)
    assert (stop["arrival_ms"], stop["departure_ms"]) == (MORNING_MS, OPEN_MS)


def test_a_stop_goes_on_through_silence_at_the_same_place_but_is_not_known_to() -> None:
    trail = along(*((60 * i, 0) for i in range(10)), *((7_200 + 60 * i, 0) for i in range(10)))
    (stop,) = stops_of(rows(trail), DEFAULT_RULES)
    assert stop["departure_ms"] == OPEN_MS
    assert stop["known_s"] == 18 * 60


DAY_MINUTES = 240
ERROR_AT = st.sets(st.integers(0, DAY_MINUTES - 1), max_size=40)


@given(ERROR_AT, st.booleans(), st.sampled_from([2.0, 10.0]))
@settings(max_examples=40, deadline=None)
def test_an_error_of_200_m_that_claims_2_m_neither_raises_nor_ends_anything(
    minutes: set[int], in_zone: bool, claim_m: float
) -> None:
    """Whatever single positions of a morning are wrong: never two in a row, as each would confirm the other."""
    alone = {minute for minute in minutes if minute - 1 not in minutes}
    inside, outside = (0.0185, 51.505), (0.0214, 51.505)  # 104 m within the zone's edge, and 97 m without
    true, wrong = (inside, outside) if in_zone else (outside, inside)
    t_ms = [MONDAY_MS + 60_000 * minute for minute in range(DAY_MINUTES)]

    def told(wrong_at: set[int], claim: float) -> list[tuple[str, int | None]]:
        places = [wrong if minute in wrong_at else true for minute in range(DAY_MINUTES)]
        claims = [claim if minute in wrong_at else 10.0 for minute in range(DAY_MINUTES)]
        case = activation(order_from_json(order_json(conditions=[exclusion()])))
        rows_then = made(t_ms, places, claims)
        return [(a.rule, a.end_ms) for a in evaluate([case], {case.id: rows_then}, t_ms[-1])]

    # a wrong position at the very beginning or end hides a true one, no more
    assert told(alone - {0, 1, DAY_MINUTES - 1}, claim_m) == told(set(), 10.0)


@pytest.mark.parametrize("every_s", [1, 15, 60, 3600])
def test_a_train_at_300_km_an_hour_makes_no_jumps(every_s: int) -> None:
    ride = along(*((t, t * 300 / 3.6) for t in range(0, 20 * every_s, every_s)))
    assert not any(bits & JUMP for bits in quality(ride))


def test_an_aircraft_proves_nothing_until_it_has_landed() -> None:
    flight = along(
        *((60.0 * i, 60.0 * i * 250) for i in range(10)), *((600.0 + 15 * i, 150_000.0) for i in range(5))
    )
    trusted = [not bits & JUMP for bits in quality(flight)]
    assert trusted[:10] == [True, *[False] * 9]
    assert trusted[-3:] == [True] * 3


def stayed(*steps: tuple[float, float] | tuple[float, float, float], radius_m: float = 15.0) -> Fixes:
    """As `along`; each says that the tag was not carried away since the one before."""
    fixes = rows(along(*steps, radius_m=radius_m))
    fixes["quality"] |= NOT_MOVED
    return fixes


def test_a_position_elsewhere_of_a_tag_that_was_not_carried_away_reaches_to_where_the_others_are() -> None:
    found = assess(
        stayed(*((60 * i, 3.0 * (i % 2)) for i in range(10)), (600, 80.0), (660, 0.0)), DEFAULT_RULES
    )
    radii = found.fixes["radius_m"]
    assert 77 < radii[10] < 80
    assert found.quality[10] & ASTRAY and not (found.quality[:10] & ASTRAY).any()
    assert found.quality[11] & ASTRAY == 0
    wider = 15.0 * DEFAULT_RULES.unmoved_share
    assert radii[:10].tolist() == [wider] * 10
    assert radii[11] == wider, "one wrong position leads the middle of the others nowhere"


def test_a_tag_that_was_carried_away_is_where_its_receiver_says() -> None:
    fixes = stayed(*((60 * i, 0.0) for i in range(10)), (600, 80.0), (660, 82.0))
    fixes["quality"][10] &= ~NOT_MOVED
    found = assess(fixes, DEFAULT_RULES)
    assert found.fixes["radius_m"][10] == 15.0
    assert found.fixes["radius_m"][11] == 15.0 * DEFAULT_RULES.unmoved_share
    assert not (found.quality & ASTRAY).any()


def test_a_motion_sensor_is_believed_against_positions_for_ten_minutes_only() -> None:
    found = assess(
        stayed(*((60 * i, 0.0) for i in range(10)), *((600 + 60 * i, 300.0) for i in range(15))),
        DEFAULT_RULES,
    )
    astray = (found.quality & ASTRAY > 0).tolist()
    assert astray == [False] * 10 + [True] * 10 + [False] * 5
