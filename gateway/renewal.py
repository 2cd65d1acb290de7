"""Certificates are changed before they end: of one device, or of all together with the gateway's own authority.

A device's new certificate is made beside the old one, and provisioned at its console. Both are let in until the new one
was shown first, or until a date; then only the new one is.

The authority is changed in two steps. After the first both are trusted: the next one signs for devices, the present one
still for the broker. Each device gets a new certificate, and both authorities to trust. After the second step the next
authority is the only one. A device that has neither been provisioned nor revoked by then could not connect any more,
so the second step names it and waits.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from sqlalchemy import Connection

from gateway.authority import Authority
from gateway.devices import DeviceError
from gateway.register import WITHOUT_LINK
from gateway.settings import Settings
from gateway.store import Store, device_certificates, devices
from gateway.store.device_certificates import CertificateRow
from gateway.whole_files import write_whole


@dataclass(frozen=True, slots=True)
class Renewed:
    """What was made for a device lies in ``folder``: ``files`` are to be put and provisioned."""

    device: str
    folder: Path
    files: tuple[str, ...] = ("ca.der", "cert.der", "key.der")


def renew(
    store: Store, authority: Authority, device: str, *, settings: Settings, until_ms: int | None = None
) -> Renewed:
    """Make a new TLS key and certificate for a device; from ``until_ms`` on (the box's clock) the old one is refused.

    Raises DeviceError, SealError and OSError.
    """
    made = authority.certify(device)
    folder = settings.devices_dir / device
    with store.write() as connection:
        entry = devices.one(connection, device)
        if entry is None:
            raise DeviceError(f"device {device} is not known: see `tagwatch device list`")
        if entry.revoked_at_ms is not None:
            raise DeviceError(f"device {device} was revoked: it is not let in with any certificate")
        now_ms = round(time.time() * 1000)
        row = CertificateRow(device, serial_of(made.cert_der), "next", made.cert_der, now_ms, until_ms)
        device_certificates.put_next(connection, row)
        # inside the transaction: what the gateway waits for can be provisioned
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_whole(folder / "ca.der", authority.ca_der, 0o600)
        write_whole(folder / "cert.der", made.cert_der, 0o600)
        write_whole(folder / "key.der", made.key_der, 0o600)
    return Renewed(device, folder)


def shows(
    connection: Connection, entry: devices.Device, cert_der: bytes, now_ms: int
) -> CertificateRow | None:
    """Whether a device is let in with this certificate; the row where it is its next one, to be adopted.

    Raises DeviceError where it is not.
    """
    if not entry.certificate or entry.certificate == cert_der:
        following = device_certificates.next_of(connection, entry.id) if entry.certificate else None
        if following is not None and following.until_ms is not None and following.until_ms <= now_ms:
            raise DeviceError(f"{entry.id} shows a certificate whose time is over: it has a new one")
        return None
    following = device_certificates.next_of(connection, entry.id)
    if following is None or following.certificate != cert_der:
        raise DeviceError(f"{entry.id} shows another certificate than it was given")
    return following


def adopt(store: Store, device: str) -> bool:
    """A device has its next certificate; False where there is none. Raises DBAPIError."""
    with store.write() as connection:
        entry, found = devices.one(connection, device), device_certificates.next_of(connection, device)
        if entry is None or found is None:
            return False
        old = serial_of(entry.certificate) if entry.certificate else ""
        device_certificates.adopt(connection, found, entry.certificate, old, round(time.time() * 1000))
    return True


def serial_of(cert_der: bytes) -> str:
    """The serial number of a certificate, hexadecimal."""
    return f"{x509.load_der_x509_certificate(cert_der).serial_number:x}"


def not_renewed(store: Store, authority: Authority) -> list[str]:
    """The devices that only the present authority vouches for: RF tags, which never connect, do not count."""
    with store.read() as connection:
        return [
            entry.id
            for entry in devices.every(connection)
            if entry.revoked_at_ms is None
            and entry.kind != WITHOUT_LINK
            and entry.certificate
            and not authority.is_of_next(entry.certificate)
        ]
