"""Enrolment bundles: which were handed out to whom, and for which visits they were used."""

from __future__ import annotations

import json
from dataclasses import dataclass

from sqlalchemy import Connection, insert, select, update

from gateway.store.tables import bundle, bundle_visit


@dataclass(frozen=True, slots=True)
class BundleRow:
    """A bundle that was handed out to ``account``, for these orders and with these devices; times in gateway time."""

    id: str
    account: str
    issued_ms: int
    expires_ms: int
    revoked_ms: int | None
    orders: tuple[str, ...]
    devices: tuple[str, ...]


def add(connection: Connection, row: BundleRow) -> None:
    """Write a new one."""
    values = {name: getattr(row, name) for name in BundleRow.__slots__}
    values |= {name: json.dumps(values[name]) for name in ("orders", "devices")}
    connection.execute(insert(bundle).values(**values))


def one(connection: Connection, bundle_id: str) -> BundleRow | None:
    """The bundle of that id, or None."""
    return next(iter(_read(connection, bundle_id)), None)


def every(connection: Connection) -> list[BundleRow]:
    """All bundles, the newest first."""
    return sorted(_read(connection), key=lambda row: -row.issued_ms)


def revoke(connection: Connection, bundle_id: str, at_ms: int) -> bool:
    """No visit is finished with it any more; False where it is not known or was revoked before."""
    changed = connection.execute(
        update(bundle).where(bundle.c.id == bundle_id, bundle.c.revoked_ms.is_(None)).values(revoked_ms=at_ms)
    )
    return bool(changed.rowcount)


def visits(connection: Connection, bundle_id: str) -> dict[str, str]:
    """The visit that a bundle was used for, by order."""
    rows = connection.execute(select(bundle_visit).where(bundle_visit.c.bundle == bundle_id))
    return {row.order_id: row.visit for row in rows}


def use(connection: Connection, bundle_id: str, order_id: str, visit: str, at_ms: int) -> None:
    """It was used for that visit."""
    connection.execute(
        insert(bundle_visit).values(bundle=bundle_id, order_id=order_id, visit=visit, at_ms=at_ms)
    )


def _read(connection: Connection, bundle_id: str | None = None) -> list[BundleRow]:
    query = select(bundle)
    if bundle_id is not None:
        query = query.where(bundle.c.id == bundle_id)
    return [
        BundleRow(
            row.id,
            row.account,
            row.issued_ms,
            row.expires_ms,
            row.revoked_ms,
            tuple(json.loads(row.orders)),
            tuple(json.loads(row.devices)),
        )
        for row in connection.execute(query)
    ]
