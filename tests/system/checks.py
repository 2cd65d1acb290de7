"""An independent oracle for the system tests: the positions that gpsd expects of a log."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path

TOLERANCE_DEGREES = 2e-6

Point = tuple[float, float]


def gpsd_positions(check: Path) -> list[Point]:
    """Every position, in order, that gpsd gave as a 2D or 3D fix for a log (its ``.chk``)."""
    found = []
    for line in check.read_bytes().splitlines():
        if not line.startswith(b'{"class":"TPV"'):
            continue
        report = json.loads(line)
        if report.get("mode", 0) >= 2 and "lat" in report and "lon" in report:
            found.append((report["lat"], report["lon"]))
    return found


def first_stranger(positions: Iterable[Point], truth: Sequence[Point]) -> Point | None:
    """The first of ``positions`` that is not in ``truth`` at or after the place of the one before it, or None."""
    at = 0
    for lat, lon in positions:
        while at < len(truth) and not (
            abs(truth[at][0] - lat) <= TOLERANCE_DEGREES and abs(truth[at][1] - lon) <= TOLERANCE_DEGREES
        ):
            at += 1
        if at == len(truth):
            return lat, lon
    return None
