"""Fitting visits that go well, and ones that do not: real firmware behind pseudo-terminals, a real broker."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from typer.testing import CliRunner

from gateway.authority import Authority
from gateway.cli import app
from gateway.devices import add_device
from gateway.fitting import Stop
from gateway.fitting.door import NotAsked
from gateway.stock import history, register
from gateway.store import installations, stock
from sim.alcohol_feed import CALIBRATION
from sim.bench.tag import SENSOR_BROKEN, SENSOR_HEALTHY, SENSOR_PIN
from tests.system.fitting_courses import (
    AnotherOnThePlug,
    CablePulled,
    fitting,
    fitting_rf,
    stranger,
    who_is,
    wrong_at,
)
from tests.system.fitting_faults import (
    STEPS,
    CutOffError,
    disturbed,
    killed_at,
    no_further_than,
    swapped_at,
)
from tests.system.fitting_room import ALL_WELL, Plug, Ports, Room, leg

NOW_MS = 1_780_000_000_000


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Room]:
    with Room(tmp_path_factory.mktemp("fitting")) as made:
        yield made


def test_a_tag_from_the_factory_is_fitted_and_all_of_it_is_on_record(room: Room) -> None:
    order_id = room.order("plain")
    with leg(room, "plain") as tag, Plug(tag) as plug:
        begun: list[str] = []
        fitted = room.visit(order_id, plug, "gpsplain", begun.append, pdf=True, leaflet="both")
        assert [step for step in begun if not step.startswith("after ")] == list(STEPS)
        assert fitted.activation == "gpsplain-1"
        assert [row.order_id for row in room.active("gpsplain")] == [order_id]
        with plug.console() as console:
            said = console.identify()
            assert (said.device, said.locked) == ("gpsplain", True)
        with pytest.raises(Stop, match=r"fitted to this wearer already"):
            room.visit(order_id, plug)
    assert fitted.folder is not None
    page = (fitted.folder / "record.html").read_text()
    assert all(said in page for said in ("Alex Example", "gpsplain-1", "Sam Officer", "Position fix"))
    record = json.loads((fitted.folder / "record.json").read_text())
    assert record["officer"] == "Sam Officer"
    assert record["activation"] == "gpsplain-1"
    assert record["steps"]["sky"]["good"]
    assert [line["step"] for line in record["journal"] if line["is"] == "done"] == list(STEPS[:-1])
    files = {path.name for path in fitted.folder.iterdir()}
    papers = {f"{name}.{form}" for name in ("record", "leaflet-en", "leaflet-cy") for form in ("html", "pdf")}
    assert files == {"journal.jsonl", "record.json", *papers}
    assert all((path.stat().st_mode & 0o777) == 0o600 for path in fitted.folder.iterdir())
    key = room.key("gpsplain").hex()
    assert all(key not in path.read_text() for path in fitted.folder.iterdir() if path.suffix != ".pdf")
    assert not (room.settings.devices_dir / "gpsplain").exists()


def test_the_cable_is_pulled_and_another_tag_is_put_on_it_and_the_visit_goes_on_each_time(room: Room) -> None:
    disturbed(room, "mixed", "new", pulled=("identity", "lock"), swapped=("strap",))


@pytest.mark.long
def test_a_new_tags_identity_is_never_given_to_another_that_is_on_the_plug_by_then(room: Room) -> None:
    """It obeys whoever speaks: it is of this gateway, in stock, and not locked."""
    with stranger(room, "obeys", "gps_tag", "stock") as (other, number), fitting(room, "given") as course:
        wrong_at(course, AnotherOnThePlug(other, ""), "identity")
        assert who_is(other) == number


def test_a_command_killed_leaves_nothing_half_done_and_the_next_one_goes_on(room: Room) -> None:
    killed_at(room, "after bind")


def test_a_tag_takes_anothers_place_and_cut_off_around_it_one_whole_tag_is_bound(room: Room) -> None:
    swapped_at(room, "swapping", ("after old last readings", "bind", "after bind"))


def test_wrong_tags_are_refused_with_what_to_do(room: Room) -> None:
    order_id = room.order("wrong")
    with leg(room, "wrong") as tag:
        with Plug(tag) as plug, pytest.raises(Stop, match=r"new and has no identity: .* --device"):
            room.visit(order_id, plug)
        with Plug(tag) as plug, pytest.raises(Stop, match=r"no home unit|is not what order"):
            room.visit(room.order("sober", {"id": "a", "type": "alcohol", "mode": "abstinence"}), plug)
        with Plug(tag) as plug, pytest.raises(Stop, match=r"would not go on"):
            room.visit(order_id, plug, "gpswrong", no_further_than("self-test"))
        with Plug(tag) as plug, plug.console(room.key("gpswrong")) as console:
            console.ask("lock")  # a locked tag of ours obeys us
        with Plug(tag) as plug, pytest.raises(Stop, match=r"this is gpswrong, not gpsright"):
            room.visit(order_id, plug, "gpsright")
        with Plug(tag) as plug:
            assert room.visit(order_id, plug).activation == "gpswrong-1"
            with pytest.raises(Stop, match=r"on another wearer on record .gpswrong-1."):
                room.visit(room.order("another"), plug)


def test_a_tag_of_another_gateway_is_refused_and_one_that_only_says_that_it_is_ours_is_not_believed(
    room: Room,
) -> None:
    with leg(room, "foreign") as tag, Plug(tag) as plug:
        key = room.given_elsewhere(plug, "gpstheirs")
        with plug.console(key) as console:
            console.ask("lock")
        with pytest.raises(Stop, match=r"gpstheirs belongs to another gateway"):
            room.visit(room.order("ours"), plug)
        add_device(room.store, Authority.of(room.settings), "gpstheirs", settings=room.settings)
        with pytest.raises(Stop, match=r"does not know the key of gpstheirs"):
            room.visit(room.order("liar"), plug)
    assert room.active("gpstheirs") == []


def test_a_dry_run_changes_nothing_and_writes_nothing(room: Room) -> None:
    order_id = room.order("dry")
    before = room.open_visits()
    with leg(room, "dry") as tag, Plug(tag) as plug:
        assert room.visit(order_id, plug, "gpsdry", dry_run=True).activation is None
        with plug.console() as console:
            assert console.identify().device is None
    assert room.open_visits() == before
    assert room.active("gpsdry") == []


def test_a_visit_at_which_nobody_opens_is_on_record_once_and_a_task_waits_whenever_it_is_cut_off(
    room: Room,
) -> None:
    order_id = room.order("nobody")
    nobody = {"arrival": "no_answer", "note": "dark, two rings"}
    for cut in ("door arrival", "after door arrival", "outcome", "after outcome", "record"):

        def stop(at: str, wanted: str = cut) -> None:
            if at == wanted:
                raise CutOffError

        with pytest.raises(CutOffError):
            room.visit(order_id, Ports(), answers=nobody, fault=stop)
    ended = room.visit(order_id, Ports(), answers=nobody)
    assert (ended.outcome, ended.activation, ended.resumed) == ("no_answer", None, True)
    assert ended.folder is not None
    page = (ended.folder / "record.html").read_text()
    assert all(
        said in page for said in ("NOT DONE: no answer", "dark, two rings", "have another visit planned")
    )
    (task,) = room.tasks(order_id)
    assert task.kind == "visit_no_answer"
    assert "Nothing was fitted" in task.sentence
    assert not [path for path in room.open_visits() if path.name.startswith("nobody-")]


def test_without_answers_nothing_is_begun_and_what_is_missing_is_named(room: Room) -> None:
    order_id = room.order("silent door")
    with leg(room, "untouched") as tag, Plug(tag) as plug:
        with pytest.raises(
            NotAsked, match=r"not answered: arrival .yes, no_answer.*implant.*--answers FILE"
        ) as stop:
            room.visit(order_id, plug, "gpsnone", answers={})
        assert set(stop.value.missing) == set(ALL_WELL) - {"interpreter"}
        with plug.console() as console:
            assert console.identify().device is None
    assert room.active("gpsnone") == []


def test_the_command_tells_by_its_exit_code_how_the_visit_has_ended(room: Room) -> None:
    order_id = room.order("exits")
    command = [
        "fit",
        order_id,
        "--json",
        "--data-dir",
        str(room.settings.data_dir),
        "--port",
        "/dev/there-is-none",
    ]

    def typed(*more: str) -> tuple[int, dict[str, Any]]:
        ended = CliRunner().invoke(app, [*command, *more])
        return ended.exit_code, json.loads(ended.stdout) if ended.stdout else {}

    code, told = typed("--answer", "arrival=yes", "--answer", "identity=known")
    assert (code, told["outcome"], told["step"]) == (1, "stopped", "door")
    assert "consent" in told["missing"]
    assert "identity" not in told["missing"]
    code, told = typed("--outcome", "unsafe", "--note", "a dog")
    assert (code, told["outcome"], told["activation"]) == (3, "unsafe", None)
    code, told = typed("--check")
    assert (code, "nobody has a device on" in told["problem"]) == (1, True)
    assert CliRunner().invoke(app, ["fit", "check", *command[1:]]).stdout == json.dumps(told) + "\n"
    assert typed("--check", "--remove")[0] == 2
    assert CliRunner().invoke(app, ["fit", "throw", *command[1:]]).exit_code == 2
    assert typed("--outcome", "fitted")[0] == 2
    assert typed("--answer", "skin")[0] == 2


def test_who_sits_there_is_asked_in_few_words_and_is_asked_no_answer_twice(room: Room) -> None:
    order_id = room.order("asked")
    typed = iter(["perhaps", "y", "doc", "ad", "", "yes", "", "n", "not", "n", "yes", "other", "advice"])
    asked: list[str] = []

    def ask(question: str) -> str:
        asked.append(question)
        return next(typed)

    def stop(at: str) -> None:
        if at == "door skin":
            raise CutOffError

    with pytest.raises(CutOffError):
        room.visit(order_id, Ports("/dev/there-is-none"), answers={}, ask=ask, fault=stop)
    with pytest.raises(Stop, match=r"no tag answers"):
        room.visit(order_id, Ports("/dev/there-is-none"), answers={}, ask=ask)
    assert next(typed, None) is None
    assert len([one for one in asked if one.startswith("How do you know")]) == 1
    assert [
        "adjustment needed" in one.sentence or "adjustment is needed" in one.sentence
        for one in room.tasks(order_id)
    ]
    ended = room.visit(order_id, Ports(), answers={"arrival": "refused"})
    assert ended.outcome == "refused"
    assert ended.steps["door skin"] == {"asked": True, "answer": "no"}
    assert ended.steps["door interpreter"] == {"asked": False, "answer": None}
    assert {one.kind for one in room.tasks(order_id)} == {"visit_adjustment", "visit_refused"}


def test_with_the_answer_that_ends_the_visit_nothing_more_is_asked(room: Room) -> None:
    typed = iter(["yes", "no"])
    ended = room.visit(room.order("stranger"), Ports(), answers={}, ask=lambda _: next(typed))
    assert ended.outcome == "rebook"
    assert "door age" not in ended.steps
    typed = iter(["unsafe", "a dog"])
    ended = room.visit(room.order("dog"), Ports(), answers={}, ask=lambda _: next(typed))
    assert (ended.outcome, ended.steps["door note"]["answer"]) == ("unsafe", "a dog")


def test_an_alcohol_tag_gets_its_calibration_and_its_baseline_and_noise_costs_nothing(room: Room) -> None:
    order_id = room.order("alcohol", {"id": "dry", "type": "alcohol", "mode": "abstinence"})
    with leg(room, "alcohol", "alcohol_tag") as tag, Plug(tag) as plug:
        with pytest.raises(Stop, match=r"needs the calibration of its maker .* --settings"):
            room.visit(order_id, plug, "alc00001")

        def noise(step: str) -> None:
            plug.noise(sum(step.encode()))

        fitted = room.visit(order_id, plug, "alc00001", noise, extra=CALIBRATION)
        assert fitted.steps["baseline"]["infrared_mv"] == pytest.approx(1200, abs=5)
        assert fitted.activation == "alc00001-1"


def test_an_rf_tag_is_bound_with_the_home_unit_that_hears_it_from_every_room(room: Room) -> None:
    """And the unit's plug comes off once meanwhile."""
    with fitting_rf(room, "room") as course:
        course.asked["rooms"] = ("kitchen", "bedroom")
        wrong_at(course, CablePulled(), "survey")
        fitted = course.go()
        course.over(fitted)
    assert fitted.activation == "rfroom-1"
    assert [(one["room"], one["good"]) for one in fitted.steps["survey"]["rooms"]] == [
        ("kitchen", True),
        ("bedroom", True),
    ]
    with room.store.read() as connection:
        (stands,) = [one for one in installations.every(connection) if one.unit == "unitroom"]
    assert (stands.activation, stands.removed_ms) == ("rfroom-1", None)


