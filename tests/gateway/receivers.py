"""Real receivers of messages: an HTTP server, an SMTP server, and a modem at the other end of a pseudo-terminal."""

from __future__ import annotations

import json
import os
import re
import select
import socket
import threading
import time
import tty
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from email import message_from_bytes
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session

SECRET = "geheim4711"
"""A token in every URL of these tests: nothing may ever tell it."""


class Web:
    """A webhook. ``status`` is what it answers, after ``slow_s``; ``got`` are the messages that it took.

    ``taken`` is called when it has one more, before it says so.
    """

    def __init__(self) -> None:
        self.status = 200
        self.slow_s = 0.0
        self.got: list[str] = []
        self.calls: list[str] = []
        self.taken: Callable[[], object] = lambda: None
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.calls.append(self.path)
                if receiver.status == 200:
                    receiver.got.append(json.loads(body)["message"])
                    receiver.taken()
                self._answer()

            def do_GET(self) -> None:
                receiver.calls.append(self.path)
                self._answer()

            def _answer(self) -> None:
                time.sleep(receiver.slow_s)
                try:
                    self.send_response(receiver.status)
                    self.end_headers()
                except OSError:
                    pass  # who called has been killed

            def log_message(self, *_: object) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 64

        self._server = Server(("127.0.0.1", 0), Handler)
        self.port = self._server.server_address[1]
        self.url = f"json://someone:{SECRET}@127.0.0.1:{self.port}/{SECRET}"
        self.plain_url = f"http://127.0.0.1:{self.port}/{SECRET}"
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class Mail:
    """A mail server. ``answer`` is what it says to every message; ``got`` are the texts that it took."""

    def __init__(self) -> None:
        self.answer = "250 taken"
        self.got: list[str] = []
        self._controller = Controller(self, hostname="127.0.0.1", port=_free_port())
        self._controller.start()
        self.url = f"mailto://127.0.0.1:{self._controller.port}?mode=insecure&from=box@example.org&to=duty@example.org"

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802
        if self.answer.startswith("250"):
            content = envelope.content
            assert isinstance(content, bytes)
            parts = [part for part in message_from_bytes(content).walk() if not part.is_multipart()]
            payload = parts[0].get_payload(decode=True)
            assert isinstance(payload, bytes)
            self.got.append(payload.decode())
        return self.answer

    def close(self) -> None:
        self._controller.stop()


class ModemStand:
    """What a GSM modem does, on a pseudo-terminal: ``device`` is its line, ``sent`` are (number, text).

    ``says`` may replace an answer: a function of the command that returns what to say, or None for the usual.
    ``noise`` comes before every answer.
    """

    def __init__(self) -> None:
        self.sent: list[tuple[str, str]] = []
        self.commands: list[str] = []
        self.says: Callable[[str], str | None] = lambda _command: None
        self.noise = ""
        self.echo = True
        self._master, self._slave = os.openpty()
        tty.setraw(self._slave)
        self.device = os.ttyname(self._slave)
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._ending.set()
        self._thread.join(5)
        os.close(self._master)
        os.close(self._slave)

    def _run(self) -> None:
        typed, number = b"", ""
        while not self._ending.is_set():
            if not select.select([self._master], [], [], 0.02)[0]:
                continue
            for byte in os.read(self._master, 1024):
                one = bytes([byte])
                if one == b"\x1b":
                    typed, number = b"", ""
                elif number and one == b"\x1a":
                    text, typed = typed.decode("ascii"), b""
                    said = self.says("text")
                    if said is None:
                        self.sent.append((number, text))
                        said = f"\r\n+CMGS: {len(self.sent)}\r\n\r\nOK\r\n"
                    self._say(said)
                    number = ""
                elif not number and one == b"\r":
                    command, typed = typed.decode("ascii", "replace"), b""
                    number = self._command(command)
                else:
                    typed += one

    def _command(self, command: str) -> str:
        self.commands.append(command)
        if self.echo:
            os.write(self._master, command.encode() + b"\r\r\n")
        said = self.says(command)
        if said is not None:
            self._say(said)
            return ""
        if command == "AT+CPIN?":
            self._say("\r\n+CPIN: READY\r\n\r\nOK\r\n")
        elif match := re.fullmatch(r'AT\+CMGS="(.*)"', command):
            self._say("\r\n> ")
            return match[1]
        else:
            self._say("\r\nOK\r\n")
        return ""

    def _say(self, text: str) -> None:
        for piece in (self.noise, text):
            for start in range(0, len(piece), 3):  # it comes in pieces
                os.write(self._master, piece[start : start + 3].encode())
                time.sleep(0.001)


@contextmanager
def black_hole() -> Iterator[str]:
    """The URL of a provider that accepts a connection and never says a word."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(64)
        yield f"json://someone:{SECRET}@127.0.0.1:{listener.getsockname()[1]}/{SECRET}"


def nobody() -> str:
    """The URL of a provider that is not there."""
    return f"json://someone:{SECRET}@127.0.0.1:{_free_port()}/{SECRET}"


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port
