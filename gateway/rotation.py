"""A device's MAC key is changed, and not one of its readings is lost or refused.

The *next* key is made and kept, sealed, before the device hears of it. From then on a message under either key is
believed. The first one under the next key says that the device has it: in the transaction that commits that message
the next key becomes the one in use and the other is *retired*. What comes under the retired key later is put into
quarantine: a tag seals each message when it sends it, so what it still holds comes under the new key. Retired keys are
kept, sealed, for what they prove.

Whenever power is cut, on whichever side, one of the two keys that the gateway knows is the tag's.
"""

from __future__ import annotations

import secrets
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection

from gateway import seal
from gateway.authority import Authority
from gateway.broker import address_for_tags
from gateway.clock import utc_text
from gateway.commands import EXPIRES_MS, REKEY
from gateway.devices import KEY_BYTES, DeviceError, configuration_of
from gateway.register import WITHOUT_LINK
from gateway.seal import DEVICE_KEY, NEXT_KEY, RETIRED_KEY, SealError, Vault
from gateway.settings import Settings
from gateway.store import Store, commands, device_keys, devices, state
from gateway.store.device_keys import KeyRow
from gateway.whole_files import write_whole

AGAIN_MS = 3_600_000
"""How long after a device could not take its next key it is told again."""
MOST = 500
"""Devices of which one look has the command queued: some tens of milliseconds."""
_LOOK_S = 60.0


@dataclass(frozen=True, slots=True)
class Prepared:
    """The next key of a device is kept. ``folder`` holds what it is provisioned with, None where it is told by air."""

    device: str
    number: int
    folder: Path | None


def prepare(
    store: Store, authority: Authority, device: str, *, settings: Settings, over_air: bool, now_ms: int
) -> Prepared:
    """Make a device's next key, or take the one that was made for it and it does not have yet.

    ``over_air``: it is told by a command. Else ``config.json`` is written to the folder ``devices/ID``, for the tool.
    Raises DeviceError, SealError and OSError.
    """
    with store.write() as connection:
        entry = devices.one(connection, device)
        if entry is None:
            raise DeviceError(f"device {device} is not known: see `tagwatch device list`")
        if entry.revoked_at_ms is not None:
            raise DeviceError(f"device {device} was revoked: nothing of it is believed under any key")
        if over_air and entry.kind == WITHOUT_LINK:
            raise DeviceError(
                f"{device} is an RF tag, which hears nothing by air: give --console, provision it, and then "
                f"`tagwatch device rekeyed {device}`"
            )
        authority.vault.reload()
        current = authority.vault.open_sealed(DEVICE_KEY, device, entry.key)
        standing = device_keys.next_of(connection, device)
        if standing is None:
            key, number = secrets.token_bytes(KEY_BYTES), seal.number_of(entry.key) + 1
            sealed = authority.vault.seal(NEXT_KEY, device, key, number)
            device_keys.add(connection, KeyRow(device, number, "next", sealed, over_air, now_ms))
        else:
            key, number = authority.vault.open_sealed(NEXT_KEY, device, standing.key), standing.number
            if over_air and not standing.over_air:
                device_keys.send(connection, device)
    if over_air:
        return Prepared(device, number, None)
    # after the transaction: what lies there is always a key that the gateway knows
    folder = settings.devices_dir / device
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    document = configuration_of(
        device, key, address_for_tags(settings), settings.server_names[0], key_before=current
    )
    write_whole(folder / "config.json", document, 0o600)
    return Prepared(device, number, folder)


def adopt(connection: Connection, vault: Vault, device: str, at_ms: int) -> tuple[bytes, bytes]:
    """A device has its next key: within the transaction that commits what it said under it.

    Returns the keys as they are kept now, that in use and that which was. Raises SealError, LookupError where there is
    no next key.
    """
    entry, found = devices.one(connection, device), device_keys.next_of(connection, device)
    if entry is None or found is None:
        raise LookupError(f"{device} is to change to no other key")
    # within the transaction: a change of the master key comes wholly before or wholly after. Where its file can not be
    # read now, it was not changed by whoever can not read it either
    with suppress(SealError):
        vault.reload()
    number = seal.number_of(entry.key)
    current = vault.seal(DEVICE_KEY, device, vault.open_sealed(NEXT_KEY, device, found.key), found.number)
    retired = vault.seal(RETIRED_KEY, device, vault.open_sealed(DEVICE_KEY, device, entry.key), number)
    before = [row.until_ms for row in device_keys.of_device(connection, device) if row.until_ms is not None]
    device_keys.drop_next(connection, device)
    device_keys.retire(
        connection,
        KeyRow(
            device,
            number,
            "retired",
            retired,
            False,
            entry.added_at_ms,
            max(before, default=entry.added_at_ms),
            at_ms,
        ),
    )
    device_keys.replace_current(connection, device, current)
    commands.expire(connection, device, REKEY, at_ms)
    return current, retired


def adopted_at_console(store: Store, authority: Authority, device: str, now_ms: int) -> None:
    """An RF tag has been provisioned with its next key: nothing of it reaches the gateway that would tell.

    Its home units are told the new beacon key. Raises DeviceError and SealError.
    """
    with store.write() as connection:
        entry = devices.one(connection, device)
        if entry is None or entry.kind != WITHOUT_LINK:
            raise DeviceError(
                f"{device} is no RF tag: any other device tells by itself that it has its new key"
            )
        try:
            adopt(connection, authority.vault, device, now_ms)
        except LookupError as error:
            raise DeviceError(f"{error}: begin with `tagwatch device rekey --console {device}`") from None
        state.note_change(connection)


def cancel(store: Store, device: str, now_ms: int) -> None:
    """A device is to keep its key. Raises DeviceError where it may have been told the next one already."""
    with store.write() as connection:
        found = device_keys.next_of(connection, device)
        if found is None:
            raise DeviceError(f"{device} is to change to no other key")
        if found.over_air:
            raise DeviceError(
                f"{device} may have taken its next key already, and not have said anything since: it stays believed"
            )
        device_keys.drop_next(connection, device)
        state.note_change(connection)


class Rekeys:
    """Queues the commands that tell devices their next keys, until they have them. Used by one thread.

    ``look`` raises ``sqlalchemy.exc.DBAPIError`` where the store fails; the call can be made again.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._changes = -1
        self._looked_s = 0.0

    def look(self, now_ms: int, changes: int) -> int:
        """See who is to be told at ``now_ms`` (gateway time); returns how many commands were queued.

        ``changes`` is the store's count of changes that the copies hold: a device must not know a key that only
        this disk has.
        """
        now_s = time.monotonic()
        if changes == self._changes and now_s - self._looked_s < _LOOK_S:
            return 0
        with self._store.read() as connection:
            if state.changes(connection) != changes:
                return 0
            due = device_keys.untold(connection, now_ms, AGAIN_MS, MOST)
        if due:
            with self._store.write() as connection:
                for device, number in due:
                    until_ms = now_ms + EXPIRES_MS[REKEY]
                    commands.add(connection, device, REKEY, {"number": number}, now_ms, until_ms)
        if len(due) < MOST:
            self._changes, self._looked_s = changes, now_s
        return len(due)


def listing(store: Store) -> list[dict[str, object]]:
    """The devices that have not changed to their next key yet, for people and programs."""
    with store.read() as connection:
        rows = device_keys.waiting(connection)
    return [
        {
            "device": row.device,
            "number": row.number,
            "made": utc_text(row.made_at_ms),
            "by": "air" if row.over_air else "console",
        }
        for row in rows
    ]
