"""The plot of docs/score.md: what a threshold gains in recall, and what it costs in false alerts.

``python -m sim.tradeoff`` draws ``docs/score/*.svg`` anew: each threshold is tried on some seeds; those chosen are
reported on others, which nobody looked at while choosing. Matplotlib is a tool of developers (extra ``dev``).
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import Progress

from core.rules import DEFAULT_RULES, RuleSet
from sim.judged import Lived, final_alerts, lived, no_link
from sim.people import population
from sim.score import Case, Told, tally
from sim.scoring import START_MS, TOWN_SEED
from sim.town import make_town
from sim.truth import Family, hidden

TUNED_ON, REPORTED_ON = (101, 102), (201, 202)
TRIED: dict[str, tuple[Family, tuple[float, ...]]] = {
    "accuse_apart_s": (Family.EXCLUSION, (10, 30, 50, 70, 110, 130, 190)),
    "address_margin_m": (Family.CURFEW, (1, 10, 20, 30, 45, 60, 90)),
    "precision_floor_m": (Family.EXCLUSION, (1, 3, 5, 8, 12, 20)),
    "rf_missed_s": (Family.CURFEW, (120, 180, 240, 300, 420, 600, 900)),
    "ir_suspect_s": (Family.TAMPER, (300, 600, 1200, 1800, 2700, 3600)),
}
"""Each threshold, the family that it matters to most, and the values that are tried."""
Point = dict[str, float]


def measure(lives: Sequence[Lived], cases: Sequence[Case], rules: RuleSet, family: Family) -> Point:
    """Events, those found, and false alerts in 1,000 wearer-days, of the alerts that stand at the end."""
    owner = {worn.id: one.life.name for one in lives for worn in one.worn.values()}
    told: dict[str, list[Told]] = {}
    for alert in final_alerts(lives, rules):
        told.setdefault(owner[alert.activation], []).append(Told(alert, alert.start_ms))
    total = tally([replace(case, told=tuple(told.get(case.name, ()))) for case in cases], family)
    wearer_days = sum(case.wearer_days for case in cases)
    return {
        "events": total.events,
        "found": total.found,
        "false_per_1000_wearer_days": round(1000 * total.false / wearer_days, 2),
    }


def people(seeds: Sequence[int], wearers: int, days: int) -> tuple[list[Lived], list[Case]]:
    """Lives of several seeds, and what truly happened in them; nothing told yet."""
    lives = [
        lived(replace(life, name=f"{life.name}s{seed}"))
        for seed in seeds
        for life in population(make_town(TOWN_SEED), seed, wearers, START_MS, days)
    ]
    return lives, [
        Case(
            one.life.name,
            one.life.start_ms,
            one.life.end_ms,
            one.life.strata,
            one.happened,
            {family: hidden(one.life, family) for family in Family},
            no_link(one.life),
            (),
        )
        for one in lives
    ]


def tried(lives: Sequence[Lived], cases: Sequence[Case], progress: Progress) -> dict[str, dict[str, Point]]:
    """Every value of every threshold, the others as they are."""
    bar = progress.add_task("trying thresholds", total=sum(len(values) for _, values in TRIED.values()))
    found: dict[str, dict[str, Point]] = {}
    for name, (family, values) in TRIED.items():
        for value in values:
            kind = type(getattr(DEFAULT_RULES, name))
            changes: dict[str, Any] = {name: kind(value)}
            rules = replace(DEFAULT_RULES, **changes)
            found.setdefault(name, {})[f"{value:g}"] = measure(lives, cases, rules, family)
            progress.advance(bar)
    return found


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
        for value, x, y in zip(points, false, recall, strict=True):
            axis.annotate(value, (x, y), textcoords="offset points", xytext=(4, -9), fontsize=7)
        here = reported[name]
        axis.plot(
            [here["false_per_1000_wearer_days"]], [100 * here["found"] / here["events"]], "D", color="#d4351c"
        )
        axis.set_title(f"{name} ({TRIED[name][0]})", fontsize=9)
        axis.set_xlabel("false alerts in 1,000 wearer-days", fontsize=8)
        axis.set_ylabel("recall, %", fontsize=8)
        axis.set_xscale("symlog", linthresh=1)
        axis.set_xlim(left=-0.1)
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
        tuned = tried(*people(TUNED_ON, chosen.wearers, chosen.days), progress)
        lives, cases = people(REPORTED_ON, chosen.wearers, chosen.days)
        families = {family: measure(lives, cases, DEFAULT_RULES, family) for family in Family}
    reported = {name: families[family] for name, (family, _) in TRIED.items()}
    draw(tuned, reported, chosen.folder)
    (chosen.folder / "tradeoff.json").write_text(
        json.dumps(
            {
                "wearers_of_each_seed": chosen.wearers,
                "days": chosen.days,
                "tuned_on": TUNED_ON,
                "tried": tuned,
                "reported_on": REPORTED_ON,
                "as_they_are": {str(family): point for family, point in families.items()},
            },
            indent=1,
        )
        + "\n"
    )


if __name__ == "__main__":
    main()
