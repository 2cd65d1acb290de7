"""The watch of a home unit over itself: mains, back-up battery, place, case, watchdog."""

import records
from equipment import STATUS_MS
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

    class WatchBoard(Protocol):
        """What the watch needs of its board."""

        missed: int

        def mains(self) -> bool:
            """Whether the mains adapter gives power."""

        def moved(self) -> bool:
            """Whether the unit was moved within the last seconds."""

        def case_closed(self) -> bool:
            """Whether the case is shut."""

        def battery_mv(self) -> int:
            """The back-up battery's voltage."""

        def feed_watchdog(self) -> None:
            """The firmware is alive."""


# Of a lithium cell: some hours of 24 (NIJ's figure for a home unit is not known to us) are left below the first.
LOW_MV, WELL_MV = 3500, 3600
MOVED_EVERY_MS = 60000
_CODES = (
    (records.UNIT_MAINS, records.TAMPER_MAINS, 0),
    (records.UNIT_CASE_OPEN, records.TAMPER_CASE, 1),
    (records.UNIT_BATTERY_LOW, records.TAMPER_BACKUP_BATTERY, 1),
)


class Watch:
    """Makes tamper and equipment status readings; ``unit`` is what every contact says of the unit."""

    def __init__(self, journal: "Journal", clock: "Clock", link: "Wakes", board: "WatchBoard") -> None:
        self._journal = journal
        self._clock = clock
        self._link = link
        self._board = board
        # as if all were well, so that what is amiss at boot is told
        self.unit = records.UNIT_MAINS
        self._moving = False
        self._moved_ms: int | None = None
        self._status_ms = 0

    def seen(self) -> int:
        """Look at everything; what ``unit`` should be now. It is so after :meth:`tell`."""
        board = self._board
        board.feed_watchdog()
        unit = self.unit & (records.UNIT_MOVED | records.UNIT_BATTERY_LOW)
        if board.mains():
            unit |= records.UNIT_MAINS
        if not board.case_closed():
            unit |= records.UNIT_CASE_OPEN
        battery_mv = board.battery_mv()
        if battery_mv < LOW_MV:
            unit |= records.UNIT_BATTERY_LOW
        elif battery_mv >= WELL_MV:
            unit &= ~records.UNIT_BATTERY_LOW
        if board.moved():
            unit |= records.UNIT_MOVED
        return unit

    def tell(self, now_ms: int, unit: int) -> None:
        """Tell what differs from ``unit`` as it was, and how the equipment is if that is due."""
        t_ds, quality = self._clock.now()
        for bit, code, amiss in _CODES:
            if (unit ^ self.unit) & bit:
                detail = amiss if unit & bit else 1 - amiss
                if make(
                    self._journal,
                    self._link,
                    records.TAMPER,
                    t_ds,
                    records.tamper(code, detail, quality),
                    True,
                ):
                    self.unit ^= bit
        self._tell_moved(now_ms, t_ds, quality)
        if now_ms >= self._status_ms:
            self._status_ms = now_ms + STATUS_MS
            charger = 1 if self.unit & records.UNIT_MAINS else 0
            body = records.status(
                self._board.battery_mv(), records.UNKNOWN_TEMPERATURE, charger, self._board.missed, quality
            )
            make(self._journal, self._link, records.STATUS, t_ds, body, False)

    def tests(self) -> "dict[str, Callable[[], bool | str]]":
        """What an officer's tool asks: each True, or what is wrong."""
        board = self._board
        return {
            "mains": lambda: board.mains() or "no power",
            "case": lambda: board.case_closed() or "open",
            "battery": lambda: board.battery_mv() >= WELL_MV or "%d mV" % board.battery_mv(),
            "place": lambda: not board.moved() or "being moved",
        }

    def checked(self, _wish: "dict[str, object]") -> "dict[str, object]":
        """An officer has seen the unit in its place. Raises ValueError where flash refuses."""
        t_ds, quality = self._clock.now()
        if not make(
            self._journal,
            self._link,
            records.TAMPER,
            t_ds,
            records.tamper(records.TAMPER_UNIT_CHECKED, 0, quality),
            True,
        ):
            raise ValueError("flash refuses")
        self.unit &= ~records.UNIT_MOVED
        return {}

    def _tell_moved(self, now_ms: int, t_ds: int, quality: int) -> None:
        moving = self._board.moved()
        began, self._moving = moving and not self._moving, moving
        if not moving:
            return
        self.unit |= records.UNIT_MOVED  # until an officer's check
        if not began or (self._moved_ms is not None and now_ms - self._moved_ms < MOVED_EVERY_MS):
            return
        if make(
            self._journal,
            self._link,
            records.TAMPER,
            t_ds,
            records.tamper(records.TAMPER_MOVED, 1, quality),
            True,
        ):
            self._moved_ms = now_ms
        else:
            self._moving = False  # the next look tells it
