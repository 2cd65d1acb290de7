"""How good the rules are: what was told of many lives, held against what truly happened in them.

Pure: lives in, figures out. What is counted, and how, stands in docs/score.md; in short

- **an event** is a true happening of a size that the rules are to find (`is_event`); a smaller one is *minor*: to find
  it is neither a miss nor false. One of which less than that could be known (`sim.truth.hidden`) is *hidden*: no miss,
  but it has to lie inside an alert that says that the whereabouts are unknown;
- **found**: an alert of its rule, that still stands at the end, touches it; *confirmed*, where it is sure: drinking
  can be suspected and stay so, and then counts as found as it counts as false;
- **false**: any alert that a person would open, also one that was withdrawn later, that touches no happening of its
  family, minor ones included;
- **delay**: from the true start, or from when the tag is within reach of a network again, to the gateway's judgement
  that told it first.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any, NamedTuple

import numpy as np

from core.alerts import Alert, instant_ms
from sim.in_force import both, day_of, length_ms, less, union
from sim.life import Span
from sim.truth import DayTruth, Family, Happening

FEWEST = 200
"""A figure on fewer events is not measured."""
NOT_MEASURED = "not measured"
VISIT_MS, VISIT_DEEP_M = 180_000, 30.0
ABSENCE_MS = 300_000
PEAK_G_DL = 0.03
OVER_LIMIT_G_DL = 0.01
"""So far above an order's own level a peak is an event in limit mode."""
MARGIN_MS = {
    Family.EXCLUSION: 60_000,
    Family.INCLUSION: 60_000,
    Family.CURFEW: 60_000,
    Family.DRINKING: 1_800_000,
    Family.TAMPER: 60_000,
}
"""An alert this long before or after a happening still touches it: one sampling interval of its sensor."""
SETTLED_MS = {Family.DRINKING: 3 * 3_600_000}
CONFIRMED = "confirmed"
_ACCUSES = (None, CONFIRMED, "suspected")
"""What alerts about alcohol say of themselves; others say nothing. What came from the surroundings finds nobody."""
SLOW_S = 240.0
"""What takes longer than the budget of zones, curfews and straps is told by itself. Drinking takes hours."""
UNSETTLED_MS = 600_000
"""What begins so shortly before a life ends (time without a network apart), or drinking that is not over so long
before, can not be told of in time: it counts as minor."""
SIGN_MS = 125 * 60_000
"""Signs of jamming and forging stand for so long after the last report (docs/rules.md)."""

RULES: dict[str, Family] = {
    "in_exclusion_zone": Family.EXCLUSION,
    "inferred_pass": Family.EXCLUSION,
    "near_exclusion_zone": Family.EXCLUSION,
    "outside_inclusion_zone": Family.INCLUSION,
    "outside_restriction_zone": Family.INCLUSION,
    "near_edge_of_inclusion_zone": Family.INCLUSION,
    "near_edge_of_restriction_zone": Family.INCLUSION,
    "absent_during_curfew": Family.CURFEW,
    "atv_reached": Family.CURFEW,
    "drinking_event": Family.DRINKING,
    "strap_tamper": Family.TAMPER,
    "case_tamper": Family.TAMPER,
    "sensor_obstructed": Family.TAMPER,
    "home_unit_moved": Family.TAMPER,
    "home_unit_case_open": Family.TAMPER,
    "jamming": Family.TAMPER,
    "spoofing": Family.TAMPER,
    "position_jumps": Family.TAMPER,
    "forged_beacons": Family.TAMPER,
}
"""The rules that say that a condition was not kept, or that somebody meddled. All others ask a question."""
_FINDS: dict[Family, dict[str, tuple[str, ...]]] = {
    Family.EXCLUSION: {"": ("in_exclusion_zone",)},
    Family.INCLUSION: {"": ("outside_inclusion_zone", "outside_restriction_zone")},
    Family.CURFEW: {"": ("absent_during_curfew",)},
    Family.DRINKING: {"": ("drinking_event",)},
    Family.TAMPER: {"strap": ("strap_tamper",), "case": ("case_tamper",)},
}
"""By which rules a happening of a family and note is found; of tamper only strap and case are events."""
_RINGS = ("near_exclusion_zone", "near_edge_of_inclusion_zone", "near_edge_of_restriction_zone")
UNKNOWN = "whereabouts_unknown"


