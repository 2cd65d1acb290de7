"""Real recordings as the bytes that a tag's receiver would have put on its serial line, each with its instant.

A receiver log (``*.log``) is played as it was captured; a trail (``*.csv``) is written as NMEA first. Nothing of the
bytes is mended: noise, torn lines and bad checksums reach the firmware as they stand.
"""

from __future__ import annotations

import csv
import random
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from sim.sentences import fix

DAY_MS = 86_400_000
_BYTES_PER_MS = 3.84  # 38,400 baud, 10 bits a byte: quick enough for the wordiest receiver of the logs
_BURST_GAP_MS = 50
_JITTER_MS = 10_000  # a step back by less is a receiver whose sentences disagree; by more, one that was set
_TIMED = re.compile(rb"\$[A-Z]{2}(?:GGA|RMC|GNS|ZDA|GLL),")
_CLOCK = re.compile(rb"\d{6}(?:\.\d*)?")
_HEADER_DATE = re.compile(rb"^#\s*Date\s*[:=]\s*(\d{4})-(\d{2})-(\d{2})", re.IGNORECASE | re.MULTILINE)
_HEADER_COOKIE = re.compile(rb"^#\s*Delay-Cookie\s*[:=]\s*(\S)", re.IGNORECASE | re.MULTILINE)


class RecordingError(ValueError):
    """A file can not be played; the text says which and why."""


@dataclass(frozen=True)
class Recording:
    """A stretch of serial line: ``pieces`` are ``(offset_ms, bytes)`` from ``start_ms`` (UTC), in order."""

    name: str
    start_ms: int
    pieces: tuple[tuple[int, bytes], ...]

    @property
    def end_ms(self) -> int:
        """The instant of the last byte."""
        return self.start_ms + (self.pieces[-1][0] if self.pieces else 0)

    def chunks(self, seed: int, largest: int = 96) -> Iterator[tuple[int, bytes]]:
        """The same bytes as ``(instant_ms, bytes)`` in chunks of random size that respect no line.

        A burst's last bytes never wait for the next burst, as on a real line.
        """
        sizes = random.Random(seed)
        held, held_at = b"", self.start_ms
        for offset, data in self.pieces:
            at = self.start_ms + offset
            if held and at - held_at > _BURST_GAP_MS:
                yield held_at, held
                held = b""
            held, held_at = held + data, at
            while len(held) > (size := sizes.randint(1, largest)):
                yield at, held[:size]
                held = held[size:]
        if held:
            yield held_at, held


