"""Keys are shredded: gone from the store, its freed pages and its log, with a proof in the chain of deletions.

Only a key under which nothing is kept any more: while an envelope is kept, its key is what shows that the device made
it. So a retired key goes when retention has deleted what was said under it, the key in use of a device when the device
is revoked as well. What backups hold is out of reach: they open with the master key of their time (docs/keys.md).
"""

from __future__ import annotations

import secrets
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass, field

import structlog
from sqlalchemy import Connection, select
from sqlalchemy.exc import DBAPIError

from core import envelope as sealing
from gateway import logs, merkle, seal, topics
from gateway.devices import forget_credentials
from gateway.keys import PURPOSES
from gateway.seal import DEVICE_KEY, Vault
from gateway.sequences import Span
from gateway.settings import Settings
from gateway.store import Store, device_keys, devices, dialect, erasures, state
from gateway.store.device_keys import KeyRow
from gateway.store.erasures import Gone, Proof
from gateway.store.tables import conflict, envelope, quarantine

log = structlog.get_logger(__name__)

KIND = "keys"
"""The kind of proof."""
_SCRUB_S = 20.0
_WHY = "a key under which nothing is kept any more proves nothing, and could only serve to forge"


class ShredError(ValueError):
    """A key that is kept; the text says why, and what has to be done before."""


@dataclass(frozen=True, slots=True)
class Shredded:
    """The keys of a device that are gone, by number, and the proof. ``scrubbed``: nothing is left in freed places."""

    device: str
    numbers: tuple[int, ...]
    proof: Proof
    scrubbed: bool


@dataclass(frozen=True, slots=True)
class _Key:
    number: int
    plain: bytes = field(repr=False)
    until_ms: int | None
    """When it was retired; None for one that is not."""


def shred(store: Store, vault: Vault, device: str, *, settings: Settings, by: str, now_ms: int) -> Shredded:
    """Shred the keys of a device under which nothing is kept. May be cut off at any moment and done again.

    ``by`` is who has it done. Raises ShredError where no key may go, SealError and OSError.
    """
    with store.write() as connection:
        entry = devices.one(connection, device)
        if entry is None:
            raise ShredError(f"device {device} is not known: see `tagwatch device list`")
        _refuse_what_is_held(connection, device, now_ms)
        vault.reload()
        found = _keys(connection, vault, entry)
        kept = _needed(connection, device, found)
        going = [key for key in found if key.number not in kept]
        if not going:
            raise ShredError(_why_not(entry, kept))
        proof = erasures.prove(
            connection,
            [
                Gone(
                    device,
                    0,
                    tuple(Span(key.number, key.number) for key in going),
                    None,
                    None,
                    tuple(merkle.leaf(key.plain) for key in going),
                )
            ],
            run=secrets.token_hex(8),
            at_ms=now_ms,
            by=by,
            kind=KIND,
            about={"device": device, "keys": [key.number for key in going]},
            version="",
            policy=_WHY,
            size=sum(len(key.plain) for key in going),
        )
        _forget(connection, entry, going, now_ms)
        state.set_number(connection, state.SCRUB_DUE, 1)
    if entry.revoked_at_ms is not None:
        forget_credentials(settings, device)
    return Shredded(device, tuple(key.number for key in going), proof, scrubbed(store, rewrite=True))


def scrubbed(store: Store, *, rewrite: bool = False) -> bool:
    """Have nothing left in freed places of what was deleted, if anything was; False where that can not be done now.

    SQLite writes over what it deletes, and only its log is to be emptied; of PostgreSQL all is written anew with
    ``rewrite``.
    """
    try:
        with store.read() as connection:
            if not state.number(connection, state.SCRUB_DUE):
                return True
        rewrite = rewrite and store.engine.dialect.name == "postgresql"
        done = dialect.scrub(store.engine, rewrite=rewrite, within_s=_SCRUB_S)
        if done:
            with store.write() as connection:
                state.set_number(connection, state.SCRUB_DUE, 0)
    except (DBAPIError, sqlite3.Error) as error:
        log.warning("what was deleted may lie in freed places of the store yet", problem=logs.safe(error))
        return False
    return done


