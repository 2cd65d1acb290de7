"""Checks, removals and swaps of a tag that somebody wears, and what goes wrong as each step begins."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager

import pytest

from tests.system.fitting_courses import (
    OF_CHECK,
    OF_GPS_TAG,
    OF_OLD,
    AnotherOnThePlug,
    BatteryEmpty,
    BatteryLow,
    CablePulled,
    Course,
    Noise,
    SecondPluggedIn,
    at_every_step,
    checking,
    killed_at_every_step,
    removing,
    stranger,
    swapping,
    who_is,
    wrong_at_each,
)
from tests.system.fitting_faults import CutOffError, cut_at
from tests.system.fitting_room import Room

VISITS = {"check": checking, "remove": removing, "swap": swapping}
every_visit = pytest.mark.parametrize("visit", VISITS.values(), ids=VISITS.keys())
Begun = Callable[[Room, str], AbstractContextManager[Course]]


pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Room]:
    with Room(tmp_path_factory.mktemp("worn-steps")) as made:
        yield made


@every_visit
def test_the_cable_is_pulled_at_every_step(room: Room, visit: Begun) -> None:
    with visit(room, f"pu{visit.__name__[:4]}") as course:
        at_every_step(course, CablePulled())


@every_visit
def test_the_battery_is_empty_at_every_step_and_is_charged(room: Room, visit: Begun) -> None:
    with visit(room, f"em{visit.__name__[:4]}") as course:
        at_every_step(course, BatteryEmpty())


@every_visit
def test_a_command_killed_at_every_step_leaves_nothing_half_done(room: Room, visit: Begun) -> None:
    with visit(room, f"ki{visit.__name__[:4]}") as course:
        killed_at_every_step(course, course.steps)


@every_visit
def test_noise_at_every_step_is_not_noticed(room: Room, visit: Begun) -> None:
    with visit(room, f"no{visit.__name__[:4]}") as course:
        at_every_step(course, Noise())


@pytest.mark.parametrize("how", ["new", "stock", "worn", "foreign"])
@every_visit
def test_another_tag_on_the_plug_is_noticed_at_every_step(room: Room, visit: Begun, how: str) -> None:
    name = f"{visit.__name__[:2]}{how[:4].strip()}"
    with stranger(room, name, "gps_tag", how) as (other, number), visit(room, name) as course:
        old = AnotherOnThePlug(
            other, r"the wearer has gps\w+ on record: plug in the tag that the wearer has on"
        )
        first, steps = _of_old(course)
        wrong_at_each(course, old, first)
        if steps:  # a swap: the new one
            if number is not None:
                said = rf"this is {number}, not new{name}"
                wrong_at_each(course, AnotherOnThePlug(other, said), OF_GPS_TAG[:3])
            _has_its_identity(course)
            said = rf"(this is {number}|what is plugged in is new).* new{name}"
            wrong_at_each(course, AnotherOnThePlug(other, said), steps)
        course.plug.push()
        course.over(course.go())
        assert who_is(other) == number


@every_visit
def test_a_second_tag_that_is_plugged_in_is_never_taken_for_the_one_that_is_worn(
    room: Room, visit: Begun
) -> None:
    name = f"2{visit.__name__[:4]}"
    with stranger(room, name, "gps_tag", "worn") as (other, number), visit(room, name) as course:
        first, steps = _of_old(course)
        wrong_at_each(course, SecondPluggedIn(other), first)
        if steps:
            two = r"2 tags are plugged in.*leave only the one"
            wrong_at_each(course, SecondPluggedIn(other, two), OF_GPS_TAG[:3])
            _has_its_identity(course)
            wrong_at_each(course, SecondPluggedIn(other), steps)
        course.plug.push()
        course.over(course.go())
        assert who_is(other) == number


def test_a_battery_that_goes_flat_while_a_check_runs_stops_it(room: Room) -> None:
    with checking(room, "lowcheck") as course:
        at_every_step(course, BatteryLow(), OF_CHECK)


def test_a_new_tag_that_goes_flat_while_a_swap_runs_takes_nobodys_place(room: Room) -> None:
    with swapping(room, "lowswap") as course:
        at_every_step(course, BatteryLow(), OF_GPS_TAG)


def test_a_flat_tag_is_taken_off_all_the_same(room: Room) -> None:
    class AllTheSame(BatteryLow):
        def says(self, step: str) -> str | None:
            return None

    with removing(room, "lowremove") as course:
        at_every_step(course, AllTheSame())
    with swapping(room, "lowold") as course:
        at_every_step(course, AllTheSame(), OF_OLD)


def _of_old(course: Course) -> tuple[Sequence[str], Sequence[str]]:
    """The steps that speak with the tag that is worn, and those with the new one."""
    if course.purpose != "swap":
        return list(course.at), ()
    return OF_OLD, (*OF_GPS_TAG, "lock")


def _has_its_identity(course: Course) -> None:
    course.plug.push()
    with pytest.raises(CutOffError):
        course.go(cut_at("after identity"))
