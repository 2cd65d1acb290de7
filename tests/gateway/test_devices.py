"""The authority, the devices' keys and certificates, and who is let in by the real broker."""

from __future__ import annotations

import os
import ssl
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from core.wire import beacon_number
from gateway import broker
from gateway.authority import Authority
from gateway.devices import Credentials, DeviceError, add_device, revoke_device
from gateway.settings import Settings
from gateway.store import Store, devices
from tests.gateway.stand_in import tls_of

NAMES = ("localhost", "127.0.0.1")


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings.load(tmp_path, mqtt_port=0)


@pytest.fixture
def authority(settings: Settings) -> Authority:
    return Authority.open(settings.authority_dir, NAMES)


@pytest.fixture
def store(settings: Settings) -> Iterator[Store]:
    opened = Store.open(settings.store_place)
    yield opened
    opened.close()


def test_a_device_certificate_names_the_device_and_is_the_authoritys(
    store: Store, authority: Authority, settings: Settings
) -> None:
    credentials = add_device(store, authority, "tag0001", settings=settings)
    certificate = x509.load_der_x509_certificate(credentials.cert_der)
    (name,) = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    assert name.value == "tag0001"
    certificate.verify_directly_issued_by(x509.load_der_x509_certificate(authority.ca_der))
    key = certificate.public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)
    assert isinstance(key.curve, ec.SECP256R1)


def test_two_devices_share_no_secret(store: Store, authority: Authority, settings: Settings) -> None:
    one, other = (add_device(store, authority, name, settings=settings) for name in ("tag0001", "tag0002"))
    assert one.key != other.key
    assert one.key_der != other.key_der
    assert len(one.key) == 32


def test_what_a_device_is_provisioned_with_can_be_read_back_by_its_owner_only(
    store: Store, authority: Authority, settings: Settings
) -> None:
    credentials = add_device(store, authority, "tag0001", settings=settings)
    folder = settings.devices_dir / "tag0001"
    assert Credentials.read(folder) == credentials
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(file.stat().st_mode) for file in folder.iterdir()} == {0o600}


def test_no_secret_shows_in_the_text_of_credentials(
    store: Store, authority: Authority, settings: Settings
) -> None:
    credentials = add_device(store, authority, "tag0001", settings=settings)
    assert credentials.key.hex() not in repr(credentials)
    assert "key=" not in repr(credentials)


@pytest.mark.parametrize("name", ["abc", "a" * 17, "Tag0001", "tag-001", "", "tägtäg"])
def test_an_id_of_another_form_is_refused(
    store: Store, authority: Authority, settings: Settings, name: str
) -> None:
    with pytest.raises(DeviceError, match="no device id"):
        add_device(store, authority, name, settings=settings)


def test_a_device_is_added_once(store: Store, authority: Authority, settings: Settings) -> None:
    first = add_device(store, authority, "tag0001", settings=settings)
    with pytest.raises(DeviceError, match="was added before"):
        add_device(store, authority, "tag0001", settings=settings)
    assert Credentials.read(settings.devices_dir / "tag0001") == first


def test_a_revoked_device_loses_its_key_and_what_it_was_provisioned_with(
    store: Store, authority: Authority, settings: Settings
) -> None:
    add_device(store, authority, "tag0001", settings=settings)
    revoke_device(store, "tag0001", settings=settings)
    with store.read() as connection:
        assert devices.sealed_keys(connection) == {}
        assert devices.revoked(connection) == {"tag0001"}
    assert not (settings.devices_dir / "tag0001").exists()
    with pytest.raises(DeviceError, match="revoked before"):
        revoke_device(store, "tag0001", settings=settings)


def test_the_authority_stays_the_same_and_its_keys_are_its_owners(settings: Settings) -> None:
    first = Authority.open(settings.authority_dir, NAMES).ca_der
    server = (settings.authority_dir / "server.pem").read_bytes()
    assert Authority.open(settings.authority_dir, NAMES).ca_der == first
    assert (settings.authority_dir / "server.pem").read_bytes() == server
    keys = list(settings.authority_dir.glob("*.key.pem"))
    assert {key.name for key in keys} == {f"{name}.key.pem" for name in ("server", "gateway", "probe")}
    keys += [settings.authority_dir / "ca.key.sealed", settings.master_key_path]
    assert {stat.S_IMODE(key.stat().st_mode) for key in keys} == {0o600}


def test_several_that_open_a_new_authority_at_once_find_the_same(settings: Settings) -> None:
    with ThreadPoolExecutor(5) as pool:
        opened = list(pool.map(lambda _: Authority.open(settings.authority_dir, NAMES), range(5)))
    assert len({authority.ca_der for authority in opened}) == 1


def test_a_new_name_of_the_broker_gives_it_a_new_certificate_under_the_same_authority(
    settings: Settings,
) -> None:
    first = Authority.open(settings.authority_dir, NAMES)
    second = Authority.open(settings.authority_dir, ("gateway.example", "10.1.2.3"))
    assert first.ca_der == second.ca_der
    certificate = x509.load_pem_x509_certificate((settings.authority_dir / "server.pem").read_bytes())
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["gateway.example", "localhost"]


