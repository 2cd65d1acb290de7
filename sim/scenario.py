"""Scenarios: short stories in TOML, each with the alerts that it must raise and those that it must not.

The format stands in docs/scenarios.md; `sim.story` reads it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.problems import Problem, Problems
from sim.faults import Fault
from sim.life import Life

FOLDER = Path(__file__).parent / "scenarios"
WORN = ("gps_tag", "rf_tag", "alcohol_tag")
DEVICE_PREFIX = {"gps_tag": "gps0", "rf_tag": "rf00", "alcohol_tag": "alc0", "home_unit": "hmu0"}
"""How a device's id begins; a wearer's name, or a home unit's, follows."""


class ScenarioError(Problems):
    """A scenario refused: the file, and every problem with its key, the fact and the remedy."""

    def __init__(self, path: Path, problems: Sequence[Problem]) -> None:
        self.path = path
        super().__init__(problems)
        self.args = ("\n".join(f"{path}: {problem}" for problem in problems),)


@dataclass(frozen=True, slots=True)
class Version:
    """A version of an order, and when the gateway is told of it (UTC ms)."""

    told_ms: int
    document: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Wearer:
    """Somebody in a scenario. ``versions`` are those of the order, ascending; ``life.order`` is the first.

    ``units`` names the home units that listen for the wearer, in step with ``life.units``.
    """

    life: Life
    versions: tuple[Version, ...]
    units: tuple[str, ...] = ()

    def device(self, kind: str) -> str:
        """The id of a device that the wearer wears."""
        return f"{DEVICE_PREFIX[kind]}{self.life.name}"


@dataclass(frozen=True, slots=True)
class Expectation:
    """An alert that must be raised. Intervals are UTC ms, both ends included; None where nothing is claimed.

    ``open`` says that it must not have ended. ``told_by_ms``: when, in gateway time, it must have been told.
    """

    wearer: str
    rule: str
    device: str | None
    condition: str | None
    starts: tuple[int, int] | None
    ends: tuple[int, int] | None
    state: str | None
    told_by_ms: int | None
    figures: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Scenario:
    """A story, and what must come of it.

    ``name`` is its file's. An alert that nothing expects is a failure, unless its rule is one that ``may`` be raised;
    rules in ``never`` may not even be raised and withdrawn. ``only_firmware``: it can not be shown without firmware.
    ``long``: with firmware it takes more than a minute or two. ``known_issue``: what is known to go otherwise.
    """

    name: str
    title: str
    shows: str
    seed: int
    start_ms: int
    end_ms: int
    wearers: tuple[Wearer, ...]
    faults: tuple[Fault, ...]
    expect: tuple[Expectation, ...]
    never: frozenset[str]
    may: frozenset[str]
    known_issue: str
    only_firmware: bool
    long: bool


def every_path() -> list[Path]:
    """The scenarios that come with Tagwatch, by name."""
    return sorted(FOLDER.glob("*.toml"))


def find(name: str | Path) -> Path:
    """The file of a scenario, given by path or by name."""
    path = Path(name)
    if not path.exists() and not path.suffix and (FOLDER / f"{name}.toml").exists():
        return FOLDER / f"{name}.toml"
    return path
