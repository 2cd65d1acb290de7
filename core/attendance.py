"""Attendance: was the wearer at an appointment, long enough, on time?

Judged when the appointment is over: by the first later position, or by time alone 150 s after its end (``vouch_s``:
longer than a reading waits for its upload). *At least* so long was the wearer there: between positions certainly inside
that follow each other within 150 s. *At most* so long: the appointment less the time between positions certainly
outside that follow each other so. Two positions at least 10 s apart, as for zones (`core.geofence`), show an arrival.

- **missed**: no arrival, and at most less than what the order asks for;
- **late**: such positions outside after the grace, and then an arrival;
- **cut short**: an arrival in time, and at most less than what the order asks for;
- **unverified**: none of these, but what is known falls short by more than 15 min (``unknown_after_s``). Unknown is
  never absence: this asks a person, it accuses nobody.

An appointment that was not watched from beginning to end (fitting, removal, suspension) is not judged.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from core.activation import ALWAYS_MS, Activation, Watch, watches
from core.alerts import Alert, Figures, Severity, about_watch, civil, of_tag, raise_alert
from core.attending import SEEN, attend, overdue
from core.conditions import AttendanceCondition
from core.episodes import NEVER_MS, Episodes
from core.family import Batch, Part
from core.geometry import ZonePool
from core.readings import I64
from core.rows import cut
from core.rules import RuleSet
from core.slots import Slots
from core.visits import zone_limits
from core.zone_calendar import AHEAD_MS, Calendar

MISSED, LATE, SHORT, UNVERIFIED = (
    "attendance_missed",
    "attendance_late",
    "attendance_cut_short",
    "attendance_unverified",
)
_SEVERITIES: dict[str, Severity] = {MISSED: "high", LATE: "medium", SHORT: "medium", UNVERIFIED: "medium"}


@dataclass(slots=True)
class _Appointments:
    """One attendance condition watched."""

    watch: Watch[AttendanceCondition]
    calendar: Calendar
    zones: tuple[int, ...]
    windows: I64

    def expand(self, to_ms: int) -> None:
        """Work appointments out as far as ``to_ms`` needs them."""
        if len(self.windows) and self.calendar.known_to_ms > to_ms + AHEAD_MS:
            return
        self.calendar.extend(to_ms + AHEAD_MS)
        rows = [
            (start, end, self.watch.at(start).condition.grace_min * 60_000)
            for start, end in self.calendar.whole_periods()
        ]
        self.windows = np.array(rows, np.int64).reshape(-1, 3)


@dataclass(frozen=True, slots=True)
class Attending:
    """Where the state of one activation's appointments lies."""

    first: int
    kept: tuple[_Appointments, ...]


