"""What alerts about zones say: every rule's name, urgency and sentence. `core.geofence` says what the rules mean."""

from __future__ import annotations

from typing import NamedTuple

from core.activation import Watch
from core.alerts import Alert, Figures, Severity, civil, iso_utc
from core.conditions import ExclusionCondition, InclusionCondition, RestrictionCondition, ZoneCondition
from core.episode_alerts import WHEREABOUTS, episode_alert, last_known, unknown_span
from core.episodes import OPEN_MS, Episodes
from core.rules import RuleSet
from core.visits import LOST, PASSED

PASS = "inferred_pass"


class Wording(NamedTuple):
    """How the alerts of one kind of zone speak."""

    rule: str
    ring: str
    noun: str
    severity: Severity
    side: str
    superlative: str
    extreme: str


WORDINGS: dict[type[ZoneCondition], Wording] = {
    ExclusionCondition: Wording(
        "in_exclusion_zone", "near_exclusion_zone", "exclusion zone", "critical",
        "inside", "the deepest", "greatest_depth_m",
    ),
    InclusionCondition: Wording(
        "outside_inclusion_zone", "near_edge_of_inclusion_zone", "inclusion zone", "high",
        "outside", "the farthest", "greatest_distance_m",
    ),
    RestrictionCondition: Wording(
        "outside_restriction_zone", "near_edge_of_restriction_zone", "restriction zone", "high",
        "outside", "the farthest", "greatest_distance_m",
    ),
}  # fmt: skip


def zone_alert(watch: Watch[ZoneCondition], ring: bool, row: Episodes, rules: RuleSet) -> Alert:
    """The alert that an episode of a zone (``ring``: of its warning ring) makes."""
    condition = watch.at(int(row["start_ms"])).condition
    wording = WORDINGS[type(condition)]
    rule, severity = wording.rule, wording.severity
    if row["kind"] == LOST:
        rule, severity = WHEREABOUTS, "medium"
        figures, sentence = _lost(condition, wording, row, rules)
    elif row["kind"] == PASSED:
        rule, severity = PASS, "low"
        figures, sentence = _passed(condition, row, rules)
    elif ring:
        rule, severity = wording.ring, "low"
        figures, sentence = _near(condition, wording, row, watch.from_ms, rules)
    else:
        figures, sentence = _visit(condition, wording, row, watch.from_ms, rules)
    return episode_alert(watch, row, rule, severity, sentence, figures, rules)


def _spell(figures: Figures, row: Episodes, from_ms: int, rules: RuleSet) -> tuple[str, str]:
    """From when, and until when or for how long; the figures go to ``figures``."""
    start_ms, end_ms = int(row["start_ms"]), int(row["end_ms"])
    figures["positions"] = int(row["fixes"])
    figures["at_least_min"] = int(row["known_ms"]) // 60_000
    spell = f"for at least {figures['at_least_min']} min"
    if end_ms != OPEN_MS:
        at_most_min = -(-(end_ms - max(int(row["since_ms"]), from_ms)) // 60_000)
        figures |= {"at_most_min": at_most_min, "duration_s": (end_ms - start_ms) // 1000}
        spell = f"until {civil(end_ms, rules.timezone)}, {spell[4:]}, at most {at_most_min} min"
    return civil(start_ms, rules.timezone), spell


def _in_force(condition: ZoneCondition, row: Episodes, rules: RuleSet, figures: Figures) -> str:
    """Since when a zone that is not always in force has been; nothing for one that is."""
    if condition.schedule.always:
        return ""
    period_ms = int(row["period_ms"])
    figures["in_force_since"] = iso_utc(period_ms)
    there = " with the wearer there already" if row["start_ms"] == period_ms and row["kind"] != LOST else ""
    return f" It came into force at {civil(period_ms, rules.timezone)}{there}."


def _visit(
    condition: ZoneCondition, wording: Wording, row: Episodes, from_ms: int, rules: RuleSet
) -> tuple[Figures, str]:
    extreme_m = round(float(row["extreme_m"]), 2)
    figures: Figures = {"zone": condition.name, wording.extreme: extreme_m}
    began, spell = _spell(figures, row, from_ms, rules)
    sentence = (
        f"{wording.side.capitalize()} {wording.noun} “{condition.name}” from {began} {spell}: {figures['positions']} "
        f"positions {wording.side} by more than their own uncertainty, {wording.superlative} by {extreme_m:.2f} m."
    )
    return figures, sentence + _in_force(condition, row, rules, figures)


def _near(
    condition: ZoneCondition, wording: Wording, row: Episodes, from_ms: int, rules: RuleSet
) -> tuple[Figures, str]:
    nearest_m = round(max(condition.warning_m - float(row["extreme_m"]), 0.0), 2)
    figures: Figures = {"zone": condition.name, "warning_m": condition.warning_m, "nearest_m": nearest_m}
    began, spell = _spell(figures, row, from_ms, rules)
    sentence = (
        f"Within {condition.warning_m:g} m of the edge of {wording.noun} “{condition.name}”, or beyond it, "
        f"from {began} {spell}: {figures['positions']} positions by more than their own uncertainty, "
        f"the nearest {nearest_m:.2f} m from it. A warning: the order forbids nothing here."
    )
    return figures, sentence + _in_force(condition, row, rules, figures)


def _passed(condition: ZoneCondition, row: Episodes, rules: RuleSet) -> tuple[Figures, str]:
    line_m, inside_m = round(float(row["line_m"])), round(float(row["inside_m"]))
    took_s = (int(row["end_ms"]) - int(row["start_ms"])) / 1000
    kmh = round(float(row["line_m"]) / took_s * 3.6)
    figures: Figures = {
        "zone": condition.name,
        "inferred": "straight line between two positions",
        "line_m": line_m,
        "inside_m": inside_m,
        "depth_of_line_m": round(float(row["extreme_m"])),
        "speed_kmh": kmh,
    }
    sentence = (
        f"Inferred, not seen: a pass through exclusion zone “{condition.name}” between "
        f"{civil(int(row['start_ms']), rules.timezone)} and {civil(int(row['end_ms']), rules.timezone)}. "
        f"Both positions are outside; the straight line of {line_m} m between them ({kmh} km/h) runs {inside_m} m "
        f"inside, to a depth of {figures['depth_of_line_m']} m. The way really taken is not known."
    )
    return figures, sentence


def _lost(condition: ZoneCondition, wording: Wording, row: Episodes, rules: RuleSet) -> tuple[Figures, str]:
    figures: Figures = {"zone": condition.name}
    span = unknown_span(row, rules, figures)
    could = "have been reached" if wording.side == "inside" else "have been left"
    since = last_known(row, rules, figures)
    sentence = (
        f"Whereabouts unknown as to {wording.noun} “{condition.name}”, {span}: {since}, and the zone could {could} "
        "since. Not a violation: a question for a person."
    )
    return figures, sentence + _in_force(condition, row, rules, figures)
