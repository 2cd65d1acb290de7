"""A gateway that goes on from checkpoints says what one that judges everything anew says, whatever befalls the file."""

from __future__ import annotations

import random
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from sqlalchemy.exc import DBAPIError

from core.monitor import Memory
from core.readings import TamperCode
from core.rules import DEFAULT_RULES
from gateway import incidents, judge
from gateway.checkpoints import DAYS, NEWEST, Basis, Checkpoints, Found, program
from gateway.group import Received
from gateway.installations import install
from gateway.judge import Judge
from gateway.orders import add_order
from gateway.store import Store, state
from tests.community_order import community_order
from tests.core.wearers import DAY_MS, MONDAY_MS
from tests.gateway.test_households import CURFEW_MS, FLAT, HOUR_MS, NIGHTLY, Street, evenings, judged, tamper

PROGRAM = program(DEFAULT_RULES)
LAST_MS = CURFEW_MS + 28 * HOUR_MS
Final = set[tuple[object, ...]]


@dataclass
class Box:
    """A store, the file of the checkpoints beside it, and one judge after another."""

    folder: Path
    made_by: str = PROGRAM
    street: Street = field(init=False)
    judge: Judge = field(init=False)

    def __post_init__(self) -> None:
        self.folder.mkdir()
        store = Store.open(self.folder / "store.sqlite", busy_timeout_ms=50)
        self.street = Street(store)
        self.street.wear("gps0001")
        install(store, "home0001", self.street.wear("rf0001"), None, MONDAY_MS)
        self.begin()

    @property
    def file(self) -> Path:
        return self.folder / "judged.sqlite"

    def begin(self) -> None:
        """Another life, after the last one was killed."""
        self.checkpoints = Checkpoints(self.file, self.made_by)
        self.judge = Judge(self.street.store, checkpoints=self.checkpoints)
        self.judge.refresh()

    def hear(self, *messages: Received) -> None:
        self.judge.refresh()
        for message in messages:
            self.judge.add(self.street.commit(message))

    def recollected(self, now_ms: int = LAST_MS) -> int:
        """How many activations a new life begins with checkpoints of."""
        self.begin()
        self.judge.judge(now_ms)
        return len(self.judge._recollected)

    def final(self) -> Final:
        """What stands, without what is about receipts, clocks and numbers: that stands outside the law."""
        apart = ("no_contact", "readings_ahead", *incidents.RULES)
        return {one for one in self.street.final() if one[0] not in apart}


@pytest.fixture
def box(tmp_path: Path) -> Iterator[Box]:
    made = Box(tmp_path / "box")
    yield made
    made.street.store.close()


@pytest.fixture(scope="module")
def calm(tmp_path_factory: pytest.TempPathFactory) -> Final:
    """What stands after two evenings that nothing disturbed, judged once at the end without any checkpoint."""
    made = Box(tmp_path_factory.mktemp("calm") / "box")
    for _, messages in evenings(made.street):
        made.hear(*messages)
    judged(made.street, LAST_MS)
    found = made.final()
    made.street.store.close()
    assert {"absent_during_curfew", "strap_tamper", "whereabouts_unknown"} <= {name for name, *_ in found}
    return found


def live(box: Box, upto: int = 8) -> None:
    for now_ms, messages in evenings(box.street)[:upto]:
        box.hear(*messages)
        box.judge.judge(now_ms)
        box.judge.rest()


def flip(box: Box, dice: random.Random) -> None:
    """One byte is not what was written."""
    for name in ("", "-wal"):
        path = box.file.with_name(box.file.name + name)
        if path.exists() and path.stat().st_size:
            data = bytearray(path.read_bytes())
            data[dice.randrange(len(data))] ^= 1 << dice.randrange(8)
            path.write_bytes(data)


def tear(box: Box, dice: random.Random) -> None:
    """The end of what was written is not there."""
    path = box.file.with_name(box.file.name + "-wal")
    if path.exists():
        with path.open("r+b") as file:
            file.truncate(dice.randrange(path.stat().st_size + 1))


def lose(box: Box, _dice: random.Random) -> None:
    box.file.unlink(missing_ok=True)


