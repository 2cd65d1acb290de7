"""Equipment: what is wrong with a tag or a home unit, as far as they say so themselves.

- *Tamper*: the strap or the case was opened. Closing it ends nothing, an officer's check does.
- *Home unit*: without mains until they are back; moved, or its case opened, until an officer's check; its back-up
  battery low until the mains are back. By its events, or by what it says of itself with every contact.
- *Jamming, spoofing*: the tag reports signs, once an hour while they last; over when it has reported none for 125 min.
  Impossible jumps of positions (`core.reception`) are a sign that the gateway finds itself, over after 15 min without.
  Likewise beacons that a home unit hears in a tag's name and the tag did not send, firmware that stops and is started
  again, and settings or the count of commands that a device could not read when it was started.
- *Faults* of the motion sensors and of the alcohol sensor, until the device says that they are over.
- *Battery*: low, critical, flat soon by its trend (`core.battery`).
- *No position* for 4 h while a condition needs positions (`core.reception`).

All in tag time, so all obey law 3. No contact at all is a matter of receipts: `core.contact`. What was said before
fitting or after removal means nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from core.activation import ALWAYS_MS, Activation
from core.alerts import Alert
from core.battery import DRAIN, FLAT, drain, drain_limits, nothing_drained
from core.codes import among, kinds_of
from core.conditions import (
    AttendanceCondition,
    ExclusionCondition,
    InclusionCondition,
    RestrictionCondition,
    TrailCondition,
)
from core.equipment_alerts import Sayer, quiet_ms
from core.family import Batch, Part
from core.latches import Latches, hear
from core.readings import EventCode
from core.reception import JUMPS, SPELL, forged, jumps_of, nothing_received, receive, reception_limits
from core.rows import cut
from core.rules import RuleSet
from core.slots import Slots

_DRAINING = kinds_of(
    [
        EventCode.BATTERY,
        EventCode.BATTERY_PERCENT,
        EventCode.BATTERY_ON_CHARGER,
        EventCode.BATTERY_OFF_CHARGER,
        EventCode.CHARGER_ON,
        EventCode.CHARGER_OFF,
    ]
)
_LOCATED = (
    ExclusionCondition,
    InclusionCondition,
    RestrictionCondition,
    AttendanceCondition,
    TrailCondition,
)


TERMS = np.dtype(
    [
        ("fitted_ms", np.int64),
        ("removed_ms", np.int64),
        # when a condition needs positions, from when to when
        ("from_ms", np.int64),
        ("to_ms", np.int64),
        ("several", np.int8),  # 1: not once but never, or several times (`located`)
    ]
)


@dataclass(slots=True)
class Kit:
    """The equipment of one activation: where its state lies, and what is amiss (``latches``, by rule and unit)."""

    activation: Activation
    slot: int = 0
    latches: Latches | None = None
    flags: dict[int, int] | None = None
    """What each home unit said of itself last, where it was not healthy."""


Saved = tuple[bytes, Latches | None, dict[int, int] | None]


class EquipmentWatch:
    """The rule family of equipment; it comes after `core.trail.TrailWatch`."""

    def __init__(self, rules: RuleSet) -> None:
        self._rules = rules
        self._drain, self._reception = drain_limits(rules), reception_limits(rules)
        self._jumps_ms, self._quiet_ms = rules.jumps_within_s * 1000, quiet_ms(rules)
        self._slots = Slots(nothing_received(), nothing_drained(), terms=[np.zeros(1, TERMS)])

    def enrol(self, activation: Activation) -> Kit:
        """Take on an activation; nothing known yet."""
        kit = Kit(activation)
        kit.slot = self._slots.take(1, kit)
        removed_ms = ALWAYS_MS if activation.removed_ms is None else activation.removed_ms
        needed = located(activation)
        one = needed[0] if len(needed) == 1 else (0, 0)
        self._slots.terms[0][kit.slot] = (activation.fitted_ms, removed_ms, *one, len(needed) != 1)
        self.reset(kit)
        return kit

    def dismiss(self, kit: Kit) -> None:
        """Let it go."""
        self._slots.give_back(kit.slot)

    def reset(self, kit: Kit) -> None:
        """Back to nothing known."""
        self._slots.clear(kit.slot)
        self._slots.rows[0]["seen_ms"][kit.slot] = kit.activation.fitted_ms
        kit.latches = kit.flags = None

    def save(self, kit: Kit) -> Saved:
        """A copy of its state."""
        return self._slots.save(kit.slot), kit.latches and dict(kit.latches), kit.flags and dict(kit.flags)

    def restore(self, kit: Kit, saved: Saved) -> None:
        """Back to that state."""
        self._slots.restore(kit.slot, 1, saved[0])
        kit.latches, kit.flags = saved[1] and dict(saved[1]), saved[2] and dict(saved[2])

    def advance(self, batch: Batch, parts: Sequence[Part]) -> list[Alert]:
        """Carry on through the readings of each part; the alerts that this settles."""
        settled: list[Alert] = []
        places = []
        for kit, positions, contacts, _, events in parts:
            if positions[0] < positions[1]:
                places.append((kit.slot, *positions))
            if events[0] < events[1] or contacts[0] < contacts[1]:
                settled += self._hear(kit, batch, contacts, events)
        if places:
            spells = receive(
                batch.positions,
                np.array(places, np.int64),
                self._slots.terms[0],
                self._slots.rows[0],
                self._reception,
            )
            for spell in spells:
                kit = self._slots.owners[int(spell["slot"])]
                if spell["kind"] == JUMPS:
                    settled.append(self._sayer(kit).jumps(spell, True))
                else:
                    settled += self._losses(kit, spell)
        return settled

    def tail(self, kits: Iterable[Kit], now_ms: int) -> tuple[list[Alert], list[int]]:
        """The alerts that stand at ``now_ms``, and when time alone will change something."""
        kits = list(kits)
        slots = np.array([kit.slot for kit in kits], np.int64)
        (reception, battery), (terms,) = self._slots.rows, self._slots.terms
        lost_ms = reception["seen_ms"][slots] + self._reception.loss_ms
        to_ms, removed_ms = terms["to_ms"][slots], terms["removed_ms"][slots]
        # nearly every kit is well: one condition needs positions, and the last one is not long ago
        due_ms = np.maximum(lost_ms, terms["from_ms"][slots] + self._reception.loss_ms)
        due_ms = np.where(due_ms < to_ms, due_ms, ALWAYS_MS)
        due_ms = np.minimum(due_ms, np.where(removed_ms > now_ms, removed_ms, ALWAYS_MS))
        amiss = (reception["jumps"][slots] >= self._reception.fewest) | (battery["open"][slots] != 0)
        amiss |= (terms["several"][slots] != 0) | (lost_ms <= now_ms)
        amiss |= np.array([kit.latches is not None for kit in kits], np.bool_)
        deadlines = due_ms.tolist()
        alerts: list[Alert] = []
        for i in np.flatnonzero(amiss).tolist():
            found, deadlines[i] = self._standing(kits[i], now_ms)
            alerts += found
        return alerts, deadlines

    def _sayer(self, kit: Kit) -> Sayer:
        return Sayer(kit.activation, self._rules)

    def _hear(self, kit: Kit, batch: Batch, contacts: tuple[int, int], told: tuple[int, int]) -> list[Alert]:
        """Events, and what home units say of themselves."""
        term, say = self._slots.terms[0][kit.slot], self._sayer(kit)
        lo, hi = cut(batch.events, *told, term["fitted_ms"], term["removed_ms"])
        events = batch.events[lo:hi]
        settled: list[Alert] = []
        draining = events[among(events["code"], _DRAINING)]
        if len(draining):
            out = np.zeros(len(draining) + 1, DRAIN)
            count = drain(draining, 0, len(draining), self._slots.rows[1][kit.slot], self._drain, out)
            settled += [say.battery(row, int(row["stage"])) for row in out[:count]]
        lo, hi = cut(batch.contacts, *contacts, term["fitted_ms"], term["removed_ms"])
        latches, flags = kit.latches or {}, kit.flags or {}
        for over in hear(events, batch.contacts[lo:hi], latches, flags, self._quiet_ms):
            settled.append(say.latch(*over))
        kit.latches, kit.flags = latches or None, flags or None
        return settled

    def _losses(self, kit: Kit, spell: Any) -> list[Alert]:
        """A time without positions, as far as positions were needed."""
        found = []
        for from_ms, to_ms in located(kit.activation):
            since_ms, end_ms = max(from_ms, int(spell["start_ms"])), min(to_ms, int(spell["end_ms"]))
            if since_ms + self._reception.loss_ms < end_ms:
                end_key = int(spell["last_key"]) if end_ms == spell["end_ms"] else 0
                start_ms = since_ms + self._reception.loss_ms
                found.append(
                    self._sayer(kit).loss(since_ms, start_ms, end_ms, int(spell["first_key"]), end_key)
                )
        return found

    def _standing(self, kit: Kit, now_ms: int) -> tuple[list[Alert], int]:
        alerts: list[Alert] = []
        say, removed_ms = self._sayer(kit), int(self._slots.terms[0]["removed_ms"][kit.slot])
        dues: list[int] = [removed_ms]
        until_ms = min(now_ms, removed_ms)
        gone_ms = removed_ms if removed_ms <= now_ms else None
        for latch in (kit.latches or {}).values():
            end_ms = gone_ms
            if latch.rule in self._quiet_ms:
                dues.append(latch.last_ms + self._quiet_ms[latch.rule] + 1)
                end_ms = latch.last_ms if dues[-1] <= until_ms or gone_ms is not None else None
            alerts.append(say.latch(latch, end_ms))
        reception, battery = (rows[kit.slot] for rows in self._slots.rows)
        if forged(reception, self._reception):
            spell = np.zeros(1, SPELL)[0]
            jumps_of(reception, kit.slot, spell)
            dues.append(int(reception["last_ms"]) + self._jumps_ms + 1)
            alerts.append(say.jumps(spell, dues[-1] <= until_ms or gone_ms is not None))
        if battery["open"]:
            row, stage = battery.copy(), int(battery["stage"])
            dues.append(int(row["flat_ms"]))
            stage = FLAT if row["flat_ms"] <= until_ms else stage
            if gone_ms is not None:
                row["end_ms"] = gone_ms
            alerts.append(say.battery(row, stage))
        seen_ms, seen_key = int(reception["seen_ms"]), int(reception["seen_key"])
        for from_ms, to_ms in located(kit.activation):
            since_ms = max(from_ms, seen_ms)
            start_ms = since_ms + self._reception.loss_ms
            if start_ms < to_ms:
                dues += [start_ms, to_ms]
                if start_ms <= now_ms:
                    alerts.append(
                        say.loss(since_ms, start_ms, to_ms if to_ms <= now_ms else None, seen_key, 0)
                    )
        return alerts, min((due for due in dues if due > now_ms), default=ALWAYS_MS)


def located(activation: Activation) -> tuple[tuple[int, int], ...]:
    """When a condition needs positions: ``[from, to)`` ascending, apart."""
    found: list[tuple[int, int]] = []
    for from_ms, to_ms, order in activation.spans():
        spans = [
            (max(from_ms, condition.from_ms), min(to_ms, condition.to_ms))
            for condition in order.conditions
            if isinstance(condition, _LOCATED) and type(condition) in activation.senses
        ]
        for start, end in sorted(spans):
            if found and start <= found[-1][1]:
                found[-1] = (found[-1][0], max(found[-1][1], end))
            elif start < end:
                found.append((start, end))
    return tuple(found)
