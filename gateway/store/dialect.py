"""Everything that SQLite and PostgreSQL do not say in the same words."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Dialect, Engine, Table, create_engine, event, make_url
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.exc import ArgumentError
from sqlalchemy.pool import ConnectionPoolEntry

from gateway import store_url
from gateway.store import sqlite_file

WRITES = "tagwatch_writes"
"""Execution option of a transaction that will write."""

_ONE_WRITER = int.from_bytes(b"tagwatch")
"""The advisory lock that a writer holds on PostgreSQL; such locks are of one database, so others do not meet it."""

_OPEN_ANEW = frozenset(
    (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_CANTOPEN)
)
"""After these a file is opened anew: what is in memory of one whose disk has failed is not to be trusted."""

_LINK = {
    "connect_timeout": 10,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 25_000,
}
"""A server that vanishes without a word is given up after half a minute, not after the kernel's quarter of an hour."""


def url_of(place: Path | str) -> URL:
    """The URL of a SQLite file or of a PostgreSQL database. Raises ValueError, which does not show it."""
    if isinstance(place, Path):
        return URL.create("sqlite", database=str(place))
    store_url.check(place)
    try:
        return make_url(place).set(drivername="postgresql+psycopg")
    except ArgumentError:
        raise ValueError(
            "the URL can not be read: write postgresql://user@host/name, and what is odd in a password as %XX"
        ) from None


def make_engine(url: URL, busy_timeout_ms: int) -> Engine:
    """An engine for ``url``: a synchronous disk, one writer at a time, readers that see one moment.

    What the statements were given never shows in an error's text: it holds keys and names.
    """
    if url.get_backend_name() == "sqlite":
        return _sqlite_engine(url, busy_timeout_ms)
    return _postgresql_engine(url, busy_timeout_ms)


def unfit(connection: Connection) -> str | None:
    """Why the database can not hold evidence, or None where it can."""
    if connection.dialect.name != "postgresql":
        return None
    asked = "SELECT current_setting('fsync'), current_setting('full_page_writes'), current_setting('server_encoding')"
    fsync, full_pages, encoding = connection.exec_driver_sql(asked).one()
    if fsync != "on":
        return (
            "the server's fsync is off, so a power cut would take back what tags have forgotten: switch it on"
        )
    if full_pages != "on":
        return "the server's full_page_writes is off, so a power cut could tear pages: switch it on"
    if encoding != "UTF8":
        return f"its encoding is {encoding}: make the database with ENCODING 'UTF8'"
    return None


def faults(connection: Connection) -> list[str]:
    """What the database itself finds wrong with what it holds. PostgreSQL is asked by its own tools (pg_amcheck)."""
    if connection.dialect.name != "sqlite":
        return []
    file = connection.connection.driver_connection
    assert isinstance(file, sqlite3.Connection)
    try:
        return sqlite_file.faults_of(file)
    except sqlite3.Error as error:
        return [str(error)]


def triggers(connection: Connection) -> set[str]:
    """The names of all triggers of the store."""
    asked = (
        "SELECT tgname FROM pg_trigger WHERE NOT tgisinternal AND tgenabled <> 'D' "
        "AND tgrelid IN (SELECT oid FROM pg_class WHERE relnamespace = current_schema()::regnamespace)"
        if connection.dialect.name == "postgresql"
        else "SELECT name FROM sqlite_master WHERE type = 'trigger'"
    )
    return set(connection.exec_driver_sql(asked).scalars())


