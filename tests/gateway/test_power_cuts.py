"""SIGKILL at random moments of migration, backup, restore and retention: what is left is a gateway that starts.

Each operation is first let run to its end, to know how long it takes here; then it is begun anew, each time on the
same files, and killed at an instant drawn from that span. The seed is in the test's name; the long form draws ten times
more.
"""

from __future__ import annotations

import json
import math
import os
import random
import select
import shutil
import signal
import sqlite3
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from sqlalchemy import text

from gateway import due, retention
from gateway.backup import backup
from gateway.check import check
from gateway.orders import activate, add_order, deactivate
from gateway.orders.attachments import Arriving
from gateway.policy import DAY_MS, Policy
from gateway.restore import finish_alone, restore
from gateway.settings import Settings
from gateway.store import Store, devices, envelopes, erasures, intake, sqlite_file, state
from gateway.store.database import MIGRATIONS
from gateway.store.dialect import WRITES, make_engine, url_of
from gateway.store.marks import Mark
from gateway.store.tables import metadata
from gateway.trail import positions_of
from tests.community_order import community_order
from tests.gateway.forked import forked, was_killed
from tests.gateway.kept_store import keep
from tests.gateway.stand_in import START_S, positions

ROUNDS = [
    pytest.param(10, 20261122, id="10-of-seed-20261122"),
    pytest.param(200, 7, id="200-of-seed-7", marks=[pytest.mark.long, pytest.mark.timeout(3600)]),
]
MESSAGES = 60
FITTED_MS = (START_S - 60) * 1000
REMOVED_MS = (START_S + 7200) * 1000
FILES = 3
"""That came with the order."""
VISITS = ("v1", "v2", "v3")
"""Visits that have a record."""
POLICY = Policy.model_validate(
    {"version": "1", "source": "a test", "readings": {"days": 30, "text": "They go."}}
    | {"visits": {"days": 30, "text": "They go, too."}}
    | {"order_messages": {"days": 30, "text": "And what came in."}}
)


class Cuts:
    """Begins some work again and again, and kills it at random moments."""

    def __init__(self, seed: int, work: Callable[[Path], object], template: Path, box: Path) -> None:
        self._dice = random.Random(seed)
        self._work = work
        self._template = template
        self._box = box
        self.killed = 0
        self._whole_s = math.inf
        for _ in range(2):
            self.once(None)
        assert self.killed == 0, "it ends by itself where nobody kills it"

    def once(self, after_s: float | None) -> Path:
        """Put the box back to the beginning and do the work, killed after so long; returns the box.

        What ends before was done that fast: a busy machine may be idle a moment later.
        """
        shutil.rmtree(self._box, ignore_errors=True)
        shutil.copytree(self._template, self._box)
        began_s = time.monotonic()
        pid = forked(lambda: self._work(self._box))
        ended = os.pidfd_open(pid)
        if not select.select([ended], [], [], after_s)[0]:
            os.kill(pid, signal.SIGKILL)
        os.close(ended)
        killed = was_killed(pid)
        self.killed += killed
        if not killed:
            self._whole_s = min(self._whole_s, time.monotonic() - began_s)
        return self._box

    def until(self, rounds: int) -> Iterator[Path]:
        """The box after each try, until so many were killed at a random moment; now and then one ends just before."""
        for _ in range(10 * rounds):
            yield self.once(self._dice.uniform(0, 1.1 * self._whole_s))
            if self.killed == rounds:
                return
        pytest.fail(f"of {10 * rounds} tries {self.killed} were killed before they ended")


def first_form(template: Path) -> Path:
    """A folder with a store as the first version made it: a device, and what it has sent."""
    template.mkdir()
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    engine = make_engine(url_of(template / "store.sqlite"), 0)
    with engine.execution_options(**{WRITES: True}).begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
        connection.execute(
            text(
                "INSERT INTO device (id, key, certificate, added_at_ms) "
                "VALUES ('tag0001', zeroblob(32), zeroblob(9), 5)"
            )
        )
        for n in range(MESSAGES):
            connection.execute(
                text(
                    "INSERT INTO envelope (device, epoch, first_seq, last_seq, wide, received_ms, data) "
                    f"VALUES ('tag0001', 1, {n}, {n}, false, {100 + n}, zeroblob(500))"
                )
            )
    engine.dispose()
    return template


