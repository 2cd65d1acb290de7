"""Curfews: absences, and whereabouts unknown, from what was seen of an address and the times of a timetable.

**An absence is raised when positions over at least 70 s, no more than 15 min between one and the next and none at home
between them, show the wearer away from the address during the curfew; it begins at the first of them, and ends at the
first of two positions at home at least 10 s apart, or with the curfew. A wearer whom such positions show away when the
curfew begins is absent from its beginning**, provided that the last of them still vouches (`RuleSet.vouch_s`).

**A home unit shows the same: away when it has listened in vain for 180 s in all, home when it heard the tag in two
intervals; a beacon heard, however faint, breaks the silence, which then counts anew**; what it may say is in
`core.presence`, and how it is weighed against positions in `core.sightings`.

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

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from core.absences import ABSENCE, TERMS, WATCHED, silence, watch_curfews
from core.activation import ALWAYS_MS, Activation, Watch, authorised, watches
from core.alerts import Alert
from core.atv import Absence, accumulated, allowance_of, in_turn, over_order
from core.conditions import CurfewCondition
from core.curfew_alerts import absence_of, atv_alert, curfew_alert
from core.curfew_calendar import AHEAD_MS, AddressSet, Calendar, Expansion, address_sets, timetable_of
from core.curfew_periods import CalendarPool
from core.episodes import EPISODE, NEVER_MS, OPEN_MS, Episodes, limits
from core.family import Batch, Part
from core.presence import Place, place_of
from core.readings import I64
from core.rules import RuleSet
from core.sightings import PLACE, STAY, blank_sense, place_rows, sight
from core.slots import Slots

_STATES, _DRAFTS, _SENSES, _DISPUTES = range(4)
"""The rows of a slot."""
_WORDINGS = 1024
"""For so many curfews it is kept how alerts word them: most have none to be worded."""


@dataclass(slots=True)
class Curfews:
    """Where one activation's curfews lie: from ``first`` on a slot for each set of addresses of each curfew.

    ``stay`` and ``place`` are the first of its rows in those tables. ``absences`` are those settled.
    """

    activation: Activation
    first: int
    count: int
    stay: int
    stays: int
    place: int
    places: int
    absences: tuple[Absence, ...] = ()


class CurfewWatch:
    """The rule family of curfews."""

    def __init__(self, rules: RuleSet) -> None:
        self._rules, self._limits = rules, limits(rules)
        state, draft, dispute = np.zeros(1, WATCHED), np.zeros(1, EPISODE), np.zeros(1, EPISODE)
        for name in ("run_last_ms", "home_ms", "run_in_ms", "run_fix_ms", "run_heard_ms", "faint_ms"):
            state[name] = NEVER_MS
        self._slots = Slots(state, draft, blank_sense(), dispute, terms=[np.zeros(1, TERMS)])
        self._stays, self._places = Slots(terms=[np.zeros(1, STAY)]), Slots(terms=[np.zeros(1, PLACE)])
        self._calendars = CalendarPool()
        self._worded: dict[int, tuple[Watch[CurfewCondition], AddressSet]] = {}

    def enrol(self, activation: Activation) -> Curfews | None:
        """Take on an activation: its curfews, with nothing known yet; None if it has none."""
        homes = list(_homes(activation))
        if not homes:
            return None
        curfews = Curfews(activation, 0, len(homes), 0, 0, 0, 0)
        curfews.first = self._slots.take(len(homes), curfews)
        stays: list[tuple[int, int, int, int, int, int]] = []
        places: list[Place] = []
        for slot, (watch, addresses) in enumerate(homes, curfews.first):
            self._slots.terms[0][slot] = self._terms(activation, watch, addresses)
            self._say_where(slot, watch, addresses, stays, places)
        curfews.stays, curfews.places = len(stays), len(places)
        curfews.place = self._places.take(len(places))
        self._places.terms[0][curfews.place : curfews.place + len(places)] = place_rows(places)
        curfews.stay = self._stays.take(len(stays))
        mine = self._stays.terms[0][curfews.stay : curfews.stay + len(stays)]
        mine[:] = np.array(stays, STAY)
        for name in ("first", "last"):
            mine[name] += curfews.place
        self.reset(curfews)
        return curfews

    def _terms(
        self, activation: Activation, watch: Watch[CurfewCondition], addresses: AddressSet
    ) -> tuple[int, int, int, int]:
        """A row of `TERMS`: when it is curfew at ``addresses``."""
        parts = []
        for stretch in watch.stretches:
            if addresses in address_sets(stretch.condition):
                timetable = timetable_of(stretch.condition, addresses)
                parts.append((stretch, timetable, Expansion(timetable, self._rules.timezone)))
        absences = authorised(activation, watch.condition)
        if len(parts) == 1 and not absences:
            ((stretch, timetable, expansion),) = parts
            number = self._calendars.take(expansion, stretch.from_ms, timetable)
            return number, stretch.from_ms, stretch.to_ms, watch.to_ms
        calendar = Calendar(watch, [(stretch, expansion) for stretch, _, expansion in parts], absences)
        return self._calendars.take(calendar, watch.from_ms), -ALWAYS_MS, ALWAYS_MS, watch.to_ms

    def _say_where(
        self,
        slot: int,
        watch: Watch[CurfewCondition],
        addresses: AddressSet,
        stays: list[tuple[int, int, int, int, int, int]],
        places: list[Place],
    ) -> None:
        """Add what stands where in each stretch: to ``places`` the addresses, to ``stays`` when they are meant."""
        wordings: list[tuple[object, ...]] = []
        for stretch in watch.stretches:
            condition = stretch.condition
            if addresses not in address_sets(condition):
                continue
            words = tuple(condition.places[i].address for i in addresses)
            if words not in wordings:
                wordings.append(words)
            first = len(places)
            places += [place_of(condition.places[i].address, self._rules, i) for i in addresses]
            stays.append((stretch.from_ms, stretch.to_ms, slot, wordings.index(words), first, len(places)))

    def dismiss(self, curfews: Curfews) -> None:
        """Let an activation go."""
        for slot in range(curfews.first, curfews.first + curfews.count):
            self._calendars.give_back(int(self._slots.terms[0]["calendar"][slot]))
            self._worded.pop(slot, None)
        self._slots.give_back(curfews.first, curfews.count)
        self._stays.give_back(curfews.stay, curfews.stays)
        self._places.give_back(curfews.place, curfews.places)

    def reset(self, curfews: Curfews) -> None:
        """Back to nothing known."""
        first, last = curfews.first, curfews.first + curfews.count
        self._slots.clear(first, curfews.count)
        for kind in (_DRAFTS, _DISPUTES):
            self._slots.rows[kind]["watch"][first:last] = np.arange(first, last)
        curfews.absences = ()

    def save(self, curfews: Curfews) -> tuple[bytes, tuple[Absence, ...]]:
        """What is known now, to come back to."""
        return self._slots.save(curfews.first, curfews.count), curfews.absences

    def restore(self, curfews: Curfews, saved: tuple[bytes, tuple[Absence, ...]]) -> None:
        """Go back to what `save` gave."""
        rows, curfews.absences = saved
        self._slots.restore(curfews.first, curfews.count, rows)

    def advance(self, batch: Batch, parts: Sequence[Part]) -> list[Alert]:
        """Judge positions, contacts and the home units' events of each part; the alerts that they settle."""
        states, drafts, senses, disputes = self._slots.rows
        (terms,) = self._slots.terms
        where = [
            (curfews.stay, curfews.stay + curfews.stays, *positions, *contacts, *events)
            for curfews, positions, contacts, _, events in parts
        ]
        sightings, offsets, slots, disagreed = sight(
            batch,
            np.array(where, np.int64),
            self._stays.terms[0],
            self._places.terms[0],
            senses,
            disputes,
            self._limits,
        )
        if len(sightings):
            self._calendars.reach(terms["calendar"][slots], int(sightings["t_ms"].max()))
        settled = watch_curfews(
            sightings,
            offsets,
            slots,
            self._calendars.periods,
            self._calendars.calendars,
            terms,
            states,
            drafts,
            self._limits,
        )
        for slot, absence in self._absences(settled):
            curfews = self._slots.owners[slot]
            curfews.absences = (*curfews.absences, absence)
        return [self._alert(row) for rows in (settled, disagreed) for row in rows]

    def tail(self, enrolled: Iterable[Curfews], now_ms: int) -> tuple[list[Alert], list[int]]:
        """The alerts that stand at ``now_ms`` by silence or go on, and when time alone will next change something."""
        enrolled = list(enrolled)
        if not enrolled:
            return [], []
        counts = np.array([curfews.count for curfews in enrolled])
        starts = np.cumsum(counts) - counts
        slots = np.arange(counts.sum()) + np.repeat([curfews.first for curfews in enrolled] - starts, counts)
        _, _, senses, disputes = self._slots.rows
        standing, again = self._silence(slots, now_ms)
        alerts = [self._alert(row) for row in standing]
        for i in np.flatnonzero(senses["open"][slots] == 1).tolist():
            slot = int(slots[i])
            row, over_ms = disputes[slot].copy(), int(senses["last_ms"][slot]) + self._limits.vouch_ms
            row["end_ms"] = OPEN_MS if now_ms < over_ms else over_ms
            if now_ms < over_ms:
                again[i] = min(again[i], over_ms)
            alerts.append(self._alert(row))
        alerts += self._atv(enrolled, standing)
        return alerts, np.minimum.reduceat(again, starts).tolist()

    def _silence(self, slots: I64, now_ms: int) -> tuple[Episodes, I64]:
        """What stands of ``slots`` at ``now_ms``, and when each has to be asked again."""
        states, drafts, _, _ = self._slots.rows
        (terms,) = self._slots.terms
        self._calendars.reach(terms["calendar"][slots], now_ms + AHEAD_MS)
        found: tuple[Episodes, I64] = silence(
            slots,
            now_ms,
            AHEAD_MS,
            self._calendars.periods,
            self._calendars.calendars,
            terms,
            states,
            drafts,
            self._limits,
        )
        return found

    def _atv(self, enrolled: Sequence[Curfews], standing: Episodes) -> list[Alert]:
        """The alerts of allowances used up, with the absences settled and those that stand."""
        now: dict[str, list[Absence]] = {}
        for slot, absence in self._absences(standing):
            now.setdefault(self._slots.owners[slot].activation.id, []).append(absence)
        found = []
        for curfews in enrolled:
            activation = curfews.activation
            if curfews.absences or activation.id in now:
                mine = [*curfews.absences, *now.get(activation.id, [])]
                found.append(self._reached(activation, mine))
        return [alert for alert in found if alert is not None]

    def _reached(self, activation: Activation, mine: Sequence[Absence]) -> Alert | None:
        """The alert of an allowance used up, unless what is carried had used it up before."""
        order = activation.order
        allowance_min = allowance_of(order, self._rules.atv_allowance_min)
        if activation.carried:
            if accumulated(over_order([activation.carried]), order.discounts, allowance_min).reached:
                return None
            mine = over_order([activation.carried, mine])
        return atv_alert(activation, accumulated(mine, order.discounts, allowance_min), self._rules)

    def carry(self, curfews: Curfews, activation: Activation) -> None:
        """The same activation, with other absences ``carried``; only what is added up changes."""
        curfews.activation = activation

    def absences(self, curfews: Curfews, now_ms: int) -> tuple[Absence, ...]:
        """The absences of one activation as they stand at ``now_ms``, ascending."""
        standing, _ = self._silence(np.arange(curfews.first, curfews.first + curfews.count), now_ms)
        open_now = [absence for _, absence in self._absences(standing)]
        return tuple(in_turn((*curfews.absences, *open_now)))

    def _absences(self, rows: Episodes) -> Iterator[tuple[int, Absence]]:
        """The absences among episodes, each with its slot."""
        for row in rows:
            if row["kind"] == ABSENCE:
                slot = int(row["watch"])
                yield slot, absence_of(row, self._watch(slot)[0])

    def _watch(self, slot: int) -> tuple[Watch[CurfewCondition], AddressSet]:
        """The curfew of a slot and its addresses, as the order words them."""
        if slot not in self._worded:
            if len(self._worded) >= _WORDINGS:
                self._worded.clear()
            curfews: Curfews = self._slots.owners[slot]
            self._worded |= dict(enumerate(_homes(curfews.activation), curfews.first))
        return self._worded[slot]

    def _alert(self, row: Any) -> Alert:
        return curfew_alert(row, *self._watch(int(row["watch"])), self._rules)


def _homes(activation: Activation) -> Iterator[tuple[Watch[CurfewCondition], AddressSet]]:
    """Every curfew of an activation, at each set of addresses that will do at some time."""
    for watch in watches(activation, CurfewCondition):
        found = {addresses for stretch in watch.stretches for addresses in address_sets(stretch.condition)}
        for addresses in sorted(found):
            yield watch, addresses
