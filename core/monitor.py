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

import heapq
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from core.activation import ALWAYS_MS, LATEST_MS, Activation
from core.alerts import Alert
from core.attendance import Attendance
from core.atv import Absence
from core.case import Case
from core.curfew import CurfewWatch
from core.equipment import EquipmentWatch
from core.family import Family, Part
from core.following import Following
from core.gathering import Stride, gather, groups
from core.geofence import Geofence
from core.readings import Positions, Readings
from core.rows import rows_from
from core.rules import DEFAULT_RULES, RuleSet
from core.sobriety import Sobriety
from core.trail import TrailWatch

__all__ = ["Activation", "Alert", "Monitor", "NotBoundError", "evaluate"]

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
"""A late reading is judged again with about so many before it; a checkpoint costs some hundred bytes."""
KEEP_READINGS = 256
"""A reading later than so many others is rare: the journal of a tag hands over in order."""
_STRIDE_CHECKPOINTS = 16
"""Readings that come all at once are judged in strides of so many checkpoints' worth: few calls, bounded replay."""


class NotBoundError(LookupError):
    """An activation that the monitor does not know."""

    def __init__(self, activation_id: str) -> None:
        self.activation_id = activation_id
        super().__init__(f"activation {activation_id!r} is not bound: bind it before adding its readings")


Recall = Callable[[str, int], Readings | Positions]
"""All readings known of an activation that are dated at or after an instant (ms); more does no harm."""