class Told(NamedTuple):
    """An alert as it was told last before it was withdrawn, if it was, and when it was told first (gateway time)."""

    alert: Alert
    told_ms: int
    withdrawn: bool = False


@dataclass(frozen=True, slots=True)
class Case:
    """One life, what truly happened in it, and what was told of it."""

    name: str
    start_ms: int
    end_ms: int
    strata: frozenset[str]
    happened: tuple[Happening, ...]
    hidden: Mapping[Family, Sequence[Span]]
    no_link: Sequence[Span]
    """When no device of the wearer could send anything."""
    told: tuple[Told, ...]
    days: Mapping[date, DayTruth] = field(default_factory=dict)
    calendar: Mapping[date, str] = field(default_factory=dict)
    """What the sober-day calendar says of each day that it judges."""
    drinks_ms: tuple[int, ...] = ()
    """When each drink was begun."""

    @property
    def wearer_days(self) -> float:
        """How long it was, in days."""
        return (self.end_ms - self.start_ms) / 86_400_000


def is_event(one: Happening) -> bool:
    """Whether a happening is one that the rules are to find."""
    if one.note == "ring":
        return False
    match one.family:
        case Family.EXCLUSION:
            return one.took_ms >= VISIT_MS and one.depth_m >= VISIT_DEEP_M
        case Family.INCLUSION:
            return one.took_ms >= ABSENCE_MS and one.depth_m >= VISIT_DEEP_M
        case Family.CURFEW:
            return one.took_ms >= ABSENCE_MS
        case Family.DRINKING:
            least = PEAK_G_DL if not one.level_g_dl else max(PEAK_G_DL, one.level_g_dl + OVER_LIMIT_G_DL)
            return one.peak_g_dl >= least
    return one.note in _FINDS[Family.TAMPER]


def is_hidden(case: Case, one: Happening) -> bool:
    """Whether less of an event could be known than would make it one."""
    if one.family == Family.TAMPER:
        return any(span.start_ms <= one.start_ms and one.end_ms <= span.end_ms for span in _hidden(case, one))
    seen = less([(one.start_ms, one.end_ms)], _hidden(case, one))
    if one.family == Family.DRINKING:
        return length_ms(seen) < one.took_ms / 2
    longest = max((span.end_ms - span.start_ms for span in seen), default=0)
    return longest < (VISIT_MS if one.family == Family.EXCLUSION else ABSENCE_MS)


def _hidden(case: Case, one: Happening) -> Sequence[Span]:
    return case.hidden.get(one.family, ())


def touches(one: Happening, told: Told, life_end_ms: int) -> bool:
    """Whether an alert is of a happening's family and condition and touches it."""
    alert = told.alert
    if RULES.get(alert.rule) != one.family or (one.condition and alert.condition != one.condition):
        return False
    if (alert.rule in _RINGS) != (one.note == "ring") and alert.rule in _RINGS:
        return False
    if one.family == Family.TAMPER and not _means(alert.rule, one.note):
        return False
    margin_ms = MARGIN_MS[one.family]
    end_ms = life_end_ms if alert.end_ms is None else alert.end_ms
    after_ms = SIGN_MS if one.note in ("jamming", "forgery") else 0
    return alert.start_ms <= one.end_ms + margin_ms + after_ms and end_ms >= one.start_ms - margin_ms


def _means(rule: str, note: str) -> bool:
    """Whether a rule about tamper is about this kind of it. A strap off the ankle also shows at the alcohol sensor."""
    kinds: dict[str, tuple[str, ...]] = {
        "strap": ("strap_tamper", "sensor_obstructed"),
        "case": ("case_tamper",),
        "sensor": ("sensor_obstructed",),
        "unit": ("home_unit_moved", "home_unit_case_open"),
        "jamming": ("jamming", "position_jumps"),
        "forgery": ("spoofing", "position_jumps", "jamming"),
    }
    return rule in kinds.get(note, ())


