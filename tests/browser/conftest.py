"""A caseload, the real web process over it, a real browser."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.browser.caseload import Caseload
from tests.browser.chromium import browser, browser_page
from tests.browser.server import WebProcess

__all__ = ["browser", "browser_page", "caseload", "web"]


@pytest.fixture
def caseload(tmp_path: Path) -> Iterator[Caseload]:
    """A real store in ``tmp_path`` with three wearers and no alert."""
    cases = Caseload(tmp_path)
    yield cases
    cases.close()


@pytest.fixture
def web(caseload: Caseload, tmp_path: Path) -> Iterator[WebProcess]:
    """The running web process over the caseload."""
    process = WebProcess(tmp_path)
    process.start()
    yield process
    process.kill()
