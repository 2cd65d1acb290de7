"""The complete table of faults and steps of fitting visits (docs/fitting.md); each is minutes long."""

from __future__ import annotations

import os
import pty
from collections.abc import Iterator

import pytest
from boards.esp32_pins import PINS

from gateway.fitting import Stop
from gateway.store import installations
from sim.fitting import in_one_room
from tests.community_order import every_day
from tests.system.fitting_courses import (
    OF_GPS_TAG,
    AnotherOnThePlug,
    BatteryEmpty,
    BatteryLow,
    SecondPluggedIn,
    at_every_step,
    fitting,
    stranger,
    who_is,
    wrong_at_each,
)
from tests.system.fitting_faults import (
    MOVES,
    STEPS,
    TOUCHES,
    CutOffError,
    cut_at,
    disturbed,
    killed_at,
    no_further_than,
    swapped_at,
    whole,
)
from tests.system.fitting_room import PACE, Plug, Ports, Room, leg

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Room]:
    with Room(tmp_path_factory.mktemp("every-step")) as made:
        yield made


def test_the_cable_is_pulled_at_every_step_that_needs_it(room: Room) -> None:
    disturbed(room, "pulled", "new", pulled=TOUCHES, swapped=())


@pytest.mark.parametrize("stranger", ["new", "worn", "theirs"])
def test_another_tag_on_the_plug_is_noticed_at_every_step(room: Room, stranger: str) -> None:
    """A new one, one that another wearer has on, and a locked one of another gateway."""
    disturbed(room, f"swap{stranger}", stranger, pulled=(), swapped=TOUCHES[2:])


@pytest.mark.parametrize("step", [*STEPS, *(f"after {step}" for step in STEPS[:-1])])
def test_a_command_killed_at_any_step_leaves_nothing_half_done(room: Room, step: str) -> None:
    killed_at(room, step)


def test_noise_at_every_step_costs_the_visit_nothing(room: Room) -> None:
    order_id = room.order("noisy")
    with leg(room, "noisy") as tag, Plug(tag) as plug:
        fitted = room.visit(order_id, plug, "gpsnoisy", lambda step: plug.noise(sum(step.encode())))
        assert fitted.activation == "gpsnoisy-1"


def test_a_battery_that_goes_flat_at_any_step_stops_the_next_command_until_the_tag_is_bound(
    room: Room,
) -> None:
    order_id = room.order("flatter")
    with leg(room, "flatter") as tag:
        for step in TOUCHES[:-1]:
            with Plug(tag) as plug, pytest.raises(CutOffError):
                room.visit(order_id, plug, "gpsflatter", cut_at(step))
            tag.set_pin(tag.now_ms, PINS["battery_adc"], 1700)
            with Plug(tag) as plug, pytest.raises(Stop, match=r"battery of gpsflatter: 3400 mV: charge it"):
                room.visit(order_id, plug, "gpsflatter")
            assert room.active("gpsflatter") == []
            tag.set_pin(tag.now_ms, PINS["battery_adc"], 1950)
        with Plug(tag) as plug, pytest.raises(CutOffError):
            room.visit(order_id, plug, "gpsflatter", cut_at("after bind"))
        tag.set_pin(tag.now_ms, PINS["battery_adc"], 1700)
        with Plug(tag) as plug:
            assert room.visit(order_id, plug, "gpsflatter").activation == "gpsflatter-1"


def test_a_battery_that_goes_flat_while_the_command_runs_stops_it_and_nobody_is_bound(room: Room) -> None:
    with fitting(room, "low") as course:
        at_every_step(course, BatteryLow(), OF_GPS_TAG)


def test_a_battery_that_is_empty_at_any_step_of_a_command_and_is_charged_costs_nothing(room: Room) -> None:
    with fitting(room, "empty") as course:
        at_every_step(course, BatteryEmpty())


