"""The plot of docs/score.md: what a threshold gains in recall, and what it costs in false alerts.

``python -m sim.tradeoff`` draws ``docs/score/*.svg`` anew: each threshold is tried on some seeds; those chosen are
reported on others, which nobody looked at while choosing. Matplotlib is a tool of developers (extra ``dev``).
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import Progress

from core.rules import DEFAULT_RULES, RuleSet
from sim.judged import final_alerts, lived, untold
from sim.people import person
from sim.score import Told, tally
from sim.scoring import START_MS, TOWN_SEED
from sim.side_by_side import side_by_side
from sim.town import make_town
from sim.truth import Family

TUNED_ON, REPORTED_ON = (101, 102), (201, 202)
TRIED: dict[str, tuple[Family, tuple[float, ...]]] = {
    "accuse_apart_s": (Family.EXCLUSION, (10, 30, 50, 70, 110, 130, 190)),
    "accuse_walking_s": (Family.EXCLUSION, (10, 15, 30, 40, 60, 70)),
    "address_margin_m": (Family.CURFEW, (1, 10, 20, 30, 45, 60, 90)),
    "precision_floor_m": (Family.EXCLUSION, (1, 3, 5, 8, 12, 20)),
    "rf_missed_s": (Family.CURFEW, (120, 180, 240, 300, 420, 600, 900)),
    "ir_suspect_s": (Family.TAMPER, (300, 600, 1200, 1800, 2700, 3600)),
}
"""Each threshold, the family that it matters to most, and the values that are tried."""
AS_THEY_ARE = {str(family): (family, DEFAULT_RULES) for family in Family}
Variants = Mapping[str, tuple[Family, RuleSet]]
Point = dict[str, float]
_GROUP = 25


def variants() -> dict[str, tuple[Family, RuleSet]]:
    """Every value of every threshold, the others as they are."""
    found = {}
    for name, (family, values) in TRIED.items():
        for value in values:
            kind = type(getattr(DEFAULT_RULES, name))
            changes: dict[str, Any] = {name: kind(value)}
            found[f"{name}={value:g}"] = family, replace(DEFAULT_RULES, **changes)
    return found


def counted(some: Variants, days: int, people: tuple[int, Sequence[int]]) -> dict[str, Counter[str]]:
    """Events, those found, false alerts and wearer-days, by the alerts that stand at the end.

    ``people`` are some numbers of a seed.
    """
    town = make_town(TOWN_SEED)
    seed, numbers = people
    lives = [lived(person(town, seed, number, START_MS, days)) for number in numbers]
    owner = {worn.id: one.life.name for one in lives for worn in one.worn.values()}
    cases = [untold(one) for one in lives]
    found = {}
    for name, (family, rules) in some.items():
        told: dict[str, list[Told]] = {}
        for alert in final_alerts(lives, rules):
            told.setdefault(owner[alert.activation], []).append(Told(alert, alert.start_ms))
        total = tally([replace(case, told=tuple(told.get(case.name, ()))) for case in cases], family)
        found[name] = Counter(
            events=total.events,
            found=total.found,
            false=total.false,
            alerts=total.alerts,
            days=days * len(lives),
        )
    return found


def measure(
    some: Variants, seeds: Sequence[int], wearers: int, days: int, moved: Callable[[float], None]
) -> dict[str, Point]:
    """Each variant on so many people of each seed, a process for each processor."""
    groups = [
        (seed, range(first, min(first + _GROUP, wearers)))
        for seed in seeds
        for first in range(0, wearers, _GROUP)
    ]
    whole: dict[str, Counter[str]] = {name: Counter() for name in some}
    for done, found in enumerate(side_by_side(partial(counted, some, days), groups), 1):
        for name, counts in found.items():
            whole[name].update(counts)
        moved(done / len(groups))
    return {
        name: {
            "events": counts["events"],
            "found": counts["found"],
            "false_per_1000_wearer_days": round(1000 * counts["false"] / counts["days"], 2),
            "alerts_per_1000_wearer_days": round(1000 * counts["alerts"] / counts["days"], 1),
        }
        for name, counts in whole.items()
    }


def draw(tuned: dict[str, dict[str, Point]], reported: dict[str, Point], folder: Path) -> None:
    """One picture for each threshold: false alerts against recall, and where we stand on unseen seeds."""
    import matplotlib as mpl

    mpl.use("Agg")
    mpl.rcParams["svg.hashsalt"] = "tagwatch"
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(1, len(tuned), figsize=(3.6 * len(tuned), 3.4), constrained_layout=True)
    for axis, (name, points) in zip(axes, tuned.items(), strict=True):
        recall = [100 * point["found"] / point["events"] for point in points.values()]
        false = [point["false_per_1000_wearer_days"] for point in points.values()]
        axis.plot(false, recall, "-o", color="#1d70b8", markersize=4)
        together: dict[tuple[float, float], list[str]] = {}
        for value, x, y in zip(points, false, recall, strict=True):
            together.setdefault((x, y), []).append(value)
        for at, values in together.items():
            axis.annotate(", ".join(values), at, textcoords="offset points", xytext=(5, -10), fontsize=7)
        here = reported[name]
        axis.plot(
            [here["false_per_1000_wearer_days"]], [100 * here["found"] / here["events"]], "D", color="#d4351c"
        )
        axis.set_title(f"{name} ({TRIED[name][0]})", fontsize=9)
        axis.set_xlabel("false alerts in 1,000 wearer-days", fontsize=8)
        axis.set_ylabel("recall, %", fontsize=8)
        axis.set_xlim(-0.1, max(1.5, 1.1 * max(false)))
        axis.set_ylim(min(95.0, min(recall) - 0.5), 100.4)
    folder.mkdir(parents=True, exist_ok=True)
    figure.savefig(folder / "tradeoff.svg", metadata={"Date": None})


def main() -> None:
    """Try, report, draw; writes ``docs/score/tradeoff.json`` and ``.svg``."""
    arguments = argparse.ArgumentParser(description="What thresholds gain and cost.")
    arguments.add_argument("--wearers", type=int, default=300, help="of each seed")
    arguments.add_argument("--days", type=int, default=7)
    arguments.add_argument("--folder", type=Path, default=Path("docs/score"))
    chosen = arguments.parse_args()
    with Progress(console=Console(stderr=True), transient=True) as progress:

        def tried(what: str, some: Variants, seeds: Sequence[int]) -> dict[str, Point]:
            bar = progress.add_task(what, total=1.0)
            return measure(
                some, seeds, chosen.wearers, chosen.days, lambda share: progress.update(bar, completed=share)
            )

        points = tried("trying thresholds", variants(), TUNED_ON)
        families = tried("others, as they are", AS_THEY_ARE, REPORTED_ON)
    tuned = {
        name: {f"{value:g}": points[f"{name}={value:g}"] for value in values}
        for name, (_, values) in TRIED.items()
    }
    reported = {name: families[family] for name, (family, _) in TRIED.items()}
    draw(tuned, reported, chosen.folder)
    (chosen.folder / "tradeoff.json").write_text(
        json.dumps(
            {
                "rule_set": DEFAULT_RULES.version,
                "wearers_of_each_seed": chosen.wearers,
                "days": chosen.days,
                "tuned_on": TUNED_ON,
                "tried": tuned,
                "reported_on": REPORTED_ON,
                "as_they_are": families,
            },
            indent=1,
        )
        + "\n"
    )


if __name__ == "__main__":
    main()
