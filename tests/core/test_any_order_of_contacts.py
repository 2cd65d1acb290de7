"""Home units and positions together: what the sentences promise, and the same in any order of arrival."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from hypothesis import event, given, settings
from hypothesis import strategies as st

from core.alerts import Alert
from core.monitor import Monitor, evaluate
from core.order import order_from_json
from core.readings import Contacts, EventCode, Events, Positions, Readings, UnitFlag
from core.rules import DEFAULT_RULES
from tests.core.homes import MAINS, contacts, events
from tests.core.reference import Found, Seen, curfews
from tests.core.wearers import MONDAY_MS, activation, curfew, order_json, positions

CURFEW_MS = MONDAY_MS + 18 * 3_600_000
VOUCH_MS = DEFAULT_RULES.vouch_s * 1000
METRES = {"home": 0.0, "street": 347.2}
CASE = activation(order_from_json(order_json(conditions=[curfew("19:00", "20:30")])), fitted_ms=MONDAY_MS)
PERIODS = [(CURFEW_MS, CURFEW_MS + 90 * 60_000)]


@dataclass(frozen=True)
class Evening:
    """What one evening brought, and when it is judged at last."""

    fixes: list[tuple[int, str]]
    contacts: list[tuple[int, int, float, int]]
    events: list[tuple[int, EventCode, float]]
    now_ms: int

    def readings(self) -> Readings:
        return Readings(
            positions=positions(*self.fixes) if self.fixes else Positions.empty(),
            contacts=contacts(*self.contacts) if self.contacts else Contacts.empty(),
            events=events(*self.events) if self.events else Events.empty(),
        )


# (beacons, strength, flags): heard, not heard, weak, without mains, moved
HEARD, SILENT = (4, -60.0, MAINS), (0, -60.0, MAINS)
FAINT = (1, -60.0, MAINS)
ODD = [
    (4, -99.0, MAINS),
    FAINT,
    (4, -60.0, 0),
    (0, -60.0, 0),
    (4, -60.0, MAINS | int(UnitFlag.MOVED)),
]
stretches = st.tuples(
    st.sampled_from([HEARD, HEARD, HEARD, SILENT, SILENT, SILENT, FAINT, *ODD, None]),
    st.sampled_from(["home", "street", "home", "street", None, None]),
    st.one_of(st.integers(1, 6), st.integers(1, 15)),
)


@st.composite
def evenings(draw: st.DrawFn) -> Evening:
    minute = draw(st.sampled_from([-20, -6, -2, 0]))
    fixes: list[tuple[int, str]] = []
    rf: list[tuple[int, int, float, int]] = []
    told: list[tuple[int, EventCode, float]] = []
    for heard, place, minutes in draw(st.lists(stretches, max_size=12)):
        for _ in range(minutes):
            minute += 1
            t_ms = CURFEW_MS + minute * 60_000
            if heard is not None:
                rf.append((t_ms, *heard))
            if place is not None:
                fixes.append((t_ms + draw(st.sampled_from([0, 0, 20_000])), place))
        if draw(st.integers(0, 4)) == 0:
            code = draw(
                st.sampled_from([EventCode.UNIT_CHECKED, EventCode.UNIT_CHECKED, EventCode.UNIT_MOVED])
            )
            told.append((CURFEW_MS + minute * 60_000 + draw(st.sampled_from([0, 30_000])), code, 0.0))
    after_s = draw(st.sampled_from([0, 60, 150, 151, 1050, 1051, 7200]))
    return Evening(fixes, rf, told, CURFEW_MS + minute * 60_000 + after_s * 1000)


def shown(evening: Evening) -> tuple[list[Seen], list[tuple[int, int, bool]]]:
    """What counts, told plainly; and every contradiction: first, last reading of it, and whether it was long enough."""
    until_ms = evening.now_ms + DEFAULT_RULES.ahead_s * 1000
    log: list[tuple[int, int, object]] = []
    log += [(t, 0, code) for t, code, _ in evening.events if t <= until_ms]
    log += [(row[0], 1, row) for row in evening.contacts if row[0] <= until_ms]
    log += [(t, 2, place) for t, place in evening.fixes if t <= until_ms]
    moved, checked_ms, heard_ms = False, 0, -(1 << 60)
    says: dict[int, tuple[int, bool] | None] = {1: None, 2: None}
    seen: list[Seen] = []
    clashes: list[list[int]] = []
    clashing = False
    for t_ms, source, what in sorted(log, key=lambda one: one[:2]):
        if source == 0:
            moved = what == EventCode.UNIT_MOVED
            if moved:
                says[1] = None
            else:
                checked_ms = t_ms
            continue
        span_ms = None
        if source == 1:
            assert isinstance(what, tuple)
            _, count, dbm, flags = what
            span_ms, heard_ms = min(60_000, t_ms - heard_ms), t_ms
            moved = moved or bool(flags & UnitFlag.MOVED)
            if moved or not flags & MAINS or t_ms - 60_000 < checked_ms:
                says[1] = None
                continue
            if count and (count < DEFAULT_RULES.rf_fewest_beacons or dbm <= DEFAULT_RULES.rf_weak_below_dbm):
                # shows nothing, but it is no silence either
                if seen and seen[-1].faint_ms is None:
                    seen[-1] = replace(seen[-1], faint_ms=t_ms)
                if says[1] and says[1][1]:
                    says[1] = None
                continue
            away, metres = count == 0, 0.0
        else:
            away, metres = what == "street", METRES[str(what)]
        other = says[3 - source]
        against = other is not None and other[1] != away and t_ms - other[0] <= VOUCH_MS
        if clashing and (not against or t_ms - clashes[-1][1] > VOUCH_MS):
            clashes[-1].append(min(t_ms, clashes[-1][1] + VOUCH_MS))
            clashing = False
        if against and not clashing:
            clashes.append([t_ms, t_ms])
            clashing = True
        if against:
            clashes[-1][1] = t_ms
        else:
            seen.append(Seen(t_ms, away, metres, span_ms))
        says[source] = t_ms, away
    long = DEFAULT_RULES.disagree_s * 1000
    told = [
        (one[0], one[2] if len(one) > 2 else one[1] + VOUCH_MS, len(one) > 2)
        for one in clashes
        if one[1] - one[0] >= long
    ]
    return seen, told


def promised(evening: Evening) -> list[Found]:
    seen, clashes = shown(evening)
    found = curfews(seen, PERIODS, evening.now_ms, DEFAULT_RULES)
    for start_ms, end_ms, closed in clashes:
        found.append(
            Found("sources_disagree", start_ms, end_ms if closed or end_ms <= evening.now_ms else None)
        )
    return [replace(one, metres=None) for one in found]


def as_found(alert: Alert) -> Found:
    if alert.rule == "sources_disagree":
        return Found(alert.rule, alert.start_ms, alert.end_ms)
    figures: dict[str, Any] = dict(alert.figures)
    at_least, at_most, fixes = (figures.get(name) for name in ("at_least_min", "at_most_min", "positions"))
    span = alert.start_ms, alert.end_ms
    return Found(alert.rule, *span, at_least, at_most, fixes, contacts=figures.get("contacts", 0))


def of_presence(alerts: list[Alert]) -> list[Alert]:
    rules = ("absent_during_curfew", "whereabouts_unknown", "sources_disagree")
    return [alert for alert in alerts if alert.rule in rules]


@given(evenings())
@settings(max_examples=150, deadline=None)
def test_alerts_of_home_unit_and_positions_are_what_the_sentences_promise(evening: Evening) -> None:
    alerts = of_presence(evaluate([CASE], {CASE.id: evening.readings()}, evening.now_ms))
    true = sorted(promised(evening), key=repr)
    for alert in alerts:
        event(alert.rule)
    assert sorted(map(as_found, alerts), key=repr) == true


@given(st.data(), evenings())
@settings(max_examples=80, deadline=None)
def test_contacts_positions_and_events_in_any_order_end_in_the_same_alerts(
    data: st.DataObject, evening: Evening
) -> None:
    whole = evaluate([CASE], {CASE.id: evening.readings()}, evening.now_ms)
    monitor = Monitor(checkpoint_readings=data.draw(st.sampled_from([1, 3, 256])))
    monitor.bind(CASE)
    readings = evening.readings()
    steps: list[tuple[str, int]] = [
        (kind, i)
        for kind in ("positions", "contacts", "events")
        for i in range(0, len(getattr(readings, kind)), 7)
    ]
    for kind, first in data.draw(st.permutations(steps)):
        monitor.add(CASE.id, Readings(**{kind: getattr(readings, kind).take(slice(first, first + 9))}))
        if data.draw(st.integers(0, 3)) == 0:
            monitor.judge(evening.now_ms + data.draw(st.sampled_from([-3_600_000, -600_000, 0, 9_000_000])))
    monitor.judge(evening.now_ms)
    assert monitor.alerts() == whole
    assert len({alert.id for alert in whole}) == len(whole)
    assert monitor.judge(evening.now_ms) == []


def test_an_hour_of_contacts_costs_what_it_adds() -> None:
    """A night a day for a month: settled night by night, the same as at once."""
    rows = [(CURFEW_MS + m * 60_000, 4 if m % 1440 < 60 else 0, -60.0, MAINS) for m in range(-30, 5 * 1440)]
    month = contacts(*rows)
    whole = evaluate([CASE], {CASE.id: Readings(contacts=month)}, int(month.t_ms[-1]))
    monitor = Monitor()
    monitor.bind(CASE)
    for first in range(0, len(month), 500):
        some = month.take(slice(first, first + 500))
        monitor.add(CASE.id, Readings(contacts=some))
        monitor.judge(int(some.t_ms[-1]))
    assert monitor.alerts() == whole
    absences = [alert for alert in whole if alert.rule == "absent_during_curfew"]
    assert [alert.figures["kind"] for alert in absences] == ["left_early"] * 5
    assert np.all(np.diff([alert.start_ms for alert in absences]) == 86_400_000)
