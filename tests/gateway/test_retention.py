"""Deletion by policy, on a file and on a real PostgreSQL: what goes, what must stay, and what is proven afterwards."""

from __future__ import annotations

import itertools
import json
import shutil
import sqlite3
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from typer.testing import CliRunner

from core import envelope as sealing
from core import wire
from gateway import due, holding, incidents, merkle, policy, retention, topics, visit_erasure
from gateway.check import check
from gateway.cli import app
from gateway.devices import Credentials
from gateway.fitting.doorstep import doorstep_of
from gateway.group import Received
from gateway.judge import Judge
from gateway.orders import OrderRefused, activate, add_order, deactivate, view
from gateway.orders.attachments import Arriving
from gateway.orders.intake import state_of, take_in
from gateway.policy import DAY_MS, Policy
from gateway.retention import Done, RetentionError
from gateway.sequences import Span
from gateway.store import Store, alerts, envelopes, erasures, intake, outbox, state
from gateway.store.marks import Mark
from gateway.web.stored import StoredBook
from tests.community_order import community_order
from tests.gateway.conftest import open_house
from tests.gateway.kept_store import Kept, keep, killed_at
from tests.gateway.stand_in import EPOCH, START_S, positions

SQUARE = [[-0.11, 51.49], [-0.09, 51.49], [-0.09, 51.51], [-0.11, 51.51], [-0.11, 51.49]]
FITTED_MS = (START_S - 60) * 1000
REMOVED_MS = (START_S + 7200) * 1000
JUDGED_MS = REMOVED_MS + 60_000
DAYS = {"readings": 30, "alerts": 60, "notifications": 40, "unworn": 20, "quarantine": 10}
LATER_MS = REMOVED_MS + 31 * DAY_MS
POLICY = Policy.model_validate(
    {"version": "7", "source": "a test"}
    | {kind: {"days": n, "text": f"{kind} go"} for kind, n in DAYS.items()}
)


def order(order_id: str, version: int = 1) -> dict[str, Any]:
    zone = {"type": "Polygon", "coordinates": [SQUARE]}
    condition = {"id": "zone-1", "type": "exclusion", "name": "a street", "zone": zone}
    return community_order(order_id, condition, version=version, effective="2025-01-01T00:00:00Z")


@dataclass
class Desk:
    """A gateway's store with a judge, and no processes."""

    kept: Kept
    judge: Judge

    @property
    def store(self) -> Any:
        return self.kept.store

    def fit(self, device: str, order_id: str, fitted_ms: int = FITTED_MS) -> tuple[Credentials, str]:
        tag = self.kept.add(device)
        add_order(self.store, order(order_id))
        self.age()
        return tag, activate(self.store, device, order_id, fitted_ms)

    def age(self) -> None:
        """Orders are learnt now; these were learnt long ago."""
        with self.store.write() as connection:
            connection.execute(text("UPDATE order_version SET known_at_ms = 1000"))

    def say(self, tag: Credentials, *blocks: wire.Block, base: int = 1) -> Any:
        topic = topics.up(tag.device)
        sealed = sealing.seal(tag.key, tag.device, topic, wire.encode_up(wire.Up(EPOCH, base, tuple(blocks))))
        self.judge.refresh()
        committed = self.kept.committer.commit([Received(topic, sealed, REMOVED_MS)])
        self.judge.add(committed)
        return committed

    def settle(self, now_ms: int = JUDGED_MS) -> Mark:
        self.judge.refresh()
        self.judge.judge(now_ms)
        mark = self.judge.mark()
        assert mark is not None
        return mark

    def run(self, now_ms: int = LATER_MS, chosen: Policy = POLICY, **more: Any) -> Done:
        return retention.run(
            self.store, chosen, now_ms, "an officer", lambda: self.settle(now_ms), trust_clock=True, **more
        )

    def stored(self) -> int:
        with self.store.read() as connection:
            return envelopes.count(connection)

    def said(self) -> list[tuple[int, str, str]]:
        with self.store.read() as connection:
            return [(row["number"], row["rule"], row["state"]) for row in alerts.listing(connection)]

    def again(self) -> Judge:
        """A gateway that starts anew."""
        self.judge = Judge(self.store)
        self.judge.refresh()
        return self.judge


