"""What the fault suite breaks things with: a disk that can be filled, calls to the disk that fail."""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

_libc = ctypes.CDLL(None, use_errno=True)
_MNT_DETACH = 2
_FIU = Path("/usr/lib/fiu")
_EIO = 5
_PATIENCE_S, _LOOK_S, _POLL_S = 120.0, 0.5, 0.02


class Disk:
    """A file system of its own at ``place``, if it may be mounted here, that can be filled to the last byte."""

    def __init__(self, place: Path, megabytes: int) -> None:
        place.mkdir()
        self.place = place
        self._ballast = place / "ballast"
        options = f"size={megabytes}m".encode()
        self.mounted = _libc.mount(b"tmpfs", os.fsencode(place), b"tmpfs", 0, options) == 0

    def fill(self) -> None:
        """From now on nothing more can be written to it."""
        with self._ballast.open("ab") as ballast:
            free = 1
            while free:
                there = os.statvfs(self.place)
                free = there.f_bavail * there.f_frsize
                with suppress(OSError):  # somebody else was faster with the last pages
                    os.posix_fallocate(ballast.fileno(), ballast.seek(0, os.SEEK_END), max(free, 1))

    def clear(self) -> None:
        """There is room again."""
        self._ballast.unlink(missing_ok=True)

    def close(self) -> None:
        """Give it back."""
        if self.mounted:
            _libc.umount2(os.fsencode(self.place), _MNT_DETACH)


class Failing:
    """Has calls to the disk fail in processes that were started within `preloaded` (libfiu).

    ``others`` is what those processes are to have in their environment beside it.
    """

    def __init__(self, pipes: Path, others: Mapping[str, str]) -> None:
        self._pipes = pipes
        self._others = others
        self.works = (_FIU / "fiu_posix_preload.so").exists() and shutil.which("fiu-ctrl") is not None

    @contextmanager
    def preloaded(self) -> Iterator[None]:
        """What is started within can be told that its calls fail."""
        given = dict(self._others)
        if self.works:
            given |= {
                "FIU_CTRL_FIFO": str(self._pipes),
                "FIU_ENABLE": "",
                "LD_PRELOAD": f"{_FIU}/fiu_run_preload.so {_FIU}/fiu_posix_preload.so {given['LD_PRELOAD']}",
            }
        before = {name: os.environ.get(name) for name in given}
        os.environ.update(given)
        try:
            yield
        finally:
            for name, value in before.items():
                if value is None:
                    del os.environ[name]
                else:
                    os.environ[name] = value

    def fsync_fails(self, pid: int, probability: float) -> None:
        """From now on so many of its fsyncs fail with an I/O error; 0: none."""
        if not probability:
            self._tell(pid, "disable name=posix/io/sync/*")
        elif probability < 1:
            self._tell(
                pid, f"enable_random name=posix/io/sync/*,probability={probability:.3f},failinfo={_EIO}"
            )
        else:
            self._tell(pid, f"enable name=posix/io/sync/*,failinfo={_EIO}")

    def _tell(self, pid: int, command: str) -> None:
        """Tell a process, however long it takes to hear; one that has ended meanwhile need not be told.

        On a busy machine that is seconds: a process that was told no more would fail for the rest of its life.
        """
        give_up = time.monotonic() + _PATIENCE_S
        while Path(f"/proc/{pid}").exists():
            said = self._told(pid, command, give_up)
            if said is None:
                return
            assert time.monotonic() < give_up, f"{pid} does not hear {command!r}: {said}"
            time.sleep(_POLL_S)

    def _told(self, pid: int, command: str, give_up: float) -> str | None:
        """Try once. None where it was told, or needs no telling; else what was complained of."""
        line = ["fiu-ctrl", "-f", str(self._pipes), "-c", command, str(pid)]
        with subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as telling:
            while True:
                try:
                    said, _ = telling.communicate(timeout=_LOOK_S)
                except subprocess.TimeoutExpired:
                    gone = not Path(f"/proc/{pid}").exists()
                    if not gone and time.monotonic() < give_up:
                        continue
                    telling.kill()
                    return None if gone else "no answer"
                # its exit code is 0 also where it finds no process, or is refused; what fails nowhere is well
                told = not said.strip() or (command.startswith("disable") and "returned error" in said)
                return None if told else said.strip()
