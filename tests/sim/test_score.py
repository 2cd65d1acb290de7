"""Scores of alerts made by hand against happenings made by hand."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.alerts import Alert
from sim.life import Span
from sim.score import NOT_MEASURED, Case, Told, figures, is_event, report, sober_days, tally, unknown
from sim.truth import DayTruth, Family, Happening
from tests.sim.lives import DAY_MS, HOUR_MS, MINUTE_MS, START_MS

M = MINUTE_MS


def absence(from_min: int, to_min: int, **more: Any) -> Happening:
    return Happening(Family.CURFEW, "curfew", START_MS + from_min * M, START_MS + to_min * M, 500.0, **more)


def told(
    from_min: float,
    to_min: float | None,
    *,
    rule: str = "absent_during_curfew",
    after_min: float = 2,
    withdrawn: bool = False,
    condition: str = "curfew",
    **figures: Any,
) -> Told:
    start_ms = START_MS + round(from_min * M)
    end_ms = None if to_min is None else START_MS + round(to_min * M)
    alert = Alert(
        f"{rule}/{from_min}", "gps0ann-1", condition, rule, "open" if end_ms is None else "ended", "high",
        start_ms, end_ms, 1, "ew-1", "", figures, (),
    )  # fmt: skip
    return Told(alert, start_ms + round(after_min * M), withdrawn)


def case(happened: list[Happening], some: list[Told], **more: Any) -> Case:
    given_: dict[str, Any] = {"hidden": {}, "no_link": (), "strata": frozenset()} | more
    return Case("ann", START_MS, START_MS + 7 * DAY_MS, happened=tuple(happened), told=tuple(some), **given_)


def counts(one: Case, family: Family = Family.CURFEW) -> tuple[int, int, int, int, int]:
    total = tally([one], family)
    return total.events, total.found, total.false, total.minor, total.hidden


def test_an_absence_is_found_by_an_alert_that_touches_it_and_missed_by_one_an_hour_later() -> None:
    assert counts(case([absence(60, 90)], [told(61, 92)])) == (1, 1, 0, 0, 0)
    assert counts(case([absence(60, 90)], [told(150, 160)])) == (1, 0, 1, 0, 0)
    assert counts(case([absence(60, 90)], [])) == (1, 0, 0, 0, 0)
    assert counts(case([], [told(150, 160)])) == (0, 0, 1, 0, 0)
    other = told(61, 92, condition="another")
    assert counts(case([absence(60, 90)], [other])) == (1, 0, 1, 0, 0)


def test_to_find_a_short_absence_is_neither_right_nor_false_and_to_miss_it_is_no_miss() -> None:
    assert counts(case([absence(60, 63)], [told(61, 63)])) == (0, 0, 0, 1, 0)
    assert counts(case([absence(60, 63)], [])) == (0, 0, 0, 1, 0)


def test_an_alert_that_was_withdrawn_finds_nothing_but_is_false_where_nothing_happened() -> None:
    assert counts(case([absence(60, 90)], [told(61, 92, withdrawn=True)])) == (1, 0, 0, 0, 0)
    assert counts(case([], [told(61, 92, withdrawn=True)])) == (0, 0, 1, 0, 0)


def test_what_could_not_be_known_is_no_miss_but_has_to_lie_inside_an_alert_of_whereabouts_unknown() -> None:
    dark = {Family.CURFEW: [Span(START_MS + 50 * M, START_MS + 200 * M)]}
    one = case([absence(60, 90)], [], hidden=dark)
    assert counts(one) == (0, 0, 0, 0, 1)
    row = unknown([one])["curfew"]
    assert (row["violations"], row["inside_whereabouts_unknown"], len(row["not_inside"])) == (1, 0, 1)
    asked = told(67.5, 200, rule="whereabouts_unknown", last_position="2026-06-01T00:50:00Z")
    row = unknown([replace(one, told=(asked,))])["curfew"]
    assert (row["violations"], row["inside_whereabouts_unknown"]) == (1, 1)
    assert row["share"] == round(150 / (7 * 24 * 60), 4)
    row = unknown([replace(one, told=(told(80, 92),))])["curfew"]
    assert (row["inside_whereabouts_unknown"], row["told_outright"], row["not_inside"]) == (0, 1, [])
    # of an absence that begins in the dark and goes on in the light for long enough, it is a miss
    assert counts(case([absence(60, 230)], [], hidden=dark)) == (1, 0, 0, 0, 0)


def test_delay_counts_from_the_start_or_from_when_the_tag_has_a_network_again() -> None:
    one = case([absence(60, 90)], [told(61, 92, after_min=3)])
    assert tally([one], Family.CURFEW).delays_s == [240.0]
    far = replace(one, no_link=(Span(START_MS + 50 * M, START_MS + 63 * M),))
    total = tally([far], Family.CURFEW)
    assert (total.delays_s, total.late_s) == ([60.0], [240.0])


def test_drinking_is_found_by_a_suspicion_too_which_confirms_nothing_and_from_the_level_of_an_event_on() -> (
    None
):
    def drunk(peak: float) -> Happening:
        end_ms = START_MS + 8 * HOUR_MS
        return Happening(Family.DRINKING, "aamr", START_MS, end_ms, peak_g_dl=peak)

    sure = told(100, 300, rule="drinking_event", condition="aamr", status="confirmed")
    unsure = told(100, 300, rule="drinking_event", condition="aamr", status="suspected")
    aired = told(100, 300, rule="drinking_event", condition="aamr", status="environmental")
    for some, found, confirmed in (([sure], 1, 1), ([unsure], 1, 0), ([unsure, sure], 1, 1), ([aired], 0, 0)):
        assert counts(case([drunk(0.05)], some), Family.DRINKING) == (1, found, 0, 0, 0)
        assert tally([case([drunk(0.05)], some)], Family.DRINKING).confirmed == confirmed
    assert counts(case([drunk(0.02)], [unsure]), Family.DRINKING) == (0, 0, 0, 1, 0)
    for wrong in (sure, unsure, aired):
        assert counts(case([], [wrong]), Family.DRINKING) == (0, 0, 1, 0, 0)
    assert not is_event(replace(drunk(0.05), level_g_dl=0.045))
    assert is_event(replace(drunk(0.06), level_g_dl=0.045))


def test_tamper_is_found_by_its_own_rule_and_other_kinds_only_excuse_their_alerts() -> None:
    strap = Happening(Family.TAMPER, "", START_MS, START_MS + HOUR_MS, note="strap")
    jammed = replace(strap, note="jamming")
    opened = told(0, 60, rule="strap_tamper", condition="equipment")
    noise = told(10, 10, rule="jamming", condition="equipment")
    assert counts(case([strap], [opened]), Family.TAMPER) == (1, 1, 0, 0, 0)
    assert counts(case([strap], [noise]), Family.TAMPER) == (1, 0, 1, 0, 0)
    assert counts(case([jammed], [noise, opened]), Family.TAMPER) == (0, 0, 1, 1, 0)


def test_a_ring_excuses_its_warning_and_a_warning_finds_no_visit() -> None:
    ring = Happening(Family.EXCLUSION, "zone", START_MS, START_MS + HOUR_MS, 20.0, note="ring")
    visit = Happening(Family.EXCLUSION, "zone", START_MS, START_MS + HOUR_MS, 40.0)
    warning = told(1, 50, rule="near_exclusion_zone", condition="zone")
    assert counts(case([ring], [warning]), Family.EXCLUSION) == (0, 0, 0, 0, 0)
    assert counts(case([visit, ring], [warning]), Family.EXCLUSION) == (1, 0, 0, 0, 0)
    assert counts(case([], [warning]), Family.EXCLUSION) == (0, 0, 1, 0, 0)
    assert not is_event(replace(visit, depth_m=29.9))
    assert not is_event(replace(visit, end_ms=START_MS + 179_999))


def test_a_day_is_right_when_the_calendar_says_what_was_and_unsafe_when_it_calls_drinking_sober() -> None:
    drunk = Happening(Family.DRINKING, "aamr", START_MS, START_MS + 4 * HOUR_MS, peak_g_dl=0.08)
    first, second, third, fourth = (date(2026, 6, day) for day in (1, 2, 3, 4))
    truth = {
        first: DayTruth.NOT_SOBER,
        second: DayTruth.SOBER,
        third: DayTruth.HIDDEN,
        fourth: DayTruth.NOT_SOBER,
    }
    calendar = {first: "SOBER", second: "UNVERIFIED", third: "UNVERIFIED", fourth: "SOBER"}
    drinks_ms = (START_MS, START_MS + 3 * DAY_MS)
    found = sober_days([case([drunk], [], days=truth, calendar=calendar, drinks_ms=drinks_ms)])
    assert (found["days"], found["errors"], found["errors_not_unverified"]) == (3, 2, 1)
    assert found["not_unverified"] == [
        {"wearer": "ann", "day": "2026-06-01", "said": "SOBER", "was": "not_sober"}
    ]
    assert found["accuracy"] == NOT_MEASURED
    assert found["confusion"]["minor"] == {"SOBER": 1}


def test_a_glass_on_the_day_after_an_evening_is_as_small_as_on_any_day_though_the_evening_lasts_past_midnight() -> (
    None
):
    second = date(2026, 6, 2)
    evening = Happening(
        Family.DRINKING, "aamr", START_MS + 20 * HOUR_MS, START_MS + 28 * HOUR_MS, peak_g_dl=0.08
    )
    more = {"days": {second: DayTruth.NOT_SOBER}, "calendar": {second: "SOBER"}}
    glass = START_MS + 42 * HOUR_MS
    assert sober_days([case([evening], [], drinks_ms=(evening.start_ms, glass), **more)])["errors"] == 0
    into_the_night = START_MS + 25 * HOUR_MS  # and part of the evening's event
    assert (
        sober_days([case([evening], [], drinks_ms=(evening.start_ms, into_the_night), **more)])["errors"] == 1
    )


def test_a_figure_on_fewer_than_two_hundred_events_is_not_measured() -> None:
    one = case([absence(60, 90)], [told(61, 92)])
    few = figures(tally([one] * 199, Family.CURFEW), 199 * 7)
    assert (few["recall"], few["delay_p95_s"], few["precision"]) == (NOT_MEASURED,) * 3
    assert few["false_per_1000_wearer_days"] == 0.0
    enough = figures(tally([one] * 200, Family.CURFEW), 1400)
    assert (enough["recall"], enough["precision"], enough["delay_median_s"]) == (1.0, 1.0, 180.0)


def test_the_report_has_the_object_that_was_asked_for() -> None:
    one = case([absence(60, 90)], [told(61, 92)], strata=frozenset({"town", "valley"}))
    found = report([one])
    assert set(found["rules"]) == {"exclusion", "inclusion", "curfew", "drinking", "tamper"}
    asked = {"recall", "precision", "false_per_1000_wearer_days", "delay_median_s", "delay_p95_s", "events"}
    assert all(asked <= set(row) for row in found["rules"].values())
    assert {"accuracy", "confusion"} <= set(found["sober_day"])
    assert set(found["strata"]) == {"town", "valley"}


minutes = st.tuples(st.integers(0, 5000), st.integers(1, 300))


@given(st.lists(minutes, max_size=6), st.lists(minutes, max_size=6))
def test_nothing_is_counted_twice_and_more_alerts_never_find_less(
    absent: list[tuple[int, int]], alarms: list[tuple[int, int]]
) -> None:
    happened = [absence(a, a + n) for a, n in absent]
    alerts = [told(a, a + n) for a, n in alarms]
    total = tally([case(happened, alerts)], Family.CURFEW)
    assert total.events + total.minor == len(happened)
    assert total.found + len(total.missed) == total.events
    assert total.false <= total.alerts == len(alerts)
    fewer = tally([case(happened, alerts[1:])], Family.CURFEW)
    assert fewer.found <= total.found and fewer.false <= total.false
    assert len(total.delays_s) == total.found == len(total.late_s)


def test_delays_are_quantiles_that_really_occurred() -> None:
    some = [case([absence(60, 90)], [told(61, 92, after_min=n / 10)]) for n in range(1, 201)]
    row = figures(tally(some, Family.CURFEW), 1400)
    assert row["delay_p95_s"] == pytest.approx(60 + 190 * 6)
