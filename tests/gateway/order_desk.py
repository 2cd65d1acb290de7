"""The interface for orders, served in this process: the real application on a real socket."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import uvicorn

from gateway.orders import clients
from gateway.orders.interface import create_app
from gateway.settings import Settings
from gateway.store import Store
from tests.gateway.order_service import OrderService

NOW_MS = 1_760_000_000_000


@dataclass
class Desk:
    """An interface that runs, its store, and a client with a token."""

    url: str
    store: Store
    service: OrderService


@contextmanager
def desk_in(folder: Path, **chosen: Any) -> Iterator[Desk]:
    """Serve on any free port until the block ends."""
    settings = Settings.load(folder, orders=True, **chosen)
    store = Store.open(settings.store_place)
    made = clients.add(store, "cemo", 0)
    listener = socket.create_server(("127.0.0.1", 0))
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    config = uvicorn.Config(create_app(store, settings, lambda: NOW_MS), log_config=None, access_log=False)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    with httpx.Client(base_url=url, timeout=60) as http:
        service = OrderService(http, made)
        service.get_token()
        yield Desk(url, store, service)
    server.should_exit = True
    thread.join(20)
    listener.close()
    store.close()
