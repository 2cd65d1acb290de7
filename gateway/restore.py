"""``tagwatch restore``: what a backup holds takes the place of what is there, all of it or nothing of it.

Everything is unpacked, verified and made ready beside what is there. Then one small file, the *plan*, says which takes
the place of which; from its being on disk on, whoever comes next (this program, or the gateway when it starts) carries
it out to the end. What was there is kept.

The restored store is of a higher generation (docs/protocol.md), so that commands count anew; its alerts go on from a
round number, so that a number that people were told is not given to another; and whoever was revoked stays revoked.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import select, text

from gateway import backup
from gateway.authority import write_whole
from gateway.backup import BackupError, Manifest
from gateway.settings import Settings
from gateway.store import Store, StoreError, devices, sqlite_file, state
from gateway.store.tables import device as device_table

PLAN = "restore.plan"
_STAGE = "restore.new"
_NUMBERS = ("alert", "alert_revision")
_ROUND = 10_000


@dataclass(frozen=True, slots=True)
class Restored:
    """What was restored: the backup's ``manifest``, the new ``generation``, and where the old store is ``kept``.

    ``unknown`` are devices of the devices folder as it was that the backup does not know; ``unread`` says why the old
    store could not be asked for its numbers and revocations, "" where it could, or where there was none.
    """

    manifest: Manifest
    generation: int
    kept: str
    unknown: tuple[str, ...]
    unread: str


@dataclass(frozen=True, slots=True)
class _Old:
    """What has to be carried over from the store that is there."""

    generation: int = 0
    numbers: tuple[tuple[str, int], ...] = ()
    revoked: tuple[tuple[str, int], ...] = ()
    unread: str = ""


def restore(settings: Settings, source: Path) -> Restored:
    """Put what the backup ``source`` holds in the place of what is there.

    Raises BackupError, and then nothing has changed: a gateway runs, the backup is not sound, or the disk is too full.
    """
    target = settings.store_place
    if isinstance(target, str):
        raise BackupError("the store is a PostgreSQL database: restore it with pg_restore, see docs/store.md")
    settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    with _alone(settings):
        finish(settings)
        stage = settings.data_dir / _STAGE
        try:
            manifest = backup.unpack(source, stage)
            old = _look(target)
            generation = max(old.generation, manifest.generation, round(time.time()) - 1) + 1
            _make_ready(stage / backup.STORE, generation, old)
            moves = _moves(settings, stage, target, generation)
            known = {str(name) for (name,) in sqlite_file.rows(stage / backup.STORE, "SELECT id FROM device")}
            folders = {path.name for path in _folders(settings.devices_dir)}
            _sync_tree(stage)
            write_whole(settings.data_dir / PLAN, json.dumps(moves).encode(), 0o600)
            backup.sync_folder(settings.data_dir)
        except (OSError, sqlite3.Error, StoreError) as error:
            raise BackupError(f"nothing was restored: {error}") from error
        finally:
            if not (settings.data_dir / PLAN).exists():
                shutil.rmtree(stage, ignore_errors=True)
        finish(settings)
    kept = moves[0][2]
    return Restored(
        manifest, generation, kept if Path(kept).exists() else "", tuple(sorted(folders - known)), old.unread
    )


def interrupted(settings: Settings) -> bool:
    """Was a restore cut off, so that what is there is half the one and half the other?"""
    return (settings.data_dir / PLAN).exists()


def finish(settings: Settings) -> None:
    """Carry out a restore that was cut off, if there was one. Only under the lock that a gateway holds."""
    plan = settings.data_dir / PLAN
    stage = settings.data_dir / _STAGE
    if plan.exists():
        for staged, target, kept in json.loads(plan.read_bytes()):
            _replace(Path(staged), Path(target), Path(kept))
        plan.unlink()
        backup.sync_folder(settings.data_dir)
    plan.with_name(plan.name + ".tmp").unlink(missing_ok=True)
    shutil.rmtree(stage, ignore_errors=True)


def finish_alone(settings: Settings) -> None:
    """The same for a command. Raises BackupError where the gateway is just doing it."""
    with _alone(settings):
        finish(settings)


@contextmanager
def _alone(settings: Settings) -> Iterator[None]:
    with (settings.data_dir / "serve.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BackupError(f"a gateway runs on {settings.data_dir}: stop it first") from None
        yield


def _look(target: Path) -> _Old:
    """What the store that is there says, if it still says anything."""
    if not target.exists() or not target.stat().st_size:
        return _Old()
    try:
        generations = sqlite_file.rows(target, "SELECT value FROM meta WHERE name = 'generation'")
        numbers = sqlite_file.rows(target, "SELECT name, seq FROM sqlite_sequence")
        revoked = sqlite_file.rows(
            target, "SELECT id, revoked_at_ms FROM device WHERE revoked_at_ms IS NOT NULL"
        )
    except sqlite3.Error as error:
        return _Old(unread=str(error))
    return _Old(
        int(str(generations[0][0])) if generations else 1,
        tuple((str(name), int(str(seq))) for name, seq in numbers),
        tuple((str(name), int(str(at_ms))) for name, at_ms in revoked),
    )


def _make_ready(path: Path, generation: int, old: _Old) -> None:
    """Bring the unpacked store to the present form, and make it one that comes after ``old``. Raises StoreError."""
    store = Store.open(path)
    with store.write() as connection:
        state.set_number(connection, state.GENERATION, generation)
        state.note_change(connection)
        known = set(connection.execute(select(device_table.c.id)).scalars())
        for name, at_ms in old.revoked:
            if name in known:
                devices.revoke(connection, name, at_ms)
        mine = {
            str(row.name): int(row.seq)
            for row in connection.execute(text("SELECT name, seq FROM sqlite_sequence"))
        }
        for name in _NUMBERS:
            highest = max(mine.get(name, 0), dict(old.numbers).get(name, 0))
            connection.execute(text("DELETE FROM sqlite_sequence WHERE name = :name"), {"name": name})
            connection.execute(
                text("INSERT INTO sqlite_sequence (name, seq) VALUES (:name, :seq)"),
                {"name": name, "seq": (highest // _ROUND + 1) * _ROUND},
            )
    store.close()  # the last to close it leaves one file
    if any(path.with_name(path.name + suffix).exists() for suffix in sqlite_file.BESIDE):
        raise BackupError("the restored store could not be written out as one file: try again")


def _moves(settings: Settings, stage: Path, target: Path, generation: int) -> list[tuple[str, str, str]]:
    """What takes the place of what, and where that is kept. The store first: the plan's result tells of it."""
    pairs = [(stage / backup.STORE, target)]
    pairs += [(stage / name, settings.data_dir / name) for name in backup.FOLDERS if (stage / name).exists()]
    pairs += [
        (stage / name, settings.data_dir / name)
        for name in backup.FILES
        if (stage / name).exists() and not (settings.data_dir / name).exists()  # this machine's stay
    ]
    moves = []
    for staged, place in pairs:
        if staged.stat().st_dev != place.parent.stat().st_dev:
            beside = place.with_name(place.name + ".restored")
            beside.unlink(missing_ok=True)
            shutil.copyfile(staged, beside)
            beside.chmod(0o600)
            with beside.open("rb") as file:
                os.fsync(file.fileno())
            staged = beside
        kept = place.with_name(f"{place.name}.before-{generation}")
        moves.append((str(staged.absolute()), str(place.absolute()), str(kept.absolute())))
    return moves


def _replace(staged: Path, target: Path, kept: Path) -> None:
    """Put aside what is at ``target`` and put ``staged`` there; done before, done in part or not begun."""
    if not staged.exists():
        return
    if target.exists():
        # where something is kept already, a program that does not know of plans has begun anew between
        target.rename(kept if not kept.exists() else kept.with_name(kept.name + ".stray"))
    # the old log must be gone before a new file stands there: SQLite would take it for the new one's
    for suffix in sqlite_file.BESIDE:
        beside = target.with_name(target.name + suffix)
        if beside.exists():
            beside.rename(kept.with_name(kept.name + suffix))
    backup.sync_folder(target.parent)
    staged.rename(target)
    backup.sync_folder(target.parent)


def _folders(folder: Path) -> list[Path]:
    return [path for path in folder.iterdir() if path.is_dir()] if folder.exists() else []


def _sync_tree(folder: Path) -> None:
    for path in sorted(folder.rglob("*"), reverse=True):
        if path.is_dir():
            backup.sync_folder(path)
    with (folder / backup.STORE).open("rb") as file:
        os.fsync(file.fileno())
    backup.sync_folder(folder)
