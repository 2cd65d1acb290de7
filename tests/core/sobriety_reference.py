"""What the sentences about sobriety promise, worked out plainly: whole numbers, lists, every pair of readings.

Shares nothing with the core: levels are µg/dl, instants ms, the body curve is a minimum over all pairs.
"""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass
from fractions import Fraction

MIN = 60_000
HOUR = 3_600_000


@dataclass(frozen=True)
class Sample:
    """One reading; None where unknown. ``again``: an officer has checked since the reading before."""

    t_ms: int
    tac: int | None
    ir: float | None = 1.0
    temp: float | None = 30.0
    worn: bool = True
    again: bool = False


@dataclass(frozen=True)
class Drink:
    start_ms: int
    end_ms: int | None
    status: str
    confirmed_ms: int | None
    high: int
    beyond: int
    body: Fraction
    peak: int


@dataclass(frozen=True)
class Cover:
    start_ms: int
    end_ms: int | None
    status: str
    readings: int
    cold: int


def body(curve: list[tuple[int, int]]) -> list[Fraction]:
    """The highest curve under the readings that rises and falls as a body does."""

    def under(fall: int) -> list[Fraction]:
        return [
            min(Fraction(v) + Fraction((50_000 if s <= t else fall) * abs(t - s), HOUR) for s, v in curve)
            for t, _ in curve
        ]

    quick = under(35_000)
    return quick if max(quick) >= 150_000 else under(25_000)


def shows_drinking(
    curve: list[tuple[int, int]], first: int, level: int, sure: int
) -> tuple[bool, int, Fraction]:
    """Whether the readings that a body can have made show drinking; how many others there are; the peak."""
    limit = body(curve)
    can = [v - b <= 10_000 for (_, v), b in zip(curve, limit, strict=True)]
    beyond = sum(v >= level and not ok for (_, v), ok in list(zip(curve, can, strict=True))[first:])
    n = len(curve)
    steady = any(
        j - i >= 2
        and curve[j][0] - curve[i][0] >= 50 * MIN
        and all(can[k] and curve[k][1] >= sure for k in range(i, j + 1))
        for i in range(first, n)
        for j in range(i, n)
    )
    mine = [k for k in range(n) if can[k]]
    chains: list[list[int]] = []
    for k in mine:
        if chains and curve[k][0] - curve[chains[-1][-1]][0] <= 75 * MIN:
            chains[-1].append(k)
        else:
            chains.append([k])
    rises = sorted(
        q
        for chain in chains
        for q in chain
        if curve[q][1] - min(curve[p][1] for p in chain if p <= q) >= 20_000
    )
    fell = False
    stretch: list[int] = []
    for k in range(n):
        value = curve[k][1]
        if not can[k]:
            stretch = []
            continue
        inside = [curve[p][1] for p in stretch]
        if stretch and (value > inside[0] or value > min(inside) + 10_000):
            stretch = []
        stretch.append(k)
        if (
            rises
            and rises[0] <= k
            and len(stretch) >= 3
            and curve[k][0] - curve[stretch[0]][0] >= 50 * MIN
            and curve[stretch[0]][1] - value >= 20_000
        ):
            fell = True
    return steady and bool(rises) and fell, beyond, max([Fraction(0), *limit])


def sort_out(samples: list[Sample]) -> tuple[list[Sample], list[tuple[Sample, bool, bool]]]:
    """The readings of skin, and for every worn reading with a verdict: is it away, is it cold?"""
    skin, verdicts = [], []
    learnt: list[Sample] = []
    base: tuple[float, float] | None = None
    for one in samples:
        if one.again:
            learnt, base = [], None
        if not one.worn:
            continue
        if base is None and (
            len(learnt) >= 12 or (len(learnt) >= 3 and one.t_ms - learnt[0].t_ms > 120 * MIN)
        ):
            temps = [old.temp for old in learnt if old.temp is not None]
            base = (
                statistics.median(old.ir for old in learnt if old.ir is not None),
                statistics.median(temps) if temps else math.nan,
            )
        absurd = one.temp is not None and not 10 <= one.temp <= 45
        off = base is not None and one.ir is not None and abs(one.ir - base[0]) > 0.25
        cold = absurd or (base is not None and one.temp is not None and one.temp <= base[1] - 5)
        verdicts.append((one, off or absurd, cold))
        if off or absurd:
            continue
        if base is None and one.ir is not None:
            learnt.append(one)
        if one.tac is not None:
            skin.append(one)
    return skin, verdicts


