"""Which beacons of one tag are new: docs/protocol.md "The beacon", rules 2 to 4. No input or output, no clock."""

from beacon import SLOT_MS

# A tag says one beacon again and again for a third of a second.
ECHO_MS = 5000
# Jitter 5 s, advertising and queues 3 s; the rest is what a tag's clock may wander within a day.
LATE_MS = 60000
# A crystal of 100 parts in a million at either end.
DRIFT = 5000


class Freshness:
    """What is believed of one tag; ``highest`` is the highest counter so far. ``now_ms`` must not wrap."""

    def __init__(self, highest: int) -> None:
        self.highest = highest
        self._last = b""
        self._last_ms = 0
        # the beacon that was the earliest by its counter
        self._counter: int | None = None
        self._counter_ms = 0
        # the same, and the highest counter then, when a counter came that was ahead of it: one has started anew, or two
        # send with one key, and of those either may be the one that is worn
        self._before: tuple[int, int, int] | None = None
        self._forgiven = False

    def is_echo(self, data: bytes, now_ms: int) -> bool:
        """Is it the beacon that was believed last, said again?"""
        return data == self._last and now_ms - self._last_ms <= ECHO_MS

    def believe(self, data: bytes, counter: int, started: bool, now_ms: int) -> bool:
        """Believe the beacon ``data`` with the right MAC, or not; ``started`` is what it says of its tag."""
        if counter <= self.highest:
            return False
        late_ms = self._late_ms(counter, now_ms)
        if late_ms > LATE_MS:
            if not started or self._forgiven:
                return False
            # it was off for longer than its counter jumped; once only, or its first hour could be played for ever
            self._forgiven = True
            self._counter = None
        elif not started:
            self._forgiven = False
        if self._counter is not None and late_ms < -LATE_MS:
            self._before = (self._counter, self._counter_ms, self.highest)
        if self._counter is None or late_ms <= 0:
            self._counter, self._counter_ms = counter, now_ms
        self.highest = counter
        self._last, self._last_ms = data, now_ms
        return True

    def may_be_the_tag(self, counter: int, now_ms: int) -> bool:
        """Whether a beacon with the right MAC that was not believed may be the tag's own, and another one believed.

        It may while it goes on where the tag was before a counter came that was ahead of its clock, as no recording
        can; and while nothing was believed since boot, for then it is not known where the tag was.
        """
        if self._counter is None:
            return True
        if self._before is None:
            return False
        earliest, earliest_ms, highest = self._before
        late_ms = _late_ms(earliest, earliest_ms, counter, now_ms)
        if counter <= highest or not -LATE_MS <= late_ms <= LATE_MS:
            return False
        if late_ms <= 0:
            earliest, earliest_ms = counter, now_ms
        self._before = (earliest, earliest_ms, counter)
        return True

    def _late_ms(self, counter: int, now_ms: int) -> int:
        return 0 if self._counter is None else _late_ms(self._counter, self._counter_ms, counter, now_ms)


def _late_ms(earliest: int, earliest_ms: int, counter: int, now_ms: int) -> int:
    passed_ms = now_ms - earliest_ms
    return passed_ms - passed_ms // DRIFT - (counter - earliest) * SLOT_MS
