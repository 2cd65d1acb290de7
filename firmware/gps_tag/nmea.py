"""NMEA 0183 bytes into fixes: integers only, bounded memory, and no bytes that make it raise.

Here: where sentences begin and end, their checksums, and which of them belong together. What they say is in `fix`.
"""

from fix import Epoch, Fix
from nmea_fields import MalformedError, time_of_day

# NMEA 0183 allows 82 characters; receivers of several systems write up to about 130. What is longer is no sentence.
LONGEST = 255
# A receiver whose first so many sentences have no checksum is taken for one that sends none (NMEA 0183 before 2.0).
TRIAL = 8

# which field is the time of day
TIMED = {b"GGA,": 1, b"RMC,": 1, b"GLL,": 5, b"GNS,": 1, b"GST,": 1, b"ZDA,": 1}
HEX = b"0123456789ABCDEF"
STRICT = -1


class Receiver:
    """Reads what one receiver sends. `accepted` and `rejected` count its sentences."""

    def __init__(self) -> None:
        self.accepted = 0
        self.rejected = 0
        self._rest = b""
        self._bare = 0  # how many sentences had no checksum while none had one; STRICT once one had
        self._epoch = Epoch()
        self._closed = True
        self._time = b""
        self._ms: int | None = None

    def feed(self, data: bytes) -> list[Fix]:
        """Take the next bytes, cut anywhere; return the fixes of the epochs that they complete."""
        fixes: list[Fix] = []
        buffer = self._rest + data
        if b"\r" in buffer:
            buffer = buffer.replace(b"\r", b"\n")
        lines = buffer.split(b"\n")
        rest = lines.pop()
        for line in lines:
            if line:
                self._line(line, True, fixes)
        dollar = rest.rfind(b"$")
        if dollar > 0:
            self._line(rest[:dollar], False, fixes)
        rest = rest[dollar:] if dollar >= 0 else b""
        if len(rest) > LONGEST:
            self._line(rest, False, fixes)
            rest = b""
        self._rest = rest
        return fixes

    def flush(self) -> list[Fix]:
        """The line has fallen silent: complete the epoch under way; return its fix, if it has one."""
        fixes: list[Fix] = []
        rest = self._rest
        star = rest.find(b"*")
        if star >= 0 and len(rest) >= star + 3:
            self._rest = b""
            self._line(rest, False, fixes)
        self._complete(fixes)
        return fixes

    def _line(self, line: bytes, ended: bool, fixes: list[Fix]) -> None:
        """Bytes without a line end among them; `ended` when one follows them."""
        parts = line.split(b"$")
        last = len(parts) - 1
        for i in range(1, last + 1):
            self._sentence(parts[i], ended and i == last, fixes)

    def _sentence(self, text: bytes, ended: bool, fixes: list[Fix]) -> None:
        """What stands between a `$` and the next one, or the line's end."""
        star = text.find(b"*")
        body = text if star < 0 else text[:star]
        if len(body) > LONGEST:
            good = False
        elif star < 0:
            # without a line end it may have lost its last digits to the sentence that ran into it
            good = self._bare >= TRIAL and ended and printable(body)
        else:
            good = checksum_holds(body, text[star + 1 : star + 3])
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
        if body[:1] == b"P" and body[1:2] != b"Q":
            return  # proprietary, save for Quectel's PQ, which is a talker
        if kind in TIMED:
            fields = body.split(b",")
            at = TIMED[kind]
            if len(fields) > at and self._turn(fields[0], fields[at], fixes):
                self._epoch.add(kind, fields, bare)
        elif kind == b"GSA,":
            # of its 18 fields only the mode counts as a rule: they are split where they are needed
            self._open().take_gsa(body)
        elif kind == b"VTG,":
            self._open().vtg = body

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
            fix = self._epoch.fix()
            if fix is not None:
                fixes.append(fix)


def checksum_holds(body: bytes, written: bytes) -> bool:
    """Whether `written` is the checksum of `body`: two hexadecimal digits."""
    xor = 0
    for byte in body:
        xor ^= byte
    high, low = HEX[xor >> 4], HEX[xor & 15]
    if len(written) != 2:
        return False
    if written[0] != high or written[1] != low:
        written = written.upper()
    return written[0] == high and written[1] == low


def printable(text: bytes) -> bool:
    """Whether `text` holds nothing but what a sentence is written with."""
    return all(32 <= byte < 127 for byte in text)
