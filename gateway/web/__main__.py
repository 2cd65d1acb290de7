"""``python -m gateway.web --data-dir DIR``: serve the page and the interface of one gateway until told to stop."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import socket
import ssl
import sys
from pathlib import Path

import structlog
import uvicorn

from gateway import logs, reach
from gateway.listener import listen
from gateway.settings import Settings, SettingsError
from gateway.sign_in import Limits, SignIn
from gateway.store import Store, StoreError
from gateway.web.app import LOOPBACK_NAMES, create_app
from gateway.web.stored import StoredBook, StoredLooks
from gateway.web.watch import Watch

# Streams end at once when the process is told to stop; this is for a page that is still being made, s.
STOP_S = 3
WHERE = "web.json"
# How often it is looked whether the certificate was renewed, s.
RENEWED_S = 30.0
MINUTE_MS = 60_000

log = structlog.get_logger(__name__)


class Server(uvicorn.Server):
    """uvicorn, saying where it listens once it really does and ending the endless streams when it is to stop."""

    def __init__(
        self,
        config: uvicorn.Config,
        watch: Watch,
        url: str,
        data_dir: Path,
        shown: reach.Certificate | None = None,
    ) -> None:
        super().__init__(config)
        self._shown = shown
        self._renewing: asyncio.Task[None] | None = None
        self._watch = watch
        self._url = url
        self._where = data_dir / WHERE

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, then write the address."""
        await super().startup(sockets=sockets)
        if self.started:
            if self._shown is not None and self.config.ssl is not None:
                self._renewing = asyncio.create_task(renew(self.config.ssl, self._shown, RENEWED_S))
            document = json.dumps({"url": self._url, "pid": os.getpid()})
            fresh = self._where.with_suffix(f".{os.getpid()}.tmp")
            fresh.write_text(document, encoding="utf-8")
            fresh.replace(self._where)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Take the address away, end the streams, then stop."""
        self._forget()
        if self._renewing is not None:
            self._renewing.cancel()
        await self._watch.close()
        await super().shutdown(sockets=sockets)

    def _forget(self) -> None:
        try:
            if json.loads(self._where.read_text(encoding="utf-8")).get("pid") == os.getpid():
                self._where.unlink()
        except (FileNotFoundError, ValueError):
            pass  # another process has taken its place, or somebody has tidied up


async def renew(context: ssl.SSLContext, shown: reach.Certificate, every_s: float) -> None:
    """Show a certificate that has taken the place of the one before from the next connection on, for ever."""
    known = _stamps(shown)
    while True:
        await asyncio.sleep(every_s)
        present = _stamps(shown)
        if present == known or None in present:
            continue
        try:
            # first where it breaks nothing: a context that took a certificate without its key has none at all
            for one in (ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), context):
                one.load_cert_chain(shown.chain, shown.key, lambda: "")
        except OSError as error:  # half of the pair is not there yet: the one before is shown until it is
            log.warning("the page's new certificate can not be used", reason=logs.safe(error))
            continue
        known = present


def _stamps(shown: reach.Certificate) -> tuple[int | None, ...]:
    found: list[int | None] = []
    for path in (shown.chain, shown.key):
        try:
            found.append(path.stat().st_mtime_ns)
        except OSError:
            found.append(None)
    return tuple(found)


def serve(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT. Raises SettingsError, StoreError or OSError if it can not begin."""
    store = Store.open(settings.store_place, busy_timeout_ms=settings.busy_timeout_ms)
    try:
        with store.read() as connection:
            reach.check(settings, connection)
        shown = reach.certificate(settings)
        address = "127.0.0.1" if settings.web_host == "localhost" else settings.web_host
        listener = listen(address, settings.web_port)
        port = int(listener.getsockname()[1])
        limits = Limits(settings.session_idle_minutes * MINUTE_MS, settings.session_hours * 60 * MINUTE_MS)
        app = create_app(
            StoredBook(store, settings.control_path),
            StoredLooks(store),
            SignIn(store, limits),
            store,
            settings,
            hosts=(*LOOPBACK_NAMES, address, *reach.hosts(settings)),
            tls=shown is not None,
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
            ssl_certfile=None if shown is None else shown.chain,
            ssl_keyfile=None if shown is None else shown.key,
        )
        url = reach.url(settings, port)
        Server(config, app.state.watch, url, settings.data_dir, shown).run(sockets=[listener])
    finally:
        store.close()


def main(arguments: list[str] | None = None) -> int:
    """The command; returns its exit code, 2 for what only the person who started it can put right."""
    parser = argparse.ArgumentParser(prog="python -m gateway.web", description=__doc__)
    parser.add_argument("--data-dir", type=Path, help="the gateway's one folder")
    parser.add_argument("--host", help="address to listen on")
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