def note_changes(connection: Connection, name: str, table: str, event: str, keys: Sequence[str]) -> None:
    """Have the key of every row of ``table`` that meets ``event`` written into the table of changes."""
    row = "OLD" if event == "DELETE" else "NEW"
    values = ", ".join(f'{row}."{key}"' for key in keys)
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql(
            f"CREATE OR REPLACE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
            "INSERT INTO replica_change (of_table, row_key, mark) VALUES "
            f"('{table}', json_build_array({values})::text, (random() * 9e18)::bigint); "
            "RETURN NULL; END $$"
        )
        connection.exec_driver_sql(f'DROP TRIGGER IF EXISTS {name} ON "{table}"')
        connection.exec_driver_sql(
            f'CREATE TRIGGER {name} AFTER {event} ON "{table}" FOR EACH ROW EXECUTE FUNCTION {name}()'
        )
        return
    connection.exec_driver_sql(
        f'CREATE TRIGGER {name} AFTER {event} ON "{table}" BEGIN '
        f"INSERT INTO replica_change (of_table, row_key, mark) VALUES ('{table}', json_array({values}), random()); END"
    )


def note_no_changes(connection: Connection, name: str, table: str) -> None:
    """No longer."""
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql(f'DROP TRIGGER {name} ON "{table}"')
        connection.exec_driver_sql(f"DROP FUNCTION {name}()")
    else:
        connection.exec_driver_sql(f"DROP TRIGGER {name}")


def count_on(connection: Connection, tables: Sequence[Table]) -> None:
    """Numbers that the database gives go on after the highest that is there. SQLite sees to it by itself."""
    if connection.dialect.name != "postgresql":
        return
    for table in tables:
        for column in table.primary_key.columns:
            asked = f"SELECT pg_get_serial_sequence('\"{table.name}\"', '{column.name}')"
            sequence = connection.exec_driver_sql(asked).scalar()
            if sequence is not None:
                connection.exec_driver_sql(
                    f'SELECT setval(\'{sequence}\', (SELECT max("{column.name}") FROM "{table.name}"))'
                )


def go_on_after(connection: Connection, table: str, column: str, number: int) -> None:
    """The next number that PostgreSQL gives is higher than this one."""
    connection.exec_driver_sql(
        f"SELECT setval(pg_get_serial_sequence('\"{table}\"', '{column}'), {number:d})"
    )


def scrub(engine: Engine, *, rewrite: bool, within_s: float) -> bool:
    """Have nothing of what was deleted left in the database's files; False where that could not be done in time.

    SQLite: the log, which still holds pages as they were, is written out and emptied; that waits for readers and
    writers. PostgreSQL: what was deleted is given free and written over by and by. With ``rewrite`` all is written
    anew: it takes the size of the database once more and keeps others out meanwhile. PostgreSQL's own log, and copies
    and backups, are not in reach.
    """
    if engine.dialect.name == "postgresql":
        with engine.execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
            connection.exec_driver_sql("SET lock_timeout = 0")
            connection.exec_driver_sql("VACUUM (FULL)" if rewrite else "VACUUM")
        return True
    deadline = time.monotonic() + within_s
    file = engine.raw_connection()
    try:
        cursor = file.cursor()
        if rewrite:
            cursor.execute("VACUUM")
        cursor.execute("PRAGMA busy_timeout=50")
        while True:
            busy, _, _ = cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            if not busy or time.monotonic() >= deadline:
                return not busy
            time.sleep(0.05)
    finally:
        file.invalidate()  # it waits for others less long than the rest do


def _postgresql_engine(url: URL, busy_timeout_ms: int) -> Engine:
    arguments = {name: value for name, value in _LINK.items() if name not in url.query}
    # asked before each transaction, so that a server that was restarted costs nobody an error
    engine = create_engine(url, connect_args=arguments, hide_parameters=True, pool_pre_ping=True)

    @event.listens_for(engine, "connect")
    def set_up(connection: Any, _entry: ConnectionPoolEntry) -> None:
        connection.autocommit = True
        cursor = connection.cursor()
        # a server may be set to answer before its disk has; more than its own disk (a standby) stays as it is set
        cursor.execute(
            "SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'"
        )
        cursor.execute("SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL READ COMMITTED")
        cursor.execute(f"SET lock_timeout = {max(busy_timeout_ms, 1):d}")  # 0 would be for ever
        cursor.close()
        connection.autocommit = False

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        if connection.get_execution_options().get(WRITES, False):
            # each statement sees what is committed when it begins, so all of them the last writer's end. A snapshot
            # (REPEATABLE READ) would be taken here, before the lock is had, and miss it.
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_ONE_WRITER})")
        else:
            connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")

    return engine


