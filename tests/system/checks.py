"""Independent oracles for the system tests: gpsd's expected positions, and what a disturbed run must have kept."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

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


def essence(alerts: Iterable[dict[str, Any]]) -> list[tuple[Any, ...]]:
    """What must not differ between two runs of the same day, whatever was killed in between.

    Numbers of readings are left out: a tag that was killed has made one more boot record, so later numbers differ.
    """
    return sorted(
        (alert["id"], alert["rule"], alert["condition"], alert["start"], alert["end"], alert["state"])
        for alert in alerts
        if alert["state"] != "withdrawn"
    )
