"""Single numbers that the whole gateway shares: generation, the count of changes, counters."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import Connection, select

from gateway.store.dialect import upsert
from gateway.store.tables import counter, meta

GENERATION = "generation"
CHANGES = "changes"
COMMANDS = "commands"
JUDGED_MS = "judged_ms"
TOLD_FROM_MS = "told_from_ms"
HEALTHY_MS = "healthy_ms"
JUDGED_ENVELOPE = "judged_envelope"
JUDGED_CHANGES = "judged_changes"
SCRUB_DUE = "scrub_due"


def number(connection: Connection, name: str, default: int = 0) -> int:
    """The number called ``name``."""
    value = connection.execute(select(meta.c.value).where(meta.c.name == name)).scalar()
    return default if value is None else int(value)


def set_number(connection: Connection, name: str, value: int) -> None:
    """Write the number called ``name``."""
    upsert(connection, meta, [{"name": name, "value": value}], ["name"], replace=["value"])


def generation(connection: Connection) -> int:
    """The store's generation; 1 until a backup has been restored."""
    return number(connection, GENERATION, 1)


def note_change(connection: Connection) -> None:
    """Say to the other processes that a device, an order or an activation has changed."""
    upsert(connection, meta, [{"name": CHANGES, "value": 1}], ["name"], add=["value"])


def changes(connection: Connection) -> int:
    """Rises with every change of a device, an order or an activation."""
    return number(connection, CHANGES)


def note_command(connection: Connection) -> None:
    """Say to the other processes that a command is new, or is to be said no more."""
    upsert(connection, meta, [{"name": COMMANDS, "value": 1}], ["name"], add=["value"])


def count(connection: Connection, additions: Mapping[str, int]) -> None:
    """Add to counters."""
    rows = [{"name": name, "value": value} for name, value in sorted(additions.items()) if value]
    upsert(connection, counter, rows, ["name"], add=["value"])


def counters(connection: Connection) -> dict[str, int]:
    """Every counter, since the store was made."""
    rows = connection.execute(select(counter.c.name, counter.c.value).order_by(counter.c.name))
    return dict(iter(rows))
