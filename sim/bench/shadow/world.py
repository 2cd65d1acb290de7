"""What surrounds the virtual board: its time, its serial lines, its pins, and the host that grants time to it.

Time stands still unless something moves it. `pass_until` jumps to the next thing that is due (a timer of the firmware,
bytes on a serial line) and never past the horizon that the host has granted; there it reports and waits. While the
firmware says that an answer is due (it keeps the modem awake) time is frozen until the answer comes, so that a slow
host never looks like a slow network; after `patience_ms` of real silence it goes on, so that the firmware's own
time-outs work against a broker that is dead.

The host writes records on one descriptor: kind (1), instant (int64), length (uint16), payload; as many of them as are
together at most CHUNK_BYTES with their length (uint16) in front.
    G  grant until that instant; payload: pace in thousandths of real time (0: as fast as it goes), patience ms (uint32)
    U  bytes on the GNSS line    P  pin: number (uint8), level (uint16)    E  nothing more before the horizon
    R  an advertisement over the air: dBm (int8), its data    C  bytes on the console's line
    L  as P, before the first G: a level that is there when the board wakes up
and reads lines on another: `T instant` now and then, `W instant wakes asleep_ms` and `H instant counters` there,
`R instant cause` at a reset,
`A instant data` for each advertisement that the board sends, `C instant data` for what it says on the console's line
(hexadecimal); `V instant level` when the vibration motor is switched. Where the heap is metered: `K instant bytes` that
the code's structures take once loaded, and `M instant bytes` that are live beside code and board, instead of T.
"""

import gc
import hashlib
import json
import random
import struct

import utime
from micropython import const

world = None  # the one world of this process, set at power on

HEADER = "<qH"  # after the kind
HEADER_BYTES = const(11)
GRANT, LEVEL, GNSS, CONSOLE, PIN, RADIO, END = b"GLUCPRE"
CHUNK_BYTES = const(4096)
NEVER_MS = const(1 << 60)
PROGRESS_MS = const(60000)
# What the gateway says to a modem that may sleep comes at its next radio window: LTE pages one every 1.28 s or less.
PAGING_MS = const(1000)
# The ring of ticks of a 32-bit board, and where this one starts: ten minutes before it wraps.
TICKS_PERIOD = const(1 << 30)
TICKS_AT_BOOT = const((1 << 30) - 600000)
# asyncio's queue is C and stamps tasks with the host's ticks: its virtual ticks must lie ahead of those.
LOOP_TICKS_AHEAD = 1000000000


