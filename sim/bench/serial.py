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
        self._tag: VirtualTag | None = tag
        self._pace = pace
        self._between = between
        self._act: Callable[[], object] | None = None
        self._acted = threading.Event()
        self._ours, self._theirs = pty.openpty()
        tty.setraw(self._theirs)
        self.path = os.ttyname(self._theirs)
        self._over = threading.Event()
        self._problem: Exception | None = None
        self._thread = threading.Thread(target=self._carry, name=f"serial-{tag.device}", daemon=True)

    def __enter__(self) -> Self:
        if self._tag is not None:
            self._tag.said()
            self._tag.connect_tool()
        self._thread.start()
        return self

    def goes_on(self, tag: VirtualTag | None, between: Callable[[], object] | None = None) -> None:
        """The plug goes on another device, or on none that has power, and nobody lets go of the port.

        When this returns no time passes here any more for the one that was there.
        """

        def change() -> None:
            self._tag, self._between = tag, between

        self.at_rest(change)

    def at_rest(self, act: Callable[[], object]) -> None:
        """Do something to the device while it stands still, as setting a pin; it is done when this returns."""
        self._acted.clear()
        self._act = act
        while self._thread.is_alive() and not self._acted.wait(STEP_S):
            pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Take the tool away. Raises what has ended the device meanwhile."""
        self._over.set()
        self._thread.join()
        os.close(self._ours)
        os.close(self._theirs)
        if self._tag is not None and self._tag.running:
            self._tag.connect_tool(False)
        if self._problem is not None and error is None:
            raise self._problem

    def _carry(self) -> None:
        try:
            last_s = time.monotonic()
            while not self._over.is_set():
                if self._act is not None:
                    self._act()
                    self._act = None
                    self._acted.set()
                typed, _, _ = select.select([self._ours], [], [], STEP_S)
                data = os.read(self._ours, 4096) if typed else b""
                now_s = time.monotonic()
                if self._tag is not None:
                    self._carry_for(self._tag, data, now_s - last_s)
                last_s = now_s
        except Exception as problem:  # noqa: BLE001 - told by __exit__, in the thread of whoever uses the port
            self._problem = problem

    def _carry_for(self, tag: VirtualTag, data: bytes, span_s: float) -> None:
        if data:
            tag.type(data)
        if self._between is not None:
            self._between()
        tag.run_until(tag.now_ms + max(1, int(span_s * 1000 * self._pace)))
        said = tag.said()
        while said:
            said = said[os.write(self._ours, said) :]
