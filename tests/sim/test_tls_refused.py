"""A tag on the bench before brokers that it must not trust, and before one that must not trust it."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Self

import pytest

from core.readings import Kind
from gateway.authority import Authority, Certified
from gateway.devices import Credentials
from sim.bench.serial import SerialPort
from sim.bench.tag import VirtualTag
from sim.sentences import fix
from tests.sim.stand_in import StandIn
from tests.sim.test_console import Tool

START_MS = 1_793_600_000_000
MINUTE_MS = 60_000
DEVICE = "gps00001"


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[StandIn]:
    with StandIn(tmp_path / "gateway") as stand_in:
        yield stand_in


class Expired:
    """A server of the right authority and name whose certificate was good until yesterday."""

    def __init__(self, gateway: StandIn, folder: Path, certified: Certified) -> None:
        certificate, key = folder / "expired.pem", folder / "expired.key.pem"
        certificate.write_text(ssl.DER_cert_to_PEM_cert(certified.cert_der))
        encoded = ssl.DER_cert_to_PEM_cert(certified.key_der).replace("CERTIFICATE", "EC PRIVATE KEY")
        key.write_text(encoded)
        self._context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=gateway.authority.ca_pem)
        self._context.load_cert_chain(certificate, key)
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        self.tried = 0
        self.heard = b""
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join()

    def _serve(self) -> None:
        while True:
            try:
                raw, _ = self._socket.accept()
            except OSError:
                return
            self.tried += 1
            raw.settimeout(5)
            try:
                with self._context.wrap_socket(raw, server_side=True) as secure:
                    self.heard += secure.recv(1024)
            except OSError:
                raw.close()


def live(tag: VirtualTag, to_ms: int) -> None:
    for t_ms in range(tag.now_ms, to_ms, 5000):
        tag.feed(t_ms, fix(t_ms, 52.1, 4.9))
    tag.run_until(to_ms)


def refused(tag: VirtualTag, gateway: StandIn, why: str) -> None:
    """A quarter of an hour in which the tag tries again and again, sends nothing, and goes on sampling."""
    tag.start()
    live(tag, START_MS + 15 * MINUTE_MS)
    counted = tag.counters()
    assert counted["reconnects"] >= 5
    assert "connections" not in counted
    assert gateway.envelopes[DEVICE] == []
    assert tag.console('{"do": "identify"}')["held"] >= 15
    assert why in tag.console('{"do": "self_test"}')["tests"]["radio"]


def comes_back(tag: VirtualTag, gateway: StandIn, right: Credentials, *names: str) -> None:
    """Provision what was wrong; everything that was held arrives."""
    with SerialPort(tag, pace=5) as port:
        Tool(port.path).provision(right, {}, *names)
    live(tag, tag.now_ms + 5 * MINUTE_MS)
    assert tag.counters()["connections"] == 1
    readings = gateway.readings[DEVICE]
    assert sorted(number for _, number in readings) == list(range(1, len(readings) + 1))
    assert sum(kind == Kind.POSITION for kind, _, _ in readings.values()) >= 17
    assert tag.log() == ""


def tag_with(tmp_path: Path, credentials: Credentials, **config: object) -> VirtualTag:
    return VirtualTag(
        tmp_path / "tag", credentials, start_ms=START_MS, config=config, clock_set=True, patience_s=0.5
    )


def test_a_broker_of_another_authority_hears_nothing(gateway: StandIn, tmp_path: Path) -> None:
    right = gateway.credentials(DEVICE)
    stranger = Authority.open(tmp_path / "stranger", ("localhost",))
    with tag_with(tmp_path, replace(right, ca_der=stranger.ca_der)) as tag:
        refused(tag, gateway, "CA")
        comes_back(tag, gateway, right, "ca.der")


def test_a_broker_of_another_name_hears_nothing(gateway: StandIn, tmp_path: Path) -> None:
    right = gateway.credentials(DEVICE)
    with tag_with(tmp_path, right, server_name="other.test") as tag:
        refused(tag, gateway, "CN")
        comes_back(tag, gateway, right, "config.json")


def test_a_broker_whose_certificate_has_expired_hears_nothing(
    gateway: StandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = gateway.credentials(DEVICE)
    names = gateway.settings.server_names
    with monkeypatch.context() as patched:
        patched.setattr("gateway.authority._years_from_now", _yesterday)
        certified = gateway.authority.certify(names[0], names, server=True)
    with (
        Expired(gateway, tmp_path, certified) as expired,
        tag_with(tmp_path, right, port=expired.port) as tag,
    ):
        refused(tag, gateway, "expired")
        assert expired.tried >= 5
        assert expired.heard == b""
        comes_back(tag, gateway, right, "config.json")


@pytest.mark.parametrize("whose", ["a stranger's", "expired"])
def test_a_tag_with_a_certificate_that_is_not_good_is_not_heard(
    gateway: StandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, whose: str
) -> None:
    right = gateway.credentials(DEVICE)
    if whose == "expired":
        with monkeypatch.context() as patched:
            patched.setattr("gateway.authority._years_from_now", _yesterday)
            made = gateway.authority.certify(DEVICE)
    else:
        made = Authority.open(tmp_path / "stranger", ("localhost",)).certify(DEVICE)
    with tag_with(tmp_path, replace(right, cert_der=made.cert_der, key_der=made.key_der)) as tag:
        refused(tag, gateway, "")
        comes_back(tag, gateway, right, "cert.der", "key.der")


def _yesterday(_years: int) -> datetime:
    return datetime.now(UTC) - timedelta(days=1)
