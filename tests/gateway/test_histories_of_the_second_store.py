"""Random histories of a store, its second store, backups and disks: what a tag was told to forget is never lost.

The real parts, without their processes. Whatever happened, a copy that was brought up is row for row what the store
holds, or it is refused with a word; and what is restored from either has what tags have forgotten.
"""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import tempfile
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from hypothesis.stateful import run_state_machine_as_test as run_machine
from sqlalchemy import event
from sqlalchemy.engine import Engine
from sqlalchemy.exc import DBAPIError

from core import envelope, wire
from gateway import replica, retention, rotation, topics
from gateway.backup import backup
from gateway.delivery.notice import acknowledge
from gateway.devices import revoke_device
from gateway.group import Received
from gateway.orders import activate, add_order
from gateway.policy import Policy
from gateway.replica import Copy, ReplicaError
from gateway.restore import restore
from gateway.seal import NEXT_KEY
from gateway.settings import Settings
from gateway.store import Store, alerts, copying, device_keys, devices, erasures, sqlite_file, state
from gateway.store.marks import Mark
from gateway.store.tables import quarantine
from gateway.trail import positions_of
from tests.community_order import community_order
from tests.gateway.forked import forked, was_killed
from tests.gateway.kept_store import Kept, everything, keep
from tests.gateway.postgres import PostgresServer
from tests.gateway.stand_in import EPOCH, START_S, positions

NOW_MS = 1_760_000_000_000
LONG_AFTER_MS = NOW_MS + 10 * 86_400_000
UNWORN = Policy.model_validate({"version": "1", "source": "x", "unworn": {"days": 1, "text": "They go."}})
MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None
"""Nothing here is about what a disk loses: thousands of synchronous writes need none."""
TAGS = ("tag0001", "tag0002", "tag0003")
tags = st.sampled_from(TAGS)


class Tag:
    """A tag: how many readings it has made, up to which it was told to forget them, and its key."""

    def __init__(self, key: bytes) -> None:
        self.key = key
        self.made = 0
        self.forgotten = 0

    def seal(self, device: str, lat: float = 51.5, *, again: bool = False) -> Received:
        """All that it holds, in one message; ``again``: its last reading, with other bytes."""
        first = max(self.made, 1) if again else self.forgotten + 1
        block = positions(first, max(self.made - first + 1, 1), lat=lat)
        payload = wire.encode_up(wire.Up(EPOCH, first, (block,)))
        topic = topics.up(device)
        return Received(topic, envelope.seal(self.key, device, topic, payload), NOW_MS)


def kill_before_statement(number: int, work: Callable[[], object]) -> bool:
    """Do ``work`` in a process that is killed before its ``number``-th statement to any database; was it?"""

    def doomed() -> None:
        left = number

        def watch(*_: object) -> None:
            nonlocal left
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

        event.listen(Engine, "before_cursor_execute", watch)
        event.listen(Engine, "commit", watch)
        work()

    return was_killed(forked(doomed))


