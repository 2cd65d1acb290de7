"""``tagwatch sim score``: a population of the town, lived, judged and scored; the same seed, the same bytes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any

from core.rules import DEFAULT_RULES, RuleSet
from sim import peers
from sim.judged import cases, lived
from sim.people import person
from sim.score import Case, report
from sim.side_by_side import side_by_side
from sim.town import make_town

START_MS = 1_780_268_400_000
"""00:00 in London on Monday 1 June 2026."""
TOWN_SEED = 1
_GROUP = 50
"""At most so many lives are judged by one monitor, which bounds memory."""
_SHARES = 16
"""A run is cut into so many groups or more, so that processes end together and the bar moves."""
Moved = Callable[[float], None]
"""Hears how much is done, 0 to 1."""


@dataclass(frozen=True, slots=True)
class Population:
    """Some people of the town, some days, and the rules they are judged by."""

    seed: int
    days: int
    rules: RuleSet = DEFAULT_RULES
    start_ms: int = START_MS


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a group: its cases, those of each simple rule, and how many readings there were."""

    cases: list[Case]
    peers: dict[str, list[Case]]
    readings: int


def outcome(whose: Population, numbers: Sequence[int]) -> Outcome:
    """Let people live and judge them; whoever else is judged with them changes nothing."""
    town = make_town(TOWN_SEED)
    lives = [lived(person(town, whose.seed, number, whose.start_ms, whose.days)) for number in numbers]
    told = cases(lives, whose.rules)
    readings = sum(len(sent.readings) for one in lives for sent in one.sent.values())
    return Outcome(told, peers.told(lives, told), readings)


def outcomes(whose: Population, wearers: int, moved: Moved = lambda share: None) -> list[Outcome]:
    """Everybody, group by group in their order; several groups at a time where there are several processors."""
    size = max(1, min(_GROUP, wearers // _SHARES))
    groups = [range(first, min(first + size, wearers)) for first in range(0, wearers, size)]
    found: list[Outcome] = []
    for done in side_by_side(partial(outcome, whose), groups):
        found.append(done)
        moved(len(found) / len(groups))
    return found


def score(
    wearers: int,
    days: int,
    seed: int,
    rules: RuleSet = DEFAULT_RULES,
    moved: Moved = lambda share: None,
    start_ms: int = START_MS,
) -> dict[str, Any]:
    """Everything that ``tagwatch sim score --json`` prints."""
    found = outcomes(Population(seed, days, rules, start_ms), wearers, moved)
    return {
        "days": days,
        "seed": seed,
        "start": f"{datetime.fromtimestamp(start_ms / 1000, UTC):%Y-%m-%dT%H:%M:%SZ}",
        "rule_set": rules.version,
        "readings": sum(group.readings for group in found),
        "judged": "all wearers, 20 s at a time about all that happens, else ten minutes (docs/score.md)",
        **report([case for group in found for case in group.cases]),
        "peers": {
            name: peers.shown(name, [case for group in found for case in group.peers[name]])
            for name in found[0].peers
        },
    }
