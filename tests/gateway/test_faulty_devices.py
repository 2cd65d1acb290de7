"""A device that was found faulty flags what it fed, past and to come, whatever came first; nothing is taken away."""

from __future__ import annotations

import ast
import itertools
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from core.readings import TamperCode
from core.rules import DEFAULT_RULES
from gateway import put_aside
from gateway.check import check
from gateway.group import Received
from gateway.installations import install
from gateway.judge import Judge
from gateway.orders import Orders, deactivate
from gateway.stock import StockError, faults
from gateway.stock.faults import Found
from gateway.store import Store, alerts, doubts, outbox, stock
from gateway.web.changes import changes
from gateway.web.stored import StoredBook
from tests.core.wearers import MONDAY_MS
from tests.gateway.test_households import (
    CURFEW_MS,
    HOUR_MS,
    MINUTE_MS,
    MOTHERS,
    Street,
    heard,
    judged,
    tamper,
)
from tests.gateway.vaults import VAULT

NIGHT_MS = CURFEW_MS + 5 * HOUR_MS
"""When the curfew is over."""
LATER_MS = NIGHT_MS + 10 * HOUR_MS


@pytest.fixture
def street(tmp_path: Path) -> Iterator[Street]:
    store = Store.open(tmp_path / "store.sqlite")
    yield Street(store)
    store.close()


def spell(street: Street, unit: str, tag: str, from_ms: int, minutes: int, count: int) -> list[Received]:
    """What a home unit hears of a tag for so long, in messages of an hour each."""
    return [
        street.says(
            unit,
            heard(tag, from_ms + at * MINUTE_MS, min(60, minutes - at), count),
            at_ms=from_ms + (at + 60) * MINUTE_MS,
        )
        for at in range(0, minutes, 60)
    ]


def found(street: Street, device: str, from_ms: int, to_ms: int | None = None, **more: Any) -> Found:
    said: dict[str, Any] = {
        "by": "Wanda Workshop",
        "reason": "its antenna is torn",
        "now_ms": LATER_MS,
    } | more
    return faults.find(street.store, device, from_ms, to_ms, **said)


def taken_back(street: Street, device: str, finding: int) -> Found:
    said: dict[str, Any] = {"by": "Wanda Workshop", "reason": "another one was meant", "now_ms": LATER_MS}
    return faults.take_back(street.store, finding, of=device, **said)


def doubtful(street: Street) -> dict[str, list[int]]:
    """The alerts that are flagged, by activation and rule, and by which findings."""
    with street.store.read() as connection:
        rows = alerts.listing(connection, limit=10_000)
    return {
        f"{row['activation']} {row['rule']}": [one["finding"] for one in row["doubts"]]
        for row in rows
        if row.get("doubts")
    }


def two_absent(street: Street) -> Judge:
    """Two wearers with RF tags, each with a home unit of its own that does not hear the tag all evening."""
    for tag, unit in (("rf0001", "home0001"), ("rf0002", "home0002")):
        install(street.store, unit, street.wear(tag), installed=MONDAY_MS)
    judge = judged(street, MONDAY_MS)
    messages = []
    for tag, unit in (("rf0001", "home0001"), ("rf0002", "home0002")):
        messages += spell(street, unit, tag, CURFEW_MS, 40, 10)
        messages += spell(street, unit, tag, CURFEW_MS + 40 * MINUTE_MS, 240, 0)
    return judged(street, LATER_MS, *messages, judge=judge)


ABSENT = "absent_during_curfew"


def test_a_faulty_home_unit_flags_the_absences_of_whom_it_stood_for_and_nobody_elses(street: Street) -> None:
    two_absent(street)
    assert street.told("rf0001-1", ABSENT) and street.told("rf0002-1", ABSENT)
    before = street.final()
    done = found(street, "home0001", CURFEW_MS)
    numbers = {one["number"] for one in street.told("rf0001-1", ABSENT)}
    assert numbers <= set(done.alerts)
    assert all(name.startswith("rf0001-1 ") for name in doubtful(street))
    assert street.final() == before
    assert done.worn_under == ("o-rf0001",)
    assert not check(street.store, VAULT).faults


