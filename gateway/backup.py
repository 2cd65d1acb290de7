"""``tagwatch backup``: everything a gateway can not make again, in one file, while it runs.

The file is a tar archive: ``manifest.json`` first, then the store as it was at one moment, the authority, the
settings, what came with orders, and the visits' journals and records. Every key in it is sealed (``gateway.seal``);
the master key is not in it. It is written whole or not at all, and only after the copy of the store was found sound.
``gateway.restore`` reads it.
"""

from __future__ import annotations

import fcntl
import hashlib
import io
import json
import os
import sqlite3
import tarfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

from sqlalchemy.exc import DBAPIError

from gateway import store_url
from gateway.authority import NEXT_CERTIFICATE, NEXT_SEALED_KEY, SEALED_KEY, TAKES_PLACE
from gateway.clock import utc_text
from gateway.keys import held
from gateway.seal import SealError, Vault, is_sealed, master_of
from gateway.settings import FILE_NAME, Settings
from gateway.store import Store, StoreError, copying, sqlite_file
from gateway.store.tables import metadata
from gateway.whole_files import sync_folder

VERSION = 1
STORE = "store.sqlite"
MANIFEST = "manifest.json"
AUTHORITY_FILES = ("ca.pem", "ca.der", SEALED_KEY, NEXT_CERTIFICATE, NEXT_SEALED_KEY, TAKES_PLACE)
"""They belong to a backup: a tag believes only this authority. Those of broker and gateway are made anew."""
ATTACHMENTS = "attachments"
VISITS = "visits"
FOLDERS = ("authority", "devices", ATTACHMENTS, VISITS)
"""What may stand in one; `devices` in those of earlier versions only, which held keys that lay open."""
FILES = (FILE_NAME, "routes.toml", "retention.toml")
"""And these: settings, who is told of alerts, and how long what is kept."""

_OPEN_VISITS = "open/*.jsonl"
_ENDED_VISITS = ("done/*/*.json", "done/*/*.jsonl", "done/*/*.html", "done/*/*.pdf")
"""What of the visits' folder belongs to a backup: journals and records, which hold no key; not the list of tonight's
visits (docs/decisions/0030-the-visit-list-is-sealed-and-goes-away.md)."""
_PIECE = 1 << 20
_MOST_MANIFEST = 256 << 20


class BackupError(RuntimeError):
    """A backup can not be made, or can not be believed; the text says why and what to do."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a backup says of itself.

    ``form`` is the store's migration, ``counts`` the rows of each table, ``files`` size and SHA-256 (hex) by name;
    ``left_out`` is what else lay in the data folder; ``master`` the id of the master key that its keys are sealed
    under, "" where none is sealed.
    """

    made_at: str
    form: str
    generation: int
    counts: dict[str, int]
    files: dict[str, tuple[int, str]]
    left_out: tuple[str, ...]
    master: str = ""

    def to_bytes(self) -> bytes:
        """As it stands in the file."""
        return (json.dumps({"tagwatch_backup": VERSION} | asdict(self), indent=1) + "\n").encode()

    @classmethod
    def from_bytes(cls, data: bytes) -> Manifest:
        """Raises BackupError where it is not one, or of a newer program."""
        try:
            document = json.loads(data)
            version = document.pop("tagwatch_backup")
            if version != VERSION:
                raise BackupError(
                    f"the backup is of form {version}: restore it with the program that made it"
                )
            files = {
                str(name): (int(size), str(digest)) for name, (size, digest) in document["files"].items()
            }
            return cls(**(document | {"files": files, "left_out": tuple(document["left_out"])}))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise BackupError(f"its manifest can not be read: {error}") from None


