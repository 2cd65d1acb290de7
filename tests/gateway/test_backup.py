"""Backups made while a gateway writes, and put back: whole or not at all, at whatever moment power goes."""

from __future__ import annotations

import io
import shutil
import sqlite3
import stat
import tarfile
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from gateway import commands
from gateway.backup import BackupError, backup
from gateway.check import check
from gateway.devices import Credentials, revoke_device
from gateway.restore import finish_alone, interrupted, restore
from gateway.store import Store, alerts, devices, envelopes, intake, state
from gateway.trail import positions_of
from tests.gateway.conftest import open_house
from tests.gateway.kept_store import Kept, keep, killed_at
from tests.gateway.stand_in import EPOCH, START_S, positions

STEPS = [pytest.param(5, id="short"), pytest.param(1, id="long", marks=pytest.mark.long)]
"""The short form cuts power at every fifth touch of a file, the long one at every single one."""


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[Kept]:
    opened = keep(tmp_path / "data")
    tag = opened.add("tag0001")
    opened.say(tag, positions(1, 5))
    visited(opened.settings.data_dir)
    yield opened
    opened.store.close()


BEGUN = b'{"visit": "20260603T220000Z-0a0b0c0d", "order": "o-1", "purpose": "fit", "at": "2026-06-03T22:00:00Z"}\n'
OPEN, DONE = "visits/open/o-1-fit-0123456789ab.jsonl", "visits/done/20260601T220000Z-11223344"


def visited(folder: Path) -> None:
    """A visit under way, whose journal is just being written, one that is over, and the list of tonight's."""
    for name, content in {
        OPEN: BEGUN + b'{"step": "find", "is": "be',
        f"{DONE}/record.json": b'{"wearer": {"name": "Alex Example"}}\n',
        f"{DONE}/record.html": b"<h1>Visit</h1>\n",
        f"{DONE}/record.pdf": b"%PDF-1.7\n",
        f"{DONE}/journal.jsonl": BEGUN.replace(b"20260603T220000Z-0a0b0c0d", b"20260601T220000Z-11223344"),
        "visits/planned.sealed": b"sealed",
    }.items():
        (folder / name).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        (folder / name).write_bytes(content)


