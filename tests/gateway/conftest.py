"""A real gateway for the tests that need one: broker, ingest and store, started once a module."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion

from gateway import broker
from gateway.authority import Authority
from gateway.devices import Credentials, add_device
from gateway.process import GatewayProcess
from gateway.settings import Settings
from gateway.store import Store
from sim.fleet import identity
from tests.gateway import postgres
from tests.gateway.stand_in import EPOCH, StandIn

postgres_server = pytest.fixture(scope="session")(postgres.server)


@pytest.fixture(params=["sqlite", "postgresql"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Path | str:
    """Where a new store may be made: a test that asks for it is run on a file, and on a real PostgreSQL."""
    if request.param == "sqlite":
        return tmp_path / "store.sqlite"
    server: postgres.PostgresServer = request.getfixturevalue("postgres_server")
    return server.empty()


LIAR = "test-liar"
"""A certificate that the test's settings let say everything at the broker."""


@dataclass
class House:
    """A gateway that runs, and its store, seen by another process."""

    gateway: GatewayProcess
    store: Store
    authority: Authority
    _numbers: Iterator[int] = field(default_factory=itertools.count)
    _tags: list[StandIn] = field(default_factory=list)
    _liar: Client | None = None

    @property
    def settings(self) -> Settings:
        return self.gateway.settings

    def new_device(self, kind: str = "gps_tag") -> Credentials:
        name = f"tag{next(self._numbers):04d}"
        return add_device(self.store, self.authority, name, settings=self.settings, kind=kind)

    def lie(self, data: bytes, topic: str) -> None:
        """Publish at QoS 1 what the broker would take from no device: only the test's settings allow this name."""
        if self._liar is None:
            self._liar = Client(CallbackAPIVersion.VERSION2, client_id=LIAR)
            self._liar.tls_set_context(identity(self.authority, self.settings.data_dir / LIAR, LIAR))
            place = broker.address(self.settings)
            self._liar.connect(self.settings.server_names[0], place.port)
            self._liar.loop_start()
        info = self._liar.publish(topic, data, qos=1)
        info.wait_for_publish(10)
        assert info.is_published(), "the broker did not take the message"

    def new_tag(self, kind: str = "gps_tag") -> StandIn:
        """A stand-in for a device that was added just now, with a journal of its own."""
        credentials = self.new_device(kind)
        return self.connect(credentials, EPOCH if kind == "gps_tag" else 900 + int(credentials.device[3:]))

    def connect(self, credentials: Credentials, epoch: int = EPOCH) -> StandIn:
        tag = StandIn(credentials, self.settings.data_dir, epoch=epoch)
        self._tags.append(tag)
        return tag

    def settle(self) -> dict[str, Any]:
        """The gateway's counters, when everything published before has been dealt with."""
        now_ms = self.gateway.status()["now_ms"] or 0
        self.gateway.advance(now_ms)
        return self.gateway.status()

    def close(self) -> None:
        for tag in self._tags:
            tag.close()
        if self._liar is not None:
            self._liar.disconnect()
            self._liar.loop_stop()
        self.store.close()


def open_house(folder: Path, **settings: object) -> House:
    """Start a gateway in ``folder`` with a stepped clock and free ports."""
    chosen: dict[str, object] = {
        "mqtt_port": 0,
        "web": False,
        "clock": "stepped",
        # no time server keeps the clock of most machines that tests run on
        "clock_trust": "box",
        "partition_senders": (LIAR,),
    }
    loaded = Settings.load(folder, **(chosen | settings))
    gateway = GatewayProcess(loaded)
    gateway.start()
    store = Store.open(loaded.store_place)
    return House(gateway, store, Authority.open(loaded.authority_dir, loaded.server_names))


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    opened = open_house(tmp_path_factory.mktemp("gateway"))
    try:
        yield opened
    finally:
        opened.close()
        assert opened.gateway.stop() == 0
