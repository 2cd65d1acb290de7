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
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import select, text
from sqlalchemy.exc import DBAPIError

from gateway import backup, replica, users
from gateway.authority import seal_authority
from gateway.backup import BackupError, Manifest
from gateway.keys import held, seal_anew, seal_open_keys, wiped
from gateway.orders import attachments
from gateway.seal import SealError, Vault
from gateway.settings import Settings
from gateway.store import (
    Store,
    StoreError,
    accounts,
    bundles,
    copying,
    devices,
    dialect,
    erasures,
    intake,
    order_clients,
    sqlite_file,
    state,
)
from gateway.store.tables import device as device_table
from gateway.whole_files import sync_folder, write_whole

PLAN = "restore.plan"
_STAGE = "restore.new"
_OF_THE_STORE = ("suspects.json",)
"""Notes beside the store that name its activations: in another store those names may be other people's."""
_NUMBERS = ("alert", "alert_revision")
_ROUND = 10_000


@dataclass(frozen=True, slots=True)
class Restored:
    """What was restored: the backup's ``manifest``, the new ``generation``, and where the old store is ``kept``.

    ``unknown`` are devices of the devices folder as it was that the backup does not know; ``unread`` says why the old
    store could not be asked for its numbers and revocations, "" where it could, or where there was none. ``missing`` is
    how many files that came with orders the store tells of and that are not here, nor in the store.
    """

    manifest: Manifest
    generation: int
    kept: str
    unknown: tuple[str, ...]
    unread: str
    missing: int = 0


@dataclass(frozen=True, slots=True)
class _Old:
    """What has to be carried over from the store that is there."""

    generation: int = 0
    numbers: tuple[tuple[str, int], ...] = ()
    revoked: tuple[tuple[str, int], ...] = ()
    disabled: tuple[tuple[str, int], ...] = ()
    """Users who are kept out, and since when."""
    tokens: tuple[tuple[str, int], ...] = ()
    """Machines' tokens that are believed no longer, and since when."""
    clients: tuple[tuple[str, int], ...] = ()
    """Order services that may send nothing any more, and since when."""
    bundles: tuple[tuple[str, int], ...] = ()
    """Enrolment bundles that were revoked, and when."""
    unread: str = ""


def restore(settings: Settings, source: Path | None, master_key: Path | None = None) -> Restored:
    """Put what the backup ``source`` holds in the place of what is there; where it is None, what the replica holds.

    Its keys are sealed anew under the master key of this box; ``master_key`` is the file with the one that they are
    sealed under, where that is another, or where the box has none yet and is to have this one.

    Raises BackupError, and then nothing has changed: a gateway runs, the backup is not sound, its keys can not be
    opened, or the disk is too full.
    """
    target = settings.store_place
    settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    with alone(settings), held(settings, wait=True):
        finish(settings)
        stage = settings.data_dir / _STAGE
        try:
            if isinstance(target, str):
                _refuse_what_is_not_empty(target)
            manifest = _fetch(settings, stage) if source is None else backup.unpack(source, stage)
            old = _Old(unread="it is in another database") if isinstance(target, str) else _look(target)
            found = _noted(stage / backup.STORE) if source is None else {}
            before = max(old.generation, manifest.generation, found.get("generation", 0))
            generation = max(before, round(time.time()) - 1) + 1
            vault = _vault(settings, manifest, master_key)
            begins = _make_ready(stage / backup.STORE, generation, old, vault, goes_on=source is None)
            if source is not None:
                seal_authority(stage / "authority", vault)
            moves = _moves(settings, stage, target, generation)
            known = {str(name) for (name,) in sqlite_file.rows(stage / backup.STORE, "SELECT id FROM device")}
            folders = {path.name for path in _folders(settings.devices_dir)}
            _sync_tree(stage)
            if source is None:
                _claim(settings, found, generation, begins)
            write_whole(settings.data_dir / PLAN, json.dumps(moves).encode(), 0o600)
            sync_folder(settings.data_dir)
        except (OSError, sqlite3.Error, StoreError, SealError) as error:
            raise BackupError(f"nothing was restored: {error}") from error
        except DBAPIError as error:
            raise BackupError(f"nothing was restored: {error.orig}") from error
        finally:
            if not (settings.data_dir / PLAN).exists():
                shutil.rmtree(stage, ignore_errors=True)
        finish(settings)
        missing = _lay_out(settings)
    kept = "" if isinstance(target, str) else moves[0][2]
    return Restored(
        manifest,
        generation,
        kept if kept and Path(kept).exists() else "",
        tuple(sorted(folders - known)),
        old.unread,
        missing,
    )


