"""Rest: while the tag lies still its receiver is off, but for a position now and then; a movement ends that in 2 s."""

from motion import Motion
from policy import REST_S

try:
    from typing import TYPE_CHECKING
except ImportError:
    TYPE_CHECKING = False

if TYPE_CHECKING:
    from typing import Protocol

    from motion import MotionBoard

    class RestBoard(MotionBoard, Protocol):
        """What rest needs of its board."""

        def receiver_power(self, on: bool) -> None:
            """Switch the GNSS receiver."""


# A receiver that remembers the sky has a fix in seconds, one that has been carried into a cellar never.
ACQUIRE_MS = 180000
REST_MS = REST_S * 1000


class Rest:
    """Whether the tag is at rest (`resting`), and whether its receiver has power then.

    To be looked at every few seconds; :meth:`sampled` tells it of each position.
    """

    def __init__(self, board: "RestBoard", now_ms: int) -> None:
        self.motion = Motion(board, now_ms)
        self.resting = False
        self._board = board
        self._powered = True
        self._period_ms = REST_MS
        self._since_ms = 0  # at rest: when it began, or the last position was made, or was wanted in vain
        self._wanted_ms = 0  # and when the next one is wanted

    def look(self, now_ms: int, allowed: bool, period_ms: int = REST_MS) -> bool:
        """Go to rest where that is ``allowed``, or end it; True when it has just ended.

        ``period_ms`` is between two positions at rest, as things stand now.
        """
        self.motion.look(now_ms)
        was_resting = self.resting
        self.resting = allowed and self.motion.at_rest(now_ms)
        self._period_ms = period_ms
        if self.resting and not was_resting:
            self._next(now_ms)
        elif self.resting:
            # a period that has become shorter counts at once
            self._wanted_ms = min(self._wanted_ms, max(now_ms, self._since_ms + period_ms))
            if now_ms >= self._wanted_ms + ACQUIRE_MS:
                self._next(self._wanted_ms)  # there is none to be had here
        self._power(not self.resting or now_ms >= self._wanted_ms)
        return was_resting and not self.resting

    def due(self, now_ms: int) -> bool:
        """At rest: whether a position is wanted."""
        return now_ms >= self._wanted_ms

    def ask(self, now_ms: int) -> None:
        """A position is wanted now."""
        self._wanted_ms = min(self._wanted_ms, now_ms)
        self._power(True)

    def sampled(self, now_ms: int) -> None:
        """A position was made."""
        self.motion.mark()
        self._next(now_ms)

    def _next(self, since_ms: int) -> None:
        self._since_ms = since_ms
        self._wanted_ms = since_ms + self._period_ms

    def _power(self, on: bool) -> None:
        if on != self._powered:
            self._powered = on
            self._board.receiver_power(on)
