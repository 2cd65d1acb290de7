"""A box whose clocks and disk a test owns: real processes see it through `stepped_box.c`."""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

_SOURCE = Path(__file__).with_name("stepped_box.c")
_WALL, _BOOT, _KEPT, _NUMBER, _READ_ONLY = range(5)
_NS = 1_000_000_000


@dataclass
class SteppedBox:
    """What a box shows. Time is the real one plus what a test has let pass; only ``wall`` can be wrong."""

    file: Path
    passed_ns: int = 0
    off_ns: int = 0
    booted_ns: int = 0
    """By how much the clock since boot is ahead of the real one."""

    def now_ms(self) -> int:
        """What time it is in truth."""
        return (time.time_ns() + self.passed_ns) // 1_000_000

    def let_pass(self, seconds: float) -> None:
        """So much time passes at once, for everything in the box."""
        self.passed_ns += round(seconds * _NS)
        self.booted_ns += round(seconds * _NS)
        # the clock that can be wrong first, lest it seem to jump for a moment by more than it does
        self._write(_WALL, self.passed_ns + self.off_ns)
        self._write(_BOOT, self.booted_ns)

    def set_wall(self, off_s: float, *, kept: bool) -> None:
        """The box's clock is ahead of the truth by ``off_s``; ``kept``: a time server says that it is right."""
        self.off_ns = round(off_s * _NS)
        self._write(_KEPT, kept)
        self._write(_WALL, self.passed_ns + self.off_ns)

    def reboot(self, off_for_s: float, wall_off_s: float, number: int) -> None:
        """It was off for so long, and wakes with a wrong clock. For processes that are started afterwards."""
        self.passed_ns += round(off_for_s * _NS)
        self.booted_ns = -time.clock_gettime_ns(time.CLOCK_BOOTTIME) + 5 * _NS
        self._write(_BOOT, self.booted_ns)
        self._write(_NUMBER, number)
        self.set_wall(wall_off_s, kept=False)

    def read_only(self, is_so: bool) -> None:
        """Has the file system become read-only?"""
        self._write(_READ_ONLY, is_so)

    def _write(self, at: int, value: int) -> None:
        with self.file.open("r+b", buffering=0) as file:
            file.seek(8 * at)
            file.write(struct.pack("<q", value))


@pytest.fixture
def box(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SteppedBox:
    """A box that is right until a test says otherwise, for processes that the test starts."""
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler on this machine")
    library, file = tmp_path / "box.so", tmp_path / "box"
    subprocess.run([compiler, "-O1", "-shared", "-fPIC", "-o", library, _SOURCE], check=True, timeout=60)
    file.write_bytes(bytes(4096))
    made = SteppedBox(file)
    made._write(_NUMBER, 1)
    made.set_wall(0, kept=True)
    (tmp_path / "disk").mkdir()
    monkeypatch.setenv("LD_PRELOAD", str(library))
    monkeypatch.setenv("TEST_BOX", str(file))
    monkeypatch.setenv("TEST_DISK", f"{tmp_path / 'disk'}{os.sep}")
    return made