@pytest.fixture
def desk(tmp_path: Path, place: Path | str) -> Iterator[Desk]:
    kept = keep(tmp_path / "data", **({} if isinstance(place, Path) else {"store": place}))
    judge = Judge(kept.store)
    judge.refresh()
    yield Desk(kept, judge)
    kept.store.close()


@pytest.fixture
def file_desk(tmp_path: Path) -> Iterator[Desk]:
    kept = keep(tmp_path / "data")
    judge = Judge(kept.store)
    judge.refresh()
    yield Desk(kept, judge)
    kept.store.close()


def visited(desk: Desk, device: str = "tag0001", order_id: str = "o-1") -> Credentials:
    """Somebody was in the zone and left it, and the tag was taken off two hours later."""
    tag, activation_id = desk.fit(device, order_id)
    desk.say(tag, positions(1, 5))
    desk.say(tag, positions(6, 60, lat=51.6))
    deactivate(desk.store, activation_id, REMOVED_MS)
    desk.settle()
    return tag


def another(desk: Desk) -> None:
    """A message that came after all others: the very last row of envelopes is never deleted."""
    desk.say(desk.kept.add("tag9999"), positions(1, 1))


def test_after_the_period_the_readings_are_gone_and_the_alerts_stand_whatever_is_judged_again(
    desk: Desk,
) -> None:
    visited(desk)
    another(desk)
    before = desk.said()
    assert "in_exclusion_zone" in {rule for _, rule, _ in before}
    assert desk.run(REMOVED_MS + 29 * DAY_MS).items == {}
    done = desk.run()
    assert done.items["readings"] == 2
    assert desk.stored() == 1
    assert desk.said() == before
    assert desk.judge.judge(LATER_MS + 1000) == 0
    assert desk.again().judge(LATER_MS + 2000) == 0, (
        "a gateway that starts withdraws nothing for want of evidence"
    )
    assert desk.said() == before
    assert check(desk.store, desk.kept.vault).faults == []


def test_without_a_rule_for_it_nothing_of_a_kind_goes(desk: Desk) -> None:
    visited(desk)
    another(desk)
    chosen = Policy.model_validate({"version": "1", "source": "x", "quarantine": {"days": 1, "text": "y"}})
    assert desk.run(LATER_MS * 2, chosen).items == {}
    assert desk.stored() == 3


def test_what_a_worn_tag_an_open_alert_or_a_hold_needs_stays_and_the_plan_says_why(desk: Desk) -> None:
    visited(desk, "tag0001", "o-gone")
    desk.fit("tag0002", "o-worn")
    tag, activation_id = desk.fit("tag0003", "o-open")
    desk.say(tag, positions(1, 5))
    deactivate(desk.store, activation_id, REMOVED_MS)
    desk.settle()
    entry = alerts.AlertEntry(
        "a", "tag0003", activation_id, "x", "open", "high", 1, '{"id":"a","readings":[]}'
    )
    visited(desk, "tag0004", "o-held")
    number = holding.place(desk.store, "order", "o-held", "the court", "an appeal", LATER_MS - 1)
    visited(desk, "tag0005", "o-alert-held")
    with desk.store.read() as connection:
        about = next(row for row in alerts.listing(connection) if row["device"] == "tag0005")["number"]
    holding.place(
        desk.store, "alert", str(about), "the police", "a question", LATER_MS - 1, LATER_MS + DAY_MS
    )
    another(desk)
    # an alert that the monitor would withdraw is written last, as another process would
    with desk.store.write() as connection:
        alerts.put(connection, [entry], JUDGED_MS)
    settled = Mark(10**6, 0)
    with desk.store.read() as connection:
        settled = Mark(10**6, state.changes(connection))

    def settle() -> Mark:
        with desk.store.read() as connection:
            return Mark(settled.envelope, state.changes(connection))

    found = retention.plan(desk.store, POLICY, LATER_MS)
    assert found.orders == ["o-gone"]
    assert found.kept.keys() == {"o-open", "o-held", "o-alert-held"}
    assert "is open" in found.kept["o-open"][0]
    assert found.kept["o-held"][0].startswith(f"hold {number} (the court: an appeal")
    assert found.items["readings"] == 2
    retention.run(desk.store, POLICY, LATER_MS, "an officer", settle, trust_clock=True)
    with desk.store.read() as connection:
        held = {
            name: len(list(envelopes.of_device(connection, name)))
            for name in ("tag0001", "tag0003", "tag0004", "tag0005")
        }
    assert held == {"tag0001": 0, "tag0003": 1, "tag0004": 2, "tag0005": 2}
    holding.lift(desk.store, number, "the court", LATER_MS + 1)
    retention.run(desk.store, POLICY, LATER_MS + DAY_MS, "an officer", settle, trust_clock=True)
    with desk.store.read() as connection:
        held = {name: len(list(envelopes.of_device(connection, name))) for name in ("tag0004", "tag0005")}
    assert held == {"tag0004": 0, "tag0005": 0}, "lifted, and over"


