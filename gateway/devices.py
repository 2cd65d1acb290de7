"""Adding and revoking devices: a key and a certificate for each, shared with nobody else."""

from __future__ import annotations

import hmac
import json
import re
import secrets
import shutil
import time
from dataclasses import dataclass, field
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from sqlalchemy import Connection

from core.wire import beacon_number
from gateway.authority import Authority
from gateway.broker import Address, address_for_tags
from gateway.seal import DEVICE_KEY
from gateway.settings import Settings
from gateway.store import Store, devices
from gateway.whole_files import wipe, write_whole

DEVICE_ID = re.compile(r"[a-z0-9]{4,16}")
KEY_BYTES = 32
KINDS = ("gps_tag", "rf_tag", "home_unit", "alcohol_tag")


class DeviceError(ValueError):
    """A device that can not be added or revoked; the text names it, the fact and the remedy."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """What one device is provisioned with. The secrets never show in a log or a traceback.

    ``key`` is its MAC key (32 bytes); certificates and ``key_der`` are DER; ``server_name`` is the name that the
    device checks in the broker's certificate. ``tls`` is False for a broker on the same machine that has none.
    """

    device: str
    key: bytes = field(repr=False)
    ca_der: bytes = field(repr=False)
    cert_der: bytes = field(repr=False)
    key_der: bytes = field(repr=False)
    host: str
    port: int
    server_name: str
    tls: bool = True

    def write(self, folder: Path) -> None:
        """Write them for provisioning: ``config.json`` and three DER files, readable by the owner only."""
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        place = Address(self.host, self.port, self.tls)
        write_whole(folder / "ca.der", self.ca_der, 0o600)
        write_whole(folder / "cert.der", self.cert_der, 0o600)
        write_whole(folder / "key.der", self.key_der, 0o600)
        write_whole(
            folder / "config.json", configuration_of(self.device, self.key, place, self.server_name), 0o600
        )

    @classmethod
    def read(cls, folder: Path) -> Credentials:
        """Read what ``write`` wrote. Raises DeviceError where something is missing."""
        try:
            configuration = json.loads((folder / "config.json").read_text())
            return cls(
                device=configuration["device"],
                key=bytes.fromhex(configuration["key"]),
                ca_der=(folder / "ca.der").read_bytes(),
                cert_der=(folder / "cert.der").read_bytes(),
                key_der=(folder / "key.der").read_bytes(),
                host=configuration["host"],
                port=configuration["port"],
                server_name=configuration["server_name"],
                tls=configuration["tls"],
            )
        except (OSError, KeyError, ValueError) as error:
            raise DeviceError(f"{folder} does not hold the credentials of a device: {error}") from None


def configuration_of(
    device: str, key: bytes, place: Address, server_name: str, key_before: bytes = b""
) -> bytes:
    """The file ``config.json`` of a device. ``key_before`` is the key that it has now, where it is to change it."""
    configuration = {
        "device": device,
        "host": place.host,
        "port": place.port,
        "server_name": server_name,
        "key": key.hex(),
        "tls": place.tls,
    }
    if key_before:
        configuration["key_before"] = key_before.hex()
    return (json.dumps(configuration, indent=2) + "\n").encode()


def add_device(
    store: Store, authority: Authority, device_id: str, *, settings: Settings, kind: str = KINDS[0]
) -> Credentials:
    """Give a new device its key and certificate; they are also written to the folder ``devices/ID``.

    Raises DeviceError where the id is not of the protocol's form, or taken, where ``kind`` is none of ``KINDS``, or
    where another device's beacons would bear the same number.
    """
    _may_be_added(device_id, kind)
    with store.read() as connection:
        if devices.one(connection, device_id) is not None:
            raise DeviceError(
                f"device {device_id} was added before: its credentials lie in the devices folder"
            )
    made = authority.certify(device_id)
    place = address_for_tags(settings)
    credentials = Credentials(
        device=device_id,
        key=secrets.token_bytes(KEY_BYTES),
        ca_der=authority.ca_der,
        cert_der=made.cert_der,
        key_der=made.key_der,
        host=place.host,
        port=place.port,
        server_name=settings.server_names[0],
        tls=place.tls,
    )
    with store.write() as connection:
        _take_in(connection, authority, device_id, credentials.key, made.cert_der, kind)
        # inside the transaction: a device is in the store only if it can be provisioned
        credentials.write(settings.devices_dir / device_id)
    return credentials


def enrol_device(
    store: Store, authority: Authority, device_id: str, kind: str, key: bytes, request: bytes
) -> bytes:
    """Take in a new device whose keys were made elsewhere: its certificate (DER). The same again gives the same.

    ``key`` is its MAC key; ``request`` a certificate signing request (DER) for a P-256 key, signed with it, whose
    subject does not matter. Raises DeviceError as ``add_device`` does, and where
    the request can not be used; SealError.
    """
    _may_be_added(device_id, kind)
    if len(key) != KEY_BYTES:
        raise DeviceError(f"a device's key has {KEY_BYTES} bytes")
    public_key = _requested(request)
    with store.read() as connection:
        before = devices.one(connection, device_id)
    certificate = b"" if before is not None else authority.sign(public_key, device_id)
    with store.write() as connection:
        before = devices.one(connection, device_id)
        if before is None:
            _take_in(connection, authority, device_id, key, certificate, kind)
            return certificate
        if before.revoked_at_ms is None and before.kind == kind:
            known = x509.load_der_x509_certificate(before.certificate).public_key()
            authority.vault.reload()
            kept = authority.vault.open_sealed(DEVICE_KEY, device_id, before.key)
            # somebody who asks again after an answer was lost
            if known == public_key and hmac.compare_digest(kept, key):
                return before.certificate
    raise DeviceError(f"the number {device_id} was given to a device before")


def _requested(request: bytes) -> ec.EllipticCurvePublicKey:
    try:
        read = x509.load_der_x509_csr(request)
        public_key = read.public_key()
        if not read.is_signature_valid:
            raise ValueError("it is not signed with the key that it is for")
    except (ValueError, TypeError, UnsupportedAlgorithm, InvalidSignature) as error:
        raise DeviceError(f"the certificate signing request can not be used: {error}") from None
    if not isinstance(public_key, ec.EllipticCurvePublicKey) or public_key.curve.name != "secp256r1":
        raise DeviceError("the certificate signing request can not be used: give a P-256 key")
    return public_key


def _may_be_added(device_id: str, kind: str) -> None:
    if kind not in KINDS:
        raise DeviceError(f"{kind!r} is no kind of device: give one of {', '.join(KINDS)}")
    if not DEVICE_ID.fullmatch(device_id):
        raise DeviceError(f"{device_id!r} is no device id: write 4 to 16 small letters and digits")


def _take_in(
    connection: Connection, authority: Authority, device_id: str, key: bytes, certificate: bytes, kind: str
) -> None:
    if devices.one(connection, device_id) is not None:
        raise DeviceError(f"device {device_id} was added by someone else at this moment")
    for other in devices.kinds(connection):
        if beacon_number(other) == beacon_number(device_id):
            raise DeviceError(
                f"the beacons of {device_id} would bear the same number as those of {other}: "
                "give the new device another id"
            )
    # within the transaction: a change of the master key comes wholly before or wholly after
    authority.vault.reload()
    sealed = authority.vault.seal(DEVICE_KEY, device_id, key)
    devices.add(
        connection, devices.Device(device_id, sealed, certificate, round(time.time() * 1000), None, kind)
    )


def revoke_device(store: Store, device_id: str, *, settings: Settings) -> None:
    """Believe nothing of this device from now on. Raises DeviceError where it is unknown or was revoked before."""
    with store.write() as connection:
        if not devices.revoke(connection, device_id, round(time.time() * 1000)):
            raise DeviceError(f"device {device_id} is not known, or was revoked before")
    forget_credentials(settings, device_id)


def forget_credentials(settings: Settings, device_id: str) -> bool:
    """Wipe what a device was provisioned with from the devices folder; False where nothing lay there.

    Raises OSError.
    """
    return forget_in(settings.devices_dir, device_id)


def forget_in(devices_dir: Path, device_id: str) -> bool:
    """The same, in the devices folder of whoever fits devices."""
    folder = devices_dir / device_id
    if not DEVICE_ID.fullmatch(device_id) or not folder.is_dir():
        return False
    for path in folder.iterdir():
        if path.is_file() and not path.is_symlink():
            wipe(path)
    shutil.rmtree(folder)
    return True
