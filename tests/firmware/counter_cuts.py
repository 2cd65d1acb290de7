"""Runs on MicroPython: an RF tag's counter on LittleFS, power cut at every single program or erase of the flash.

``counter_cuts.py IMAGE ROUNDS FOLDER`` prints how many lives were cut. Each life goes on with the flash of the last.
"""
# mypy: ignore-errors
# ruff: noqa: UP031

import sys

sys.path.append(sys.argv[3])

import vfs
from folder import Folder
from power_cuts import PowerCutFlash, make
from reserve import AHEAD, Reserve

BEACONS = 60  # by 1,000 counters each: fifteen blocks


def live(image, cut_at, used):
    """One life, cut at an operation (0: not); the highest counter that was used, and the operations done."""
    device = PowerCutFlash(image, cut_at)
    try:
        vfs.mount(vfs.VfsLfs2(device), "/flash")
        reserve = Reserve(Folder("/flash/beacon"))
        for _ in range(BEACONS):
            taken = reserve.take(1000)
            if device.dead:
                break  # it is never sent
            assert taken > used, "counter %d after %d" % (taken, used)
            assert taken - used < 8 * 4096, "a jump to %d from %d" % (taken, used)
            used = taken
    except OSError:
        if not device.dead:
            raise
    device.end()
    return used, device.operations


def main(image, rounds):
    make(image)
    used, operations = live(image, 0, 0)
    lives = 0
    for _ in range(rounds):
        for cut_at in range(1, operations + 1):
            used, _ = live(image, cut_at, used)
            lives += 1
    assert AHEAD and used > 0
    print(lives, operations)


main(sys.argv[1], int(sys.argv[2]))
