"""The trail: the positions of a device as they are stored."""

from __future__ import annotations

import numpy as np
from sqlalchemy import Connection

from core.readings import Positions
from gateway import evidence
from gateway.store import envelopes


def positions_of(
    connection: Connection, device: str, from_ms: int | None = None, to_ms: int | None = None
) -> Positions:
    """The positions of a device from ``from_ms`` to ``to_ms`` (tag time, both included; None is open).

    In the order in which the tag made them: its journals in the order of their first hearing, within each by number.
    Positions whose time the tag did not know stand in the store, but not here.
    """
    found = Positions.concatenate(
        [
            part
            for stored in envelopes.of_device(connection, device, from_ms, to_ms)
            for part in evidence.positions(*evidence.read(stored))
        ]
    )
    low = -np.inf if from_ms is None else from_ms
    high = np.inf if to_ms is None else to_ms
    found = found.take(np.flatnonzero((found.t_ms >= low) & (found.t_ms <= high)))
    epochs, first = np.unique(found.epoch, return_index=True)
    rank = np.empty(len(epochs), np.intp)
    rank[np.argsort(first)] = np.arange(len(epochs))
    order = np.lexsort((found.seq, rank[np.searchsorted(epochs, found.epoch)]))
    return found.take(order)
