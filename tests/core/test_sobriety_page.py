"""The page about sobriety says what the code finds, on the real curves."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import pytest

from tests.bench.sobriety_page import DOCS, Finding, find, page
from tests.core.drinkers import LONDON, PEOPLE, everybody

EVERYBODY = everybody()


@pytest.fixture(scope="module")
def findings(data: Path) -> dict[str, Finding]:
    return {name: find(data, name) for name in EVERYBODY}


def test_the_page_says_what_the_code_finds(data: Path) -> None:
    for name, text in page(data).items():
        written = (DOCS / name).read_text(encoding="utf-8")
        assert written == text, f"docs/{name} is stale: run python -m tests.bench.sobriety_page"


@pytest.mark.parametrize("name", PEOPLE)
def test_each_of_the_seven_has_one_confirmed_drinking_event_and_nothing_else(
    name: str, findings: dict[str, Finding]
) -> None:
    found = findings[name]
    assert [alert.rule for alert in found.alerts] == ["drinking_event"]
    assert found.event.figures["status"] == "confirmed"
    assert found.event.severity == "high"
    assert found.event.state == "ended"


@pytest.mark.parametrize("name", PEOPLE)
def test_each_of_the_seven_drank_on_the_day_of_the_bar_crawl_and_not_on_the_next(
    name: str, findings: dict[str, Finding]
) -> None:
    first, second = findings[name].days
    assert (str(first.day), first.state) == ("2017-05-02", "NOT_SOBER")
    assert (str(second.day), second.state) == ("2017-05-03", "UNVERIFIED")


@pytest.mark.parametrize("name", EVERYBODY)
def test_nobody_is_told_sober_on_a_day_on_which_a_confirmed_drinking_event_began(
    name: str, findings: dict[str, Finding]
) -> None:
    found = findings[name]
    assert {alert.rule for alert in found.alerts} <= {"drinking_event", "sensor_obstructed"}
    confirmed = [alert for alert in found.alerts if alert.figures.get("status") == "confirmed"]
    began = {
        datetime.fromisoformat(str(alert.figures["drinking_began"])).astimezone(LONDON).date()
        for alert in confirmed
        if alert.rule == "drinking_event"
    }
    assert all(day.state == "NOT_SOBER" for day in found.days if day.day in began)


@pytest.mark.parametrize("name", EVERYBODY)
def test_a_body_curve_is_never_above_a_reading(name: str, findings: dict[str, Finding]) -> None:
    found = findings[name]
    assert all(body <= tac + 1e-9 for body, tac in zip(found.body, found.samples.tac_g_dl, strict=True))
