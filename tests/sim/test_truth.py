"""What truly happens in a life, worked by hand."""

from __future__ import annotations

from datetime import date
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sim.in_force import length_ms
from sim.itinerary import Itinerary
from sim.life import Drink, Life, Span, Unit
from sim.skin import given_off
from sim.truth import DayTruth, Family, Happening, days, happenings, hidden, sober_days
from sim.way import Surroundings
from tests.sim.lives import (
    DAY_MS,
    HOME,
    HOUR_MS,
    MINUTE_MS,
    START_MS,
    address,
    curfew,
    exclusion,
    life,
    order,
    ring,
)


def at(hour: float, day: int = 0) -> int:
    """An hour of a day in London; the life begins at one."""
    return START_MS + day * DAY_MS + round((hour - 1) * HOUR_MS)


def out(from_h: float, to_h: float, far_m: float = 1000) -> Itinerary:
    """Away from home between two hours, in a moment."""
    way = Itinerary(START_MS, HOME)
    way.stay(at(from_h)).walk(HOME.offset(far_m, 0), speed_kmh=50_000)
    return way.stay(at(to_h)).walk(HOME, speed_kmh=50_000)


def of(family: Family, lived: Life) -> list[Happening]:
    return [one for one in happenings(lived) if one.family == family and one.note != "ring"]


def test_who_comes_home_late_was_away_from_the_beginning_of_the_curfew_until_within_the_radius() -> None:
    (absence,) = of(Family.CURFEW, life(out(12, 20.5)))
    assert absence.start_ms == at(19) and absence.end_ms == pytest.approx(at(20.5), abs=200)
    assert absence.depth_m == pytest.approx(970, abs=5) and absence.condition == "curfew"


def test_time_away_outside_the_curfew_agreed_beforehand_or_within_the_radius_is_none() -> None:
    assert not of(Family.CURFEW, life(out(8, 18)))
    assert not of(Family.CURFEW, life(out(20, 22, far_m=25)))
    agreed = {"from": "2026-06-01T17:00:00Z", "to": "2026-06-01T20:00:00Z", "kind": "authorised_absence"}
    imposed = order(curfew(), discounts=[{**agreed, "reason": "hospital"}])
    (absence,) = of(Family.CURFEW, life(out(18, 22), imposed=imposed))
    assert absence.start_ms == at(21) and absence.end_ms == pytest.approx(at(22), abs=200)
    suspended = [{"from": "2026-06-01T00:00:00Z", "to": "2026-06-02T00:00:00Z", "reason": "hospital"}]
    assert not of(Family.CURFEW, life(out(18, 22), imposed=order(curfew(), suspensions=suspended)))


def test_either_of_two_addresses_will_do_while_both_are_open_and_each_only_at_its_times() -> None:
    other = {
        "address": address(HOME.offset(1000, 0), name="secondary"),
        "timetable": [{"days": ["Mo"], "start": "20:00", "end": "23:00"}],
    }
    lived = life(out(19.5, 21), [curfew(also=[other])])
    (absence,) = of(Family.CURFEW, lived)
    assert absence.start_ms == pytest.approx(at(19.5), abs=200) and absence.end_ms == at(20)


def test_a_visit_to_a_zone_lasts_from_edge_to_edge_and_is_as_deep_as_it_came() -> None:
    way = Itinerary(START_MS, HOME)
    way.stay(at(10)).walk(HOME.offset(500, 0), speed_kmh=3.6)
    way.stay(way.end_ms + 10 * MINUTE_MS).walk(HOME, speed_kmh=3.6)
    (visit,) = of(Family.EXCLUSION, life(way, [exclusion(500, 0, 100)]))
    assert visit.start_ms == pytest.approx(at(10) + 400_000, abs=4000)
    assert visit.took_ms == pytest.approx(800_000, abs=4000)
    assert visit.depth_m == pytest.approx(100, abs=1)
    weekly = {"weekly": [{"days": ["Tu"], "start": "00:00", "end": "24:00"}]}
    assert not of(Family.EXCLUSION, life(way, [exclusion(500, 0, 100, schedule=weekly)]))


def test_a_ring_and_a_zone_to_be_in_have_happenings_of_their_own() -> None:
    way = out(10, 12, far_m=380)
    warned = happenings(life(way, [exclusion(500, 0, 100, warning_m=50)]))
    assert [(one.note, one.family) for one in warned] == [("ring", Family.EXCLUSION)]
    hostel = {"id": "in", "type": "inclusion", "name": "Hostel", "zone": ring(0, 0, 60)}
    (outside,) = of(Family.INCLUSION, life(out(10, 12), [hostel]))
    assert outside.took_ms == pytest.approx(2 * HOUR_MS, abs=1000)
    assert outside.depth_m == pytest.approx(940, abs=5)


