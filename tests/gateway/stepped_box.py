"""A box whose clocks and disk a test owns: real processes see it through `stepped_box.c`."""

from __future__ import annotations

import os
import struct
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

_SOURCE = Path(__file__).with_name("stepped_box.c")
_WALL, _BOOT, _KEPT, _NUMBER, _READ_ONLY, _PAUSE = range(6)
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

    def pause(self, seconds: float) -> None:
        """From now on so long passes between something being on disk and the next write; 0: as long as it takes."""
        self._write(_PAUSE, round(seconds * _NS))

    def _write(self, at: int, value: int) -> None:
        with self.file.open("r+b", buffering=0) as file:
            file.seek(8 * at)
            file.write(struct.pack("<q", value))


def made(folder: Path, disk: Path) -> tuple[SteppedBox, dict[str, str]]:
    """A box that is right, with ``disk`` in it, and what processes need in their environment to be in it.

    Raises FileNotFoundError where there is no C compiler.
    """
    library, file = folder / "box.so", folder / "box"
    subprocess.run(["cc", "-O1", "-shared", "-fPIC", "-o", library, _SOURCE], check=True, timeout=60)
    file.write_bytes(bytes(4096))
    box = SteppedBox(file)
    box._write(_NUMBER, 1)
    box.set_wall(0, kept=True)
    return box, {"LD_PRELOAD": str(library), "TEST_BOX": str(file), "TEST_DISK": f"{disk}{os.sep}"}


@pytest.fixture
def box(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SteppedBox:
    """A box that is right until a test says otherwise, for processes that the test starts."""
    (tmp_path / "disk").mkdir()
    try:
        box, environment = made(tmp_path, tmp_path / "disk")
    except FileNotFoundError:
        pytest.skip("no C compiler on this machine")
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    return box
