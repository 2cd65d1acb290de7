"""A copy, or a store, that is of another time than the other believes: refused with a word, or made whole."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import insert, text

from gateway import replica
from gateway.backup import BackupError, backup
from gateway.devices import Credentials
from gateway.group import Received
from gateway.orders import clients
from gateway.replica import Copy, ReplicaError
from gateway.restore import restore
from gateway.sequences import Span
from gateway.settings import Settings
from gateway.store import Store, alerts, bundles, dialect, erasures, order_clients, state
from gateway.store.tables import (
    account,
    alert,
    alert_revision,
    bundle,
    metadata,
    order_case,
    order_identity,
)
from gateway.suspects import Suspects
from gateway.trail import positions_of
from tests.gateway.kept_store import Kept, everything, keep
from tests.gateway.stand_in import positions

NOW_MS = 1_760_000_000_000


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "disk" / "copy.sqlite"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made")
    place = folder / "disk" / "copy.sqlite"
    opened = keep(folder / "data", commit_after="replica", replica=str(place))
    replica.begin(opened.store)
    opened.say(opened.add("tag0001"), positions(1, 5))
    bring_up(opened.store, place)
    opened.store.close()
    return folder


@pytest.fixture
def kept(made: Path, tmp_path: Path, place: Path) -> Iterator[Kept]:
    """A store with five readings of a tag, and its copy."""
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    opened = keep(tmp_path / "data", commit_after="replica", replica=str(place))
    yield opened
    opened.store.close()


def bring_up(store: Store, place: Path, *, trim: bool = False) -> None:
    with closing(Copy(store, place)) as copy:
        copy._trimmed_s = -1e9 if trim else copy._trimmed_s
        copy.bring_up()


def is_copied(store: Store, place: Path) -> bool:
    with closing(Store.open(place)) as other:
        return everything(other) == everything(store)


def noise(kept: Kept, *said: bytes) -> None:
    for one in said:
        kept.committer.commit([Received("em/v1/00/tag0009/up", one, NOW_MS)])


def conflict(kept: Kept, lat: float) -> dict[int, str]:
    """A reading comes again with other bytes; every alert that there is, by number."""
    kept.say(Credentials.read(kept.settings.devices_dir / "tag0001"), positions(1, 1, lat=lat))
    with kept.store.read() as connection:
        return {row["number"]: row["id"] for row in alerts.listing(connection)}


def made_of_the_copy(kept: Kept, folder: Path) -> Kept:
    """A new box that has the authority and nothing else."""
    settings = Settings.load(
        folder, mqtt_port=0, commit_after="replica", replica=str(kept.settings.replica_place)
    )
    shutil.copytree(kept.settings.authority_dir, settings.authority_dir)
    shutil.copytree(kept.settings.devices_dir, settings.devices_dir)
    restore(settings, None, kept.settings.master_key_path)
    opened = keep(folder, commit_after="replica", replica=str(kept.settings.replica_place))
    replica.begin(opened.store)
    return opened


def test_a_copy_that_was_put_back_from_an_older_disk_is_made_whole(
    kept: Kept, place: Path, tmp_path: Path
) -> None:
    shutil.copyfile(place, tmp_path / "image")
    kept.say(kept.add("tag0002"), positions(1, 5))
    bring_up(kept.store, place, trim=True)  # what the older copy lacks is noted nowhere any more
    shutil.copyfile(tmp_path / "image", place)
    assert not replica.scrub(kept.store, place, rewrite=False, within_s=0)
    bring_up(kept.store, place)
    assert is_copied(kept.store, place)


@pytest.mark.parametrize("local_for_a_while", [False, True])
def test_a_store_that_was_put_back_from_an_older_disk_does_not_write_over_what_its_copy_has(
    kept: Kept, place: Path, tmp_path: Path, local_for_a_while: bool
) -> None:
    file = kept.settings.data_dir / "store.sqlite"
    kept.store.close()
    shutil.copyfile(file, tmp_path / "image")
    kept.say(kept.add("tag0002"), positions(1, 5))
    bring_up(kept.store, place, trim=True)
    kept.store.close()
    shutil.copyfile(tmp_path / "image", file)
    noise(kept, *(b"%d" % n for n in range(40)))  # as many changes as the copy knows of, and more
    if local_for_a_while:
        replica.end(kept.store)
        replica.begin(kept.store)
    with pytest.raises(ReplicaError, match="has what this store has not"):
        bring_up(kept.store, place)
    kept.store.close()
    restore(kept.settings, None)
    with kept.store.read() as connection:
        assert list(positions_of(connection, "tag0002").seq) == [1, 2, 3, 4, 5]
    bring_up(kept.store, place)
    assert is_copied(kept.store, place)


def test_nothing_is_said_to_be_gone_from_a_copy_that_is_still_to_be_made_whole(
    kept: Kept, place: Path
) -> None:
    replica.end(kept.store)
    with kept.store.write() as connection:
        connection.execute(text("DELETE FROM envelope"))
    replica.begin(kept.store)
    assert not replica.scrub(kept.store, place, rewrite=False, within_s=0)
    bring_up(kept.store, place)
    assert replica.scrub(kept.store, place, rewrite=False, within_s=5)


def test_the_old_box_writes_nothing_from_the_moment_that_the_copy_was_restored_from(
    kept: Kept, place: Path, tmp_path: Path
) -> None:
    new = made_of_the_copy(kept, tmp_path / "new")
    kept.say(kept.add("tag0002"), positions(1, 5))  # the old box is back, before the new one has begun
    with pytest.raises(ReplicaError, match="has taken this one's place"):
        bring_up(kept.store, place)
    bring_up(new.store, place)
    assert is_copied(new.store, place)
    new.store.close()


def test_a_copy_to_which_a_gateway_writes_meanwhile_is_not_restored_from(
    kept: Kept, place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = replica.claim

    def claim(copy: Store, *rest: object) -> None:
        noise(kept, b"once more")
        bring_up(kept.store, place)
        real(copy, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(replica, "claim", claim)
    with pytest.raises(BackupError, match="another gateway has just written"):
        made_of_the_copy(kept, tmp_path / "new")
    assert not (tmp_path / "new" / "store.sqlite").exists()
    bring_up(kept.store, place)


def test_no_number_of_an_alert_is_given_twice_by_boxes_that_burn_down_one_after_the_other(
    kept: Kept, place: Path, tmp_path: Path
) -> None:
    first = made_of_the_copy(kept, tmp_path / "first")
    told = conflict(first, 40.0)  # and it burns down before its copy knows
    first.store.close()
    second = made_of_the_copy(kept, tmp_path / "second")
    later = conflict(second, 41.0)
    assert len(told) == len(later) == 1
    assert told.keys().isdisjoint(later)
    bring_up(second.store, place)
    with second.store.write() as connection:  # years later, retention deletes it, with its proof
        (number,) = later
        connection.execute(text("DELETE FROM telling"))
        connection.execute(alert_revision.delete())
        connection.execute(alert.delete())
        state.set_number(connection, "alert_from", 0)
        erasures.prove(
            connection,
            [erasures.Gone("", 0, (Span(number, number),), None, None, (bytes(32),))],
            run="x",
            at_ms=NOW_MS,
            by="x",
            kind="alerts",
            about={},
            version="1",
            policy="x",
            size=1,
        )
    bring_up(second.store, place)
    second.store.close()
    third = made_of_the_copy(second, tmp_path / "third")
    assert conflict(third, 42.0).keys().isdisjoint(later)
    third.store.close()


def test_an_envelope_in_the_row_of_one_that_was_deleted_before_it_was_copied_is_copied(
    kept: Kept, place: Path
) -> None:
    tag = kept.add("tag0002")
    kept.say(tag, positions(1, 5))
    with kept.store.write() as connection:
        connection.execute(text("DELETE FROM envelope WHERE device = 'tag0002'"))
    kept.say(tag, positions(6, 1))  # in the same row: it was the last
    bring_up(kept.store, place)
    assert is_copied(kept.store, place)


def test_rows_that_have_changed_places_are_copied(kept: Kept, place: Path) -> None:
    noise(kept, b"one", b"two")
    bring_up(kept.store, place)
    with kept.store.write() as connection:
        connection.execute(text("DELETE FROM quarantine"))
    noise(kept, b"two", b"one")
    bring_up(kept.store, place)
    assert is_copied(kept.store, place)


def test_a_copy_that_is_taken_away_while_it_is_in_use_is_missed(kept: Kept, place: Path) -> None:
    with closing(Copy(kept.store, place)) as copy:
        copy.bring_up()
        shutil.move(place.parent, place.parent.with_name("elsewhere"))
        noise(kept, b"one")
        with pytest.raises(ReplicaError, match="is its disk mounted"):
            copy.bring_up()
        shutil.rmtree(place.parent, ignore_errors=True)
        shutil.move(place.parent.with_name("elsewhere"), place.parent)
        copy.bring_up()
    assert is_copied(kept.store, place)


def test_whom_the_program_had_put_aside_is_judged_in_a_restored_store(kept: Kept, place: Path) -> None:
    notes = Suspects(kept.settings.data_dir, "program")
    notes.put_aside("tag0001-1", "an error")
    notes.close()
    kept.store.close()
    restore(kept.settings, None)
    assert Suspects(kept.settings.data_dir, "program").aside == {}, "the same name may be another wearing"


def test_an_order_service_and_a_bundle_that_were_revoked_since_the_backup_stay_so(
    kept: Kept, tmp_path: Path
) -> None:
    clients.add(kept.store, "cemo", NOW_MS)
    with kept.store.write() as connection:
        order_clients.add_token(connection, "a digest", "cemo", NOW_MS * 2, NOW_MS)
        connection.execute(account.insert().values(name="a", full_name="A", role="x", once=False, made_ms=1))
        connection.execute(
            bundle.insert().values(id="b", account="a", issued_ms=1, expires_ms=2, orders="[]", devices="[]")
        )
    backup(kept.settings, tmp_path / "backup")
    with kept.store.write() as connection:
        order_clients.revoke(connection, "cemo", NOW_MS)
        bundles.revoke(connection, "b", NOW_MS)
    kept.store.close()
    restore(kept.settings, tmp_path / "backup")
    with kept.store.read() as connection:
        assert [one.revoked_at_ms for one in order_clients.every(connection)] == [NOW_MS]
        assert order_clients.client_of(connection, "a digest", NOW_MS) is None
        assert [one.revoked_ms for one in bundles.every(connection)] == [NOW_MS]


def test_nothing_is_restored_from_a_place_that_holds_no_copy(kept: Kept, place: Path, tmp_path: Path) -> None:
    kept.store.close()
    place.unlink()
    Store.open(place).close()
    with pytest.raises(BackupError, match="holds no copy of a store"):
        restore(kept.settings, None)
    with kept.store.read() as connection:
        assert list(positions_of(connection, "tag0001").seq) == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("with_a_copy_of_its_own", [False, True])
def test_a_copy_that_is_used_as_a_store_is_not_written_to_by_the_store_whose_copy_it_was(
    kept: Kept, place: Path, with_a_copy_of_its_own: bool
) -> None:
    with closing(Store.open(place)) as store:
        (replica.begin if with_a_copy_of_its_own else replica.end)(store)
    with pytest.raises(ReplicaError, match="empty place"):
        bring_up(kept.store, place)


def test_a_new_box_does_not_take_an_empty_place_for_its_copy(kept: Kept, place: Path, tmp_path: Path) -> None:
    new = made_of_the_copy(kept, tmp_path / "new")
    shutil.move(place, tmp_path / "not mounted")
    with pytest.raises(ReplicaError, match="is its disk mounted"):
        bring_up(new.store, place)
    new.store.close()


def test_what_was_noted_for_the_copy_of_what_is_deleted_goes_as_well(kept: Kept, place: Path) -> None:
    name = "person=a name that is deleted"
    with kept.store.write() as connection:
        connection.execute(
            insert(order_case).values(id="1" * 32, kind="wearer", wearer=None, reference="", added_at_ms=1)
        )
        connection.execute(insert(order_identity).values(case_id="1" * 32, token=name))
    bring_up(kept.store, place)
    with kept.store.write() as connection:
        connection.execute(order_identity.delete())
    bring_up(kept.store, place)
    assert replica.scrub(kept.store, place, rewrite=False, within_s=5)
    folders = (kept.settings.data_dir, place.parent)
    files = [path for folder in folders for path in folder.glob("*.sqlite*")]
    assert [path for path in files if name.encode() in path.read_bytes()] == []
    bring_up(kept.store, place)
    assert is_copied(kept.store, place)


def test_a_store_of_the_form_before_makes_its_copy_whole_once(kept: Kept, place: Path) -> None:
    kept.say(kept.add("tag0002"), positions(1, 5))
    with kept.store.write() as connection:
        for name in dialect.triggers(connection):
            table, _, what = name.removeprefix("copy_").rpartition("_")
            connection.execute(text(f"DROP TRIGGER {name}"))
            keys = [column.name for column in metadata.tables[table].primary_key.columns]
            row = "OLD" if what == "delete" else "NEW"
            values = ", ".join(f'{row}."{key}"' for key in keys)
            connection.execute(
                text(
                    f'CREATE TRIGGER {name} AFTER {what} ON "{table}" BEGIN INSERT INTO replica_change '
                    f"(of_table, row_key) VALUES ('{table}', json_array({values})); END"
                )
            )
        connection.execute(text("DROP TABLE order_attachment_piece"))
        connection.execute(text("ALTER TABLE replica_change DROP COLUMN mark"))
        connection.execute(text("UPDATE alembic_version SET version_num = '0016'"))
    noise(kept, b"one")
    kept.store.close()
    with closing(Store.open(place)) as copy, copy.write() as connection:
        connection.execute(text("DELETE FROM replica WHERE name = 'mark'"))
    with closing(Store.open(kept.settings.data_dir / "store.sqlite")) as store:
        replica.begin(store)
        bring_up(store, place)
        assert is_copied(store, place)
        noise(kept, b"two")
        bring_up(store, place)
        assert is_copied(store, place)
