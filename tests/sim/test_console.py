"""The console of devices on the bench: over a real serial port, from the factory to the first reading and back."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import serial
from boards.esp32_pins import PINS

from core.readings import Kind
from gateway.devices import Credentials
from sim.bench.flash import provisioned, read_files
from sim.bench.serial import SerialPort
from sim.bench.tag import TOOL_PIN, VirtualTag
from sim.sentences import fix
from tests.sim.stand_in import StandIn

START_MS = 1_793_600_000_000
MINUTE_MS = 60_000
DEVICE = "gps00001"
PIECE = 300


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[StandIn]:
    with StandIn(tmp_path / "gateway") as stand_in:
        yield stand_in


class Tool:
    """An officer's tool on a port."""

    def __init__(self, path: str) -> None:
        self.port = serial.Serial(path, 115200, timeout=20)

    def line(self, line: bytes) -> dict[str, Any]:
        self.port.write(line + b"\n")
        answer: dict[str, Any] = json.loads(self.port.readline())
        return answer

    def say(self, do: str, **more: object) -> dict[str, Any]:
        return self.line(json.dumps({"do": do, **more}).encode())

    def signed(self, key: bytes, do: str, **more: object) -> dict[str, Any]:
        return self.line(sign(key, self.say("identify")["nonce"], do, **more))

    def provision(self, credentials: Credentials, config: dict[str, object], *names: str) -> None:
        """All that a device needs, or only the files named."""
        files = {
            name: content
            for name, content in provisioned(credentials, config).items()
            if not names or name in names
        }
        for name, content in files.items():
            for at in range(0, len(content), PIECE):
                told = self.say("put", name=name, at=at, hex=content[at : at + PIECE].hex())
                assert "error" not in told, told
        digests = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
        assert self.say("provision", sha256=digests) == {"ok": True}


def sign(key: bytes, nonce: str, do: str, /, **more: object) -> bytes:
    said = json.dumps({"do": do, **more}).encode()
    return hmac.digest(key, b"console" + bytes.fromhex(nonce) + said, hashlib.sha256).hex().encode() + said


def live(tag: VirtualTag, minutes: int) -> None:
    for t_ms in range(tag.now_ms, tag.now_ms + minutes * MINUTE_MS, 1000):
        tag.feed(t_ms, fix(t_ms, 52.1, 4.9))
    tag.run_until(tag.now_ms + minutes * MINUTE_MS)


def test_a_tag_from_the_factory_is_fitted_over_a_serial_port_lives_and_is_emptied(
    gateway: StandIn, tmp_path: Path
) -> None:
    credentials = gateway.credentials(DEVICE)
    key = credentials.key
    with VirtualTag(tmp_path / "tag", None, start_ms=START_MS, clock_set=True) as tag:
        tag.start()
        with SerialPort(tag, pace=20) as port:
            tool = Tool(port.path)
            told = tool.say("identify")
            assert (told["device"], told["kind"], told["locked"]) == (None, "gps_tag", False)
            tool.provision(credentials, {"upload_s": 30})
        live(tag, 4)
        assert tag.resets == 1
        with SerialPort(tag, pace=1) as port:
            tool = Tool(port.path)
            told = tool.say("identify")
            assert (told["device"], told["boots"]) == (DEVICE, 1)
            tests = tool.say("self_test")["tests"]
            assert {name: tests[name] for name in ("flash", "strap", "case", "battery", "radio", "gnss")} == {
                "flash": True, "strap": True, "case": True, "battery": True, "radio": True, "gnss": True
            }  # fmt: skip
            assert tests["charger"] == "not plugged in"
            assert "it does not pass" in tests["motion"], "it is being moved"
            assert tool.say("read")["settings"]["upload_s"] == 30
            assert tool.say("check") == {"ok": True}
            assert tool.say("lock") == {"ok": True}
            assert tool.say("check") == {"error": "locked: sign the line"}
        live(tag, 4)
        readings = gateway.readings[DEVICE].values()
        assert sum(kind == Kind.POSITION for kind, _, _ in readings) >= 6
        assert [record[:3] for kind, _, record in readings if kind == Kind.TAMPER] == [b"\x0c\0\0"]
        epochs = {epoch for epoch, _ in gateway.readings[DEVICE]}
        with SerialPort(tag) as port:
            tool = Tool(port.path)
            assert "error" in tool.say("reset", force=True)
            assert tool.signed(key, "reset", force=True) == {"ok": True}
        live(tag, 4)
        assert len({epoch for epoch, _ in gateway.readings[DEVICE]} - epochs) == 1
        assert tag.resets == 2
        assert tag.console('{"do": "identify"}')["locked"] is False
    assert tag.log() == "/config.json is not there: provision the tag\n"
    assert "safe_mode" not in tag.counters()


