"""What the tag is to do now: how often it takes a position, which of them may not wait, and what it was told to do.

The gateway's settings and commands, the time, the motion sensor in; answers to the sampler out. See `policy`.
"""

import struct

import kept
import policy
from commands import DONE, REFUSED
from records import DATE_SUSPECT, KEPT, QUALITY_MASK, UNSET
from rest import Rest
from signs import MOVING, STILL_BY_SENSOR, STILL_BY_SPEED

try:
    from typing import TYPE_CHECKING
except ImportError:
    TYPE_CHECKING = False

if TYPE_CHECKING:
    from typing import Protocol

    from clock import Clock
    from fix import Fix
    from folder import Folder
    from rest import RestBoard

    class Settings(Protocol):
        """The settings that the gateway may change, :class:`config.Changeable`."""

        sample_s: int
        pursuit_s: int

        def timed(self, t_ds: int, flags: int) -> bool:
            """Whether an instant lies in one of the times that the gateway has set."""

        def at_once(self, t_ds: int, flags: int, lat_e7: int, lon_e7: int, precision_dm: int) -> bool:
            """Whether a position is to be uploaded at once, by the times and places that the gateway has set."""


MOST_PURSUIT_MIN = 24 * 60  # a pursuit that nobody ends would empty the battery
SETTLED_MS = 60000  # no movement for so long counts as lying still
# A tag that was felt to move in so many looks (2 s each) since the position before has been stirred, not carried away:
# who walks for 10 s is within 15 m of where he was, the error of a position in a house.
STIRRED_LOOKS = 5
DRIVEN_KMH = 10  # a receiver that measures this contradicts a sensor that feels nothing
STILL_KMH = 1
# A speed is believed of a fix that is good to 30 m.
GOOD_DM = 300
_FILE = "pursuit"
_KEPT = "<q"


class Duty:
    """Answers to the sampler; the handlers of the commands ``pursuit`` and ``locate``.

    A pursuit is kept over a boot. Until the tag knows the time again it goes on, for as long as it was to last at most.
    """

    def __init__(self, settings: "Settings", clock: "Clock", board: "RestBoard", folder: "Folder") -> None:
        self.rest = Rest(board, clock.uptime_ms())
        self._settings = settings
        self._clock = clock
        self._folder = folder
        self._speed_kmh = 255  # of the last fix
        self._located = True  # no position was asked for that has not been made
        self._hurried = False  # the last position was at a time or place that the gateway has set
        self._until_ms: int | None = None  # the pursuit's end in uptime
        self._until_ds = 0  # and in time, when it was begun in another life
        self._recall()

    # ------------------------------------------------------------------------------------------ sampling

    def look(self, may_rest: bool) -> bool:
        """To be called every few seconds; True when a rest has just ended."""
        now_ms = self._clock.uptime_ms()
        # asked at rest only: this look comes every two seconds of a tag's life
        timed = self.rest.resting and self._settings.timed(*self._clock.now())
        rest_s = policy.TIMED_REST_S if timed else policy.REST_S
        allowed = may_rest and self._located and not self.in_pursuit()
        return self.rest.look(now_ms, allowed, rest_s * 1000)

    def fault(self) -> int:
        """What is the matter with the motion sensor: detail of a tamper record."""
        return self.rest.motion.fault

    def due(self, t_ds: int, last_ds: int | None) -> bool:
        """Whether a fix of an instant becomes a position, when the last is of another."""
        if not self._located:
            return True
        if self.rest.resting:
            return self.rest.due(self._clock.uptime_ms())
        settings = self._settings
        brisk = self._hurried and self.rest.motion.still_ms(self._clock.uptime_ms()) < SETTLED_MS
        period_s = policy.period_s(settings.sample_s, settings.pursuit_s, self.in_pursuit(), False, brisk)
        return policy.due(t_ds, last_ds, period_s)

    def at_once(self, t_ds: int, flags: int, fix: "Fix") -> bool:
        """Whether a position that was made may not wait."""
        self._hurried = self._settings.at_once(t_ds, flags, fix.lat_e7, fix.lon_e7, fix.precision_dm)
        return self._hurried or not self._located or self.in_pursuit()

    def stayed(self, speed_kmh: int) -> bool:
        """Whether the tag has not been carried away since the position before: its flag *not moved*."""
        felt = self.rest.motion.felt
        return felt is not None and felt <= STIRRED_LOOKS and speed_kmh < DRIVEN_KMH

    def sampled(self) -> None:
        """A position was made."""
        self._located = True
        self.rest.sampled(self._clock.uptime_ms())

    def moves(self, speed_kmh: int, precision_dm: int) -> None:
        """What the receiver says of the speed."""
        self._speed_kmh = speed_kmh
        if speed_kmh != 255 and precision_dm <= GOOD_DM:
            self.rest.motion.drives(speed_kmh, self._clock.uptime_ms())

    def still(self) -> int:
        """Whether the tag lies still, and how that is known; see `signs`."""
        motion = self.rest.motion
        if not motion.fault:
            still = motion.still_ms(self._clock.uptime_ms()) >= SETTLED_MS
            return STILL_BY_SENSOR if still else MOVING
        return STILL_BY_SPEED if self._speed_kmh <= STILL_KMH else MOVING

    # ------------------------------------------------------------------------------------------ commands

    def locate(self, arguments: "list[object]") -> int:
        """The command ``locate``: the next fix is a position, and is sent at once."""
        self._located = False
        self.rest.ask(self._clock.uptime_ms())
        return DONE

    def pursuit(self, arguments: "list[object]") -> int:
        """The command ``pursuit``: for so many minutes from now; 0 ends one. Raises OSError when flash refuses."""
        (minutes,) = arguments
        if not isinstance(minutes, int) or not 0 <= minutes <= MOST_PURSUIT_MIN:
            return REFUSED
        now_ds, flags = self._clock.now()
        known = flags & QUALITY_MASK != UNSET and not flags & DATE_SUSPECT
        until_ds = now_ds + minutes * 600 if known and minutes else 0
        kept.write(self._folder, _FILE, struct.pack(_KEPT, until_ds))
        self._until_ms = self._clock.uptime_ms() + minutes * 60000
        self._until_ds = 0
        self.rest.ask(self._clock.uptime_ms())
        return DONE

    def in_pursuit(self) -> bool:
        """Whether a pursuit is under way."""
        if self._until_ms is None:
            return False
        going_on = self._clock.uptime_ms() < self._until_ms
        if self._until_ds:
            now_ds, flags = self._clock.now()
            if flags & QUALITY_MASK >= KEPT and not flags & DATE_SUSPECT:
                going_on = going_on and now_ds < self._until_ds
        if not going_on:
            self._until_ms = None
        return going_on

    def _recall(self) -> None:
        """Go on with a pursuit that was under way before this boot."""
        try:
            data = kept.read(self._folder, _FILE)
            if data is None:
                return
            (until_ds,) = struct.unpack(_KEPT, data)
        except ValueError:
            until_ds = 1 << 50  # it can not be told when it ends
        if until_ds:
            self._until_ds = until_ds
            self._until_ms = self._clock.uptime_ms() + MOST_PURSUIT_MIN * 60000
