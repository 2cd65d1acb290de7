"""The processor's own devices, virtual: what `boards/esp32.py` asks of machine, and no more."""

import io
import struct

import utime
import world

PWRON_RESET = 1
HARD_RESET = 2
WDT_RESET = 3
DEEPSLEEP_RESET = 4
SOFT_RESET = 5

EPOCH_2000 = 946684800
POLL = 3  # the stream ioctl of MicroPython: MP_STREAM_POLL
POLLIN = 1
POLLOUT = 4
RTC_RECORD = "<BqB16s"  # whether it was set, offset from the world's time in ms, its memory
RTC_BYTES = 26


def reset():
    world.world.reset(HARD_RESET)


soft_reset = reset


EXT0_WAKE = 2
EXT1_WAKE = 3
TIMER_WAKE = 4


def lightsleep(ms: int) -> None:
    world.world.doze(ms)


def wake_reason() -> int:
    return world.world.wake_reason


def reset_cause() -> int:
    return world.world.reset_cause


def unique_id() -> bytes:
    return world.world.identity[:6]


class Pin:
    """A GPIO pin. The world sets the level of inputs and hears of the level of outputs."""

    IN = 1
    OUT = 3
    PULL_UP = 2
    PULL_DOWN = 1
    IRQ_RISING = 1
    IRQ_FALLING = 2

    def __init__(self, number: int, mode: int = -1, pull: int = -1, *, value=None) -> None:
        self.number = number
        if value is not None:
            self.value(value)

    def init(self, mode: int = -1, pull: int = -1) -> None:
        pass

    def value(self, level=None):
        the_world = world.world
        if level is None:
            return the_world.pins.get(self.number, 0)
        the_world.pins[self.number] = level
        hear = the_world.on_pin.get(self.number)
        if hear:
            hear(level)
        return None

    def irq(self, handler, trigger: int = IRQ_RISING | IRQ_FALLING) -> None:
        """Call the handler when the world gives the pin another level."""

        before = [self.value()]

        def fed(level: int) -> None:
            felt = trigger & (self.IRQ_RISING if level else self.IRQ_FALLING) and not world.world.dozes
            if level != before[0] and felt:
                handler(self)
            before[0] = level

        world.world.on_fed[self.number] = fed


class I2C:
    """A bus with the motion sensor on it, and nothing else."""

    def __init__(self, number: int, *, scl, sda, freq: int = 400000) -> None:
        pass

    def readfrom_mem(self, address: int, register: int, n: int) -> bytes:
        return self._device(address).read(register, n)

    def writeto_mem(self, address: int, register: int, data: bytes) -> None:
        self._device(address).write(register, data)

    def _device(self, address: int):
        device = world.world.bus.get(address)
        if device is None:
            raise OSError(19)
        return device


class ADC:
    """An analogue input: the world's level for the pin, in millivolts."""

    ATTN_11DB = 3

    def __init__(self, pin: Pin, *, atten: int = 0) -> None:
        self._pin = pin

    def read_uv(self) -> int:
        return self._pin.value() * 1000


class WDT:
    """Bites when it was not fed for `timeout` of virtual time."""

    def __init__(self, *, id: int = 0, timeout: int = 5000) -> None:
        self._timeout = timeout
        self.feed()

    def feed(self) -> None:
        the_world = world.world
        the_world.watchdog_ms = the_world.now_ms + self._timeout


class RTC:
    """Runs on while the tag is off; its offset from the world's time and its memory are one record of a file."""

    def _state(self):
        file = world.world.rtc_file
        file.seek(0)
        return struct.unpack(RTC_RECORD, file.read(RTC_BYTES))

    def _keep(self, is_set: int, offset_ms: int, memory: bytes) -> None:
        file = world.world.rtc_file
        file.seek(0)
        file.write(struct.pack(RTC_RECORD, is_set, offset_ms, len(memory), memory))

    def seconds_since_2000(self) -> int:
        is_set, offset_ms, _, _ = self._state()
        the_world = world.world
        # never set: it counts from 2000 since power on
        return (the_world.now_ms + offset_ms if is_set else the_world.now_ms - the_world.boot_ms) // 1000

    def datetime(self, when=None):
        if when is None:
            now = utime.gmtime(self.seconds_since_2000() + EPOCH_2000)
            year, month, day, hour, minute, second, weekday = now[:7]
            return year, month, day, weekday, hour, minute, second, 0
        year, month, day, _, hour, minute, second, _ = when
        set_ms = (utime.mktime((year, month, day, hour, minute, second, 0, 0)) - EPOCH_2000) * 1000
        self._keep(1, set_ms - world.world.now_ms, self.memory())
        return None

    def memory(self, data=None):
        is_set, offset_ms, length, memory = self._state()
        if data is None:
            return memory[:length]
        self._keep(is_set, offset_ms, data)
        return None


class UART(io.IOBase):
    """A serial line. The world feeds 0, the console, and 1; on 2 sits a modem that does what it is told."""

    IRQ_RXIDLE = 4096
    virtual_line = True

    def __init__(self, number: int, baudrate: int = 9600, *, tx=None, rx=None, rxbuf=256, timeout=0) -> None:
        self.held = b""
        self._room = rxbuf
        self._number = number
        world.world.lines[number] = self

    def arrive(self, data: bytes) -> None:
        """Bytes come down the line; what the buffer can not hold is lost, as in life."""
        held = self.held
        self.held = (held + data)[: self._room] if held else data[: self._room]
        world.world.rung = True

    def any(self) -> int:
        return len(self.held)

    def read(self, n: int = -1):
        held = self.held
        if not held:
            return None
        if n < 0 or n >= len(held):
            self.held = b""
            return held
        self.held = held[n:]
        return held[:n]

    def readinto(self, buffer):
        data = self.read(len(buffer))
        if data is None:
            return None
        buffer[: len(data)] = data
        return len(data)

    def readline(self):
        end = self.held.find(b"\n")
        return self.read(end + 1 if end >= 0 else -1)

    def write(self, data) -> int:
        if self._number == 0:
            world.world.report("C", bytes(data).hex())
        elif self._number == 2:
            self.arrive(b"\r\nCONNECT\r\n" if bytes(data).startswith(b"ATD") else b"\r\nOK\r\n")
        return len(data)

    def irq(self, handler=None, trigger: int = 0, hard: bool = False) -> None:
        pass

    def ioctl(self, request: int, argument: int) -> int:
        if request == POLL:
            return argument & ((POLLIN if self.held else 0) | POLLOUT)
        return 0
