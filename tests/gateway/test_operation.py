"""A real gateway as whoever operates it meets it: the doctor, /health, /ready and /metrics, hangs, a clean stop."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families
from typer.testing import CliRunner

from gateway.cli import app
from tests.gateway.conftest import House, open_house
from tests.gateway.stand_in import EPOCH, positions

PATIENCE_S = 60.0
DOCS = Path(__file__).resolve().parents[2] / "docs"


@pytest.fixture(scope="module")
def told_to_systemd() -> Iterator[list[str]]:
    """What the gateway tells systemd, which watches it; a socket of ours in place of systemd's."""
    name = f"tagwatch-{os.getpid()}"
    said: list[str] = []
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ear, pytest.MonkeyPatch.context() as patch:
        ear.bind(f"\0{name}")

        def hear() -> None:
            while (data := ear.recv(4096)) != b"end":
                said.extend(data.decode().splitlines())

        hearing = threading.Thread(target=hear)
        hearing.start()
        patch.setenv("NOTIFY_SOCKET", f"@{name}")
        patch.setenv("WATCHDOG_USEC", "2000000")
        yield said
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as mouth:
            mouth.sendto(b"end", f"\0{name}")
        hearing.join()


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory, told_to_systemd: list[str]) -> Iterator[House]:
    opened = open_house(
        tmp_path_factory.mktemp("operation"), web=True, web_port=0, clock="system", hung_after_s=3
    )
    try:
        yield opened
    finally:
        opened.close()
        opened.gateway.stop()


def ask(house: House, path: str) -> tuple[int, str]:
    """Status and body of a page."""
    try:
        with urllib.request.urlopen(house.gateway.web_url + path, timeout=30) as answer:
            return int(answer.status), answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def ready(house: House) -> dict[str, str]:
    """What each part says of itself."""
    status, body = ask(house, "ready")
    document: dict[str, Any] = json.loads(body)
    assert document["ready"] == (status == 200)
    parts: dict[str, str] = document["parts"]
    return parts


def wait_ready(house: House, wanted: bool) -> tuple[dict[str, str], float]:
    """Wait until all parts are well, or one is not; what they say, and how long it took in seconds."""
    began_s = time.monotonic()
    while True:
        parts = ready(house)
        took_s = time.monotonic() - began_s
        if (set(parts.values()) == {"ok"}) == wanted:
            return parts, took_s
        assert took_s < PATIENCE_S, parts
        time.sleep(0.1)


def test_a_gateway_that_works_says_so_and_names_its_parts(house: House) -> None:
    assert ask(house, "health") == (200, '{"status":"ok"}')
    parts, _ = wait_ready(house, True)
    assert list(parts) == ["broker", "ingest", "store", "judging", "clock"]


def test_the_numbers_follow_prometheus_conventions_and_are_all_explained(house: House) -> None:
    tag = house.new_tag()
    assert tag.say(positions(1, 3)).commit == (EPOCH, 3)
    status, text = ask(house, "metrics")
    assert status == 200
    families = {family.name: family for family in text_string_to_metric_families(text)}
    values = {
        (sample.name, *sample.labels.values()): sample.value
        for family in families.values()
        for sample in family.samples
    }
    assert values["tagwatch_readings_committed_total",] >= 3
    assert values["tagwatch_ready",] == 1.0
    assert values["tagwatch_process_starts_total", "ingest"] >= 1
    assert values["tagwatch_process_resident_memory_bytes", "ingest"] > 10_000_000
    assert values["tagwatch_certificate_expiry_timestamp_seconds", "server"] > time.time()
    assert values["tagwatch_newest_commit_timestamp_seconds",] > 0
    explained = (DOCS / "operation.md").read_text()
    for name, family in families.items():
        assert re.fullmatch(r"tagwatch_[a-z_]+", name)
        assert family.documentation.endswith(".")
        assert family.type in ("gauge", "counter", "info")
        sampled = name + {"gauge": "", "counter": "_total", "info": "_info"}[family.type]
        assert f"`{sampled}`" in explained, f"{sampled} is explained in docs/operation.md"
        labels = {label for sample in family.samples for label in sample.labels}
        assert labels <= {"part", "process", "certificate", "reason", "state", "severity", "version"}
    assert tag.credentials.device not in text


