"""``make bench BENCH=core``: the core alone, one thread, against what else one could pick. Medians of several.

Times are processor seconds of the one thread, so that a machine shared with others measures the same.

``geofence_vs_shapely``      zone checking, three-valued, with every visit's state: 1,000 wearers × 10 zones × 50
                             vertices, 1,000 fixes each; times as fast as prepared ``shapely.contains_xy`` (two-valued),
                             preparation not counted. ``_500``, ``_5000``: 100 wearers, one zone of so many vertices.
                             ``_boundary``: 100 wearers who live on the boundary of their zone of 500 vertices;
                             ``_boundary_5000`` of 5,000
``geofence_boundary_vs_shapely_distance``
                             the same wearers, as shapely would have to be asked for three values: prepared
                             ``contains_xy``, and the distance of every position to the prepared boundary (in degrees,
                             so still without a scale; points made beforehand, not counted). ``_5000``
``geofence_vs_strtree``      the same wearers, an STRtree of each wearer's zones
``geofence_vs_matplotlib``   the same for ``matplotlib.path``, where it is installed (a tenth of the wearers)
``geofence_fixes_per_s``     the first one as fixes a second
``monitor_readings_per_s``   whole monitor, every family: three zones, a curfew; from columns to alerts
``monitor_live_per_s``       the same, a position a wearer and call: what a gateway does all day
``late_reading_cost_ratio``  a reading that comes a day late, in readings that come in order one by one
``growth``                   time a reading at 1 M wearers over that at 10 k, one position a wearer and call;
                             ``growth_state_bytes_per_wearer`` at each size, without the program itself.
                             Wearers share orders, as bail hostels do
``monitor_bytes_per_wearer`` the same after most of a day: with checkpoints and the readings that are kept
``cold_start_s``             from nothing to five days judged, kernels compiled; ``warm_start_s``: kernels cached;
                             ``_cpu_s``: processor time of the same, which a machine shared with others does not stretch
``warm_start_ratio``         warm over cold, by processor time
"""

from __future__ import annotations

import argparse
import gc
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from statistics import median
from typing import Any

import numpy as np
import shapely
from rich.progress import Progress

from core.activation import Activation
from core.family import Batch, Part, batch_of
from core.geofence import Geofence
from core.monitor import Monitor
from core.readings import Positions
from core.rows import fixes_from
from core.rules import DEFAULT_RULES
from tests.bench import report, town

ROUNDS = 5
FIXES = 1000
Figures = dict[str, float | int | str]


def seconds(
    run: Callable[[], object], rounds: int = ROUNDS, before: Callable[[], object] | None = None
) -> float:
    """Median time of ``run``, for all alike without the garbage collector, as ``timeit`` has it.

    ``before`` it, not counted, goes what it needs.
    """
    taken = []
    for _ in range(rounds + 1):
        if before is not None:
            before()
        gc.collect()
        gc.disable()
        began = time.process_time()
        run()
        taken.append(time.process_time() - began)
        gc.enable()
    return median(taken[1:])  # the first one warms caches, for all alike


class Checking(Geofence):
    """Zone checking without the wording of alerts, which no peer has."""

    def _alert(self, row: Any) -> Any:
        return row


