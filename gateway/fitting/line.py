"""A serial line to a device's console: bytes out, objects back, whatever noise is in between (docs/console.md)."""

from __future__ import annotations

import json
import time
from types import TracebackType
from typing import Any, Self

import serial

from gateway.fitting.stops import CableGone, NoAnswer, Stop

BAUD = 115_200
Answer = dict[str, Any]
_PIECE_S = 0.1
_MOST_HELD = 65_536
"""Noise without a line's end is not kept for ever; no answer is as long."""
_AFTER_NOISE_S = 0.05
"""A device answers an unfinished line that our line's end has ended; its answer is none of ours."""


class Line:
    """One port, open and ours alone. Raises CableGone from every call once it is gone."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._held = b""
        try:
            self._port = serial.Serial(path, BAUD, timeout=_PIECE_S, write_timeout=2, exclusive=True)
        except (serial.SerialException, OSError) as error:
            if getattr(error, "errno", None) in (11, 16) or "exclusive" in str(error).lower():
                raise Stop(
                    f"another program uses {path}", "end it, and type the same command again"
                ) from None
            if getattr(error, "errno", None) == 13:
                raise Stop(
                    f"this user may not use {path}",
                    "have the gateway's operator add you to the group dialout, then sign in again",
                ) from None
            raise CableGone(path) from None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the port."""
        try:
            self._port.close()
        except (serial.SerialException, OSError):  # it is gone already
            return

    def clear(self) -> None:
        """End what stands half-written on the line, and forget what comes of it."""
        self._write(b"\n")
        until = time.monotonic() + _AFTER_NOISE_S
        while time.monotonic() < until:
            self._read(_AFTER_NOISE_S / 5)
        self._held = b""

    def say(self, line: bytes) -> None:
        """Send a line."""
        self._write(line + b"\n")

    def answer(self, within_s: float) -> Answer:
        """The next object that comes; what is none is noise and passed over. Raises NoAnswer when none does in time."""
        until = time.monotonic() + within_s
        while True:
            while b"\n" in self._held:
                line, _, self._held = self._held.partition(b"\n")
                told = _object(line)
                if told is not None:
                    return told
            if len(self._held) > _MOST_HELD:
                self._held = b""
            left_s = until - time.monotonic()
            if left_s <= 0:
                raise NoAnswer(self.path)
            self._held += self._read(min(left_s, _PIECE_S))

    def _read(self, within_s: float) -> bytes:
        try:
            self._port.timeout = within_s
            some: bytes = self._port.read(max(1, self._port.in_waiting))
        except (serial.SerialException, OSError, TypeError):  # TypeError: closed by another thread
            raise CableGone(self.path) from None
        return some

    def _write(self, data: bytes) -> None:
        try:
            self._port.write(data)
        except (serial.SerialException, OSError, TypeError):
            raise CableGone(self.path) from None


def _object(line: bytes) -> Answer | None:
    """What a device says: an object with ``ok`` or ``error``; noise before it on the same line is cut off."""
    start = line.find(b"{")
    try:
        told = json.loads(line[start:]) if start >= 0 else None
    except (ValueError, RecursionError):
        return None
    return told if isinstance(told, dict) and ("ok" in told or "error" in told) else None
