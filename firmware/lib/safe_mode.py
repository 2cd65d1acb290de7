"""Safe mode: a device whose firmware stops again and again goes on without the parts that may be to blame.

Three resets in a row that are not for want of power, each within ten minutes of boot, begin it: then only journal, link
and the watch over the equipment run. After an hour the whole device is tried again; if that stops once more, safe mode
lasts twice as long, up to a day. Ten minutes of whole life end the count. A watchdog that bites is a reset like others.
"""

import struct

import kept
from counters import count

try:
    from typing import TYPE_CHECKING
except ImportError:
    TYPE_CHECKING = False

if TYPE_CHECKING:
    from folder import Folder

LIFE_MS = 600000  # who lives so long is well
MOST_CRASHES = 3
FIRST_MS = 3600000
LONGEST_MS = 86400000
_FOR_POWER = (1, 4)  # reset causes of machine: power on, deep sleep
_FILE = "crashes"
_STATE = "<BBB"  # crashes in a row, times in safe mode, whether the next reset is meant


class SafeMode:
    """Counts crashes on flash. ``on``: this life is one in safe mode; ``crashes`` in a row led here."""

    def __init__(self, folder: "Folder", reset_cause: int) -> None:
        self.crashes = 0
        self._times = 0
        self._folder = folder
        meant = 0
        try:
            data = kept.read(folder, _FILE)
            if data is not None:
                self.crashes, self._times, meant = struct.unpack(_STATE, data)
        except ValueError:
            pass  # nothing is known of earlier lives: this one is given its chance
        before = (self.crashes, meant)
        if reset_cause in _FOR_POWER:
            self.crashes = 0
        elif not meant:
            self.crashes = min(self.crashes + 1, 255)
        self.on = self.crashes >= MOST_CRASHES
        if before != (self.crashes, 0):
            self._keep(0)

    def hold_ms(self) -> int:
        """How long safe mode lasts this time."""
        return min(FIRST_MS << min(self._times, 8), LONGEST_MS)

    def survived(self) -> None:
        """The whole device has lived for LIFE_MS."""
        if self.crashes or self._times:
            self.crashes = self._times = 0
            self._keep(0)

    def leave(self) -> None:
        """The whole device is to be tried again: a reset follows, which is no crash; the next crash is one too many."""
        self.crashes = MOST_CRASHES - 1
        self._times = min(self._times + 1, 255)
        self._keep(1)

    def meant(self) -> None:
        """A reset that somebody asked for follows; it is no crash."""
        self._keep(1)

    def _keep(self, meant: int) -> None:
        try:
            kept.write(self._folder, _FILE, struct.pack(_STATE, self.crashes, self._times, meant))
        except OSError:
            count("flash_errors")