def test_what_has_not_been_judged_to_the_end_stays(desk: Desk) -> None:
    tag = visited(desk)
    before = desk.settle()
    desk.say(tag, positions(66, 3))
    another(desk)
    with pytest.raises(RetentionError, match="nothing was deleted"):
        retention.run(desk.store, POLICY, LATER_MS, "x", lambda: before, trust_clock=True)
    assert desk.stored() == 4
    assert desk.run().items["readings"] == 3


def test_an_excuse_that_was_learnt_late_begins_the_period_anew(desk: Desk) -> None:
    visited(desk)
    another(desk)
    add_order(desk.store, order("o-1", 2))
    with desk.store.write() as connection:
        connection.execute(
            text(f"UPDATE order_version SET known_at_ms = {LATER_MS - DAY_MS} WHERE version = 2")
        )
    assert desk.run().items.get("readings") is None
    assert desk.run(LATER_MS + 30 * DAY_MS).items["readings"] == 2


def test_a_reading_that_comes_again_after_its_deletion_is_known_and_makes_no_alarm(desk: Desk) -> None:
    tag = visited(desk)
    another(desk)
    desk.run()
    committed = desk.say(tag, positions(1, 5))
    assert committed.commits == {("tag0001", EPOCH): 65}
    assert (committed.counts["duplicates"], committed.counts["conflicts"]) == (5, 0)
    desk.say(tag, positions(66, 2))  # late, and new: evidence, of an order that nobody is judged by any more
    before = desk.said()
    assert desk.again().judge(LATER_MS + 1000) == 0
    assert desk.said() == before
    assert check(desk.store, desk.kept.vault).faults == []
    assert desk.run(LATER_MS + DAY_MS).items == {"unworn": 1}, "only what came meanwhile and is nobody's"


def test_nobody_can_be_judged_by_what_is_gone(desk: Desk) -> None:
    visited(desk)
    another(desk)
    desk.run()
    with pytest.raises(OrderRefused, match="closed"):
        add_order(desk.store, order("o-1", 2))
    add_order(desk.store, order("o-2"))
    with pytest.raises(OrderRefused, match="deleted by policy"):
        activate(desk.store, "tag0001", "o-2", REMOVED_MS - 7_000_000)
    activate(desk.store, "tag0001", "o-2", REMOVED_MS + 1)


def test_a_home_units_readings_stay_until_none_of_its_wearers_needs_them(desk: Desk) -> None:
    for name, order_id in (("tag0001", "o-1"), ("tag0002", "o-2")):
        desk.fit(name, order_id)
    unit = desk.kept.add("unit0001")
    with desk.store.write() as connection:
        connection.execute(
            text(
                "INSERT INTO installation (unit, activation, installed_ms, removed_ms, place) "
                f"SELECT 'unit0001', id, {FITTED_MS}, {REMOVED_MS}, 0 FROM activation"
            )
        )
        state.note_change(connection)
    desk.say(unit, positions(1, 5))
    another(desk)
    deactivate(desk.store, "tag0001-1", REMOVED_MS)
    assert "readings" not in desk.run().items
    deactivate(desk.store, "tag0002-1", REMOVED_MS)
    assert desk.run().items["readings"] == 1


