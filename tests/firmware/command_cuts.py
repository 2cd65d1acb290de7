"""Runs on MicroPython: commands and settings on LittleFS, power cut at every single program or erase of the flash.

``command_cuts.py IMAGE COMMANDS`` prints: lives that were cut, operations of a whole life, and in how many lives
power went after a command had been executed and before its record was on flash.
"""
# mypy: ignore-errors
# ruff: noqa: UP031

import struct
import sys

import records
import vfs
from clock import Clock
from commands import DONE, FAILED, Commands
from config import SAMPLE_S, UPLOAD_S, Changeable
from folder import Folder
from journal import Journal
from power_cuts import Board, PowerCutFlash, each_cut, make, random

LIMIT = 16384
BEYOND = 1000  # command n sets intervals of so many seconds and n


class Provisioned:
    sample_s = 60
    upload_s = 120


class Gateway:
    """What it has commanded, and what the tag did of that."""

    def __init__(self):
        self.executed = []  # n of each command that was executed, in turn
        self.changed = {}  # n: outcome of the settings that it set
        self.told = {}  # n: outcome

    def hear(self, journal):
        """Every command record that the tag holds."""
        at = journal.base
        while True:
            part = journal.read(at, 8)
            if not part:
                return
            for number, kind, _, body in part:
                at = number + 1
                if kind == records.COMMAND:
                    generation, n, outcome = struct.unpack("<IIB", body[:9])
                    assert generation == 1 and n in self.executed, "an answer to %d" % n
                    assert self.told.setdefault(n, outcome) == outcome, "told again, and otherwise"


class Tag:
    """What a boot makes of the flash."""

    def __init__(self, gateway, device):
        self.gateway = gateway
        self.device = device
        vfs.mount(vfs.VfsLfs2(device), "/flash")
        folder = Folder("/flash/kept")
        self.journal = Journal("/flash/journal", LIMIT, random)
        self.settings = Changeable(Provisioned, folder)
        handlers = {"settings": self.change, "locate": self.locate}
        self.commands = Commands(self.journal, Clock(Board()), random, folder, handlers)
        assert not self.settings.lost and not self.commands.lost, "what was kept can not be read"

    def take(self, n):
        self.n = n
        if n % 3 == 2:
            return self.commands.take(1, [n, "locate", []])
        return self.commands.take(1, [n, "settings", [{SAMPLE_S: BEYOND + n, UPLOAD_S: BEYOND + n}]])

    def change(self, arguments):
        if not self.device.dead:
            self.gateway.executed.append(self.n)
        outcome = self.settings.change(arguments)
        if not self.device.dead:
            self.gateway.changed[self.n] = outcome
        return outcome

    def locate(self, arguments):
        if not self.device.dead:
            self.gateway.executed.append(self.n)
        return DONE

    def check(self):
        """Settings are those of one command, wholly; never older than one that is known to be done."""
        gateway, settings = self.gateway, self.settings
        of = settings.sample_s - BEYOND
        if settings.sample_s == Provisioned.sample_s:
            assert settings.upload_s == Provisioned.upload_s
        else:
            assert settings.upload_s == settings.sample_s and of in gateway.executed, (
                "settings of two commands"
            )
        done = [n for n in gateway.changed if gateway.changed[n] == DONE]
        assert not done or of >= max(done), "settings that were taken are gone"
        for n, outcome in gateway.told.items():
            assert outcome in (DONE, FAILED), "outcome %d of %d" % (outcome, n)
            if outcome == DONE and n % 3 != 2:
                assert of >= n, "told as done, and it is not"
        assert len(gateway.executed) == len(set(gateway.executed)), "executed twice"


def live(image, cut_at, commands):
    """One life, cut at an operation (0: not), and the boot after it; its operations, and whether power went between."""
    gateway = Gateway()
    device = PowerCutFlash(image, cut_at)
    n = 0
    try:
        tag = Tag(gateway, device)
        while n < commands and not device.dead:
            n += 1
            tag.take(n)
            assert tag.take(n) in (Commands.REPEATED, Commands.ANSWERED) or device.dead
    except OSError:
        if not device.dead:
            raise
    operations = device.operations
    device.end()
    device = PowerCutFlash(image, 0)
    tag = Tag(gateway, device)
    gateway.hear(tag.journal)
    tag.check()
    between = n in gateway.executed and n not in gateway.told
    # the gateway says what it has no answer to again, until it has one
    for again in range(max(1, n), n + 3):
        if again not in gateway.told:
            tag.take(again)
            tag.journal.flush()
            if again not in gateway.executed and again == n:
                gateway.executed.append(again)  # its number was kept, and it may have been begun
            gateway.hear(tag.journal)
            assert again in gateway.told, "%d is never answered" % again
    tag.check()
    if n > 1:
        assert tag.take(n - 1) == Commands.REPLAYED
    device.end()
    return operations, between


def main(image, commands):
    make(image)
    operations, _ = live(image, 0, commands)
    lives = interrupted = 0
    for done, between in each_cut(
        image, range(1, operations + 1), lambda cut_at: live(image, cut_at, commands)
    ):
        lives += 1
        assert done == lives
        interrupted += between
    print(lives, operations, interrupted)


main(sys.argv[1], int(sys.argv[2]))
