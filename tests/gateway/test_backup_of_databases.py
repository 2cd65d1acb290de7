"""Backups of a real PostgreSQL, restored into a file or into another database, and the other way round."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import text

from gateway.backup import BackupError, backup
from gateway.check import check
from gateway.restore import finish_alone, restore
from gateway.settings import Settings
from gateway.store import Store, alerts, state
from gateway.trail import positions_of
from tests.gateway.kept_store import Kept, everything, keep, killed_at
from tests.gateway.postgres import PostgresServer
from tests.gateway.stand_in import positions

CHANGED = ("meta", "device")
"""Tables of which a restore changes rows: the generation, and keys that are sealed anew."""


def numbers(store: Store) -> list[int]:
    with store.read() as connection:
        return [int(number) for number in positions_of(connection, "tag0001").seq]


def filled(folder: Path, **chosen: str) -> Kept:
    kept = keep(folder, **chosen)
    tag = kept.add("tag0001")
    kept.say(tag, positions(1, 5))
    kept.say(tag, positions(2, 1, lat=40.0))  # a conflict, and with it an alert
    return kept


@pytest.fixture
def database(tmp_path: Path, postgres_server: PostgresServer) -> Iterator[Kept]:
    kept = filled(tmp_path / "data", store=postgres_server.empty())
    yield kept
    kept.store.close()


def test_a_backup_of_a_database_made_in_the_midst_of_writing_holds_one_moment_and_fits_a_file(
    database: Kept, tmp_path: Path
) -> None:
    tag, stop, said = database.add("tag0002"), threading.Event(), [0]

    def go_on() -> None:
        while not stop.is_set():
            database.say(tag, positions(said[0] + 1, 1))
            said[0] += 1

    writing = threading.Thread(target=go_on)
    writing.start()
    try:
        made = backup(database.settings, tmp_path / "b")
    finally:
        stop.set()
        writing.join()
    assert made.counts["device"] == 2
    box = keep(tmp_path / "box")
    box.store.close()
    restore(box.settings, tmp_path / "b", database.settings.master_key_path)
    found = keep(tmp_path / "box")
    assert numbers(found.store) == [1, 2, 3, 4, 5]
    assert check(found.store, found.vault).faults == []
    found.store.close()


def test_a_backup_of_a_file_fills_an_empty_database_and_no_other(
    tmp_path: Path, postgres_server: PostgresServer
) -> None:
    kept = filled(tmp_path / "data")
    backup(kept.settings, tmp_path / "b")
    place = postgres_server.empty()
    chosen = Settings.load(tmp_path / "box", mqtt_port=0, store=place)
    done = restore(chosen, tmp_path / "b", kept.settings.master_key_path)
    assert "another database" in done.unread
    found = keep(tmp_path / "box", store=place)
    assert everything(found.store, but=CHANGED) == everything(kept.store, but=CHANGED)
    assert check(found.store, found.vault).faults == []
    with found.store.write() as connection:
        assert state.generation(connection) == done.generation
        later = alerts.AlertEntry("c", "tag0001", None, "rule", "open", "high", 1, '{"id":"c"}')
        assert alerts.put(connection, [later], 3) == [10_001]
    found.say(found.add("tag0009"), positions(1, 1))
    with pytest.raises(BackupError, match="holds a store already"):
        restore(chosen, tmp_path / "b", kept.settings.master_key_path)
    found.store.close()
    kept.store.close()


@pytest.mark.parametrize("every", [16, pytest.param(1, marks=[pytest.mark.long, pytest.mark.timeout(3600)])])
def test_a_restore_into_a_database_killed_at_any_step_has_changed_nothing_or_is_carried_out(
    tmp_path: Path, postgres_server: PostgresServer, every: int
) -> None:
    kept = filled(tmp_path / "data")
    backup(kept.settings, tmp_path / "b")
    step, killed, seen = 1, True, set()
    while killed:
        place = postgres_server.empty()
        box = tmp_path / f"box{step}"
        settings = Settings.load(box, mqtt_port=0, store=place)
        box.mkdir()
        killed = killed_at(
            step,
            box,
            lambda settings=settings: restore(settings, tmp_path / "b", kept.settings.master_key_path),  # type: ignore[misc]
        )
        finish_alone(settings)  # what the gateway does when it starts
        found = Store.open(place)
        with found.read() as connection:
            whole = state.generation(connection) > 1
            held = connection.execute(text("SELECT count(*) FROM envelope")).scalar_one()
        assert held == (1 if whole else 0)
        assert (box / "authority" / "ca.pem").exists() == whole
        if whole:
            assert everything(found, but=CHANGED) == everything(kept.store, but=CHANGED)
        found.close()
        seen.add((killed, whole))
        step += every
    assert {(True, False), (False, True)} <= seen
    kept.store.close()
