"""The words and times that people read. The machine's words stay in the interface; these are for the page."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import pairwise
from zoneinfo import ZoneInfo

LOCAL = ZoneInfo("Europe/London")

UNKNOWN = "Unknown"

STATES = {"open": "Open", "ended": "Ended", "withdrawn": "Withdrawn"}

VIOLATION, WHEREABOUTS, EQUIPMENT = "Violation alert", "Whereabouts alert", "Equipment alert"
ORDER = "Order alert"

# The rules of core and gateway: what each detects, and what sort of alert that is. Not to know where somebody is is no
# violation (law 5), and what a device does proves nothing about its wearer.
RULES = {
    "in_exclusion_zone": ("In an exclusion zone", VIOLATION),
    "absent_during_curfew": ("Absent during curfew", VIOLATION),
    "whereabouts_unknown": ("Whereabouts unknown", WHEREABOUTS),
    "atv_reached": ("Accumulated time used up", VIOLATION),
    "sources_disagree": ("Home unit and positions disagree", EQUIPMENT),
    "not_monitored": ("Condition not monitored", ORDER),
    "order_not_monitored": ("Order not monitored: no tag fitted", ORDER),
    "sequence_conflict": ("Readings contradict the evidence", EQUIPMENT),
    "forgotten_readings": ("Readings missing", EQUIPMENT),
    "beacon_goes_back": ("Tamper: beacons counted back", EQUIPMENT),
    "link_tamper": ("Tamper: false messages to the device", EQUIPMENT),
}

INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")

UNITS = {"m": "metres", "s": "seconds", "min": "minutes", "h": "hours", "kmh": "km/h", "deg": "degrees"}

STATE_MEANINGS = {
    "open": "It still lasts, as far as is known.",
    "ended": "What was detected is over.",
    "withdrawn": "Later readings, or a change of the order, took the ground from it. Do not rely on it.",
}


def plain(word: str) -> str:
    """A machine's word (``exclusion_zone``) as people write it: ``Exclusion zone``."""
    spaced = " ".join(word.replace("_", " ").replace("-", " ").split())
    return spaced[:1].upper() + spaced[1:] if spaced else UNKNOWN


def rule_words(rule: str) -> str:
    """What a rule detects, in a practitioner's words; a rule this page does not know yet keeps its own name."""
    return RULES[rule][0] if rule in RULES else plain(rule)


def alert_kind(rule: str) -> str:
    """``Violation alert``, ``Whereabouts alert`` or ``Equipment alert``; just ``Alert`` for a rule not known here."""
    return RULES[rule][1] if rule in RULES else "Alert"


def figure_words(name: str) -> str:
    """A figure's name with its unit written out: ``nearest_m`` is ``Nearest (metres)``."""
    stem, _, unit = name.rpartition("_")
    return f"{plain(stem)} ({UNITS[unit]})" if stem and unit in UNITS else plain(name)


def figure_value(value: float | int | str | bool | None) -> str:
    """A figure as people read it: instants in local time, thousands apart, nothing known as unknown."""
    if value is None or value == "":
        return UNKNOWN
    if isinstance(value, str):
        try:
            instant = datetime.fromisoformat(value) if INSTANT.fullmatch(value) else None
        except ValueError:
            instant = None
        return value if instant is None else f"{clock_time(instant)}, {day(instant)}"
    if isinstance(value, bool):
        return "Yes" if value else "No"
    return f"{value:,}"


def day_short(instant: datetime) -> str:
    """``21 Nov 2025``, in local time."""
    local = instant.astimezone(LOCAL)
    return f"{local.day} {local:%b %Y}"


def clock_time(instant: datetime) -> str:
    """``01:30:05 GMT``: local time with its zone, because an hour happens twice each October.

    In 24 hours, as the sentences of alerts and the timetables of orders have it.
    """
    return f"{instant.astimezone(LOCAL):%H:%M:%S %Z}"


def day(instant: datetime) -> str:
    """``21 November 2025``, in local time."""
    local = instant.astimezone(LOCAL)
    return f"{local.day} {local:%B %Y}"


def utc(instant: datetime) -> str:
    """``2025-11-21 22:04:05 UTC``."""
    return f"{instant.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def iso(instant: datetime) -> str:
    """``2025-11-21T22:04:05Z``, for machines."""
    return f"{instant.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


def reading_ranges(readings: Sequence[tuple[int, int]]) -> list[tuple[int, list[str]]]:
    """Readings by journal epoch, runs of sequence numbers put together: ``[(epoch, ["1 to 4", "9"])]``."""
    by_epoch: dict[int, list[int]] = {}
    for epoch, sequence in readings:
        by_epoch.setdefault(epoch, []).append(sequence)
    return [(epoch, _runs(sorted(set(numbers)))) for epoch, numbers in by_epoch.items()]


def reading_groups(
    readings: Sequence[tuple[int, int]], sources: Sequence[tuple[str, int | None]]
) -> list[tuple[str, int, list[str]]]:
    """Readings by whose they are and by journal epoch: ``[("Position of the tag", epoch, ["1 to 4", "9"])]``."""
    told = list(sources) if len(sources) == len(readings) else [("reading", None)] * len(readings)
    groups: dict[tuple[str, int | None], list[tuple[int, int]]] = {}
    for source, reading in zip(told, readings, strict=True):
        groups.setdefault((source[0], source[1]), []).append(reading)
    return [
        (_whose(*source), epoch, runs)
        for source, mine in groups.items()
        for epoch, runs in reading_ranges(mine)
    ]


def _whose(kind: str, unit: int | None) -> str:
    if kind == "reading":
        return "Reading"
    return f"{kind.capitalize()} of " + ("the tag" if unit is None else f"home unit {unit + 1}")


def _runs(numbers: list[int]) -> list[str]:
    breaks = [index for index, (one, other) in enumerate(pairwise(numbers), 1) if other != one + 1]
    runs = [numbers[start:end] for start, end in pairwise([0, *breaks, len(numbers)])]
    return [str(run[0]) if len(run) == 1 else f"{run[0]} to {run[-1]}" for run in runs]
