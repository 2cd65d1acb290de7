"""Decoders are fed with what a fuzzer makes of honest messages: a few seconds here, minutes in the long form."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fuzz.seeds import seeds
from tests.fuzz.targets import TARGETS

FOUND = Path(__file__).parent / "found"
"""Inputs over which a decoder once stumbled, a folder for each target."""
SECONDS, LONG_SECONDS = 4, 120


@pytest.mark.parametrize("target", TARGETS)
def test_what_was_found_once_and_every_honest_message_are_taken(target: str) -> None:
    inputs = [*seeds(), b"", *(path.read_bytes() for path in sorted((FOUND / target).glob("*")))]
    for data in inputs:
        TARGETS[target](data)


def fuzz(target: str, seconds: int, folder: Path) -> None:
    pytest.importorskip("atheris", reason="atheris is there for Linux on x86-64 only")
    done = subprocess.run(
        [sys.executable, "-m", "tests.fuzz", target, str(seconds), str(folder)],
        cwd=Path(__file__).parents[2],
        env=os.environ | {"PYTHONHASHSEED": "0"},
        capture_output=True,
        text=True,
        timeout=seconds * 3 + 120,
    )
    told = done.stderr[-3000:]
    assert done.returncode == 0, told
    assert "number_of_executed_units" in told, told
    print(target, *(line for line in told.splitlines() if "executed_units" in line))


def test_a_fuzzer_finds_nothing_in_a_few_seconds(tmp_path: Path) -> None:
    fuzz("all", SECONDS, tmp_path)


@pytest.mark.long
@pytest.mark.parametrize("target", TARGETS)
def test_a_fuzzer_finds_nothing_in_minutes(target: str, tmp_path: Path) -> None:
    fuzz(target, LONG_SECONDS, tmp_path)
