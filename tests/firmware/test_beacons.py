"""An RF tag's beacons: made by its key alone, counted once for ever, and believed once by a home unit."""

from __future__ import annotations

import ast
import hashlib
import hmac
import random
import struct
from itertools import pairwise
from pathlib import Path

import beacon
import pytest
from clock import Clock
from freshness import LATE_MS, Freshness
from guard import Guard
from hypothesis import given
from hypothesis import strategies as st
from reserve import AHEAD, BLOCK, Reserve
from sender import LOOK_MS, SAY_TIMES, Sender

from core.readings import TagStateFlag
from core.wire import beacon_number
from tests.firmware.flash import Flash, PowerCut
from tests.firmware.micropython import run

KEY = bytes(range(32))
FIRMWARE = Path(__file__).resolve().parents[2] / "firmware"
SOURCES = [*FIRMWARE.glob("rf_tag/*.py"), *FIRMWARE.glob("home_unit/*.py"), FIRMWARE / "lib/beacon.py"]
U8, U16, U32 = st.integers(0, 255), st.integers(0, 65535), st.integers(0, 2**32 - 1)


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_no_float_can_arise_in_the_rf_tag_or_the_home_unit(source: Path) -> None:
    for node in ast.walk(ast.parse(source.read_text())):
        assert not (isinstance(node, ast.BinOp | ast.AugAssign) and isinstance(node.op, ast.Div))
        assert not (isinstance(node, ast.Constant) and isinstance(node.value, float))
        assert not (isinstance(node, ast.Name) and node.id in ("float", "round", "math"))


# the message


@given(st.binary(min_size=32, max_size=32), U32, U32, U8, U8, U16)
def test_a_beacon_is_what_the_protocol_says(
    device_key: bytes, number: int, counter: int, state: int, battery: int, age: int
) -> None:
    key = beacon.beacon_key(device_key)
    assert key == hmac.digest(device_key, b"beacon", hashlib.sha256)
    made = beacon.seal(key, number, counter, state, battery, age)
    said = struct.pack("<BIIBBH", 1, number, counter, state, battery, age)
    assert made == said + hmac.digest(key, said, hashlib.sha256)[:7]
    assert len(made) == beacon.BYTES == 20
    assert beacon.named(made) == number
    assert beacon.open(key, made) == (counter, state, battery, age)


@given(st.integers(0, 19), st.integers(1, 255))
def test_a_beacon_changed_anywhere_is_refused(at: int, difference: int) -> None:
    made = bytearray(beacon.seal(KEY, 7, 1, 0, 190, 65535))
    made[at] ^= difference
    assert beacon.open(KEY, bytes(made)) is None


@given(st.binary(max_size=40))
def test_noise_is_no_beacon(noise: bytes) -> None:
    assert beacon.open(KEY, noise) is None


def test_the_firmware_the_gateway_and_the_documents_name_a_tag_alike() -> None:
    assert beacon.number("rf000001") == beacon_number("rf000001")
    assert [bit.value for bit in TagStateFlag] == [
        beacon.STRAP_OPEN,
        beacon.STRAP_WAS_OPENED,
        beacon.CASE_OPEN,
        beacon.BATTERY_LOW,
        beacon.STARTED,
    ]


# the counter


