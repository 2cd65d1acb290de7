"""The MQTT client on the real MicroPython against a real broker under mutual TLS."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from tests.firmware.broker import SERVER_NAME, Authority, Broker
from tests.firmware.micropython import run, start

SCRIPT = Path(__file__).with_name("mqtt_on_board.py")
DEVICE = "gps00001"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the certificates lie."""
    return tmp_path_factory.mktemp("broker")


@pytest.fixture(scope="module")
def broker(folder: Path) -> Iterator[Broker]:
    """A broker, and certificates for a tag, a gateway, and someone of another authority."""
    authority = Authority()
    broker = Broker(folder, authority)
    authority.issue(DEVICE, folder)
    authority.issue("gateway", folder)
    stranger = Authority("a stranger")
    stranger.write(folder, "stranger")
    stranger.issue("foreign0", folder)
    broker.start()
    yield broker
    broker.kill()


def observer(
    broker: Broker, folder: Path, topic: str, heard: list[bytes], event: threading.Event
) -> paho.Client:
    """A subscriber of another make."""
    client = paho.Client(CallbackAPIVersion.VERSION2, client_id="observer")
    client.tls_set(
        ca_certs=str(folder / "ca.pem"),
        certfile=str(folder / "gateway.pem"),
        keyfile=str(folder / "gateway-key.pem"),
        cert_reqs=ssl.CERT_REQUIRED,
    )
    subscribed = threading.Event()

    def on_message(_client: paho.Client, _data: Any, message: paho.MQTTMessage) -> None:
        heard.append(bytes(message.payload))
        event.set()

    client.on_message = on_message
    client.on_subscribe = lambda *_: subscribed.set()
    client.connect("127.0.0.1", broker.port)
    client.loop_start()
    client.subscribe(topic, 1)
    assert subscribed.wait(60)
    return client


def test_it_speaks_with_the_broker_and_its_will_tells_of_its_death(broker: Broker, folder: Path) -> None:
    heard: list[bytes] = []
    event = threading.Event()
    watcher = observer(broker, folder, f"em/v1/00/{DEVICE}/state", heard, event)
    try:
        with start(SCRIPT, str(folder), str(broker.port), SERVER_NAME, "ca.der", DEVICE) as tag:
            assert tag.stdout is not None
            assert tag.stdout.readline() == "connected\n"
            words = tag.stdout.readline().split()
            assert event.wait(60), words
            assert heard == [b"online"], words
            assert words[:2] == ["300", "in"], words
            assert int(words[-1]) > 80_000, "client, TLS and asyncio leave most of the heap"
            event.clear()
            tag.kill()
            assert event.wait(60)
            assert heard == [b"online", b"offline"]
    finally:
        watcher.disconnect()
        watcher.loop_stop()


@pytest.mark.parametrize(
    ("authority", "server_name", "device", "why"),
    [
        ("stranger.der", SERVER_NAME, DEVICE, "not correctly signed by the trusted CA"),
        ("ca.der", "other.test", DEVICE, "does not match with the expected CN"),
        ("ca.der", SERVER_NAME, "foreign0", ""),
    ],
    ids=["a broker of another authority", "a broker of another name", "a tag of another authority"],
)
def test_a_stranger_on_either_side_is_refused(
    broker: Broker, folder: Path, authority: str, server_name: str, device: str, why: str
) -> None:
    printed = run(SCRIPT, str(folder), str(broker.port), server_name, authority, device)
    assert printed.startswith("refused")
    assert why in printed


def test_a_broker_that_is_not_there_is_told_at_once(folder: Path, broker: Broker) -> None:
    from tests.firmware.broker import free_port

    printed = run(SCRIPT, str(folder), str(free_port()), SERVER_NAME, "ca.der", DEVICE, timeout_s=5)
    assert "ECONNREFUSED" in printed
