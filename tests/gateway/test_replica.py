"""A tag forgets only what a second store holds: real gateways with a file or a real PostgreSQL as that store."""

from __future__ import annotations

import dataclasses
import json
import os
import queue
import shutil
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from typer.testing import CliRunner

from gateway import broker, metrics, replica, retention, rotation
from gateway.backup import BackupError, backup
from gateway.check import check
from gateway.cli import app
from gateway.devices import Credentials
from gateway.doctor.conclusions import examine
from gateway.doctor.gathering import gather
from gateway.orders import activate, add_order
from gateway.policy import Policy
from gateway.replica import Copy, ReplicaError
from gateway.restore import restore
from gateway.settings import Settings, SettingsError
from gateway.store import Store, alerts, copying, device_keys, envelopes, erasures, state
from gateway.store import commands as kept_commands
from gateway.store.marks import Mark
from gateway.trail import positions_of
from tests.community_order import community_order
from tests.gateway.conftest import House, open_house
from tests.gateway.kept_store import Kept, everything, keep
from tests.gateway.postgres import PostgresServer
from tests.gateway.stand_in import EPOCH, START_S, StandIn, positions

SQUARE = [[-0.11, 51.49], [-0.09, 51.49], [-0.09, 51.51], [-0.11, 51.51], [-0.11, 51.49]]
FITTED_MS = (START_S - 60) * 1000
LATER_MS = (START_S + 7200) * 1000


def order() -> dict[str, Any]:
    zone = {"type": "Polygon", "coordinates": [SQUARE]}
    condition = {"id": "zone-1", "type": "exclusion", "name": "a street", "zone": zone}
    return community_order("o-1", condition, effective="2025-01-01T00:00:00Z")


def assert_copied(store: Store, place: Path) -> None:
    """The copy at ``place`` has every row of every table that belongs to one."""
    other = Store.open(place)
    try:
        assert everything(other) == everything(store)
    finally:
        other.close()


def numbers(store: Store, device: str) -> list[int]:
    with store.read() as connection:
        return [int(number) for number in positions_of(connection, device).seq]


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[Kept]:
    opened = keep(tmp_path / "data")
    yield opened
    opened.store.close()


@pytest.fixture
def second(place: Path | str, tmp_path: Path) -> Path | str:
    return tmp_path / "other" / "copy.sqlite" if isinstance(place, Path) else place


def test_a_copy_is_row_for_row_what_the_store_holds_after_every_kind_of_change(
    kept: Kept, second: Path | str
) -> None:
    replica.begin(kept.store)
    copy = Copy(kept.store, second)
    tag = kept.add("tag0001")
    kept.say(tag, positions(1, 5))
    copy.bring_up()
    kept.say(tag, positions(4, 5))
    kept.say(tag, positions(2, 1, lat=40.0))  # a conflict, and with it an alert
    kept.say(tag, positions(30, 1), base=30)
    kept.say(kept.add("tag0002"), positions(1, 1))
    add_order(kept.store, order())
    copy.bring_up()
    activate(kept.store, "tag0002", "o-1", FITTED_MS)
    with kept.store.write() as connection:
        connection.execute(text("DELETE FROM envelope WHERE first_seq = 1"))
        connection.execute(text("DELETE FROM quarantine"))
        connection.execute(text("UPDATE alert SET severity = 'low'"))
    copy.bring_up()
    copy.bring_up()  # nothing new
    other = Store.open(second)
    assert everything(other) == everything(kept.store)
    other.close()
    copy.close()


def test_a_copy_that_was_cut_off_while_it_was_made_is_gone_on_with(kept: Kept, tmp_path: Path) -> None:
    replica.begin(kept.store)
    tag = kept.add("tag0001")
    kept.say(tag, positions(1, 5))
    place = tmp_path / "copy.sqlite"
    copy = Copy(kept.store, place)
    copy.bring_up()
    kept.say(tag, positions(6, 5))
    holding = sqlite3.connect(place, isolation_level=None)
    holding.execute("BEGIN IMMEDIATE")
    replica._BUSY_MS, before = 10, replica._BUSY_MS
    try:
        with pytest.raises(Exception, match="locked"):
            Copy(kept.store, place).bring_up()
    finally:
        replica._BUSY_MS = before
    holding.execute("ROLLBACK")
    holding.close()
    copy.bring_up()
    copy.close()
    assert_copied(kept.store, place)