def _refuse_what_is_held(connection: Connection, device: str, now_ms: int) -> None:
    for hold in erasures.holds(connection):
        if hold.holds(now_ms) and (
            hold.scope == "everything" or (hold.scope, hold.name) == ("device", device)
        ):
            raise ShredError(f"legal hold {hold.id} is upon {hold.name or 'everything'}: its keys are kept")


def _keys(connection: Connection, vault: Vault, entry: devices.Device) -> list[_Key]:
    """The keys that may go if nothing needs them: retired ones, and of a revoked device all."""
    found = []
    for row in device_keys.of_device(connection, entry.id):
        if row.use == "retired" or (row.use == "next" and entry.revoked_at_ms is not None):
            plain = vault.open_sealed(PURPOSES[row.use], entry.id, row.key)
            found.append(_Key(row.number, plain, row.until_ms))
    if entry.revoked_at_ms is not None and entry.key:
        plain = vault.open_sealed(DEVICE_KEY, entry.id, entry.key)
        found.append(_Key(seal.number_of(entry.key), plain, None))
    return sorted(found, key=lambda key: key.number)


def _needed(connection: Connection, device: str, found: Sequence[_Key]) -> dict[int, int]:
    """Of the keys under which something is kept: how much, by number."""
    needed: dict[int, int] = {}
    topic = topics.up(device)
    for table in (envelope, conflict):
        rows = connection.execute(
            select(table.c.data).where(table.c.device == device), execution_options={"yield_per": 2000}
        )
        for data in rows.scalars():
            try:
                sealed = sealing.parse(data)
            except ValueError:  # damaged: nobody can tell under which
                needed |= {key.number: needed.get(key.number, 0) + 1 for key in found}
                continue
            for key in found:
                if sealing.authentic(sealed, key.plain, topic):
                    needed[key.number] = needed.get(key.number, 0) + 1
    # of these only the beginning is kept, so nobody can tell under which key they are sealed: when they came tells
    for received_ms in connection.execute(
        select(quarantine.c.received_ms).where(quarantine.c.topic == topic, quarantine.c.authentic.is_(True))
    ).scalars():
        for key in found:
            if key.until_ms is None or received_ms <= key.until_ms:
                needed[key.number] = needed.get(key.number, 0) + 1
    return needed


def _why_not(entry: devices.Device, kept: dict[int, int]) -> str:
    if kept:
        return (
            f"{sum(kept.values())} messages of {entry.id} are kept that only its keys prove: retention has to delete "
            "them first (docs/retention.md)"
        )
    if entry.revoked_at_ms is None:
        return f"{entry.id} is in use and has no retired key: revoke it first, if it is at its end"
    return f"no key of {entry.id} is left"


def _forget(connection: Connection, entry: devices.Device, going: Sequence[_Key], now_ms: int) -> None:
    in_use = seal.number_of(entry.key) if entry.key else None
    for key in going:
        if key.number == in_use:
            device_keys.replace_current(connection, entry.id, b"")
            gone = KeyRow(entry.id, key.number, "shredded", b"", False, entry.added_at_ms, None, now_ms)
            device_keys.retire(connection, gone)
        else:
            device_keys.shred(connection, entry.id, key.number)
    state.note_change(connection)


def may_go(store: Store) -> list[str]:
    """The devices that have keys which may go if nothing needs them: those changed before, and revoked ones."""
    with store.read() as connection:
        named = {row.device for row in device_keys.every(connection) if row.use == "retired"}
        revoked = devices.revoked(connection)
        kept = devices.all_keys(connection)
    return sorted(named | {name for name in revoked if kept[name]})


def unproven(connection: Connection, entry: devices.Device) -> list[int]:
    """The keys of a device that are gone and that no proof speaks of; 0 where not even the number is known."""
    gone = {row.number for row in device_keys.of_device(connection, entry.id) if row.use == "shredded"}
    proven = {
        number
        for spans in erasures.spans_of(connection, entry.id, kinds=(KIND,)).values()
        for span in spans
        for number in range(span.first, span.last + 1)
    }
    found = sorted(gone - proven)
    # the key in use has the highest number of those that were in use
    if not entry.key and not gone:
        found.append(0)
    return found