# ---------------------------------------------------------------------------------------------------- one family


@dataclass(slots=True)
class Tally:
    """What is counted of one family over many lives."""

    events: int = 0
    found: int = 0
    confirmed: int = 0
    """Of those found: by an alert that is sure of it. Only drinking can be suspected and stay so."""
    alerts: int = 0
    false: int = 0
    hidden: int = 0
    minor: int = 0
    delays_s: list[float] = field(default_factory=list)
    late_s: list[float] = field(default_factory=list)
    """Delays from the true start, whether there was a network or not."""
    slow: list[tuple[str, Happening, float]] = field(default_factory=list)
    missed: list[tuple[str, Happening]] = field(default_factory=list)
    wrong: list[tuple[str, Told]] = field(default_factory=list)


def tally(cases: Iterable[Case], family: Family) -> Tally:
    """Count one family."""
    total = Tally()
    for case in cases:
        mine = [one for one in case.happened if one.family == family]
        told = [one for one in case.told if RULES.get(one.alert.rule) == family]
        total.alerts += len(told)
        for one in told:
            if not any(touches(happening, one, case.end_ms) for happening in mine):
                total.false += 1
                total.wrong.append((case.name, one))
        for happening in mine:
            if not is_event(happening) or _unsettled(case, happening):
                total.minor += happening.note != "ring"
            elif is_hidden(case, happening):
                total.hidden += 1
            else:
                total.events += 1
                _find(total, case, happening, told)
    return total


def _unsettled(case: Case, one: Happening) -> bool:
    if one.family in SETTLED_MS:
        return one.end_ms > case.end_ms - SETTLED_MS[one.family]
    linked = less([(one.start_ms, case.end_ms)], case.no_link)
    return length_ms(linked) < UNSETTLED_MS


class Delay(NamedTuple):
    """From the true start, or from when there is a network again, to the judgement that told the alert first."""

    since_ms: int
    told_ms: int
    confirmed: bool
    """Whether an alert that finds it is sure of it: drinking may be suspected alone."""


def counts(case: Case, one: Happening) -> bool:
    """Whether a happening is an event that the rules have to find."""
    return is_event(one) and not _unsettled(case, one) and not is_hidden(case, one)


def delay(case: Case, happening: Happening, told: Sequence[Told]) -> Delay | None:
    """How long an event took to be told; None where no alert that stands finds it."""
    rules = _FINDS[happening.family].get(happening.note) or _FINDS[happening.family][""]
    finding = [
        one
        for one in told
        if one.alert.rule in rules
        and not one.withdrawn
        and one.alert.figures.get("status") in _ACCUSES
        and touches(happening, one, case.end_ms)
    ]
    if not finding:
        return None
    told_ms = min(one.told_ms for one in finding)
    since_ms = happening.start_ms
    for span in case.no_link:
        if span.start_ms < told_ms and span.end_ms > happening.start_ms:
            since_ms = max(since_ms, min(span.end_ms, told_ms))
    sure = any(one.alert.figures.get("status", CONFIRMED) == CONFIRMED for one in finding)
    return Delay(since_ms, told_ms, sure)


def _find(total: Tally, case: Case, happening: Happening, told: Sequence[Told]) -> None:
    found = delay(case, happening, told)
    if found is None:
        total.missed.append((case.name, happening))
        return
    total.found += 1
    total.confirmed += found.confirmed
    took_s = (found.told_ms - found.since_ms) / 1000
    total.delays_s.append(took_s)
    if took_s > SLOW_S and happening.family != Family.DRINKING:
        total.slow.append((case.name, happening, took_s))
    total.late_s.append((found.told_ms - happening.start_ms) / 1000)


