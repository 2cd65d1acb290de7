"""Whether the tag moves, and whether its motion sensor may be believed when it says that it does not.

Rest saves most of the battery and leaves the wearer with one position an hour. So it needs a sensor that has shown
that it works: it passes its self-test before each rest and every hour of it, and it has not been silent while the
receiver measured a drive. One that can not be believed is told (tamper code 10), and there is no rest.
"""

from counters import count

try:
    from typing import TYPE_CHECKING
except ImportError:
    TYPE_CHECKING = False

if TYPE_CHECKING:
    from typing import Protocol

    class MotionBoard(Protocol):
        """What is needed of the board."""

        def motion_self_test(self) -> bool | None:
            """Whether the sensor passes its self-test; None: it was moved meanwhile. OSError: no answer."""

        def moved(self) -> bool:
            """Whether the sensor has felt a movement since the last call; OSError when it does not answer."""


STILL_MS = 600000  # a wearer who sits still for a minute is not at rest; 10 min without a movement is
SELF_TEST_MS = 3600000
# A vehicle shakes; its sensor is silent only when it is dead. Faster than a GNSS error makes a tag on a table.
DRIVE_KMH = 20
DRIVE_MS = 60000

# detail of the tamper record, and what is the matter
WORKS, SELF_TEST_FAILED, NO_ANSWER, STUCK = range(4)


class Motion:
    """The motion sensor; to be looked at more often than every 10 s. `fault` is one of the details above."""

    def __init__(self, board: "MotionBoard", now_ms: int) -> None:
        self._board = board
        self.fault = WORKS
        # in so many looks since `mark` it was felt to move; None: it is not marked, or was at fault since
        self.felt: int | None = None
        self._moved_ms = now_ms
        self._tested_ms = now_ms
        self._proven = False  # it has passed a test since the last movement
        self._drive_ms: int | None = (
            None  # since when the receiver measures a drive that the sensor does not feel
        )
        self._test(now_ms)

    def look(self, now_ms: int) -> None:
        """See whether it has moved; test the sensor where that is due."""
        try:
            if self._board.moved():
                self._felt(now_ms)
                if self.felt is not None:
                    self.felt += 1
        except OSError:
            self._failed(NO_ANSWER)
        untested_ms = now_ms - self._tested_ms
        if untested_ms >= SELF_TEST_MS or (not self._proven and self.still_ms(now_ms) >= STILL_MS):
            self._test(now_ms)

    def drives(self, speed_kmh: int, now_ms: int) -> None:
        """The receiver has measured a speed in a fix that can be relied on."""
        if speed_kmh < DRIVE_KMH:
            self._drive_ms = None
        elif self._drive_ms is None:
            self._drive_ms = now_ms
        elif now_ms - self._drive_ms >= DRIVE_MS:
            self._failed(STUCK)

    def mark(self) -> None:
        """From here on movements are counted, if the sensor can be believed."""
        self.felt = None if self.fault else 0

    def still_ms(self, now_ms: int) -> int:
        """For how long it has felt nothing; 0 when it can not be believed."""
        return 0 if self.fault else now_ms - self._moved_ms

    def at_rest(self, now_ms: int) -> bool:
        """Whether there has been no movement for so long that an hourly position is enough."""
        return self._proven and self.still_ms(now_ms) >= STILL_MS

    def _test(self, now_ms: int) -> None:
        self._tested_ms = now_ms
        self._proven = False
        try:
            # a step in the middle of a test looks like a fault; twice it does not
            passed = self._board.motion_self_test() or self._board.motion_self_test()
        except OSError:
            self._failed(NO_ANSWER)
            return
        if passed is None:
            self._felt(now_ms)
        elif not passed:
            self._failed(SELF_TEST_FAILED)
        elif (
            self.fault != STUCK
        ):  # what passes its test and yet feels nothing is not believed again before a boot
            self.fault = WORKS
            self._proven = True

    def _felt(self, now_ms: int) -> None:
        self._moved_ms = now_ms
        self._drive_ms = None
        self._proven = False

    def _failed(self, fault: int) -> None:
        self.felt = None
        if self.fault not in (fault, STUCK):
            self.fault = fault
            count("motion_sensor_faults")
