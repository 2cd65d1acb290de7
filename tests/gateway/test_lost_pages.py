"""Power goes, and the disk has what was synced, or any mixture with what was written since: nothing said is lost."""

from __future__ import annotations

import os
import random
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import event

from core import envelope, wire
from gateway import keys, topics
from gateway.backup import backup
from gateway.check import check
from gateway.group import Received
from gateway.restore import finish_alone, restore
from gateway.store import Store, devices, envelopes, erasures, sqlite_file, state
from tests.gateway.kept_store import Kept, keep
from tests.gateway.lost_pages import Kept as Pages
from tests.gateway.lost_pages import Names, Power
from tests.gateway.stand_in import EPOCH, positions
from tests.gateway.test_power_cuts import MESSAGES, at, delete, filled, first_form, numbers

Tell = Callable[[str], None]
GROUPS = 12
WAYS: tuple[tuple[Names, Pages], ...] = (("synced", "synced"), ("synced", "mixed"), ("written", "mixed"))
"""Which names there are when power is back, and which content."""
SEEDS = [1, *(pytest.param(seed, marks=pytest.mark.long) for seed in range(2, 22))]


@contextmanager
def power(folder: Path, work: Callable[[Path, Tell], None]) -> Iterator[Power]:
    try:
        made = Power(folder, folder / "template", work)
    except FileNotFoundError:
        pytest.skip("no C compiler on this machine")
    with made:
        yield made


def cuts(made: Power, seed: int) -> Iterator[list[str]]:
    """What had been said when power went, before each sync or some of them; the box holds what is left."""
    whole = made.until(0)
    assert not whole.cut
    assert whole.syncs > 1
    dice = random.Random(seed)
    cut = 0
    syncs = sorted(dice.sample(range(1, whole.syncs + 1), min(12 if seed == SEEDS[0] else 40, whole.syncs)))
    for sync in syncs:
        end = made.until(sync)
        cut += end.cut
        made.lose(dice, *dice.choice(WAYS))
        yield end.said
    assert cut > len(syncs) / 2
    end = made.until(0)  # power may also go a moment after the end
    made.lose(dice, "synced", "synced")
    yield end.said


@pytest.fixture
def template(tmp_path: Path) -> Path:
    """A gateway's folder with a wearer whose order is over, and another tag; ``data`` in it."""
    filled(tmp_path / "template" / "data")
    return tmp_path / "template"


def say(kept: Kept, device: str, number: int) -> None:
    """Commit a position that a device sends under the key that the gateway knows of it."""
    kept.committer.refresh()
    key = kept.committer.key(device)
    assert key is not None
    topic = topics.up(device)
    up = wire.encode_up(wire.Up(EPOCH, 1, (positions(number, 1),)))
    message = Received(topic, envelope.seal(key, device, topic, up), 1_760_000_000_000)
    assert kept.committer.commit([message]).commits


def sound(box: Path) -> Kept:
    """What a gateway finds when it starts: keys that open, evidence that verifies, a file that is whole."""
    kept = keep(box / "data")
    keys.make_ready(kept.settings, kept.store, kept.authority)
    assert check(kept.store, kept.vault).faults == []
    assert sqlite_file.faults(kept.settings.store_path) == []
    return kept


def commit(box: Path, tell: Tell) -> None:
    """Messages of a tag, one after the other; of each is told that the tag may forget it."""
    kept = keep(box / "data")
    for number in range(2, 2 + GROUPS):
        say(kept, "tag0002", number)
        tell(str(number))
    kept.store.close()


def commit_and_wait_for_no_disk(box: Path, tell: Tell) -> None:
    """The same with a store that leaves it to the system when what it commits reaches the disk."""

    def carelessly(connection: sqlite3.Connection, _record: object) -> None:
        connection.execute("PRAGMA synchronous = NORMAL")

    real = Store.open

    def opened(*arguments: object, **named: object) -> Store:
        store = real(*arguments, **named)  # type: ignore[arg-type]
        store.engine.dispose()
        event.listen(store.engine, "connect", carelessly)
        return store

    Store.open = opened  # type: ignore[method-assign]
    commit(box, tell)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.usefixtures("template")
def test_what_a_tag_may_forget_is_there_whenever_power_goes(tmp_path: Path, seed: int) -> None:
    with power(tmp_path, commit) as made:
        for said in cuts(made, seed):
            kept = sound(made.box)
            found = numbers(kept.store, "tag0002")
            assert found == list(range(1, 1 + len(found))), "nothing in between is missing"
            assert len(said) <= len(found) - 1 <= len(said) + 1
            say(kept, "tag0002", 1 + len(found))  # and it goes on
            kept.store.close()


@pytest.mark.usefixtures("template")
def test_a_store_that_does_not_wait_for_the_disk_is_seen_to_lose_what_it_said(tmp_path: Path) -> None:
    with power(tmp_path, commit_and_wait_for_no_disk) as made:
        lost = 0
        for said in cuts(made, 1):
            kept = keep(made.box / "data")
            lost += len(numbers(kept.store, "tag0002")) - 1 < len(said)
            kept.store.close()
    assert lost, "else the other tests could not fail"


def change(box: Path, tell: Tell) -> None:
    """Another master key."""
    kept = keep(box / "data")
    keys.change_master(kept.settings, kept.store)
    tell("changed")
    kept.store.close()


