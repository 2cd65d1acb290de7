"""Equipment: what is wrong with a tag or a home unit, as far as they say so themselves.

- *Tamper*: the strap or the case was opened. Closing it ends nothing, an officer's check does.
- *Home unit*: without mains until they are back; moved, or its case opened, until an officer's check; its back-up
  battery low until the mains are back. By its events, or by what it says of itself with every contact.
- *Jamming, spoofing*: the tag reports signs; over when it has reported none for 15 min. Impossible jumps of positions
  (`core.reception`) are a sign that the gateway finds itself.
- *Battery*: low, critical, flat soon by its trend (`core.battery`).
- *No position* for 4 h while a condition needs positions (`core.reception`).

All in tag time, so all obey law 3. No contact at all is a matter of receipts: `core.contact`. What was said before
fitting or after removal means nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from core.activation import ALWAYS_MS, Activation
from core.alerts import Alert
from core.battery import DRAIN, FLAT, drain, drain_limits, nothing_drained
from core.conditions import (
    AttendanceCondition,
    ExclusionCondition,
    InclusionCondition,
    RestrictionCondition,
    TrailCondition,
)
from core.equipment_alerts import JAMMING, SPOOFING, Sayer
from core.family import Batch, Part
from core.latches import Latches, hear
from core.readings import I64, EventCode
from core.reception import JUMPS, SPELL, forged, jumps_of, nothing_received, receive, reception_limits
from core.rows import Rows, cut
from core.rules import RuleSet
from core.slots import Slots

_DRAINING = np.array(
    [EventCode.BATTERY, EventCode.BATTERY_PERCENT, EventCode.CHARGER_ON, EventCode.CHARGER_OFF]
)
_LOCATED = (
    ExclusionCondition,
    InclusionCondition,
    RestrictionCondition,
    AttendanceCondition,
    TrailCondition,
)


@dataclass(slots=True)
class Kit:
    """The equipment of one activation: where its state lies, and what is amiss (``latches``, by rule and unit)."""

    slots: I64
    fitted_ms: int
    removed_ms: int
    located: tuple[tuple[int, int], ...]
    """When a condition needs positions."""
    say: Sayer
    latches: Latches = field(default_factory=dict)
    flags: dict[int, int] = field(default_factory=dict)
    """What each home unit said of itself last, where it was not healthy."""


Saved = tuple[tuple[Rows, ...], Latches, dict[int, int]]


class EquipmentWatch:
    """The rule family of equipment; it comes after `core.trail.TrailWatch`."""

    def __init__(self, rules: RuleSet) -> None:
        self._rules = rules
        self._drain, self._reception = drain_limits(rules), reception_limits(rules)
        self._quiet_ms = rules.jumps_within_s * 1000
        self._slots = Slots(nothing_received(), nothing_drained())
        self._kits: dict[int, Kit] = {}

    def enrol(self, activation: Activation) -> Kit:
        """Take on an activation; nothing known yet."""
        removed_ms = ALWAYS_MS if activation.removed_ms is None else activation.removed_ms
        kit = Kit(
            self._slots.take(1),
            activation.fitted_ms,
            removed_ms,
            _located(activation),
            Sayer(activation, self._rules),
        )
        self._kits[int(kit.slots[0])] = kit
        self.reset(kit)
        return kit

    def dismiss(self, kit: Kit) -> None:
        """Let it go."""
        del self._kits[int(kit.slots[0])]
        self._slots.give_back(kit.slots)

    def reset(self, kit: Kit) -> None:
        """Back to nothing known."""
        self._slots.clear(kit.slots)
        self._slots.rows[0]["seen_ms"][kit.slots] = kit.fitted_ms
        kit.latches, kit.flags = {}, {}

    def save(self, kit: Kit) -> Saved:
        """A copy of its state."""
        return self._slots.save(kit.slots), dict(kit.latches), dict(kit.flags)

    def restore(self, kit: Kit, saved: Saved) -> None:
        """Back to that state."""
        self._slots.restore(kit.slots, saved[0])
        kit.latches, kit.flags = dict(saved[1]), dict(saved[2])

    def advance(self, batch: Batch, parts: Sequence[Part]) -> list[Alert]:
        """Carry on through the readings of each part; the alerts that this settles."""
        settled: list[Alert] = []
        places = []
        for part in parts:
            kit = part.handle
            lo, hi = cut(batch.positions, *part.positions, kit.fitted_ms, kit.removed_ms)
            if lo < hi:
                places.append((kit.slots[0], lo, hi))
            if part.events[0] < part.events[1] or part.contacts[0] < part.contacts[1]:
                settled += self._hear(kit, batch, part)
        if places:
            spells = receive(
                batch.positions, np.array(places, np.int64), self._slots.rows[0], self._reception
            )
            for spell in spells:
                kit = self._kits[int(spell["slot"])]
                if spell["kind"] == JUMPS:
                    settled.append(kit.say.jumps(spell, True))
                else:
                    settled += self._losses(kit, spell)
        return settled

    def tail(self, kits: Iterable[Kit], now_ms: int) -> tuple[list[Alert], list[int]]:
        """The alerts that stand at ``now_ms``, and when time alone will change something."""
        kits = list(kits)
        slots = np.array([kit.slots[0] for kit in kits], np.int64)
        reception, battery = (rows[slots] for rows in self._slots.rows)
        quiet = ((reception["jumps"] < self._reception.fewest) & (battery["open"] == 0)).tolist()
        lost_ms = (reception["seen_ms"] + self._reception.loss_ms).tolist()
        alerts: list[Alert] = []
        deadlines = []
        for kit, nothing_amiss, due_ms in zip(kits, quiet, lost_ms, strict=True):
            # nearly every kit is well: one condition needs positions, and the last one is not long ago
            if not nothing_amiss or kit.latches or len(kit.located) != 1 or due_ms <= now_ms:
                found, due_ms = self._standing(kit, now_ms)
                alerts += found
            else:
                from_ms, to_ms = kit.located[0]
                due_ms = max(due_ms, from_ms + self._reception.loss_ms)
                ends_ms = kit.removed_ms if kit.removed_ms > now_ms else ALWAYS_MS
                due_ms = min(due_ms if due_ms < to_ms else ALWAYS_MS, ends_ms)
            deadlines.append(due_ms)
        return alerts, deadlines

    def _hear(self, kit: Kit, batch: Batch, part: Part) -> list[Alert]:
        """Events, and what home units say of themselves."""
        lo, hi = cut(batch.events, *part.events, kit.fitted_ms, kit.removed_ms)
        events = batch.events[lo:hi]
        settled: list[Alert] = []
        draining = events[np.isin(events["code"], _DRAINING)]
        if len(draining):
            out = np.zeros(len(draining) + 1, DRAIN)
            over = drain(draining, 0, len(draining), self._slots.rows[1][kit.slots[0]], self._drain, out)
            settled += [kit.say.battery(row, int(row["stage"])) for row in out[:over]]
        lo, hi = cut(batch.contacts, *part.contacts, kit.fitted_ms, kit.removed_ms)
        for latch, end_ms, end_key in hear(
            events, batch.contacts[lo:hi], kit.latches, kit.flags, self._quiet_ms
        ):
            settled.append(kit.say.latch(latch, end_ms, end_key))
        return settled

    def _losses(self, kit: Kit, spell: Any) -> list[Alert]:
        """A time without positions, as far as positions were needed."""
        found = []
        for from_ms, to_ms in kit.located:
            since_ms, end_ms = max(from_ms, int(spell["start_ms"])), min(to_ms, int(spell["end_ms"]))
            if since_ms + self._reception.loss_ms < end_ms:
                end_key = int(spell["last_key"]) if end_ms == spell["end_ms"] else 0
                start_ms = since_ms + self._reception.loss_ms
                found.append(kit.say.loss(since_ms, start_ms, end_ms, int(spell["first_key"]), end_key))
        return found

    def _standing(self, kit: Kit, now_ms: int) -> tuple[list[Alert], int]:
        alerts: list[Alert] = []
        dues: list[int] = [kit.removed_ms]
        until_ms = min(now_ms, kit.removed_ms)
        gone_ms = kit.removed_ms if kit.removed_ms <= now_ms else None
        for latch in kit.latches.values():
            end_ms = gone_ms
            if latch.rule in (JAMMING, SPOOFING):
                dues.append(latch.last_ms + self._quiet_ms + 1)
                end_ms = latch.last_ms if dues[-1] <= until_ms or gone_ms is not None else None
            alerts.append(kit.say.latch(latch, end_ms))
        reception, battery = (rows[kit.slots[0]] for rows in self._slots.rows)
        if forged(reception, self._reception):
            spell = np.zeros(1, SPELL)[0]
            jumps_of(reception, int(kit.slots[0]), spell)
            dues.append(int(reception["last_ms"]) + self._quiet_ms + 1)
            alerts.append(kit.say.jumps(spell, dues[-1] <= until_ms or gone_ms is not None))
        if battery["open"]:
            row, stage = battery.copy(), int(battery["stage"])
            dues.append(int(row["flat_ms"]))
            stage = FLAT if row["flat_ms"] <= until_ms else stage
            if gone_ms is not None:
                row["end_ms"] = gone_ms
            alerts.append(kit.say.battery(row, stage))
        seen_ms, seen_key = int(reception["seen_ms"]), int(reception["seen_key"])
        for from_ms, to_ms in kit.located:
            since_ms = max(from_ms, seen_ms)
            start_ms = since_ms + self._reception.loss_ms
            if start_ms < to_ms:
                dues += [start_ms, to_ms]
                if start_ms <= now_ms:
                    alerts.append(
                        kit.say.loss(since_ms, start_ms, to_ms if to_ms <= now_ms else None, seen_key, 0)
                    )
        return alerts, min((due for due in dues if due > now_ms), default=ALWAYS_MS)


def _located(activation: Activation) -> tuple[tuple[int, int], ...]:
    """When a condition needs positions: ``[from, to)`` ascending, apart."""
    found: list[tuple[int, int]] = []
    for from_ms, to_ms, order in activation.spans():
        spans = [
            (max(from_ms, condition.from_ms), min(to_ms, condition.to_ms))
            for condition in order.conditions
            if isinstance(condition, _LOCATED)
        ]
        for start, end in sorted(spans):
            if found and start <= found[-1][1]:
                found[-1] = (found[-1][0], max(found[-1][1], end))
            elif start < end:
                found.append((start, end))
    return tuple(found)