class Zones:
    """Wearers, each with zones and positions, for our kernel and for the peers."""

    def __init__(self, wearers: int, zones: int, vertices: int, *, boundary: bool = False) -> None:
        rng = np.random.default_rng(11)
        self.rings, self.walks = [], []
        for home in town.homes(rng, wearers):
            middles = town.elsewhere(rng, home, zones)
            if boundary:
                middles[:] = home + np.array([600, 0]) / (town.KX_M, town.KY_M)
            self.rings.append([town.blob(rng, m, vertices, 600.0 if boundary else 0.0) for m in middles])
            self.walks.append(town.walk(rng, home, FIXES))
        self.fixes = wearers * FIXES
        family = Checking(DEFAULT_RULES)
        self.family = family
        self.handles = [
            family.enrol(town.activation(str(i), town.order(str(i), rings, None)))
            for i, rings in enumerate(self.rings)
        ]
        rows = [fixes_from(walk, DEFAULT_RULES.precision_floor_m) for walk in self.walks]
        self.batch = batch_of(positions=np.concatenate(rows))
        nothing = (0, 0)
        self.parts = [
            Part(handle, (i * FIXES, (i + 1) * FIXES), nothing, nothing, nothing)
            for i, handle in enumerate(self.handles)
        ]

    def ours(self) -> float:
        def blank() -> None:
            for handle in self.handles:
                self.family.reset(handle)  # type: ignore[arg-type]  # every wearer has zones

        batch: Batch = self.batch
        return seconds(lambda: self.family.advance(batch, self.parts), before=blank)

    def prepared(self) -> float:
        """``contains_xy`` on prepared zones, one call a wearer for all zones and positions."""
        shapes = [np.array([shapely.Polygon(ring) for ring in rings])[:, None] for rings in self.rings]
        for zones in shapes:
            shapely.prepare(zones)
        pairs = [
            (zones, walk.lon[None], walk.lat[None]) for zones, walk in zip(shapes, self.walks, strict=True)
        ]
        return seconds(lambda: [shapely.contains_xy(zones, lon, lat) for zones, lon, lat in pairs], 3)

    def distances(self) -> float:
        """What three values take: prepared ``contains_xy``, and the distance to the prepared boundary."""
        some = []
        for rings, walk in zip(self.rings, self.walks, strict=True):
            points = shapely.points(walk.lon, walk.lat)
            for ring in rings:
                zone = shapely.Polygon(ring)
                some.append((zone, zone.boundary, walk, points))
                shapely.prepare(some[-1][:2])
        return seconds(
            lambda: [
                (shapely.contains_xy(zone, walk.lon, walk.lat), shapely.distance(boundary, points))
                for zone, boundary, walk, points in some
            ],
            3,
        )

    def strtree(self) -> float:
        trees = [shapely.STRtree([shapely.Polygon(ring) for ring in rings]) for rings in self.rings]
        points = [shapely.points(walk.lon, walk.lat) for walk in self.walks]
        return seconds(
            lambda: [tree.query(some, predicate="within") for tree, some in zip(trees, points, strict=True)],
            3,
        )

    def matplotlib(self, share: int = 10) -> float | None:
        try:
            from matplotlib.path import Path
        except ImportError:
            return None
        some = len(self.rings) // share
        paths = [[Path(np.array(ring)) for ring in rings] for rings in self.rings[:some]]
        points = [np.stack([walk.lon, walk.lat], axis=1) for walk in self.walks[:some]]
        taken = seconds(
            lambda: [[p.contains_points(at) for p in mine] for mine, at in zip(paths, points, strict=True)], 3
        )
        return taken * len(self.rings) / some


def zone_checking() -> Figures:
    """Ours against the peers, in one run on the same data."""
    town_zones = Zones(1000, 10, 50)
    ours = town_zones.ours()
    figures: Figures = {
        "geofence_fixes_per_s": round(town_zones.fixes / ours),
        "geofence_vs_shapely": round(town_zones.prepared() / ours, 1),
        "geofence_vs_strtree": round(town_zones.strtree() / ours, 1),
    }
    third = town_zones.matplotlib()
    if third is not None:
        figures["geofence_vs_matplotlib"] = round(third / ours, 1)
    for name, zones in (
        ("500", Zones(100, 1, 500)),
        ("5000", Zones(100, 1, 5000)),
        ("boundary", Zones(100, 1, 500, boundary=True)),
        ("boundary_5000", Zones(100, 1, 5000, boundary=True)),
    ):
        ours, theirs = zones.ours(), zones.prepared()
        figures[f"geofence_vs_shapely_{name}"] = round(theirs / ours, 1)
        figures[f"geofence_fixes_per_s_{name}"] = round(zones.fixes / ours)
        if name.startswith("boundary"):
            kind = name.removeprefix("boundary")
            figures[f"geofence_boundary_vs_shapely_distance{kind}"] = round(zones.distances() / ours, 1)
    return figures


