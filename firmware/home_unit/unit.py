"""A home unit put together: what every device has, its ear for tags, and the watch over itself."""

import asyncio

import device
import records
import roster
from boards.esp32_radio import UnitBoard
from device import Device
from ear import Ear
from folder import Folder
from listening import Listening
from roster import Roster
from watch import Watch

try:
    from typing import TYPE_CHECKING
except ImportError:
    TYPE_CHECKING = False

if TYPE_CHECKING:
    from typing import NoReturn

    from clock import Clock

# Often enough for an opened strap to be sent within 5 s of its beacon, and for what the board can hold meanwhile.
LOOK_MS = 2000


class Unit:
    """The home unit's loop over its ear and its watch."""

    def __init__(
        self, board: UnitBoard, clock: "Clock", listening: Listening, ear: Ear, watch: Watch
    ) -> None:
        self._board = board
        self._clock = clock
        self._listening = listening
        self._ear = ear
        self._watch = watch

    async def run(self) -> None:
        """Listen for ever."""
        while True:
            self.look()
            await asyncio.sleep_ms(max(min(LOOK_MS, self._ear.end_ms - self._clock.uptime_ms()), 1))

    def look(self) -> None:
        """Take what was heard, look at the unit itself, and tell what is to be told."""
        now_ms = self._clock.uptime_ms()
        if self._listening.changed:
            self._listening.changed = False
            self._ear.listen(self._listening.tags, now_ms, self._watch.unit)
        for ticks, dbm, data in self._board.heard():
            self._ear.hear(self._clock.uptime_of(ticks), dbm, data)
        unit = self._watch.seen()
        if unit != self._watch.unit:
            # up to now the unit was as it was
            self._ear.cut(now_ms, self._watch.unit)
            if self._watch.unit & ~unit & records.UNIT_MAINS:
                self._ear.keep()
        self._watch.tell(now_ms, unit)
        self._ear.turn(now_ms, self._watch.unit)


KIND = "home_unit"


async def live(board: UnitBoard) -> None:
    """Be a home unit; returns only by raising what one of its parts could not deal with."""
    parts = Device(board, KIND)
    journal, clock, link = parts.journal, parts.clock, parts.link
    provisioned, heard = roster.load("/config.json"), Folder("/heard")
    listening = Listening(provisioned, heard, parts.key.now)
    parts.key.told.append(listening.rekey)
    parts.tell(listening.lost, records.TAMPER_KEPT_LOST, records.LOST_SETTINGS)
    parts.commands.handlers["hear"] = listening.hear
    parts.commands.handlers["unhear"] = listening.unhear
    ear = Ear(journal, clock, link, Roster(listening.tags, provisioned.interval_s), heard)
    watch = Watch(journal, clock, link, board)
    console = parts.console
    console.tests.update(watch.tests())
    console.tests["ear"] = lambda: ear.hears() or "no tag of its list heard yet"
    console.handlers["check"] = watch.checked
    console.handlers["hear"] = listening.console_hear
    console.handlers["unhear"] = listening.console_unhear
    console.handlers["tags"] = listening.console_tags
    console.handlers["survey"] = lambda _wish: {"heard": ear.survey(clock.uptime_ms())}
    console.check = listening.check
    await parts.run(Unit(board, clock, listening, ear, watch).run())


def run() -> "NoReturn":
    """Be a home unit until a reset."""
    device.run(UnitBoard(), live, KIND)
