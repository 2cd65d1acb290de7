"""``python -m gateway.web --data-dir DIR``: serve the page and the interface of one gateway until told to stop."""

from __future__ import annotations

import argparse
import ipaddress
import json
import os
import socket
import sys
from pathlib import Path

import uvicorn

from gateway import logs
from gateway.settings import Settings, SettingsError
from gateway.store import Store, StoreError
from gateway.web.app import LOOPBACK_NAMES, create_app
from gateway.web.stored import StoredBook, StoredLooks
from gateway.web.watch import Watch

# A stalled browser is cut off by the kernel when this much time has passed and nothing it was sent has arrived, ms.
STALLED_MS = 30_000
# Streams end at once when the process is told to stop; this is for a page that is still being made, s.
STOP_S = 3
WHERE = "web.json"


class Server(uvicorn.Server):
    """uvicorn, saying where it listens once it really does and ending the endless streams when it is to stop."""

    def __init__(self, config: uvicorn.Config, watch: Watch, url: str, data_dir: Path) -> None:
        super().__init__(config)
        self._watch = watch
        self._url = url
        self._where = data_dir / WHERE

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, then write the address."""
        await super().startup(sockets=sockets)
        if self.started:
            document = json.dumps({"url": self._url, "pid": os.getpid()})
            fresh = self._where.with_suffix(f".{os.getpid()}.tmp")
            fresh.write_text(document, encoding="utf-8")
            fresh.replace(self._where)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Take the address away, end the streams, then stop."""
        self._forget()
        await self._watch.close()
        await super().shutdown(sockets=sockets)

    def _forget(self) -> None:
        try:
            if json.loads(self._where.read_text(encoding="utf-8")).get("pid") == os.getpid():
                self._where.unlink()
        except (FileNotFoundError, ValueError):
            pass  # another process has taken its place, or somebody has tidied up


def listen(host: str, port: int) -> socket.socket:
    """A listening socket on a loopback address. Raises SettingsError for any other, OSError if the port is taken."""
    address = "127.0.0.1" if host == "localhost" else host
    try:
        loopback = ipaddress.ip_address(address).is_loopback
    except ValueError:
        raise SettingsError(f"web_host: {host} is not an address; give 127.0.0.1 or ::1") from None
    if not loopback:
        raise SettingsError(
            f"web_host: {host} can be reached from other machines, and the page has no sign-in yet; "
            "give 127.0.0.1 or ::1"
        )
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


def serve(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT. Raises SettingsError, StoreError or OSError if it can not begin."""
    listener = listen(settings.web_host, settings.web_port)
    address, port = listener.getsockname()[:2]
    url = f"http://[{address}]:{port}/" if ":" in address else f"http://{address}:{port}/"
    store = Store.open(settings.store_place, busy_timeout_ms=settings.busy_timeout_ms)
    try:
        app = create_app(
            StoredBook(store, settings.control_path),
            StoredLooks(store),
            settings,
            hosts=(*LOOPBACK_NAMES, address),
        )
        config = uvicorn.Config(
            app,
            log_config=None,
            log_level="warning",
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_graceful_shutdown=STOP_S,
            ws="none",
        )
        Server(config, app.state.watch, url, settings.data_dir).run(sockets=[listener])
    finally:
        store.close()


def main(arguments: list[str] | None = None) -> int:
    """The command; returns its exit code, 2 for what only the person who started it can put right."""
    parser = argparse.ArgumentParser(prog="python -m gateway.web", description=__doc__)
    parser.add_argument("--data-dir", type=Path, help="the gateway's one folder")
    parser.add_argument("--host", help="loopback address to listen on")
    parser.add_argument("--port", type=int, help="port to listen on, 0 for any free one")
    given = parser.parse_args(arguments)
    try:
        settings = Settings.load(given.data_dir, web_host=given.host, web_port=given.port)
        logs.configure("web", settings.log_format)
        serve(settings)
    except (SettingsError, StoreError, OSError) as problem:
        print(f"the page can not be served: {problem}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
