"""Attackers with and without a certificate, at both brokers: who speaks or hears for another, and who is cut off."""

from __future__ import annotations

import os
import queue
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from gateway import broker, mosquitto, topics
from gateway.authority import GATEWAY_NAME, Authority, Certified
from gateway.devices import Credentials, add_device, revoke_device
from gateway.outside_door import OutsideDoor
from gateway.settings import Settings
from gateway.store import Store, devices
from tests.gateway.stand_in import tls_of
from tests.system.brokers import Mosquitto

NAMES = ("localhost", "127.0.0.1")
WAIT_S = 60.0
QUIET_S = 0.4
CUT_S = 5.0
KEPT_OUT_MS = 4000
REFUSED = 0x80


class Post:
    """A broker with its permissions, two tags and the gateway's own identity."""

    def __init__(self, settings: Settings, folder: Path, stop: Callable[[], None]) -> None:
        self.settings, self.folder, self.stop = settings, folder, stop
        self.place = broker.address(settings)
        self.authority = Authority.open(settings.authority_dir, NAMES)
        self.store = Store.open(settings.store_place)
        self._number = 0

    def new_tag(self) -> Credentials:
        self._number += 1
        return add_device(self.store, self.authority, f"tag{self._number:04d}", settings=self.settings)

    def tls(self, certified: Certified) -> ssl.SSLContext:
        self._number += 1
        place = self.folder / f"certificate-{self._number}"
        place.mkdir()
        (place / "cert.pem").write_text(ssl.DER_cert_to_PEM_cert(certified.cert_der))
        (place / "key.pem").write_bytes(certified.key_pem)
        return broker.client_tls_of(self.authority, place / "cert.pem", place / "key.pem")

    def tls_of(self, tag: Credentials) -> ssl.SSLContext:
        return tls_of(tag, self.folder / f"{tag.device}-pem")

    def let_in(self, tls: ssl.SSLContext, client_id: str) -> bool:
        return broker.connects(self.place, tls, NAMES[0], client_id)

    def revoke(self, tag: Credentials) -> None:
        revoke_device(self.store, tag.device, settings=self.settings)
        if not self.settings.embedded:
            mosquitto.cut_off(self.settings, self.authority, self.store, tag.device)


class Client:
    """A client that does whatever the test wants; nothing is made again when it is cut off."""

    def __init__(
        self, post: Post, tls: ssl.SSLContext, client_id: str, *, will: str = "", user: str = ""
    ) -> None:
        self.heard: queue.Queue[tuple[str, bytes]] = queue.Queue()
        self.granted: queue.Queue[int] = queue.Queue()
        self.connected: bool | None = None
        self.cut_at = 0.0
        self._client = mqtt.Client(
            CallbackAPIVersion.VERSION2, client_id=client_id, reconnect_on_failure=False
        )
        self._client.tls_set_context(tls)
        if will:
            self._client.will_set(will, b"a lie", 0, retain=True)
        if user:
            self._client.username_pw_set(user, "")
        self._client.on_connect = self._on_connect
        self._client.on_disconnect = self._on_disconnect
        self._client.on_subscribe = lambda *given: self.granted.put(given[3][0].value)
        self._client.on_message = lambda client, data, message: self.heard.put(
            (message.topic, bytes(message.payload))
        )
        self._client.connect(NAMES[0], post.place.port, keepalive=30)
        self._client.loop_start()
        until(lambda: self.connected is not None)

    def _on_connect(self, client: mqtt.Client, data: Any, flags: Any, reason: Any, properties: Any) -> None:
        self.connected = not reason.is_failure

    def _on_disconnect(
        self, client: mqtt.Client, data: Any, flags: Any, reason: Any, properties: Any
    ) -> None:
        self.cut_at = time.monotonic()

    def subscribe(self, topic_filter: str, qos: int = 0) -> bool:
        self._client.subscribe(topic_filter, qos)
        return self.granted.get(timeout=WAIT_S) < REFUSED

    def say(self, topic: str, data: bytes, *, qos: int = 1, retain: bool = False) -> None:
        self._client.publish(topic, data, qos, retain)

    def hear(self) -> tuple[str, bytes]:
        return self.heard.get(timeout=WAIT_S)

    def drop(self) -> None:
        """The connection is lost without a word, as in a power cut."""
        raw = self._client.socket()
        assert raw is not None
        raw.shutdown(2)  # type: ignore[attr-defined]  # paho calls it SocketLike

    def leave(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


def until(condition: Callable[[], bool], timeout_s: float = WAIT_S) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.01)


