"""The journal under the real MicroPython in a 64 KiB board's heap, on the real LittleFS."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.firmware.micropython import run

SCRIPT = Path(__file__).with_name("littlefs_cuts.py")


def cut(image: Path, stride: int, offset: int) -> tuple[int, int, int]:
    """Lives that were cut, flash operations of a whole life, least free bytes of the heap."""
    answer = run(SCRIPT, str(image), str(stride), str(offset)).split()
    lives, operations, free = (int(word) for word in answer)
    return lives, operations, free


def test_a_power_cut_at_every_seventh_flash_operation_loses_nothing(tmp_path: Path) -> None:
    lives, operations, free = cut(tmp_path / "flash", 7, 3)
    assert operations > 1000
    assert lives == len(range(4, operations + 1, 7))
    # 128 KiB of 64-bit words stand for 64 KiB of 32-bit words; the journal takes under a third, its modules included
    assert free > 80_000


@pytest.mark.long
def test_a_power_cut_at_every_single_flash_operation_loses_nothing(tmp_path: Path) -> None:
    lives, operations, _ = cut(tmp_path / "flash", 1, 0)
    assert lives == operations > 1000
