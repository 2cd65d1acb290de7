"""One store's rows into another, whatever each is: all of them, or those that have changed.

What changes is noted by triggers, so that no part of the program, and no later one, can forget to say so. Envelopes are
only ever added at the end: of them the highest row says what is new, and a trigger notes what retention deletes.

Each change has a number and a random mark. The copy knows both of the last one that it has; a store that has, or had, a
change of that number and mark has everything that the copy has. One that was put back from an older disk may have given
the number to another change by now, but not the mark.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from enum import Enum
from typing import Any, NamedTuple

from sqlalchemy import Connection, Table, delete, func, insert, select, tuple_, update

from gateway.store import dialect
from gateway.store.dialect import upsert
from gateway.store.tables import envelope, metadata, replica, replica_change

_AT_ONCE = 500
_EVENTS = ("INSERT", "UPDATE", "DELETE")

TABLES: tuple[Table, ...] = tuple(
    table for table in metadata.sorted_tables if table not in (replica, replica_change)
)
"""What belongs to a copy, each after those that it refers to."""


class Change(NamedTuple):
    """A change by its number and the mark that was drawn for it; (0, 0) is before the first."""

    number: int
    mark: int


class Standing(Enum):
    """What the last change that a copy has is to this store."""

    KNOWN = "everything since is noted here"
    FORGOTTEN = "it is before what was forgotten here: the copy is an older one than it was"
    FOREIGN = "this store has never made it: the copy is newer than this store, or of another"


def watch(connection: Connection) -> bool:
    """Have every change noted from now on; True where it was not before, so that changes may have been missed."""
    wanted = {_name(table, event) for table in TABLES for event in _events(table)}
    missing = wanted - dialect.triggers(connection)
    for table in TABLES:
        for event in _events(table):
            if _name(table, event) in missing:
                keys = [column.name for column in table.primary_key.columns]
                dialect.note_changes(connection, _name(table, event), table.name, event, keys)
    return bool(missing)


def watched(connection: Connection) -> bool:
    """Whether any change is noted."""
    return any(name.startswith("copy_") for name in dialect.triggers(connection))


def unwatch(connection: Connection) -> None:
    """Note changes no longer. Number and mark of those that are noted stay: they tell whether a copy is ours."""
    standing = dialect.triggers(connection)
    for table in TABLES:
        for event in _EVENTS:
            if _name(table, event) in standing:
                dialect.note_no_changes(connection, _name(table, event), table.name)
    connection.execute(update(replica_change).values(of_table="", row_key=""))


def last_change(connection: Connection) -> Change:
    """The newest change that was noted, be it forgotten by now."""
    query = select(replica_change.c.id, replica_change.c.mark).order_by(replica_change.c.id.desc()).limit(1)
    row = connection.execute(query).one_or_none()
    return _forgotten(connection) if row is None else Change(*row)


def standing_of(connection: Connection, change: Change) -> Standing:
    """Whether this store goes on from a copy whose last change is that."""
    forgotten = _forgotten(connection)
    if change == forgotten:
        return Standing.KNOWN
    if change.number < forgotten.number:
        return Standing.FORGOTTEN
    query = select(replica_change.c.mark).where(replica_change.c.id == change.number)
    mark = connection.execute(query).scalar()
    return Standing.KNOWN if mark == change.mark else Standing.FOREIGN


def forget_changes(connection: Connection, upto: Change) -> None:
    """Changes up to this one are on the copy."""
    if upto.number <= _forgotten(connection).number:
        return
    connection.execute(delete(replica_change).where(replica_change.c.id <= upto.number))
    set_numbers(connection, forgotten=upto.number, forgotten_mark=upto.mark)


def _forgotten(connection: Connection) -> Change:
    noted = numbers(connection)
    return Change(noted.get("forgotten", 0), noted.get("forgotten_mark", 0))


def add_envelopes(source: Connection, target: Connection, after: int, upto: int) -> None:
    """Copy the envelopes whose rows are above ``after``, up to ``upto``; what they refer to is there already."""
    query = select(envelope).where(envelope.c.id > after, envelope.c.id <= upto).order_by(envelope.c.id)
    _pour(source, target, envelope, query)


def copy_changes(source: Connection, target: Connection, after: int, upto: int, envelopes_after: int) -> None:
    """Make the rows of the copy that have changed since like those here: the same result however often it is done.

    Envelopes above ``envelopes_after`` are left to `add_envelopes`: the row of one that was deleted may be that of a
    new one by now.
    """
    query = select(replica_change.c.of_table, replica_change.c.row_key).where(
        replica_change.c.id > after, replica_change.c.id <= upto
    )
    changed: dict[str, set[tuple[Any, ...]]] = {}
    for name, key in source.execute(query):
        changed.setdefault(name, set()).add(tuple(json.loads(key)))
    present: dict[str, list[dict[str, Any]]] = {}
    for table in reversed(TABLES):
        # what is gone goes first: something else may have taken its place in a unique index
        keys = changed.get(table.name, set())
        rows = present[table.name] = _rows(source, table, sorted(keys))
        if table is envelope:
            present[table.name] = [row for row in rows if row["id"] <= envelopes_after]
        names = [column.name for column in table.primary_key.columns]
        gone = sorted(keys - {tuple(row[name] for name in names) for row in rows})
        for some in _some(gone):
            target.execute(delete(table).where(_in(table, some)))
    for table in TABLES:
        rows = present[table.name]
        names = [column.name for column in table.primary_key.columns]
        others = [column.name for column in table.columns if column.name not in names]
        upsert(target, table, rows, names, replace=others)


def copy_all(source: Connection, target: Connection) -> None:
    """Make the copy hold what is here, and nothing else."""
    for table in reversed(TABLES):
        target.execute(delete(table))
    for table in TABLES:
        _pour(source, target, table, select(table).order_by(*table.primary_key.columns))
    dialect.count_on(target, TABLES)


def counts(connection: Connection) -> dict[str, int]:
    """How many rows each table has."""
    return {
        table.name: connection.execute(select(func.count()).select_from(table)).scalar_one()
        for table in TABLES
    }


def is_empty(connection: Connection) -> bool:
    """Whether a store that has its tables holds nothing."""
    return not any(connection.execute(select(table).limit(1)).first() for table in (*TABLES, replica))


def numbers(connection: Connection) -> dict[str, int]:
    """What is noted of the pair of store and copy."""
    return dict(iter(connection.execute(select(replica.c.name, replica.c.value))))


def set_numbers(connection: Connection, **values: int) -> None:
    """Note something of it."""
    upsert(
        connection,
        replica,
        [{"name": name, "value": value} for name, value in values.items()],
        ["name"],
        replace=["value"],
    )


def part(connection: Connection) -> None:
    """This store has no copy any more that it could go on with, nor is it one."""
    unwatch(connection)
    connection.execute(delete(replica))
    connection.execute(delete(replica_change))


def _pour(source: Connection, target: Connection, table: Table, query: Any) -> None:
    rows = source.execute(query, execution_options={"yield_per": 1000})
    for some in rows.mappings().partitions(1000):
        target.execute(insert(table), [dict(row) for row in some])


def _rows(source: Connection, table: Table, keys: Sequence[tuple[Any, ...]]) -> list[dict[str, Any]]:
    return [
        dict(row)
        for some in _some(keys)
        # a row may refer to an earlier one of its own table
        for row in source.execute(
            select(table).where(_in(table, some)).order_by(*table.primary_key.columns)
        ).mappings()
    ]


def _in(table: Table, keys: Sequence[tuple[Any, ...]]) -> Any:
    columns = list(table.primary_key.columns)
    if len(columns) == 1:
        return columns[0].in_([key[0] for key in keys])
    return tuple_(*columns).in_(keys)


def _some(keys: Sequence[tuple[Any, ...]]) -> Iterable[Sequence[tuple[Any, ...]]]:
    return (keys[at : at + _AT_ONCE] for at in range(0, len(keys), _AT_ONCE))


def _events(table: Table) -> tuple[str, ...]:
    return ("DELETE",) if table is envelope else _EVENTS


def _name(table: Table, event: str) -> str:
    return f"copy_{table.name}_{event.lower()}"