def population(wearers: int, orders: int) -> tuple[list[Activation], list[Positions]]:
    """Wearers with three zones and a curfew each; as many different orders as said."""
    rng = np.random.default_rng(12)
    imposed = []
    for i, home in enumerate(town.homes(rng, orders)):
        rings = [town.blob(rng, middle, 50) for middle in town.elsewhere(rng, home, 3)]
        imposed.append((home, town.order(str(i), rings, home)))
    bound = [town.activation(str(i), imposed[i % orders][1]) for i in range(wearers)]
    walks = [town.walk(rng, home, FIXES) for home, _ in imposed]
    return bound, walks


def whole_monitor() -> Figures:
    """From columns to alerts."""
    bound, walks = population(1000, 1000)
    now_ms = int(walks[0].t_ms[-1])
    made: list[Monitor] = []

    def fresh() -> None:
        made[:] = [Monitor()]
        for activation in bound:
            made[0].bind(activation)

    def bulk() -> None:
        for activation, walk in zip(bound, walks, strict=True):
            made[0].add(activation.id, walk)
        made[0].judge(now_ms)

    bulk_s = seconds(bulk, 3, before=fresh)
    fresh()
    steps = iter([[walk.take(slice(i, i + 1)) for walk in walks] for i in range(100)])

    def live() -> None:
        step = next(steps)
        for activation, one in zip(bound, step, strict=True):
            made[0].add(activation.id, one)
        made[0].judge(int(step[0].t_ms[0]))

    live_s = seconds(live, 20)
    return {
        "monitor_readings_per_s": round(len(bound) * FIXES / bulk_s),
        "monitor_live_per_s": round(len(bound) / live_s),
        "late_reading_cost_ratio": round(late_reading(bound[0], walks), 1),
    }


def late_reading(activation: Activation, walks: Iterable[Positions]) -> float:
    """What a reading costs that comes a day late, in readings that come in order, one by one."""
    rng = np.random.default_rng(13)
    walk = town.walk(rng, np.array(town.CENTRE), 4320)
    late = np.arange(1440, 2880, 72)
    in_order, behind = [], []
    monitor = Monitor()
    monitor.bind(activation)

    def put(i: int, now_ms: int) -> float:
        one = walk.take(slice(i, i + 1))
        began = time.process_time()
        monitor.add(activation.id, one)
        monitor.judge(now_ms)
        return time.process_time() - began

    for i in range(4320):
        if i not in late:
            in_order.append(put(i, int(walk.t_ms[i])))
        if i >= 2880 and i - 1440 in late:
            behind.append(put(i - 1440, int(walk.t_ms[i])))
    return median(behind) / median(in_order)


def growth(sizes: Iterable[int]) -> Figures:
    """Each size in a process of its own, so that memory is its own."""
    figures: Figures = {}
    first = last = 0.0
    for size in sizes:
        run = [sys.executable, "-m", "tests.bench.core", "--grown", str(size)]
        state_bytes, last = map(
            float, subprocess.run(run, check=True, capture_output=True, text=True).stdout.split()
        )
        first = first or last
        figures[f"growth_state_bytes_per_wearer_{size}"] = round(state_bytes)
        figures[f"growth_us_per_reading_{size}"] = round(last, 2)
    figures["growth"] = round(last / first, 2)
    run = [sys.executable, "-m", "tests.bench.core", "--lived-in", "10000"]
    lived = subprocess.run(run, check=True, capture_output=True, text=True).stdout
    figures["monitor_bytes_per_wearer"] = round(float(lived))
    return figures


