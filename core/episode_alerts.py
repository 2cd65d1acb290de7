"""What alerts made of episodes have in common, whatever their rule: evidence, identity, words for what is unknown."""

from __future__ import annotations

from typing import Any

from core.activation import Watch
from core.alerts import Alert, Evidence, Figures, Severity, about_watch, by_unit, civil, iso_utc, raise_alert
from core.episodes import OPEN_MS, ROLES, Episodes
from core.rules import RuleSet

WHEREABOUTS = "whereabouts_unknown"
"""The rule of every condition that asks where the wearer is, and has no answer."""


def episode_alert(
    watch: Watch[Any],
    row: Episodes,
    rule: str,
    severity: Severity,
    sentence: str,
    figures: Figures,
    rules: RuleSet,
    occurrence: tuple[int, ...] | None = None,
) -> Alert:
    """The alert that an episode of ``watch`` is. Its ``occurrence`` is when it began, where nothing else is given."""
    start_ms, end_ms = int(row["start_ms"]), int(row["end_ms"])
    return raise_alert(
        about_watch(watch, start_ms, rules.version),
        rule,
        severity,
        start_ms,
        end_ms if end_ms != OPEN_MS else None,
        sentence,
        figures,
        tuple(_evidence(row, role) for role in ROLES),
        (start_ms,) if occurrence is None else occurrence,
    )


def _evidence(row: Episodes, role: str) -> Evidence:
    return by_unit(int(row[f"{role}_key"]), int(row[f"{role}_by"]))


def unknown_span(row: Episodes, rules: RuleSet, figures: Figures) -> str:
    """From when until when whereabouts were unknown, as part of a sentence; the figure goes to ``figures``."""
    start_ms, end_ms = int(row["start_ms"]), int(row["end_ms"])
    span = f"from {civil(start_ms, rules.timezone)}"
    if end_ms != OPEN_MS:
        figures["unknown_min"] = (end_ms - start_ms) // 60_000
        span += f" until {civil(end_ms, rules.timezone)}"
    return span


def last_known(row: Episodes, rules: RuleSet, figures: Figures) -> str:
    """By what the wearer's whereabouts were known last, as part of a sentence; the figure goes to ``figures``."""
    if not row["first_key"]:
        return "there has been no position at all"
    since_ms = int(row["since_ms"])
    if row["first_by"]:
        figures["last_heard"] = iso_utc(since_ms)
        return f"the home unit heard the tag last at {civil(since_ms, rules.timezone)}"
    figures["last_position"] = iso_utc(since_ms)
    return f"the last position is of {civil(since_ms, rules.timezone)}"
