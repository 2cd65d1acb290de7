"""What a home unit makes of what it hears and sees, without its radio."""

from __future__ import annotations

import hashlib
import hmac
import json
import statistics
import struct
from itertools import pairwise
from pathlib import Path

import beacon
import counters
import pytest
import records
import roster
from clock import Clock
from commands import DONE, NOT_UNDERSTOOD, REFUSED
from ear import KEEP_EVERY_MS, REFUSED_EVERY_MS, Ear
from hypothesis import given
from hypothesis import strategies as st
from listening import Listening
from roster import Roster
from strengths import Strengths
from watch import Watch

from tests.firmware.flash import Flash
from tests.firmware.ledger import Ledger

KEY = bytes(range(32))
NUMBER = 7
MINUTE_MS = 60_000
WELL = records.UNIT_MAINS
CONTACT, STATE = "<IHHbbIBBB", "<IIBBHB"


class Board:
    """A home unit's board, set by hand."""

    def __init__(self) -> None:
        self.ms = 0
        self.missed = 0
        self.powered = self.shut = True
        self.shaken = False
        self.mv = 3900

    def ticks_ms(self) -> int:
        return self.ms % (1 << 30)

    def rtc(self) -> None:
        return None

    def mains(self) -> bool:
        return self.powered

    def moved(self) -> bool:
        return self.shaken

    def case_closed(self) -> bool:
        return self.shut

    def battery_mv(self) -> int:
        return self.mv

    def reset_cause(self) -> int:
        return 1

    def feed_watchdog(self) -> None:
        pass


class Bench:
    """An ear that hears one tag, on a board whose time is set by hand."""

    def __init__(self, flash: Flash | None = None) -> None:
        self.board, self.ledger = Board(), Ledger()
        self.flash = flash or Flash()
        self.clock = Clock(self.board)
        self.ear = Ear(self.ledger, self.clock, self.ledger, Roster([(NUMBER, KEY)], 60), self.flash)

    def hear(self, counter: int, dbm: int = -60, state: int = 0, key: bytes = KEY) -> None:
        data = beacon.seal(key, NUMBER, counter, state, 190, 65535)
        self.ear.hear(self.clock.uptime_ms(), dbm, data)

    def turn(self, at_ms: int, unit: int = WELL) -> None:
        self.board.ms = at_ms
        self.ear.turn(self.clock.uptime_ms(), unit)

    def contacts(self) -> list[tuple[int, ...]]:
        """(end in tenths of a second, span, count, strongest, median, counter, refused, unit)."""
        made = self.ledger.of_kind(records.RF_CONTACT)
        return [(t_ds, *struct.unpack(CONTACT, body)[1:8]) for t_ds, body in made]


@given(st.lists(st.integers(-109, -16), min_size=1, max_size=200))
def test_the_median_is_the_lower_median_and_no_float(heard: list[int]) -> None:
    strengths = Strengths()
    for dbm in heard:
        strengths.add(dbm)
    assert strengths.median() == statistics.median_low(heard)
    assert strengths.strongest == max(heard)
    strengths.clear()
    assert strengths.median() == strengths.strongest == records.UNKNOWN_DBM


@given(st.lists(st.integers(0, 4), min_size=1, max_size=40), st.sets(st.integers(0, 39)))
def test_contacts_tile_the_time_and_count_every_beacon_once(heard: list[int], full: set[int]) -> None:
    """Minute by minute so many beacons are heard; in the minutes of ``full`` flash refuses."""
    bench = Bench()
    counter = 0
    for minute, count in enumerate(heard):
        bench.ledger.full = minute in full
        for n in range(count):
            counter += 1
            bench.board.ms = minute * MINUTE_MS + n * 15_000 + 1000
            bench.hear(counter)
        counter += 4 - count
        bench.turn((minute + 1) * MINUTE_MS)
    bench.ledger.full = False
    end_ms = (len(heard) + 1) * MINUTE_MS
    bench.board.ms = end_ms
    bench.ear.cut(end_ms, WELL)
    at_ds = 0
    for t_ds, span_s, count, *_ in bench.contacts():
        assert t_ds == at_ds + span_s * 10
        assert count or span_s <= 120 or full, "a silence is told in two minutes at the latest"
        at_ds = t_ds
    assert at_ds == end_ms // 100
    assert sum(contact[2] for contact in bench.contacts()) == sum(heard)
    if not full:
        # what is silent and what is heard never share a contact; a silence begins with the last beacon before it
        silent_s = sum(contact[1] for contact in bench.contacts() if not contact[2])
        before_s = sum(74 - 15 * count for count, then in pairwise([*heard, 0]) if count and not then)
        assert silent_s == 60 * (heard.count(0) + 1) + before_s


