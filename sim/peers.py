"""Simple rules, as others use them, on the same positions as ours: what uncertainty, confirmation and memory are worth.

| rule | a zone is entered, or an address left, when |
|---|---|
| `any_point` | one position lies there, whatever its precision |
| `accuracy_counts_as_inside` | its circle of precision touches the zone; no part of it touches the address |
| `five_in_a_row` | the fifth consecutive position lies there |
| `two_of_three` | two of the last three do |
| `only_transitions` | (curfew) one lies outside after one inside: who is out when it begins raises nothing |

Each alert lasts from the position that raised it to the first that no longer lies there. They have no other notion: a
strap that is open, a jump or a forged position means nothing to them. Only zones and addresses of wearers of GPS tags
are judged, so "tagwatch" stands beside them for the same wearers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from core.activation import Activation
from core.alerts import Alert
from core.readings import F64, I64, Positions
from sim.depths import area_of, circle
from sim.in_force import authorised, both, held_times, less, scheduled, union, weekly
from sim.judged import Lived
from sim.life import Life, Span, spans_hold
from sim.score import Case, Told, figures, tally
from sim.truth import Family
from sim.way import Bool

Runs = Callable[[Bool, Bool, Bool], Bool]


def any_point(there: Bool, touches: Bool, fresh: Bool) -> Bool:
    """Each position for itself."""
    return there


def accuracy_counts_as_inside(there: Bool, touches: Bool, fresh: Bool) -> Bool:
    """Each position with its circle."""
    return touches


def five_in_a_row(there: Bool, touches: Bool, fresh: Bool) -> Bool:
    """From the fifth on."""
    at = np.arange(len(there))
    broken = np.maximum.accumulate(np.where(there & ~fresh, -1, np.where(there, at - 1, at)))
    since = at - broken
    return there & (since >= 5)


def two_of_three(there: Bool, touches: Bool, fresh: Bool) -> Bool:
    """Two of the last three."""
    count = there.astype(np.int64)
    for back in (1, 2):
        count[back:] += there[: len(there) - back]
    return count >= 2


def only_transitions(there: Bool, touches: Bool, fresh: Bool) -> Bool:
    """Not before a position within the same curfew has been elsewhere."""
    at = np.arange(len(there))
    begun = np.maximum.accumulate(np.where(fresh, at, 0))
    inside = np.maximum.accumulate(np.where(~there, at, -1))
    return there & (inside >= begun)


RULES: dict[str, tuple[Runs, frozenset[Family]]] = {
    "any_point": (any_point, frozenset({Family.EXCLUSION, Family.CURFEW})),
    "accuracy_counts_as_inside": (
        accuracy_counts_as_inside,
        frozenset({Family.EXCLUSION, Family.CURFEW}),
    ),
    "five_in_a_row": (five_in_a_row, frozenset({Family.EXCLUSION, Family.CURFEW})),
    "two_of_three": (two_of_three, frozenset({Family.EXCLUSION, Family.CURFEW})),
    "only_transitions": (only_transitions, frozenset({Family.CURFEW})),
}


OURS = "tagwatch"


def told(lives: Sequence[Lived], cases: Sequence[Case]) -> dict[str, list[Case]]:
    """What each simple rule, and ours, would have told of the wearers of GPS tags."""
    mine = [(one, case) for one, case in zip(lives, cases, strict=True) if "gps_tag" in one.worn]
    found = {OURS: [_of_gps(case, one.worn) for one, case in mine]}
    looked = [list(_looks(one)) for one, _ in mine]
    for name, (rule, families) in RULES.items():
        found[name] = [
            replace(case, told=tuple(_told(case, some, rule, families)))
            for (_, case), some in zip(mine, looked, strict=True)
        ]
    return found


def shown(name: str, cases: Sequence[Case]) -> dict[str, Any]:
    """Recall, false alerts and delay of a rule in the families that it judges."""
    families = RULES[name][1] if name in RULES else frozenset(_BOTH)
    wearer_days = sum(case.wearer_days for case in cases)
    return {
        str(family): {
            figure: value
            for figure, value in figures(tally(cases, family), wearer_days).items()
            if figure in _SHOWN
        }
        for family in _BOTH
        if family in families
    }


_BOTH = (Family.EXCLUSION, Family.CURFEW)
_SHOWN = ("events", "recall", "precision", "false_per_1000_wearer_days", "delay_median_s", "delay_p95_s")


def _of_gps(case: Case, worn: Mapping[str, Activation]) -> Case:
    """What the GPS tag alone told."""
    name = worn["gps_tag"].id
    return replace(case, told=tuple(one for one in case.told if one.alert.activation == name))


class _Look:
    """The positions of one tag as to one condition, within the times at which it holds."""

    def __init__(
        self, condition: str, family: Family, held: list[Span], fixes: Positions, arrived_ms: I64
    ) -> None:
        self.condition, self.family = condition, family
        mine = np.flatnonzero(spans_hold(held, fixes.t_ms))
        self.t_ms, self.arrived_ms = fixes.t_ms[mine], arrived_ms[mine]
        period = np.searchsorted([span.start_ms for span in held], self.t_ms, "right")
        self.fresh: Bool = np.diff(period, prepend=-1) != 0
        """The first of a period."""
        self.mine = mine
        self.there: Bool = np.zeros(len(mine), np.bool_)
        self.touches = self.there

    def judge(self, depth_m: F64, precision_m: F64, inside: bool) -> None:
        depth_m, precision_m = depth_m[self.mine], precision_m[self.mine]
        self.there = depth_m > 0 if inside else depth_m < 0
        self.touches = depth_m > -precision_m if inside else depth_m < -precision_m


def _looks(one: Lived) -> Iterator[_Look]:
    life, sent = one.life, one.sent["gps_tag"]
    fixes, arrived_ms = sent.readings.positions, sent.arrived_ms[0]
    order = np.argsort(fixes.t_ms, kind="stable")
    fixes, arrived_ms = fixes.take(order), arrived_ms[order]
    for condition in life.order["conditions"]:
        held = held_times(life.order, condition, life.start_ms, life.end_ms)
        if condition["type"] == "exclusion":
            held = both(held, scheduled(condition.get("schedule"), life.start_ms, life.end_ms))
            look = _Look(condition["id"], Family.EXCLUSION, held, fixes, arrived_ms)
            look.judge(area_of(condition["zone"]).depth_m(fixes.lat, fixes.lon), fixes.precision_m, True)
            yield look
        elif condition["type"] == "curfew":
            held = both(held, _curfews(life, condition))
            look = _Look(condition["id"], Family.CURFEW, held, fixes, arrived_ms)
            depths = [
                circle(
                    place["address"]["latitude"], place["address"]["longitude"], place["address"]["radius_m"]
                ).depth_m(fixes.lat, fixes.lon)
                for place in (condition, *condition.get("also", ()))
            ]
            look.judge(np.maximum.reduce(depths), fixes.precision_m, False)
            yield look


def _curfews(life: Life, condition: Mapping[str, Any]) -> list[Span]:
    places = (condition, *condition.get("also", ()))
    times = [span for place in places for span in weekly(place["timetable"], life.start_ms, life.end_ms)]
    return less(union(times), authorised(life.order, condition["id"]))


_RULE = {Family.EXCLUSION: "in_exclusion_zone", Family.CURFEW: "absent_during_curfew"}


def _told(case: Case, looks: Sequence[_Look], rule: Runs, families: frozenset[Family]) -> Iterator[Told]:
    for look in looks:
        if look.family not in families or not len(look.t_ms):
            continue
        on = rule(look.there, look.touches, look.fresh)
        before = np.append(False, on[:-1]) & ~look.fresh
        starts = np.flatnonzero(on & ~before)
        after = np.append(on[1:] & ~look.fresh[1:], False)
        for first, last in zip(starts.tolist(), np.flatnonzero(on & ~after).tolist(), strict=True):
            alert = Alert(
                id=f"{case.name}/{look.condition}/{first}",
                activation=case.name,
                condition=look.condition,
                rule=_RULE[look.family],
                state="ended",
                severity="high",
                start_ms=int(look.t_ms[first]),
                end_ms=int(look.t_ms[last]),
                order_version=1,
                rule_set="peer",
                sentence="",
                figures={},
                readings=(),
            )
            yield Told(alert, int(look.arrived_ms[first]))
