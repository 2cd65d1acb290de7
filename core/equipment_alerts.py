"""What is said about equipment: the sentences and figures of `core.equipment`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from core.activation import ALWAYS_MS, Activation
from core.alerts import (
    Alert,
    Evidence,
    Figures,
    Severity,
    Source,
    about_activation,
    civil,
    iso_utc,
    of_tag,
    raise_alert,
)
from core.battery import CRITICAL, FLAT, FLAT_SOON
from core.contact import CONDITION
from core.rules import RuleSet

STRAP, CASE = "strap_tamper", "case_tamper"
NO_MAINS, MOVED = "home_unit_no_mains", "home_unit_moved"
UNIT_CASE, UNIT_BATTERY = "home_unit_case_open", "home_unit_battery_low"
MOTION, UNIT_MOTION, SENSOR = (
    "motion_sensor_fault",
    "home_unit_motion_sensor_fault",
    "alcohol_sensor_fault",
)
SAFE_MODE, UNIT_SAFE_MODE, FORGED_BEACONS = "safe_mode", "home_unit_safe_mode", "forged_beacons"
SETTINGS_LOST, UNIT_SETTINGS_LOST = "settings_lost", "home_unit_settings_lost"
COMMANDS_LOST, UNIT_COMMANDS_LOST = "command_count_lost", "home_unit_command_count_lost"
JAMMING, SPOOFING, POSITION_JUMPS = "jamming", "spoofing", "position_jumps"
BATTERY, NO_POSITION = "battery", "no_position"

_STAGES = {FLAT_SOON: "flat soon", CRITICAL: "critical", FLAT: "flat"}
_SAYINGS: dict[str, tuple[Severity, str]] = {
    STRAP: ("high", "Strap opened"),
    CASE: ("high", "Case of the tag opened"),
    NO_MAINS: ("medium", "Home unit{unit} without mains power"),
    MOVED: ("medium", "Home unit{unit} moved"),
    UNIT_CASE: ("high", "Case of home unit{unit} opened"),
    UNIT_BATTERY: ("medium", "Back-up battery of home unit{unit} low"),
    JAMMING: ("high", "The tag reports signs of jamming"),
    SPOOFING: ("high", "The tag reports signs of forged satellite signals"),
    FORGED_BEACONS: (
        "high",
        "Home unit{unit} heard beacons in the name of a tag that had not just sent them",
    ),
    SAFE_MODE: ("medium", "The firmware of the tag stopped and was started again"),
    UNIT_SAFE_MODE: ("medium", "The firmware of home unit{unit} stopped and was started again"),
    MOTION: ("medium", "Motion sensor of the tag faulty"),
    UNIT_MOTION: ("medium", "Motion sensor of home unit{unit} faulty"),
    SENSOR: ("medium", "Alcohol sensor faulty"),
    SETTINGS_LOST: ("medium", "The tag could not read its changed settings when it was started"),
    UNIT_SETTINGS_LOST: ("medium", "Home unit{unit} could not read its changed settings when it was started"),
    COMMANDS_LOST: ("medium", "The tag could not read which command it had executed last"),
    UNIT_COMMANDS_LOST: ("medium", "Home unit{unit} could not read which command it had executed last"),
}
_AS_PROVISIONED = "it works as it was provisioned until they are sent again"
_REPLAYABLE = "until it executes another, an old one could be played to it again"
_LEADS_TO = {
    SETTINGS_LOST: _AS_PROVISIONED,
    UNIT_SETTINGS_LOST: _AS_PROVISIONED,
    COMMANDS_LOST: _REPLAYABLE,
    UNIT_COMMANDS_LOST: _REPLAYABLE,
}
"""What happened at one instant, and what it leads to: the alert has an end, what it leads to has none that is known."""
SIGNS = (JAMMING, SPOOFING, FORGED_BEACONS, SAFE_MODE, UNIT_SAFE_MODE, *_LEADS_TO)
"""Reported again and again while they last; over when they have not been reported for a while."""
_HOURLY = (JAMMING, SPOOFING)
_PROVES_NOTHING = "until an officer's check the tag proves nothing about its wearer"
_MEANS = {
    STRAP: _PROVES_NOTHING,
    CASE: "until an officer's check it may have been altered",
    NO_MAINS: "on its back-up battery",
    MOVED: "until an officer's check what it hears says nothing about the address",
    UNIT_CASE: "until an officer's check it may have been altered",
    UNIT_MOTION: "it can not tell whether it was moved",
    SENSOR: "what it says proves nothing",
}
NOTHING = Evidence(0, Source("event"))
"""No reading."""


@dataclass(frozen=True, slots=True)
class Latch:
    """Something that was reported and is not over: since when, by which reading, and what was seen of it last.

    ``by_contact`` says that a home unit's contact reported it, not an event; ``closed_ms``: closed again, which ends
    nothing. ``first_of`` and ``last_of`` say whose those readings are.
    """

    rule: str
    unit: int
    start_ms: int
    first_key: int
    first_of: Source
    last_ms: int
    last_key: int
    last_of: Source
    count: int = 1
    by_contact: bool = False
    closed_ms: int | None = None


def quiet_ms(rules: RuleSet) -> dict[str, int]:
    """For how long each of `SIGNS` must not have been reported, to be over."""
    return {rule: (rules.sign_holds_s if rule in _HOURLY else rules.jumps_within_s) * 1000 for rule in SIGNS}


class Sayer:
    """Makes the alerts of one activation."""

    __slots__ = ("_activation", "_rules")

    def __init__(self, activation: Activation, rules: RuleSet) -> None:
        self._activation, self._rules = activation, rules

    def latch(self, latch: Latch, end_ms: int | None, ended_by: Evidence = NOTHING) -> Alert:
        """Tamper, a home unit's trouble, or signs of jamming or forging."""
        severity, saying = _SAYINGS[latch.rule]
        figures: Figures = {}
        named = ""
        if latch.unit >= 0:
            figures["unit"] = latch.unit
            named = f" {latch.unit + 1}"
        sentence = saying.format(unit=named)
        if latch.rule in _LEADS_TO:
            sentence += f", at {self._civil(latch.start_ms)}"
        else:
            sentence += f" {self._span(latch.start_ms, end_ms)}"
        if latch.rule in SIGNS:
            figures["reports"] = latch.count
            sentence += f", {latch.count} report{'' if latch.count == 1 else 's'}"
        if latch.rule in _LEADS_TO:
            sentence += f"; {_LEADS_TO[latch.rule]}"
        if latch.closed_ms is not None:
            figures["closed"] = iso_utc(latch.closed_ms)
            sentence += f", closed again at {self._civil(latch.closed_ms)}"
        if latch.rule in _MEANS and end_ms is None:
            sentence += f"; {_MEANS[latch.rule]}"
        evidence = (
            Evidence(latch.first_key, latch.first_of),
            Evidence(latch.last_key, latch.last_of),
            ended_by,
        )
        return self._alert(
            latch.rule,
            severity,
            latch.start_ms,
            end_ms,
            sentence,
            figures,
            evidence,
            latch.unit,
            latch.first_key,
        )

    def battery(self, row: Any, stage: int) -> Alert:
        """A row of `core.battery.DRAIN`, at ``stage``."""
        start_ms, ended = int(row["start_ms"]), row["end_ms"] != ALWAYS_MS
        end_ms = int(row["end_ms"]) if ended else None
        lowest = round(float(row["lowest_pct"]))
        figures: Figures = {"stage": _STAGES.get(stage, "low"), "lowest_pct": lowest}
        sentence = (
            f"Battery of the tag {figures['stage']} {self._span(start_ms, end_ms)}: {lowest} % at the lowest"
        )
        if not ended:
            figures["last_pct"] = round(float(row["last_pct"]))
            sentence += f", {figures['last_pct']} % at {self._civil(int(row['last_ms']))}"
            if row["flat_ms"] != ALWAYS_MS:
                figures["flat"] = iso_utc(int(row["flat_ms"]))
                sentence += f"; by its trend flat at {self._civil(int(row['flat_ms']))}"
        elif row["charging"]:
            sentence += "; put on the charger"
        first_key = int(row["first_key"])
        evidence = of_tag("event", first_key, int(row["last_key"]), int(row["end_key"]))
        severity: Severity = "high" if stage >= CRITICAL else "medium"
        return self._alert(
            BATTERY, severity, start_ms, end_ms, sentence, figures, evidence, first_key=first_key
        )

    def loss(self, since_ms: int, start_ms: int, end_ms: int | None, first_key: int, end_key: int) -> Alert:
        """No position for long: none since ``since_ms``."""
        after_min = self._rules.no_position_s // 60
        figures: Figures = {"after_min": after_min}
        sentence = f"No position of the tag to be trusted since {self._civil(since_ms)}, for "
        if end_ms is None:
            sentence += f"more than {after_min} min"
        else:
            figures["lost_min"] = (end_ms - since_ms) // 60_000
            sentence += f"{figures['lost_min']} min, until {self._civil(end_ms)}"
        evidence = of_tag("position", first_key, end_key)
        return self._alert(NO_POSITION, "medium", start_ms, end_ms, sentence, figures, evidence)

    def jumps(self, row: Any, ended: bool) -> Alert:
        """A row of `core.reception.SPELL` about jumps."""
        start_ms, end_ms = int(row["start_ms"]), int(row["end_ms"])
        count, farthest_m = int(row["count"]), round(float(row["farthest_m"]), 2)
        figures: Figures = {"jumps": count, "farthest_m": farthest_m}
        sentence = (
            f"Signs of forged positions {self._span(start_ms, end_ms if ended else None)}: {count} that nobody could "
            f"have reached at {self._rules.fastest_m_s:g} m/s, up to {farthest_m:.2f} m away, each claiming to be more "
            "precise than that; none of them is trusted"
        )
        keys = (int(row["first_key"]), int(row["farthest_key"]), int(row["last_key"]))
        return self._alert(
            POSITION_JUMPS,
            "high",
            start_ms,
            end_ms if ended else None,
            sentence,
            figures,
            of_tag("position", *keys),
        )

    def _civil(self, t_ms: int) -> str:
        return civil(t_ms, self._rules.timezone)

    def _span(self, start_ms: int, end_ms: int | None) -> str:
        return f"from {self._civil(start_ms)}" + ("" if end_ms is None else f" until {self._civil(end_ms)}")

    def _alert(
        self,
        rule: str,
        severity: Severity,
        start_ms: int,
        end_ms: int | None,
        sentence: str,
        figures: Figures,
        evidence: tuple[Evidence, ...],
        unit: int = -1,
        first_key: int = 0,
    ) -> Alert:
        about = about_activation(self._activation, CONDITION, start_ms, self._rules.version)
        # two things can begin at one instant: the reading's number, the tag's own, tells them apart
        occurrence = (unit, start_ms, first_key)
        return raise_alert(
            about, rule, severity, start_ms, end_ms, f"{sentence}.", figures, evidence, occurrence
        )