def visits_in(folder: Path) -> dict[str, bytes]:
    """What lies in the visits' folder, by name."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted((folder / "visits").rglob("*"))
        if path.is_file()
    }


def _tag(kept: Kept) -> Credentials:
    return Credentials.read(kept.settings.devices_dir / "tag0001")


def numbers(store: Store) -> list[int]:
    with store.read() as connection:
        return [int(number) for number in positions_of(connection, "tag0001").seq]


def test_a_backup_is_one_file_that_only_its_owner_reads_and_holds_what_no_gateway_can_make_again(
    kept: Kept, tmp_path: Path
) -> None:
    made = backup(kept.settings, tmp_path / "b.tagwatch")
    assert stat.S_IMODE((tmp_path / "b.tagwatch").stat().st_mode) == 0o600
    assert (made.generation, made.counts["envelope"], made.counts["device"]) == (1, 1, 1)
    assert made.files.keys() == {
        "store.sqlite",
        *(f"authority/ca.{form}" for form in ("pem", "der", "key.sealed")),
        OPEN,
        *(f"{DONE}/{name}" for name in ("record.json", "record.html", "record.pdf", "journal.jsonl")),
    }
    assert {"broker", "master.key", "devices"} <= set(made.left_out)
    assert made.master == kept.vault.present
    assert sorted(path.name for path in tmp_path.iterdir()) == ["b.tagwatch", "data"]


def test_no_backup_is_written_over_another(kept: Kept, tmp_path: Path) -> None:
    backup(kept.settings, tmp_path / "b")
    before = (tmp_path / "b").read_bytes()
    with pytest.raises(BackupError, match="exists"):
        backup(kept.settings, tmp_path / "b")
    assert (tmp_path / "b").read_bytes() == before


def test_a_backup_made_in_the_midst_of_writing_holds_one_moment(kept: Kept, tmp_path: Path) -> None:
    tag, stop, said = _tag(kept), threading.Event(), [5]

    def go_on() -> None:
        while not stop.is_set():
            kept.say(tag, positions(said[0] + 1, 1))
            said[0] += 1

    writing = threading.Thread(target=go_on)
    writing.start()
    try:
        for n in range(4):
            at_least = said[0]
            backup(kept.settings, tmp_path / f"b{n}")
            other = tmp_path / f"box{n}"
            restore(keep(other).settings, tmp_path / f"b{n}", kept.settings.master_key_path)
            found = keep(other)
            held = numbers(found.store)
            assert held == list(range(1, len(held) + 1))
            assert len(held) >= at_least
            assert check(found.store, found.vault).faults == []
            found.store.close()
    finally:
        stop.set()
        writing.join()


def test_a_damaged_store_is_not_backed_up_as_if_it_were_sound(kept: Kept, tmp_path: Path) -> None:
    kept.store.close()
    path = kept.settings.store_path
    _spoil(path, "envelope_by_time")
    with pytest.raises(BackupError, match="damaged"):
        backup(kept.settings, tmp_path / "b")
    assert not (tmp_path / "b").exists()


def _spoil(path: Path, index: str) -> None:
    other = sqlite3.connect(path)
    (page,) = other.execute("SELECT rootpage FROM sqlite_master WHERE name = ?", (index,)).fetchone()
    (size,) = other.execute("PRAGMA page_size").fetchone()
    other.close()
    with path.open("r+b") as file:
        file.seek((page - 1) * size + 8)
        file.write(b"\xa5" * 64)


@pytest.mark.parametrize("at", [0, 600, 20_000, -12_000, -1])
def test_a_backup_of_which_a_byte_has_changed_is_refused_and_nothing_is_touched(
    kept: Kept, tmp_path: Path, at: int
) -> None:
    backup(kept.settings, tmp_path / "b")
    kept.say(_tag(kept), positions(6, 1))
    data = bytearray((tmp_path / "b").read_bytes())
    if at == -1:
        del data[len(data) // 2 :]
    else:
        data[at] ^= 0x10
    (tmp_path / "b").write_bytes(data)
    try:
        restore(kept.settings, tmp_path / "b")
    except BackupError:
        assert numbers(kept.store) == [1, 2, 3, 4, 5, 6]
        assert not (kept.settings.data_dir / "restore.new").exists()
    else:
        pytest.fail("it was believed")


def test_a_backup_that_would_write_elsewhere_is_refused(kept: Kept, tmp_path: Path) -> None:
    made = backup(kept.settings, tmp_path / "b")
    for name in ("../outside", "/tmp/outside", "devices/../../outside", "store.sqlite-wal", "devices"):
        evil = replace(made, files=made.files | {name: (0, "")})
        with tarfile.open(tmp_path / "evil", "w") as archive:
            document = evil.to_bytes()
            member = tarfile.TarInfo("manifest.json")
            member.size = len(document)
            archive.addfile(member, io.BytesIO(document))
        with pytest.raises(BackupError, match="belongs to no backup"):
            restore(kept.settings, tmp_path / "evil")


def test_a_restore_raises_the_generation_beyond_any_that_was_used_here(kept: Kept, tmp_path: Path) -> None:
    backup(kept.settings, tmp_path / "b")
    kept.store.close()
    first = restore(kept.settings, tmp_path / "b")
    again = restore(kept.settings, tmp_path / "b")  # the same, within the same second
    elsewhere = restore(keep(tmp_path / "other").settings, tmp_path / "b", kept.settings.master_key_path)
    assert 1 < first.generation < again.generation
    assert elsewhere.generation > 1_700_000_000, (
        "another box, which never saw the first restore, counts by the clock"
    )
    store = Store.open(kept.settings.store_place)
    with store.read() as connection:
        assert state.generation(connection) == again.generation
    store.close()


def test_what_people_were_told_since_the_backup_is_not_given_to_another(kept: Kept, tmp_path: Path) -> None:
    entry = alerts.AlertEntry("a", "tag0001", None, "rule", "open", "high", 1, '{"id":"a"}')
    with kept.store.write() as connection:
        assert alerts.put(connection, [entry], 1) == [1]
    backup(kept.settings, tmp_path / "b")
    other = alerts.AlertEntry("b", "tag0001", None, "rule", "open", "high", 1, '{"id":"b"}')
    with kept.store.write() as connection:
        assert alerts.put(connection, [other], 2) == [2]
    kept.store.close()
    restore(kept.settings, tmp_path / "b")
    store = Store.open(kept.settings.store_place)
    with store.write() as connection:
        later = alerts.AlertEntry("c", "tag0001", None, "rule", "open", "high", 1, '{"id":"c"}')
        assert alerts.put(connection, [later], 3) == [10_001]
        assert alerts.last_notice(connection) == 10_001
    store.close()


def test_whoever_was_revoked_since_the_backup_stays_revoked_and_new_devices_are_told_of(
    kept: Kept, tmp_path: Path
) -> None:
    backup(kept.settings, tmp_path / "b")
    kept.add("tag0002")
    revoke_device(kept.store, "tag0001", settings=kept.settings)
    kept.store.close()
    done = restore(kept.settings, tmp_path / "b")
    assert done.unknown == ("tag0002",)
    store = Store.open(kept.settings.store_place)
    with store.read() as connection:
        assert devices.revoked(connection) == {"tag0001"}
        assert [entry.id for entry in devices.every(connection)] == ["tag0001"]
    store.close()


def test_the_store_that_was_there_is_kept_with_all_that_it_held(kept: Kept, tmp_path: Path) -> None:
    backup(kept.settings, tmp_path / "b")
    kept.say(_tag(kept), positions(6, 1))  # stands in the log beside the file, which stays open
    done = restore(kept.settings, tmp_path / "b")
    kept.store.close()
    old = Store.open(Path(done.kept))
    assert numbers(old) == [1, 2, 3, 4, 5, 6]
    old.close()
    new = Store.open(kept.settings.store_place)
    assert numbers(new) == [1, 2, 3, 4, 5]
    new.close()


def test_a_store_that_can_not_be_read_any_more_is_replaced_all_the_same(kept: Kept, tmp_path: Path) -> None:
    backup(kept.settings, tmp_path / "b")
    kept.store.close()
    kept.settings.store_path.write_bytes(b"nothing that SQLite knows" * 1000)
    done = restore(kept.settings, tmp_path / "b")
    assert "not a database" in done.unread
    store = Store.open(kept.settings.store_place)
    assert numbers(store) == [1, 2, 3, 4, 5]
    store.close()


def test_visits_come_back_with_a_backup_the_open_one_as_far_as_it_was_written(
    kept: Kept, tmp_path: Path
) -> None:
    backup(kept.settings, tmp_path / "b")
    empty = keep(tmp_path / "empty")
    empty.store.close()
    restore(empty.settings, tmp_path / "b", kept.settings.master_key_path)
    wanted = visits_in(kept.settings.data_dir) | {OPEN: BEGUN}
    del wanted["visits/planned.sealed"]
    assert visits_in(empty.settings.data_dir) == wanted
    for path in (empty.settings.data_dir / "visits").rglob("*"):
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600)
    # what was there is put aside, not mixed with it
    (empty.settings.data_dir / OPEN).write_bytes(BEGUN * 2)
    restore(empty.settings, tmp_path / "b", kept.settings.master_key_path)
    assert visits_in(empty.settings.data_dir)[OPEN] == BEGUN
    assert [
        path
        for path in empty.settings.data_dir.glob("visits.before-*/open/*.jsonl")
        if path.read_bytes() == BEGUN * 2
    ]


def test_a_visit_that_ends_while_the_backup_looks_stands_in_it_once(kept: Kept, tmp_path: Path) -> None:
    folder = kept.settings.data_dir
    (folder / OPEN).write_bytes((folder / DONE / "journal.jsonl").read_bytes())
    assert OPEN not in backup(kept.settings, tmp_path / "b").files


@pytest.mark.parametrize("every", STEPS)
def test_a_backup_killed_at_any_step_leaves_no_file_or_a_whole_one(
    kept: Kept, tmp_path: Path, every: int
) -> None:
    kept.store.close()
    target = tmp_path / "out" / "b"
    target.parent.mkdir()
    step, killed = 1, True
    while killed:
        target.unlink(missing_ok=True)
        killed = killed_at(step, tmp_path, lambda: backup(kept.settings, target))
        if target.exists():
            shutil.rmtree(tmp_path / "box", ignore_errors=True)
            restore(keep(tmp_path / "box").settings, target, kept.settings.master_key_path)
        step += every
    assert step > 10
    assert [path.name for path in target.parent.iterdir()] == ["b"], (
        "the last one cleared up after those killed"
    )


@pytest.mark.parametrize("every", STEPS)
def test_a_restore_killed_at_any_step_leaves_a_gateway_that_is_wholly_the_old_or_wholly_the_new(
    kept: Kept, tmp_path: Path, every: int
) -> None:
    backup(kept.settings, tmp_path / "b")
    kept.say(_tag(kept), positions(6, 1))
    kept.add("tag0002")
    kept.store.close()
    later = b'{"step": "find", "is": "begun"}\n'
    (kept.settings.data_dir / OPEN).write_bytes(BEGUN + later)
    template = tmp_path / "template"
    shutil.copytree(kept.settings.data_dir, template)
    step, killed, seen = 1, True, set()
    while killed:
        box = tmp_path / f"box{step}"
        shutil.copytree(template, box)
        settings = keep(box).settings
        killed = killed_at(step, box, lambda settings=settings: restore(settings, tmp_path / "b"))  # type: ignore[misc]
        was_half = interrupted(settings)
        finish_alone(settings)  # what the gateway does when it starts
        found = keep(box)
        with found.store.read() as connection:
            new = state.generation(connection) > 1
            known = {entry.id for entry in devices.every(connection)}
        assert numbers(found.store) == list(range(1, 6 if new else 7))
        assert known == ({"tag0001"} if new else {"tag0001", "tag0002"})
        assert visits_in(box)[OPEN] == (BEGUN if new else BEGUN + later)
        assert check(found.store, found.vault).faults == []
        assert new or not was_half
        found.store.close()
        left = {path.name for path in box.iterdir() if "restore" in path.name}
        assert not left
        seen.add((killed, new, was_half))
        shutil.rmtree(box)
        step += every
    assert {(True, False, False), (True, True, True), (False, True, False)} <= seen


def test_after_a_restore_nothing_is_believed_twice_and_what_was_lost_is_told(tmp_path: Path) -> None:
    house = open_house(tmp_path / "data")
    try:
        now_ms = (START_S + 3600) * 1000
        tag = house.new_tag()
        house.gateway.advance(now_ms)
        assert tag.say(positions(1, 5)).commit == (EPOCH, 5)
        backup(house.settings, tmp_path / "b")  # while the gateway runs
        assert tag.say(positions(6, 5), base=6).commit == (EPOCH, 10)
        commands.queue(house.store, tag.device, "locate", {}, now_ms=now_ms)
        house.gateway.advance(now_ms + 1000)
        said = tag.hello(base=11)
        assert said.command is not None and (said.generation, said.command.n) == (1, 1)
        with pytest.raises(BackupError, match="a gateway runs"):
            restore(house.settings, tmp_path / "b")
        tag.close()
        house.store.close()
        assert house.gateway.stop() == 0
        done = restore(house.settings, tmp_path / "b")
        house.gateway.start()
        house.store = Store.open(house.settings.store_place)
        tag = house.connect(tag.credentials)
        # it has forgotten 6 to 10, and says so by its base; it is not asked for them, and they are an alarm
        said = tag.hello(base=11)
        assert (said.generation, said.commit, said.command) == (done.generation, (EPOCH, 10), None)
        assert tag.say(positions(11, 2), base=11).commit == (EPOCH, 12)
        with house.store.read() as connection:
            assert envelopes.ranges(connection, tag.device)[EPOCH] == [(1, 5, 1), (6, 10, 4), (11, 12, 1)]
            rules = [row["rule"] for row in alerts.listing(connection)]
        assert any("forgotten" in rule for rule in rules)
        n = commands.queue(house.store, tag.device, "locate", {}, now_ms=now_ms)
        house.gateway.advance(now_ms + 2000)
        said = tag.hello(base=13)
        assert said.command is not None and (said.generation, said.command.n) == (done.generation, n)
        assert n == 1
    finally:
        house.close()
        house.gateway.stop()


def test_a_file_of_an_order_that_is_not_here_after_a_restore_is_counted(kept: Kept, tmp_path: Path) -> None:
    (kept.settings.data_dir / "attachments").mkdir()
    with kept.store.write() as connection:
        intake.add_case(connection, intake.Case("c" * 32, "order", None, "", 1))
        for name in ("a", "b"):
            one = intake.Attachment(name * 32, "c" * 32, "order.pdf", "x", "cemo", 1, 4, name * 64)
            intake.add_attachment(connection, one)
    (kept.settings.data_dir / "attachments" / ("a" * 32)).write_bytes(b"%PDF")
    backup(kept.settings, tmp_path / "b")
    empty = keep(tmp_path / "empty")
    empty.store.close()
    assert restore(empty.settings, tmp_path / "b", kept.settings.master_key_path).missing == 1
