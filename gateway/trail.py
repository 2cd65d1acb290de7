"""What a device said, as it is stored: its messages, and its trail of positions."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
from sqlalchemy import Connection

from core import wire
from core.readings import Positions
from gateway import evidence
from gateway.sequences import Span
from gateway.store import envelopes
from gateway.store.envelopes import Stored

Unreadable = Callable[[Stored, ValueError], None]
"""Is told of an envelope that can not be read back: the disk or somebody has changed it."""


def messages_of(
    connection: Connection,
    device: str,
    from_ms: int | None = None,
    to_ms: int | None = None,
    *,
    unreadable: Unreadable | None = None,
) -> Iterator[tuple[wire.Up, Sequence[Span]]]:
    """The messages of a device that may hold readings from ``from_ms`` to ``to_ms``, and which numbers count.

    Tag time, both included; None is open. In the order of their hearing. An envelope that can not be read back raises
    EnvelopeError or WireError, or is told to ``unreadable`` and left out.
    """
    for stored in envelopes.of_device(connection, device, from_ms, to_ms):
        try:
            yield evidence.read(stored)
        except ValueError as error:
            if unreadable is None:
                raise
            unreadable(stored, error)


def messages_since(
    connection: Connection, from_ms: Mapping[str, int], unreadable: Callable[[str, Stored, ValueError], None]
) -> dict[str, list[tuple[wire.Up, Sequence[Span]]]]:
    """As `messages_of`, of many devices, each from an instant of its own on; without those that have said nothing."""
    found: dict[str, list[tuple[wire.Up, Sequence[Span]]]] = {}
    for device, stored in envelopes.since(connection, sorted(from_ms.items())):
        try:
            found.setdefault(device, []).append(evidence.read(stored))
        except ValueError as error:
            unreadable(device, stored, error)
    return found


def positions_of(
    connection: Connection,
    device: str,
    from_ms: int | None = None,
    to_ms: int | None = None,
    *,
    unreadable: Unreadable | None = None,
) -> Positions:
    """The positions of a device from ``from_ms`` to ``to_ms`` (tag time, both included; None is open).

    In the order in which the tag made them: its journals in the order of their first hearing, within each by number.
    Positions whose time the tag did not know stand in the store, but not here. Raises as `messages_of` does.
    """
    found = evidence.positions(messages_of(connection, device, from_ms, to_ms, unreadable=unreadable))
    low = -np.inf if from_ms is None else from_ms
    high = np.inf if to_ms is None else to_ms
    found = found.take(np.flatnonzero((found.t_ms >= low) & (found.t_ms <= high)))
    epochs, first = np.unique(found.epoch, return_index=True)
    rank = np.empty(len(epochs), np.intp)
    rank[np.argsort(first)] = np.arange(len(epochs))
    order = np.lexsort((found.seq, rank[np.searchsorted(epochs, found.epoch)]))
    return found.take(order)