def test_a_night_of_drinks_is_one_event_that_peaks_as_high_as_the_skin_and_two_days_apart_are_two() -> None:
    drinks = (
        Drink(at(20), at(21), 30.0),
        Drink(at(21.5), at(22), 20.0),
        Drink(at(20, 2), at(21, 2), 30.0),
    )
    lived = life(
        conditions=[{"id": "aamr", "type": "alcohol", "mode": "abstinence"}],
        days=4,
        drinks=drinks,
        wears=frozenset({"alcohol_tag"}),
    )
    first, second = of(Family.DRINKING, lived)
    t_ms = np.arange(START_MS, lived.end_ms, MINUTE_MS)
    skin = given_off(lived, t_ms)
    assert first.start_ms == at(20) and second.start_ms == at(20, 2)
    assert first.peak_g_dl == pytest.approx(skin[t_ms < at(20, 2)].max(), abs=1e-4)
    assert second.peak_g_dl == pytest.approx(skin[t_ms >= at(20, 2)].max(), abs=1e-4)
    assert sober_days(lived) == {
        date(2026, 6, 1): False,
        date(2026, 6, 2): True,
        date(2026, 6, 3): False,
        date(2026, 6, 4): True,
        date(2026, 6, 5): True,
    }
    assert days(lived)[date(2026, 6, 5)] == DayTruth.HIDDEN  # monitored for an hour of it


def test_drinking_below_the_level_of_the_order_or_without_an_alcohol_tag_is_none() -> None:
    drinks = (Drink(at(20), at(21), 16.0),)
    limit = {"id": "limit", "type": "alcohol", "mode": "limit", "limit_tac_g_dl": 0.08}
    assert not happenings(life(conditions=[limit], drinks=drinks, wears=frozenset({"alcohol_tag"})))
    assert not happenings(life(conditions=[{**limit, "limit_tac_g_dl": 0.001}], drinks=drinks))


def test_nothing_is_known_of_a_tag_that_is_off_opened_or_without_sky_unless_a_home_unit_hears_it() -> None:
    way = Itinerary(START_MS, HOME)
    way.stay(at(10)).stay(at(12), about=Surroundings.DEEP)
    spans: dict[str, Any] = {"flat": (Span(at(14), at(15)),), "off_ankle": (Span(at(20), at(21)),)}
    lived = life(way, **spans)
    assert hidden(lived, Family.CURFEW) == [
        Span(at(10), at(12)),
        Span(at(14), at(15)),
        Span(at(20), at(21)),
    ]
    both = life(way, wears=frozenset({"gps_tag", "rf_tag"}), units=(Unit("primary", HOME),), **spans)
    assert hidden(both, Family.CURFEW) == [Span(at(20), at(21))]
    assert hidden(both, Family.EXCLUSION) == hidden(lived, Family.EXCLUSION)
    cut = Unit("primary", HOME, no_mains=(Span(at(11), at(14.5)),))
    without = life(way, wears=frozenset({"gps_tag", "rf_tag"}), units=(cut,), **spans)
    assert hidden(without, Family.CURFEW)[:2] == [Span(at(11), at(12)), Span(at(14), at(14.5))]
    tampers = [(one.note, one.start_ms, one.end_ms) for one in of(Family.TAMPER, lived)]
    assert tampers == [("strap", at(20), at(21))]


def test_an_opened_tag_proves_nothing_before_an_officer_finds_all_of_it_closed_and_that_is_known() -> None:
    strap, case = Span(at(10), at(12)), Span(at(11), at(14))
    opened = life(out(20, 22), off_ankle=(strap,), case_open=(case,))
    assert hidden(opened, Family.EXCLUSION) == [Span(at(10), at(14))]
    assert hidden(life(out(20, 22), case_open=(case,)), Family.EXCLUSION) == []
    # an RF tag that was seen to in the street is heard again at home
    rf: dict[str, Any] = {"wears": frozenset({"rf_tag"}), "units": (Unit("primary", HOME),)}
    away = life(out(11, 15), off_ankle=(strap,), **rf)
    ((start_ms, end_ms),) = hidden(away, Family.CURFEW)
    assert start_ms == at(10) and at(15) < end_ms < at(15.5)
    assert hidden(life(out(13, 15), off_ankle=(strap,), **rf), Family.CURFEW) == [strap]


@settings(deadline=None, max_examples=30)
@given(
    st.lists(st.tuples(st.floats(0.1, 6), st.floats(0.05, 4), st.floats(0, 400)), min_size=1, max_size=5),
    st.integers(0, 23),
    st.integers(1, 20),
)
def test_absences_are_time_of_the_curfew_spent_far_away_and_never_more(
    trips: list[tuple[float, float, float]], from_h: int, lasts_h: int
) -> None:
    way = Itinerary(START_MS, HOME)
    for wait_h, stay_h, far_m in trips:
        way.stay(way.end_ms + round(wait_h * HOUR_MS)).walk(HOME.offset(far_m, 0))
        way.stay(way.end_ms + round(stay_h * HOUR_MS)).walk(HOME)
    hours = f"{from_h:02d}:00", f"{(from_h + lasts_h) % 24:02d}:00"
    lived = life(way, [curfew(*hours)], days=3)
    found = of(Family.CURFEW, lived)
    t_ms = np.arange(START_MS, lived.end_ms, 10_000)
    lat, lon = lived.way.at(t_ms)
    away_m = np.hypot((lat - HOME.lat) * 111_260, (lon - HOME.lon) * 67_180)
    of_day = (t_ms // HOUR_MS + 1) % 24
    due = (of_day - from_h) % 24 < lasts_h
    told = np.zeros(len(t_ms), np.int64)
    for one in found:
        told += (t_ms >= one.start_ms) & (t_ms < one.end_ms)
    clear = np.abs(away_m - 30) > 3
    assert (told <= 1).all()
    assert ((told == 1) == (due & (away_m > 30)))[clear].all()
    assert length_ms((one.start_ms, one.end_ms) for one in found) <= 3 * DAY_MS
