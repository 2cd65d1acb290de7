"""The sober-day calendar, sentence by sentence, and in any order."""

from __future__ import annotations

from datetime import date, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.order import Suspension
from core.readings import EventCode, Events, Samples
from core.sober_days import sober_days
from core.sober_rates import DayState, SoberDay, SoberRates, Why, sober_rates
from tests.core.drinkers import LONDON, events_of, readings_of, samples_of, sober_order, tagged, tags
from tests.core.sobriety_reference import Sample

MIN = 60_000
HALF_HOUR = 30 * MIN
MONDAY = date(2026, 6, 1)
RISE = [0.024, 0.048, 0.072]
FALL = [round(0.06 - 0.012 * i, 3) for i in range(6)]


def midnight(day: date) -> int:
    return int(datetime(day.year, day.month, day.day, tzinfo=LONDON).timestamp()) * 1000


START = midnight(MONDAY)


def steady(days: int = 3, start: date = MONDAY, step_ms: int = HALF_HOUR) -> tuple[list[int], list[float]]:
    """Readings without alcohol from one midnight to another and 2 h more."""
    end = midnight(start + timedelta(days=days)) + 120 * MIN
    t = list(range(midnight(start), end, step_ms))
    return t, [0.0] * len(t)


def drink(t: list[int], tac: list[float], at_ms: int, curve: list[float] | None = None) -> None:
    """From the first reading at or after ``at_ms`` on."""
    first = next(i for i, t_ms in enumerate(t) if t_ms >= at_ms)
    for i, value in enumerate(curve or [*RISE, *FALL]):
        tac[first + i] = value


def calendar(
    samples: Samples, events: Events | None = None, limit: float | None = None, **changes: object
) -> list[SoberDay]:
    case = tagged(sober_order(limit, **changes), fitted_ms=int(samples.t_ms[0]))
    now_ms = int(samples.t_ms[-1]) + 100 * MIN
    (days,) = sober_days(case, samples, events or Events.empty(), now_ms).values()
    return list(days)


def states(days: list[SoberDay]) -> list[str]:
    return [day.state for day in days]


def whys(day: SoberDay) -> set[Why]:
    return {reason.why for reason in day.reasons}


def test_a_day_monitored_whole_without_alcohol_is_sober() -> None:
    days = calendar(samples_of(*steady()))
    assert states(days) == ["SOBER"] * 3
    assert [(day.valid, day.half_hours, day.words) for day in days] == [(48, 48, "sober day")] * 3
    assert sober_rates(days) == SoberRates(3, 3, 3)


def test_an_event_belongs_to_the_day_on_which_drinking_began_not_on_which_the_skin_showed_it() -> None:
    t, tac = steady()
    drink(
        t, tac, midnight(MONDAY + timedelta(days=1)) + 60 * MIN
    )  # at the skin at 01:00: drunk at 23:51 before
    days = calendar(samples_of(t, tac))
    assert states(days) == ["NOT_SOBER", "UNVERIFIED", "SOBER"]
    assert whys(days[1]) == {Why.CARRIED_OVER}
    t, tac = steady()
    drink(t, tac, midnight(MONDAY + timedelta(days=1)) + 240 * MIN)  # 02:51
    assert states(calendar(samples_of(t, tac))) == ["SOBER", "NOT_SOBER", "SOBER"]


@pytest.mark.parametrize("after_min", [120, 180])  # 00:51 and 01:51, by a lag of 69 min
def test_an_event_that_began_soon_after_midnight_leaves_the_day_before_unverified_for_skins_differ(
    after_min: int,
) -> None:
    t, tac = steady()
    drink(t, tac, midnight(MONDAY + timedelta(days=1)) + after_min * MIN)
    days = calendar(samples_of(t, tac))
    assert states(days) == ["UNVERIFIED", "NOT_SOBER", "SOBER"]
    assert whys(days[0]) == {Why.BEGAN_UNSEEN}


def test_the_day_is_a_civil_day_of_london_and_has_46_or_50_half_hours_when_the_clocks_change() -> None:
    days = calendar(samples_of(*steady(start=date(2026, 3, 28))))
    assert [(day.valid, day.half_hours) for day in days] == [(48, 48), (46, 46), (48, 48)]
    days = calendar(samples_of(*steady(start=date(2026, 10, 24))))
    assert [(day.valid, day.half_hours) for day in days] == [(48, 48), (50, 50), (48, 48)]
    assert states(days) == ["SOBER"] * 3


def test_an_event_in_the_hours_after_the_clocks_change_belongs_to_the_day_of_the_clock() -> None:
    t, tac = steady(start=date(2026, 10, 24))
    drink(t, tac, midnight(date(2026, 10, 25)) + 240 * MIN)
    assert states(calendar(samples_of(t, tac))) == ["SOBER", "NOT_SOBER", "SOBER"]


