"""Quarantine: messages that could not be believed or understood, bounded, with their reasons."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, delete, func, select

from gateway.store.dialect import upsert
from gateway.store.tables import quarantine

_NO_NUL = str.maketrans("\0", "\ufffd")
"""PostgreSQL's texts have no NUL, and a stranger chooses the topic."""


@dataclass(frozen=True, slots=True)
class QuarantineRow:
    """A message put aside. ``data`` is its beginning; ``size`` and ``sha256`` (hex) are of the whole."""

    received_ms: int
    reason: str
    detail: str
    topic: str
    authentic: bool
    unread: bool
    size: int
    sha256: str
    data: bytes


def add(connection: Connection, rows: Sequence[QuarantineRow], keep: int) -> None:
    """Put messages aside; the same bytes again only raise ``times``.

    For each reason the newest ``keep`` stay. A message of which numbers were committed as unread is evidence and
    stays for ever.
    """
    values = [
        {name: getattr(row, name) for name in QuarantineRow.__slots__}
        | {"topic": row.topic.translate(_NO_NUL), "detail": row.detail.translate(_NO_NUL), "times": 1}
        for row in rows
    ]
    upsert(connection, quarantine, values, ["reason", "topic", "sha256"], add=["times"])
    for reason in sorted({row.reason for row in rows if not row.unread}):
        oldest_kept = (
            select(quarantine.c.id)
            .where(quarantine.c.reason == reason, quarantine.c.unread.is_(False))
            .order_by(quarantine.c.id.desc())
            .offset(keep - 1)
            .limit(1)
            .scalar_subquery()
        )
        connection.execute(
            delete(quarantine).where(
                quarantine.c.reason == reason, quarantine.c.unread.is_(False), quarantine.c.id < oldest_kept
            )
        )


def listing(connection: Connection, reason: str | None = None) -> list[dict[str, Any]]:
    """What is in quarantine, oldest first."""
    query = select(quarantine).order_by(quarantine.c.id)
    if reason is not None:
        query = query.where(quarantine.c.reason == reason)
    return [dict(row._mapping) for row in connection.execute(query)]


def size(connection: Connection) -> int:
    """How many messages are kept."""
    return connection.execute(select(func.count()).select_from(quarantine)).scalar_one()
