"""A tag's half of the protocol on this machine: says whatever a test wants to the real broker, over real mutual TLS."""

from __future__ import annotations

import queue
import ssl
import threading
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from cryptography import x509
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_der_private_key,
)
from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion

from core import envelope, wire
from core.readings import (
    BOOT_WIRE,
    COMMAND_WIRE,
    GAP_WIRE,
    POSITION_WIRE,
    TAMPER_WIRE,
    WIRE,
    Kind,
    TimeQuality,
)
from gateway import topics
from gateway.devices import Credentials

START_S = 1_750_000_000
"""2025-06-15, when the stand-ins' first reading is made; one every minute."""

EPOCH = 77


def tls_of(credentials: Credentials, folder: Path) -> ssl.SSLContext:
    """TLS as that device speaks it (its DER turned into the PEM that Python wants, in ``folder``)."""
    folder.mkdir(parents=True, exist_ok=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cadata=credentials.ca_der)
    certificate, key = folder / "cert.pem", folder / "key.pem"
    certificate.write_bytes(x509.load_der_x509_certificate(credentials.cert_der).public_bytes(Encoding.PEM))
    private = load_der_private_key(credentials.key_der, None)
    key.write_bytes(private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    context.load_cert_chain(certificate, key)
    return context


def positions(first: int, count: int, *, lat: float = 51.5, lon: float = -0.1) -> wire.Block:
    """Positions ``first`` to ``first + count - 1``: one every minute from START_S on, standing still."""
    records = np.zeros(count, POSITION_WIRE)
    records["dt"] = 600 * np.arange(count)
    records["lat"], records["lon"] = round(lat * 1e7), round(lon * 1e7)
    records["precision"] = 80
    records["flags"] = TimeQuality.GNSS
    return wire.make_block(Kind.POSITION, first, START_S + 60 * (first - 1), records)


def block(kind: Kind, first: int, t_ms: Sequence[int], **fields: object) -> wire.Block:
    """Readings ``first``, ``first + 1`` … of any kind, made at ``t_ms`` (UTC) by a clock that GNSS had set.

    ``fields`` are columns of the kind's layout, each a value for all or one a reading.
    """
    records = np.zeros(len(t_ms), WIRE[kind])
    base_s = min(t_ms) // 1000
    records["dt"] = [(t - base_s * 1000) // 100 for t in t_ms]
    records["flags"] = TimeQuality.GNSS
    for name, column in fields.items():
        records[name] = column
    return wire.make_block(kind, first, base_s, records)


def gap(number: int, first: int, count: int) -> wire.Block:
    """The gap record ``number``, which says that ``first`` to ``first + count - 1`` were dropped."""
    records = np.zeros(1, GAP_WIRE)
    records["first"], records["count"], records["reason"] = first, count, 1
    records["flags"] = TimeQuality.GNSS
    return wire.make_block(Kind.GAP, number, START_S + 60 * (number - 1), records)


def link_tamper(number: int, forged: int) -> wire.Block:
    """The tamper record ``number``: so many forged messages came down."""
    records = np.zeros(1, TAMPER_WIRE)
    records["code"], records["detail"], records["flags"] = 1, forged, TimeQuality.GNSS
    return wire.make_block(Kind.TAMPER, number, START_S + 60 * (number - 1), records)


def answered(number: int, generation: int, n: int, outcome: int = 0) -> wire.Block:
    """The command record ``number``: the command ``n`` of a generation came to ``outcome``."""
    records = np.zeros(1, COMMAND_WIRE)
    records["generation"], records["n"], records["outcome"] = generation, n, outcome
    records["flags"] = TimeQuality.GNSS
    return wire.make_block(Kind.COMMAND, number, START_S + 60 * (number - 1), records)


def boot(number: int) -> wire.Block:
    """The boot record ``number`` of a tag that does not know the time."""
    records = np.zeros(1, BOOT_WIRE)
    records["boots"] = 1
    return wire.make_block(Kind.BOOT, number, 3, records)


def strange(number: int, count: int, width: int = 5) -> wire.Block:
    """Readings of a kind that this gateway does not know."""
    return wire.Block(200, number, count, START_S, None, bytes(count * width), dated=True)


class StandIn:
    """A connected device. ``say`` and ``publish`` return when the broker has taken the message."""

    def __init__(self, credentials: Credentials, folder: Path, *, epoch: int = EPOCH) -> None:
        self.credentials = credentials
        self.device = credentials.device
        self.epoch = epoch
        self.downs: queue.Queue[bytes] = queue.Queue()
        self._ready = threading.Event()
        self._client = Client(CallbackAPIVersion.VERSION2, client_id=self.device)
        self._client.tls_set_context(tls_of(credentials, folder / f"{self.device}-pem"))
        self._client.on_connect = self._on_connect
        self._client.on_subscribe = self._on_subscribe
        self._client.on_disconnect = self._on_disconnect
        self._client.on_message = self._on_message
        self._client.reconnect_delay_set(1, 1)
        self._client.connect(credentials.host, credentials.port)
        self._client.loop_start()
        assert self._ready.wait(60), "the stand-in could not connect"

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def seal(
        self, *blocks: wire.Block, base: int | None = None, key: bytes | None = None, topic: str | None = None
    ) -> bytes:
        """The envelope of a message with ``blocks``; a hello without."""
        first = blocks[0].first if blocks else 1
        up = wire.Up(self.epoch, first if base is None else base, tuple(blocks))
        return self.seal_payload(wire.encode_up(up), key=key, topic=topic)

    def seal_payload(self, payload: bytes, *, key: bytes | None = None, topic: str | None = None) -> bytes:
        """The envelope of any payload."""
        topic = topics.up(self.device) if topic is None else topic
        return envelope.seal(key or self.credentials.key, self.device, topic, payload)

    def hello(self, nonce: int | None = None, base: int = 1) -> wire.Down:
        """Say hello and return the gateway's answer."""
        self.forget_answers()
        self.publish(self.seal_payload(wire.encode_up(wire.Up(self.epoch, base, (), nonce))))
        return self.answer()

    def say(self, *blocks: wire.Block, base: int | None = None) -> wire.Down:
        """Send a message and return the gateway's answer to it."""
        self.forget_answers()
        self.publish(self.seal(*blocks, base=base))
        return self.answer()

    def publish(self, data: bytes, topic: str | None = None, timeout_s: float = 60) -> None:
        """Publish any bytes at QoS 1."""
        assert self._ready.wait(timeout_s), "the stand-in is not connected"
        info = self._client.publish(topics.up(self.device) if topic is None else topic, data, qos=1)
        info.wait_for_publish(timeout_s)
        assert info.is_published(), "the broker did not take the message"

    def publish_many(self, messages: Sequence[bytes]) -> None:
        """Publish messages in order without waiting for one another."""
        infos = [self._client.publish(topics.up(self.device), data, qos=1) for data in messages]
        for info in infos:
            info.wait_for_publish(60)
            assert info.is_published(), "the broker did not take the message"

    def answer(self, timeout_s: float = 60) -> wire.Down:
        """The next word of the gateway, its MAC checked."""
        data = self.downs.get(timeout=timeout_s)
        sealed = envelope.parse(data)
        assert sealed.kid == self.device
        assert envelope.authentic(sealed, self.credentials.key, topics.down(self.device))
        return wire.decode_down(sealed.payload)

    def committed_upto(self, upto: int, again: Iterable[bytes] = (), timeout_s: float = 60) -> None:
        """Wait until the gateway has committed up to ``upto``, saying ``again`` every second as a tag would."""
        messages = list(again)
        for _ in range(int(timeout_s)):
            try:
                while True:
                    if self.answer(1).commit == (self.epoch, upto):
                        return
            except queue.Empty:
                for message in messages:
                    self.publish(message)
        raise AssertionError(f"{upto} was not committed in {timeout_s} s")

    def forget_answers(self) -> None:
        while not self.downs.empty():
            self.downs.get()

    def _on_connect(self, client: Client, _data: Any, _flags: Any, reason: Any, _properties: Any) -> None:
        if not reason.is_failure:
            client.subscribe(topics.down(self.device), qos=0)

    def _on_subscribe(self, _client: Client, _data: Any, _mid: int, _reasons: Any, _properties: Any) -> None:
        self._ready.set()

    def _on_disconnect(
        self, _client: Client, _data: Any, _flags: Any, _reason: Any, _properties: Any
    ) -> None:
        self._ready.clear()

    def _on_message(self, _client: Client, _data: Any, message: MQTTMessage) -> None:
        self.downs.put(bytes(message.payload))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
