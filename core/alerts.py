"""What an alert is: a statement about one occurrence, with its reasons.

The identity of an alert is a hash of (activation, condition, rule, occurrence key). The occurrence key comes from the
order or from tag time, never from the order in which readings arrived, so the same occurrence has the same identity
whenever and in whatever pieces its readings come in.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal, NamedTuple
from zoneinfo import ZoneInfo

from core.activation import Activation, Watch

State = Literal["open", "ended", "withdrawn"]
#: ``critical``: somebody may be in danger; ``high``: a condition is not being kept; ``medium``: nobody knows, find out;
#: ``low``: worth knowing, nothing has happened yet or nobody saw it
Severity = Literal["critical", "high", "medium", "low"]
ReadingName = tuple[int, int]
ReadingKind = Literal["position", "contact", "sample", "event"]
Figures = dict[str, int | float | str]


class Source(NamedTuple):
    """Whose journal a reading stands in: the tag's (``unit`` None), or that of a home unit (its index in the order)."""

    kind: ReadingKind
    unit: int | None = None


class Evidence(NamedTuple):
    """A reading that an alert rests on: its packed key (``epoch << 32 | seq``; 0: none), and where it comes from."""

    key: int
    source: Source


def of_tag(kind: ReadingKind, *keys: int) -> tuple[Evidence, ...]:
    """Readings of one kind that the tag itself made."""
    return tuple(Evidence(int(key), Source(kind)) for key in keys)


def by_unit(key: int, by: int) -> Evidence:
    """A position of the tag, or a contact of a home unit; ``by`` as in `core.episodes.EPISODE`."""
    return Evidence(key, Source("position") if by == 0 else Source("contact", by - 1))


@dataclass(frozen=True, slots=True)
class Alert:
    """One occurrence as it is judged now. Instants are UTC milliseconds since 1970, in tag time.

    ``end_ms`` is None while the alert is open. ``readings`` names by (journal epoch, sequence number) what it rests
    on: the first, those that confirm it, the most telling, the last, and the one that ends it; not every reading in
    between. ``sources`` says of each whose it is: a home unit keeps a journal of its own. ``figures`` are whole seconds
    or minutes, centimetres, and names.
    """

    id: str
    activation: str
    condition: str
    rule: str
    state: State
    severity: Severity
    start_ms: int
    end_ms: int | None
    order_version: int
    rule_set: str
    sentence: str
    figures: Mapping[str, int | float | str]
    readings: tuple[ReadingName, ...]
    sources: tuple[Source, ...] = ()

    def to_json(self) -> dict[str, object]:
        """The alert as JSON has it: instants ISO 8601 in UTC, whole seconds (fractions cut off)."""
        return {
            "id": self.id,
            "activation": self.activation,
            "condition": self.condition,
            "rule": self.rule,
            "state": self.state,
            "severity": self.severity,
            "start": iso_utc(self.start_ms),
            "end": None if self.end_ms is None else iso_utc(self.end_ms),
            "order_version": self.order_version,
            "rule_set": self.rule_set,
            "sentence": self.sentence,
            "figures": dict(self.figures),
            "readings": [list(name) for name in self.readings],
            "sources": [list(source) for source in self.sources],
        }


class About(NamedTuple):
    """What an alert is about: the activation, the condition, and by which versions it was judged."""

    activation: str
    condition: str
    order_version: int
    rule_set: str


def about_watch(watch: Watch[Any], t_ms: int, rule_set: str) -> About:
    """About the condition of a watch, as the order worded it at ``t_ms``."""
    return About(watch.activation, watch.condition, watch.at(t_ms).version, rule_set)


def about_activation(activation: Activation, condition: str, t_ms: int, rule_set: str) -> About:
    """About something that no watch stands for, under the version of the order in force at ``t_ms``."""
    return About(activation.id, condition, activation.version_at(t_ms), rule_set)


def raise_alert(
    about: About,
    rule: str,
    severity: Severity,
    start_ms: int,
    end_ms: int | None,
    sentence: str,
    figures: Figures,
    evidence: tuple[Evidence, ...],
    occurrence: tuple[int, ...],
    known_as: str = "",
) -> Alert:
    """The one way in which the rules make an alert; open while ``end_ms`` is None.

    ``known_as`` stands in its identity for the condition, where the occurrence is one of several conditions together.
    """
    rests_on = [one for one in dict.fromkeys(evidence) if one.key]
    return Alert(
        id=alert_id(about.activation, known_as or about.condition, rule, *occurrence),
        activation=about.activation,
        condition=about.condition,
        rule=rule,
        state="open" if end_ms is None else "ended",
        severity=severity,
        start_ms=start_ms,
        end_ms=end_ms,
        order_version=about.order_version,
        rule_set=about.rule_set,
        sentence=sentence,
        figures=figures,
        readings=tuple(name_of(one.key) for one in rests_on),
        sources=tuple(one.source for one in rests_on),
    )


def alert_id(activation: str, condition: str, rule: str, *occurrence: int) -> str:
    """Identity of an alert: 32 hexadecimal digits (128 bits of SHA-256)."""
    named = json.dumps([activation, condition, rule, *occurrence], separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(named.encode()).hexdigest()[:32]


def iso_utc(t_ms: int) -> str:
    """``2026-01-01T00:00:00Z``; fractions of a second cut off."""
    return datetime.fromtimestamp(t_ms // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def instant_ms(text: object) -> int:
    """The instant of an ISO 8601 text with its offset, as `iso_utc` makes them, ms since 1970. Raises ValueError."""
    return round(datetime.fromisoformat(str(text)).timestamp() * 1000)


def civil(t_ms: int, timezone: str) -> str:
    """The instant as people there say it: ``19:00 on 3 June 2024``."""
    local = datetime.fromtimestamp(t_ms // 1000, ZoneInfo(timezone))
    return f"{local:%H:%M} on {local.day} {local:%B %Y}"


def name_of(key: int) -> ReadingName:
    """(epoch, seq) of a packed reading key."""
    return key >> 32, key & 0xFFFFFFFF
