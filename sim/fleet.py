"""Load as seen from the broker: as many wearers as a country has, from one process, against a real broker and gateway.

A quarter of a million tags can not be run, so their messages are sealed before the clock starts and sent by it, over 64
connections with mutual TLS, one for each partition. What differs from real tags stands in docs/fleet.md.
"""

from __future__ import annotations

import asyncio
import json
import ssl
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from cryptography import x509
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_der_private_key,
)

from core import envelope, wire
from gateway import broker, topics
from gateway.authority import Authority
from gateway.process import GatewayProcess
from gateway.seal import DEVICE_KEY, Vault
from gateway.settings import Settings
from gateway.store import Store, devices, orders
from gateway.store.orders import ActivationRow, OrderVersion
from gateway.whole_files import write_whole
from sim.fleet_messages import POSITIONS, Message, device_name, key_of, messages
from sim.market import market_zone
from sim.publisher import Publisher

SENDERS = tuple(f"fleet-load-{number:02d}" for number in range(topics.PARTITIONS))
"""Common names of the certificates that speak for the fleet, one a connection: the run's own settings let them.

Mosquitto takes a client's id from its certificate, so that two connections with one would end each other.
"""

FIX_S = 60
"""A position a minute, so a message every five."""
MOST_MESSAGES = 2_000_000
"""Some 500 bytes each are held in memory."""
_LAST_S = 120.0
_TICK_S = 0.01
_FITTED_BEFORE_MS = 86_400_000
_WEEK = ["Mo", "Tu", "We", "Th", "Fr", "Sa", "Su"]

Moved = Callable[[str, float], None]
"""Hears what is being done, and how much of it, 0 to 1."""


@dataclass(frozen=True, slots=True)
class Report:
    """What came of it. Rates are messages a second, delays milliseconds from PUBLISH."""

    wearers: int
    ordered: int
    connections: int
    wanted_per_s: float
    sent: int
    acknowledged: int
    committed: int
    sent_per_s: float
    acknowledged_per_s: float
    committed_per_s: float
    acknowledged_p50_ms: float
    acknowledged_p99_ms: float
    committed_p50_ms: float
    committed_p99_ms: float
    readings_in_store: int
    quarantined: int
    alerts: int
    registered_s: float
    sealed_s: float
    ready_s: float


def default_rate(wearers: int) -> float:
    """Messages a second of so many wearers."""
    return wearers / (FIX_S * POSITIONS)


def run(
    folder: Path,
    wearers: int,
    for_s: float,
    *,
    rate: float | None = None,
    ordered: int = 0,
    seed: int = 1,
    moved: Moved = lambda what, share: None,
) -> Report:
    """Send for ``for_s`` seconds at ``rate`` messages a second, and wait for what is still on its way.

    ``folder`` becomes the gateway's; ``ordered`` of the wearers are under an order and judged. Raises ValueError
    where so many messages can not be held.
    """
    rate = default_rate(wearers) if rate is None else rate
    count = max(1, round(rate * for_s))
    if count > MOST_MESSAGES:
        raise ValueError(
            f"{count} messages are more than {MOST_MESSAGES} that can be held: send for a shorter time"
        )
    settings = Settings.load(folder, web=False, mqtt_port=0, partition_senders=SENDERS, clock_trust="box")
    authority = Authority.of(settings)
    secret = f"fleet {seed}".encode()
    began = time.monotonic()
    moved("registering the fleet", 0.0)
    register(settings, secret, wearers, min(ordered, wearers))
    registered = time.monotonic()
    until_ms = round(time.time() * 1000)
    ring = messages(
        secret, wearers, count, until_ms, seed, lambda done: moved("sealing messages", min(done / count, 1.0))
    )
    sealed = time.monotonic()
    moved("starting the gateway", 0.0)
    gateway = GatewayProcess(settings)
    gateway.start(timeout_s=600)
    ready = time.monotonic()
    try:
        fleet = Fleet(ring, rate, moved)
        asyncio.run(fleet.drive(settings, identities(authority, folder / "fleet")))
        status = gateway.status()
    finally:
        gateway.stop()
    return Report(
        wearers=wearers,
        ordered=min(ordered, wearers),
        connections=topics.PARTITIONS,
        wanted_per_s=round(rate, 1),
        sent=fleet.sent,
        acknowledged=len(fleet.acknowledged_s),
        committed=len(fleet.committed_s),
        sent_per_s=round(fleet.sent / fleet.sending_s, 1),
        acknowledged_per_s=round(len(fleet.acknowledged_s) / fleet.last_acknowledged_s, 1),
        committed_per_s=round(len(fleet.committed_s) / fleet.last_committed_s, 1),
        acknowledged_p50_ms=_ms(fleet.acknowledged_s, 50),
        acknowledged_p99_ms=_ms(fleet.acknowledged_s, 99),
        committed_p50_ms=_ms(fleet.committed_s, 50),
        committed_p99_ms=_ms(fleet.committed_s, 99),
        readings_in_store=status["committed"],
        quarantined=status["quarantined"],
        alerts=status["alerts"],
        registered_s=round(registered - began, 2),
        sealed_s=round(sealed - registered, 2),
        ready_s=round(ready - sealed, 2),
    )


