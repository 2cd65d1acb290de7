"""Keys at rest: what is stolen without the master key opens nothing, and what is put in another's place is refused."""

from __future__ import annotations

import json
import shutil
import sqlite3
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text
from typer.testing import CliRunner

from core import envelope, wire
from gateway import keys, service, topics
from gateway.authority import SEALED_KEY, Authority
from gateway.backup import BackupError, backup
from gateway.check import check
from gateway.cli import app
from gateway.commit import Committer
from gateway.devices import Credentials, add_device
from gateway.group import Received
from gateway.restore import restore
from gateway.seal import DEVICE_KEY, Masters, SealError, Vault, is_sealed, master_of
from gateway.store import Store, devices
from gateway.trail import positions_of
from tests.gateway import postgres
from tests.gateway.kept_store import Kept, keep, killed_at
from tests.gateway.stand_in import EPOCH, positions
from tests.gateway.vaults import VAULT

STEPS = [pytest.param(7, id="short"), pytest.param(1, id="long", marks=pytest.mark.long)]


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[Kept]:
    opened = keep(tmp_path / "data")
    for name in ("tag0001", "tag0002"):
        opened.add(name)
    yield opened
    opened.store.close()


def credentials(folder: Path, device: str = "tag0001") -> Credentials:
    return Credentials.read(folder / "devices" / device)


def believes(folder: Path, device: str = "tag0001") -> bool:
    """Whether a gateway that is started on this folder commits what the device says."""
    again = keep(folder)
    try:
        keys.make_ready(again.settings, again.store, again.authority)
        said = again.say(credentials(folder, device), positions(1, 1))
        return said.counts["quarantined"] == 0
    finally:
        again.store.close()


def test_neither_store_nor_authority_nor_backup_holds_a_key_that_lies_open(
    kept: Kept, tmp_path: Path
) -> None:
    backup(kept.settings, tmp_path / "b")
    kept.store.close()
    folder = kept.settings.data_dir
    taken = [tmp_path / "b", *folder.glob("store.sqlite*"), folder / "authority" / SEALED_KEY]
    secrets = [credentials(folder, name).key for name in ("tag0001", "tag0002")]
    for path in taken:
        data = path.read_bytes()
        assert not any(secret in data for secret in secrets), path
        assert b"PRIVATE KEY" not in data, path


def test_whoever_takes_the_store_without_the_master_key_can_open_nothing(kept: Kept, tmp_path: Path) -> None:
    stolen = tmp_path / "stolen"
    shutil.copytree(kept.settings.data_dir, stolen)
    (stolen / "master.key").unlink()
    with pytest.raises(SealError, match="is missing"):
        keep(stolen)
    thief = Vault.open_or_make(tmp_path / "thief.key")
    with kept.store.read() as connection:
        for device, sealed in devices.all_keys(connection).items():
            with pytest.raises(SealError, match="sealed under master key"):
                thief.open_sealed(DEVICE_KEY, device, sealed)


