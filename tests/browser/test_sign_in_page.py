"""Signing in and taking notice in a real browser: with scripts, without, and over a link from elsewhere."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from playwright.sync_api import Browser, Page, expect

from gateway import users
from gateway.store import outbox
from gateway.store.outbox import Escalation
from tests.browser.caseload import Caseload
from tests.browser.server import WebProcess

PASSWORD = "three random words"


@pytest.fixture(scope="module")
def cases(caseload: Caseload) -> Caseload:
    """One user."""
    users.add(caseload.store, "alex", "Alex Officer", "practitioner", PASSWORD, "test")
    return caseload


def sign_in(page: Page, url: str) -> None:
    page.goto(url)
    page.get_by_label("User name").fill("alex")
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()


def test_a_person_signs_in_takes_notice_and_signs_out(
    browser_page: Page, cases: Caseload, web: WebProcess
) -> None:
    page, found = browser_page, cases.raised()
    number = cases.number(found)
    with cases.store.write() as connection:
        outbox.put_escalations(connection, [Escalation(number, "duty", 1, 0, 0, 0)])
    page.goto(f"{web.url}/alerts/{number}")
    expect(page).to_have_title("Sign in – Tagwatch")
    page.get_by_label("User name").fill("alex")
    page.get_by_label("Password", exact=True).fill("not the password")
    page.get_by_role("button", name="Sign in").click()
    expect(page).to_have_title("Error: Sign in – Tagwatch")
    expect(page.locator(".govuk-error-summary")).to_be_focused()
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    expect(page).to_have_url(f"{web.url}/alerts/{number}")
    expect(page.locator(".tw-who")).to_contain_text("Signed in as Alex Officer, practitioner")
    note = page.get_by_label("Note (optional)")
    note.fill("Rang home.")
    cases.ended(found)  # news while the person writes: the page follows, and the note stays
    expect(page.locator("h1 .govuk-tag")).to_have_text("Ended")
    expect(note).to_have_value("Rang home.")
    expect(page.locator("#tw-seen")).to_have_value("2")
    page.get_by_role("button", name="I have taken notice").click()
    expect(page.locator(".tw-notices")).to_contain_text(
        re.compile(r"Alex Officer, .*, of revision 2\s+Rang home\.")
    )
    with cases.store.read() as connection:
        assert outbox.escalations(connection, number) == []
    page.get_by_role("button", name="Sign out").click()
    expect(page).to_have_title("Sign in – Tagwatch")
    page.go_back()
    expect(page.locator("body")).not_to_contain_text("Alex Example")


def test_all_of_it_works_without_scripts_and_on_a_narrow_telephone(
    browser: Browser, cases: Caseload, web: WebProcess
) -> None:
    number = cases.number(cases.raised())
    context = browser.new_context(java_script_enabled=False, viewport={"width": 360, "height": 740})
    page = context.new_page()
    page.set_default_timeout(10_000)
    sign_in(page, f"{web.url}/alerts/{number}")
    page.get_by_role("button", name="I have taken notice").click()
    expect(page.locator(".tw-notices")).to_contain_text("Alex Officer")
    page.get_by_role("link", name="Change password").click()
    page.get_by_label("Password that you have now").fill(PASSWORD)
    page.get_by_label("New password", exact=True).fill(PASSWORD)
    page.get_by_label("New password again").fill(PASSWORD)
    page.get_by_role("button", name="Change password").click()
    expect(page.locator(".govuk-error-summary")).to_contain_text("it is the one of before")
    for path in (f"/alerts/{number}", "/alerts", "/password"):
        page.goto(web.url + path)
        width = page.locator("html").bounding_box()
        assert width is not None and width["width"] <= 360, path
    context.close()


def test_a_page_that_stands_open_goes_to_the_sign_in_when_the_session_ends(
    browser_page: Page, cases: Caseload, web: WebProcess
) -> None:
    page = browser_page
    sign_in(page, f"{web.url}/alerts")
    expect(page.locator("#tw-live-text")).to_have_text(re.compile("^Live: "))
    users.end_sessions(cases.store, "alex", "test")
    cases.raised()
    expect(page).to_have_url(f"{web.url}/sign-in?next=/alerts")


@pytest.fixture
def elsewhere(web: WebProcess) -> Iterator[str]:
    """Another site, with a link as an e-mail has it, and a form that signs people out."""
    page = f"""<a href="{web.url}/alerts">Alert 1, revision 1: high</a>
        <form action="{web.url}/sign-out" method="post"><button>Win</button></form>""".encode()

    class Site(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("content-type", "text/html")
            self.end_headers()
            self.wfile.write(page)

        def log_message(self, *_: object) -> None:
            """Nothing."""

    server = HTTPServer(("127.0.0.1", 0), Site)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://localhost:{server.server_port}/"
    server.shutdown()
    server.server_close()


def test_a_link_in_a_message_finds_who_is_signed_in_and_another_sites_form_does_nothing(
    browser_page: Page, cases: Caseload, web: WebProcess, elsewhere: str
) -> None:
    page = browser_page
    sign_in(page, f"{web.url}/alerts")
    expect(page).to_have_title(re.compile("^Alerts"))
    page.goto(elsewhere)
    page.get_by_role("link").click()
    expect(page).to_have_title(re.compile("^Alerts"))
    page.goto(elsewhere)
    page.get_by_role("button", name="Win").click()
    expect(page.locator("h1")).to_have_text("You may not do this")
    page.goto(f"{web.url}/alerts")
    expect(page).to_have_title(re.compile("^Alerts"))
