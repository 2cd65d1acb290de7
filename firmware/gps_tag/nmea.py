"""NMEA 0183 bytes into fixes: integers only, bounded memory, and no bytes that make it raise.

Here: where sentences begin and end, their checksums, and which of them belong together. What they say is in `fix`.
"""

from fix import Epoch, Fix
from nmea_fields import MalformedError, time_of_day
from sky import Sky

# NMEA 0183 allows 82 characters; receivers of several systems write up to about 130. What is longer is no sentence.
LONGEST = 255
# A receiver whose first so many sentences have no checksum is taken for one that sends none (NMEA 0183 before 2.0).
TRIAL = 8

# A receiver whose first so many epochs with a place all deny it too means something else by one of the fields (Jackson
# Labs' GGA tells the state of an oscillator for its quality): its places are told from then on, as proving nothing.
QUARRELSOME = 3
AGREED = -1

# which field is the time of day
TIMED = {b"GGA,": 1, b"RMC,": 1, b"GLL,": 5, b"GNS,": 1, b"GST,": 1, b"ZDA,": 1}
HEX = b"0123456789ABCDEF"
DOLLAR = 0x24
STRICT = -1


class Receiver:
    """Reads what one receiver sends. `accepted` and `rejected` count its sentences; `sky` is how strongly it hears."""

    def __init__(self) -> None:
        self.accepted = 0
        self.rejected = 0
        self.sky = Sky()
        self._rest = b""
        self._disputes = 0  # epochs that deny their own place while none has been clean; AGREED once one was
        self._bare = 0  # how many sentences had no checksum while none had one; STRICT once one had
        self._epoch = Epoch()
        self._closed = True
        self._time = b""
        self._ms: int | None = None

    def feed(self, data: bytes) -> list[Fix]:
        """Take the next bytes, cut anywhere; return the fixes of the epochs that they complete."""
        fixes: list[Fix] = []
        buffer = self._rest + data if self._rest else data
        start = buffer.find(b"$")
        while start >= 0:
            end = first(buffer, start + 1)
            if end < 0 and len(buffer) - start <= LONGEST:
                break
            if end < 0:  # too long already: what may still come of it does not count
                self._sentence(buffer, start + 1, len(buffer), False, fixes)
                start = -1
            else:
                ended = buffer[end] != DOLLAR
                self._sentence(buffer, start + 1, end, ended, fixes)
                start = buffer.find(b"$", end)
        self._rest = buffer[start:] if start >= 0 else b""
        return fixes

    def flush(self) -> list[Fix]:
        """The line has fallen silent: complete the epoch under way; return its fix, if it has one."""
        fixes: list[Fix] = []
        rest = self._rest
        star = rest.find(b"*")
        if star >= 0 and len(rest) >= star + 3:
            self._rest = b""
            self._sentence(rest, 1, len(rest), False, fixes)
        self._complete(fixes)
        return fixes

    def _sentence(self, buffer: bytes, start: int, end: int, ended: bool, fixes: list[Fix]) -> None:
        """What stands between a `$` and the next one or the line's end; `ended` if it is the line's end."""
        star = buffer.find(b"*", start, end)
        body = buffer[start : end if star < 0 else star]
        if len(body) > LONGEST:
            good = False
        elif star < 0:
            # without a line end it may have lost its last digits to the sentence that ran into it
            good = self._bare >= TRIAL and ended and printable(body)
        else:
            good = star + 2 < end and checksum_holds(body, buffer[star + 1], buffer[star + 2])
        if star < 0:
            if 0 <= self._bare < TRIAL:
                self._bare += 1
        elif good or self._bare < TRIAL:
            self._bare = STRICT
        if good:
            try:
                self._take(body, star < 0, fixes)
            except MalformedError:
                good = False
        if good:
            self.accepted += 1
        else:
            self.rejected += 1

    def _take(self, body: bytes, bare: bool, fixes: list[Fix]) -> None:
        """A sentence as it was sent, from its address on."""
        kind = body[2:6]
        if not body or (body[0] == 0x50 and body[1:2] != b"Q"):
            return  # proprietary (P…), save for Quectel's PQ, which is a talker
        at = TIMED.get(kind)
        if at is not None:
            fields = body.split(b",")
            if len(fields) > at and self._turn(fields[0], fields[at], fixes):
                self._epoch.add(kind, fields, bare)
        elif kind == b"GSA,":
            # of its 18 fields only the mode counts as a rule: they are split where they are needed
            self._open().take_gsa(body)
        elif kind == b"VTG,":
            self._open().vtg = body
        elif kind == b"GSV,":
            self.sky.take_gsv(body)

    def _open(self) -> Epoch:
        """The epoch that a sentence without time belongs to."""
        return self._begin(None) if self._closed else self._epoch

    def _turn(self, address: bytes, time: bytes, fixes: list[Fix]) -> bool:
        """Begin the next epoch if this sentence belongs to it; False if it comes too late for its own."""
        if time != self._time:
            self._time = time
            self._ms = time_of_day(time)
        ms = self._ms
        epoch = self._epoch
        known = ms is not None and epoch.ms is not None
        if address in epoch.seen or (known and ms != epoch.ms):
            self._complete(fixes)
            epoch = self._begin(ms)
        elif self._closed:
            if known:
                return False
            epoch = self._begin(ms)
        elif ms is not None:
            epoch.ms = ms
        epoch.seen.append(address)
        return True

    def _begin(self, ms: int | None) -> Epoch:
        self._closed = False
        self._epoch.begin(ms)
        return self._epoch

    def _complete(self, fixes: list[Fix]) -> None:
        if not self._closed:
            self._closed = True
            self.sky.epoch_ends()
            if 0 <= self._disputes < QUARRELSOME and self._epoch.disputed():
                self._disputes += 1
            fix = self._epoch.fix(self._disputes == QUARRELSOME)
            if fix is not None:
                fixes.append(fix)
                if not self._epoch.disputed():
                    self._disputes = AGREED


def first(buffer: bytes, start: int) -> int:
    """Where the sentence that is under way at `start` is over: at a line end or another `$`; -1 if nowhere yet."""
    end = -1
    for mark in (b"\r", b"\n", b"$"):
        at = buffer.find(mark, start, end) if end >= 0 else buffer.find(mark, start)
        if at >= 0:
            end = at
    return end


def checksum_holds(body: bytes, high: int, low: int) -> bool:
    """Whether the characters `high` and `low` are the checksum of `body` in hexadecimal, of whatever case."""
    xor = 0
    for byte in body:
        xor ^= byte
    # lower case letters have a bit that digits and capitals must not be asked for
    return (high if high < 0x61 else high - 0x20) == HEX[xor >> 4] and (
        low if low < 0x61 else low - 0x20
    ) == HEX[xor & 15]


def printable(text: bytes) -> bool:
    """Whether `text` holds nothing but what a sentence is written with."""
    return all(32 <= byte < 127 for byte in text)
