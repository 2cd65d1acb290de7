"""The demonstration: several people with tags, an evening at sixty times its pace, alerts as they arise."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from gateway.store import alerts as alert_book
from sim.cast import Part, cast, opening_ms
from sim.gnss import GnssReceiver
from sim.rig import Rig

_STEP_S = 1.0
"""How often, in real time, the tags move on and the gateway judges."""


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

    ``told`` hears of every alert that is new or changed.
    """

    def __init__(self, rig: Rig, speed: float, told: Callable[[dict[str, Any]], None]) -> None:
        self._rig = rig
        self._speed = speed
        self._told = told
        self._notice = 0
        self.parts: list[Part] = cast()
        self.start_ms = opening_ms(datetime.now(UTC))
        self.now_ms = self.start_ms

    def open(self) -> None:
        """Fit every tag."""
        for number, part in enumerate(self.parts):
            way = part.itinerary(self.start_ms)
            receiver = GnssReceiver(way, self._rig.seed + number)
            self._rig.enrol(part.device, self.start_ms, _forever(receiver, self.start_ms), order=part.order)

    def run(self, for_s: float | None, moved: Callable[[int], None] = lambda now_ms: None) -> None:
        """Go on for ``for_s`` real seconds, or until interrupted. ``moved`` hears of each step."""
        began = time.monotonic()
        while for_s is None or time.monotonic() - began < for_s:
            step_began = time.monotonic()
            self.now_ms += int(_STEP_S * 1000 * self._speed)
            self._rig.advance(self.now_ms)
            self._tell()
            moved(self.now_ms)
            left = _STEP_S - (time.monotonic() - step_began)
            time.sleep(max(left, 0))

    def close(self) -> Tally:
        """Let the tags send what they still hold; returns the tally."""
        self._rig.drain()
        self._tell()
        return self.tally()

    def tally(self) -> Tally:
        """What has come of it so far."""
        counters = [tag.counters() for tag in self._rig.tags.values()]
        status = self._rig.gateway.status()
        return Tally(
            tags=len(counters),
            sent=sum(counter["readings_made"] for counter in counters),
            committed=status["committed"],
            duplicates=status["duplicates"],
            quarantined=status["quarantined"],
        )

    def _tell(self) -> None:
        with self._rig.store.read() as connection:
            notices = alert_book.notices_after(connection, self._notice)
        for notice in notices:
            self._notice = notice["notice"]
            self._told(notice)


def _forever(receiver: GnssReceiver, start_ms: int) -> Iterator[tuple[int, bytes]]:
    minute_ms = 60_000
    at_ms = start_ms
    while True:
        yield from receiver.sentences(at_ms, at_ms + minute_ms)
        at_ms += minute_ms
