"""A device's MAC key is changed: whatever comes in whatever order, no reading is lost, and the old key ends."""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path

import hypothesis.strategies as st
import pytest
from hypothesis import settings as hypothesis_settings
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule, run_state_machine_as_test
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from typer.testing import CliRunner

from core import envelope, wire
from core.readings import Kind
from gateway import commands, keys, rotation, topics
from gateway.backup import backup
from gateway.check import check
from gateway.cli import app
from gateway.commands import Outbox
from gateway.commit import Committer
from gateway.devices import Credentials, DeviceError, add_device, revoke_device
from gateway.group import Received
from gateway.restore import restore
from gateway.seal import DEVICE_KEY, NEXT_KEY, RETIRED_KEY, SealError, master_of
from gateway.store import Store, device_keys, devices, state
from gateway.trail import positions_of
from tests.gateway import postgres
from tests.gateway.kept_store import Kept, keep
from tests.gateway.stand_in import EPOCH, block, positions

TAG = "tag0001"
NOW_MS = 1_760_000_000_000


class Tag:
    """A tag's half of the change of keys: one key, and the one before it."""

    def __init__(self, credentials: Credentials) -> None:
        self.credentials = credentials
        self.key = credentials.key
        self.before = b""

    def seal(self, *blocks: wire.Block, base: int = 1, key: bytes = b"") -> Received:
        topic = topics.up(TAG)
        payload = wire.encode_up(wire.Up(EPOCH, base, tuple(blocks)))
        return Received(topic, envelope.seal(key or self.key, TAG, topic, payload), NOW_MS)

    def take(self, command: wire.Command) -> None:
        """Obey `rekey`, as the protocol says it."""
        assert command.name == "rekey"
        (masked,) = command.arguments
        key = commands.masked_next(self.key, masked[16:], masked[:16])[16:]
        if key != self.key:
            self.key, self.before = key, self.key


def rekeys(kept: Kept, *, over_air: bool = True, device: str = TAG) -> rotation.Prepared:
    return rotation.prepare(
        kept.store, kept.authority, device, settings=kept.settings, over_air=over_air, now_ms=NOW_MS
    )


def outbox_of(kept: Kept) -> Outbox:
    return Outbox(kept.store, kept.vault, kept.committer.key)


def said(kept: Kept, outbox: Outbox, now_ms: int = NOW_MS) -> list[wire.Command]:
    """What the gateway says to the tag now."""
    with kept.store.read() as connection:
        changes = state.changes(connection)
    rotation.Rekeys(kept.store).look(now_ms, changes)
    kept.committer.refresh()
    outbox.refresh(now_ms)
    return [command for device, command in outbox.due(now_ms) if device == TAG]


def numbers(store: Store) -> list[int]:
    with store.read() as connection:
        return sorted(int(number) for number in positions_of(connection, TAG).seq)


@pytest.fixture
def kept(tmp_path: Path) -> Kept:
    opened = keep(tmp_path / "data")
    opened.add(TAG)
    return opened


@pytest.fixture
def tag(kept: Kept) -> Tag:
    return Tag(Credentials.read(kept.settings.devices_dir / TAG))


def test_a_tag_takes_its_next_key_by_air_and_every_reading_is_committed(kept: Kept, tag: Tag) -> None:
    old = tag.key
    kept.committer.commit([tag.seal(positions(1, 2))])
    rekeys(kept)
    kept.committer.commit([tag.seal(positions(3, 1))])
    (command,) = said(kept, outbox_of(kept))
    assert old not in repr(command).encode()
    tag.take(command)
    assert tag.key != old
    done = kept.committer.commit([tag.seal(positions(4, 1))])
    assert (done.commits, done.adopted) == ({(TAG, EPOCH): 4}, {TAG})
    assert kept.committer.key(TAG) == tag.key, "what is said down is sealed under the new key at once"
    assert said(kept, outbox_of(kept)) == [], "the command is said no more"
    assert check(kept.store, kept.vault).faults == [], "what was said under the old key is still verified"
    late = kept.committer.commit([tag.seal(positions(5, 1), key=old)])
    assert (late.commits, late.counts["quarantined_retired_key"]) == ({}, 1)
    assert kept.committer.commit([tag.seal(positions(5, 1))]).commits == {(TAG, EPOCH): 5}
    kept.store.close()


def test_within_one_group_the_old_key_ends_where_the_new_one_was_used(kept: Kept, tag: Tag) -> None:
    rekeys(kept)
    (command,) = said(kept, outbox_of(kept))
    before, late = tag.seal(positions(1, 1)), tag.seal(positions(3, 1))
    tag.take(command)
    done = kept.committer.commit([before, tag.seal(positions(2, 1)), late])
    assert (done.commits, done.counts["quarantined_retired_key"]) == ({(TAG, EPOCH): 2}, 1)
    kept.store.close()


