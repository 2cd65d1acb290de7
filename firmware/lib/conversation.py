"""What the tag says to the gateway and what it believes of the answers; no input or output, no clock.

This is docs/protocol.md "The tag", rules 2 to 4. ``now_ms`` is any count of milliseconds that does not wrap.
"""

import binascii

import cbor
import envelope
import records

try:
    from typing import TYPE_CHECKING
except ImportError:
    TYPE_CHECKING = False

if TYPE_CHECKING:
    from journal import Journal
    from records import Reading

MOST_UNANSWERED = 4  # messages
RESEND_MS = 30000
MOST_RESEND_MS = 300000
# Thirty positions: in twice that, a position would take 5 % fewer bytes, and a heap that has a backlog to compose from
# would not always have the room.
_LIMIT = 540
_LEAST_LIMIT = 200  # bytes of payload; ten positions, or any other record
_LEAST_READING = 16  # bytes that a reading takes up in a message; a position 17

# what came of a message from above
FORGED, OLD_KEY, NOT_UNDERSTOOD, NO_COMMIT, FOREIGN_EPOCH, BEYOND_SENT, KNOWN, COMMITTED = (
    "down_forged",
    "down_old_key",
    "down_not_understood",
    "down_without_commit",
    "commit_foreign_epoch",
    "commit_beyond_sent",
    "commits_known",
    "commits",
)


def topic(device: str, leaf: str) -> str:
    """The topic ``leaf`` (up, down, state) of a device."""
    return "em/v1/%02d/%s/%s" % (binascii.crc32(device.encode()) % 64, device, leaf)


class _Sent:
    """A message that waits for its answer: the numbers it spans, when it was last sent, how long it may wait.

    One of urgent readings, ``ahead`` of its turn, can not be covered by a commit before its turn has come: any answer
    will do. What was in it is sent again in its turn.
    """

    def __init__(self, first: int, last: int, now_ms: int, ahead: bool) -> None:
        self.first = first
        self.last = last
        self.ahead = ahead
        self.at_ms = now_ms
        self.wait_ms = RESEND_MS

    def due_ms(self) -> int:
        return self.at_ms + self.wait_ms


