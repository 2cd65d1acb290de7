"""From the receiver's serial line to readings: which fixes become positions, and what time they bear."""

import asyncio

import records
from clock import DAY_DS, days_from_civil
from counters import COUNTERS, count
from nmea import Receiver

try:
    from typing import TYPE_CHECKING
except ImportError:
    TYPE_CHECKING = False

if TYPE_CHECKING:
    from typing import Protocol

    from clock import Clock
    from fix import Fix
    from journal import Journal

    class Line(Protocol):
        """A serial line that never blocks."""

        def read(self, nbytes: int) -> bytes | None:
            """What has come, at most so much; None when nothing has."""

    class Wakes(Protocol):
        """Whoever sends readings on, :class:`link.Link`."""

        def wake(self, urgent: bool) -> None:
            """A reading was appended."""


# A receiver sends the sentences of an epoch in one go; silence for so long means that the epoch is complete.
IDLE_MS = 300
CHUNK = 256


class Sampler:
    """Makes positions and time quality readings.

    One position for each interval of ``sample_s`` of UTC (of uptime while the time is unknown), from its first fix; or
    one for every fix with ``every_fix``. The intervals stand still, so the same sentences give the same positions
    however they arrive.
    """

    def __init__(
        self, journal: "Journal", clock: "Clock", link: "Wakes", sample_s: int, every_fix: bool
    ) -> None:
        self._journal = journal
        self._clock = clock
        self._link = link
        self._sample_ds = sample_s * 10
        self._every_fix = every_fix
        self._interval: int | None = None
        self._receiver = Receiver()

    async def run(self, line: "Line") -> None:
        """Read the line for ever."""
        reader = asyncio.StreamReader(line)
        while True:
            data: bytes | None = await reader.read(CHUNK)
            while data:
                while data:
                    self.feed(data)
                    data = line.read(CHUNK)
                await asyncio.sleep_ms(IDLE_MS)
                data = line.read(CHUNK)
            self.idle()

    def feed(self, data: bytes) -> None:
        """Take bytes of the line."""
        receiver = self._receiver
        for fix in receiver.feed(data):
            self.take(fix)
        COUNTERS["sentences_accepted"] = receiver.accepted
        COUNTERS["sentences_rejected"] = receiver.rejected

    def idle(self) -> None:
        """The line has fallen silent."""
        for fix in self._receiver.flush():
            self.take(fix)

    def take(self, fix: "Fix") -> None:
        """Set the clock by a fix, and make a position of it if one is due."""
        count("fixes")
        t_ds, flags = self._stamp(fix)
        step = self._clock.take_step()
        if step is not None:
            now_ds, quality = self._clock.now()
            self._append(records.TIME, now_ds, records.time_quality(step[0], step[1], step[2], quality))
        interval = t_ds // self._sample_ds
        if interval == self._interval and not self._every_fix:
            return
        body = records.position(
            fix.lat_e7,
            fix.lon_e7,
            fix.precision_dm,
            fix.speed,
            fix.course,
            fix.satellites,
            fix.hdop,
            fix.flags | flags,
        )
        if self._append(records.POSITION, t_ds, body):
            self._interval = interval

    def _stamp(self, fix: "Fix") -> tuple[int, int]:
        """The instant of a fix and the flags that say how it is known; sets the clock."""
        time_ds = fix.time_ds
        if time_ds is None:
            return self._clock.now()
        if fix.date is None:
            return self._clock.time_of_day(time_ds)
        year, month, day = fix.date
        t_ds, flags = self._clock.receiver(days_from_civil(year, month, day) * DAY_DS + time_ds)
        if flags & records.DATE_SUSPECT:
            count("dates_suspect")
        return t_ds, flags

    def _append(self, kind: int, t_ds: int, body: bytes) -> bool:
        try:
            self._journal.append(kind, t_ds, body)
        except OSError:
            count("flash_errors")  # the next fix tries again
            return False
        count("readings_made")
        self._link.wake(False)
        return True