def test_a_commit_that_fails_changes_no_key(kept: Kept, tag: Tag) -> None:
    rekeys(kept)
    (command,) = said(kept, outbox_of(kept))
    old = tag.key
    tag.take(command)
    with kept.store.write() as connection:
        connection.execute(
            text("CREATE TRIGGER fail BEFORE INSERT ON counter BEGIN SELECT RAISE(ABORT, 'no'); END")
        )
    with pytest.raises(DBAPIError):
        kept.committer.commit([tag.seal(positions(1, 1))])
    with kept.store.write() as connection:
        connection.execute(text("DROP TRIGGER fail"))
    assert kept.committer.commit([tag.seal(positions(1, 1), key=old)]).commits == {(TAG, EPOCH): 1}
    assert kept.committer.commit([tag.seal(positions(1, 1))]).commits == {(TAG, EPOCH): 1}
    kept.store.close()


def test_the_next_key_is_made_once_however_often_it_is_asked_for(kept: Kept) -> None:
    assert rekeys(kept).number == rekeys(kept).number == 2
    with kept.store.read() as connection:
        assert len(device_keys.of_device(connection, TAG)) == 1
    first = rekeys(kept, over_air=False).folder
    assert first is not None
    config = (first / "config.json").read_bytes()
    rekeys(kept, over_air=False)
    assert (first / "config.json").read_bytes() == config
    kept.store.close()


def test_what_the_console_is_given_is_the_next_key_and_names_the_one_before(kept: Kept, tag: Tag) -> None:
    rekeys(kept, over_air=False)
    assert said(kept, outbox_of(kept)) == [], "by console means not by air"
    document = json.loads((kept.settings.devices_dir / TAG / "config.json").read_text())
    assert document["key_before"] == tag.key.hex()
    tag.key = bytes.fromhex(document["key"])
    assert kept.committer.commit([tag.seal(positions(1, 1))]).adopted == {TAG}
    kept.store.close()


def test_a_key_moved_to_another_place_of_its_own_device_opens_nothing(kept: Kept, tag: Tag) -> None:
    rekeys(kept)
    with kept.store.read() as connection:
        (row,) = device_keys.of_device(connection, TAG)
    with pytest.raises(SealError, match="not sealed as that"):
        kept.vault.open_sealed(DEVICE_KEY, TAG, row.key)
    assert kept.vault.open_sealed(NEXT_KEY, TAG, row.key)
    (command,) = said(kept, outbox_of(kept))
    tag.take(command)
    kept.committer.commit([tag.seal(positions(1, 1))])
    with kept.store.read() as connection:
        (row,) = device_keys.of_device(connection, TAG)
    assert row.use == "retired"
    with pytest.raises(SealError, match="not sealed as that"):
        kept.vault.open_sealed(DEVICE_KEY, TAG, row.key)
    # somebody who can write the store puts the retired key back: nobody is believed under it
    with kept.store.write() as connection:
        devices.put_keys(connection, {TAG: row.key})
    done = kept.committer.commit([tag.seal(positions(2, 1), key=tag.before)])
    assert (done.commits, done.counts["quarantined_shut_key"]) == ({}, 1)
    assert "was not sealed as that" in str(check(kept.store, kept.vault).faults)
    kept.store.close()


def test_a_change_of_the_master_key_seals_next_and_retired_keys_anew(kept: Kept, tag: Tag) -> None:
    rekeys(kept)
    (command,) = said(kept, outbox_of(kept))
    tag.take(command)
    kept.committer.commit([tag.seal(positions(1, 1))])
    rekeys(kept)
    keys.change_master(kept.settings, kept.store)
    with kept.store.read() as connection:
        rows = device_keys.every(connection)
    kept.vault.reload()
    assert {row.use for row in rows} == {"next", "retired"}
    assert {master_of(row.key) for row in rows} == {kept.vault.present}
    assert check(kept.store, kept.vault).faults == []
    (command,) = said(kept, outbox_of(kept))
    tag.take(command)
    assert kept.committer.commit([tag.seal(positions(2, 1))]).adopted == {TAG}
    kept.store.close()


def test_a_backup_holds_next_and_retired_keys(kept: Kept, tag: Tag, tmp_path: Path) -> None:
    kept.committer.commit([tag.seal(positions(1, 1))])
    rekeys(kept)
    (command,) = said(kept, outbox_of(kept))
    tag.take(command)
    kept.committer.commit([tag.seal(positions(2, 1))])
    rekeys(kept)
    (later,) = said(kept, outbox_of(kept))
    backup(kept.settings, tmp_path / "b")
    tag.take(later)
    other = keep(tmp_path / "other")
    other.store.close()
    restore(other.settings, tmp_path / "b", kept.settings.master_key_path)
    other = keep(tmp_path / "other")
    assert check(other.store, other.vault).faults == []
    assert other.committer.commit([tag.seal(positions(3, 1))]).adopted == {TAG}
    other.store.close()
    kept.store.close()