@pytest.mark.parametrize(("rounds", "seed"), ROUNDS)
def test_a_migration_from_the_first_form_killed_at_any_moment_leaves_a_store_that_opens(
    tmp_path: Path, rounds: int, seed: int
) -> None:
    template = first_form(tmp_path / "template")
    cuts = Cuts(seed, lambda box: Store.open(box / "store.sqlite").close(), template, tmp_path / "box")
    for box in cuts.until(rounds):
        store = Store.open(box / "store.sqlite")  # what a gateway does when it starts
        with store.read() as connection:
            assert compare_metadata(MigrationContext.configure(connection), metadata) == []
            assert envelopes.count(connection) == MESSAGES
            assert devices.last_heard(connection) == {"tag0001": 100 + MESSAGES - 1}
        store.close()
        assert sqlite_file.faults(box / "store.sqlite") == []


def filled(folder: Path) -> Settings:
    """A gateway's folder with a wearer whose order is over."""
    kept = keep(folder)
    tag = kept.add("tag0001")
    zone = {"type": "Polygon", "coordinates": [[[0, 51], [0.1, 51], [0.1, 51.1], [0, 51]]]}
    condition = {"id": "z", "type": "exclusion", "name": "x", "zone": zone}
    add_order(kept.store, community_order("o-1", condition, effective="2025-01-01T00:00:00Z"))
    worn = activate(kept.store, "tag0001", "o-1", FITTED_MS)
    for n in range(MESSAGES):
        kept.say(tag, positions(1 + n, 1))
    deactivate(kept.store, worn, REMOVED_MS)
    for name in VISITS:
        place = folder / "visits" / "done" / name
        place.mkdir(parents=True)
        (place / "record.json").write_text(json.dumps({"order": "o-1", "visit": name}))
    with kept.store.write() as connection:
        intake.add_case(connection, intake.Case("o-1", "order", None, "", 1))
    for n in range(FILES):
        with Arriving(folder) as file:
            file.write(b"%d" % n * 5000)
            file.keep(kept.store, "o-1", f"{n}.pdf", "x", "cemo", 1)
    kept.say(kept.add("tag0002"), positions(1, 1))
    with kept.store.write() as connection:
        connection.execute(text("UPDATE order_version SET known_at_ms = 1000"))
    kept.store.close()
    return kept.settings


def at(box: Path) -> Settings:
    """The settings of a folder."""
    return Settings.load(box / "data", mqtt_port=0)


def numbers(store: Store, device: str = "tag0001") -> list[int]:
    with store.read() as connection:
        return [int(number) for number in positions_of(connection, device).seq]


@pytest.mark.parametrize(("rounds", "seed"), ROUNDS)
def test_a_backup_killed_at_any_moment_is_whole_or_not_there_and_the_gateway_untouched(
    tmp_path: Path, rounds: int, seed: int
) -> None:
    filled(tmp_path / "template" / "data")
    cuts = Cuts(seed, lambda box: backup(at(box), box / "b"), tmp_path / "template", tmp_path / "box")
    for box in cuts.until(rounds):
        kept = keep(box / "data")
        assert numbers(kept.store) == list(range(1, MESSAGES + 1))
        kept.store.close()
        if (box / "b").exists():
            restore(at(box), box / "b")
        else:
            backup(at(box), box / "b")


