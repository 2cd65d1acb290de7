"""Journal segments: files of about 4 KB that hold records in the order of their numbers, one lane each.

A segment is named by its lane's letter and its first number in hexadecimal. It begins with a magic number and the
journal epoch; each record carries a CRC that starts from the epoch, so that nothing of another journal is ever read
as this one's. Reading stops at the first record that is not whole.
"""

import binascii
import struct
from array import array

from counters import count

try:
    from typing import TYPE_CHECKING
except ImportError:
    TYPE_CHECKING = False

if TYPE_CHECKING:
    from collections.abc import Iterator

    from folder import Folder
    from records import Reading

SEGMENT_BYTES = 4096  # an erase block of common flash
_MAGIC = b"TWj1"
_HEADER = 8
_HEAD = "<BBIBI"  # body length, kind, number, instant: high 8 bits, low 32
_HEAD_BYTES = 11
_CHUNK = 512  # holds the largest record, of 270 bytes
_SMALLEST = _HEAD_BYTES + 1 + 4  # a record with a body of one byte


def pack_record(epoch: int, reading: "Reading") -> bytes:
    """One record as it stands in a segment."""
    number, kind, t_ds, body = reading
    head = struct.pack(_HEAD, len(body), kind, number, t_ds >> 32, t_ds & 0xFFFFFFFF)
    return head + body + struct.pack("<I", binascii.crc32(head + body, epoch))


class _Window:
    """A piece of one segment, in memory that is there from the start.

    In small pieces: after days of work a heap of 64 KiB has no 4 KB in one, nor always 512 bytes. Two readers in turn
    only make it load more often.
    """

    def __init__(self, folder: "Folder") -> None:
        self.buffer = bytearray(_CHUNK)
        self.start = self.length = 0
        self._view = memoryview(self.buffer)
        self._folder = folder
        self._name = ""

    def forget(self) -> None:
        """A segment has changed."""
        self._name = ""

    def holds(self, name: str, offset: int, n: int) -> bool:
        """Whether ``n`` bytes of a segment from ``offset`` on are here, or can be had."""
        return self._holds(name, offset, n) or (self._load(name, offset) and self._holds(name, offset, n))

    def record(self, name: str, offset: int, epoch: int) -> int:
        """The size of the whole record's body at ``offset``; 0 where none is."""
        if not self.holds(name, offset, _HEAD_BYTES):
            return 0
        size = self.buffer[offset - self.start]
        if not size or not self.holds(name, offset, _HEAD_BYTES + size + 4):
            return 0
        at = offset - self.start
        end = at + _HEAD_BYTES + size
        found: int = struct.unpack_from("<I", self.buffer, end)[0]
        return size if binascii.crc32(self._view[at:end], epoch) == found else 0

    def _holds(self, name: str, offset: int, n: int) -> bool:
        return name == self._name and self.start <= offset and offset + n <= self.start + self.length

    def _load(self, name: str, offset: int) -> bool:
        self._name, self.start = name, offset
        try:
            self.length = self._folder.read_into(name, offset, self.buffer)
        except OSError:
            self.length = 0  # it is there and can not be read: as if it ended here
        return self.length > 0


def _whole_records(
    window: _Window, name: str, epoch: int, from_number: int = 0, offset: int = 0
) -> "Iterator[tuple[int, Reading]]":
    """(end offset, reading) of each whole record after ``offset``; those below ``from_number`` are skipped unread."""
    if not offset:
        if _epoch(window, name) != epoch:
            return
        offset = _HEADER
    while True:
        size = window.record(name, offset, epoch)
        if not size:
            return
        at = offset - window.start
        _size, kind, number, high, low = struct.unpack_from(_HEAD, window.buffer, at)
        body = at + _HEAD_BYTES
        offset += _HEAD_BYTES + size + 4
        if number >= from_number:
            yield offset, (number, kind, high << 32 | low, bytes(window.buffer[body : body + size]))


def _epoch(window: _Window, name: str) -> int:
    """The journal epoch of a segment; 0 where it does not begin as one."""
    if not window.holds(name, 0, _HEADER) or window.buffer[: len(_MAGIC)] != _MAGIC:
        return 0
    epoch: int = struct.unpack_from("<I", window.buffer, len(_MAGIC))[0]
    return epoch


def epoch_of(folder: "Folder", names: list[str]) -> int:
    """The journal epoch that the newest readable segment of ``names`` tells; 0 if none does."""
    window = _Window(folder)
    for name in sorted(names, key=lambda name: name[1:], reverse=True):
        epoch = _epoch(window, name)
        if epoch:
            return epoch
    return 0


def is_segment(name: str) -> bool:
    """Whether a file of this name is a segment of either lane."""
    if len(name) != 9 or name[0] not in "pr":
        return False
    try:
        int(name[1:], 16)
    except ValueError:
        return False
    return True


