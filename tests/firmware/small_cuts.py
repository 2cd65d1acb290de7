"""Runs on MicroPython: what devices keep in small files on LittleFS, power cut at programs and erases of the flash.

``small_cuts.py IMAGE STRIDE OFFSET TORN FOLDER...`` prints: lives that were cut, operations of a whole life. TORN is
how many sixteenths of the write that is cut reach the flash. Each life changes the settings, takes a command, opens a
strap, notes what a home unit has believed, changes which tags it hears, and is provisioned anew and emptied; after the
cut each of these is as before or as after, and the device boots.
"""
# mypy: ignore-errors
# ruff: noqa: PTH123, UP031

import sys

sys.path += sys.argv[5:]

import config
import kept
import power_cuts
import roster
import vfs
from commands import DONE, Commands
from config import SAMPLE_S, Changeable
from fitting import FILES, Fitting
from folder import Folder
from guard import Guard
from journal import Journal
from listening import Listening
from power_cuts import PowerCutFlash, each_cut, make, random
from reserve import Reserve
from safe_mode import SafeMode

KEY = "ab" * 32
SETTINGS = '{"device": "%s", "host": "h", "port": 1, "server_name": "n", "key": "%s"}'
OLD, NEW = "gps00001", "gps00002"


class Board(power_cuts.Board):
    strap = True

    def strap_closed(self):
        return self.strap

    def case_closed(self):
        return True

    def battery_mv(self):
        return 3600


class Flashed:
    """A device as it finds itself on flash at a boot: everything is read, as its firmware reads it."""

    def __init__(self):
        from clock import Clock

        self.fitting = Fitting("/flash")
        self.fitting.finish()
        folder = Folder("/flash/kept")
        self.settings = config.load("/flash/config.json")
        self.changeable = Changeable(self.settings, folder)
        self.journal = Journal("/flash/journal", 16384, random)
        self.commands = Commands(self.journal, Clock(Board()), random, folder)
        self.commands.handlers["settings"] = self.changeable.change
        self.safe_mode = SafeMode(folder, 3)
        self.beacon = Folder("/flash/beacon")
        self.board = Board()
        self.guard = Guard(self.beacon, self.board, 0)
        self.reserve = Reserve(self.beacon)
        self.heard = Folder("/flash/heard")
        self.believed = roster.read_counters(self.heard)
        self.listening = Listening(roster.load("/flash/config.json"), self.heard, b"")
        self.commands.handlers["hear"] = self.listening.hear
        self.commands.handlers["unhear"] = self.listening.unhear
        lost = (self.changeable.lost, self.commands.lost, self.listening.lost)
        assert lost == (False, False, False), "lost"


def content(i):
    return bytes((i,)) * 300


def certificates():
    found = []
    for name in FILES[:3]:
        with open("/flash/" + name, "rb") as file:
            data = file.read()
        assert data == bytes(data[:1]) * 300, name + " is torn"
        found.append(data[0])
    return found


def step(device, i):
    """One thing of each kind; how far it went is what the caller can see."""
    wish = [{SAMPLE_S: 10 + i}]
    assert device.commands.take(1, [i, "settings", wish]) == Commands.EXECUTED
    device.guard._board.strap = i % 2 == 0
    device.guard.look(i * 1000)
    roster.write_counters(device.heard, {7: i})
    assert device.listening.console_hear({"beacon": i, "key": "%02x" % i * 32})
    assert device.listening.unhear([i - 1]) == DONE
    device.safe_mode.survived()
    device.reserve.take(4000)