def test_a_store_that_was_restored_or_replaced_can_not_write_over_what_is_newer(
    kept: Kept, tmp_path: Path
) -> None:
    replica.begin(kept.store)
    tag = kept.add("tag0001")
    kept.say(tag, positions(1, 5))
    place = tmp_path / "copy.sqlite"
    with closing(Copy(kept.store, place)) as copy:
        copy.bring_up()
    other = keep(tmp_path / "box2")
    replica.begin(other.store)
    with closing(Copy(other.store, place)) as copy, pytest.raises(ReplicaError, match="another store"):
        copy.bring_up()
    other.store.close()
    # the copy has gone on with a gateway of a higher generation: this one has been replaced
    newer = Store.open(place)
    with newer.write() as connection:
        copying.set_numbers(connection, generation=7)
    newer.close()
    with (
        closing(Copy(kept.store, place)) as copy,
        pytest.raises(ReplicaError, match="taken this one's place"),
    ):
        copy.bring_up()


def test_an_empty_place_where_a_copy_was_is_a_disk_that_is_not_mounted(kept: Kept, tmp_path: Path) -> None:
    replica.begin(kept.store)
    kept.add("tag0001")
    place = tmp_path / "mount" / "copy.sqlite"
    with closing(Copy(kept.store, place)) as copy:
        copy.bring_up()
    shutil.rmtree(place.parent)
    with closing(Copy(kept.store, place)) as copy:
        with pytest.raises(ReplicaError, match="is its disk mounted"):
            copy.bring_up()
        replica.begin_anew(kept.store)
        copy.bring_up()
    assert_copied(kept.store, place)


def test_what_changes_after_a_restore_from_the_copy_is_copied_like_what_changed_before(
    kept: Kept, tmp_path: Path
) -> None:
    place = tmp_path / "disk" / "copy.sqlite"
    place.parent.mkdir()
    replica.begin(kept.store)
    tag = kept.add("tag0001")
    for n in range(5):
        kept.add(f"tag001{n}")  # many changes, of which a restored store has noted none
    kept.say(tag, positions(1, 5))
    with closing(Copy(kept.store, place)) as copy:
        copy.bring_up()
    new = Settings.load(tmp_path / "new", mqtt_port=0, commit_after="replica", replica=str(place))
    shutil.copytree(kept.settings.authority_dir, new.authority_dir)
    restore(new, None, kept.settings.master_key_path)
    store = Store.open(new.store_place)
    replica.begin(store)
    with closing(store), closing(Copy(store, place)) as copy:
        copy.bring_up()
        assert_copied(store, place)
        add_order(store, order())
        activate(store, "tag0001", "o-1", FITTED_MS)
        copy.bring_up()
        assert_copied(store, place)
        with store.write() as connection:
            connection.execute(text("DELETE FROM envelope"))
        wanted = copying_of(store)
        assert not replica.scrub(store, place, rewrite=False, within_s=0), "the deletion is not there yet"
        copy.bring_up()
        assert copying_of(store) == wanted
        assert replica.scrub(store, place, rewrite=False, within_s=5)
        assert_copied(store, place)


def copying_of(store: Store) -> int:
    with store.read() as connection:
        return copying.last_change(connection).number


def test_changes_that_nobody_noted_are_made_up_for(kept: Kept, tmp_path: Path) -> None:
    replica.begin(kept.store)
    tag = kept.add("tag0001")
    place = tmp_path / "copy.sqlite"
    copy = Copy(kept.store, place)
    copy.bring_up()
    replica.end(kept.store)  # commit_after was local for a while
    kept.say(tag, positions(1, 5))
    replica.begin(kept.store)
    copy.bring_up()
    copy.close()
    assert_copied(kept.store, place)


