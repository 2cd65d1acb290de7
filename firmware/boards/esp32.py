"""ESP32 devices: what they all have, what those with a cellular modem have, and those that are worn; the GPS tag.

Nothing outside this folder imports machine, network, esp32 or bluetooth. Devices with the short-range radio stand in
`esp32_radio.py`, those with sensors at the skin in `esp32_skin.py`.
"""

import asyncio
import errno
import os
import time
from asyncio import core  # type: ignore[attr-defined]  # the stubs leave it out

import esp32
import machine
import network
import power
import vfs
from esp32 import Partition

from boards.esp32_pins import PINS
from boards.lis2dh12 import Accelerometer

try:
    from typing import TYPE_CHECKING
except ImportError:
    TYPE_CHECKING = False

if TYPE_CHECKING:
    from typing import NoReturn

GNSS_BAUD = 9600
# A burst of a wordy receiver and the burst after it, should the flash keep the processor busy meanwhile.
GNSS_BUFFER = 4096
MODEM_BAUD = 115200
CONSOLE_BAUD = 115200
CONSOLE_BUFFER = 1024  # a line of an officer's tool
APN = "em.tag"
# Three times the longest that one step of the work takes (a TLS handshake on the slowest link).
WATCHDOG_MS = 120000
MODEM_REPLY_MS = 5000
NETWORK_MS = 60000
# The RTC runs on through every reset but not through a lack of power, as does the memory that says it has been set.
RTC_IS_SET = b"set"
AS_IT_IS = -1  # a pin's pull


class ModemError(OSError):
    """The modem or the network behind it did not do what it was asked; the text says which step."""


class Contact:
    """A contact to ground, pulled up: high is open. What opens between two looks, however briefly, is not missed."""

    def __init__(self, number: int) -> None:
        self.pin = machine.Pin(number, machine.Pin.IN, machine.Pin.PULL_UP)
        self._opened = False
        self.pin.irq(self._open, machine.Pin.IRQ_RISING)

    def stayed_closed(self) -> bool:
        """Whether it is closed and has not opened since the last call."""
        opened, self._opened = self._opened, False
        return not opened and self.pin.value() == 0

    def woken(self) -> None:
        """The processor has slept, when no interrupt is felt; what has woken it is still there to be seen."""
        if self.pin.value():
            self._opened = True

    def _open(self, _pin: machine.Pin) -> None:
        self._opened = True


class Esp32:
    """What every device has: flash at `/`, time, watchdog, battery, and `console`, the line to an officer's tool."""

    def __init__(self) -> None:
        self._mount()
        self._rtc = machine.RTC()
        self._battery = machine.ADC(machine.Pin(PINS["battery_adc"]), atten=machine.ADC.ATTN_11DB)
        self._watchdog = machine.WDT(timeout=WATCHDOG_MS)
        self.console = machine.UART(
            0, CONSOLE_BAUD, tx=PINS["console_tx"], rx=PINS["console_rx"], rxbuf=CONSOLE_BUFFER, timeout=0
        )

    def _mount(self) -> None:
        """Mount LittleFS, unless the port has. A flash that can not be read holds evidence: it is never formatted."""
        try:
            vfs.mount(Partition.find(Partition.TYPE_DATA, label="vfs")[0], "/")
        except OSError as error:
            if error.errno != errno.EPERM:  # EPERM: there is a file system at / already
                raise

    # --------------------------------------------------------------------------------------------- time

    def ticks_ms(self) -> int:
        """Milliseconds on the ring of ticks; compare with `time.ticks_diff` only."""
        return time.ticks_ms()  # type: ignore[return-value]  # the stub hides that it is an int

    def rtc(self) -> tuple[int, ...] | None:
        """(year, month, day, weekday, hour, minute, second, microsecond) UTC; None when it was never set."""
        return self._rtc.datetime() if self._rtc.memory() == RTC_IS_SET else None

    def set_rtc(self, when: tuple[int, ...]) -> None:
        """Set it: (year, month, day, weekday, hour, minute, second, 0), weekday 0 is Monday."""
        self._rtc.datetime(when)
        self._rtc.memory(RTC_IS_SET)

    def feed_watchdog(self) -> None:
        """To be called more often than every `WATCHDOG_MS`, or the processor is reset."""
        self._watchdog.feed()

    def reset_cause(self) -> int:
        """Why the processor started: machine's numbers, 1 power on, 2 hard, 3 watchdog, 4 deep sleep, 5 soft."""
        return machine.reset_cause()

    def reset(self) -> "NoReturn":
        """Start again from nothing."""
        machine.reset()

    def battery_mv(self) -> int:
        """The battery's voltage in millivolts."""
        return self._battery.read_uv() // 500

    def random(self, n: int) -> bytes:
        """`n` bytes of the hardware's random numbers."""
        return os.urandom(n)