def check(device, done):
    """What a boot finds is what was there before the step that was cut, or after it."""
    sampled = device.changeable.sample_s
    assert sampled in (10 + done, 11 + done) or (done == 0 and sampled in (60, 11)), "settings %d" % sampled
    pair = device.commands._pair
    assert pair in ((1, done), (1, done + 1)) or (done == 0 and pair == (0, 0)), "command"
    if pair == (1, done) and done and device.commands._outcome != DONE:
        raise AssertionError("a command that was done is told as failed")
    heard = [number for number, key in device.listening.tags if key == bytes((number,)) * 32]
    last, next_one = [done] if done else [], [done + 1]
    assert heard in (last, last + next_one, next_one), "tags %s" % heard
    believed = device.believed.get(7, 0)
    assert believed in (done, done + 1), "believed %d" % believed
    if done or believed:
        assert device.guard.state & 2, "the strap was opened"


def fit(device):
    for i, name in enumerate(FILES[:3]):
        device.fitting.put(name, 0, content(16 + i))
    device.fitting.put("config.json", 0, (SETTINGS % (NEW, KEY)).encode())
    device.fitting.provision(list(FILES))


def provisioned():
    """Whether the new files are in use; they are all new, or all old."""
    device = config.load("/flash/config.json").device
    assert certificates() == ([16, 17, 18] if device == NEW else [0, 1, 2]), "half provisioned"
    return device == NEW


STEPS = 4


def life(image, cut_at, state):
    """Steps, then a fitting, a boot, an emptying, a boot. ``state`` tells what was done when the power was cut."""
    device_flash = PowerCutFlash(image, cut_at)
    try:
        vfs.mount(vfs.VfsLfs2(device_flash), "/flash")
        device = Flashed()
        for i in range(1, STEPS + 1):
            step(device, i)
            if device_flash.dead:
                break
            state["done"] = i
        if not device_flash.dead:
            fit(device)
            state["fitting"] = True
            state["fitted"] = not device_flash.dead
        if not device_flash.dead:
            device = Flashed()
            assert device_flash.dead or provisioned()
        if not device_flash.dead:
            epoch = device.journal.epoch
            state["emptying"] = True
            device.fitting.empty(False)
            state["emptied"] = not device_flash.dead
        if not device_flash.dead:
            device = Flashed()
            assert device_flash.dead or device.changeable.sample_s == 60
            assert device_flash.dead or (device.journal.base == 1 and epoch)
    except (OSError, ValueError, AssertionError):
        if not device_flash.dead:
            raise
    device_flash.end()
    return device_flash.operations


def boot(image, state):
    """The boot after the cut, without another."""
    device_flash = PowerCutFlash(image, 0)
    vfs.mount(vfs.VfsLfs2(device_flash), "/flash")
    device = Flashed()
    new = provisioned()
    assert new if state.get("fitted") else new is False or state.get("fitting") or state["done"] == STEPS
    if not state.get("emptying"):
        check(device, state["done"])
    elif state.get("emptied"):
        assert device.changeable.sample_s == 60 and device.commands._pair == (1, STEPS)
    if state["done"] == STEPS:
        assert device.listening.tags == [(STEPS, bytes((STEPS,)) * 32)], "they go with the identity only"
    # and it can go on
    n = device.commands._pair[1] + 1
    assert device.commands.take(1, [n, "settings", [{SAMPLE_S: 33}]]) == Commands.EXECUTED
    assert device.changeable.sample_s == 33
    device_flash.end()


def furnish():
    for i, name in enumerate(FILES[:3]):
        with open("/flash/" + name, "wb") as file:
            file.write(content(i))
    with open("/flash/config.json", "w") as file:
        file.write(SETTINGS % (OLD, KEY))
    kept.write(Folder("/flash/kept"), "crashes", b"\0\0\0")


def life_and_boot(image, cut_at):
    state = {"done": 0}
    try:
        life(image, cut_at, state)
        boot(image, state)
    except Exception:
        print(state)
        raise


def main(image, stride, offset, torn):
    PowerCutFlash.sixteenths = torn
    make(image, furnish)
    operations = life(image, 0, {"done": 0})
    lives = 0
    for _ in each_cut(
        image, range(1 + offset, operations + 1, stride), lambda cut_at: life_and_boot(image, cut_at)
    ):
        lives += 1
    print(lives, operations)


main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
