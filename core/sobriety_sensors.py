"""Alcohol sensors of many activations by slot: which samples are judged at which level, and what stands when."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from core.activation import ALWAYS_MS, Watch
from core.conditions import AlcoholCondition, AlcoholMode
from core.readings import I64
from core.rows import Rows, cut
from core.rules import RuleSet
from core.slots import Slots
from core.sobriety_state import FINDING, Findings, blank, bounds
from core.sobriety_watch import unseen_end, watch_samples

AlcoholWatch = Watch[AlcoholCondition]
Piece = tuple[int, float, float, int, int, int]
PIECE = np.dtype(
    [
        ("slot", np.int64),
        ("level", np.float64),
        ("sure", np.float64),
        ("first", np.int64),
        ("last", np.int64),
        ("anew", np.int64),
    ]
)


def level_of(condition: AlcoholCondition, rules: RuleSet) -> float:
    """The level of a condition in g/dl: the order's in limit mode, the rule set's under abstinence.

    Raises ValueError for a limit without a level: it never comes from a default.
    """
    if condition.mode == AlcoholMode.ABSTINENCE:
        return rules.tac_level_g_dl
    if condition.limit_tac_g_dl is None:
        raise ValueError(f"alcohol condition {condition.id!r}: a limit needs the level of the order")
    return condition.limit_tac_g_dl


def sure_level_of(condition: AlcoholCondition, rules: RuleSet) -> float:
    """From which level on readings confirm, g/dl: in limit mode above the order's by what sensors differ."""
    level = level_of(condition, rules)
    return level if condition.mode == AlcoholMode.ABSTINENCE else level * (1 + rules.tac_limit_share)


def pieces_of(
    slot: int, watch: AlcoholWatch, rows: Rows, lo: int, hi: int, checks: Iterable[int], rules: RuleSet
) -> list[Piece]:
    """Samples ``lo`` to ``hi`` of one watch, cut where the level changes and at officers' checks (UTC ms): `PIECE` s.

    A check at the instant of a sample comes before it.
    """
    found = []
    due = sorted(check for check in checks if watch.from_ms < check < watch.to_ms)
    for stretch in watch.stretches:
        levels = level_of(stretch.condition, rules), sure_level_of(stretch.condition, rules)
        marks = [check for check in due if stretch.from_ms <= check < stretch.to_ms]
        begins = [(stretch.from_ms, 0)] if stretch.from_ms not in marks else []
        begins += [(mark, 1) for mark in marks]
        for (start, anew), (end, _) in zip(begins, [*begins[1:], (stretch.to_ms, 0)], strict=True):
            first, last = cut(rows, lo, hi, start, end)
            if first < last or anew:
                found.append((slot, *levels, first, last, anew))
    return found


class SensorStates:
    """State of alcohol sensors by slot, and the kernel over it."""

    def __init__(self, rules: RuleSet) -> None:
        self._limits = bounds(rules)
        self.slots = Slots(*blank())

    def begin(self, first: int, count: int = 1) -> None:
        """Nothing known."""
        self.slots.clear(first, count)
        for kind in ("drinking", "obstructed"):
            self.slots.rows[1][kind]["watch"][first : first + count] = np.arange(first, first + count)

    def run(self, rows: Rows, pieces: Sequence[Piece]) -> tuple[Findings, I64]:
        """What the samples of ``pieces`` settle; and what each of ``rows`` is worth (`core.sobriety_watch`)."""
        worth = np.zeros(len(rows), np.int64)
        sensors, drafts = self.slots.rows
        found, count = watch_samples(
            rows,
            np.array(pieces, PIECE),
            sensors,
            sensors["learn_ir"],
            sensors["learn_c"],
            sensors["curve_ms"],
            sensors["curve_tac"],
            drafts["drinking"],
            drafts["obstructed"],
            *self._limits,
            worth,
            np.zeros(8, FINDING),
        )
        return found[:count], worth

    def standing(self, slot: int, to_ms: int, now_ms: int, gap_ms: int) -> tuple[list[Findings], int]:
        """What goes on in a slot at ``now_ms``; and when time alone will change it. ``to_ms``: end of the watch."""
        sensor, draft = self.slots.rows[0][slot], self.slots.rows[1][slot]
        found, due_ms = [], ALWAYS_MS
        for kind, on in (("drinking", sensor["drinking"]), ("obstructed", sensor["covered"])):
            if not on:
                continue
            finding = draft[kind].copy()
            silent_ms = int(sensor["last_ms"]) + gap_ms + 1 if kind == "drinking" else ALWAYS_MS
            if silent_ms <= min(now_ms, to_ms):
                finding = unseen_end(finding)
            elif to_ms <= now_ms:
                finding["end_ms"], finding["end_seen"] = to_ms, 0
            else:
                due_ms = min(due_ms, silent_ms, to_ms)
            found.append(finding)
        return found, due_ms
