"""``tagwatch check``: does the store still hold what it says it holds?

What the database finds in its own pages and references; each envelope under its device's key, and what its row says
of it; each device's known numbers against the envelopes, gap records and proofs of deletion that they rest on; each
alert against its revisions, and its flags against what was found faulty; the chain of proofs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, Row, func, select
from sqlalchemy.exc import DBAPIError

from core import envelope as sealing
from gateway import evidence, topics
from gateway.keys import PURPOSES
from gateway.seal import DEVICE_KEY, SealError, Vault
from gateway.sequences import How, Known, Range, Span
from gateway.shredding import unproven
from gateway.store import Store, device_keys, devices, dialect, doubts, envelopes, erasures
from gateway.store.tables import alert, alert_revision, conflict, envelope, gap

_MOST = 1000
"""So many faults are told; a store with more is to be restored anyway."""


@dataclass(slots=True)
class Found:
    """What was looked at, and each fault: where it is, and what is wrong."""

    looked_at: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)

    def tell(self, where: str, what: str) -> None:
        """Note a fault."""
        if len(self.faults) < _MOST:
            self.faults.append(f"{where}: {what}")


def _plainly(names: Sequence[str]) -> Iterable[str]:
    return names


def check(store: Store, vault: Vault, watch: Callable[[Sequence[str]], Iterable[str]] = _plainly) -> Found:
    """Look through the whole store at one moment; a gateway may run meanwhile.

    ``watch`` gets the devices and gives them back one by one, to show how far it is.
    """
    found = Found()
    try:
        with store.read() as connection:
            _look(connection, vault, found, watch)
    except DBAPIError as error:
        found.tell("the database", str(error.orig))
    return found


def _look(
    connection: Connection, vault: Vault, found: Found, watch: Callable[[Sequence[str]], Iterable[str]]
) -> None:
    for fault in dialect.faults(connection):
        found.tell("the database", fault)
    entries = {entry.id: entry for entry in devices.every(connection)}
    for name in watch(sorted(entries)):
        try:
            _device(connection, found, name, _keys_of(connection, vault, entries[name]))
            for number in unproven(connection, entries[name]):
                found.tell(f"device {name}", f"its key {number or ''} is gone, and no proof says why")
        except SealError as error:
            found.tell(f"device {name}", str(error))
        except DBAPIError as error:
            found.tell(f"device {name}", f"its rows can not be read: {error.orig}")
        found.looked_at["devices"] += 1
    _alerts(connection, found)
    found.looked_at["proofs"] += erasures.count(connection)
    for where, what in erasures.faults(connection):
        found.tell(where, what)


def _keys_of(connection: Connection, vault: Vault, entry: devices.Device) -> list[bytes]:
    """The keys under which a device may have said what is stored: that in use, and those before. Raises SealError."""
    found = [vault.open_sealed(DEVICE_KEY, entry.id, entry.key)] if entry.key else []
    for row in reversed(device_keys.of_device(connection, entry.id)):
        if row.use != "shredded":
            key = vault.open_sealed(PURPOSES[row.use], entry.id, row.key)
            found += [key] if row.use == "retired" else []
    return found


def _device(connection: Connection, found: Found, name: str, keys: Sequence[bytes]) -> None:
    stored: dict[int, Known] = {}
    rows = connection.execute(
        select(envelope).where(envelope.c.device == name).order_by(envelope.c.id),
        execution_options={"yield_per": 2000},
    )
    for row in rows:
        found.looked_at["envelopes"] += 1
        where = (
            f"device {name}, envelope in row {row.id} (epoch {row.epoch}, {row.first_seq} to {row.last_seq})"
        )
        spans = _spans(found, where, name, keys, row)
        known = stored.setdefault(row.epoch, Known())
        for span in spans:
            new = known.fill(span.first, span.last, How.STORED)
            if new != [span]:
                found.tell(
                    where, f"of {span.first} to {span.last} some are stored by an earlier envelope, too"
                )
    for row in connection.execute(select(conflict).where(conflict.c.device == name)):
        found.looked_at["conflicts"] += 1
        _authentic(found, f"device {name}, conflict in row {row.id}", name, keys, row.data)
    _numbers(connection, found, name, stored)


def _spans(found: Found, where: str, name: str, keys: Sequence[bytes], row: Row[Any]) -> tuple[Span, ...]:
    """The numbers that an envelope is evidence of; what is wrong with it is told."""
    if not _authentic(found, where, name, keys, row.data):
        return ()
    try:
        up, fresh = evidence.read(envelopes.of_row(row))
    except ValueError as error:
        found.tell(where, f"can not be read: {error}")
        return ()
    first, last = up.blocks[0].first, up.blocks[-1].last
    if (up.epoch, first, last) != (row.epoch, row.first_seq, row.last_seq):
        found.tell(where, f"says of itself epoch {up.epoch}, {first} to {last}")
        return ()
    held = Known()
    for block in up.blocks:
        held.fill(block.first, block.last, How.STORED)
    inside = [span for span in fresh if all(how is not None for _, how in held.split(span.first, span.last))]
    if len(inside) != len(fresh):
        found.tell(where, "its row counts numbers that it does not hold")
    return tuple(inside)


def _authentic(found: Found, where: str, name: str, keys: Sequence[bytes], data: bytes) -> bool:
    try:
        sealed = sealing.parse(data)
    except ValueError as error:
        found.tell(where, f"is no envelope any more: {error}")
        return False
    if sealed.kid != name:
        found.tell(where, f"is one of {sealed.kid}")
        return False
    if not any(sealing.authentic(sealed, key, topics.up(name)) for key in keys):
        found.tell(where, "its MAC is wrong: it is not what the device sent")
        return False
    return True


def _numbers(connection: Connection, found: Found, name: str, stored: dict[int, Known]) -> None:
    gaps: dict[int, Known] = {}
    for row in connection.execute(select(gap).where(gap.c.device == name)):
        gaps.setdefault(row.epoch, Known()).fill(row.first, row.first + row.count - 1, How.GAP)
    known = envelopes.ranges(connection, name)
    gone = erasures.spans_of(connection, name, kinds=erasures.READINGS)
    for epoch in sorted(known.keys() | stored.keys() | gone.keys()):
        where = f"device {name}, epoch {epoch}"
        parts = known.get(epoch, [])
        found.looked_at["ranges"] += len(parts)
        end = 0
        for part in parts:
            if part.first <= end or part.last < part.first:
                found.tell(where, f"its ranges overlap at {part.first}")
            end = max(end, part.last)
        held = stored.get(epoch, Known())
        for span in gone.get(epoch, []):
            if any(how is not None for _, how in held.split(span.first, span.last)):
                found.tell(
                    where, f"of {span.first} to {span.last}, proven to be deleted, some are still stored"
                )
            held.fill(span.first, span.last, How.STORED)
        _rest_on(found, where, parts, How.STORED, held, "no envelope holds them, and no proof says why")
        _rest_on(found, where, parts, How.GAP, gaps.get(epoch, Known()), "no gap record names them")
        said = Known(part for part in parts if part.how == How.STORED)
        for part in held.ranges:
            for span, how in said.split(part.first, part.last):
                if how is None:
                    found.tell(where, f"{span.first} to {span.last} are stored and not known to be")


def _rest_on(found: Found, where: str, parts: Sequence[Range], how: How, evidence_: Known, what: str) -> None:
    for part in parts:
        if part.how != how:
            continue
        for span, held in evidence_.split(part.first, part.last):
            if held is None:
                found.tell(where, f"{span.first} to {span.last} are known as {how.name.lower()}, but {what}")


def _alerts(connection: Connection, found: Found) -> None:
    last = (
        select(alert_revision.c.alert, func.max(alert_revision.c.revision).label("revision"))
        .group_by(alert_revision.c.alert)
        .subquery()
    )
    newest = select(alert_revision).join(
        last,
        (alert_revision.c.alert == last.c.alert) & (alert_revision.c.revision == last.c.revision),
    )
    revisions = {row.alert: (row.revision, row.document) for row in connection.execute(newest)}
    doubted = doubts.Doubts(connection)
    columns = (alert.c.number, alert.c.revision, alert.c.document, alert.c.device)
    for row in connection.execute(select(*columns)).all():
        found.looked_at["alerts"] += 1
        unknown = doubts.named_in(row.document) - doubted.numbers
        if unknown:
            found.tell(f"alert {row.number}", f"is doubtful by finding {min(unknown)}, which is not in force")
        missing = doubts.named_in(doubted.upon(row.document, row.device)) - doubts.named_in(row.document)
        if missing:
            found.tell(
                f"alert {row.number}", f"is not flagged by finding {min(missing)}, although it was fed by it"
            )
        if revisions.get(row.number) != (row.revision, row.document):
            found.tell(f"alert {row.number}", "is not what its last revision says")