def test_what_retention_deletes_is_deleted_on_the_copy_and_gone_from_its_files(
    kept: Kept, tmp_path: Path
) -> None:
    replica.begin(kept.store)
    tag = kept.add("tag0001")
    kept.say(tag, positions(1, 5))
    kept.say(kept.add("tag0002"), positions(1, 1))
    place = tmp_path / "disk" / "copy.sqlite"
    policy = Policy.model_validate({"version": "1", "source": "x", "unworn": {"days": 1, "text": "They go."}})
    with kept.store.read() as connection:
        (one,) = envelopes.of_device(connection, "tag0001")
        mark = Mark(10**6, state.changes(connection))
    with closing(Copy(kept.store, place)) as copy:
        copy.bring_up()
        assert one.data[-40:] in _files(place)
        done = retention.run(kept.store, policy, 1_760_200_000_000, "x", lambda: mark, trust_clock=True)
        assert done.items == {"unworn": 1}
        assert not replica.scrub(kept.store, place, rewrite=False, within_s=0), "it is not there yet"
        copy.bring_up()
        assert replica.scrub(kept.store, place, rewrite=False, within_s=5)
    assert one.data[-40:] not in _files(place)
    other = Store.open(place)
    assert everything(other) == everything(kept.store)
    with other.read() as connection:
        assert [proof.hash for proof in erasures.proofs(connection)] == [proof.hash for proof in done.proofs]
    other.close()


def _files(path: Path) -> bytes:
    return b"".join(part.read_bytes() for part in sorted(path.parent.glob(path.name + "*")))


def test_the_settings_say_what_does_not_go_together() -> None:
    for chosen, said in (
        ({"commit_after": "replica"}, "names no store"),
        ({"replica": "x.sqlite"}, "nothing would be copied"),
        ({"commit_after": "replica", "replica": "store.sqlite"}, "the store itself"),
        ({"commit_after": "replica", "replica": "mysql://x/y"}, "postgresql://"),
    ):
        with pytest.raises(SettingsError, match=said):
            Settings.load(Path("x"), **chosen)
    shown = Settings.load(Path("x"), commit_after="replica", replica="postgresql://a:secret@b/c")
    assert "secret" not in repr(shown)


