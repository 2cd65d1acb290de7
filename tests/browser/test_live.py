"""The page stays true by itself, and says so when it can not."""

from __future__ import annotations

import os
import re
import signal

from playwright.sync_api import Locator, Page, expect

from core.alerts import Alert
from tests.browser.caseload import Caseload
from tests.browser.server import WebProcess

LIVE = re.compile("^Live: ")


def row_of(page: Page, caseload: Caseload, found: Alert) -> Locator:
    return page.locator(f"#alert-{caseload.number(found)}")


def open_alerts(page: Page, web: WebProcess) -> None:
    page.goto(f"{web.url}/alerts")
    expect(page.locator("#tw-live-text")).to_have_text(LIVE)
    # marks this very document: a reload would lose it
    page.evaluate("window.sameDocument = true")


def assert_never_reloaded(page: Page) -> None:
    assert page.evaluate("window.sameDocument") is True


def test_an_alert_written_by_another_process_appears_without_a_reload(
    browser_page: Page, caseload: Caseload, web: WebProcess
) -> None:
    page = browser_page
    open_alerts(page, web)
    expect(page.locator("#tw-content")).to_contain_text("No alert is open.")
    row = row_of(page, caseload, caseload.raised())
    expect(row).to_contain_text("Alex Example")
    expect(row).to_contain_text("19:00:00 BST")
    expect(row.locator(".govuk-tag")).to_have_text("Open")
    expect(page.locator("#tw-said")).to_contain_text("Alert 1 raised: In an exclusion zone")
    expect(page).to_have_title("Alerts (1 open) – Tagwatch")
    assert_never_reloaded(page)


def test_alerts_that_end_or_are_withdrawn_change_without_a_reload(
    browser_page: Page, caseload: Caseload, web: WebProcess
) -> None:
    page = browser_page
    first, second = caseload.raised(), caseload.raised("tag002")
    open_alerts(page, web)
    opened, closed = page.locator(".tw-alerts").first, page.locator(".tw-alerts").last
    for found in (first, second):
        expect(opened.locator(f"#alert-{caseload.number(found)}")).to_be_visible()
    caseload.ended(first)
    expect(closed.locator(f"#alert-{caseload.number(first)} .govuk-tag")).to_have_text("Ended")
    expect(row_of(page, caseload, first).locator("time")).to_have_count(2)
    caseload.withdrawn(second, "tag002")
    expect(closed.locator(f"#alert-{caseload.number(second)} .govuk-tag")).to_have_text("Withdrawn")
    expect(row_of(page, caseload, second)).to_have_count(1)
    assert_never_reloaded(page)


def test_the_page_warns_when_the_server_dies_and_has_missed_nothing_when_it_is_back(
    browser_page: Page, caseload: Caseload, web: WebProcess
) -> None:
    page = browser_page
    kept = caseload.raised()
    open_alerts(page, web)
    expect(page.locator("#tw-lost")).to_be_hidden()
    web.kill()
    expect(page.locator("#tw-lost")).to_be_visible()
    expect(page.locator("#tw-lost")).to_contain_text("Connection lost")
    expect(page.locator("#tw-live-text")).to_have_text(re.compile("^Not live"))
    caseload.ended(kept)
    meanwhile = [caseload.raised("tag002") for _ in range(3)]
    web.start()
    expect(page.locator("#tw-live-text")).to_have_text(LIVE)
    expect(page.locator("#tw-lost")).to_be_hidden()
    for found in meanwhile:
        expect(row_of(page, caseload, found)).to_be_visible()
    expect(row_of(page, caseload, kept).locator(".govuk-tag")).to_have_text("Ended")
    assert_never_reloaded(page)


