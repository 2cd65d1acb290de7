"""Replay of alcohol: a real person's bracelet, through the real firmware of an alcohol tag, to events and days.

A recording is a CSV with ``local_time``, ``tac_g_dl``, ``ir_voltage``, ``temperature_f`` (as the SCRAM bracelets of the
UCI data set *Bar Crawl*); the local clock is read as civil time of London. What the recording does not hold, the feed
draws straight (`sim.alcohol_feed`).
"""

from __future__ import annotations

import csv
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from core.readings import Samples
from core.sober_rates import SoberDay
from gateway import commands, evidence
from gateway.trail import messages_of
from sim.alcohol_feed import CALIBRATION, Curve, bracelet
from sim.recordings import RecordingError
from sim.rig import Rig
from sim.sober_calendar import calendar

COLUMNS = {"local_time", "tac_g_dl", "ir_voltage", "temperature_f"}
DRANK = "drinking_event"
_LONDON = ZoneInfo("Europe/London")
_FIRST_STEP_MS, _FIRST_MS, _STEP_MS = 60_000, 360_000, 1_800_000
"""Commands to a tag that has just been fitted are followed minute by minute."""
_REAL_STEP_S = 0.25


@dataclass(frozen=True)
class Bracelet:
    """A recording of an ankle bracelet."""

    name: str
    curve: Curve

    @property
    def start_ms(self) -> int:
        """The instant of the first reading, UTC."""
        return int(self.curve.t_ms[0])

    @property
    def end_ms(self) -> int:
        """The instant of the last reading, UTC."""
        return int(self.curve.t_ms[-1])


@dataclass(frozen=True)
class BraceletResult:
    """What came of one bracelet; ``to_json`` is what ``--json`` prints."""

    log: str
    samples: Samples
    alerts: list[dict[str, Any]]
    days: tuple[SoberDay, ...]

    @property
    def drinking(self) -> list[dict[str, Any]]:
        """The drinking events."""
        return [alert for alert in self.alerts if alert["rule"] == DRANK and alert["state"] != "withdrawn"]

    def to_json(self) -> dict[str, Any]:
        """``log``, ``samples`` (as committed, in order of time), ``alerts``, ``days``."""
        columns = zip(
            self.samples.t_ms.tolist(),
            self.samples.tac_g_dl.tolist(),
            self.samples.ir_v.tolist(),
            self.samples.temp_c.tolist(),
            strict=True,
        )
        return {
            "log": self.log,
            "samples": [
                {"t": t_ms / 1000}
                | {
                    name: None if math.isnan(value) else round(value, 5)
                    for name, value in (("tac_g_dl", tac), ("ir_v", ir), ("temp_c", temp))
                }
                for t_ms, tac, ir, temp in columns
            ],
            "alerts": self.alerts,
            "days": [
                {
                    "day": day.day.isoformat(),
                    "state": day.state.value,
                    "valid": day.valid,
                    "half_hours": day.half_hours,
                    "reasons": [reason.sentence for reason in day.reasons],
                }
                for day in self.days
            ],
        }


def is_bracelet(path: Path) -> bool:
    """Whether the file's first line names the columns of a bracelet."""
    try:
        with path.open(encoding="utf-8-sig", errors="replace") as file:
            return path.suffix == ".csv" and "tac_g_dl" in next(csv.reader(file), [])
    except OSError:
        return False


def load(path: Path) -> Bracelet:
    """Read a bracelet. Raises RecordingError where the file can not be read as one."""
    try:
        with path.open(encoding="utf-8-sig") as file:
            missing = COLUMNS - set(next(csv.reader(file), []))
        if missing:
            raise RecordingError(
                f"{path}: a bracelet has the columns {sorted(COLUMNS)}, this file lacks {missing}"
            )
        curve = bracelet(path, _LONDON)
    except (OSError, ValueError, TypeError) as error:
        if isinstance(error, RecordingError):
            raise
        raise RecordingError(f"{path}: {error}; give readings of a bracelet") from None
    if len(curve.t_ms) < 2 or not (curve.t_ms[1:] > curve.t_ms[:-1]).all():
        raise RecordingError(f"{path}: a bracelet has two readings or more, one after the other")
    return Bracelet(path.name, curve)


def replay(
    rig: Rig,
    bracelets: Sequence[Bracelet],
    numbers: Sequence[int],
    *,
    speed: float | None = None,
    moved: Callable[[int, float], None] = lambda index, share: None,
) -> list[BraceletResult]:
    """Play ``bracelets`` side by side, each by a tag of its own under an order to abstain; results in their order.

    ``numbers`` name the tags; ``moved`` hears how far each has come, 0 to 1; ``speed`` is how many times faster than
    life, None as fast as it goes. As an officer does, the baseline is taken in the first minutes. Raises RecordingError
    where one begins before the rig's present time.
    """
    waiting = sorted(range(len(bracelets)), key=lambda index: bracelets[index].start_ms)
    devices = [f"alc{number:05d}" for number in numbers]
    worn: list[int] = []
    now_ms = bracelets[waiting[0]].start_ms
    if now_ms < rig.now_ms:
        raise RecordingError(
            f"{bracelets[waiting[0]].name} begins before what is played before it ends: play it apart"
        )
    results: dict[int, BraceletResult] = {}
    while len(results) < len(bracelets):
        while waiting and bracelets[waiting[0]].start_ms <= now_ms:
            index = waiting.pop(0)
            _fit(rig, devices[index], bracelets[index], now_ms)
            worn.append(index)
        marks = [bracelets[index].end_ms for index in worn] + [
            bracelets[index].start_ms for index in waiting[:1]
        ]
        fresh = any(now_ms < bracelets[index].start_ms + _FIRST_MS for index in worn)
        step_ms = _FIRST_STEP_MS if fresh else _STEP_MS
        if speed is not None:
            step_ms = min(step_ms, max(1, int(_REAL_STEP_S * 1000 * speed)))
            time.sleep(step_ms / 1000 / speed)
        now_ms = min([now_ms + step_ms, *(mark for mark in marks if mark > now_ms)])
        rig.advance(now_ms)
        for index in list(worn):
            one = bracelets[index]
            moved(index, min((now_ms - one.start_ms) / (one.end_ms - one.start_ms), 1.0))
            if now_ms >= one.end_ms:
                worn.remove(index)
                results[index] = _result(rig, devices[index], one)
    return [results[index] for index in range(len(bracelets))]


def _fit(rig: Rig, device: str, one: Bracelet, now_ms: int) -> None:
    order = {
        "order_id": f"replay-{device}",
        "version": 1,
        "regime": "community_order",
        "wearer": {"id": device, "name": f"Wearer of {one.name.removesuffix('_raw.csv')}"},
        "effective": "1980-01-06T00:00:00Z",
        "conditions": [{"id": "alcohol", "type": "alcohol", "mode": "abstinence"}],
    }
    tag = rig.enrol(device, now_ms, (), order=order, kind="alcohol_tag", fuel_cell=CALIBRATION["fuel_cell"])
    one.curve.play(tag, now_ms, one.end_ms)
    commands.queue(rig.store, device, "baseline", {}, now_ms=now_ms)


def _result(rig: Rig, device: str, one: Bracelet) -> BraceletResult:
    rig.drain(device)
    with rig.store.read() as connection:
        samples = evidence.said(messages_of(connection, device)).samples
    samples = samples.take(samples.t_ms.argsort(kind="stable"))
    days = calendar(rig.store, f"{device}-1", rig.now_ms)
    alerts = rig.alerts(device)
    rig.retire(device)
    return BraceletResult(one.name, samples, alerts, tuple(day for some in days.values() for day in some))
