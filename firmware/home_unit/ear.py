"""From beacons to readings: how each tag was heard, interval by interval, and what it says of itself."""

import beacon
import records
from counters import count
from freshness import Freshness
from making import make
from roster import read_counters, write_counters
from strengths import Strengths

try:
    from typing import TYPE_CHECKING
except ImportError:
    TYPE_CHECKING = False

if TYPE_CHECKING:
    from clock import Clock
    from folder import Folder
    from journal import Journal
    from link import Wakes
    from roster import Roster

# Of a silence that goes on two intervals are told as one: at the end of an interval, when it is longer than so many
# quarters of one. So 120 s by default, 135 s at most, still less than what the rules let a reading vouch for (150 s).
# 30 tags at home are 30 x 19 bytes a minute, 820 kB a day; all of them away half of it.
SILENT_QUARTERS = 5
# A silence that has lasted for so long since the last beacon is told at once, once: what the rules take for absence
# (180 s), and 2 s for what is rounded. Twelve beacons in a row were not heard.
MISSED_MS = 182000
STATE_EVERY_MS = 3600000
# docs/protocol.md: at most one report of refused beacons in 10 minutes for a tag
REFUSED_EVERY_MS = 600000
# So many tags that are heard no longer are remembered by their counters: what was recorded of one is not believed when
# it is heard again.
MOST_GONE = 30
# How much of what was believed a power cut without warning may make forget; 144 writes a day.
KEEP_EVERY_MS = 600000


class _Tag:
    """What was heard of one tag, and is not told yet."""

    def __init__(self, number: int, key: bytes, highest: int, now_ms: int) -> None:
        self.number = number
        self.key = key
        self.fresh = Freshness(highest)
        self.since_ms = now_ms
        self.silent = False  # nothing was heard in what was told last
        self.heard_ms = now_ms  # the last beacon believed, or when it was first listened for
        self.missed = False  # since then its silence was told
        self.count = 0
        self.counter = 0
        self.refused = 0
        self.doubtful = False  # one that was refused may have been the tag's own
        self.strengths = Strengths()
        self.said: tuple[int, int, int, int] | None = None  # the last beacon believed
        self.said_ms = 0
        self.dbm = records.UNKNOWN_DBM  # of that beacon
        self.believed = 0  # beacons since boot, or since it was first listened for
        self.told: int | None = None  # the state in the last tag state
        self.told_ms = 0
        self.forged = 0  # refused since the last report
        self.forged_ms: int | None = None


