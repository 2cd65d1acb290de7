"""The sober-day calendar: SOBER, NOT_SOBER or UNVERIFIED for every civil day of an alcohol condition, and the rates.

The skin lags 69 min behind: **the readings that speak of a day are those from 69 min after its midnight until 69 min
after the next.** A day is judged once they are in.

- NOT_SOBER: a confirmed drinking event began on it.
- UNVERIFIED, else, if it was not monitored whole, fewer than 90 % of its half-hours have a valid reading, there is none
  for more than 2 h, the strap was open or the sensor obstructed, or a drinking event leaves it in doubt: one that is
  only suspected, may have begun on another day too (skins differ: one within two hours after midnight may have
  begun before it), or was carried over from an earlier day and hides what was drunk.
- SOBER, else.

Alcohol from the surroundings is no drinking, but readings taken in it are not valid. In limit mode the words are
*compliant day* and *not compliant*.
"""

from __future__ import annotations

import itertools
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np

from core.activation import Activation, watches
from core.alerts import civil
from core.conditions import AlcoholCondition
from core.episodes import NEVER_MS, OPEN_MS
from core.readings import I64, EventCode, Events, Readings, Samples
from core.rows import EVENT, EVENT_ROW, SAMPLE, SAMPLE_ROW, Rows, rows_from
from core.rules import DEFAULT_RULES, RuleSet
from core.sober_rates import DayState, Reason, SoberDay, Why
from core.sobriety_sensors import AlcoholWatch, SensorStates, level_of, pieces_of
from core.sobriety_state import CONFIRMED, DRINKING, ENVIRONMENTAL, PROVES, Findings
from core.strap import mask, unworn
from core.timetable import instant

_SLOT_MS = 1_800_000


def sober_days(
    activation: Activation,
    samples: Samples,
    events: Events,
    now_ms: int,
    rules: RuleSet = DEFAULT_RULES,
) -> dict[str, tuple[SoberDay, ...]]:
    """The calendar of each alcohol condition by its id: days that can be judged at ``now_ms``, ascending.

    ``samples`` and ``events`` in any order, repeats included.
    """
    kinds = rows_from(Readings(samples=samples, events=events), rules.precision_floor_m)
    rows, happened = kinds[SAMPLE], kinds[EVENT]
    rows = np.zeros(0, SAMPLE_ROW) if rows is None else rows[rows["t_ms"] <= now_ms + rules.ahead_s * 1000]
    happened = np.zeros(0, EVENT_ROW) if happened is None else happened
    open_spans = unworn(happened, activation.fitted_ms)
    mask(rows, SAMPLE, open_spans)
    checks = happened["t_ms"][happened["code"] == int(EventCode.OFFICER_CHECK)].tolist()
    found: dict[str, dict[date, list[SoberDay]]] = {}
    for watch in watches(activation, AlcoholCondition):
        for day in _Calendar(watch, rows, checks, open_spans, now_ms, rules).days():
            found.setdefault(watch.condition, {}).setdefault(day.day, []).append(day)
    return {name: tuple(_merged(by_day[day]) for day in sorted(by_day)) for name, by_day in found.items()}


def _merged(parts: list[SoberDay]) -> SoberDay:
    """A day whose condition was broken off and taken up again (a suspension): never SOBER."""
    if len(parts) == 1:
        return parts[0]
    drank = any(part.state == DayState.NOT_SOBER for part in parts)
    return SoberDay(
        parts[0].day,
        DayState.NOT_SOBER if drank else DayState.UNVERIFIED,
        parts[-1].mode,
        sum(part.valid for part in parts),
        parts[0].half_hours,
        tuple(reason for part in parts for reason in part.reasons),
    )


