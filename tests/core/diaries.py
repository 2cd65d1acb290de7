"""The real trails of `trails/` with what their bearers wrote down, and how well stops agree with it."""

from __future__ import annotations

import csv
import os
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np
import numpy.typing as npt

from core.readings import Positions
from core.rows import Fixes, fixes_from
from core.rules import DEFAULT_RULES
from core.stops import Stops

TRAILS = Path(os.environ.get("TAGWATCH_DATA") or Path(__file__).parents[3] / "shared" / "data") / "trails"
PHONE_PRECISION_M = 10.0
"""The phones wrote none down: what NIJ 1004.00 asks of a tag outdoors (domain.md, P/M)."""


@dataclass(frozen=True)
class Day:
    """One phone on one day; ``stopped`` is the diary, position by position, in the order of ``fixes``."""

    name: str
    fixes: Fixes
    stopped: npt.NDArray[np.bool_]
    mode: npt.NDArray[np.str_]

    @property
    def scorable(self) -> bool:
        """A day without a single mode was never filled in: its stop is TRUE throughout (SOURCE.md)."""
        return bool((self.mode != "").any())


def day(name: str) -> Day:
    with (TRAILS / f"ssi_open_geodata-{name}.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    n = len(rows)
    nothing = np.full(n, np.nan)
    times = [int(datetime.fromisoformat(row["timestamp"]).timestamp()) * 1000 for row in rows]
    fixes = fixes_from(
        Positions(
            t_ms=np.array(times, np.int64),
            lat=np.array([float(row["latitude"]) for row in rows]),
            lon=np.array([float(row["longitude"]) for row in rows]),
            precision_m=np.full(n, PHONE_PRECISION_M),
            speed_kmh=nothing,
            course_deg=nothing,
            hdop=nothing,
            satellites=np.full(n, -1, np.int16),
            flags=np.full(n, 7, np.uint8),
            epoch=np.full(n, 1, np.uint32),
            seq=np.arange(1, n + 1, dtype=np.uint32),
        ),
        DEFAULT_RULES.precision_floor_m,
    )
    made = (fixes["key"] & np.uint64(0xFFFFFFFF)).astype(np.intp) - 1
    stopped = np.array([row["stop"] == "TRUE" for row in rows])[made]
    return Day(name, fixes, stopped, np.array([row["mode"] for row in rows])[made])


def days() -> list[Day]:
    return [day(path.stem.removeprefix("ssi_open_geodata-")) for path in sorted(TRAILS.glob("*.csv"))]


def within(stops: Stops, t_ms: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """Which instants lie within a stop."""
    inside = np.zeros(len(t_ms), np.bool_)
    for stop in stops:
        inside |= (t_ms >= stop["arrival_ms"]) & (t_ms < stop["departure_ms"])
    return inside


def spells(day: Day) -> list[tuple[int, int, bool]]:
    """The diary as intervals: (from_ms, to_ms, stopped)."""
    t, change = day.fixes["t_ms"], np.flatnonzero(np.diff(day.stopped.astype(int))) + 1
    starts, ends = [0, *change.tolist()], [*change.tolist(), len(t) - 1]
    return [(int(t[a]), int(t[b]), bool(day.stopped[a])) for a, b in zip(starts, ends, strict=True)]
