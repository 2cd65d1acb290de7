"""What came of a scenario, held against what was expected of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from core.contact import NO_CONTACT
from sim.civil_time import civil_text
from sim.scenario import Expectation, Scenario

WITHDRAWN = "withdrawn"
SAMPLING_MS = {"gps_tag": 60_000, "rf_tag": 60_000, "alcohol_tag": 1_800_000}
"""How often a device takes a reading when nothing presses."""
_STEP_MS = 60_000
"""By so much the gateway's clock, moved once a minute, lags behind what it receives: its silences are told by it."""


@dataclass(frozen=True, slots=True)
class Raised:
    """An alert that was told in a run, as it stands at the end. Instants are UTC ms; ``told_ms`` is gateway time."""

    id: str
    wearer: str
    device: str
    kind: str
    rule: str
    condition: str
    state: str
    start_ms: int
    end_ms: int | None
    told_ms: int
    sentence: str
    figures: Mapping[str, Any]

    def to_json(self) -> dict[str, Any]:
        """As ``tagwatch sim run --json`` prints it."""
        return {name: getattr(self, name) for name in self.__slots__} | {"figures": dict(self.figures)}


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a verdict: what was expected, what came, and whether that is what was meant."""

    holds: bool
    expected: str
    got: str

    def to_json(self) -> dict[str, Any]:
        """As ``tagwatch sim run --json`` prints it."""
        return {"holds": self.holds, "expected": self.expected, "got": self.got}


@dataclass(frozen=True, slots=True)
class Verdict:
    """All lines; the scenario holds where all of them do."""

    rows: tuple[Row, ...]

    @property
    def holds(self) -> bool:
        """Whether every expectation was met, and nothing came that should not have."""
        return all(row.holds for row in self.rows)


def judge(scenario: Scenario, raised: Sequence[Raised]) -> Verdict:
    """Each expectation is met by an alert of its own; what is left over must be allowed."""
    left = sorted(raised, key=lambda one: (one.start_ms, one.rule, one.device))
    rows: list[Row] = []
    for expectation in scenario.expect:
        met = next((one for one in left if not faults_of(expectation, one)), None)
        if met is not None:
            left.remove(met)
            rows.append(Row(True, told_expectation(expectation), told_alert(met)))
            continue
        near = [one for one in left if (one.wearer, one.rule) == (expectation.wearer, expectation.rule)]
        got = "; ".join(f"{told_alert(one)} ({', '.join(faults_of(expectation, one))})" for one in near)
        rows.append(Row(False, told_expectation(expectation), got or "nothing of the kind"))
    for one in left:
        if one.rule in scenario.never:
            rows.append(Row(False, f"never {one.rule}", told_alert(one)))
        elif one.rule not in scenario.may and one.state != WITHDRAWN:
            rows.append(Row(False, "nothing more", told_alert(one)))
    came = {one.rule for one in left}
    rows += [Row(True, f"never {rule}", "never") for rule in sorted(scenario.never - came)]
    if not scenario.expect and not any(not row.holds for row in rows):
        rows.append(Row(True, "nothing is raised", "nothing"))
    return Verdict(tuple(rows))


def faults_of(expectation: Expectation, one: Raised) -> list[str]:
    """In what an alert differs from an expectation."""
    wanted = expectation
    wrong = []
    if one.wearer != wanted.wearer or one.rule != wanted.rule:
        wrong.append("another rule or wearer")
    if wanted.device not in (None, one.kind):
        wrong.append(f"by the {one.kind}")
    if wanted.condition not in (None, one.condition):
        wrong.append(f"condition {one.condition}")
    if (wanted.state is None and one.state == WITHDRAWN) or wanted.state not in (None, one.state):
        wrong.append(one.state)
    if wanted.starts is not None and not wanted.starts[0] <= one.start_ms <= wanted.starts[1]:
        wrong.append("begins at another time")
    if wanted.ends is not None and (one.end_ms is None or not wanted.ends[0] <= one.end_ms <= wanted.ends[1]):
        wrong.append("ends at another time")
    if wanted.told_by_ms is not None and one.told_ms > wanted.told_by_ms:
        wrong.append(f"told at {civil_text(one.told_ms)}")
    wrong += [
        f"{name} is {one.figures.get(name)!r}"
        for name, value in wanted.figures.items()
        if one.figures.get(name) != value
    ]
    return wrong


def told_expectation(wanted: Expectation) -> str:
    """An expectation in one line."""
    words = [f"{wanted.wearer}: {wanted.rule}"]
    if wanted.device:
        words.append(f"by the {wanted.device}")
    if wanted.condition:
        words.append(f"of {wanted.condition}")
    if wanted.starts:
        words.append(f"from {_span(wanted.starts)}")
    if wanted.ends:
        words.append(f"to {_span(wanted.ends)}")
    if wanted.told_by_ms:
        words.append(f"told by {civil_text(wanted.told_by_ms)}")
    words += [f"{name} {value}" for name, value in wanted.figures.items()]
    return ", ".join([" ".join(words), *([wanted.state] if wanted.state else [])])


def told_alert(one: Raised) -> str:
    """An alert in one line."""
    end = "" if one.end_ms is None else f" to {civil_text(one.end_ms)}"
    about = f" of {one.condition}" if one.condition != "equipment" else ""
    return (
        f"{one.wearer}: {one.rule} by the {one.kind}{about} from {civil_text(one.start_ms)}{end}, {one.state}"
    )


def _span(span: tuple[int, int]) -> str:
    return f"{civil_text(span[0])}–{civil_text(span[1], day=False)}"


def differences(first: Sequence[Raised], second: Sequence[Raised]) -> list[str]:
    """In what two ways of running a scenario differ: each alert that stands must have its like in the other.

    Alike are wearer, device, rule, condition and state, and instants within one sampling interval; and of an alert that
    rests on positions, which both ways stamp to the same millisecond, its identity where it begins at the same instant.
    What was withdrawn depends on what arrived when, and is left out.
    """
    left = [one for one in second if one.state != WITHDRAWN]
    found = []
    for one in first:
        if one.state == WITHDRAWN:
            continue
        like = next((other for other in left if _alike(one, other)), None)
        if like is None:
            found.append(f"only the first: {told_alert(one)}")
            continue
        left.remove(like)
        if one.id != like.id and one.start_ms == like.start_ms and _by_positions(one):
            found.append(f"another identity: {told_alert(one)}")
    return found + [f"only the second: {told_alert(other)}" for other in left]


def _alike(one: Raised, other: Raised) -> bool:
    if _named(one) != _named(other):
        return False
    interval_ms = SAMPLING_MS[one.kind] + (_STEP_MS if one.rule == NO_CONTACT else 0)
    ends_alike = one.end_ms is None or abs(one.end_ms - (other.end_ms or 0)) <= interval_ms
    return abs(one.start_ms - other.start_ms) <= interval_ms and ends_alike


def _by_positions(one: Raised) -> bool:
    return one.kind == "gps_tag" and one.condition != "equipment"


def _named(one: Raised) -> tuple[str, ...]:
    return one.wearer, one.device, one.rule, one.condition, one.state
