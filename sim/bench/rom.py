"""What a virtual board has in read-only memory: the compiled firmware of its device, and the virtual board itself."""

from __future__ import annotations

import functools
import tempfile
from pathlib import Path

from sim.bench.bundle import compile_device, compile_module, romfs

SHADOW = Path(__file__).resolve().parent / "shadow"
STRING_BYTES = 100_000
"""Of one string of the environment; Linux allows 131,072."""


@functools.cache
def images(device: str) -> tuple[bytes, bytes]:
    """ROMFS images for a kind of device: the virtual board's modules, and the firmware's. Raises BundleError."""
    with tempfile.TemporaryDirectory(prefix="rom") as folder:
        shadow = Path(folder) / "shadow"
        for source in SHADOW.glob("*.py"):
            compile_module(source, source.name, shadow / f"{source.stem}.mpy")
        compile_device(device, Path(folder))
        return romfs(shadow), (Path(folder) / f"{device}.romfs").read_bytes()


def room_for(size: int) -> dict[str, str]:
    """Environment strings that take up at least ``size`` bytes and a page or two.

    A process finds its environment in memory of its own, beside its stack: memory that is not of the interpreter's
    heap, and that nobody reads once it runs. There a virtual board keeps its code, as a real one keeps it in flash.
    """
    return {f"ROM{i}": "x" * STRING_BYTES for i in range((size + 16384) // STRING_BYTES + 1)}
