"""The one entry: readings, orders and now in, alerts out.

`evaluate` judges everything at once; `Monitor` judges readings as they come. Both give the same final alerts, with the
same identities and the same content, however the readings were split, ordered or repeated (design law 3), because the
alerts at ``now`` are a function of the set of readings and of ``now`` alone:

- positions are judged in the order of (tag time, epoch, sequence number), each once;
- a rule carries its state on by positions only; what silence means at ``now`` is worked out on a copy;
- a position that comes late takes the activation back to a checkpoint before it, and on from there.

``now`` decides deadlines, and one thing more: a position dated more than ``RuleSet.ahead_s`` after ``now`` is kept and
judged when now gets there (`Monitor.held` tells how many), because either clock may be wrong.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np

from core.activation import ALWAYS_MS, LATEST_MS, Activation
from core.alerts import Alert
from core.curfew import CurfewWatch
from core.geofence import Geofence
from core.history import FIX, Fixes, History, fixes_from
from core.readings import Positions
from core.rules import DEFAULT_RULES, RuleSet

__all__ = ["Activation", "Alert", "Monitor", "NotBoundError", "evaluate"]

CHECKPOINT_FIXES = 256
"""A late position is judged again with about so many before it; a checkpoint costs some hundred bytes."""
_STRIDE_CHECKPOINTS = 16
"""Positions that come all at once are judged in strides of so many checkpoints' worth: few calls, bounded replay."""


class NotBoundError(LookupError):
    """An activation that the monitor does not know."""

    def __init__(self, activation_id: str) -> None:
        self.activation_id = activation_id
        super().__init__(f"activation {activation_id!r} is not bound: bind it before adding its readings")


class Family(Protocol):
    """A rule family: one module, one class, one line in `FAMILIES`.

    ``enrol`` gives a handle for what it watches of one activation; the other calls take it back.
    """

    def __init__(self, rules: RuleSet) -> None: ...

    def enrol(self, activation: Activation) -> Any:
        """Take on an activation."""

    def dismiss(self, handle: Any) -> None:
        """Let it go."""

    def reset(self, handle: Any) -> None:
        """Back to nothing known."""

    def save(self, handle: Any) -> Any:
        """A copy of its state."""

    def restore(self, handle: Any, saved: Any) -> None:
        """Back to that state."""

    def advance(self, fixes: Fixes, parts: Sequence[tuple[Any, int, int]]) -> list[Alert]:
        """Carry on through positions ``lo`` to ``hi`` for each (handle, lo, hi); the alerts that this settles."""

    def tail(self, handles: Iterable[Any], now_ms: int) -> tuple[list[Alert], list[int]]:
        """The alerts not settled that stand at ``now_ms``; for each handle, when time alone will change something."""


FAMILIES: tuple[type[Family], ...] = (Geofence, CurfewWatch)


@dataclass(frozen=True, slots=True)
class _Checkpoint:
    """The state after the first ``fed`` positions."""

    fed: int
    settled: int
    saved: tuple[Any, ...]


@dataclass(slots=True)
class _Case:
    """One activation under watch."""

    activation: Activation
    handles: tuple[Any, ...]
    history: History = field(default_factory=History)
    fed: int = 0
    """So many positions, the first ones, have been judged."""
    checkpoints: list[_Checkpoint] = field(default_factory=list)
    settled: list[Alert] = field(default_factory=list)
    """Alerts that only a late position can change."""
    told: int = 0
    """So many of ``settled`` have been told."""
    shown: dict[str, Alert] = field(default_factory=dict)
    """What was told last of the alerts that are not settled."""
    due_ms: int = ALWAYS_MS
    """When time alone will change something."""


