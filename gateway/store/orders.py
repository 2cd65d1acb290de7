"""Orders with all their versions, and activations: which device was on whom, from when to when."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, func, insert, select, update

from gateway.store import state
from gateway.store.tables import activation, order_version


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
    state.note_change(connection)


def end_activation(connection: Connection, activation_id: str, removed_ms: int) -> None:
    """The device was taken off."""
    connection.execute(
        update(activation).where(activation.c.id == activation_id).values(removed_ms=removed_ms)
    )
    state.note_change(connection)


def one_activation(connection: Connection, activation_id: str) -> ActivationRow | None:
    """The activation of that id, or None."""
    row = connection.execute(select(activation).where(activation.c.id == activation_id)).one_or_none()
    return None if row is None else ActivationRow(*row)


def activations(connection: Connection, device: str | None = None) -> list[ActivationRow]:
    """All activations, or those of one device, by device and fitting."""
    query = select(activation).order_by(activation.c.device, activation.c.fitted_ms)
    if device is not None:
        query = query.where(activation.c.device == device)
    return [ActivationRow(*row) for row in connection.execute(query)]
