"""An RF tag and its home unit in one visit, and what goes wrong with either of them as each step begins."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from gateway.fitting import Stop
from tests.system.fitting_courses import (
    OF_RF_TAG,
    OF_UNIT,
    AnotherOnThePlug,
    BatteryEmpty,
    BatteryLow,
    CablePulled,
    Noise,
    SecondPluggedIn,
    at_every_step,
    fitting_rf,
    killed_at_every_step,
    stranger,
    who_is,
    wrong_at_each,
)
from tests.system.fitting_faults import CutOffError, cut_at
from tests.system.fitting_room import Room, leg

UNIT_PLUG = OF_UNIT[:-1]
"""Steps at which the wearer's tag is not asked anything, and may be unplugged."""


pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Room]:
    with Room(tmp_path_factory.mktemp("rf-steps")) as made:
        yield made


def test_the_cable_is_pulled_off_either_at_every_step(room: Room) -> None:
    with fitting_rf(room, "pulled") as course:
        at_every_step(course, CablePulled())


def test_either_battery_is_empty_at_every_step_and_is_charged(room: Room) -> None:
    with fitting_rf(room, "empty") as course:
        at_every_step(course, BatteryEmpty())


def test_a_battery_that_goes_flat_while_the_command_runs_stops_it_and_nobody_is_bound(room: Room) -> None:
    with fitting_rf(room, "low") as course:
        # seen at the next look at the parts; when the rooms are done they are not done again
        wrong_at_each(course, BatteryLow(), (*OF_RF_TAG[: OF_RF_TAG.index("check")], *OF_UNIT[:5], "survey"))
        at_every_step(course, BatteryLow(), ("hear", "unit check", "first reading"))


def test_a_command_killed_at_every_step_of_tag_and_unit_leaves_nothing_half_done(room: Room) -> None:
    with fitting_rf(room, "killed") as course:
        killed_at_every_step(course, course.steps)


def test_noise_at_every_step_is_noticed_by_neither(room: Room) -> None:
    with fitting_rf(room, "noise") as course:
        at_every_step(course, Noise())


def test_a_second_home_unit_or_tag_that_is_plugged_in_is_never_taken_for_the_visits_own(room: Room) -> None:
    two = r"2 tags are plugged in.*leave only the one"
    with leg(room, "unitbeside", "home_unit") as beside, fitting_rf(room, "second") as course:
        at_every_step(course, SecondPluggedIn(beside, two), UNIT_PLUG)
        assert who_is(beside) is None
    with leg(room, "rfbeside", "rf_tag") as beside, fitting_rf(room, "secondtag") as course:
        at_every_step(course, SecondPluggedIn(beside, two), OF_RF_TAG)
        assert who_is(beside) is None


@pytest.mark.parametrize("how", ["new", "stock", "worn", "foreign"])
def test_another_home_unit_on_the_plug_is_noticed_at_every_step(room: Room, how: str) -> None:
    name = f"u{how[:4].strip()}"
    with stranger(room, name, "home_unit", how) as (other, number), fitting_rf(room, f"o{name}") as course:
        ours = f"unito{name}"
        if number is not None:  # as long as ours has no identity one new unit is as good as another
            wrong_at_each(course, AnotherOnThePlug(other, f"this is {number}, not {ours}"), UNIT_PLUG[:3])
        with pytest.raises(CutOffError):
            course.go(cut_at("after unit identity"))
        said = rf"(this is {number}|what is plugged in is new).* {ours}"
        at_every_step(course, AnotherOnThePlug(other, said), (*OF_UNIT, "unit lock"))
        assert who_is(other) == number


@pytest.mark.parametrize("how", ["new", "stock", "worn", "foreign"])
def test_another_rf_tag_on_the_plug_is_noticed_at_every_step(room: Room, how: str) -> None:
    name = f"t{how[:4].strip()}"
    with stranger(room, name, "rf_tag", how) as (other, number), fitting_rf(room, f"o{name}") as course:
        ours = f"rfo{name}"
        if number is not None:
            wrong_at_each(course, AnotherOnThePlug(other, f"this is {number}, not {ours}"), OF_RF_TAG[:3])
        with pytest.raises(CutOffError):
            course.go(cut_at("after identity"))
        said = rf"(this is {number}|what is plugged in is new).* {ours}"
        at_every_step(course, AnotherOnThePlug(other, said), OF_RF_TAG)
        assert who_is(other) == number


def test_tag_and_unit_are_plugged_in_in_whatever_order_and_it_says_which_is_wanted(room: Room) -> None:
    with fitting_rf(room, "orders") as course:
        tag, unit = course.numbers
        course.plug.pull(tag)
        with pytest.raises(
            Stop, match=r"is not what order orders needs here, which is a gps tag or rf tag: plug in"
        ):
            course.go()
        course.plug.pull(unit)
        course.plug.push(tag)
        with pytest.raises(Stop, match=r"is not what order orders needs here, which is a home unit: plug in"):
            course.go()
        for step in UNIT_PLUG[1:]:
            # the unit on the plug and the tag beside it; then the tag again, and the unit gone
            course.plug.push()
            with pytest.raises(CutOffError):
                course.go(cut_at(step))
            course.plug.pull(unit)
            with pytest.raises(Stop, match=r"which is a home unit: plug in"):
                course.go()
            course.plug.pull(tag)
            course.plug.push(unit)
            course.plug.push(tag)
            course.intact()
        course.over(course.go())