def drinks(samples: list[Sample], level: int, sure: int, now_ms: int) -> list[Drink]:
    """Drinking events, as they stand at ``now_ms``."""
    skin, _ = sort_out(samples)
    values = [one.tac or 0 for one in skin]
    times = [one.t_ms for one in skin]
    found = []
    i = 0
    while i < len(skin):
        j = i
        if values[i] < level:
            i += 1
            continue
        while j - i < 2 or times[j] - times[i] < 50 * MIN:
            j += 1
            if j == len(skin) or values[j] < level or times[j] - times[j - 1] > 75 * MIN:
                break
        else:
            event, i = _follow(times, values, i, j, (level, sure), now_ms)
            found.append(event)
            continue
        i = j
    return found


def _follow(
    times: list[int], values: list[int], i: int, j: int, levels: tuple[int, int], now_ms: int
) -> tuple[Drink, int]:
    level, sure = levels
    begin = i
    while begin and times[begin] - times[begin - 1] <= 75 * MIN and times[i] - times[begin - 1] <= 120 * MIN:
        begin -= 1
    confirmed: int | None = None
    end: int | None = None
    status = "suspected"
    k = j
    while True:
        curve = list(zip(times[begin : k + 1], values[begin : k + 1], strict=True))
        drank, beyond, peak = shows_drinking(curve, i - begin, level, sure)
        if drank and confirmed is None:
            confirmed, status = times[k], "confirmed"
        lows = k
        while lows >= j and values[lows] < level:
            lows -= 1
        first_low = lows + 1
        if k - first_low >= 2 and times[k] - times[first_low] >= 120 * MIN:
            end = times[first_low]
            outside = beyond > sum(v >= level for v in values[i : k + 1]) - beyond
            status = "confirmed" if confirmed else "environmental" if outside else "suspected"
            break
        after = times[k + 1] if k + 1 < len(times) else now_ms
        if after - times[k] > 120 * MIN:
            end = times[k]
            break
        if k + 1 == len(times):
            break
        k += 1
    high = [v for v in values[i : k + 1] if v >= level]
    return Drink(times[i], end, status, confirmed, len(high), beyond, peak, max(high)), k + 1


def covers(samples: list[Sample]) -> list[Cover]:
    """Obstructed sensors."""
    _, verdicts = sort_out(samples)
    found: list[Cover] = []
    series: list[tuple[Sample, bool]] = []

    def close(end_ms: int | None) -> None:
        for j in range(len(series)):
            if j >= 2 and series[j][0].t_ms - series[0][0].t_ms >= 30 * MIN:
                last = series[-1][0].t_ms
                sure = last - series[0][0].t_ms >= 120 * MIN or sum(cold for _, cold in series) >= 3
                found.append(
                    Cover(
                        series[0][0].t_ms,
                        end_ms,
                        "confirmed" if sure else "suspected",
                        len(series),
                        sum(cold for _, cold in series),
                    )
                )
                return

    for one, away, cold in verdicts:
        if away:
            raised = len(series) >= 3 and series[-1][0].t_ms - series[0][0].t_ms >= 30 * MIN
            if series and not raised and one.t_ms - series[-1][0].t_ms > 75 * MIN:
                series.clear()
            series.append((one, cold))
        elif one.ir is not None or one.temp is not None:
            close(one.t_ms)
            series.clear()
    close(None)
    return found
