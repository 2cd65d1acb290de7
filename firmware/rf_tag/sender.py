"""When an RF tag says what: a beacon in each slot, and at once when strap or case have changed."""

import beacon
from clock import Clock
from counters import count
from folder import Folder
from guard import Guard
from reserve import Reserve

try:
    from typing import TYPE_CHECKING
except ImportError:
    TYPE_CHECKING = False

if TYPE_CHECKING:
    from typing import Protocol

    from clock import TimeBoard
    from guard import Contacts

    class TagBoard(TimeBoard, Contacts, Protocol):
        """What an RF tag needs of its board."""

        def random(self, n: int) -> bytes:
            """n random bytes."""

        def feed_watchdog(self) -> None:
            """The firmware is alive."""

        async def beacon(self, payload: bytes) -> None:
            """Send it, several times within a second."""

        async def rest(self, ms: int) -> None:
            """Sleep as deep as a tag can that is to go on."""


# A strap cut is seen within 5 s (NIJ 1004.00, 5.4.1; see domain.md), and said at once.
LOOK_MS = 5000
# What has changed is said so many times beside the beacons of the slots: one alone may meet another tag's.
SAY_TIMES, SAY_EVERY_MS = 5, 2000
STARTED_MS = 3600000


class Sender:
    """Beacons of one tag, by milliseconds since boot; :meth:`step` does what is due and says when to come again."""

    def __init__(self, board: "TagBoard", clock: Clock, key: bytes, number: int, folder: Folder) -> None:
        self._board = board
        self._clock = clock
        self._key = key
        self._number = number
        self._reserve = Reserve(folder)
        self.guard = Guard(folder, board, clock.uptime_ms())
        self._slot = -1  # the last one that was used
        self._due_ms = 0
        self._look_ms = 0
        self._say = 0  # how often the change is still to be said
        self._say_ms = 0

    async def run(self) -> None:
        """Be a tag for ever."""
        while True:
            await self._board.rest(await self.step())

    async def step(self) -> int:
        """Look, and send what is due; how many milliseconds nothing will be."""
        self._board.feed_watchdog()
        now_ms = self._clock.uptime_ms()
        if now_ms >= self._look_ms:
            self._look_ms = now_ms + LOOK_MS
            if self.guard.look(now_ms):
                self._say, self._say_ms = SAY_TIMES, now_ms
        if now_ms >= self._due_ms:
            slot = now_ms // beacon.SLOT_MS
            await self._send(max(slot - self._slot - 1, 0))
            self._slot = slot
            jitter_ms = int.from_bytes(self._board.random(2), "little") * beacon.JITTER_MS >> 16
            self._due_ms = (slot + 1) * beacon.SLOT_MS + jitter_ms
        if self._say and now_ms >= self._say_ms:
            self._say -= 1
            self._say_ms += SAY_EVERY_MS
            await self._send(0)
        due_ms = min(self._due_ms, self._look_ms)
        if self._say:
            due_ms = min(due_ms, self._say_ms)
        return max(due_ms - self._clock.uptime_ms(), 1)

    async def _send(self, missed: int) -> None:
        """One beacon; counters of slots without one are passed over, so that the counter keeps time."""
        counter = self._reserve.take(missed)
        if counter is None:
            count("beacons_withheld")
            return
        now_ms = self._clock.uptime_ms()
        guard = self.guard
        state = guard.state | (beacon.STARTED if now_ms < STARTED_MS else 0)
        await self._board.beacon(
            beacon.seal(self._key, self._number, counter, state, guard.battery, guard.age(now_ms))
        )
        count("beacons_sent")