def backup(settings: Settings, to: Path) -> Manifest:
    """Write a backup to the new file ``to``, readable by its owner only. A gateway may run meanwhile.

    Needs twice the size of the store beside ``to``. Raises BackupError, and then there is no such file.
    """
    if to.exists():
        raise BackupError(f"{to} exists: no backup is written over another, give a new name")
    source = _place(settings)
    try:
        with held(settings, wait=True), _temporary(to) as (file, copied):
            if isinstance(source, str):
                fetch(source, copied)
            else:
                sqlite_file.copy(source, copied)
            master = _sealed_under(settings, copied)
            faults = sqlite_file.faults(copied)
            if faults:
                raise BackupError(
                    f"the store is damaged ({faults[0]}), so this would be no backup: see `tagwatch check`, and "
                    "restore the last good one"
                )
            manifest = _write(file, settings, copied, master)
            os.fsync(file.fileno())
            if to.exists():  # somebody else has put it there meanwhile
                raise FileExistsError
            _partial(to).rename(to)
            sync_folder(to.parent)
    except FileExistsError:
        raise BackupError(f"{to} exists: no backup is written over another, give a new name") from None
    except (OSError, sqlite3.Error, StoreError) as error:
        raise BackupError(f"no backup could be written to {to}: {error}") from error
    except DBAPIError as error:
        raise BackupError(f"no backup could be written to {to}: {error.orig}") from error
    return manifest


def unpack(source: Path, put: Path) -> Manifest:
    """Unpack a backup into the new folder ``put`` and verify all of it. Raises BackupError where it is not sound."""
    put.mkdir(mode=0o700)
    try:
        with tarfile.open(source, "r:") as archive:
            manifest = _manifest_of(archive)
            found = {}
            while (member := archive.next()) is not None:
                name = member.name
                if not member.isfile() or name not in manifest.files:
                    raise BackupError(f"{source} holds {name!r}, of which its manifest does not tell")
                if ".." in Path(name).parts or Path(name).is_absolute():
                    raise BackupError(f"{source} holds {name!r}, which would lie elsewhere")
                path = put / name
                for folder in reversed(path.relative_to(put).parents):
                    (put / folder).mkdir(mode=0o700, exist_ok=True)
                content = archive.extractfile(member)
                assert content is not None
                with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                    found[name] = _copied(content, file)
                    file.flush()
                    os.fsync(file.fileno())
            ends = [member.offset_data + member.size for member in archive.getmembers()]
        if not _padded_with_nothing(source, ends):
            raise BackupError(f"{source} is damaged: there is something between its files")
    except (OSError, tarfile.TarError, EOFError) as error:
        raise BackupError(f"{source} is no backup, or a damaged one: {error}") from error
    for name, said in manifest.files.items():
        if found.get(name) != said:
            raise BackupError(f"{source} is damaged: {name} is not what its manifest says")
    faults = sqlite_file.faults(put / STORE)
    if faults:
        raise BackupError(f"the store in {source} is damaged: {faults[0]}")
    if _facts(put / STORE) != (manifest.form, manifest.generation, manifest.counts):
        raise BackupError(f"the store in {source} does not hold what its manifest says")
    return manifest


def fetch(place: Path | str, to: Path) -> Manifest:
    """Make the new file ``to`` a store that holds what the one at ``place`` does at one moment, its numbers as well.

    Returns what a backup of it would say of itself. Raises BackupError, StoreError or DBAPIError.
    """
    source, target = Store.open(place), Store.open(to)
    try:
        with source.read() as reading, target.write() as writing:
            copying.copy_all(reading, writing)
            copying.set_numbers(writing, **copying.numbers(reading))
            same = copying.counts(reading) == copying.counts(writing)
    finally:
        source.close()
        target.close()
    sqlite_file.rows(to, "PRAGMA journal_mode=DELETE")  # one file, whole in itself
    if not same:
        raise BackupError(f"not all of {store_url.shown(str(place))} could be taken over: try again")
    faults = sqlite_file.faults(to)
    if faults:
        raise BackupError(f"what was taken from {store_url.shown(str(place))} is damaged: {faults[0]}")
    form, generation, counts = _facts(to)
    return Manifest(
        made_at=utc_text(round(time.time() * 1000)),
        form=form,
        generation=generation,
        counts=counts,
        files={},
        left_out=(),
        master=", ".join(_masters(to)),
    )


def _place(settings: Settings) -> Path | str:
    place = settings.store_place
    if isinstance(place, Path) and not place.exists():
        raise BackupError(f"there is no store at {place}: give the gateway's folder with --data-dir")
    return place


