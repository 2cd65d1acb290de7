"""What the program fails at again and again is put aside, so that everybody else is judged; nothing is lost by it."""

from __future__ import annotations

import json
import os
import queue
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from core.readings import TamperCode
from gateway.cli import app
from gateway.control import ControlError
from gateway.group import Received
from gateway.suspects import JUDGING_DEATHS, MESSAGE_DEATHS, Suspects, digest
from tests.core.wearers import MONDAY_MS
from tests.gateway.conftest import House, open_house
from tests.gateway.forked import forked, was_killed
from tests.gateway.stand_in import StandIn
from tests.gateway.test_every_kind import CURFEW, HOUR_MS, tamper, told, wear

PROGRAM = "this version"


def message(number: int) -> Received:
    return Received(f"t/{number}", b"said %d" % number, 5)


def ended_at(folder: Path, work: Callable[[Suspects], None]) -> None:
    """A process that is killed while it is at something."""

    def doomed() -> None:
        work(Suspects(folder, PROGRAM))
        os.kill(os.getpid(), signal.SIGKILL)

    assert was_killed(forked(doomed))


def test_messages_at_which_the_process_ended_are_decided_upon_alone_and_in_their_order(
    tmp_path: Path,
) -> None:
    ended_at(tmp_path, lambda notes: notes.deciding([message(2), message(3)]))
    notes = Suspects(tmp_path, PROGRAM)
    groups = notes.apart([message(number) for number in range(1, 7)])
    assert [[int(one.topic[2:]) for one in group] for group in groups] == [[1], [2], [3], [4, 5, 6]]
    for group in groups:
        assert not any(notes.is_guilty(one) for one in group)
        notes.deciding(group)
        notes.decided(group)
    notes.close()
    assert len(Suspects(tmp_path, PROGRAM).apart([message(2), message(3)])) == 1


def test_one_that_was_alone_at_the_end_so_often_is_guilty_and_one_that_passed_once_is_not(
    tmp_path: Path,
) -> None:
    for _ in range(MESSAGE_DEATHS):
        assert not Suspects(tmp_path, PROGRAM).is_guilty(message(1))
        ended_at(tmp_path, lambda notes: notes.deciding([message(1)]))
    notes = Suspects(tmp_path, PROGRAM)
    assert notes.is_guilty(message(1))
    assert not notes.is_guilty(message(2))
    notes.decided([message(1)])
    assert not Suspects(tmp_path, PROGRAM).is_guilty(message(1))


def test_a_process_that_ends_at_nothing_blames_nobody(tmp_path: Path) -> None:
    def at_rest(notes: Suspects) -> None:
        notes.deciding([message(1)])
        notes.idle()
        notes.judging()
        notes.idle()

    for _ in range(2 * MESSAGE_DEATHS):
        ended_at(tmp_path, at_rest)
    notes = Suspects(tmp_path, PROGRAM)
    assert (notes.apart([message(1), message(2)]), notes.careful) == ([[message(1), message(2)]], False)


def test_after_so_many_ends_while_judging_wearers_are_looked_at_alone_and_one_is_put_aside(
    tmp_path: Path,
) -> None:
    for _ in range(JUDGING_DEATHS):
        assert not Suspects(tmp_path, PROGRAM).careful
        ended_at(tmp_path, lambda notes: notes.judging())
    for _ in range(JUDGING_DEATHS):
        notes = Suspects(tmp_path, PROGRAM)
        assert notes.careful
        assert notes.aside == {}
        ended_at(tmp_path, lambda notes: notes.judging("tag0001-1"))
    notes = Suspects(tmp_path, PROGRAM)
    assert list(notes.aside) == ["tag0001-1"]
    assert not notes.careful
    assert Suspects(tmp_path, "another version").aside == {}, "a newer program may be able to"


def test_ends_while_judging_do_not_count_once_everybody_was_judged(tmp_path: Path) -> None:
    for _ in range(3 * JUDGING_DEATHS):
        ended_at(tmp_path, lambda notes: notes.judging())
        Suspects(tmp_path, PROGRAM).judged()
    assert not Suspects(tmp_path, PROGRAM).careful


def test_where_it_ends_at_everybody_most_are_not_put_aside(tmp_path: Path) -> None:
    for _ in range(40):
        notes = Suspects(tmp_path, PROGRAM)
        who = next(f"tag{n:04d}-1" for n in range(40) if f"tag{n:04d}-1" not in notes.aside)
        ended_at(tmp_path, lambda notes, who=who: notes.judging(who if notes.careful else "*"))  # type: ignore[misc]
    assert len(Suspects(tmp_path, PROGRAM).aside) == 3


@pytest.mark.parametrize(
    "content", [b"", b"00000009", b"00000020{", b"99999999[1]", b"00000004null", b"\xff" * 40]
)
def test_a_note_that_tells_nothing_blames_nobody(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "at-work").write_bytes(content)
    (tmp_path / "suspects.json").write_bytes(content)
    notes = Suspects(tmp_path, PROGRAM)
    assert (notes.aside, notes.careful, notes.apart([message(1)])) == ({}, False, [[message(1)]])


def test_a_message_is_the_same_whenever_it_comes_and_no_other() -> None:
    assert digest(message(1)) == digest(message(1)._replace(received_ms=9, ticket=7))
    assert len({digest(message(1)), digest(message(2)), digest(Received("t/2", b"said 1", 5))}) == 3


