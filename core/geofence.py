"""Zones to keep out of, to be in, and not to leave: INSIDE, OUTSIDE or UNCERTAIN for every position, and what follows.

A position is INSIDE when it lies inside by more than its own uncertainty, OUTSIDE when it lies outside by more, else
UNCERTAIN. An UNCERTAIN position says nothing: it neither raises, keeps up nor ends anything.

**A visit is raised when two positions at least 10 s apart, no more than 15 min between one and the next and none
certainly outside between them, are each inside the zone by more than their own uncertainty; it begins at the first of
them, and ends at the first of two such positions certainly outside.** (10 s and 15 min: ``RuleSet.confirm_apart_s``,
``confirm_within_s``.) So no single position raises or ends anything, however precise it claims to be. Inclusion and
restriction zones are the same with inside and outside exchanged; a warning ring is the same for the zone as much wider
(or, of those, narrower) as the ring is.

A zone that is in force at times counts positions in those times only. A visit ends with the time; **a wearer whom two
such positions show in the zone when it comes into force is in it from that instant**, provided that the last of them
still vouches (``RuleSet.vouch_s``).

**Whereabouts are unknown to a zone after 75 min without a position that tells where the wearer is, or once the zone
could have been reached at 50 m/s from the last one if that is later**; until the next, while the zone is in force and
no visit goes on. (``zone_silence_s``, ``reach_m_s``, ``located_m``.) A home unit that hears the tag tells where the
wearer is, too, where the whole of the address lies on the side that the order allows (`core.heard`).

**A pass is inferred when, of positions certainly outside, two that follow each other within 5 min lie so that the
straight line between them comes deeper into the zone than 50 m and than either's uncertainty, at no more than 50 m/s,
with another such position at least 10 s before and after without a line through it.** (``pass_within_s``,
``pass_depth_m``.) So one erroneous position, to which one line leads and from which another comes back, infers nothing.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from core.activation import ALWAYS_MS, Activation, Watch, watches
from core.alerts import Alert
from core.conditions import ExclusionCondition, InclusionCondition, RestrictionCondition, ZoneCondition
from core.episodes import EPISODE, NEVER_MS, OPEN_MS, Episodes
from core.family import Batch, Part
from core.geometry import ZonePool
from core.heard import Heard, HomeUnits, Spell, without_home
from core.heard import Saved as HeardSaved
from core.passes import at
from core.periods import PeriodPool
from core.rows import cut
from core.rules import RuleSet
from core.slots import Slots
from core.visits import LOST, VISIT, zone_limits
from core.zone_alerts import WORDINGS, zone_alert
from core.zone_calendar import AHEAD_MS, Calendar
from core.zone_silence import silence
from core.zone_watch import ANCHOR, PLAN, STINT, watch_zones

RULE = WORDINGS[ExclusionCondition].rule
_KINDS: tuple[type[ZoneCondition], ...] = (ExclusionCondition, InclusionCondition, RestrictionCondition)
_ASK_MS = 600_000
"""Deadlines that move with every position are rounded down to this, so that few of them are kept."""
Saved = tuple[bytes, bytes, HeardSaved | None]


@dataclass(slots=True)
class Fence:
    """Where the state of one activation's zones lies: its rows, and from when to when which plans hold."""

    anchor: int
    slots: range
    calendars: list[Calendar]
    known_to_ms: int
    pieces: list[tuple[int, int, Episodes, int]]
    """From, to, plans, and how many of them, the first ones, hold; those behind them are over."""
    last: Episodes
    """The plan of each slot at the end."""
    heard: Heard | None
    """What home units heard, where the order names an address."""


