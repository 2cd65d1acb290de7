"""A rule family that swears to all it has seen, in order: two monitors that saw otherwise differ in their alerts."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from core.activation import ALWAYS_MS, Activation
from core.alerts import Alert, alert_id
from core.family import Batch, Part
from core.rules import RuleSet

SILENCE_MS = 1_800_000


@dataclass
class Memory:
    """What is known of one activation: a hash over all that was seen, how many readings, and the last instant."""

    activation: Activation
    seen: str = ""
    count: int = 0
    last_ms: int = -1


class Witness:
    """Every third reading settles an alert; half an hour of silence after the last one opens another."""

    def __init__(self, rules: RuleSet) -> None:
        pass

    def enrol(self, activation: Activation) -> Memory:
        return Memory(activation)

    def dismiss(self, memory: Memory) -> None:
        memory.seen = "dismissed"

    def reset(self, memory: Memory) -> None:
        self.restore(memory, ("", 0, -1))

    def save(self, memory: Memory) -> Any:
        return memory.seen, memory.count, memory.last_ms

    def restore(self, memory: Memory, saved: Any) -> None:
        memory.seen, memory.count, memory.last_ms = saved

    def advance(self, batch: Batch, parts: Sequence[Part]) -> list[Alert]:
        settled = []
        for part in parts:
            memory = part.handle
            seen = [
                (int(row["t_ms"]), (1, 2, 3, 0)[kind], row.tobytes())
                for kind, (rows, (lo, hi)) in enumerate(zip(batch[:4], part[1:], strict=True))
                for row in rows[lo:hi]
            ]
            # what happens at one instant must come in one piece
            assert not seen or min(seen)[0] > memory.last_ms
            assert all(
                a["t_ms"] <= b["t_ms"]
                for rows, (lo, hi) in zip(batch[:4], part[1:], strict=True)
                for a, b in itertools.pairwise(rows[lo:hi])
            )
            for t_ms, kind, content in sorted(seen, key=lambda one: one[:2]):
                memory.seen = hashlib.sha256(f"{memory.seen}{kind}".encode() + content).hexdigest()
                memory.count += 1
                memory.last_ms = t_ms
                if memory.count % 3 == 0:
                    settled.append(alert(memory, "seen", t_ms, t_ms))
        return settled

    def tail(self, handles: Iterable[Memory], now_ms: int) -> tuple[list[Alert], list[int]]:
        standing, due = [], []
        for memory in handles:
            silent_ms = memory.last_ms + SILENCE_MS
            due.append(silent_ms if silent_ms > now_ms else ALWAYS_MS)
            if memory.last_ms >= 0 and silent_ms <= now_ms:
                standing.append(alert(memory, "silent", silent_ms, None))
        return standing, due


def alert(memory: Memory, rule: str, start_ms: int, end_ms: int | None) -> Alert:
    return Alert(
        id=alert_id(memory.activation.id, "witness", rule, start_ms, memory.count),
        activation=memory.activation.id,
        condition="witness",
        rule=rule,
        state="open" if end_ms is None else "ended",
        severity="medium",
        start_ms=start_ms,
        end_ms=end_ms,
        order_version=memory.activation.order.version,
        rule_set="",
        sentence=memory.seen,
        figures={"count": memory.count},
        readings=(),
    )
