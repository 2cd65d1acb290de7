"""Devices: who may speak, under which key, and when each was heard last."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from sqlalchemy import Connection, Select, bindparam, insert, select, union, update

from gateway.store import state
from gateway.store.dialect import put_rows, upsert
from gateway.store.tables import activation, barred, device, heard, installation


@dataclass(frozen=True, slots=True)
class Device:
    """A device that was added. ``key`` is its 256-bit MAC key as it is kept: sealed (``gateway.seal``)."""

    id: str
    key: bytes = field(repr=False)
    certificate: bytes = field(repr=False)
    added_at_ms: int
    revoked_at_ms: int | None
    kind: str = "gps_tag"


def add(connection: Connection, *entries: Device) -> None:
    """Write new devices."""
    connection.execute(
        insert(device),
        [{name: getattr(entry, name) for name in Device.__slots__} for entry in entries],
    )
    state.note_change(connection)


def revoke(connection: Connection, device_id: str, at_ms: int) -> bool:
    """From now on nothing of this device is believed; False where it is not known or was revoked before."""
    changed = connection.execute(
        update(device)
        .where(device.c.id == device_id, device.c.revoked_at_ms.is_(None))
        .values(revoked_at_ms=at_ms)
    )
    if changed.rowcount:
        state.note_change(connection)
    return bool(changed.rowcount)


def one(connection: Connection, device_id: str) -> Device | None:
    """The device ``device_id``, or None."""
    row = connection.execute(select(device).where(device.c.id == device_id)).one_or_none()
    return None if row is None else Device(*row)


def every(connection: Connection) -> list[Device]:
    """All devices by id."""
    return [Device(*row) for row in connection.execute(select(device).order_by(device.c.id))]


def sealed_keys(connection: Connection) -> dict[str, bytes]:
    """The MAC key, as it is kept, of every device that is not revoked."""
    rows = connection.execute(select(device.c.id, device.c.key).where(device.c.revoked_at_ms.is_(None)))
    assert rows.cursor is not None
    # as the driver gives them: of a country's devices there are a quarter of a million
    return dict(rows.cursor.fetchall())


def all_keys(connection: Connection) -> dict[str, bytes]:
    """The MAC key, as it is kept, of every device, revoked ones too."""
    return dict(iter(connection.execute(select(device.c.id, device.c.key))))


def put_keys(connection: Connection, keys: Mapping[str, bytes]) -> None:
    """Keep these devices' keys as given now."""
    if not keys:
        return
    statement = update(device).where(device.c.id == bindparam("device_id")).values(key=bindparam("sealed"))
    connection.execute(statement, [{"device_id": name, "sealed": sealed} for name, sealed in keys.items()])
    state.note_change(connection)


def revoked(connection: Connection) -> set[str]:
    """The ids of the revoked devices."""
    return set(connection.execute(select(device.c.id).where(device.c.revoked_at_ms.is_not(None))).scalars())


def bar(connection: Connection, names: Iterable[str], until_ms: int) -> None:
    """Keep devices out of the embedded broker until then, by the clock of the box; unknown ones are passed over."""
    known = set(connection.execute(select(device.c.id).where(device.c.id.in_(list(names)))).scalars())
    rows = [{"device": name, "until_ms": until_ms} for name in sorted(known)]
    upsert(connection, barred, rows, ("device",), replace=("until_ms",))
    state.note_change(connection)


def barred_until(connection: Connection) -> dict[str, int]:
    """Until when devices are kept out; most of it may be past."""
    return dict(iter(connection.execute(select(barred.c.device, barred.c.until_ms))))


def _in_use() -> Select[tuple[str]]:
    """The devices that somebody wears or wore, and those that are or were installed for somebody."""
    used = union(select(activation.c.device), select(installation.c.unit)).subquery()
    return select(used.c[0])


def kinds(connection: Connection, *, in_use: bool = False) -> dict[str, str]:
    """The kind of every device, or with ``in_use`` of those only that were ever fitted or installed."""
    query = select(device.c.id, device.c.kind)
    if in_use:
        query = query.where(device.c.id.in_(_in_use()))
    return dict(connection.execute(query).all())


def hear(connection: Connection, received_ms: Mapping[str, int]) -> None:
    """Write when devices were heard, gateway time; what is known stays where it is later."""
    put_rows(
        connection,
        heard,
        ("device", "received_ms"),
        sorted(received_ms.items()),
        ("device",),
        ("received_ms",),
        "received_ms",
    )


def last_heard(connection: Connection, *, in_use: bool = False) -> dict[str, int]:
    """When each device was heard last, gateway time; those that never were are left out.

    With ``in_use`` of those only that were ever fitted or installed: a box may know many more.
    """
    query = select(heard.c.device, heard.c.received_ms)
    if in_use:
        query = query.where(heard.c.device.in_(_in_use()))
    return dict(connection.execute(query).all())
