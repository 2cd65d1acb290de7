"""Who changed an order, when, from when on and why; never changed afterwards."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, insert, select

from gateway.store.tables import order_change


@dataclass(frozen=True, slots=True)
class ChangeRow:
    """One change of an order. ``version`` to ``last_version`` are those that it made; ``last_version`` is None for a
    record that made none (a refusal, an appeal), and ``version`` then the newest. ``document`` is JSON.
    """

    id: int
    order_id: str
    version: int
    last_version: int | None
    kind: str
    by: str
    at_ms: int
    effective_ms: int
    reason: str
    document: str
    identity: str

    @property
    def details(self) -> dict[str, Any]:
        """What else was recorded of it."""
        found: dict[str, Any] = json.loads(self.document)
        return found


def add(
    connection: Connection,
    *,
    order_id: str,
    version: int,
    last_version: int | None,
    kind: str,
    by: str,
    at_ms: int,
    effective_ms: int,
    reason: str,
    details: Mapping[str, Any],
    identity: str,
) -> int:
    """Write a change; returns its number."""
    done = connection.execute(
        insert(order_change).values(
            order_id=order_id,
            version=version,
            last_version=last_version,
            kind=kind,
            by=by,
            at_ms=at_ms,
            effective_ms=effective_ms,
            reason=reason,
            document=json.dumps(details, ensure_ascii=False, sort_keys=True),
            identity=identity,
        )
    )
    key = done.inserted_primary_key
    assert key is not None
    return int(key[0])


def of_order(connection: Connection, order_id: str) -> list[ChangeRow]:
    """Every change of an order, the oldest first."""
    query = select(order_change).where(order_change.c.order_id == order_id).order_by(order_change.c.id)
    return [ChangeRow(*row) for row in connection.execute(query)]


def one(connection: Connection, change_id: int) -> ChangeRow | None:
    """The change of that number."""
    row = connection.execute(select(order_change).where(order_change.c.id == change_id)).one_or_none()
    return None if row is None else ChangeRow(*row)


def same(connection: Connection, order_id: str, identity: str) -> ChangeRow | None:
    """The last time that the same was asked for of an order."""
    query = (
        select(order_change)
        .where(order_change.c.order_id == order_id, order_change.c.identity == identity)
        .order_by(order_change.c.id.desc())
        .limit(1)
    )
    row = connection.execute(query).one_or_none()
    return None if row is None else ChangeRow(*row)