class Monitor:
    """Judges readings as they come. State is bounded per activation, apart from the positions kept for late ones.

    A monitor is a cache: built anew from activations and readings it is the same. ``checkpoint_fixes`` weighs the
    memory of checkpoints against the work that a late position makes; it changes no alert.
    """

    def __init__(self, rules: RuleSet = DEFAULT_RULES, checkpoint_fixes: int = CHECKPOINT_FIXES) -> None:
        self.rules = rules
        self._checkpoint_fixes = checkpoint_fixes
        self._stride_fixes = checkpoint_fixes * _STRIDE_CHECKPOINTS
        self._families: tuple[Family, ...] = tuple(family(rules) for family in FAMILIES)
        self._cases: dict[str, _Case] = {}
        self._touched: set[str] = set()
        self._held: set[str] = set()
        self._deadlines: list[tuple[int, str]] = []
        self._gone: list[Alert] = []
        self._reach_ms = -ALWAYS_MS

    def bind(self, activation: Activation) -> None:
        """Begin to watch an activation. Raises ValueError if it is bound already (`rebind` changes it)."""
        if activation.id in self._cases:
            raise ValueError(f"activation {activation.id!r} is bound already: rebind it to change its order")
        handles = tuple(family.enrol(activation) for family in self._families)
        self._cases[activation.id] = _Case(activation, handles)
        self._touched.add(activation.id)

    def rebind(self, activation: Activation) -> None:
        """Change what is known of an activation: a version of its order, its removal.

        Everything is judged again from the beginning, each position by the version in force at its tag time; alerts
        that come out the same are not told again. Give versions that were in force before as ``earlier``. Raises
        `NotBoundError`.
        """
        case = self._case(activation.id)
        self._rewind(case, 0)
        self._dismiss(case)
        case.activation = activation
        case.checkpoints.clear()
        case.handles = tuple(family.enrol(activation) for family in self._families)
        self._touched.add(activation.id)

    def unbind(self, activation_id: str) -> None:
        """Forget an activation, its positions and its alerts; nothing is told. Raises `NotBoundError`."""
        case = self._case(activation_id)
        self._dismiss(case)
        del self._cases[activation_id]
        self._touched.discard(activation_id)
        self._held.discard(activation_id)

    def add(self, activation_id: str, positions: Positions) -> None:
        """Take positions in, in any order, repeats included; `judge` judges them. Raises `NotBoundError`."""
        case = self._case(activation_id)
        fixes = fixes_from(positions, self.rules.precision_floor_m)
        first_new = case.history.add(fixes)
        if first_new < len(case.history):
            if first_new < case.fed:
                self._rewind(case, first_new)
            self._touched.add(activation_id)

    def judge(self, now_ms: int) -> list[Alert]:
        """The alerts that are new, changed or withdrawn since the last call, by activation and start.

        ``now_ms`` is the gateway's clock (UTC ms); it may go back. Raises ValueError for a clock beyond 2100.
        """
        if not now_ms < LATEST_MS:
            raise ValueError(f"now is {now_ms} ms, after the year 2100: set the gateway's clock")
        cases = self._to_judge(now_ms)
        self._feed(cases)
        told: list[Alert] = []
        standing = self._standing(cases, now_ms)
        for case in cases:
            told += self._tell(case, standing[case.activation.id])
        return sorted(told, key=lambda alert: (alert.activation, alert.start_ms, alert.id))

    def alerts(self) -> list[Alert]:
        """All alerts as last judged, without those withdrawn, by activation and start."""
        found = [
            alert
            for case in self._cases.values()
            for alert in (*case.settled[: case.told], *case.shown.values())
        ]
        return sorted(found, key=lambda alert: (alert.activation, alert.start_ms, alert.id))

    def held(self) -> dict[str, int]:
        """Positions that wait for the clock, per activation: dated too far after now. Some clock is wrong."""
        return {name: len(self._cases[name].history) - self._cases[name].fed for name in sorted(self._held)}

    def _case(self, activation_id: str) -> _Case:
        try:
            return self._cases[activation_id]
        except KeyError:
            raise NotBoundError(activation_id) from None

    def _dismiss(self, case: _Case) -> None:
        for family, handle in zip(self._families, case.handles, strict=True):
            family.dismiss(handle)

    def _to_judge(self, now_ms: int) -> list[_Case]:
        """Cases with something new: positions, or a deadline; and all whose clock went back."""
        reach_ms = now_ms + self.rules.ahead_s * 1000
        if reach_ms < self._reach_ms:
            for name, case in self._cases.items():
                # judged ahead of a clock that has gone back, or told by a silence that is not yet
                self._rewind(case, int(np.searchsorted(case.history.fixes["t_ms"], reach_ms, "right")))
                self._touched.add(name)
        self._reach_ms = reach_ms
        while self._deadlines and self._deadlines[0][0] <= now_ms:
            due_ms, name = heapq.heappop(self._deadlines)
            if name in self._cases and self._cases[name].due_ms == due_ms:
                self._touched.add(name)
        names = sorted(self._touched | self._held)
        self._touched.clear()
        return [self._cases[name] for name in names]

    def _feed(self, cases: list[_Case]) -> None:
        """Judge what has not been judged and is not too far ahead."""
        waiting = []
        for case in cases:
            t = case.history.fixes["t_ms"]
            until = len(t)
            if until and t[-1] > self._reach_ms:
                until = int(np.searchsorted(t, self._reach_ms, "right"))
                self._held.add(case.activation.id)
            else:
                self._held.discard(case.activation.id)
            if case.fed < until:
                waiting.append((case, until))
        while waiting:
            strides = [(case, min(until, case.fed + self._stride_fixes)) for case, until in waiting]
            ends = list(itertools.accumulate(upto - case.fed for case, upto in strides))
            bounds = list(zip([0, *ends], ends, strict=False))
            fixes = np.empty(ends[-1], FIX)
            for (case, upto), (lo, hi) in zip(strides, bounds, strict=True):
                fixes[lo:hi] = case.history.fixes[case.fed : upto]
            for number, family in enumerate(self._families):
                parts = [
                    (case.handles[number], lo, hi)
                    for (case, _), (lo, hi) in zip(strides, bounds, strict=True)
                ]
                for alert in family.advance(fixes, parts):
                    self._cases[alert.activation].settled.append(alert)
            for case, upto in strides:
                case.fed = upto
                if upto - (case.checkpoints[-1].fed if case.checkpoints else 0) >= self._checkpoint_fixes:
                    self._checkpoint(case)
            waiting = [(case, until) for case, until in waiting if case.fed < until]

    def _checkpoint(self, case: _Case) -> None:
        saved = tuple(
            family.save(handle) for family, handle in zip(self._families, case.handles, strict=True)
        )
        case.checkpoints.append(_Checkpoint(case.fed, len(case.settled), saved))

    def _rewind(self, case: _Case, fed: int) -> None:
        """Back to the last checkpoint with no more than ``fed`` positions judged."""
        if fed >= case.fed:
            return
        while case.checkpoints and case.checkpoints[-1].fed > fed:
            case.checkpoints.pop()
        if case.checkpoints:
            back = case.checkpoints[-1]
            case.fed, settled = back.fed, back.settled
            for family, handle, saved in zip(self._families, case.handles, back.saved, strict=True):
                family.restore(handle, saved)
        else:
            case.fed = settled = 0
            for family, handle in zip(self._families, case.handles, strict=True):
                family.reset(handle)
        # what was told and is no longer settled may come out otherwise
        case.shown |= {alert.id: alert for alert in case.settled[settled : case.told]}
        case.told = min(case.told, settled)
        del case.settled[settled:]

    def _standing(self, cases: list[_Case], now_ms: int) -> dict[str, list[Alert]]:
        """The alerts that are not settled; notes when each case is due again."""
        standing: dict[str, list[Alert]] = {case.activation.id: [] for case in cases}
        due = [ALWAYS_MS] * len(cases)
        for number, family in enumerate(self._families):
            alerts, deadlines = family.tail([case.handles[number] for case in cases], now_ms)
            for alert in alerts:
                standing[alert.activation].append(alert)
            due = list(map(min, due, deadlines))
        for case, due_ms in zip(cases, due, strict=True):
            if due_ms != case.due_ms and due_ms != ALWAYS_MS:
                heapq.heappush(self._deadlines, (due_ms, case.activation.id))
            case.due_ms = due_ms
        return standing

    def _tell(self, case: _Case, standing: list[Alert]) -> list[Alert]:
        """What changed since it was told last."""
        before, case.shown = case.shown, {alert.id: alert for alert in standing}
        fresh = (*case.settled[case.told :], *standing)
        told = [alert for alert in fresh if before.pop(alert.id, None) != alert]
        case.told = len(case.settled)
        return told + [replace(alert, state="withdrawn") for alert in before.values()]


def evaluate(
    activations: Iterable[Activation],
    readings: Mapping[str, Positions],
    now_ms: int,
    rules: RuleSet = DEFAULT_RULES,
) -> list[Alert]:
    """Judge everything at once: the alerts that stand at ``now_ms``, by activation and start.

    ``readings`` maps activation ids to positions in any order; an activation without readings is judged by its
    silence. Raises `NotBoundError` for readings of an activation that is not given.
    """
    monitor = Monitor(rules)
    for activation in activations:
        monitor.bind(activation)
    for activation_id, positions in readings.items():
        monitor.add(activation_id, positions)
    monitor.judge(now_ms)
    return monitor.alerts()
