"""A broker for real and, behind it, the least that can be called a gateway: it believes, keeps and commits."""

from __future__ import annotations

import json
import os
import secrets
import struct
import subprocess
import threading
import time
from pathlib import Path
from socket import IPPROTO_TCP, TCP_NODELAY
from types import TracebackType
from typing import Any

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from core import envelope, wire
from core.readings import Kind
from gateway import broker, topics
from gateway.authority import Authority
from gateway.devices import Credentials
from gateway.settings import Settings

CONNECT_S = 60.0
COMMAND = 10
"""The kind of a record that acknowledges a command."""


class StandIn:
    """A nats-server with mutual TLS, and a client that answers each tag's messages with commits.

    ``readings[device][(epoch, number)]`` is ``(kind, t_ms or None, record without dt)``; ``dropped[device]`` are
    the numbers that gap records name; ``envelopes[device]`` the messages as they came.
    """

    def __init__(self, folder: Path) -> None:
        self.settings = Settings.load(folder / "gateway", mqtt_port=0)
        self.authority = Authority.open(self.settings.authority_dir, self.settings.server_names)
        self.address = broker.address(self.settings)
        self.keys: dict[str, bytes] = {}
        self.readings: dict[str, dict[tuple[int, int], tuple[int, int | None, bytes]]] = {}
        self.dropped: dict[str, set[tuple[int, int]]] = {}
        self.envelopes: dict[str, list[bytes]] = {}
        self.commands: dict[str, wire.Command] = {}  # what a device is told until it has acknowledged it
        self.silent = False
        self._heard = threading.Event()
        self._process: subprocess.Popen[bytes] | None = None
        self._client: mqtt.Client | None = None

    def __enter__(self) -> StandIn:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def credentials(self, device: str) -> Credentials:
        """Make ``device`` known, with a key and a certificate of its own."""
        made = self.authority.certify(device)
        self.keys[device] = secrets.token_bytes(32)
        self.readings[device] = {}
        self.dropped[device] = set()
        self.envelopes[device] = []
        return Credentials(
            device=device,
            key=self.keys[device],
            ca_der=self.authority.ca_der,
            cert_der=made.cert_der,
            key_der=made.key_der,
            host=self.address.host,
            port=self.address.port,
            server_name=self.settings.server_names[0],
        )

    def start(self) -> None:
        """Start the broker with an empty store, and listen."""
        command = broker.prepare(self.settings, self.authority)
        # who may do what is not what is tried here, and there is no store to ask
        file = Path(command[-1])
        document = json.loads(file.read_text())
        for name in ("authorization", "accounts", "system_account"):
            del document[name]
        file.write_text(json.dumps(document))
        self._process = subprocess.Popen(command)
        tls = broker.client_tls(self.authority)
        deadline = time.monotonic() + CONNECT_S
        while not broker.answers(self.address, tls, self.settings.server_names[0]):
            if time.monotonic() > deadline:
                raise RuntimeError((self.settings.broker_dir / "broker.log").read_text())
            time.sleep(0.02)
        client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id="stand-in")
        client.tls_set_context(tls)
        client.on_message = self._take
        client.on_socket_open = self._at_once
        subscribed = threading.Event()
        client.on_subscribe = lambda *_: subscribed.set()
        client.connect(self.address.host, self.address.port)
        client.subscribe("em/v1/+/+/up", 1)
        client.loop_start()
        assert subscribed.wait(CONNECT_S)
        self._client = client

    def stop(self) -> None:
        """Kill the broker; what it held is gone."""
        if self._client is not None:
            self._client.disconnect()
            self._client.loop_stop()
            self._client = None
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def processor_s(self) -> float:
        """Processor time that the broker has taken."""
        if self._process is None:
            return 0.0
        stat = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(stat[11]) + int(stat[12])) / os.sysconf("SC_CLK_TCK")

    def _at_once(self, client: mqtt.Client, _: object, opened: Any) -> None:
        # an acknowledgement and a commit are two small writes: by Nagle's rule the second would wait 40 ms
        opened.setsockopt(IPPROTO_TCP, TCP_NODELAY, 1)

    def _take(self, client: mqtt.Client, _: object, message: mqtt.MQTTMessage) -> None:
        device = topics.speaker(message.topic)
        if self.silent or device is None:
            return
        data = bytes(message.payload)
        sealed = envelope.parse(data)
        assert envelope.authentic(sealed, self.keys[device], message.topic)
        up = wire.decode_up(sealed.payload)
        known = self.readings[device]
        self.envelopes[device].append(data)
        for block in up.blocks:
            times = block.t_ms() if block.dated else [None] * block.count
            width = len(block.raw) // block.count
            for index in range(block.count):
                number = up.epoch, block.first + index
                record = block.raw[index * width + 2 : (index + 1) * width]
                when = times[index]
                reading = block.kind, None if when is None else int(when), record
                told = self.commands.get(device)
                if block.kind == COMMAND and told and int.from_bytes(record[4:8], "little") == told.n:
                    del self.commands[device]
                assert known.setdefault(number, reading) == reading, f"{device} {number} changed"
                if block.kind == Kind.GAP:
                    first, count = struct.unpack_from("<II", record)
                    gone = range(first, min(first + count, number[1]))
                    self.dropped[device].update((up.epoch, one) for one in gone)
        upto = 0
        while (up.epoch, upto + 1) in known or (up.epoch, upto + 1) in self.dropped[device]:
            upto += 1
        payload = wire.encode_down(wire.Down(0, (up.epoch, upto), self.commands.get(device)))
        down = topics.down(device)
        client.publish(down, envelope.seal(self.keys[device], device, down, payload), 0)