class Ear:
    """Makes rf contact, tag state and tamper 8 readings. ``now_ms`` is uptime; ``unit`` bits UNIT_* of records."""

    def __init__(
        self, journal: "Journal", clock: "Clock", link: "Wakes", roster: "Roster", folder: "Folder"
    ) -> None:
        self._journal = journal
        self._clock = clock
        self._link = link
        self._folder = folder
        self._interval_ms = roster.interval_s * 1000
        now_ms = clock.uptime_ms()
        known = read_counters(folder)
        self._gone = list(known.items())
        self._tags = [self._new(number, key, now_ms) for number, key in roster.tags]
        self._gone = self._gone[-MOST_GONE:]
        self._kept = self._counters()
        self._keep_ms = now_ms + KEEP_EVERY_MS
        self._begin_ms = now_ms
        self.end_ms = now_ms + self._interval_ms

    def listen(self, tags: "list[tuple[int, bytes]]", now_ms: int, unit: int) -> None:
        """From now on these tags are heard. How those that go were heard up to now is told."""
        stay: list[_Tag] = []
        for tag in self._tags:
            if (tag.number, tag.key) in tags:
                stay.append(tag)
                continue
            if tag.forged:
                self._tell_refused(tag, now_ms, unit)
            else:
                self._tell(tag, now_ms, now_ms, unit, False)
            # one that comes again with another key counts anew
            if tag.number not in [number for number, _key in tags]:
                self._gone.append((tag.number, tag.fresh.highest))
        numbers = [tag.number for tag in stay]
        stay += [self._new(number, key, now_ms) for number, key in tags if number not in numbers]
        self._tags = stay
        self._gone = self._gone[-MOST_GONE:]
        self.keep()

    def hear(self, at_ms: int, dbm: int, data: bytes) -> None:
        """Take what the radio heard at ``at_ms``."""
        number = beacon.named(data)
        for tag in self._tags:
            if tag.number == number:
                self._of(tag, at_ms, dbm, data)
                return
        count("beacons_strange")

    def turn(self, now_ms: int, unit: int) -> None:
        """Tell what is due: states that have changed, refused beacons, and the interval if it is over."""
        for tag in self._tags:
            self._tell_state(tag, now_ms)
            if tag.forged and (tag.forged_ms is None or now_ms - tag.forged_ms >= REFUSED_EVERY_MS):
                self._tell_refused(tag, now_ms, unit)
            if not tag.missed and now_ms - tag.heard_ms >= MISSED_MS:
                tag.missed = True
                if tag.count:
                    self._tell(tag, tag.heard_ms, now_ms, unit, False)
                self._tell(tag, now_ms, now_ms, unit, False)
                self._link.hurry()
        if now_ms >= self.end_ms:
            self.cut(now_ms, unit, False)
            self._begin_ms = now_ms
            # intervals stand still, however late the last one was told
            self.end_ms += ((now_ms - self.end_ms) // self._interval_ms + 1) * self._interval_ms
        if now_ms >= self._keep_ms:
            self.keep()
            self._keep_ms = now_ms + KEEP_EVERY_MS

    def cut(self, now_ms: int, unit: int, now: bool = True) -> None:
        """Tell of all tags up to now; with ``now`` also of a silence that would go on: the unit is about to change."""
        for tag in self._tags:
            going_on = tag.silent and not tag.count and not tag.refused
            if not now and going_on and (now_ms - tag.since_ms) * 4 < SILENT_QUARTERS * self._interval_ms:
                continue
            if tag.count and tag.silent and tag.since_ms < self._begin_ms:
                self._tell(tag, self._begin_ms, now_ms, unit, True)
            # what was heard is told up to its last beacon: from there on a silence counts, if one begins
            end_ms = tag.heard_ms if tag.count and not now else now_ms
            self._tell(tag, end_ms, now_ms, unit, False)

    def hears(self) -> bool:
        """Whether any beacon was believed since boot."""
        return any(tag.said is not None for tag in self._tags)

    def keep(self) -> None:
        """Put the highest counters on flash, if they are others."""
        counters = self._counters()
        if counters == self._kept:
            return
        try:
            write_counters(self._folder, counters)
        except OSError:
            count("flash_errors")
            return
        self._kept = counters

    def _new(self, number: int, key: bytes, now_ms: int) -> _Tag:
        """A tag of which nothing was heard yet, in this life or since it was last on the list."""
        highest = max([counter for one, counter in self._gone if one == number] or [0])
        self._gone = [entry for entry in self._gone if entry[0] != number]
        return _Tag(number, key, highest, now_ms)

    def _counters(self) -> dict[int, int]:
        counters = dict(self._gone)
        counters.update({tag.number: tag.fresh.highest for tag in self._tags})
        return counters

    def _of(self, tag: _Tag, at_ms: int, dbm: int, data: bytes) -> None:
        if tag.fresh.is_echo(data, at_ms):
            return
        said = beacon.open(tag.key, data)
        started = said is not None and said[1] & beacon.STARTED != 0
        if said is None or not tag.fresh.believe(data, said[0], started, at_ms):
            tag.refused += 1
            tag.forged += 1
            if said is not None and tag.fresh.may_be_the_tag(said[0], at_ms):
                tag.doubtful = True
            count("beacons_refused")
            return
        tag.count += 1
        tag.counter = said[0]
        tag.strengths.add(dbm)
        tag.said, tag.said_ms = said, at_ms
        tag.dbm = dbm
        tag.believed += 1
        tag.heard_ms, tag.missed = at_ms, False

    def survey(self, now_ms: int) -> "list[list[int]]":
        """Of each tag: its number, beacons believed, how strong the last was (dBm), and how long ago (s).

        Without those of which nothing was heard yet.
        """
        return [
            [tag.number, tag.believed, tag.dbm, (now_ms - tag.heard_ms) // 1000]
            for tag in self._tags
            if tag.believed
        ]

    def _tell(self, tag: _Tag, end_ms: int, now_ms: int, unit: int, silence: bool) -> None:
        """One contact up to ``end_ms``; ``silence``: what was heard came after it."""
        span_s = (end_ms - tag.since_ms + 500) // 1000
        if span_s <= 0:
            return
        t_ds, quality = self._clock.now()
        heard = tag.count and not silence
        body = records.contact(
            tag.number,
            span_s,
            tag.count if heard else 0,
            tag.strengths.strongest if heard else records.UNKNOWN_DBM,
            tag.strengths.median() if heard else records.UNKNOWN_DBM,
            tag.counter if heard else 0,
            0 if silence else tag.refused,
            unit,
            quality | (records.DOUBTFUL if tag.doubtful and not silence else 0),
        )
        if not make(
            self._journal, self._link, records.RF_CONTACT, t_ds - (now_ms - end_ms) // 100, body, False
        ):
            return  # the next one tells of a longer span
        tag.since_ms = end_ms
        tag.silent = not heard
        if not silence:
            tag.count = tag.counter = tag.refused = 0
            tag.doubtful = False
            tag.strengths.clear()

    def _tell_state(self, tag: _Tag, now_ms: int) -> None:
        if tag.said is None:
            return
        counter, state, battery, age = tag.said
        told = tag.told
        if state == told and tag.said_ms - tag.told_ms < STATE_EVERY_MS:
            return
        # that its first hour is over is no news
        urgent = state & ~beacon.STARTED != (told or 0) & ~beacon.STARTED or (
            told is not None and state & ~told & beacon.STARTED != 0
        )
        t_ds, quality = self._clock.now()
        body = records.tag_state(tag.number, counter, battery, state, age, quality)
        if make(
            self._journal, self._link, records.TAG_STATE, t_ds - (now_ms - tag.said_ms) // 100, body, urgent
        ):
            tag.told, tag.told_ms = state, tag.said_ms

    def _tell_refused(self, tag: _Tag, now_ms: int, unit: int) -> None:
        self._tell(tag, now_ms, now_ms, unit, False)  # it says of which tag they were
        t_ds, quality = self._clock.now()
        body = records.tamper(records.TAMPER_BEACON, tag.forged, quality)
        if make(self._journal, self._link, records.TAMPER, t_ds, body, True):
            tag.forged, tag.forged_ms = 0, now_ms
