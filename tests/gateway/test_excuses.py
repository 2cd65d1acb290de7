"""An excuse stands with the alerts of its time and takes none away; a version judges only from its effective time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from core.order import DiscountKind
from gateway.judge import Judge
from gateway.orders import activate, add_order, life
from gateway.orders.kinds import Kind
from gateway.orders.next_version import Recorded, plan, write
from gateway.orders.times import told
from gateway.store import alerts
from tests.community_order import community_order, every_day
from tests.gateway.stand_in import START_S, positions
from tests.gateway.test_judge import DEVICE, IN_ZONE, INSIDE, LATER_MS, OUTSIDE, Desk, fit, fresh_judge

WHO = Recorded(Kind.EXCUSE, "Sam Officer", "at hospital")


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    made = Desk(tmp_path)
    yield made
    made.store.close()


def excuse(desk: Desk, from_s: int, to_s: int, condition: str | None = None) -> int:
    with desk.store.write() as connection:
        done = life.discount(
            connection, "o-1", DiscountKind.REASONABLE_EXCUSE, from_s * 1000, to_s * 1000, WHO, LATER_MS,
            condition=condition,
        )  # fmt: skip
    assert done.row is not None
    return done.row.id


def without_note(shown: dict[str, Any]) -> dict[str, Any]:
    figures = {name: said for name, said in shown["figures"].items() if name != "excused"}
    return {**shown, "figures": figures, "revision": 0}


def test_an_excuse_is_a_note_beside_the_alert_and_goes_when_it_is_taken_back(desk: Desk) -> None:
    fit(desk)
    judge = fresh_judge(desk)
    judge.add(desk.commit(positions(1, 5, **INSIDE), positions(6, 5, **OUTSIDE)))
    judge.judge(LATER_MS)
    before = desk.alerts()
    number = excuse(desk, START_S, START_S + 600)
    judge.refresh()
    judge.judge(LATER_MS)
    noted = desk.alerts()
    assert [without_note(one) for one in noted] == [without_note(one) for one in before]
    in_zone = [one for one in noted if one["rule"] == IN_ZONE]
    assert in_zone
    for one in in_zone:
        assert one["figures"]["excused"].endswith(": at hospital (Sam Officer)")
    assert fresh_judge(desk).judge(LATER_MS) == 0, "a new judge says the same"
    with desk.store.write() as connection:
        life.take_back(connection, "o-1", number, WHO, LATER_MS + 1000)
    judge.refresh()
    judge.judge(LATER_MS)
    assert [one["figures"] for one in desk.alerts()] == [one["figures"] for one in before]
    assert [one["state"] for one in desk.alerts()] == [one["state"] for one in before]
    with desk.store.read() as connection:
        said = [
            one["figures"].get("excused", "") for one in alerts.revisions(connection, in_zone[0]["number"])
        ]
    assert [bool(one) for one in said][-3:] == [False, True, False], "each of them is a revision that stays"


def test_an_excuse_for_another_time_or_condition_says_nothing_there(desk: Desk) -> None:
    fit(desk)
    judge = fresh_judge(desk)
    judge.add(desk.commit(positions(1, 5, **INSIDE), positions(6, 5, **OUTSIDE)))
    judge.judge(LATER_MS)
    excuse(desk, START_S - 7200, START_S - 3600)
    judge.refresh()
    judge.judge(LATER_MS)
    assert not [one for one in desk.alerts() if "excused" in one["figures"]]


def test_an_alert_that_comes_after_its_excuse_is_told_with_it(desk: Desk) -> None:
    fit(desk)
    excuse(desk, START_S, START_S + 600, "zone-1")
    judge = fresh_judge(desk)
    judge.add(desk.commit(positions(1, 5, **INSIDE)))
    judge.judge(LATER_MS)
    assert [one for one in desk.alerts() if "at hospital" in str(one["figures"].get("excused"))]


def absence(desk: Desk, from_s: int, to_s: int, at_s: int) -> int:
    """An authorised absence that was agreed on the day before and is typed at ``at_s``."""
    with desk.store.write() as connection:
        done = life.discount(
            connection, "o-1", DiscountKind.AUTHORISED_ABSENCE, from_s * 1000, to_s * 1000,
            replace(WHO, kind=Kind.ABSENCE), at_s * 1000, agreed_ms=(START_S - 86_400) * 1000,
        )  # fmt: skip
    assert done.row is not None
    return done.row.id


def curfewed(folder: Path) -> Desk:
    """Under curfew all day, and told long ago."""
    desk = Desk(folder)
    day = {"id": "curfew", "type": "curfew", "address": HOME, "timetable": every_day("00:00", "24:00")}
    add_order(desk.store, community_order("o-1", day, effective="2020-01-01T00:00:00Z"))
    with desk.store.write() as connection:
        connection.execute(text("UPDATE order_version SET known_at_ms = 1000"))
    activate(desk.store, DEVICE, "o-1", (START_S - 60) * 1000)
    return desk


@settings(max_examples=8)
@given(st.integers(-3, 12), st.permutations(range(3)), st.booleans())
def test_an_absence_takes_out_what_came_after_it_was_recorded_and_excuses_what_came_before_in_any_order(
    tmp_path_factory: pytest.TempPathFactory, typed_min: int, order: list[int], restart: bool
) -> None:
    """Away for ten minutes, all of which were agreed on the day before: what counts is when that was typed in."""
    desk = curfewed(tmp_path_factory.mktemp("judged"))
    typed_s = START_S + 60 * typed_min
    judge = Judge(desk.store)
    judge.refresh()
    steps: list[Callable[[], object]] = [
        lambda: judge.add(desk.commit(positions(1, 5, **OUTSIDE))),
        lambda: judge.add(desk.commit(positions(6, 5, **OUTSIDE))),
        lambda: absence(desk, START_S - 600, START_S + 3600, typed_s),
    ]
    for step in order:
        steps[step]()
        judge.refresh()
        judge.judge(LATER_MS)
        if restart:
            judge = fresh_judge(desk)
    judge.judge(LATER_MS)
    absences = [
        (one["start"], one["end"], one["figures"].get("authorised_absence", ""))
        for one in desk.alerts()
        if one["rule"] == "absent_during_curfew" and one["state"] != "withdrawn"
    ]
    assert fresh_judge(desk).judge(LATER_MS) == 0, "a new judge says the same"
    if typed_min <= 0:
        assert absences == [], "it was on record before"
    for start, end, note in absences:
        begun, over = (datetime.fromisoformat(one).timestamp() for one in (start, end))
        assert begun < over <= typed_s, "from then on it is no curfew"
        assert note.endswith(f"at hospital (Sam Officer), on record since {told(typed_s * 1000)}")
    if typed_min >= 5:
        assert absences, "what was told before stands"
    reached = [one for one in desk.alerts() if one["rule"] == "atv_reached" and one["state"] != "withdrawn"]
    assert reached == [], "and it counts as excused"
    desk.store.close()


HOME = {"name": "primary", "latitude": 51.5, "longitude": -0.1, "radius_m": 50}


def at(start_s: int) -> str:
    return datetime.fromtimestamp(start_s, UTC).strftime("%H:%M")


@settings(max_examples=5)
@given(st.integers(0, 9), st.booleans())
def test_a_version_judges_from_its_effective_time_on_whenever_it_is_recorded(
    tmp_path_factory: pytest.TempPathFactory, change_min: int, late: bool
) -> None:
    """Away all the time; a curfew all day until the change, none in these hours after it."""
    desk = Desk(tmp_path_factory.mktemp("judged"))
    day = {"id": "curfew", "type": "curfew", "address": HOME, "timetable": every_day("00:00", "24:00")}
    night = day | {"timetable": every_day(at(START_S - 7200), at(START_S - 3600))}
    add_order(desk.store, community_order("o-1", day, effective="2020-01-01T00:00:00Z"))
    activate(desk.store, DEVICE, "o-1", (START_S - 60) * 1000)
    judge = Judge(desk.store)
    judge.refresh()
    if late:
        judge.add(desk.commit(positions(1, 10, **OUTSIDE)))
        judge.judge(LATER_MS)
    change_ms = (START_S + 60 * change_min) * 1000
    with desk.store.write() as connection:
        planned = plan(
            connection,
            "o-1",
            lambda document: document | {"conditions": [night]},
            Recorded(Kind.HOURS, "Court", "varied"),
            LATER_MS if late else (START_S - 3600) * 1000,
            change_ms,
        )
        write(connection, planned, LATER_MS)
    judge.refresh()
    if not late:
        judge.add(desk.commit(positions(1, 10, **OUTSIDE)))
    judge.judge(LATER_MS)
    standing = [one for one in desk.alerts() if one["state"] != "withdrawn" and one["condition"] == "curfew"]
    for one in standing:
        start = datetime.fromisoformat(one["start"]).timestamp() * 1000
        assert one["order_version"] == 1, "what was before the change is judged as it was worded then"
        assert start < change_ms
        assert one["end"] is not None and datetime.fromisoformat(one["end"]).timestamp() * 1000 <= change_ms
    if change_min >= 6:
        assert [one for one in standing if one["rule"] == "absent_during_curfew"], "last night stands"
    other = Judge(desk.store)
    other.refresh()
    assert other.judge(LATER_MS) == 0
    assert [
        one for one in desk.alerts() if one["state"] != "withdrawn" and one["condition"] == "curfew"
    ] == standing
    desk.store.close()
