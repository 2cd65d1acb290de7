"""A monitor that goes on from what an earlier one remembered says the same as one that never ended (law 3)."""

from __future__ import annotations

import pickle
import zlib
from dataclasses import dataclass, replace

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from core.alerts import Alert
from core.monitor import Memory, Monitor, evaluate
from core.readings import Readings
from core.rules import DEFAULT_RULES
from tests.core.lives import HOUR_MS, Life, lives
from tests.core.test_everything_in_any_order import Named, arrivals, names, pick
from tests.core.wearers import MONDAY_MS, activation, positions

AHEAD_MS = DEFAULT_RULES.ahead_s * 1000


@dataclass
class Kept:
    """A memory, what arrived since, and which alerts were told since."""

    memory: Memory
    first_since_ms: float
    told_since: set[str]


class Lives:
    """One monitor after another over the same store of readings and alerts; what was remembered outlasts each."""

    def __init__(self, life: Life, checkpoint: int, keep: int) -> None:
        self.life, self.checkpoint, self.keep = life, checkpoint, keep
        self.name = life.activation.id
        self.arrived: list[Named] = []
        self.told: dict[str, Alert] = {}
        self.kept: list[Kept] = []
        self.recollected = 0
        self.monitor = self.begin()

    def begin(self) -> Monitor:
        monitor = Monitor(
            checkpoint_readings=self.checkpoint,
            recall=self.recall,
            keep_readings=self.keep,
            recall_alerts=lambda name: self.standing(set(self.told)),
            remember_s=7200,
        )
        monitor.bind(self.life.activation)
        return monitor

    def standing(self, which: set[str]) -> list[Alert]:
        return [self.told[one] for one in sorted(which) if self.told[one].state != "withdrawn"]

    def recall(self, name: str, from_ms: int) -> Readings:
        kinds = self.life.readings.kinds()
        return pick(
            self.life.readings, [one for one in self.arrived if kinds[one[1]].t_ms[one[2]] >= from_ms]
        )

    def add(self, some: list[Named], *, given: bool = True) -> None:
        """Readings are committed; not ``given`` to the monitor where it is killed before that."""
        self.arrived += some
        kinds = self.life.readings.kinds()
        for kept in self.kept:
            first_ms = min((int(kinds[kind].t_ms[i]) for _, kind, i in some), default=kept.first_since_ms)
            kept.first_since_ms = min(kept.first_since_ms, first_ms)
        if given:
            self.monitor.add(self.name, pick(self.life.readings, some))

    def judge(self, now_ms: int) -> None:
        # what a clock that goes back takes away had been settled by then
        self.kept = [kept for kept in self.kept if kept.memory.upto_ms <= now_ms + AHEAD_MS]
        for alert in self.monitor.judge(now_ms):
            assert self.told.get(alert.id) != alert, "told without a change"
            assert alert.state != "withdrawn" or alert.id in self.told, "withdrawn and never told"
            self.told[alert.id] = alert
            for kept in self.kept:
                kept.told_since.add(alert.id)

    def remember(self) -> None:
        memory = self.monitor.memory(self.name)
        if memory is not None:
            self.kept.append(Kept(memory, float("inf"), set()))

    def die(self, now_ms: int) -> None:
        """Another monitor takes over, from the newest memory that nothing came before."""
        self.monitor = self.begin()
        self.kept = [
            kept
            for kept in self.kept
            if kept.memory.upto_ms < kept.first_since_ms and kept.memory.upto_ms <= now_ms + AHEAD_MS
        ]
        if self.kept:
            kept = self.kept[-1]
            memory = kept.memory
            since = self.standing(set(memory.unsettled) | kept.told_since)
            self.monitor.recollect(self.name, memory, since, self.recall(self.name, memory.upto_ms + 1))
            self.recollected += 1
            return
        self.monitor = self.begin()
        self.monitor.add(self.name, self.recall(self.name, 0))
        # a monitor that begins with nothing tells everything anew; who keeps what was told compares
        told = {alert.id: alert for alert in self.monitor.judge(now_ms)}
        for name, alert in list(self.told.items()):
            if name not in told and alert.state != "withdrawn":
                self.told[name] = replace(alert, state="withdrawn")
        self.told |= told


@given(st.data(), lives("a0", 40))
@settings(max_examples=120, deadline=None)
def test_however_often_it_dies_a_monitor_that_recollects_ends_with_the_same_alerts(
    data: st.DataObject, life: Life
) -> None:
    several = Lives(life, data.draw(st.sampled_from([1, 2, 5, 256])), data.draw(st.sampled_from([1, 4, 30])))
    order = names(life)
    clocks = [int(life.readings.kinds()[kind].t_ms[i]) for _, kind, i in order] or [life.now_ms]
    for batch in data.draw(arrivals(order)):
        dies = data.draw(st.integers(0, 2)) == 0
        several.add(batch, given=not dies or data.draw(st.booleans()))
        beside_ms = data.draw(st.sampled_from([0, 0, 151_000, -2 * HOUR_MS, 5 * HOUR_MS, 80 * HOUR_MS]))
        now_ms = data.draw(st.sampled_from(clocks)) + beside_ms
        if dies:
            several.die(now_ms)
        several.judge(now_ms)
        if data.draw(st.booleans()):
            several.remember()
    several.judge(life.now_ms)
    event(f"recollected {min(several.recollected, 3)} times")
    whole = evaluate([life.activation], {life.activation.id: life.readings}, life.now_ms)
    assert several.standing(set(several.told)) == sorted(whole, key=lambda alert: alert.id)
    assert several.monitor.alerts() == whole


def test_whatever_stands_in_the_place_of_a_state_is_refused_and_leaves_nothing_behind() -> None:
    case, readings = activation(), positions(*((MONDAY_MS + i * 60_000, "zone") for i in range(60)))
    now_ms = MONDAY_MS + HOUR_MS

    def begun() -> Monitor:
        monitor = Monitor(recall=lambda name, from_ms: readings, recall_alerts=lambda name: [])
        monitor.bind(case)
        return monitor

    monitor = begun()
    monitor.add(case.id, readings)
    monitor.judge(now_ms)
    memory = monitor.memory(case.id)
    assert memory is not None
    other_family = zlib.compress(pickle.dumps((None,) * 7))
    for saved in (
        b"",
        memory.saved[:-3],
        zlib.compress(pickle.dumps(print)),
        zlib.compress(b"N."),
        other_family,
    ):
        monitor = begun()
        with pytest.raises(ValueError, match="state"):
            monitor.recollect(case.id, replace(memory, saved=saved), [], readings)
        monitor.add(case.id, readings)
        monitor.judge(now_ms)
        assert monitor.alerts() == evaluate([case], {case.id: readings}, now_ms)
