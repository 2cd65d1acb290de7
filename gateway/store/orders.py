"""Orders with all their versions, and activations: which device was on whom, from when to when."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import Connection, delete, func, insert, select, update

from gateway.store import state
from gateway.store.dialect import upsert
from gateway.store.tables import activation, order_due, order_version


@dataclass(frozen=True, slots=True)
class OrderVersion:
    """One version of an order; ``document`` is the JSON text as given."""

    order_id: str
    version: int
    effective_ms: int
    known_at_ms: int
    wearer_id: str
    wearer_name: str
    document: str


@dataclass(frozen=True, slots=True)
class ActivationRow:
    """One device on one wearer, from fitting to removal (tag time)."""

    id: str
    device: str
    order_id: str
    fitted_ms: int
    removed_ms: int | None


def add_version(connection: Connection, *entries: OrderVersion) -> None:
    """Write new versions of orders."""
    connection.execute(
        insert(order_version),
        [{name: getattr(entry, name) for name in OrderVersion.__slots__} for entry in entries],
    )
    _look_soon(connection, (entry.order_id for entry in entries))
    state.note_change(connection)


def versions(connection: Connection, order_id: str) -> list[OrderVersion]:
    """All versions of an order, oldest first."""
    rows = connection.execute(
        select(order_version).where(order_version.c.order_id == order_id).order_by(order_version.c.version)
    )
    return [OrderVersion(*row) for row in rows]


def every_version(connection: Connection) -> dict[str, list[OrderVersion]]:
    """All versions of every order that anybody was ever fitted under, oldest first."""
    rows = connection.execute(
        select(order_version)
        .where(order_version.c.order_id.in_(select(activation.c.order_id)))
        .order_by(order_version.c.order_id, order_version.c.version)
    )
    found: dict[str, list[OrderVersion]] = {}
    for row in rows:
        found.setdefault(row.order_id, []).append(OrderVersion(*row))
    return found


def newest(connection: Connection) -> dict[str, OrderVersion]:
    """The newest version of every order."""
    last = (
        select(order_version.c.order_id, func.max(order_version.c.version).label("version"))
        .group_by(order_version.c.order_id)
        .subquery()
    )
    rows = connection.execute(
        select(order_version).join(
            last,
            (order_version.c.order_id == last.c.order_id) & (order_version.c.version == last.c.version),
        )
    )
    return {row.order_id: OrderVersion(*row) for row in rows}


def add_activation(connection: Connection, *entries: ActivationRow) -> None:
    """Write new activations."""
    connection.execute(
        insert(activation),
        [{name: getattr(entry, name) for name in ActivationRow.__slots__} for entry in entries],
    )
    _look_soon(connection, (entry.order_id for entry in entries))
    state.note_change(connection)


def end_activation(connection: Connection, activation_id: str, removed_ms: int) -> None:
    """The device was taken off."""
    connection.execute(
        update(activation).where(activation.c.id == activation_id).values(removed_ms=removed_ms)
    )
    of_order = select(activation.c.order_id).where(activation.c.id == activation_id)
    _look_soon(connection, connection.execute(of_order).scalars())
    state.note_change(connection)


def one_activation(connection: Connection, activation_id: str) -> ActivationRow | None:
    """The activation of that id, or None."""
    row = connection.execute(select(activation).where(activation.c.id == activation_id)).one_or_none()
    return None if row is None else ActivationRow(*row)


def one_activation_of(connection: Connection, device: str) -> ActivationRow | None:
    """The activation that a device is in now, or None."""
    query = select(activation).where(activation.c.device == device, activation.c.removed_ms.is_(None))
    row = connection.execute(query).one_or_none()
    return None if row is None else ActivationRow(*row)


def activations(connection: Connection, device: str | None = None) -> list[ActivationRow]:
    """All activations, or those of one device, by device and fitting."""
    query = select(activation).order_by(activation.c.device, activation.c.fitted_ms)
    if device is not None:
        query = query.where(activation.c.device == device)
    return [ActivationRow(*row) for row in connection.execute(query)]


def activations_of(connection: Connection, order_id: str) -> list[ActivationRow]:
    """All activations under an order, by device and fitting."""
    query = select(activation).where(activation.c.order_id == order_id)
    rows = connection.execute(query.order_by(activation.c.device, activation.c.fitted_ms))
    return [ActivationRow(*row) for row in rows]


def due(connection: Connection, now_ms: int, most: int) -> list[tuple[str, int]]:
    """The orders that are to be looked at by ``now_ms``, and since when (0: they are new, or have changed)."""
    query = select(order_due.c.order_id, order_due.c.due_ms).where(order_due.c.due_ms <= now_ms)
    rows = connection.execute(query.order_by(order_due.c.due_ms, order_due.c.order_id).limit(most))
    return [(str(order_id), int(due_ms)) for order_id, due_ms in rows]


def look_at(connection: Connection, order_id: str, due_ms: int | None) -> None:
    """An order is to be looked at then; None: not until it changes."""
    if due_ms is None:
        connection.execute(delete(order_due).where(order_due.c.order_id == order_id))
    else:
        upsert(
            connection,
            order_due,
            [{"order_id": order_id, "due_ms": due_ms}],
            ["order_id"],
            replace=["due_ms"],
        )


def _look_soon(connection: Connection, order_ids: Iterable[str]) -> None:
    rows = [{"order_id": order_id, "due_ms": 0} for order_id in dict.fromkeys(order_ids)]
    upsert(connection, order_due, rows, ["order_id"], replace=["due_ms"])
