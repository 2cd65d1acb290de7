"""The board's time: ticks that wrap early, and a calendar that counts from 2000, as on an ESP32."""

import sys

import utime
import world
from micropython import const

TICKS_PERIOD = const(1 << 30)
EPOCH_2000 = const(946684800)


def ticks_ms() -> int:
    return world.world.ticks_ms()


def ticks_us() -> int:
    return world.world.ticks_ms() * 1000 & (TICKS_PERIOD - 1)


ticks_cpu = ticks_us


def ticks_add(ticks: int, delta: int) -> int:
    return (ticks + delta) & (TICKS_PERIOD - 1)


def ticks_diff(ticks1: int, ticks2: int) -> int:
    return ((ticks1 - ticks2 + TICKS_PERIOD // 2) & (TICKS_PERIOD - 1)) - TICKS_PERIOD // 2


def sleep_ms(ms: int) -> None:
    world.world.sleep(ms)


def sleep_us(us: int) -> None:
    world.world.sleep(us // 1000)


def sleep(seconds) -> None:
    world.world.sleep(int(seconds * 1000))


def time() -> int:
    return sys.modules["machine"].RTC().seconds_since_2000()


def time_ns() -> int:
    return time() * 1000000000


def gmtime(seconds=None):
    return utime.gmtime((time() if seconds is None else seconds) + EPOCH_2000)


localtime = gmtime


def mktime(when) -> int:
    return utime.mktime(when) - EPOCH_2000