def _sqlite_engine(url: URL, busy_timeout_ms: int) -> Engine:
    """WAL, and honest transactions.

    ``synchronous=FULL`` because a commit that a power cut takes back would have made a tag forget its evidence.
    """
    arguments = {"timeout": busy_timeout_ms / 1000, "check_same_thread": False}
    engine = create_engine(url, connect_args=arguments, hide_parameters=True)

    @event.listens_for(engine, "handle_error")
    def open_anew(failure: ExceptionContext) -> None:
        code = getattr(failure.original_exception, "sqlite_errorcode", 0)
        if code & 0xFF in _OPEN_ANEW:
            failure.is_disconnect = True
            # One connection that stays open keeps, for the whole process, what SQLite found out about the file: that it
            # can only be read. The cursor lies in the error's traceback and would keep this one; others are idle.
            if failure.execution_context is not None:
                failure.execution_context.cursor.close()
            engine.dispose()

    @event.listens_for(engine, "connect")
    def set_up(connection: Any, _entry: ConnectionPoolEntry) -> None:
        connection.isolation_level = None  # transactions are begun below, not guessed by the driver
        cursor = connection.cursor()
        try:
            _enter_wal(cursor, busy_timeout_ms)
            cursor.execute("PRAGMA synchronous=FULL")
            cursor.execute("PRAGMA foreign_keys=ON")
            # what is deleted or written over is gone from the page, too; `scrub` sees to the log
            cursor.execute("PRAGMA secure_delete=ON")
            cursor.execute(f"PRAGMA busy_timeout={busy_timeout_ms:d}")
        except sqlite3.Error:
            cursor.close()
            connection.close()
            raise
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


def put_rows(
    connection: Connection,
    table: Table,
    columns: tuple[str, ...],
    rows: Sequence[tuple[Any, ...]],
    keys: tuple[str, ...] = (),
    replace: tuple[str, ...] = (),
    rising: str | None = None,
) -> None:
    """Insert or, with ``keys``, `upsert` rows of plain values, each in the order of ``columns``; made for thousands.

    The statement is put together once, and the driver is given the tuples as they are: what SQLAlchemy does for each
    row takes three times as long as the database itself.
    """
    if not rows:
        return
    dialect = connection.dialect
    key = (dialect.name, dialect.paramstyle, table.name, columns, keys, replace, rising)
    if key not in _statements:
        _statements[key] = _statement(dialect, table, columns, keys, replace, rising)
    text, order = _statements[key]
    if not dialect.positional:
        connection.exec_driver_sql(text, [dict(zip(columns, row, strict=True)) for row in rows])
    elif order == columns:
        connection.exec_driver_sql(text, list(rows))
    else:
        at = [columns.index(name) for name in order]
        connection.exec_driver_sql(text, [tuple(row[i] for i in at) for row in rows])


_statements: dict[tuple[Any, ...], tuple[str, tuple[str, ...]]] = {}
"""What `put_rows` has put together; there are as many as places that call it."""


def _statement(
    dialect: Dialect,
    table: Table,
    columns: tuple[str, ...],
    keys: tuple[str, ...],
    replace: tuple[str, ...],
    rising: str | None,
) -> tuple[str, tuple[str, ...]]:
    """The text in the words of the driver, and in which order it wants the columns."""
    insert = (postgresql if dialect.name == "postgresql" else sqlite).insert(table)
    new = insert.excluded
    statement = insert
    if replace:
        rises = None if rising is None else table.c[rising] < new[rising]
        changes = {name: new[name] for name in replace}
        statement = insert.on_conflict_do_update(index_elements=list(keys), set_=changes, where=rises)
    elif keys:
        statement = insert.on_conflict_do_nothing(index_elements=list(keys))
    compiled = statement.compile(dialect=dialect, column_keys=list(columns))
    return str(compiled), tuple(getattr(compiled, "positiontup", None) or columns)
