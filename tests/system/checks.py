"""An independent oracle for the system tests: the positions that gpsd expects of a log."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import select

from gateway.store import Store
from gateway.store.tables import alert_revision, device, order_version
from gateway.trail import positions_of

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


def told_of_people(data_dir: Path, store: Store) -> list[str]:
    """What the logs of a gateway tell of anybody: names, texts and places of orders, positions, sentences of alerts.

    Positions to a thousandth of a degree (about 100 m), as they are written in degrees and on the wire.
    """
    said = "".join(path.read_text(errors="replace") for path in sorted(data_dir.rglob("*.log")))
    assert "connected to the broker" in said, "these are the logs of a gateway that worked"
    said = re.sub(r"\d\d:\d\d:\d\d\.\d+", "", said)  # a time of day has such digits, too
    secrets: set[str] = set()
    with store.read() as connection:
        devices = set(connection.execute(select(device.c.id)).scalars())
        for (document,) in connection.execute(select(order_version.c.document)):
            secrets |= set(_texts(json.loads(document)))
        for (document,) in connection.execute(select(alert_revision.c.document)):
            alert = json.loads(document)
            secrets |= {alert["sentence"], *re.split(r"[;,.] ", alert["sentence"])}
        for name in devices:
            found = positions_of(connection, name)
            for where in (*found.lat.tolist(), *found.lon.tolist()):
                secrets |= {f"{where:.7f}"[:-4], str(round(where * 1e7))[:-4]}
    assert len(secrets) > 20
    # here wearers are called by their devices, which logs may name
    return sorted(secret for secret in secrets - devices if len(secret) > 4 and secret in said)


def _texts(part: Any) -> Iterable[str]:
    """The wearer's name and id, every name and text of an order, and its coordinates."""
    if isinstance(part, dict):
        for key, value in part.items():
            if isinstance(value, str) and key in ("name", "id", "text", "purpose", "reason", "order_id"):
                yield value
            yield from _texts(value)
    elif isinstance(part, list):
        for value in part:
            yield from _texts(value)
    elif isinstance(part, float):
        yield f"{part:.7f}"[:-4]
