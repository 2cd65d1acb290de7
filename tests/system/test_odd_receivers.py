"""Receivers that the sample of logs does not hold, made from one that it does: each must still yield its positions."""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from functools import reduce
from pathlib import Path
from typing import Any

import pytest

from tests.system.brokers import behind
from tests.system.checks import first_stranger, gpsd_positions
from tests.system.test_replay import replay

SENTENCE = re.compile(rb"\$(.*)\*([0-9A-F]{2})(\r?\n)")
Lines = list[bytes]


def rewritten(line: bytes, change: Callable[[list[bytes]], None]) -> bytes:
    """The sentence with its fields changed and its checksum right again; what is no sentence stays."""
    found = SENTENCE.fullmatch(line)
    if not found:
        return line
    fields = found[1].split(b",")
    change(fields)
    body = b",".join(fields)
    checksum = reduce(lambda total, byte: total ^ byte, body, 0)
    return b"$%s*%02X%s" % (body, checksum, found[3])


def rolled_over(lines: Lines) -> Lines:
    """A receiver whose week count has rolled over and that says 1999."""

    def change(fields: list[bytes]) -> None:
        if fields[0].endswith(b"RMC"):
            fields[9] = b"220899"

    return [rewritten(line, change) for line in lines]


def locked_oscillator(lines: Lines) -> Lines:
    """A receiver whose GGA tells something else where the quality should be, always 0."""

    def change(fields: list[bytes]) -> None:
        if fields[0].endswith(b"GGA"):
            fields[6] = b"0"

    return [rewritten(line, change) for line in lines]


def only(*kinds: bytes) -> Callable[[Lines], Lines]:
    return lambda lines: [line for line in lines if line[3:6] in kinds]


def mixed_with_binary(lines: Lines) -> Lines:
    chance = random.Random(1)
    return [line + chance.randbytes(chance.randint(0, 300)) for line in lines]


ODD: dict[str, tuple[Callable[[Lines], Lines], int]] = {
    "rolled over to 1999": (rolled_over, 20),
    "denies its own fixes": (locked_oscillator, 10),
    "only GGA, so no date": (only(b"GGA"), 15),
    "only GLL, so no date and no precision": (only(b"GLL"), 15),
    "no RMC, so no date": (lambda lines: [line for line in lines if b"RMC" not in line], 15),
    "no checksums": (lambda lines: [re.sub(rb"\*[0-9A-F]{2}", b"", line) for line in lines], 15),
    "marks of write boundaries": (
        lambda lines: [b"# Delay-Cookie: |\n", *(line[:7] + b"|" + line[7:] for line in lines)],
        20,
    ),
    "mixed with binary": (mixed_with_binary, 15),
    "line ends of carriage returns": (lambda lines: [line.replace(b"\r\n", b"\r") for line in lines], 20),
}


@pytest.fixture(scope="module")
def results(
    data: Path, which_at_length: str, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, dict[str, Any]]:
    lines = (data / "gnss-logs" / "ublox-lea-5h.log").read_bytes().splitlines(keepends=True)
    body = [line for line in lines if not line.startswith(b"#")]
    folder = tmp_path_factory.mktemp("odd")
    paths = []
    for name, (make, _) in ODD.items():
        paths.append(folder / f"{name}.log")
        paths[-1].write_bytes(b"".join(make(body)))
    with behind(which_at_length, folder):
        found = replay("--every-fix", "--data-dir", folder, *paths)
    return {result["log"].removesuffix(".log"): result for result in found}


@pytest.mark.parametrize("name", ODD)
def test_an_odd_receiver_still_yields_positions_that_it_really_gave(
    data: Path, results: dict[str, dict[str, Any]], name: str
) -> None:
    truth = gpsd_positions(data / "gnss-logs" / "ublox-lea-5h.log.chk")
    positions = [(position["lat"], position["lon"]) for position in results[name]["positions"]]
    assert first_stranger(positions, truth) is None
    assert len(positions) >= ODD[name][1]
    assert all(position["t"] is not None for position in results[name]["positions"])
