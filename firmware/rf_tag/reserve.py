"""The beacons' counter: each is used once in the life of a tag, whatever happens to its power.

A block of counters is noted on flash as used up before the first of it is used; after a boot the next block begins.
Two files are written in turn, each with a CRC: should one become unreadable, the other tells where to begin, one block
later.
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

# 17 h of beacons: under two writes a day.
BLOCK = 4096
# So many before its end the next block is asked for: should flash refuse, 4 h are left.
AHEAD = 1024
# Where both files are unreadable; no tag gets so far in a thousand years. It can help only once.
LOST = 1 << 31
_LAST = (1 << 32) - 1
_FILES = ("counter.a", "counter.b")


class Reserve:
    """Gives counters; see :meth:`take`."""

    def __init__(self, folder: "Folder") -> None:
        self._folder = folder
        upto = [self._read(name) for name in _FILES]
        unreadable = upto.count(-1)
        best = max(upto)
        if unreadable:
            count("counter_unreadable", unreadable)
            # it may have been the later one by a block
            best = best + BLOCK if best > 0 else LOST
        self._turn = 0 if upto[0] < upto[1] else 1  # the older one is written next
        self._upto = best
        self._next = best + 1

    def take(self, skip: int = 0) -> int | None:
        """The next counter, ``skip`` later; None when none may be used because flash refuses."""
        taken = self._next + skip
        self._next = taken + 1
        if taken + AHEAD > self._upto:
            self._more(taken)
        return taken if taken <= self._upto else None

    def _more(self, taken: int) -> None:
        upto = min(max(self._upto, taken) + BLOCK, _LAST)
        try:
            kept.write(self._folder, _FILES[self._turn], struct.pack("<I", upto))
        except OSError:
            count("flash_errors")  # the next beacon asks again
            return
        self._turn = 1 - self._turn
        self._upto = upto

    def _read(self, name: str) -> int:
        """What a file says; 0 where there is none, -1 where it can not be read."""
        try:
            data = kept.read(self._folder, name)
        except ValueError:
            return -1
        upto: int = struct.unpack("<I", data)[0] if data else 0
        return upto
