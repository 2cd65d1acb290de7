"""A real serial port to a virtual device's console: pyserial opens a pseudo-terminal with the device behind it."""

from __future__ import annotations

import os
import pty
import select
import threading
import time
import tty
from collections.abc import Callable
from types import TracebackType
from typing import Self

from sim.bench.tag import VirtualTag

STEP_S = 0.01


class SerialPort:
    """``path`` is the port. While this is open, time passes for the device, ``pace`` times as fast as real time.

    Nobody else may run the device meanwhile. ``between`` is called in the port's own thread whenever the device stands
    still, some hundred times a second: whoever feeds it does so there.
    """

    def __init__(
        self, tag: VirtualTag, *, pace: float = 1.0, between: Callable[[], object] | None = None
    ) -> None:
        self._tag = tag
        self._pace = pace
        self._between = between
        self._ours, self._theirs = pty.openpty()
        tty.setraw(self._theirs)
        self.path = os.ttyname(self._theirs)
        self._over = threading.Event()
        self._problem: Exception | None = None
        self._thread = threading.Thread(target=self._carry, name=f"serial-{tag.device}", daemon=True)

    def __enter__(self) -> Self:
        self._tag.said()
        self._tag.connect_tool()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Take the tool away. Raises what has ended the device meanwhile."""
        self._over.set()
        self._thread.join()
        os.close(self._ours)
        os.close(self._theirs)
        if self._tag.running:
            self._tag.connect_tool(False)
        if self._problem is not None and error is None:
            raise self._problem

    def _carry(self) -> None:
        try:
            last_s = time.monotonic()
            while not self._over.is_set():
                typed, _, _ = select.select([self._ours], [], [], STEP_S)
                if typed:
                    self._tag.type(os.read(self._ours, 4096))
                if self._between is not None:
                    self._between()
                now_s = time.monotonic()
                self._tag.run_until(self._tag.now_ms + max(1, int((now_s - last_s) * 1000 * self._pace)))
                last_s = now_s
                said = self._tag.said()
                while said:
                    said = said[os.write(self._ours, said) :]
        except Exception as problem:  # noqa: BLE001 - told by __exit__, in the thread of whoever uses the port
            self._problem = problem
