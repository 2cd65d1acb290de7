"""The dead man's switch: an outside address is called while this gateway is healthy, and only when it has looked.

Whoever is called raises the alarm when the calls stop: that needs no word from a gateway that can say none.
"""

from __future__ import annotations

import os
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from http.client import HTTPException

import structlog
from sqlalchemy.exc import SQLAlchemyError

from gateway import findings
from gateway.delivery import plan
from gateway.delivery.paths import redacted
from gateway.delivery.routes import Heartbeat
from gateway.settings import Settings
from gateway.store import Store, outbox, state

log = structlog.get_logger(__name__)

_ANSWER_S = 10.0


def looked(settings: Settings, store: Store, now_ms: int) -> list[str]:
    """Look whether the gateway does its work; what is wrong, [] where it is healthy.

    It is what `/ready` goes by (`gateway.findings`), and the store must take a write here and now.
    """
    _, facts = findings.ask_ingest(settings, _ANSWER_S)
    found = list(findings.ingest(facts))
    with suppress(OSError):
        disk = os.statvfs(settings.data_dir)
        size_bytes, free_bytes = disk.f_blocks * disk.f_frsize, disk.f_bavail * disk.f_frsize
        found += findings.disk(free_bytes, size_bytes, read_only=bool(disk.f_flag & os.ST_RDONLY))
    wrong = [one.fact for one in findings.stopping(found)]
    try:
        with store.write() as connection:
            state.set_number(connection, state.HEALTHY_MS, now_ms)
    except SQLAlchemyError:
        wrong.append("the store does not take a write")
    return wrong


def call(heartbeat: Heartbeat) -> str | None:
    """Call the address; what went wrong, None where it answered well."""
    url = heartbeat.url.get_secret_value()
    request = urllib.request.Request(url, headers={"User-Agent": "Tagwatch"})
    try:
        with urllib.request.urlopen(request, timeout=heartbeat.timeout_s) as answer:
            answer.read(1024)
    except (urllib.error.URLError, HTTPException, OSError, ValueError) as error:
        return redacted(f"{type(error).__name__}: {error}", [url])
    return None


class Pulse:
    """Looks and calls, on a thread of its own: nothing that hangs elsewhere keeps it going, and it holds up nobody."""

    def __init__(
        self, settings: Settings, store: Store, heartbeat: Heartbeat, now_ms: Callable[[], int]
    ) -> None:
        self._settings = settings
        self._store = store
        self._heartbeat = heartbeat
        self._now_ms = now_ms
        self._said: object = None

    def run(self, stopping: threading.Event) -> None:
        """Every ``every_s`` seconds until stopped."""
        while not stopping.is_set():
            began_s = time.monotonic()
            self.beat()
            stopping.wait(max(0.5, self._heartbeat.every_s - (time.monotonic() - began_s)))

    def beat(self) -> bool:
        """Look, and call if all is well; whether the call was answered."""
        now_ms = self._now_ms()
        wrong = looked(self._settings, self._store, now_ms)
        error = "not called: " + ", ".join(wrong) if wrong else call(self._heartbeat)
        if error != self._said:
            if error is None:
                log.info("the dead man's switch is called: this gateway is healthy")
            else:
                log.error("the dead man's switch was not reached", problem=error)
            self._note(error, now_ms)
            self._said = error
        return error is None

    def _note(self, error: str | None, now_ms: int) -> None:
        try:
            with self._store.write() as connection:
                known = outbox.paths(connection).get(outbox.HEARTBEAT, outbox.Path(outbox.HEARTBEAT))
                outbox.put_path(connection, plan.after(known, error, now_ms))
        except SQLAlchemyError:
            log.warning("what became of the dead man's switch could not be written down")
