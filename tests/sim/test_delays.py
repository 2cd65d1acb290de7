"""Delays through firmware, broker and gateway are those that arrays give, of the very same events."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from sim import delays
from sim.cli import register
from sim.delays import BEFORE_MS, KINDS, SETTLED_MS, STEP_MS, Event, Outcome, Window
from sim.life import Span
from sim.score import NOT_MEASURED, Delay
from sim.scoring import START_MS, TOWN_SEED
from sim.town import make_town
from sim.truth import Family, Happening, happenings
from sim.uplink import MOST_PAUSE_MS, WAIT_MS

SEED = 3
WITHIN_S = {"exclusion": 30.0, "strap": 30.0, "curfew": (WAIT_MS + STEP_MS) / 1000}
"""Half a sampling interval. A home unit's silence waits for company: with what it is sent is chance."""
RECONNECTED_S = (MOST_PAUSE_MS + STEP_MS) / 1000
"""After a time without a network the tag finds it within a pause that is chance, too."""


@pytest.fixture(scope="module")
def windows() -> list[Window]:
    found, _ = delays.windows(make_town(TOWN_SEED), SEED, 8, START_MS, 7, 200)
    return found


def happened(start_ms: int = 0) -> Happening:
    return Happening(Family.CURFEW, "curfew", start_ms, start_ms + 600_000)


# choosing


def test_of_each_kind_so_many_events_are_chosen_as_were_asked_for(windows: list[Window]) -> None:
    chosen = [event.kind for window in windows for event in window.events]
    assert {kind: chosen.count(kind) for kind in KINDS} == dict.fromkeys(KINDS, 8)


def test_a_window_is_a_part_of_a_life_in_which_the_same_happens(windows: list[Window]) -> None:
    assert len({window.life.name for window in windows}) == len(windows)
    for window in windows:
        begun = {(one.family, one.note, one.start_ms) for one in happenings(window.life)}
        for event in window.events:
            one = event.happening
            assert (one.family, one.note, one.start_ms) in begun
            assert window.life.start_ms <= one.start_ms - BEFORE_MS


def test_a_tag_is_settled_before_its_network_is_lost() -> None:
    minute_ms = 60_000
    dark = [Span(0, 50 * minute_ms), Span(90 * minute_ms, 200 * minute_ms)]
    span = delays._span(dark, happened(100 * minute_ms))
    assert span == Span(-SETTLED_MS, (200 + 30) * minute_ms)


# figures


def outcome(firmware_s: float | None, direct_s: float | None) -> Outcome:
    event = Event("curfew", happened())
    found = [None if s is None else Delay(0, round(s * 1000), True) for s in (firmware_s, direct_s)]
    return Outcome("p", event, found[0], found[1], False)


def test_fewer_than_200_events_give_no_figure() -> None:
    row = delays.figures([outcome(10, 20)] * 199)["curfew"]
    assert (row["events"], row["delay_p95_s"], row["difference_median_s"]) == (
        199,
        NOT_MEASURED,
        NOT_MEASURED,
    )


def test_differences_are_of_events_that_both_told() -> None:
    row = delays.figures([outcome(30, 20)] * 150 + [outcome(None, 5)] * 49 + [outcome(300, None)])["curfew"]
    assert (row["events"], row["told"], row["direct_told"]) == (200, 151, 199)
    assert (row["delay_p95_s"], row["difference_median_s"], row["difference_p95_s"]) == (30, 10, 10)


# through firmware, broker and gateway


def agree(found: dict[str, object], wanted: int) -> None:
    rows = found["each"]
    assert isinstance(rows, list)
    assert len(rows) == len(KINDS) * wanted
    for row in rows:
        assert (row["firmware_s"] is None) == (row["direct_s"] is None), row
        if row["firmware_s"] is not None:
            within_s = RECONNECTED_S if row["without_network"] else WITHIN_S[row["kind"]]
            assert abs(row["firmware_s"] - row["direct_s"]) <= within_s, row


def test_an_event_is_told_through_firmware_and_gateway_when_arrays_say_so(tmp_path: Path) -> None:
    app = typer.Typer()
    register(app)
    words = ["sim", "score", "--firmware", "--events", "2", "--seed", str(SEED), "--json"]
    told = CliRunner().invoke(app, [*words, "--data-dir", str(tmp_path)])
    assert told.exit_code == 0, told.output
    found = json.loads(told.stdout)
    assert found["delays"]["strap"]["delay_p95_s"] == NOT_MEASURED
    agree(found, 2)


@pytest.mark.long
@pytest.mark.timeout(1200)
def test_most_of_many_events_are_told_when_arrays_say_so(tmp_path: Path) -> None:
    found = delays.measure(40, 7, SEED + 1, tmp_path)
    both = [row for row in found["each"] if None not in (row["firmware_s"], row["direct_s"])]
    assert len(both) >= 0.98 * len([row for row in found["each"] if row["direct_s"] is not None])
    apart = sorted(abs(row["firmware_s"] - row["direct_s"]) for row in both)
    assert apart[len(apart) // 2] <= STEP_MS / 1000
    assert apart[int(0.95 * len(apart))] <= (WAIT_MS + STEP_MS) / 1000
