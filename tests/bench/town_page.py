"""Writes ``docs/town.md`` and ``docs/town.png``: ``python -m tests.bench.town_page``.

Its figures are counted on a thousand people of one seed, by an eye that knows no rule (`tests.sim.seen`).
"""

from __future__ import annotations

import time
from collections import Counter
from datetime import datetime
from itertools import zip_longest
from pathlib import Path
from statistics import median

import numpy as np

from sim.civil import LONDON
from sim.life import Life
from sim.people import person
from sim.streets import Kind
from sim.town import Town, make_town
from sim.way import Surroundings
from tests.sim.seen import LEAST, LEAST_MIN, Seen, seen

DOCS = Path(__file__).resolve().parents[2] / "docs"
TEXT = Path(__file__).with_name("town_page.md")
START_MS = 1_780_272_000_000
SEED, COUNT, DAYS = 1, 1000, 7
_COLOURS = {
    Kind.HIGH_STREET: ("#b03a2e", 2.4),
    Kind.MAIN: ("#d08a2e", 1.6),
    Kind.TERRACE: ("#8a8a8a", 0.8),
    Kind.RESIDENTIAL: ("#b0b0b0", 0.7),
    Kind.LANE: ("#8a8a8a", 0.8),
    Kind.PATH: ("#6a9a5a", 0.7),
    Kind.ROAD: ("#d08a2e", 1.2),
    Kind.ARCADE: ("#b03a2e", 1.2),
}
_MARKED = {
    "probation_office": ("s", "probation"),
    "court": ("^", "court"),
    "hospital": ("P", "hospital"),
    "station": ("D", "station"),
    "approved_premises": ("h", "approved premises"),
    "pub": ("v", "pubs"),
    "school": ("o", "schools"),
}


