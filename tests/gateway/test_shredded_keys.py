"""Keys that prove nothing any more are shredded: gone from everywhere that is in reach, with a proof of it."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import text
from typer.testing import CliRunner

from gateway import holding, merkle, retention, shredding
from gateway.backup import backup
from gateway.check import check
from gateway.cli import app
from gateway.devices import Credentials, revoke_device
from gateway.doctor.gathering import gather
from gateway.orders import activate, add_order, deactivate
from gateway.policy import DAY_MS, Policy
from gateway.seal import DEVICE_KEY, RETIRED_KEY
from gateway.shredding import ShredError, shred
from gateway.store import Store, device_keys, devices, erasures, state
from gateway.store.marks import Mark
from tests.community_order import community_order
from tests.gateway import postgres
from tests.gateway.kept_store import Kept, keep
from tests.gateway.stand_in import START_S, positions
from tests.gateway.test_changed_keys import NOW_MS, TAG, Tag, outbox_of, rekeys, said

POLICY = Policy.model_validate(
    {
        "version": "1",
        "source": "a test",
        "readings": {"days": 30, "text": "They go."},
        "unworn": {"days": 30, "text": "These, too."},
    }
)
LATER_MS = NOW_MS + 400 * DAY_MS


def changed(folder: Path) -> tuple[Kept, Tag]:
    """A tag that said two readings under its first key, one under its second, and was then taken off."""
    kept = keep(folder)
    tag = Tag(kept.add(TAG))
    kept.add("tag0002")
    zone = {"type": "Polygon", "coordinates": [[[0, 51], [0.1, 51], [0.1, 51.1], [0, 51]]]}
    condition = {"id": "z", "type": "exclusion", "name": "x", "zone": zone}
    add_order(kept.store, community_order("o-1", condition, effective="2025-01-01T00:00:00Z"))
    worn = activate(kept.store, TAG, "o-1", (START_S - 60) * 1000)
    kept.committer.commit([tag.seal(positions(1, 2))])
    rekeys(kept)
    (command,) = said(kept, outbox_of(kept))
    tag.take(command)
    kept.committer.commit([tag.seal(positions(3, 1))])
    deactivate(kept.store, worn, (START_S + 7200) * 1000)
    with kept.store.write() as connection:
        connection.execute(text("UPDATE order_version SET known_at_ms = 1000"))
    other = Credentials.read(kept.settings.devices_dir / "tag0002")
    kept.say(other, positions(1, 1))  # the newest row stays
    return kept, tag


def delete(kept: Kept) -> None:
    """Retention deletes all that the tag has said."""

    def settle() -> Mark:
        with kept.store.read() as connection:
            return Mark(10**9, state.changes(connection))

    retention.run(kept.store, POLICY, LATER_MS, "x", settle, trust_clock=True, pause=lambda _: None)
    with kept.store.read() as connection:
        assert connection.execute(text(f"SELECT count(*) FROM envelope WHERE device = '{TAG}'")).scalar() == 0


def shreds(kept: Kept, device: str = TAG) -> shredding.Shredded:
    return shred(kept.store, kept.vault, device, settings=kept.settings, by="anna", now_ms=LATER_MS)


def sealed_of(kept: Kept) -> list[bytes]:
    """The tag's keys as they are kept."""
    with kept.store.read() as connection:
        entry = devices.one(connection, TAG)
        assert entry is not None
        return [entry.key, *(row.key for row in device_keys.of_device(connection, TAG))]


def remains(kept: Kept, keys: list[bytes]) -> int:
    held = b"".join(path.read_bytes() for path in kept.settings.data_dir.glob("store.sqlite*"))
    return sum(key in held for key in keys)


def test_no_key_goes_while_anything_is_kept_that_it_proves(tmp_path: Path) -> None:
    kept, _ = changed(tmp_path / "data")
    with pytest.raises(ShredError, match="1 messages of tag0001 are kept that only its keys prove"):
        shreds(kept)
    revoke_device(kept.store, TAG, settings=kept.settings)
    with pytest.raises(ShredError, match="2 messages of tag0001 are kept"):
        shreds(kept)
    with pytest.raises(ShredError, match="revoke it first"):
        shreds(kept, "tag0002")
    assert check(kept.store, kept.vault).faults == []
    kept.store.close()


def test_a_retired_key_goes_with_what_it_proved_and_the_device_goes_on(tmp_path: Path) -> None:
    kept, tag = changed(tmp_path / "data")
    in_use, retired = sealed_of(kept)
    delete(kept)
    number = holding.place(kept.store, "device", TAG, "court", "appeal", NOW_MS, None)
    with pytest.raises(ShredError, match="legal hold"):
        shreds(kept)
    holding.lift(kept.store, number, "court", NOW_MS)
    done = shreds(kept)
    assert (done.numbers, done.scrubbed) == ((1,), True)
    assert remains(kept, [retired]) == 0
    assert remains(kept, [in_use]) == 1
    assert check(kept.store, kept.vault).faults == []
    with kept.store.read() as connection:
        found = erasures.proof_of_item(connection, tag.before)
    assert found is not None
    proof, steps = found
    assert (proof.kind, proof.by) == ("keys", "anna")
    assert merkle.leads_to(merkle.leaf(tag.before), steps).hex() == proof.root
    said_late = kept.committer.commit([tag.seal(positions(9, 1), key=tag.before)])
    assert said_late.counts["quarantined_bad_mac"] == 1
    assert kept.committer.commit([tag.seal(positions(4, 1))]).commits
    with pytest.raises(ShredError):
        shreds(kept)
    kept.store.close()


