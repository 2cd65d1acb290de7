"""Keeps devices that say too much out of an outside Mosquitto, as `gateway.doorkeeper` does at the embedded broker.

Mosquitto has no limit for one client. So who floods is put on its list of revoked certificates for a minute, and is
thrown off; without ``broker_reload`` it is only thrown off, each time anew. That takes a command and a connection, for
which the ingest does not wait: a thread of its own does it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable

import structlog
from sqlalchemy.exc import DBAPIError

from gateway import logs, mosquitto
from gateway.authority import Authority
from gateway.seal import SealError
from gateway.settings import Settings
from gateway.store import Store

log = structlog.get_logger(__name__)

_AGAIN_S = 5.0
"""So long after something failed it is tried again."""


class OutsideDoor:
    """One gateway's. ``bar`` it from anywhere; what the store says of who is kept out is read again each time."""

    def __init__(self, settings: Settings, store: Store) -> None:
        self._settings = settings
        self._store = store
        self._unwanted: set[str] = set()
        self._changed = threading.Condition()
        self._stopping = False
        self._trouble = ""
        self._thread = threading.Thread(target=self._keep, name="outside door", daemon=True)

    def start(self) -> None:
        """Begin; whose minute went by while no gateway ran is let in again."""
        self._thread.start()

    def bar(self, devices: Iterable[str]) -> None:
        """Have these thrown off; the store says already until when they are kept out."""
        with self._changed:
            self._unwanted |= set(devices)
            self._changed.notify()

    def stop(self) -> None:
        """End after what is being done now."""
        with self._changed:
            self._stopping = True
            self._changed.notify()
        self._thread.join()

    def _keep(self) -> None:
        wait_s: float | None = 0.0
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._unwanted or self._stopping, wait_s)
                if self._stopping:
                    return
                unwanted, self._unwanted = self._unwanted, set()
            wait_s = self._see_to(unwanted)

    def _see_to(self, unwanted: set[str]) -> float | None:
        """Bring the broker's list up to date and throw these off; returns in how many seconds to look again."""
        try:
            authority = Authority.of(self._settings)  # it may have been changed since
            until_ms = mosquitto.keep_out(
                self._settings, authority, self._store, unwanted, reload=bool(self._trouble)
            )
        except (mosquitto.MosquittoError, SealError, DBAPIError, OSError) as error:
            self._say(logs.safe(error) if isinstance(error, DBAPIError) else str(error))
            return _AGAIN_S
        self._say("")
        return None if until_ms is None else max(0.0, until_ms / 1000 - time.time()) + 0.1

    def _say(self, trouble: str) -> None:
        if trouble and trouble != self._trouble:
            log.warning("the outside broker can not be told whom to keep out", problem=trouble)
        self._trouble = trouble
