"""Checkpoints of the judging: from where a gateway that was killed goes on, instead of judging years anew.

A cache, in a file of its own beside the store: whoever deletes it loses seconds, never an alert. Of each activation it
keeps what the monitor remembered (`core.monitor.Memory`), the newest few and one a day for a week; and up to which
envelope nothing has come that belongs before any of them. A memory is gone on from only if

- the same program (every source file of the core, and of what reads evidence for it), rules and libraries made it, of
  the same orders, activation and home units;
- the envelope up to which all of this holds is in the store, byte for byte, in the same generation of it;
- nothing that was committed since is dated before its end, and no alert has changed since that had been settled by then
  (a clock went back); else an older one is gone on from, or everything is judged anew;
- it is what was written, by its digest, and the file is sound.

The file is written without waiting for the disk. A power cut takes back the last writes, each of them whole: what it
tells then is older, and as true.
"""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
from collections.abc import Container, Iterator, Mapping, Sequence
from contextlib import suppress
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

import structlog

import core
from core.monitor import Memory
from core.rules import RuleSet

log = structlog.get_logger(__name__)

NEWEST, DAYS = 3, 8
"""Of each activation so many memories are kept, and of so many days the last one besides."""
_DAY_MS = 86_400_000
_FORM = 1
_GATEWAY = ("checkpoints", "evidence", "judge", "orders/register", "register", "successions", "trail")
"""The modules of the gateway that have a say in what the monitor is given."""
_TABLES = """
CREATE TABLE IF NOT EXISTS basis (
    one INTEGER PRIMARY KEY CHECK (one = 1), document TEXT NOT NULL, digest BLOB NOT NULL
);
CREATE TABLE IF NOT EXISTS memory (
    activation TEXT NOT NULL, upto_ms INTEGER NOT NULL, turn INTEGER NOT NULL, alert INTEGER NOT NULL,
    made_for BLOB NOT NULL, unsettled TEXT NOT NULL, unworn BLOB NOT NULL, saved BLOB NOT NULL, digest BLOB NOT NULL,
    UNIQUE (activation, upto_ms)
);
CREATE TABLE IF NOT EXISTS told (activation TEXT PRIMARY KEY, document TEXT NOT NULL, digest BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS beacon (number INTEGER PRIMARY KEY, document TEXT NOT NULL, digest BLOB NOT NULL);
"""


class Basis(NamedTuple):
    """How far what the file tells goes: the store's generation, its last envelope (row, SHA-256), alert and notice."""

    generation: int
    envelope: int
    sha256: str
    alert: int
    notice: int


class _Kept(NamedTuple):
    upto_ms: int
    turn: int
    """In which write it was kept."""
    alert: int
    """The number of the store's last alert then; 0 until it is written."""
    made_for: bytes


class Found(NamedTuple):
    """A memory, the number of the last alert that there was then, and the alerts, by id, that were told since."""

    memory: Memory
    last_alert: int
    told_since: frozenset[str]


def program(rules: RuleSet) -> str:
    """A digest of all that decides how readings are judged, beside orders and readings."""
    found = hashlib.sha256()
    folder, beside = Path(core.__file__ or "").parent, Path(__file__).parent
    for source in [*sorted(folder.glob("*.py")), *(beside / f"{name}.py" for name in _GATEWAY)]:
        text = source.read_bytes()
        found.update(f"{source.name} {len(text)}\n".encode() + text)
    versions = []
    for name in ("numpy", "numba", "llvmlite", "shapely", "tzdata"):
        with suppress(metadata.PackageNotFoundError):
            versions.append(f"{name} {metadata.version(name)}")
    jit = os.environ.get("NUMBA_DISABLE_JIT", "")
    found.update(repr((_FORM, rules, versions, jit)).encode())
    return found.hexdigest()