def test_a_line_that_is_open_but_silent_counts_as_lost(
    browser_page: Page, caseload: Caseload, web: WebProcess
) -> None:
    page = browser_page
    page.clock.install()
    open_alerts(page, web)
    os.kill(web.pid, signal.SIGSTOP)
    try:
        page.clock.run_for(16_000)  # the silence is noticed
        page.clock.run_for(3_000)  # and is not a blip
        expect(page.locator("#tw-lost")).to_be_visible()
    finally:
        os.kill(web.pid, signal.SIGCONT)
    page.clock.run_for(20_000)
    expect(page.locator("#tw-live-text")).to_have_text(LIVE)


def test_a_page_that_can_not_fetch_what_changed_does_not_claim_to_be_live(
    browser_page: Page, caseload: Caseload, web: WebProcess
) -> None:
    page = browser_page
    before = caseload.raised()
    open_alerts(page, web)
    page.route("**/alerts/list", lambda route: route.fulfill(status=503, body="<h1>Broken</h1>"))
    after = caseload.raised()
    expect(page.locator("#tw-lost")).to_be_visible()
    expect(row_of(page, caseload, before)).to_be_visible()
    expect(page.locator("h1", has_text="Broken")).to_have_count(0)
    page.unroute("**/alerts/list")
    expect(row_of(page, caseload, after)).to_be_visible()
    expect(page.locator("#tw-live-text")).to_have_text(LIVE)


def test_the_keyboard_stays_where_it_was_when_the_list_changes(
    browser_page: Page, caseload: Caseload, web: WebProcess
) -> None:
    page = browser_page
    before = caseload.raised()
    open_alerts(page, web)
    row_of(page, caseload, before).locator("a").focus()
    expect(row_of(page, caseload, caseload.raised())).to_be_visible()
    focused = page.evaluate("document.activeElement.getAttribute('href')")
    assert focused == f"/alerts/{caseload.number(before)}"


def test_the_page_of_an_alert_follows_that_alert(
    browser_page: Page, caseload: Caseload, web: WebProcess
) -> None:
    page = browser_page
    found = caseload.raised()
    number = caseload.number(found)
    page.goto(f"{web.url}/alerts/{number}")
    expect(page.locator("#tw-live-text")).to_have_text(LIVE)
    expect(page.locator("h1 .govuk-tag")).to_have_text("Open")
    caseload.raised("tag002")
    caseload.ended(found)
    expect(page.locator("h1 .govuk-tag")).to_have_text("Ended")
    expect(page.locator("#tw-content")).to_contain_text("Open before, now ended")
    expect(page.locator("#tw-said")).to_have_text(f"Alert {number} ended: In an exclusion zone.")


def test_a_hidden_page_gives_its_connection_back_and_catches_up_when_it_is_seen_again(
    browser_page: Page, caseload: Caseload, web: WebProcess
) -> None:
    page = browser_page
    open_alerts(page, web)
    set_hidden = """hidden => {
        Object.defineProperty(document, "hidden", {value: hidden, configurable: true});
        document.dispatchEvent(new Event("visibilitychange"));
    }"""
    page.evaluate(set_hidden, True)
    found = caseload.raised()
    page.wait_for_timeout(700)
    expect(row_of(page, caseload, found)).to_have_count(0)
    page.evaluate(set_hidden, False)
    expect(row_of(page, caseload, found)).to_be_visible()
    expect(page.locator("#tw-live-text")).to_have_text(LIVE)


def test_a_burst_of_alerts_all_appear_and_the_list_is_fetched_only_a_few_times(
    browser_page: Page, caseload: Caseload, web: WebProcess
) -> None:
    page = browser_page
    open_alerts(page, web)
    fetched: list[str] = []
    page.on("request", lambda request: fetched.append(request.url) if "/alerts/list" in request.url else None)
    burst = [caseload.raised() for _ in range(100)]
    expect(row_of(page, caseload, burst[-1])).to_be_visible()
    shown = {
        row.removeprefix("alert-")
        for row in page.locator("tbody tr").evaluate_all("all => all.map(e => e.id)")
    }
    assert {str(caseload.number(found)) for found in burst} <= shown
    assert 1 <= len(fetched) <= 8
