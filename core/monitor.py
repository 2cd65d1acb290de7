"""The one entry: readings, orders and now in, alerts out.

`evaluate` judges everything at once; `Monitor` judges readings as they come. Both give the same final alerts, with the
same identities and the same content, however the readings were split, ordered or repeated (design law 3), because the
alerts at ``now`` are a function of the set of readings and of ``now`` alone:

- readings of each kind are judged in the order of (tag time, epoch, sequence number), each once, and no instant is ever
  divided: what happens at one instant is judged together, whatever its kind;
- a rule carries its state on by readings only; what silence means at ``now`` is worked out on a copy;
- a reading that comes late takes the activation back to a checkpoint before it, and on from there.

``now`` decides deadlines, and one thing more: a reading dated more than ``RuleSet.ahead_s`` after ``now`` is kept and
judged when now gets there (`Monitor.held` tells how many), because either clock may be wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from core.activation import ALWAYS_MS, LATEST_MS, Activation
from core.alerts import Alert
from core.attendance import Attendance
from core.atv import Absence
from core.case import Case, Memory
from core.contact import NO_CONTACT, Contact
from core.curfew import CurfewWatch
from core.equipment import EquipmentWatch
from core.family import Family, Part
from core.following import Following
from core.gathering import Stride, gather, groups
from core.geofence import Geofence
from core.readings import Positions, Readings
from core.rows import rows_from
from core.rules import DEFAULT_RULES, RuleSet
from core.slots import Slots
from core.sobriety import Sobriety
from core.trail import TrailWatch

__all__ = ["Activation", "Alert", "Memory", "Monitor", "NotBoundError", "evaluate"]

FAMILIES: tuple[type[Family], ...] = (
    TrailWatch,
    Geofence,
    Attendance,
    Following,
    CurfewWatch,
    Sobriety,
    EquipmentWatch,
)

CHECKPOINT_READINGS = 256
"""A late reading is judged again with about so many before it, where all readings are kept anyhow."""
RECALLED_CHECKPOINT_READINGS = 64
"""The same with ``recall``: fewer, because readings since the last checkpoint are kept. A checkpoint costs some hundred
bytes then."""
KEEP_READINGS = 16
"""A reading later than so many others is rare: the journal of a tag hands over in order."""
REMEMBER_S = 30 * 86_400
"""Readings that come later than this are rare enough to judge everything again for."""
_STRIDE_CHECKPOINTS = 16
"""Readings that come all at once are judged in strides of so many checkpoints' worth: few calls, bounded replay."""


class NotBoundError(LookupError):
    """An activation that the monitor does not know."""

    def __init__(self, activation_id: str) -> None:
        self.activation_id = activation_id
        super().__init__(f"activation {activation_id!r} is not bound: bind it before adding its readings")


Recall = Callable[[str, int], Readings | Positions]
"""All readings known of an activation that are dated at or after an instant (ms); more does no harm."""
RecallAlerts = Callable[[str], Iterable[Alert]]
"""All alerts of an activation as `Monitor.judge` told them last, without those withdrawn."""