class Lane:
    """The segments of one lane, oldest first."""

    def __init__(self, letter: str, folder: "Folder") -> None:
        self.beyond = 0  # the highest number that may stand in damaged parts
        self.damaged = False  # a segment was found to end before what was written to it
        self._letter = letter
        self._folder = folder
        self._window = _Window(folder)
        self._epoch = 0
        self._firsts = array("I")
        self._lasts = array("I")  # the last readable number; first - 1 in a segment where none is
        self._size = SEGMENT_BYTES  # of the newest segment; full: the next write opens another
        self._mark = (0, 0, 0)  # first number of a segment, a number in it that was read, the offset after it

    def __len__(self) -> int:
        return len(self._firsts)

    def scan(self, epoch: int, names: list[str]) -> None:
        """Take up the segments found at boot."""
        self._epoch = epoch
        for name in sorted(names):
            if name[0] != self._letter:
                continue
            first = int(name[1:], 16)
            end, last = _HEADER, first - 1
            for end, reading in _whole_records(self._window, name, epoch):  # noqa: B007 - used after the loop
                last = reading[0]
            try:
                size = self._folder.size(name)
            except OSError:
                size = SEGMENT_BYTES
            hidden = max(0, size - end) // _SMALLEST
            if last < first and not hidden:
                self._folder.remove(name)
                continue
            self.beyond = max(self.beyond, last + hidden)
            self._firsts.append(first)
            self._lasts.append(last)
            # what follows damage would never be read again: append to clean segments only
            self._size = end if end == size else SEGMENT_BYTES

    def highest(self) -> int:
        """The highest number that this lane holds or may have held; 0 for none."""
        return max(self.beyond, self._lasts[-1] if len(self) else 0)

    def lowest(self) -> int:
        """The first number of the oldest segment; 0 for none."""
        return self._firsts[0] if len(self) else 0

    def has_room(self, n: int) -> bool:
        """Whether ``n`` bytes go into the newest segment."""
        return self._size + n <= SEGMENT_BYTES

    def write(self, first: int, last: int, data: bytes) -> None:
        """Put the packed records ``first`` … ``last`` on flash; after an OSError it may be tried again."""
        self._window.forget()
        if self.has_room(len(data)):
            size, self._size = (
                self._size,
                SEGMENT_BYTES,
            )  # a failed append may tear the segment: then no more into it
            self._folder.append(self._name(len(self) - 1), data)
            self._size = size + len(data)
            self._lasts[-1] = last
            return
        header = _MAGIC + struct.pack("<I", self._epoch)
        self._folder.replace("%s%08x" % (self._letter, first), header + data)
        self._firsts.append(first)
        self._lasts.append(last)
        self._size = len(header) + len(data)

    def readings(self, from_number: int) -> "Iterator[Reading]":
        """Readings from a number on, ascending; each once, even where a failed write left it in two segments."""
        for i in range(len(self)):
            if self._lasts[i] < max(from_number, self._firsts[i]):
                continue
            last = offset = 0
            if self._mark[0] == self._firsts[i] and self._mark[1] < from_number:
                # where the last reading stopped; the link mostly asks for what comes next
                _first, last, offset = self._mark
            for end, reading in _whole_records(self._window, self._name(i), self._epoch, from_number, offset):
                last = reading[0]
                if last >= from_number:
                    from_number = last + 1
                    self._mark = (self._firsts[i], last, end)
                    yield reading
            if last < self._lasts[i]:
                self._found_damage(i, max(last, self._firsts[i] - 1))

    def oldest(self) -> "Iterator[Reading]":
        """The readings of the oldest segment."""
        for _end, reading in _whole_records(self._window, self._name(0), self._epoch):
            yield reading

    def forget_oldest(self) -> None:
        """Unlink the oldest segment; where flash refuses, its file is left to the next boot, which takes it up."""
        try:
            self._folder.remove(self._name(0))
        except OSError:
            count("flash_errors")
        self._firsts = self._firsts[1:]
        self._lasts = self._lasts[1:]
        if not len(self):
            self._size = SEGMENT_BYTES

    def forget(self, upto: int, batch_bytes: int) -> None:
        """Unlink the segments that end at or below ``upto``; the newest stays while it has room for another batch."""
        while len(self) and self._lasts[0] <= upto and (len(self) > 1 or not self.has_room(batch_bytes)):
            self.forget_oldest()

    def _found_damage(self, i: int, last: int) -> None:
        self.damaged = True
        self.beyond = max(self.beyond, self._lasts[i])
        self._lasts[i] = last
        if i == len(self) - 1:
            self._size = SEGMENT_BYTES

    def _name(self, i: int) -> str:
        return "%s%08x" % (self._letter, self._firsts[i])
