"""Exclusion zones: INSIDE, OUTSIDE or UNCERTAIN for every position, and the visits that follow from them.

A position is INSIDE when it lies inside by more than its own uncertainty, OUTSIDE when it lies outside by more, else
UNCERTAIN. An UNCERTAIN position says nothing: it neither raises, keeps up nor ends anything.

**A visit is raised when two positions at least 10 s apart, no more than 15 min between one and the next and none
certainly outside between them, are each inside the zone by more than their own uncertainty; it begins at the first of
them, and ends at the first of two such positions certainly outside.** (10 s and 15 min: ``RuleSet.confirm_apart_s``,
``confirm_within_s``.) So no single position raises or ends anything, however precise it claims to be.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from core.activation import ALWAYS_MS, Activation, Watch, watches
from core.alerts import Alert, alert_id, civil, reading_names
from core.episodes import EPISODE, NEVER_MS, OPEN_MS, Episodes, limits
from core.family import Batch, Part
from core.geometry import ZonePool
from core.order import ExclusionCondition
from core.readings import I64
from core.rows import cut
from core.rules import RuleSet
from core.slots import Slots
from core.visits import ANCHOR, STINT, VISIT, watch_zones

RULE = "in_exclusion_zone"


@dataclass(frozen=True, slots=True)
class Fence:
    """Where the state of one activation's zones lies: its rows, and per span of the order which row has which zone."""

    anchor: I64
    slots: I64
    watches: tuple[Watch[ExclusionCondition], ...]
    spans: tuple[tuple[int, int, I64, I64], ...]


class Geofence:
    """The rule family of exclusion zones."""

    def __init__(self, rules: RuleSet) -> None:
        self._rules = rules
        self._limits = limits(rules)
        anchor = np.zeros(1, ANCHOR)
        anchor["span_ms"], anchor["clear_m"], anchor["out_ms"] = NEVER_MS, -1.0, NEVER_MS
        visit = np.zeros(1, VISIT)
        visit["run_last_ms"] = visit["out_ms"] = NEVER_MS
        draft = np.zeros(1, EPISODE)
        draft["end_ms"] = OPEN_MS
        self._anchors, self._visits = Slots(anchor), Slots(visit, draft)
        self._watches: dict[int, Watch[ExclusionCondition]] = {}
        self._zones = ZonePool()

    def enrol(self, activation: Activation) -> Fence | None:
        """Take on an activation: its zones, with nothing known yet; None if it has none."""
        mine = tuple(watches(activation, ExclusionCondition))
        if not mine:
            return None
        slots = self._visits.take(len(mine))
        self._watches.update(zip(slots.tolist(), mine, strict=True))
        spans = []
        for start, end, _ in activation.spans():
            here = [
                (slot, self._zones.add(watch.at(start).condition.zone))
                for slot, watch in zip(slots.tolist(), mine, strict=True)
                if watch.from_ms <= start < watch.to_ms
            ]
            pairs = np.array(here, np.int64).reshape(-1, 2)
            if here:
                spans.append((start, end, pairs[:, 0].copy(), pairs[:, 1].copy()))
        fence = Fence(self._anchors.take(1), slots, mine, tuple(spans))
        self.reset(fence)
        return fence

    def dismiss(self, fence: Fence) -> None:
        """Let an activation go."""
        for slot in fence.slots.tolist():
            del self._watches[slot]
        self._anchors.give_back(fence.anchor)
        self._visits.give_back(fence.slots)

    def reset(self, fence: Fence) -> None:
        """Back to nothing known."""
        self._anchors.clear(fence.anchor)
        self._visits.clear(fence.slots)
        self._visits.rows[1]["watch"][fence.slots] = fence.slots

    def save(self, fence: Fence) -> tuple[Episodes, ...]:
        """What is known now, to come back to."""
        return *self._anchors.save(fence.anchor), *self._visits.save(fence.slots)

    def restore(self, fence: Fence, saved: tuple[Episodes, ...]) -> None:
        """Go back to what `save` gave."""
        self._anchors.restore(fence.anchor, saved[:1])
        self._visits.restore(fence.slots, saved[1:])

    def advance(self, batch: Batch, parts: Sequence[Part]) -> list[Alert]:
        """Judge the positions of each part; the alerts that they settle."""
        fixes = batch.positions
        stints, slots, zones, offset = [], [], [], 0
        for fence, (lo, hi), *_ in parts:
            for start, end, rows, numbers in fence.spans:
                first, last = cut(fixes, lo, hi, start, end)
                if first < last:
                    stints.append((fence.anchor[0], start, first, last, offset, offset + len(rows)))
                    slots.append(rows)
                    zones.append(numbers)
                    offset += len(rows)
        if not stints:
            return []
        (anchors,), (visits, drafts) = self._anchors.rows, self._visits.rows
        ended = watch_zones(
            fixes,
            np.array(stints, STINT),
            np.concatenate(slots),
            np.concatenate(zones),
            self._zones.table(),
            anchors,
            visits,
            drafts,
            self._limits,
        )
        return [self._alert(row) for row in ended]

    def tail(self, fences: Iterable[Fence], now_ms: int) -> tuple[list[Alert], list[int]]:
        """The alerts that go on at ``now_ms``, and for each fence when time alone will change something."""
        alerts, deadlines = [], []
        visits, drafts = self._visits.rows
        for fence in fences:
            deadline = ALWAYS_MS
            for slot in fence.slots[visits["open"][fence.slots] == 1].tolist():
                row, to_ms = drafts[slot].copy(), self._watches[slot].to_ms
                if to_ms <= now_ms:
                    row["end_ms"], row["end_key"] = to_ms, 0
                else:
                    row["end_ms"], deadline = OPEN_MS, min(deadline, to_ms)
                alerts.append(self._alert(row))
            deadlines.append(deadline)
        return alerts, deadlines

    def _alert(self, row: Episodes) -> Alert:
        watch = self._watches[int(row["watch"])]
        start_ms, end_ms = int(row["start_ms"]), int(row["end_ms"])
        ended = end_ms != OPEN_MS
        stretch = watch.at(start_ms)
        name, depth_m, fixes = stretch.condition.name, round(float(row["extreme_m"]), 2), int(row["fixes"])
        figures: dict[str, int | float | str] = {
            "zone": name,
            "greatest_depth_m": depth_m,
            "positions": fixes,
            "at_least_min": int(row["known_ms"]) // 60_000,
        }
        began = civil(start_ms, self._rules.timezone)
        spell = f"for at least {figures['at_least_min']} min"
        if ended:
            at_most_min = -(-(end_ms - max(int(row["since_ms"]), watch.from_ms)) // 60_000)
            figures |= {"at_most_min": at_most_min, "duration_s": (end_ms - start_ms) // 1000}
            spell = f"until {civil(end_ms, self._rules.timezone)}, {spell[4:]}, at most {at_most_min} min"
        sentence = (
            f"Inside exclusion zone “{name}” from {began} {spell}: {fixes} positions inside by more than their own "
            f"uncertainty, the deepest by {depth_m:.2f} m."
        )
        return Alert(
            id=alert_id(watch.activation, watch.condition, RULE, start_ms),
            activation=watch.activation,
            condition=watch.condition,
            rule=RULE,
            state="ended" if ended else "open",
            severity="critical",
            start_ms=start_ms,
            end_ms=end_ms if ended else None,
            order_version=stretch.version,
            rule_set=self._rules.version,
            sentence=sentence,
            figures=figures,
            readings=reading_names(
                *(int(row[f"{role}_key"]) for role in ("first", "confirm", "extreme", "last", "end"))
            ),
        )