class Attendance:
    """The rule family of appointments."""

    def __init__(self, rules: RuleSet) -> None:
        self._rules, self._limits = rules, zone_limits(rules)
        state = np.zeros(1, SEEN)
        state["last_ms"] = state["arrived_ms"] = state["out_ms"] = NEVER_MS
        self._slots, self._zones = Slots(state), ZonePool()

    def enrol(self, activation: Activation) -> Attending | None:
        """Take on an activation: its appointments, with nothing known yet; None if it has none."""
        kept = []
        for watch in watches(activation, AttendanceCondition):
            parts = [(s.from_ms, s.to_ms, s.condition.schedule) for s in watch.stretches]
            zones = tuple(self._zones.add(s.condition.zone) for s in watch.stretches)
            calendar = Calendar(parts, self._rules.timezone)
            kept.append(_Appointments(watch, calendar, zones, np.zeros((0, 3), np.int64)))
        return Attending(self._slots.take(len(kept)), tuple(kept)) if kept else None

    def dismiss(self, attending: Attending) -> None:
        """Let an activation go."""
        for one in attending.kept:
            for stretch in one.watch.stretches:
                self._zones.drop(stretch.condition.zone)
        self._slots.give_back(attending.first, len(attending.kept))

    def reset(self, attending: Attending) -> None:
        """Back to nothing known."""
        self._slots.clear(attending.first, len(attending.kept))

    def save(self, attending: Attending) -> bytes:
        """What is known now, to come back to."""
        return self._slots.save(attending.first, len(attending.kept))

    def restore(self, attending: Attending, saved: bytes) -> None:
        """Go back to what `save` gave."""
        self._slots.restore(attending.first, len(attending.kept), saved)

    def advance(self, batch: Batch, parts: Sequence[Part]) -> list[Alert]:
        """Judge the positions of each part; the alerts that they settle."""
        fixes, alerts, table = batch.positions, [], self._zones.table()
        (states,) = self._slots.rows
        for attending, (lo, hi), *_ in parts:
            if lo == hi:
                continue
            for slot, one in enumerate(attending.kept, attending.first):
                one.expand(int(fixes["t_ms"][hi - 1]))
                for stretch, zone in zip(one.watch.stretches, one.zones, strict=True):
                    first, last = cut(fixes, lo, hi, stretch.from_ms, stretch.to_ms)
                    if first < last:
                        told = attend(
                            fixes, first, last, table, zone, one.windows, states[slot], self._limits
                        )
                        alerts += [alert for row in told for alert in self._judged(one.watch, row)]
        return alerts

    def tail(self, enrolled: Iterable[Attending], now_ms: int) -> tuple[list[Alert], list[int]]:
        """The alerts that stand at ``now_ms`` by silence, and when time alone will next change something."""
        alerts: list[Alert] = []
        deadlines = []
        (states,) = self._slots.rows
        wait_ms = self._rules.vouch_s * 1000
        for attending in enrolled:
            due_ms = ALWAYS_MS
            for slot, one in enumerate(attending.kept, attending.first):
                one.expand(now_ms)
                told, next_ms = overdue(one.windows, states[slot : slot + 1].copy()[0], now_ms, wait_ms)
                alerts += [alert for row in told for alert in self._judged(one.watch, row)]
                if next_ms != NEVER_MS:
                    due_ms = min(due_ms, next_ms + wait_ms)
                if one.calendar.known_to_ms < min(one.watch.to_ms, ALWAYS_MS):
                    due_ms = min(due_ms, now_ms + AHEAD_MS)
            deadlines.append(due_ms)
        return alerts, deadlines

    def _judged(self, watch: Watch[AttendanceCondition], row: Episodes) -> list[Alert]:
        """The alert that an appointment makes, if any."""
        condition = watch.at(int(row["start_ms"])).condition
        start_ms, end_ms = int(row["start_ms"]), int(row["end_ms"])
        whole_ms = end_ms - start_ms
        asked_ms = whole_ms - condition.grace_min * 60_000
        if condition.at_least_min is not None:
            asked_ms = min(condition.at_least_min * 60_000, whole_ms)
        at_least_ms, at_most_ms = int(row["inside_ms"]), whole_ms - int(row["away_ms"])
        arrived_ms = int(row["arrived_ms"])
        arrived = arrived_ms != NEVER_MS
        if not arrived and at_most_ms < asked_ms:
            rule = MISSED
        elif arrived and row["late"]:
            rule = LATE
        elif at_most_ms < asked_ms:
            rule = SHORT
        elif at_least_ms + self._rules.unknown_after_s * 1000 < asked_ms:
            rule = UNVERIFIED
        else:
            return []
        figures: Figures = {
            "place": condition.name,
            "asked_min": asked_ms // 60_000,
            "at_least_min": at_least_ms // 60_000,
            "at_most_min": -(-at_most_ms // 60_000),
            "positions": int(row["fixes"]),
        }
        timezone = self._rules.timezone
        what = {
            MISSED: "missed",
            LATE: "attended late",
            SHORT: "cut short",
            UNVERIFIED: "neither shown to be kept nor to be missed",
        }[rule]
        sentence = (
            f"Appointment “{condition.name}” from {civil(start_ms, timezone)} until {civil(end_ms, timezone)} {what}: "
            f"there for at least {figures['at_least_min']} min, at most {figures['at_most_min']} min, of "
            f"{figures['asked_min']} min asked for"
        )
        if arrived and row["late"]:
            figures["late_at_least_min"] = (int(row["out_ms"]) - start_ms) // 60_000
            figures["late_at_most_min"] = -(-(arrived_ms - start_ms) // 60_000)
            sentence += (
                f"; late by at least {figures['late_at_least_min']} min, "
                f"at most {figures['late_at_most_min']} min"
            )
        return [
            raise_alert(
                about_watch(watch, start_ms, self._rules.version),
                rule,
                _SEVERITIES[rule],
                start_ms,
                end_ms,
                f"{sentence}.",
                figures,
                of_tag("position", *(int(row[f"{role}_key"]) for role in ("first", "last", "out"))),
                (start_ms,),
            )
        ]