class Conversation:
    """One tag's side of the protocol over one journal, from boot to boot."""

    def __init__(self, journal: "Journal", device: str, key: bytes, key_before: bytes = b"") -> None:
        self.journal = journal
        self.up = topic(device, "up")
        self.down = topic(device, "down")
        self.highest_sent = 0  # since boot
        self.command: tuple[object, object] | None = None  # generation and command of what was heard last
        self._kid = device.encode()
        self._key = key
        self._key_before = key_before
        self._limit = _LIMIT
        self._sealer = envelope.Sealer(key, self._kid, self.up.encode(), self._limit)
        self._view = memoryview(self._sealer.buffer)
        self._most = self._limit // _LEAST_READING  # readings, taken from flash for one message
        self._sent: list[_Sent] = []
        self._next = 1  # the lowest number not yet sent on this connection
        self._ahead = 0  # the highest urgent number sent before its turn
        self._claimed = 0  # the highest number that the gateway has said to know, on this connection
        self._released = 0  # the highest number that may be sent
        self._asked_ms: int | None = None  # since when a first answer is due
        self._silent = True  # no answer within the time-out: nobody is waited for

    def rekey(self, key: bytes, key_before: bytes) -> None:
        """From now on messages are sealed, and believed, under another key."""
        self._key, self._key_before = key, key_before
        self._sealer.key = key

    def hello(self, now_ms: int, nonce: int | None = None) -> memoryview:
        """The first message of a connection. All that is held is to be sent from here on, lowest first."""
        self._sent = []
        self._next = self.journal.base
        self._ahead = self._claimed = 0
        return self.ask(now_ms, nonce)

    def ask(self, now_ms: int, nonce: int | None = None) -> memoryview:
        """A hello at any time: asks for the commit, and with a nonce for the time."""
        self._asked_ms = now_ms
        self._silent = False
        return self._seal(self._put_hello(nonce))

    def lost(self) -> None:
        """The connection is gone: nothing is waited for."""
        self._sent = []
        self._asked_ms = None
        self._silent = True

    def shrink(self) -> None:
        """Make smaller messages from now on: memory has no piece left for such large ones."""
        self._limit = max(self._limit // 2, _LEAST_LIMIT)
        self._most = self._limit // _LEAST_READING

    def release(self) -> None:
        """Everything made up to now may be sent."""
        self._released = self.journal.flushed

    def message(self, now_ms: int) -> memoryview | None:
        """The envelope to publish now, or None: again what had no answer in time, else what is next.

        It lies in a buffer that the next one, or the next hello, is made in.
        """
        self._give_up_waiting(now_ms)
        for sent in self._sent[:]:
            if now_ms >= sent.due_ms():
                again = self._again(sent, now_ms)
                if again is not None:
                    return again
        if self._next > self._released:
            return None
        # what the gateway claims to know is not waited for, but said: else a true commit beyond what was sent since
        # boot would be refused for ever
        full = len(self._sent) >= MOST_UNANSWERED
        if full and self._next > self._claimed:
            return None
        first = self._next
        end, last, highest = self._compose(first, self._released)
        # at most one message ahead at a time, or they could keep the lowest numbers from ever being sent
        urgent = (
            []
            if any(sent.ahead for sent in self._sent)
            else self._urgent(max(last, self._ahead), self._released)
        )
        if urgent:
            end, n = self._pack(urgent)
            self._ahead = highest = urgent[n - 1][0]
            self._sent.append(_Sent(urgent[0][0], self._ahead, now_ms, True))
        else:
            if not full or last > self._claimed:
                self._sent.append(_Sent(first, last, now_ms, False))
            self._next = last + 1
        self.highest_sent = max(self.highest_sent, highest)
        return self._seal(end)

    def hear(self, data: bytes) -> str:
        """Obey what came on the ``down`` topic, as far as it may be believed; what came of it, a counter's name.

        A command in it is left in ``command``, for whoever executes it (see commands.py).
        Raises OSError when flash refuses the cursor: nothing is forgotten then, and the commit will come again.
        """
        self.command = None
        try:
            payload = envelope.open(self._key, self._kid, self.down.encode(), data)
        except envelope.Forged:
            return OLD_KEY if self._under_old_key(data) else FORGED
        try:
            message = cbor.decode(payload)
        except ValueError:
            return NOT_UNDERSTOOD
        if not isinstance(message, dict) or message.get(1) != records.VERSION:
            return NOT_UNDERSTOOD
        if 4 in message:
            self.command = (message.get(2), message[4])
        if 3 not in message:
            return NO_COMMIT
        commit = message[3]
        if not isinstance(commit, list) or len(commit) != 2 or not all(type(part) is int for part in commit):
            return NOT_UNDERSTOOD
        return self._obey(commit[0], commit[1])

    def _under_old_key(self, data: bytes) -> bool:
        """Was it said before the gateway could know that the key has changed? Then it is passed over."""
        if not self._key_before:
            return False
        try:
            envelope.open(self._key_before, self._kid, self.down.encode(), data)
        except envelope.Forged:
            return False
        return True

    def waiting(self) -> bool:
        """Whether an answer is due, and is still expected soon (see :data:`RESEND_MS`)."""
        return not self._silent and (self._asked_ms is not None or len(self._sent) > 0)

    def due_ms(self, now_ms: int) -> int | None:
        """Milliseconds until :meth:`message` is to be asked although nothing happens; None for never."""
        times = [sent.due_ms() for sent in self._sent]
        if self.waiting():
            times.append(self._waiting_since() + RESEND_MS)
        return max(0, min(times) - now_ms) if times else None

    def _obey(self, epoch: int, upto: int) -> str:
        if epoch != self.journal.epoch:
            return FOREIGN_EPOCH
        self._asked_ms = None
        self._silent = False
        self._sent = [sent for sent in self._sent if not sent.ahead]
        if upto < self.journal.base:
            return KNOWN
        if upto > self.highest_sent:
            if upto <= self.journal.flushed:
                self._claimed = max(self._claimed, upto)
            return BEYOND_SENT
        self.journal.commit(upto)
        answered_ms = max([sent.at_ms for sent in self._sent if sent.last <= upto] or [0])
        self._sent = [sent for sent in self._sent if sent.last > upto]
        for sent in self._sent:
            # the gateway hears messages in their order: what was sent before one that it answers never reached it
            sent.wait_ms = 0 if sent.at_ms < answered_ms else RESEND_MS
        self._next = max(self._next, self.journal.base)
        return COMMITTED

    def _urgent(self, after: int, upto: int) -> "list[Reading]":
        """The urgent readings with numbers after one and up to another."""
        found: list[Reading] = []
        for number in self.journal.urgent:
            if after < number <= upto:
                found += self._held(number, number)
        return found

    def _again(self, sent: _Sent, now_ms: int) -> memoryview | None:
        if sent.ahead:
            urgent = self._urgent(sent.first - 1, sent.last)
            if not urgent:
                self._sent.remove(sent)
                return None
            end, _n = self._pack(urgent)
        else:
            end, last, highest = self._compose(sent.first, sent.last)
            self.highest_sent = max(self.highest_sent, highest)
            if last < sent.last:  # it takes more room than before: some was dropped meanwhile
                self._next = min(self._next, last + 1)
                sent.last = last
        sent.at_ms = now_ms
        sent.wait_ms = min(max(sent.wait_ms * 2, RESEND_MS), MOST_RESEND_MS)
        return self._seal(end)

    def _waiting_since(self) -> int:
        times = [sent.at_ms for sent in self._sent]
        if self._asked_ms is not None:
            times.append(self._asked_ms)
        return min(times)

    def _give_up_waiting(self, now_ms: int) -> None:
        if self.waiting() and now_ms - self._waiting_since() >= RESEND_MS:
            self._silent = True
            self._asked_ms = None

    def _held(self, first: int, last: int) -> "list[Reading]":
        return [reading for reading in self.journal.read(first, self._most) if reading[0] <= last]

    def _compose(self, first: int, last: int) -> tuple[int, int, int]:
        """Put a payload for the lowest of the numbers first … last: its end, how far it accounts for them, the highest.

        In place of numbers that were dropped stand the gap records that name them: in their own turn they could come
        after more messages than may be unanswered, and no commit could ever pass the hole.
        """
        first = max(first, self.journal.base)
        readings = self._held(first, last)
        if readings and readings[0][0] == first:
            n = 1
            while n < len(readings) and readings[n][0] == first + n:
                n += 1
            end, n = self._pack(readings[:n])
            return end, first + n - 1, first + n - 1
        chosen: dict[int, Reading] = {}
        room = self._limit - records.MAP_OVERHEAD
        at = first
        for reading in readings:
            at, room = self._fill_hole(at, reading[0] - 1, chosen, room)
            room -= len(reading[3]) + records.MOST_OVERHEAD
            if at < reading[0] or room < 0:
                break
            chosen[reading[0]] = reading
            at += 1
        else:
            if len(readings) < self._most:
                at, room = self._fill_hole(at, last, chosen, room)
        if not chosen:  # nothing names them (flash has failed): only the base can be told
            return self._put_hello(), last, 0
        end, _n = self._pack([chosen[number] for number in sorted(chosen)])
        return end, at - 1, max(chosen)

    def _fill_hole(self, at: int, last: int, chosen: "dict[int, Reading]", room: int) -> tuple[int, int]:
        """Choose gap records for the dropped numbers at … last; the first number not yet told of, and the room left."""
        while at <= last:
            reading = self.journal.naming(at)
            if reading is None:
                return last + 1, room
            room -= len(reading[3]) + records.MOST_OVERHEAD
            if room < 0:
                break
            chosen[reading[0]] = reading
            first, n = records.gap_range(reading[3])
            at = min(first + n, last + 1)
        return at, room

    def _put_hello(self, nonce: int | None = None) -> int:
        return self._sealer.put(records.hello(self.journal.epoch, self.journal.base, nonce))

    def _pack(self, readings: "list[Reading]") -> tuple[int, int]:
        sealer, journal = self._sealer, self.journal
        return records.put_up(sealer.buffer, sealer.at, journal.epoch, journal.base, readings, self._limit)

    def _seal(self, end: int) -> memoryview:
        start, end = self._sealer.seal(end)
        return self._view[start:end]
