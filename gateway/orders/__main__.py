"""``python -m gateway.orders --data-dir DIR``: take in orders over HTTP until told to stop. A child of the service."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import sys
from pathlib import Path

import structlog
import uvicorn

from gateway import broker, child
from gateway.gateway_time import Reader
from gateway.heartbeat import Heartbeat
from gateway.listener import listen
from gateway.orders import attachments
from gateway.orders.interface import create_app
from gateway.settings import Settings, SettingsError
from gateway.store import Store, StoreError

log = structlog.get_logger(__name__)

_BEAT_S = 1.0
_STOP_S = 10
"""A message that has arrived is stored and answered before the process ends."""
_CONNECTIONS = 200


class Server(uvicorn.Server):
    """uvicorn, telling the supervisor that it listens, and that it goes on."""

    def __init__(self, config: uvicorn.Config, heart: Heartbeat) -> None:
        super().__init__(config)
        self._heart = heart
        self._beating: asyncio.Task[None] | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, then say so."""
        await super().startup(sockets=sockets)
        if self.started:
            self._beating = asyncio.create_task(self._beat())
            self._heart.ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop."""
        await super().shutdown(sockets=sockets)
        if self._beating is not None:
            self._beating.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._beating

    async def _beat(self) -> None:
        while True:
            self._heart.beat()
            await asyncio.sleep(_BEAT_S)


def port_of(settings: Settings) -> int:
    """The port; where 0 is set, a free one that stays the same."""
    return settings.order_port or broker.kept_port(settings.data_dir / "order-port", settings.order_host)


def serve(settings: Settings, heart: Heartbeat) -> None:
    """Serve until SIGTERM or SIGINT. Raises SettingsError, StoreError or OSError where it can not begin."""
    listener = listen(settings.order_host, port_of(settings))
    store = Store.open(settings.store_place, busy_timeout_ms=settings.busy_timeout_ms)
    try:
        gone, untold = attachments.tidy(settings.data_dir, store)
        if gone or untold:
            log.info("attachments were looked through", removed=gone, untold=untold)
        attachments.lay_out(settings.data_dir, store)
        if settings.replica_place is not None:
            attachments.take_in(settings.data_dir, store)
        config = uvicorn.Config(
            create_app(store, settings, Reader(store, settings.clock).now_ms),
            log_config=None,
            log_level="warning",
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_graceful_shutdown=_STOP_S,
            backlog=_CONNECTIONS,
            ws="none",
            ssl_certfile=_file(settings, settings.order_certificate),
            ssl_keyfile=_file(settings, settings.order_certificate_key),
        )
        Server(config, heart).run(sockets=[listener])
    finally:
        store.close()


def _file(settings: Settings, name: str) -> Path | None:
    return settings.data_dir / name if name else None


def main(arguments: list[str] | None = None) -> int:
    """The process; returns its exit code, 2 for what only the person who started it can put right."""
    try:
        settings, ready_fd = child.begin("gateway.orders", "orders", __doc__, arguments)
        serve(settings, Heartbeat(ready_fd, settings.hung_after_s))
    except (SettingsError, StoreError, OSError) as problem:
        print(f"orders can not be taken in: {problem}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
