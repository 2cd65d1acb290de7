"""``tagwatch sim score``: a population of the town, lived, judged and scored; the same seed, the same bytes."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from core.rules import DEFAULT_RULES, RuleSet
from sim import peers
from sim.judged import Lived, cases, lived
from sim.people import population
from sim.score import Case, report
from sim.town import make_town

START_MS = 1_780_268_400_000
"""00:00 in London on Monday 1 June 2026."""
TOWN_SEED = 1
TOGETHER = 250
"""So many lives are judged by one monitor, which bounds memory."""
Moved = Callable[[str, float], None]
"""Hears what is being done, and how much of it is, 0 to 1."""


def score(
    wearers: int,
    days: int,
    seed: int,
    rules: RuleSet = DEFAULT_RULES,
    moved: Moved = lambda what, share: None,
    start_ms: int = START_MS,
) -> dict[str, Any]:
    """Everything that ``tagwatch sim score --json`` prints."""
    told: list[Case] = []
    lives: list[Lived] = []
    town = make_town(TOWN_SEED)
    done = 0
    for life in population(town, seed, wearers, start_ms, days):
        lives.append(lived(life))
        moved("living", len(lives) / wearers)
    for first in range(0, wearers, TOGETHER):

        def judged(more: int) -> None:
            nonlocal done
            done += more
            moved("judging", done / wearers)

        told += cases(lives[first : first + TOGETHER], rules, judged)
    moved("judging", 1.0)
    return {
        "days": days,
        "seed": seed,
        "start": f"{datetime.fromtimestamp(start_ms / 1000, UTC):%Y-%m-%dT%H:%M:%SZ}",
        "rule_set": rules.version,
        "readings": sum(len(sent.readings) for one in lives for sent in one.sent.values()),
        "judged": "all wearers, a minute at a time about all that happens, else ten (docs/score.md)",
        **report(told),
        "peers": peers.compare(lives, told),
    }
