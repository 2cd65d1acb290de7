"""From the receiver's serial line to readings: which fixes become positions, what time they bear, and what is odd."""

import asyncio

import records
from clock import DAY_DS, days_from_civil
from counters import COUNTERS, count
from making import make
from motion import WORKS
from nmea import Receiver
from signs import LOOK_MS, Signs
from sky import STRENGTH_MASK

try:
    from typing import TYPE_CHECKING
except ImportError:
    TYPE_CHECKING = False

if TYPE_CHECKING:
    from typing import Protocol

    from clock import Clock
    from duty import Duty
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

        def hurry(self) -> None:
            """What was appended may not wait."""


# A receiver sends the sentences of an epoch in one go; silence for so long means that the epoch is complete.
IDLE_MS = 300
CHUNK = 256
# A movement ends rest within 10 s: this, and what a receiver that remembers the sky takes to its first fix.
MOTION_MS = 2000


class Sampler:
    """Makes positions and time quality readings; tamper readings of disturbed signals and of a bad motion sensor.

    One position for each interval of UTC (of uptime while the time is unknown) that ``duty`` asks for, from its first
    fix; or one for every fix with ``every_fix``. The intervals stand still, so the same sentences give the same
    positions however they arrive.
    """

    def __init__(
        self, journal: "Journal", clock: "Clock", link: "Wakes", duty: "Duty", every_fix: bool
    ) -> None:
        self._journal = journal
        self._clock = clock
        self._link = link
        self._duty = duty
        self._every_fix = every_fix
        self._last_ds: int | None = None
        self._receiver = Receiver()
        self._signs = Signs()
        self._fault = WORKS
        self._views = 0
        self._viewed_ms = -LOOK_MS
        self._used: int | None = None  # satellites in the newest fix

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
        self._watch_sky()
        COUNTERS["sentences_accepted"] = receiver.accepted
        COUNTERS["sentences_rejected"] = receiver.rejected

    def idle(self) -> None:
        """The line has fallen silent."""
        for fix in self._receiver.flush():
            self.take(fix)
        self._watch_sky()

    def sky(self, _wish: "dict[str, object]") -> "dict[str, object]":
        """What an officer's tool asks: how many satellites are heard now, how strongly (dB-Hz), how many a fix had."""
        view = self._receiver.sky.view
        heard = sorted([value & STRENGTH_MASK for value in view.values() if value & STRENGTH_MASK])
        return {
            "views": self._receiver.sky.taken,
            "in_view": len(view),
            "heard": len(heard),
            "strongest_dbhz": heard[-4:],
            "fixes": COUNTERS.get("fixes", 0),
            "used": self._used,
        }

    async def watch(self) -> None:
        """Look at the motion sensor for ever."""
        while True:
            self.look()
            await asyncio.sleep_ms(MOTION_MS)

    def look(self) -> None:
        """Look at the motion sensor once: go to rest or end it, and tell when the sensor can not be believed."""
        if self._duty.look(not self._every_fix):
            self._last_ds = None  # the rest is over: the next fix is due
        fault = self._duty.fault()
        if fault != self._fault:
            t_ds, quality = self._clock.now()
            if make(
                self._journal,
                self._link,
                records.TAMPER,
                t_ds,
                records.tamper(records.TAMPER_MOTION_FAULT, fault, quality),
                True,
            ):
                self._fault = fault

    def take(self, fix: "Fix") -> None:
        """Set the clock by a fix, and make a position of it if one is due."""
        count("fixes")
        self._used = None if fix.satellites == records.UNKNOWN_U8 else fix.satellites
        t_ds, flags = self._stamp(fix)
        step = self._clock.take_step()
        if step is not None:
            now_ds, quality = self._clock.now()
            make(
                self._journal,
                self._link,
                records.TIME,
                now_ds,
                records.time_quality(step[0], step[1], step[2], quality),
            )
        duty = self._duty
        if not fix.flags & records.NOT_SATELLITE:
            duty.moves(fix.speed, fix.precision_dm)
        if not self._every_fix and not duty.due(t_ds, self._last_ds):
            return
        if duty.stayed(fix.speed):
            flags |= records.NOT_MOVED
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
        if make(self._journal, self._link, records.POSITION, t_ds, body):
            self._last_ds = t_ds
            if duty.at_once(t_ds, flags, fix):
                self._link.hurry()
            duty.sampled()

    def _watch_sky(self) -> None:
        """See every few seconds how strongly the satellites are heard."""
        sky = self._receiver.sky
        now_ms = self._clock.uptime_ms()
        if sky.taken != self._views:
            self._views = sky.taken
            sign = self._signs.look(sky.view, now_ms, self._duty.still())
            if sign is not None:
                t_ds, quality = self._clock.now()
                make(
                    self._journal,
                    self._link,
                    records.TAMPER,
                    t_ds,
                    records.tamper(sign[0], sign[1], quality),
                    True,
                )
        if now_ms - self._viewed_ms >= LOOK_MS:
            self._viewed_ms = now_ms
            sky.want()

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
