"""Commands and settings under the real MicroPython in a 64 KiB board's heap, on the real LittleFS."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.firmware.micropython import run

SCRIPT = Path(__file__).with_name("command_cuts.py")


@pytest.mark.parametrize("commands", [12, pytest.param(50, marks=pytest.mark.long)])
def test_a_power_cut_at_every_flash_operation_executes_no_command_twice_and_loses_no_setting(
    tmp_path: Path, commands: int
) -> None:
    answer = run(SCRIPT, str(tmp_path / "flash"), str(commands), heap="heapsize=128wk").split()
    lives, operations, between = (int(word) for word in answer)
    assert lives == operations > 10 * commands
    assert between > 5 * commands, "power went after the execution, before its record"
