"""What probation may vary of a curfew by itself, and what it has to take to the court."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.curfew_week import WEEK_MINUTES, week_of
from core.order import CurfewCondition, Order
from core.statute import LegalProblem, Variation
from core.variation import NotVersionsError, VariationNotice, check_variation
from tests.core.orders import WEEK, entry, home, midnight, place, sentence
from tests.core.wearers import exclusion

RECORDED = VariationNotice(True, "new night shift", "mother agrees", date(2026, 11, 20))
DAY = date(2026, 11, 23)
NIGHT = entry("19:00", "07:00")


def varied(*conditions: dict[str, Any], **changes: Any) -> Order:
    return sentence(*conditions, **({"version": 2, "effective": midnight(DAY)} | changes))


def check(before: Order, after: Order, notice: VariationNotice = RECORDED) -> list[LegalProblem]:
    return check_variation(before, after, notice, "Europe/London")


def told(problems: list[LegalProblem]) -> list[tuple[str, bool]]:
    return [(problem.law.reference, problem.certain) for problem in problems]


def test_probation_may_move_the_start_of_a_period_and_change_the_address() -> None:
    before = sentence(home(NIGHT))
    assert check(before, varied(home(entry("20:00", "08:00")))) == []
    assert check(before, varied(home(NIGHT, address=place("sister", latitude=51.6)))) == []
    # different days differently (paragraph 10A(5)), and periods written in two pieces
    split = [
        entry("17:00", "05:00", *WEEK[:5]),
        entry("21:00", "24:00", "Sa", "Su"),
        entry("00:00", "09:00", "Su", "Mo"),
    ]
    assert check(before, varied(home(*split))) == []


@pytest.mark.parametrize(
    ("start", "end", "day", "expected"),
    [
        ("00:00", "12:00", "We", []),
        ("23:59", "11:59", "We", []),
        ("00:00", "12:00", "Th", [(Variation.SAME_DAY.reference, False)]),
        ("18:59", "06:59", "Th", [(Variation.SAME_DAY.reference, False)]),
        ("19:00", "07:00", "Th", [(Variation.SAME_DAY.reference, True)]),
        ("19:01", "07:01", "Tu", [(Variation.SAME_DAY.reference, False)]),
        ("19:00", "07:00", "Tu", [(Variation.SAME_DAY.reference, True)]),
        ("19:00", "07:00", "Su", [(Variation.SAME_DAY.reference, True)]),
    ],
)
def test_a_period_moves_by_less_than_24_hours(
    start: str, end: str, day: str, expected: list[tuple[str, bool]]
) -> None:
    """A Wednesday's 19:00 to 07:00; on another civil day it is a doubt, 24 hours away it is refused."""
    problems = check(sentence(home(entry("19:00", "07:00", "We"))), varied(home(entry(start, end, day))))
    assert told(problems) == expected
    for problem in problems:
        assert problem.first == DAY
        assert problem.conditions == ("curfew-1",)
        if problem.certain:
            assert (problem.limit, problem.unit) == (24, "hours")


def test_periods_find_their_partners_also_around_the_end_of_the_week() -> None:
    """Monday's has to give way for Sunday's to find one less than 24 hours away."""
    before = sentence(home(entry("01:00", "03:00", "Mo"), entry("20:00", "22:00", "Su")))
    after = varied(home(entry("04:00", "06:00", "Mo"), entry("22:00", "24:00", "Mo")))
    assert told(check(before, after)) == [(Variation.SAME_DAY.reference, False)]


def test_a_curfew_without_end_is_one_period_of_a_week() -> None:
    always = home(entry("00:00", "24:00"))
    (period,) = week_of(curfew_of(sentence(always)))
    assert (period.start, period.length) == (0, WEEK_MINUTES)
    assert check(sentence(always), varied(home(entry("12:00", "11:00"), entry("11:00", "12:00")))) == []
    (problem,) = check(sentence(always), varied(home(entry("00:00", "23:00"))))
    assert problem.law == Variation.LENGTH


