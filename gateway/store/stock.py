"""Devices in stock: what was done with each, by whom and why; what was found faulty. Rows are only ever added."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from sqlalchemy import Connection, func, insert, select

from gateway.clock import utc_text
from gateway.store.tables import device_event, device_fault

Put = Literal["quarantined", "released", "retired", "lost"]
"""What decides where a device is, beside whether it is worn."""
What = Literal["quarantined", "released", "retired", "lost", "fitted", "removed", "checked", "failed"]
PUTS: tuple[Put, ...] = ("quarantined", "released", "retired", "lost")


@dataclass(frozen=True, slots=True)
class Event:
    """Something that was done with a device. ``about`` names the activation or the visit, or is ''."""

    id: int
    device: str
    at_ms: int
    what: What
    by: str
    reason: str
    about: str


@dataclass(frozen=True, slots=True)
class Fault:
    """A device, or one of its ``sensor``s ('': all of it), was found faulty ``from_ms`` to ``to_ms`` (tag time).

    The end is not included, None: from then on. ``takes_back``: this is no finding, but says that one was wrong.
    """

    id: int
    device: str
    sensor: str
    from_ms: int
    to_ms: int | None
    at_ms: int
    by: str
    reason: str
    takes_back: int | None = None


def add_event(
    connection: Connection, device: str, what: What, by: str, reason: str, at_ms: int, about: str = ""
) -> None:
    """Write what was done with a device."""
    connection.execute(
        insert(device_event).values(device=device, at_ms=at_ms, what=what, by=by, reason=reason, about=about)
    )


def events(connection: Connection, device: str) -> list[Event]:
    """All that was done with a device, in the order in which it was written."""
    query = select(device_event).where(device_event.c.device == device).order_by(device_event.c.id)
    return [Event(*row) for row in connection.execute(query)]


def last_put(connection: Connection, names: Sequence[str] | None = None) -> dict[str, Event]:
    """Of each device, or of some, where it was put last; left out where nobody ever put it anywhere."""
    last = select(func.max(device_event.c.id)).where(device_event.c.what.in_(PUTS))
    if names is not None:
        last = last.where(device_event.c.device.in_(list(names)))
    query = select(device_event).where(device_event.c.id.in_(last.group_by(device_event.c.device)))
    return {row.device: Event(*row) for row in connection.execute(query)}


def refusal(connection: Connection, device: str) -> str:
    """Why a device may not be fitted, '' where it may."""
    put = last_put(connection, [device]).get(device)
    if put is None or put.what not in ("quarantined", "retired", "lost"):
        return ""
    where = {"quarantined": "is in quarantine", "retired": "is retired", "lost": "is on record as lost"}
    return f"{device} {where[put.what]} since {utc_text(put.at_ms)} ({put.reason}, {put.by})"


def add_fault(
    connection: Connection,
    device: str,
    sensor: str,
    from_ms: int,
    to_ms: int | None,
    by: str,
    reason: str,
    at_ms: int,
    takes_back: int | None = None,
) -> Fault:
    """Write a finding, or that one was wrong."""
    values = {
        "device": device,
        "sensor": sensor,
        "from_ms": from_ms,
        "to_ms": to_ms,
        "at_ms": at_ms,
        "by": by,
        "reason": reason,
        "takes_back": takes_back,
    }
    key = connection.execute(insert(device_fault).values(**values)).inserted_primary_key
    assert key is not None
    return Fault(int(key[0]), device, sensor, from_ms, to_ms, at_ms, by, reason, takes_back)


def faults(connection: Connection, device: str | None = None) -> list[Fault]:
    """Every finding, and every taking back, of one device or of all; in the order in which they were written."""
    query = select(device_fault).order_by(device_fault.c.id)
    if device is not None:
        query = query.where(device_fault.c.device == device)
    return [Fault(*row) for row in connection.execute(query)]


def in_force(found: Sequence[Fault]) -> list[Fault]:
    """The findings that were not taken back."""
    gone = {one.takes_back for one in found}
    return [one for one in found if one.takes_back is None and one.id not in gone]