def figures(total: Tally, wearer_days: float) -> dict[str, Any]:
    """A family's figures as they are printed."""
    enough = total.events >= FEWEST
    right = total.alerts - total.false
    return {
        "events": total.events,
        "recall": _measured(enough, lambda: total.found / total.events, 4),
        "recall_confirmed": _measured(enough, lambda: total.confirmed / total.events, 4),
        "precision": _measured(enough and total.alerts > 0, lambda: right / total.alerts, 4),
        "false_per_1000_wearer_days": _measured(
            wearer_days >= FEWEST, lambda: 1000 * total.false / wearer_days, 2
        ),
        "delay_median_s": _measured(enough, lambda: quantile(total.delays_s, 0.5), 1),
        "delay_p95_s": _measured(enough, lambda: quantile(total.delays_s, 0.95), 1),
        "delay_p95_without_coverage_too_s": _measured(enough, lambda: quantile(total.late_s, 0.95), 1),
        "missed": len(total.missed),
        "false": total.false,
        "alerts": total.alerts,
        "false_by_rule": dict(sorted(Counter(_said(told) for _, told in total.wrong).items())),
        "minor": total.minor,
        "hidden": total.hidden,
    }


def _said(told: Told) -> str:
    """The rule of an alert, and what it says more closely, where it does."""
    status = told.alert.figures.get("status")
    return told.alert.rule + (f" {status}" if status else "") + (" withdrawn" if told.withdrawn else "")


def _measured(enough: bool, figure: Callable[[], float], digits: int) -> float | str:
    return round(float(figure()), digits) if enough else NOT_MEASURED