def test_fewer_than_nine_tenths_valid_readings_leave_a_day_unverified() -> None:
    t, tac = steady()
    for lost, state in ((4, "SOBER"), (5, "UNVERIFIED")):
        keep = [i for i in range(len(t)) if i not in {50 + 6 * k + 5 for k in range(lost)}]
        days = calendar(samples_of([t[i] for i in keep], [tac[i] for i in keep]))
        assert (days[1].valid, days[1].state) == (48 - lost, state)
    assert whys(days[1]) == {Why.TOO_FEW_READINGS}


def test_a_gap_over_two_hours_leaves_a_day_unverified_and_one_of_two_hours_does_not() -> None:
    t, tac = steady()
    for lost, state in ((3, "SOBER"), (4, "UNVERIFIED")):
        keep = [i for i in range(len(t)) if not 70 <= i < 70 + lost]
        days = calendar(samples_of([t[i] for i in keep], [tac[i] for i in keep]))
        assert states(days) == ["SOBER", state, "SOBER"]
    assert whys(days[1]) == {Why.GAP}


def test_a_gap_over_midnight_hides_in_neither_day() -> None:
    t, tac = steady()
    keep = [i for i in range(len(t)) if not 48 <= i < 53]
    days = calendar(samples_of([t[i] for i in keep], [tac[i] for i in keep]))
    assert states(days) == ["UNVERIFIED", "UNVERIFIED", "SOBER"]


def test_sampling_faster_than_half_hourly_makes_no_day_worse() -> None:
    assert states(calendar(samples_of(*steady(step_ms=5 * MIN)))) == ["SOBER"] * 3


def test_alcohol_from_the_surroundings_is_no_drinking_but_its_readings_are_not_valid() -> None:
    t, tac = steady()
    drink(t, tac, START + 36 * 60 * MIN, [0.15, 0.1, 0.05])
    (day,) = calendar(samples_of(t, tac))[1:2]
    assert (day.state, day.valid) == (DayState.SOBER, 45)
    drink(t, tac, START + 36 * 60 * MIN, [0.2, *[0.15] * 7, 0.1])
    (day,) = calendar(samples_of(t, tac))[1:2]
    assert day.state == DayState.UNVERIFIED
    assert whys(day) == {Why.TOO_FEW_READINGS, Why.GAP}


def test_a_suspected_event_leaves_its_days_unverified() -> None:
    t, tac = steady()
    drink(t, tac, START + 36 * 60 * MIN)
    cut = next(i for i, t_ms in enumerate(t) if t_ms >= START + 37.5 * 60 * MIN) + 1
    keep = [i for i in range(len(t)) if i < cut or i > cut + 6]
    tac[cut + 7 :] = [0.0] * len(tac[cut + 7 :])
    days = calendar(samples_of([t[i] for i in keep], [tac[i] for i in keep]))
    assert Why.SUSPECTED in whys(days[1])
    assert states(days) == ["SOBER", "UNVERIFIED", "SOBER"]


def test_drinking_that_began_while_nothing_was_read_is_given_to_no_day() -> None:
    t, tac = steady()
    drink(t, tac, midnight(MONDAY + timedelta(days=1)) + 120 * MIN)
    keep = [i for i in range(len(t)) if not 45 <= i < 52]
    days = calendar(samples_of([t[i] for i in keep], [tac[i] for i in keep]))
    assert states(days) == ["UNVERIFIED", "UNVERIFIED", "SOBER"]
    assert all(Why.BEGAN_UNSEEN in whys(day) for day in days[:2])


def test_an_event_that_goes_on_for_days_hides_in_none_of_them() -> None:
    t, tac = steady(days=4)
    drink(t, tac, START + 18 * 60 * MIN, [*RISE, *[0.08] * 100, *FALL, 0.0])
    days = calendar(samples_of(t, tac))
    assert states(days) == ["NOT_SOBER", "UNVERIFIED", "UNVERIFIED", "SOBER"]
    assert whys(days[2]) == {Why.CARRIED_OVER}


def test_an_event_of_the_evening_before_that_only_falls_leaves_the_next_day_sober() -> None:
    t, tac = steady()
    drink(t, tac, START + 22 * 60 * MIN)
    assert states(calendar(samples_of(t, tac))) == ["NOT_SOBER", "SOBER", "SOBER"]


def test_a_day_on_which_the_strap_was_open_is_unverified_however_short_it_was() -> None:
    events = events_of(
        (START + 36 * 60 * MIN, EventCode.STRAP_OPEN),
        (START + 36 * 60 * MIN + MIN, EventCode.OFFICER_CHECK),
    )
    days = calendar(samples_of(*steady()), events)
    assert states(days) == ["SOBER", "UNVERIFIED", "SOBER"]
    assert whys(days[1]) == {Why.STRAP_OPEN}