class Histories(RuleBasedStateMachine):
    """A box with a store, a second store on another disk, three tags, and an operator whom much befalls."""

    template: Path
    postgres: PostgresServer | None = None
    """Where the copy is kept in a database: there its files are not looked at, nor its disk put back."""

    def __init__(self) -> None:
        super().__init__()
        self._folder = tempfile.TemporaryDirectory(dir=MEMORY, ignore_cleanup_errors=True)
        self.folder = Path(self._folder.name)
        self.boxes = self.disks = self.era = 0
        """``era``: how often the tags were changed for others."""
        self.tags: dict[str, Tag] = {}
        self.owed: dict[str, int] = {}
        """What is committed here, and tags are to be told when the copy has it."""
        self.given: dict[int, str] = {}
        self.said: list[bytes] = []
        self.old: list[tuple[Settings, Path | str]] = []
        self.backups: list[Path] = []
        self.images: list[tuple[Path, int, Path | str]] = []
        self.copy_images: list[tuple[Path, int]] = []
        self.may_refuse = ""
        """Why the copy may be refused now, "" where it must not be."""
        self.copying = True
        self.behind = False
        """Tags may have been told what the copy has not: there was none for a while, or it was put back."""
        self.place: Path | str = self.new_place()
        shutil.copytree(self.template, self.folder / "box0")
        self.kept = self.opened(self.folder / "box0")
        self.copy: Copy | None = None
        replica.begin(self.kept.store)

    # --- what there is

    def new_place(self) -> Path | str:
        self.disks += 1
        if self.postgres is not None:
            return self.postgres.empty()
        place = self.folder / f"disk{self.disks}" / "copy.sqlite"
        place.parent.mkdir()
        shutil.copyfile(self.template.parent / "empty.sqlite", place)
        return place

    def settings_of(self, folder: Path) -> Settings:
        return Settings.load(folder, mqtt_port=0, commit_after="replica", replica=str(self.place))

    def opened(self, folder: Path) -> Kept:
        return keep(folder, commit_after="replica", replica=str(self.place))

    def numbers(self, store: Store, device: str) -> set[int]:
        with store.read() as connection:
            return {int(number) for number in positions_of(connection, device).seq}

    def files_of_copy(self) -> bytes:
        assert isinstance(self.place, Path)
        return b"".join(path.read_bytes() for path in sorted(self.place.parent.glob("*")))

    def held(self, store: Store) -> dict[str, set[int]]:
        return {device: self.numbers(store, device) | self.gone(store, device) for device in self.tags}

    def gone(self, store: Store, device: str) -> set[int]:
        with store.read() as connection:
            spans = erasures.spans_of(connection, device, EPOCH, erasures.READINGS)
        return {n for span in spans.get(EPOCH, ()) for n in range(span.first, span.last + 1)}

    def nothing_is_lost(self, *stores: Store) -> None:
        held = [self.held(store) for store in stores]
        for device, tag in self.tags.items():
            known = set().union(*(one[device] for one in held))
            assert set(range(1, tag.forgotten + 1)) <= known, f"{device} was told to forget more"

    def let_go(self) -> None:
        if self.copy is not None:
            self.copy.close()
            self.copy = None

    # --- what happens every day

    def tag(self, which: str) -> tuple[str, Tag]:
        device = f"{which}n{self.era}"
        if device not in self.tags:
            self.tags[device] = Tag(self.kept.add(device).key)
        return device, self.tags[device]

    def heard(self, device: str, message: Received) -> None:
        self.said.append(message.data[-32:])
        done = self.kept.committer.commit([message])
        upto = done.commits.get((device, EPOCH))
        assert upto is not None, "it is not believed"
        self.owed[device] = upto
        if not self.copying:
            self.tell()

    def tell(self) -> None:
        for device, upto in self.owed.items():
            self.tags[device].forgotten = max(self.tags[device].forgotten, upto)
        self.owed.clear()

    def worth_hearing(self, device: str) -> bool:
        with self.kept.store.read() as connection:
            return device not in devices.revoked(connection)

    @rule(which=tags, count=st.integers(1, 3))
    def a_tag_says_what_it_holds(self, which: str, count: int) -> None:
        device, tag = self.tag(which)
        if self.worth_hearing(device):
            tag.made += count
            self.heard(device, tag.seal(device))

    @rule(which=tags, lat=st.sampled_from([40.0, 41.0]))
    def a_reading_comes_again_with_other_bytes(self, which: str, lat: float) -> None:
        device, tag = self.tag(which)
        if tag.made and self.worth_hearing(device):
            message = tag.seal(device, lat, again=True)
            self.said.append(message.data[-32:])
            self.kept.committer.commit([message])

    @rule(noise=st.sampled_from([b"x", b"y", b"z"]))
    def somebody_says_noise(self, noise: bytes) -> None:
        self.kept.committer.commit([Received(topics.up("tag0009"), noise, NOW_MS)])

    @rule(which=tags)
    def a_tag_is_worn(self, which: str) -> None:
        device, _ = self.tag(which)
        with suppress(Exception):
            add_order(self.kept.store, community_order(f"o-{device}", effective="2025-01-01T00:00:00Z"))
            activate(self.kept.store, device, f"o-{device}", (START_S + 60) * 1000)

    @rule(which=tags)
    def a_device_is_revoked(self, which: str) -> None:
        device, _ = self.tag(which)
        if self.worth_hearing(device):
            revoke_device(self.kept.store, device, settings=self.kept.settings)
            self.kept.committer.refresh()

    @rule()
    def an_alert_is_acknowledged(self) -> None:
        with self.kept.store.read() as connection:
            rows = alerts.listing(connection)
        if rows:
            acknowledge(self.kept.store, rows[0]["number"], "Ann Officer", NOW_MS)

    @rule(which=tags)
    def a_key_is_changed(self, which: str) -> None:
        """Made here; the tag hears of it when the copy has it, and takes it."""
        device, tag = self.tag(which)
        if not self.worth_hearing(device):
            return
        rotation.prepare(
            self.kept.store,
            self.kept.authority,
            device,
            settings=self.kept.settings,
            over_air=True,
            now_ms=NOW_MS,
        )
        self.kept.committer.refresh()
        if self.brought_up() or not self.copying:
            with self.kept.store.read() as connection:
                row = device_keys.next_of(connection, device)
            assert row is not None
            tag.key = self.kept.vault.open_sealed(NEXT_KEY, device, row.key)

    @rule()
    def what_nobody_needs_is_deleted(self) -> None:
        with self.kept.store.read() as connection:
            mark = Mark(10**6, state.changes(connection))
        retention.run(
            self.kept.store, UNWORN, LONG_AFTER_MS, "x", lambda: mark, trust_clock=True, pause=lambda _: None
        )

    @rule()
    def quarantine_is_emptied(self) -> None:
        with self.kept.store.write() as connection:
            connection.execute(quarantine.delete())

    # --- the copy

    def brought_up(self) -> bool:
        """Bring the copy up, if it is wanted; False where it was refused for a reason that the operator was told."""
        if not self.copying:
            return False
        if self.copy is None:
            self.copy = Copy(self.kept.store, self.place)
        try:
            self.copy.bring_up()
        except ReplicaError:
            assert self.may_refuse, "there was no reason to refuse the copy"
            self.let_go()
            return False
        self.may_refuse, self.behind = "", False
        self.is_copied()
        self.tell()
        self.nothing_is_lost(self.kept.store)
        return True

    def is_copied(self) -> None:
        with closing(Store.open(self.place)) as other:
            assert everything(other) == everything(self.kept.store)

    @rule()
    def the_copy_is_brought_up(self) -> None:
        self.brought_up()

    @rule()
    def changes_are_forgotten(self) -> None:
        if self.copying:
            replica._TRIM_S, before = -1.0, replica._TRIM_S
            try:
                self.brought_up()
            finally:
                replica._TRIM_S = before

    @rule()
    def the_process_ends_and_begins(self) -> None:
        self.let_go()
        if self.copying:
            replica.begin(self.kept.store)

    @rule()
    def the_copy_is_locked(self) -> None:
        if not self.copying or not isinstance(self.place, Path):
            return
        self.let_go()
        replica._BUSY_MS, before = 10, replica._BUSY_MS
        try:
            with closing(sqlite3.connect(self.place, isolation_level=None)) as holding:
                holding.execute("BEGIN IMMEDIATE")
                with closing(Copy(self.kept.store, self.place)) as copy, suppress(DBAPIError, ReplicaError):
                    copy.bring_up()
                    raise AssertionError("nothing could be written")
        finally:
            replica._BUSY_MS = before

    @rule(number=st.integers(1, 120))
    def the_power_goes_while_it_is_brought_up(self, number: int) -> None:
        if not self.copying:
            return
        self.let_go()
        folder = self.kept.settings.store_place
        place = self.place

        def work() -> None:
            with suppress(ReplicaError), closing(Copy(Store.open(folder), place)) as copy:
                replica._TRIM_S = -1.0
                copy.bring_up()

        kill_before_statement(number, work)

    @rule()
    def deleted_is_deleted(self) -> None:
        if not self.copying or not isinstance(self.place, Path):
            return
        try:
            scrubbed = replica.scrub(self.kept.store, self.place, rewrite=False, within_s=0)
        except (DBAPIError, ReplicaError):
            return
        if scrubbed:
            known = repr(everything(self.kept.store))
            files = self.files_of_copy()
            for tail in self.said:
                assert tail not in files or repr(tail)[2:-1] in known, "it was said to be gone"

    @rule()
    def there_is_no_second_store_for_a_while(self) -> None:
        self.let_go()
        replica.end(self.kept.store)
        self.copying, self.behind = False, True
        self.tell()

    @rule()
    def there_is_a_second_store_again(self) -> None:
        replica.begin(self.kept.store)
        self.copying = True

    @rule()
    def a_new_place_is_given(self) -> None:
        if self.copying and not self.may_refuse:
            self.begin_anew()

    def begin_anew(self) -> None:
        self.let_go()
        self.copy_images.clear()
        self.place = self.new_place()
        self.change_place()
        replica.begin_anew(self.kept.store)
        assert self.brought_up()

    def change_place(self) -> None:
        self.kept = self.kept.__class__(
            self.settings_of(self.kept.settings.data_dir),
            self.kept.store,
            self.kept.authority,
            self.kept.committer,
        )

    # --- what befalls the boxes

    @rule()
    def a_backup_is_made(self) -> None:
        to = self.folder / f"backup{len(self.backups)}"
        backup(self.kept.settings, to)
        self.backups.append(to)

    @precondition(lambda self: self.copying)
    @rule(same_box=st.booleans())
    def the_box_burns_down_and_is_made_from_the_copy(self, same_box: bool) -> None:
        self.let_go()
        with closing(Store.open(self.place)) as other, other.read() as connection:
            made = "changes" in copying.numbers(connection)
        if not made or self.behind:
            return
        with closing(Store.open(self.place)) as other:
            self.nothing_is_lost(other)
        self.from_the_copy(same_box=same_box)
        self.nothing_is_lost(self.kept.store)

    def from_the_copy(self, *, same_box: bool) -> None:
        self.let_go()
        settings = self.settings_of(self.kept.settings.data_dir)
        self.kept.store.close()
        if not same_box:
            self.old.append((self.kept.settings, self.place))
            self.boxes += 1
            settings = self.settings_of(self.folder / f"box{self.boxes}")
            shutil.copytree(self.kept.settings.authority_dir, settings.authority_dir)
        restore(settings, None, self.kept.settings.master_key_path)
        self.kept = self.opened(settings.data_dir)
        self.images.clear()
        replica.begin(self.kept.store)
        self.may_refuse = ""
        self.forget_what_is_not_known()

    def forget_what_is_not_known(self) -> None:
        """What was not on the copy no tag was told; devices that were added since are provisioned anew."""
        self.owed.clear()
        with self.kept.store.read() as connection:
            known = set(devices.kinds(connection))
        self.tags = {device: tag for device, tag in self.tags.items() if device in known}

    @rule(data=st.data())
    def an_old_box_comes_back(self, data: Any) -> None:
        if not self.old:
            return
        settings, place = data.draw(st.sampled_from(self.old))
        if place != self.place:
            return
        self.let_go()
        with closing(Store.open(self.place)) as other:
            before = everything(other)
        with closing(Store.open(settings.store_place)) as store:
            replica.begin(store)
            with closing(Copy(store, place)) as copy, pytest.raises(ReplicaError):
                copy.bring_up()
        with closing(Store.open(self.place)) as other:
            assert everything(other) == before

    @precondition(lambda self: self.backups and self.copying)
    @rule(data=st.data(), back=st.booleans())
    def a_backup_is_restored(self, data: Any, back: bool) -> None:
        if self.may_refuse:
            return
        made = self.brought_up()
        source = data.draw(st.sampled_from(self.backups))
        self.let_go()
        self.kept.store.close()
        restore(self.kept.settings, source)
        self.kept = self.opened(self.kept.settings.data_dir)
        self.images.clear()
        replica.begin(self.kept.store)
        with closing(Copy(self.kept.store, self.place)) as copy, pytest.raises(ReplicaError):
            copy.bring_up()
        with closing(Store.open(self.place)) as other:
            self.nothing_is_lost(self.kept.store, other)
        assert made
        if back:
            self.from_the_copy(same_box=True)
            self.nothing_is_lost(self.kept.store)
        else:
            # what was said since the backup is on the old copy only, which the operator was told
            self.tags.clear()
            self.owed.clear()
            self.era += 1
            self.begin_anew()

    # --- what befalls the disks

    def take(self, place: Path) -> Path:
        self.disks += 1
        folder = self.folder / f"image{self.disks}"
        folder.mkdir()
        for suffix in ("", *sqlite_file.BESIDE):
            beside = place.with_name(place.name + suffix)
            if beside.exists():
                shutil.copyfile(beside, folder / beside.name)
        return folder

    def put_back(self, image: Path, place: Path) -> None:
        for suffix in ("", *sqlite_file.BESIDE):
            place.with_name(place.name + suffix).unlink(missing_ok=True)
        for path in image.iterdir():
            shutil.copyfile(path, place.with_name(path.name))

    def generation(self) -> int:
        with self.kept.store.read() as connection:
            return state.generation(connection)

    @rule()
    def an_image_of_the_copys_disk_is_made(self) -> None:
        if isinstance(self.place, Path) and not self.may_refuse and self.copying and self.brought_up():
            self.let_go()
            self.copy_images.append((self.take(self.place), self.generation()))

    @precondition(lambda self: self.copy_images)
    @rule(data=st.data(), runs=st.booleans())
    def an_image_of_the_copys_disk_is_put_back(self, data: Any, runs: bool) -> None:
        """The copy is older than the store believes; the gateway may have had its file open."""
        assert isinstance(self.place, Path)
        if not runs:
            self.let_go()
        image, generation = data.draw(st.sampled_from(self.copy_images))
        self.put_back(image, self.place)
        self.behind = True
        if generation != self.generation():
            self.may_refuse = self.may_refuse or "it is of before this box"
        if self.copying and not self.brought_up():
            self.begin_anew()
            self.may_refuse = ""

    @rule()
    def an_image_of_the_stores_disk_is_made(self) -> None:
        place = self.kept.settings.store_place
        if isinstance(place, Path) and self.copying and not self.may_refuse and self.brought_up():
            self.let_go()
            self.kept.store.close()
            self.images.append((self.take(place), self.generation_of(place), self.place))
            self.kept = self.opened(self.kept.settings.data_dir)

    def generation_of(self, place: Path) -> int:
        with closing(Store.open(place)) as store, store.read() as connection:
            return state.generation(connection)

    @precondition(lambda self: self.images and self.copying)
    @rule(data=st.data(), count=st.integers(0, 12), local=st.booleans())
    def an_image_of_the_stores_disk_is_put_back(self, data: Any, count: int, local: bool) -> None:
        """Nobody has told the gateway; it goes on with what it has, for a while without the copy."""
        place = self.kept.settings.store_place
        image, _, of_place = data.draw(st.sampled_from(self.images))
        if of_place != self.place or self.may_refuse or not self.brought_up():
            return
        self.let_go()
        before = everything(self.kept.store)
        self.kept.store.close()
        assert isinstance(place, Path)
        self.put_back(image, place)
        self.kept = self.opened(self.kept.settings.data_dir)
        replica.begin(self.kept.store)
        older = everything(self.kept.store) != before
        for n in range(count):
            self.kept.committer.commit([Received(topics.up("tag0009"), b"noise %d" % n, NOW_MS)])
        if local:
            replica.end(self.kept.store)
            replica.begin(self.kept.store)
        if older:
            with closing(Copy(self.kept.store, self.place)) as copy, pytest.raises(ReplicaError):
                copy.bring_up()
            with closing(Store.open(self.place)) as other:
                assert everything(other) == before
            self.from_the_copy(same_box=True)
            self.nothing_is_lost(self.kept.store)

    # --- what always holds

    @invariant()
    def no_number_of_an_alert_is_given_twice(self) -> None:
        with self.kept.store.read() as connection:
            rows = {row["number"]: row["id"] for row in alerts.listing(connection, limit=1000)}
        for number, name in rows.items():
            assert self.given.setdefault(number, name) == name, f"alert {number} is another one"

    def teardown(self) -> None:
        self.let_go()
        self.kept.store.close()
        self._folder.cleanup()


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a store and an authority, and beside it an empty store."""
    folder = tmp_path_factory.mktemp("template")
    kept = keep(folder / "box", commit_after="replica", replica=str(folder / "x.sqlite"))
    kept.store.close()
    shutil.copyfile(folder / "box" / "store.sqlite", folder / "empty.sqlite")
    return folder / "box"


def walk(examples: int, steps: int, *, the_same: bool) -> None:
    run_machine(
        Histories,
        settings=hypothesis_settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            derandomize=the_same,
            suppress_health_check=list(HealthCheck),
        ),
    )


def test_whatever_happens_the_copy_is_whole_or_refused_and_nothing_is_lost(template: Path) -> None:
    Histories.template, Histories.postgres = template, None
    walk(3, 12, the_same=True)


@pytest.mark.long
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("database", [False, True])
def test_whatever_happens_for_long(template: Path, database: bool, postgres_server: PostgresServer) -> None:
    Histories.template = template
    Histories.postgres = postgres_server if database else None
    walk(600, 25, the_same=False)
