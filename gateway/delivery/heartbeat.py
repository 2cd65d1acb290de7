"""The dead man's switch: an outside address is called while this gateway is healthy, and only when it has looked.

Whoever is called raises the alarm when the calls stop: that needs no word from a gateway that can say none.
"""

from __future__ import annotations

import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from http.client import HTTPException

import structlog
from sqlalchemy.exc import SQLAlchemyError

from gateway.control import Control, ControlError
from gateway.delivery import plan
from gateway.delivery.paths import redacted
from gateway.delivery.routes import Heartbeat
from gateway.settings import Settings
from gateway.store import Store, outbox, state

log = structlog.get_logger(__name__)

_ANSWER_S = 10.0
BEHIND_S = 60.0
"""Silence is judged every second. A gateway that replays a day of a thousand wearers is done within seconds."""


def looked(settings: Settings, store: Store, now_ms: int) -> list[str]:
    """Look whether the gateway does its work; what is wrong, [] where it is healthy.

    The ingest must answer and have its connection, commit what comes in, and judge; the store must take a write.
    """
    wrong: list[str] = []
    control = Control(settings.control_path, timeout_s=_ANSWER_S)
    try:
        status = control.status()
    except ControlError:
        wrong.append("the ingest does not answer")
    else:
        if not status["connected"]:
            wrong.append("the ingest has no connection to the broker")
        if status["trouble"]:
            wrong.append("the ingest can not commit")
        if status["queue"] >= settings.queue_size // 2:
            wrong.append("messages wait to be committed")
        age_s = status["judged_ago_s"]
        if settings.clock == "system" and (age_s is None or age_s > BEHIND_S):
            wrong.append("nothing has been judged for a minute")
    finally:
        control.close()
    try:
        with store.write() as connection:
            state.set_number(connection, state.HEALTHY_MS, now_ms)
    except SQLAlchemyError:
        wrong.append("the store can not be written")
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
