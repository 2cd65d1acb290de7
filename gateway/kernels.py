"""Where the core's compiled kernels are kept, so that a start takes a second or two and never runs yesterday's code.

Left alone, numba keeps machine code beside the source, compiles it again when *that* source changes, and does not
notice that a kernel which it calls, in another file, has changed. Where neither the source's folder nor a home can be
written (a package that root installed, a service without a home) it does not import at all. So the kernels are kept
apart by what they are made of, in the first of these that can be written:

- ``NUMBA_CACHE_DIR``, where the operator has set it;
- the core's own ``__pycache__``: a checkout, or an environment of one's own;
- ``kernels`` in the data folder. It holds nothing that is not made again; it needs no backup.

What has not been used for a week is removed. `gateway.compiling` has all of them compiled at the first start. A package
above the core that has kernels of its own (the simulator) keeps them the same way, in a folder named by both.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import core

VARIABLE = "NUMBA_CACHE_DIR"
_CORE = Path(core.__file__ or "").parent
_UNUSED_S = 7 * 86_400


def environment(
    data_dir: Path | None, given: Mapping[str, str] | None = None, above: Path | None = None
) -> dict[str, str]:
    """What a process that will import kernels needs in its environment, before it imports numba.

    ``given`` is the environment it has otherwise (this one's), ``above`` the folder of a package whose kernels it
    imports beside the core's. Empty where no folder can be written.
    """
    chosen = (os.environ if given is None else given).get(VARIABLE)
    name = cores = f"core-{digest()}"
    if above is not None:
        name += f"-{above.name}-{digest(above)}"
    if chosen and Path(chosen).name.startswith(name):
        return {VARIABLE: chosen}  # an outer process has been here
    if chosen:
        bases = [Path(chosen).parent if Path(chosen).name == cores else Path(chosen)]
    else:
        bases = [_CORE / "__pycache__", *([] if data_dir is None else [data_dir.resolve() / "kernels"])]
    for base in bases:
        folder = base / name
        with suppress(OSError):
            if not folder.exists():
                folder.mkdir(parents=True, exist_ok=True)
                _take_along(base, cores, folder)
            if os.access(folder, os.W_OK):
                os.utime(folder)
                _tidy(base)
                return {VARIABLE: str(folder)}
    return {}


def digest(folder: Path = _CORE) -> str:
    """16 hexadecimal digits over what kernels are made of: the modules that hold one, and all that those import.

    Only of the package in ``folder`` itself.
    """
    package = folder.name
    imported = re.compile(
        rf"^\s*(?:(?:from|import) {package}\.(\w+)|from {package} import (.+))", re.MULTILINE
    )
    texts = {source.stem: source.read_text("utf-8") for source in sorted(folder.glob("*.py"))}
    waiting = [name for name, text in texts.items() if "njit" in text]
    seen = set(waiting)
    while waiting:
        text = texts[waiting.pop()]
        names = {name for found in imported.findall(text) for name in re.findall(r"\w+", " ".join(found))}
        fresh = (names & set(texts)) - seen
        seen |= fresh
        waiting += fresh
    found = hashlib.sha256()
    for name in sorted(seen):
        found.update(f"{name} {len(texts[name])}\n{texts[name]}".encode())
    return found.hexdigest()[:16]


def _take_along(base: Path, cores: str, folder: Path) -> None:
    """Give a new folder what others have compiled of the same core, else each change above would compile it anew."""
    for other in sorted(base.glob(f"{cores}*")):
        # numba keeps the kernels of a source folder in one that begins with its name; it never writes into a file twice
        for part in other.glob(f"{_CORE.name}_*"):
            if other != folder and not (folder / part.name).exists():
                with suppress(OSError):
                    shutil.copytree(part, folder / part.name, copy_function=os.link)


def _tidy(base: Path) -> None:
    """Remove what no process has asked for in a week."""
    for folder in base.glob("core-*"):
        with suppress(OSError):
            if time.time() - folder.stat().st_mtime > _UNUSED_S:
                shutil.rmtree(folder)
