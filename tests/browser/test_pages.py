"""What people see, also on a telephone, by keyboard, with a screen reader, or without scripts."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect
from sqlalchemy import text

from gateway.store import looks
from tests.browser.caseload import Caseload, entered
from tests.browser.server import served

PAGES = ["/alerts", "/alerts/1", "/alerts/2", "/gateway", "/alerts/999"]


@pytest.fixture(scope="module")
def cases(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Caseload]:
    """Alerts in every state, one of them about equipment that nobody wears, one with markup in its words."""
    folder = tmp_path_factory.mktemp("pages")
    cases = Caseload(folder)
    cases.ended(cases.raised())
    cases.put(
        entered(
            90,
            "tag002",
            rule="sequence_conflict",
            sentence="<script>alert(1)</script> & more",
            readings=(),
            figures={"nearest_m": "<b>bold</b>", "closest": "0"},
        ),
        device="tag002",
    )
    cases.withdrawn(cases.raised("tag003"), "tag003")
    cases.raised()
    with cases.store.write() as connection:
        connection.execute(text("UPDATE alert SET activation = NULL WHERE number = 2"))
    yield cases
    cases.close()


@pytest.fixture(scope="module")
def site(cases: Caseload) -> Iterator[str]:
    """The address of the running web over these cases."""
    with served(cases.folder) as process:
        yield process.url


def test_the_list_shows_open_alerts_first_and_names_what_a_practitioner_needs(
    browser_page: Page, site: str
) -> None:
    page = browser_page
    page.goto(f"{site}/alerts")
    headings = page.locator(".tw-alerts caption").all_inner_texts()
    assert headings == ["Open alerts (2)", "Ended and withdrawn alerts"]
    numbers = [row.get_attribute("id") for row in page.locator(".tw-alerts tbody tr").all()]
    assert numbers == ["alert-4", "alert-2", "alert-3", "alert-1"]
    row = page.locator("#alert-1")
    for words in (
        "Ended",
        "In an exclusion zone",
        "Violation alert, critical",
        "Alex Example",
        "tag001",
        "zone-1",
        "29 Mar 2026",
    ):
        expect(row).to_contain_text(words)
    expect(row.locator("time").first).to_have_attribute("title", "2026-03-29 18:00:00 UTC")
    expect(row.locator("time").first).to_have_attribute("datetime", "2026-03-29T18:00:00Z")


def test_what_is_not_known_is_shown_as_unknown(browser_page: Page, site: str) -> None:
    page = browser_page
    page.goto(f"{site}/alerts")
    expect(page.locator("#alert-2 td").nth(1)).to_contain_text("Unknown")
    expect(page.locator("#tw-health")).to_contain_text(re.compile(r"Last reading committed\s+Unknown"))


def test_an_alert_gives_its_reasons(browser_page: Page, site: str) -> None:
    page = browser_page
    page.goto(f"{site}/alerts/1")
    content = page.locator("#tw-content")
    for words in (
        "Inside the exclusion zone Riverside",
        "Order version",
        "2026-1",
        "Greatest depth (metres)",
        "19:00:00 BST, 29 March 2026",
        "4 readings",
        "3735928559",
        "4 to 6, 9",
        "Open before, now ended",
        "End set to 19:05:00 BST on 29 March 2026",
        "Gateway, rule set 2026-1",
    ):
        expect(content).to_contain_text(words)


def test_words_from_outside_are_text_and_never_markup(browser_page: Page, site: str) -> None:
    page = browser_page
    page.goto(f"{site}/alerts/2")
    expect(page.locator("#tw-content")).to_contain_text("<script>alert(1)</script> & more")
    expect(page.locator("#tw-content")).to_contain_text("<b>bold</b>")
    assert page.locator("#tw-content script, #tw-content b").count() == 0


def test_the_page_calls_nobody_an_offender_and_declares_no_breach(browser_page: Page, site: str) -> None:
    for path in PAGES:
        browser_page.goto(site + path)
        words = browser_page.content().lower()
        assert "offender" not in words
        assert "breach" not in words


def test_everything_can_be_read_without_scripts_and_nothing_claims_to_be_live(
    browser: Browser, site: str
) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{site}/alerts")
    expect(page.locator("#alert-1")).to_contain_text("Alex Example")
    expect(page.locator("#tw-live-text")).to_contain_text("Not live")
    page.locator("#alert-1 a").click()
    expect(page.locator("h1")).to_contain_text("In an exclusion zone")
    context.close()


def test_a_narrow_telephone_shows_every_word_without_scrolling_sideways(browser: Browser, site: str) -> None:
    context = browser.new_context(viewport={"width": 360, "height": 740})
    page = context.new_page()
    for path in PAGES:
        page.goto(site + path)
        assert page.evaluate("document.documentElement.scrollWidth") <= 360, path
    page.goto(f"{site}/alerts")
    cells = page.locator("#alert-1 td")
    for index in range(cells.count()):
        box = cells.nth(index).bounding_box()
        assert box is not None
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= 360
    context.close()


# What an automated audit would look for; returns sentences about what is wrong.
AUDIT = """() => {
    const wrong = [];
    const visible = element => element.checkVisibility({visibilityProperty: true});
    if (document.documentElement.lang !== "en") wrong.push("no language");
    if (document.querySelectorAll("h1").length !== 1) wrong.push("not exactly one h1");
    if (document.querySelectorAll("main").length !== 1) wrong.push("not exactly one main");
    let before = 0;
    for (const heading of document.querySelectorAll("main :is(h1, h2, h3, h4)")) {
        const level = Number(heading.tagName[1]);
        if (level > before + 1) wrong.push(`heading skips to ${heading.tagName}: ${heading.textContent}`);
        before = level;
    }
    const ids = [...document.querySelectorAll("[id]")].map(element => element.id);
    for (const id of ids) if (ids.filter(other => other === id).length > 1) wrong.push(`id ${id} twice`);
    for (const link of document.querySelectorAll("a, button"))
        if (!link.textContent.trim() && !link.ariaLabel) wrong.push("a link or button without words");
    for (const table of document.querySelectorAll("table")) {
        if (!table.caption) wrong.push("a table without a caption");
        for (const head of table.querySelectorAll("th")) if (!head.scope) wrong.push("a header without a scope");
    }
    for (const name of ["aria-labelledby", "aria-describedby", "aria-controls"])
        for (const element of document.querySelectorAll(`[${name}]`))
            if (!document.getElementById(element.getAttribute(name))) wrong.push(`${name} leads nowhere`);

    const channels = colour => colour.match(/[\\d.]+/g).map(Number);
    const light = ([red, green, blue]) => [red, green, blue]
        .map(one => one / 255)
        .map(one => one <= 0.04045 ? one / 12.92 : ((one + 0.055) / 1.055) ** 2.4)
        .reduce((sum, one, index) => sum + one * [0.2126, 0.7152, 0.0722][index], 0);
    const behind = element => {
        for (let one = element; one; one = one.parentElement) {
            const colour = channels(getComputedStyle(one).backgroundColor);
            if (colour.length === 3 || colour[3] === 1) return colour;
        }
        return [255, 255, 255];
    };
    for (const element of document.querySelectorAll("body *")) {
        const words = [...element.childNodes].some(node => node.nodeType === 3 && node.textContent.trim());
        if (!words || !visible(element) || element.tagName === "SCRIPT") continue;
        const style = getComputedStyle(element);
        const [one, other] = [light(channels(style.color)), light(behind(element))].sort((a, b) => b - a);
        const size = parseFloat(style.fontSize);
        const large = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700);
        const ratio = (one + 0.05) / (other + 0.05);
        if (ratio < (large ? 3 : 4.5)) wrong.push(`contrast ${ratio.toFixed(2)}: ${element.textContent.trim()}`);
    }
    return wrong;
}"""


@pytest.mark.parametrize("width", [1280, 360])
def test_structure_and_contrast_are_fit_for_everybody(browser_page: Page, site: str, width: int) -> None:
    browser_page.set_viewport_size({"width": width, "height": 800})
    for path in PAGES:
        browser_page.goto(site + path)
        assert browser_page.evaluate(AUDIT) == [], path
        assert browser_page.title().endswith("– Tagwatch")
    browser_page.goto(f"{site}/alerts")
    browser_page.evaluate("document.getElementById('tw-lost').hidden = false")
    assert browser_page.evaluate(AUDIT) == []


def test_the_keyboard_reaches_everything_and_shows_where_it_is(browser_page: Page, site: str) -> None:
    page = browser_page
    page.goto(f"{site}/alerts")
    reached = []
    for _ in range(12):
        page.keyboard.press("Tab")
        reached.append(page.evaluate("document.activeElement.getAttribute('href')"))
        outline = page.evaluate(
            "(s => s.outlineStyle + s.boxShadow + s.backgroundColor)(getComputedStyle(document.activeElement))"
        )
        assert "rgb(255, 221, 0)" in outline
        if reached[-1] == "/alerts/1":
            break
    assert reached[0] == "#main-content"
    assert [href for href in reached if href.startswith("/alerts/")] == [
        "/alerts/4",
        "/alerts/2",
        "/alerts/3",
        "/alerts/1",
    ]


def test_news_is_spoken_politely_and_a_lost_connection_at_once(browser_page: Page, site: str) -> None:
    browser_page.goto(f"{site}/alerts")
    expect(browser_page.locator("#tw-said")).to_have_attribute("aria-live", "polite")
    expect(browser_page.locator("#tw-lost")).to_have_attribute("role", "alert")


def test_the_page_has_its_styles_from_here_and_no_typeface_that_is_not_ours(
    browser_page: Page, site: str
) -> None:
    page = browser_page
    page.goto(f"{site}/alerts")
    assert page.evaluate("getComputedStyle(document.querySelector('h1')).fontFamily") == "arial, sans-serif"
    assert page.evaluate("document.fonts.size") == 0
    assert page.evaluate("document.body.classList.contains('govuk-frontend-supported')")


def test_every_look_at_a_person_is_recorded_with_what_was_seen(
    browser_page: Page, site: str, cases: Caseload
) -> None:
    def newest() -> list[dict[str, object]]:
        with cases.store.read() as connection:
            return looks.listing(connection, 1)

    browser_page.goto(f"{site}/alerts/1")
    seen = newest()[0]
    assert (seen["viewer"], seen["view"]) == ("local", "alert")
    assert (seen["alerts"], seen["activations"]) == (["1.2"], ["tag001-1"])
    browser_page.goto(f"{site}/alerts")
    seen = newest()[0]
    assert seen["view"] == "alerts"
    assert seen["alerts"] == ["4.1", "2.1", "3.2", "1.2"]
    browser_page.goto(f"{site}/gateway")
    browser_page.goto(f"{site}/alerts/999")
    assert newest()[0] == seen
