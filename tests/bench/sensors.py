"""What a position and a beacon of the simulator cost: ``make bench BENCH=sensors``."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from statistics import median

import numpy as np

from sim import noise
from sim.gnss import receive
from sim.itinerary import Itinerary, Place
from sim.life import Life, Unit
from sim.radio import heard
from sim.sentences import quantised, sentences
from sim.way import Surroundings
from tests.bench import report

START_MS = 1_793_600_000_000
HOME = Place(52.96, -1.17)
ROUNDS = 15


def week(about: Surroundings) -> Life:
    """A week in one place."""
    way = Itinerary(START_MS, HOME).stay(START_MS + 7 * 86_400_000, about=about)
    return Life("a", 1, START_MS, way.end_ms, way.way(), {})


def nanoseconds(do: Callable[[], object], each: int) -> float:
    """Median time of this thread that one of ``each`` takes, warm."""
    do()
    taken = []
    for _ in range(ROUNDS):
        began = time.thread_time()
        do()
        taken.append(time.thread_time() - began)
    return round(median(taken) / each * 1e9, 1)


def main() -> None:
    """Measure."""
    minutes = START_MS + np.arange(7 * 1440) * 60_000
    beacons = START_MS + np.arange(7 * 5760) * 15_000
    seconds = START_MS + np.arange(5000) * 1000
    lives = {about.name.lower(): week(about) for about in Surroundings}
    sky, spoken = receive(lives["street"], minutes), receive(lives["street"], seconds)
    figures = {"sim_normal_ns": nanoseconds(lambda: noise.normal(1, 2, beacons), len(beacons))}
    for name, life in lives.items():
        figures[f"sim_receive_{name}_ns"] = nanoseconds(partial(receive, life, minutes), len(minutes))
    figures["sim_quantised_ns"] = nanoseconds(lambda: quantised(sky), len(sky))
    figures["sim_sentences_ns"] = nanoseconds(lambda: list(sentences(spoken)), len(spoken))
    unit = Unit("home", HOME)
    figures["sim_heard_ns"] = nanoseconds(lambda: heard(lives["indoors"], unit, beacons), len(beacons))
    figures["sim_receive_to_normal"] = round(figures["sim_receive_street_ns"] / figures["sim_normal_ns"], 1)
    figures["sim_heard_to_normal"] = round(figures["sim_heard_ns"] / figures["sim_normal_ns"], 1)
    report.write({**figures})


if __name__ == "__main__":
    main()
