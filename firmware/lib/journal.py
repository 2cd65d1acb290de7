"""The tag's journal: readings on flash until the gateway has said that they are on its disk.

See docs/protocol.md "The tag". Files in one folder: ``cursor`` (epoch, highest committed number, boots) and the
segments of two lanes (``segments.py``): ``p`` for positions and equipment status, ``r``, reserved, for what must never
be pushed out by them. Numbers go to flash in their order: a batch in memory belongs to one lane and is written before
a reading of the other lane is taken. So what a power cut leaves is always a beginning of what was made.
"""

import binascii
import struct

import records
from counters import count
from folder import Folder
from segments import SEGMENT_BYTES, Lane, epoch_of, is_segment, pack_record

try:
    from typing import TYPE_CHECKING
except ImportError:
    TYPE_CHECKING = False

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from records import Reading

_BULK = (records.POSITION, records.RF_CONTACT, records.STATUS)
# flushing 8 records at a time writes 0.13 erases a record instead of 1 (docs of the flash trial); 512 bytes
# hold 17 positions, or one record of the largest size
_BATCH_RECORDS = 8
BATCH_BYTES = 512
_LEAST_SEGMENTS = 4
_MOST_URGENT = 16  # more than that at once is a backlog like any other
_CURSOR = "<IIHH"  # epoch, committed up to, boots, spare; then a CRC