def scribble(box: Box, dice: random.Random) -> None:
    """Other content, in a file that is sound, if it is."""
    with suppress(sqlite3.Error), sqlite3.connect(box.file) as file:
        for (table,) in file.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
            column = dice.choice([row[1] for row in file.execute(f"PRAGMA table_info({table})")])
            file.execute(f"UPDATE OR IGNORE {table} SET {column} = {column} || 'x' WHERE random() % 2 = 0")
    file.close()


HARMS: tuple[Callable[[Box, random.Random], None], ...] = (flip, tear, lose, scribble)


@pytest.mark.parametrize("seed", range(12))
def test_killed_at_any_time_with_late_readings_and_a_spoilt_file_it_ends_in_the_same_alerts(
    tmp_path: Path, calm: Final, seed: int
) -> None:
    dice = random.Random(seed)
    box = Box(tmp_path / "box")
    steps = [(now_ms, message) for now_ms, messages in evenings(box.street) for message in messages]
    clocks = sorted(now_ms for now_ms, _ in steps)
    for _ in range(seed // 3):  # 0 to 3 messages come later than they should
        steps.insert(dice.randrange(len(steps)), steps.pop(dice.randrange(len(steps))))
    went_on = 0
    old: list[Path] = []
    for at, (_, message) in enumerate(steps):
        box.hear(message)
        if dice.random() < 0.8:
            box.judge.judge(clocks[at] - (5 * HOUR_MS if dice.random() < 0.1 else 0))
        if dice.random() < 0.7:
            box.judge.rest()
        if dice.random() < 0.6:
            for path in list(box.folder.glob("judged.sqlite*")):
                kept = box.folder / f"old-{at}{path.name}"
                shutil.copy(path, kept)
                old.append(kept)
            if dice.random() < 0.4:
                dice.choice(HARMS)(box, dice)
            elif old and dice.random() < 0.3:  # what an earlier life wrote
                when = dice.choice(sorted(old)).name.split("judged")[0]
                for path in box.folder.glob("judged.sqlite*"):
                    path.unlink()
                for kept in box.folder.glob(f"{when}judged*"):
                    shutil.copy(kept, box.folder / kept.name.removeprefix(when))
            box.begin()
            box.judge.judge(clocks[at])
            went_on += len(box.judge._recollected)
    box.judge.judge(LAST_MS)
    assert box.final() == calm
    box.recollected()
    assert box.final() == calm
    anew = Judge(box.street.store)
    anew.refresh()
    assert anew.judge(LAST_MS) == 0, "judged anew, it says the same to the last byte"
    box.street.store.close()


@pytest.mark.parametrize("seed", range(12))
def test_what_comes_while_the_others_are_still_to_be_judged_anew_ends_in_the_same_alerts(
    tmp_path: Path, calm: Final, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(judge, "_LOAD_READINGS", 1)  # one wearer at a time
    dice = random.Random(seed)
    box = Box(tmp_path / "box")
    steps = [(now_ms, message) for now_ms, messages in evenings(box.street) for message in messages]
    clocks = sorted(now_ms for now_ms, _ in steps)
    for _ in range(seed // 3):
        steps.insert(dice.randrange(len(steps)), steps.pop(dice.randrange(len(steps))))
    between = 0
    for at, (_, message) in enumerate(steps):
        upgraded = at in (len(steps) // 2, len(steps) - 1)
        if upgraded or dice.random() < 0.3:
            if upgraded or dice.random() < 0.5:
                lose(box, dice)  # no checkpoint is good
            box.begin()
            box.judge.judge(clocks[at - 1], whole=False)
        between += box.judge.behind == 1
        box.hear(message)
        if dice.random() < 0.7:
            box.judge.judge(clocks[at], whole=False)
        if dice.random() < 0.5:
            box.judge.rest()
    assert between, "messages came while one was judged and the other was not"
    while box.judge.behind:
        box.judge.judge(LAST_MS, whole=False)
    box.judge.judge(LAST_MS)
    assert box.final() == calm
    anew = Judge(box.street.store)
    anew.refresh()
    assert anew.judge(LAST_MS) == 0, "judged anew, it says the same to the last byte"
    box.street.store.close()


def test_only_what_came_since_is_judged_anew(box: Box, calm: Final) -> None:
    live(box)
    assert box.final() == calm
    assert box.recollected() == 2
    assert box.final() == calm


@pytest.mark.parametrize("lives", [1, 2])
def test_what_others_have_told_since_is_not_the_monitors_to_withdraw(box: Box, lives: int) -> None:
    live(box, 4)
    box.street.numbers["gps0001"] = 0  # what it says now bears numbers that it has used before
    box.hear(box.street.says("gps0001", tamper(CURFEW_MS, TamperCode.CASE), at_ms=CURFEW_MS + 3 * HOUR_MS))
    (conflict,) = box.street.told("gps0001-1", "sequence_conflict")
    for _ in range(lives):
        assert box.recollected(CURFEW_MS + 4 * HOUR_MS) == 2
        box.judge.rest()
    assert box.street.told("gps0001-1", "sequence_conflict") == [conflict]


def test_a_reading_that_belongs_before_every_checkpoint_has_that_wearer_judged_anew(
    box: Box, calm: Final
) -> None:
    steps = evenings(box.street)
    (late,) = steps[3][1]
    for number, (now_ms, messages) in enumerate(steps):
        if number == 3:
            box.street.commit(late)  # and killed before the judge is given it
            box.begin()
        else:
            box.hear(*messages)
        box.judge.judge(now_ms)
        if number == 3:
            assert set(box.judge._recollected) == {"rf0001-1"}
        box.judge.rest()
    assert box.final() == calm


def test_one_that_comes_while_it_goes_on_from_a_checkpoint_takes_it_back_to_an_earlier_one(
    box: Box, calm: Final
) -> None:
    steps = evenings(box.street)
    for number, (now_ms, messages) in enumerate(steps):
        if number == 3:
            box.begin()
            box.judge.judge(now_ms)
            assert len(box.judge._recollected) == 2
        box.hear(*messages)
        box.judge.judge(now_ms)
        box.judge.rest()
    assert box.final() == calm
    assert box.recollected() == 2


def test_another_program_store_order_or_generation_has_everything_judged_anew(box: Box, calm: Final) -> None:
    live(box)
    assert box.recollected() == 2
    box.made_by = "other rules"
    assert box.recollected() == 0
    assert box.recollected() == 2, "and kept again"
    with box.street.store.write() as connection:
        state.set_number(connection, state.GENERATION, 2)
    assert box.recollected() == 0
    assert box.recollected() == 2
    with sqlite3.connect(box.folder / "store.sqlite") as file:  # somebody has changed the last envelope
        file.execute(
            "UPDATE envelope SET data = CAST(data || x'00' AS BLOB) WHERE id = (SELECT max(id) FROM envelope)"
        )
    file.close()
    assert box.recollected() == 0
    with sqlite3.connect(box.folder / "store.sqlite") as file:
        file.execute(
            "UPDATE envelope SET data = substr(data, 1, length(data) - 1) "
            "WHERE id = (SELECT max(id) FROM envelope)"
        )
    file.close()
    assert box.recollected() == 0, "what was judged without it is not what is to be gone on from"
    assert box.final() == calm
    moved = {"id": "c", "type": "curfew", "address": FLAT | {"latitude": 51.51}, "timetable": NIGHTLY}
    add_order(box.street.store, community_order("o-gps0001", moved, version=2))
    assert box.recollected() == 1, "the other one's order has changed"
    anew = Judge(box.street.store)
    anew.refresh()
    assert anew.judge(LAST_MS) == 0


def test_power_may_go_at_any_byte_of_a_write(box: Box, calm: Final, tmp_path: Path) -> None:
    live(box)
    whole = {path.name: path.read_bytes() for path in box.folder.glob("judged.sqlite*")}
    wal = whole["judged.sqlite-wal"]
    marks = set()
    for cut in [*range(0, len(wal), 997), len(wal)]:
        for path in box.folder.glob("judged.sqlite*"):
            path.unlink()
        box.file.write_bytes(whole["judged.sqlite"])
        box.file.with_name("judged.sqlite-wal").write_bytes(wal[:cut])
        checkpoints = Checkpoints(box.file, PROGRAM)
        marks.add(checkpoints.begin())
        checkpoints.close()
        if cut % 5 == 0:
            box.recollected()
            assert box.final() == calm
    assert len(marks) >= 3, "some cuts leave an earlier state"


def test_killed_whenever_an_alert_can_not_be_written_it_says_it_in_its_next_life(
    box: Box, calm: Final, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(judge, "KEEP_AFTER", 1)  # a checkpoint whenever something was judged
    refused = 0
    with closing(sqlite3.connect(box.folder / "store.sqlite", isolation_level=None)) as other:
        for now_ms, messages in evenings(box.street):
            for message in messages:
                box.hear(message)
                other.execute("BEGIN IMMEDIATE")
                try:
                    box.judge.judge(now_ms)
                except DBAPIError:
                    refused += 1
                other.execute("ROLLBACK")
                box.begin()
            box.judge.judge(now_ms)
    assert refused
    box.judge.judge(LAST_MS)
    assert box.final() == calm


def test_where_nothing_can_be_written_everything_goes_on_without(box: Box, calm: Final) -> None:
    box.file.mkdir()  # no file can be made there
    box.begin()
    live(box)
    assert box.final() == calm


def test_a_judge_made_anew_in_the_same_life_goes_on_from_them_too(box: Box, calm: Final) -> None:
    live(box)
    for _ in range(2):
        box.judge = Judge(box.street.store, checkpoints=box.checkpoints)
        box.judge.refresh()
        box.judge.judge(LAST_MS)
        assert len(box.judge._recollected) == 2
        box.judge.rest()
    assert box.final() == calm


MEMORY = Memory(0, b"saved", b"", ("a",))
BASIS = Basis(1, 1, "", 7, 1)


def test_of_each_wearer_the_newest_memories_stay_and_one_of_each_of_the_last_days(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path / "judged.sqlite", PROGRAM)
    assert checkpoints.begin() is None
    for hour in range(24 * 30):
        checkpoints.keep("a-1", b"", Memory(hour * HOUR_MS, b"saved", b"", ()))
        assert checkpoints.write(BASIS)
    checkpoints.close()
    with sqlite3.connect(tmp_path / "judged.sqlite") as file:
        (count,) = file.execute("SELECT count(*) FROM memory").fetchone()
    file.close()
    assert NEWEST + DAYS - 2 <= count <= NEWEST + DAYS
    again = Checkpoints(tmp_path / "judged.sqlite", PROGRAM)
    assert again.begin() == BASIS
    ends = [one.memory.upto_ms for one in again.newest_first("a-1", b"")]
    assert ends == sorted(ends, reverse=True)
    assert ends[0] == (24 * 30 - 1) * HOUR_MS
    again.late("a-1", 28 * DAY_MS + 5)
    assert next(again.newest_first("a-1", b"")).memory.upto_ms == 28 * DAY_MS - HOUR_MS
    assert list(again.newest_first("a-1", b"another order")) == []
    again.close()


def test_what_was_told_since_a_memory_is_told_with_it(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path / "judged.sqlite", PROGRAM)
    checkpoints.begin()
    checkpoints.tell("a-1", "before any")
    checkpoints.keep("a-1", b"", MEMORY)
    assert checkpoints.write(BASIS)
    checkpoints.tell("a-1", "since")
    assert checkpoints.write(BASIS)
    checkpoints.close()
    again = Checkpoints(tmp_path / "judged.sqlite", PROGRAM)
    again.begin()
    assert next(again.newest_first("a-1", b"")) == Found(MEMORY, 7, frozenset({"since"}))
    again.tell("a-1", "lately")
    assert next(again.newest_first("a-1", b"")) == Found(MEMORY, 7, frozenset({"since", "lately"}))
    later = Memory(1, b"later", b"", ())
    again.keep("a-1", b"", later)
    assert again.write(BASIS._replace(alert=8))
    assert next(again.newest_first("a-1", b"")) == Found(later, 8, frozenset())
    again.late("a-1", 1)
    assert list(again.newest_first("a-1", b"")) == [Found(MEMORY, 7, frozenset({"since", "lately"}))]
    again.close()


def test_nothing_is_left_in_the_file_of_whom_it_has_to_forget(tmp_path: Path) -> None:
    file = tmp_path / "judged.sqlite"
    checkpoints = Checkpoints(file, PROGRAM)
    checkpoints.begin()
    for name in ("a-1", "b-1"):
        checkpoints.keep(name, b"", Memory(0, name.encode() * 500, b"", ()))
    assert checkpoints.write(BASIS)
    checkpoints.drop_others({"b-1"})
    assert checkpoints.write(BASIS)
    left = b"".join(path.read_bytes() for path in tmp_path.glob("judged.sqlite*"))
    assert b"b-1b-1" in left
    assert b"a-1" not in left
    checkpoints.close()
