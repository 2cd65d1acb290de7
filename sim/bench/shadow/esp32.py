"""The flash: partitions over the image file that the host has made."""

import sys

BLOCK_BYTES = 4096
WAKEUP_ALL_LOW = False
WAKEUP_ANY_HIGH = True


def wake_on_ext0(pin, level: bool) -> None:
    """Any one pin, at either level."""
    sys.modules["world"].world.wakers[0] = {} if pin is None else {pin.number: int(level)}


def wake_on_ext1(pins, level: bool) -> None:
    """Some pins, of which one is enough. Waking when all are low is not needed here."""
    assert level, "WAKEUP_ANY_HIGH only"
    sys.modules["world"].world.wakers[1] = {pin.number: 1 for pin in pins or ()}


class Partition:
    """A block device with the extended interface that LittleFS wants."""

    TYPE_DATA = 1

    def __init__(self, file, size: int) -> None:
        self._file = file
        self._blocks = size // BLOCK_BYTES
        self._powered = True

    @staticmethod
    def find(type: int = TYPE_DATA, subtype: int = 255, label=None):
        return [sys.modules["world"].world.flash]

    def power_off(self) -> None:
        """No write after this reaches the flash; files left open are closed by a finaliser, later than life."""
        self._powered = False

    def readblocks(self, block: int, buffer, offset: int = 0) -> None:
        self._file.seek(block * BLOCK_BYTES + offset)
        self._file.readinto(buffer)

    def writeblocks(self, block: int, buffer, offset: int = 0) -> None:
        if self._powered:
            self._file.seek(block * BLOCK_BYTES + offset)
            self._file.write(buffer)

    def ioctl(self, operation: int, argument: int):
        if operation == 4:  # how many blocks
            return self._blocks
        if operation == 5:  # bytes a block
            return BLOCK_BYTES
        return 0  # start, stop, sync, erase: the image needs none of them
