"""A caseload, the real web process over it, a real browser."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.browser.caseload import Caseload
from tests.browser.chromium import browser, browser_page
from tests.browser.server import WebProcess, served

__all__ = ["browser", "browser_page", "caseload", "web"]


@pytest.fixture(scope="module")
def caseload(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Caseload]:
    """A real store with three wearers; the tests of a module share it and each adds its own alerts."""
    cases = Caseload(tmp_path_factory.mktemp("gateway"))
    yield cases
    cases.close()


@pytest.fixture(scope="module")
def web(caseload: Caseload) -> Iterator[WebProcess]:
    """The running web process over the caseload."""
    with served(caseload.folder) as process:
        yield process