@given(st.lists(st.tuples(st.integers(0, 3 * BLOCK), st.none() | st.integers(1, 6)), max_size=12))
def test_no_counter_is_used_twice_whenever_power_is_cut(lives: list[tuple[int, int | None]]) -> None:
    flash = Flash()
    used = 0
    for beacons, cut_at in lives:
        flash.steps, flash.cut_at = 0, cut_at
        try:
            reserve = Reserve(flash)
            # by blocks: only their edges matter
            for skip in [0] + [AHEAD // 2] * (beacons // (AHEAD // 2)):
                taken = reserve.take(skip)
                assert taken is not None
                assert taken > used
                used = taken
        except PowerCut:
            continue


@given(st.integers(1, 4), st.sampled_from(["counter.a", "counter.b"]), st.binary(max_size=9))
def test_a_counter_file_that_became_unreadable_repeats_nothing(blocks: int, name: str, noise: bytes) -> None:
    flash = Flash()
    reserve = Reserve(flash)
    used = 0
    for _ in range(blocks * 4):
        used = reserve.take(BLOCK // 4) or used
    flash.files[name] = noise
    again = Reserve(flash).take()
    assert again is not None
    assert again > used


def test_a_tag_whose_flash_refuses_falls_silent_before_it_repeats_a_counter() -> None:
    flash = Flash()
    reserve = Reserve(flash)
    first = reserve.take()
    flash.fail_at = set(range(1, 10_000_000))
    taken = [reserve.take(AHEAD) for _ in range(12)]
    assert taken[0] is not None
    assert taken[-1] is None
    flash.fail_at = set()
    last = reserve.take()
    assert first is not None
    assert last is not None
    assert last > max(counter for counter in taken if counter is not None)
    later = Reserve(flash).take()
    assert later is not None
    assert later > last


@pytest.mark.parametrize("rounds", [6, pytest.param(200, marks=pytest.mark.long)])
def test_no_counter_is_used_twice_when_power_is_cut_at_any_flash_operation(
    tmp_path: Path, rounds: int
) -> None:
    script = Path(__file__).with_name("counter_cuts.py")
    lives, operations = run(script, str(tmp_path / "flash"), str(rounds), str(FIRMWARE / "rf_tag")).split()
    assert int(operations) > 40
    assert int(lives) == rounds * int(operations)


# the tag


class Board:
    """An RF tag's board; what it sends is kept, with the time."""

    def __init__(self, seed: int = 0) -> None:
        self.ms = 0
        self.closed = self.shut = True
        self.mv = 3600
        self.sent: list[tuple[int, bytes]] = []
        self._random = random.Random(seed)

    def ticks_ms(self) -> int:
        return self.ms % (1 << 30)

    def rtc(self) -> None:
        return None

    def strap_closed(self) -> bool:
        return self.closed

    def case_closed(self) -> bool:
        return self.shut

    def battery_mv(self) -> int:
        return self.mv

    def random(self, n: int) -> bytes:
        return self._random.randbytes(n)

    def feed_watchdog(self) -> None:
        pass

    async def beacon(self, payload: bytes) -> None:
        self.sent.append((self.ms, payload))
        self.ms += 350

    def said(self, from_ms: int = 0) -> list[tuple[int, int, int, int, int]]:
        """(ms, counter, state, battery, age) of each beacon."""
        return [(ms, *beacon.open(KEY, data)) for ms, data in self.sent if ms >= from_ms]


def tag_on(board: Board, flash: Flash | None = None) -> Sender:
    return Sender(board, Clock(board), KEY, 7, flash or Flash())


def live(board: Board, tag: Sender, until_ms: int) -> None:
    """Let a tag do what it does until an instant."""
    while board.ms < until_ms:
        step = tag.step()
        try:
            step.send(None)
        except StopIteration as done:
            board.ms += done.value


@given(st.integers(0, 1000))
def test_beacons_are_10_to_20_s_apart_and_counted_by_the_clock(seed: int) -> None:
    board = Board(seed)
    board.ms = 5
    live(board, tag_on(board), 600_000)
    said = board.said()
    assert len(said) == 40
    assert all(9_500 <= later[0] - earlier[0] <= 20_500 for earlier, later in pairwise(said))
    assert [counter for _, counter, *_ in said] == list(range(1, 41))
    assert len({later[0] - earlier[0] for earlier, later in pairwise(said)}) > 20


def test_a_strap_that_opens_is_said_within_5_s_and_five_times() -> None:
    board = Board()
    tag = tag_on(board)
    live(board, tag, 100_000)
    at = board.ms
    board.closed = False
    live(board, tag, at + 17_000)
    said = board.said(at)
    opened = [one for one in said if one[2] & beacon.STRAP_OPEN]
    assert opened[0][0] - at <= LOOK_MS
    assert len(opened) >= SAY_TIMES + 1
    assert all(one[2] & beacon.STRAP_WAS_OPENED for one in opened)
    assert {one[4] for one in opened} <= {0, 1}
    board.closed = True
    live(board, tag, board.ms + 30_000)
    assert board.said()[-1][2] & (beacon.STRAP_OPEN | beacon.STRAP_WAS_OPENED) == beacon.STRAP_WAS_OPENED


def test_that_the_strap_was_opened_outlives_a_lack_of_power_until_an_officers_check() -> None:
    flash, board = Flash(), Board()
    guard = Guard(flash, board, 0)
    board.closed = False
    assert guard.look(1000)
    board.closed = True
    assert guard.look(2000)
    assert guard.age(62_000) == 6
    again = Guard(flash, board, 0)
    assert again.state & beacon.STRAP_WAS_OPENED
    assert again.age(20_000) == 2
    again.checked({})
    assert not Guard(flash, board, 0).state & beacon.STRAP_WAS_OPENED
    flash.files["seal"] = b"worn"
    assert Guard(flash, board, 0).state & beacon.STRAP_WAS_OPENED


def test_a_tag_that_loses_power_again_and_again_is_believed_all_the_same() -> None:
    flash, fresh = Flash(), Freshness(0)
    board = Board()
    for _ in range(20):
        start = board.ms
        live(board, tag_on(board, flash), start + 90_000)
        board.ms += 200_000  # without power
    for ms, data in board.sent:
        counter, state, *_ = beacon.open(KEY, data)
        assert fresh.believe(data, counter, bool(state & beacon.STARTED), ms), ms


# the home unit's belief


class Air:
    """A tag's beacons as they are sent, at (ms, counter)."""

    def __init__(self, seed: int, minutes: int) -> None:
        rng = random.Random(seed)
        self.sent = [
            (slot * beacon.SLOT_MS + rng.randrange(beacon.JITTER_MS), slot + 1) for slot in range(minutes * 4)
        ]


def word(counter: int) -> bytes:
    return struct.pack("<I", counter)


@given(
    st.integers(0, 99),
    st.lists(st.booleans(), min_size=480, max_size=480),
    st.lists(st.tuples(st.integers(0, 479), st.integers(0, 120 * 60_000)), max_size=40),
)
def test_whatever_is_replayed_whenever_nothing_late_and_nothing_known_is_believed(
    seed: int, heard: list[bool], replays: list[tuple[int, int]]
) -> None:
    """The unit hears some beacons of two hours; an attacker who has recorded all plays any of them at any later time.

    No beacon is believed twice, none later than a minute after it was sent, and every true one that comes before its
    replay is.
    """
    air = Air(seed, 120)
    # 1 at one instant: the attacker is heard after the tag
    events = [(ms, 0, ms, counter) for (ms, counter), hears in zip(air.sent, heard, strict=True) if hears]
    events += [(air.sent[index][0] + later, 1, *air.sent[index]) for index, later in replays if later > 0]
    fresh = Freshness(0)
    believed: set[int] = set()
    first_ms = min((ms for ms, *_ in events), default=0)
    anchored = False
    for ms, replayed, sent_ms, counter in sorted(events):
        if fresh.is_echo(word(counter), ms):
            continue
        higher = counter > max(believed, default=0)
        if not fresh.believe(word(counter), counter, False, ms):
            # a true beacon is refused only where a replay of it, or of a later one, has been heard before
            assert replayed or not higher
            continue
        assert higher
        believed.add(counter)
        anchored = anchored or not replayed
        # until a first true beacon is heard, the unit has nothing to tell the time by
        if anchored:
            assert ms - sent_ms <= LATE_MS + beacon.JITTER_MS + (ms - first_ms) // 5000 + 1000


def test_beacons_recorded_away_from_home_are_refused_there() -> None:
    air = Air(3, 300)
    fresh = Freshness(0)
    for ms, counter in air.sent[:240]:
        assert fresh.believe(word(counter), counter, False, ms)
    # an hour out of range of the unit, but not of the attacker's recorder
    for ms, counter in air.sent[240:480]:
        assert not fresh.believe(word(counter), counter, False, ms + 120 * 60_000)
    assert fresh.highest == 240
    for ms, counter in air.sent[1000:]:
        assert fresh.believe(word(counter), counter, False, ms)


def test_of_two_transmitters_with_one_identity_one_is_refused() -> None:
    air, clone = Air(1, 60), Air(2, 60)
    fresh = Freshness(0)
    refused = 0
    both = [(ms, counter, b"a") for ms, counter in air.sent]
    both += [(ms, counter + 500, b"b") for ms, counter in clone.sent]
    for ms, counter, who in sorted(both):
        refused += not fresh.believe(who, counter, False, ms)
    assert 200 <= refused <= 240


def test_a_tag_that_goes_on_behind_its_copy_may_be_itself_and_what_was_recorded_of_it_may_not() -> None:
    air = Air(1, 180)
    fresh = Freshness(0)
    heard = [(ms, counter) for ms, counter in air.sent if ms < 60 * 60_000]
    for ms, counter in heard:
        assert fresh.believe(word(counter), counter, False, ms)
    assert fresh.believe(word(9000), 9000, False, 60 * 60_000), "a copy that is ahead"
    for ms, counter in air.sent[len(heard) :]:
        assert not fresh.believe(word(counter), counter, False, ms)
        assert fresh.may_be_the_tag(counter, ms)
        # said again, or a recording of any time before
        assert not fresh.may_be_the_tag(counter, ms + 1000)
        assert not fresh.may_be_the_tag(counter - 20, ms)
    last_ms, last = air.sent[-1]
    assert not fresh.may_be_the_tag(last + 1, last_ms + 30 * 60_000), "recorded elsewhere, played late"


def test_a_tag_that_has_started_anew_is_alone_and_its_recordings_are_no_second_one() -> None:
    air = Air(1, 60)
    fresh = Freshness(0)
    for ms, counter in air.sent:
        assert fresh.believe(word(counter), counter, False, ms)
    ms, counter = air.sent[-1]
    assert fresh.believe(word(counter + 4096), counter + 4096, True, ms + 15_000)
    assert not any(fresh.may_be_the_tag(before, ms + 30_000) for _, before in air.sent)


def test_after_a_boot_of_the_unit_nobody_can_say_which_of_two_is_the_tag() -> None:
    fresh = Freshness(9000)
    assert not fresh.believe(word(300), 300, False, 0)
    assert fresh.may_be_the_tag(300, 0)


@given(st.integers(0, 99), st.integers(-100, 100))
def test_two_bad_crystals_cost_no_beacon_in_a_month(seed: int, parts_per_million: int) -> None:
    rng = random.Random(seed)
    fresh = Freshness(0)
    slot, ms = 0, 0
    while slot < 30 * 5760:
        slot += rng.choice([1, 1, 40, 5760])
        true_ms = slot * beacon.SLOT_MS + rng.randrange(beacon.JITTER_MS)
        ms = true_ms + true_ms * parts_per_million // 1_000_000
        assert fresh.believe(word(slot), slot, False, ms)


def test_a_tag_that_was_off_for_days_is_believed_once_it_says_that_it_has_started() -> None:
    fresh = Freshness(0)
    assert fresh.believe(b"1", 100, False, 0)
    days_ms = 3 * 86_400_000
    assert not fresh.believe(b"2", 5000, False, days_ms)
    assert fresh.believe(b"3", 5001, True, days_ms + 15_000)
    assert fresh.believe(b"4", 5002, True, days_ms + 30_000)
    # its first hour, played again a day later
    assert not fresh.believe(b"5", 5003, True, days_ms + 86_400_000)