def _nats(folder: Path) -> Post:
    settings = Settings.load(folder / "gateway", mqtt_port=0)
    authority = Authority.open(settings.authority_dir, NAMES)
    Store.open(settings.store_place).close()
    server = subprocess.Popen(broker.prepare(settings, authority))
    command = [sys.executable, "-m", "gateway.doorkeeper", "--data-dir", str(settings.data_dir)]
    door = subprocess.Popen(command, env=os.environ | settings.environment())
    until(lambda: broker.door_is_open(settings), 30)

    def stop() -> None:
        for process in (door, server):
            process.terminate()
            process.wait(60)

    return Post(settings, folder, stop)


def _mosquitto(folder: Path) -> Post:
    server = Mosquitto(folder / "gateway")
    server.start()
    return Post(server.settings, folder, server.stop)


@pytest.fixture(scope="module", params=[_nats, _mosquitto], ids=["nats", "mosquitto"])
def post(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Post]:
    made: Post = request.param(tmp_path_factory.mktemp("attacked"))
    own = broker.client_tls(made.authority)
    until(lambda: made.let_in(own, GATEWAY_NAME), 20)
    yield made
    made.store.close()
    made.stop()


@pytest.fixture(scope="module")
def gateway(post: Post) -> Iterator[Client]:
    client = Client(post, broker.client_tls(post.authority), GATEWAY_NAME)
    assert client.subscribe(topics.UP_FILTER, 1)
    assert client.subscribe("em/v1/+/+/state", 1)
    yield client
    client.leave()


@pytest.fixture
def pair(post: Post) -> Iterator[tuple[Client, Client, Credentials]]:
    """A tag that is attacked, a tag that attacks, and who the first is."""
    victim, attacker = post.new_tag(), post.new_tag()
    first = Client(post, post.tls_of(victim), victim.device)
    second = Client(post, post.tls_of(attacker), attacker.device)
    assert first.connected and second.connected
    assert first.subscribe(topics.down(victim.device))
    yield first, second, victim
    first.leave()
    second.leave()


def test_a_tag_is_heard_hears_what_is_said_to_it_and_its_will_tells_of_its_end(
    post: Post, gateway: Client
) -> None:
    tag = post.new_tag()
    client = Client(post, post.tls_of(tag), tag.device, will=topics.state(tag.device))
    assert client.subscribe(topics.down(tag.device))
    client.say(topics.up(tag.device), b"up")
    assert gateway.hear() == (topics.up(tag.device), b"up")
    gateway.say(topics.down(tag.device), b"down", qos=0)
    assert client.hear() == (topics.down(tag.device), b"down")
    client.say(topics.state(tag.device), b"online", qos=0, retain=True)
    assert gateway.hear() == (topics.state(tag.device), b"online")
    client.drop()
    assert gateway.hear() == (topics.state(tag.device), b"a lie")
    client.leave()


@pytest.mark.parametrize("retain", [False, True], ids=["passing", "retained"])
def test_a_tag_can_not_speak_for_another(
    gateway: Client, pair: tuple[Client, Client, Credentials], retain: bool
) -> None:
    first, attacker, victim = pair
    for leaf in (topics.up, topics.state, topics.down):
        for qos in (0, 1):
            attacker.say(leaf(victim.device), b"forged", qos=qos, retain=retain)
    time.sleep(QUIET_S)
    assert gateway.heard.empty() and first.heard.empty()
    gateway.say(topics.down(victim.device), b"true", qos=0)
    assert first.hear() == (topics.down(victim.device), b"true")


def test_a_tag_can_not_leave_a_will_for_another(
    post: Post, gateway: Client, pair: tuple[Client, Client, Credentials]
) -> None:
    _, _, victim = pair
    other = post.new_tag()
    liar = Client(post, post.tls_of(other), other.device, will=topics.state(victim.device))
    if liar.connected:
        liar.drop()
    time.sleep(QUIET_S)
    assert gateway.heard.empty()
    liar.leave()


FILTERS = (
    "#",
    "em/v1/#",
    "em/v1/+/+/down",
    "em/v1/+/+/up",
    "{down}",
    "{up}",
    "$SYS/#",
    "$MQTT/#",
    "+/+/+/+/+",
    "$JS/#",
)