def test_no_key_is_changed_where_that_makes_no_sense(kept: Kept) -> None:
    add_device(kept.store, kept.authority, "rft0001", settings=kept.settings, kind="rf_tag")
    with pytest.raises(DeviceError, match="hears nothing by air"):
        rekeys(kept, device="rft0001")
    with pytest.raises(DeviceError, match="not known"):
        rekeys(kept, device="tag0009")
    with pytest.raises(DeviceError, match="change to no other key"):
        rotation.cancel(kept.store, TAG, NOW_MS)
    rekeys(kept, over_air=False)
    rotation.cancel(kept.store, TAG, NOW_MS)
    rekeys(kept)
    with pytest.raises(DeviceError, match="may have taken its next key"):
        rotation.cancel(kept.store, TAG, NOW_MS)
    revoke_device(kept.store, TAG, settings=kept.settings)
    with pytest.raises(DeviceError, match="revoked"):
        rekeys(kept)
    assert said(kept, outbox_of(kept)) == []
    kept.store.close()


def test_what_a_tag_could_not_take_is_said_again_after_an_hour(kept: Kept, tag: Tag) -> None:
    rekeys(kept)
    (command,) = said(kept, outbox_of(kept))
    failed = block(Kind.COMMAND, 1, [NOW_MS], generation=1, n=command.n, outcome=2)
    kept.committer.commit([tag.seal(failed)])
    assert said(kept, outbox_of(kept), NOW_MS + 60_000) == []
    (again,) = said(kept, outbox_of(kept), NOW_MS + rotation.AGAIN_MS + 1)
    tag.take(again)
    assert kept.committer.commit([tag.seal(positions(2, 1))]).adopted == {TAG}
    kept.store.close()


def test_the_commands_say_who_has_still_to_change(kept: Kept) -> None:
    here = ["--data-dir", str(kept.settings.data_dir)]
    add_device(kept.store, kept.authority, "rft0001", settings=kept.settings, kind="rf_tag")
    run = CliRunner()
    assert "every device has the key" in run.invoke(app, ["device", "keys", *here]).output
    told = run.invoke(app, ["device", "rekey", "--all", *here])
    assert told.output.splitlines() == [f"{TAG}: key 2 is told to it when it is there"], (
        "an RF tag is not there"
    )
    assert run.invoke(app, ["device", "rekey", "--console", "rft0001", *here]).exit_code == 0
    listed = run.invoke(app, ["device", "keys", *here]).output
    assert [line.split(",")[0] for line in listed.splitlines()] == ["rft0001: key 2", f"{TAG}: key 2"]
    done = run.invoke(app, ["device", "rekeyed", "rft0001", *here])
    assert done.exit_code == 0, done.output
    assert not (kept.settings.devices_dir / "rft0001").exists()
    refused = run.invoke(app, ["device", "rekeyed", TAG, *here])
    assert (refused.exit_code, "is no RF tag" in refused.output) == (1, True)
    assert run.invoke(app, ["device", "rekey", *here]).exit_code == 1
    kept.store.close()


def test_on_postgresql_a_key_is_changed_as_well(
    postgres_server: postgres.PostgresServer, tmp_path: Path
) -> None:
    folder = keep(tmp_path / "data")
    folder.store.close()
    store = Store.open(postgres_server.empty())
    committer = Committer(store, folder.vault, quarantine_rows=10, quarantine_bytes=64)
    kept = Kept(folder.settings, store, folder.authority, committer)
    tag = Tag(kept.add(TAG))
    for n in range(1, 4):
        rekeys(kept)
        (command,) = said(kept, outbox_of(kept), NOW_MS + n)
        tag.take(command)
        done = kept.committer.commit([tag.seal(positions(n, 1))])
        assert (done.commits, done.adopted) == ({(TAG, EPOCH): n}, {TAG})
        assert check(store, kept.vault).faults == []
    assert rotation.listing(store) == []
    store.close()


