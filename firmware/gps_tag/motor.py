"""The vibration motor: what the wearer is to feel, pattern by pattern."""

import asyncio

from commands import DONE, REFUSED

try:
    from typing import TYPE_CHECKING
except ImportError:
    TYPE_CHECKING = False

if TYPE_CHECKING:
    from typing import Protocol

    class MotorBoard(Protocol):
        """What is needed of the board."""

        def vibrate(self, on: bool) -> None:
            """Switch the motor."""


# milliseconds on, off, on …; by the number that the command tells, from 1 on: long, two short, two short and a long
PATTERNS = ((1000, 500), (250, 250, 250, 750), (250, 250, 250, 250, 1000, 1000))
MOST_TIMES = 30  # a minute and a half: who does not feel that does not feel it


class Motor:
    """Vibrates as it was told last."""

    def __init__(self, board: "MotorBoard") -> None:
        self._board = board
        self._asked = asyncio.Event()
        self._pattern: tuple[int, ...] = ()
        self._times = 0

    def vibrate(self, arguments: "list[object]") -> int:
        """The command ``vibrate``: which pattern, how many times."""
        pattern, times = arguments
        if not isinstance(pattern, int) or not isinstance(times, int):
            raise ValueError(arguments)
        if not 1 <= pattern <= len(PATTERNS) or not 1 <= times <= MOST_TIMES:
            return REFUSED
        self._pattern, self._times = PATTERNS[pattern - 1], times
        self._asked.set()
        return DONE

    async def run(self) -> None:
        """Do so for ever."""
        while True:
            await self._asked.wait()
            self._asked.clear()
            while self._times:
                self._times -= 1
                on = True
                for ms in self._pattern:
                    self._board.vibrate(on)
                    await asyncio.sleep_ms(ms)
                    on = not on
                self._board.vibrate(False)
