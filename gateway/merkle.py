"""Merkle trees as RFC 6962 makes them: one digest for many items, and for each a short proof that it was among them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

WIDTH = 32
"""Bytes of a leaf, and of a root."""


def leaf(data: bytes) -> bytes:
    """The leaf of an item."""
    return hashlib.sha256(b"\0" + data).digest()


def root(leaves: Sequence[bytes]) -> bytes:
    """The root over leaves in their order; of none, the digest of nothing."""
    if not leaves:
        return hashlib.sha256().digest()
    level = list(leaves)
    while len(level) > 1:
        # an odd one at the end goes up as it is: the same tree as the RFC's split at the largest power of two
        paired = [_node(level[i], level[i + 1]) for i in range(0, len(level) - 1, 2)]
        level = paired + level[2 * len(paired) :]
    return level[0]


def path(leaves: Sequence[bytes], at: int) -> list[tuple[bool, bytes]]:
    """What leads from the leaf ``at`` to the root: each neighbour, and whether it stands on the left."""
    found: list[tuple[bool, bytes]] = []
    level = list(leaves)
    while len(level) > 1:
        other = at ^ 1
        if other < len(level):
            found.append((other < at, level[other]))
        paired = [_node(level[i], level[i + 1]) for i in range(0, len(level) - 1, 2)]
        level = paired + level[2 * len(paired) :]
        at //= 2
    return found


def leads_to(start: bytes, steps: Sequence[tuple[bool, bytes]]) -> bytes:
    """The root that a path leads to from the leaf ``start``."""
    for left, other in steps:
        start = _node(other, start) if left else _node(start, other)
    return start


def split(joined: bytes) -> list[bytes]:
    """Leaves that were written one after the other. Raises ValueError where they are not whole."""
    if len(joined) % WIDTH:
        raise ValueError(f"{len(joined)} bytes are no whole number of leaves")
    return [joined[i : i + WIDTH] for i in range(0, len(joined), WIDTH)]


def _node(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\1" + left + right).digest()
