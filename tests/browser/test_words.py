"""Times and numbers as people read them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from gateway.web.words import (
    alert_kind,
    clock_time,
    day,
    figure_value,
    figure_words,
    plain,
    reading_groups,
    reading_ranges,
    rule_words,
    utc,
)


def test_the_hour_that_happens_twice_in_october_can_be_told_apart() -> None:
    before = datetime(2026, 10, 25, 0, 30, tzinfo=UTC)
    after = before + timedelta(hours=1)
    assert (clock_time(before), clock_time(after)) == ("01:30:00 BST", "01:30:00 GMT")
    assert utc(after) == "2026-10-25 01:30:00 UTC"


def test_a_day_is_the_local_one() -> None:
    assert day(datetime(2026, 6, 30, 23, 15, tzinfo=UTC)) == "1 July 2026"


def test_words_of_the_machine_become_words() -> None:
    assert plain("whereabouts_unknown") == "Whereabouts unknown"
    assert plain("") == "Unknown"
    assert figure_words("deepest_m") == "Deepest (metres)"
    assert figure_words("time") == "Time"


def test_only_what_breaks_a_condition_is_called_a_violation_alert() -> None:
    assert alert_kind("absent_during_curfew") == "Violation alert"
    assert alert_kind("whereabouts_unknown") == "Whereabouts alert"
    assert (rule_words("not_known_yet"), alert_kind("not_known_yet")) == ("Not known yet", "Alert")


def test_figures_read_as_people_write_them() -> None:
    assert figure_value("2026-10-25T00:30:00Z") == "01:30:00 BST, 25 October 2026"
    assert figure_value("2026-99-25T00:30:00Z") == "2026-99-25T00:30:00Z"
    assert figure_value(12345) == "12,345"
    assert figure_value(None) == "Unknown"


@given(st.lists(st.tuples(st.integers(1, 3), st.integers(1, 40))))
def test_ranges_name_exactly_the_readings(readings: list[tuple[int, int]]) -> None:
    named: set[tuple[int, int]] = set()
    for epoch, runs in reading_ranges(readings):
        for run in runs:
            first, _, last = run.partition(" to ")
            named |= {(epoch, number) for number in range(int(first), int(last or first) + 1)}
    assert named == set(readings)


def test_readings_are_told_apart_by_whose_journal_they_stand_in() -> None:
    readings, sources = [(7, 1), (7, 2), (7, 1)], [("position", None), ("position", None), ("contact", 0)]
    assert reading_groups(readings, sources) == [
        ("Position of the tag", 7, ["1 to 2"]),
        ("Contact of home unit 1", 7, ["1"]),
    ]
    assert reading_groups(readings, []) == [("Reading", 7, ["1 to 2"])]
