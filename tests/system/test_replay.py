"""``tagwatch replay``: real bytes through the real firmware, broker and gateway."""

from __future__ import annotations

import json
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from tests.system.brokers import behind
from tests.system.checks import first_stranger, gpsd_positions

TAGWATCH = str(Path(sys.executable).with_name("tagwatch"))


def run(*arguments: object, code: int = 0, timeout_s: float = 200) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [TAGWATCH, *(str(argument) for argument in arguments)],
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )
    assert done.returncode == code, done.stderr
    return done


def replay(*arguments: object) -> list[dict[str, Any]]:
    return [json.loads(line) for line in run("replay", "--json", *arguments).stdout.splitlines()]


@pytest.fixture(scope="module")
def every_log(
    data: Path, which_at_length: str, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, dict[str, Any]]:
    """All real logs, every fix, their bytes cut into chunks of random size."""
    logs = sorted((data / "gnss-logs").glob("*.log"))
    assert len(logs) == 28
    folder = tmp_path_factory.mktemp("every-log")
    with behind(which_at_length, folder):
        found = replay("--every-fix", "--seed", 20261121, "--data-dir", folder, *logs)
    return {result["log"]: result for result in found}


def test_every_position_committed_is_one_that_gpsd_has_in_order(
    data: Path, every_log: dict[str, Any]
) -> None:
    for name, result in every_log.items():
        truth = gpsd_positions(data / "gnss-logs" / f"{name}.chk")
        stranger = first_stranger(((p["lat"], p["lon"]) for p in result["positions"]), truth)
        assert stranger is None, f"{name}: {stranger} is no position of its .chk"


def test_each_log_in_which_gpsd_found_fixes_yields_positions(data: Path, every_log: dict[str, Any]) -> None:
    assert len(every_log) == 28
    for name, result in every_log.items():
        assert bool(gpsd_positions(data / "gnss-logs" / f"{name}.chk")) == bool(result["positions"]), name


def test_a_log_whose_every_checksum_is_wrong_yields_nothing(data: Path, tmp_path: Path) -> None:
    lines = (data / "gnss-logs" / "ublox-lea-5h.log").read_bytes().splitlines()
    sentences = [line for line in lines if line.startswith(b"$") and b"*" in line]
    spoiled = [line[:-1] + (b"0" if line[-1:] != b"0" else b"1") for line in sentences]
    path = tmp_path / "spoiled.log"
    path.write_bytes(b"\r\n".join(spoiled) + b"\r\n")
    (result,) = replay("--every-fix", path)
    assert result["positions"] == []
    assert result["rejected_sentences"] == len(sentences)


def test_without_every_fix_a_position_is_stored_once_a_minute(data: Path) -> None:
    trail = next((data / "trails").glob("*Utrecht6*.csv"))
    (result,) = replay(trail)
    instants = [position["t"] for position in result["positions"]]
    assert len(instants) > 30
    assert all(later - earlier >= 55 for earlier, later in pairwise(instants))


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["nowhere.log"], "nowhere.log"),
        (["LOG", "--zone", "nowhere.geojson"], "nowhere.geojson"),
        (["LOG", "--zone", "BOWTIE"], "intersect"),
    ],
)
def test_what_can_not_be_used_is_refused_with_its_name_and_the_reason(
    data: Path, tmp_path: Path, arguments: list[str], says: str
) -> None:
    bowtie = tmp_path / "bowtie.geojson"
    corners = [[0, 51], [0.01, 51.01], [0.01, 51], [0, 51.01], [0, 51]]
    bowtie.write_text(json.dumps({"type": "Polygon", "coordinates": [corners]}))
    known = {"LOG": data / "gnss-logs" / "ac12.log", "BOWTIE": bowtie}
    done = run("replay", *(known.get(argument, argument) for argument in arguments), code=1)
    assert says in done.stderr.lower()
    assert "Traceback" not in done.stderr