def quantile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least ``share`` of all do not exceed."""
    return float(np.quantile(np.array(values), share, method="inverted_cdf")) if values else float("nan")


# ------------------------------------------------------------------------------------------------ whereabouts


def unknown(cases: Sequence[Case]) -> dict[str, Any]:
    """The share of time in which nothing could be known, and whether what happened there lies inside an alert.

    An alert of whereabouts unknown reaches back to the last position or contact that its sentence names. *Outright* is
    told what an alert accuses of although so little of it could be known.
    """
    whole = sum(case.end_ms - case.start_ms for case in cases)
    found: dict[str, Any] = {}
    for family in (Family.EXCLUSION, Family.INCLUSION, Family.CURFEW):
        dark = sum(length_ms(union(case.hidden.get(family, ()))) for case in cases)
        events = inside = outright = 0
        bare: list[tuple[str, Happening]] = []
        for case in cases:
            spans = [_reach(told, case.end_ms) for told in case.told if told.alert.rule == UNKNOWN]
            for one in case.happened:
                if one.family == family and is_event(one) and is_hidden(case, one):
                    events += 1
                    hidden = both([(one.start_ms, one.end_ms)], case.hidden[family])
                    left = less(hidden, union(spans))
                    covered = length_ms(left) == 0
                    found_out = not covered and delay(case, one, case.told) is not None
                    inside += covered
                    outright += found_out
                    if not covered and not found_out:
                        bare.append((case.name, one))
        found[str(family)] = {
            "share": round(dark / whole, 4) if whole else 0.0,
            "violations": events,
            "inside_whereabouts_unknown": inside,
            "told_outright": outright,
            "not_inside": [_named(name, one) for name, one in bare],
        }
    return found


def _reach(told: Told, life_end_ms: int) -> Span:
    alert = told.alert
    since_ms = alert.start_ms
    for figure in ("last_position", "last_heard"):
        if figure in alert.figures:
            since_ms = min(since_ms, instant_ms(alert.figures[figure]))
    if "curfew_start" in alert.figures:
        # a curfew's alert begins when the last reading vouches no longer (150 s)
        since_ms -= 150_000
    return Span(since_ms, life_end_ms if alert.end_ms is None else alert.end_ms)


def _named(name: str, one: Happening) -> dict[str, Any]:
    size = {"depth_m": one.depth_m, "peak_g_dl": one.peak_g_dl}
    return {
        "wearer": name,
        "condition": one.condition,
        "start": _utc(one.start_ms),
        "minutes": round(one.took_ms / 60_000, 1),
        **{figure: round(value, 3) for figure, value in size.items() if value},
    }


def _utc(at_ms: int) -> str:
    return f"{datetime.fromtimestamp(at_ms // 1000, UTC):%Y-%m-%dT%H:%M:%SZ}"


def wrong(totals: Mapping[Family, Tally]) -> dict[str, Any]:
    """Each miss, each late and each false alert by itself, so that whoever reads the figures can look into them."""
    return {
        str(family): {
            "missed": [_named(name, one) for name, one in total.missed],
            "slow": [{**_named(name, one), "delay_s": round(took_s)} for name, one, took_s in total.slow],
            "false": [
                {"wearer": name, "rule": _said(told), "start": _utc(told.alert.start_ms)}
                for name, told in total.wrong
            ],
        }
        for family, total in totals.items()
    }


def questions(cases: Sequence[Case]) -> dict[str, Any]:
    """Alerts that ask rather than accuse and stand at the end, by rule: how many in 1,000 wearer-days."""
    wearer_days = sum(case.wearer_days for case in cases)
    counts = Counter(
        told.alert.rule
        for case in cases
        for told in case.told
        if told.alert.rule not in RULES and not told.withdrawn
    )
    return {rule: round(1000 * count / wearer_days, 1) for rule, count in sorted(counts.items())}


# ------------------------------------------------------------------------------------------------- sober days


def sober_days(cases: Iterable[Case]) -> dict[str, Any]:
    """The calendar against the truth. A day whose drinks are of no event, all too small for one, is counted apart.

    What could not be known is right as UNVERIFIED, and as SOBER where nobody drank.
    """
    confusion: dict[str, Counter[str]] = {}
    right = total = 0
    unsafe: list[dict[str, str]] = []
    for case in cases:
        events = [one for one in case.happened if one.family == Family.DRINKING and is_event(one)]
        for day, state in sorted(case.calendar.items()):
            truth = case.days.get(day)
            if truth is None:
                continue
            begun = [at_ms for at_ms in case.drinks_ms if day_of(at_ms) == day]
            small = truth == DayTruth.NOT_SOBER and not any(
                one.start_ms <= at_ms < one.end_ms for one in events for at_ms in begun
            )
            kind = "minor" if small else str(truth)
            confusion.setdefault(kind, Counter())[state] += 1
            if small:
                continue
            total += 1
            good = {
                DayTruth.SOBER: ("SOBER",),
                DayTruth.NOT_SOBER: ("NOT_SOBER",),
                DayTruth.HIDDEN: ("UNVERIFIED", "SOBER"),
            }[truth]
            right += state in good
            if state not in good and state != "UNVERIFIED":
                unsafe.append({"wearer": case.name, "day": str(day), "said": state, "was": str(truth)})
    return {
        "accuracy": _measured(total >= FEWEST, lambda: right / total, 4),
        "days": total,
        "errors": total - right,
        "errors_not_unverified": len(unsafe),
        "not_unverified": unsafe,
        "confusion": {kind: dict(sorted(row.items())) for kind, row in sorted(confusion.items())},
    }


# ------------------------------------------------------------------------------------------------------ report


def report(cases: Sequence[Case]) -> dict[str, Any]:
    """All figures of many lives but those of the peers."""
    wearer_days = sum(case.wearer_days for case in cases)
    strata = sorted({stratum for case in cases for stratum in case.strata})
    totals = {family: tally(cases, family) for family in Family}
    return {
        "wearers": len(cases),
        "wearer_days": round(wearer_days, 3),
        "rules": _rules(totals, wearer_days),
        "sober_day": sober_days(cases),
        "unknown": unknown(cases),
        "questions_per_1000_wearer_days": questions(cases),
        "wrong": wrong(totals),
        "strata": {
            name: {
                "wearers": len(mine),
                "rules": _rules(
                    {family: tally(mine, family) for family in Family}, sum(case.wearer_days for case in mine)
                ),
            }
            for name in strata
            for mine in [[case for case in cases if name in case.strata]]
        },
    }


def _rules(totals: Mapping[Family, Tally], wearer_days: float) -> dict[str, Any]:
    return {str(family): figures(total, wearer_days) for family, total in totals.items()}
