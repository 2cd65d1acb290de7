"""An LIS2DH12 accelerometer (or the LIS3DH, whose registers are the same) that watches for movement by itself.

Registers and figures: ST, LIS2DH12 data sheet (DocID025056), chapters 2 and 8. ±2 g, normal mode: 10 bits, 4 mg each.
"""

import struct
import time

try:
    from typing import TYPE_CHECKING
except ImportError:
    TYPE_CHECKING = False

if TYPE_CHECKING:
    import machine

ADDRESS = 0x19
_WHO_AM_I, _I_AM = 0x0F, 0x33
_CTRL1, _CTRL2, _CTRL3, _CTRL4, _CTRL5 = 0x20, 0x21, 0x22, 0x23, 0x24
_REFERENCE = 0x26
_OUT = 0x28
_INT1_CFG, _INT1_SRC, _INT1_THS, _INT1_DURATION = 0x30, 0x31, 0x32, 0x33
_SEVERAL = 0x80  # added to a register: the ones after it follow

_AT_10_HZ, _AT_50_HZ = 0x27, 0x47  # all three axes
_STEADY = 0x80  # block data update; the self-test off
_PUSHED = 0x82  # with the self-test's force on every axis
# A step shakes the ankle by 1 g and more, a sleeper who turns by 0.1 g; the sensor's own noise is 4 mg.
_THRESHOLD = 4  # of 16 mg
_LEAST_LSB, _MOST_LSB = 17, 360  # by which the self-test's force moves each axis
_QUIET_LSB = 8  # the same place measured twice differs by less, unless the tag moves
_SAMPLES = 5
_SAMPLE_MS = 20
_SETTLE_MS = 60  # three samples, until the force is there


class Accelerometer:
    """The sensor on its bus. What it does not answer is raised as OSError."""

    def __init__(self, bus: "machine.I2C") -> None:
        self._bus = bus
        self._ready = False

    def watch(self) -> None:
        """From now on raise the interrupt line at each movement, until :meth:`clear`."""
        self._set(_CTRL1, _AT_10_HZ)
        self._set(_CTRL2, 0x01)  # interrupt 1 sees what the high pass lets through: no gravity
        self._set(_CTRL3, 0x40)  # interrupt 1 on its pin
        self._set(_CTRL4, _STEADY)
        self._set(_CTRL5, 0x08)  # and it stays until its source is read
        self._set(_INT1_THS, _THRESHOLD)
        self._set(_INT1_DURATION, 0)
        self._get(_REFERENCE)  # the high pass begins anew
        self._set(_INT1_CFG, 0x2A)  # any axis, too much
        self.clear()
        self._ready = True

    def clear(self) -> None:
        """Take the interrupt line down again."""
        self._get(_INT1_SRC)

    def ready(self) -> bool:
        """Whether it has been told to watch."""
        return self._ready

    def self_test(self) -> bool | None:
        """Whether its own force moves each axis by what the data sheet allows; None where it was moved meanwhile.

        Takes a third of a second; movement during it is not felt.
        """
        self._ready = False
        if self._get(_WHO_AM_I) != _I_AM:
            return False
        self._set(_INT1_CFG, 0)
        self._set(_CTRL1, _AT_50_HZ)
        before = self._mean(_STEADY)
        pushed = self._mean(_PUSHED)
        after = self._mean(_STEADY)
        self.watch()
        for i in range(3):
            if abs(after[i] - before[i]) > _QUIET_LSB:
                return None
        return all(_LEAST_LSB <= abs(pushed[i] - before[i]) <= _MOST_LSB for i in range(3))

    def _mean(self, control: int) -> list[int]:
        """Each axis, the mean of some samples, under a setting of the fourth control register."""
        self._set(_CTRL4, control)
        time.sleep_ms(_SETTLE_MS)
        total = [0, 0, 0]
        for _ in range(_SAMPLES):
            time.sleep_ms(_SAMPLE_MS)
            axes = struct.unpack("<hhh", self._bus.readfrom_mem(ADDRESS, _OUT | _SEVERAL, 6))
            for i in range(3):
                total[i] += axes[i] >> 6
        return [axis // _SAMPLES for axis in total]

    def _set(self, register: int, value: int) -> None:
        self._bus.writeto_mem(ADDRESS, register, bytes([value]))

    def _get(self, register: int) -> int:
        return self._bus.readfrom_mem(ADDRESS, register, 1)[0]
