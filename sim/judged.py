"""Lives through the rules as a gateway would run them: readings reach one monitor as they arrive, minute by minute.

A gateway judges what arrives at once. A monitor that is asked every 20 s for weeks tells nearly when each alert was
committed first, and what was told and withdrawn again. That is dear, so a wearer's readings are handed over so often
only where it matters (about every true happening, and whenever a curfew or a zone's time begins or ends), and else
every ten minutes; what is told first then is told up to ten minutes late. By law 3 the alerts that stand at the end
are the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from core.activation import Activation
from core.alerts import Alert
from core.monitor import Monitor, evaluate
from core.order import order_from_json
from core.readings import I64, Contacts, Events, Positions, Readings, Samples
from core.rules import DEFAULT_RULES, RuleSet
from core.sober_days import sober_days
from sim.in_force import cut, held_times, less, scheduled, union, weekly
from sim.life import Life, Span
from sim.score import Case, Told
from sim.tags import Sent, activations, wear
from sim.truth import Family, Happening, days, happenings, hidden

MINUTE_MS = 60_000
STEP_MS = 20_000
A_MINUTE = MINUTE_MS // STEP_MS
SELDOM = 10 * A_MINUTE
"""Steps between two handings-over where nothing is to be expected. Whereabouts are unknown after 17 min at the
earliest in the default rules, so no silence is made by it."""
AFTER_MS = 4 * MINUTE_MS
"""The last judgement comes so long after the end of a life: what was made has been sent by then."""
_BEFORE, _AFTER = 3 * A_MINUTE, 25 * A_MINUTE
"""Steps before and after the beginning of what matters."""
Moved = Callable[[int], None]
"""Hears that so many lives more are done."""


@dataclass(frozen=True, slots=True)
class Lived:
    """A life with what its devices sent and what truly happened."""

    life: Life
    worn: Mapping[str, Activation]
    sent: Mapping[str, Sent]
    happened: tuple[Happening, ...]


def lived(life: Life) -> Lived:
    """Let a life happen."""
    order = order_from_json(dict(life.order))
    return Lived(life, activations(life, order), wear(life, order), tuple(happenings(life)))


def final_alerts(lives: Sequence[Lived], rules: RuleSet = DEFAULT_RULES) -> list[Alert]:
    """The alerts that stand at the end, all at once: the fast form. All lives must end together."""
    readings = {one.worn[kind].id: one.sent[kind].readings for one in lives for kind in one.worn}
    now_ms = max(one.life.end_ms for one in lives) + AFTER_MS
    return evaluate([worn for one in lives for worn in one.worn.values()], readings, now_ms, rules)


def cases(
    lives: Sequence[Lived], rules: RuleSet = DEFAULT_RULES, moved: Moved = lambda done: None
) -> list[Case]:
    """What was told of each life, minute by minute, beside what happened in it."""
    told = _told(lives, rules, moved)
    return [_case(one, told[one.life.name], rules) for one in lives]


def _case(one: Lived, told: Sequence[Told], rules: RuleSet) -> Case:
    life = one.life
    calendar = {}
    if "alcohol_tag" in one.worn:
        readings = one.sent["alcohol_tag"].readings
        found = sober_days(
            one.worn["alcohol_tag"], readings.samples, readings.events, life.end_ms + AFTER_MS, rules
        )
        calendar = {day.day: str(day.state) for some in found.values() for day in some}
    return replace(untold(one), told=tuple(told), calendar=calendar)


def untold(one: Lived) -> Case:
    """What happened in a life; nothing was told of it, and no day judged."""
    life = one.life
    return Case(
        life.name,
        life.start_ms,
        life.end_ms,
        life.strata,
        one.happened,
        {family: hidden(life, family) for family in Family},
        no_link(life),
        (),
        days(life),
        drinks_ms=tuple(drink.start_ms for drink in life.drinks),
    )


def no_link(life: Life) -> list[Span]:
    """When nothing the wearer has on could send: no network, or no power.

    Home units have their own line: who wears no GPS tag but one that a unit hears has no such time by the network's
    fault. (What an alcohol tag of theirs tells is later than that; no target is set for it.)
    """
    way = life.way.left_behind(life.off_ankle)
    ends = np.append(way.start_ms[1:], way.end_ms)
    bare = np.flatnonzero(~way.covered)
    dark = list(zip(way.start_ms[bare].tolist(), ends[bare].tolist(), strict=True))
    if "rf_tag" in life.wears and "gps_tag" not in life.wears:
        dark = []
    if "gps_tag" in life.wears:
        dark += list(life.flat)
    return union([*dark, *life.offline])


# ------------------------------------------------------------------------------------------------ step by step


def _told(lives: Sequence[Lived], rules: RuleSet, moved: Moved) -> dict[str, list[Told]]:
    monitor = Monitor(rules)
    owner: dict[str, str] = {}
    by_step: dict[int, list[tuple[str, Sequence[Any], Sequence[int]]]] = {}
    for one in lives:
        for kind, worn in one.worn.items():
            monitor.bind(worn)
            owner[worn.id] = one.life.name
            for step, parts in _handings(one, one.sent[kind]):
                by_step.setdefault(step, []).append((worn.id, *parts))
    first = min(one.life.start_ms for one in lives) // STEP_MS
    last = (max(one.life.end_ms for one in lives) + AFTER_MS) // STEP_MS
    told: dict[str, Told] = {}
    share = 0.0
    for step in range(first, last + 1):
        share += len(lives) / (last - first + 1)
        if share >= 1:
            moved(int(share))
            share -= int(share)
        handed = by_step.pop(step, ())
        for activation, kinds, bounds in handed:
            monitor.add(activation, _slice(kinds, bounds))
        if not handed and step % A_MINUTE:
            continue
        for alert in monitor.judge(step * STEP_MS):
            before = told.get(alert.id)
            told_ms = step * STEP_MS if before is None else before.told_ms
            if alert.state == "withdrawn":
                if before is not None:
                    told[alert.id] = before._replace(withdrawn=True)
            else:
                told[alert.id] = Told(alert, told_ms)
    found: dict[str, list[Told]] = {one.life.name: [] for one in lives}
    for known in sorted(told.values(), key=lambda known: (known.told_ms, known.alert.id)):
        found[owner[known.alert.activation]].append(known)
    return found


_KINDS = (Positions, Contacts, Samples, Events)


def _slice(kinds: Sequence[Any], bounds: Sequence[int]) -> Readings:
    some: list[Any] = [
        columns.take(slice(bounds[2 * k], bounds[2 * k + 1]))
        if bounds[2 * k] < bounds[2 * k + 1]
        else _KINDS[k].empty()
        for k, columns in enumerate(kinds)
    ]
    return Readings(*some)


def _handings(one: Lived, sent: Sent) -> Iterator[tuple[int, tuple[Sequence[Any], Sequence[int]]]]:
    """The steps at which readings are handed over, and which: from and to of each kind."""
    steps = _steps(one)
    kinds, marks = [], []
    for columns, arrived_ms in zip(sent.readings.kinds(), sent.arrived_ms, strict=True):
        order = np.argsort(arrived_ms, kind="stable")
        kinds.append(columns.take(order))
        marks.append(np.searchsorted(arrived_ms[order], steps * STEP_MS, "right"))
    until = np.stack(marks)
    since = np.concatenate([np.zeros((4, 1), np.int64), until[:, :-1]], axis=1)
    some = np.flatnonzero((until > since).any(axis=0))
    bounds = np.stack([since[:, some], until[:, some]], axis=2).transpose(1, 0, 2).reshape(len(some), 8)
    for step, row in zip(steps[some].tolist(), bounds.tolist(), strict=True):
        yield step, (kinds, row)


def _steps(one: Lived) -> I64:
    """When a wearer's readings are handed over, in steps since 1970."""
    life = one.life
    first, last = life.start_ms // STEP_MS, (life.end_ms + AFTER_MS) // STEP_MS
    often = np.zeros(last - first + 1, np.bool_)
    often[::SELDOM] = True
    often[-10 * A_MINUTE :] = True
    marks = {happening.start_ms for happening in one.happened} | set(_edges(life))
    # what could not be sent comes when there is a network again
    marks |= {span.end_ms for span in no_link(life)}
    for mark in marks:
        at = mark // STEP_MS - first
        often[max(at - _BEFORE, 0) : max(at + _AFTER, 0)] = True
    return np.flatnonzero(often) + first


def _edges(life: Life) -> Iterable[int]:
    """When a curfew or a zone's time begins or ends."""
    for condition in life.order["conditions"]:
        held = held_times(life.order, condition, life.start_ms, life.end_ms)
        spans: list[Span] = list(held)
        if condition["type"] == "curfew":
            for place in (condition, *condition.get("also", ())):
                spans += weekly(place["timetable"], life.start_ms, life.end_ms)
        elif "schedule" in condition:
            spans += scheduled(condition["schedule"], life.start_ms, life.end_ms)
        for span in cut(spans, life.start_ms, life.end_ms) + less(spans, held):
            yield from span
