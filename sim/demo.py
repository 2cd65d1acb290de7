"""The demonstration: a dozen people of the town with tags, a night at sixty times its pace, alerts as they arise."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any

import numpy as np

from core.sober_rates import SoberDay
from gateway import commands
from gateway.store import alerts as alert_book
from gateway.store import envelopes
from sim import alcohol_feed, equipment, radio
from sim.alcohol_feed import CALIBRATION
from sim.bench.tag import MOVING_PIN, VirtualTag
from sim.cast import Part, cast, opening_ms
from sim.gnss import receive
from sim.life import Life, spans_hold
from sim.rig import Rig
from sim.sentences import sentences
from sim.sober_calendar import calendar

_STEP_S = 1.0
"""How often, in real time, the tags move on and the gateway judges."""
_FIX_MS = 5000
_MINUTE_MS, _HOUR_MS = 60_000, 3_600_000
_FITTING_MS = 5 * _MINUTE_MS
_STIR_MS, _STIRS_MS = 4 * _MINUTE_MS, 4000
"""Nobody sleeps: an ankle moves so often, and no tag goes to rest."""
_LOOK_MS = 2 * _MINUTE_MS
"""How often the calendars are looked at."""


@dataclass
class Tally:
    """What has come of it so far, in readings."""

    tags: int
    sent: int = 0
    committed: int = 0
    duplicates: int = 0
    quarantined: int = 0


class Demo:
    """Moves the people of ``sim.cast`` at ``speed`` times life.

    ``told`` hears of every alert that is new or changed, ``counted`` of every day that is counted while it runs.
    """

    def __init__(
        self,
        rig: Rig,
        speed: float,
        told: Callable[[dict[str, Any]], None],
        counted: Callable[[Part, SoberDay], None] = lambda part, day: None,
    ) -> None:
        self._rig = rig
        self._speed = speed
        self._told = told
        self._counted = counted
        self._notice = 0
        self.start_ms = opening_ms(datetime.now(UTC))
        self.parts: list[Part] = cast(self.start_ms)
        self.now_ms = self.parts[0].life.start_ms
        self._pins: dict[str, Iterator[tuple[int, int, int]]] = {}
        self._days: set[tuple[str, str, str]] = set()
        self._looked_ms = 0

    def open(self, lived: Callable[[float], None] = lambda share: None) -> None:
        """Fit every tag. Alcohol tags live the day that is counted first; ``lived`` hears how much of it, 0 to 1."""
        drinkers = [part for part in self.parts if part.kind == "alcohol_tag"]
        for part in drinkers:
            self._fit(part)
            commands.queue(self._rig.store, part.device, "baseline", {}, now_ms=part.life.start_ms)
        first_ms = min(part.life.start_ms for part in drinkers)
        at_ms = first_ms
        while at_ms < self.now_ms:
            # an officer who has fitted a tag looks on while the baseline is taken
            at_ms = min(at_ms + (_HOUR_MS if at_ms >= first_ms + _FITTING_MS else _MINUTE_MS), self.now_ms)
            self._advance(at_ms)
            lived((at_ms - first_ms) / (self.now_ms - first_ms))
        for part in self.parts:
            if part not in drinkers:
                self._fit(part)
        for unit in dict.fromkeys(part.unit for part in self.parts if part.unit):
            self._install(unit, [part for part in self.parts if part.unit == unit])
        self._look(silently=True)
        self._advance(self.start_ms)

    def run(self, for_s: float | None, moved: Callable[[int], None] = lambda now_ms: None) -> None:
        """Go on for ``for_s`` seconds at the demonstration's speed, or until interrupted; ``moved`` hears of each step.

        A machine that is too slow for the speed shows the same, and takes longer.
        """
        until_ms = None if for_s is None else self.now_ms + round(for_s * 1000 * self._speed)
        while until_ms is None or self.now_ms < until_ms:
            step_began = time.monotonic()
            self._advance(self.now_ms + int(_STEP_S * 1000 * self._speed))
            self._tell()
            self._look()
            moved(self.now_ms)
            left = _STEP_S - (time.monotonic() - step_began)
            time.sleep(max(left, 0))

    def close(self) -> Tally:
        """Let the tags send what they hold now; returns the tally of it.

        Home units and alcohol tags go on meanwhile; what they make then is not counted.
        """
        made = {device: tag.counters().get("readings_made", 0) for device, tag in self._rig.tags.items()}
        self._rig.drain()
        self._tell()
        status = self._rig.gateway.status()
        with self._rig.store.read() as connection:
            stored = {device: envelopes.ranges(connection, device) for device in made}
        return Tally(
            tags=len(self.parts),
            sent=sum(made.values()),
            committed=sum(
                min(
                    count,
                    sum(part.last - part.first + 1 for parts in stored[device].values() for part in parts),
                )
                for device, count in made.items()
            ),
            duplicates=status["duplicates"],
            quarantined=status["quarantined"],
        )

    def _fit(self, part: Part) -> None:
        life = part.life
        line = _said(life) if part.kind == "gps_tag" else iter(())
        config: dict[str, Any] = {**CALIBRATION} if part.kind == "alcohol_tag" else {}
        self._rig.enrol(part.device, life.start_ms, line, order=life.order, kind=part.kind, **config)
        self._pins[part.device] = _felt(part)
        self._feed(part.device, life.start_ms)

    def _install(self, unit: str, parts: list[Part]) -> None:
        ears = {part.device: partial(radio.heard, part.life, part.life.units[0]) for part in parts}
        self._rig.enrol_unit(unit, self.now_ms, list(ears), ears=ears)

    def _feed(self, device: str, to_ms: int) -> None:
        tag: VirtualTag = self._rig.tags[device]
        for at_ms, pin, level in self._pins[device]:
            tag.set_pin(at_ms, pin, level)
            if at_ms > to_ms:
                return

    def _advance(self, t_ms: int) -> None:
        for device in self._pins:
            self._feed(device, t_ms)
        self._rig.advance(t_ms)
        self.now_ms = max(self.now_ms, t_ms)

    def _tell(self) -> None:
        with self._rig.store.read() as connection:
            notices = alert_book.notices_after(connection, self._notice)
        for notice in notices:
            self._notice = notice["notice"]
            self._told(notice)

    def _look(self, *, silently: bool = False) -> None:
        """See whether the rules have counted another day."""
        if self.now_ms < self._looked_ms + _LOOK_MS:
            return
        self._looked_ms = self.now_ms
        for part in self.parts:
            if part.kind != "alcohol_tag":
                continue
            for condition, days in calendar(self._rig.store, f"{part.device}-1", self.now_ms).items():
                for day in days:
                    key = part.device, condition, day.day.isoformat()
                    if key not in self._days:
                        self._days.add(key)
                        if not silently:
                            self._counted(part, day)


def _said(life: Life) -> Iterator[tuple[int, bytes]]:
    """What the receiver says, hour by hour."""
    for hour_ms in range(life.start_ms, life.end_ms, _HOUR_MS):
        first_ms = -(-hour_ms // _FIX_MS) * _FIX_MS
        yield from sentences(
            receive(life, np.arange(first_ms, min(hour_ms + _HOUR_MS, life.end_ms), _FIX_MS))
        )


def _felt(part: Part) -> Iterator[tuple[int, int, int]]:
    """``(instant, pin, level)`` at the inputs of a tag, in order, hour by hour."""
    life = part.life
    moves = _moves(life) if part.kind == "gps_tag" else []
    for from_ms in range(life.start_ms, life.end_ms, _HOUR_MS):
        to_ms = min(from_ms + _HOUR_MS, life.end_ms)
        played = list(equipment.levels(life, part.kind, from_ms, to_ms))
        if part.kind == "alcohol_tag":
            played += alcohol_feed.levels_of(life, from_ms, to_ms)
        played += [(at_ms, MOVING_PIN, level) for at_ms, level in moves if from_ms <= at_ms < to_ms]
        yield from sorted(played)


def _moves(life: Life) -> list[tuple[int, int]]:
    """When a tag begins to move (1) and lies still (0): while the wearer goes somewhere, and now and then."""
    way = life.way
    goes = (way.lat != way.to_lat) | (way.lon != way.to_lon)
    ends = np.append(way.start_ms[1:], way.end_ms)
    spans = [*zip(way.start_ms[goes].tolist(), ends[goes].tolist(), strict=True)]
    stirs = np.arange(life.start_ms, life.end_ms, _STIR_MS)
    spans += [(at, at + _STIRS_MS) for at in stirs[~spans_hold(life.off_ankle, stirs)].tolist()]
    found: list[tuple[int, int]] = []
    until_ms = -1
    for begin_ms, end_ms in sorted(spans):
        if begin_ms > until_ms:
            found += [(until_ms, 0), (begin_ms, 1)]
        until_ms = max(until_ms, end_ms)
    return [*found, (until_ms, 0)][1:]
