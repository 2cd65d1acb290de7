"""Commands from the gateway: each is executed once at most, and acknowledged by a record; no input or output but flash.

See docs/protocol.md "Commands". A command is counted by the pair (gateway generation, n). The last pair taken stands on
flash, with its outcome, before anything is done: whatever happens meanwhile, a command is never executed twice, and one
that a power cut may have interrupted is told as failed.
"""

import struct

import kept
import records
from counters import count

try:
    from typing import TYPE_CHECKING
except ImportError:
    TYPE_CHECKING = False

if TYPE_CHECKING:
    from collections.abc import Callable

    from clock import Clock
    from folder import Folder
    from journal import Journal

# outcomes, as in a command record
DONE, NOT_UNDERSTOOD, FAILED, REFUSED = range(4)
# those of the protocol: one that this device has no handler for is refused, any other is not understood
NAMES = ("settings", "pursuit", "locate", "vibrate", "time", "baseline", "hear", "unhear", "rekey")
NONCE_MS = 60000  # the gateway's time is believed only so long after it was asked for
ASK_EVERY_MS = 600000  # the time is asked for again so often until it comes
_MOST_U32 = 0xFFFFFFFF
_MOST_T_DS = 1 << 40  # of a reading's instant on flash
_FILE = "command"
_LAST = "<IIB"  # generation, n, outcome


class Commands:
    """Executes commands.

    ``handlers`` are the device's own, by name, and may be added to: each gets the command's arguments and returns an
    outcome; ValueError, TypeError and LookupError mean NOT_UNDERSTOOD, OSError and MemoryError FAILED. ``folder``
    is that of :mod:`kept`.
    """

    # what came of a command that was heard, a counter's name
    EXECUTED = "commands_executed"
    ANSWERED = "commands_answered"
    REPEATED = "commands_repeated"
    REPLAYED = "command_replayed"
    MALFORMED = "command_malformed"

    def __init__(
        self,
        journal: "Journal",
        clock: "Clock",
        random: "Callable[[int], bytes]",
        folder: "Folder",
        handlers: "dict[str, Callable[[list[object]], int]] | None" = None,
    ) -> None:
        self.handlers = handlers if handlers is not None else {}
        self.handlers["time"] = self._time
        self._journal = journal
        self._clock = clock
        self._random = random
        self._folder = folder
        self._pair = (0, 0)
        self._outcome = DONE
        self._answer = 0  # the number of the last record made since boot
        self._nonce: int | None = None
        self._asked_ms: int | None = None
        self.lost = False  # what stood on flash could not be read
        try:
            data = kept.read(folder, _FILE)
            if data is not None:
                generation, n, self._outcome = struct.unpack(_LAST, data)
                self._pair = (generation, n)
        except ValueError:
            self.lost = True

    def take(self, generation: object, command: object) -> str:
        """Execute or answer a command that came under a right MAC; what came of it, a counter's name.

        Raises OSError when flash refuses to keep its number: nothing is executed then, and it will come again.
        """
        if not isinstance(command, list) or len(command) != 3 or not isinstance(command[1], str):
            return self.MALFORMED
        pair = (_u32(generation), _u32(command[0]))
        if pair[0] < 0 or pair[1] < 1:
            return self.MALFORMED
        if pair < self._pair:
            return self.REPLAYED
        if pair == self._pair:
            # one answer is enough on the way: who says a command again and again fills no journal
            if self._answer >= self._journal.base:
                return self.REPEATED
            self._acknowledge()
            return self.ANSWERED
        self._keep(pair, FAILED)
        outcome = self._execute(command[1], command[2])
        if outcome != FAILED:
            self._outcome = outcome
            try:
                self._keep(pair, outcome)
            except OSError:
                count("flash_errors")  # after a boot it would be told as failed
        self._acknowledge()
        return self.EXECUTED

    def nonce(self) -> int | None:
        """For a hello: a new nonce if the gateway's time is wanted."""
        now_ms = self._clock.uptime_ms()
        if now_ms < self._clock.wanted_ms:
            return None
        nonce: int = struct.unpack("<I", self._random(4))[0]
        self._nonce, self._asked_ms = nonce, now_ms
        return nonce

    def ask(self, now_ms: int) -> int | None:
        """A nonce if the time is to be asked for now, although no connection begins."""
        return self.nonce() if self.due_ms(now_ms) <= 0 else None

    def due_ms(self, now_ms: int) -> int:
        """Milliseconds until :meth:`ask` is to be asked."""
        due_ms = self._clock.wanted_ms
        if self._asked_ms is not None:
            due_ms = max(due_ms, self._asked_ms + ASK_EVERY_MS)
        return due_ms - now_ms

    def _execute(self, name: str, arguments: object) -> int:
        handler = self.handlers.get(name)
        if handler is None:
            return REFUSED if name in NAMES else NOT_UNDERSTOOD
        if not isinstance(arguments, list):
            return NOT_UNDERSTOOD
        try:
            return handler(arguments)
        except (ValueError, TypeError, LookupError):
            return NOT_UNDERSTOOD
        except (OSError, MemoryError):
            return FAILED

    def _time(self, arguments: list[object]) -> int:
        t_ds, nonce = arguments
        if not isinstance(t_ds, int) or _u32(nonce) < 0:
            return NOT_UNDERSTOOD
        asked, self._nonce = self._nonce, None
        if asked is None or nonce != asked or self._asked_ms is None or not 0 < t_ds < _MOST_T_DS:
            return REFUSED
        if self._clock.uptime_ms() - self._asked_ms > NONCE_MS:
            return REFUSED
        self._clock.gateway(t_ds)
        step = self._clock.take_step()
        if step is not None:
            now_ds, flags = self._clock.now()
            self._journal.append(records.TIME, now_ds, records.time_quality(step[0], step[1], step[2], flags))
        return DONE

    def _keep(self, pair: tuple[int, int], outcome: int) -> None:
        kept.write(self._folder, _FILE, struct.pack(_LAST, pair[0], pair[1], outcome))
        self._pair, self._outcome = pair, outcome

    def _acknowledge(self) -> None:
        t_ds, flags = self._clock.now()
        body = records.command(self._pair[0], self._pair[1], self._outcome, flags)
        self._answer = 0
        try:
            self._answer = self._journal.append(records.COMMAND, t_ds, body, True)
        except OSError:
            count("flash_errors")  # it is answered when it comes again


def _u32(value: object) -> int:
    """An unsigned number of 32 bits as it is, anything else as -1."""
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _MOST_U32:
        return value
    return -1
