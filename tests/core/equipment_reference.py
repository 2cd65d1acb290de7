"""What the sentences of `core.equipment` say, in plain Python, each rule by itself over the whole of its readings."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from core.readings import EventCode as E
from core.rules import RuleSet

HOUR_MS = 3_600_000


@dataclass(frozen=True)
class Event:
    t_ms: int
    code: E
    value: float
    key: int


@dataclass(frozen=True)
class Told:
    """An alert, as far as it can be told here: ``end_ms`` None while it goes on; ``more`` the figure that matters."""

    rule: str
    unit: int
    start_ms: int
    end_ms: int | None
    more: int | str = ""


class TieError(Exception):
    """Two ways of counting may differ here."""


LATCHES = {
    "strap_tamper": (E.STRAP_OPEN, {E.OFFICER_CHECK, E.STRAP_CHECKED}),
    "case_tamper": (E.CASE_OPEN, {E.OFFICER_CHECK}),
    "motion_sensor_fault": (E.MOTION_FAULT, {E.MOTION_WELL}),
    "alcohol_sensor_fault": (E.SENSOR_FAULT, {E.SENSOR_WELL}),
    "home_unit_no_mains": (E.MAINS_LOST, {E.MAINS_BACK}),
    "home_unit_moved": (E.UNIT_MOVED, {E.UNIT_CHECKED}),
    "home_unit_case_open": (E.UNIT_CASE_OPEN, {E.UNIT_CHECKED}),
    "home_unit_battery_low": (E.UNIT_BATTERY_LOW, {E.MAINS_BACK, E.UNIT_BATTERY_WELL}),
    "home_unit_motion_sensor_fault": (E.UNIT_MOTION_FAULT, {E.UNIT_MOTION_WELL}),
}
SIGNS = {
    "jamming": E.JAMMING,
    "spoofing": E.SPOOFING,
    "safe_mode": E.SAFE_MODE,
    "home_unit_safe_mode": E.UNIT_SAFE_MODE,
    "forged_beacons": E.FORGED_BEACON,
    "settings_lost": E.SETTINGS_LOST,
    "home_unit_settings_lost": E.UNIT_SETTINGS_LOST,
    "command_count_lost": E.COMMANDS_LOST,
    "home_unit_command_count_lost": E.UNIT_COMMANDS_LOST,
}
OF_UNIT = {"forged_beacons"} | {rule for rule in (*LATCHES, *SIGNS) if rule.startswith("home_unit")}


def latches(events: Sequence[Event], removed_ms: int | None) -> list[Told]:
    found = []
    for rule, (opens, ends) in LATCHES.items():
        for unit in (0, 1) if rule in OF_UNIT else (-1,):
            mine = [e for e in events if e.code in {opens, *ends} and (unit < 0 or e.value == unit)]
            # runs of the same meaning: the first of each opens, or ends
            firsts = [next(run) for _, run in itertools.groupby(mine, key=lambda event: event.code in ends)]
            if firsts and firsts[0].code in ends:
                firsts.pop(0)
            for opened, ended in itertools.zip_longest(firsts[::2], firsts[1::2]):
                end_ms = ended.t_ms if ended else removed_ms
                found.append(Told(rule, unit, opened.t_ms, end_ms))
    return found


def signs(events: Sequence[Event], now_ms: int, removed_ms: int | None, rules: RuleSet) -> list[Told]:
    found = []
    for rule, code in SIGNS.items():
        holds_s = rules.sign_holds_s if rule in ("jamming", "spoofing") else rules.jumps_within_s
        for unit in (0, 1) if rule in OF_UNIT else (-1,):
            mine = [e.t_ms for e in events if e.code == code and (unit < 0 or e.value == unit)]
            found += [
                Told(rule, unit, run[0], None if goes_on else run[-1], len(run))
                for run, goes_on in runs(mine, now_ms, removed_ms, holds_s * 1000)
            ]
    return found


def runs(
    t_ms: list[int], now_ms: int, removed_ms: int | None, within_ms: int
) -> list[tuple[list[int], bool]]:
    """Instants that follow each other within ``within_ms``; and whether the last of them may still go on."""
    found: list[list[int]] = []
    for t in t_ms:
        if found and t - found[-1][-1] <= within_ms:
            found[-1].append(t)
        else:
            found.append([t])
    return [
        (
            run,
            run is found[-1] and now_ms - run[-1] <= within_ms and removed_ms is None,
        )
        for run in found
    ]


def jumps(t_ms: list[int], now_ms: int, removed_ms: int | None, rules: RuleSet) -> list[Told]:
    return [
        Told("position_jumps", -1, run[0], None if goes_on else run[-1], len(run))
        for run, goes_on in runs(t_ms, now_ms, removed_ms, rules.jumps_within_s * 1000)
        if len(run) >= rules.jumps_fewest and run[-1] - run[0] >= rules.jumps_apart_s * 1000
    ]


def flat_ms(line: list[tuple[int, int]], rules: RuleSet) -> Fraction | None:
    """Where a straight line by least squares through (t_ms, per cent) runs out, drawn down from the last reading."""
    t = [Fraction(one[0] - line[0][0]) for one in line]
    y = [Fraction(one[1]) for one in line]
    n = len(line)
    if n < rules.battery_trend_readings or t[-1] < rules.battery_trend_s * 1000:
        return None
    mean_t, mean_y = sum(t, Fraction(0)) / n, sum(y, Fraction(0)) / n
    spread = sum(((a - mean_t) * (a - mean_t) for a in t), Fraction(0))
    slope = sum(((a - mean_t) * (b - mean_y) for a, b in zip(t, y, strict=True)), Fraction(0))
    if slope >= 0:
        return None
    return line[-1][0] - y[-1] * spread / slope


def battery(events: Sequence[Event], now_ms: int, removed_ms: int | None, rules: RuleSet) -> list[Told]:
    """``more`` is the stage."""
    stages = ["low", "flat soon", "critical", "flat"]
    found: list[Told] = []
    since: int | None = None
    worst = -1
    charging, line, last, runs_out = False, list[tuple[int, int]](), None, None
    for event in events:
        over = False
        if event.code in (E.CHARGER_ON, E.CHARGER_OFF):
            charging, line, runs_out = event.code == E.CHARGER_ON, [], None
            over = charging
        elif event.code == E.BATTERY_PERCENT:
            pct = int(event.value)
            if last is not None and pct > last + rules.battery_rise_pct:
                line = []
            last = pct
            if charging:
                continue
            line = [*line, (event.t_ms, pct)]
            runs_out = flat_ms(line, rules)
            left_ms = None if runs_out is None else runs_out - event.t_ms
            ahead_ms = rules.battery_flat_ahead_s * 1000
            if left_ms is not None and abs(left_ms - ahead_ms) < 2000:
                raise TieError
            is_now = -1
            if pct <= rules.battery_low_pct:
                is_now = 0
            if left_ms is not None and left_ms <= ahead_ms:
                is_now = 1
            if pct <= rules.battery_critical_pct:
                is_now = 2
            if since is None and is_now >= 0:
                since, worst = event.t_ms, is_now
            elif since is not None:
                worst = max(worst, is_now)
                over = is_now < 0 and pct >= rules.battery_recovered_pct
        if over and since is not None:
            found.append(Told("battery", -1, since, event.t_ms, stages[worst]))
            since = None
    if since is not None:
        until_ms = now_ms if removed_ms is None else removed_ms
        if runs_out is not None:
            if abs(runs_out - until_ms) < 2000:
                raise TieError
            worst = 3 if runs_out < until_ms else worst
        found.append(Told("battery", -1, since, removed_ms, stages[worst]))
    return found


def losses(trusted_ms: list[int], from_ms: int, to_ms: int | None, now_ms: int, rules: RuleSet) -> list[Told]:
    """No position, between fitting and the end of watching (None: not yet)."""
    until_ms = now_ms if to_ms is None else to_ms
    marks = [from_ms, *trusted_ms, max([until_ms, *trusted_ms])]
    most_ms = rules.no_position_s * 1000
    found = []
    for i, (a, b) in enumerate(itertools.pairwise(marks)):
        last = i == len(marks) - 2
        if b - a > most_ms or (last and to_ms is None and b - a == most_ms):
            found.append(Told("no_position", -1, a + most_ms, None if last and to_ms is None else b))
    return found