def test_a_time_in_which_it_fed_nothing_flags_nothing(street: Street) -> None:
    two_absent(street)
    assert found(street, "home0001", LATER_MS - HOUR_MS, LATER_MS).alerts == ()
    found(street, "home0001", MONDAY_MS, CURFEW_MS - HOUR_MS)
    # what adds up over the order may hold any of its time
    assert set(doubtful(street)) <= {"rf0001-1 atv_reached"}


def test_a_reading_before_the_alert_that_it_names_counts_too(street: Street) -> None:
    two_absent(street)
    (alert,) = street.told("rf0001-1", ABSENT)
    named = {(epoch, seq) for epoch, seq in alert["readings"]}
    assert named
    with street.store.read() as connection:
        from gateway.store.doubts import Doubts

        times = sorted(Doubts(connection)._times("home0001", named))
    assert times
    done = found(street, "home0001", times[0], times[0] + 1000)
    assert alert["number"] in done.alerts


def test_a_faulty_part_flags_what_rests_on_it_only(street: Street) -> None:
    activation = street.wear("gps0001")
    judged(
        street,
        LATER_MS,
        street.says("gps0001", tamper(CURFEW_MS, TamperCode.STRAP), at_ms=CURFEW_MS),
    )
    rules = {one["rule"] for one in street.told(activation)}
    assert "strap_tamper" in rules
    found(street, "gps0001", MONDAY_MS, sensor="power")
    assert doubtful(street) == {}
    found(street, "gps0001", MONDAY_MS, sensor="strap")
    assert f"{activation} strap_tamper" in doubtful(street)
    with pytest.raises(StockError, match=r"no part of a device: give one of satellites"):
        found(street, "gps0001", MONDAY_MS, sensor="bell")


def test_that_the_program_fails_at_a_wearer_is_no_fault_of_the_tags(street: Street) -> None:
    activation = street.wear("gps0001")
    judged(street, LATER_MS)
    with street.store.read() as connection:
        worn = Orders().activation(connection, activation)
    assert worn is not None
    failing = {activation: "it can not be read"}
    with street.store.write() as connection:
        raised = put_aside.changes(connection, failing, {activation: worn}, LATER_MS, DEFAULT_RULES)
        alerts.put(connection, raised, LATER_MS)
    assert street.told(activation, put_aside.RULE)
    found(street, "gps0001", MONDAY_MS)
    assert doubtful(street) and f"{activation} {put_aside.RULE}" not in doubtful(street)


def test_of_every_rule_there_is_it_is_known_what_of_a_device_feeds_it() -> None:
    """A rule that is added stands in one of the lists, or this tells of it."""
    fed = doubts.BY_READINGS | doubts.AS_A_WHOLE
    fed = fed.union(*(sensor.rules for sensor in doubts.SENSORS.values()))
    assert not fed & doubts.NOT_FED
    assert fed | doubts.NOT_FED == _rules_of_the_program()


def _rules_of_the_program() -> set[str]:
    """Every word at the top of a module that makes alerts, or given for a rule in it, but for what is none there."""
    words: set[str] = set()
    source = Path(doubts.__file__).parents[2]
    for path in (*source.glob("core/*.py"), *source.glob("gateway/**/*.py")):
        tree = ast.parse(path.read_text())
        calls = [(_called(node), node) for node in ast.walk(tree) if isinstance(node, ast.Call)]
        made = [node.args[_RULE_AT[name]] for name, node in calls if len(node.args) > _RULE_AT.get(name, 99)]
        if made or any(name == "Alert" for name, _ in calls):
            named = [
                node.value
                for node in ast.walk(tree)
                if isinstance(node, ast.Assign) and any(map(_is_rule, node.targets))
            ]
            tops = [node for node in tree.body if isinstance(node, ast.Assign | ast.AnnAssign)]
            words |= {
                one.value
                for node in (*tops, *made, *named)
                for one in ast.walk(node)
                if isinstance(one, ast.Constant) and isinstance(one.value, str)
            }
    return {word for word in words if re.fullmatch("[a-z]+(_[a-z]+)*", word)} - _NO_RULES


def _called(node: ast.Call) -> str:
    return node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")


def _is_rule(target: ast.expr) -> bool:
    return any(isinstance(one, ast.Name) and one.id == "rule" for one in ast.walk(target))