@pytest.mark.parametrize(
    "after",
    [
        [entry("19:00", "06:59")],
        [entry("19:00", "07:01")],
        [entry("19:00", "07:00", *WEEK[:6])],
        [entry("19:00", "08:00", "Mo"), entry("19:00", "06:00", "Tu"), entry("19:00", "07:00", *WEEK[2:])],
        [entry("19:00", "01:00"), entry("02:00", "08:00")],
        [entry("19:00", "07:00"), entry("12:00", "14:00", "Su")],
    ],
    ids=["shorter", "longer", "a night less", "same total", "a night in two", "one more"],
)
def test_the_length_of_each_period_stays(after: list[dict[str, Any]]) -> None:
    problems = check(sentence(home(NIGHT)), varied(home(*after)))
    assert told(problems) == [("Sentencing Act 2020, Schedule 9, paragraph 10A(8)(a)", True)]
    assert problems[0].limit == 84


@pytest.mark.parametrize(
    ("change", "certain"),
    [
        ({"regime": "youth_rehabilitation"}, True),
        ({"regime": "home_detention_curfew"}, True),
        ({"regime": "bail"}, True),
        ({"regime": "licence"}, True),
        ({"regime": "immigration"}, True),
        ({"regime": "unknown"}, False),
        ({"conviction": "2022-06-27"}, True),
        ({"conviction": None}, False),
        ({"regime": "suspended_sentence"}, None),
        ({"conviction": "2022-06-28"}, None),
    ],
)
def test_only_adult_orders_for_convictions_since_28_june_2022_may_be_varied(
    change: dict[str, Any], certain: bool | None
) -> None:
    problems = check(sentence(home(NIGHT), **change), varied(home(entry("20:00", "08:00")), **change))
    reference = "Sentencing Act 2020, Schedule 9, paragraph 10A(1)"
    assert told(problems) == ([] if certain is None else [(reference, certain)])


def test_the_wearer_consents_and_what_probation_considered_is_recorded() -> None:
    before, moved = sentence(home(NIGHT)), varied(home(NIGHT, address=place(latitude=51.6)))
    (refused,) = check(before, moved, VariationNotice(False, "moved", "agree", DAY))
    assert (refused.law, refused.certain) == (Variation.CONSENT, True)
    laws = [Variation.CIRCUMSTANCES, Variation.CONSENT, Variation.VIEWS, Variation.COURT]
    problems = check(before, moved, VariationNotice())
    assert [(problem.law, problem.certain) for problem in problems] == [(law, False) for law in laws]
    # nobody lives at a new address where only the times move
    problems = check(before, varied(home(entry("20:00", "08:00"))), VariationNotice(True, "shift", "", DAY))
    assert problems == []


def test_a_stated_boundary_area_is_for_the_court() -> None:
    bounded = home(NIGHT, boundary_area="house and rear garden")
    before = sentence(bounded)
    assert check(before, varied(bounded | {"timetable": [entry("20:00", "08:00")]})) == []
    (wider,) = check(before, varied(bounded | {"boundary_area": "house, rear garden and drive"}))
    assert (wider.law, wider.certain) == (Variation.BOUNDARY, True)
    (dropped,) = check(before, varied(home(NIGHT)))
    assert (dropped.law, dropped.certain) == (Variation.BOUNDARY, True)
    (moves,) = check(before, varied(bounded | {"address": place(latitude=51.6)}))
    assert (moves.law, moves.certain) == (Variation.BOUNDARY, False)


