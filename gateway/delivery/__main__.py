"""``python -m gateway.delivery --data-dir DIR``: the notifier, and the dead man's switch. A child of the service."""

from __future__ import annotations

import fcntl
import signal
import sys
import threading
from pathlib import Path

import structlog

from gateway import child, logs
from gateway.delivery import routes as routing
from gateway.delivery.heartbeat import Pulse
from gateway.delivery.notifier import Notifier
from gateway.delivery.routes import Routes, RoutesError
from gateway.gateway_time import Reader
from gateway.heartbeat import Heartbeat
from gateway.settings import Settings, SettingsError
from gateway.store import Store, StoreError
from gateway.whole_files import write_whole

log = structlog.get_logger(__name__)

LAST_GOOD = "routes.last-good.toml"
_LOOK_S = 1.0
_STATE = tuple[int, int, int]


class Watched:
    """The file of routes: the last one that could be used goes on while somebody edits it wrongly."""

    def __init__(self, data_dir: Path) -> None:
        self._file = data_dir / routing.FILE_NAME
        self._good = data_dir / LAST_GOOD
        self._seen: _STATE | None = None

    def load(self) -> Routes | None:
        """The routes as they stand, else the last that could be used, else None; what is wrong is logged."""
        self._seen = self._state()
        try:
            found = routing.read(self._file)
        except RoutesError as error:
            log.error("the routes can not be used", problem=str(error), last_good=self._good.exists())
            try:
                return routing.read(self._good)
            except RoutesError:
                return None
        try:
            write_whole(self._good, self._file.read_bytes(), 0o600)
        except OSError as error:
            log.warning("the routes could not be kept as the last good ones", problem=logs.safe(error))
        return found

    def changed(self) -> bool:
        """Whether the file has become another that can be used."""
        now = self._state()
        if now == self._seen:
            return False
        self._seen = now
        try:
            routing.read(self._file)
        except RoutesError as error:
            log.error("the routes can not be used; those before go on", problem=str(error))
            return False
        return True

    def _state(self) -> _STATE | None:
        try:
            found = self._file.stat()
        except OSError:
            return None
        return found.st_mtime_ns, found.st_size, found.st_mode


def run(settings: Settings, store: Store, stopping: threading.Event, heart: Heartbeat) -> int:
    """Tell people until stopped, or until the routes are others, which a new process reads; returns the exit code."""
    watched = Watched(settings.data_dir)
    routes = watched.load()
    heart.beat()  # who is ready and never heard again has hung
    heart.ready()
    if routes is None:
        while not stopping.wait(_LOOK_S) and not watched.changed():
            heart.beat()
        return 0
    time = Reader(store, settings.clock)
    if routes.heartbeat is not None:
        pulse = Pulse(settings, store, routes.heartbeat, time.now_ms)
        threading.Thread(target=pulse.run, args=(stopping,), name="pulse", daemon=True).start()
    notifier = Notifier(store, routes, time.now_ms, time.known, heart.beat)
    return 0 if notifier.run(stopping, watched.changed) else 1


def main(arguments: list[str] | None = None) -> int:
    """The process; returns its exit code, 2 for what only the person who started it can put right."""
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())

    try:
        settings, ready_fd = child.begin("gateway.delivery", "notifier", __doc__, arguments)
        heart = Heartbeat(ready_fd, settings.hung_after_s)
        with (settings.data_dir / "notifier.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # one that is ending may still be sending
            store = Store.open(settings.store_place, busy_timeout_ms=settings.busy_timeout_ms)
            try:
                return run(settings, store, stopping, heart)
            finally:
                store.close()
    except (SettingsError, StoreError, OSError) as problem:
        print(f"nobody can be told of alerts: {problem}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
