"""Orders against the law: the published examples, the doubtful cases, and hours counted minute by minute."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.law import Check, LegalProblem, check_order
from core.order import Order, Regime
from tests.core.orders import WEEK, entry, home, midnight, place, sentence

HOURS_LAW = "Sentencing Act 2020, Schedule 9, paragraph 9"
BEFORE, SINCE = "2022-06-27", "2022-06-28"


def check(order: Order, *earlier: Order) -> list[LegalProblem]:
    return check_order(order, "Europe/London", earlier)


def told(problems: list[LegalProblem]) -> list[tuple[Check, bool]]:
    return [(problem.check, problem.certain) for problem in problems]


def daily(hours: int) -> dict[str, Any]:
    """A curfew of so many hours on every day, on three days of the week only where the week would be too full."""
    days = WEEK if hours <= 16 else ("Mo", "We", "Fr")
    return home(entry("02:00", f"{hours + 2:02d}:00", *days))


@pytest.mark.parametrize("regime", ["community_order", "suspended_sentence", "youth_rehabilitation"])
@pytest.mark.parametrize(
    ("conviction", "hours", "limit"),
    [
        (BEFORE, 16, None),
        (BEFORE, 17, 16),
        (BEFORE, 20, 16),
        (BEFORE, 21, 16),
        (SINCE, 16, None),
        (SINCE, 17, None),
        (SINCE, 20, None),
        (SINCE, 21, 20),
    ],
)
def test_a_day_has_at_most_20_hours_of_curfew_or_16_where_convicted_before_28_june_2022(
    regime: str, conviction: str, hours: int, limit: int | None
) -> None:
    problems = check(sentence(daily(hours), regime=regime, conviction=conviction))
    if limit is None:
        assert problems == []
        return
    (problem,) = problems
    assert (problem.check, problem.certain) == (Check.MOST_HOURS, True)
    assert (problem.found, problem.limit, problem.unit) == (hours, limit, "hours")
    schedule = "Schedule 6, paragraph 18" if regime == "youth_rehabilitation" else "Schedule 9, paragraph 9"
    assert problem.law.reference == f"Sentencing Act 2020, {schedule}(4)(a) and (b)"
    assert (problem.first, problem.last) == (date(2026, 11, 2), date(2027, 1, 22))
    assert problem.conditions == ("curfew-1",)
    assert f"Curfew of {hours} h in a day, first on 2026-11-02; the law allows at most {limit} h" in str(
        problem
    )


@pytest.mark.parametrize(("extra_h", "hours"), [(0, 112), (1, 113)])
def test_each_fixed_week_has_at_most_112_hours(extra_h: int, hours: int) -> None:
    order = sentence(home(entry("00:00", "16:00", *WEEK[1:]), entry("00:00", f"{16 + extra_h}:00", "Mo")))
    problems = check(order)
    if hours <= 112:
        assert problems == []
        return
    (problem,) = problems
    assert (problem.check, problem.certain, problem.found, problem.limit) == (
        Check.WEEK_HOURS,
        True,
        113,
        112,
    )
    assert problem.law.reference == "Sentencing Act 2020, Schedule 9, paragraph 9(4)(c)"
    assert (problem.first, problem.last) == (date(2026, 11, 2), date(2027, 1, 24))


def test_weeks_are_counted_from_the_first_day_and_do_not_roll() -> None:
    """20 h on seven days in a row are 140 h, but where the weeks meet among them, no week has more than 112."""
    busy = home(entry("00:00", "20:00"), id="busy", **{
        "from": midnight(date(2026, 11, 5)), "to": midnight(date(2026, 11, 12))
    })  # fmt: skip
    calm = {"from": midnight(date(2026, 11, 12))}
    first = {"to": midnight(date(2026, 11, 5))}
    order = sentence(
        home(entry("19:00", "21:00"), **first), busy, home(entry("19:00", "21:00"), id="calm", **calm)
    )
    assert check(order) == []
    # the same, from the first of the busy days on
    (problem,) = check(sentence(busy, home(entry("19:00", "21:00"), id="calm", **calm)))
    assert (problem.check, problem.found, problem.first, problem.last) == (
        Check.WEEK_HOURS,
        140,
        date(2026, 11, 5),
        date(2026, 11, 11),
    )


def test_the_week_counts_on_through_a_new_version_of_the_order() -> None:
    """Four days of 20 h by the first version and three of 16 by the second make 128 h in the first week."""
    one = sentence(home(entry("00:00", "20:00")))
    two = sentence(home(entry("00:00", "16:00")), version=2, effective=midnight(date(2026, 11, 6)))
    (problem,) = check(two, one)
    assert (problem.check, problem.found, problem.first) == (Check.WEEK_HOURS, 128, date(2026, 11, 2))
    assert check(two) == []


def test_twenty_hours_over_the_change_in_october_are_not_twenty_one() -> None:
    """And eleven over the change in March are not ten."""
    order = sentence(
        home(entry("00:00", "20:00", "Su")),
        start=midnight(date(2026, 10, 19)),
        effective=midnight(date(2026, 10, 19)),
        conviction=SINCE,
    )
    assert check(order) == []
    spring = {"start": midnight(date(2027, 3, 1)), "end": midnight(date(2027, 5, 1))}
    short = sentence(home(entry("00:00", "02:00", "Su")), effective=spring["start"], **spring)
    assert check(short) == []


def test_a_day_with_curfew_has_at_least_two_hours() -> None:
    assert check(sentence(home(entry("20:00", "22:00")))) == []
    (problem,) = check(sentence(home(entry("20:00", "21:59"), entry("19:00", "07:00", "Sa"))))
    assert (problem.check, problem.certain) == (Check.LEAST_HOURS, True)
    assert problem.found == pytest.approx(119 / 60)
    assert problem.limit == 2
    assert "1 h 59 min" in problem.fact


def test_a_night_that_one_reading_of_the_day_allows_and_the_other_does_not_is_a_doubt() -> None:
    """Fridays 19:00 to 01:00: six hours, one of them on the Saturday."""
    (problem,) = check(sentence(home(entry("19:00", "01:00", "Fr"))))
    assert (problem.check, problem.certain, problem.found) == (Check.LEAST_HOURS, False, 1)
    assert "the day on which it begins decides" in problem.fact
    # Mondays 10:00 to 07:00: 21 hours, 14 of them on the Monday
    (problem,) = check(sentence(home(entry("10:00", "07:00", "Mo"))))
    assert (problem.check, problem.certain, problem.found) == (Check.MOST_HOURS, False, 21)


def test_the_first_evening_and_the_last_morning_are_no_doubt() -> None:
    order = sentence(home(entry("23:00", "08:00")), end="2027-01-25T01:00:00Z")
    assert check(order) == []


def test_a_minute_that_has_begun_counts_whole() -> None:
    order = sentence(home(entry("00:00", "24:00", "Su")), end="2026-11-08T20:00:01Z")
    (problem,) = check(order)
    assert problem.found == pytest.approx(20 + 1 / 60)
    assert check(sentence(home(entry("00:00", "24:00", "Su")), end="2026-11-08T20:00:00Z")) == []


@pytest.mark.parametrize(
    ("conviction", "start", "last", "allowed"),
    [
        (BEFORE, date(2026, 11, 2), date(2027, 11, 1), None),
        (BEFORE, date(2026, 11, 2), date(2027, 11, 2), date(2027, 11, 1)),
        (SINCE, date(2026, 11, 2), date(2028, 11, 1), None),
        (SINCE, date(2026, 11, 2), date(2028, 11, 2), date(2028, 11, 1)),
        (BEFORE, date(2024, 2, 29), date(2025, 2, 28), None),
        (BEFORE, date(2024, 2, 29), date(2025, 3, 1), date(2025, 2, 28)),
        (SINCE, date(2024, 8, 31), date(2026, 8, 31), date(2026, 8, 30)),
    ],
)
def test_a_curfew_lasts_at_most_two_years_or_twelve_months_where_convicted_before_28_june_2022(
    conviction: str, start: date, last: date, allowed: date | None
) -> None:
    order = sentence(
        home(entry("19:00", "07:00")),
        conviction=conviction,
        start=midnight(start),
        effective=midnight(start),
        end=midnight(last + timedelta(days=1)),
    )
    problems = check(order)
    if allowed is None:
        assert problems == []
        return
    (problem,) = problems
    assert (problem.check, problem.certain, problem.unit) == (Check.SPAN, True, "days")
    assert (problem.first, problem.last) == (allowed + timedelta(days=1), last)
    assert (problem.found, problem.limit) == ((last - start).days + 1, (allowed - start).days + 1)
    assert problem.law.reference == f"{HOURS_LAW}(5) and (6)"


def test_a_youth_curfew_lasts_at_most_twelve_months_whenever_convicted() -> None:
    dates = {"regime": "youth_rehabilitation", "end": midnight(date(2027, 11, 3))}
    for conviction in (BEFORE, SINCE):
        (problem,) = check(sentence(home(entry("19:00", "07:00")), conviction=conviction, **dates))
        assert (problem.check, problem.certain) == (Check.SPAN, True)
        assert problem.law.reference == "Sentencing Act 2020, Schedule 6, paragraph 18(5)"


def test_the_night_that_runs_over_the_last_lawful_midnight_is_over_the_span() -> None:
    order = sentence(home(entry("19:00", "07:00")), end="2028-11-02T07:00:00Z")
    assert told(check(order)) == [(Check.SPAN, True)]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"conviction": None}, [(Check.MOST_HOURS, False)]),
        ({"conviction": None, "end": midnight(date(2028, 1, 1))}, [(Check.MOST_HOURS, False), (Check.SPAN, False)]),
        ({"end": None}, [(Check.SPAN, False)]),
        ({"start": None}, []),  # the first version's own date is the first day
        ({"start": None, "version": 3}, [(Check.SPAN, False)]),
        ({"start": None, "end": None, "version": 3}, [(Check.SPAN, False)]),
        ({"regime": "unknown"}, [(Check.REGIME, False)]),
        ({"conviction": "2026-11-03"}, [(Check.DATES, False)]),
    ],
)  # fmt: skip
def test_what_an_order_does_not_say_is_a_doubt_never_a_guess(
    change: dict[str, Any], expected: list[tuple[Check, bool]]
) -> None:
    assert told(check(sentence(daily(18), **change))) == expected


def test_without_the_first_day_a_full_week_is_certain_where_every_counting_finds_it() -> None:
    unknown = {"version": 2, "start": None}
    full = home(entry("00:00", "17:00"))
    assert (Check.WEEK_HOURS, True) in told(check(sentence(full, **unknown)))
    turn = midnight(date(2026, 11, 16))
    parts = [
        home(entry("19:00", "21:00"), id="calm", to=turn),
        home(entry("00:00", "20:00"), id="busy", **{"from": turn, "to": midnight(date(2026, 11, 22))}),
    ]
    assert (Check.WEEK_HOURS, False) in told(check(sentence(*parts, **unknown)))


@pytest.mark.parametrize("regime", ["bail", "licence", "immigration"])
def test_bail_licence_and_immigration_have_no_limit_on_curfew_hours(regime: str) -> None:
    around = home(entry("00:00", "24:00", *WEEK[:6]), entry("00:00", "00:30", "Su"))
    order = sentence(around, regime=regime, end=midnight(date(2031, 1, 1)), conviction=None)
    assert check(order) == []


def test_home_detention_is_at_least_nine_hours_a_day_except_on_the_first_and_last() -> None:
    regime = {"regime": "home_detention_curfew"}
    assert check(sentence(home(entry("22:00", "07:00")), **regime)) == []
    assert check(sentence(home(entry("00:00", "24:00")), **regime)) == []
    (problem,) = check(sentence(home(entry("22:01", "07:00")), **regime))
    assert (problem.check, problem.certain, problem.limit) == (Check.LEAST_HOURS, True, 9)
    assert (problem.first, problem.last) == (date(2026, 11, 3), date(2027, 1, 23))
    assert problem.law.reference == "Criminal Justice Act 2003, section 253"
    # a day without any curfew breaks it too
    (problem,) = check(sentence(home(entry("10:00", "20:00", *WEEK[:6])), **regime))
    assert (problem.found, problem.first) == (0, date(2026, 11, 8))


ALCOHOL = {"id": "drink", "type": "alcohol", "mode": "abstinence"}


@pytest.mark.parametrize(
    ("regime", "most", "reference"),
    [
        ("community_order", 120, "Sentencing Act 2020, Schedule 9, paragraph 25(4)(b)"),
        ("suspended_sentence", 120, "Sentencing Act 2020, Schedule 9, paragraph 25(4)(b)"),
        ("licence", 365, "alcohol monitoring as a condition of licence, at most 365 days"),
    ],
)
def test_alcohol_is_monitored_for_at_most_120_days_or_365_on_licence(
    regime: str, most: int, reference: str
) -> None:
    start = date(2026, 11, 2)

    def order(days: int) -> Order:
        ends = {"end": midnight(start + timedelta(days=days))}
        return sentence(ALCOHOL, regime=regime, **ends)

    assert check(order(most)) == []
    (problem,) = check(order(most + 1))
    assert (problem.check, problem.certain, problem.conditions) == (Check.ALCOHOL_DAYS, True, ("drink",))
    assert (problem.found, problem.limit, problem.unit) == (most + 1, most, "days")
    assert problem.first == problem.last == start + timedelta(days=most)
    assert problem.law.reference == reference
    assert told(check(sentence(ALCOHOL, regime=regime, end=None))) == [(Check.ALCOHOL_DAYS, False)]


def test_conditions_that_are_too_long_only_together_are_a_doubt() -> None:
    """A court may have imposed them as one requirement, or one after the other."""
    turn = midnight(date(2026, 12, 22))  # after 50 days
    first, then = ALCOHOL | {"to": turn}, ALCOHOL | {"id": "later", "from": turn}
    assert check(sentence(first, then, end=midnight(date(2027, 3, 2)))) == []
    (problem,) = check(sentence(first, then, end=midnight(date(2027, 3, 3))))
    assert (problem.certain, problem.found, problem.conditions) == (False, 121, ("drink", "later"))
    later = then | {"from": midnight(date(2027, 1, 1))}  # ten days without count for nothing
    assert check(sentence(first, later, end=midnight(date(2027, 3, 12)))) == []

    night = entry("19:00", "07:00")
    turn = midnight(date(2027, 11, 2))
    half, rest = home(night, to=turn), home(night, id="rest", **{"from": turn})
    two_years = {"start": midnight(date(2026, 11, 2)), "end": midnight(date(2028, 11, 3))}
    (problem,) = check(sentence(half, rest, **two_years))
    assert (problem.check, problem.certain, problem.conditions) == (Check.SPAN, False, ("curfew-1", "rest"))


def test_a_requirement_lasts_from_its_first_version_to_its_last() -> None:
    one = sentence(ALCOHOL, end=midnight(date(2027, 1, 1)))
    noon = {"version": 2, "effective": "2026-12-01T12:00:00Z"}  # a day of both versions is one day
    two = sentence(ALCOHOL, end=midnight(date(2027, 3, 3)), **noon)
    (problem,) = check(two, one)
    assert (problem.check, problem.certain, problem.found) == (Check.ALCOHOL_DAYS, True, 121)
    # the first version alone, or a second that keeps to the limit, is within it
    assert check(one) == []
    assert check(sentence(ALCOHOL, end=midnight(date(2027, 3, 2)), **noon), one) == []


def test_alcohol_on_bail_has_no_limit_of_days() -> None:
    assert check(sentence(ALCOHOL, regime="bail", end=midnight(date(2029, 1, 1)))) == []


# hours counted minute by minute, with nothing of the code under test

START = date(2026, 11, 2)


def clock(minute: int) -> str:
    return "24:00" if minute == 1440 else f"{minute // 60:02d}:{minute % 60:02d}"


@st.composite
def timetables(draw: st.DrawFn) -> list[tuple[list[int], int, int]]:
    """Entries of (weekdays, start, end) in steps of half an hour, which may overlap."""
    found = []
    for _ in range(draw(st.integers(1, 3))):
        days = draw(st.lists(st.integers(0, 6), min_size=1, max_size=7, unique=True))
        start = 30 * draw(st.integers(0, 47))
        end = draw(st.sampled_from([30 * half for half in range(49) if 30 * half != start]))
        found.append((days, start, end))
    return found


def count(
    found: list[tuple[list[int], int, int]], first: int, days: int, last_minute: int
) -> tuple[list[int], list[int]]:
    """Minutes of curfew per day and per day of beginning, by asking of every minute whether it is curfew."""

    def curfew(minute: int) -> bool:
        if not first <= minute < last_minute:
            return False
        day, of_day = divmod(minute, 1440)
        today, yesterday = (START.weekday() + day) % 7, (START.weekday() + day - 1) % 7
        for weekdays, start, end in found:
            if end > start and today in weekdays and start <= of_day < end:
                return True
            if end <= start and (
                (today in weekdays and of_day >= start) or (yesterday in weekdays and of_day < end)
            ):
                return True
        return False

    calendar, begun = [0] * days, [0] * days
    begin = None
    for minute in range((days + 2) * 1440):
        if not curfew(minute):
            begin = None
            continue
        if begin is None or minute == begin + 1440:
            begin = minute
        if minute < days * 1440:
            calendar[minute // 1440] += 1
        if begin < days * 1440:
            begun[begin // 1440] += 1
    return calendar, begun


@given(
    found=timetables(),
    first=st.integers(0, 36).map(lambda half: 30 * half),
    days=st.integers(1, 17),
    conviction=st.sampled_from([BEFORE, SINCE]),
    regime=st.sampled_from(["community_order", "youth_rehabilitation", "home_detention_curfew", "bail"]),
)
@settings(max_examples=40, deadline=None)
def test_hours_are_those_that_counting_every_minute_gives(
    found: list[tuple[list[int], int, int]], first: int, days: int, conviction: str, regime: str
) -> None:
    conditions = home(
        *(entry(clock(start), clock(end), *(WEEK[day] for day in on)) for on, start, end in found)
    )
    begins = {"from": f"2026-11-02T{clock(first)}:00Z"}
    order = sentence(
        conditions | begins, end=midnight(START + timedelta(days=days)), conviction=conviction, regime=regime
    )
    calendar, begun = count(found, first, days, days * 1440)
    problems = {problem.check: problem for problem in check(order)}
    limited = regime in ("community_order", "youth_rehabilitation")

    most = (16 if conviction == BEFORE else 20) * 60 if limited else 1 << 30
    expect(problems.get(Check.MOST_HOURS), calendar, begun, lambda minutes, _: minutes > most, max)

    if regime == Regime.HOME_DETENTION_CURFEW:
        expect(
            problems.get(Check.LEAST_HOURS), calendar, begun,
            lambda minutes, i: 0 < i < days - 1 and minutes < 540, min,
        )  # fmt: skip
    else:
        expect(
            problems.get(Check.LEAST_HOURS),
            calendar,
            begun,
            lambda minutes, _: limited and 0 < minutes < 120,
            min,
        )
    full = [i for i in range(0, days, 7) if limited and sum(calendar[i : i + 7]) > 112 * 60]
    week = problems.get(Check.WEEK_HOURS)
    assert (week is not None) == bool(full)
    if week is not None:
        assert week.found == max(sum(calendar[i : i + 7]) for i in full) / 60
        assert week.first == START + timedelta(days=full[0])
        assert week.last == START + timedelta(days=min(full[-1] + 6, days - 1))


def expect(
    problem: LegalProblem | None, calendar: list[int], begun: list[int], wrong: Any, worst: Any
) -> None:
    both = [i for i in range(len(calendar)) if wrong(calendar[i], i) and wrong(begun[i], i)]
    one = [i for i in range(1, len(calendar) - 1) if wrong(calendar[i], i) or wrong(begun[i], i)]
    days = both or one
    assert (problem is not None) == bool(days)
    if problem is not None:
        assert problem.certain == bool(both)
        assert problem.found == worst(m for i in days for m in (calendar[i], begun[i]) if wrong(m, i)) / 60
        assert (problem.first, problem.last) == (
            START + timedelta(days=days[0]),
            START + timedelta(days=days[-1]),
        )


def test_addresses_and_conditions_count_together_each_minute_once() -> None:
    """10 h at one address, 10 h at another of which 4 are the same, and 4 h by another condition: 20 h."""
    also = [{"address": place("secondary"), "timetable": [entry("06:00", "16:00", "Mo")]}]
    more = home(entry("16:00", "20:00", "Mo"), id="curfew-2")
    assert check(sentence(home(entry("00:00", "10:00", "Mo"), also=also), more)) == []
    more = home(entry("16:00", "20:30", "Mo"), id="curfew-2")
    (problem,) = check(sentence(home(entry("00:00", "10:00", "Mo"), also=also), more))
    assert (problem.found, problem.conditions) == (20.5, ("curfew-1", "curfew-2"))
