"""Every scenario, run: what it expects is raised, and nothing else; and firmware gives what arrays give."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from sim.cli import register
from sim.runs import run_direct
from sim.scenario import Scenario, every_path, find
from sim.stage import run_firmware
from sim.story import load
from sim.verdict import Verdict, differences, judge

ALL = [load(path) for path in every_path()]
SHORT = ("late_home", "walks_into_zone", "unit_unplugged", "strap_checked_by_an_officer", "perfume")
"""With firmware a few seconds each; among them all kinds of device."""
SLOW = ("a_week_offline", "allowance_used_up")
"""Half a minute even with arrays: for the long form."""


def told(verdict: Verdict) -> str:
    return "\n".join(f"expected {row.expected}; got {row.got}" for row in verdict.rows if not row.holds)


def marked(scenario: Scenario) -> object:
    """A known issue has to fail: once it is mended the mark goes."""
    marks = [pytest.mark.xfail(reason=scenario.known_issue)] if scenario.known_issue else []
    marks += [pytest.mark.long] if scenario.name in SLOW else []
    return pytest.param(scenario, marks=marks, id=scenario.name)


def test_there_are_stories_enough() -> None:
    assert len(ALL) >= 40


@pytest.mark.parametrize("scenario", [marked(one) for one in ALL if not one.only_firmware])
def test_a_scenario_raises_what_it_expects_and_nothing_else(scenario: Scenario) -> None:
    verdict = judge(scenario, run_direct(scenario))
    assert verdict.holds, told(verdict)


def compare(scenario: Scenario, folder: Path) -> None:
    """With firmware a scenario holds as it does without, by the same alerts."""
    raised = run_firmware(scenario, folder)
    if not scenario.only_firmware:
        assert differences(raised, run_direct(scenario)) == []
    verdict = judge(scenario, raised)
    assert verdict.holds or scenario.known_issue, told(verdict)


@pytest.mark.parametrize("name", SHORT)
def test_firmware_broker_and_gateway_give_the_alerts_that_arrays_give(name: str, tmp_path: Path) -> None:
    compare(load(find(name)), tmp_path)


@pytest.mark.long
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("scenario", [pytest.param(one, id=one.name) for one in ALL if one.name not in SHORT])
def test_firmware_gives_the_alerts_of_every_scenario(scenario: Scenario, tmp_path: Path) -> None:
    compare(scenario, tmp_path)


def test_a_scenario_is_the_same_run_after_run() -> None:
    scenario = load(find("foil_on_the_strap"))
    assert run_direct(scenario) == run_direct(load(find("foil_on_the_strap")))


# the command


def command(*words: str) -> Result:
    app = typer.Typer()
    register(app)
    return CliRunner().invoke(app, ["sim", *words])


def test_the_command_lists_the_scenarios_and_what_they_show() -> None:
    told = command("list")
    assert told.exit_code == 0
    assert all(scenario.name in told.stdout for scenario in ALL)


def test_the_command_ends_with_0_only_where_every_expectation_holds(tmp_path: Path) -> None:
    told = command("run", "late_home", "--json")
    assert (told.exit_code, json.loads(told.stdout)["holds"]) == (0, True)
    story = find("late_home").read_text()
    early = tmp_path / "early.toml"
    early.write_text(story.replace('starts = "19:00"', 'starts = "18:00"'))
    told = command("run", str(early))
    assert told.exit_code == 1
    assert "begins at another time" in " ".join(told.stdout.split())
    blind = tmp_path / "blind.toml"
    blind.write_text(story.partition("[[expect]]")[0])
    told = command("run", str(blind))
    assert told.exit_code == 1, "an alert that nothing expects is a failure too"
    assert "nothing more" in told.stdout


def test_the_command_refuses_a_scenario_that_only_firmware_can_show() -> None:
    told = command("run", "safe_mode")
    assert told.exit_code == 2
    assert "--firmware" in told.stderr
