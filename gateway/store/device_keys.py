"""The MAC keys of devices beside the one in use: that which is to come, and those that were. All sealed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from sqlalchemy import Connection, Text, bindparam, cast, exists, func, insert, literal, select, update

from gateway.store import state
from gateway.store.tables import command, device, device_key

Use = Literal["next", "retired", "shredded"]
REKEY = "rekey"
"""The command that gives a device its next key."""


@dataclass(frozen=True, slots=True)
class KeyRow:
    """The ``number``-th key of a device. ``key`` is as it is kept: sealed (``gateway.seal``), empty where shredded.

    A ``next`` one is told the device by a command where ``over_air``; a ``retired`` one was in use ``from_ms`` to
    ``until_ms``.
    """

    device: str
    number: int
    use: Use
    key: bytes = field(repr=False)
    over_air: bool
    made_at_ms: int
    from_ms: int | None = None
    until_ms: int | None = None


def of_device(connection: Connection, name: str) -> list[KeyRow]:
    """The keys of a device but the one in use, in the order of their numbers."""
    rows = select(device_key).where(device_key.c.device == name).order_by(device_key.c.number)
    return [KeyRow(*row) for row in connection.execute(rows)]


def next_of(connection: Connection, name: str) -> KeyRow | None:
    """The key that a device is to change to."""
    return next((row for row in of_device(connection, name) if row.use == "next"), None)


def every(connection: Connection) -> list[KeyRow]:
    """All of them that are not shredded."""
    rows = select(device_key).where(device_key.c.use != "shredded")
    return [KeyRow(*row) for row in connection.execute(rows)]


def sealed(connection: Connection, use: Use) -> dict[str, bytes]:
    """Of each device that is not revoked its key of this use, as it is kept; of several the newest."""
    rows = connection.execute(
        select(device_key.c.device, device_key.c.key)
        .join(device, device.c.id == device_key.c.device)
        .where(device_key.c.use == use, device.c.revoked_at_ms.is_(None))
        .order_by(device_key.c.number)
    )
    return dict(iter(rows))


def changed_ms(connection: Connection) -> dict[str, int]:
    """When each device that has changed its key did so last."""
    rows = select(device_key.c.device, func.max(device_key.c.until_ms)).where(
        device_key.c.until_ms.is_not(None)
    )
    return dict(iter(connection.execute(rows.group_by(device_key.c.device))))


def add(connection: Connection, row: KeyRow) -> None:
    """Write a key, and tell the other processes."""
    connection.execute(insert(device_key).values(**{name: getattr(row, name) for name in KeyRow.__slots__}))
    state.note_change(connection)


def send(connection: Connection, name: str) -> None:
    """A device's next key is told to it by a command from now on."""
    connection.execute(
        update(device_key)
        .where(device_key.c.device == name, device_key.c.use == "next")
        .values(over_air=True)
    )
    state.note_change(connection)


def drop_next(connection: Connection, name: str) -> None:
    """A device is to change to no other key."""
    connection.execute(device_key.delete().where(device_key.c.device == name, device_key.c.use == "next"))


def put(connection: Connection, keys: Mapping[tuple[str, int], bytes]) -> None:
    """Keep these keys, by device and number, as given now."""
    if not keys:
        return
    statement = (
        update(device_key)
        .where(device_key.c.device == bindparam("of"), device_key.c.number == bindparam("nth"))
        .values(key=bindparam("sealed"))
    )
    rows = [{"of": name, "nth": nth, "sealed": one} for (name, nth), one in keys.items()]
    connection.execute(statement, rows)
    state.note_change(connection)


def replace_current(connection: Connection, name: str, current: bytes) -> None:
    """The key in use is another from now on. Whoever keeps keys in memory has to be told by other means."""
    connection.execute(update(device).where(device.c.id == name).values(key=current))


def retire(connection: Connection, row: KeyRow) -> None:
    """Write a key that was in use."""
    connection.execute(insert(device_key).values(**{name: getattr(row, name) for name in KeyRow.__slots__}))


def shred(connection: Connection, name: str, number: int) -> None:
    """Keep of a key only that it was there."""
    connection.execute(
        update(device_key)
        .where(device_key.c.device == name, device_key.c.number == number)
        .values(use="shredded", key=b"")
    )


def untold(connection: Connection, now_ms: int, again_ms: int, most: int) -> list[tuple[str, int]]:
    """Devices, with the number of the key, that are to be told their next key and to which no command says it now.

    Not those that could not take it within the last ``again_ms``; at most so many.
    """
    mine = (
        (command.c.device == device_key.c.device)
        & (command.c.name == REKEY)
        & (command.c.generation == state.generation(connection))
    )
    said = exists().where(mine, command.c.outcome.is_(None), command.c.expires_at_ms > now_ms)
    tried = exists().where(
        mine,
        command.c.outcome.is_not(None),
        command.c.made_at_ms > now_ms - again_ms,
        command.c.arguments == literal('{"number":') + cast(device_key.c.number, Text) + literal("}"),
    )
    rows = connection.execute(
        select(device_key.c.device, device_key.c.number)
        .join(device, device.c.id == device_key.c.device)
        .where(
            device_key.c.use == "next",
            device_key.c.over_air.is_(True),
            device.c.revoked_at_ms.is_(None),
            ~said,
            ~tried,
        )
        .order_by(device_key.c.device)
        .limit(most)
    )
    return [(name, number) for name, number in rows]


def waiting(connection: Connection, names: Iterable[str] | None = None) -> list[KeyRow]:
    """The next keys that are not in use yet, of these devices or of all."""
    query = select(device_key).where(device_key.c.use == "next").order_by(device_key.c.device)
    if names is not None:
        query = query.where(device_key.c.device.in_(list(names)))
    return [KeyRow(*row) for row in connection.execute(query)]
