"""The desk on the gateway's own box: its store, its folder, and its keys."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

import structlog
from jinja2 import TemplateError
from sqlalchemy import Connection

from core.order import Order, OrderError, order_from_json
from core.wire import beacon_number
from gateway import commands, evidence, gateway_time, logs, rotation
from gateway.authority import Authority
from gateway.broker import address_for_tags
from gateway.control import Control, ControlError
from gateway.devices import Credentials, DeviceError, add_device, enrol_device, forget_credentials
from gateway.fitting import page
from gateway.fitting.console import signature
from gateway.fitting.desk import Bound, Committed, Exchanged, Happened, OnRecord, Place, Unbound, Worn
from gateway.fitting.doorstep import Doorstep, doorstep_of
from gateway.fitting.journal import DONE, FOLDER, Journal
from gateway.fitting.leaflet import Contact
from gateway.fitting.proved import unproven_since
from gateway.fitting.stops import Stop
from gateway.installations import install, uninstall
from gateway.orders import OrderRefused, activate, beyond, deactivate
from gateway.orders.exchange import exchange
from gateway.register import WITHOUT_LINK
from gateway.seal import DEVICE_KEY, NEXT_KEY, SealError
from gateway.settings import Settings
from gateway.stock import register
from gateway.store import (
    Store,
    device_certificates,
    device_keys,
    devices,
    envelopes,
    installations,
    intake,
    orders,
    state,
    stock,
)
from gateway.visit_list import VisitList
from gateway.whole_files import write_whole

log = structlog.get_logger(__name__)

_CONTROL_S = 10.0
PROVISIONED = ("ca.der", "cert.der", "config.json", "key.der")
"""All that a device is provisioned with; a folder with less holds a change of key or certificate only."""
OPERATOR = "call the gateway's operator"
NUMBER_AGAIN = "type the command with another number"


class LocalDesk:
    """`gateway.fitting.desk.Desk` over settings and store of a gateway, for the officer ``by``. Used by one thread."""

    connected = True
    keys_leave = True

    def __init__(self, settings: Settings, store: Store, by: str = "") -> None:
        self.settings = settings
        self.store = store
        self.by = by
        self.authority = Authority.of(settings)

    def begins(self, journal: Journal) -> None:
        """Here a visit may begin at any time."""

    def order(self, order_id: str) -> Order:
        """The newest version of an order."""
        return order_of(order_id, self.order_document(order_id))

    def order_document(self, order_id: str) -> dict[str, Any]:
        """The same as it was taken in."""
        with self.store.read() as connection:
            versions = orders.versions(connection, order_id)
        if not versions:
            raise Stop(
                f"order {order_id} is not known",
                "read its number on the visit sheet again, or have it added with `tagwatch order add`",
            )
        document: dict[str, Any] = json.loads(versions[-1].document)
        return document

    def doorstep(self, order_id: str) -> Doorstep:
        """As the order service told of them."""
        with self.store.read() as connection:
            found = doorstep_of(connection, order_id, self.stamp_ms())
        if found is None:
            raise Stop(f"order {order_id} is not known", "have it added with `tagwatch order add`")
        return found

    def contact(self) -> Contact:
        """As the settings have it."""
        return Contact(self.settings.wearer_phone, self.settings.wearer_phone_hours)

    def task(self, order_id: str, kind: str, about: str, sentence: str) -> None:
        """A task of the order; said again it is the same one."""
        with self.store.write() as connection:
            versions = orders.versions(connection, order_id)
            version = versions[-1].version if versions else 0
            intake.raise_task(connection, order_id, kind, about, sentence, version, self.stamp_ms())

    def ready(self) -> None:
        """Raises Stop where the gateway does not run."""
        control = Control(self.settings.control_path, timeout_s=_CONTROL_S)
        try:
            control.status()
        except ControlError:
            raise Stop(
                f"the gateway of {self.settings.data_dir} does not run, so no reading could arrive",
                "start it with `tagwatch serve`, and type the same command again",
            ) from None
        finally:
            control.close()

    def now_ms(self) -> int:
        """Gateway time. Raises Stop where this gateway was not told it."""
        now = self.present()
        if not now.known:
            raise time_unknown()
        return now.ms

    def stamp_ms(self) -> int:
        """Gateway time as good as it is known."""
        return self.present().ms

    def present(self) -> gateway_time.Present:
        """Gateway time, and whether it is known."""
        return gateway_time.now(self.store, self.settings.clock)

    def device(self, device: str) -> OnRecord | None:
        """What the store has of a device."""
        entry = self.entry(device)
        if entry is None:
            return None
        with self.store.read() as connection:
            aside = stock.refusal(connection, device)
            key = device_keys.next_of(connection, device)
            certificate = device_certificates.next_of(connection, device)
        return OnRecord(
            entry.id,
            entry.kind,
            hashlib.sha256(entry.certificate).hexdigest(),
            entry.revoked_at_ms is not None,
            all((self.settings.devices_dir / device / name).exists() for name in PROVISIONED),
            aside,
            "" if certificate is None else hashlib.sha256(certificate.certificate).hexdigest(),
            "" if key is None else "air" if key.over_air else "console",
        )

    def worn(self, device: str) -> Worn | None:
        """The activation that a device is in now."""
        return next(iter(self._worn(device=device)), None)

    def on_order(self, order_id: str) -> Sequence[Worn]:
        """The activations under an order that have not ended."""
        return [one for one in self._worn() if one.order_id == order_id]

    def place(self) -> Place:
        """As the settings have it."""
        found = address_for_tags(self.settings)
        return Place(
            found.host,
            found.port,
            self.settings.server_names[0],
            found.tls,
            self.authority.ca_der,
            self.authority.changes,
        )

    def enrol(self, device: str, kind: str) -> Credentials:
        """Add a device; its credentials lie in the folder ``devices/ID`` too."""
        try:
            self.authority.vault.reload()
            return add_device(self.store, self.authority, device, settings=self.settings, kind=kind)
        except DeviceError as error:
            raise Stop(str(error), NUMBER_AGAIN) from None
        except SealError as error:
            raise Stop(str(error), OPERATOR) from None

    def enrol_with(self, device: str, kind: str, key: bytes, request: bytes) -> bytes:
        """Take in a device whose keys were made where it is fitted; its certificate (DER). Again gives the same."""
        try:
            return enrol_device(self.store, self.authority, device, kind, key, request)
        except DeviceError as error:
            raise Stop(str(error), NUMBER_AGAIN) from None

    def credentials(self, device: str) -> Credentials:
        """What lies in the folder ``devices/ID``."""
        try:
            kept = Credentials.read(self.settings.devices_dir / device)
        except DeviceError as error:
            raise Stop(str(error), NUMBER_AGAIN) from None
        # what lies there may be older than a change of key: an old key is never brought back
        entry = self.device(device)
        changes = entry is not None and bool(entry.key_changes)
        good = (self.key(device), self.following_key(device)) if changes else (self.key(device),)
        return kept if kept.key in good else replace(kept, key=good[-1])

    def signature(self, device: str, nonce: str, said: bytes, *, following: bool = False) -> bytes:
        """Under the device's key, or the one that it is to change to."""
        return signature(self.following_key(device) if following else self.key(device), nonce, said)

    def following_key(self, device: str) -> bytes:
        """Opened from the store; where it was changed meanwhile, the one in use."""
        with self.store.read() as connection:
            found = device_keys.next_of(connection, device)
        if found is None:
            return self.key(device)
        try:
            self.authority.vault.reload()
            return self.authority.vault.open_sealed(NEXT_KEY, device, found.key)
        except SealError as error:
            raise Stop(str(error), OPERATOR) from None

    def following_certificate(self, device: str) -> Mapping[str, bytes]:
        """What `tagwatch device renew` has written to the folder ``devices/ID``."""
        entry = self.device(device)
        folder = self.settings.devices_dir / device
        names = [name for name in PROVISIONED if name.endswith(".der")]
        if entry is None or not all((folder / name).exists() for name in names):
            return {}
        files = {name: (folder / name).read_bytes() for name in names}
        wanted = hashlib.sha256(files["cert.der"]).hexdigest() == entry.following_sha256
        return files if wanted else {}

    def key(self, device: str) -> bytes:
        """Opened from the store."""
        entry = self.entry(device)
        if entry is None:
            raise Stop(f"{device} was never added to this gateway", "read the number on the case again")
        try:
            self.authority.vault.reload()
            return self.authority.vault.open_sealed(DEVICE_KEY, entry.id, entry.key)
        except SealError as error:
            raise Stop(str(error), OPERATOR) from None

    def beacon_key(self, device: str) -> bytes:
        """Of the device's key."""
        return commands.beacon_key(self.key(device))

    def newest_row(self) -> int:
        """In the store now."""
        with self.store.read() as connection:
            return envelopes.newest(connection)

    def reading_since(self, device: str, row: int, about: str | None, from_ms: int = 0) -> Committed | None:
        """From the store. Raises Stop where none can come any more."""
        entry = self.entry(device)
        if entry is not None and entry.revoked_at_ms is not None:
            raise Stop(f"{device} was revoked: nothing that it says is believed", "fit another tag")
        with self.store.read() as connection:
            rows = envelopes.of_device_after(connection, device, row)
        found = (
            one for one in rows if one.received_ms >= from_ms and (about is None or _tells_of(one, about))
        )
        return next((Committed(one.received_ms, one.id) for one in found), None)

    def bind(
        self, order_id: str, device: str, fitted_ms: int, unit: str | None, address: str | None
    ) -> Bound:
        """Make the activation and the installation, where they are not there from this fitting already."""
        worn = self.worn(device)
        try:
            # in one: there is no instant in which an RF tag is worn that no home unit listens for
            with self.store.write() as connection:
                if worn is None or (worn.order_id, worn.fitted_ms) != (order_id, fitted_ms):
                    activation = activate(
                        self.store, device, order_id, fitted_ms, by=self.by, within=connection
                    )
                else:
                    activation = worn.activation
                if unit is not None and not _stands(connection, unit, activation):
                    install(self.store, unit, activation, address, fitted_ms, within=connection)
        except OrderRefused as error:
            raise Stop(str(error), f"{OPERATOR}; the tag is on and its readings are kept") from None
        return Bound(activation, fitted_ms, [one.id for one in beyond(self.store, activation)])

    def exchange(self, activation: str, device: str, at_ms: int, *, silent: bool) -> Exchanged:
        """In one transaction; what the old one proved is read from what is committed by now."""
        with self.store.read() as connection:
            row = orders.one_activation(connection, activation)
            units = [
                one.unit
                for one in installations.every(connection)
                if one.activation == activation and one.removed_ms in (None, at_ms)
            ]
        if row is None:
            raise Stop(f"activation {activation} is not known", OPERATOR)
        try:
            made = exchange(self.store, activation, device, at_ms, self.by)
        except OrderRefused as error:
            raise Stop(str(error), f"{OPERATOR}; both tags keep their readings") from None
        with self.store.read() as connection:
            unproven = unproven_since(connection, row.device, units, row.fitted_ms, at_ms, silent=silent)
        told = [one.id for one in beyond(self.store, made)]
        return Exchanged(made, at_ms, activation, unproven, units, told)

    def units_of(self, activation: str) -> Sequence[str]:
        """From the store."""
        with self.store.read() as connection:
            return [
                one.unit
                for one in installations.every(connection)
                if one.activation == activation and one.removed_ms is None
            ]

    def unbind(self, activation: str, removed_ms: int) -> Unbound:
        """End activation and installations."""
        try:
            with self.store.write() as connection:
                stands = [
                    one.unit
                    for one in installations.every(connection)
                    if one.activation == activation and one.removed_ms is None
                ]
                row = orders.one_activation(connection, activation)
                for unit in stands:
                    uninstall(self.store, unit, activation, removed_ms, within=connection)
                if row is not None and row.removed_ms is None:
                    deactivate(self.store, activation, removed_ms, by=self.by, within=connection)
        except OrderRefused as error:
            raise Stop(str(error), OPERATOR) from None
        ended = row.removed_ms if row is not None else None
        return Unbound(removed_ms if ended is None else ended, stands)

    def report(self, device: str, what: Happened, why: str, visit: str) -> None:
        """Into the device's history."""
        now_ms, by = self.stamp_ms(), self.by or "officer"
        with self.store.write() as connection:
            entry = devices.one(connection, device)
            said = any((one.what, one.about) == (what, visit) for one in stock.events(connection, device))
            if said or entry is None:
                return
            if what == "rekeyed":
                if entry.kind == WITHOUT_LINK:
                    with suppress(LookupError):  # it was said before
                        rotation.adopt(connection, self.authority.vault, device, now_ms)
                        state.note_change(connection)
                return
            if what != "lost" or not stock.refusal(connection, device):
                stock.add_event(connection, device, what, by, why, now_ms, visit)
            if what == "failed":
                register.put_aside(connection, device, by, why, now_ms, visit)

    def wipe(self, devices: Sequence[str]) -> Sequence[str]:
        """From the folder ``devices``."""
        return [one for one in devices if forget_credentials(self.settings, one)]

    def keep(self, record: Mapping[str, Any]) -> None:
        """It lies in the gateway's folder already, where the visit has written it."""
        self._off_the_list(record)

    def was_of(self, order_id: str, device: str) -> bool:
        """Whether a device is, or was, on the wearer of an order, or stood for one."""
        with self.store.read() as connection:
            under = {row.id: row.device for row in orders.activations(connection) if row.order_id == order_id}
            units = {one.unit for one in installations.every(connection) if one.activation in under}
        return device in under.values() or device in units

    def must_be_of(self, order_id: str, activation: str) -> None:
        """Raises Stop where that is no activation under that order."""
        with self.store.read() as connection:
            row = orders.one_activation(connection, activation)
        if row is None or row.order_id != order_id:
            raise Stop(f"{activation} is no activation under order {order_id}", OPERATOR)

    def keep_from_elsewhere(self, visit: str, order_id: str, told: Mapping[str, Any], account: str) -> None:
        """Keep the record of a visit that was carried out elsewhere; what is kept names the account that sent it."""
        folder = self.settings.data_dir / FOLDER / DONE / visit
        try:
            if (told["visit"], told["order"]) != (visit, order_id):
                raise ValueError("it is of another visit")
            data = json.dumps({**told, "account": account}, indent=1, allow_nan=False).encode() + b"\n"
            shown = page.html(told).encode()
        except (KeyError, TypeError, ValueError, AttributeError, TemplateError) as error:
            raise Stop(f"this is no record of a visit ({type(error).__name__})", OPERATOR) from None
        path = folder / "record.json"
        if path.exists():
            if path.read_bytes() != data:
                raise Stop(f"another record of visit {visit} is kept already", OPERATOR)
            return
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_whole(folder / "record.html", shown, 0o600)
        write_whole(path, data, 0o600)
        self._off_the_list(told)

    def _off_the_list(self, record: Mapping[str, Any]) -> None:
        """The visit was made, so it is planned no longer."""
        planned = VisitList(self.settings.data_dir, self.authority.vault)
        try:
            planned.made(str(record["order"]), str(record["purpose"]), self.stamp_ms())
        except (SealError, OSError) as error:
            log.warning("the list of planned visits can not be changed", problem=logs.safe(error))

    def entry(self, device: str) -> devices.Device | None:
        """The device with its sealed key."""
        with self.store.read() as connection:
            return devices.one(connection, device)

    def _worn(self, device: str | None = None) -> list[Worn]:
        with self.store.read() as connection:
            rows = [row for row in orders.activations(connection, device) if row.removed_ms is None]
            kinds = devices.kinds(connection, in_use=True)
        return [Worn(row.id, row.device, kinds[row.device], row.order_id, row.fitted_ms) for row in rows]


def time_unknown() -> Stop:
    """The gateway was not told the time."""
    return Stop(
        "the gateway has not been told the time since it was switched on",
        "set the clock of its box, or let any tag send a reading outdoors, and type the same command again",
    )


def order_of(order_id: str, document: Mapping[str, Any]) -> Order:
    """The order that was taken in so. Raises Stop."""
    try:
        return order_from_json(document)
    except OrderError as error:
        raise Stop(f"order {order_id} can not be read ({error})", OPERATOR) from None


def _stands(connection: Connection, unit: str, activation: str) -> bool:
    return any(
        one.unit == unit and one.activation == activation and one.removed_ms is None
        for one in installations.every(connection)
    )


def _tells_of(stored: envelopes.Stored, tag: str) -> bool:
    said = evidence.said([evidence.read(stored)])
    number = beacon_number(tag)
    return bool(((said.beacons == number) & (said.counters > 0)).any())