def test_what_is_worn_is_checked_and_taken_off_and_the_tag_goes_to_another_wearer(room: Room) -> None:
    order_id, next_order = room.order("first"), room.order("second")
    with leg(room, "worn") as tag, leg(room, "unworn") as unworn:
        with Plug(tag) as plug:
            with pytest.raises(Stop, match=r"nobody has a device on"):
                room.visit(order_id, plug, purpose="check")
            room.visit(order_id, plug, "gpsworn")
            assert room.visit(order_id, plug, purpose="check").outcome == "checked"
        with Plug(unworn) as plug, pytest.raises(Stop, match=r"the wearer has gpsworn on record"):
            room.visit(order_id, plug, purpose="remove")
        with Plug(tag) as plug:
            with pytest.raises(Stop, match=r"would not go on"):
                room.visit(order_id, plug, purpose="remove", fault=no_further_than("unbind"))
            assert room.visit(order_id, plug, purpose="remove").outcome == "removed"
            assert room.active("gpsworn") == []
            assert room.visit(next_order, plug).activation == "gpsworn-2"
        assert room.visit(next_order, Ports(), purpose="remove", lost=True).activation == "gpsworn-2"


def test_a_tag_in_quarantine_is_refused_and_one_whose_part_is_broken_gets_there_by_itself(room: Room) -> None:
    order_id = room.order("aside")
    with leg(room, "aside") as tag, Plug(tag) as plug:
        room.visit(order_id, plug, "gpsaside")
        room.visit(order_id, plug, purpose="remove")
        with room.store.read() as connection:
            told = history.show(connection, "gpsaside")
        assert told["activations"][0]["fitted_by"] == "Sam Officer"
        assert told["activations"][0]["removed_by"] == "Sam Officer"
        register.quarantine(room.store, "gpsaside", "Wanda Workshop", "wet inside", NOW_MS)
        with pytest.raises(
            Stop, match=r"in quarantine since .*wet inside.*take another one.*device release gpsaside"
        ):
            room.visit(order_id, plug)
        assert room.active("gpsaside") == []
        register.release(room.store, "gpsaside", "Wanda Workshop", "dried", NOW_MS)
        again = room.visit(order_id, plug)
    assert again.activation == "gpsaside-2"


@pytest.mark.long
def test_a_verdict_that_nobody_mends_in_a_hallway_puts_the_tag_into_quarantine(room: Room) -> None:
    order_id = room.order("broken")
    with leg(room, "broken") as tag, Plug(tag) as plug:
        tag.set_pin(tag.now_ms, SENSOR_PIN, SENSOR_BROKEN)
        with pytest.raises(Stop, match=r"motion of gpsbroken: .*; it is in quarantine now: take another one"):
            room.visit(order_id, plug, "gpsbroken")
        tag.set_pin(tag.now_ms, SENSOR_PIN, SENSOR_HEALTHY)
        with pytest.raises(Stop, match=r"in quarantine since .*motion of gpsbroken"):
            room.visit(order_id, plug, "gpsbroken")
    with room.store.read() as connection:
        said = [one.what for one in stock.events(connection, "gpsbroken")]
    assert said == ["failed", "quarantined"]
