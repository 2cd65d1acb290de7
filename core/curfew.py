"""Curfews: absences, and whereabouts unknown, from what was seen of an address and the times of a timetable.

**An absence is raised when two positions at least 10 s apart, no more than 15 min between one and the next and none at
home between them, show the wearer away from the address during the curfew; it begins at the first of them, and ends at
the first of two such positions at home, or with the curfew. A wearer whom such positions show away when the curfew
begins is absent from its beginning**, provided that the last of them still vouches (`RuleSet.vouch_s`).

How long it was is told as two bounds: *at least* the time between positions away that follow each other closely enough
to vouch for the time between them; *at most* the time from the last position at home (or the start of the curfew, or
of monitoring) to the first one at home again.

Whereabouts are unknown while no position vouches. Unknown for 15 min within a curfew opens *whereabouts unknown*, which
is not a violation; time passing is enough. It ends when a position says where the wearer is, or with the curfew.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from core.absences import ABSENCE, WATCHED, silence, watch_curfews
from core.activation import ALWAYS_MS, Activation, Stretch, Watch, watches
from core.alerts import Alert, Severity, alert_id, civil, iso_utc, reading_names
from core.episodes import EPISODE, NEVER_MS, OPEN_MS, Episodes, limits
from core.family import Batch, Part
from core.order import CurfewCondition
from core.presence import Place, place_of, sight
from core.readings import I64
from core.rows import cut
from core.rules import RuleSet
from core.slots import Slots
from core.timetable import CurfewTimetable, columns, joined

ABSENT, WHEREABOUTS = "absent_during_curfew", "whereabouts_unknown"

_DAY_MS = 86_400_000
_AHEAD_MS = 8 * _DAY_MS
"""How far beyond now periods are worked out: a week holds the next period of every timetable."""


class _Expansion:
    """The periods of one timetable in UTC, worked out as far as they were asked for; shared by all who have it."""

    def __init__(self, timetable: CurfewTimetable, timezone: str) -> None:
        self._timetable, self._timezone = timetable, timezone
        self._from_ms = self._to_ms = 0
        self._periods = columns([])

    def between(self, from_ms: int, to_ms: int) -> I64:
        """Whole periods that overlap ``[from_ms, to_ms)``, ascending, shape ``(n, 2)``."""
        if from_ms < self._from_ms or to_ms > self._to_ms:
            if self._from_ms == self._to_ms:
                self._from_ms, self._to_ms = from_ms, to_ms
            # further each time, so that all the working out stays in proportion to the time covered
            more_ms = max(_AHEAD_MS, self._to_ms - self._from_ms)
            if from_ms <= self._from_ms:
                self._from_ms = from_ms - more_ms
            if to_ms >= self._to_ms:
                self._to_ms = to_ms + more_ms
            self._periods = columns(self._timetable.periods(self._from_ms, self._to_ms, self._timezone))
        lo = np.searchsorted(self._periods[:, 1], from_ms, "right")
        hi = np.searchsorted(self._periods[:, 0], to_ms, "left")
        return self._periods[lo:hi]


class _Calendar:
    """The curfew periods of one watch: those of each version of the order while it is in force."""

    def __init__(self, watch: Watch[CurfewCondition], expansions: Sequence[_Expansion]) -> None:
        self._parts = tuple(zip(watch.stretches, expansions, strict=True))
        self._known_to_ms = watch.from_ms
        self._periods = columns([])

    def between(self, from_ms: int, to_ms: int) -> I64:
        """Periods that end after ``from_ms`` and begin at or before ``to_ms``, ascending, shape ``(n, 2)``."""
        if len(self._parts) == 1:
            return _clipped(*self._parts[0], from_ms, to_ms)
        # where versions meet, two periods may be one: work them out from the first version on, and keep them
        if to_ms > self._known_to_ms:
            first_ms = self._parts[0][0].from_ms
            self._known_to_ms = to_ms + max(_AHEAD_MS, self._known_to_ms - first_ms)
            parts = [_clipped(*part, first_ms, self._known_to_ms) for part in self._parts]
            self._periods = columns(joined((int(a), int(b)) for part in parts for a, b in part))
        lo = np.searchsorted(self._periods[:, 1], from_ms, "right")
        hi = np.searchsorted(self._periods[:, 0], to_ms, "right")
        return self._periods[lo:hi]


def _clipped(stretch: Stretch[CurfewCondition], expansion: _Expansion, from_ms: int, to_ms: int) -> I64:
    """The periods of one stretch from ``from_ms`` up to and with ``to_ms``, cut where the stretch begins and ends."""
    from_ms, to_ms = max(from_ms, stretch.from_ms), min(to_ms + 1, stretch.to_ms)
    if from_ms >= to_ms:
        return columns([])
    found: I64 = np.minimum(np.maximum(expansion.between(from_ms, to_ms), stretch.from_ms), stretch.to_ms)
    return found


@dataclass(frozen=True, slots=True)
class _Home:
    """One curfew watched: its row, its calendar, and the address per stretch."""

    slot: int
    calendar: _Calendar
    places: tuple[tuple[int, int, Place], ...]


@dataclass(frozen=True, slots=True)
class Curfews:
    """Where the state of one activation's curfews lies."""

    slots: I64
    homes: tuple[_Home, ...]


