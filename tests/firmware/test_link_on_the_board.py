"""The tag's link on the real MicroPython, through a real broker, while broker, gateway and tag die and come back."""

from __future__ import annotations

import random
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from core import envelope, wire
from core.readings import Kind
from tests.firmware.broker import SERVER_NAME, Authority, Broker
from tests.firmware.gateway_side import authentic
from tests.firmware.micropython import start
from tests.protocol.model import GatewayModel

SCRIPT = Path(__file__).with_name("link_on_board.py")
DEVICE, KEY = "gps00001", bytes(range(32))


class Gateway:
    """The protocol's model on a real connection. ``deaf`` drops what comes; ``dumb`` keeps its commits to itself."""

    def __init__(self, broker: Broker, folder: Path) -> None:
        self.model = GatewayModel()
        self.conflicts = 0
        self.forgotten = 0
        self.duplicates = 0
        self.deaf = False
        self.dumb = False
        self.lock = threading.Lock()
        self.listening = threading.Event()
        self.client = paho.Client(CallbackAPIVersion.VERSION2, client_id="gateway")
        self.client.tls_set(
            str(folder / "ca.pem"), str(folder / "gateway.pem"), str(folder / "gateway-key.pem")
        )
        self.client.reconnect_delay_set(1, 1)
        self.client.on_connect = self._connected
        self.client.on_subscribe = lambda *_: self.listening.set()
        self.client.on_message = self._heard
        self.client.connect("127.0.0.1", broker.port)
        self.client.loop_start()

    def _connected(self, client: paho.Client, *_: Any) -> None:
        client.subscribe("em/v1/+/+/up", 1)

    def _heard(self, client: paho.Client, _data: Any, message: paho.MQTTMessage) -> None:
        if self.deaf:
            return
        heard = authentic(bytes(message.payload), KEY, message.topic)
        with self.lock:
            outcome = self.model.hear(heard)
            self.conflicts += len(outcome.conflicts)
            self.duplicates += len(outcome.duplicates)
            self.forgotten += len(outcome.forgotten)
        if self.dumb:
            return
        down = message.topic.replace("/up", "/down")
        payload = wire.encode_down(wire.Down(1, (heard.epoch, outcome.commit)))
        client.publish(down, envelope.seal(KEY, DEVICE, down, payload))

    def stored(self) -> dict[int, int]:
        """Number → value of every reading on disk: the latitude, the first field of a position's body."""
        with self.lock:
            contents = {number: content for (_, number), content in self.model.content.items()}
        values = {}
        for number, content in contents.items():
            assert isinstance(content, tuple)
            kind, _, body = content
            assert kind == Kind.POSITION
            values[number] = int.from_bytes(body[:4], "little", signed=True)
        return values

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()


class Tag:
    """The script as a process, and what it has said to be on flash."""

    def __init__(self, broker: Broker, folder: Path) -> None:
        self.arguments = (
            str(folder),
            str(broker.port),
            SERVER_NAME,
            DEVICE,
            KEY.hex(),
            str(folder / "journal"),
        )
        self.made: dict[int, int] = {}
        self.printed: list[str] = []
        self.boot()

    def boot(self) -> None:
        self.process = start(SCRIPT, *self.arguments)
        self.reader = threading.Thread(target=self._read, args=(self.process,))
        self.reader.start()

    def _read(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        for line in process.stdout:
            self.printed.append(line)
            words = line.split()
            if line.endswith("\n") and words[:1] == ["made"]:
                number, value = int(words[1]), int(words[2])
                assert self.made.setdefault(number, value) == value, f"number {number} was given twice"
        process.stdout.close()

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()
        self.reader.join()


def chaos(folder: Path, blows: int, seed: int) -> tuple[Gateway, Tag]:
    """Run a tag with one reading in 20 ms through ``blows`` kills; returns when all that was made is stored."""
    draw = random.Random(seed)
    authority = Authority()
    broker = Broker(folder, authority)
    for name in (DEVICE, "gateway"):
        authority.issue(name, folder)
    broker.start()
    gateway = Gateway(broker, folder)
    tag = Tag(broker, folder)
    try:
        for blow in range(blows):
            time.sleep(draw.uniform(0.3, 0.9))
            # after deaf and dumb a new connection, or the resend time-out would make the test long
            kind = ("tag", "deaf", "broker", "dumb", "broker and tag")[blow % 5]
            if "broker" in kind:
                gateway.listening.clear()
                broker.kill(wipe=True)
            if "tag" in kind:
                tag.kill()
            gateway.deaf, gateway.dumb = kind == "deaf", kind == "dumb"
            time.sleep(draw.uniform(0, 0.4))
            if "broker" in kind:
                broker.start()
            if kind == "broker and tag":
                # what a tag says before the gateway listens is said again after 30 s: no need to wait for that here
                assert gateway.listening.wait(60)
            if "tag" in kind:
                tag.boot()
        gateway.deaf = gateway.dumb = False
        due = dict(tag.made)
        deadline = time.monotonic() + 180  # that it comes is what counts, not when
        while not due.keys() <= gateway.stored().keys():
            assert tag.process.poll() is None, "".join(tag.printed[-20:])
            assert time.monotonic() < deadline, f"{len(due.keys() - gateway.stored().keys())} are missing"
            time.sleep(0.05)
    finally:
        tag.kill()
        gateway.close()
        broker.kill()
    return gateway, tag


def judge(gateway: Gateway, tag: Tag) -> None:
    """Nothing lost, nothing twice, nothing changed."""
    stored = gateway.stored()
    assert gateway.conflicts == gateway.forgotten == 0
    assert len(tag.made) > 50
    assert {number: stored[number] for number in tag.made if number in stored}.items() <= tag.made.items()
    highest = max(stored)
    assert set(stored) == set(range(1, highest + 1))


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_broker_gateway_and_tag_may_die_at_any_moment_and_nothing_is_lost(tmp_path: Path) -> None:
    gateway, tag = chaos(tmp_path, 5, seed=1)
    judge(gateway, tag)
    free = [int(line.split()[1]) for line in tag.printed if line.startswith("free") and line.endswith("\n")]
    # of 128 KiB in 64-bit words; everything of the link is compiled into it, TLS is up, messages are on their way
    assert min(free) > 30_000


# paho, here on the gateway's side, leaves the socket of a handshake that a dying broker cut to the garbage collector
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.long
def test_two_hundred_deaths_lose_nothing(tmp_path: Path) -> None:
    gateway, tag = chaos(tmp_path, 200, seed=2)
    judge(gateway, tag)
    assert gateway.duplicates
