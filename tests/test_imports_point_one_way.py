"""core ← gateway ← sim; firmware stands alone."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
ROOMS = ("core", "gateway", "sim", "firmware", "tests")
MAY_IMPORT = {
    "core": {"core"},
    "gateway": {"gateway", "core"},
    "sim": {"sim", "gateway", "core"},
    "firmware": set[str](),
}
HARDWARE = {"machine", "esp32", "network", "bluetooth"}


def imported(source: Path) -> Iterator[tuple[str, int]]:
    """The first name of every absolute import in ``source``, and its line."""
    for node in ast.walk(ast.parse(source.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name.split(".")[0], node.lineno
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            yield node.module.split(".")[0], node.lineno


@pytest.mark.parametrize("room", MAY_IMPORT)
def test_a_room_imports_only_the_rooms_before_it(room: str) -> None:
    forbidden = set(ROOMS) - MAY_IMPORT[room]
    sources = [path for path in (ROOT / room).rglob("*.py") if "node_modules" not in path.parts]
    assert sources
    wrong = [
        f"{source.relative_to(ROOT)}:{line} imports {name}"
        for source in sources
        if "shadow" not in source.parts  # runs on MicroPython, beside the firmware
        for name, line in imported(source)
        if name in forbidden
    ]
    assert not wrong


def test_only_boards_touch_the_hardware() -> None:
    wrong = [
        f"{source.relative_to(ROOT)}:{line} imports {name}"
        for source in (ROOT / "firmware").rglob("*.py")
        if "boards" not in source.parts
        for name, line in imported(source)
        if name in HARDWARE
    ]
    assert not wrong


def test_only_ingest_and_the_core_import_numba() -> None:
    wrong = [
        str(source.relative_to(ROOT))
        for source in (ROOT / "gateway").rglob("*.py")
        if "node_modules" not in source.parts and any(name == "numba" for name, _ in imported(source))
    ]
    assert not wrong


def test_the_core_reads_no_clock_file_socket_or_environment() -> None:
    impure = {
        "time",
        "os",
        "pathlib",
        "socket",
        "io",
        "random",
        "secrets",
        "subprocess",
        "threading",
        "asyncio",
    }
    wrong = [
        f"{source.relative_to(ROOT)}:{line} imports {name}"
        for source in (ROOT / "core").rglob("*.py")
        for name, line in imported(source)
        if name in impure
    ]
    assert not wrong