@pytest.mark.parametrize("how", ["new", "stock", "worn", "foreign"])
def test_another_tag_on_the_plug_from_the_first_step_on_is_noticed(room: Room, how: str) -> None:
    """As long as the visit's own has no identity one new tag is as good as another; then it is not."""
    name = f"g{how[:4]}"
    with stranger(room, name, "gps_tag", how) as (other, number), fitting(room, f"o{name}") as course:
        ours = f"gpso{name}"
        if number is not None:
            wrong_at_each(course, AnotherOnThePlug(other, f"this is {number}, not {ours}"), OF_GPS_TAG[:3])
        with pytest.raises(CutOffError):
            course.go(cut_at("after identity"))
        said = rf"(this is {number}|what is plugged in is new).* {ours}"
        at_every_step(course, AnotherOnThePlug(other, said))
        assert who_is(other) == number


@pytest.mark.parametrize("how", ["new", "worn"])
def test_a_second_tag_that_is_plugged_in_while_the_command_runs_is_left_alone(room: Room, how: str) -> None:
    two = r"2 tags are plugged in.*leave only the one"
    with stranger(room, f"b{how}", "gps_tag", how) as (other, number), fitting(room, f"2{how}") as course:
        wrong_at_each(course, SecondPluggedIn(other, two), OF_GPS_TAG[:2])
        with pytest.raises(CutOffError):
            course.go(cut_at("after identity"))
        at_every_step(course, SecondPluggedIn(other))
        assert who_is(other) == number


def test_a_second_tag_that_is_plugged_in_at_any_step_is_never_taken_for_the_visits_own(room: Room) -> None:
    order_id = room.order("second")
    with leg(room, "mine") as tag, leg(room, "second") as other:
        for step in TOUCHES:
            with Plug(tag) as plug, pytest.raises(CutOffError):
                room.visit(order_id, plug, "gpsmine", cut_at(step))
            with Plug(tag, other) as plug:
                if step in TOUCHES[:2]:  # it is new, as the other one is
                    with pytest.raises(Stop, match=r"2 tags are plugged in.*leave only the one"):
                        room.visit(order_id, plug, "gpsmine")
                else:
                    with pytest.raises(CutOffError):
                        room.visit(order_id, plug, None, cut_at(f"after {step}"))
            with Plug(tag) as plug:
                whole(room, plug, "gpsmine")
        with Plug(tag, other) as plug:
            assert room.visit(order_id, plug, None).activation == "gpsmine-1"
        other.connect_tool()
        assert other.console('{"do": "identify"}')["device"] is None


def test_a_tag_takes_anothers_place_and_cut_off_at_every_move_one_whole_tag_is_bound(room: Room) -> None:
    swapped_at(room, "swapall", MOVES)


def test_an_open_strap_stops_the_visit_and_closing_it_lets_it_go_on(room: Room) -> None:
    order_id = room.order("strap")
    with leg(room, "strap") as tag:
        tag.set_pin(tag.now_ms, PINS["strap"], 1)
        with Plug(tag) as plug, pytest.raises(Stop, match=r"strap or case is open: close the strap"):
            room.visit(order_id, plug, "gpsstrap")
        assert room.active("gpsstrap") == []
        tag.set_pin(tag.now_ms, PINS["strap"], 0)
        with Plug(tag) as plug:
            assert room.visit(order_id, plug).activation == "gpsstrap-1"


def test_a_flat_battery_stops_the_visit_and_another_tag_takes_its_place(room: Room) -> None:
    order_id = room.order("flat")
    with leg(room, "flat") as flat, leg(room, "full") as full:
        flat.set_pin(flat.now_ms, PINS["battery_adc"], 1700)
        with Plug(flat) as plug, pytest.raises(Stop, match=r"battery of gpsflat: 3400 mV: charge it"):
            room.visit(order_id, plug, "gpsflat")
        with Plug(full) as plug:
            assert room.visit(order_id, plug, "gpsfull").activation == "gpsfull-1"
    assert room.active("gpsflat") == []