class Monitor:
    """Judges readings as they come.

    A monitor is a cache: built anew from activations and readings it is the same. ``checkpoint_readings`` weighs the
    memory of checkpoints against the work that a late reading makes. With ``recall`` about ``keep_readings`` of an
    activation are kept, and earlier ones asked for when they are needed again: for one that comes later than all that
    is kept, and when an order changes. Without it all are kept. None of these changes an alert.
    """

    def __init__(
        self,
        rules: RuleSet = DEFAULT_RULES,
        checkpoint_readings: int = CHECKPOINT_READINGS,
        recall: Recall | None = None,
        keep_readings: int = KEEP_READINGS,
        families: Sequence[type[Family]] = FAMILIES,
    ) -> None:
        self.rules = rules
        self._checkpoint_readings = checkpoint_readings
        self._stride = checkpoint_readings * _STRIDE_CHECKPOINTS
        self._recall, self._rest = recall, 0 if recall is None else keep_readings
        self._families: tuple[Family, ...] = tuple(family(rules) for family in families)
        self._cases: dict[str, Case] = {}
        self._touched: set[str] = set()
        self._held: set[str] = set()
        self._deadlines: list[tuple[int, str]] = []
        self._reach_ms = -ALWAYS_MS

    def bind(self, activation: Activation) -> None:
        """Begin to watch an activation. Raises ValueError if it is bound already (`rebind` changes it)."""
        if activation.id in self._cases:
            raise ValueError(f"activation {activation.id!r} is bound already: rebind it to change its order")
        self._cases[activation.id] = Case(activation, self._enrol(activation))
        self._touched.add(activation.id)

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
        self._touched.add(activation.id)

    def unbind(self, activation_id: str) -> None:
        """Forget an activation, its readings and its alerts; nothing is told. Raises `NotBoundError`."""
        self._dismiss(self._case(activation_id))
        del self._cases[activation_id]
        self._touched.discard(activation_id)
        self._held.discard(activation_id)

    def add(self, activation_id: str, readings: Readings | Positions) -> None:
        """Take readings in, in any order, repeats included; `judge` judges them. Raises `NotBoundError`."""
        case = self._case(activation_id)
        if case.take(rows_from(_all_kinds(readings), self.rules.precision_floor_m), self._families):
            self._touched.add(activation_id)

    def heard(self, activation_id: str, t_ms: int) -> None:
        """Something was received from the device at ``t_ms``, gateway time. Raises `NotBoundError`.

        From the first call on the device's silence is watched (`core.contact`): call it when monitoring begins too, or
        a device that is never heard is never missed.
        """
        if self._case(activation_id).contact.hear(t_ms):
            self._touched.add(activation_id)

    def judge(self, now_ms: int) -> list[Alert]:
        """The alerts that are new, changed or withdrawn since the last call, by activation and start.

        ``now_ms`` is the gateway's clock (UTC ms); it may go back. Raises ValueError for a clock beyond 2100, and
        whatever ``recall`` raises; the call can then be made again.
        """
        if not now_ms < LATEST_MS:
            raise ValueError(f"now is {now_ms} ms, after the year 2100: set the gateway's clock")
        self._wake(now_ms)
        cases = [self._cases[name] for name in sorted(self._touched | self._held)]
        self._refill(cases)
        self._touched.clear()
        self._feed(cases)
        standing, due = self._tails(cases, now_ms)
        told: list[Alert] = []
        for case, due_ms in zip(cases, due, strict=True):
            silence, silent_ms = case.contact.judge(case.activation, now_ms, self.rules)
            told += [*case.tell(standing[case.activation.id]), *silence]
            self._expect(case, min(due_ms, silent_ms))
        return sorted(told, key=lambda alert: (alert.activation, alert.start_ms, alert.id))

    def alerts(self) -> list[Alert]:
        """All alerts as last judged, without those withdrawn, by activation and start."""
        found = [alert for case in self._cases.values() for alert in case.standing()]
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
        return {name: len(self._cases[name].timeline) - self._cases[name].fed for name in sorted(self._held)}

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
            for name, case in self._cases.items():
                # judged ahead of a clock that has gone back, or told by a silence that is not yet
                case.rewind(reach_ms + 1, self._families)
                self._touched.add(name)
        self._reach_ms = reach_ms
        while self._deadlines and self._deadlines[0][0] <= now_ms:
            due_ms, name = heapq.heappop(self._deadlines)
            if name in self._cases and self._cases[name].due_ms == due_ms:
                self._touched.add(name)

    def _refill(self, cases: list[Case]) -> None:
        """Ask for the readings that are needed again and no longer kept."""
        for case in cases:
            if case.lacking and self._recall is not None:
                readings = self._recall(case.activation.id, case.upto_ms + 1)
                case.refill(rows_from(_all_kinds(readings), self.rules.precision_floor_m))

    def _feed(self, cases: list[Case]) -> None:
        """Judge what has not been judged and is not too far ahead."""
        waiting = []
        for case in cases:
            until = case.timeline.ends(self._reach_ms)
            if sum(until) < len(case.timeline):
                self._held.add(case.activation.id)
            else:
                self._held.discard(case.activation.id)
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
                    case.checkpoint(self._families)
        if self._recall is not None:
            for case in cases:
                case.trim(self._rest)

    def _advance(self, strides: Sequence[Stride]) -> None:
        """Take every case on to the given ends."""
        batch, ranges = gather(strides)
        for number, family in enumerate(self._families):
            parts = [
                Part(case.handles[number], *places)
                for (case, _), places in zip(strides, ranges, strict=True)
                if case.handles[number] is not None
            ]
            for alert in family.advance(batch, parts) if parts else ():
                self._cases[alert.activation].settled.append(alert)
        for case, ends in strides:
            case.feed(ends)

    def _tails(self, cases: list[Case], now_ms: int) -> tuple[dict[str, list[Alert]], list[int]]:
        """The alerts that are not settled; and when time alone will change something of each case."""
        standing: dict[str, list[Alert]] = {case.activation.id: [] for case in cases}
        due = [ALWAYS_MS] * len(cases)
        for number, family in enumerate(self._families):
            watched = [i for i, case in enumerate(cases) if case.handles[number] is not None]
            alerts, deadlines = family.tail([cases[i].handles[number] for i in watched], now_ms)
            for alert in alerts:
                standing[alert.activation].append(alert)
            for i, due_ms in zip(watched, deadlines, strict=True):
                due[i] = min(due[i], due_ms)
        return standing, due

    def _expect(self, case: Case, due_ms: int) -> None:
        """Judge ``case`` again at ``due_ms``, whatever arrives."""
        if due_ms != case.due_ms and due_ms != ALWAYS_MS:
            heapq.heappush(self._deadlines, (due_ms, case.activation.id))
        case.due_ms = due_ms


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
