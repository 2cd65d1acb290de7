"""``bench.json``: figures by name, merged with what other benchmarks wrote before, and a table for people."""

from __future__ import annotations

import json
import os
import platform
import tempfile
import time
from pathlib import Path
from statistics import median

from rich.console import Console
from rich.table import Table

BENCH_JSON = Path("bench.json")


def fsync_ms(folder: Path | None = None, times: int = 30) -> float:
    """Median time of writing and syncing 4 KiB here: what one commit costs at least on this machine."""
    with tempfile.NamedTemporaryFile(dir=folder) as file:
        taken = []
        for _ in range(times):
            began = time.perf_counter()
            file.write(b"\0" * 4096)
            file.flush()
            os.fsync(file.fileno())
            taken.append((time.perf_counter() - began) * 1000)
    return round(median(taken), 3)


def write(figures: dict[str, float | int | str]) -> None:
    """Merge ``figures`` into ``bench.json`` and print them."""
    known = json.loads(BENCH_JSON.read_text()) if BENCH_JSON.exists() else {}
    known |= {"machine": f"{platform.machine()}, {os.cpu_count()} cores", "fsync_ms": fsync_ms(), **figures}
    BENCH_JSON.write_text(json.dumps(known, indent=2, sort_keys=True) + "\n")
    table = Table(box=None, show_header=False)
    for name, value in figures.items():
        table.add_row(name, f"{value:,}" if isinstance(value, int | float) else value)
    Console().print(table)
