"""Where the real data lies, and what every test may count on."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

from gateway import kernels

ROOT = Path(__file__).resolve().parent.parent
# before any test module imports numba: kernels of these sources, not of those that were here yesterday
os.environ.update(kernels.environment(None, above=ROOT / "sim"))
# a deadline is an absolute time, which a shared machine breaks now and then
settings.register_profile("shared machine", deadline=None)
settings.load_profile("shared machine")


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder of real data (``TAGWATCH_DATA``, default ``../shared/data``)."""
    folder = Path(os.environ.get("TAGWATCH_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no real data at {folder}: set TAGWATCH_DATA to its folder")
    return folder