def test_all_keys_of_a_revoked_device_go_and_what_it_was_provisioned_with(tmp_path: Path) -> None:
    kept, _ = changed(tmp_path / "data")
    rekeys(kept, over_air=False)
    keys = sealed_of(kept)
    assert len(keys) == 3
    delete(kept)
    revoke_device(kept.store, TAG, settings=kept.settings)
    rotated = kept.settings.devices_dir / TAG
    rotated.mkdir()
    (rotated / "config.json").write_text("{}")
    assert shreds(kept).numbers == (1, 2, 3)
    assert remains(kept, keys) == 0
    assert not rotated.exists()
    assert set(sealed_of(kept)) == {b""}
    assert check(kept.store, kept.vault).faults == []
    backup(kept.settings, tmp_path / "b")
    kept.store.close()
    again = keep(kept.settings.data_dir)
    assert again.committer.key(TAG) is None
    again.store.close()


def test_the_doctor_counts_the_devices_that_do_not_take_their_new_key(tmp_path: Path) -> None:
    kept = keep(tmp_path / "data")
    for name in (TAG, "tag0002"):
        kept.add(name)
        rekeys(kept, device=name)
    with kept.store.write() as connection:
        connection.execute(text("UPDATE device_key SET made_at_ms = 9 WHERE device = 'tag0001'"))
        connection.execute(text("UPDATE device_key SET made_at_ms = 9000000000000 WHERE device = 'tag0002'"))
    found = gather(kept.settings.data_dir).store
    assert found is not None
    assert found.keys_waiting == 1
    kept.store.close()


def test_a_key_that_is_gone_without_a_proof_is_a_fault(tmp_path: Path) -> None:
    kept, _ = changed(tmp_path / "data")
    with kept.store.write() as connection:
        device_keys.shred(connection, TAG, 1)
    told = " ".join(check(kept.store, kept.vault).faults)
    assert "its key 1 is gone, and no proof says why" in told
    assert "its MAC is wrong" in told
    with kept.store.write() as connection:
        device_keys.replace_current(connection, "tag0002", b"")
    assert "device tag0002: its key  is gone" in " ".join(check(kept.store, kept.vault).faults)
    kept.store.close()


def test_the_command_shreds_all_that_may_go_and_says_why_it_keeps_the_rest(tmp_path: Path) -> None:
    kept, _ = changed(tmp_path / "data")
    revoke_device(kept.store, "tag0002", settings=kept.settings)
    delete(kept)
    here = ["--data-dir", str(kept.settings.data_dir)]
    told = CliRunner().invoke(app, ["device", "shred", "--all", "--by", "anna", *here])
    assert told.exit_code == 0, told.output
    lines = told.output.splitlines()
    assert lines[0].startswith(f"{TAG}: key 1 is shredded, proof ")
    assert lines[1].startswith("tag0002: kept. 1 messages")
    refused = CliRunner().invoke(app, ["device", "shred", "tag0002", *here])
    assert (refused.exit_code, "retention has to delete" in refused.output) == (1, True)
    listed = CliRunner().invoke(app, ["retention", "proofs", *here])
    assert (listed.exit_code, "1 keys" in listed.output) == (0, True), listed.output
    kept.store.close()


def test_on_postgresql_a_shredded_key_is_gone_from_the_tables_files(
    postgres_server: postgres.PostgresServer, tmp_path: Path
) -> None:
    kept = keep(tmp_path / "data")
    store = Store.open(postgres_server.empty())
    with store.write() as connection:
        key = kept.vault.seal(DEVICE_KEY, TAG, bytes(range(32)))
        devices.add(connection, devices.Device(TAG, key, b"", 0, 5))
        retired = kept.vault.seal(RETIRED_KEY, TAG, bytes(32), 1)
        device_keys.retire(connection, device_keys.KeyRow(TAG, 7, "retired", retired, False, 0, 0, 5))
    done = shred(store, kept.vault, TAG, settings=kept.settings, by="anna", now_ms=9)
    assert (len(done.numbers), done.scrubbed) == (2, True)
    with store.read() as connection:
        names = ("device", "device_key")
        paths = [connection.execute(text(f"SELECT pg_relation_filepath('{one}')")).scalar() for one in names]
    held = b"".join((postgres_server.folder / "data" / str(path)).read_bytes() for path in paths)
    assert key not in held
    assert retired not in held
    store.close()
    kept.store.close()
