"""What only a store that is a file needs: to be copied while a gateway writes, and looked through page by page."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

BESIDE = ("-wal", "-shm", "-journal")
"""What SQLite lays beside its file; it belongs to that file alone, and would spoil another that takes its place."""

_MOST = 100


def copy(source: Path, to: Path) -> None:
    """Copy the store at one moment, by SQLite's own backup, to the new file ``to``: whole in itself, on disk.

    It holds up nobody who reads or writes meanwhile: all pages are taken in one step, so a busy writer does not make it
    begin again. Raises sqlite3.Error.
    """
    with _connected(source, "rw") as reading, _connected(to, "rwc") as writing:
        reading.backup(writing, pages=-1)
        writing.execute("PRAGMA journal_mode=DELETE")


def compact(path: Path) -> None:
    """Write a file that nobody uses anew, without what was deleted from it. Raises sqlite3.Error."""
    with _connected(path, "rw") as connection:
        connection.execute("VACUUM")


def faults(path: Path) -> list[str]:
    """What is wrong with a file that nobody uses: pages, indexes, rows that refer to none; [] if nothing."""
    try:
        with _connected(path, "rw") as connection:
            return faults_of(connection)
    except sqlite3.Error as error:
        return [str(error)]


def faults_of(connection: sqlite3.Connection) -> list[str]:
    """The same through an open connection. Raises sqlite3.Error where it can not even be read."""
    found = [row[0] for row in connection.execute(f"PRAGMA integrity_check({_MOST})") if row[0] != "ok"]
    found += [
        f"row {row[1]} of table {row[0]} refers to a {row[2]} that is not there"
        for row in connection.execute("PRAGMA foreign_key_check").fetchmany(_MOST)
    ]
    return found


def rows(path: Path, query: str) -> list[tuple[object, ...]]:
    """The rows of a query on a file that is no open store. Raises sqlite3.Error."""
    with _connected(path, "rw") as connection:
        return list(connection.execute(query))


@contextmanager
def _connected(path: Path, mode: str) -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode={mode}", uri=True, isolation_level=None)
    try:
        connection.execute("PRAGMA busy_timeout=10000")
        yield connection
    finally:
        connection.close()
