"""Power on: lay the virtual board around the firmware and run its main.py, as the port's start does on a board.

    power_on.py COMMANDS_FD REPORTS_FD IMAGE RTC SEED NOW_MS RESET_CAUSE HEAP_BYTES MODULE CODE \\
        BOARD_BYTES FIRMWARE_BYTES METERED

SEED is hexadecimal and differs at each boot. MODULE is the one that main.py runs. CODE is a file of two ROMFS images:
first the virtual board, whose machine, time, network, esp32 and os are found before the port's own, then the firmware.
"""

import gc
import sys

import uctypes
import uos
import vfs

# The board's flash is mounted at /, so the host's files move out of its way.
HOST = "/host"


def lay_out(arguments):
    """Make the world of this life."""
    commands_fd, reports_fd, image, rtc, seed, now_ms, cause = arguments[:7]
    vfs.umount("/")
    vfs.mount(vfs.VfsPosix("/"), HOST)
    burn(*arguments[9:12])
    sys.path[:] = ["/board", ".frozen", "/rom"]
    import time

    import esp32
    import world

    the_world = world.World(
        int(now_ms),
        open(HOST + "/dev/fd/" + commands_fd, "rb"),  # noqa: SIM115 for life
        open(HOST + "/dev/fd/" + reports_fd, "w"),  # noqa: SIM115
        bytes.fromhex(seed),
    )
    world.world = the_world
    time.ticks_ms = the_world.ticks_ms  # it is asked several times a second
    the_world.reset_cause = int(cause)
    the_world.rtc_file = open(HOST + rtc, "r+b")  # noqa: SIM115
    size = uos.stat(HOST + image)[6]
    the_world.flash = esp32.Partition(open(HOST + image, "r+b"), size)  # noqa: SIM115
    return the_world


def burn(code: str, board_bytes: str, firmware_bytes: str) -> None:
    """Put the compiled code where a board has it: in memory that is not of the heap, to be run in place."""
    with open("/host/proc/self/stat") as file:
        start, end = [int(field) for field in file.read().rsplit(")", 1)[1].split()[47:49]]
    start = (start + 4095) & -4096
    at = start
    with open(HOST + code, "rb") as file:
        for folder, size in (("/board", int(board_bytes)), ("/rom", int(firmware_bytes))):
            room = uctypes.bytearray_at(at, size)
            if at + size > end or file.readinto(room) != size:
                raise RuntimeError("the code has no room beside the stack")
            vfs.mount(vfs.VfsRom(room), folder)
            at += (size + 7) & -8


def lend_time(the_world) -> None:
    """Put virtual time under asyncio."""
    from asyncio import core

    import loop

    core.ticks = the_world.loop_ticks_ms
    # asyncio's own ticks do not wrap: its queue is C and would not follow the ring of a board
    core.ticks_add = lambda ticks, delta: ticks + delta
    core.ticks_diff = lambda ticks1, ticks2: ticks1 - ticks2
    core._io_queue = the_world.queue = loop.IOQueue(the_world)


def wire(the_world) -> None:
    """Connect the pins: strap and case closed, a battery half full and off the charger, in motion, at a sober skin."""
    from accelerometer import ADDRESS, MOVING, Accelerometer
    from boards.esp32_pins import PINS

    pins = the_world.pins
    for contact in ("strap", "case", "charger"):
        pins[PINS[contact]] = 0
    pins[PINS["battery_adc"]] = 1900
    # 33 degrees; see sim/alcohol_feed.py
    for channel, level_mv in (("fuel_cell_adc", 400), ("infrared_adc", 1000), ("skin_temperature_adc", 830)):
        pins[PINS[channel]] = level_mv
    pins[MOVING] = 1
    if sys.argv[9] != "unit":  # a home unit has its mains there
        pins[PINS["modem_ring"]] = 1
    the_world.bus[ADDRESS] = Accelerometer(the_world, PINS["motion_interrupt"])
    # while the modem is kept awake an answer is due, and time is frozen
    the_world.on_pin[PINS["modem_dtr"]] = lambda level: the_world.stay_awake(not level)
    the_world.on_pin[PINS["vibration_motor"]] = the_world.vibrate
    the_world.on_pin[PINS["gnss_enable"]] = the_world.power_receiver


def take_up_heap(heap_bytes: int):
    """Leave the firmware as much heap as a board has whose code is frozen into flash."""
    gc.collect()
    if gc.mem_free() < heap_bytes:
        raise MemoryError("the heap of the process is too small for the code and %d bytes" % heap_bytes)
    pieces = []  # small ones, which fill the holes that loading has left
    while gc.mem_free() > heap_bytes:
        pieces.append(bytearray(256))
    return pieces


the_world = lay_out(sys.argv[1:])
lend_time(the_world)
wire(the_world)
gc.collect()
before = gc.mem_alloc()
__import__(sys.argv[9])  # loads every module of the firmware, before time begins
gc.collect()
code_bytes = gc.mem_alloc() - before
ballast = take_up_heap(int(sys.argv[8]))
if sys.argv[13] == "1":
    the_world.meter(code_bytes)
the_world.await_grant()
import main  # noqa: F401
