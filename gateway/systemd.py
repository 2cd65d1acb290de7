"""What `tagwatch serve` tells systemd where that started it (sd_notify(3)): a few datagrams, so no library for them."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from contextlib import suppress

VARIABLES = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID")
"""Meant for this process alone: children do not get them."""

_WAIT_S = 1.0
"""Its queue may be full for a moment; to say READY=1 is worth that."""


def tell(*lines: str, environment: Mapping[str, str] = os.environ) -> bool:
    """Send ``lines`` (``READY=1``, ``STATUS=…``); False where nobody listens. Never fails."""
    place = environment.get("NOTIFY_SOCKET", "")
    if place[:1] not in ("/", "@"):
        return False
    address = "\0" + place[1:] if place[0] == "@" else place
    with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as link:
        link.settimeout(_WAIT_S)
        link.sendto("\n".join(lines).encode(), address)
        return True
    return False


def watchdog_s(environment: Mapping[str, str] = os.environ) -> float | None:
    """How often systemd wants to hear WATCHDOG=1: half of what it allows; None where it does not watch."""
    if environment.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return None
    with suppress(ValueError):
        allowed_us = int(environment.get("WATCHDOG_USEC", ""))
        return allowed_us / 2_000_000 if allowed_us > 0 else None
    return None
