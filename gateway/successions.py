"""What the activations of one order hand on to each other: absences, which add up over the order.

When a tag is changed in the middle of an order, each activation carries the absences of those before it
(`core.atv.over_order`), by the instants of fitting. So the allowance is used up in one of them, whatever arrives when.
Nothing of this is stored: it is made of the readings, like all that the monitor knows.
"""

from __future__ import annotations

from collections.abc import Mapping

from core.atv import Absence
from core.monitor import Monitor

Chain = tuple[str, ...]


class Successions:
    """What was handed on last."""

    def __init__(self) -> None:
        self._absences: dict[str, tuple[Absence, ...]] = {}
        self._carried: dict[str, tuple[Absence, ...]] = {}

    def carried(self, activation_id: str) -> tuple[Absence, ...]:
        """What an activation carries."""
        return self._carried.get(activation_id, ())

    def hand_on(self, monitor: Monitor, chains: Mapping[str, Chain], now_ms: int) -> bool:
        """After ``monitor`` has judged at ``now_ms``: hand on what changed; True if it has to judge again.

        ``chains`` gives each activation that shares its order with others all of them, the first one first. What an
        activation carries does not change its own absences, so one pass reaches the end of every chain.
        """
        looked_at = monitor.looked_at & chains.keys()
        changed = False
        for chain in sorted({chains[name] for name in looked_at}):
            before: tuple[Absence, ...] = ()
            for name in chain:
                if name in looked_at or name not in self._absences:
                    self._absences[name] = monitor.absences(name, now_ms)
                if self.carried(name) != before:
                    self._carried[name] = before
                    monitor.carry(name, before)
                    changed = True
                before = (*before, *self._absences[name])
        return changed
