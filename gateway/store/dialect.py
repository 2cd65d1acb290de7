"""Everything that SQLite and PostgreSQL do not say in the same words."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Engine, Table, create_engine, event
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.pool import ConnectionPoolEntry

WRITES = "tagwatch_writes"
"""Execution option of a transaction that will write."""


def make_engine(url: str, busy_timeout_ms: int) -> Engine:
    """An engine for ``url``; SQLite gets WAL, a synchronous disk and honest transactions.

    ``synchronous=FULL`` because a commit that a power cut takes back would have made a tag forget its evidence.
    """
    if not url.startswith("sqlite"):
        return create_engine(url)
    engine = create_engine(url, connect_args={"timeout": busy_timeout_ms / 1000, "check_same_thread": False})

    @event.listens_for(engine, "connect")
    def set_up(connection: Any, _entry: ConnectionPoolEntry) -> None:
        connection.isolation_level = None  # transactions are begun below, not guessed by the driver
        cursor = connection.cursor()
        _enter_wal(cursor, busy_timeout_ms)
        cursor.execute("PRAGMA synchronous=FULL")
        cursor.execute("PRAGMA foreign_keys=ON")
        cursor.execute(f"PRAGMA busy_timeout={busy_timeout_ms:d}")
        cursor.close()

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        writes = connection.get_execution_options().get(WRITES, False)
        # a writer takes the lock at once: one that reads first and then writes can be refused half-way
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine


def _enter_wal(cursor: sqlite3.Cursor, busy_timeout_ms: int) -> None:
    """Put the file into write-ahead mode, waiting for others that do the same to a new one.

    SQLite's own busy time does not hold here: of two that raise a shared lock at once, one is refused straight away.
    """
    until = time.monotonic() + busy_timeout_ms / 1000
    while True:
        try:
            cursor.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError as refusal:
            if refusal.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() >= until:
                raise
            time.sleep(0.01)
        else:
            return


def upsert(
    connection: Connection,
    table: Table,
    rows: Sequence[dict[str, Any]],
    keys: Sequence[str],
    *,
    add: Sequence[str] = (),
    replace: Sequence[str] = (),
    rising: str | None = None,
) -> None:
    """Insert ``rows``; where one with the same ``keys`` stands, ``add`` to or ``replace`` its columns, or leave it.

    With ``rising`` it changes only where that column rises.
    """
    if not rows:
        return
    insert = (postgresql if connection.dialect.name == "postgresql" else sqlite).insert(table)
    new = insert.excluded
    changes = {name: table.c[name] + new[name] for name in add} | {name: new[name] for name in replace}
    if changes:
        rises = None if rising is None else table.c[rising] < new[rising]
        statement = insert.on_conflict_do_update(index_elements=list(keys), set_=changes, where=rises)
    else:
        statement = insert.on_conflict_do_nothing(index_elements=list(keys))
    connection.execute(statement, list(rows))
