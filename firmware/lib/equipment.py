"""A worn device's watch over itself: strap, case, battery, charger, watchdog."""

import asyncio

import records
from counters import COUNTERS
from making import make

try:
    from typing import TYPE_CHECKING
except ImportError:
    TYPE_CHECKING = False

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Protocol

    from clock import Clock
    from journal import Journal
    from link import Wakes

    class EquipmentBoard(Protocol):
        """What the watch needs of its board."""

        def strap_closed(self) -> bool:
            """Whether the loop through the strap is whole, and has been since the last call."""

        def case_closed(self) -> bool:
            """Whether the case is closed, and has been since the last call."""

        def battery_mv(self) -> int:
            """The battery's voltage."""

        def charging(self) -> bool:
            """Whether it is on its charger."""

        def feed_watchdog(self) -> None:
            """The firmware is alive."""


VERSION = 0 * 256 + 1  # of the firmware, major x 256 + minor: told by each boot record
# A strap cut is stamped within 5 s (NIJ 1004.00, 5.4.1); a look may come late by what flash takes meanwhile.
LOOK_MS = 2000
# Often enough for a battery alarm well before it is empty; 96 records of 9 bytes a day.
STATUS_MS = 900000
WELL_MV = 3600  # with less a tag is not given to anybody
OPENED, CLOSED = 1, 0  # detail of a contact's tamper record


def started(journal: "Journal", clock: "Clock", link: "Wakes", reset_cause: int) -> None:
    """Record the boot, of whatever device."""
    t_ds, quality = clock.now()
    make(journal, link, records.BOOT, t_ds, records.boot(reset_cause, VERSION, journal.boots, quality))


class Equipment:
    """Makes tamper and equipment status readings."""

    def __init__(self, journal: "Journal", clock: "Clock", link: "Wakes", board: "EquipmentBoard") -> None:
        self._journal = journal
        self._clock = clock
        self._link = link
        self._board = board
        # taken for closed, so that what was opened while the tag was off is told at boot
        self._closed = {records.TAMPER_STRAP: True, records.TAMPER_CASE: True}
        self.changes = 0  # of strap and case, that were told since boot
        self._charging = 0
        self._status_ms = 0

    async def run(self) -> None:
        """Watch for ever."""
        while True:
            self.look()
            await asyncio.sleep_ms(LOOK_MS)

    def look(self) -> None:
        """Look at everything once."""
        self._board.feed_watchdog()
        self._contact(records.TAMPER_STRAP, self._board.strap_closed())
        self._contact(records.TAMPER_CASE, self._board.case_closed())
        charging = 1 if self._board.charging() else 0
        now_ms = self._clock.uptime_ms()
        if now_ms >= self._status_ms or charging != self._charging:
            self._status_ms = now_ms + STATUS_MS
            self._charging = charging
            t_ds, quality = self._clock.now()
            rejected = COUNTERS.get("sentences_rejected", 0)
            body = records.status(
                self._board.battery_mv(), records.UNKNOWN_TEMPERATURE, charging, rejected, quality
            )
            make(self._journal, self._link, records.STATUS, t_ds, body, False)

    def tests(self) -> "dict[str, Callable[[], bool | str]]":
        """What an officer's tool asks: each True, or what is wrong."""
        board = self._board
        return {
            "strap": lambda: self._closed[records.TAMPER_STRAP] or "open",
            "case": lambda: self._closed[records.TAMPER_CASE] or "open",
            "battery": lambda: board.battery_mv() >= WELL_MV or "%d mV" % board.battery_mv(),
            "charger": lambda: board.charging() or "not plugged in",
        }

    def checked(self, _wish: "dict[str, object]") -> "dict[str, object]":
        """An officer has seen the device on its wearer, strap and case whole. Raises ValueError where they are not."""
        self.look()
        if False in self._closed.values():
            raise ValueError("strap or case is open")
        t_ds, quality = self._clock.now()
        body = records.tamper(records.TAMPER_TAG_CHECKED, 0, quality)
        if not make(self._journal, self._link, records.TAMPER, t_ds, body, True):
            raise ValueError("flash refuses")
        return {}

    def strap_whole(self) -> bool:
        """Whether the strap was closed when it was last looked at."""
        return self._closed[records.TAMPER_STRAP]

    def _contact(self, code: int, closed: bool) -> None:
        """Tell that a contact has opened or closed; what flash refuses is told at the next look."""
        if closed != self._closed[code]:
            t_ds, quality = self._clock.now()
            body = records.tamper(code, CLOSED if closed else OPENED, quality)
            if make(self._journal, self._link, records.TAMPER, t_ds, body, True):
                self._closed[code] = closed
                self.changes += 1
