"""Where each device is: in stock, fitted, in quarantine, retired or lost; and who has put it there, and why.

A device in quarantine is fitted to nobody. One that is worn when it is put there goes on being monitored by: nobody is
left without a tag because of it, and a task says that it is to be swapped.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

from sqlalchemy import Connection

from gateway.clock import utc_text
from gateway.store import Store, devices, installations, intake, orders, stock
from gateway.store.devices import Device
from gateway.store.orders import ActivationRow
from gateway.store.stock import Event, Put

State = Literal["in stock", "fitted", "quarantined", "retired", "lost", "revoked"]
STATES: tuple[State, ...] = ("in stock", "fitted", "quarantined", "retired", "lost", "revoked")
SWAP = "device_in_quarantine"
"""The kind of task: a device in quarantine is worn."""
_LONGEST = 1000


class StockError(ValueError):
    """Something that can not be done with a device; the text names the fact and the remedy."""


def state_of(entry: Device, put: Event | None, *, used: bool) -> State:
    """Where a device is. One that is worn and in quarantine is *quarantined*: that is what has to be seen to."""
    if entry.revoked_at_ms is not None:
        return "revoked"
    if put is not None and put.what in ("quarantined", "retired", "lost"):
        return put.what
    return "fitted" if used else "in stock"


def in_use(connection: Connection, device: str | None = None) -> dict[str, list[ActivationRow]]:
    """Of each device that is worn, or stands for somebody who is, the activations; of one device, or of all."""
    worn = [row for row in orders.activations(connection) if row.removed_ms is None]
    found: dict[str, list[ActivationRow]] = {}
    by_id = {row.id: row for row in worn}
    for row in worn:
        if device in (None, row.device):
            found.setdefault(row.device, []).append(row)
    for one in installations.every(connection):
        if one.removed_ms is None and one.activation in by_id and device in (None, one.unit):
            found.setdefault(one.unit, []).append(by_id[one.activation])
    return found


def quarantine(store: Store, device: str, by: str, reason: str, now_ms: int) -> list[str]:
    """Nobody is fitted with it from now on; returns the orders under which it is worn, each with a task.

    Raises StockError.
    """
    with store.write() as connection:
        _known(connection, device, by, reason)
        put = stock.last_put(connection, [device]).get(device)
        if put is not None and put.what in ("quarantined", "retired"):
            raise StockError(f"{stock.refusal(connection, device)}: nothing is to be done")
        return put_aside(connection, device, by, reason, now_ms)


def put_aside(
    connection: Connection, device: str, by: str, reason: str, now_ms: int, about: str = ""
) -> list[str]:
    """The same within a transaction, of a device that is known; where it is put aside already that stands."""
    put = stock.last_put(connection, [device]).get(device)
    if put is None or put.what not in ("quarantined", "retired", "lost"):
        stock.add_event(connection, device, "quarantined", _one_line(by), _one_line(reason), now_ms, about)
    under = list(dict.fromkeys(row.order_id for row in in_use(connection, device).get(device, [])))
    newest = orders.newest(connection)
    for order_id in under:
        intake.raise_task(
            connection,
            order_id,
            SWAP,
            device,
            f"Device {device} is in use under this order and was put into quarantine at {utc_text(now_ms)}. Its "
            "readings count until it is swapped: visit the wearer, remove it and fit another.",
            newest[order_id].version if order_id in newest else 0,
            now_ms,
        )
    return under


def release(store: Store, device: str, by: str, reason: str, now_ms: int) -> None:
    """It was tested and is good, or was found again: it may be fitted. Raises StockError."""
    with store.write() as connection:
        _known(connection, device, by, reason)
        put = stock.last_put(connection, [device]).get(device)
        if put is None or put.what not in ("quarantined", "lost"):
            what = (
                "is retired for good" if put is not None and put.what == "retired" else "is not in quarantine"
            )
            raise StockError(f"device {device} {what}: see `tagwatch device show {device}`")
        stock.add_event(connection, device, "released", _one_line(by), _one_line(reason), now_ms)
        swapped(connection, device, by, now_ms, "it was tested and is good")


def retire(store: Store, device: str, by: str, reason: str, now_ms: int, *, lost: bool = False) -> None:
    """It is used no more, or nobody knows where it is. Raises StockError, also where it is worn."""
    what: Put = "lost" if lost else "retired"
    with store.write() as connection:
        _known(connection, device, by, reason)
        worn = in_use(connection, device).get(device)
        if worn:
            raise StockError(
                f"{device} is in use ({', '.join(row.id for row in worn)}): remove it first with "
                f"`tagwatch fit {worn[0].order_id} --remove{' --lost' if lost else ''}`"
            )
        put = stock.last_put(connection, [device]).get(device)
        if put is not None and put.what in ("retired", what):
            raise StockError(f"{stock.refusal(connection, device)}: nothing is to be done")
        stock.add_event(connection, device, what, _one_line(by), _one_line(reason), now_ms)


def swapped(connection: Connection, device: str, by: str, now_ms: int, note: str) -> None:
    """The device is not worn under that order any more, or may be: nobody has to swap it."""
    standing = [one.id for one in intake.tasks(connection) if one.kind == SWAP and one.about == device]
    intake.settle(connection, standing, by, now_ms, note)


def to_be_swapped(connection: Connection) -> dict[str, list[ActivationRow]]:
    """Devices in quarantine that are worn, or stand for somebody who wears another."""
    aside = {name for name, put in stock.last_put(connection).items() if put.what == "quarantined"}
    if not aside:
        return {}
    return {name: rows for name, rows in in_use(connection).items() if name in aside}


def listing(
    connection: Connection, states: Sequence[str] = (), kinds: Sequence[str] = ()
) -> list[Mapping[str, object]]:
    """Every device, or those in some states and of some kinds, for people and programs."""
    for name in states:
        if name not in STATES:
            raise StockError(f"{name!r} is no state of a device: give one of {', '.join(STATES)}")
    used, puts = in_use(connection), stock.last_put(connection)
    rows: list[Mapping[str, object]] = []
    for entry in devices.every(connection):
        put, mine = puts.get(entry.id), used.get(entry.id, [])
        state = state_of(entry, put, used=bool(mine))
        if (states and state not in states) or (kinds and entry.kind not in kinds):
            continue
        rows.append(
            {
                "device": entry.id,
                "kind": entry.kind,
                "state": state,
                "in_use": ", ".join(row.id for row in mine) or None,
                "reason": put.reason if put is not None and state == put.what else None,
                "added": utc_text(entry.added_at_ms),
                "revoked": None if entry.revoked_at_ms is None else utc_text(entry.revoked_at_ms),
            }
        )
    return rows


def _known(connection: Connection, device: str, by: str, reason: str) -> None:
    if not _one_line(by) or not _one_line(reason):
        raise StockError("say who does it (--by) and why (--reason): it stays on record")
    if devices.one(connection, device) is None:
        raise StockError(f"device {device} is not known: see `tagwatch device list`")


def _one_line(text: str) -> str:
    """What was written, on one line, without what does not print."""
    return " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())[:_LONGEST]