class Geofence:
    """The rule family of zones."""

    def __init__(self, rules: RuleSet) -> None:
        self._rules, self._limits = rules, zone_limits(rules)
        anchor = np.zeros(1, ANCHOR)
        anchor["clear_m"] = -1.0
        visit = np.zeros(1, VISIT)
        for blank, names in (
            (anchor, ("span_ms", "out_ms", "calm_ms", "at_ms", "seen_ms")),
            (visit, ("run_last_ms", "touch_ms", "out_ms", "calm_ms", "seen_ms")),
        ):
            for name in names:
                blank[name] = NEVER_MS
        draft = np.zeros(1, EPISODE)
        draft["end_ms"] = OPEN_MS
        self._anchors, self._visits = Slots(anchor), Slots(visit, draft)
        self._zones, self._periods = ZonePool(), PeriodPool()
        self._units = HomeUnits(rules, rules.zone_silence_s)

    def enrol(self, activation: Activation) -> Fence | None:
        """Take on an activation: its zones, with nothing known yet; None if it has none."""
        found = [watch for kind in _KINDS for watch in watches(activation, kind)]
        mine = [(watch, False) for watch in found]
        mine += [(watch, True) for watch in found if any(s.condition.warning_m > 0 for s in watch.stretches)]
        if not mine:
            return None
        first = self._visits.take(len(mine))
        slots = range(first, first + len(mine))
        calendars = [
            Calendar(
                [(s.from_ms, s.to_ms, s.condition.schedule) for s in watch.stretches], self._rules.timezone
            )
            for watch, _ in mine
        ]
        plans = [self._plans(slot, *one) for slot, one in zip(slots, mine, strict=True)]
        marks = sorted({mark for some in plans for start, end, _ in some for mark in (start, end)})
        pieces = []
        # from the fitting on, because a zone asks where the wearer was last when it comes into force
        for start, end in itertools.pairwise(sorted({activation.fitted_ms, *marks})):
            here = [plan for some in plans for a, b, plan in some if a <= start and end <= b]
            over = [some[-1][2] for some in plans if some[-1][1] <= start]
            pieces.append((start, end, np.concatenate([np.zeros(0, PLAN), *here, *over]), len(here)))
        last = np.concatenate([some[-1][2] for some in plans])
        heard = self._units.enrol(activation)
        fence = Fence(self._anchors.take(), slots, calendars, -ALWAYS_MS, pieces, last, heard)
        self._visits.owners[first : slots.stop] = [(watch, ring, heard) for watch, ring in mine]
        self._expand(fence, activation.fitted_ms)
        self.reset(fence)
        return fence

    def dismiss(self, fence: Fence) -> None:
        """Let an activation go."""
        for plan in fence.last:
            self._periods.drop(int(plan["first"]), int(plan["last"]))
        self._anchors.give_back(fence.anchor)
        self._visits.give_back(fence.slots.start, len(fence.slots))
        self._units.dismiss(fence.heard)

    def reset(self, fence: Fence) -> None:
        """Back to nothing known."""
        self._anchors.clear(fence.anchor)
        self._visits.clear(fence.slots.start, len(fence.slots))
        self._visits.rows[1]["watch"][fence.slots.start : fence.slots.stop] = fence.slots
        self._units.reset(fence.heard)

    def save(self, fence: Fence) -> Saved:
        """What is known now, to come back to."""
        visits = self._visits.save(fence.slots.start, len(fence.slots))
        return self._anchors.save(fence.anchor), visits, self._units.save(fence.heard)

    def restore(self, fence: Fence, saved: Saved) -> None:
        """Go back to what `save` gave."""
        self._anchors.restore(fence.anchor, 1, saved[0])
        self._visits.restore(fence.slots.start, len(fence.slots), saved[1])
        self._units.restore(fence.heard, saved[2])

    def advance(self, batch: Batch, parts: Sequence[Part]) -> list[Alert]:
        """Judge the positions of each part; the alerts that they settle."""
        fixes = batch.positions
        self._units.advance(batch, ((part.handle.heard, part) for part in parts))
        stints, plans, offset = [], [], 0
        for fence, (lo, hi), *_ in parts:
            if lo == hi:
                continue
            self._expand(fence, int(fixes["t_ms"][hi - 1]))
            for start, end, here, hold in fence.pieces:
                first, last = cut(fixes, lo, hi, start, end)
                if first < last:
                    stints.append(
                        (fence.anchor, start, first, last, offset, offset + hold, offset + len(here))
                    )
                    plans.append(here)
                    offset += len(here)
        if not stints:
            return []
        (anchors,), (visits, drafts) = self._anchors.rows, self._visits.rows
        settled = watch_zones(
            fixes,
            np.array(stints, STINT),
            np.concatenate(plans),
            self._periods.rows,
            self._zones.table(),
            anchors,
            visits,
            drafts,
            self._limits,
        )
        return [self._alert(row) for one in settled for row in self._unheard(one, ALWAYS_MS)[0]]

    def tail(self, fences: Iterable[Fence], now_ms: int) -> tuple[list[Alert], list[int]]:
        """The alerts that go on at ``now_ms``, and for each fence when time alone will change something."""
        fences = list(fences)
        if not fences:
            return [], []
        for fence in fences:
            self._expand(fence, now_ms)
        (anchors,), (visits, drafts) = self._anchors.rows, self._visits.rows
        counts = [len(fence.last) for fence in fences]
        standing, again = silence(
            np.concatenate([fence.last for fence in fences]),
            np.repeat([fence.anchor for fence in fences], counts),
            now_ms,
            self._periods.rows,
            self._zones.table(),
            anchors,
            visits,
            drafts,
            self._limits,
        )
        soonest = np.minimum.reduceat(again, np.cumsum([0, *counts[:-1]])).tolist()
        alerts, later = [], dict.fromkeys((id(fence.heard) for fence in fences), ALWAYS_MS)
        for one in standing:
            rows, again_ms = self._unheard(one, now_ms)
            alerts += [self._alert(row) for row in rows]
            if again_ms is not None:
                heard = id(self._visits.owners[int(one["watch"])][2])
                later[heard] = min(later[heard], again_ms)
        due = [
            self._due(fence, min(again_ms, later[id(fence.heard)]), now_ms)
            for fence, again_ms in zip(fences, soonest, strict=True)
        ]
        return alerts, due

    def _plans(self, slot: int, watch: Watch[ZoneCondition], ring: bool) -> list[tuple[int, int, Episodes]]:
        """From when to when a slot has which plan; its periods are still to come."""
        found = []
        for stretch in watch.stretches:
            condition = stretch.condition
            plan = np.zeros(1, PLAN)
            plan["slot"], plan["zone"] = slot, self._zones.add(condition.zone)
            plan["sense"] = 1.0 if isinstance(condition, ExclusionCondition) else -1.0
            plan["margin_m"], plan["main"] = condition.warning_m if ring else 0.0, not ring
            plan["from_ms"], plan["to_ms"] = watch.from_ms, watch.to_ms
            found.append((stretch.from_ms, stretch.to_ms, plan))
        return found

    def _expand(self, fence: Fence, to_ms: int) -> None:
        """Work periods out as far as ``to_ms`` needs them."""
        if fence.known_to_ms > to_ms + AHEAD_MS:
            return
        for i, (slot, calendar) in enumerate(zip(fence.slots, fence.calendars, strict=True)):
            if fence.known_to_ms > -ALWAYS_MS and calendar.known_to_ms == ALWAYS_MS:
                continue
            calendar.extend(to_ms + AHEAD_MS)
            self._periods.drop(int(fence.last["first"][i]), int(fence.last["last"][i]))
            first, last = self._periods.put(calendar.periods())
            for plans in (fence.last, *(plans for _, _, plans, _ in fence.pieces)):
                mine = plans["slot"] == slot
                plans["first"][mine], plans["last"][mine] = first, last
        fence.known_to_ms = min(calendar.known_to_ms for calendar in fence.calendars)

    def _due(self, fence: Fence, again_ms: int, now_ms: int) -> int:
        """When to ask again; a timetable is asked at least as often as its periods are worked out."""
        rounded_ms = again_ms // _ASK_MS * _ASK_MS
        if again_ms < ALWAYS_MS and rounded_ms > now_ms:
            again_ms = rounded_ms
        return again_ms if fence.known_to_ms == ALWAYS_MS else min(again_ms, now_ms + AHEAD_MS)

    def _unheard(self, row: Episodes, now_ms: int) -> tuple[list[Episodes], int | None]:
        """An episode less the time in which home units told where the wearer was; and when more of it begins."""
        watch, _, heard = self._visits.owners[int(row["watch"])]
        if row["kind"] != LOST or heard is None or not heard.spells:
            return [row], None
        condition = watch.at(int(row["start_ms"])).condition
        zone, table = self._zones.add(condition.zone), self._zones.table()
        sense = 1.0 if isinstance(condition, ExclusionCondition) else -1.0

        def lost_after(spell: Spell) -> int | None:
            lon, lat, reach_m = spell.spot
            away_m = sense * at(table, zone, lon, lat) - reach_m
            if away_m <= 0.0:
                return None
            travel_ms = int(away_m / self._limits.reach_m_s * 1000.0)
            return spell.end_ms + max(travel_ms, self._limits.silence_ms)

        return without_home(row, heard.spells, lost_after, now_ms)

    def _alert(self, row: Episodes) -> Alert:
        watch, ring, _ = self._visits.owners[int(row["watch"])]
        return zone_alert(watch, ring, row, self._rules)