class _Calendar:
    """The days of one watch."""

    def __init__(
        self, watch: AlcoholWatch, rows: Rows, checks: list[int], open_spans: I64, now_ms: int, rules: RuleSet
    ) -> None:
        self._watch, self._open, self._rules = watch, open_spans, rules
        self._now_ms = now_ms
        self._zone = ZoneInfo(rules.timezone)
        self._lag_ms, self._gap_ms = rules.tac_lag_s * 1000, rules.tac_gap_s * 1000
        states = SensorStates(rules)
        slot = states.slots.take()
        states.begin(slot)
        pieces = pieces_of(slot, watch, rows, 0, len(rows), checks, rules)
        over, worth = states.run(rows, pieces)
        standing, _ = states.standing(slot, watch.to_ms, now_ms, self._gap_ms)
        findings = [*over, *standing]
        self._drinks = [finding for finding in findings if finding["kind"] == DRINKING]
        self._covers = [finding for finding in findings if finding["kind"] != DRINKING]
        mine = (rows["t_ms"] >= watch.from_ms) & (rows["t_ms"] < watch.to_ms)
        valid = mine & (worth == PROVES)
        for drink in self._drinks:
            if drink["status"] == ENVIRONMENTAL:
                t = rows["t_ms"]
                level = level_of(watch.at(int(drink["start_ms"])).condition, rules)
                valid &= (t < drink["start_ms"]) | (t >= _end(drink, now_ms)) | ~(rows["tac_g_dl"] >= level)
        self._valid_ms: I64 = rows["t_ms"][valid]

    def days(self) -> list[SoberDay]:
        """Those that can be judged, ascending."""
        watch = self._watch
        found: list[SoberDay] = []
        day = self._date(watch.from_ms)
        while True:
            start, end = instant(day, 0, self._zone), instant(day + timedelta(days=1), 0, self._zone)
            if start >= watch.to_ms or self._now_ms < end + self._lag_ms + self._gap_ms:
                return found
            found.append(self._day(day, start, end))
            day += timedelta(days=1)

    def _date(self, t_ms: int) -> date:
        return datetime.fromtimestamp(t_ms // 1000, self._zone).date()

    def _day(self, day: date, start: int, end: int) -> SoberDay:
        drank = [reason for drink in self._drinks for reason in self._drank(drink, day)]
        valid, half_hours = self._half_hours(start, end)
        reasons = [*drank, *self._doubts(day, start, end, valid, half_hours)]
        state = DayState.UNVERIFIED if reasons else DayState.SOBER
        if drank:
            state = DayState.NOT_SOBER
        mode = self._watch.at(max(start, self._watch.from_ms)).condition.mode
        return SoberDay(day, state, mode, valid, half_hours, tuple(reasons))

    def _half_hours(self, start: int, end: int) -> tuple[int, int]:
        """How many half-hours of the day have a valid reading, and how many there are (46 and 50 on two nights)."""
        since = self._valid_ms - self._lag_ms - start
        slots = since[(since >= 0) & (since < end - start)] // _SLOT_MS
        return len(np.unique(slots)), (end - start) // _SLOT_MS

    def _drank(self, drink: Findings, day: date) -> list[Reason]:
        """Did a confirmed event begin on this day, as far as can be told?"""
        began_ms = int(drink["start_ms"]) - self._lag_ms
        if drink["status"] != CONFIRMED or self._date(began_ms) != day or len(self._may_begin(drink)) > 1:
            return []
        until = (
            "" if int(drink["end_ms"]) == OPEN_MS else f" to {civil(int(drink['end_ms']), str(self._zone))}"
        )
        at_skin = f"at the skin from {civil(int(drink['start_ms']), str(self._zone))}{until}"
        return [Reason(Why.DRANK, f"Drinking began about {civil(began_ms, str(self._zone))} ({at_skin}).")]

    def _may_begin(self, drink: Findings) -> tuple[date, ...]:
        """Days on which drinking may have begun: one, unless the readings before the event are missing."""
        start_ms, since_ms = int(drink["start_ms"]), int(drink["since_ms"])
        last = self._date(start_ms - self._lag_ms)
        if start_ms - since_ms <= self._rules.tac_join_s * 1000:
            return (last,)
        if since_ms == NEVER_MS:
            valid = self._valid_ms[self._valid_ms < start_ms]
            since_ms = int(valid[-1]) if len(valid) else self._watch.from_ms
            first = min(self._date(since_ms - self._lag_ms), last - timedelta(days=1))
        else:
            first = self._date(since_ms - self._lag_ms)
        return tuple(first + timedelta(days=i) for i in range((last - first).days + 1))

    def _doubts(self, day: date, start: int, end: int, valid: int, half_hours: int) -> list[Reason]:
        """What keeps the day from being SOBER, drinking on it apart."""
        watch, zone = self._watch, str(self._zone)
        found = []
        if watch.from_ms > start or watch.to_ms < end:
            first, last = max(watch.from_ms, start), min(watch.to_ms, end)
            span = f"from {civil(first, zone)} until {civil(last, zone)}"
            found.append(Reason(Why.PART_OF_DAY, f"Monitored only {span}."))
        if valid < self._rules.sober_share * half_hours:
            found.append(
                Reason(
                    Why.TOO_FEW_READINGS,
                    f"{valid} of {half_hours} half-hours have a valid reading; "
                    f"{self._rules.sober_share:.0%} are needed.",
                )
            )
        found += self._gaps(start, end)
        for span_start, span_end in self._open.tolist():
            if span_start < end + self._lag_ms and span_end > start and span_start < watch.to_ms:
                found.append(
                    Reason(
                        Why.STRAP_OPEN, f"The strap was open from {civil(span_start, zone)} until a check."
                    )
                )
        for cover in self._covers:
            start_ms = int(cover["start_ms"])
            overlaps = start_ms < end + self._lag_ms and _end(cover, self._now_ms) > start
            if cover["status"] == CONFIRMED and overlaps:
                found.append(
                    Reason(Why.OBSTRUCTED, f"The sensor was obstructed from {civil(start_ms, zone)} on.")
                )
        for drink in self._drinks:
            found += self._carried(drink, day, start, end)
        return found

    def _gaps(self, start: int, end: int) -> list[Reason]:
        """Silences of the sensor that touch the readings of this day."""
        watch = self._watch
        first, last = start + self._lag_ms, end + self._lag_ms
        begin, cease = max(watch.from_ms, start), min(watch.to_ms, self._now_ms)
        inside = self._valid_ms[(self._valid_ms > begin - self._gap_ms) & (self._valid_ms <= cease)]
        before = self._valid_ms[self._valid_ms <= begin - self._gap_ms]
        edge = int(before[-1]) if len(before) else watch.from_ms
        marks = [edge, *inside.tolist(), cease]
        return [
            Reason(
                Why.GAP,
                f"No valid reading from {civil(a, str(self._zone))} until {civil(b, str(self._zone))}.",
            )
            for a, b in itertools.pairwise(marks)
            if b - a > self._gap_ms and a < last and b > first
        ]

    def _carried(self, drink: Findings, day: date, start: int, end: int) -> list[Reason]:
        """Doubt that a drinking event leaves about this day."""
        if drink["status"] == ENVIRONMENTAL:
            return []
        days = self._may_begin(drink)
        ended_ms = _end(drink, self._now_ms) - self._lag_ms
        at = civil(int(drink["start_ms"]), str(self._zone))
        if drink["status"] != CONFIRMED:
            if days[0] <= day <= max(days[-1], self._date(ended_ms)):
                return [Reason(Why.SUSPECTED, f"A drinking event is suspected, at the skin from {at}.")]
            return []
        if len(days) > 1 and days[0] <= day <= days[-1]:
            return [Reason(Why.BEGAN_UNSEEN, f"Drinking began unseen before {at}, on this day or another.")]
        earliest_ms = int(drink["start_ms"]) - self._lag_ms - self._rules.tac_lag_more_s * 1000
        if day < days[0] and day == self._date(earliest_ms):
            sentence = f"Drinking, at the skin from {at}, may have begun before midnight."
            return [Reason(Why.BEGAN_UNSEEN, sentence)]
        peak_ms = int(drink["peak_ms"]) - self._lag_ms
        hides = ended_ms >= start + self._rules.tac_carry_s * 1000 or start <= peak_ms < end
        if day > days[-1] and ended_ms >= start and hides:
            sentence = f"A drinking event goes on, at the skin since {at}; it would hide what was drunk."
            return [Reason(Why.CARRIED_OVER, sentence)]
        return []


def _end(finding: Findings, now_ms: int) -> int:
    end_ms = int(finding["end_ms"])
    return now_ms if end_ms == OPEN_MS else end_ms