def _lay_out(settings: Settings) -> int:
    """Write the files that came with orders which the store has in pieces; returns how many are not to be had."""
    store = Store.open(settings.store_place)
    try:
        return len(attachments.lay_out(settings.data_dir, store))
    except OSError:  # the disk is full: the gateway does it when it begins
        with store.read() as connection:
            told = {one.id for one in intake.attachments(connection)}
        return len(told - {path.name for path in (settings.data_dir / backup.ATTACHMENTS).glob("*")})
    finally:
        store.close()


def interrupted(settings: Settings) -> bool:
    """Was a restore cut off, so that what is there is half the one and half the other?"""
    return (settings.data_dir / PLAN).exists()


def finish(settings: Settings) -> None:
    """Carry out a restore that was cut off, if there was one. Only under the lock that a gateway holds."""
    plan = settings.data_dir / PLAN
    stage = settings.data_dir / _STAGE
    if plan.exists():
        for staged, target, kept in json.loads(plan.read_bytes()):
            if target:
                _replace(Path(staged), Path(target), Path(kept))
            else:
                _fill(settings, Path(staged))
        for name in _OF_THE_STORE:
            (settings.data_dir / name).unlink(missing_ok=True)
        plan.unlink()
        sync_folder(settings.data_dir)
    plan.with_name(plan.name + ".tmp").unlink(missing_ok=True)
    shutil.rmtree(stage, ignore_errors=True)


def finish_alone(settings: Settings) -> None:
    """The same for a command. Raises BackupError where the gateway is just doing it."""
    with alone(settings):
        finish(settings)


@contextmanager
def alone(settings: Settings) -> Iterator[None]:
    """No gateway runs meanwhile. Raises BackupError where one does."""
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
        tables = {str(name) for (name,) in sqlite_file.rows(target, "SELECT name FROM sqlite_master")}
        disabled, tokens, clients, bundles = [], [], [], []
        if "order_client" in tables:
            clients = sqlite_file.rows(
                target, "SELECT name, revoked_at_ms FROM order_client WHERE revoked_at_ms IS NOT NULL"
            )
        if "bundle" in tables:
            bundles = sqlite_file.rows(
                target, "SELECT id, revoked_ms FROM bundle WHERE revoked_ms IS NOT NULL"
            )
        if "account" in tables:  # a store of before there were users has none
            disabled = sqlite_file.rows(
                target, "SELECT name, disabled_ms FROM account WHERE disabled_ms IS NOT NULL"
            )
            tokens = sqlite_file.rows(
                target, "SELECT id, revoked_ms FROM access_token WHERE revoked_ms IS NOT NULL"
            )
    except sqlite3.Error as error:
        return _Old(unread=str(error))
    return _Old(
        int(str(generations[0][0])) if generations else 1,
        _pairs(numbers),
        _pairs(revoked),
        _pairs(disabled),
        _pairs(tokens),
        _pairs(clients),
        _pairs(bundles),
    )


def _pairs(rows: Iterable[tuple[object, ...]]) -> tuple[tuple[str, int], ...]:
    return tuple((str(name), int(str(number))) for name, number in rows)