_RULE_AT = {"raise_alert": 1, "episode_alert": 2, "changes": 1}
"""Where the rule stands among what is given to those that make alerts."""
_NO_RULES = {
    *(
        "critical",
        "high",
        "medium",
        "low",
        "open",
        "ended",
        "withdrawn",
        "suspected",
        "confirmed",
        "environmental",
    ),
    *(
        "equipment",
        "order",
        "stated_exception",
        "event",
        "position",
        "contact",
        "sample",
        "flat",
        "end",
        "peak",
    ),
    *("inside", "outside", "greatest_depth_m", "greatest_distance_m", "seen_key", "seen_ms"),
}


def test_an_alert_that_is_told_later_is_flagged_as_it_is_written(street: Street) -> None:
    install(street.store, "home0001", street.wear("rf0001"), installed=MONDAY_MS)
    assert found(street, "home0001", CURFEW_MS).alerts == ()
    judged(street, LATER_MS, *spell(street, "home0001", "rf0001", CURFEW_MS, 300, 0))
    assert f"rf0001-1 {ABSENT}" in doubtful(street)
    with street.store.read() as connection:
        tellings = [one for some in outbox.undecided(connection).values() for one in some]
    assert tellings and all(one.doubtful and not one.only_doubt for one in tellings if one.revision == 1)


def test_a_used_up_allowance_is_doubtful_by_a_device_of_an_earlier_activation(street: Street) -> None:
    two_absent(street)
    with street.store.write() as connection:
        (alert,) = street.told("rf0001-1", ABSENT)
        entry = alerts.one_by_id(connection, alert["id"])
        assert entry is not None
        document = json.loads(entry.document) | {
            "rule": "atv_reached",
            "id": "f" * 32,
            "sources": [],
            "readings": [],
        }
        document |= {"start": "2030-01-01T00:00:00Z", "end": None}
        reached = alerts.AlertEntry(
            **{name: getattr(entry, name) for name in alerts.AlertEntry.__slots__}
            | {"id": "f" * 32, "rule": "atv_reached", "document": json.dumps(document)}
        )
        alerts.put(connection, [reached], LATER_MS)
    done = found(street, "home0001", CURFEW_MS, NIGHT_MS)
    assert "rf0001-1 atv_reached" in doubtful(street)
    assert len(done.alerts) >= 2


def test_a_finding_is_taken_back_by_a_record_of_its_own_and_flags_nothing_any_more(street: Street) -> None:
    two_absent(street)
    done = found(street, "home0001", CURFEW_MS)
    also = found(street, "home0001", MONDAY_MS, sensor="radio")
    assert set(doubtful(street)[f"rf0001-1 {ABSENT}"]) == {done.fault.id, also.fault.id}
    assert taken_back(street, "home0001", done.fault.id).alerts == done.alerts
    assert set(doubtful(street)[f"rf0001-1 {ABSENT}"]) == {also.fault.id}
    with pytest.raises(StockError, match="taken back before"):
        taken_back(street, "home0001", done.fault.id)
    with street.store.read() as connection:
        kept = stock.faults(connection, "home0001")
        (alert,) = street.told("rf0001-1", ABSENT)
        revisions = alerts.revisions(connection, alert["number"])
    assert [one.takes_back for one in kept] == [None, None, done.fault.id]
    assert [len(one.get("doubts", [])) for one in revisions][-4:] == [0, 1, 2, 1]
    assert not check(street.store, VAULT).faults


def test_said_twice_it_is_one_finding(street: Street) -> None:
    two_absent(street)
    first, again = found(street, "home0001", CURFEW_MS), found(street, "home0001", CURFEW_MS)
    assert again.fault.id == first.fault.id
    assert again.alerts == ()


def test_whoever_was_told_is_told_that_it_is_doubtful_and_nobody_of_what_was_withdrawn(
    street: Street,
) -> None:
    two_absent(street)
    (alert,) = street.told("rf0001-1", ABSENT)
    with street.store.write() as connection:
        entry = alerts.one_by_id(connection, street.told("rf0002-1", ABSENT)[0]["id"])
        assert entry is not None
        alerts.put(connection, [alerts.withdrawn(entry)], LATER_MS)
        connection.execute(text("UPDATE telling SET outcome = 'told', decided_ms = 1"))
    found(street, "home0001", CURFEW_MS)
    found(street, "home0002", CURFEW_MS)
    with street.store.read() as connection:
        waiting = outbox.undecided(connection)
        shown = alerts.one(connection, alert["number"])
        gone = alerts.one_by_id(connection, entry.id)
    (telling,) = waiting[alert["number"]]
    assert (telling.doubtful, telling.only_doubt, telling.state) == (True, True, shown["state"])  # type: ignore[index]
    assert gone is not None and json.loads(gone.document)["doubts"]
    assert not [one for some in waiting.values() for one in some if one.state == "withdrawn"]


