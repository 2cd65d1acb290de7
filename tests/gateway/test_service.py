"""The supervised whole: parts restarted alone, other brokers, what is printed and what is never logged."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway import broker
from gateway.authority import Authority
from gateway.control import ControlError
from gateway.orders import activate, add_order
from gateway.process import GatewayError, GatewayProcess
from gateway.settings import Settings
from gateway.store import alerts
from tests.gateway.conftest import House, open_house
from tests.gateway.stand_in import EPOCH, START_S, positions
from tests.gateway.test_judge import INSIDE, order

MOSQUITTO = "/usr/sbin/mosquitto"


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    opened = open_house(
        tmp_path_factory.mktemp("a-folder-with-a-name-so-long-that-no-socket-could-bear-it" * 2),
        web=True,
        web_port=0,
    )
    try:
        yield opened
    finally:
        opened.close()
        opened.gateway.stop()


def page(house: House) -> int:
    with urllib.request.urlopen(house.gateway.web_url, timeout=10) as answer:
        return int(answer.status)


def test_a_killed_page_comes_back_at_the_same_address_and_disturbs_no_one(house: House) -> None:
    tag = house.new_tag()
    ingest, url = house.gateway.ingest_pid, house.gateway.web_url
    assert page(house) == 200
    old = house.gateway.kill_part("web")
    assert tag.say(positions(1, 1)).commit == (EPOCH, 1)
    house.gateway.wait_restarted("web", old)
    assert (house.gateway.ingest_pid, house.gateway.web_url) == (ingest, url)
    assert page(house) == 200


def test_an_incursion_is_judged_when_time_says_so(house: House) -> None:
    credentials = house.new_device()
    add_order(house.store, order())
    activate(house.store, credentials.device, "o-1", (START_S - 60) * 1000)
    tag = house.connect(credentials)
    for first in (1, 6):
        tag.publish(tag.seal(positions(first, 5, **INSIDE), base=1))
    assert house.gateway.advance((START_S + 1200) * 1000)["judged"] > 0
    with house.store.read() as connection:
        rules = {alert["rule"] for alert in alerts.listing(connection, device=credentials.device)}
    assert "in_exclusion_zone" in rules


def test_what_is_asked_wrongly_is_refused_in_words(house: House) -> None:
    control = house.gateway.control()
    for request, words in (
        ({"do": "dance"}, "nothing to do"),
        ({"do": "advance"}, "needs t_ms"),
        ({"do": "advance", "t_ms": 1.5}, "needs t_ms"),
    ):
        with pytest.raises(ControlError, match=words):
            control.ask(request)
    assert control.status()["connected"], "and the connection goes on"
    control.close()


def test_only_the_owner_may_use_the_control_socket(house: House) -> None:
    assert house.settings.control_path.stat().st_mode & 0o777 == 0o600


def test_no_name_no_position_and_no_key_is_ever_logged(house: House) -> None:
    log = (house.settings.data_dir / "gateway.log").read_text()
    log += (house.settings.broker_dir / "broker.log").read_text()
    assert "connected to the broker" in log
    keys = [json.loads(path.read_text())["key"] for path in house.settings.devices_dir.glob("*/config.json")]
    assert keys
    log = re.sub(r"\d\d:\d\d:\d\d\.\d+", "", log)  # a time of day has such seconds, too
    for secret in (*keys, "Alex Example", "51.5", "515000000"):
        assert secret not in log


def test_a_broker_that_can_not_start_is_told_of_and_tried_again(tmp_path: Path) -> None:
    taken = socket.socket()
    taken.bind(("127.0.0.1", 0))
    gateway = GatewayProcess(
        Settings.load(tmp_path, mqtt_port=taken.getsockname()[1], web=False, clock="stepped")
    )
    for patience_s in (2, 8, 30):  # a busy machine may need more than the first to find out
        with pytest.raises(GatewayError, match="did not become ready") as told:
            gateway.start(patience_s)
        if "address already in use" in str(told.value):
            break
    assert "address already in use" in str(told.value)
    taken.close()
    gateway.start()
    gateway.stop()


@pytest.fixture
def mosquitto(tmp_path: Path) -> Iterator[tuple[Path, int]]:
    """Another broker with the same authority: its data folder for the gateway, and its port."""
    folder = tmp_path / "data"
    settings = Settings.load(folder)
    authority = Authority.open(settings.authority_dir, settings.server_names)
    certificate, key = authority.paths("server")
    port = broker.kept_port(tmp_path / "port", "127.0.0.1")
    file = tmp_path / "mosquitto.conf"
    file.write_text(
        f"listener {port} 127.0.0.1\nallow_anonymous true\nrequire_certificate true\nuser root\n"
        f"cafile {authority.ca_pem}\ncertfile {certificate}\nkeyfile {key}\n"
    )
    process = subprocess.Popen([MOSQUITTO, "-c", str(file)], stderr=subprocess.DEVNULL)
    place = broker.Address("127.0.0.1", port, tls=True)
    deadline = time.monotonic() + 60
    while not broker.answers(place, broker.client_tls(authority), "localhost"):
        assert time.monotonic() < deadline, "mosquitto did not start"
        time.sleep(0.02)
    yield folder, port
    process.terminate()
    process.wait(60)


def test_another_broker_serves_as_well(mosquitto: tuple[Path, int]) -> None:
    folder, port = mosquitto
    house = open_house(folder, broker=f"mqtts://127.0.0.1:{port}")
    try:
        assert "broker_pid" not in house.gateway.run()
        tag = house.new_tag()
        assert tag.say(positions(1, 3)).commit == (EPOCH, 3)
        assert house.settle()["committed"] == 3
    finally:
        house.close()
        assert house.gateway.stop() == 0


def test_the_command_says_why_it_can_not_start(tmp_path: Path) -> None:
    (tmp_path / "tagwatch.toml").write_text("mqtt_prot = 1\n")
    done = subprocess.run(
        [sys.executable, "-m", "gateway.service", "--data-dir", str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert "mqtt_prot" in done.stderr
