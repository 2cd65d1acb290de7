"""A zone drawn across the path of a real day, from the receiver's bytes to the practitioner's screen."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect
from pyproj import Transformer
from shapely import Point, Polygon

from core.rules import DEFAULT_RULES
from sim.recordings import load
from sim.replay import Result, order_with_zone, replay
from sim.rig import Rig
from tests.browser.chromium import browser, browser_page
from tests.system.brokers import MOSQUITTO, NATS, behind
from tests.system.checks import told_of_people

__all__ = ["browser", "browser_page"]

DAY = "ssi_open_geodata-Utrecht4-2024-06-22.csv"
STATION = [[8.671, 49.4035], [8.679, 49.4035], [8.679, 49.4085], [8.671, 49.4085], [8.671, 49.4035]]
PLATFORM = [[8.6759, 49.4046], [8.6769, 49.4046], [8.6769, 49.4051], [8.6759, 49.4051], [8.6759, 49.4046]]
ZONE = {"type": "Polygon", "coordinates": [STATION, PLATFORM]}
"""The square before a railway station and the street that leads to it; the platform within it is a hole."""


def visits(positions: list[tuple[float, float, float, float]]) -> list[tuple[float, float | None]]:
    """Start and end of each visit, by the rule's one sentence, with GEOS in metres of UTM 32N.

    ``positions`` are (t, lat, lon, precision_m). Written from the sentence in ``core.geofence``, not from its code.
    """
    project = Transformer.from_crs(4326, 32632, always_xy=True).transform
    shell, hole = ([project(lon, lat) for lon, lat in ring] for ring in (STATION, PLATFORM))
    zone = Polygon(shell, [hole])
    within = DEFAULT_RULES.confirm_within_s
    found: list[tuple[float, float | None]] = []
    run: list[float] = []  # instants that agree, against what is believed now
    inside = False
    for t, lat, lon, precision_m in positions:
        point = Point(*project(lon, lat))
        distance_m = zone.boundary.distance(point)
        if distance_m <= max(precision_m, DEFAULT_RULES.precision_floor_m):
            continue
        if zone.contains(point) == inside:
            run = []
        else:
            run = [*run, t] if run and t - run[-1] <= within else [t]
            if t - run[0] >= (DEFAULT_RULES.confirm_apart_s if inside else DEFAULT_RULES.accuse_apart_s):
                if inside:
                    found[-1] = found[-1][0], run[0]
                else:
                    found.append((run[0], None))
                inside, run = not inside, []
    return found


def seconds(text: str | None) -> float | None:
    return None if text is None else datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


def told(alerts: list[dict[str, Any]]) -> list[tuple[float | None, float | None]]:
    return sorted((seconds(alert["start"]), seconds(alert["end"])) for alert in alerts)


def positions_of(result: Result) -> list[tuple[float, float, float, float]]:
    document = result.to_json()["positions"]
    return [(p["t"], p["lat"], p["lon"], p["precision_m"]) for p in document]


@pytest.mark.parametrize(
    ("which", "every_fix"),
    [
        pytest.param(NATS, False, id="nats-one position a minute"),
        pytest.param(NATS, True, id="nats-every fix", marks=pytest.mark.long),
        # tests/system/test_outside_broker.py plays this day through Mosquitto each time
        pytest.param(MOSQUITTO, False, id="mosquitto-one position a minute", marks=pytest.mark.long),
        pytest.param(MOSQUITTO, True, id="mosquitto-every fix", marks=pytest.mark.long),
    ],
)
def test_a_zone_across_a_real_day_gives_exactly_the_visits_that_geos_finds(
    data: Path, tmp_path: Path, which: str, every_fix: bool
) -> None:
    recording = load(data / "trails" / DAY, 0)
    with behind(which, tmp_path), Rig(tmp_path) as rig:
        (result,) = replay(rig, [recording], zone=ZONE, every_fix=every_fix)
        assert told_of_people(tmp_path, rig.store) == []
    expected = visits(positions_of(result))
    assert len(expected) >= 5
    assert {alert["rule"] for alert in result.alerts} == {"in_exclusion_zone"}
    assert told(result.alerts) == [(int(start), None if end is None else int(end)) for start, end in expected]


@pytest.mark.long
def test_the_page_shows_the_visits_of_a_real_day_as_they_arise_without_a_reload(
    data: Path, tmp_path: Path, which_at_length: str, browser_page: Page
) -> None:
    recording = load(data / "trails" / DAY, 0)
    start_ms = recording.start_ms - 1000
    with behind(which_at_length, tmp_path), Rig(tmp_path, web=True) as rig:
        rig.enrol("gps00001", start_ms, recording.chunks(1), order=order_with_zone("gps00001", ZONE))
        browser_page.goto(f"{rig.gateway.web_url}alerts")
        expect(browser_page.locator("#tw-live-text")).to_have_text(re.compile("^Live: "))
        browser_page.evaluate("window.sameDocument = true")
        seen = 0
        for at_ms in range(start_ms, recording.end_ms, 1_800_000):
            rig.advance(at_ms)
            alerts = rig.alerts()
            expect(browser_page.locator("[id^='alert-']")).to_have_count(len(alerts))
            for alert in alerts[seen:]:
                row = browser_page.locator(f"#alert-{alert['number']}")
                expect(row).to_contain_text("exclusion zone")
                expect(row).to_contain_text("gps00001")
            seen = len(alerts)
        assert seen >= 5
        assert browser_page.evaluate("window.sameDocument") is True
        assert told_of_people(tmp_path, rig.store) == []
