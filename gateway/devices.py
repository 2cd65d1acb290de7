"""Adding and revoking devices: a key and a certificate for each, shared with nobody else."""

from __future__ import annotations

import json
import re
import secrets
import shutil
import time
from dataclasses import dataclass, field
from pathlib import Path

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
    if kind not in KINDS:
        raise DeviceError(f"{kind!r} is no kind of device: give one of {', '.join(KINDS)}")
    if not DEVICE_ID.fullmatch(device_id):
        raise DeviceError(f"{device_id!r} is no device id: write 4 to 16 small letters and digits")
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
        sealed = authority.vault.seal(DEVICE_KEY, device_id, credentials.key)
        devices.add(
            connection,
            devices.Device(device_id, sealed, made.cert_der, round(time.time() * 1000), None, kind),
        )
        # inside the transaction: a device is in the store only if it can be provisioned
        credentials.write(settings.devices_dir / device_id)
    return credentials


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
    folder = settings.devices_dir / device_id
    if not DEVICE_ID.fullmatch(device_id) or not folder.is_dir():
        return False
    for path in folder.iterdir():
        if path.is_file() and not path.is_symlink():
            wipe(path)
    shutil.rmtree(folder)
    return True
