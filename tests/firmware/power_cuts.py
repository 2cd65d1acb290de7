"""On MicroPython: a flash whose power is cut at one of its operations, and what every script that cuts it begins with.

The scripts are the ``*_cuts.py`` beside it. The flash lies in a file, mounted as ``/flash`` with LittleFS.
"""
# mypy: ignore-errors
# ruff: noqa: PTH123, SIM115

import gc

import vfs

BLOCK = 4096
BLOCKS = 24
HALF_ERASED = b"\xff" * (BLOCK // 2)


class PowerCutFlash:
    """A block device over a file; at operation ``cut_at`` a part of it happens, and from then on nothing."""

    sixteenths = 8  # of a write that is cut

    def __init__(self, path, cut_at):
        self.file = open(path, "r+b")
        self.cut_at = cut_at
        self.operations = 0
        self.dead = False

    def readblocks(self, block, buffer, offset=0):
        if self.dead:
            return -5
        self.file.seek(block * BLOCK + offset)
        self.file.readinto(buffer)
        return 0

    def writeblocks(self, block, buffer, offset=0):
        return self.write(block * BLOCK + offset, buffer, len(buffer) * self.sixteenths // 16)

    def write(self, at, data, torn):
        if self.dead:
            return -5
        self.operations += 1
        self.file.seek(at)
        if self.operations == self.cut_at:
            self.file.write(memoryview(data)[:torn])
            self.dead = True
            return -5
        self.file.write(data)
        return 0

    def ioctl(self, operation, argument):
        if operation == 4:
            return BLOCKS
        if operation == 5:
            return BLOCK
        if operation == 6:
            # an erase cut short leaves old bytes in the second half
            failed = self.write(argument * BLOCK, HALF_ERASED, BLOCK // 2)
            if not failed:
                self.file.write(HALF_ERASED)
            return failed
        return 0

    def end(self):
        """The end of a life: of one that was cut nothing is written any more."""
        try:
            vfs.umount("/flash")
        except OSError:
            if not self.dead:
                raise
        gc.collect()  # finalisers of a dead life write to the dead device
        self.file.close()


class Board:
    """A board that does not know the time."""

    def ticks_ms(self):
        return 0

    def rtc(self):
        return None

    def set_rtc(self, when):
        pass


def random(n):
    return b"\x5a" * n


def nothing():
    pass


def make(image, furnish=nothing):
    """A new file system in the file ``image``; ``furnish`` puts on it what is there from the beginning."""
    with open(image, "wb") as file:
        for _ in range(BLOCKS):
            file.write(b"\xff" * BLOCK)
    device = PowerCutFlash(image, 0)
    vfs.VfsLfs2.mkfs(device)
    vfs.mount(vfs.VfsLfs2(device), "/flash")
    furnish()
    device.end()
    _copy(image, image + ".new")


def each_cut(image, numbers, live):
    """What ``live(cut_at)`` returns for each of ``numbers``, with the flash each time as `make` left it."""
    for cut_at in numbers:
        _copy(image + ".new", image)
        gc.collect()
        try:
            answer = live(cut_at)
        except Exception:
            print("cut at operation", cut_at)
            raise
        yield answer


def _copy(source, target):
    with open(source, "rb") as file, open(target, "wb") as other:
        for _ in range(BLOCKS):
            other.write(file.read(BLOCK))