def change_and_sync_nothing(box: Path, tell: Tell) -> None:
    """The same by a program that forgets to sync its own files."""
    os.fsync = lambda fd: None
    change(box, tell)


@pytest.mark.parametrize("seed", SEEDS)
def test_every_key_opens_after_a_change_of_the_master_key_whenever_power_goes(
    tmp_path: Path, template: Path, seed: int
) -> None:
    before = keep(template / "data").vault.present
    with power(tmp_path, change) as made:
        for said in cuts(made, seed):
            kept = sound(made.box)
            assert said == [] or kept.vault.present != before
            say(kept, "tag0002", 2)
            kept.store.close()


@pytest.mark.usefixtures("template")
def test_a_change_that_syncs_nothing_is_seen_to_lose_keys(tmp_path: Path) -> None:
    with power(tmp_path, change_and_sync_nothing) as made:
        whole = made.until(0)
        dice = random.Random(1)
        lost = 0
        for sync in [0, *range(1, whole.syncs + 1)] * 3:
            made.until(sync)
            made.lose(dice, "written", "mixed")
            try:
                sound(made.box).store.close()
            except Exception:  # noqa: BLE001 -- whatever it is that does not work then
                lost += 1
    assert lost, "else the other test could not fail"


def add(box: Path, tell: Tell) -> None:
    """Devices, one after the other."""
    kept = keep(box / "data")
    for number in range(3, 7):
        kept.add(f"tag000{number}")
        tell(f"tag000{number}")
    kept.store.close()


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.usefixtures("template")
def test_a_device_that_was_added_is_there_with_its_credentials_whenever_power_goes(
    tmp_path: Path, seed: int
) -> None:
    with power(tmp_path, add) as made:
        for said in cuts(made, seed):
            kept = sound(made.box)
            with kept.store.read() as connection:
                known = {entry.id for entry in devices.every(connection)}
            assert known >= {"tag0001", "tag0002", *said}
            for name in said:
                held = kept.settings.devices_dir / name
                assert {path.name for path in held.iterdir()} == {
                    path.name for path in (kept.settings.devices_dir / "tag0001").iterdir()
                }
                assert all(path.stat().st_size for path in held.iterdir())
            say(kept, sorted(known)[-1], 1 + 60)
            kept.store.close()


def remove(box: Path, tell: Tell) -> None:
    """A run of retention."""
    delete(box)
    tell("gone")


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.usefixtures("template")
def test_each_reading_is_here_or_proven_to_be_gone_whenever_power_goes(tmp_path: Path, seed: int) -> None:
    with power(tmp_path, remove) as made:
        for said in cuts(made, seed):
            kept = sound(made.box)
            left = numbers(kept.store)
            with kept.store.read() as connection:
                gone = erasures.spans_of(connection, "tag0001")
            proven = [number for spans in gone.values() for a, b in spans for number in range(a, b + 1)]
            assert sorted(left + proven) == list(range(1, MESSAGES + 1))
            assert said == [] or left == []
            kept.store.close()
            delete(made.box)


def save(box: Path, tell: Tell) -> None:
    """A backup."""
    backup(at(box), box / "b")
    tell("saved")


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.usefixtures("template")
def test_a_backup_is_whole_or_not_there_whenever_power_goes(tmp_path: Path, seed: int) -> None:
    with power(tmp_path, save) as made:
        for said in cuts(made, seed):
            kept = sound(made.box)
            assert numbers(kept.store) == list(range(1, MESSAGES + 1))
            kept.store.close()
            if (made.box / "b").exists():
                restore(at(made.box), made.box / "b")
                sound(made.box).store.close()
            else:
                assert said == []
                backup(at(made.box), made.box / "b")


def bring_back(box: Path, tell: Tell) -> None:
    """A restore."""
    restore(at(box), box / "b")
    tell("restored")


@pytest.mark.parametrize("seed", SEEDS)
def test_a_restore_leaves_wholly_the_old_or_wholly_the_new_whenever_power_goes(
    tmp_path: Path, template: Path, seed: int
) -> None:
    backup(at(template), template / "b")
    kept = keep(template / "data")
    kept.say(kept.add("tag0003"), positions(1, 1))
    kept.store.close()
    with power(tmp_path, bring_back) as made:
        for said in cuts(made, seed):
            finish_alone(at(made.box))  # what the gateway does when it starts
            kept = sound(made.box)
            with kept.store.read() as connection:
                new = state.generation(connection) > 1
                known = {entry.id for entry in devices.every(connection)}
            assert known == {"tag0001", "tag0002"} | (set() if new else {"tag0003"})
            assert new or said == []
            kept.store.close()


def migrate(box: Path, tell: Tell) -> None:
    """What a gateway of today does with a store of the first form."""
    Store.open(box / "store.sqlite").close()
    tell("migrated")


@pytest.mark.parametrize("seed", SEEDS)
def test_a_store_of_the_first_form_opens_whenever_power_goes(tmp_path: Path, seed: int) -> None:
    first_form(tmp_path / "template")
    with power(tmp_path, migrate) as made:
        for _ in cuts(made, seed):
            store = Store.open(made.box / "store.sqlite")
            with store.read() as connection:
                assert envelopes.count(connection) == MESSAGES
            store.close()
            assert sqlite_file.faults(made.box / "store.sqlite") == []
