"""What time the tag thinks it is, how it knows, and how long it has been up.

Instants are tenths of a second since 1970 UTC. Civil dates are computed here: MicroPython's own epoch differs from
board to board. Leap seconds do not exist (a receiver's second 60 is the next minute's 0).
"""

from records import DATE_SUSPECT, GNSS, KEPT, SOURCE_GATEWAY, SOURCE_GNSS, TIME_OF_DAY, UNSET

try:
    from time import ticks_diff
except ImportError:  # under CPython, for tests: the ticks of a board, which wrap at 2^30

    def ticks_diff(ticks1: int, ticks2: int) -> int:  # type: ignore[no-redef]
        """Signed difference on the ring of ticks."""
        return (ticks1 - ticks2 + (1 << 29)) % (1 << 30) - (1 << 29)


try:
    from typing import TYPE_CHECKING
except ImportError:
    TYPE_CHECKING = False

if TYPE_CHECKING:
    from typing import Protocol

    class TimeBoard(Protocol):
        """What a clock needs of its board."""

        def ticks_ms(self) -> int:
            """Milliseconds on the ring of ticks."""

        def rtc(self) -> tuple[int, ...] | None:
            """(year, month, day, weekday, hour, minute, second, ...) UTC; None when never set."""

        def set_rtc(self, when: tuple[int, ...]) -> None:
            """Set it: (year, month, day, weekday, hour, minute, second, 0), weekday 0 is Monday."""


BUILT_YEAR = 2026  # of this firmware: no date before it can be true; raised with each version
DAY_DS = 864000
DAY_MS = 86400000
ERA_DS = (
    1024 * 7 * DAY_DS
)  # a GPS receiver counts weeks to 1,024: one that has lost count is wrong by so much
# How long the RTC had run on before this boot is not known.
_KEPT_MS = 3600000
_RTC_EVERY_MS = 3600000  # the RTC of a board drifts up to 50 ms an hour: no reason to set it more often
_STEP_DS = (
    20  # a correction of 2 s or more is a step: larger than a second of latency in a receiver's sentence
)


def days_from_civil(year: int, month: int, day: int) -> int:
    """Days from 1970-01-01 to a Gregorian date (years counted from March, 400-year eras)."""
    if month <= 2:
        year -= 1
        month += 12
    era = year // 400
    of_era = year - era * 400
    of_year = (153 * (month - 3) + 2) // 5 + day - 1
    return era * 146097 + of_era * 365 + of_era // 4 - of_era // 100 + of_year - 719468


