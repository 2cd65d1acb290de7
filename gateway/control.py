"""The control socket of the ingest: JSON, one object a line, for the simulator, tests and ``tagwatch doctor``.

``{"do": "status"}`` tells counters; ``{"do": "link"}`` tells whether the broker takes messages (`Uplink.refused_s`);
``{"do": "advance", "t_ms": …}`` moves the stepped clock and answers when all that was published before is committed,
judged at that instant and sent down. An answer with ``error`` says what went wrong.
"""

from __future__ import annotations

import json
import os
import socket
import socketserver
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

Answer = dict[str, Any]
_LINE_BYTES = 64 * 1024
WORKING = "compiling the rules (once after an update; a minute or more)"
"""What status says of an ingest that is not ready for that reason."""
_CONNECT_S = 5.0
_STATUS: Answer = {"do": "status"}
_LINK: Answer = {"do": "link"}


class ControlError(RuntimeError):
    """The ingest did not do what it was asked; the text says why."""


class IngestGoneError(ControlError):
    """The ingest is not there, or ended meanwhile; it may be back in a moment."""


class ControlServer:
    """Listens on a unix socket that only its owner may use. ``answer`` is called on a thread of its own per client."""

    def __init__(self, path: Path, answer: Callable[[Answer], Answer]) -> None:
        self._path = path

        class Handler(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                while line := self.rfile.readline(_LINE_BYTES):
                    reply = _reply(line, answer)
                    with suppress(BrokenPipeError):
                        self.wfile.write(json.dumps(reply, separators=(",", ":")).encode() + b"\n")

        class Server(socketserver.ThreadingUnixStreamServer):
            daemon_threads = True
            block_on_close = False

        path.unlink(missing_ok=True)
        with _short(path) as address:
            self._server = Server(address, Handler, bind_and_activate=False)
            before = os.umask(0o177)  # never readable by others, not even for a moment
            try:
                self._server.server_bind()
            finally:
                os.umask(before)
            self._server.server_activate()
        self._thread = threading.Thread(target=self._server.serve_forever, name="control", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()
        self._path.unlink(missing_ok=True)


class Control:
    """A client of the control socket. One request at a time."""

    def __init__(self, path: Path, timeout_s: float = 60.0) -> None:
        self._path = path
        self._timeout_s = timeout_s
        self._stream: socket.socket | None = None
        self._buffer = b""

    def advance(self, t_ms: int) -> Answer:
        """It is ``t_ms`` (UTC milliseconds) now. Returns when all that was published before is committed and judged.

        Raises ControlError where the ingest is not there or can not.
        """
        return self.ask({"do": "advance", "t_ms": t_ms})

    def status(self) -> Answer:
        """The ingest's counters. Raises ControlError where it is not there."""
        return self.ask(_STATUS)

    def link(self) -> tuple[bool, float]:
        """Whether the ingest is connected to the broker, and for how long that has refused it (`Uplink.refused_s`).

        Raises ControlError where nobody tells.
        """
        answer = self.ask(_LINK)
        return answer["connected"], answer["refused_s"]

    def _works(self) -> bool:
        """Is the ingest at work, as it tells others? Then an answer that takes long is still to come."""
        other = Control(self._path, self._timeout_s)
        try:
            return bool(other.status()["working"])
        except (ControlError, KeyError):
            return False
        finally:
            other.close()

    def ask(self, request: Answer) -> Answer:
        """Send one request and return its answer."""
        try:
            stream = self._connected()
            stream.sendall(json.dumps(request).encode() + b"\n")
            while b"\n" not in self._buffer:
                try:
                    part = stream.recv(_LINE_BYTES)
                except TimeoutError:
                    if request in (_STATUS, _LINK) or not self._works():
                        raise
                    continue
                if not part:
                    raise ConnectionError("it has ended")
                self._buffer += part
        except OSError as error:
            self.close()
            raise IngestGoneError(f"the ingest does not answer on {self._path}: {error}") from error
        line, self._buffer = self._buffer.split(b"\n", 1)
        answer: Answer = json.loads(line)
        if "error" in answer:
            raise ControlError(answer["error"])
        return answer

    def close(self) -> None:
        """End the connection; the next request makes a new one."""
        if self._stream is not None:
            self._stream.close()
        self._stream, self._buffer = None, b""

    def _connected(self) -> socket.socket:
        if self._stream is None:
            stream = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            try:
                stream.settimeout(_CONNECT_S)
                with _short(self._path) as address:
                    stream.connect(address)
                stream.settimeout(self._timeout_s)
            except OSError:
                stream.close()
                raise
            self._stream = stream
        return self._stream


def _reply(line: bytes, answer: Callable[[Answer], Answer]) -> Answer:
    try:
        request = json.loads(line)
        if not isinstance(request, dict):
            return {"error": "a request is a JSON object"}
        return answer(request)
    except (ValueError, ControlError) as error:
        return {"error": str(error)}


@contextmanager
def _short(path: Path) -> Iterator[str]:
    """An address for a unix socket at ``path``, however long that is: the kernel takes 107 bytes at most."""
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)
