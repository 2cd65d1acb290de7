"""How far the judge is: up to where everything that is stored has been judged, and what came of it written."""

from __future__ import annotations

from typing import NamedTuple

from sqlalchemy import Connection

from gateway.store import state


class Mark(NamedTuple):
    """The last envelope (its row), and the last change of orders and activations, that was judged."""

    envelope: int
    changes: int


def marked(connection: Connection) -> Mark:
    """What the judge has written last."""
    return Mark(
        state.number(connection, state.JUDGED_ENVELOPE), state.number(connection, state.JUDGED_CHANGES, -1)
    )
