"""When conditions hold, by code of the score's own: by hand where the clocks change, and as the rules have it."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from core.timetable import DAYS, CurfewTimetable, TimetableEntry
from sim.in_force import (
    authorised,
    both,
    clock_ms,
    cut,
    held_times,
    length_ms,
    less,
    scheduled,
    union,
    weekly,
)
from sim.life import Span


def ms(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


def test_a_time_that_is_skipped_or_comes_twice_is_the_first_instant_that_late() -> None:
    assert clock_ms(date(2026, 3, 29), "01:30") == ms("2026-03-29 01:00")  # the clock jumps to 02:00 there
    assert clock_ms(date(2026, 10, 25), "01:30") == ms("2026-10-25 00:30")
    assert clock_ms(date(2026, 10, 25), "02:00") == ms("2026-10-25 02:00")
    assert (
        clock_ms(date(2026, 7, 1), "24:00") == clock_ms(date(2026, 7, 2), "00:00") == ms("2026-07-01 23:00")
    )


def test_a_night_curfew_lasts_an_hour_longer_in_october_and_is_joined_over_midnight() -> None:
    evening = {"days": list(DAYS), "start": "19:00", "end": "24:00"}
    morning = {"days": list(DAYS), "start": "00:00", "end": "07:00"}
    (night,) = weekly([evening, morning], ms("2026-10-24 22:00"), ms("2026-10-24 23:00"))
    assert night == Span(ms("2026-10-24 18:00"), ms("2026-10-25 07:00"))
    (night,) = weekly([{**evening, "end": "07:00"}], ms("2026-03-28 22:00"), ms("2026-03-28 23:00"))
    assert night == Span(ms("2026-03-28 19:00"), ms("2026-03-29 06:00"))


@given(
    st.lists(
        st.tuples(st.sets(st.integers(0, 6), min_size=1), st.integers(0, 1439), st.integers(1, 1440)),
        min_size=1,
        max_size=4,
    ),
    st.sampled_from(["2026-03-27", "2026-10-23", "2026-06-01"]),
)
def test_a_timetable_means_the_same_to_the_score_as_to_the_rules(
    entries: list[tuple[set[int], int, int]], day: str
) -> None:
    entries = [entry for entry in entries if entry[1] != entry[2]]
    first, last = ms(day), ms(day) + 5 * 86_400_000
    rules = CurfewTimetable(tuple(TimetableEntry(tuple(days), a, b) for days, a, b in entries))
    written = [
        {"days": [DAYS[n] for n in days], "start": _clock(a), "end": _clock(b)} for days, a, b in entries
    ]
    # one that never ends is cut somewhere beyond the window by either
    found, meant = weekly(written, first, last), rules.periods(first, last, "Europe/London")
    assert cut(found, first, last) == cut([Span(*one) for one in meant], first, last)


def _clock(minutes: int) -> str:
    return f"{minutes // 60:02d}:{minutes % 60:02d}"


def test_a_condition_holds_from_the_latest_beginning_to_the_earliest_end_less_suspensions() -> None:
    order: dict[str, Any] = {
        "effective": "2026-01-01T00:00:00Z",
        "end": "2026-02-01T00:00:00Z",
        "suspensions": [{"from": "2026-01-10T00:00:00Z", "to": "2026-01-11T00:00:00Z", "reason": "x"}],
        "discounts": [
            {"from": "2026-01-05T00:00:00Z", "to": "2026-01-06T00:00:00Z", "kind": "authorised_absence"},
            {"from": "2026-01-07T00:00:00Z", "to": "2026-01-08T00:00:00Z", "kind": "reasonable_excuse"},
            {
                **{"from": "2026-01-08T00:00:00Z", "to": "2026-01-09T00:00:00Z"},
                **{"kind": "authorised_absence", "condition": "other"},
            },
        ],
    }
    condition = {"from": "2026-01-09T12:00:00Z"}
    held = held_times(order, condition, ms("2025-12-01"), ms("2026-06-01"))
    assert held == [
        Span(ms("2026-01-09 12:00"), ms("2026-01-10")),
        Span(ms("2026-01-11"), ms("2026-02-01")),
    ]
    assert held_times(order, {"to": "2026-01-01T00:00:00Z"}, 0, ms("2026-06-01")) == []
    assert authorised(order, "curfew") == [Span(ms("2026-01-05"), ms("2026-01-06"))]


def test_a_schedule_is_its_weeks_and_dates_less_exceptions_and_without_either_always() -> None:
    first, last = ms("2026-01-05"), ms("2026-01-12")
    weekly_ = [{"days": ["Sa"], "start": "12:00", "end": "18:00"}]
    dated = [{"from": "2026-01-07T12:00:00Z", "to": "2026-01-07T13:00:00Z"}]
    taken = [{"from": "2026-01-10T13:00:00Z", "to": "2026-01-10T14:00:00Z"}]
    assert scheduled(None, first, last) == [Span(first, last)]
    assert scheduled({"weekly": weekly_, "dated": dated, "exceptions": taken}, first, last) == [
        Span(ms("2026-01-07 12:00"), ms("2026-01-07 13:00")),
        Span(ms("2026-01-10 12:00"), ms("2026-01-10 13:00")),
        Span(ms("2026-01-10 14:00"), ms("2026-01-10 18:00")),
    ]
    assert scheduled({"exceptions": taken}, first, last)[0] == Span(first, ms("2026-01-10 13:00"))


spans = st.lists(
    st.tuples(st.integers(0, 60), st.integers(0, 60)).map(lambda pair: Span(min(pair), max(pair))), max_size=6
)


@given(spans, spans)
def test_spans_are_sets_of_instants(these: list[Span], those: list[Span]) -> None:
    def instants(some: list[Span]) -> set[int]:
        return {t for span in some for t in range(span.start_ms, span.end_ms)}

    assert instants(union(these)) == instants(these)
    assert instants(both(these, those)) == instants(these) & instants(those)
    assert instants(less(these, those)) == instants(these) - instants(those)
    assert instants(cut(these, 10, 20)) == instants(these) & set(range(10, 20))
    assert length_ms(union(these)) == len(instants(these))