def _partial(to: Path) -> Path:
    return to.with_name(to.name + ".partial")


@contextmanager
def _temporary(to: Path) -> Iterator[tuple[IO[bytes], Path]]:
    """The file that is going to be ``to``, and a place for the copy; what one that was killed left is used again."""
    partial, copied = _partial(to), to.with_name(to.name + ".store.partial")
    with os.fdopen(os.open(partial, os.O_RDWR | os.O_CREAT, 0o600), "wb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BackupError(f"a backup to {to} is being made already") from None
        file.truncate(0)
        _remove(copied)
        os.close(os.open(copied, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        try:
            yield file, copied
        finally:
            _remove(copied)
            partial.unlink(missing_ok=True)


def _remove(database: Path) -> None:
    for suffix in ("", *sqlite_file.BESIDE):
        database.with_name(database.name + suffix).unlink(missing_ok=True)


def _sealed_under(settings: Settings, copied: Path) -> str:
    """The id of the master key that the copy's keys are sealed under. Raises BackupError where any lies open."""
    try:
        vault = Vault.open(settings.master_key_path) if settings.master_key_path.exists() else None
    except SealError as error:
        raise BackupError(str(error)) from None
    kept = _keys(copied)
    lie_open = any(key and not is_sealed(key) for key in kept)
    if lie_open or (settings.authority_dir / "ca.key.pem").exists():
        raise BackupError("keys lie open still, as an earlier version kept them: start the gateway once")
    if vault is not None and vault.masters.unfinished == "wipe":
        sqlite_file.compact(copied)
    masters = _masters(copied)
    return ", ".join(masters) if masters else "" if vault is None else vault.present


def _keys(path: Path) -> list[bytes]:
    rows = sqlite_file.rows(path, "SELECT key FROM device")
    if sqlite_file.rows(path, "SELECT 1 FROM sqlite_master WHERE name = 'device_key'"):
        rows += sqlite_file.rows(path, "SELECT key FROM device_key WHERE use != 'shredded'")
    return [bytes(key) for (key,) in rows if isinstance(key, bytes)]


def _masters(path: Path) -> list[str]:
    return sorted({master_of(key) for key in _keys(path) if is_sealed(key)})


def _write(file: IO[bytes], settings: Settings, copied: Path, master: str) -> Manifest:
    # after the store: a journal that is newer than it says at most that something is to be done which is done already
    sources: dict[str, Path | bytes] = {
        STORE: copied,
        **_files(settings.data_dir),
        **_visits(settings.data_dir),
    }
    form, generation, counts = _facts(copied)
    manifest = Manifest(
        made_at=utc_text(round(time.time() * 1000)),
        form=form,
        generation=generation,
        counts=counts,
        files={name: _digest(path) for name, path in sources.items()},
        left_out=_left_out(settings),
        master=master,
    )
    with tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT) as archive:
        document = manifest.to_bytes()
        archive.addfile(_member(MANIFEST, len(document)), io.BytesIO(document))
        for name, path in sources.items():
            size, digest = manifest.files[name]
            with _content(path) as content:
                archive.addfile(_member(name, size), content)
                content.seek(0)
                if _copied(content, None) != (size, digest):
                    raise BackupError(f"{name} was changed at this moment: try again")
    file.flush()
    return manifest


def _member(name: str, size: int) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.size, member.mode = size, 0o600
    return member


def _files(data_dir: Path) -> dict[str, Path]:
    wanted = [
        *(data_dir / "authority" / name for name in AUTHORITY_FILES),
        *(data_dir / name for name in FILES),
        # what the store tells of is there, and never changes; what is just arriving belongs to no backup
        *(path for path in sorted((data_dir / ATTACHMENTS).glob("*")) if not path.suffix),
    ]
    found = [path for path in wanted if path.exists()]
    return {path.relative_to(data_dir).as_posix(): path for path in found}


def _visits(data_dir: Path) -> dict[str, Path | bytes]:
    """Journals and records of visits. Visits go on meanwhile: of an open journal the whole lines that there are now."""
    folder = data_dir / VISITS
    found: dict[str, Path | bytes] = {}
    for path in sorted(folder.glob(_OPEN_VISITS)):
        try:
            written = path.read_bytes()
        except FileNotFoundError:
            continue  # it ends just now, and is found below
        found[path.relative_to(data_dir).as_posix()] = written[: written.rfind(b"\n") + 1]
    ended = {path for pattern in _ENDED_VISITS for path in folder.glob(pattern) if not path.is_symlink()}
    closed = {path.parent.name for path in ended if path.name == "journal.jsonl"}
    still = {
        name: one for name, one in found.items() if isinstance(one, bytes) and _visit_of(one) not in closed
    }
    return {**still, **{path.relative_to(data_dir).as_posix(): path for path in sorted(ended)}}


def _visit_of(journal: bytes) -> str:
    """The visit that a journal is about, '' where it has no whole line."""
    try:
        return str(json.loads(journal.partition(b"\n")[0])["visit"])
    except (ValueError, KeyError, TypeError):
        return ""


def _left_out(settings: Settings) -> tuple[str, ...]:
    kept = {"authority", ATTACHMENTS, VISITS, *FILES}
    if isinstance(settings.store_place, Path):
        name = settings.store_place.name
        kept |= {name, *(name + suffix for suffix in sqlite_file.BESIDE)}
    return tuple(sorted(path.name for path in settings.data_dir.iterdir() if path.name not in kept))


def _facts(path: Path) -> tuple[str, int, dict[str, int]]:
    """Form, generation and rows of each table of a store that nobody uses. Raises BackupError where it is none."""
    try:
        ((form,),) = sqlite_file.rows(path, "SELECT version_num FROM alembic_version")
        generation = sqlite_file.rows(path, "SELECT value FROM meta WHERE name = 'generation'") or [(1,)]
        held = {str(name) for (name,) in sqlite_file.rows(path, "SELECT name FROM sqlite_master")}
        counts: dict[str, int] = {}
        for name in sorted(held & set(metadata.tables)):
            ((count,),) = sqlite_file.rows(path, f"SELECT count(*) FROM {name}")
            counts[name] = _whole(count)
        return str(form), _whole(generation[0][0]), counts
    except (sqlite3.Error, ValueError) as error:
        raise BackupError(f"this is no store: {error}") from None


def _whole(value: Any) -> int:
    return int(value)


def _content(source: Path | bytes) -> IO[bytes]:
    return io.BytesIO(source) if isinstance(source, bytes) else source.open("rb")


def _digest(source: Path | bytes) -> tuple[int, str]:
    with _content(source) as content:
        return _copied(content, None)


def _copied(content: IO[bytes], to: IO[bytes] | None) -> tuple[int, str]:
    """Read all of it, write it if it is to be; size and SHA-256."""
    size, digest = 0, hashlib.sha256()
    while piece := content.read(_PIECE):
        size += len(piece)
        digest.update(piece)
        if to is not None:
            to.write(piece)
    return size, digest.hexdigest()


def _padded_with_nothing(source: Path, ends: list[int]) -> bool:
    """Whether only zeros follow each file of the archive up to a whole block, and the last one up to the end."""
    with source.open("rb") as content:
        for end in ends[:-1]:
            content.seek(end)
            if any(content.read(-end % tarfile.BLOCKSIZE)):
                return False
        content.seek(ends[-1])
        while piece := content.read(_PIECE):
            if any(piece):
                return False
    return True


def _manifest_of(archive: tarfile.TarFile) -> Manifest:
    first = archive.next()
    if first is None or first.name != MANIFEST or not first.isfile() or first.size > _MOST_MANIFEST:
        raise BackupError("it does not begin with a manifest")
    content = archive.extractfile(first)
    assert content is not None
    manifest = Manifest.from_bytes(content.read())
    for name in manifest.files:
        top, *inner = name.split("/")
        plain = all(part not in ("", ".", "..") for part in inner)
        if not (name in (STORE, *FILES) or (top in FOLDERS and inner and plain)):
            raise BackupError(f"its manifest names {name!r}, which belongs to no backup")
    if STORE not in manifest.files:
        raise BackupError("it holds no store")
    return manifest