class Monitor:
    """Judges readings as they come.

    A monitor is a cache: built anew from activations and readings it is the same. ``checkpoint_readings`` weighs the
    memory of checkpoints against the work that a late reading makes. With ``recall`` about ``keep_readings`` of an
    activation are kept, and earlier ones asked for when they are needed again: for one that comes later than all that
    is kept, and when an order changes. Without it all are kept. With ``recall_alerts`` besides, alerts that were
    settled more than ``remember_s`` before the last reading are let go of, and asked for when a reading comes that late
    or an order changes. None of these changes an alert.
    """

    def __init__(
        self,
        rules: RuleSet = DEFAULT_RULES,
        checkpoint_readings: int | None = None,
        recall: Recall | None = None,
        keep_readings: int = KEEP_READINGS,
        families: Sequence[type[Family]] = FAMILIES,
        recall_alerts: RecallAlerts | None = None,
        remember_s: int = REMEMBER_S,
    ) -> None:
        self.rules = rules
        if checkpoint_readings is None:
            checkpoint_readings = CHECKPOINT_READINGS if recall is None else RECALLED_CHECKPOINT_READINGS
        self._checkpoint_readings = checkpoint_readings
        self._stride = checkpoint_readings * _STRIDE_CHECKPOINTS
        self._recall, self._rest = recall, 0 if recall is None else keep_readings
        self._recall_alerts, self._remember_ms = recall_alerts, remember_s * 1000
        self._families: tuple[Family, ...] = tuple(family(rules) for family in families)
        self._cases: dict[str, Case] = {}
        # cases have numbers; a row for each says when time alone will change something of it
        self._numbered = Slots(terms=[np.full(1, ALWAYS_MS)])
        self._touched: set[int] = set()
        self._looked_at: frozenset[str] = frozenset()
        self._held: set[int] = set()
        self._reach_ms = -ALWAYS_MS

    def bind(self, activation: Activation) -> None:
        """Begin to watch an activation. Raises ValueError if it is bound already (`rebind` changes it)."""
        if activation.id in self._cases:
            raise ValueError(f"activation {activation.id!r} is bound already: rebind it to change its order")
        case = self._cases[activation.id] = Case(activation, self._enrol(activation))
        case.number = self._numbered.take(1, case)
        self._touched.add(case.number)

    def rebind(self, activation: Activation) -> None:
        """Change what is known of an activation: a version of its order, its removal.

        Everything is judged again from the beginning, each reading by the version in force at its tag time; alerts
        that come out the same are not told again. Give versions that were in force before as ``earlier``. Raises
        `NotBoundError`.
        """
        case = self._case(activation.id)
        handles = self._enrol(activation)
        self._dismiss(case)
        case.restart(activation, handles, self._families)
        self._touched.add(case.number)

    def carry(self, activation_id: str, carried: tuple[Absence, ...]) -> None:
        """Change what an activation carries (`Activation.carried`): as `rebind`, but nothing is judged again.

        Raises `NotBoundError`.
        """
        case = self._case(activation_id)
        case.activation = replace(case.activation, carried=carried)
        for family, handle in zip(self._families, case.handles, strict=True):
            if isinstance(family, CurfewWatch) and handle is not None:
                family.carry(handle, case.activation)
        self._touched.add(case.number)

    def unbind(self, activation_id: str) -> None:
        """Forget an activation, its readings and its alerts; nothing is told. Raises `NotBoundError`."""
        case = self._case(activation_id)
        self._dismiss(case)
        self._numbered.terms[0][case.number] = ALWAYS_MS
        self._numbered.give_back(case.number)
        del self._cases[activation_id]
        self._touched.discard(case.number)
        self._held.discard(case.number)

    def add(self, activation_id: str, readings: Readings | Positions) -> None:
        """Take readings in, in any order, repeats included; `judge` judges them. Raises `NotBoundError`."""
        case = self._case(activation_id)
        if case.take(rows_from(_all_kinds(readings), self.rules.precision_floor_m), self._families):
            self._touched.add(case.number)

    def memory(self, activation_id: str) -> Memory | None:
        """What another monitor can go on from (`recollect`), after `judge`; None while there is nothing to.

        Raises `NotBoundError`.
        """
        case = self._case(activation_id)
        return None if case.number in self._touched else case.memory(self._families)

    def recollect(
        self, activation_id: str, memory: Memory, told: Iterable[Alert], readings: Readings | Positions
    ) -> None:
        """Go on from what another monitor knew of an activation, bound here and not judged yet.

        ``readings`` are all that are known, dated after ``memory.upto_ms``; earlier ones are passed over, for the other
        monitor judged them: who calls this knows that none of those up to then is new. ``told`` are its alerts that
        ``memory.unsettled`` names and those told since, as they stand now. Needs ``recall`` and ``recall_alerts``.
        Raises ValueError where the memory is none of these conditions (then nothing is known), and `NotBoundError`.
        """
        case = self._case(activation_id)
        case.recollect(
            memory,
            (alert for alert in told if alert.rule != NO_CONTACT),
            rows_from(_all_kinds(readings), self.rules.precision_floor_m),
            self._families,
        )
        self._touched.add(case.number)

    def heard(self, activation_id: str, t_ms: int) -> None:
        """Something was received from the device at ``t_ms``, gateway time. Raises `NotBoundError`.

        From the first call on the device's silence is watched (`core.contact`): call it when monitoring begins too, or
        a device that is never heard is never missed.
        """
        case = self._case(activation_id)
        case.contact = case.contact or Contact()
        if case.contact.hear(t_ms):
            self._touched.add(case.number)

    def judge(self, now_ms: int, *, forgetting: bool = True) -> list[Alert]:
        """The alerts that are new, changed or withdrawn since the last call, by activation and start.

        ``forgetting`` is False while ``recall_alerts`` does not know yet what was told: then nothing is let go of.
        ``now_ms`` is the gateway's clock (UTC ms); it may go back. Raises ValueError for a clock beyond 2100, and
        whatever ``recall`` raises; the call can then be made again.
        """
        if not now_ms < LATEST_MS:
            raise ValueError(f"now is {now_ms} ms, after the year 2100: set the gateway's clock")
        self._wake(now_ms)
        cases: list[Case] = [self._numbered.owners[number] for number in sorted(self._touched | self._held)]
        self._refill(cases)
        self._touched.clear()
        self._feed(cases)
        told = self._tell(cases, now_ms)
        self._looked_at = frozenset(case.activation.id for case in cases)
        if forgetting:
            self._forget(cases)
        return sorted(told, key=lambda alert: (alert.activation, alert.start_ms, alert.id))

    def forget(self) -> None:
        """Let go of everything that was settled long ago, where `judge` was not to."""
        self._forget(self._cases.values())

    def _forget(self, cases: Iterable[Case]) -> None:
        if self._recall is not None and self._recall_alerts is not None:
            for case in cases:
                case.forget(self._remember_ms)

    @property
    def looked_at(self) -> frozenset[str]:
        """The activations that `judge` had a look at last: of no other has anything changed since, absences neither."""
        return self._looked_at

    def alerts(self, activation_id: str | None = None) -> list[Alert]:
        """All alerts as last judged, or those of one activation, without those withdrawn, by activation and start.

        Raises `NotBoundError`. Where some have been let go of, ``recall_alerts`` is asked for those of that activation.
        """
        found: list[Alert] = []
        for case in self._cases.values() if activation_id is None else [self._case(activation_id)]:
            mine = {alert.id: alert for alert in case.standing()}
            if self._recall_alerts is not None and (case.forgotten or case.amnesia):
                mine = {alert.id: alert for alert in self._recall_alerts(case.activation.id)} | mine
            found += mine.values()
        return sorted(found, key=lambda alert: (alert.activation, alert.start_ms, alert.id))

    def absences(self, activation_id: str, now_ms: int) -> tuple[Absence, ...]:
        """The absences of an activation as judged last, at ``now_ms``: what its order's next activation is to carry.

        Raises `NotBoundError`.
        """
        for family, handle in zip(self._families, self._case(activation_id).handles, strict=True):
            if isinstance(family, CurfewWatch) and handle is not None:
                return family.absences(handle, now_ms)
        return ()

    def held(self) -> dict[str, int]:
        """Readings that wait for the clock, per activation: dated too far after now. Some clock is wrong."""
        cases: list[Case] = [self._numbered.owners[number] for number in self._held]
        return {
            case.activation.id: len(case.timeline) - case.fed
            for case in sorted(cases, key=lambda case: case.activation.id)
        }

    def _case(self, activation_id: str) -> Case:
        try:
            return self._cases[activation_id]
        except KeyError:
            raise NotBoundError(activation_id) from None

    def _enrol(self, activation: Activation) -> tuple[Any, ...]:
        return tuple(family.enrol(activation) for family in self._families)

    def _dismiss(self, case: Case) -> None:
        for family, handle in zip(self._families, case.handles, strict=True):
            if handle is not None:
                family.dismiss(handle)

    def _wake(self, now_ms: int) -> None:
        """Touch the cases that a deadline is due for; all of them, where the clock went back."""
        reach_ms = now_ms + self.rules.ahead_s * 1000
        if reach_ms < self._reach_ms:
            for case in self._cases.values():
                # judged ahead of a clock that has gone back, or told by a silence that is not yet
                case.rewind(reach_ms + 1, self._families)
                self._touched.add(case.number)
        self._reach_ms = reach_ms
        # a glance at all of them is a millisecond for a million, and leaves nothing behind as a queue would
        self._touched.update(
            np.flatnonzero(self._numbered.terms[0][: len(self._numbered)] <= now_ms).tolist()
        )

    def _refill(self, cases: list[Case]) -> None:
        """Ask for what is needed again and no longer kept."""
        for case in cases:
            if case.amnesia and self._recall_alerts is not None:
                told = self._recall_alerts(case.activation.id)
                case.remember(alert for alert in told if alert.rule != NO_CONTACT)
            if case.lacking and self._recall is not None:
                readings = self._recall(case.activation.id, case.upto_ms + 1)
                case.refill(rows_from(_all_kinds(readings), self.rules.precision_floor_m))

    def _feed(self, cases: list[Case]) -> None:
        """Judge what has not been judged and is not too far ahead."""
        waiting = []
        for case in cases:
            until = case.timeline.ends(self._reach_ms)
            if until != case.timeline.counts:
                self._held.add(case.number)
            else:
                self._held.discard(case.number)
            if until != case.ends:
                waiting.append((case, until))
        while waiting:
            strides = [
                (case, case.timeline.stride(case.ends, until, self._stride, self._rest))
                for case, until in waiting
            ]
            for group in groups(strides):
                self._advance(group)
            waiting = [(case, until) for case, until in waiting if case.ends != until]
            for case, _ in strides:
                if case.since_checkpoint >= self._checkpoint_readings:
                    case.checkpoint(self._families, self._recall is not None)
        if self._recall is not None:
            for case in cases:
                case.trim(self._rest)

    def _advance(self, strides: Sequence[Stride]) -> None:
        """Take every case on to the given ends."""
        batch, places = gather(strides)
        settled: dict[str, list[Alert]] = {}
        for family, handles in zip(
            self._families, zip(*(case.handles for case, _ in strides), strict=True), strict=True
        ):
            parts = [
                part for part in map(Part._make, zip(handles, *places, strict=True)) if part[0] is not None
            ]
            for alert in family.advance(batch, parts) if parts else ():
                settled.setdefault(alert.activation, []).append(alert)
        for name, alerts in settled.items():
            self._cases[name].settle(alerts)
        for case, ends in strides:
            case.feed(ends)

    def _tell(self, cases: list[Case], now_ms: int) -> list[Alert]:
        """What has changed; and note when time alone will change something of each case."""
        if not cases:
            return []
        standing: dict[str, list[Alert]] = {}
        due = np.full(len(cases), ALWAYS_MS)
        for family, handles in zip(
            self._families, zip(*(case.handles for case in cases), strict=True), strict=True
        ):
            watched = [i for i, handle in enumerate(handles) if handle is not None]
            alerts, deadlines = family.tail([handles[i] for i in watched], now_ms)
            for alert in alerts:
                standing.setdefault(alert.activation, []).append(alert)
            due[watched] = np.minimum(due[watched], np.array(deadlines, np.int64))
        told: list[Alert] = []
        for i, case in enumerate(cases):
            told += case.tell(standing.get(case.activation.id, ()))
            if case.contact is not None:
                silence, silent_ms = case.contact.judge(case.activation, now_ms, self.rules)
                told += silence
                due[i] = min(due[i], silent_ms)
        self._numbered.terms[0][[case.number for case in cases]] = due
        return told


def _all_kinds(readings: Readings | Positions) -> Readings:
    return Readings(readings) if isinstance(readings, Positions) else readings


def evaluate(
    activations: Iterable[Activation],
    readings: Mapping[str, Readings] | Mapping[str, Positions],
    now_ms: int,
    rules: RuleSet = DEFAULT_RULES,
    families: Sequence[type[Family]] = FAMILIES,
) -> list[Alert]:
    """Judge everything at once: the alerts that stand at ``now_ms``, by activation and start.

    ``readings`` maps activation ids to readings in any order; an activation without readings is judged by its
    silence. Raises `NotBoundError` for readings of an activation that is not given.
    """
    monitor = Monitor(rules, families=families)
    for activation in activations:
        monitor.bind(activation)
    for activation_id, mine in readings.items():
        monitor.add(activation_id, mine)
    monitor.judge(now_ms)
    return monitor.alerts()
