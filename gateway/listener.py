"""The socket on which a process of the gateway serves HTTP."""

from __future__ import annotations

import socket

STALLED_MS = 30_000
"""A stalled client is cut off by the kernel when this much time has passed and nothing it was sent has arrived."""


def listen(address: str, port: int) -> socket.socket:
    """A listening socket. Raises OSError where the port is taken. Whether it may be had `gateway.reach` says."""
    listener = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # connections inherit it; Linux only, elsewhere stalled ones last until they are closed
        if hasattr(socket, "TCP_USER_TIMEOUT"):
            listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, STALLED_MS)
        listener.bind((address, port))
    except OSError:
        listener.close()
        raise
    return listener