def test_a_curfew_stays_where_a_residence_requirement_binds_the_wearer_to_live() -> None:
    hostel, sister = place("hostel", residence_requirement=True), place("sister", latitude=51.6)
    before = sentence(home(NIGHT, address=hostel))
    assert check(before, varied(home(entry("20:00", "08:00"), address=hostel))) == []
    for after in (
        home(NIGHT, address=sister),
        home(NIGHT, address=place("hostel")),  # the requirement left out
        home(entry("19:00", "07:00", *WEEK[:5]), address=hostel,
             also=[{"address": sister, "timetable": [entry("19:00", "07:00", "Sa", "Su")]}]),
        home(entry("19:00", "06:00"), address=sister),
    ):  # fmt: skip
        problems = [problem for problem in check(before, varied(after)) if problem.law == Variation.RESIDENCE]
        assert [problem.certain for problem in problems] == [True]
    # an address that no requirement names may be left
    both = home(entry("19:00", "07:00", *WEEK[:5]), address=hostel,
                also=[{"address": sister, "timetable": [entry("19:00", "07:00", "Sa", "Su")]}])  # fmt: skip
    all_week = home(NIGHT, address=hostel)
    assert check(sentence(both), varied(all_week)) == []


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"conviction": "2026-10-21"}, "conviction"),
        ({"end": midnight(date(2027, 2, 1))}, "end"),
        ({"atv_allowance_min": 240}, "atv allowance min"),
        ({"wearer": {"id": "wearer-2", "name": "B. Person"}}, "wearer"),
        ({"conditions": [home(NIGHT)]}, "condition zone-1"),
        ({"conditions": [exclusion()]}, "condition curfew-1"),
        ({"conditions": [home(NIGHT, to=midnight(date(2026, 12, 1))), exclusion()]}, "condition curfew-1"),
        ({"conditions": [home(NIGHT), exclusion(), {"id": "t", "type": "trail"}]}, "condition t"),
    ],
)
def test_nothing_but_times_and_address_may_change(change: dict[str, Any], what: str) -> None:
    conditions = home(NIGHT), exclusion()
    problems = check(sentence(*conditions), varied(*conditions, **change))
    assert [(problem.law, problem.certain) for problem in problems] == [(Variation.ONLY, True)]
    assert problems[0].fact.endswith(what)


def test_a_variation_is_a_higher_version_of_the_same_order() -> None:
    order = sentence(home(NIGHT))
    with pytest.raises(NotVersionsError, match="give a higher version"):
        check(order, order)
    with pytest.raises(NotVersionsError):
        check(order, varied(home(NIGHT), order_id="order-2"))


slots = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 47), st.integers(1, 47)), min_size=1, max_size=6)


def clock(half: int) -> str:
    return f"{half // 2 % 24:02d}:{half % 2 * 30:02d}"


def timetable(found: list[tuple[int, int, int]]) -> list[dict[str, Any]]:
    """Entries from (weekday, start, length), the times in half hours."""
    return [entry(clock(start), clock(start + length), WEEK[day]) for day, start, length in found]


def curfew_of(order: Order) -> CurfewCondition:
    (condition,) = order.conditions
    assert isinstance(condition, CurfewCondition)
    return condition


@given(slots)
@settings(max_examples=60, deadline=None)
def test_the_periods_of_a_week_are_its_runs_of_half_hours(found: list[tuple[int, int, int]]) -> None:
    half_hours = {(48 * day + start + i) % 336 for day, start, length in found for i in range(length)}
    periods = week_of(curfew_of(sentence(home(*timetable(found)))))
    begins = {half for half in half_hours if (half - 1) % 336 not in half_hours}
    assert {period.start // 30 for period in periods} == (begins or {0})
    assert sum(period.length for period in periods) == 30 * len(half_hours)
    for period in periods:
        run = range(period.start // 30, (period.start + period.length) // 30)
        assert {half % 336 for half in run} <= half_hours
        assert period.length <= WEEK_MINUTES


@given(slots, st.data())
@settings(max_examples=60, deadline=None)
def test_any_shift_within_the_day_that_keeps_every_period_apart_is_allowed(
    found: list[tuple[int, int, int]], data: st.DataObject
) -> None:
    before = week_of(curfew_of(sentence(home(*timetable(found)))))
    if any(period.length >= 24 * 60 for period in before):
        return
    moved = [(period.weekday, data.draw(st.integers(0, 47)), period.length // 30) for period in before]
    after = week_of(curfew_of(varied(home(*timetable(moved)))))
    problems = check(sentence(home(*timetable(found))), varied(home(*timetable(moved))))
    if len(after) == len(before):
        assert problems == []
    else:  # moved into each other: periods were joined, so lengths changed
        assert told(problems) == [(Variation.LENGTH.reference, True)]
