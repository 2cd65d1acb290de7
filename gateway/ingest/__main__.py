"""``python -m gateway.ingest --data-dir DIR``: the process that receives, commits, judges. A child of the service."""

from __future__ import annotations

import signal
import sys
import threading

import structlog
from sqlalchemy.exc import DBAPIError

from gateway import broker, child, logs, replica, trust
from gateway.authority import Authority
from gateway.clock import Clock, SteppedClock
from gateway.control import ControlServer
from gateway.gateway_time import BoxClock, ThisBox
from gateway.heartbeat import Heartbeat
from gateway.ingest.pipeline import Ingest
from gateway.outside_door import OutsideDoor
from gateway.rates import Rates
from gateway.replica import Copier
from gateway.seal import SealError
from gateway.settings import Settings
from gateway.store import Store, StoreError, state
from gateway.uplink import LinkDeadError, Uplink

log = structlog.get_logger(__name__)


def main(arguments: list[str] | None = None) -> int:
    """The process; returns its exit code, 1 where a new one may do better."""
    settings, ready_fd = child.begin("gateway.ingest", "ingest", __doc__, arguments)
    try:
        store = Store.open(settings.store_place, busy_timeout_ms=settings.busy_timeout_ms)
    except StoreError as error:  # a disk that is full or read-only may be neither in a moment
        log.error("the store can not be opened; nothing is received until it can", problem=str(error))
        return 1
    place = broker.address(settings)
    try:
        authority = Authority.of(settings)
    except SealError as error:
        log.error("no key can be opened; nothing is received until it can", problem=str(error))
        return 1
    try:
        clock = _clock(settings, store)
    except DBAPIError as error:
        log.error("the store can not be used; nothing is received until it can", problem=logs.safe(error))
        return 1
    # simulated tags are as fast as their time, and each of them is slowed down by its own answers
    limited = settings.clock == "system" and settings.tag_messages_per_s > 0
    rates = Rates(settings.tag_messages_per_s)
    link = Uplink(
        place,
        broker.client_tls(authority) if place.tls else None,
        queue_size=settings.queue_size,
        stamp=clock.stamp,
        open_to_us=lambda: not settings.embedded or broker.door_is_open(settings),
        rates=rates if limited else None,
    )
    heart = Heartbeat(ready_fd, settings.hung_after_s)
    try:
        copier = _copier(settings, store)
    except DBAPIError as error:
        log.error("the store can not be written; nothing is received until it can", problem=logs.safe(error))
        return 1
    # the embedded broker's door is a process of its own
    door = None if settings.embedded else OutsideDoor(settings, store)
    keep_out = (lambda devices: None) if door is None else door.bar
    ingest = Ingest(settings, store, authority.vault, link, clock, rates, heart, copier, keep_out)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ingest.stop())
    control = ControlServer(settings.control_path, ingest.requests.answer)
    if ready_fd is not None:
        threading.Thread(target=_tell_ready, args=(link, heart), daemon=True).start()
    if door is not None:
        door.start()
    try:
        ingest.run()
    except LinkDeadError as error:
        log.error("the link to the broker is dead", problem=str(error))
        return 1
    finally:
        control.close()
        link.stop()
        if copier is not None:
            copier.stop()
        if door is not None:
            door.stop()
        store.close()
    return 0


def _clock(settings: Settings, store: Store) -> Clock:
    if settings.clock == "system":
        settled_ms = 0 if settings.clock_trust == "box" else trust.SETTLE_MS
        return BoxClock(store, ThisBox(settings.clock_trust), settled_ms)
    with store.read() as connection:
        last = state.number(connection, state.JUDGED_MS, -1)
    return SteppedClock(None if last < 0 else last)


def _copier(settings: Settings, store: Store) -> Copier | None:
    place = settings.replica_place
    if place is None:
        replica.end(store)
        return None
    replica.begin(store)
    copier = Copier(store, place)
    copier.start()
    return copier


def _tell_ready(link: Uplink, heart: Heartbeat) -> None:
    link.subscribed.wait()
    heart.ready()


if __name__ == "__main__":
    sys.exit(main())