@pytest.fixture(autouse=True)
def planted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Says which fault the ingest has; nothing: none."""
    where = tmp_path / "planted.json"
    monkeypatch.setenv("PLANTED", str(where))
    folder = Path(__file__).with_name("planted")
    monkeypatch.setenv("PYTHONPATH", f"{folder}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")

    def plant(**fault: str) -> None:
        if fault:
            where.write_text(json.dumps(fault))
        else:
            where.unlink()

    return plant


@pytest.fixture
def faulty(tmp_path: Path) -> Iterator[House]:
    """A gateway into whose ingest faults can be planted, and which notices a process that hangs after two seconds."""
    house = open_house(tmp_path / "gateway", hung_after_s=2)
    try:
        yield house
    finally:
        house.close()
        assert house.gateway.stop() == 0


def moved(house: House, t_ms: int) -> None:
    """Time moves on, also where the ingest has to be started again meanwhile."""
    for _ in range(30):
        try:
            house.gateway.advance(t_ms)
            return
        except (ControlError, OSError):
            continue
    raise AssertionError("the gateway's time does not move")


def emptied(tag: StandIn) -> None:
    """What a tag was told before is looked through."""
    while True:
        try:
            tag.downs.get(timeout=0.5)
        except queue.Empty:
            return


def strap_opened(house: House, count: int) -> list[tuple[StandIn, str]]:
    """So many tags whose straps are opened at nine; and their activations."""
    tags = [house.new_tag() for _ in range(count)]
    worn = [wear(house, tag.device, MONDAY_MS, CURFEW) for tag in tags]
    house.gateway.advance(MONDAY_MS + 8 * HOUR_MS)
    return list(zip(tags, worn, strict=True))


@pytest.mark.parametrize("how", ["raise", pytest.param("kill", marks=pytest.mark.long)])
def test_one_wearer_at_whom_the_program_fails_does_not_keep_others_from_being_judged_and_is_told_of(
    faulty: House, planted: Callable[..., None], how: str
) -> None:
    (first, one), (bad, wearer), (last, other) = strap_opened(faulty, 3)
    planted(at="judging", who=wearer, how=how)
    words = [tag.seal(tamper(1, MONDAY_MS + 9 * HOUR_MS, TamperCode.STRAP, 1)) for tag in (first, bad, last)]
    for _ in range(10):
        for tag, word in zip((first, bad, last), words, strict=True):
            tag.publish(word)  # as a tag does, until it is told that it is committed
        moved(faulty, MONDAY_MS + 10 * HOUR_MS)
        if all(told(faulty, worn) for worn in (one, wearer, other)):
            break
    assert [told(faulty, worn, "strap_tamper")[0]["state"] for worn in (one, other)] == ["open", "open"]
    (alert,) = told(faulty, wearer)
    assert (alert["rule"], alert["state"], alert["severity"]) == ("not_judged", "open", "high")
    assert list(faulty.gateway.status()["put_aside"]) == [wearer]
    emptied(bad)
    assert bad.say(tamper(2, MONDAY_MS + 10 * HOUR_MS, TamperCode.CASE, 1)).commit == (bad.epoch, 2)
    # once more: it is told once, and the others are judged as before
    faulty.gateway.wait_restarted("ingest", faulty.gateway.kill_part("ingest"))
    last.say(tamper(2, MONDAY_MS + 10 * HOUR_MS, TamperCode.CASE, 1))
    moved(faulty, MONDAY_MS + 11 * HOUR_MS)
    assert told(faulty, wearer) == [alert]
    assert [found["rule"] for found in told(faulty, other)] == ["strap_tamper", "case_tamper"]

    planted()
    said = CliRunner().invoke(app, ["judge-again", "--data-dir", str(faulty.settings.data_dir)])
    assert (said.exit_code, said.output.split()) == (0, [wearer])
    moved(faulty, MONDAY_MS + 12 * HOUR_MS)
    moved(faulty, MONDAY_MS + 12 * HOUR_MS)
    states = {found["rule"]: found["state"] for found in told(faulty, wearer)}
    assert states == {"not_judged": "ended", "strap_tamper": "open", "case_tamper": "open"}
    assert faulty.gateway.status()["put_aside"] == {}


def test_where_the_program_fails_at_everybody_nobody_is_put_aside(
    faulty: House, planted: Callable[..., None]
) -> None:
    tags = strap_opened(faulty, 6)
    planted(at="judging", who="-1", how="raise")
    for tag, _ in tags:
        tag.say(tamper(1, MONDAY_MS + 9 * HOUR_MS, TamperCode.STRAP, 1))
    with pytest.raises(ControlError, match="judging failed"):
        faulty.gateway.advance(MONDAY_MS + 10 * HOUR_MS)
    assert faulty.gateway.status()["put_aside"] == {}


@pytest.mark.long
@pytest.mark.parametrize("how", ["kill", "hang"])
def test_a_message_that_ends_the_ingest_ever_again_is_put_aside_and_the_others_are_committed(
    faulty: House, planted: Callable[..., None], how: str
) -> None:
    bad, other = faulty.new_tag(), faulty.new_tag()
    planted(at="message", who=bad.device, how=how)
    again = bad.seal(tamper(1, MONDAY_MS, TamperCode.STRAP, 1))
    for _ in range(30):
        bad.publish(again)
        try:
            faulty.settle()
        except (ControlError, OSError):
            continue
        if faulty.gateway.status()["quarantined"]:
            break
    assert faulty.gateway.status()["quarantined_by_reason"] == {"internal_error": 1}
    assert other.say(tamper(1, MONDAY_MS, TamperCode.STRAP, 1)).commit == (other.epoch, 1)
    planted()
    bad.publish(again)  # its tag has kept it
    assert bad.answer().commit == (bad.epoch, 1)
