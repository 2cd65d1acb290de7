"""Which serial ports there are, and who is at them."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from serial.tools import list_ports

from gateway.fitting.console import Console, Identity, named
from gateway.fitting.line import Line
from gateway.fitting.stops import Stop

_UNKNOWN = "n/a"
_MOST = 16
"""Ports that are asked at the same time; a laptop has a handful."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A port, and who answered there; where nobody did, ``problem`` says why."""

    path: str
    found: Identity | None
    problem: str = ""

    def __str__(self) -> str:
        return f"{self.path} ({named(self.found) if self.found else self.problem})"


def there() -> list[str]:
    """The ports of this machine that have hardware behind them."""
    return sorted(port.device for port in list_ports.comports() if port.hwid not in ("", _UNKNOWN))


def look(paths: Sequence[str]) -> list[Candidate]:
    """Ask at each port who is there, at all of them at once. ``identify`` changes nothing on any device."""
    if not paths:
        return []
    with ThreadPoolExecutor(min(len(paths), _MOST), thread_name_prefix="port") as pool:
        return list(pool.map(_ask, paths))


def _ask(path: str) -> Candidate:
    try:
        with Line(path) as line:
            return Candidate(path, Console(line).identify())
    except Stop as stop:
        return Candidate(path, None, stop.fact)


def choose(candidates: Sequence[Candidate], device: str | None) -> Candidate:
    """The one port to use; ``device`` is who is looked for, where that is known. Raises Stop that says what to do."""
    if not candidates:
        raise Stop(
            "this computer has no serial port", "plug the fitting cable in, and type the same command again"
        )
    answering = [one for one in candidates if one.found]
    if not answering:
        raise Stop(
            "no tag answers at " + ", ".join(map(str, candidates)),
            "put the plug on the tag's contacts, and if it stays silent charge the tag for ten minutes",
        )
    if len(answering) == 1:
        return answering[0]
    wanted = [one for one in answering if one.found and device is not None and one.found.device == device]
    if len(wanted) == 1:
        return wanted[0]
    raise Stop(
        f"{len(answering)} tags are plugged in: " + ", ".join(map(str, answering)),
        "leave only the one for this wearer plugged in, or name its port with --port",
    )