def test_a_silence_of_three_minutes_is_told_at_once_counted_from_the_last_beacon() -> None:
    bench = Bench()
    for counter in range(1, 5):
        bench.board.ms = counter * 14_000
        bench.hear(counter)
    for look in range(58, 250, 2):
        bench.turn(look * 1000)
        if bench.ledger.hurried:
            break
    assert bench.board.ms == 56_000 + 182_000
    contacts = [(t_ds, span_s, count) for t_ds, span_s, count, *_ in bench.contacts()]
    assert contacts == [(560, 56, 4), (1200, 64, 0), (2380, 118, 0)]
    for minute in range(4, 60):
        bench.turn(minute * MINUTE_MS)
    assert bench.ledger.hurried == 1, "one silence is told at once one time"
    bench.hear(1000)
    bench.turn(60 * MINUTE_MS)
    bench.turn(64 * MINUTE_MS)
    assert bench.ledger.hurried == 2


def test_a_beacon_said_again_by_the_radio_counts_once_and_refused_ones_are_told_at_once_but_seldom() -> None:
    bench = Bench()
    for _ in range(4):
        bench.hear(5)
    bench.turn(2000)
    bench.hear(6, key=bytes(32))
    bench.turn(4000)
    tampers = bench.ledger.of_kind(records.TAMPER)
    assert tampers == [(40, records.tamper(records.TAMPER_BEACON, 1, 0))]
    assert bench.contacts() == [(40, 4, 1, -60, -60, 5, 1, WELL)]
    for at_ms in range(6000, REFUSED_EVERY_MS, 2000):
        bench.board.ms = at_ms
        bench.hear(6, key=bytes(32))
        bench.turn(at_ms)
    assert len(bench.ledger.of_kind(records.TAMPER)) == 1
    bench.turn(REFUSED_EVERY_MS + 4000)
    assert len(bench.ledger.of_kind(records.TAMPER)) == 2


