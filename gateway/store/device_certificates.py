"""The certificates of devices beside the one in use: that which is to come, and those that were."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from sqlalchemy import Connection, delete, insert, select, update

from gateway.store import state
from gateway.store.tables import device, device_certificate

Use = Literal["next", "retired"]


@dataclass(frozen=True, slots=True)
class CertificateRow:
    """A certificate of a device, DER. Of a ``next`` one: from ``until_ms`` on only that one is let in."""

    device: str
    serial: str
    use: Use
    certificate: bytes
    made_at_ms: int
    until_ms: int | None = None


def of_device(connection: Connection, name: str) -> list[CertificateRow]:
    """The certificates of a device but the one in use, in the order of their making."""
    rows = select(device_certificate).where(device_certificate.c.device == name)
    ordered = rows.order_by(device_certificate.c.made_at_ms, device_certificate.c.serial)
    return [CertificateRow(*row) for row in connection.execute(ordered)]


def next_of(connection: Connection, name: str) -> CertificateRow | None:
    """The certificate that a device is to show from now on."""
    return next((row for row in of_device(connection, name) if row.use == "next"), None)


def every(connection: Connection) -> list[CertificateRow]:
    """All of them."""
    return [CertificateRow(*row) for row in connection.execute(select(device_certificate))]


def put_next(connection: Connection, row: CertificateRow) -> None:
    """Write the next certificate of a device, in the place of one that it has never shown."""
    mine = (device_certificate.c.device == row.device) & (device_certificate.c.use == "next")
    # it may have been provisioned: whoever has it is to be kept out
    connection.execute(update(device_certificate).where(mine).values(use="retired", until_ms=None))
    connection.execute(
        insert(device_certificate).values(**{name: getattr(row, name) for name in CertificateRow.__slots__})
    )
    state.note_change(connection)


def adopt(connection: Connection, row: CertificateRow, old: bytes, old_serial: str, at_ms: int) -> None:
    """A device has shown its next certificate: it is the one in use, and the other is let in no more."""
    connection.execute(
        delete(device_certificate).where(
            device_certificate.c.device == row.device, device_certificate.c.serial == row.serial
        )
    )
    if old:
        retired = CertificateRow(row.device, old_serial, "retired", old, at_ms)
        connection.execute(
            insert(device_certificate).values(
                **{name: getattr(retired, name) for name in CertificateRow.__slots__}
            )
        )
    connection.execute(update(device).where(device.c.id == row.device).values(certificate=row.certificate))
    state.note_change(connection)
