"""Timetables against the published list of clock changes, which owes nothing to zoneinfo."""

from __future__ import annotations

import csv
import itertools
from bisect import bisect_right
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.timetable import DAY_MINUTES, CurfewTimetable, TimetableEntry, instant, joined

LONDON = ZoneInfo("Europe/London")
NIGHT = TimetableEntry((0, 1, 2, 3, 4, 5, 6), 19 * 60, 7 * 60)
SPRING, AUTUMN = date(2026, 3, 29), date(2026, 10, 25)


def utc_ms(year: int, month: int, day: int, hour: int = 0, minute: int = 0) -> int:
    return int(datetime(year, month, day, hour, minute, tzinfo=UTC).timestamp()) * 1000


@pytest.fixture(scope="module")
def clock(data: Path) -> Callable[[int], datetime]:
    """What a London clock shows at a UTC second, from the list of transitions."""
    with (data / "tz" / "europe_london_transitions.csv").open() as file:
        rows = [
            (int(datetime.fromisoformat(row["utc"]).timestamp()), float(row["offset_minutes_west"]))
            for row in csv.DictReader(file)
        ]
    starts = [start for start, _ in rows]

    def shows(utc_s: int) -> datetime:
        west = rows[bisect_right(starts, utc_s) - 1][1]
        return datetime.fromtimestamp(utc_s, UTC).replace(tzinfo=None) - timedelta(minutes=west)

    return shows


@given(
    day=st.dates(date(2020, 1, 1), date(2090, 12, 31))
    | st.sampled_from(
        [date(year, month, d) for year in (2024, 2026, 2027) for month in (3, 10) for d in range(24, 32)]
    ),
    minutes=st.integers(0, DAY_MINUTES - 1) | st.integers(0, 180),
)
@settings(max_examples=150, deadline=None)
def test_a_civil_time_is_the_first_instant_at_which_the_clock_shows_it_or_later(
    clock: Callable[[int], datetime], day: date, minutes: int
) -> None:
    wanted = datetime(day.year, day.month, day.day) + timedelta(minutes=minutes)
    early = int(wanted.replace(tzinfo=UTC).timestamp()) - 2 * 3600
    # what the clock of that date shows first, minute by minute
    true = next(t for t in range(early, early + 4 * 3600, 60) if clock(t) >= wanted)
    assert instant(day, minutes, LONDON) == true * 1000


@pytest.mark.parametrize(
    ("day", "minutes", "utc"),
    [
        (SPRING, 59, utc_ms(2026, 3, 29, 0, 59)),
        (SPRING, 60, utc_ms(2026, 3, 29, 1)),
        (SPRING, 90, utc_ms(2026, 3, 29, 1)),  # skipped: when the clock jumps
        (SPRING, 120, utc_ms(2026, 3, 29, 1)),
        (SPRING, 121, utc_ms(2026, 3, 29, 1, 1)),
        (AUTUMN, 59, utc_ms(2026, 10, 24, 23, 59)),
        (AUTUMN, 90, utc_ms(2026, 10, 25, 0, 30)),  # comes twice: the first time
        (AUTUMN, 120, utc_ms(2026, 10, 25, 2)),
        (date(2026, 12, 31), DAY_MINUTES, utc_ms(2027, 1, 1)),
    ],
)
def test_the_skipped_and_the_doubled_hour_are_read_as_documented(day: date, minutes: int, utc: int) -> None:
    assert instant(day, minutes, LONDON) == utc


@pytest.mark.parametrize(("day", "hours"), [(SPRING, 11), (AUTUMN, 13), (date(2026, 6, 1), 12)])
def test_a_night_curfew_lasts_eleven_hours_in_march_and_thirteen_in_october(day: date, hours: int) -> None:
    noon = utc_ms(day.year, day.month, day.day) - 12 * 3_600_000
    ((start, end),) = CurfewTimetable((NIGHT,)).periods(noon, noon + 22 * 3_600_000, "Europe/London")
    assert (end - start) / 3_600_000 == hours


def test_an_end_before_the_start_runs_past_midnight_of_the_day_it_starts() -> None:
    friday = TimetableEntry((4,), 22 * 60, 6 * 60)
    found = CurfewTimetable((friday,)).periods(utc_ms(2026, 1, 5), utc_ms(2026, 1, 12), "Europe/London")
    assert found == [(utc_ms(2026, 1, 9, 22), utc_ms(2026, 1, 10, 6))]


def test_two_entries_that_meet_at_midnight_are_one_night() -> None:
    every = (0, 1, 2, 3, 4, 5, 6)
    halves = CurfewTimetable((TimetableEntry(every, 19 * 60, DAY_MINUTES), TimetableEntry(every, 0, 7 * 60)))
    whole = CurfewTimetable((NIGHT,))
    span = utc_ms(2026, 3, 1), utc_ms(2026, 4, 15), "Europe/London"
    assert halves.periods(*span) == whole.periods(*span)


def test_a_period_swallowed_by_the_skipped_hour_has_no_length_that_night() -> None:
    early = CurfewTimetable((TimetableEntry((6,), 70, 110),))
    found = early.periods(utc_ms(2026, 3, 20), utc_ms(2026, 4, 6), "Europe/London")
    assert found == [
        (utc_ms(2026, 3, 22, 1, 10), utc_ms(2026, 3, 22, 1, 50)),
        (utc_ms(2026, 4, 5, 0, 10), utc_ms(2026, 4, 5, 0, 50)),
    ]


@given(
    entries=st.lists(
        st.tuples(
            st.lists(st.integers(0, 6), min_size=1, unique=True), st.integers(0, 1439), st.integers(1, 1440)
        ).filter(lambda entry: entry[1] != entry[2]),
        min_size=1,
        max_size=3,
    ),
    year=st.integers(2024, 2030),
    day=st.integers(0, 364),
)
@settings(max_examples=60, deadline=None)
def test_periods_ascend_never_touch_and_do_not_depend_on_the_window(
    entries: list[tuple[list[int], int, int]], year: int, day: int
) -> None:
    timetable = CurfewTimetable(
        tuple(TimetableEntry(tuple(days), start, end) for days, start, end in entries)
    )
    from_ms = utc_ms(year, 1, 1) + day * 86_400_000
    to_ms = from_ms + 20 * 86_400_000
    whole = timetable.periods(from_ms, to_ms, "Europe/London")
    assert all(start < end for start, end in whole)
    assert all(before[1] < after[0] for before, after in itertools.pairwise(whole))
    if all(end - start < 7 * 86_400_000 for start, end in whole):
        middle = from_ms + 10 * 86_400_000
        parts = timetable.periods(from_ms, middle, "Europe/London")
        parts += timetable.periods(middle, to_ms, "Europe/London")
        assert sorted(set(parts)) == whole


def test_joined_keeps_what_does_not_touch_apart() -> None:
    assert joined([(5, 6), (1, 2), (2, 4)]) == [(1, 4), (5, 6)]
