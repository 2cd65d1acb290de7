"""``make bench BENCH=delay``: from a true event to its alert in the store, through real firmware, broker and gateway.

``score_delay_firmware_p95_s_exclusion``, ``…_curfew``, ``…_strap``  of ``tagwatch sim score --firmware`` on the seed
                                 below, gateway time; ``…_median_s_…`` and ``…_n_…`` (events) beside it
``score_delay_difference_median_s_…``  by how much that is more than from arrays, of the same events
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from rich.progress import Progress

from sim.delays import measure
from tests.bench import report

SEED = 2_026_12
"""Of nobody else's."""


def main() -> None:
    """Measure, and write ``bench.json``."""
    arguments = argparse.ArgumentParser(description="Measure delays through firmware and gateway.")
    arguments.add_argument("--events", type=int, default=200)
    arguments.add_argument("--days", type=int, default=7)
    arguments.add_argument("--seed", type=int, default=SEED)
    chosen = arguments.parse_args()
    with Progress(transient=True) as progress, tempfile.TemporaryDirectory(prefix="tagwatch-") as folder:
        bars = {what: progress.add_task(what, total=1.0) for what in ("looking for events", "living")}
        found = measure(
            chosen.events,
            chosen.days,
            chosen.seed,
            Path(folder),
            lambda what, share: progress.update(bars[what], completed=share),
        )
    figures: dict[str, float | int | str] = {}
    for kind, row in found["delays"].items():
        figures[f"score_delay_firmware_p95_s_{kind}"] = row["delay_p95_s"]
        figures[f"score_delay_firmware_median_s_{kind}"] = row["delay_median_s"]
        figures[f"score_delay_firmware_n_{kind}"] = row["events"]
        figures[f"score_delay_firmware_told_{kind}"] = row["told"]
        figures[f"score_delay_difference_median_s_{kind}"] = row["difference_median_s"]
    report.write(figures)


if __name__ == "__main__":
    main()