class Gateway:
    """A monitor as a gateway has it, that can ask for readings and keeps few; wearers walk in step."""

    def __init__(self, bound: list[Activation], walks: list[Positions]) -> None:
        self.bound, self.walks = bound, walks
        self.monitor = Monitor(recall=lambda name, from_ms: Positions.empty())
        for activation in bound:
            self.monitor.bind(activation)

    def step(self, first: int, count: int = 1) -> None:
        """So many readings of every wearer, judged."""
        some = [walk.take(slice(first, first + count)) for walk in self.walks]
        for number, activation in enumerate(self.bound):
            self.monitor.add(activation.id, some[number % len(some)])
        self.monitor.judge(int(self.walks[0].t_ms[first + count - 1]))


def grown(wearers: int) -> None:
    """Print bytes a wearer, and microseconds a reading. What the program itself takes is not counted."""
    bound, walks = population(wearers, 1000)
    Gateway(bound[:1], walks).step(0)
    begun = resident()
    gateway = Gateway(bound, walks)
    gateway.step(0)
    taken = []
    for i in range(1, 4):
        began = time.process_time()
        gateway.step(i)
        taken.append(time.process_time() - began)
    print((resident() - begun) / wearers, median(taken) / wearers * 1e6)


def lived_in(wearers: int) -> None:
    """Print bytes a wearer after most of a day, with all checkpoints and as many readings as are kept on average."""
    bound, walks = population(wearers, 1000)
    Gateway(bound[:1], walks).step(0)
    begun = resident()
    gateway = Gateway(bound, walks)
    for first in range(0, 900, 45):
        gateway.step(first, 45)
    print((resident() - begun) / wearers)


def resident() -> int:
    """Bytes of memory that this process holds."""
    gc.collect()
    with open("/proc/self/statm") as file:  # noqa: PTH123 - not a file
        return int(file.read().split()[1]) * resource.getpagesize()


def starts() -> Figures:
    """Seconds from nothing to five days judged: kernels compiled, kernels cached; processor time too."""
    script = "from tests.core.test_monitor import digest; digest()"
    taken, busy = [], []
    with tempfile.TemporaryDirectory() as cache:
        for _ in range(6):
            began, used = time.perf_counter(), of_children()
            subprocess.run(
                [sys.executable, "-c", script], check=True, env={**os.environ, "NUMBA_CACHE_DIR": cache}
            )
            taken.append(time.perf_counter() - began)
            busy.append(of_children() - used)
    warm, warm_busy = median(taken[1:]), median(busy[1:])
    return {
        "cold_start_s": round(taken[0], 1),
        "warm_start_s": round(warm, 2),
        "cold_start_cpu_s": round(busy[0], 1),
        "warm_start_cpu_s": round(warm_busy, 2),
        "warm_start_ratio": round(warm_busy / busy[0], 3),
    }


def of_children() -> float:
    """Seconds of processor that ended child processes have used."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main() -> None:
    """Measure, and write ``bench.json``."""
    arguments = argparse.ArgumentParser(description="Measure the core.")
    arguments.add_argument("--grown", type=int, help=argparse.SUPPRESS)
    arguments.add_argument("--lived-in", type=int, help=argparse.SUPPRESS)
    arguments.add_argument("--only", choices=["zones", "monitor", "growth", "starts"], nargs="*")
    arguments.add_argument("--sizes", type=int, nargs="*", default=[10_000, 100_000, 1_000_000])
    chosen = arguments.parse_args()
    if chosen.grown:
        grown(chosen.grown)
        return
    if chosen.lived_in:
        lived_in(chosen.lived_in)
        return
    parts: dict[str, Callable[[], Figures]] = {
        "zones": zone_checking,
        "monitor": whole_monitor,
        "growth": lambda: growth(chosen.sizes),
        "starts": starts,
    }
    figures: Figures = {}
    with Progress(transient=True) as progress:
        names = chosen.only or list(parts)
        for name in progress.track(names, description="measuring the core"):
            figures |= parts[name]()
    report.write(figures)


if __name__ == "__main__":
    main()