def test_alerts_go_with_all_revisions_and_messages_and_each_is_proven(desk: Desk) -> None:
    visited(desk)
    another(desk)
    with desk.store.write() as connection:
        number = alerts.listing(connection)[-1]["number"]
        outbox.acknowledge(connection, number, "Sam", JUDGED_MS)
    later_ms = REMOVED_MS + 61 * DAY_MS
    done = desk.run(later_ms)
    assert done.items["alerts"] >= 1
    assert [row for row in desk.said() if row[0] == number] == []
    with desk.store.read() as connection:
        for table in ("alert_revision", "telling", "delivery", "acknowledgement"):
            assert (
                connection.execute(text(f"SELECT count(*) FROM {table} WHERE alert = {number}")).scalar() == 0
            )
        (proof,) = erasures.proofs_of_alert(connection, number)
    assert (proof.kind, proof.version, proof.by) == ("alerts", "7", "an officer")
    assert "alerts go" in proof.policy
    assert json.loads(proof.about)["rows"]["acknowledgement"] == 1
    assert desk.again().judge(later_ms + 1000) == 0
    assert check(desk.store, desk.kept.vault).faults == []


def test_the_records_of_messages_go_before_the_alert_that_they_told_of(desk: Desk) -> None:
    visited(desk)
    another(desk)
    done = desk.run(REMOVED_MS + 41 * DAY_MS)
    assert done.items["notifications"] >= 1
    assert "alerts" not in done.items


def test_an_incident_that_never_ends_protects_until_a_person_has_acknowledged_it(desk: Desk) -> None:
    tag = visited(desk)
    desk.say(tag, positions(2, 1, lat=40.0))  # a conflict
    desk.settle()
    another(desk)
    assert {rule for _, rule, state_ in desk.said() if state_ == "open"} & set(incidents.RULES)
    assert "readings" not in desk.run().items
    with desk.store.write() as connection:
        for row in alerts.listing(connection, state="open"):
            outbox.acknowledge(connection, row["number"], "Sam", JUDGED_MS)
    done = desk.run()
    assert done.items["readings"] == 3, "two messages, and the one that disagreed"
    with desk.store.read() as connection:
        assert envelopes.conflicts(connection) == []


def test_exactly_what_was_there_is_proven_to_have_been_there_and_nothing_else(desk: Desk) -> None:
    tag = visited(desk)
    another(desk)
    with desk.store.read() as connection:
        data = [one.data for one in envelopes.of_device(connection, "tag0001")]
    desk.run()
    with desk.store.read() as connection:
        for one in data:
            found = erasures.proof_of_item(connection, one)
            assert found is not None
            proof, path = found
            assert merkle.leads_to(merkle.leaf(one), path).hex() == proof.root
            assert "readings go" in proof.policy
        changed = data[0][:-1] + bytes([data[0][-1] ^ 1])
        assert erasures.proof_of_item(connection, changed) is None
        assert erasures.spans_of(connection, tag.device) == {EPOCH: [Span(1, 65)]}
        assert erasures.numbers_gone(connection, tag.device, EPOCH, 60, 70) == set(range(60, 66))


