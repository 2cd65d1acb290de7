"""The beacons' counter: each is used once in the life of a tag, whatever happens to its power.

A block of counters is noted on flash as used up before the first of it is used; after a boot the next block begins.
Two files are written in turn, each with a CRC: should one become unreadable, the other tells where to begin, one block
later.
"""

import binascii
import struct

from counters import count

try:
    from typing import TYPE_CHECKING
except ImportError:
    TYPE_CHECKING = False

if TYPE_CHECKING:
    from folder import Folder

# 17 h of beacons: under two writes a day, and a boot makes the counter jump by no more.
BLOCK = 4096
# From when on the next block is asked for: hours before it is needed, should flash refuse for a while.
AHEAD = 1024
# Where both files are unreadable; no tag gets so far in a thousand years. It can help only once.
LOST = 1 << 31
_LAST = (1 << 32) - 1
_FILES = ("counter.a", "counter.b")
_LAYOUT = "<II"


class Reserve:
    """Gives counters; see :meth:`take`."""

    def __init__(self, folder: "Folder") -> None:
        self._folder = folder
        names = folder.names()
        upto = [self._read(name) if name in names else 0 for name in _FILES]
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
        self._next += skip
        if self._next + AHEAD > self._upto:
            self._more()
        if self._next > self._upto:
            return None
        taken = self._next
        self._next += 1
        return taken

    def _more(self) -> None:
        upto = min(max(self._upto, self._next) + BLOCK, _LAST)
        body = struct.pack(_LAYOUT, upto, 0)
        try:
            self._folder.replace(_FILES[self._turn], body + struct.pack("<I", binascii.crc32(body)))
        except OSError:
            count("flash_errors")  # the next beacon asks again
            return
        self._turn = 1 - self._turn
        self._upto = upto

    def _read(self, name: str) -> int:
        """What a file says; -1 where it says nothing."""
        size = struct.calcsize(_LAYOUT)
        try:
            data = self._folder.read(name, 0, size + 5)
        except OSError:
            return -1
        if len(data) != size + 4 or struct.unpack("<I", data[size:])[0] != binascii.crc32(data[:size]):
            return -1
        upto: int = struct.unpack(_LAYOUT, data[:size])[0]
        return upto
