"""What the kernel of this machine knows of time. Linux only, as `tagwatch serve` is."""

from __future__ import annotations

import ctypes
import time
from functools import cache
from pathlib import Path

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_RTCS = Path("/sys/class/rtc")
_STA_UNSYNC = 0x40
_TIME_ERROR = 5


class _Timex(ctypes.Structure):
    """``struct timex`` of 64-bit Linux (adjtimex(2))."""

    _fields_ = (
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long),
        ("status", ctypes.c_int),
        ("rest", ctypes.c_byte * 200),
    )


def synchronised() -> tuple[bool | None, float | None]:
    """Whether something (NTP, PTP, GPS) keeps the kernel's clock, and its bound of the error, ms; None: not told."""
    told = _Timex()
    state = _libc().adjtimex(ctypes.byref(told))
    if state < 0:
        return None, None
    if state == _TIME_ERROR or told.status & _STA_UNSYNC:
        return False, None
    return True, told.maxerror / 1000


def wall_ms() -> int:
    """What the machine's clock shows, UTC ms since 1970. It can be set to anything at any time."""
    return time.time_ns() // 1_000_000


def steady_ms() -> int:
    """Milliseconds since the machine was switched on, sleep included. Nobody can set it, a time server but trim it."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000_000


@cache
def boot() -> int:
    """A number of this boot, below 2^63: `steady_ms` of two processes can be compared where it is the same."""
    return int(_BOOT_ID.read_text().strip().replace("-", ""), 16) & (2**63 - 1)


def hardware_clock() -> bool:
    """Whether there is a clock that goes on while the machine is off."""
    return any(_RTCS.glob("rtc*"))


@cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)