def _fetch(settings: Settings, stage: Path) -> Manifest:
    """Make a store of what the replica holds. The authority is no part of that: it must be here. Raises BackupError."""
    place = settings.replica_place
    if place is None:
        raise BackupError("no replica is set: give its place as `replica`, with commit_after = 'replica'")
    if not (settings.authority_dir / "ca.pem").exists():
        raise BackupError(
            f"{settings.authority_dir} holds no authority, so no tag would believe this gateway: restore a backup "
            "first, however old, and then from the replica"
        )
    if isinstance(place, Path) and not place.exists():
        raise BackupError(f"there is no replica at {place}")
    stage.mkdir(mode=0o700)
    try:
        manifest = backup.fetch(place, stage / backup.STORE)
    except DBAPIError as error:
        raise BackupError(f"the replica can not be read: {error.orig}") from error
    if "changes" not in _noted(stage / backup.STORE):
        raise BackupError(
            f"{replica.shown(place)} holds no copy of a store: is its disk mounted, is it the right database?"
        )
    return manifest


def _noted(path: Path) -> dict[str, int]:
    return dict(_pairs(sqlite_file.rows(path, "SELECT name, value FROM replica")))


def _claim(settings: Settings, found: dict[str, int], generation: int, begins: dict[str, int]) -> None:
    """From now on the copy is this gateway's: whoever wrote to it before does not any more. Raises BackupError."""
    place = settings.replica_place
    assert place is not None
    copy = Store.open(place)
    try:
        replica.claim(copy, found, generation, begins)
    except replica.ReplicaError as error:
        raise BackupError(f"nothing was restored: {error}") from error
    finally:
        copy.close()


def _vault(settings: Settings, manifest: Manifest, master_key: Path | None) -> Vault:
    """The master key of this box, to which that of the backup is added if need be. Raises SealError, OSError."""
    given = None if master_key is None else Vault.open(master_key)
    place = settings.master_key_path
    if given is not None and not place.exists():
        place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_whole(place, given.masters.to_bytes(), 0o600)
    elif not place.exists() and manifest.master:
        raise SealError(
            f"the keys in this backup are sealed under master key {manifest.master}, which this box does not have: "
            "give the copy that was kept apart with --master-key FILE"
        )
    vault = Vault.open_or_make(place)
    if given is not None:
        vault.also(given.masters.keys)
    return vault