class Checkpoints:
    """The file at ``path``, for one judge, in one thread. Nothing here raises for the state of the file.

    ``made_by`` is `program`. Where the file can not be used it is made anew; where it can not be written, nothing is
    kept for now.
    """

    def __init__(self, path: Path, made_by: str) -> None:
        self._path, self._made_by = path, made_by
        self._file: sqlite3.Connection | None = None
        self._turn = 1
        self._kept: dict[str, tuple[_Kept, ...]] = {}
        self._told: dict[str, dict[str, int]] = {}
        """Alerts of an activation, by id, and in which turn each was told last."""
        self._beacons: dict[int, str] = {}
        self._new: dict[tuple[str, int], Memory] = {}
        self._gone: set[tuple[str, int]] = set()
        self._changed: set[str] = set()
        self._heard: dict[int, str] = {}
        self._scrub = False

    def begin(self) -> Basis | None:
        """Read what is kept; up to what it is true, None where nothing is. What was not written is gone."""
        self._clear()
        try:
            self._open()
            basis = self._read()
        except (sqlite3.Error, OSError, ValueError) as error:
            log.warning("checkpoints can not be used and are made anew", problem=type(error).__name__)
            basis = None
        if basis is None:
            self.discard()
        return basis

    def discard(self) -> None:
        """Forget everything, also what is in the file."""
        self.close()
        self._clear()
        for name in ("", "-wal", "-shm", "-journal"):
            with suppress(OSError):
                self._path.with_name(self._path.name + name).unlink(missing_ok=True)

    def _clear(self) -> None:
        for known in (
            self._kept,
            self._told,
            self._beacons,
            self._new,
            self._gone,
            self._changed,
            self._heard,
        ):
            known.clear()

    def close(self) -> None:
        """Let go of the file."""
        if self._file is not None:
            with suppress(sqlite3.Error):
                self._file.close()
            self._file = None

    def told(self, activation: str) -> frozenset[str]:
        """The alerts of an activation, by id, that were told since any of its memories was made."""
        return frozenset(self._told.get(activation, ()))

    def newest_first(self, activation: str, made_for: bytes) -> Iterator[Found]:
        """The memories of an activation that are sound."""
        for one in reversed(self._kept.get(activation, ())):
            memory = self._memory(activation, one) if one.made_for == made_for else None
            if memory is not None:
                told = self._told.get(activation, {})
                since = frozenset(name for name, turn in told.items() if turn > one.turn)
                yield Found(memory, one.alert, since)

    def keep(self, activation: str, made_for: bytes, memory: Memory) -> None:
        """Keep a memory made just now, with everything told and written; with `write` it is in the file."""
        before = [one for one in self._kept.get(activation, ()) if one.upto_ms < memory.upto_ms]
        every = [*before, _Kept(memory.upto_ms, self._turn, 0, made_for)]
        stay = _worth_keeping([one.upto_ms for one in every])
        self._replace(activation, [one for one in every if one.upto_ms in stay])
        self._new[activation, memory.upto_ms] = memory
        oldest = self._kept[activation][0].turn
        told = self._told.get(activation)
        if told and min(told.values()) <= oldest:
            self._told[activation] = {name: turn for name, turn in told.items() if turn > oldest}
            self._changed.add(activation)

    def late(self, activation: str, t_ms: int) -> None:
        """A reading of that date has come: no memory that ends there or later is true any more."""
        kept = self._kept.get(activation, ())
        if kept and kept[-1].upto_ms >= t_ms:
            self._replace(activation, [one for one in kept if one.upto_ms < t_ms])

    def reach(self, reach_ms: int) -> None:
        """The clock stands where nothing dated later is judged: what had been by then is taken back."""
        for activation in list(self._kept):
            self.late(activation, reach_ms + 1)

    def drop(self, activation: str) -> None:
        """Forget an activation; with `write` nothing of it is left in the file."""
        self._scrub |= activation in self._kept
        self._replace(activation, [])

    def drop_others(self, activations: Container[str]) -> None:
        """Forget all but these."""
        for name in [name for name in self._kept if name not in activations]:
            self.drop(name)

    def tell(self, activation: str, alert: str) -> None:
        """An alert was told, by id: after each memory that is kept."""
        if activation in self._kept:
            self._told.setdefault(activation, {})[alert] = self._turn
            self._changed.add(activation)

    def beacons(self) -> Mapping[int, str]:
        """What was kept by `keep_beacon`, by number."""
        return self._beacons

    def keep_beacon(self, number: int, document: str) -> None:
        """Keep what is known of a beacon."""
        self._heard[number] = document

    def write(self, basis: Basis) -> bool:
        """Put what has changed into the file, all or nothing; ``basis`` is up to where it is true. False if it fails:
        then nothing is kept at all, and everything is to be kept anew.
        """
        try:
            if self._file is None:
                self._open()
            assert self._file is not None
            with self._file:
                self._write(self._file, basis)
            if self._scrub:
                self._file.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        except (sqlite3.Error, OSError) as error:
            log.warning(
                "checkpoints can not be written; after a kill more is judged anew",
                problem=type(error).__name__,
            )
            self.discard()
            return False
        self._turn += 1
        self._scrub = False
        for changes in (self._new, self._gone, self._changed, self._heard):
            changes.clear()
        return True

    def _replace(self, activation: str, stay: Sequence[_Kept]) -> None:
        ends = {one.upto_ms for one in stay}
        for one in self._kept.get(activation, ()):
            if one.upto_ms not in ends:
                self._new.pop((activation, one.upto_ms), None)
                self._gone.add((activation, one.upto_ms))
        if stay:
            self._kept[activation] = tuple(stay)
        else:
            self._kept.pop(activation, None)
            if self._told.pop(activation, None):
                self._changed.add(activation)

    def _memory(self, activation: str, one: _Kept) -> Memory | None:
        if (activation, one.upto_ms) in self._new:
            return self._new[activation, one.upto_ms]
        if self._file is None:
            return None
        try:
            row = self._file.execute(
                "SELECT turn, alert, made_for, unsettled, unworn, saved, digest FROM memory "
                "WHERE activation = ? AND upto_ms = ?",
                (activation, one.upto_ms),
            ).fetchone()
            if row is None or _digest(activation, one.upto_ms, *row[:-1]) != row[-1]:
                return None
            _, _, _, unsettled, unworn, saved, _ = row
            return Memory(one.upto_ms, saved, unworn, tuple(json.loads(unsettled)))
        except (sqlite3.Error, ValueError):
            return None

    def _open(self) -> None:
        self.close()
        if not self._path.exists():
            os.close(os.open(self._path, os.O_CREAT | os.O_RDWR, 0o600))
        file = sqlite3.connect(self._path, timeout=1.0)
        self._file = file
        file.execute("PRAGMA journal_mode=WAL")
        # a transaction may be lost with the power, but not one before a later one, nor a part
        file.execute("PRAGMA synchronous=NORMAL")
        # it is as personal as what it was made of
        file.execute("PRAGMA secure_delete=ON")
        file.executescript(_TABLES)

    def _read(self) -> Basis | None:
        assert self._file is not None
        if self._file.execute("PRAGMA quick_check(1)").fetchone() != ("ok",):
            raise ValueError("not sound")
        row = self._file.execute("SELECT document, digest FROM basis").fetchone()
        if row is None:
            return None
        made_by, self._turn, *basis = json.loads(_sound("basis", *row))
        if made_by != self._made_by:
            log.info("rules or program have changed: everything is judged anew")
            return None
        for activation, upto_ms, turn, alert, made_for in self._file.execute(
            "SELECT activation, upto_ms, turn, alert, made_for FROM memory ORDER BY activation, upto_ms"
        ):
            self._kept[activation] = (
                *self._kept.get(activation, ()),
                _Kept(int(upto_ms), int(turn), int(alert), bytes(made_for)),
            )
        for activation, *told in self._file.execute("SELECT activation, document, digest FROM told"):
            self._told[activation] = json.loads(_sound(activation, *told))
        for number, *heard in self._file.execute("SELECT number, document, digest FROM beacon"):
            self._beacons[int(number)] = _sound(number, *heard)
        self._turn += 1
        return Basis(*basis)

    def _write(self, file: sqlite3.Connection, basis: Basis) -> None:
        file.executemany("DELETE FROM memory WHERE activation = ? AND upto_ms = ?", sorted(self._gone))
        for name in {name for name, _ in self._new}:
            self._kept[name] = tuple(
                one._replace(alert=basis.alert) if (name, one.upto_ms) in self._new else one
                for one in self._kept[name]
            )
            for one in self._kept[name]:
                memory = self._new.get((name, one.upto_ms))
                if memory is not None:
                    row = (*one[1:], json.dumps(memory.unsettled), memory.unworn, memory.saved)
                    file.execute(
                        "INSERT OR REPLACE INTO memory VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                        (name, one.upto_ms, *row, _digest(name, one.upto_ms, *row)),
                    )
        for name in sorted(self._changed):
            if name in self._told:
                text = json.dumps(self._told[name])
                file.execute(
                    "INSERT OR REPLACE INTO told VALUES (?, ?, ?)", (name, text, _digest(name, text))
                )
            else:
                file.execute("DELETE FROM told WHERE activation = ?", (name,))
        file.executemany(
            "INSERT OR REPLACE INTO beacon VALUES (?, ?, ?)",
            ((number, text, _digest(number, text)) for number, text in sorted(self._heard.items())),
        )
        text = json.dumps([self._made_by, self._turn, *basis])
        file.execute("INSERT OR REPLACE INTO basis VALUES (1, ?, ?)", (text, _digest("basis", text)))


def _worth_keeping(upto_ms: Sequence[int]) -> set[int]:
    """The newest few, and the last of each of the last days; ``upto_ms`` ascending."""
    since_ms = upto_ms[-1] - DAYS * _DAY_MS
    last_of_day = {one // _DAY_MS: one for one in upto_ms if one > since_ms}
    return {*upto_ms[-NEWEST:], *last_of_day.values()}


def _digest(*parts: str | int | bytes) -> bytes:
    found = hashlib.sha256()
    for part in parts:
        data = part if isinstance(part, bytes) else str(part).encode()
        found.update(len(data).to_bytes(8, "big") + data)
    return found.digest()


def _sound(name: str | int, document: str, digest: bytes) -> str:
    if _digest(name, document) != digest:
        raise ValueError("not what was written")
    return document
