"""The trail: the positions of a device as they are stored."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
from sqlalchemy import Connection

from core import wire
from core.readings import Positions
from gateway import evidence
from gateway.sequences import Span
from gateway.store import envelopes
from gateway.store.envelopes import Stored


def positions_of(
    connection: Connection,
    device: str,
    from_ms: int | None = None,
    to_ms: int | None = None,
    *,
    unreadable: Callable[[Stored, ValueError], None] | None = None,
) -> Positions:
    """The positions of a device from ``from_ms`` to ``to_ms`` (tag time, both included; None is open).

    In the order in which the tag made them: its journals in the order of their first hearing, within each by number.
    Positions whose time the tag did not know stand in the store, but not here. An envelope that can not be read back
    (the disk or somebody has changed it) raises EnvelopeError or WireError, or is told to ``unreadable`` and left out.
    """

    def read() -> Iterator[tuple[wire.Up, Sequence[Span]]]:
        for stored in envelopes.of_device(connection, device, from_ms, to_ms):
            try:
                yield evidence.read(stored)
            except ValueError as error:
                if unreadable is None:
                    raise
                unreadable(stored, error)

    found = evidence.positions(read())
    low = -np.inf if from_ms is None else from_ms
    high = np.inf if to_ms is None else to_ms
    found = found.take(np.flatnonzero((found.t_ms >= low) & (found.t_ms <= high)))
    epochs, first = np.unique(found.epoch, return_index=True)
    rank = np.empty(len(epochs), np.intp)
    rank[np.argsort(first)] = np.arange(len(epochs))
    order = np.lexsort((found.seq, rank[np.searchsorted(epochs, found.epoch)]))
    return found.take(order)
