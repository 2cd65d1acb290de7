"""Zones to keep out of, to be in, and not to leave: INSIDE, OUTSIDE or UNCERTAIN for every position, and what follows.

A position is INSIDE when it lies inside by more than its own uncertainty, OUTSIDE when it lies outside by more, else
UNCERTAIN. An UNCERTAIN position says nothing: it neither raises, keeps up nor ends anything.

**A visit is raised when positions over at least 70 s, no more than 15 min between one and the next and none certainly
outside between them, are each inside the zone by more than their own uncertainty; it begins at the first of them, and
ends at the first of two positions at least 10 s apart, likewise certainly outside.** (70 s, 10 s and 15 min:
``RuleSet.accuse_apart_s``, ``confirm_apart_s``, ``confirm_within_s``.) So no single position raises or ends anything,
however precise it claims to be. Inclusion and restriction zones are the same with inside and outside exchanged; a
warning ring is the same for the zone as much wider (or, of those, narrower) as the ring is.

A zone that is in force at times counts positions in those times only. A visit ends with the time; **a wearer whom
such positions show in the zone when it comes into force is in it from that instant**, provided that the last of them
still vouches (``RuleSet.vouch_s``).

**Whereabouts are unknown to a zone after 75 min without a position that tells where the wearer is, or once the zone
could have been reached at 50 m/s from the last one if that is later**; until the next, while the zone is in force and
no visit goes on. (``zone_silence_s``, ``reach_m_s``, ``located_m``.)

**A pass is inferred when, of positions certainly outside, two that follow each other within 5 min lie so that the
straight line between them comes deeper into the zone than 50 m and than either's uncertainty, at no more than 50 m/s,
with another such position at least 10 s before and after without a line through it.** (``pass_within_s``,
``pass_depth_m``.) So one erroneous position, to which one line leads and from which another comes back, infers nothing.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence

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
from core.readings import I64
from core.rules import RuleSet
from core.slots import Slots
from core.visits import LOST, VISIT, zone_limits
from core.zone_alerts import WORDINGS, zone_alert
from core.zone_calendar import AHEAD_MS, Calendar
from core.zone_reach import REACH, reach_of
from core.zone_silence import silence
from core.zone_watch import ANCHOR, FENCE, PIECE, PLAN, watch_zones

RULE = WORDINGS[ExclusionCondition].rule
_KINDS: tuple[type[ZoneCondition], ...] = (ExclusionCondition, InclusionCondition, RestrictionCondition)
_ASK_MS = 600_000
"""Deadlines that move with every position are rounded down to this, so that few of them are kept."""
Saved = tuple[bytes, bytes, HeardSaved | None]
_WORDINGS = 1024
"""For so many activations it is kept what alerts are about: most have none to be worded."""


class Geofence:
    """The rule family of zones. The handle of an activation is the slot of its anchor."""

    def __init__(self, rules: RuleSet) -> None:
        self._rules, self._limits = rules, zone_limits(rules)
        anchor = np.zeros(1, ANCHOR)
        anchor["clear_m"] = -1.0
        visit = np.zeros(1, VISIT)
        for blank, names in (
            (anchor, ("span_ms", "calm_ms", "at_ms", "seen_ms")),
            (visit, ("run_last_ms", "touch_ms", "out_ms", "calm_ms", "seen_ms")),
        ):
            for name in names:
                blank[name] = NEVER_MS
        draft = np.zeros(1, EPISODE)
        draft["end_ms"] = OPEN_MS
        self._anchors = Slots(anchor, terms=[np.zeros(1, FENCE)])
        self._visits = Slots(visit, draft)
        self._plans = Slots(terms=[np.zeros(1, PLAN), np.zeros(1, REACH)])
        self._pieces = Slots(terms=[np.zeros(1, PIECE)])
        self._zones, self._periods = ZonePool(), PeriodPool()
        self._units = HomeUnits(rules, rules.zone_silence_s)
        self._heard: dict[int, Heard] = {}
        self._worded: dict[int, list[_Watched]] = {}

    def enrol(self, activation: Activation) -> int | None:
        """Take on an activation: its zones, with nothing known yet; None if it has none."""
        mine = _watched(activation)
        if not mine:
            return None
        anchor = self._anchors.take(1, activation)
        visit = self._visits.take(len(mine), anchor)
        stretches = [self._plans_of(slot, *one) for slot, one in enumerate(mine, visit)]
        marks = sorted({mark for some in stretches for start, end, _ in some for mark in (start, end)})
        last = [some[-1][2] for some in stretches]
        plans = last.copy()
        pieces = []
        # from the fitting on, because a zone asks where the wearer was last when it comes into force
        for start, end in itertools.pairwise(sorted({activation.fitted_ms, *marks})):
            hold = [plan for some in stretches for a, b, plan in some if a <= start and end <= b]
            over = [some[-1][2] for some in stretches if some[-1][1] <= start]
            first = 0 if hold == last else len(plans)
            if first:
                plans += hold + over
            pieces.append((start, end, first, first + len(hold), first + len(hold) + len(over)))
        plan, piece = self._plans.take(len(plans)), self._pieces.take(len(pieces))
        for terms, rows in zip(self._plans.terms, zip(*plans, strict=True), strict=True):
            terms[plan : plan + len(plans)] = np.array(list(rows), terms.dtype)
        mine_now = self._pieces.terms[0][piece : piece + len(pieces)]
        mine_now[:] = np.array(pieces, PIECE)
        for name in ("first", "last", "over"):
            mine_now[name] += plan
        self._anchors.terms[0][anchor] = (visit, len(mine), plan, len(plans), piece, len(pieces), NEVER_MS)
        self._expand(anchor, activation.fitted_ms)
        self.reset(anchor)
        return anchor

    def dismiss(self, anchor: int) -> None:
        """Let an activation go."""
        visit, visits, plan, plans, piece, pieces, _ = self._anchors.terms[0][anchor].tolist()
        for held in self._plans.terms[0][plan : plan + visits]:
            self._periods.drop(int(held["first"]), int(held["last"]))
        for watch, _ in _watched(self._anchors.owners[anchor]):
            for stretch in watch.stretches:
                self._zones.drop(stretch.condition.zone)
        self._plans.give_back(plan, plans)
        self._pieces.give_back(piece, pieces)
        self._visits.give_back(visit, visits)
        self._anchors.give_back(anchor)
        self._worded.pop(anchor, None)
        self._units.dismiss(self._heard.pop(anchor, None))

    def reset(self, anchor: int) -> None:
        """Back to nothing known."""
        first, count = self._visits_of(anchor)
        self._anchors.clear(anchor)
        self._visits.clear(first, count)
        self._visits.rows[1]["watch"][first : first + count] = np.arange(first, first + count)
        self._units.reset(self._heard.get(anchor))

    def save(self, anchor: int) -> Saved:
        """What is known now, to come back to."""
        heard = self._units.save(self._heard.get(anchor))
        return self._anchors.save(anchor), self._visits.save(*self._visits_of(anchor)), heard

    def restore(self, anchor: int, saved: Saved) -> None:
        """Go back to what `save` gave."""
        self._anchors.restore(anchor, 1, saved[0])
        self._visits.restore(*self._visits_of(anchor), saved[1])
        if saved[2] is not None and anchor not in self._heard:
            heard = self._units.enrol(self._anchors.owners[anchor])
            if heard is not None:
                self._heard[anchor] = heard
        self._units.restore(self._heard.get(anchor), saved[2])
        # which zones are quiet was measured since
        fence = self._anchors.terms[0][anchor]
        self._anchors.rows[0]["clear_m"][anchor] = -1.0
        self._plans.terms[1]["clear_m"][int(fence["plan"]) : int(fence["plan"] + fence["plans"])] = -1.0

    def advance(self, batch: Batch, parts: Sequence[Part]) -> list[Alert]:
        """Judge the positions of each part; the alerts that they settle."""
        fixes = batch.positions
        self._hear(batch, parts)
        stints: list[int] = []
        for anchor, (lo, hi), *_ in parts:
            if lo < hi:
                stints += (anchor, lo, hi)
        where = np.array(stints, np.int64).reshape(-1, 3)
        if not len(where):
            return []
        last_ms = batch.columns.t_ms[where[:, 2] - 1]
        self._reach(where[:, 0], last_ms)
        (anchors,), (visits, drafts) = self._anchors.rows, self._visits.rows
        plans, reaches = self._plans.terms
        settled = watch_zones(
            fixes,
            batch.columns,
            where,
            self._anchors.terms[0],
            self._pieces.terms[0],
            plans,
            reaches,
            self._periods.rows,
            self._zones.table(),
            anchors,
            visits,
            drafts,
            self._limits,
        )
        if self._heard:
            settled = [row for one in settled for row in self._unheard(one, ALWAYS_MS)[0]]
        return [self._alert(row) for row in settled]

    def tail(self, handles: Iterable[int], now_ms: int) -> tuple[list[Alert], list[int]]:
        """The alerts that go on at ``now_ms``, and for each handle when time alone will change something."""
        slots = np.array(list(handles), np.int64)
        if not len(slots):
            return [], []
        self._reach(slots, np.full(len(slots), now_ms))
        (anchors,), (visits, drafts), (fences,) = self._anchors.rows, self._visits.rows, self._anchors.terms
        standing, due = silence(
            slots,
            now_ms,
            fences,
            self._pieces.terms[0],
            self._plans.terms[0],
            self._periods.rows,
            self._zones.table(),
            anchors,
            visits,
            drafts,
            self._limits,
        )
        alerts: list[Alert] = []
        later: dict[int, int] = {}
        for one in standing:
            rows, again_ms = self._unheard(one, now_ms)
            alerts += [self._alert(row) for row in rows]
            if again_ms is not None:
                anchor = self._visits.owners[int(one["watch"])]
                later[anchor] = min(later.get(anchor, ALWAYS_MS), again_ms)
        if later:
            due = np.minimum(due, [later.get(anchor, ALWAYS_MS) for anchor in slots.tolist()])
        rounded = due // _ASK_MS * _ASK_MS
        due = np.where((due < ALWAYS_MS) & (rounded > now_ms), rounded, due)
        # a timetable is asked at least as often as its periods are worked out
        known_to_ms = fences["known_to_ms"][slots]
        due = np.where(known_to_ms == ALWAYS_MS, due, np.minimum(due, now_ms + AHEAD_MS))
        return alerts, due.tolist()

    def _hear(self, batch: Batch, parts: Sequence[Part]) -> None:
        """Take in what home units heard."""
        spoken = []
        if not len(batch.contacts) and not len(batch.events):
            return
        for part in parts:
            if part.contacts[0] < part.contacts[1] or part.events[0] < part.events[1]:
                heard = self._heard.get(part.handle) or self._units.enrol(self._anchors.owners[part.handle])
                if heard is not None:
                    self._heard[part.handle] = heard
                    spoken.append((heard, part))
        if spoken:
            self._units.advance(batch, spoken)

    def _visits_of(self, anchor: int) -> tuple[int, int]:
        fence = self._anchors.terms[0][anchor]
        return int(fence["visit"]), int(fence["visits"])

    def _plans_of(self, slot: int, watch: Watch[ZoneCondition], ring: bool) -> list[tuple[int, int, _Plan]]:
        """From when to when a slot has which plan; its periods are still to come."""
        found = []
        for stretch in watch.stretches:
            condition = stretch.condition
            sense = 1.0 if isinstance(condition, ExclusionCondition) else -1.0
            margin_m = condition.warning_m if ring else 0.0
            zone = self._zones.add(condition.zone)
            plan = (slot, zone, sense, margin_m, int(not ring), watch.from_ms, watch.to_ms, 0, 0)
            reach = reach_of(condition.zone, sense, margin_m)
            found.append((stretch.from_ms, stretch.to_ms, (plan, reach)))
        return found

    def _reach(self, anchors: I64, to_ms: I64) -> None:
        """Work periods out as far as ``to_ms`` needs them."""
        short = self._anchors.terms[0]["known_to_ms"][anchors] <= to_ms + AHEAD_MS
        for i in np.flatnonzero(short).tolist():
            self._expand(int(anchors[i]), int(to_ms[i]))

    def _expand(self, anchor: int, to_ms: int) -> None:
        fence = self._anchors.terms[0][anchor]
        known_to_ms = int(fence["known_to_ms"])
        plans = self._plans.terms[0][int(fence["plan"]) : int(fence["plan"] + fence["plans"])]
        horizons = []
        for i, (watch, _) in enumerate(_watched(self._anchors.owners[anchor])):
            calendar = Calendar(
                [(s.from_ms, s.to_ms, s.condition.schedule) for s in watch.stretches], self._rules.timezone
            )
            if calendar.known_to_ms < known_to_ms < ALWAYS_MS:
                calendar.known_to_ms = known_to_ms
            calendar.extend(to_ms + AHEAD_MS)
            horizons.append(calendar.known_to_ms)
            self._periods.drop(int(plans["first"][i]), int(plans["last"][i]))
            first, last = self._periods.put(calendar.periods())
            mine = plans["slot"] == plans["slot"][i]
            plans["first"][mine], plans["last"][mine] = first, last
        fence["known_to_ms"] = min(horizons)

    def _unheard(self, row: Episodes, now_ms: int) -> tuple[list[Episodes], int | None]:
        """An episode less the time in which home units told where the wearer was; and when more of it begins."""
        slot = int(row["watch"])
        heard = self._heard.get(self._visits.owners[slot])
        if row["kind"] != LOST or heard is None or not heard.spells:
            return [row], None
        condition = self._watch(slot)[0].at(int(row["start_ms"])).condition
        zone, table = self._zones.number(condition.zone), self._zones.table()
        sense = 1.0 if isinstance(condition, ExclusionCondition) else -1.0

        def lost_after(spell: Spell) -> int | None:
            lon, lat, reach_m = spell.spot
            away_m = sense * at(table, zone, lon, lat) - reach_m
            if away_m <= 0.0:
                return None
            travel_ms = int(away_m / self._limits.reach_m_s * 1000.0)
            return spell.end_ms + max(travel_ms, self._limits.silence_ms)

        return without_home(row, heard.spells, lost_after, now_ms)

    def _watch(self, slot: int) -> _Watched:
        """What a slot watches."""
        anchor = self._visits.owners[slot]
        if anchor not in self._worded:
            if len(self._worded) >= _WORDINGS:
                self._worded.clear()
            self._worded[anchor] = _watched(self._anchors.owners[anchor])
        return self._worded[anchor][slot - self._visits_of(anchor)[0]]

    def _alert(self, row: Episodes) -> Alert:
        watch, ring = self._watch(int(row["watch"]))
        return zone_alert(watch, ring, row, self._rules)


_Plan = tuple[tuple[int, int, float, float, int, int, int, int, int], tuple[float, ...]]
"""Rows of `PLAN` and `REACH`."""
_Watched = tuple[Watch[ZoneCondition], bool]


def _watched(activation: Activation) -> list[_Watched]:
    """What is watched of an activation, in the order of its slots: its zones, then their warning rings."""
    found = [watch for kind in _KINDS for watch in watches(activation, kind)]
    rings = [watch for watch in found if any(s.condition.warning_m > 0 for s in watch.stretches)]
    return [(watch, False) for watch in found] + [(watch, True) for watch in rings]
