"""The unit for systemd: taken by systemd's own checks, and hardened as far as compiled rules allow."""

from __future__ import annotations

import configparser
import os
import shlex
import shutil
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from typer.testing import CliRunner

from gateway import systemd
from gateway.cli import app

PACKAGING = Path(__file__).resolve().parents[2] / "packaging"
UNIT = PACKAGING / "tagwatch.service"
DAILY, TIMER = PACKAGING / "tagwatch-retention.service", PACKAGING / "tagwatch-retention.timer"
EXPOSURE_AT_MOST = 2.5
"""Of 10, by systemd's own scale; below 3 it calls a service OK."""


@pytest.fixture(params=[UNIT, DAILY, TIMER], ids=lambda unit: unit.name)
def unit(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A unit with a program that there is on this machine, and the others beside it."""
    for path in (UNIT, DAILY, TIMER):
        text = path.read_text().replace("/opt/tagwatch/venv/bin/tagwatch", sys.executable)
        (tmp_path / path.name).write_text(text)
    wanted: Path = request.param
    return tmp_path / wanted.name


needs_systemd = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd-analyze here")


@needs_systemd
def test_systemd_finds_nothing_wrong_with_the_unit(unit: Path) -> None:
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(unit)], capture_output=True, text=True, check=False
    )
    own = [line for line in done.stderr.splitlines() if unit.name in line]
    assert own == [], "other units of this machine are not our concern"


@needs_systemd
@pytest.mark.parametrize("unit", [UNIT, DAILY], ids=lambda unit: unit.name, indirect=True)
def test_the_unit_may_do_little(unit: Path) -> None:
    threshold = ["--offline=true", "--no-pager", f"--threshold={round(EXPOSURE_AT_MOST * 10)}"]
    done = subprocess.run(
        ["systemd-analyze", "security", *threshold, str(unit)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout.splitlines()[-1]


def test_what_the_timer_starts_every_day_is_a_command_that_there_is_and_does_nothing_without_a_policy(
    tmp_path: Path,
) -> None:
    text = DAILY.read_text()
    assert "ConditionPathExists=/var/lib/tagwatch/retention.toml" in text
    command = shlex.split(next(line for line in text.splitlines() if line.startswith("ExecStart="))[10:])
    refused = CliRunner().invoke(app, [*command[1:], "--data-dir", str(tmp_path)])
    assert refused.exit_code == 1, "its options are taken, else it were 2; there is no policy"
    assert "retention.toml" in refused.output
    timer = configparser.ConfigParser(interpolation=None)
    timer.read(TIMER)
    assert timer["Timer"]["Persistent"] == "true", "a day on which the box was off is made up for"


def test_the_unit_leaves_rules_that_are_compiled_executable_and_stops_in_order() -> None:
    read = configparser.ConfigParser(strict=False, interpolation=None)
    read.optionxform = str  # type: ignore[assignment,method-assign]  # systemd's names have capitals
    read.read(UNIT)
    service = read["Service"]
    assert service["MemoryDenyWriteExecute"] == "no"
    assert (service["Type"], service["KillMode"], service["User"]) == ("notify", "mixed", "tagwatch")
    assert service["StateDirectoryMode"] == "0700"


@pytest.mark.parametrize("abstract", [True, False], ids=["an abstract socket", "a socket in a folder"])
def test_systemd_is_told_over_its_socket(abstract: bool) -> None:
    with (
        tempfile.TemporaryDirectory(dir="/tmp") as folder,  # a path that is short enough for a socket
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ear,
    ):
        name = f"tagwatch-{os.getpid()}" if abstract else f"{folder}/notify"
        ear.bind(f"\0{name}" if abstract else name)
        place = f"@{name}" if abstract else name
        assert systemd.tell("READY=1", "STATUS=x", environment={"NOTIFY_SOCKET": place})
        assert ear.recv(100) == b"READY=1\nSTATUS=x"


def test_without_systemd_nobody_is_told() -> None:
    assert not systemd.tell("READY=1", environment={})
    assert not systemd.tell("READY=1", environment={"NOTIFY_SOCKET": "/nowhere/at/all"})
    assert systemd.watchdog_s({}) is None
    assert systemd.watchdog_s({"WATCHDOG_USEC": "6000000", "WATCHDOG_PID": str(os.getpid())}) == 3.0
    assert systemd.watchdog_s({"WATCHDOG_USEC": "6000000", "WATCHDOG_PID": "1"}) is None