def picture(town: Town, path: Path) -> None:
    """The town, and beside it the valley."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt
    from matplotlib.collections import LineCollection
    from matplotlib.patches import Circle

    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 6), width_ratios=(1.35, 1), layout="constrained")
    streets, plan = town.streets, town.plan
    for axes in (left, right):
        for name, x, y, radius in plan.parks:
            axes.add_patch(Circle((x, y), radius, color="#dcebd2", label=name))
        for x, y, radius in plan.not_spots:
            axes.add_patch(Circle((x, y), radius, color="#f3e3e3"))
        axes.plot(*zip(*plan.river, strict=True), color="#a8c8e0", linewidth=5)
        axes.scatter(town.house_x, town.house_y, s=0.25, color="#d8d8d8", linewidths=0)
        for kind, (colour, width) in _COLOURS.items():
            chosen = np.flatnonzero(streets.kind == kind)
            ends = [
                [(streets.x[node], streets.y[node]) for node in (streets.start[edge], streets.end[edge])]
                for edge in chosen
            ]
            axes.add_collection(LineCollection(ends, colors=colour, linewidths=width))
        line = plan.railway
        for k, tunnel in enumerate(line.tunnel):
            axes.plot(
                line.x[k : k + 2],
                line.y[k : k + 2],
                color="#303030",
                linewidth=1.4,
                linestyle=":" if tunnel else "-",
            )
        for place, (marker, label) in _MARKED.items():
            spots = town.of(place)
            axes.scatter(
                [s.x for s in spots], [s.y for s in spots], s=22, marker=marker, label=label, zorder=3
            )
        axes.set_aspect("equal")
        axes.tick_params(labelsize=7)
    left.set(xlim=(-2000, 2000), ylim=(-2000, 2000), title="Merebridge (metres from the market)")
    right.set(xlim=(-16400, -12600), ylim=(-7400, -2600), title="Cwm Tarog; shaded: no mobile coverage")
    handles, labels = left.get_legend_handles_labels()
    kept = [(h, n) for h, n in zip(handles, labels, strict=True) if n in {m[1] for m in _MARKED.values()}]
    left.legend(*zip(*kept, strict=True), fontsize=7, loc="lower left")
    figure.savefig(path, dpi=80, metadata={"Software": None})


def figures(town: Town) -> dict[str, str]:
    """What the page tells of the population."""
    took, lives = [], []
    for number in range(COUNT):
        began = time.process_time()
        lives.append(person(town, SEED, number, START_MS, DAYS))
        took.append((time.process_time() - began) * 1000)
    events = [(life, event) for life in lives for event in seen(life)]
    strata, worn = Counter(s for life in lives for s in life.strata), Counter[str]()
    for life in lives:
        worn[" + ".join(name.replace("_", " ") for name in sorted(life.wears, reverse=True))] += 1
    asked = Counter(c["type"] for life in lives for c in life.order["conditions"])
    about, uncovered, whole = np.zeros(len(Surroundings)), 0, 0
    for life in lives:
        ends = np.append(life.way.start_ms[1:], life.way.end_ms) - life.way.start_ms
        np.add.at(about, life.way.surroundings, ends)
        uncovered += int(ends[~life.way.covered].sum())
        whole += life.end_ms - life.start_ms
    return {
        "strata": _table(strata),
        "both": _side_by_side(asked, worn),
        "happened": _happened(events),
        "keep": str(COUNT - len({life.name for life, event in events if counts(event)})),
        "about": ", ".join(f"{kind.name.lower()} {about[kind] / about.sum():.1%}" for kind in Surroundings),
        "uncovered": f"{uncovered / whole:.1%}",
        "sober": f"{_sober(lives):.1%}",
        "flat": str(sum(len(life.flat) for life in lives)),
        "exposures": str(sum(len(life.exposures) for life in lives)),
        "discounts": str(sum("discounts" in life.order for life in lives)),
        "legs": f"{np.mean([len(life.way.start_ms) for life in lives]):.0f}",
        "ms": f"{median(took):.1f}",
        "streets": f"{town.streets.length_m.sum() / 1000:.0f}",
        "homes": f"{len(town.house_x):,}",
        "places": str(len(town.places)),
    }


def counts(event: Seen) -> bool:
    """Whether it is one that the score counts: long and deep enough."""
    return event.minutes >= LEAST_MIN.get(event.kind, 0) and event.most >= LEAST.get(event.kind, 0)


def _happened(events: list[tuple[Life, Seen]]) -> str:
    rows = []
    for kind in ("exclusion", "inclusion", "restriction", "attendance", "curfew", "drinking", "strap"):
        mine = [event for _, event in events if event.kind == kind]
        kept = [event.minutes for event in mine if counts(event)]
        rows.append(f"| {kind} | {len(mine)} | {len(kept)} | {median(kept):.0f} |")
    return "\n".join(rows)


def _sober(lives: list[Life]) -> float:
    days = drank = 0
    for life in lives:
        if any(condition.get("mode") == "abstinence" for condition in life.order["conditions"]):
            days += DAYS
            drank += len({datetime.fromtimestamp(d.start_ms / 1000, LONDON).date() for d in life.drinks})
    return 1 - drank / days


def _table(counted: Counter[str]) -> str:
    return "\n".join(f"| {name.replace('_', ' ')} | {number} |" for name, number in counted.most_common())


def _side_by_side(left: Counter[str], right: Counter[str]) -> str:
    rows = zip_longest(left.most_common(), right.most_common(), fillvalue=("", ""))
    return "\n".join(f"| {a} | {n} | | {b} | {m} |" for (a, n), (b, m) in rows)


def main() -> None:
    """Write page and picture."""
    town = make_town(SEED)
    text = TEXT.read_text("utf-8")
    for name, value in figures(town).items():
        text = text.replace("{{" + name + "}}", value)
    (DOCS / "town.md").write_text(text, "utf-8")
    picture(town, DOCS / "town.png")


if __name__ == "__main__":
    main()
