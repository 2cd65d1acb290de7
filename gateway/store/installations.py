"""Where home units stand: which one listens for whom, at which address of the order, from when to when."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, insert, select, update

from gateway.store import state
from gateway.store.tables import installation


@dataclass(frozen=True, slots=True)
class Installation:
    """One home unit at one address of an activation's order. Instants are the unit's time; the end is not included.

    ``place`` is the address's in the list of the order's curfew, from 0 (``core.readings.Contacts.unit``).
    """

    unit: str
    activation: str
    installed_ms: int
    removed_ms: int | None
    place: int

    def holds(self, t_ms: int) -> bool:
        """Does the unit stand there at ``t_ms``?"""
        return self.installed_ms <= t_ms and (self.removed_ms is None or t_ms < self.removed_ms)


def add(connection: Connection, entry: Installation) -> None:
    """Write a new installation."""
    values = {name: getattr(entry, name) for name in Installation.__slots__}
    connection.execute(insert(installation).values(values))
    state.note_change(connection)


def end(connection: Connection, entry: Installation, removed_ms: int) -> None:
    """The unit was taken away."""
    connection.execute(
        update(installation)
        .where(
            installation.c.unit == entry.unit,
            installation.c.activation == entry.activation,
            installation.c.installed_ms == entry.installed_ms,
        )
        .values(removed_ms=removed_ms)
    )
    state.note_change(connection)


def every(connection: Connection) -> list[Installation]:
    """All installations, by unit and time."""
    query = select(installation).order_by(
        installation.c.unit, installation.c.installed_ms, installation.c.activation
    )
    return [Installation(*row) for row in connection.execute(query)]
