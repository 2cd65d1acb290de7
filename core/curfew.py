"""Curfews: absences, and whereabouts unknown, from what was seen of an address and the times of a timetable.

**An absence is raised when two positions at least 10 s apart, no more than 15 min between one and the next and none at
home between them, show the wearer away from the address during the curfew; it begins at the first of them, and ends at
the first of two such positions at home, or with the curfew. A wearer whom such positions show away when the curfew
begins is absent from its beginning**, provided that the last of them still vouches (`RuleSet.vouch_s`).

**A home unit shows the same: away when it has listened in vain for 300 s in all, home when it heard the tag in two
intervals**; what it may say is in `core.presence`, and how it is weighed against positions in `core.sightings`.

How long it was is told as two bounds: *at least* the time between readings away that follow each other closely enough
to vouch for the time between them; *at most* the time from the last reading at home (or the start of the curfew, or
of monitoring) to the first one at home again. How it lies in its curfew is its kind (`core.curfew_alerts`), and what
all of them come to over the order is `core.atv`.

Where an order has several addresses, each has its own times (`core.curfew_calendar`). What is known is kept for each
set of addresses that will do at some time, so that who changes from one to the next is judged by where he is to be.

Whereabouts are unknown while no reading vouches. Unknown for 15 min within a curfew opens *whereabouts unknown*, which
is not a violation; time passing is enough. It ends when a reading says where the wearer is, or with the curfew.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from core.absences import ABSENCE, WATCHED, silence, watch_curfews
from core.activation import ALWAYS_MS, Activation, Watch, watches
from core.alerts import Alert
from core.atv import Absence, accumulated, allowance_of
from core.conditions import CurfewCondition
from core.curfew_alerts import absence_of, atv_alert, curfew_alert
from core.curfew_calendar import (
    AHEAD_MS,
    AddressSet,
    Calendar,
    Expansion,
    address_sets,
    spans,
    timetable_of,
)
from core.episodes import EPISODE, NEVER_MS, OPEN_MS, Episodes, limits
from core.family import Batch, Part
from core.order import DiscountKind
from core.presence import Place, place_of
from core.readings import I64
from core.rules import RuleSet
from core.sightings import blank_sense, part_at, sight
from core.slots import Slots

_STATES, _DRAFTS, _SENSES, _DISPUTES = range(4)
"""The rows of a slot."""


@dataclass(frozen=True, slots=True)
class _Home:
    """One curfew watched at one set of addresses: its row, its calendar, and what stands where in each stretch.

    ``places``: from, to (ms), the addresses compiled, and the number of the first stretch that words them so.
    """

    slot: int
    watch: Watch[CurfewCondition]
    addresses: AddressSet
    calendar: Calendar
    places: tuple[tuple[int, int, tuple[Place, ...], int], ...]


@dataclass(frozen=True, slots=True)
class Curfews:
    """Where the state of one activation's curfews lies; ``absences`` are those settled."""

    activation: Activation
    slots: I64
    homes: tuple[_Home, ...]
    absences: list[Absence] = field(default_factory=list)