def test_a_free_port_that_was_picked_once_is_kept(settings: Settings) -> None:
    place = broker.address(settings)
    assert place.port > 0
    assert broker.address(settings) == place


def test_another_broker_is_addressed_by_its_url(tmp_path: Path) -> None:
    places = [
        broker.address(Settings.load(tmp_path, broker=url))
        for url in ("mqtt://127.0.0.1", "mqtts://broker.example", "mqtts://[::1]:9999")
    ]
    assert places == [
        broker.Address("127.0.0.1", 1883, tls=False),
        broker.Address("broker.example", 8883, tls=True),
        broker.Address("::1", 9999, tls=True),
    ]


@pytest.fixture
def place(settings: Settings, authority: Authority, store: Store) -> Iterator[broker.Address]:
    """A real broker and its doorkeeper that run."""
    command = [sys.executable, "-m", "gateway.doorkeeper", "--data-dir", str(settings.data_dir)]
    with (
        subprocess.Popen(broker.prepare(settings, authority)) as process,
        subprocess.Popen(command, env=os.environ | settings.environment()) as door,
    ):
        where = broker.address(settings)
        deadline = time.monotonic() + 60
        while not broker.door_is_open(settings) or not broker.answers(
            where, broker.client_tls(authority), "localhost"
        ):
            assert time.monotonic() < deadline, "the broker did not start"
            time.sleep(0.02)
        yield where
        door.terminate()
        door.wait(60)
        process.terminate()


def test_the_broker_lets_in_who_has_a_certificate_of_this_authority_and_nobody_else(
    place: broker.Address, store: Store, authority: Authority, settings: Settings, tmp_path: Path
) -> None:
    credentials = add_device(store, authority, "tag0001", settings=settings)
    assert broker.connects(place, tls_of(credentials, tmp_path / "own"), "localhost", "tag0001")

    without = ssl.create_default_context(cafile=str(authority.ca_pem))
    assert not broker.answers(place, without, "localhost"), "no certificate"
    assert not broker.answers(place, None, "localhost"), "no TLS"

    other = Authority.open(tmp_path / "other", NAMES).certify("tag0001")
    foreign = replace(credentials, cert_der=other.cert_der, key_der=other.key_der)
    assert not broker.answers(place, tls_of(foreign, tmp_path / "foreign"), "localhost"), (
        "another authority's"
    )


def test_a_device_does_not_speak_to_a_broker_of_another_name_or_authority(
    place: broker.Address, store: Store, authority: Authority, settings: Settings, tmp_path: Path
) -> None:
    credentials = add_device(store, authority, "tag0001", settings=settings)
    assert not broker.answers(place, tls_of(credentials, tmp_path / "own"), "elsewhere.example")
    stranger = Authority.open(tmp_path / "other", NAMES)
    wrong = replace(credentials, ca_der=stranger.ca_der)
    assert not broker.answers(place, tls_of(wrong, tmp_path / "wrong"), "localhost")


def test_the_broker_listens_on_this_machine_only(place: broker.Address, settings: Settings) -> None:
    listeners = [
        line.split()[1]
        for line in Path("/proc/net/tcp").read_text().splitlines()[1:]
        if line.split()[3] == "0A" and int(line.split()[1].split(":")[1], 16) == place.port
    ]
    assert listeners == [f"0100007F:{place.port:04X}"]
    assert '"listen": "127.0.0.1:' in (settings.broker_dir / "broker.conf").read_text()


def test_two_devices_whose_beacons_would_bear_one_number_are_not_both_added(
    store: Store, authority: Authority, settings: Settings
) -> None:
    # the first pair of such names that there is
    first, second = "rf000150", "rf085430"
    assert beacon_number(first) == beacon_number(second)
    add_device(store, authority, first, settings=settings, kind="rf_tag")
    with pytest.raises(
        DeviceError, match=f"the same number as those of {first}: give the new device another id"
    ):
        add_device(store, authority, second, settings=settings, kind="rf_tag")
    with store.read() as connection:
        assert devices.one(connection, second) is None
    assert not (settings.devices_dir / second).exists()


def test_a_device_has_a_kind_and_is_a_gps_tag_where_none_is_said(
    store: Store, authority: Authority, settings: Settings
) -> None:
    add_device(store, authority, "tag0001", settings=settings)
    add_device(store, authority, "unit0001", settings=settings, kind="home_unit")
    with store.read() as connection:
        assert devices.kinds(connection) == {"tag0001": "gps_tag", "unit0001": "home_unit"}
    with pytest.raises(DeviceError, match="'toaster' is no kind of device: give one of gps_tag, rf_tag"):
        add_device(store, authority, "tag0002", settings=settings, kind="toaster")