def test_a_gateway_without_its_master_key_or_with_another_is_not_started(
    kept: Kept, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kept.store.close()
    path = kept.settings.master_key_path
    own = path.read_bytes()
    path.unlink()
    assert service.serve(kept.settings) == 2
    assert "put the copy back" in capsys.readouterr().err
    assert not path.exists(), "no new one is made where keys are sealed already"
    Vault.open_or_make(path)
    assert service.serve(kept.settings) == 2
    assert "put the file back that belongs to this store" in capsys.readouterr().err
    path.write_bytes(own)
    path.chmod(0o640)
    assert service.serve(kept.settings) == 2
    assert f"chmod 600 {path}" in capsys.readouterr().err
    path.chmod(0o600)
    path.write_text("{}")
    assert service.serve(kept.settings) == 2
    assert "no master key that can be used" in capsys.readouterr().err


def test_a_key_in_another_devices_row_is_refused_and_that_row_alone(kept: Kept) -> None:
    with kept.store.write() as connection:
        taken = devices.all_keys(connection)["tag0002"]
        devices.put_keys(connection, {"tag0001": taken})
    one, two = (credentials(kept.settings.data_dir, name) for name in ("tag0001", "tag0002"))
    # the thief knows the second key, and speaks with it in the first one's name
    topic = topics.up("tag0001")
    payload = wire.encode_up(wire.Up(EPOCH, 1, (positions(1, 1),)))
    for key in (one.key, two.key):
        sealed = envelope.seal(key, "tag0001", topic, payload)
        said = kept.committer.commit([Received(topic, sealed, 1)])
        assert (said.commits, said.counts["quarantined_shut_key"]) == ({}, 1)
    assert kept.say(two, positions(1, 1)).commits == {("tag0002", EPOCH): 1}
    (fault,) = check(kept.store, kept.vault).faults
    assert fault.startswith(
        "device tag0001: what is kept as the device key of tag0001 was not sealed as that"
    )


def test_an_open_key_that_somebody_writes_into_the_store_is_refused(
    kept: Kept, capsys: pytest.CaptureFixture[str]
) -> None:
    kept.authority.vault.finish("")  # as after the first start
    mine = bytes(range(32))
    with kept.store.write() as connection:
        devices.put_keys(connection, {"tag0001": mine})
    topic = topics.up("tag0001")
    sealed = envelope.seal(mine, "tag0001", topic, wire.encode_up(wire.Up(EPOCH, 1, (positions(1, 1),))))
    assert kept.committer.commit([Received(topic, sealed, 1)]).commits == {}
    with pytest.raises(SealError, match="somebody has changed it"):
        keys.make_ready(kept.settings, kept.store, kept.authority)


@given(st.binary(max_size=80), st.text(max_size=20), st.text(max_size=20), st.integers(1, 2**32 - 1))
def test_only_what_was_sealed_for_this_purpose_and_owner_opens(
    plain: bytes, owner: str, other: str, number: int
) -> None:
    sealed = VAULT.seal(DEVICE_KEY, owner, plain, number)
    assert VAULT.open_sealed(DEVICE_KEY, owner, sealed) == plain
    assert plain not in sealed or len(plain) < 4
    for purpose, name in ((DEVICE_KEY, other), ("authority key", owner)):
        if (purpose, name) != (DEVICE_KEY, owner):
            with pytest.raises(SealError):
                VAULT.open_sealed(purpose, name, sealed)


@given(st.data())
def test_a_sealed_key_with_any_byte_changed_or_missing_opens_nothing(data: st.DataObject) -> None:
    sealed = VAULT.seal(DEVICE_KEY, "tag0001", bytes(32), 3)
    at = data.draw(st.integers(0, len(sealed) - 1))
    by = data.draw(st.integers(1, 255))
    changed = bytearray(sealed)
    changed[at] ^= by
    for bad in (bytes(changed), sealed[:at]):
        with pytest.raises(SealError):
            VAULT.open_sealed(DEVICE_KEY, "tag0001", bad)


def test_no_two_sealings_of_one_key_are_alike() -> None:
    assert len({VAULT.seal(DEVICE_KEY, "tag0001", bytes(32)) for _ in range(100)}) == 100


def as_before(kept: Kept) -> dict[str, bytes]:
    """Put a gateway's folder back into what an earlier version left: keys that lie open. They are returned."""
    names = ("tag0001", "tag0002")
    lay_open = {name: credentials(kept.settings.data_dir, name).key for name in names}
    pem = kept.authority.vault.open_sealed(
        "authority key", "ca", (kept.settings.authority_dir / SEALED_KEY).read_bytes()
    )
    kept.store.close()
    with sqlite3.connect(kept.settings.store_path) as file:
        file.execute("PRAGMA secure_delete=OFF")
        # keys that were written over lie about in freed places, as in a store that has lived
        for _ in range(3):
            for name, key in lay_open.items():
                file.execute("UPDATE device SET key = ? WHERE id = ?", (key + bytes(900), name))
                file.commit()
                file.execute("UPDATE device SET key = ? WHERE id = ?", (key, name))
                file.commit()
        for later in LATER:
            file.execute(f"DROP TABLE {later}")
        file.execute("DROP INDEX alert_by_order")
        for table, column in LATER_COLUMNS:
            file.execute(f"ALTER TABLE {table} DROP COLUMN {column}")
        file.execute("UPDATE alembic_version SET version_num = '0006'")
    file.close()
    (kept.settings.authority_dir / SEALED_KEY).unlink()
    (kept.settings.authority_dir / "ca.key.pem").write_bytes(pem)
    kept.settings.master_key_path.unlink()
    return lay_open | {"ca": pem}


def remains(folder: Path, lay_open: dict[str, bytes]) -> list[str]:
    """Which keys can be read in store and authority."""
    files = [*folder.glob("store.sqlite*"), *(folder / "authority").glob("ca*")]
    held = b"".join(path.read_bytes() for path in files)
    return [name for name, key in lay_open.items() if key in held]


@pytest.mark.parametrize("every", STEPS)
def test_keys_that_lay_open_are_sealed_and_gone_even_if_killed_at_any_step(
    kept: Kept, tmp_path: Path, every: int
) -> None:
    lay_open = as_before(kept)
    template = kept.settings.data_dir
    assert remains(template, lay_open) == ["tag0001", "tag0002", "ca"]
    before = load_pem_private_key(lay_open["ca"], None)
    step, killed = 1, True

    def start(box: Path) -> None:
        opened = keep(box)
        keys.make_ready(opened.settings, opened.store, opened.authority)
        opened.store.close()

    while killed:
        box = tmp_path / f"box{step}"
        shutil.copytree(template, box)
        killed = killed_at(step, box, lambda box=box: start(box))  # type: ignore[misc]
        start(box)
        assert remains(box, lay_open) == []
        assert json.loads((box / "master.key").read_text()).get("unfinished") is None
        assert believes(box)
        assert believes(box, "tag0002")
        authority = Authority.open(box / "authority", ("localhost",))
        pem = authority.vault.open_sealed(
            "authority key", "ca", (box / "authority" / SEALED_KEY).read_bytes()
        )
        assert load_pem_private_key(pem, None).private_numbers() == before.private_numbers()  # type: ignore[union-attr]
        shutil.rmtree(box)
        step += every
    assert step > 20


def test_a_backup_waits_for_keys_to_be_sealed(kept: Kept, tmp_path: Path) -> None:
    as_before(kept)
    with pytest.raises(BackupError, match="start the gateway once"):
        backup(kept.settings, tmp_path / "b")


def test_a_backup_of_an_earlier_version_is_restored_with_its_keys_sealed(kept: Kept, tmp_path: Path) -> None:
    backup(kept.settings, tmp_path / "b")
    lay_open = as_before(kept)
    # as the earlier version wrote it
    box = keep(tmp_path / "box")
    with tarfile.open(tmp_path / "b") as archive:
        archive.extractall(tmp_path / "unpacked", filter="data")
    old = tmp_path / "unpacked"
    shutil.copy(kept.settings.store_path, old / "store.sqlite")
    shutil.copy(kept.settings.authority_dir / "ca.key.pem", old / "authority")
    (old / "authority" / SEALED_KEY).unlink()
    shutil.copytree(kept.settings.devices_dir, old / "devices")
    write_backup(old, tmp_path / "old", form="0006")
    restore(box.settings, tmp_path / "old")
    assert remains(box.settings.data_dir, lay_open) == []
    assert believes(box.settings.data_dir)
    box.store.close()


LATER = (
    *("replica", "replica_change", "barred"),
    *("order_client", "order_token", "order_case", "order_identity", "order_message"),
    *("order_attachment_piece", "order_attachment", "order_task", "device_key", "device_certificate"),
    *("session", "access_token", "account", "order_change", "bundle_visit", "bundle", "order_due"),
    *("device_event", "device_fault"),
)
"""Tables that the store did not have when it kept keys open."""
LATER_COLUMNS = (
    *(("acknowledgement", "note"), ("acknowledgement", "account")),
    *(("telling", "doubtful"), ("telling", "only_doubt"), ("delivery", "doubtful")),
    ("alert", "order_id"),
)


def write_backup(folder: Path, to: Path, **change: Any) -> None:
    """A backup that holds the files of ``folder``, whose manifest is changed so."""
    from gateway.backup import Manifest, _digest

    document = json.loads((folder / "manifest.json").read_text())
    document |= change
    document.pop("master")
    for later in LATER:
        document["counts"].pop(later)
    manifest = Manifest.from_bytes(json.dumps(document).encode())
    names = sorted(
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.is_file() and path.name != "manifest.json"
    )
    manifest.files.clear()
    manifest.files.update({name: _digest(folder / name) for name in names})
    (folder / "manifest.json").write_bytes(manifest.to_bytes())
    with tarfile.open(to, "w") as archive:
        for name in ("manifest.json", *names):
            archive.add(folder / name, name)


def test_a_backup_opens_with_its_master_key_only(kept: Kept, tmp_path: Path) -> None:
    kept.say(credentials(kept.settings.data_dir), positions(1, 3))
    backup(kept.settings, tmp_path / "b")
    empty = keep(tmp_path / "empty")  # a box with a master key of its own
    empty.store.close()
    with pytest.raises(BackupError, match=f"sealed under master key {kept.vault.present}"):
        restore(empty.settings, tmp_path / "b")
    bare = empty.settings.model_copy(update={"data_dir": tmp_path / "bare"})
    with pytest.raises(BackupError, match="--master-key FILE"):
        restore(bare, tmp_path / "b")
    assert not bare.master_key_path.exists()
    copy = tmp_path / "copy.key"
    shutil.copy(kept.settings.master_key_path, copy)
    copy.chmod(0o644)
    with pytest.raises(BackupError, match="chmod 600"):
        restore(bare, tmp_path / "b", copy)
    copy.chmod(0o600)
    for settings in (empty.settings, bare):
        restore(settings, tmp_path / "b", copy)
        shutil.copytree(kept.settings.devices_dir, settings.devices_dir, dirs_exist_ok=True)
        opened = keep(settings.data_dir)
        assert check(opened.store, opened.vault).faults == []
        with opened.store.read() as connection:
            assert {master_of(one) for one in devices.all_keys(connection).values()} == {opened.vault.present}
            assert len(positions_of(connection, "tag0001")) == 3
        assert opened.authority.ca_der == kept.authority.ca_der
        opened.store.close()
    assert Masters.read(bare.master_key_path).keys == kept.vault.masters.keys
    assert Masters.read(empty.settings.master_key_path).keys != kept.vault.masters.keys


def test_the_master_key_is_changed_and_the_old_one_opens_nothing_any_more(kept: Kept, tmp_path: Path) -> None:
    old = Vault.open(kept.settings.master_key_path)
    said = CliRunner().invoke(app, ["keys", "rotate-master", "--data-dir", str(kept.settings.data_dir)])
    assert said.exit_code == 0, said.output
    assert "2 devices' keys are sealed anew" in said.output
    new = Vault.open(kept.settings.master_key_path)
    assert (len(new.masters.keys), new.present) == (1, new.present)
    with kept.store.read() as connection:
        for device, sealed in devices.all_keys(connection).items():
            assert (
                new.open_sealed(DEVICE_KEY, device, sealed) == credentials(kept.settings.data_dir, device).key
            )
            stale = Vault(tmp_path / "none", old.masters)
            with pytest.raises(SealError):
                stale.open_sealed(DEVICE_KEY, device, sealed)
    # a gateway that runs goes on with what it has, and finds the new key by itself
    assert kept.say(credentials(kept.settings.data_dir), positions(1, 1)).commits == {("tag0001", EPOCH): 1}
    assert kept.add("tag0003").device == "tag0003"
    assert believes(kept.settings.data_dir, "tag0003")
    assert Authority.of(kept.settings).certify("tag0004").cert_der


def test_two_that_change_the_master_key_at_once_do_not_meet(kept: Kept) -> None:
    with keys.held(kept.settings), pytest.raises(SealError, match="try again"):
        keys.change_master(kept.settings, kept.store)


@pytest.mark.parametrize("every", STEPS)
def test_a_change_of_the_master_key_killed_at_any_step_leaves_a_gateway_that_starts(
    kept: Kept, tmp_path: Path, every: int
) -> None:
    kept.store.close()
    template = kept.settings.data_dir
    step, killed, seen = 1, True, set()

    def change(box: Path) -> None:
        store = Store.open(box / "store.sqlite")
        keys.change_master(kept.settings.model_copy(update={"data_dir": box}), store)
        store.close()

    while killed:
        box = tmp_path / f"box{step}"
        shutil.copytree(template, box)
        killed = killed_at(step, box, lambda box=box: change(box))  # type: ignore[misc]
        left = Masters.read(box / "master.key").keys
        assert believes(box)
        assert believes(box, "tag0002")
        after = Masters.read(box / "master.key").keys
        assert len(after) == 1, "the start took it to its end"
        authority = Authority.open(box / "authority", ("localhost",))
        assert authority.certify("tag0003").cert_der
        seen.add((killed, len(left), after[0] in kept.vault.masters.keys))
        shutil.rmtree(box)
        step += every
    assert {(True, 1, True), (True, 2, False), (False, 1, False)} <= seen


def test_keys_that_lay_open_on_postgresql_are_sealed_and_gone(
    postgres_server: postgres.PostgresServer, tmp_path: Path
) -> None:
    store = Store.open(postgres_server.empty())
    plain = bytes(range(100, 132))
    with store.write() as connection:
        devices.add(connection, devices.Device("tag0001", plain, b"", 0, None))
    opened = keep(tmp_path / "data")
    keys.make_ready(opened.settings, store, opened.authority)
    with store.read() as connection:
        (sealed,) = devices.all_keys(connection).values()
        ((seen,),) = connection.execute(text("SELECT pg_relation_filepath('device')")).all()
    assert is_sealed(sealed)
    assert opened.vault.open_sealed(DEVICE_KEY, "tag0001", sealed) == plain
    assert plain not in (postgres_server.folder / "data" / str(seen)).read_bytes()
    add_device(store, opened.authority, "tag0002", settings=opened.settings)
    committer = Committer(store, opened.vault, quarantine_rows=10, quarantine_bytes=64)
    topic = topics.up("tag0001")
    message = envelope.seal(plain, "tag0001", topic, wire.encode_up(wire.Up(EPOCH, 1, (positions(1, 1),))))
    assert committer.commit([Received(topic, message, 1)]).commits == {("tag0001", EPOCH): 1}
    store.close()
    opened.store.close()


def test_what_a_device_was_provisioned_with_is_wiped_when_it_has_got_it(kept: Kept) -> None:
    folder = kept.settings.devices_dir
    here = ["--data-dir", str(kept.settings.data_dir)]
    said = CliRunner().invoke(app, ["device", "provisioned", "tag0001", "tag0009", "..", *here])
    assert said.exit_code == 0, said.output
    assert said.output.splitlines() == [
        "tag0001: wiped",
        "tag0009: nothing lies there",
        "..: nothing lies there",
    ]
    assert [path.name for path in folder.iterdir()] == ["tag0002"]
    shown = CliRunner().invoke(app, ["keys", "show", *here])
    assert shown.output.strip() == kept.vault.present