class ChangeOfKeys(RuleBasedStateMachine):
    """A tag, a gateway, and everything between them: late, twice, in any order; power cuts on both sides."""

    on_the_way = Bundle("on_the_way")
    template: Path

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        shutil.copytree(self.template, Path(self.folder.name) / "data")
        self.kept = keep(Path(self.folder.name) / "data")
        self.tag = Tag(Credentials.read(self.kept.settings.devices_dir / TAG))
        self.outbox = outbox_of(self.kept)
        self.made = 0
        self.base = 1
        self.used = [self.tag.key]
        """The keys under which the gateway has believed the tag, in their order."""
        self.now_ms = NOW_MS

    def teardown(self) -> None:
        self.kept.store.close()
        self.folder.cleanup()

    @rule()
    def somebody_changes_the_key(self) -> None:
        rekeys(self.kept)

    @rule()
    def the_master_key_is_changed(self) -> None:
        keys.change_master(self.kept.settings, self.kept.store)

    @rule(lost=st.booleans())
    def the_gateway_speaks(self, lost: bool) -> None:
        """Down messages are lost, or arrive; those under a key the tag has no more are passed over."""
        self.now_ms += commands.AGAIN_MS
        for command in said(self.kept, self.outbox, self.now_ms):
            key = self.kept.committer.key(TAG)
            assert key in (self.tag.key, self.tag.before), "a tag never takes the gateway for a forger"
            if not lost and key == self.tag.key:
                self.tag.take(command)

    @rule(target=on_the_way, more=st.integers(0, 2))
    def the_tag_speaks(self, more: int) -> tuple[Received, bytes]:
        """It says all that it holds, under the key that it has now."""
        self.made += more
        held = [positions(self.base, self.made - self.base + 1)] if self.made >= self.base else []
        return self.tag.seal(*held, base=self.base), self.tag.key

    @rule(some=st.lists(on_the_way, min_size=1, max_size=3), heard=st.booleans())
    def some_of_it_arrives(self, some: list[tuple[Received, bytes]], heard: bool) -> None:
        """In any order, once or often. What is sealed under an older key than was used is refused."""
        done = self.kept.committer.commit([message for message, _ in some])
        refused = 0
        for _, key in some:
            if key in self.used[:-1]:
                refused += 1
            elif key != self.used[-1]:
                self.used.append(key)
        assert done.counts["quarantined"] == refused
        assert self.kept.committer.key(TAG) == self.used[-1]
        if heard and done.commits and self.tag.key == self.used[-1]:
            self.base = max(self.base, done.commits[TAG, EPOCH] + 1)
        self.outbox.refresh(self.now_ms, done.adopted)

    @rule()
    def the_gateway_is_killed(self) -> None:
        self.kept.store.close()
        self.kept = keep(self.kept.settings.data_dir)
        keys.make_ready(self.kept.settings, self.kept.store, self.kept.authority)
        self.outbox = outbox_of(self.kept)

    @invariant()
    def the_tags_key_is_known(self) -> None:
        with self.kept.store.read() as connection:
            entry = devices.one(connection, TAG)
            found = device_keys.next_of(connection, TAG)
        assert entry is not None
        self.kept.vault.reload()
        known = {self.kept.vault.open_sealed(DEVICE_KEY, TAG, entry.key)}
        if found is not None:
            known.add(self.kept.vault.open_sealed(NEXT_KEY, TAG, found.key))
        assert self.tag.key in known

    @invariant()
    def what_it_says_now_is_believed(self) -> None:
        """Whatever has happened, the next thing that it says would be committed; and all that is stored verifies."""
        assert check(self.kept.store, self.kept.vault).faults == []
        assert numbers(self.kept.store) == sorted(set(numbers(self.kept.store)))
        assert set(range(1, self.base)) <= set(numbers(self.kept.store)), (
            "nothing forgotten that is not stored"
        )


def test_a_tags_key_is_always_known_and_no_reading_lost_whatever_comes_in_whatever_order(
    tmp_path: Path,
) -> None:
    made = keep(tmp_path / "data")
    made.add(TAG)
    made.store.close()
    ChangeOfKeys.template = tmp_path / "data"
    run_state_machine_as_test(
        ChangeOfKeys, settings=hypothesis_settings(max_examples=30, stateful_step_count=20, deadline=None)
    )


def test_an_rf_tag_that_was_provisioned_anew_has_the_next_key_when_somebody_says_so(kept: Kept) -> None:
    add_device(kept.store, kept.authority, "rft0001", settings=kept.settings, kind="rf_tag")
    rekeys(kept, over_air=False, device="rft0001")
    with kept.store.read() as connection:
        row = device_keys.next_of(connection, "rft0001")
    assert row is not None
    new = kept.vault.open_sealed(NEXT_KEY, "rft0001", row.key)
    rotation.adopted_at_console(kept.store, kept.authority, "rft0001", NOW_MS)
    with kept.store.read() as connection:
        entry = devices.one(connection, "rft0001")
        assert device_keys.changed_ms(connection) == {"rft0001": NOW_MS}
        (old,) = device_keys.of_device(connection, "rft0001")
    assert entry is not None
    assert kept.vault.open_sealed(DEVICE_KEY, "rft0001", entry.key) == new
    assert kept.vault.open_sealed(RETIRED_KEY, "rft0001", old.key) != new
    kept.store.close()
