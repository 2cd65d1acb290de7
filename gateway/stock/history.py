"""All that is on record of one device, in the order of time: who wore it, who did what with it, its keys and faults."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sqlalchemy import Connection, select

from gateway.clock import utc_text
from gateway.renewal import serial_of
from gateway.stock import register
from gateway.stock.register import StockError
from gateway.store import (
    device_certificates,
    device_keys,
    devices,
    erasures,
    installations,
    orders,
    stock,
)
from gateway.store.tables import alert

_FAULTS = (
    *("motion_sensor_fault", "home_unit_motion_sensor_fault", "alcohol_sensor_fault", "safe_mode"),
    *("home_unit_safe_mode", "sequence_conflict", "forgotten_readings", "settings_lost"),
    *("command_count_lost", "battery", "strap_tamper", "case_tamper"),
)
"""Rules of alerts that tell of the device itself."""


def show(connection: Connection, device: str) -> dict[str, Any]:
    """What is on record of a device. Raises StockError where it is not known."""
    entry = devices.one(connection, device)
    if entry is None:
        raise StockError(f"device {device} is not known: see `tagwatch device list`")
    put = stock.last_put(connection, [device]).get(device)
    used = register.in_use(connection, device).get(device, [])
    heard_ms = devices.last_heard(connection).get(device)
    found = stock.faults(connection, device)
    in_force = {one.id for one in stock.in_force(found)}
    return {
        "device": device,
        "kind": entry.kind,
        "state": register.state_of(entry, put, used=bool(used)),
        "heard": None if heard_ms is None else utc_text(heard_ms),
        "certificate": serial_of(entry.certificate) if entry.certificate else None,
        "activations": [
            {
                "activation": row.id,
                "order": row.order_id,
                "from": utc_text(row.fitted_ms),
                "to": None if row.removed_ms is None else utc_text(row.removed_ms),
                **_who(connection, device, row.id),
            }
            for row in orders.activations(connection, device)
        ],
        "installations": [
            {
                "activation": one.activation,
                "from": utc_text(one.installed_ms),
                "to": None if one.removed_ms is None else utc_text(one.removed_ms),
                "address": one.place + 1,
            }
            for one in installations.every(connection)
            if one.unit == device
        ],
        "findings": [
            {
                "finding": one.id,
                "sensor": one.sensor or None,
                "from": utc_text(one.from_ms),
                "to": None if one.to_ms is None else utc_text(one.to_ms),
                "by": one.by,
                "reason": one.reason,
                "taken_back": one.id not in in_force,
            }
            for one in found
            if one.takes_back is None
        ],
        "history": [
            {"at": utc_text(at_ms), "what": what, "by": by, "about": about}
            for at_ms, what, by, about in sorted(_happened(connection, entry), key=lambda one: one[0])
        ],
    }


def _who(connection: Connection, device: str, activation_id: str) -> dict[str, str | None]:
    said = {one.what: one.by for one in stock.events(connection, device) if one.about == activation_id}
    return {"fitted_by": said.get("fitted"), "removed_by": said.get("removed")}


def _happened(connection: Connection, entry: devices.Device) -> Iterator[tuple[int, str, str, str]]:
    """When (gateway time, of wearing and alerts tag time), what, by whom, and about what."""
    name = entry.id
    yield entry.added_at_ms, "added, with a key and a certificate", "", ""
    if entry.revoked_at_ms is not None:
        yield entry.revoked_at_ms, "revoked: nothing of it is believed", "", ""
    told = stock.events(connection, name)
    for one in told:
        yield one.at_ms, f"{one.what}: {one.reason}" if one.reason else one.what, one.by, one.about
    known = {(one.what, one.about) for one in told}
    for row in orders.activations(connection, name):
        if ("fitted", row.id) not in known:
            yield row.fitted_ms, f"fitted under order {row.order_id}", "", row.id
        if row.removed_ms is not None and ("removed", row.id) not in known:
            yield row.removed_ms, "removed", "", row.id
    for fault in stock.faults(connection, name):
        part = fault.sensor or "all of it"
        until = "on" if fault.to_ms is None else f"until {utc_text(fault.to_ms)}"
        what = f"found faulty ({part}) from {utc_text(fault.from_ms)} {until}: {fault.reason}"
        if fault.takes_back is not None:
            what = f"finding {fault.takes_back} taken back: {fault.reason}"
        yield fault.at_ms, what, fault.by, f"finding {fault.takes_back or fault.id}"
    for key in device_keys.of_device(connection, name):
        if key.use == "next":
            how = "by air" if key.over_air else "at its console"
            yield key.made_at_ms, f"key {key.number} made, to be given {how}", "", ""
        elif key.until_ms is not None:
            yield key.until_ms, f"key {key.number} {key.use}", "", ""
    for certificate in device_certificates.of_device(connection, name):
        if certificate.use == "next":
            yield certificate.made_at_ms, f"certificate {certificate.serial} made, not shown yet", "", ""
        else:
            yield certificate.made_at_ms, f"certificate {certificate.serial} retired", "", ""
    query = select(alert.c.number, alert.c.rule, alert.c.state, alert.c.raised_at_ms).where(
        alert.c.device == name, alert.c.rule.in_(_FAULTS)
    )
    for number, rule, state, raised_ms in connection.execute(query):
        yield raised_ms, f"alert {number}: {rule} ({state})", "", ""
    for hold in erasures.holds(connection):
        if (hold.scope, hold.name) == ("device", name):
            yield hold.from_ms, f"legal hold {hold.id}: {hold.why}", hold.who, ""
