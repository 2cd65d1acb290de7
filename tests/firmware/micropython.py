"""Runs a script on the real MicroPython, in the heap of a board with 64 KiB of RAM, with the firmware on its path."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
MICROPYTHON = Path(sys.executable).parent / "micropython"
HEAP = "heapsize=64wk"  # 64 Ki words of 32 bits: on this 64-bit port 128 KiB, for pointers of twice the size


def start(script: Path, *arguments: str, heap: str = HEAP) -> subprocess.Popen[str]:
    """The script as a process, its output piped."""
    return subprocess.Popen(
        [str(MICROPYTHON), "-X", heap, str(script), *arguments],
        env={"MICROPYPATH": f"{ROOT / 'firmware/lib'}:{ROOT / 'firmware'}:.frozen"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def run(script: Path, *arguments: str, timeout_s: float | None = None, heap: str = HEAP) -> str:
    """What the script printed; an assertion error with it all where the script failed.

    It may take as long as the test may (``make test-long`` gives hours), unless ``timeout_s`` says less.
    """
    with start(script, *arguments, heap=heap) as process:
        try:
            printed, _ = process.communicate(timeout=timeout_s)
        finally:
            process.kill()
    assert process.returncode == 0, printed
    return printed
