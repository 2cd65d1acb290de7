"""Replay: a real receiver's bytes, or a bracelet's curve, through the real firmware, broker and gateway, to alerts."""

from __future__ import annotations

import functools
import json
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.readings import Positions
from sim import bracelets
from sim.bracelets import Bracelet, BraceletResult
from sim.recordings import Recording
from sim.rig import Rig

_WARM_UP_MS = 1000  # a tag is switched on this long before the first byte
_STEP_MS = 300_000  # how far time goes at full speed before the gateway judges
_REAL_STEP_S = 0.25  # how often it judges at a chosen speed


class ZoneFileError(ValueError):
    """The zone can not be used; the text says why."""


@dataclass(frozen=True)
class Result:
    """What came of one recording; ``to_json`` is what ``--json`` prints."""

    log: str
    positions: Positions
    rejected_sentences: int
    alerts: list[dict[str, Any]]

    def to_json(self) -> dict[str, Any]:
        """``log``, ``positions`` (as committed, in the order made), ``rejected_sentences``, ``alerts``."""
        columns = zip(
            self.positions.t_ms.tolist(),
            self.positions.lat.tolist(),
            self.positions.lon.tolist(),
            self.positions.precision_m.tolist(),
            strict=True,
        )
        return {
            "log": self.log,
            "positions": [
                {
                    "t": t_ms / 1000,
                    "lat": round(lat, 7),
                    "lon": round(lon, 7),
                    "precision_m": None if math.isnan(precision_m) else round(precision_m, 1),
                }
                for t_ms, lat, lon, precision_m in columns
            ],
            "rejected_sentences": self.rejected_sentences,
            "alerts": self.alerts,
        }


def zone_document(path: Path) -> Any:
    """The GeoJSON in ``path``. Raises ZoneFileError where it can not be read as JSON."""
    try:
        return json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise ZoneFileError(f"{path}: {error}; give a GeoJSON polygon") from None


def order_with_zone(wearer: str, zone: Any) -> dict[str, Any]:
    """An order with one exclusion zone that always holds."""
    return {
        "order_id": f"replay-{wearer}",
        "version": 1,
        "regime": "community_order",
        "wearer": {"id": wearer, "name": f"Wearer of {wearer}"},
        "effective": "1980-01-06T00:00:00Z",  # the first GPS week: a receiver may say any date since
        "conditions": [{"id": "zone", "type": "exclusion", "name": "Zone", "zone": zone}],
    }


def replay(
    rig: Rig,
    recordings: Sequence[Recording],
    *,
    zone: Any = None,
    speed: float | None = None,
    every_fix: bool = False,
) -> Iterator[Result]:
    """As `replay_all`, of receivers alone."""
    for result in replay_all(rig, recordings, zone=zone, speed=speed, every_fix=every_fix):
        assert isinstance(result, Result)
        yield result


def replay_all(
    rig: Rig,
    recordings: Sequence[Recording | Bracelet],
    *,
    zone: Any = None,
    speed: float | None = None,
    every_fix: bool = False,
    moved: Callable[[int, float], None] = lambda index, share: None,
) -> Iterator[Result | BraceletResult]:
    """Play ``recordings`` one after the other, each by a tag of its own; gives their results in the order given.

    ``speed`` is how many times faster than life, None as fast as it goes. ``moved`` hears how far recording ``index``
    has come, 0 to 1. Time runs forwards only, so they are played by the date they were captured; bracelets that were
    worn at the same time are played at the same time.
    """
    results: dict[int, Result | BraceletResult] = {}
    due = 0
    for group in _in_turn(recordings):
        worn = [one for index in group if isinstance(one := recordings[index], Bracelet)]
        if worn:
            played = bracelets.replay(rig, worn, group, speed=speed, moved=_of_group(group, moved))
            results |= dict(zip(group, played, strict=True))
        for index in group:
            if isinstance(one := recordings[index], Recording):
                results[index] = _one(
                    rig, index, one, zone, speed, every_fix, functools.partial(moved, index)
                )
        while due in results:
            yield results.pop(due)
            due += 1


def _of_group(group: Sequence[int], moved: Callable[[int, float], None]) -> Callable[[int, float], None]:
    return lambda number, share: moved(group[number], share)


def _in_turn(recordings: Sequence[Recording | Bracelet]) -> list[list[int]]:
    """Which recordings are played together, by their date."""
    groups: list[list[int]] = []
    end_ms = 0
    for index in sorted(range(len(recordings)), key=lambda index: recordings[index].start_ms):
        one = recordings[index]
        together = groups and isinstance(one, Bracelet) and isinstance(recordings[groups[-1][-1]], Bracelet)
        if together and one.start_ms <= end_ms:
            groups[-1].append(index)
            end_ms = max(end_ms, one.end_ms)
        else:
            groups.append([index])
            end_ms = one.end_ms
    return groups


def _one(
    rig: Rig,
    index: int,
    recording: Recording,
    zone: Any,
    speed: float | None,
    every_fix: bool,
    moved: Callable[[float], None],
) -> Result:
    device = f"gps{index:05d}"
    start_ms = recording.start_ms - _WARM_UP_MS
    order = None if zone is None else order_with_zone(device, zone)
    rig.enrol(device, start_ms, recording.chunks(rig.seed + index), order=order, every_fix=every_fix)
    length = max(recording.end_ms - start_ms, 1)
    at_ms, began = start_ms, time.monotonic()
    while at_ms < recording.end_ms:
        if speed is None:
            at_ms += _STEP_MS
        else:
            time.sleep(_REAL_STEP_S)
            at_ms = start_ms + int((time.monotonic() - began) * 1000 * speed)
        at_ms = min(at_ms, recording.end_ms)
        rig.advance(at_ms, device)
        moved((at_ms - start_ms) / length)
    rig.drain(device)
    counters = rig.retire(device)
    return Result(recording.name, rig.positions(device), counters["sentences_rejected"], rig.alerts(device))
