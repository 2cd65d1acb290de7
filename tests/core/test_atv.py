"""Accumulated time violation: what counts, what is left out, and when the allowance is used up."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.activation import Activation, authorised
from core.alerts import Alert, iso_utc
from core.atv import Absence, accumulated, over_order
from core.monitor import Monitor, evaluate
from core.order import DiscountedTime, DiscountKind, order_from_json
from core.readings import Positions
from tests.core.wearers import DAY_MS, MONDAY_MS, activation, curfew, order_json, positions

CURFEW_MS = MONDAY_MS + 18 * 3_600_000
DAY = 24 * 60
MINUTE_MS = 60_000


def at(minutes: float) -> int:
    return CURFEW_MS + int(minutes * MINUTE_MS)


def stay(place: str, first: int, last: int) -> list[tuple[int, str]]:
    return [(at(m), place) for m in range(first, last)]


def nights(*outings: tuple[int, int]) -> Positions:
    """At home through the nights, and in the street from one minute to another of each."""
    rows: list[tuple[int, str]] = []
    for night, (first, last) in enumerate(outings):
        begin = night * DAY
        rows += stay("home", begin - 5, begin + first) + stay("street", begin + first, begin + last)
        rows += stay("home", begin + last, begin + 12 * 60 + 1)
    return positions(*rows)


def watched(**changes: Any) -> Activation:
    order = order_from_json(order_json(conditions=[curfew()], **changes))
    return activation(order, fitted_ms=at(-600))


def discount(kind: str, first: float, last: float, **more: Any) -> dict[str, Any]:
    return {"from": iso_utc(at(first)), "to": iso_utc(at(last)), "kind": kind, "reason": "told"} | more


def reached(case: Activation, rows: Positions, now_ms: int) -> list[Alert]:
    return [a for a in evaluate([case], {case.id: rows}, now_ms) if a.rule == "atv_reached"]


THREE = nights((60, 111), (60, 111), (60, 111))  # 50, 100, 150 minutes


def test_absences_of_several_nights_add_up_until_the_allowance_is_used_up() -> None:
    case, now_ms = watched(), at(3 * DAY)
    assert reached(case, nights((60, 111), (60, 111)), now_ms) == []
    (alert,) = reached(case, THREE, now_ms)
    assert (alert.state, alert.severity, alert.start_ms) == ("open", "high", at(2 * DAY + 60 + 20))
    assert alert.figures == {"allowance_min": 120, "at_least_min": 150, "at_most_min": 156, "absences": 3}
    assert alert.sentence == (
        "Absences without excuse add up to at least 150 min, at most 156 min, with 120 min allowed over the order; "
        "the allowance was used up at 20:20 on 3 June 2026."
    )
    assert (alert.condition, alert.order_version) == ("curfew-1", 1)
    assert alert.readings


def test_it_is_told_while_the_absence_still_goes_on() -> None:
    monitor, case = Monitor(), watched()
    monitor.bind(case)
    monitor.add(case.id, positions(*stay("home", -5, 60), *stay("street", 60, 180)))
    assert [a.rule for a in monitor.judge(at(179))] == ["absent_during_curfew"]
    monitor.add(case.id, positions(*stay("home", -5, 60), *stay("street", 60, 182)))
    told = {alert.rule: alert for alert in monitor.judge(at(181))}
    assert told["atv_reached"].start_ms == at(180)
    assert "at_most_min" not in told["atv_reached"].figures


def test_only_what_is_certain_counts() -> None:
    # away for a quarter of an hour, silent for ten hours, away again for as long
    rows = positions(
        *stay("home", -5, 30), *stay("street", 30, 46), *stay("street", 646, 662), *stay("home", 662, 721)
    )
    (alert,) = reached(watched(atv_allowance_min=30), rows, at(721))
    assert (alert.figures["at_least_min"], alert.figures["at_most_min"]) == (30, 633)
    assert reached(watched(), rows, at(721)) == []


def test_the_orders_own_allowance_comes_first() -> None:
    (alert,) = reached(watched(atv_allowance_min=40), nights((60, 111)), at(DAY))
    assert (alert.figures["allowance_min"], alert.start_ms) == (40, at(60 + 40))
    assert reached(watched(atv_allowance_min=200), THREE, at(3 * DAY)) == []


def test_an_allowance_of_nothing_is_used_up_by_the_first_certain_minute_and_not_before() -> None:
    case = watched(atv_allowance_min=0)
    assert reached(case, nights((60, 60)), at(DAY)) == []
    assert len(reached(case, nights((60, 70)), at(DAY))) == 1


def test_an_authorised_absence_is_no_curfew_and_raises_nothing() -> None:
    case = watched(atv_allowance_min=10, discounts=[discount("authorised_absence", 50, 120)])
    assert evaluate([case], {case.id: nights((60, 111))}, at(12 * 60)) == []
    # what lies outside of it counts: home 20 minutes after it ended
    late = watched(atv_allowance_min=10, discounts=[discount("authorised_absence", 50, 90)])
    absence, used = evaluate([late], {late.id: nights((60, 111))}, at(12 * 60))
    assert (absence.start_ms, absence.end_ms, absence.figures["kind"]) == (at(90), at(111), "late_home")
    assert (used.rule, used.figures["at_least_min"]) == ("atv_reached", 20)


def test_an_absence_that_was_recorded_late_takes_no_time_out_before_that_and_excuses_it() -> None:
    def case(said: dict[str, Any]) -> Activation:
        return watched(atv_allowance_min=10, discounts=[said])

    agreed, bare = discount("authorised_absence", 50, 120), watched(atv_allowance_min=10)
    whole = evaluate([bare], {bare.id: nights((60, 111))}, at(12 * 60))
    late = case(agreed | {"recorded": iso_utc(at(300))})
    (absence,) = evaluate([late], {late.id: nights((60, 111))}, at(12 * 60))
    assert absence == next(one for one in whole if one.rule == absence.rule), "the alert stands as it was"
    amid = case(agreed | {"recorded": iso_utc(at(90))})
    (absence,) = evaluate([amid], {amid.id: nights((60, 111))}, at(12 * 60))
    assert (absence.start_ms, absence.end_ms) == (at(60), at(90)), "from then on it is no curfew"
    before = case(agreed | {"recorded": iso_utc(at(40))})
    assert evaluate([before], {before.id: nights((60, 111))}, at(12 * 60)) == []


def test_an_absence_that_is_made_longer_stays_on_record_for_what_it_was() -> None:
    first, longer = discount("authorised_absence", 50, 90), discount("authorised_absence", 50, 120)
    order = watched(discounts=[longer | {"recorded": iso_utc(at(80))}], version=2).order
    versions = replace(watched(discounts=[first]), order=order, earlier=(watched(discounts=[first]).order,))
    assert authorised(versions, "curfew-1") == [(at(50), at(120))]
    taken_back = replace(versions, order=replace(order, discounts=()))
    assert authorised(taken_back, "curfew-1") == []


def test_a_reasonable_excuse_leaves_the_alert_and_takes_its_minutes_out() -> None:
    case = watched(discounts=[discount("reasonable_excuse", DAY + 60, DAY + 120)])
    found = evaluate([case], {case.id: THREE}, at(3 * DAY))
    assert [alert.rule for alert in found] == ["absent_during_curfew"] * 3
    part = watched(discounts=[discount("reasonable_excuse", DAY + 60, DAY + 80)])
    (alert,) = reached(part, THREE, at(3 * DAY))
    assert (alert.figures["at_least_min"], alert.figures["at_most_min"]) == (130, 136)


def test_an_excuse_recorded_later_withdraws_the_alert() -> None:
    monitor, case = Monitor(), watched()
    monitor.bind(case)
    monitor.add(case.id, THREE)
    assert "atv_reached" in [alert.rule for alert in monitor.judge(at(3 * DAY))]
    excused = watched(version=2, discounts=[discount("reasonable_excuse", 0, 12 * 60)])
    monitor.rebind(replace(case, order=excused.order, earlier=(case.order,)))
    (withdrawn,) = [alert for alert in monitor.judge(at(3 * DAY)) if alert.rule == "atv_reached"]
    assert withdrawn.state == "withdrawn"


def test_a_discount_of_another_condition_takes_nothing_out() -> None:
    zone = {"id": "trail-1", "type": "trail"}
    order = order_from_json(
        order_json(
            conditions=[curfew(), zone],
            discounts=[discount("reasonable_excuse", -60, 4 * DAY, condition="trail-1")],
        )
    )
    assert len(reached(activation(order, fitted_ms=at(-600)), THREE, at(3 * DAY))) == 1


spans = st.tuples(st.integers(0, 500), st.integers(0, 500)).map(sorted)


@given(
    st.lists(st.tuples(spans, st.lists(spans, max_size=3)), max_size=5),
    st.lists(spans, max_size=4),
    st.integers(0, 400),
)
@settings(max_examples=60, deadline=None)
def test_a_is_never_more_and_b_never_less_than_the_truth(
    outings: list[tuple[list[int], list[list[int]]]], excuses: list[list[int]], allowance: int
) -> None:
    """Minute by minute: away for certain in parts of each outing, perhaps in all of it; some of it excused."""
    absences, certain, possible = [], 0, 0
    for number, ((first, last), known) in enumerate(outings):
        base = number * 1000
        sure = {m for a, b in known for m in range(max(a, first), min(b, last))}
        out = [(a, b) for a, b in excuses]
        free = (
            {m for m in range(1000) if not any(a <= m - 0 < b for a, b in out)}
            if number == 0
            else set(range(1000))
        )
        certain += len(sure & free)
        possible += len(set(range(first, last)) & free)
        absences.append(
            Absence(
                start_ms=(base + first) * MINUTE_MS,
                since_ms=(base + first) * MINUTE_MS,
                end_ms=(base + last) * MINUTE_MS,
                known_ms=len(sure) * MINUTE_MS,
                condition="curfew-1",
                period_ms=base * MINUTE_MS,
                until_ms=(base + last) * MINUTE_MS,
                first_key=1,
                last_key=2,
            )
        )
    discounts = [
        DiscountedTime(a * MINUTE_MS, b * MINUTE_MS, DiscountKind.REASONABLE_EXCUSE, "told")
        for a, b in excuses
    ]
    atv = accumulated(reversed(absences), discounts, allowance)
    assert atv.at_least_ms <= certain * MINUTE_MS
    assert atv.at_most_ms == possible * MINUTE_MS
    assert (atv.reached is not None) == (0 < atv.at_least_ms >= allowance * MINUTE_MS)
    if atv.reached is not None and atv.reached_ms is not None:
        assert atv.reached.start_ms <= atv.reached_ms <= atv.reached.until_ms


@pytest.mark.parametrize("checkpoint", [1, 7, 256])
def test_late_readings_add_up_to_the_same(checkpoint: int) -> None:
    case, now_ms = watched(), at(3 * DAY)
    whole = evaluate([case], {case.id: THREE}, now_ms)
    monitor = Monitor(checkpoint_readings=checkpoint)
    monitor.bind(case)
    for part in (2, 0, 1):
        monitor.add(case.id, THREE.take(slice(part * 700, (part + 1) * 700)))
        monitor.judge(at(part * 700))
    monitor.add(case.id, THREE)
    monitor.judge(now_ms)
    assert monitor.alerts() == whole
    assert "atv_reached" in [alert.rule for alert in whole]
    assert now_ms < at(0) + 4 * DAY_MS


def test_a_tag_that_is_changed_in_the_middle_of_the_order_does_not_begin_the_sum_anew() -> None:
    now_ms = at(3 * DAY)
    rows = nights((60, 130), (60, 130))  # 70 minutes with the one tag, 70 with the other
    first = replace(watched(), removed_ms=at(18 * 60))
    second = replace(watched(), id="activation-2", device="tag0002", fitted_ms=at(19 * 60))
    early = rows.take(np.flatnonzero(rows.t_ms < at(18 * 60)))
    late = rows.take(np.flatnonzero(rows.t_ms > at(19 * 60)))
    monitor = Monitor()
    monitor.bind(first)
    monitor.add(first.id, early)
    monitor.judge(now_ms)
    carried = monitor.absences(first.id, now_ms)
    assert [absence.known_ms // MINUTE_MS for absence in carried] == [69]
    assert reached(first, early, now_ms) == reached(second, late, now_ms) == []
    (alert,) = reached(replace(second, carried=carried), late, now_ms)
    assert (alert.activation, alert.figures["at_least_min"]) == ("activation-2", 138)
    assert alert.start_ms == at(DAY + 60 + 51)
    used_up = (
        *carried,
        replace(carried[0], start_ms=at(300), until_ms=at(400)),
    )
    assert reached(replace(second, carried=used_up), late, now_ms) == [], (
        "the first tag's alert says it already"
    )


@pytest.mark.parametrize("now", [DAY, 2 * DAY, 3 * DAY])
def test_what_is_carried_can_change_without_judging_anything_again(now: int) -> None:
    case, rows = watched(), nights((60, 130), (60, 130))
    rows = rows.take(np.flatnonzero(rows.t_ms <= at(now)))
    (mine, *_) = absences_of(case, rows, at(now))
    earlier = replace(
        mine, start_ms=mine.start_ms - 9 * DAY_MS, until_ms=mine.until_ms - 9 * DAY_MS, end_ms=at(-8 * DAY)
    )
    monitor = Monitor(checkpoint_readings=3)
    monitor.bind(case)
    monitor.add(case.id, rows)
    for carried in ((earlier,), (), (earlier, replace(earlier, known_ms=3 * 60 * MINUTE_MS)), (earlier,)):
        told = {alert.id: alert for alert in monitor.judge(at(now))}
        monitor.carry(case.id, carried)
        told |= {alert.id: alert for alert in monitor.judge(at(now))}
        assert monitor.looked_at == {case.id}
        whole = evaluate([replace(case, carried=carried)], {case.id: rows}, at(now))
        assert monitor.alerts() == monitor.alerts(case.id) == whole
        assert {alert.rule for alert in told.values()} <= {alert.rule for alert in whole} | {"atv_reached"}
    late = positions(*stay("street", 200, 215))
    monitor.add(case.id, late)
    monitor.judge(at(now))
    rows = Positions.concatenate([rows, late])
    assert monitor.alerts() == evaluate([replace(case, carried=carried)], {case.id: rows}, at(now))


def absences_of(case: Activation, rows: Positions, now_ms: int) -> tuple[Absence, ...]:
    monitor = Monitor()
    monitor.bind(case)
    monitor.add(case.id, rows)
    monitor.judge(now_ms)
    return monitor.absences(case.id, now_ms)


def test_an_absence_that_goes_on_is_carried_as_it_stands() -> None:
    case, now_ms = watched(), at(100)
    monitor = Monitor()
    monitor.bind(case)
    monitor.add(case.id, positions(*stay("home", -5, 30), *stay("street", 30, 100)))
    monitor.judge(now_ms)
    (absence,) = monitor.absences(case.id, now_ms)
    assert (absence.start_ms, absence.end_ms, absence.known_ms) == (at(30), None, 69 * MINUTE_MS)
    no_curfew = activation(order_from_json(order_json(conditions=[{"id": "t", "type": "trail"}])), id="b")
    monitor.bind(no_curfew)
    assert monitor.absences("b", now_ms) == ()


outing = st.tuples(st.integers(0, 300), st.integers(1, 60)).map(lambda pair: (pair[0], sum(pair)))


@given(st.lists(st.lists(outing, max_size=4), max_size=3), st.data())
@settings(max_examples=80, deadline=None)
def test_time_that_two_devices_saw_at_once_counts_once(
    devices: list[list[tuple[int, int]]], data: st.DataObject
) -> None:
    """Each device sees some minutes of each outing for certain; together never more than there were."""
    truth: set[int] = set()
    parts = []
    for outings in devices:
        mine: list[Absence] = []
        for start, end in outings:
            if any(start < absence.until_ms // MINUTE_MS + 1 for absence in mine):
                continue  # one device tells one absence after the other
            sure = data.draw(st.sets(st.integers(start, end - 1)))
            truth |= set(range(start, end))
            times = start * MINUTE_MS, start * MINUTE_MS, end * MINUTE_MS, len(sure) * MINUTE_MS
            mine.append(Absence(*times, "curfew-1", 0, end * MINUTE_MS, 1, 2))
        parts.append(mine)
    merged = over_order(parts)
    atv = accumulated(merged, (), 1)
    alone = [accumulated(mine, (), 1).at_least_ms for mine in parts]
    assert max(alone, default=0) <= atv.at_least_ms <= len(truth) * MINUTE_MS
    assert atv.at_most_ms == len(truth) * MINUTE_MS
    assert over_order(reversed(parts)) == over_order([merged]) == merged


def test_an_absence_that_one_device_saw_end_and_another_did_not_goes_on() -> None:
    ended = Absence(0, 0, 10 * MINUTE_MS, 8 * MINUTE_MS, "curfew-1", 0, 10 * MINUTE_MS, 1, 2)
    going_on = Absence(0, 0, None, 12 * MINUTE_MS, "curfew-1", 0, 60 * MINUTE_MS, 1, 3, 1, 1)
    merged = over_order([[ended], [going_on]])
    assert merged == over_order([[going_on], [ended]])
    assert [(one.end_ms, one.known_ms, one.until_ms) for one in merged] == [
        (None, 12 * MINUTE_MS, 60 * MINUTE_MS)
    ]