@pytest.mark.parametrize("qos", [0, 1])
def test_a_tag_hears_nothing_of_another_however_it_asks(
    gateway: Client, pair: tuple[Client, Client, Credentials], qos: int
) -> None:
    first, attacker, victim = pair
    for topic_filter in FILTERS:
        attacker.subscribe(
            topic_filter.format(down=topics.down(victim.device), up=topics.up(victim.device)), qos
        )
    first.say(topics.up(victim.device), b"a position")
    assert gateway.hear() == (topics.up(victim.device), b"a position")
    gateway.say(topics.down(victim.device), b"a command", qos=0)
    assert first.hear() == (topics.down(victim.device), b"a command")
    time.sleep(QUIET_S / 4)
    assert attacker.heard.empty()


def test_a_client_id_or_a_user_name_of_another_gives_nothing_and_throws_nobody_off(
    post: Post, gateway: Client, pair: tuple[Client, Client, Credentials]
) -> None:
    first, _, victim = pair
    other = post.new_tag()
    for client_id, user in (
        (victim.device, ""),
        (victim.device, victim.device),
        (GATEWAY_NAME, GATEWAY_NAME),
        ("door", broker.DOOR),
        (other.device, GATEWAY_NAME),
    ):
        liar = Client(post, post.tls_of(other), client_id, user=user)
        if liar.connected:
            liar.subscribe("em/v1/#", 1)
            liar.say(topics.up(victim.device), b"forged")
            liar.say(topics.down(victim.device), b"forged")
        time.sleep(QUIET_S / 4)
        liar.leave()
    assert gateway.heard.empty() and first.heard.empty()
    assert not first.cut_at and not gateway.cut_at
    first.say(topics.up(victim.device), b"true")
    assert gateway.hear() == (topics.up(victim.device), b"true")


def test_who_has_no_good_certificate_is_not_let_in(post: Post, tmp_path: Path) -> None:
    tag = post.new_tag()
    assert post.let_in(post.tls_of(tag), tag.device)
    yesterday = datetime.now(UTC) - timedelta(days=1)
    stranger = Authority.open(tmp_path / "stranger", NAMES).certify(tag.device)
    bare = ssl.create_default_context(cafile=str(post.authority.ca_pem))
    assert not post.let_in(post.tls(post.authority.certify(tag.device, until=yesterday)), tag.device), (
        "expired"
    )
    assert not post.let_in(post.tls(stranger), tag.device), "another authority's"
    assert not post.let_in(bare, tag.device), "none"
    server = broker.client_tls_of(post.authority, *post.authority.paths("server"))
    assert not post.let_in(server, NAMES[0]), "the broker's own"


def test_a_revoked_tag_is_cut_off_within_seconds_and_does_not_come_back_while_others_stay(
    post: Post, pair: tuple[Client, Client, Credentials]
) -> None:
    first, other, victim = pair
    tls = post.tls_of(victim)
    began = time.monotonic()
    post.revoke(victim)
    until(lambda: first.cut_at > 0)
    assert first.cut_at - began < CUT_S
    assert not post.let_in(tls, victim.device)
    assert not other.cut_at


def test_a_tag_that_is_kept_out_for_saying_too_much_is_cut_off_and_comes_back_when_its_time_is_over(
    post: Post, pair: tuple[Client, Client, Credentials]
) -> None:
    first, other, victim = pair
    tls = post.tls_of(victim)
    door = None if post.settings.embedded else OutsideDoor(post.settings, post.store)
    until_ms = round(time.time() * 1000) + KEPT_OUT_MS
    with post.store.write() as connection:
        devices.bar(connection, [victim.device], until_ms)
    if door is not None:
        door.start()
        door.bar([victim.device])
    until(lambda: first.cut_at > 0)
    let_in_ms = 0.0
    while not let_in_ms:
        if post.let_in(tls, victim.device):
            let_in_ms = time.time() * 1000
        assert time.time() * 1000 < until_ms + WAIT_S * 1000, "it is kept out for ever"
        time.sleep(0.1)
    assert let_in_ms > until_ms
    assert not other.cut_at
    if door is not None:
        door.stop()


def test_a_tag_that_is_added_is_let_in_without_a_restart(post: Post) -> None:
    tag = post.new_tag()
    assert post.let_in(post.tls_of(tag), tag.device)
