"""The network between devices and broker, which can be cut for each device.

A device connects to a port of its own on this machine, and its bytes are carried on to the broker as they are: TLS ends
in device and broker, nothing here reads a word. While a device is cut off its connections are closed and new ones
refused, which a tag sees as what it is: a network that is not there.
"""

from __future__ import annotations

import contextlib
import selectors
import socket
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self

_PIECE = 65536
_CONNECT_S = 10.0


class _Line:
    """A device's port, and the connections that run over it."""

    def __init__(self) -> None:
        self.listener: socket.socket | None = None
        self.port = 0
        self.ends: set[socket.socket] = set()


class Relay:
    """A relay for each device. A context: its thread and all connections end with it.

    ``broker`` tells host and port of the broker.
    """

    def __init__(self, broker: Callable[[], tuple[str, int]]) -> None:
        self._broker = broker
        self._lines: dict[str, _Line] = {}
        self._others: dict[socket.socket, socket.socket] = {}
        self._lock = threading.RLock()
        self._selector = selectors.DefaultSelector()
        self._waker, self._woken = socket.socketpair()
        self._ending = False
        self._thread = threading.Thread(target=self._carry, name="relay", daemon=True)

    def __enter__(self) -> Self:
        self._selector.register(self._woken, selectors.EVENT_READ, None)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ending = True
        self._waker.send(b"\0")
        self._thread.join()
        with self._lock:
            for device in self._lines:
                self._close(device)
            self._selector.close()
            self._waker.close()
            self._woken.close()

    def port(self, device: str) -> int:
        """The port that a device is to connect to, on 127.0.0.1; it is connected from now on."""
        if device not in self._lines:
            self._lines[device] = _Line()
            self.connect(device)
        return self._lines[device].port

    def cut(self, device: str) -> None:
        """From now on the device has no network."""
        with self._lock:
            self._close(device)

    def connect(self, device: str) -> None:
        """From now on it has, on the same port as before."""
        line = self._lines[device]
        with self._lock:
            if line.listener is not None:
                return
            line.listener = socket.create_server(("127.0.0.1", line.port))
            line.port = line.listener.getsockname()[1]
            self._selector.register(line.listener, selectors.EVENT_READ, device)
        self._waker.send(b"\0")

    def _close(self, device: str) -> None:
        line = self._lines[device]
        if line.listener is not None:
            self._selector.unregister(line.listener)
            line.listener.close()
            line.listener = None
        for end in list(line.ends):
            self._hang_up(line, end)

    def _carry(self) -> None:
        while not self._ending:
            for key, _ in self._selector.select():
                with self._lock:
                    if key.fileobj is self._woken:
                        self._woken.recv(_PIECE)
                    elif key.fd in self._selector.get_map():
                        self._attend(key)

    def _attend(self, key: selectors.SelectorKey) -> None:
        end, device = key.fileobj, key.data
        assert isinstance(end, socket.socket)
        line = self._lines[device]
        if end is line.listener:
            self._accept(line, device)
        elif end in line.ends:
            self._pass_on(line, end)

    def _accept(self, line: _Line, device: str) -> None:
        assert line.listener is not None
        near, _ = line.listener.accept()
        try:
            far = socket.create_connection(self._broker(), _CONNECT_S)
        except OSError:
            near.close()  # the broker is away: the device is refused, as it would be without us
            return
        for end, other in ((near, far), (far, near)):
            end.settimeout(_CONNECT_S)
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            line.ends.add(end)
            self._others[end] = other
            self._selector.register(end, selectors.EVENT_READ, device)

    def _pass_on(self, line: _Line, end: socket.socket) -> None:
        try:
            data = end.recv(_PIECE)
            if data:
                self._others[end].sendall(data)
                return
        except OSError:
            pass  # either side is gone: both are, below
        self._hang_up(line, end)

    def _hang_up(self, line: _Line, end: socket.socket) -> None:
        for one in (end, self._others.get(end)):
            if one is None or one not in line.ends:
                continue
            line.ends.discard(one)
            self._others.pop(one, None)
            self._selector.unregister(one)
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()
