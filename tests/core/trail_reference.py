"""What the sentences of `core.trail` and `core.stops` say, in plain Python, looking at the whole trail each time.

Distances are geodesic (pyproj), so it agrees with the kernels wherever nothing lies within 1 % of a threshold.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf, isfinite

from pyproj import Geod

from core.rules import RuleSet

GEOD = Geod(ellps="WGS84")


@dataclass(frozen=True)
class Fix:
    t_ms: int
    lat: float
    lon: float
    radius_m: float
    epoch: int
    seq: int


def metres(a: Fix, b: Fix) -> float:
    return float(GEOD.inv(a.lon, a.lat, b.lon, b.lat)[2])


def reachable(a: Fix, b: Fix, rules: RuleSet) -> bool:
    """Whether a wearer at ``a`` can be at ``b`` in time, each being somewhere within its uncertainty."""
    seconds = (b.t_ms - a.t_ms) / 1000 + rules.time_grain_s
    return metres(a, b) - a.radius_m - b.radius_m <= rules.fastest_m_s * seconds


def stale(trail: list[Fix], i: int) -> bool:
    """Whether two positions before this one in time and of its journal, none of them stale, have higher numbers.

    A single one may be the stale one itself, stamped too early: it is left out from then on.
    """
    journal: list[int] = []
    epoch, is_stale = trail[0].epoch, False
    for fix in trail[: i + 1]:
        if fix.epoch != epoch:
            epoch, journal = fix.epoch, []
        if journal and journal[-1] > fix.seq and (len(journal) < 2 or journal[-2] < fix.seq):
            journal.pop()
        is_stale = bool(journal) and journal[-1] > fix.seq
        if not is_stale:
            journal.append(fix.seq)
    return is_stale


def judged(trail: list[Fix], rules: RuleSet) -> list[tuple[bool, str]]:
    """For each position whether it is trusted, and the first reason why not."""
    found: list[tuple[bool, str]] = []
    for i, fix in enumerate(trail):
        believed = [other for other, (good, _) in zip(trail, found, strict=False) if good]
        if not isfinite(fix.radius_m):
            found.append((False, "nothing"))
        elif stale(trail, i):
            found.append((False, "stale"))
        elif not believed or reachable(believed[-1], fix, rules):
            found.append((True, ""))
        else:
            # the positions that were jumps since the last trusted one, back to where two do not agree
            jumps = [other for other, (_, why) in zip(trail, found, strict=False) if why == "jump"]
            jumps = [other for other in jumps if trail.index(other) > trail.index(believed[-1])]
            chain = [fix]
            for other in reversed(jumps):
                if not reachable(other, chain[0], rules):
                    break
                chain.insert(0, other)
            sure = fix.t_ms - chain[0].t_ms >= rules.confirm_apart_s * 1000
            found.append((sure and len(chain) > 1, "" if sure and len(chain) > 1 else "jump"))
    return found


def stays(trail: list[Fix], rules: RuleSet) -> list[tuple[int, int | None]]:
    """Stops as (arrival, departure or None): each found by going through the trail from where the last one ended."""
    found: list[tuple[int, int | None]] = []
    trail = [fix for fix in trail if fix.radius_m < inf]
    first = 0
    while first < len(trail):
        members, i = [trail[first]], first + 1
        away: list[Fix] = []
        while i < len(trail):
            fix = trail[i]
            middle = Fix(
                0,
                sum(m.lat for m in members) / len(members),
                sum(m.lon for m in members) / len(members),
                0.0,
                0,
                0,
            )
            if metres(middle, fix) - fix.radius_m <= rules.still_m:
                members.append(fix)
                away = []
            else:
                away.append(fix)
                if fix.t_ms - away[0].t_ms >= rules.confirm_apart_s * 1000:
                    break
            i += 1
        if members[-1].t_ms - members[0].t_ms >= rules.stop_min_s * 1000:
            found.append((members[0].t_ms, away[0].t_ms if i < len(trail) else None))
        first = i
    return found