CHANGES = {
    "UPDATE erasure SET policy = 'another' WHERE id = 1": "its hash is another",
    "UPDATE erasure SET by = 'somebody else' WHERE id = 1": "its hash is another",
    "UPDATE erased SET spans = '[[1,64]]' WHERE erasure = 1": "its hash is another",
    "DELETE FROM erased WHERE erasure = 1": "its digest is not that",
    "UPDATE erasure SET previous = hash WHERE id = 2": "does not continue",
    "DELETE FROM erased WHERE device = 'tag0001'": "no proof says why",
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_chain_that_was_changed_is_found_out(file_desk: Desk, change: str) -> None:
    visited(file_desk)
    visited(file_desk, "tag0002", "o-2")
    another(file_desk)
    assert len(file_desk.run().proofs) >= 2
    with file_desk.store.write() as connection:
        assert connection.execute(text(change.replace(" by =", ' "by" ='))).rowcount >= 1
    faults = check(file_desk.store, file_desk.kept.vault).faults
    assert any(CHANGES[change] in fault for fault in faults), faults


def test_a_proof_cut_out_of_the_chain_is_missed(file_desk: Desk) -> None:
    visited(file_desk)
    visited(file_desk, "tag0002", "o-2")
    visited(file_desk, "tag0003", "o-3")
    another(file_desk)
    file_desk.run()
    with file_desk.store.write() as connection:
        connection.execute(text("DELETE FROM erased WHERE erasure = 2"))
        connection.execute(text("DELETE FROM erasure WHERE id = 2"))
    faults = check(file_desk.store, file_desk.kept.vault).faults
    assert any("one between is missing" in fault for fault in faults)
    assert any("no proof says why" in fault for fault in faults)


def test_nothing_of_what_was_deleted_is_left_in_the_stores_files(file_desk: Desk) -> None:
    tag, activation_id = file_desk.fit("tag0001", "o-1")
    for n in range(120):
        file_desk.say(tag, positions(1 + 10 * n, 10, lat=51.6 if n % 7 else 51.5), base=1)
        if n % 10 == 0:
            file_desk.settle((START_S + 600 * n) * 1000)
    deactivate(file_desk.store, activation_id, (START_S + 80_000) * 1000)
    file_desk.settle((START_S + 90_000) * 1000)
    another(file_desk)
    with file_desk.store.read() as connection:
        stored = [one.data for one in envelopes.of_device(connection, "tag0001")]
        documents = [json.dumps(row["figures"]) for row in alerts.listing(connection)]
    assert len(stored) == 120
    assert documents
    path = file_desk.kept.settings.store_path
    pieces = [data[-32:] for data in stored] + [data[40:72] for data in stored]
    assert sum(piece in _bytes(path) for piece in pieces) > 200, "they are there to be found"
    done = file_desk.run(REMOVED_MS + 400 * DAY_MS)
    assert done.scrubbed
    assert done.items["readings"] == 120
    assert done.items["alerts"] == len(documents)
    left = _bytes(path)
    assert [piece for piece in pieces if piece in left] == []
    assert b'"condition":"zone-1"' not in left
    assert path.with_name(path.name + "-wal").stat().st_size < 64 * 1024


def _bytes(path: Path) -> bytes:
    return b"".join(part.read_bytes() for part in sorted(path.parent.glob(path.name + "*")))


def test_while_somebody_reads_without_end_the_run_says_that_the_log_is_not_empty(file_desk: Desk) -> None:
    visited(file_desk)
    another(file_desk)
    other = sqlite3.connect(file_desk.kept.settings.store_path)
    other.execute("BEGIN")
    other.execute("SELECT count(*) FROM envelope").fetchone()
    retention._SCRUB_S, before = 0.2, retention._SCRUB_S
    try:
        assert not file_desk.run().scrubbed
    finally:
        retention._SCRUB_S = before
    other.rollback()
    other.close()
    assert file_desk.run().scrubbed, "the next run sees to it, although it deletes nothing"
    with file_desk.store.read() as connection:
        assert state.number(connection, state.SCRUB_DUE) == 0


def test_a_rewritten_store_holds_the_same(desk: Desk) -> None:
    visited(desk)
    another(desk)
    assert desk.run(rewrite=True).scrubbed
    assert check(desk.store, desk.kept.vault).faults == []


def test_a_clock_that_is_far_ahead_of_the_last_message_deletes_nothing(desk: Desk) -> None:
    visited(desk)
    another(desk)
    with pytest.raises(RetentionError, match="--trust-clock"):
        retention.run(desk.store, POLICY, LATER_MS, "x", desk.settle)
    assert desk.stored() == 3


def test_a_hold_placed_while_it_runs_stops_it_at_the_next_batch(file_desk: Desk) -> None:
    tag, activation_id = file_desk.fit("tag0001", "o-1")
    for n in range(30):
        file_desk.say(tag, positions(1 + n, 1, lat=51.6))
    deactivate(file_desk.store, activation_id, REMOVED_MS)
    another(file_desk)
    due.BATCH, before = 10, due.BATCH
    try:
        done = file_desk.run(
            pause=lambda _: (
                None
                if erasure_count(file_desk) > 1
                else holding.place(file_desk.store, "device", "tag0001", "x", "y", 1) and None
            )
        )
    finally:
        due.BATCH = before
    assert done.items["readings"] == 10
    with file_desk.store.read() as connection:
        assert len(list(envelopes.of_device(connection, "tag0001"))) == 20
    assert check(file_desk.store, file_desk.kept.vault).faults == []


def erasure_count(desk: Desk) -> int:
    with desk.store.read() as connection:
        return erasures.count(connection)


@pytest.mark.parametrize("wrong", ["days = 0", "day = 1", 'text = ""', "days = 1.5"])
def test_a_policy_that_can_not_be_used_is_refused_by_name(tmp_path: Path, wrong: str) -> None:
    file = tmp_path / "retention.toml"
    file.write_text(f'version = "1"\nsource = "x"\n[readings]\n{wrong}\n')
    with pytest.raises(policy.PolicyError, match=r"readings"):
        policy.read(file)
    assert policy.read(tmp_path / "none.toml") is None


def test_the_example_can_be_used_as_it_is() -> None:
    found = policy.read(Path(__file__).parents[2] / "docs" / "retention.toml")
    assert found is not None
    assert all(found.rule(kind) is not None for kind in policy.KINDS)


def test_the_commands_plan_delete_and_tell_while_the_gateway_runs(tmp_path: Path) -> None:
    house = open_house(tmp_path / "data")
    try:
        folder = house.settings.data_dir
        (folder / "tagwatch.toml").write_text('clock = "stepped"\n')  # for the commands
        tag = house.new_tag()
        add_order(house.store, order("o-1"))
        with house.store.write() as connection:
            connection.execute(text("UPDATE order_version SET known_at_ms = 1000"))
        activation_id = activate(house.store, tag.device, "o-1", FITTED_MS)
        house.gateway.advance(FITTED_MS)
        tag.say(positions(1, 5))
        tag.say(positions(6, 60, lat=51.6), base=6)
        house.gateway.advance(JUDGED_MS)
        deactivate(house.store, activation_id, REMOVED_MS)
        house.gateway.advance(LATER_MS)
        said = house.new_tag()
        said.say(positions(1, 1))
        before = [row["number"] for row in _listing(house.store)]
        assert before
        assert _run(folder, "plan").exit_code == 1, "without a policy"
        (folder / "retention.toml").write_text(
            'version = "3"\nsource = "a schedule"\n[readings]\ndays = 30\ntext = "They go."\n'
        )
        planned = json.loads(_run(folder, "plan", "--json").stdout)
        assert (planned["orders"], planned["items"]) == (["o-1"], {"readings": 2})
        placed = _run(folder, "hold", "order", "o-1", "--who", "a court", "--why", "an appeal")
        assert placed.stdout == "hold 1\n", placed.output
        held = _run(folder, "run", "--json")
        assert held.exit_code == 0, held.output
        assert json.loads(held.stdout)["items"] == {}
        assert _run(folder, "lift", "1", "--by", "the court").exit_code == 0
        done = json.loads(_run(folder, "run", "--by", "Sam", "--json").stdout)
        assert (done["items"], done["scrubbed"]) == ({"readings": 2}, True)
        told = json.loads(_run(folder, "proofs", "--alert", str(before[0]), "--json").stdout)
        assert told["whole"]
        assert told["proofs"][0]["by"] == "Sam"
        (shown,) = StoredBook(house.store).deletions(before[0])
        assert (shown.version, shown.proof) == ("3", 1)
        house.gateway.advance(LATER_MS + DAY_MS)
        tag.say(positions(60, 10, lat=51.6), base=60)
        house.gateway.kill_part("ingest")
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            if house.gateway.advance(LATER_MS + 2 * DAY_MS):
                break
        assert all(row["state"] != "withdrawn" for row in _listing(house.store) if row["number"] in before)
        assert check(house.store, house.authority.vault).faults == []
    finally:
        house.close()
        house.gateway.stop()


def _listing(store: Any) -> list[dict[str, Any]]:
    with store.read() as connection:
        return alerts.listing(connection)


def _run(folder: Path, *words: str) -> Any:
    return CliRunner().invoke(app, ["retention", *words, "--data-dir", str(folder)])


VISITS_POLICY = Policy.model_validate(
    {"version": "8", "source": "a test", "visits": {"days": 30, "text": "visits go"}}
)


def a_visit(folder: Path, name: str, order_id: str, *, ended: bool = True) -> Path:
    """A visit's folder, or its journal while it is under way."""
    first = json.dumps({"visit": name, "order": order_id, "purpose": "fit", "at": "x"}) + "\n"
    if not ended:
        path = folder / "visits" / "open" / f"{name}.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(first)
        return path
    place = folder / "visits" / "done" / name
    place.mkdir(parents=True)
    (place / "journal.jsonl").write_text(first)
    (place / "record.json").write_text(json.dumps({"order": order_id, "wearer": {"name": "Alex Example"}}))
    return place


def test_records_of_visits_go_when_their_period_is_over_with_proof_and_no_other(desk: Desk) -> None:
    visited(desk)
    desk.fit("tag0002", "o-2")
    folder = desk.kept.settings.data_dir
    going, worn, unknown = (
        a_visit(folder, name, order_id) for name, order_id in (("a", "o-1"), ("b", "o-2"), ("c", "o-3"))
    )
    said: dict[str, Any] = {"chosen": VISITS_POLICY, "data_dir": folder}
    assert desk.run(REMOVED_MS + DAY_MS, **said).proofs == []
    assert retention.plan(desk.store, VISITS_POLICY, LATER_MS, folder).items == {"visits": 1}
    under_way = a_visit(folder, "d", "o-1", ended=False)
    assert desk.run(**said).proofs == [], "a visit is under way"
    under_way.unlink()
    number = holding.place(desk.store, "order", "o-1", "a court", "an appeal", LATER_MS, None)
    assert desk.run(**said).proofs == [], "a hold is upon it"
    holding.lift(desk.store, number, "a court", LATER_MS)
    (proof,) = desk.run(**said).proofs
    assert not going.exists()
    assert worn.exists() and unknown.exists()
    about = json.loads(proof.about)
    assert (about["order"], about["visit"], about["files"]) == ("o-1", "a", ["journal.jsonl", "record.json"])
    assert check(desk.store, desk.kept.vault).faults == []
    assert desk.stored() > 0, "its readings are of another kind"


ORDERS_POLICY = Policy.model_validate(
    {"version": "9", "source": "a test", "order_messages": {"days": 30, "text": "what came in goes"}}
)
CAME_MS = FITTED_MS - DAY_MS
PNC = "2001/0045617C"


def came_in(desk: Desk, wearer: str | None = None, reference: str = "LDS-1") -> tuple[str, str]:
    """A wearer and an order of theirs as the order service sends them; returns both cases."""
    who = {"first_name": "Alex", "last_name": "Example", "date_of_birth": "1990-01-01", "pnc_id": PNC}
    wearer = wearer or take_in(desk.store, "createDW", "cemo", json.dumps(who).encode(), CAME_MS)
    said = {
        "case_id": wearer,
        "order_id": reference,
        "order_type": "Community",
        "order_start": "2025-06-02",
        "enforceable_condition": [{"condition": "Location Monitoring (Fitted Device)"}],
    }
    order_id = take_in(desk.store, "createMO", "cemo", json.dumps(said).encode(), CAME_MS)
    desk.age()
    return wearer, order_id


def attached(desk: Desk, case_id: str, content: bytes) -> Path:
    """A file that came with it."""
    with Arriving(desk.kept.settings.data_dir) as file:
        file.write(content)
        name = file.keep(desk.store, case_id, "Example licence.pdf", "x", "cemo", CAME_MS)
    return desk.kept.settings.data_dir / "attachments" / name


def over(desk: Desk, device: str, order_id: str) -> None:
    """A tag was worn under it, and taken off."""
    desk.kept.add(device)
    deactivate(desk.store, activate(desk.store, device, order_id, FITTED_MS), REMOVED_MS)
    desk.settle()
    with desk.store.write() as connection:
        # these stand on what a device never said
        for one in [row for row in alerts.listing(connection) if row["state"] == "open"]:
            entry = alerts.one_by_id(connection, one["id"])
            assert entry is not None
            alerts.put(connection, [alerts.withdrawn(entry)], JUDGED_MS)


def rows_of(desk: Desk) -> dict[str, int]:
    names = ("order_message", "order_task", "order_attachment", "order_identity")
    with desk.store.read() as connection:
        return {name: connection.execute(text(f"SELECT count(*) FROM {name}")).scalar_one() for name in names}


def test_what_came_in_with_an_order_goes_when_its_period_is_over_and_the_wearer_with_the_last_order(
    desk: Desk,
) -> None:
    wearer, first = came_in(desk)
    _, second = came_in(desk, wearer, "LDS-2")
    folder = desk.kept.settings.data_dir
    licence, photograph = attached(desk, first, b"the licence"), attached(desk, wearer, b"a photograph")
    over(desk, "tag0001", first)
    before = rows_of(desk)
    assert before["order_message"] == 3 and before["order_task"] and before["order_identity"]
    with desk.store.write() as connection:
        connection.execute(text(f"UPDATE order_task SET raised_ms = {CAME_MS}, done_ms = NULL"))
        message = next(row.data for row in intake.messages(connection, first))
    said: dict[str, Any] = {"chosen": ORDERS_POLICY, "data_dir": folder}
    assert desk.run(REMOVED_MS + DAY_MS, **said).proofs == []
    planned = retention.plan(desk.store, ORDERS_POLICY, LATER_MS, folder).items
    done = desk.run(**said)
    assert done.items == planned and rows_of(desk)["order_message"] == 2
    assert not licence.exists() and photograph.exists(), "the wearer has another order"
    with desk.store.read() as connection:
        shown = view.one(connection, first, LATER_MS)
        found = erasures.proof_of_item(connection, message)
        assert found is not None and json.loads(found[0].about)["case"] == first
        assert erasures.proof_of_item(connection, b"the licence") is not None
        assert doorstep_of(connection, first, LATER_MS) is not None
    assert [one["operation"] for one in shown["messages"]] == ["createDW"]
    assert [one["id"] for one in shown["attachments"]] == [photograph.name]
    assert "deleted by policy" in shown["deleted"]
    assert state_of(desk.store, first) == "3"
    assert b"Example licence" not in b"".join(proof.about.encode() for proof in done.proofs)
    late = take_in(
        desk.store,
        "updateMO",
        "cemo",
        json.dumps({"case_id": wearer, "order_id": "LDS-1"}).encode(),
        LATER_MS,
    )
    assert late == first and rows_of(desk)["order_task"], "what comes late is kept as long, with a task"
    assert "order_messages" not in desk.run(LATER_MS + DAY_MS, **said).items
    over(desk, "tag0002", second)
    done = desk.run(LATER_MS + 99 * DAY_MS, **said)
    assert rows_of(desk) == dict.fromkeys(before, 0)
    assert not photograph.exists()
    assert check(desk.store, desk.kept.vault).faults == []
    again = take_in(desk.store, "updateDW", "cemo", json.dumps({"pnc_id": PNC}).encode(), LATER_MS)
    assert again != wearer, "nobody is known by a number that is gone"


@pytest.mark.long
def test_a_run_killed_before_any_touch_of_an_attachment_leaves_it_whole_or_proven_and_the_next_ends_it(
    tmp_path: Path,
) -> None:
    template = tmp_path / "template"
    kept = keep(template)
    desk = Desk(kept, Judge(kept.store))
    _, order_id = came_in(desk)
    contents = (b"the licence", b"a photograph" * 1000)
    names = [attached(desk, order_id, content).name for content in contents]
    over(desk, "tag0001", order_id)
    kept.store.close()

    def work(folder: Path) -> None:
        opened = keep(folder)
        try:
            judge = Judge(opened.store)
            judge.refresh()
            Desk(opened, judge).run(chosen=ORDERS_POLICY, data_dir=folder)
        finally:
            opened.store.close()

    for step in itertools.count(1):
        box = tmp_path / f"box{step}"
        shutil.copytree(template, box)
        killed = killed_at(step, box / "attachments", lambda box=box: work(box))  # type: ignore[misc]
        store = Store.open(box / "store.sqlite")
        with store.read() as connection:
            told = {one.id for one in intake.attachments(connection)}
            proven = {
                name
                for proof in erasures.proofs(connection)
                for name in json.loads(proof.about).get("files", ())
            }
        store.close()
        assert told | proven == set(names) and not told & proven
        for name, content in zip(names, contents, strict=True):
            assert name in proven or (box / "attachments" / name).read_bytes() == content
        work(box)
        assert list((box / "attachments").iterdir()) == []
        if not killed:
            break
    assert step > 6, "it was killed in many places"


def test_a_run_that_was_cut_off_between_proof_and_deletion_is_ended_by_the_next(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    visited(desk)
    folder = desk.kept.settings.data_dir
    going = a_visit(folder, "a", "o-1")
    said: dict[str, Any] = {"chosen": VISITS_POLICY, "data_dir": folder}
    swept = visit_erasure.sweep
    calls = []

    def cut(*given: Any) -> None:
        calls.append(given)
        if len(calls) == 2:
            raise OSError("power is gone")
        swept(*given)

    monkeypatch.setattr(visit_erasure, "sweep", cut)
    with pytest.raises(OSError, match="power is gone"):
        desk.run(**said)
    monkeypatch.undo()
    assert going.exists()
    assert desk.run(**said).proofs == [], "it is proven already"
    assert not going.exists()
    assert check(desk.store, desk.kept.vault).faults == []
