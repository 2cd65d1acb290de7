"""``make bench BENCH=score``: the simulator's direct way, and how good the rules are on people not seen before.

``sim_direct_readings_per_s``  what devices of a population tell in a week, made and judged: readings a second of
                               processor, one core, the town and its people not counted. ``sim_make_readings_per_s``
                               and ``sim_judge_readings_per_s`` are the two parts of it
``score_*``                    of ``tagwatch sim score`` on the seed below: recall and false alerts in 1,000 wearer-days
                               of each family, the 95th percentile of delay, sober days, the share of unknown time

``SCORE_WEARERS`` and ``SCORE_DAYS`` say how many people and days, if not 1,000 and 7.
"""

from __future__ import annotations

import argparse
import os
import time

from rich.progress import Progress

from core.order import order_from_json
from sim.judged import Lived, final_alerts
from sim.people import population
from sim.scoring import START_MS, TOWN_SEED, score
from sim.tags import activations, wear
from sim.town import make_town
from tests.bench import report

SEED = 2_026_11
"""Of nobody else's: thresholds were tuned on others."""
ROUNDS = 3
Figures = dict[str, float | int | str]


def direct(wearers: int, days: int) -> Figures:
    """Readings a second, best of some rounds: a machine shared with others is slower, never faster."""
    lives = list(population(make_town(TOWN_SEED), SEED, wearers, START_MS, days))
    orders = [order_from_json(dict(life.order)) for life in lives]
    made_s = judged_s = float("inf")
    count = 0
    for _ in range(ROUNDS + 1):
        began = time.process_time()
        sent = [wear(life, order) for life, order in zip(lives, orders, strict=True)]
        made_s = min(made_s, time.process_time() - began)
        count = sum(len(one.readings) for mine in sent for one in mine.values())
        lived = [
            Lived(life, activations(life, order), mine, ())
            for life, order, mine in zip(lives, orders, sent, strict=True)
        ]
        began = time.process_time()
        final_alerts(lived)
        judged_s = min(judged_s, time.process_time() - began)
    return {
        "sim_direct_readings_per_s": round(count / (made_s + judged_s)),
        "sim_make_readings_per_s": round(count / made_s),
        "sim_judge_readings_per_s": round(count / judged_s),
    }


def scores(wearers: int, days: int, progress: Progress) -> Figures:
    """How good the rules are."""
    bar = progress.add_task("living and judging", total=1.0)
    found = score(wearers, days, SEED, moved=lambda what, share: progress.update(bar, completed=share))
    figures: Figures = {"score_wearers": wearers, "score_days": days}
    for family, row in found["rules"].items():
        for figure in ("events", "recall", "false_per_1000_wearer_days", "delay_p95_s"):
            figures[f"score_{family}_{figure}"] = row[figure]
    figures["score_sober_day_accuracy"] = found["sober_day"]["accuracy"]
    figures["score_sober_day_unsafe_errors"] = found["sober_day"]["errors_not_unverified"]
    for family, row in found["unknown"].items():
        figures[f"score_unknown_share_{family}"] = row["share"]
    return figures


def main() -> None:
    """Measure, and write ``bench.json``."""
    arguments = argparse.ArgumentParser(description="Measure the simulator and score the rules.")
    arguments.add_argument("--wearers", type=int, default=int(os.environ.get("SCORE_WEARERS", "1000")))
    arguments.add_argument("--days", type=int, default=int(os.environ.get("SCORE_DAYS", "7")))
    arguments.add_argument("--only", choices=["direct", "scores"], nargs="*", default=["direct", "scores"])
    chosen = arguments.parse_args()
    figures: Figures = {}
    with Progress(transient=True) as progress:
        if "direct" in chosen.only:
            figures |= direct(min(chosen.wearers, 200), chosen.days)
        if "scores" in chosen.only:
            figures |= scores(chosen.wearers, chosen.days, progress)
    report.write(figures)


if __name__ == "__main__":
    main()