def test_wrong_signatures_on_a_locked_console_are_told_at_once_and_then_every_ten_minutes_with_their_number(
    gateway: StandIn, tmp_path: Path
) -> None:
    credentials = gateway.credentials(DEVICE)

    def told() -> list[int]:
        """How many each tamper record of the link tells of."""
        made = [record for kind, _, record in gateway.readings[DEVICE].values() if kind == Kind.TAMPER]
        return [int.from_bytes(record[1:3], "little") for record in made if record[0] == 1]

    with VirtualTag(tmp_path / "tag", credentials, start_ms=START_MS) as tag:
        tag.start()
        tag.run_until(START_MS + MINUTE_MS)
        tag.console(sign(bytes(32), tag.console('{"do": "identify"}')["nonce"], "counters"))
        assert tag.console('{"do": "lock"}') == {"ok": True}
        for noise in (b'{"do": "counters"}', b"\xff" * 70 + b"{", b"0" * 200):
            assert "error" in tag.console(noise)
        tag.run_until(tag.now_ms + MINUTE_MS)
        assert told() == [], "an open console obeys anyone, and noise is nobody's"
        for key in (bytes(32), bytes(32), credentials.key):
            line = sign(key, tag.console('{"do": "identify"}')["nonce"], "counters")
            assert ("counters" in tag.console(line)) == (key == credentials.key)
        assert "error" in tag.console(line), "said again"
        tag.run_until(tag.now_ms + 9 * MINUTE_MS)
        assert told() == [1]
        tag.run_until(tag.now_ms + 2 * MINUTE_MS)
        assert told() == [1, 2]
        tag.run_until(tag.now_ms + 11 * MINUTE_MS)
    assert told() == [1, 2]


def test_noise_on_the_line_costs_neither_memory_nor_the_next_line(gateway: StandIn, tmp_path: Path) -> None:
    with VirtualTag(tmp_path / "tag", gateway.credentials(DEVICE), start_ms=START_MS) as tag:
        tag.start()
        for noise in (bytes(range(256)) * 20, b"{" * 5000, b"[" * 900 + b"\n", b"\xff" * 2000, b'{"do":'):
            tag.type(noise)
            tag.run_until(tag.now_ms + 2000)
        tag.type(b"\n")
        tag.run_until(tag.now_ms + 2000)
        assert all(set(json.loads(line)) == {"error"} for line in tag.said().splitlines())
        assert tag.console('{"do": "identify"}')["device"] == DEVICE
        live(tag, 5)
    assert tag.resets == 0
    assert any(kind == Kind.POSITION for kind, _, _ in gateway.readings[DEVICE].values())


def test_an_rf_tag_is_heard_by_an_officer_within_its_rest_and_forgets_an_opened_strap_once_checked(
    gateway: StandIn, tmp_path: Path
) -> None:
    credentials = gateway.credentials("rf000001")
    with VirtualTag(tmp_path / "tag", credentials, start_ms=START_MS, kind="rf_tag") as tag:
        tag.start()
        tag.set_pin(START_MS + 20_000, PINS["strap"], 1)
        tag.run_until(START_MS + 30_000)
        assert "open" in tag.console('{"do": "check"}')["error"]
        assert tag.console('{"do": "self_test"}')["tests"]["strap"] == "open"
        tag.set_pin(tag.now_ms, PINS["strap"], 0)
        tag.run_until(tag.now_ms + 30_000)
        assert tag.beacons()[-1].data[16] & 2, "it was opened"
        assert tag.console('{"do": "check"}') == {"ok": True}
        tag.beacons()
        tag.run_until(tag.now_ms + 30_000)
        assert not tag.beacons()[-1].data[16] & 3
        assert tag.console('{"do": "lock"}') == {"ok": True}
        nonce = tag.console('{"do": "identify"}')["nonce"]
        assert tag.console(sign(credentials.key, nonce, "unlock")) == {"ok": True}
    assert tag.resets == 0


def test_a_home_unit_that_was_moved_stands_where_an_officer_has_seen_it(
    gateway: StandIn, tmp_path: Path
) -> None:
    credentials = gateway.credentials("unit0001")
    config = {"tags": [[7, "ab" * 32]], "upload_s": 5}
    with VirtualTag(
        tmp_path / "unit", credentials, start_ms=START_MS, kind="home_unit", config=config
    ) as unit:
        unit.start()
        unit.run_until(START_MS + 10_000)
        assert unit.console('{"do": "check"}') == {"ok": True}
        assert unit.console('{"do": "read"}')["settings"]["tags"] == [7]
        unit.run_until(START_MS + 30_000)
    tampers = [record[0] for kind, _, record in gateway.readings["unit0001"].values() if kind == Kind.TAMPER]
    assert 13 in tampers


def test_a_device_that_was_fitted_leaves_nothing_of_the_fitting_behind(
    gateway: StandIn, tmp_path: Path
) -> None:
    credentials = gateway.credentials(DEVICE)
    with VirtualTag(tmp_path / "tag", None, start_ms=START_MS) as tag:
        tag.start()
        with SerialPort(tag, pace=20) as port:
            Tool(port.path).provision(credentials, {})
        tag.run_until(tag.now_ms + 5000)
    files = read_files(tag.folder / "flash.img")
    assert {name for name in files if name.startswith("/fitting")} == set()
    assert {name: files[f"/{name}"] for name in provisioned(credentials, {})} == provisioned(credentials, {})


def test_the_pin_that_says_that_a_tool_is_there_is_the_boards() -> None:
    assert PINS["tool"] == TOOL_PIN