class World:
    """One life of the board, from power on to power off."""

    def __init__(self, now_ms: int, commands, reports, identity: bytes) -> None:
        self.boot_ms = self.now_ms = self.horizon_ms = now_ms
        self.lines = {}  # UART number: the shadow UART
        self.pins = {}  # GPIO number: level
        self.on_pin = {}  # GPIO number: what to call with a level written
        self.on_fed = {}  # GPIO number: what to call with a level that came from outside
        self.bus = {}  # address on the I2C bus: device
        self.receiver_on = True  # without power it says nothing
        self.identity = identity
        self.reset_cause = 1
        self.rtc_file = None
        self.radio = None  # the one bluetooth.BLE, when there is one
        self.flash = None
        self.queue = None  # asyncio's, loop.IOQueue
        self.awake = False
        self.watchdog_ms = None  # when the watchdog bites
        self.wakes = 0  # how often the processor had nothing to do until some later instant, and then had
        self.asleep_ms = 0  # how long of that it slept lightly
        self.wakers = [{}, {}]  # by ext0 and ext1: GPIO number: level that wakes it
        self.wake_reason = 0
        self.dozes = False
        self._commands = commands
        self._reports = reports
        self._chunk = bytearray(CHUNK_BYTES)
        self._view = memoryview(self._chunk)
        self._at = self._end = 0
        self._next = None  # the next record, and when it is due: never, if nothing is before the horizon
        self._next_ms = NEVER_MS
        self.rung = False  # whether a serial line has something that its task may not know of
        self._reported = True
        self._let_go = False
        self._pace = 0
        self._vibrates = 0
        self._patience_ms = 3000
        self._metered = False
        self._idle_bytes = 0  # of the heap: code, board and ballast
        self._loop_ticks = utime.ticks_ms() + LOOP_TICKS_AHEAD
        self._progress_ms = now_ms
        self._asked_ms = 0  # when sockets were last asked
        self._drawn = 0
        random.seed(int.from_bytes(hashlib.sha256(identity).digest()[:4], "big"))

    def random(self, n: int) -> bytes:
        """The next `n` random bytes of this life: SHA-256 of what names the life and a counter."""
        drawn = b""
        while len(drawn) < n:
            self._drawn += 1
            drawn += hashlib.sha256(self.identity + struct.pack("<I", self._drawn)).digest()
        return drawn[:n]

    # ------------------------------------------------------------------------------------------- ticks

    def ticks_ms(self) -> int:
        return (self.now_ms - self.boot_ms + TICKS_AT_BOOT) & (TICKS_PERIOD - 1)

    def loop_ticks_ms(self) -> int:
        return self.now_ms - self.boot_ms + self._loop_ticks

    # -------------------------------------------------------------------------------------------- host

    def await_grant(self) -> None:
        """Block until the host grants more time."""
        while self.now_ms >= self.horizon_ms and self._reported:
            self._read_command()
        self._asked_ms = 0  # what was said meanwhile has come

    def _read_command(self) -> None:
        if self._at == self._end:
            self._fill()
        at = self._at
        kind = self._chunk[at]
        at_ms, length = struct.unpack_from(HEADER, self._chunk, at + 1)
        at += HEADER_BYTES
        self._at = at + length
        payload = bytes(self._view[at : at + length]) if length else b""
        if kind == GRANT:
            pace, patience_ms = struct.unpack("<II", payload)
            self.horizon_ms = at_ms
            self._pace = pace
            self._patience_ms = patience_ms
            self._reported = False
            self._read_command()
        elif kind == LEVEL:
            pin, level = struct.unpack("<BH", payload)
            self.pins[pin] = level
        elif kind == END:
            self._next_ms = NEVER_MS
        else:
            self._next = (kind, payload)
            self._next_ms = at_ms

    def _fill(self) -> None:
        """Read the next records. Waits for them; at the horizon none is left over."""
        length = self._commands.read(2)
        if not length or len(length) < 2:
            raise SystemExit(0)  # the host is gone
        self._at, self._end = 0, length[0] | length[1] << 8
        if self._commands.readinto(self._chunk, self._end) != self._end:
            raise SystemExit(0)

    def meter(self, code_bytes: int) -> None:
        """From now on report what the firmware holds of the heap, after a collection, instead of the mere time."""
        self.report("K", str(code_bytes))
        gc.collect()
        self._idle_bytes = gc.mem_alloc()
        self._metered = True

    def report(self, kind: str, rest: str = "") -> None:
        self._reports.write("%s %d %s\n" % (kind, self.now_ms, rest))

    def _deliver(self) -> None:
        """Let happen what is due from outside."""
        while self._next_ms <= self.now_ms:
            kind, payload = self._next
            self._read_command()
            if kind == GNSS:
                if 1 in self.lines and self.receiver_on and not self.dozes:
                    self.lines[1].arrive(payload)
            elif kind == CONSOLE:
                if not self.dozes:
                    self.lines[0].arrive(payload)
            elif kind == PIN:
                pin, level = struct.unpack("<BH", payload)
                self.pins[pin] = level
                hear = self.on_fed.get(pin)
                if hear:
                    hear(level)
                self.dozes = self.dozes and not self._woken()
            elif kind == RADIO and self.radio:
                self.radio.arrive(struct.unpack_from("b", payload)[0], payload[1:])

    # -------------------------------------------------------------------------------------------- time

    def stay_awake(self, on: bool) -> None:
        if on and not self.awake:
            self._let_go = False
        self.awake = on

    def power_receiver(self, level: int) -> None:
        self.receiver_on = bool(level)

    def vibrate(self, level: int) -> None:
        if level != self._vibrates:
            self._vibrates = level
            self.report("V", str(level))

    def sleep(self, ms: int) -> None:
        """The processor does nothing for so long."""
        until = self.now_ms + ms
        while self.now_ms < until:
            self._deliver()
            if self.now_ms >= self.horizon_ms:
                self._halt()
                self.await_grant()
            self._move(min(until, self.horizon_ms, self._next_ms))

    def doze(self, ms: int) -> None:
        """Sleep lightly for so long, or until a pin wakes it: serial lines and interrupts are deaf."""
        begin, until = self.now_ms, self.now_ms + ms
        self.dozes = not self._woken()
        while self.dozes and self.now_ms < until:
            self._deliver()
            if not self.dozes:
                break
            if self.now_ms >= self.horizon_ms:
                self._halt()
                self.await_grant()
            due_ms = min(until, self.horizon_ms, self._next_ms)
            if self._pace and due_ms > self.now_ms:
                utime.sleep_ms((due_ms - self.now_ms) * 1000 // self._pace)
            before_ms = self.now_ms
            self._move(due_ms)
            self.asleep_ms += self.now_ms - before_ms
        if self.dozes:
            self.wake_reason = 4
        self.dozes = False
        self.wakes += self.now_ms != begin

    def _woken(self) -> bool:
        """Whether a pin is at the level that wakes the processor; notes which."""
        for source, pins in enumerate(self.wakers):
            if any(self.pins.get(number, 0) == level for number, level in pins.items()):
                self.wake_reason = 2 + source
                return True
        return False

    def _move(self, to_ms: int) -> None:
        self.now_ms = max(self.now_ms, to_ms)
        if self.now_ms - self._progress_ms >= PROGRESS_MS:
            self._progress_ms = self.now_ms
            if self._metered:
                gc.collect()
                self.report("M", str(gc.mem_alloc() - self._idle_bytes))
            else:
                self.report("T")
        if self.watchdog_ms is not None and self.now_ms > self.watchdog_ms:
            self.reset(3)

    def reset(self, cause: int) -> None:
        """The processor starts again; nothing that was not written before reaches the flash."""
        if self.flash:
            self.flash.power_off()
        self.report("R", str(cause))
        raise SystemExit(77)

    def _halt(self) -> None:
        if not self._reported:
            self._reported = True
            from counters import COUNTERS

            self.report("W", "%d %d" % (self.wakes, self.asleep_ms))
            self.report("H", json.dumps(COUNTERS))

    # --------------------------------------------------------------------------------------- what asyncio asks

    def pass_until(self, dt_ms: int, sockets_ready) -> None:
        """Let time pass, at most `dt_ms` (-1: no bound), until a serial line or a socket has something for a task.

        `sockets_ready(real_ms, also=None)` waits that much real time for sockets, wakes their tasks and tells whether
        there were any; `also` is one more descriptor that ends the wait.
        """
        asked_ms = self.now_ms
        if self.awake or asked_ms - self._asked_ms >= PAGING_MS:
            self._asked_ms = asked_ms
            if sockets_ready(0):
                return
        until = NEVER_MS if dt_ms < 0 else asked_ms + dt_ms
        while True:
            if self._next_ms <= self.now_ms:
                self._deliver()
            if (self.rung and self._lines_ready()) or self.now_ms >= until:
                self.wakes += self.now_ms != asked_ms
                return
            answer_due = self.awake and self.queue.waits_for_socket()
            if answer_due and not self._let_go:
                if sockets_ready(self._patience_ms):
                    return
                self._let_go = True
            if answer_due and sockets_ready(1):  # let go; but a late answer is still welcome at every step
                self._let_go = False
                return
            if self.now_ms >= self.horizon_ms:
                self._halt()
                if sockets_ready(-1, self._commands):
                    return
                self.await_grant()
                continue
            due_ms = min(until, self.horizon_ms, self._next_ms)
            if self._pace and self._keep_pace(due_ms, sockets_ready):
                return
            self._move(due_ms)

    def _lines_ready(self) -> bool:
        """Wake the tasks for whose serial lines something has come; whether there were any."""
        self.rung = False  # until more comes, or a task begins to wait where something is
        woken = False
        for line in self.lines.values():
            if line.held:
                woken = self.queue.wake_line(line) or woken
        return woken

    def _keep_pace(self, due_ms: int, sockets_ready) -> bool:
        """Spend the real time that the pace asks for until `due_ms`; True when a socket wants attention before."""
        begin, began_ms = utime.ticks_ms(), self.now_ms
        woken = sockets_ready((due_ms - began_ms) * 1000 // self._pace)
        if woken:
            passed_ms = utime.ticks_diff(utime.ticks_ms(), begin) * self._pace // 1000
            self._move(min(due_ms, began_ms + passed_ms))
        return woken