class Online(Esp32):
    """A device with a cellular modem."""

    def __init__(self) -> None:
        super().__init__()
        self._awake = machine.Pin(PINS["modem_dtr"], machine.Pin.OUT, value=1)
        self._power_key = machine.Pin(PINS["modem_power_key"], machine.Pin.OUT, value=0)
        self._modem = machine.UART(2, MODEM_BAUD, tx=PINS["modem_tx"], rx=PINS["modem_rx"], timeout=0)
        self._ppp: network.PPP | None = None

    def stay_awake(self, on: bool) -> None:
        """Keep the modem listening while an answer is due; let it sleep between its radio windows otherwise."""
        self._awake.value(0 if on else 1)

    async def network_up(self) -> None:
        """Return once there is an internet link; raises ModemError when it can not be had now. Stay awake meanwhile."""
        if self._ppp is not None:
            if self._ppp.isconnected():
                return
            self._ppp.active(False)
            self._ppp = None
        await self._dial()

    async def _dial(self) -> None:
        if not await self._modem_answers():
            await self._press_power_key()
        await self._command("ATE0")
        await self._command('AT+CGDCONT=1,"IP","%s"' % APN)
        await self._command("ATD*99#", "CONNECT")
        ppp = network.PPP(self._modem)
        self._ppp = ppp
        ppp.active(True)
        ppp.connect()
        for _ in range(NETWORK_MS // 100):
            if ppp.isconnected():
                return
            await asyncio.sleep_ms(100)
        raise ModemError(
            "no network within %d s: the modem dialled but got no address" % (NETWORK_MS // 1000)
        )

    async def _modem_answers(self) -> bool:
        try:
            await self._command("AT", timeout_ms=500)
        except ModemError:
            return False
        return True

    async def _press_power_key(self) -> None:
        # 600 ms on, then up to 10 s until it listens: the usual figures of LTE Cat 1 and M1 modules
        self._power_key.value(1)
        await asyncio.sleep_ms(600)
        self._power_key.value(0)
        for _ in range(20):
            if await self._modem_answers():
                return
        raise ModemError("the modem does not answer after it was switched on")

    async def _command(self, line: str, wanted: str = "OK", timeout_ms: int = MODEM_REPLY_MS) -> None:
        """Give the modem one AT command and wait for `wanted`; raises ModemError."""
        while self._modem.read(64):
            pass
        self._modem.write((line + "\r").encode())
        answer = b""
        for _ in range(timeout_ms // 20):
            answer = (answer + (self._modem.read(64) or b""))[-128:]
            if wanted.encode() in answer:
                return
            if b"ERROR" in answer or b"NO CARRIER" in answer:
                break
            await asyncio.sleep_ms(20)
        raise ModemError("the modem answered %s with %r" % (line, answer))


class Worn(Online):
    """One that is worn: strap, case, and a charger that it is put on. It sleeps lightly while nothing is due."""

    def __init__(self) -> None:
        super().__init__()
        self._strap = Contact(PINS["strap"])
        self._case = Contact(PINS["case"])
        self._charger = machine.Pin(PINS["charger"], machine.Pin.IN)
        self._tool = machine.Pin(PINS["tool"], machine.Pin.IN, machine.Pin.PULL_DOWN)
        self._ring = machine.Pin(PINS["modem_ring"], machine.Pin.IN, machine.Pin.PULL_UP)
        # what wakes it when it goes high, and how it is pulled
        self._wakers = [
            (self._strap.pin, machine.Pin.PULL_UP),
            (self._case.pin, machine.Pin.PULL_UP),
            (self._charger, AS_IT_IS),
            (self._tool, machine.Pin.PULL_DOWN),
        ]
        self._needed = 0  # the bits of who needs the processor awake; the tool is looked at when nobody does
        self._needed_ms = 0  # when anybody last did
        self._ring.irq(self._rung, machine.Pin.IRQ_FALLING)
        self._wait = core._io_queue.wait_io_event
        self._need(power.ANSWER, False)

    def stay_awake(self, on: bool) -> None:
        """Keep modem and processor listening while an answer is due."""
        super().stay_awake(on)
        self._need(power.ANSWER, on)

    def _need(self, who: int, on: bool) -> None:
        self._needed = self._needed | who if on else self._needed & ~who
        self._needed_ms = self.ticks_ms()
        # asyncio asks for this before each turn, several times a second; there is something to decide only while nobody
        # needs the processor
        core._io_queue.wait_io_event = self._wait if self._needed else self._wait_or_sleep

    def _rung(self, _pin: machine.Pin) -> None:
        self._needed_ms = self.ticks_ms()

    def _wait_or_sleep(self, ms: int) -> None:
        """Wait until a stream has something for a task, at most so long (negative: for ever), or sleep through it."""
        if ms < power.LEAST_MS:  # most often a task is about to run
            self._wait(ms)
            return
        now_ms = self.ticks_ms()
        needed = power.TOOL if self._tool.value() else 0
        if needed:
            self._needed_ms = now_ms
        light_ms = power.light_ms(needed, time.ticks_diff(now_ms, self._needed_ms), ms)
        self._wait(0 if light_ms else ms)
        if not light_ms:
            return
        task = core._task_queue.peek()
        if task is not None and core.ticks_diff(task.ph_key, core.ticks()) > 0:
            self._sleep(light_ms)
            self._wait(0)

    def _sleep(self, ms: int) -> None:
        # one that is high already would not let it sleep
        esp32.wake_on_ext1([pin for pin, _pull in self._wakers if not pin.value()], esp32.WAKEUP_ANY_HIGH)
        esp32.wake_on_ext0(self._ring, esp32.WAKEUP_ALL_LOW)
        machine.lightsleep(ms)
        if machine.wake_reason() == machine.EXT0_WAKE:
            self._needed_ms = self.ticks_ms()
        # pins that can wake it belong to the chip's sleep controller afterwards, until they are taken back
        for pin, pull in self._wakers:
            pin.init(machine.Pin.IN, pull)
        self._ring.init(machine.Pin.IN, machine.Pin.PULL_UP)
        self._strap.woken()
        self._case.woken()

    def strap_closed(self) -> bool:
        """Whether the loop through the strap is whole, and has been since the last call."""
        return self._strap.stayed_closed()

    def case_closed(self) -> bool:
        """Whether the case is closed, and has been since the last call."""
        return self._case.stayed_closed()

    def charging(self) -> bool:
        """Whether the tag is on its charger."""
        return self._charger.value() == 1


class Board(Worn):
    """A GPS tag. `gnss` is the receiver's UART, for `asyncio.StreamReader`."""

    def __init__(self) -> None:
        super().__init__()
        self._motor = machine.Pin(PINS["vibration_motor"], machine.Pin.OUT, value=0)
        self._motion = machine.Pin(PINS["motion_interrupt"], machine.Pin.IN)
        bus = machine.I2C(
            0, scl=machine.Pin(PINS["motion_scl"]), sda=machine.Pin(PINS["motion_sda"]), freq=400000
        )
        self._accelerometer = Accelerometer(bus)
        self._wakers.append((self._motion, AS_IT_IS))
        self._need(power.RECEIVER, True)
        self._gnss_enable = machine.Pin(PINS["gnss_enable"], machine.Pin.OUT, value=1)
        self.gnss = machine.UART(
            1, GNSS_BAUD, tx=PINS["gnss_tx"], rx=PINS["gnss_rx"], rxbuf=GNSS_BUFFER, timeout=0
        )

    def receiver_power(self, on: bool) -> None:
        """Switch the GNSS receiver; it remembers the sky while it is off."""
        self._gnss_enable.value(1 if on else 0)
        self._need(power.RECEIVER, on)

    def vibrate(self, on: bool) -> None:
        """Switch the vibration motor."""
        self._motor.value(1 if on else 0)

    def motion_self_test(self) -> bool | None:
        """Whether the motion sensor passes its self-test (None: it was moved meanwhile); OSError: no answer."""
        return self._accelerometer.self_test()

    def moved(self) -> bool:
        """Whether the sensor has felt a movement since the last call; OSError when it does not answer."""
        if not self._accelerometer.ready():
            self._accelerometer.watch()
        if self._motion.value() == 0:
            return False
        self._accelerometer.clear()
        return True
