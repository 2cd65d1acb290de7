"""A device with no hardware: who can start one puts it here. The simulator does so when it adds its commands."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

KINDS = {"gps": "gps_tag", "rf": "rf_tag", "alcohol": "alcohol_tag", "home-unit": "home_unit"}


@dataclass(frozen=True, slots=True)
class Simulated:
    """Devices behind serial ports. ``extra`` are settings that their maker would have sent along."""

    ports: tuple[str, ...]
    extra: Mapping[str, Any] = field(default_factory=dict)


Start = Callable[[str, Path], AbstractContextManager[Simulated]]
"""``start(kind, folder)``: one of that kind, whose flash lies in the folder and is kept; an RF tag with a home unit."""
starters: list[Start] = []