class Journal:
    """Readings of one tag, each under its own number of one epoch.

    ``root`` is a folder of its own on flash, ``limit_bytes`` how much of it the segments may take (at least 16 KiB),
    ``random(n)`` gives n random bytes. ``flushed`` is the highest number that is on flash, ``base`` the lowest that is
    not yet committed: a dropped number counts until the gap record that names it has been sent, or the gateway would
    take it for forgotten. ``boots`` counts how often the journal was opened.
    """

    def __init__(
        self,
        root: str,
        limit_bytes: int,
        random: "Callable[[int], bytes]",
        folder: "Folder | None" = None,
    ) -> None:
        self._limit = limit_bytes // SEGMENT_BYTES
        if self._limit < _LEAST_SEGMENTS:
            raise ValueError(
                "a journal needs %d bytes, not %d" % (_LEAST_SEGMENTS * SEGMENT_BYTES, limit_bytes)
            )
        self._folder = folder or Folder(root)
        self._bulk = Lane("p", self._folder)
        self._reserved = Lane("r", self._folder)
        self._batch: list[bytes] = []
        self._batch_lane = self._bulk
        self._batch_bytes = 0
        self._now = (
            0,
            records.UNSET,
        )  # instant and time quality of the last reading: the journal knows no clock
        self.urgent: list[int] = []  # numbers that may go before their turn; not kept over a boot
        self.epoch: int = 0
        self.next: int = 1
        self.boots: int = 0
        self._upto: int = 0
        self._recover(random)

    @property
    def base(self) -> int:
        """The lowest number that is not committed."""
        return self._upto + 1

    @property
    def flushed(self) -> int:
        """The highest number that is on flash."""
        return self.next - len(self._batch) - 1

    def append(self, kind: int, t_ds: int, body: bytes, urgent: bool = False) -> int:
        """Take a reading; its number. It is made when flushed: at once if urgent, else with its batch.

        Raises OSError when flash refuses and the batch in memory is full; the reading is then not taken.
        """
        if not 1 <= len(body) <= 255:
            raise ValueError("a reading's body has 1 to 255 bytes, not %d" % len(body))
        lane = self._bulk if kind in _BULK else self._reserved
        if self._batch and (lane is not self._batch_lane or self._full(len(body))):
            self.flush()
        if not self._batch:
            self._make_room(lane)
        number = self._take(lane, kind, t_ds, body)
        if urgent:
            self.urgent.append(number)
            self.urgent = self.urgent[-_MOST_URGENT:]
        self._now = (t_ds, body[-1] & records.QUALITY_MASK)
        if urgent or self._full(0):
            try:
                self.flush()
            except OSError:
                count("flash_errors")  # the batch stays, and is tried again with the next flush
        return number

    def flush(self) -> None:
        """Put on flash what was taken. Raises OSError when flash refuses; nothing is lost by that but time."""
        if not self._batch:
            return
        self._batch_lane.write(self.flushed + 1, self.next - 1, b"".join(self._batch))
        self._batch = []
        self._batch_bytes = 0

    def read(self, from_number: int, most: int) -> "list[Reading]":
        """At most ``most`` flushed readings from a number on, ascending, as (number, kind, t_ds, body)."""
        found: list[Reading] = []
        for reading in self._readings(max(from_number, self.base)):
            if len(found) == most:
                break
            found.append(reading)
        if self._bulk.damaged or self._reserved.damaged:
            self._bulk.damaged = self._reserved.damaged = False
            self._name_the_missing()
        return found

    def naming(self, number: int) -> "Reading | None":
        """The flushed gap record that names a dropped number."""
        for reading in self._reserved.readings(self.base):
            if reading[1] == records.GAP:
                first, n = records.gap_range(reading[3])
                if first <= number < first + n:
                    return reading
        return None

    def commit(self, upto: int) -> None:
        """Forget everything up to a number that was flushed; below ``base`` nothing changes."""
        if upto < self.base:
            return
        if upto > self.flushed:
            raise ValueError("a commit up to %d, but only %d are made" % (upto, self.flushed))
        self._write_cursor(upto)
        self._forget()

    def _full(self, more: int) -> bool:
        # 16: a record's head and CRC, and one to spare
        return len(self._batch) >= _BATCH_RECORDS or self._batch_bytes + more + 16 > BATCH_BYTES

    def _take(self, lane: Lane, kind: int, t_ds: int, body: bytes) -> int:
        number = self.next
        record = pack_record(self.epoch, (number, kind, t_ds, body))
        self._batch.append(record)
        self._batch_bytes += len(record)
        self._batch_lane = lane
        self.next = number + 1
        count("readings_made")
        return number

    def _readings(self, from_number: int) -> "Iterator[Reading]":
        # both lanes, merged by number
        bulk, reserved = self._bulk.readings(from_number), self._reserved.readings(from_number)
        one, other = next(bulk, None), next(reserved, None)
        while one or other:
            if one and (not other or one[0] < other[0]):
                yield one
                one = next(bulk, None)
            elif other:
                yield other
                other = next(reserved, None)

    # dropping, with a gap record for each run of numbers first

    def _make_room(self, lane: Lane) -> None:
        """Before a batch is begun: if it needs a new segment, drop the oldest ones until there may be one."""
        if lane.has_room(BATCH_BYTES):
            return
        while len(self._bulk) + len(self._reserved) >= self._limit:
            # positions go first: they can not fill the reserved lane, and the reserved lane may take theirs
            victim, other = self._bulk, self._reserved
            if not len(victim):
                victim, other = other, victim
            self._write_gaps(self._runs_of(victim.oldest(), other.lowest() or self.next), records.GAP_FULL)
            victim.forget_oldest()
            count("segments_dropped")

    def _runs_of(self, readings: "Iterator[Reading]", held_from: int) -> list[tuple[int, int]]:
        """Runs (first, last) that name ``readings``, and what their gap records name.

        Below ``held_from`` the other lane holds nothing: numbers between two readings there are dropped already, and
        one run may name them again. So gap records do not pile up.
        """
        runs: list[tuple[int, int]] = []
        for number, kind, _t_ds, body in readings:
            if number < self.base:
                continue
            if runs and (number <= held_from or runs[-1][1] == number - 1):
                # joined at once: a segment of single runs would not fit into memory
                runs[-1] = (runs[-1][0], number)
            else:
                runs.append((number, number))
            if kind == records.GAP:
                first, n = records.gap_range(body)
                if first + n > self.base:
                    runs.insert(0, (max(first, self.base), first + n - 1))
        return _merged(runs)

    def _write_gaps(self, runs: list[tuple[int, int]], reason: int) -> None:
        t_ds, quality = self._now
        for first, last in runs:
            body = records.gap(first, last - first + 1, reason, quality)
            if self._full(len(body)):
                self.flush()
            self._take(self._reserved, records.GAP, t_ds, body)
        self.flush()

    # boot

    def _recover(self, random: "Callable[[int], bytes]") -> None:
        segments = []
        for name in self._folder.names():
            if is_segment(name):
                segments.append(name)
            elif name.endswith(".tmp"):
                self._folder.remove(name)
        known = self._read_cursor()
        if not known:
            # without a cursor the segments still tell the epoch; what was committed is then sent once more
            self.epoch = epoch_of(self._folder, segments)
            while not self.epoch:
                self.epoch = struct.unpack("<I", random(4))[0]
        self._bulk.scan(self.epoch, segments)
        self._reserved.scan(self.epoch, segments)
        if not known:
            lowest = [lane.lowest() for lane in (self._bulk, self._reserved) if len(lane)]
            self._upto = min(lowest) - 1 if lowest else 0
        self.next = max(self._bulk.highest(), self._reserved.highest(), self._upto) + 1
        self.boots = min(self.boots + 1, 65535)
        try:
            self._write_cursor(self._upto)
            self._forget()
            self._name_the_missing()
        except OSError:
            if not known:  # an epoch that is not on flash must never be heard of
                raise
            count("flash_errors")  # flash is full or worn: the tag still reports what it holds

    def _name_the_missing(self) -> None:
        """Every number from base on is readable or named by a gap record: write those that lack (flash was damaged)."""
        named = _merged(self._gap_runs())
        missing: list[tuple[int, int]] = []
        expected = self.base
        for number, _kind, _t_ds, _body in self._readings(self.base):
            if number > expected:
                missing += _without(expected, number - 1, named)
            expected = number + 1
        missing += _without(expected, self.flushed, named)
        self._bulk.damaged = self._reserved.damaged = False
        if missing:
            count("unreadable", sum([last - first + 1 for first, last in missing]))
            self.flush()
            self._write_gaps(missing, records.GAP_UNREADABLE)

    def _gap_runs(self) -> "Iterator[tuple[int, int]]":
        for _number, kind, _t_ds, body in self._reserved.readings(self.base):
            if kind == records.GAP:
                first, n = records.gap_range(body)
                yield first, first + n - 1

    def _forget(self) -> None:
        for lane in (self._bulk, self._reserved):
            lane.forget(self._upto, BATCH_BYTES)
        if self.urgent:
            self.urgent = [number for number in self.urgent if number > self._upto]

    def _write_cursor(self, upto: int) -> None:
        cursor = struct.pack(_CURSOR, self.epoch, upto, self.boots, 0)
        self._folder.replace("cursor", cursor + struct.pack("<I", binascii.crc32(cursor)))
        self._upto = upto

    def _read_cursor(self) -> bool:
        size = struct.calcsize(_CURSOR)
        try:
            data = self._folder.read("cursor", 0, size + 5)
        except OSError:
            return False
        if len(data) != size + 4 or struct.unpack("<I", data[size:])[0] != binascii.crc32(data[:size]):
            return False
        self.epoch, self._upto, self.boots, _spare = struct.unpack(_CURSOR, data[:size])
        return self.epoch != 0


def _merged(runs: "Iterator[tuple[int, int]] | list[tuple[int, int]]") -> list[tuple[int, int]]:
    """Runs (first, last) sorted, those that touch made one."""
    result: list[tuple[int, int]] = []
    for first, last in sorted(runs):
        if result and first <= result[-1][1] + 1:
            result[-1] = (result[-1][0], max(last, result[-1][1]))
        else:
            result.append((first, last))
    return result


def _without(first: int, last: int, named: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """The parts of first … last that no run of ``named`` (merged) covers."""
    parts: list[tuple[int, int]] = []
    for low, high in named:
        if high < first or low > last:
            continue
        if low > first:
            parts.append((first, low - 1))
        first = high + 1
    if first <= last:
        parts.append((first, last))
    return parts
