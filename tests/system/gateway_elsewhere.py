"""A gateway that officers reach over HTTPS, and a wire to it that can be cut before and after each request."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import sys
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import load_der_x509_certificate

from gateway import users
from gateway.authority import Authority
from gateway.fitting import Asked, Fitted, visit
from gateway.fitting.context import Purpose
from gateway.fitting.officer import Officer
from gateway.fitting.remote_desk import RemoteDesk
from gateway.fitting.stops import Stop
from tests.browser.server import WebProcess
from tests.system.fitting_room import ALL_WELL, SPANS, Fault, Plug, Ports, Room, Watcher, typed

Cut = Literal["", "before", "after", "unplugged"]
_APPLICATION_DATA = 0x17
_DONE_S = 0.4
"""So long the gateway is given to do what it was asked, before its answer is lost."""


_GOES_ON_S = 0.01
"""Data that follows within this belongs to the same request."""


class Elsewhere(Room):
    """A gateway with its page over TLS, an officer's token, and the officer's own folder."""

    def __enter__(self) -> Self:
        super().__enter__()
        authority = Authority.of(self.settings)
        folder = self.settings.data_dir
        made = authority.certify("localhost", ("localhost", "127.0.0.1"), server=True)
        (folder / "page.pem").write_bytes(load_der_x509_certificate(made.cert_der).public_bytes(Encoding.PEM))
        (folder / "page.key.pem").write_bytes(made.key_pem)
        (folder / "page.key.pem").chmod(0o600)
        (folder / "tagwatch.toml").write_text(
            'mqtt_port = 0\nclock_trust = "box"\nweb_certificate = "page.pem"\nweb_key = "page.key.pem"\n'
        )
        users.add(self.store, "sam", "Sam Officer", "field_officer", None, "test")
        self.token, _ = users.issue_token(self.store, "sam", "fitting", 1, "test")
        self.page = WebProcess(folder)
        self.page.start()
        self.wire = Wire(int(self.page.url.rsplit(":", 1)[1]))
        self.laptop = self.folder / "laptop"
        self.officer(self.token).write(self.laptop)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.wire.close()
        self.page.kill()
        super().__exit__(kind, error, trace)

    def officer(self, token: str, name: str = "sam") -> Officer:
        """An officer's computer that is signed in over the wire."""
        authority = Authority.of(self.settings)
        return Officer(
            f"https://127.0.0.1:{self.wire.port}",
            token,
            authority.ca_pem.read_text(),
            name,
            "Sam Officer",
            authority.ca_der.hex(),
        )

    def from_elsewhere(
        self,
        order_id: str,
        plug: Plug | Ports,
        device: str | None = None,
        fault: Fault | None = None,
        purpose: Purpose = "fit",
        **asked: Any,
    ) -> Fitted:
        """Type the command on the officer's computer."""
        wanted = typed(order_id, plug, device, asked)
        with RemoteDesk(Officer.read(self.laptop), self.laptop) as desk:
            return visit(desk, self.laptop, wanted, Watcher(fault), purpose)


class Wire:
    """Forwards TCP to a port of this machine. ``cut`` says what happens to the requests to come.

    "before": the connection ends when a request is on its way; "after": when the gateway has done
    it, before it is told.
    Each time one request passes unharmed after one that was cut, so that saying it again helps.
    """

    def __init__(self, port: int) -> None:
        self.cut: Cut = ""
        self.cuts = 0
        self._to = port
        self._pass_next = False
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                theirs, _ = self._listener.accept()
            except OSError:
                return
            if self.cut == "unplugged":
                theirs.close()
                continue
            ours = socket.create_connection(("127.0.0.1", self._to))
            one = _Connection(self, theirs, ours)
            threading.Thread(target=one.up, daemon=True).start()
            threading.Thread(target=one.down, daemon=True).start()

    def strikes(self) -> Cut:
        """What is to happen to a request that begins now."""
        if not self.cut:
            return ""
        self._pass_next = not self._pass_next
        if not self._pass_next:
            return ""
        self.cuts += 1
        return self.cut


class _Connection:
    def __init__(self, wire: Wire, theirs: socket.socket, ours: socket.socket) -> None:
        self._wire, self._theirs, self._ours = wire, theirs, ours
        self._seen = 0
        self._lost = False

    def up(self) -> None:
        """From the officer's computer; every TLS record of data but the handshake's last one is a request, or goes on
        with one."""
        held, answered_s = b"", 0.0
        try:
            while some := self._theirs.recv(65536):
                held += some
                while len(held) >= 5 and len(held) >= 5 + int.from_bytes(held[3:5], "big"):
                    size = 5 + int.from_bytes(held[3:5], "big")
                    record, held = held[:size], held[size:]
                    if record[0] == _APPLICATION_DATA:
                        self._seen += 1
                        begins = self._seen > 1 and time.monotonic() - answered_s > _GOES_ON_S
                        answered_s = time.monotonic() if self._seen > 1 else 0.0
                        strikes = self._wire.strikes() if begins else ""
                        if strikes == "before":
                            return
                        if strikes == "after":
                            self._lost = True
                            threading.Timer(_DONE_S, self._end).start()
                    self._ours.sendall(record)
        except OSError:
            pass
        finally:
            if not self._lost:
                self._end()

    def down(self) -> None:
        try:
            while some := self._ours.recv(65536):
                if not self._lost:
                    self._theirs.sendall(some)
        except OSError:
            pass
        finally:
            if not self._lost:
                self._end()

    def _end(self) -> None:
        for one in (self._theirs, self._ours):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()


def main() -> None:
    """One visit in a process of its own, killed without warning as a step begins or is over.

    Arguments: the officer's folder, order, device, port, step.
    """
    folder, order_id, device, path, at = sys.argv[1:]

    def kill(step: str) -> None:
        if step == at:
            os.kill(os.getpid(), signal.SIGKILL)

    laptop = Path(folder)
    try:
        with RemoteDesk(Officer.read(laptop), laptop) as desk:
            asked = Asked(order_id, "Sam Officer", device, ports=(path,), answers=ALL_WELL, **SPANS)
            visit(desk, laptop, asked, Watcher(kill))
    except Stop as stop:
        sys.exit(str(stop))


if __name__ == "__main__":
    main()
