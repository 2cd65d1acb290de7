"""What an alcohol tag knows over its boots: the baseline of its fitting, and whether its sensor was told faulty."""

import struct

import kept
from counters import count
from records import UNKNOWN_I16, UNKNOWN_U16

try:
    from typing import TYPE_CHECKING
except ImportError:
    TYPE_CHECKING = False

if TYPE_CHECKING:
    from folder import Folder

_FILE = "baseline"
_LAYOUT = "<HhB"


class Baseline:
    """``infrared_mv`` and ``temperature_e2`` at fitting, unknown until there is one; ``fault`` as told last.

    ``lost``: what stood on flash could not be read.
    """

    def __init__(self, folder: "Folder") -> None:
        self.infrared_mv = UNKNOWN_U16
        self.temperature_e2 = UNKNOWN_I16
        self.fault = 0
        self.lost = False
        self._folder = folder
        try:
            data = kept.read(folder, _FILE)
            if data is not None:
                self.infrared_mv, self.temperature_e2, self.fault = struct.unpack(_LAYOUT, data)
        except ValueError:
            self.lost = True

    def keep(self, infrared_mv: int, temperature_e2: int) -> None:
        """Keep a new baseline. Raises OSError where flash refuses; the old one stays then."""
        kept.write(self._folder, _FILE, struct.pack(_LAYOUT, infrared_mv, temperature_e2, self.fault))
        self.infrared_mv, self.temperature_e2 = infrared_mv, temperature_e2
        self.lost = False

    def told(self, fault: int) -> None:
        """The gateway will hear that the sensor is at fault (1) or well (0)."""
        self.fault = fault
        try:
            kept.write(
                self._folder, _FILE, struct.pack(_LAYOUT, self.infrared_mv, self.temperature_e2, fault)
            )
        except OSError:
            count("flash_errors")  # at worst it is told once more after a boot
