"""The journal: what was flushed is held or named by a gap, whatever happens to power and flash."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest
import records
from hypothesis import given, settings
from hypothesis import strategies as st
from journal import Journal

from tests.firmware.flash import Flash, PowerCut

LIMIT = 16384
Reading = tuple[int, int, int, bytes]


def opened(flash: Flash, limit: int = LIMIT) -> Journal:
    """A journal on ``flash``, its epoch drawn from a seeded source."""
    return Journal("", limit, random.Random(len(flash.files)).randbytes, folder=flash)


def everything(journal: Journal) -> list[Reading]:
    """All flushed readings that are held, read a few at a time as the link does."""
    found: list[Reading] = []
    at = journal.base
    while part := journal.read(at, 64):
        found += part
        at = part[-1][0] + 1
    return found


def named(held: list[Reading]) -> set[int]:
    """Numbers that the gap records in ``held`` name."""
    numbers: set[int] = set()
    for _, kind, _, body in held:
        if kind == records.GAP:
            first, count = records.gap_range(body)
            numbers |= set(range(first, first + count))
    return numbers


class Life:
    """Drives journals on one flash, and knows what must not be lost: readings that were flushed."""

    def __init__(self, flash: Flash) -> None:
        self.flash = flash
        self.taken: dict[int, tuple[int, int, bytes]] = {}
        self.flushed = 0
        self.upto = 0
        self.committing = 0
        self.epoch = 0
        self.refused = 0

    def boot(self) -> Journal:
        """Power on, and check everything that must hold after whatever came before."""
        if "cursor" not in self.flash.files:
            self.epoch = 0
        self.journal = opened(self.flash)
        self.epoch = self.epoch or self.journal.epoch
        self.check()
        # numbers that never reached flash are free again; what is on it now is made
        self.taken = {n: reading for n, reading in self.taken.items() if n < self.journal.next}
        self.flushed = max(self.flushed, self.journal.flushed)
        return self.journal

    def append(self, kind: int, body: bytes, *, urgent: bool = False) -> None:
        journal, t_ds = self.journal, 17_000_000_000 + len(self.taken)
        try:
            number = journal.append(kind, t_ds, body, urgent)
        except OSError:
            self.refused += 1
            return
        self.taken[number] = (kind, t_ds, body)
        self.flushed = max(self.flushed, journal.flushed)
        if urgent and not self.flash.fail_at:
            assert journal.flushed == number

    def flush(self) -> None:
        try:
            self.journal.flush()
        except OSError:
            self.refused += 1
        self.flushed = self.journal.flushed

    def commit(self, upto: int) -> None:
        self.committing = max(self.committing, upto)
        try:
            self.journal.commit(upto)
        except OSError:
            self.refused += 1
        else:
            self.upto = max(self.upto, upto)

    def check(self) -> None:
        journal = self.journal
        held = everything(journal)
        numbers = [number for number, *_ in held]
        assert journal.epoch == self.epoch
        assert numbers == sorted(set(numbers)), "each once, in order"
        assert journal.base in (self.upto + 1, self.committing + 1), "the cursor is the old or the new one"
        assert journal.next > self.flushed, "no number that was seen outside is given again"
        missing = set(range(journal.base, journal.flushed + 1)) - set(numbers) - named(held)
        assert not missing, f"{sorted(missing)} are neither held nor named by a gap"
        for number, kind, t_ds, body in held:
            if number in self.taken and kind != records.GAP:
                assert (kind, t_ds, body) == self.taken[number]


def position(size: int = 200) -> bytes:
    """A body as large as makes segments fill soon."""
    return bytes(size - 1) + b"\x03"


def a_life(life: Life) -> Iterator[None]:
    """Appends of both lanes, flushes, commits, and enough of all that the journal is full several times."""
    life.boot()
    for i in range(170):
        if i % 17 == 5:
            life.append(records.TAMPER, records.tamper(2, i, 3), urgent=True)
        elif i % 29 == 7:
            life.append(records.BOOT, position(120))
        else:
            life.append(records.POSITION, position(200 - i % 7))
        if i % 11 == 3:
            life.flush()
        if i in (20, 21, 60):
            life.flush()
            life.commit(life.journal.flushed - 2)
        yield


def lived(life: Life) -> bool:
    """Whether the life of :func:`a_life` came to its end without a power cut."""
    try:
        for _ in a_life(life):
            pass
    except PowerCut:
        return False
    return True


def test_an_undisturbed_life_fills_the_journal_and_drops_positions_first() -> None:
    life = Life(Flash())
    assert lived(life)
    life.flush()
    held = everything(life.journal)
    gaps = named(held)
    assert len(gaps) > 40
    assert {life.taken[number][0] for number in gaps if number in life.taken} == {records.POSITION}
    assert sum(len(data) for data in life.flash.files.values()) <= LIMIT + 4096
    life.boot()


def test_a_power_cut_at_every_step_loses_nothing_that_was_flushed() -> None:
    whole = Life(Flash())
    lived(whole)
    for cut_at in range(1, whole.flash.steps + 1):
        life = Life(Flash())
        life.flash.cut_at = cut_at
        assert not lived(life)
        life.flash.cut_at = None
        journal = life.boot()
        life.append(records.TAMPER, records.tamper(2, 1, 3), urgent=True)
        life.check()
        journal.commit(journal.flushed)


def test_a_second_power_cut_at_every_step_of_the_boot_after_a_first_loses_nothing() -> None:
    whole = Life(Flash())
    lived(whole)
    for first_cut in range(1, whole.flash.steps + 1, 3):
        second_cut = 0
        while True:
            second_cut += 1
            life = Life(Flash())
            life.flash.cut_at = first_cut
            assert not lived(life)
            life.flash.cut_at = life.flash.steps + second_cut
            try:
                life.boot()
            except PowerCut:
                life.flash.cut_at = None
                life.boot()
            else:
                break
        assert second_cut > 4


def test_a_flash_that_refuses_once_at_any_step_loses_nothing_and_stops_nothing() -> None:
    whole = Life(Flash())
    lived(whole)
    for fail_at in range(10, whole.flash.steps + 1):
        life = Life(Flash())
        life.flash.fail_at = {fail_at}
        assert lived(life)
        life.flash.fail_at = set()
        life.journal.flush()
        life.check()
        life.boot()
        assert life.refused <= 1


def test_a_flash_that_refuses_for_ever_is_told_and_what_it_holds_is_still_read() -> None:
    life = Life(Flash())
    lived(life)
    life.flush()
    before = everything(life.journal)
    life.flash.fail_at = set(range(10**6))
    with pytest.raises(OSError, match="refuses"):
        for _ in range(100):
            life.journal.append(records.POSITION, 5, position())
    assert everything(life.journal) == before
    assert everything(opened(life.flash)) == before, "it boots, too"


@given(st.data())
@settings(max_examples=60)
def test_damage_to_any_byte_is_named_and_never_makes_a_number_used_twice(data: st.DataObject) -> None:
    life = Life(Flash())
    lived(life)
    life.flush()
    before = {reading[0]: reading for reading in everything(life.journal)}
    name = data.draw(st.sampled_from(sorted(life.flash.files)))
    content = bytearray(life.flash.files[name])
    at = data.draw(st.integers(0, len(content) - 1))
    content[at] ^= data.draw(st.integers(1, 255))
    life.flash.files[name] = bytes(content)
    alive = data.draw(st.booleans())
    journal = life.journal if alive else opened(life.flash)
    if name == "cursor" and not alive:
        # the epoch is told by the segments, the base by their first number
        assert journal.epoch == life.epoch
        assert journal.base <= life.upto + 1
    everything(journal)
    held = everything(journal)
    assert journal.next > life.flushed
    missing = set(range(journal.base, journal.flushed + 1)) - {reading[0] for reading in held} - named(held)
    assert not missing
    for reading in held:
        if reading[0] in before:
            assert reading == before[reading[0]]


def test_a_lost_cursor_with_no_segments_is_a_new_epoch() -> None:
    flash = Flash()
    journal = opened(flash)
    epoch = journal.epoch
    del flash.files["cursor"]
    other = Journal("", LIMIT, random.Random(99).randbytes, folder=flash)
    assert other.epoch not in (0, epoch)
    assert other.base == other.next == 1


@given(st.lists(st.tuples(st.sampled_from([1, 4, 5, 7, 8]), st.booleans(), st.integers(0, 3)), max_size=60))
def test_readings_come_back_in_order_from_both_lanes(steps: list[tuple[int, bool, int]]) -> None:
    journal = opened(Flash())
    taken: list[Reading] = []
    for kind, urgent, then in steps:
        body = records.gap(1, 1, 1, 1) if kind == records.GAP else position(20)
        number = journal.append(kind, 2**39 + len(taken), body, urgent)
        taken.append((number, kind, 2**39 + len(taken), body))
        if then == 1:
            journal.flush()
        if then == 2 and journal.flushed >= journal.base:
            journal.commit((journal.base + journal.flushed) // 2)
        assert everything(journal) == [r for r in taken if journal.base <= r[0] <= journal.flushed]
        assert journal.next == len(taken) + 1
    assert [number for number, *_ in taken] == list(range(1, len(taken) + 1))


def test_only_flushed_readings_are_read() -> None:
    journal = opened(Flash())
    journal.append(records.POSITION, 5, position(17))
    assert (journal.read(1, 9), journal.flushed, journal.next) == ([], 0, 2)
    journal.flush()
    assert [reading[0] for reading in journal.read(1, 9)] == [1]


def test_a_commit_is_monotone_and_never_beyond_what_is_made() -> None:
    journal = opened(Flash())
    for _ in range(9):
        journal.append(records.POSITION, 5, position(17))
    with pytest.raises(ValueError, match="a commit up to 9, but only 8 are made"):
        journal.commit(9)
    journal.commit(5)
    journal.commit(3)
    journal.commit(-1)
    assert journal.base == 6


def test_segments_are_unlinked_once_committed() -> None:
    flash = Flash()
    journal = opened(flash, 1 << 20)
    for _ in range(400):
        journal.append(records.POSITION, 5, position(100))
    journal.flush()
    assert len(flash.files) > 10
    journal.commit(400)
    assert len(flash.files) <= 3
    assert everything(opened(flash)) == []
    assert opened(flash).next == 401


def test_a_reserved_lane_that_fills_everything_drops_its_oldest_and_names_them_all() -> None:
    flash = Flash()
    journal = opened(flash)
    most = 0
    for i in range(1500):
        journal.append(records.ALCOHOL if i % 3 else records.POSITION, 5, position())
        if i % 100 == 99:
            journal.flush()
            held = everything(journal)
            assert set(range(1, journal.next)) - {reading[0] for reading in held} - named(held) == set()
            most = max(most, sum(reading[1] == records.GAP for reading in held))
    assert sum(len(data) for data in flash.files.values()) <= LIMIT + 4096
    assert most < 240, "gap records do not pile up, even where every third reading is in the other lane"


def test_many_boots_with_little_said_do_not_push_out_positions() -> None:
    flash = Flash()
    journal = opened(flash)
    for _ in range(20):
        journal.append(records.POSITION, 5, position(17))
    journal.flush()
    for _ in range(200):
        journal = opened(flash)
        journal.append(records.BOOT, 5, records.boot(1, 2, 3, 0), urgent=True)
    assert journal.boots == 201
    assert [reading[0] for reading in everything(journal)] == list(range(1, 221))


def test_it_works_on_a_plain_folder(tmp_path: Path) -> None:
    root = tmp_path / "journal"
    journal = Journal(str(root), LIMIT, random.Random(1).randbytes)
    for i in range(200):
        journal.append(records.POSITION, i, position(100))
    journal.flush()
    journal.commit(50)
    (root / "p0000ffff.tmp").write_bytes(b"left by a cut")
    again = Journal(str(root), LIMIT, random.Random(2).randbytes)
    assert (again.epoch, again.base, again.next, again.boots) == (journal.epoch, 51, journal.next, 2)
    assert everything(again) == everything(journal)
    assert not list(root.glob("*.tmp"))


@pytest.mark.parametrize("body", [b"", bytes(256)])
def test_a_body_that_no_record_can_hold_is_refused(body: bytes) -> None:
    with pytest.raises(ValueError, match="1 to 255 bytes"):
        opened(Flash()).append(records.POSITION, 0, body)


def test_a_journal_too_small_to_drop_anything_is_refused() -> None:
    with pytest.raises(ValueError, match="needs 16384 bytes, not 12288"):
        opened(Flash(), 12288)