def _make_ready(path: Path, generation: int, old: _Old, vault: Vault, *, goes_on: bool) -> dict[str, int]:
    """Bring the unpacked store to the present form, and make it one that comes after ``old``.

    With ``goes_on`` it is of a replica, and that goes on being its copy, from a whole one on. Returns after which
    numbers it goes on, as it notes them itself: a later restore may know nothing else of them. Raises StoreError and
    SealError.
    """
    begins: dict[str, int] = {}
    store = Store.open(path)
    with store.write() as connection:
        lay_open = seal_open_keys(connection, vault)
        seal_anew(connection, vault)
        pair = copying.numbers(connection).get("pair")
        copying.part(connection)
        if goes_on and pair is not None:
            # the copy is there: an empty place would be a disk that is not mounted
            copying.set_numbers(connection, pair=pair, resync=1, copied=1)
        state.set_number(connection, state.GENERATION, generation)
        state.note_change(connection)
        known = set(connection.execute(select(device_table.c.id)).scalars())
        for name, at_ms in old.revoked:
            if name in known:
                devices.revoke(connection, name, at_ms)
        # whoever signed out since must not be signed in again, nor whoever was kept out be let in
        now_ms = users.present_ms(connection)
        accounts.end_sessions(connection, None, now_ms, "a backup was restored")
        for name, at_ms in old.disabled:
            accounts.set_disabled(connection, name, at_ms)
        for token_id, at_ms in old.tokens:
            accounts.revoke_token(connection, token_id, at_ms)
        for name, at_ms in old.clients:
            order_clients.revoke(connection, name, at_ms)
        for bundle_id, at_ms in old.bundles:
            bundles.revoke(connection, bundle_id, at_ms)
        mine = {
            str(row.name): int(row.seq)
            for row in connection.execute(text("SELECT name, seq FROM sqlite_sequence"))
        }
        for name in _NUMBERS:
            begun = state.number(connection, f"{name}_from")
            deleted = erasures.highest(connection, "alerts") if name == "alert" else 0
            highest = max(mine.get(name, 0), dict(old.numbers).get(name, 0), begun, deleted)
            begins[f"{name}_from"] = (highest // _ROUND + 1) * _ROUND
            state.set_number(connection, f"{name}_from", begins[f"{name}_from"])
            connection.execute(text("DELETE FROM sqlite_sequence WHERE name = :name"), {"name": name})
            connection.execute(
                text("INSERT INTO sqlite_sequence (name, seq) VALUES (:name, :seq)"),
                {"name": name, "seq": begins[f"{name}_from"]},
            )
    if lay_open and not wiped(store):
        raise BackupError(
            "the restored store could not be written anew without the keys that lay open: try again"
        )
    store.close()  # the last to close it leaves one file
    if any(path.with_name(path.name + suffix).exists() for suffix in sqlite_file.BESIDE):
        raise BackupError("the restored store could not be written out as one file: try again")
    return begins


def _refuse_what_is_not_empty(place: str) -> None:
    """Of a database nothing is put aside: only an empty one is filled. Raises BackupError, StoreError, DBAPIError."""
    store = Store.open(place)
    try:
        with store.read() as connection:
            if not copying.is_empty(connection):
                raise BackupError(
                    "the database holds a store already: make an empty one beside it, and give that as `store`"
                )
    finally:
        store.close()


def _fill(settings: Settings, staged: Path) -> None:
    """Fill the empty database with the store that is made ready, in one transaction; done before, or not begun."""
    place = settings.store_place
    assert isinstance(place, str)
    try:
        source, target = Store.open(staged), Store.open(place)
        try:
            with source.read() as reading, target.write() as writing:
                if copying.is_empty(writing):
                    copying.copy_all(reading, writing)
                    copying.set_numbers(writing, **copying.numbers(reading))
                    highest: dict[str, int] = dict(
                        iter(reading.execute(text("SELECT name, seq FROM sqlite_sequence")))
                    )
                    for name in _NUMBERS:
                        dialect.go_on_after(writing, name, "number", highest[name])
                elif state.generation(writing) != state.generation(reading):
                    raise BackupError(
                        "a restore was cut off, and its database holds another store by now: give an empty one as "
                        "`store`, and it is carried out"
                    )
        finally:
            source.close()
            target.close()
    except StoreError as error:
        raise BackupError(f"the restore that was begun can not be carried out: {error}") from error
    except DBAPIError as error:
        raise BackupError(f"the restore that was begun can not be carried out: {error.orig}") from error


def _moves(
    settings: Settings, stage: Path, target: Path | str, generation: int
) -> list[tuple[str, str, str]]:
    """What takes the place of what, and where that is kept. The store first: the plan's result tells of it.

    A database has no place that it could be moved to: of it the plan tells only what it is filled with.
    """
    filled = [(str((stage / backup.STORE).absolute()), "", "")] if isinstance(target, str) else []
    pairs = [(stage / backup.STORE, target)] if isinstance(target, Path) else []
    pairs += [(stage / name, settings.data_dir / name) for name in backup.FOLDERS if (stage / name).exists()]
    pairs += [
        (stage / name, settings.data_dir / name)
        for name in backup.FILES
        if (stage / name).exists() and not (settings.data_dir / name).exists()  # this machine's stay
    ]
    moves = filled
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
    sync_folder(target.parent)
    staged.rename(target)
    sync_folder(target.parent)


def _folders(folder: Path) -> list[Path]:
    return [path for path in folder.iterdir() if path.is_dir()] if folder.exists() else []


def _sync_tree(folder: Path) -> None:
    for path in sorted(folder.rglob("*"), reverse=True):
        if path.is_dir():
            sync_folder(path)
    with (folder / backup.STORE).open("rb") as file:
        os.fsync(file.fileno())
    sync_folder(folder)