@pytest.fixture(scope="module")
def copied(postgres_server: PostgresServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """A gateway on a file whose second store is a real PostgreSQL."""
    opened = open_house(
        tmp_path_factory.mktemp("copied"), commit_after="replica", replica=postgres_server.empty()
    )
    try:
        yield opened
    finally:
        opened.close()
        opened.gateway.stop()


def second_of(house: House) -> Store:
    place = house.settings.replica_place
    assert place is not None
    return Store.open(place)


def wait_for(what: Any, timeout_s: float = 60) -> None:
    deadline = time.monotonic() + timeout_s
    while not what():
        assert time.monotonic() < deadline, "it did not come to it"
        time.sleep(0.05)


def commits_heard(tag: StandIn, within_s: float) -> list[Any]:
    """The commits that come down meanwhile; commands may."""
    found, until = [], time.monotonic() + within_s
    while (left_s := until - time.monotonic()) > 0:
        try:
            found.append(tag.answer(left_s).commit)
        except queue.Empty:
            break
    return [commit for commit in found if commit is not None]


def same(house: House) -> bool:
    other = second_of(house)
    try:
        return everything(other) == everything(house.store)
    finally:
        other.close()


def test_what_a_tag_was_told_to_forget_is_on_the_second_store(copied: House) -> None:
    copied.gateway.advance(LATER_MS)
    tag = copied.new_tag()
    for n in range(20):
        assert tag.say(positions(1 + 2 * n, 2)).commit == (EPOCH, 2 + 2 * n)
        other = second_of(copied)
        assert numbers(other, tag.device) == list(range(1, 3 + 2 * n))
        other.close()
    wait_for(lambda: same(copied))


def test_while_the_second_store_is_gone_no_tag_forgets_and_alerts_are_raised_all_the_same(
    copied: House, postgres_server: PostgresServer
) -> None:
    tag = copied.new_tag()
    add_order(copied.store, order())
    activate(copied.store, tag.device, "o-1", FITTED_MS)
    copied.gateway.advance(LATER_MS + 1000)
    postgres_server.kill()
    try:
        tag.publish(tag.seal(positions(1, 5)))
        wait_for(lambda: copied.gateway.status()["replica"]["trouble"])
        wait_for(lambda: numbers(copied.store, tag.device) == [1, 2, 3, 4, 5])
        wait_for(lambda: any(row["device"] == tag.device for row in _listing(copied.store)))
        assert commits_heard(tag, 1.5) == []
        status = copied.gateway.status()
        assert status["replica"]["unanswered"] >= 1
        vitals = metrics.look(copied.settings, True, None)
        assert [part.name for part in metrics.parts(vitals) if part.problem] == ["replica"]
        assert b"tagwatch_replica_up 0.0" in metrics.exposition(vitals)
    finally:
        postgres_server.start()
    tag.committed_upto(5)
    other = second_of(copied)
    assert numbers(other, tag.device) == [1, 2, 3, 4, 5]
    other.close()
    wait_for(lambda: same(copied))
    assert copied.gateway.status()["replica"]["trouble"] == ""


def test_a_device_is_told_its_next_key_only_when_the_second_store_has_it(
    copied: House, postgres_server: PostgresServer
) -> None:
    tag = copied.new_tag()
    tag.say(positions(1, 1))
    postgres_server.kill()
    try:
        rotation.prepare(
            copied.store,
            copied.authority,
            tag.device,
            settings=copied.settings,
            over_air=True,
            now_ms=LATER_MS + 2000,
        )
        for n in range(3):
            copied.gateway.advance(LATER_MS + 3000 + n)
        with copied.store.read() as connection:
            assert kept_commands.of_device(connection, tag.device) == []
    finally:
        postgres_server.start()

    def told() -> bool:
        copied.gateway.advance(LATER_MS + 4000)
        with copied.store.read() as connection:
            return [row.name for row in kept_commands.of_device(connection, tag.device)] == ["rekey"]

    wait_for(told)
    other = second_of(copied)
    with other.read() as connection:
        assert device_keys.next_of(connection, tag.device) is not None
    other.close()


def test_tags_are_answered_without_waiting_when_the_second_store_is_there(copied: House) -> None:
    tag = copied.new_tag()
    waits = []
    for n in range(20):
        began_s = time.monotonic()
        tag.say(positions(1 + n, 1))
        waits.append(time.monotonic() - began_s)
    assert sorted(waits)[10] < 0.25, "half of them sooner than the ingest would look by itself"


@pytest.mark.parametrize("rounds", [1, pytest.param(10, marks=pytest.mark.long)])
def test_second_store_and_gateway_killed_again_and_again_have_every_reading_once(
    copied: House, postgres_server: PostgresServer, rounds: int
) -> None:
    tag = copied.new_tag()
    upto = 0
    for n in range(rounds):
        messages = [tag.seal(positions(upto + 1 + 2 * k, 2), base=upto + 1) for k in range(40)]
        upto += 80
        tag.publish_many(messages[:20])
        postgres_server.kill()
        old = copied.gateway.kill_part("ingest") if n % 2 == 0 else None
        tag.publish_many(messages[20:])
        postgres_server.start()
        if old is not None:
            copied.gateway.wait_restarted("ingest", old)
        tag.publish_many(messages)
        tag.committed_upto(upto, again=messages[-1:], timeout_s=60)
    other = second_of(copied)
    assert numbers(other, tag.device) == list(range(1, upto + 1))
    other.close()
    wait_for(lambda: same(copied))


def test_a_box_that_burnt_down_is_made_again_from_the_second_store_with_the_same_alerts(
    copied: House, tmp_path: Path
) -> None:
    wait_for(lambda: same(copied))
    before = [
        (row["number"], row["id"], row["state"], row["revision"], row["sentence"])
        for row in _listing(copied.store)
    ]
    assert before
    backup(copied.settings, tmp_path / "old.tagwatch")
    other = second_of(copied)
    tags = {row[0] for row in everything(other)["device"]}
    other.close()
    assert copied.gateway.stop() == 0
    where = copied.settings.replica.get_secret_value()
    with pytest.raises(BackupError, match="restore a backup first"):
        restore(Settings.load(tmp_path / "new", commit_after="replica", replica=where), None)
    chosen: dict[str, Any] = {"commit_after": "replica", "replica": where, "clock": "stepped"}
    new = Settings.load(tmp_path / "new", mqtt_port=0, web=False, **chosen)
    restore(new, tmp_path / "old.tagwatch", copied.settings.master_key_path)  # brings the authority
    done = restore(new, None)
    house = open_house(tmp_path / "new", **chosen)
    try:
        with house.store.read() as connection:
            assert state.generation(connection) == done.generation
        house.gateway.advance(LATER_MS + 10_000)
        assert [
            (row["number"], row["id"], row["state"], row["revision"], row["sentence"])
            for row in _listing(house.store)
        ] == before
        assert {row[0] for row in everything(house.store)["device"]} == tags
        assert check(house.store, house.authority.vault).faults == []
        # the same copy goes on, and the old box can not write to it any more
        kept_for = Credentials.read(copied.settings.devices_dir / sorted(tags)[0])
        tag = house.connect(dataclasses.replace(kept_for, port=broker.address(house.settings).port))
        assert tag.hello().commit is not None
        wait_for(lambda: same(house))
        with closing(Copy(copied.store, where)) as old, pytest.raises(ReplicaError, match="taken this one"):
            old.bring_up()
    finally:
        house.close()
        house.gateway.stop()


@pytest.mark.long
def test_a_file_on_another_disk_is_a_second_store_too_and_the_doctor_looks_at_it(tmp_path: Path) -> None:
    house = open_house(
        tmp_path / "data", commit_after="replica", replica=str(tmp_path / "disk" / "copy.sqlite")
    )
    try:
        (house.settings.data_dir / "tagwatch.toml").write_text(
            f'commit_after = "replica"\nreplica = "{tmp_path}/disk/copy.sqlite"\n'
        )
        house.gateway.advance(LATER_MS)
        tag: StandIn = house.new_tag()
        assert tag.say(positions(1, 5)).commit == (EPOCH, 5)
        wait_for(lambda: same(house))
        facts = gather(house.settings.data_dir).replica
        assert facts is not None
        assert (facts.problem, facts.same_disk) == ("", True)
        os.rename(tmp_path / "disk", tmp_path / "gone")  # noqa: PTH104
        (tmp_path / "disk").write_text("no folder any more")
        house.gateway.kill_part("ingest")
        wait_for(lambda: (_status(house).get("replica") or {}).get("trouble"))
        told = [one for one in examine(gather(house.settings.data_dir)) if one.check == "replica"]
        assert [one.severity for one in told] == ["problem", "warning"]
        (tmp_path / "disk").unlink()
        os.rename(tmp_path / "gone", tmp_path / "disk")  # noqa: PTH104
        message = tag.seal(positions(6, 1), base=6)
        tag.publish(message)
        tag.committed_upto(6, again=[message])
        wait_for(lambda: same(house))
    finally:
        house.close()
        house.gateway.stop()


def _status(house: House) -> dict[str, Any]:
    try:
        return house.gateway.status()
    except Exception:  # noqa: BLE001 - it is being started
        return {}


def test_the_command_that_begins_a_new_copy_says_where(tmp_path: Path) -> None:
    kept = keep(tmp_path / "data")
    kept.store.close()
    refused = CliRunner().invoke(app, ["replica", "begin", "--data-dir", str(tmp_path / "data")])
    assert refused.exit_code == 1
    (tmp_path / "data" / "tagwatch.toml").write_text('commit_after = "replica"\nreplica = "copy.sqlite"\n')
    done = CliRunner().invoke(app, ["replica", "begin", "--data-dir", str(tmp_path / "data")])
    assert done.exit_code == 0, done.output
    assert "copy.sqlite" in done.output
    assert json.dumps(done.output)


def _listing(store: Store) -> list[dict[str, Any]]:
    with store.read() as connection:
        return alerts.listing(connection)
