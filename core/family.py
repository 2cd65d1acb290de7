"""What a rule family is: one module, one class, one line in `core.monitor.FAMILIES`.

A family watches some of the conditions of many activations at once. The monitor hands it the readings of all of them in
one batch, in order of tag time, and asks it what stands when; where several kinds count, the family merges them by
``t_ms`` (at one instant: events first). Two duties make law 3 hold:

- ``advance`` carries state on by readings only, never by a clock; no instant is ever divided between two calls, and
  however the readings are divided into calls, state and settled alerts come out the same;
- ``tail`` changes nothing: what time alone means is worked out on a copy.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np

from core.activation import Activation
from core.alerts import Alert
from core.rows import DTYPES, Columns, Fixes, Rows, columns_of
from core.rules import RuleSet


class Batch(NamedTuple):
    """Readings of many activations, kind by kind, one after the other; dtypes are those of `core.rows.DTYPES`.

    ``columns`` are the positions once more: who writes ``radius_m`` writes it in both.
    """

    positions: Fixes
    contacts: Rows
    samples: Rows
    events: Rows
    columns: Columns


class Part(NamedTuple):
    """Where the readings of one activation lie in a batch: of every kind first and last+1, both equal if none."""

    handle: Any
    positions: tuple[int, int]
    contacts: tuple[int, int]
    samples: tuple[int, int]
    events: tuple[int, int]


class Family(Protocol):
    """A rule family.

    ``enrol`` gives a handle for what it watches of one activation, or None where there is nothing to watch: then the
    family hears no more of that activation. The other calls take the handle back.
    """

    def __init__(self, rules: RuleSet) -> None: ...

    def enrol(self, activation: Activation) -> Any:
        """Take on an activation; nothing known yet."""

    def dismiss(self, handle: Any) -> None:
        """Let it go."""

    def reset(self, handle: Any) -> None:
        """Back to nothing known."""

    def save(self, handle: Any) -> Any:
        """A copy of its state."""

    def restore(self, handle: Any, saved: Any) -> None:
        """Back to that state, which may be used again."""

    def advance(self, batch: Batch, parts: Sequence[Part]) -> list[Alert]:
        """Carry on through the readings of each part; the alerts that this settles: no later reading changes them."""

    def tail(self, handles: Iterable[Any], now_ms: int) -> tuple[list[Alert], list[int]]:
        """The alerts not settled that stand at ``now_ms``; for each handle, when time alone will change something."""


def batch_of(**kinds: Rows) -> Batch:
    """A batch of the kinds given by name, the others empty: for looking at one family alone."""
    rows = [
        kinds.get(name, np.zeros(0, dtype)) for name, dtype in zip(Batch._fields[:4], DTYPES, strict=True)
    ]
    positions, contacts, samples, events = rows
    return Batch(positions, contacts, samples, events, columns_of(positions))


def part_of(handle: Any, batch: Batch) -> Part:
    """The whole of ``batch`` for one activation."""
    return Part(handle, *((0, len(rows)) for rows in batch[:4]))
