"""SMS through a modem on a serial line: GSM 07.05 in text mode, by AT commands.

A modem talks of other things in between (RING, +CREG: ...), echoes or does not, and sometimes says nothing at all. Only
``+CMGS: n`` and then ``OK`` mean that the network has taken the message.
"""

from __future__ import annotations

import re
import time
from types import TracebackType
from typing import Self

import serial

from gateway.delivery.message import SMS_LENGTH

_ANSWER_S = 5.0
_LINE_BYTES = 2048
_ENTER, _SUBMIT, _ESCAPE = b"\r", b"\x1a", b"\x1b"
_REFUSED = re.compile(r"\+CM[ES] ERROR:.*|ERROR|NO CARRIER|BUSY")
_REMEDIES = {
    "SIM PIN": "the SIM asks for its PIN: switch the PIN off in a telephone",
    "SIM PUK": "the SIM is locked: unlock it in a telephone",
}


class ModemError(RuntimeError):
    """The message was not taken, or nobody knows; the text says what the modem said."""


class Modem:
    """A modem at ``device``, open while in use: nobody else may have it meanwhile."""

    def __init__(self, device: str, baud: int, timeout_s: float) -> None:
        self._device = device
        self._timeout_s = timeout_s
        self._buffer = b""
        try:
            self._line = serial.Serial(device, baud, timeout=0.1, write_timeout=_ANSWER_S, exclusive=True)
        except (serial.SerialException, OSError, ValueError) as error:
            raise ModemError(f"the modem at {device} can not be opened: {error}") from None

    def send(self, number: str, text: str) -> int:
        """Send one SMS, at most 160 characters; returns the network's reference. Raises ModemError.

        After "no answer" the message may have gone out all the same.
        """
        if not re.fullmatch(r"\+?[0-9]{3,15}", number):
            raise ModemError(f"{number!r} is no telephone number")
        body = plain(text)
        try:
            self._begin()
            self._write(f'AT+CMGS="{number}"'.encode() + _ENTER)
            self._prompt()
            self._write(body.encode("ascii") + _SUBMIT)
            said = self._answer("AT+CMGS", self._timeout_s)
        except (serial.SerialException, OSError) as error:
            raise ModemError(f"the modem at {self._device} went away: {error}") from None
        for line in said:
            if match := re.fullmatch(r"\+CMGS: *(\d+).*", line):
                return int(match[1])
        raise ModemError("the modem said OK but not that the network took the message")

    def close(self) -> None:
        """Give it back."""
        self._line.close()

    def _begin(self) -> None:
        # whatever an attempt before this one left half typed
        self._write(_ESCAPE)
        time.sleep(0.05)
        self._line.reset_input_buffer()
        self._buffer = b""
        for command in ("AT", "ATE0", "AT+CMEE=1"):
            self._command(command)
        state = [line for line in self._command("AT+CPIN?") if line.startswith("+CPIN:")]
        if state and not state[-1].endswith("READY"):
            said = state[-1].removeprefix("+CPIN:").strip()
            raise ModemError(_REMEDIES.get(said, f"the SIM is not ready: {said}"))
        self._command("AT+CMGF=1")
        self._command('AT+CSCS="GSM"')

    def _command(self, command: str) -> list[str]:
        self._write(command.encode() + _ENTER)
        return self._answer(command, _ANSWER_S)

    def _write(self, data: bytes) -> None:
        self._line.write(data)
        self._line.flush()

    def _answer(self, command: str, timeout_s: float) -> list[str]:
        """The lines up to OK."""
        said: list[str] = []
        until = time.monotonic() + timeout_s
        while time.monotonic() < until:
            line = self._next_line()
            if line is None:
                continue
            if line == "OK":
                return said
            if _REFUSED.fullmatch(line):
                raise ModemError(f"the modem answered {line} to {command}")
            said.append(line)
        raise ModemError(f"no answer to {command} in {timeout_s:.0f} s")

    def _prompt(self) -> None:
        until = time.monotonic() + _ANSWER_S
        while time.monotonic() < until:
            self._buffer += self._line.read(_LINE_BYTES)
            if re.search(rb"(?:^|[\r\n])> ?$", self._buffer):
                self._buffer = b""
                return
            *lines, self._buffer = re.split(rb"[\r\n]+", self._buffer)
            for raw in lines:
                line = raw.decode("ascii", "replace").strip()
                if _REFUSED.fullmatch(line):
                    raise ModemError(f"the modem answered {line} to AT+CMGS")
        self._write(_ESCAPE)
        raise ModemError("the modem did not ask for the text of the message")

    def _next_line(self) -> str | None:
        if not re.search(rb"[\r\n]", self._buffer):
            self._buffer += self._line.read(self._line.in_waiting or 1)
        match = re.search(rb"[\r\n]+", self._buffer)
        if match is None:
            self._buffer = self._buffer[-_LINE_BYTES:]
            return None
        raw, self._buffer = self._buffer[: match.start()], self._buffer[match.end() :]
        return raw.decode("ascii", "replace").strip() or None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def plain(text: str) -> str:
    """``text`` as one SMS can hold it: characters that every alphabet of SMS has at the same place, 160 of them.

    The reference in brackets at the end stays whole: by it a repetition is known.
    """
    # [ ] and _ stand elsewhere in the SMS alphabet
    kept = text.translate(str.maketrans("[]", "()")).replace("_", "-")
    kept = "".join(
        letter if 32 <= ord(letter) < 127 and letter not in "@$\\^{}|~`" else "?" for letter in kept
    )
    if len(kept) <= SMS_LENGTH:
        return kept
    head, bracket, reference = kept.rpartition(" (")
    tail = bracket + reference
    return head[: SMS_LENGTH - len(tail)] + tail if 0 < len(tail) < SMS_LENGTH else kept[:SMS_LENGTH]
