"""Whatever goes wrong, in whatever order: no reading is lost or doubled, alerts are the same, everybody is told.

Each round is one person's evening through the real chain (`fault_rounds`); what breaks in it, and when, follows from
the round's number (`fault_plan`), which is in its name. A round that fails prints its plan in words. Play it again with
``pytest tests/system/test_faults.py -k round-17``, or any numbers with ``TAGWATCH_FAULTS=17,5000-5099``.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence

import pytest

from tests.system.fault_plan import KINDS, Plan, draw
from tests.system.fault_rounds import Outcome, Stage

ROUNDS = 30
MANY_ROUNDS = 1000
OUTSIDE_ROUNDS = (0, 5, 19, 22)
"""What breaks first in these is most of what an outside broker has to do with; number 22 kills it."""
MANY_OUTSIDE_ROUNDS = [seed for seed in range(300) if seed not in OUTSIDE_ROUNDS]
ROUNDS_OF_A_STAGE = 100
"""So many rounds, and then another gateway: a store that starts empty breaks differently from one that is full."""


class Stages:
    """A gateway after the other, and the alerts of an evening in which nothing breaks."""

    def __init__(self, folders: pytest.TempPathFactory, *, outside: bool = False) -> None:
        self._folders = folders
        self.outside = outside
        self._stage: Stage | None = None
        self._left = 0
        self.undisturbed: Outcome | None = None

    def stage(self) -> Stage:
        """One that is as it should be."""
        if self._stage is None or not self._stage.healthy or not self._left:
            self.close()
            self._stage = Stage(self._folders.mktemp("faults"), outside=self.outside).__enter__()
            self._left = ROUNDS_OF_A_STAGE
            if self.undisturbed is None:
                self.undisturbed = self._stage.play(Plan(-1, ()))
        self._left -= 1
        return self._stage

    def close(self) -> None:
        """End it."""
        if self._stage is not None:
            self._stage.__exit__(None, None, None)
            self._stage = None


@pytest.fixture(scope="module")
def stages(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stages]:
    if shutil.which("cc") is None:
        pytest.skip("no C compiler on this machine: `make system` installs one")
    stages = Stages(tmp_path_factory)
    yield stages
    stages.close()


@pytest.fixture(scope="module")
def outside_stages(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stages]:
    if shutil.which("cc") is None:
        pytest.skip("no C compiler on this machine: `make system` installs one")
    stages = Stages(tmp_path_factory, outside=True)
    yield stages
    stages.close()


def asked_for() -> list[int]:
    """The rounds that ``TAGWATCH_FAULTS`` names."""
    found: list[int] = []
    for part in filter(None, os.environ.get("TAGWATCH_FAULTS", "").split(",")):
        first, _, last = part.partition("-")
        found += range(int(first), int(last or first) + 1)
    return found


def named(seeds: Sequence[int]) -> list[object]:
    return [
        pytest.param(seed, id=f"round-{seed}-{'-'.join(dict.fromkeys(draw(seed).kinds))}") for seed in seeds
    ]


def play_round(stages: Stages, seed: int) -> None:
    plan = draw(seed)
    if stages.outside:
        plan = plan.with_outside_broker()
        if not plan.faults:
            pytest.skip("an outside broker has no doorkeeper that could die")
    print(plan.words())
    stage = stages.stage()
    lacking = stage.lacks(plan)
    if lacking:
        pytest.skip(lacking)
    try:
        found = stage.play(plan)
        assert stages.undisturbed is not None
        assert found.is_like(stages.undisturbed), f"{found} is not like {stages.undisturbed}"
    except BaseException as error:
        stage.healthy = False
        place = stage.leave_behind(plan)
        print(stage.last_words())
        error.add_note(f"what happened ({place} has the rest: logs, store, flash):\n{stage.diary}")
        error.add_note(f"{plan.words()}\nto play it again: TAGWATCH_FAULTS={seed} pytest {__file__}")
        raise


def test_an_undisturbed_evening_breaks_the_zone_and_the_curfew_and_is_told(stages: Stages) -> None:
    stages.stage()
    assert stages.undisturbed is not None
    alerts = stages.undisturbed.alerts
    assert {alert.rule for alert in alerts} == {"in_exclusion_zone", "absent_during_curfew"}
    assert all(alert.told and alert.positions for alert in alerts)


@pytest.mark.parametrize("seed", named(asked_for() or range(ROUNDS)))
def test_whatever_fails_nothing_is_lost_nothing_doubled_and_everybody_is_told(
    stages: Stages, seed: int
) -> None:
    play_round(stages, seed)


@pytest.mark.long
@pytest.mark.parametrize("seed", named([] if asked_for() else range(ROUNDS, ROUNDS + MANY_ROUNDS)))
def test_whatever_fails_nothing_is_lost_however_often_it_is_tried(stages: Stages, seed: int) -> None:
    play_round(stages, seed)


@pytest.mark.parametrize("seed", named(asked_for() or OUTSIDE_ROUNDS))
def test_whatever_fails_nothing_is_lost_behind_an_outside_broker_either(
    outside_stages: Stages, seed: int
) -> None:
    play_round(outside_stages, seed)


@pytest.mark.long
@pytest.mark.parametrize("seed", named([] if asked_for() else MANY_OUTSIDE_ROUNDS))
def test_whatever_fails_nothing_is_lost_behind_an_outside_broker_however_often_it_is_tried(
    outside_stages: Stages, seed: int
) -> None:
    play_round(outside_stages, seed)


def test_every_kind_of_fault_comes_first_in_one_of_the_rounds_and_a_plan_follows_from_its_number() -> None:
    kinds = [draw(seed).kinds for seed in range(ROUNDS)]
    assert {kind for some in kinds for kind in some} == set(KINDS)
    assert max(map(len, kinds)) > 2
    assert draw(17) == draw(17) != draw(18)
