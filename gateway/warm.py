"""Whether every rule is compiled and kept: told by a mark beside the kernels, without importing any of them."""

from __future__ import annotations

import hashlib
import os
import platform
from collections.abc import Mapping
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path

from gateway.kernels import VARIABLE


def compiled(environment: Mapping[str, str] | None = None) -> bool:
    """Is everything compiled and kept, for this machine and these packages? Also where nothing is compiled at all.

    ``environment`` is the one that an ingest would have, default this process's.
    """
    given = os.environ if environment is None else environment
    kept = mark(given)
    nothing_is = given.get("NUMBA_DISABLE_JIT", "0") not in ("", "0")
    return nothing_is or (kept is not None and kept.exists())


def mark(environment: Mapping[str, str] | None = None) -> Path | None:
    """A file beside the kernels, for numba compiles anew for another processor; None where nothing is kept."""
    folder = (os.environ if environment is None else environment).get(VARIABLE)
    if folder is None:
        return None
    made_for = [version("numba"), version("numpy"), platform.python_version(), _processor()]
    return Path(folder) / f"whole-{hashlib.sha256(repr(made_for).encode()).hexdigest()[:16]}"


def _processor() -> str:
    """Its name, as far as the system tells it."""
    with suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text(errors="replace").splitlines()
        return "|".join(sorted({line for line in lines if line.startswith(("model name", "flags"))}))
    return platform.processor()
