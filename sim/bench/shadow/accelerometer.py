"""The motion sensor on the virtual board's bus: an LIS2DH12 as far as the firmware's driver can see it.

What the wearer and fate do to it are levels of pins that no chip has, set by the host like those of the chip.
"""

import struct

MOVING = 100  # pin: 1 while the tag is moved
CONDITION = 101  # pin: one of those below
# answers nothing; fails its self-test; passes it and feels nothing; holds the bus, so that who asks it waits for ever
HEALTHY, MUTE, BROKEN, NUMB, HANGING = range(5)

ADDRESS = 0x19
_CTRL4, _INT1_CFG, _INT1_SRC, _OUT = 0x23, 0x30, 0x31, 0x28
_GRAVITY = 250  # 4 mg each
_FORCE = 90
_ENODEV = 19


class Accelerometer:
    """Registers, and the interrupt line on a pin of the chip."""

    def __init__(self, world, interrupt: int) -> None:
        self._world = world
        self._interrupt = interrupt
        self._registers = bytearray(64)
        self._registers[0x0F] = 0x33
        world.on_fed[MOVING] = self._moves

    def write(self, register: int, data: bytes) -> None:
        self._answer()
        self._registers[register : register + len(data)] = data
        self._moves(self._world.pins.get(MOVING, 0))

    def read(self, register: int, n: int) -> bytes:
        self._answer()
        register &= 0x7F
        if register == _OUT:
            return self._axes()
        if register == _INT1_SRC:
            self._world.pins[self._interrupt] = 0
            self._moves(self._world.pins.get(MOVING, 0))
        return bytes(self._registers[register : register + n])

    def _answer(self) -> None:
        if self._world.pins.get(CONDITION, HEALTHY) == MUTE:
            raise OSError(_ENODEV)
        while self._world.pins.get(CONDITION, HEALTHY) == HANGING:
            self._world.sleep(1000)

    def _moves(self, moving: int) -> None:
        if moving and self._registers[_INT1_CFG] and self._world.pins.get(CONDITION, HEALTHY) != NUMB:
            self._world.pins[self._interrupt] = 1

    def _axes(self) -> bytes:
        condition = self._world.pins.get(CONDITION, HEALTHY)
        force = _FORCE if self._registers[_CTRL4] & 6 and condition != BROKEN else 0
        shaken = 0
        if self._world.pins.get(MOVING, 0) and condition != NUMB:
            shaken = self._world.now_ms // 100 % 7 * 31
        return struct.pack("<hhh", (force + shaken) << 6, force << 6, (_GRAVITY - force) << 6)
