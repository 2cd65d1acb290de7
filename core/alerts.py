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
from typing import Literal
from zoneinfo import ZoneInfo

State = Literal["open", "ended", "withdrawn"]
#: ``critical``: somebody may be in danger; ``high``: a condition is not being kept; ``medium``: nobody knows, find out;
#: ``low``: worth knowing, nothing has happened yet or nobody saw it
Severity = Literal["critical", "high", "medium", "low"]
ReadingName = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Alert:
    """One occurrence as it is judged now. Instants are UTC milliseconds since 1970, in tag time.

    ``end_ms`` is None while the alert is open. ``readings`` names by (journal epoch, sequence number) what it rests
    on: the first, those that confirm it, the most telling, the last, and the one that ends it; not every reading in
    between. ``figures`` are whole seconds or minutes, centimetres, and names.
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
        }


def alert_id(activation: str, condition: str, rule: str, *occurrence: int) -> str:
    """Identity of an alert: 32 hexadecimal digits (128 bits of SHA-256)."""
    named = json.dumps([activation, condition, rule, *occurrence], separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(named.encode()).hexdigest()[:32]


def iso_utc(t_ms: int) -> str:
    """``2026-01-01T00:00:00Z``; fractions of a second cut off."""
    return datetime.fromtimestamp(t_ms // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def civil(t_ms: int, timezone: str) -> str:
    """The instant as people there say it: ``19:00 on 3 June 2024``."""
    local = datetime.fromtimestamp(t_ms // 1000, ZoneInfo(timezone))
    return f"{local:%H:%M} on {local.day} {local:%B %Y}"


def reading_names(*keys: int) -> tuple[ReadingName, ...]:
    """(epoch, seq) of packed reading keys (``epoch << 32 | seq``), each once, in the order given; 0 means none."""
    return tuple(dict.fromkeys((int(key) >> 32, int(key) & 0xFFFFFFFF) for key in keys if key))