def register(
    settings: Settings,
    secret: bytes,
    wearers: int,
    ordered: int,
    zone: Mapping[str, object] | None = None,
) -> None:
    """Put a fleet into the gateway's store, in one transaction; ``ordered`` wearers, evenly spread, have an order.

    ``zone`` is the polygon (GeoJSON) that these must not enter, the market where it is left out.
    """
    now_ms = round(time.time() * 1000)
    vault = Vault.open_or_make(settings.master_key_path)
    store = Store.open(settings.store_place, busy_timeout_ms=settings.busy_timeout_ms)
    try:
        with store.write() as connection:
            names = [device_name(number) for number in range(wearers)]
            # of no certificate of their own: see docs/fleet.md
            devices.add(
                connection,
                *(
                    devices.Device(
                        name, vault.seal(DEVICE_KEY, name, key_of(secret, name)), b"", now_ms, None
                    )
                    for name in names
                ),
            )
            if ordered:
                judged = names[:: wearers // ordered][:ordered]
                orders.add_version(
                    connection, *(_order(name, now_ms, zone or market_zone()) for name in judged)
                )
                orders.add_activation(
                    connection,
                    *(
                        ActivationRow(f"{name}-1", name, f"order-{name}", now_ms - _FITTED_BEFORE_MS, None)
                        for name in judged
                    ),
                )
    finally:
        store.close()


def _order(name: str, now_ms: int, zone: Mapping[str, object]) -> OrderVersion:
    """A zone and a curfew."""
    document = {
        "order_id": f"order-{name}",
        "version": 1,
        "regime": "community_order",
        "wearer": {"id": f"wearer-{name}", "name": f"Wearer of {name}"},
        "effective": "2020-01-01T00:00:00Z",
        "conditions": [
            {"id": "market", "type": "exclusion", "name": "Market", "zone": dict(zone)},
            {
                "id": "curfew",
                "type": "curfew",
                "address": {"name": "primary", "latitude": 52.97, "longitude": -1.18, "radius_m": 30},
                "timetable": [{"days": _WEEK, "start": "19:00", "end": "07:00"}],
            },
        ],
    }
    effective_ms = 1_577_836_800_000  # as the document says
    wearer = f"wearer-{name}"
    return OrderVersion(
        f"order-{name}", 1, effective_ms, now_ms, wearer, f"Wearer of {name}", json.dumps(document)
    )


def identities(authority: Authority, folder: Path) -> list[ssl.SSLContext]:
    """TLS as each connection of a fleet speaks it."""
    return [identity(authority, folder / name, name) for name in SENDERS]


def identity(authority: Authority, folder: Path, name: str) -> ssl.SSLContext:
    """TLS as a sender speaks it: with a certificate of the gateway's authority in its name."""
    made = authority.certify(name)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    certificate = x509.load_der_x509_certificate(made.cert_der).public_bytes(Encoding.PEM)
    key = load_der_private_key(made.key_der, None)
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    write_whole(folder / "cert.pem", certificate, 0o600)
    write_whole(folder / "key.pem", pem, 0o600)
    context = ssl.create_default_context(ssl.Purpose.SERVER_AUTH, cafile=str(authority.ca_pem))
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    return context


class Fleet:
    """The sending of a ring of messages at ``rate`` a second, and what comes back. To be driven once.

    ``published_s`` says of each device which message, by its last number, was published when (monotonic seconds).
    """

    def __init__(self, ring: list[Message], rate: float, moved: Moved = lambda what, share: None) -> None:
        self._rate = rate
        self._moved = moved
        self._count = len(ring)
        # when each is due, and which connection sends it
        self._due: list[deque[tuple[float, Message]]] = [deque() for _ in range(topics.PARTITIONS)]
        for index, message in enumerate(ring):
            self._due[topics.partition(message.device)].append((index / rate, message))
        self._waiting: dict[str, deque[tuple[int, float]]] = {}
        self.sent = 0
        self.published_s: dict[str, list[tuple[int, float]]] = {}
        self.acknowledged_s: list[float] = []
        self.committed_s: list[float] = []
        self.sending_s = self.last_acknowledged_s = self.last_committed_s = 1e-9
        self._began = 0.0

    async def drive(self, settings: Settings, tls: Sequence[ssl.SSLContext]) -> None:
        """Connect, send by the clock, and wait for acknowledgements and commits. Raises PublisherError.

        ``tls`` is that of each connection, one for each partition.
        """
        place = broker.address(settings)
        publishers = [Publisher(name, self._acknowledge, self._hear) for name in SENDERS]
        try:
            for number, publisher in enumerate(publishers):
                await publisher.connect(
                    place.host,
                    place.port,
                    tls[number] if place.tls else None,
                    settings.server_names[0],
                    f"em/v1/{number:02d}/+/down",
                )
            await self._talk(publishers)
        finally:
            for publisher in publishers:
                await publisher.close()

    async def _talk(self, publishers: list[Publisher]) -> None:
        self._began = time.monotonic()
        try:
            async with asyncio.TaskGroup() as group:
                for publisher, due in zip(publishers, self._due, strict=True):
                    group.create_task(self._send(publisher, due))
                group.create_task(self._watch())
        except ExceptionGroup as errors:
            raise errors.exceptions[0] from None
        self.sending_s = max(time.monotonic() - self._began, self._count / self._rate)
        deadline = time.monotonic() + _LAST_S
        while (
            len(self.committed_s) < self.sent or len(self.acknowledged_s) < self.sent
        ) and time.monotonic() < deadline:
            self._moved("waiting for commits", len(self.committed_s) / self.sent)
            for publisher in publishers:
                publisher.check()
            await asyncio.sleep(0.05)

    async def _send(self, publisher: Publisher, due: deque[tuple[float, Message]]) -> None:
        while due:
            publisher.check()
            now_s = time.monotonic() - self._began
            while due and due[0][0] <= now_s and not publisher.full:
                _, message = due.popleft()
                waiting = self._waiting.setdefault(message.device, deque())
                sent = message.last, publisher.publish(message.topic, message.data)
                waiting.append(sent)
                self.published_s.setdefault(message.device, []).append(sent)
                self.sent += 1
            await publisher.drained()
            if due:
                wait_s = due[0][0] - (time.monotonic() - self._began)
                await asyncio.sleep(max(wait_s, _TICK_S))

    async def _watch(self) -> None:
        while self.sent < self._count:
            self._moved("sending", self.sent / self._count)
            await asyncio.sleep(0.2)

    def _acknowledge(self, took_s: float) -> None:
        self.acknowledged_s.append(took_s)
        self.last_acknowledged_s = time.monotonic() - self._began

    def _hear(self, topic: bytes, data: bytes) -> None:
        """A commit frees everything up to its number."""
        now = time.monotonic()
        waiting = self._waiting.get(topic.split(b"/")[3].decode())
        down = wire.decode_down(envelope.parse(data).payload)
        if waiting is None or down.commit is None:
            return
        while waiting and waiting[0][0] <= down.commit[1]:
            self.committed_s.append(now - waiting.popleft()[1])
            self.last_committed_s = now - self._began


def _ms(took_s: list[float], percentile: float) -> float:
    return round(float(np.percentile(took_s, percentile)) * 1000, 1) if took_s else float("nan")