def test_an_interval_in_which_two_sent_with_one_key_is_told_as_doubtful_and_only_that_one() -> None:
    bench = Bench()

    def minute(number: int, *counters: int, key: bytes = KEY) -> None:
        for n, counter in enumerate(counters):
            bench.board.ms = number * MINUTE_MS + n * 15_000
            bench.hear(counter, key=key)
        bench.turn((number + 1) * MINUTE_MS)

    minute(0, 1, 2, 3, 4)
    minute(1, 5, 4101, 7, 4103)
    minute(2, 9, 10, 11, 12)
    minute(3, 13, 14, key=bytes(32))
    minute(4, 17, 18)
    flags = [body[-1] for _, body in bench.ledger.of_kind(records.RF_CONTACT)]
    told = {
        -(-contact[0] // 600): flag & records.DOUBTFUL
        for contact, flag in zip(bench.contacts(), flags, strict=True)
    }
    assert told == {1: 0, 2: records.DOUBTFUL, 3: records.DOUBTFUL, 4: 0, 5: records.DOUBTFUL}


def test_a_state_is_told_when_it_changes_and_else_hourly() -> None:
    bench = Bench()
    for counter in range(1, 2 * 240 + 1):
        bench.board.ms = counter * 15_000
        bench.hear(counter, state=0 if counter < 300 else beacon.STRAP_OPEN | beacon.STRAP_WAS_OPENED)
        bench.turn(counter * 15_000 + 500)
    told = [(kind, urgent) for kind, _, _, urgent in bench.ledger.made if kind == records.TAG_STATE]
    assert [urgent for _, urgent in told] == [False, False, True]
    (_, _), (_, _), (t_ds, body) = bench.ledger.of_kind(records.TAG_STATE)
    assert t_ds == 300 * 150
    assert struct.unpack(STATE, body)[:4] == (NUMBER, 300, 190, 3)


def test_what_was_believed_outlives_a_boot() -> None:
    bench = Bench()
    bench.hear(500)
    bench.turn(KEEP_EVERY_MS)
    again = Bench(bench.flash)
    again.hear(500)
    again.hear(499)
    again.turn(2000)
    assert again.ledger.of_kind(records.TAMPER) == [(20, records.tamper(records.TAMPER_BEACON, 2, 0))]
    again.flash.files["counters"] = b"worn"
    Bench(again.flash)  # starts all the same


def test_a_unit_tells_what_happens_to_it_once() -> None:
    board, ledger = Board(), Ledger()
    watch = Watch(ledger, Clock(board), ledger, board)

    def look(ms: int) -> list[tuple[int, int]]:
        board.ms = ms
        ledger.made.clear()
        watch.tell(ms, watch.seen())
        return [struct.unpack("<BHB", body)[:2] for _, body in ledger.of_kind(records.TAMPER)]

    assert look(0) == []
    board.powered = False
    assert look(2000) == [(records.TAMPER_MAINS, 1)]
    assert look(4000) == []
    board.powered, board.shut = True, False
    assert look(6000) == [(records.TAMPER_MAINS, 0), (records.TAMPER_CASE, 1)]
    board.mv = 3400
    assert look(8000) == [(records.TAMPER_BACKUP_BATTERY, 1)]
    board.mv = 3550
    assert look(10_000) == []
    board.mv, board.shaken = 3700, True
    assert look(12_000) == [(records.TAMPER_BACKUP_BATTERY, 0), (records.TAMPER_MOVED, 1)]
    assert look(14_000) == []
    board.shaken = False
    look(16_000)
    assert watch.unit == records.UNIT_MAINS | records.UNIT_CASE_OPEN | records.UNIT_MOVED
    watch.checked({})
    assert not watch.unit & records.UNIT_MOVED


@pytest.mark.parametrize(
    "text",
    [
        '{"tags": [[1, "00"]]}',
        '{"tags": [[1, "zz"]]}',
        '{"tags": 5}',
        json.dumps({"tags": [[-1, "00" * 32]]}),
        json.dumps({"tags": [[1, "00" * 32], [1, "11" * 32]]}),
        '{"interval_s": 5}',
        json.dumps({"tags": [[n, "00" * 32] for n in range(31)]}),
    ],
)
def test_a_list_of_tags_that_is_wrong_is_refused_and_shows_no_key(tmp_path: Path, text: str) -> None:
    path = tmp_path / "config.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"tag|interval_s") as caught:
        roster.load(str(path))
    assert "00000000" not in str(caught.value)


# -------------------------------------------------------------------------------------------- which tags


def key_of(number: int) -> bytes:
    return bytes([number % 256]) * 32


def listening(flash: Flash, *provisioned: int) -> Listening:
    """What a boot finds of a unit that is provisioned with these tags."""
    return Listening(Roster([(number, key_of(number)) for number in provisioned], 60), flash, KEY)


def masked(number: int, key: bytes, salt: int = 9) -> list[object]:
    """What a command ``hear`` says, as docs/protocol.md has it."""
    mask = hmac.digest(KEY, b"hear" + struct.pack("<II", number & 0xFFFFFFFF, salt), hashlib.sha256)
    return [number, salt, bytes(a ^ b for a, b in zip(mask, key, strict=True))]


def numbers(heard: Listening) -> set[int]:
    return {number for number, _ in heard.tags}


NUMBERS = st.integers(0, 5)
CHANGES = st.lists(st.tuples(st.booleans(), NUMBERS), max_size=12)


@given(st.sets(NUMBERS), CHANGES, st.sets(NUMBERS))
def test_tags_are_those_provisioned_as_they_were_changed_since_over_boots_and_another_provisioning(
    provisioned: set[int], changes: list[tuple[bool, int]], after: set[int]
) -> None:
    flash, wanted = Flash(), set(provisioned)
    told: dict[int, bool] = {}
    for hear, number in changes:
        heard = listening(flash, *provisioned)
        assert (heard.hear(masked(number, key_of(number))) if hear else heard.unhear([number])) == DONE
        wanted = wanted | {number} if hear else wanted - {number}
        told[number] = hear
        assert numbers(heard) == numbers(listening(flash, *provisioned)) == wanted
        assert all(key == key_of(number) for number, key in heard.tags)
    # what was added to that list, or taken from it, is so beside the next list, too
    added = {number for number, hear in told.items() if hear} - provisioned
    taken = {number for number, hear in told.items() if not hear} & provisioned
    assert numbers(listening(flash, *after)) == (after - taken) | added


def test_a_thirty_first_tag_is_refused_and_what_is_no_tag_is_not_understood() -> None:
    flash = Flash()
    heard = listening(flash, *range(15))
    for number in range(15, 30):
        assert heard.hear(masked(number, key_of(number))) == DONE
    assert heard.hear(masked(30, key_of(30))) == REFUSED
    assert heard.hear(masked(29, key_of(7))) == DONE, "another key takes no more room"
    assert heard.unhear([3]) == DONE
    assert heard.hear(masked(30, key_of(30))) == DONE
    key = key_of(1)
    for wrong in (
        [31, 1, b"short"],
        [31, 1, key.hex()],
        [31, -1, key],
        [-1, 1, key],
        [1 << 32, 1, key],
        [True, 1, key],
    ):
        assert heard.hear(wrong) == NOT_UNDERSTOOD
    assert heard.unhear(["3"]) == NOT_UNDERSTOOD
    assert len(numbers(listening(flash, *range(15)))) == 30


def test_what_flash_refuses_changes_nothing_and_what_it_lost_is_told_and_as_provisioned() -> None:
    flash = Flash()
    heard = listening(flash, 1)
    flash.fail_at = {1}
    with pytest.raises(OSError, match="refuses"):
        heard.hear(masked(2, key_of(2)))
    assert (numbers(heard), heard.changed) == ({1}, False)
    assert heard.hear(masked(2, key_of(2))) == DONE
    flash.files["tags"] = flash.files["tags"][:-1]
    heard = listening(flash, 1)
    assert (numbers(heard), heard.lost) == ({1}, True)
    assert heard.unhear([9]) == DONE
    assert listening(flash, 1).lost is False


def test_settings_that_would_make_more_than_thirty_tags_are_not_taken(tmp_path: Path) -> None:
    heard = listening(Flash(), 1)
    heard.hear(masked(100, key_of(100)))
    path = tmp_path / "config.json"
    for most, good in ((29, True), (30, False)):
        path.write_text(json.dumps({"tags": [[number, key_of(number).hex()] for number in range(most)]}))
        if good:
            heard.check(str(path))
        else:
            with pytest.raises(ValueError, match="more than 30"):
                heard.check(str(path))


def test_an_officers_tool_changes_the_list_and_reads_no_key() -> None:
    heard = listening(Flash(), 1)
    assert heard.console_hear({"beacon": 2, "key": key_of(2).hex()}) == {"tags": [1, 2]}
    assert heard.console_unhear({"beacon": 1}) == {"tags": [2]}
    assert heard.console_tags({}) == {"tags": [2]}
    for wrong in (
        {"beacon": 3, "key": "zz"},
        {"beacon": 3, "key": 3},
        {"beacon": "3", "key": key_of(3).hex()},
    ):
        with pytest.raises(ValueError):
            heard.console_hear(wrong)


def test_a_tag_that_goes_is_told_up_to_then_and_old_beacons_are_not_believed_when_it_comes_again() -> None:
    bench = Bench()
    bench.hear(5)
    bench.turn(20_000)
    bench.ear.listen([], 20_000, WELL)
    assert bench.contacts() == [(200, 20, 1, -60, -60, 5, 0, WELL)]
    counters.COUNTERS.clear()
    bench.hear(6)
    assert counters.COUNTERS["beacons_strange"] == 1
    for boots in (False, True):
        if boots:
            bench = Bench(bench.flash)
            bench.ear.listen([], 0, WELL)
        bench.ear.listen([(NUMBER, KEY)], bench.clock.uptime_ms(), WELL)
        counters.COUNTERS.clear()
        bench.hear(5 + boots)
        assert counters.COUNTERS["beacons_refused"] == 1
        bench.hear(6 + boots)
        bench.ear.listen([], bench.clock.uptime_ms(), WELL)
    assert "beacons_refused" in counters.COUNTERS


def test_a_tag_that_comes_with_another_key_counts_anew() -> None:
    bench = Bench()
    bench.hear(5000)
    bench.ear.listen([(NUMBER, bytes(32))], 1000, WELL)
    counters.COUNTERS.clear()
    bench.hear(1, key=bytes(32))
    assert "beacons_refused" not in counters.COUNTERS
    assert bench.ear.hears()