def test_the_page_and_the_interface_tell_it_and_so_does_the_alerts_own_history(street: Street) -> None:
    two_absent(street)
    (alert,) = street.told("rf0001-1", ABSENT)
    done = found(street, "home0001", CURFEW_MS)
    book = StoredBook(street.store)
    record = book.numbered(alert["number"])
    assert record is not None
    (doubt,) = record.doubts
    assert (doubt.device, doubt.by, doubt.to) == ("home0001", "Wanda Workshop", None)
    assert json.loads(record.model_dump_json(by_alias=True))["doubts"][0]["from"].endswith("Z")
    newest = changes(book.revisions(record.id))[0]
    assert "home0001 was found faulty by Wanda Workshop" in newest.what[0]
    taken_back(street, "home0001", done.fault.id)
    assert f"No longer doubtful by finding {done.fault.id}" in changes(book.revisions(record.id))[0].what[0]


def test_a_check_of_the_store_misses_a_flag_that_somebody_removed(street: Street) -> None:
    two_absent(street)
    done = found(street, "home0001", CURFEW_MS)
    with street.store.write() as connection:
        for table in ("alert", "alert_revision"):
            changed = text(f"UPDATE {table} SET document = replace(document, :said, :instead)")
            connection.execute(changed, {"said": f'"finding":{done.fault.id},', "instead": '"finding":99,'})
    faults_ = check(street.store, VAULT).faults
    assert any("which is not in force" in one for one in faults_)
    assert any("not flagged by finding" in one for one in faults_)


def test_whatever_comes_first_the_same_alerts_are_flagged_in_the_end(tmp_path: Path) -> None:
    """Readings early and late, the finding, another that is taken back, a restart of the judge, in many orders."""
    orders = list(itertools.permutations(range(5)))[::6]
    ends = {_lived(tmp_path / f"{number}.sqlite", order) for number, order in enumerate(orders)}
    assert len(ends) == 1
    assert any("home0001" in doubts for *_, doubts in ends.pop())


def _lived(place: Path, order: tuple[int, ...]) -> frozenset[tuple[Any, ...]]:
    """What stands in the end, each with what is doubtful about it."""
    street = Street(Store.open(place))
    begun_ms = CURFEW_MS - HOUR_MS
    activation = street.wear("rf0001", MOTHERS, fitted_ms=begun_ms)
    install(street.store, "home0001", activation, installed=begun_ms)
    evening = spell(street, "home0001", "rf0001", CURFEW_MS, 150, 0)
    night = spell(street, "home0001", "rf0001", CURFEW_MS + 150 * MINUTE_MS, 150, 10)
    judge = judged(street, LATER_MS)

    def err() -> None:
        done = found(street, "home0001", CURFEW_MS, NIGHT_MS, reason="wrong")
        taken_back(street, "home0001", done.fault.id)

    def restart() -> None:
        nonlocal judge
        judge = judged(street, LATER_MS)

    steps: list[Callable[[], object]] = [
        lambda: judged(street, LATER_MS, *evening, judge=judge),
        lambda: judged(street, LATER_MS, *night, judge=judge),
        lambda: found(street, "home0001", CURFEW_MS, CURFEW_MS + HOUR_MS),
        err,
        restart,
    ]
    for step in order:
        steps[step]()
    deactivate(street.store, activation, LATER_MS)
    judged(street, LATER_MS, judge=judge)
    restart()
    assert not check(street.store, VAULT).faults
    with street.store.read() as connection:
        rows = alerts.listing(connection, limit=1000)
    street.store.close()
    return frozenset(
        (row["id"], row["state"], row["end"], row["sentence"], _doubts(row))
        for row in rows
        # what a device says that it holds is no reading: to hear of it later is another story
        if row["state"] != "withdrawn" and row["rule"] != "forgotten_readings"
    )


def _doubts(row: dict[str, Any]) -> str:
    return str([{**one, "finding": 0} for one in row.get("doubts", [])])
