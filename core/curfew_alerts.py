"""The alerts of a curfew: kinds of absence, figures and sentences, from the episodes that the kernels tell."""

from __future__ import annotations

from enum import StrEnum

from core.absences import ABSENCE
from core.activation import Activation, Watch
from core.alerts import (
    Alert,
    Figures,
    Severity,
    about_activation,
    by_unit,
    civil,
    iso_utc,
    raise_alert,
)
from core.atv import Absence, Atv
from core.conditions import CurfewCondition
from core.curfew_calendar import AddressSet
from core.episode_alerts import WHEREABOUTS, episode_alert
from core.episodes import OPEN_MS, Episodes
from core.rules import RuleSet
from core.sightings import DISAGREE

ABSENT, DISAGREEMENT, ATV_REACHED = "absent_during_curfew", "sources_disagree", "atv_reached"


class AbsenceKind(StrEnum):
    """How an absence lies in its curfew, as far as is certain."""

    ALREADY_OUT = "already_out"
    """Out when the curfew began; not seen at home in it since."""
    LATE_HOME = "late_home"
    """Out when the curfew began, and home before its end."""
    LEFT_EARLY = "left_early"
    """Home within the curfew, then out until its end."""
    OUT_DURING = "out_during"
    """Out at some time within it; more is not certain."""
    WHOLE_CURFEW_MISSED = "whole_curfew_missed"
    """Out from its beginning to its end, with no time between that no reading vouches for."""


_WORDS = {
    AbsenceKind.ALREADY_OUT: " (out when it began)",
    AbsenceKind.LATE_HOME: " (home late)",
    AbsenceKind.LEFT_EARLY: " (left before its end)",
    AbsenceKind.OUT_DURING: "",
    AbsenceKind.WHOLE_CURFEW_MISSED: " (missed as a whole)",
}


def kind_of(row: Episodes, watch: Watch[CurfewCondition], vouch_ms: int) -> AbsenceKind:
    """How an absence lies in its curfew. Where monitoring itself began or ended, nothing is told of before or after."""
    period_ms, start_ms, end_ms = int(row["period_ms"]), int(row["start_ms"]), int(row["end_ms"])
    from_start = start_ms == period_ms != watch.from_ms
    if end_ms != OPEN_MS and row["end_key"]:
        return AbsenceKind.LATE_HOME if from_start else AbsenceKind.OUT_DURING
    unbroken = end_ms - start_ms - int(row["known_ms"]) <= vouch_ms
    if end_ms in (OPEN_MS, watch.to_ms) or not unbroken:
        return AbsenceKind.ALREADY_OUT if from_start else AbsenceKind.OUT_DURING
    if from_start:
        return AbsenceKind.WHOLE_CURFEW_MISSED
    return AbsenceKind.LEFT_EARLY if int(row["since_ms"]) > period_ms else AbsenceKind.OUT_DURING


def absence_of(row: Episodes, watch: Watch[CurfewCondition]) -> Absence:
    """The absence as ATV counts it."""
    end_ms = int(row["end_ms"])
    ended = end_ms != OPEN_MS
    return Absence(
        start_ms=int(row["start_ms"]),
        since_ms=int(row["since_ms"]),
        end_ms=end_ms if ended else None,
        known_ms=int(row["known_ms"]),
        condition=watch.condition,
        period_ms=int(row["period_ms"]),
        until_ms=end_ms if ended else int(row["period_end_ms"]),
        first_key=int(row["first_key"]),
        last_key=int(row["last_key"]),
        first_by=int(row["first_by"]),
        last_by=int(row["last_by"]),
    )


def curfew_alert(
    row: Episodes, watch: Watch[CurfewCondition], addresses: AddressSet, rules: RuleSet
) -> Alert:
    """The alert that an episode of ``watch``, at ``addresses``, is."""
    period_ms, start_ms, end_ms = int(row["period_ms"]), int(row["start_ms"]), int(row["end_ms"])
    ended = end_ms != OPEN_MS
    timezone = rules.timezone
    places = watch.at(start_ms).condition.places
    names = " or ".join(places[i].address.name for i in addresses if i < len(places))
    figures: Figures = {"address": names}
    occurrence: tuple[int, ...] = (period_ms, start_ms)
    span = f"from {civil(start_ms, timezone)}" + (f" until {civil(end_ms, timezone)}" if ended else "")
    severity: Severity = "medium"
    curfew = f"the curfew that began at {civil(period_ms, timezone)}"
    if row["kind"] == ABSENCE:
        rule, severity = ABSENT, "high"
        kind = kind_of(row, watch, rules.vouch_s * 1000)
        figures |= {"curfew_start": iso_utc(period_ms), "kind": str(kind), "positions": int(row["fixes"])}
        figures["at_least_min"] = int(row["known_ms"]) // 60_000
        sentence = f"Away from the {names} address during {curfew}{_WORDS[kind]}, {span}"
        sentence += f": at least {figures['at_least_min']} min"
        if ended:
            figures["at_most_min"] = -(-(end_ms - int(row["since_ms"])) // 60_000)
            sentence += f", at most {figures['at_most_min']} min"
        if row["extreme_m"] > 0:
            figures["farthest_m"] = round(float(row["extreme_m"]), 2)
            sentence += f", at the farthest {figures['farthest_m']:.2f} m from it"
        if row["contacts"]:
            figures["contacts"] = int(row["contacts"])
            sentence += "; the home unit there listened and did not hear the tag"
    elif row["kind"] == DISAGREE:
        rule, occurrence = DISAGREEMENT, (start_ms, *addresses)
        figures |= {"positions": int(row["fixes"]), "contacts": int(row["contacts"])}
        sentence = (
            f"Home unit and positions contradict each other about the {names} address, {span}: "
            "where the wearer is, is unknown until the equipment has been looked at"
        )
        if ended:
            figures["disagreed_min"] = (end_ms - start_ms) // 60_000
    else:
        rule = WHEREABOUTS
        figures["curfew_start"] = iso_utc(period_ms)
        sentence = (
            f"Whereabouts unknown during {curfew}, {span}: no position shows whether the wearer is there"
        )
        if ended:
            figures["unknown_min"] = (end_ms - start_ms) // 60_000
    return episode_alert(watch, row, rule, severity, f"{sentence}.", figures, rules, occurrence)


def atv_alert(activation: Activation, atv: Atv, rules: RuleSet) -> Alert | None:
    """The alert that the allowance is used up; None while it is not.

    It stays open: what has been added up stays so until a practitioner discounts some of it.
    """
    if atv.reached is None or atv.reached_ms is None:
        return None
    figures: Figures = {
        "allowance_min": atv.allowance_ms // 60_000,
        "at_least_min": atv.at_least_ms // 60_000,
        "absences": atv.absences,
    }
    sentence = f"Absences without excuse add up to at least {figures['at_least_min']} min"
    if atv.at_most_ms is not None:
        figures["at_most_min"] = -(-atv.at_most_ms // 60_000)
        sentence += f", at most {figures['at_most_min']} min"
    sentence += (
        f", with {figures['allowance_min']} min allowed over the order; "
        f"the allowance was used up at {civil(atv.reached_ms, rules.timezone)}"
    )
    return raise_alert(
        about_activation(activation, atv.reached.condition, atv.reached_ms, rules.version),
        ATV_REACHED,
        "high",
        atv.reached_ms,
        None,
        f"{sentence}.",
        figures,
        (
            by_unit(atv.reached.first_key, atv.reached.first_by),
            by_unit(atv.reached.last_key, atv.reached.last_by),
        ),
        (),
        activation.order.order_id,
    )