def test_the_doctor_finds_a_running_gateway_sound_and_the_box_as_it_is(house: House) -> None:
    for key in house.settings.data_dir.glob("*-pem/key.pem"):
        key.chmod(0o600)  # what stand-ins for devices left there
    done = CliRunner().invoke(app, ["doctor", "--json", "--data-dir", str(house.settings.data_dir)])
    document = json.loads(done.stdout)
    assert done.exit_code == document["exit_code"]
    by_check: dict[str, set[str]] = {}
    for finding in document["findings"]:
        by_check.setdefault(finding["check"], set()).add(finding["severity"])
    for check in ("settings", "ingest", "broker", "certificates", "store", "listening", "files"):
        assert by_check[check] == {"good"}, (check, document)
    assert "warning" in by_check["alerts"], "nobody is told of alerts"
    plain = CliRunner().invoke(app, ["doctor", "--data-dir", str(house.settings.data_dir)])
    assert plain.exit_code == done.exit_code
    assert "Do:" in plain.stdout


def test_the_command_tells_what_time_the_gateway_takes_it_for_and_upon_what_that_rests(house: House) -> None:
    folder = str(house.settings.data_dir)
    done = CliRunner().invoke(app, ["clock", "--json", "--data-dir", folder])
    told = json.loads(done.stdout)
    assert (done.exit_code, told["basis"], told["certain"], told["doubt"]) == (0, "box", True, "")
    assert abs(told["box_off_s"]) < 2
    believed = CliRunner().invoke(app, ["clock", "--believe", "--data-dir", folder])
    assert believed.exit_code == 0 and "by the machine's own clock" in believed.stdout


def test_a_hung_ingest_is_told_within_seconds_and_started_again_without_loss(house: House) -> None:
    tag = house.new_tag()
    assert tag.say(positions(1, 1)).commit == (EPOCH, 1)
    wait_ready(house, True)
    hung = house.gateway.ingest_pid
    os.kill(hung, signal.SIGSTOP)
    parts, _ = wait_ready(house, False)
    assert parts["ingest"] != "ok" and parts["judging"] != "ok"
    assert ask(house, "health")[0] == 200, "the page itself lives"
    assert ask(house, "metrics")[0] == 200
    tag.publish(tag.seal(positions(2, 2), base=1))
    assert house.gateway.wait_restarted("ingest", hung) != hung
    wait_ready(house, True)
    tag.committed_upto(4, [tag.seal(positions(2, 3), base=1)])
    log = (house.settings.data_dir / "gateway.log").read_text()
    assert "a process hangs and is ended" in log


def test_a_gateway_that_is_told_to_stop_ends_cleanly_with_everything_kept(
    house: House, told_to_systemd: list[str]
) -> None:
    before = told_to_systemd[: told_to_systemd.index("READY=1")]
    assert any(line.startswith("EXTEND_TIMEOUT_USEC=") for line in before)
    assert "WATCHDOG=1" in told_to_systemd[len(before) :], "for as long as the gateway goes on"
    tag = house.new_tag()
    messages = [tag.seal(positions(first, 2), base=1) for first in range(1, 200, 2)]
    tag.publish_many(messages)
    began_s = time.monotonic()
    assert house.gateway.stop() == 0
    assert time.monotonic() - began_s < 60
    assert "STOPPING=1" in told_to_systemd
    house.gateway.start()
    # a tag sends again what was not committed before the stop
    tag.committed_upto(200, messages)
    with house.store.read() as connection:
        rows = connection.exec_driver_sql(
            "SELECT first, last FROM sequence_range WHERE device = ?", (tag.credentials.device,)
        ).all()
    assert [tuple(row) for row in rows] == [(1, 200)]