class CurfewWatch:
    """The rule family of curfews."""

    def __init__(self, rules: RuleSet) -> None:
        self._rules = rules
        self._limits = limits(rules)
        state = np.zeros(1, WATCHED)
        for name in ("run_last_ms", "home_ms", "run_in_ms", "run_fix_ms", "run_heard_ms"):
            state[name] = NEVER_MS
        draft = np.zeros(1, EPISODE)
        self._slots = Slots(state, draft, blank_sense(), draft)
        self._homes: dict[int, _Home] = {}
        self._enrolled: dict[int, Curfews] = {}
        self._expansions: dict[object, Expansion] = {}

    def enrol(self, activation: Activation) -> Curfews | None:
        """Take on an activation: its curfews, with nothing known yet; None if it has none."""
        mine = [
            (watch, addresses)
            for watch in watches(activation, CurfewCondition)
            for addresses in sorted(
                {s for stretch in watch.stretches for s in address_sets(stretch.condition)}
            )
        ]
        if not mine:
            return None
        slots = self._slots.take(len(mine))
        homes = [self._home(activation, slot, *one) for slot, one in zip(slots.tolist(), mine, strict=True)]
        curfews = Curfews(activation, slots, tuple(homes))
        for home in homes:
            self._homes[home.slot] = home
            self._enrolled[home.slot] = curfews
        self.reset(curfews)
        return curfews

    def _home(
        self, activation: Activation, slot: int, watch: Watch[CurfewCondition], addresses: AddressSet
    ) -> _Home:
        parts, places = [], []
        wordings: list[tuple[object, ...]] = []
        for stretch in watch.stretches:
            condition = stretch.condition
            if addresses not in address_sets(condition):
                continue
            parts.append((stretch, self._expansion(condition, addresses)))
            words = tuple(condition.places[i].address for i in addresses)
            if words not in wordings:
                wordings.append(words)
            compiled = tuple(place_of(condition.places[i].address, self._rules, i) for i in addresses)
            places.append((stretch.from_ms, stretch.to_ms, compiled, wordings.index(words)))
        authorised = [
            (discount.from_ms, discount.to_ms)
            for discount in activation.order.discounts
            if discount.kind == DiscountKind.AUTHORISED_ABSENCE
            and discount.condition in (None, watch.condition)
        ]
        return _Home(slot, watch, addresses, Calendar(watch, parts, authorised), tuple(places))

    def dismiss(self, curfews: Curfews) -> None:
        """Let an activation go."""
        for slot in curfews.slots.tolist():
            del self._homes[slot], self._enrolled[slot]
        self._slots.give_back(curfews.slots)

    def reset(self, curfews: Curfews) -> None:
        """Back to nothing known."""
        self._slots.clear(curfews.slots)
        self._slots.rows[_DRAFTS]["watch"][curfews.slots] = curfews.slots
        self._slots.rows[_DISPUTES]["watch"][curfews.slots] = curfews.slots
        curfews.absences.clear()

    def save(self, curfews: Curfews) -> tuple[tuple[Episodes, ...], int]:
        """What is known now, to come back to."""
        return self._slots.save(curfews.slots), len(curfews.absences)

    def restore(self, curfews: Curfews, saved: tuple[tuple[Episodes, ...], int]) -> None:
        """Go back to what `save` gave."""
        rows, absences = saved
        self._slots.restore(curfews.slots, rows)
        del curfews.absences[absences:]

    def advance(self, batch: Batch, parts: Sequence[Part]) -> list[Alert]:
        """Judge positions, contacts and the home units' events of each part; the alerts that they settle."""
        states, drafts, senses, disputes = self._slots.rows
        taken, periods = [], []
        for part in parts:
            curfews: Curfews = part.handle
            last_ms = max(
                int(rows["t_ms"][hi - 1]) for rows, (lo, hi) in zip(batch, part[1:], strict=True) if hi > lo
            )
            for home in curfews.homes:
                seen_ms = int(states["run_last_ms"][home.slot])
                for start, end, places, wording in home.places:
                    where = part_at(batch, part[1:], start, end)
                    if where[0] < where[1] or where[2] < where[3] or where[4] < where[5]:
                        taken.append((where, places, wording, home.slot))
                        periods.append(home.calendar.between(seen_ms, min(last_ms, end - 1)))
        if not taken:
            return []
        sightings, offsets, disagreed = sight(batch, taken, senses, disputes, self._limits)
        slots = np.array([slot for *_, slot in taken], np.int64)
        settled = watch_curfews(
            sightings, offsets, slots, np.concatenate(periods), spans(periods), states, drafts, self._limits
        )
        for row in settled:
            if row["kind"] == ABSENCE:
                slot = int(row["watch"])
                self._enrolled[slot].absences.append(absence_of(row, self._homes[slot].watch))
        return [self._alert(row) for rows in (settled, disagreed) for row in rows]

    def tail(self, enrolled: Iterable[Curfews], now_ms: int) -> tuple[list[Alert], list[int]]:
        """The alerts that stand at ``now_ms`` by silence or go on, and when time alone will next change something."""
        enrolled = list(enrolled)
        homes = [home for curfews in enrolled for home in curfews.homes]
        if not homes:
            return [], [ALWAYS_MS] * len(enrolled)
        slots = np.array([home.slot for home in homes], np.int64)
        states, drafts, senses, disputes = self._slots.rows
        seen: list[int] = states["run_last_ms"][slots].tolist()
        periods = [
            home.calendar.between(seen_ms, now_ms + AHEAD_MS)
            for home, seen_ms in zip(homes, seen, strict=True)
        ]
        standing, again = silence(
            slots, now_ms, np.concatenate(periods), spans(periods), states, drafts, self._limits
        )
        due = dict(zip(slots.tolist(), again.tolist(), strict=True))
        alerts = [self._alert(row) for row in standing]
        for slot in slots[senses["open"][slots] == 1].tolist():
            row, over_ms = disputes[slot].copy(), int(senses["last_ms"][slot]) + self._limits.vouch_ms
            row["end_ms"] = OPEN_MS if now_ms < over_ms else over_ms
            if now_ms < over_ms:
                due[slot] = min(due[slot], over_ms)
            alerts.append(self._alert(row))
        alerts += self._atv(enrolled, standing)
        deadlines = [
            min((self._due(home, due[home.slot], now_ms) for home in curfews.homes), default=ALWAYS_MS)
            for curfews in enrolled
        ]
        return alerts, deadlines

    def _atv(self, enrolled: Sequence[Curfews], standing: Episodes) -> list[Alert]:
        """The alerts of allowances used up, with the absences settled and those that stand."""
        now: dict[str, list[Absence]] = {}
        for row in standing:
            if row["kind"] == ABSENCE:
                slot = int(row["watch"])
                mine = now.setdefault(self._enrolled[slot].activation.id, [])
                mine.append(absence_of(row, self._homes[slot].watch))
        found = []
        for curfews in enrolled:
            absences = [*curfews.absences, *now.get(curfews.activation.id, [])]
            if absences:
                activation = curfews.activation
                allowance_min = allowance_of(activation, self._rules.atv_allowance_min)
                atv = accumulated(absences, activation.order.discounts, allowance_min)
                found.append(atv_alert(activation, atv, self._rules))
        return [alert for alert in found if alert is not None]

    def _expansion(self, condition: CurfewCondition, addresses: AddressSet) -> Expansion:
        timetable = timetable_of(condition, addresses)
        if timetable not in self._expansions:
            self._expansions[timetable] = Expansion(timetable, self._rules.timezone)
        return self._expansions[timetable]

    def _due(self, home: _Home, again_ms: int, now_ms: int) -> int:
        """No period in sight is not the same as no period ever."""
        if again_ms == ALWAYS_MS and home.watch.to_ms > now_ms:
            return now_ms + AHEAD_MS
        return again_ms

    def _alert(self, row: Any) -> Alert:
        home = self._homes[int(row["watch"])]
        return curfew_alert(row, home.watch, home.addresses, self._rules)
