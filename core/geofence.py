"""Exclusion zones: INSIDE, OUTSIDE or UNCERTAIN for every position, and the visits that follow from them.

A position is INSIDE when it lies inside by more than its own uncertainty, OUTSIDE when it lies outside by more, else
UNCERTAIN. An UNCERTAIN position says nothing: it neither raises, keeps up nor ends anything.

**A visit is raised when two positions at least 10 s apart, no more than 15 min between one and the next and none
certainly outside between them, are each inside the zone by more than their own uncertainty; it begins at the first of
them, and ends at the first of two such positions certainly outside.** (10 s and 15 min: ``RuleSet.confirm_apart_s``,
``confirm_within_s``.) So no single position raises or ends anything, however precise it claims to be.

Speed comes from not doing work. While nothing is going on, each wearer keeps how far the nearest zone was from the last
position tested in full; positions that stay within that clearance are outside of every zone without being tested.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit

from core.activation import ALWAYS_MS, Activation, Watch, watches
from core.alerts import Alert, alert_id, civil, reading_names
from core.episodes import EPISODE, NEVER_MS, OPEN_MS, Episodes, Limits, emit, limits
from core.geometry import ZoneTable, box_distance, metres_at, pool, signed_distance
from core.history import Fixes
from core.order import ExclusionCondition
from core.readings import I64
from core.rules import RuleSet
from core.slots import Slots
from core.zones import Zone

RULE = "in_exclusion_zone"
INSIDE, OUTSIDE, UNCERTAIN = 1, 2, 0

VISIT = np.dtype(
    [
        ("open", np.int64),
        ("run", np.int64),  # INSIDE or OUTSIDE: consecutive certain positions that agree; UNCERTAIN: none
        ("run_start_ms", np.int64),
        ("run_start_key", np.uint64),
        ("run_last_ms", np.int64),
        ("out_ms", np.int64),  # last position certainly outside
    ]
)
ANCHOR = np.dtype(
    [
        ("span_ms", np.int64),  # which version of the order the clearance was measured for
        ("lat", np.float64),  # the position tested in full
        ("lon", np.float64),
        ("kx", np.float64),  # metres per degree there, or more
        ("ky", np.float64),
        ("clear_m", np.float64),  # no zone is nearer than this; negative: test every position
        ("out_ms", np.int64),  # last position that was outside of every zone untested
    ]
)
STINT = (
    np.dtype(  # positions lo to hi, of one wearer, under one version of the order, with zones first to last
        [
            ("anchor", np.int64),
            ("span_ms", np.int64),
            ("lo", np.int64),
            ("hi", np.int64),
            ("first", np.int64),
            ("last", np.int64),
        ]
    )
)

_CLEAR_CAP_M = 50_000.0
"""A clearance is not trusted further: over 50 km metres per degree change by 2 % at 70°, a tenth is allowed for."""
_CLEAR_LATITUDE = 75.0
_DEGREE_M = 111_700.0
"""More than a degree measures anywhere on the ellipsoid, in any direction."""


@njit(cache=True)
def _inside(visit: Any, draft: Any, t_ms: int, key: int, depth_m: float, out_ms: int, limits: Limits) -> None:
    """A position certainly inside."""
    step = t_ms - visit["run_last_ms"]
    if visit["run"] == INSIDE and step <= limits.within_ms:
        if step <= limits.vouch_ms:
            draft["known_ms"] += step
    else:
        visit["run"] = INSIDE
        visit["run_start_ms"] = t_ms
        if visit["open"] == 0:
            draft["start_ms"] = t_ms
            draft["since_ms"] = max(out_ms, visit["out_ms"])
            draft["known_ms"] = 0
            draft["fixes"] = 0
            draft["extreme_m"] = 0.0
            draft["first_key"] = key
            draft["end_key"] = 0
    visit["run_last_ms"] = t_ms
    draft["fixes"] += 1
    draft["last_key"] = key
    if depth_m > draft["extreme_m"]:
        draft["extreme_m"] = depth_m
        draft["extreme_key"] = key
    if visit["open"] == 0 and t_ms - visit["run_start_ms"] >= limits.apart_ms:
        visit["open"] = 1
        draft["confirm_key"] = key


@njit(cache=True)
def _outside(visit: Any, draft: Any, t_ms: int, key: int, limits: Limits) -> Any:
    """A position certainly outside; True when it ends a visit."""
    visit["out_ms"] = t_ms
    if visit["open"] == 0:
        visit["run"] = UNCERTAIN
        return False
    if visit["run"] != OUTSIDE or t_ms - visit["run_last_ms"] > limits.within_ms:
        visit["run"] = OUTSIDE
        visit["run_start_ms"] = t_ms
        visit["run_start_key"] = key
    visit["run_last_ms"] = t_ms
    if t_ms - visit["run_start_ms"] < limits.apart_ms:
        return False
    draft["end_ms"] = visit["run_start_ms"]
    draft["end_key"] = visit["run_start_key"]
    visit["open"] = 0
    visit["run"] = UNCERTAIN
    return True


@njit(cache=True)
def watch_zones(
    fixes: Any,
    stints: Any,
    slots: Any,
    zones: Any,
    table: ZoneTable,
    anchors: Any,
    visits: Any,
    drafts: Any,
    limits: Limits,
) -> Any:
    """Carry the visits of every stint on through its positions; the episodes that ended.

    ``slots`` and ``zones`` say, from ``first`` to ``last`` of a stint, which visit row watches which zone of ``table``.
    """
    out = np.empty(16, EPISODE)
    count = 0
    for s in range(len(stints)):
        stint = stints[s]
        anchor = anchors[stint["anchor"]]
        if anchor["span_ms"] != stint["span_ms"]:
            anchor["span_ms"] = stint["span_ms"]
            anchor["clear_m"] = -1.0
        for i in range(stint["lo"], stint["hi"]):
            fix = fixes[i]
            radius_m = fix["radius_m"]
            if not radius_m < np.inf:
                continue
            t_ms, lon, lat = fix["t_ms"], fix["lon"], fix["lat"]
            if anchor["clear_m"] > 0.0:
                dx = (lon - anchor["lon"]) * anchor["kx"]
                dy = (lat - anchor["lat"]) * anchor["ky"]
                if 1.1 * np.sqrt(dx * dx + dy * dy) + radius_m < 0.9 * anchor["clear_m"]:
                    anchor["out_ms"] = t_ms
                    continue
            clear_m = _CLEAR_CAP_M if abs(lat) <= _CLEAR_LATITUDE else -1.0
            widest_kx = 0.0
            for q in range(stint["first"], stint["last"]):
                k, visit, draft = zones[q], visits[slots[q]], drafts[slots[q]]
                kx, ky = metres_at(table.scales[k], lat)
                within = table.scales[k, 0, 0] <= lat <= table.scales[k, 0, 4]
                widest_kx = max(widest_kx, kx if within else _DEGREE_M)
                distance_m = box_distance(table, k, lon, lat, kx, ky)
                if distance_m <= radius_m:
                    distance_m = signed_distance(table, k, lon, lat, kx, ky)
                if distance_m < -radius_m:
                    _inside(visit, draft, t_ms, fix["key"], -distance_m, anchor["out_ms"], limits)
                elif distance_m > radius_m and _outside(visit, draft, t_ms, fix["key"], limits):
                    out = emit(out, count, draft)
                    count += 1
                going_on = visit["open"] == 1 or visit["run"] != UNCERTAIN
                clear_m = -1.0 if going_on else min(clear_m, distance_m)
            anchor["lat"], anchor["lon"] = lat, lon
            anchor["kx"], anchor["ky"], anchor["clear_m"] = widest_kx, _DEGREE_M, clear_m
    return out[:count]


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
        self._zones: list[Zone] = []
        self._numbers: dict[Zone, int] = {}
        self._table: ZoneTable | None = None

    def enrol(self, activation: Activation) -> Fence:
        """Take on an activation: its zones, with nothing known yet."""
        mine = tuple(watches(activation, ExclusionCondition))
        slots = self._visits.take(len(mine))
        self._watches.update(zip(slots.tolist(), mine, strict=True))
        spans = []
        for start, end, _ in activation.spans():
            here = [
                (slot, self._number(watch.at(start).condition.zone))
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

    def advance(self, fixes: Fixes, parts: Sequence[tuple[Fence, int, int]]) -> list[Alert]:
        """Judge positions ``lo`` to ``hi`` of ``fixes`` for each (fence, lo, hi); the alerts that they settle."""
        stints, slots, zones, offset = [], [], [], 0
        for fence, lo, hi in parts:
            for start, end, rows, numbers in fence.spans:
                first, last = cut(fixes, lo, hi, start, end)
                if first < last:
                    stints.append((fence.anchor[0], start, first, last, offset, offset + len(rows)))
                    slots.append(rows)
                    zones.append(numbers)
                    offset += len(rows)
        if not stints:
            return []
        if self._table is None:
            self._table = pool(self._zones)
        (anchors,), (visits, drafts) = self._anchors.rows, self._visits.rows
        ended = watch_zones(
            fixes,
            np.array(stints, STINT),
            np.concatenate(slots),
            np.concatenate(zones),
            self._table,
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

    def _number(self, zone: Zone) -> int:
        if zone not in self._numbers:
            self._numbers[zone] = len(self._zones)
            self._zones.append(zone)
            self._table = None
        return self._numbers[zone]

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


def cut(fixes: Fixes, lo: int, hi: int, from_ms: int, to_ms: int) -> tuple[int, int]:
    """Which of the positions ``lo`` to ``hi``, ascending, lie in ``[from_ms, to_ms)``."""
    t = fixes["t_ms"]
    first = lo if t[lo] >= from_ms else lo + int(np.searchsorted(t[lo:hi], from_ms))
    last = hi if t[hi - 1] < to_ms else lo + int(np.searchsorted(t[lo:hi], to_ms))
    return first, last
