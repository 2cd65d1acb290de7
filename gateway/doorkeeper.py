"""The doorkeeper of the embedded broker: who comes in, what they may, and who has to leave.

Runs as a process of its own (``python -m gateway.doorkeeper --data-dir DIR``). NATS asks it about every MQTT client,
with the certificate that the handshake has verified; the store says whether that device is believed. So a device that
was added may come at once, and one that was revoked is cut off within a second and stays out. Connections that stand
go on when this process ends; new ones wait until it is back.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import sys
import time
from collections.abc import Mapping
from typing import Any

import structlog
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NatsError
from sqlalchemy.exc import DBAPIError

from gateway import broker, child, identities, logs, nats_tokens, renewal
from gateway.authority import Authority
from gateway.devices import DeviceError
from gateway.heartbeat import Heartbeat
from gateway.identities import Rights
from gateway.rates import is_barred
from gateway.settings import Settings
from gateway.store import Store, devices, state
from gateway.store.device_certificates import CertificateRow

log = structlog.get_logger(__name__)

_LOOK_S = 0.5
"""How often the store is asked for devices that were revoked."""

_CUT_S = 10.0
"""So long a revoked device is looked for: one that was let in just before is not listed at once."""

_AGAIN_S = 0.1
_ANSWER_S = 5.0
_PAGE = 1024


class Refused(Exception):  # noqa: N818 (an answer, not an error)
    """Somebody who is not let in; the text says why."""


class Doorkeeper:
    """Answers the broker, and has it end the connections of revoked devices. One event loop's."""

    def __init__(self, settings: Settings, store: Store, authority: Authority) -> None:
        self._settings = settings
        self._store = store
        self._authority = authority
        self._changes = -1
        self._unwanted: set[str] = set()
        self._cutting: dict[str, float] = {}

    async def run(self, stopping: asyncio.Event, heart: Heartbeat) -> None:
        """Serve one life of the broker after another until ``stopping``; ``heart`` tells of it."""
        trouble, ready = "", False
        while not stopping.is_set():
            heart.beat()
            try:
                door = broker.DoorKey.read(self._settings)
                client = await _connect(self._settings, self._authority, door)
                try:
                    await self._answer(client, door)
                    if not ready:
                        heart.ready()
                    ready, trouble = True, ""
                    await self._watch(client, stopping, heart)
                finally:
                    await client.close()
            except (OSError, NatsError, broker.BrokerError, DBAPIError) as error:
                if str(error) != trouble:
                    trouble = str(error)
                    log.warning("the broker can not be served yet", problem=trouble)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stopping.wait(), _AGAIN_S)

    async def _answer(self, client: Client, door: broker.DoorKey) -> None:
        """From now on answer what the broker asks."""

        async def ask(message: Msg) -> None:
            await message.respond(self.answer(message.data.decode(), door).encode())

        await client.subscribe("$SYS.REQ.USER.AUTH", cb=ask)
        await client.flush()
        broker.note_open_door(self._settings)

    async def _watch(self, client: Client, stopping: asyncio.Event, heart: Heartbeat) -> None:
        """Look for revoked devices for as long as the broker lives."""
        self._changes = -1
        self._unwanted = set()
        first = True
        while client.is_connected and not stopping.is_set():
            heart.beat()
            try:
                new = self._newly_unwanted()
                if first:
                    await self._sweep(client)
                    first = False
                else:
                    self._cutting |= dict.fromkeys(new, time.monotonic() + _CUT_S)
                await self._cut(client)
            except DBAPIError as error:
                log.error(
                    "the store can not be read; nobody new is let in until it can", problem=logs.safe(error)
                )
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stopping.wait(), _LOOK_S)

    def answer(self, question: str, door: broker.DoorKey) -> str:
        """The signed answer to one request of the broker's (ADR-26): a user with rights, or an error."""
        request = nats_tokens.claims(question)["nats"]
        key = door.private
        answer: dict[str, Any] = {"type": "authorization_response", "version": 2}
        try:
            name, rights = self._judge(request)
        except (Refused, DBAPIError) as error:
            why = str(error) if isinstance(error, Refused) else "the store can not be read"
            log.info("somebody was not let in", reason=why)
            answer["error"] = why
        else:
            user = {
                "sub": request["user_nkey"],
                "aud": broker.NATS_ACCOUNT,
                "name": name,
                "nats": {
                    "type": "user",
                    "version": 2,
                    "subs": -1,
                    "data": -1,
                    "payload": -1,
                    **_permissions(rights),
                },
            }
            answer["jwt"] = nats_tokens.sign(key, user)
        return nats_tokens.sign(
            key, {"sub": request["user_nkey"], "aud": request["server_id"]["id"], "nats": answer}
        )

    def _judge(self, request: Mapping[str, Any]) -> tuple[str, Rights]:
        client = request.get("client_info", {})
        if client.get("type") != "mqtt":
            raise Refused("only MQTT is spoken here")
        chains = (request.get("client_tls") or {}).get("verified_chains") or [[]]
        if not chains[0]:
            raise Refused("no certificate of this gateway's authority")
        certificate = x509.load_pem_x509_certificate(chains[0][0].encode())
        names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        name = str(names[0].value) if len(names) == 1 else ""
        rights = identities.of_service(name, self._settings.partition_senders)
        is_device = rights is None
        following: CertificateRow | None = None
        if rights is None:
            with self._store.read() as connection:
                device = devices.one(connection, name)
                barred = devices.barred_until(connection).get(name, 0)
                problem = ""
                if device is not None:
                    shown = certificate.public_bytes(Encoding.DER)
                    try:
                        following = renewal.shows(connection, device, shown, time.time_ns() // 1_000_000)
                    except DeviceError as error:
                        problem = str(error)
            if device is None:
                raise Refused(f"{name!r} was never added")
            if device.revoked_at_ms is not None:
                raise Refused(f"{name} was revoked")
            if is_barred(barred, _now_ms()):
                raise Refused(f"{name} said too much and is kept out for a while")
            if problem:
                raise Refused(problem)
            rights = identities.of_device(name)
        if not identities.may_be_called(name, str(client.get("mqtt_id", "")), device=is_device):
            raise Refused(f"{name} may not use another's client id")
        if following is not None:
            try:
                renewal.adopt(self._store, name)
            except DBAPIError as error:  # it is let in all the same, and adopted the next time
                log.error("a new certificate can not be noted as the one in use", problem=logs.safe(error))
        return name, rights

    def _newly_unwanted(self) -> set[str]:
        with self._store.read() as connection:
            changes = state.changes(connection)
            if changes == self._changes:
                return set()
            unwanted = devices.revoked(connection)
            barred, now_ms = devices.barred_until(connection), _now_ms()
            unwanted |= {name for name, until_ms in barred.items() if is_barred(until_ms, now_ms)}
        new = unwanted - self._unwanted
        self._changes, self._unwanted = changes, unwanted
        return new

    async def _sweep(self, client: Client) -> None:
        """Look through all connections for revoked devices: some may have been revoked while nobody looked."""
        offset = 0
        while True:
            server, found = await _connections(client, {"limit": _PAGE, "offset": offset})
            for one in found:
                if one.get("mqtt_client") in self._unwanted:
                    await _kick(client, server, one)
            offset += len(found)
            if len(found) < _PAGE:
                return

    async def _cut(self, client: Client) -> None:
        now = time.monotonic()
        for device, until in list(self._cutting.items()):
            server, found = await _connections(client, {"mqtt_client": device})
            for one in found:
                await _kick(client, server, one)
            if now > until:
                del self._cutting[device]


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


async def _connect(settings: Settings, authority: Authority, door: broker.DoorKey) -> Client:
    """A connection to the broker's own port. It is not made again: the next life of the broker has another key."""

    async def ignore(error: Exception) -> None:
        """What fails is seen where it is asked for."""

    client = Client()
    await client.connect(
        f"tls://127.0.0.1:{door.port}",
        tls=broker.client_tls(authority),
        tls_hostname=settings.server_names[0],
        user=broker.DOOR,
        password=door.password,
        allow_reconnect=False,
        # the library's own patience is two minutes, with a port that may be of the broker's last life
        max_reconnect_attempts=1,
        reconnect_time_wait=0.05,  # type: ignore[arg-type]  # fractions work
        connect_timeout=int(_ANSWER_S),
        error_cb=ignore,
    )
    return client


async def _connections(client: Client, wanted: Mapping[str, Any]) -> tuple[str, list[dict[str, Any]]]:
    """The broker's id, and those of its open connections that ``wanted`` asks for."""
    answer = await client.request(
        "$SYS.REQ.SERVER.PING.CONNZ", json.dumps(wanted).encode(), timeout=_ANSWER_S
    )
    document = json.loads(answer.data)
    return str(document["server"]["id"]), list(document["data"]["connections"])


async def _kick(client: Client, server: str, connection: Mapping[str, Any]) -> None:
    await client.request(
        f"$SYS.REQ.SERVER.{server}.KICK", json.dumps({"cid": connection["cid"]}).encode(), timeout=_ANSWER_S
    )
    log.info("a device that may not be here was cut off", device=connection.get("mqtt_client"))


def _permissions(rights: Rights) -> dict[str, Any]:
    """MQTT's filters as NATS' subjects. What is not allowed is denied."""
    writes, reads = (
        [subject for one in filters for subject in _subjects(one)]
        for filters in (rights.writes, rights.reads)
    )
    if rights == identities.NOTHING:
        return {"pub": {"deny": [">"]}, "sub": {"deny": [">"]}}
    if rights is not identities.GATEWAY and rights is not identities.SENDER:
        return {"pub": {"allow": writes}, "sub": {"allow": reads}}
    # NATS carries a subscription at QoS 1 over subjects of its own
    return {"pub": {"allow": writes}, "sub": {"allow": [*reads, "$MQTT.sub.>"]}}


def _subjects(topic_filter: str) -> list[str]:
    subject = topic_filter.replace("/", ".").replace("+", "*").replace("#", ">")
    # MQTT's # matches the level above it too
    return [subject, subject.removesuffix(".>")] if subject.endswith(".>") else [subject]


def main(arguments: list[str] | None = None) -> int:
    """The process; returns its exit code."""
    settings, ready_fd = child.begin("gateway.doorkeeper", "door", __doc__, arguments)
    store = Store.open(settings.store_place, busy_timeout_ms=settings.busy_timeout_ms)
    try:
        authority = Authority.of(settings)
        heart = Heartbeat(ready_fd, settings.hung_after_s)
        asyncio.run(_until_told(Doorkeeper(settings, store, authority), heart))
    finally:
        store.close()
    return 0


async def _until_told(door: Doorkeeper, heart: Heartbeat) -> None:
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    await door.run(stopping, heart)


if __name__ == "__main__":
    sys.exit(main())