class CurfewWatch:
    """The rule family of curfews."""

    def __init__(self, rules: RuleSet) -> None:
        self._rules = rules
        self._limits = limits(rules)
        state = np.zeros(1, WATCHED)
        state["run_last_ms"] = state["home_ms"] = NEVER_MS
        draft = np.zeros(1, EPISODE)
        self._slots = Slots(state, draft)
        self._watches: dict[int, Watch[CurfewCondition]] = {}
        self._expansions: dict[CurfewTimetable, _Expansion] = {}

    def enrol(self, activation: Activation) -> Curfews | None:
        """Take on an activation: its curfews, with nothing known yet; None if it has none."""
        mine = list(watches(activation, CurfewCondition))
        if not mine:
            return None
        slots = self._slots.take(len(mine))
        homes = []
        for slot, watch in zip(slots.tolist(), mine, strict=True):
            self._watches[slot] = watch
            places = tuple(
                (stretch.from_ms, stretch.to_ms, place_of(stretch.condition.address, self._rules))
                for stretch in watch.stretches
            )
            expansions = [self._expansion(stretch.condition.timetable) for stretch in watch.stretches]
            homes.append(_Home(slot, _Calendar(watch, expansions), places))
        curfews = Curfews(slots, tuple(homes))
        self.reset(curfews)
        return curfews

    def dismiss(self, curfews: Curfews) -> None:
        """Let an activation go."""
        for slot in curfews.slots.tolist():
            del self._watches[slot]
        self._slots.give_back(curfews.slots)

    def reset(self, curfews: Curfews) -> None:
        """Back to nothing known."""
        self._slots.clear(curfews.slots)
        self._slots.rows[1]["watch"][curfews.slots] = curfews.slots

    def save(self, curfews: Curfews) -> tuple[Episodes, ...]:
        """What is known now, to come back to."""
        return self._slots.save(curfews.slots)

    def restore(self, curfews: Curfews, saved: tuple[Episodes, ...]) -> None:
        """Go back to what `save` gave."""
        self._slots.restore(curfews.slots, saved)

    def advance(self, batch: Batch, parts: Sequence[Part]) -> list[Alert]:
        """Judge the positions of each part; the alerts that they settle."""
        fixes = batch.positions
        ranges, slots, periods = [], [], []
        for curfews, (lo, hi), *_ in parts:
            for home in curfews.homes:
                seen_ms = int(self._slots.rows[0]["run_last_ms"][home.slot])
                for start, end, place in home.places:
                    first, last = cut(fixes, lo, hi, start, end)
                    if first < last:
                        ranges.append((first, last, place))
                        slots.append(home.slot)
                        periods.append(home.calendar.between(seen_ms, int(fixes["t_ms"][last - 1])))
        if not slots:
            return []
        sightings, offsets = sight(fixes, ranges)
        states, drafts = self._slots.rows
        settled = watch_curfews(
            sightings,
            offsets,
            np.array(slots, np.int64),
            np.concatenate(periods),
            _spans(periods),
            states,
            drafts,
            self._limits,
        )
        return [self._alert(row) for row in settled]

    def tail(self, enrolled: Iterable[Curfews], now_ms: int) -> tuple[list[Alert], list[int]]:
        """The alerts that stand at ``now_ms`` by silence or go on, and when time alone will next change something."""
        enrolled = list(enrolled)
        homes = [home for curfews in enrolled for home in curfews.homes]
        if not homes:
            return [], [ALWAYS_MS] * len(enrolled)
        slots = np.array([home.slot for home in homes], np.int64)
        seen: list[int] = self._slots.rows[0]["run_last_ms"][slots].tolist()
        periods = [
            home.calendar.between(seen_ms, now_ms + _AHEAD_MS)
            for home, seen_ms in zip(homes, seen, strict=True)
        ]
        states, drafts = self._slots.rows
        standing, again = silence(
            slots, now_ms, np.concatenate(periods), _spans(periods), states, drafts, self._limits
        )
        due = dict(zip(slots.tolist(), again.tolist(), strict=True))
        deadlines = [
            min((self._due(home, due[home.slot], now_ms) for home in curfews.homes), default=ALWAYS_MS)
            for curfews in enrolled
        ]
        return [self._alert(row) for row in standing], deadlines

    def _expansion(self, timetable: CurfewTimetable) -> _Expansion:
        if timetable not in self._expansions:
            self._expansions[timetable] = _Expansion(timetable, self._rules.timezone)
        return self._expansions[timetable]

    def _due(self, home: _Home, again_ms: int, now_ms: int) -> int:
        """No period in sight is not the same as no period ever."""
        if again_ms == ALWAYS_MS and self._watches[home.slot].to_ms > now_ms:
            return now_ms + _AHEAD_MS
        return again_ms

    def _alert(self, row: Episodes) -> Alert:
        watch = self._watches[int(row["watch"])]
        period_ms, start_ms, end_ms = int(row["period_ms"]), int(row["start_ms"]), int(row["end_ms"])
        ended = end_ms != OPEN_MS
        stretch = watch.at(start_ms)
        timezone = self._rules.timezone
        figures: dict[str, int | float | str] = {"address": stretch.condition.address.name}
        figures["curfew_start"] = iso_utc(period_ms)
        span = f"from {civil(start_ms, timezone)}" + (f" until {civil(end_ms, timezone)}" if ended else "")
        severity: Severity = "high"
        curfew = f"the curfew that began at {civil(period_ms, timezone)}"
        if row["kind"] == ABSENCE:
            rule = ABSENT
            sentence = f"Away from the {figures['address']} address during {curfew}, {span}"
            figures |= {"positions": int(row["fixes"]), "at_least_min": int(row["known_ms"]) // 60_000}
            sentence += f": at least {figures['at_least_min']} min"
            if ended:
                figures["at_most_min"] = -(-(end_ms - int(row["since_ms"])) // 60_000)
                sentence += f", at most {figures['at_most_min']} min"
            if row["extreme_m"] > 0:
                figures["farthest_m"] = round(float(row["extreme_m"]), 2)
                sentence += f", at the farthest {figures['farthest_m']:.2f} m from it"
        else:
            rule, severity = WHEREABOUTS, "medium"
            sentence = (
                f"Whereabouts unknown during {curfew}, {span}: no position shows whether the wearer is there"
            )
            if ended:
                figures["unknown_min"] = (end_ms - start_ms) // 60_000
        return Alert(
            id=alert_id(watch.activation, watch.condition, rule, period_ms, start_ms),
            activation=watch.activation,
            condition=watch.condition,
            rule=rule,
            state="ended" if ended else "open",
            severity=severity,
            start_ms=start_ms,
            end_ms=end_ms if ended else None,
            order_version=stretch.version,
            rule_set=self._rules.version,
            sentence=f"{sentence}.",
            figures=figures,
            readings=reading_names(
                *(int(row[f"{role}_key"]) for role in ("first", "confirm", "extreme", "last", "end"))
            ),
        )


def _spans(periods: Sequence[I64]) -> I64:
    """Where each of ``periods`` lies when they stand one after the other, shape ``(n, 2)``."""
    ends = np.cumsum([len(some) for some in periods])
    return np.stack([ends - [len(some) for some in periods], ends], axis=1)