def civil_from_days(days: int) -> tuple[int, int, int]:
    """(year, month, day) of a count of days from 1970-01-01."""
    days += 719468
    era = days // 146097
    of_era = days - era * 146097
    year = (of_era - of_era // 1460 + of_era // 36524 - of_era // 146096) // 365
    of_year = of_era - (365 * year + year // 4 - year // 100)
    month = (5 * of_year + 2) // 153
    day = of_year - (153 * month + 2) // 5 + 1
    month = month + 3 if month < 10 else month - 9
    return year + era * 400 + (month <= 2), month, day


def instant(year: int, month: int, day: int, hour: int, minute: int, second: int, tenths: int = 0) -> int:
    """Tenths of a second from 1970 to a civil UTC time."""
    return days_from_civil(year, month, day) * DAY_DS + time_of_day_ds(hour, minute, second, tenths)


def time_of_day_ds(hour: int, minute: int, second: int, tenths: int = 0) -> int:
    """Tenths of a second from midnight."""
    return ((hour * 60 + minute) * 60 + second) * 10 + tenths


class Clock:
    """The tag's clock: the board's ticks, carried on from the RTC, corrected by the receiver and by the gateway.

    A date is in doubt (``doubt``) when the receiver's can not be true, or contradicts the clock's: until the gateway
    has told the time, all that is stamped bears DATE_SUSPECT, and the RTC is not set, so that no doubtful date outlives
    a boot. ``wanted_ms`` is the uptime at which the gateway's time will be wanted: at once while the date is not known,
    in doubt, or known from the receiver only; else a day after the clock was last confirmed.
    """

    def __init__(self, board: "TimeBoard", built_year: int = BUILT_YEAR) -> None:
        self.doubt = False
        self.wanted_ms = 0
        self._board = board
        self._ticks = board.ticks_ms()
        self._uptime_ms = 0
        self._built_ds = instant(built_year, 1, 1, 0, 0, 0)
        self._confirmed = False  # the date is not the receiver's word alone
        self._told = False  # by the gateway, since boot
        self._inferred = False  # the date was made of one that can not be true
        self._offset_ds: int | None = None  # instant minus uptime
        self._rtc_set_ms: int | None = None
        self._step: tuple[int, int, int] | None = None
        kept = board.rtc()
        if kept is not None:
            self._offset_ds = instant(kept[0], kept[1], kept[2], kept[4], kept[5], kept[6])
            self._confirmed = True
            self.wanted_ms = _KEPT_MS

    def uptime_ms(self) -> int:
        """Milliseconds since boot, which do not wrap (if asked at least every six days)."""
        ticks = self._board.ticks_ms()
        self._uptime_ms += ticks_diff(ticks, self._ticks)
        self._ticks = ticks
        return self._uptime_ms

    def uptime_of(self, ticks: int) -> int:
        """The uptime at ``ticks`` of the board, an instant within the last days."""
        return self.uptime_ms() + ticks_diff(ticks, self._ticks)

    def now(self) -> tuple[int, int]:
        """(instant, flags: KEPT, in doubt with DATE_SUSPECT), or (tenths of a second since boot, UNSET)."""
        return self._at(self.uptime_ms())

    def _at(self, uptime_ms: int) -> tuple[int, int]:
        uptime_ds = uptime_ms // 100
        if self._offset_ds is None:
            return uptime_ds, UNSET
        return uptime_ds + self._offset_ds, KEPT | (DATE_SUSPECT if self.doubt else 0)

    def gnss(self, t_ds: int) -> int:
        """Set the clock by the receiver's date and time ``t_ds`` (see :func:`instant`); the step in tenths."""
        return self._set(t_ds, SOURCE_GNSS, self.uptime_ms())

    def gateway(self, t_ds: int) -> int:
        """Set the clock by the gateway's word, which ends every doubt; the step in tenths."""
        self.doubt = self._inferred = False
        self._confirmed = self._told = True
        uptime_ms = self.uptime_ms()
        self.wanted_ms = uptime_ms + DAY_MS
        return self._set(t_ds, SOURCE_GATEWAY, uptime_ms)

    def receiver(self, t_ds: int) -> tuple[int, int]:
        """Judge and use the receiver's date and time ``t_ds``; the instant to be stamped, and its flags.

        A first date from before this firmware was built is taken for one that is wrong by whole rounds of the week
        count, and put into the first round in which it can be true; it stays in doubt. A date that contradicts the
        clock's is not believed against it, its time of day is.
        """
        uptime_ms = self.uptime_ms()  # asked once: this is done for every fix
        now_ds, flags = self._at(uptime_ms)
        if flags == UNSET or (self._inferred and t_ds >= self._built_ds):
            self.doubt = self._inferred = t_ds < self._built_ds
            while t_ds < self._built_ds:
                t_ds += ERA_DS
            self._confirmed = False
            self.wanted_ms = uptime_ms
            self._set(t_ds, SOURCE_GNSS, uptime_ms)
            return t_ds, TIME_OF_DAY | DATE_SUSPECT if self.doubt else GNSS
        # half a day: at midnight some receivers tell the new time with the old date
        if abs(t_ds - now_ds) > DAY_DS // 2:
            suspect = DATE_SUSPECT
            if not self._told:
                self.doubt = True
                self.wanted_ms = min(self.wanted_ms, uptime_ms)
            elif (t_ds - now_ds + DAY_DS) % ERA_DS <= 2 * DAY_DS:
                suspect = 0  # the gateway has told the date, and what is wrong with the receiver's is known
            t_ds, quality = self.time_of_day(t_ds % DAY_DS)
            return t_ds, quality | suspect
        if self._confirmed:
            if not self._told:
                self.doubt = False
            self.wanted_ms = max(self.wanted_ms, uptime_ms + DAY_MS)
        self._set(t_ds, SOURCE_GNSS, uptime_ms)
        return t_ds, GNSS

    def time_of_day(self, of_day_ds: int) -> tuple[int, int]:
        """Correct the clock by the receiver's time of day (tenths since midnight); (instant, flags).

        The date is the one that puts the instant nearest to the tag's own clock. With a clock never set there is no
        date: the time since boot comes back, unset.
        """
        uptime_ms = self.uptime_ms()
        now, flags = self._at(uptime_ms)
        if flags == UNSET:
            return now, UNSET
        ahead = (of_day_ds - now + DAY_DS // 2) % DAY_DS - DAY_DS // 2
        self._set(now + ahead, SOURCE_GNSS, uptime_ms)
        return now + ahead, TIME_OF_DAY | (DATE_SUSPECT if self.doubt else 0)

    def take_step(self) -> tuple[int, int, int] | None:
        """(uptime in s, step in s, source) of the last setting by 2 s or more, once; for a time quality record."""
        step, self._step = self._step, None
        return step

    def _set(self, t_ds: int, source: int, uptime_ms: int) -> int:
        old, flags = self._at(uptime_ms)
        step_ds = t_ds - old
        self._offset_ds = t_ds - uptime_ms // 100
        stepped = flags == UNSET or abs(step_ds) >= _STEP_DS
        if stepped:
            self._step = (uptime_ms // 1000, step_ds // 10, source)
        due = stepped or self._rtc_set_ms is None or uptime_ms - self._rtc_set_ms >= _RTC_EVERY_MS
        if due and not self.doubt:
            self._rtc_set_ms = uptime_ms
            days, of_day = t_ds // DAY_DS, t_ds % DAY_DS // 10
            year, month, day = civil_from_days(days)
            weekday = (days + 3) % 7  # 1970-01-01 was a Thursday
            hour, minute, second = of_day // 3600, of_day // 60 % 60, of_day % 60
            self._board.set_rtc((year, month, day, weekday, hour, minute, second, 0))
        return step_ds
