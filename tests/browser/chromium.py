"""A real Chromium that can reach this machine only. ``from tests.browser.chromium import browser, browser_page``."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, Request, sync_playwright

ARGUMENTS = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    # whatever asks for another host is refused by the browser itself, and then seen below
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost",
]
LOCAL = ("http://127.0.0.1:", "http://localhost:", "data:", "blob:", "about:")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Debian's Chromium. For one module only: while Playwright runs, no other test may run an event loop."""
    program = shutil.which("chromium")
    assert program, "chromium is missing: apt-get install -y --no-install-recommends chromium"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture
def browser_page(browser: Browser) -> Iterator[Page]:
    """A fresh page. Fails the test afterwards if anything asked for another host or broke the security policy."""
    context = browser.new_context(viewport={"width": 1280, "height": 900}, locale="en-GB")
    page = context.new_page()
    page.set_default_timeout(10_000)
    elsewhere: list[str] = []
    broken: list[str] = []

    def asked(request: Request) -> None:
        if not request.url.startswith(LOCAL):
            elsewhere.append(request.url)

    def told(message: ConsoleMessage) -> None:
        if message.type == "error" and "Content Security Policy" in message.text:
            broken.append(message.text)

    context.on("request", asked)
    page.on("console", told)
    page.on("pageerror", lambda error: broken.append(str(error)))
    yield page
    context.close()
    assert not elsewhere, "the page asked for other hosts"
    assert not broken, "the page's own code or its security policy failed"
