"""Looks: who was shown what about whom, and when (law 10); and who signed in, or did something. Rows are only added."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, insert, select

from gateway.store.tables import look


def add(
    connection: Connection,
    at_ms: int,
    viewer: str,
    view: str,
    *,
    alerts: Sequence[str] = (),
    activations: Sequence[str] = (),
    **more: str,
) -> None:
    """Write down one look; ``alerts`` and ``activations`` are ids, ``at_ms`` gateway time.

    ``more`` is what else belongs to it: ``address``, where the person was; ``user``, to whom something was done.
    """
    about = json.dumps(
        {"alerts": list(alerts), "activations": list(activations), **more}, separators=(",", ":")
    )
    connection.execute(insert(look).values(at_ms=at_ms, viewer=viewer, view=view, about=about))


def listing(connection: Connection, limit: int = 1000) -> list[dict[str, Any]]:
    """The newest looks, newest first."""
    rows = connection.execute(select(look).order_by(look.c.id.desc()).limit(limit))
    return [
        {"at_ms": row.at_ms, "viewer": row.viewer, "view": row.view, **json.loads(row.about)} for row in rows
    ]