def test_two_tags_at_once_are_told_apart_by_their_number_or_not_at_all(room: Room) -> None:
    order_id = room.order("two")
    with leg(room, "one") as one, leg(room, "other") as other:
        with (
            Plug(one, other) as plug,
            pytest.raises(Stop, match=r"2 tags are plugged in.*leave only the one"),
        ):
            room.visit(order_id, plug, "gpsone")
        for tag, device in ((one, "gpsone"), (other, "gpsother")):
            with Plug(tag) as plug, pytest.raises(Stop, match=r"would not go on"):
                room.visit(order_id, plug, device, no_further_than("self-test"))
        with Plug(one, other) as plug:
            assert room.visit(order_id, plug, "gpsother").activation == "gpsother-1"


def test_a_silent_port_and_none_at_all_are_told_apart(room: Room) -> None:
    order_id = room.order("silent")
    ours, theirs = pty.openpty()

    try:
        with pytest.raises(Stop, match=r"no tag answers at .* charge the tag"):
            room.visit(order_id, Ports(os.ttyname(theirs)))
    finally:
        os.close(ours)
        os.close(theirs)
    with pytest.raises(Stop, match=r"connection at /dev/there-is-none is gone"):
        room.visit(order_id, Ports("/dev/there-is-none"))


def test_where_the_old_strap_was_open_before_the_new_tag_was_on_the_gap_is_on_record_as_it_was(
    room: Room,
) -> None:
    order_id = room.order("gap")
    with leg(room, "cut") as old, leg(room, "next") as new:
        with Plug(old, pace=1) as plug:
            room.visit(order_id, plug, "gpscut")
        old.set_pin(old.now_ms, PINS["strap"], 1)
        with Plug(old, pace=1) as plug:
            with pytest.raises(
                Stop, match=r"gpscut, the tag that is to go: leave it on the leg, put the plug on"
            ):
                room.visit(order_id, plug, "gpsnext", purpose="swap")
            opened_ms = room.opened("gpscut")
        with Plug(new, pace=1) as plug:
            done = room.visit(order_id, plug, "gpsnext", purpose="swap")
    assert done.steps["bind"]["unproven_ms"] == opened_ms
    assert done.steps["bind"]["unproven_ms"] < done.steps["bind"]["fitted_ms"]
    assert room.active("gpscut") == []
    assert done.folder is not None
    assert "Nothing shows who wore it" in (done.folder / "record.html").read_text()


def test_a_lost_rf_tag_is_replaced_and_its_home_unit_is_told_to_listen_for_the_new_one(room: Room) -> None:
    home = {"name": "home", "latitude": 52.1, "longitude": 4.9, "radius_m": 30}
    curfew = {"id": "c", "type": "curfew", "address": home, "timetable": every_day("19:00", "07:00")}
    order_id = room.order("rfswap", curfew)
    with (
        leg(room, "rfold", "rf_tag") as old,
        leg(room, "rfnew", "rf_tag") as new,
        leg(room, "hub", "home_unit") as hub,
    ):
        with in_one_room(old, hub, pace=3 * PACE) as ports:
            room.visit(
                order_id, Ports(*(port.path for port in ports)), "rfold001", unit="unitswap", rooms=("hall",)
            )
        with in_one_room(new, hub, pace=3 * PACE) as ports:
            plugs = Ports(*(port.path for port in ports))
            done = room.visit(order_id, plugs, "rfnew001", purpose="swap", lost=True, rooms=("hall",))
    assert (done.outcome, done.steps["bind"]["unit"]) == ("swapped", "unitswap")
    assert done.steps["bind"]["unproven_ms"] is not None
    assert (len(room.active("rfold001")), len(room.active("rfnew001"))) == (0, 1)
    with room.store.read() as connection:
        stands = {one.activation: one for one in installations.every(connection) if one.unit == "unitswap"}
    assert stands["rfold001-1"].removed_ms == stands["rfnew001-1"].installed_ms
    assert stands["rfnew001-1"].removed_ms is None
    assert room.is_told("unitswap", ("hear", "rfnew001"), ("unhear", "rfold001"))
