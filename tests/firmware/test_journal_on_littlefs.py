"""What devices keep, under the real MicroPython on the real LittleFS: whenever power is cut, nothing is lost or torn.

328 cuts in the short form; in the long one each operation with each part of the write, 10,995 in all.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.firmware.micropython import ROOT, run

JOURNAL = Path(__file__).with_name("littlefs_cuts.py")
SMALL = Path(__file__).with_name("small_cuts.py")
HALF = 8
PARTS = range(17)
JOURNAL_PARTS = (0, 1, 4, 8, 12, 15, 16)


def cut(image: Path, stride: int, offset: int, torn: int) -> tuple[int, int, int]:
    """Lives that were cut, flash operations of a whole life, least free bytes of the heap.

    ``torn``: sixteenths of the write that happen.
    """
    answer = run(JOURNAL, str(image), str(stride), str(offset), str(torn)).split()
    lives, operations, free = (int(word) for word in answer)
    return lives, operations, free


def cut_small(image: Path, torn: int) -> tuple[int, int]:
    """The same of the small files, at every operation."""
    folders = (str(ROOT / "firmware" / kind) for kind in ("rf_tag", "home_unit"))
    # code of three devices, compiled in the heap: what is measured here is not memory
    answer = run(SMALL, str(image), "1", "0", str(torn), *folders, heap="heapsize=512wk").split()
    lives, operations = (int(word) for word in answer)
    return lives, operations


def test_a_power_cut_at_every_seventh_flash_operation_loses_nothing(tmp_path: Path) -> None:
    lives, operations, free = cut(tmp_path / "flash", 7, 3, HALF)
    assert operations > 1000
    assert lives == len(range(4, operations + 1, 7))
    # 128 KiB of 64-bit words stand for 64 KiB of 32-bit words. The modules are compiled in it, and the journal reads
    # flash into a buffer that is there from the start: what a device really has left, the bench of the firmware tells
    assert free > 76_000


def test_settings_commands_counters_seals_and_a_fitting_are_as_before_or_as_after(tmp_path: Path) -> None:
    lives, operations = cut_small(tmp_path / "flash", HALF)
    assert lives == operations > 150


@pytest.mark.long
@pytest.mark.parametrize("torn", JOURNAL_PARTS)
def test_a_power_cut_at_every_single_flash_operation_loses_nothing(tmp_path: Path, torn: int) -> None:
    lives, operations, _ = cut(tmp_path / "flash", 1, 0, torn)
    assert lives == operations > 1000


@pytest.mark.long
@pytest.mark.parametrize("torn", PARTS)
def test_small_files_whatever_part_of_the_write_is_on_flash(tmp_path: Path, torn: int) -> None:
    lives, operations = cut_small(tmp_path / "flash", torn)
    assert lives == operations > 150