def load(path: Path, today_ms: int) -> Recording:
    """Read a receiver log or a trail.

    ``today_ms`` is the instant at which a log begins that tells no date, neither in a sentence nor in its header.
    Raises RecordingError where the file can not be read as either.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise RecordingError(
            f"{path}: can not be read ({error.strerror}); give a receiver log or a trail"
        ) from None
    if path.suffix == ".csv":
        return _trail(path, data)
    return _receiver_log(path.name, data, today_ms)


def _receiver_log(name: str, data: bytes, today_ms: int) -> Recording:
    """A log captured by gpsd's contributors: ``#`` lines first, then the line's bytes."""
    body_at = 0
    while data[body_at : body_at + 1] == b"#":
        end = data.find(b"\n", body_at)
        body_at = len(data) if end < 0 else end + 1
    header, body = data[:body_at], data[body_at:]
    if cookie := _HEADER_COOKIE.search(header):
        body = body.replace(cookie[1], b"")
    pieces: list[tuple[int, bytes]] = []
    pace = _Pace()
    first_clock: int | None = None  # what the time of day was when the recording began
    first_date: int | None = None  # the instant at which it began
    for line in body.splitlines(keepends=True):
        clock_ms = _time_of_day_ms(line)
        began = pace.play(line, clock_ms)
        if clock_ms is not None:
            first_clock = clock_ms - began if first_clock is None else first_clock
            date_ms = _date_ms(line) if first_date is None else None
            first_date = date_ms + clock_ms - began if date_ms is not None else first_date
        pieces.append((pace.offset_ms, line))
    if first_date is None:
        day_ms = _header_day_ms(header) or today_ms // DAY_MS * DAY_MS
        first_date = today_ms if first_clock is None else day_ms + first_clock
    return Recording(name, max(first_date, 0), tuple(pieces))


class _Pace:
    """How far into a recording its lines lie: by the time of day they tell, else by the speed of the line."""

    def __init__(self) -> None:
        self._offset = 0.0
        self._clock_ms: int | None = None
        self._epoch_at = 0.0

    @property
    def offset_ms(self) -> int:
        """Where the last line ended."""
        return int(self._offset)

    def play(self, line: bytes, clock_ms: int | None) -> int:
        """Account for ``line``, which tells the time of day ``clock_ms``; returns where it began, in ms."""
        if clock_ms is not None and clock_ms != self._clock_ms:
            if self._clock_ms is not None:
                # over midnight and back again, a step is the shorter way round
                step = (clock_ms - self._clock_ms + DAY_MS // 2) % DAY_MS - DAY_MS // 2
                self._offset = max(self._offset, self._epoch_at + step)
                if -_JITTER_MS <= step < 0:
                    clock_ms = self._clock_ms  # sentences out of order; they go on from the latest
            if clock_ms != self._clock_ms:
                self._clock_ms, self._epoch_at = clock_ms, self._offset
        began = int(self._offset)
        self._offset += len(line) / _BYTES_PER_MS
        return began


def _header_day_ms(header: bytes) -> int | None:
    """Midnight of the date that the header of a log tells, or None."""
    found = _HEADER_DATE.search(header)
    if not found:
        return None
    year, month, day = (int(part) for part in found.groups())
    try:
        return int(datetime(year, month, day, tzinfo=UTC).timestamp() * 1000)
    except ValueError:
        return None


def _time_of_day_ms(line: bytes) -> int | None:
    """Time of day that a sentence tells, or None. The line need not be sound: this only sets the pace."""
    found = _TIMED.search(line)
    if not found:
        return None
    fields = line[found.end() :].split(b"*")[0].split(b",")
    at = 4 if found[0].endswith(b"GLL,") else 0
    if len(fields) <= at or not _CLOCK.fullmatch(fields[at]):
        return None
    text = fields[at].decode("ascii")
    hours, minutes, seconds = int(text[0:2]), int(text[2:4]), float(text[4:])
    if hours > 23 or minutes > 59 or seconds >= 61:
        return None
    return int((hours * 3600 + minutes * 60 + seconds) * 1000)


def _date_ms(line: bytes) -> int | None:
    """Midnight of the date in an RMC or ZDA sentence, or None."""
    fields = line.strip().split(b"*")[0].split(b",")
    try:
        if fields[0].endswith(b"RMC"):
            if fields[2] != b"A" or len(fields[9]) != 6:
                return None
            day, month, year = (int(fields[9][at : at + 2]) for at in (0, 2, 4))
            year += 1900 if year >= 80 else 2000
        elif fields[0].endswith(b"ZDA"):
            day, month, year = int(fields[2]), int(fields[3]), int(fields[4])
        else:
            return None
        return int(datetime(year, month, day, tzinfo=UTC).timestamp() * 1000)
    except (ValueError, IndexError):
        return None


def _trail(path: Path, data: bytes) -> Recording:
    """A person's day: CSV with ``timestamp`` (ISO 8601), ``latitude``, ``longitude``, in any order of rows."""
    rows: list[tuple[int, float, float]] = []
    reader = csv.DictReader(data.decode("utf-8-sig").splitlines())
    needed = {"timestamp", "latitude", "longitude"}
    if not needed <= set(reader.fieldnames or ()):
        raise RecordingError(
            f"{path}: a trail has the columns {sorted(needed)}, this file {reader.fieldnames}"
        )
    for number, row in enumerate(reader, start=2):
        try:
            when = datetime.fromisoformat(row["timestamp"])
            t_ms = round(when.replace(tzinfo=when.tzinfo or UTC).timestamp() * 10) * 100
            rows.append((t_ms, float(row["latitude"]), float(row["longitude"])))
        except (ValueError, TypeError):
            raise RecordingError(f"{path}, line {number}: {row} is not a time and a position") from None
    if not rows:
        raise RecordingError(f"{path}: a trail without a single position")
    rows.sort(key=lambda row: row[0])
    start_ms = rows[0][0] - 1000  # the tag is up just before the first fix
    pieces = [(t_ms - start_ms, fix(t_ms, lat, lon)) for t_ms, lat, lon in rows]
    return Recording(path.name, start_ms, tuple(pieces))