def test_a_covered_sensor_leaves_the_day_unverified() -> None:
    t, tac = steady()
    ir = [1.5 if 70 <= i < 76 else 1.0 for i in range(len(t))]
    days = calendar(samples_of(t, tac, ir))
    assert states(days) == ["SOBER", "UNVERIFIED", "SOBER"]
    assert Why.OBSTRUCTED in whys(days[1])


def test_readings_without_infrared_can_show_drinking_but_not_sobriety() -> None:
    t, tac = steady()
    ir = [float("nan")] * len(t)
    assert states(calendar(samples_of(t, tac, ir))) == ["UNVERIFIED"] * 3
    drink(t, tac, START + 36 * 60 * MIN)
    assert states(calendar(samples_of(t, tac, ir)))[1] == "NOT_SOBER"


def test_a_day_monitored_in_part_is_never_sober_and_may_be_not_sober() -> None:
    t, tac = steady()
    late = [i for i in range(len(t)) if i >= 20]
    days = calendar(samples_of([t[i] for i in late], [tac[i] for i in late]))
    assert states(days) == ["UNVERIFIED", "SOBER", "SOBER"]
    assert Why.PART_OF_DAY in whys(days[0])
    hours = (START + 30 * 60 * MIN, START + 32 * 60 * MIN)
    suspended = (Suspension(*hours, "hospital"),)
    days = calendar(samples_of(t, tac), suspensions=suspended)
    assert states(days) == ["SOBER", "UNVERIFIED", "SOBER"]
    drink(t, tac, START + 36 * 60 * MIN)
    days = calendar(samples_of(t, tac), suspensions=suspended)
    assert states(days) == ["SOBER", "NOT_SOBER", "SOBER"]


def test_in_limit_mode_the_words_are_compliant_day() -> None:
    t, tac = steady()
    drink(t, tac, START + 36 * 60 * MIN)
    days = calendar(samples_of(t, tac), limit=0.03)
    assert [day.words for day in days] == ["compliant day", "not compliant", "compliant day"]
    days = calendar(samples_of(t, tac), limit=0.09)
    assert [day.words for day in days] == ["compliant day"] * 3


def test_both_rates_are_given_and_a_rate_of_nothing_is_unknown() -> None:
    t, tac = steady(days=4)
    drink(t, tac, START + 36 * 60 * MIN)
    keep = [i for i in range(len(t)) if not 110 <= i < 120]
    rates = sober_rates(calendar(samples_of([t[i] for i in keep], [tac[i] for i in keep])))
    assert rates == SoberRates(sober=2, verified=3, days=4)
    assert (rates.of_verified, rates.of_all) == (2 / 3, 0.5)
    assert (sober_rates([]).of_verified, sober_rates([]).of_all) == (None, None)


def test_a_day_is_judged_only_when_the_readings_that_speak_of_it_are_in() -> None:
    samples = samples_of(*steady())
    case = tagged(fitted_ms=START)
    end = midnight(MONDAY + timedelta(days=1))
    for after_min, count in ((0, 0), (188, 0), (189, 1)):
        (days,) = sober_days(case, samples, Events.empty(), end + after_min * MIN).values() or [()]
        assert len(days) == count


def test_a_tag_that_was_never_read_leaves_all_days_unverified() -> None:
    (days,) = sober_days(tagged(), Samples.empty(), Events.empty(), START + 5 * 86_400_000).values()
    assert set(states(list(days))) == {"UNVERIFIED"}


@given(tags(), st.randoms(use_true_random=False))
@settings(max_examples=40, deadline=None)
def test_the_calendar_is_the_same_in_any_order_and_with_repeats(
    samples: list[Sample], random: object
) -> None:
    whole = readings_of(samples)
    case, now_ms = tagged(), samples[-1].t_ms + 3 * 86_400_000
    rng = np.random.default_rng(random.randrange(1 << 30))  # type: ignore[attr-defined]
    n, m = len(whole.samples), len(whole.events)
    shuffled = rng.permutation(np.concatenate([np.arange(n), rng.integers(0, n, 5)]))
    again = sober_days(case, whole.samples.take(shuffled), whole.events.take(rng.permutation(m)), now_ms)
    assert again == sober_days(case, whole.samples, whole.events, now_ms)


@given(tags())
@settings(max_examples=40, deadline=None)
def test_no_day_is_sober_without_readings_enough_or_while_an_event_may_have_begun_on_it(
    samples: list[Sample],
) -> None:
    whole = readings_of(samples)
    case, now_ms = tagged(), samples[-1].t_ms + 3 * 86_400_000
    for day in sober_days(case, whole.samples, whole.events, now_ms)["alcohol-1"]:
        assert (day.state == DayState.SOBER) == (not day.reasons)
        assert (day.state == DayState.NOT_SOBER) == (Why.DRANK in whys(day))
        if day.state == DayState.SOBER:
            assert day.valid >= 0.9 * day.half_hours
