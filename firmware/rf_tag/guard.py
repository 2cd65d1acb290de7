"""The watch of an RF tag over its strap, its case and its battery; what it has seen outlives a lack of power."""

import beacon
import kept
from counters import count

try:
    from typing import TYPE_CHECKING
except ImportError:
    TYPE_CHECKING = False

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Protocol

    from folder import Folder

    class Contacts(Protocol):
        """What the watch needs of its board."""

        def strap_closed(self) -> bool:
            """Whether the loop through the strap is whole."""

        def case_closed(self) -> bool:
            """Whether the case is shut."""

        def battery_mv(self) -> int:
            """The battery's voltage."""


_FILE = "seal"
_KEPT = beacon.STRAP_OPEN | beacon.STRAP_WAS_OPENED | beacon.CASE_OPEN
# Of a lithium primary cell of 3.6 V: what is left below the first figure lasts for weeks, not months.
LOW_MV, WELL_MV = 3300, 3400
_BATTERY_EVERY = 720  # looks: an hour


class Guard:
    """``state`` and ``battery`` as a beacon says them; see :meth:`look`."""

    def __init__(self, folder: "Folder", board: "Contacts", now_ms: int) -> None:
        self._folder = folder
        self._board = board
        self._kept = self._read()
        self.state = self._kept
        self.battery = beacon.UNKNOWN_BATTERY
        self._looks = 0
        # what was opened before this boot is told as opened then, at the latest
        self._changed_ms: int | None = now_ms if self._kept else None
        self.look(now_ms)

    def look(self, now_ms: int) -> bool:
        """Look at everything; whether strap or case have changed."""
        if self._looks % _BATTERY_EVERY == 0:
            self._measure()
        self._looks += 1
        state = self.state & ~(beacon.STRAP_OPEN | beacon.CASE_OPEN)
        if not self._board.strap_closed():
            state |= beacon.STRAP_OPEN | beacon.STRAP_WAS_OPENED
        if not self._board.case_closed():
            state |= beacon.CASE_OPEN
        changed = (state ^ self.state) & _KEPT != 0
        if changed:
            self._changed_ms = now_ms
        self.state = state
        self._keep()
        return changed

    def tests(self) -> "dict[str, Callable[[], bool | str]]":
        """What an officer's tool asks: each True, or what is wrong."""
        board = self._board
        return {
            "strap": lambda: board.strap_closed() or "open",
            "case": lambda: board.case_closed() or "open",
            "battery": lambda: board.battery_mv() >= WELL_MV or "%d mV" % board.battery_mv(),
        }

    def checked(self, _wish: "dict[str, object]") -> "dict[str, object]":
        """An officer has seen the strap whole on the wearer. Raises ValueError where strap or case is open."""
        if not self._board.strap_closed() or not self._board.case_closed():
            raise ValueError("strap or case is open")
        self.state &= ~beacon.STRAP_WAS_OPENED
        self._keep()
        return {}

    def age(self, now_ms: int) -> int:
        """How long ago strap or case last changed, in its unit."""
        if self._changed_ms is None:
            return beacon.UNKNOWN_AGE
        return min((now_ms - self._changed_ms) // beacon.AGE_UNIT_MS, beacon.UNKNOWN_AGE)

    def _measure(self) -> None:
        battery_mv = self._board.battery_mv()
        self.battery = min(battery_mv // beacon.BATTERY_UNIT_MV, 254)
        if battery_mv < LOW_MV:
            self.state |= beacon.BATTERY_LOW
        elif battery_mv >= WELL_MV:
            self.state &= ~beacon.BATTERY_LOW

    def _keep(self) -> None:
        state = self.state & _KEPT
        if state == self._kept:
            return
        try:
            kept.write(self._folder, _FILE, bytes((state,)))
        except OSError:
            count("flash_errors")  # the next look tries again
            return
        self._kept = state

    def _read(self) -> int:
        try:
            data = kept.read(self._folder, _FILE)
        except ValueError:
            # a tag that can not tell whether it was opened must not be believed
            count("seal_unreadable")
            return beacon.STRAP_WAS_OPENED
        return data[0] & _KEPT if data else 0
