"""What a process tells its supervisor on the descriptor it was given: that it is ready, and that it goes on.

One line each: ``ready``, or a number, the seconds within which the next line comes. A process that is about to do
something long says so beforehand; one from which nothing comes within what it said itself has hung.
"""

from __future__ import annotations

import os
import threading
import time
from contextlib import suppress

READY = b"ready"
_EVERY_S = 1.0


class Heartbeat:
    """Beats on ``descriptor`` (None: nobody listens). ``beat`` is called by the thread that does the work."""

    def __init__(self, descriptor: int | None, ordinary_s: float) -> None:
        self._descriptor = descriptor
        self._ordinary_s = ordinary_s
        self._within_s = ordinary_s
        self._told_s = -_EVERY_S
        self._beaten_s = time.monotonic()
        self._guard = threading.Lock()
        if descriptor is not None:
            os.set_blocking(descriptor, False)

    def beat(self, within_s: float | None = None) -> None:
        """It goes on, and will be heard again within ``within_s``; left out: within what is usual."""
        within_s = self._ordinary_s if within_s is None else within_s
        now_s = time.monotonic()
        changed = within_s != self._within_s
        self._beaten_s, self._within_s = now_s, within_s
        if changed or now_s - self._told_s >= _EVERY_S:
            self._told_s = now_s
            self._say(f"{within_s:g}".encode())

    def ready(self) -> None:
        """It does its work from now on; from any thread."""
        self._say(READY)

    @property
    def stalled_s(self) -> float:
        """For how long nothing has been done, seconds; 0 while it does something that it said takes long."""
        age_s = time.monotonic() - self._beaten_s
        return age_s if self._within_s <= self._ordinary_s or age_s > self._within_s else 0.0

    def _say(self, line: bytes) -> None:
        if self._descriptor is not None:
            # a supervisor that does not read just now, or is gone, must not hold up the work
            with self._guard, suppress(BlockingIOError, BrokenPipeError):
                os.write(self._descriptor, line + b"\n")