@pytest.mark.parametrize(("rounds", "seed"), ROUNDS)
def test_a_restore_killed_at_any_moment_leaves_wholly_the_old_or_wholly_the_new(
    tmp_path: Path, rounds: int, seed: int
) -> None:
    template = tmp_path / "template"
    backup(filled(template / "data"), template / "b")
    kept = keep(template / "data")
    kept.say(kept.add("tag0003"), positions(1, 1))
    kept.store.close()
    cuts = Cuts(seed, lambda box: restore(at(box), box / "b"), template, tmp_path / "box")
    for box in cuts.until(rounds):
        finish_alone(at(box))  # what the gateway does when it starts
        found = keep(box / "data")
        with found.store.read() as connection:
            new = state.generation(connection) > 1
            known = {entry.id for entry in devices.every(connection)}
        assert known == {"tag0001", "tag0002"} | (set() if new else {"tag0003"})
        assert check(found.store, found.vault).faults == []
        found.store.close()
        assert [path.name for path in (box / "data").iterdir() if path.name.startswith("restore")] == []


@pytest.mark.parametrize(("rounds", "seed"), ROUNDS)
def test_retention_killed_at_any_moment_leaves_gone_what_is_proven_to_be_gone_and_goes_on(
    tmp_path: Path, rounds: int, seed: int
) -> None:
    filled(tmp_path / "template" / "data")
    cuts = Cuts(seed, delete, tmp_path / "template", tmp_path / "box")
    seen = set()
    for box in cuts.until(rounds):
        found = keep(box / "data")
        left = numbers(found.store)
        with found.store.read() as connection:
            gone = erasures.spans_of(connection, "tag0001")
            told = [(proof.kind, json.loads(proof.about)) for proof in erasures.proofs(connection)]
            files = {one.id for one in intake.attachments(connection)}
        visits = {str(about["visit"]) for kind, about in told if kind == "visits"}
        away = {name for kind, about in told if kind == "order_messages" for name in about.get("files", ())}
        assert len(files) + len(away) == FILES and not files & away
        assert files <= attachments_of(box) <= files | away, "each file is here, or proven to be gone"
        assert visits | visits_of(box) == set(VISITS), "each record is here, or proven to be gone"
        proven = [number for spans in gone.values() for a, b in spans for number in range(a, b + 1)]
        assert sorted(left + proven) == list(range(1, MESSAGES + 1)), "each is here, or proven to be gone"
        assert check(found.store, found.vault).faults == []
        found.store.close()
        seen.add(len(left))
        delete(box)  # the next run goes on
        found = keep(box / "data")
        assert numbers(found.store) == []
        assert visits_of(box) == attachments_of(box) == set()
        assert check(found.store, found.vault).faults == []
        found.store.close()
    assert len(seen - {0, MESSAGES}) > 1, "some were killed in the midst of it"


def visits_of(box: Path) -> set[str]:
    """The visits of which there is a record."""
    return {path.parent.name for path in (box / "data" / "visits" / "done").glob("*/record.json")}


def attachments_of(box: Path) -> set[str]:
    """The files that came with an order."""
    return {path.name for path in (box / "data" / "attachments").iterdir()}


def delete(box: Path) -> None:
    """A run of retention in small batches, everything judged."""
    store = Store.open(at(box).store_place)

    def settle() -> Mark:
        with store.read() as connection:
            return Mark(10**9, state.changes(connection))

    batch, due.BATCH = due.BATCH, 3
    try:
        retention.run(
            store,
            POLICY,
            REMOVED_MS + 31 * DAY_MS,
            "x",
            settle,
            trust_clock=True,
            pause=lambda _: None,
            data_dir=at(box).data_dir,
        )
    finally:
        due.BATCH = batch
        store.close()


def test_a_kill_is_seen_as_one(tmp_path: Path) -> None:
    (tmp_path / "template").mkdir()

    def work(box: Path) -> None:
        with sqlite3.connect(box / "x") as file:
            file.execute("CREATE TABLE t (n)")
        time.sleep(0.2)

    cuts = Cuts(1, work, tmp_path / "template", tmp_path / "box")
    cuts.once(0.05)
    assert cuts.killed == 1
