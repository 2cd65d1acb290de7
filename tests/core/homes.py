"""Home units made up and real: contacts of a tag, interval by interval."""

from __future__ import annotations

import csv
import os
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from core.readings import Contacts, EventCode, Events, UnitFlag

DATA = Path(os.environ.get("TAGWATCH_DATA", "../shared/data")) / "rf-presence"
MAINS = int(UnitFlag.MAINS)
SPAN_S = 60.0


def contacts(
    *rows: tuple[int, int] | tuple[int, int, float] | tuple[int, int, float, int],
    unit: int = 0,
    span_s: float = SPAN_S,
    first: int = 1,
) -> Contacts:
    """Contacts from (t_ms, count[, strongest_dbm[, unit_ok]]), numbered as they stand, in the unit's own epoch."""
    full = [(*row, *(-60.0, MAINS)[len(row) - 2 :]) for row in rows]
    n = len(full)
    dbm = np.array([float(row[2]) if row[1] else np.nan for row in full], np.float64)
    return Contacts(
        t_ms=np.array([row[0] for row in full], np.int64),
        span_s=np.full(n, span_s),
        count=np.array([row[1] for row in full], np.int64),
        strongest_dbm=dbm,
        median_dbm=dbm,
        unit=np.full(n, unit, np.int64),
        unit_ok=np.array([int(row[3]) for row in full], np.uint8),
        epoch=np.full(n, 90 + unit, np.uint32),
        seq=np.arange(first, first + n, dtype=np.uint32),
    )


def events(*rows: tuple[int, EventCode] | tuple[int, EventCode, float]) -> Events:
    """Events from (t_ms, code[, value]), numbered as they stand, in an epoch of their own."""
    n = len(rows)
    return Events(
        t_ms=np.array([row[0] for row in rows], np.int64),
        code=np.array([int(row[1]) for row in rows], np.int64),
        value=np.array([float(row[2]) if len(row) == 3 else np.nan for row in rows], np.float64),
        epoch=np.full(n, 80, np.uint32),
        seq=np.arange(1, n + 1, dtype=np.uint32),
    )


def recordings() -> list[str]:
    """The files of recordings in the flat: those in which anchors heard something."""
    found = []
    for path in sorted((DATA / "flat").glob("*.csv")):
        with path.open(newline="") as lines:
            if any(column.startswith("rssi_") for column in next(csv.reader(lines), [])):
                found.append(path.name)
    return found


def beacons(name: str) -> dict[str, list[tuple[int, float]]]:
    """A recording in the flat: for each anchor (ms, dBm) of every beacon heard."""
    heard: dict[str, list[tuple[int, float]]] = {}
    with (DATA / "flat" / name).open(newline="") as lines:
        for row in csv.DictReader(lines):
            for key, value in row.items():
                if key.startswith("rssi_") and value:
                    heard.setdefault(key, []).append((int(float(row["ts"]) / 1e6), float(value)))
    return heard


def degraded(
    heard: Sequence[tuple[int, float]],
    every_ms: int,
    weaker_db: float,
    lost: Callable[[int], bool],
    to_ms: int,
) -> list[tuple[int, float]]:
    """A recording, begun anew until ``to_ms``, of which one beacon in ``every_ms`` was sent, and some are lost.

    Weaker by ``weaker_db``; ``lost`` says of each beacon by its number whether it is. Where the receiver heard none of
    the three or so of a second, that one is lost as well.
    """
    from_ms, length_ms = heard[0][0], heard[-1][0] - heard[0][0]
    found = []
    for number, t_ms in enumerate(range(from_ms, to_ms, every_ms)):
        at_ms = from_ms + (t_ms - from_ms) % length_ms
        there = [dbm for other_ms, dbm in heard if at_ms <= other_ms < at_ms + 1000]
        if there and not lost(number):
            found.append((t_ms, there[0] - weaker_db))
    return found


def listened(heard: Sequence[tuple[int, float]], from_ms: int, to_ms: int, span_s: float) -> Contacts:
    """What a home unit reports of ``heard``: one contact for each whole span, those with nothing heard too."""
    span_ms = int(span_s * 1000)
    rows: list[tuple[int, int, float]] = []
    for end_ms in range(from_ms + span_ms, to_ms + 1, span_ms):
        mine = [dbm for t_ms, dbm in heard if end_ms - span_ms <= t_ms < end_ms]
        rows.append((end_ms, len(mine), max(mine, default=0.0)))
    return contacts(*rows, span_s=span_s)
