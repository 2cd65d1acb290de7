"""``tagwatch check``: a sound store is found sound, and whatever is changed in it is found, with its place."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import text
from typer.testing import CliRunner, Result

from gateway.check import check
from gateway.cli import app
from gateway.store import alerts
from gateway.trail import positions_of
from tests.gateway.kept_store import Kept, keep
from tests.gateway.stand_in import EPOCH, gap, positions, strange


@pytest.fixture
def kept(tmp_path: Path, place: Path | str) -> Iterator[Kept]:
    yield from filled(tmp_path / "data", **({} if isinstance(place, Path) else {"store": place}))


@pytest.fixture
def kept_file(tmp_path: Path) -> Iterator[Kept]:
    yield from filled(tmp_path / "data")


def filled(folder: Path, **chosen: str) -> Iterator[Kept]:
    opened = keep(folder, **chosen)
    tag = opened.add("tag0001")
    opened.say(tag, positions(1, 5))
    opened.say(tag, positions(4, 5))  # two of them again
    opened.say(tag, gap(12, 9, 2), base=9)
    opened.say(tag, positions(11, 1), strange(13, 2), base=11)
    opened.say(tag, positions(2, 1, lat=40.0))  # a conflict
    opened.say(tag, positions(30, 1), base=30)  # 15 to 29 are forgotten
    with opened.store.write() as connection:
        found = alerts.AlertEntry("a", "tag0001", None, "rule", "open", "high", 1, '{"id":"a"}')
        alerts.put(connection, [found], 1)
    yield opened
    opened.store.close()


def test_a_store_with_everything_that_a_tag_can_say_is_found_sound(kept: Kept) -> None:
    found = check(kept.store, kept.vault)
    assert found.faults == []
    assert found.looked_at["devices"] == 1
    assert found.looked_at["envelopes"] == 5
    assert found.looked_at["conflicts"] == 1
    assert found.looked_at["alerts"] == 3, "conflict, forgotten and this one"
    with kept.store.read() as connection:
        assert len(positions_of(connection, "tag0001")) == 10


CHANGES = {
    "UPDATE envelope SET data = (SELECT data FROM envelope WHERE first_seq = 30) WHERE first_seq = 1": (
        "says of itself epoch"
    ),
    "UPDATE envelope SET last_seq = 6 WHERE first_seq = 1": "says of itself epoch",
    "UPDATE envelope SET fresh = '[[6,9]]' WHERE first_seq = 4": "counts numbers that it does not hold",
    "UPDATE envelope SET fresh = NULL WHERE first_seq = 4": "4 to 8 some are stored by an earlier",
    "DELETE FROM envelope WHERE first_seq = 30": "30 to 30 are known as stored, but no envelope holds them",
    "DELETE FROM gap": "9 to 10 are known as gap, but no gap record names them",
    "UPDATE sequence_range SET how = 4 WHERE first = 30": "30 to 30 are stored and not known to be",
    "UPDATE sequence_range SET last = 20 WHERE first = 1": "its ranges overlap",
    "UPDATE alert SET document = '{}' WHERE id = 'a'": "is not what its last revision says",
    "UPDATE device SET key = certificate": "lies open or is damaged",
    "UPDATE device SET key = CAST(substr(key, 1, 64) || 'x' AS BLOB)": "somebody has changed it",
    "UPDATE conflict SET data = (SELECT certificate FROM device)": "is no envelope any more",
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_was_changed_is_found_and_named(kept_file: Kept, change: str) -> None:
    with kept_file.store.write() as connection:
        assert connection.execute(text(change)).rowcount >= 1
    found = check(kept_file.store, kept_file.vault).faults
    assert any(CHANGES[change] in fault for fault in found), found
    assert all(fault.startswith(("device tag0001", "alert ")) for fault in found)


def test_one_changed_bit_of_any_envelope_is_found(kept_file: Kept) -> None:
    with kept_file.store.read() as connection:
        rows = connection.execute(text("SELECT id, data FROM envelope")).all()
    for row in rows:
        for at in range(3, len(row.data), 29):
            data = bytearray(row.data)
            data[at] ^= 1
            change = text("UPDATE envelope SET data = :data WHERE id = :id")
            with kept_file.store.write() as connection:
                connection.execute(change, {"data": bytes(data), "id": row.id})
            faults = check(kept_file.store, kept_file.vault).faults
            assert any(f"envelope in row {row.id}" in fault for fault in faults), at
            with kept_file.store.write() as connection:
                connection.execute(change, {"data": row.data, "id": row.id})
    assert check(kept_file.store, kept_file.vault).faults == []


def run(folder: Path, *words: str) -> Result:
    return CliRunner().invoke(app, [*words, "--data-dir", str(folder)])


def test_the_command_says_what_is_wrong_and_ends_with_one(tmp_path: Path) -> None:
    kept = keep(tmp_path / "data")
    tag = kept.add("tag0001")
    kept.say(tag, positions(1, 5))
    backed_up = run(tmp_path / "data", "backup", str(tmp_path / "b"), "--json")
    assert json.loads(backed_up.stdout)["counts"]["envelope"] == 1, backed_up.output
    sound = run(tmp_path / "data", "check", "--json")
    assert (sound.exit_code, json.loads(sound.stdout)["sound"]) == (0, True), sound.output
    with kept.store.write() as connection:
        connection.execute(text("DELETE FROM envelope"))
    kept.store.close()
    spoilt = run(tmp_path / "data", "check")
    assert spoilt.exit_code == 1
    assert f"device tag0001, epoch {EPOCH}: 1 to 5 are known as stored" in spoilt.stdout
    restored = run(tmp_path / "data", "restore", str(tmp_path / "b"), "--json")
    assert json.loads(restored.stdout)["kept"], restored.output
    assert run(tmp_path / "data", "check").exit_code == 0
    (tmp_path / "data" / "store.sqlite").write_bytes(b"no store" * 1000)
    assert run(tmp_path / "data", "check").exit_code == 2
