"""Runs on MicroPython: the journal on LittleFS, power cut at every n-th program or erase of the flash.

``littlefs_cuts.py IMAGE STRIDE OFFSET TORN`` prints: lives that were cut, operations of a whole life, least free heap.
TORN is how many sixteenths of the write that is cut happen.
"""
# mypy: ignore-errors
# ruff: noqa: UP031

import gc
import sys

import records
import vfs
from journal import Journal
from power_cuts import PowerCutFlash, each_cut, make, random

LIMIT = 16384


class Life:
    """What this tag may not lose."""

    def __init__(self):
        self.bodies = {}  # number: body of readings taken
        self.flushed = 0
        self.upto = 0
        self.committing = 0

    def body(self, i, n):
        return bytes((i & 255, i >> 8)) + bytes(n - 3) + b"\x03"

    def step(self, journal, i):
        kind = records.TAMPER if i % 13 == 5 else records.POSITION
        body = self.body(i, 60 if kind == records.TAMPER else 150)
        self.bodies[journal.append(kind, 17000000000 + i, body, kind == records.TAMPER)] = i
        self.flushed = max(self.flushed, journal.flushed)
        if i % 10 == 9:
            journal.flush()
            self.flushed = journal.flushed
        if i in (25, 69):
            journal.flush()
            self.flushed = journal.flushed
            self.committing = journal.flushed - 3
            journal.commit(self.committing)
            self.upto = self.committing

    def check(self, journal):
        assert journal.base in (self.upto + 1, self.committing + 1), "cursor"
        assert journal.next > self.flushed, "a number is given twice"
        accounted = set()
        at = journal.base
        while True:
            part = journal.read(at, 8)
            if not part:
                break
            for number, kind, t_ds, body in part:
                at = number + 1
                accounted.add(number)
                if kind == records.GAP:
                    first, n = records.gap_range(body)
                    accounted.update(range(first, first + n))
                elif number in self.bodies and number <= self.flushed:
                    i = self.bodies[number]
                    assert t_ds == 17000000000 + i and body == self.body(i, len(body)), "content"
        for number in range(journal.base, journal.flushed + 1):
            assert number in accounted, "%d is neither held nor named" % number


def live(image, cut_at):
    """One life, cut at an operation (0: not), and the boot after it. The operations done, and the least free heap."""
    life = Life()
    device = PowerCutFlash(image, cut_at)
    free = 1 << 30
    try:
        vfs.mount(vfs.VfsLfs2(device), "/flash")
        journal = Journal("/flash/journal", LIMIT, random)
        for i in range(150):
            life.step(journal, i)
            if device.dead:
                break
            if not cut_at:
                gc.collect()
                free = min(free, gc.mem_free())
    except OSError:
        if not device.dead:
            raise
    operations = device.operations
    device.end()
    device = PowerCutFlash(image, 0)
    vfs.mount(vfs.VfsLfs2(device), "/flash")
    journal = Journal("/flash/journal", LIMIT, random)
    life.check(journal)
    journal.append(records.TAMPER, 5, records.tamper(2, 1, 3), True)
    life.check(journal)
    device.end()
    return operations, free


def main(image, stride, offset, torn):
    PowerCutFlash.sixteenths = torn
    make(image)
    operations, free = live(image, 0)
    lives = 0
    numbers = range(1 + offset, operations + 1, stride)
    for done, _ in each_cut(image, numbers, lambda cut_at: live(image, cut_at)):
        assert done == numbers[lives]
        lives += 1
    print(lives, operations, free)


main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
