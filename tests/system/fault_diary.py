"""What a round of faults leaves behind when it fails: what was done when and to whom, and every file of it.

The disks of a stage are gone with it, so what lies on them is copied: to beside them, or to the folder that
``TAGWATCH_FAULTS_KEEP`` names.
"""

from __future__ import annotations

import os
import shutil
import threading
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path


class Diary:
    """What happened in a round, a line each: minute of the evening, milliseconds since it was begun, words.

    Any thread may write.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._minute = 0
        self._began_s = time.monotonic()
        self.lines: list[str] = []

    def minute(self, minute: int) -> None:
        """Another minute of the evening begins."""
        with self._lock:
            self._minute, self._began_s = minute, time.monotonic()

    def note(self, words: str) -> None:
        """That happens now."""
        with self._lock:
            after_ms = 1000 * (time.monotonic() - self._began_s)
            self.lines.append(f"minute {self._minute:2} + {after_ms:6.0f} ms: {words}")

    def __str__(self) -> str:
        return "\n".join(self.lines)


def parts_of(serve_pid: int | None) -> dict[str, int]:
    """The processes that a supervisor has now, by name, as the system knows them.

    `gateway.process.GatewayProcess.run` tells what the supervisor has written, which on a full disk is what was true
    before.
    """
    found: dict[str, int] = {}
    for place in Path("/proc").iterdir() if serve_pid is not None else ():
        with suppress(OSError, IndexError, ValueError):
            state, parent = (place / "stat").read_text().rpartition(")")[2].split()[:2]
            if int(parent) != serve_pid or state == "Z":
                continue
            command = (place / "cmdline").read_text().split("\0")
            name = _MODULES.get(command[2], "") if command[1] == "-m" else ""
            if name or Path(command[0]).name == "nats-server":
                found[name or "broker"] = int(place.name)
    return found


_MODULES: Mapping[str, str] = {
    "gateway.doorkeeper": "door",
    "gateway.ingest": "ingest",
    "gateway.web": "web",
    "gateway.orders": "orders",
    "gateway.delivery": "notifier",
}


def keep(beside: Path, name: str, diary: Diary, files: Iterable[Path]) -> Path:
    """Copy ``files``, those that there are, with the diary into a folder of this name; returns where it is."""
    place = Path(os.environ.get("TAGWATCH_FAULTS_KEEP", beside)) / name
    place.mkdir(parents=True, exist_ok=True)
    (place / "diary.txt").write_text(str(diary))
    for path in files:
        with suppress(OSError):
            shutil.copy(path, place)
    return place
