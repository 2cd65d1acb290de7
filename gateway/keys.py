"""The devices' MAC keys: opened where they are used, sealed where an earlier version left them open, sealed anew."""

from __future__ import annotations

import fcntl
import secrets
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace

import structlog
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from gateway import logs, seal
from gateway.authority import Authority
from gateway.seal import DEVICE_KEY, KEY_BYTES, NEXT_KEY, RETIRED_KEY, SealError, Vault
from gateway.settings import Settings
from gateway.store import Store, device_keys, devices, dialect
from gateway.store.device_keys import Use
from gateway.verify import Beside
from gateway.visit_list import VisitList

log = structlog.get_logger(__name__)

_WIPING_S = 10.0
PURPOSES: Mapping[Use, str] = {"next": NEXT_KEY, "retired": RETIRED_KEY}
"""As what the keys beside the one in use are sealed."""


class Keyring(Mapping[str, bytes]):
    """The MAC keys of the devices that are believed, each opened when it is asked for first. Used by one thread.

    One that can not be opened is not got, though it is ``in`` here; the log tells why.
    """

    def __init__(self, vault: Vault) -> None:
        self._vault = vault
        self._sealed: dict[str, bytes] = {}
        self._to_come: dict[str, bytes] = {}
        self._retired: dict[str, bytes] = {}
        self._opened: dict[str, bytes] = {}
        self._shut: set[str] = set()

    def take(
        self,
        sealed: Mapping[str, bytes],
        to_come: Mapping[str, bytes] | None = None,
        retired: Mapping[str, bytes] | None = None,
    ) -> None:
        """From now on these are the keys as they are kept; what has not changed stays open.

        ``to_come`` are those that devices are to change to, ``retired`` those that they had before.
        """
        self._opened = {
            device: key for device, key in self._opened.items() if sealed.get(device) == self._sealed[device]
        }
        self._sealed = dict(sealed)
        self._to_come = dict(to_come or {})
        self._retired = dict(retired or {})
        self._shut.clear()

    def adopt(self, device: str, sealed: bytes, retired: bytes) -> None:
        """From now on a device has the key that it was to change to, ``sealed`` as it is kept now."""
        self._sealed[device] = sealed
        self._retired[device] = retired
        self._to_come.pop(device, None)
        self._opened.pop(device, None)
        self._shut.discard(device)

    def beside(self, device: str) -> Beside:
        """The keys beside the one in use; one that can not be opened is not got. They are opened each time."""
        if device not in self._to_come and device not in self._retired:
            return Beside()
        return Beside(
            self._open(NEXT_KEY, device, self._to_come.get(device)),
            self._open(RETIRED_KEY, device, self._retired.get(device)),
        )

    def _open(self, purpose: str, device: str, sealed: bytes | None) -> bytes | None:
        if sealed is None:
            return None
        try:
            return self._vault.open_sealed(purpose, device, sealed)
        except SealError as error:
            log.error("a key can not be opened, so nothing under it is believed", problem=str(error))
            return None

    def __getitem__(self, device: str) -> bytes:
        found = self._opened.get(device)
        if found is not None:
            return found
        sealed = self._sealed[device]
        if device in self._shut:
            raise KeyError(device)
        try:
            key = self._vault.open_sealed(DEVICE_KEY, device, sealed)
        except SealError as error:
            self._shut.add(device)
            log.error("a device's key can not be opened, so nothing of it is believed", problem=str(error))
            raise KeyError(device) from None
        self._opened[device] = key
        return key

    def __contains__(self, device: object) -> bool:
        return device in self._sealed

    def __iter__(self) -> Iterator[str]:
        return iter(self._sealed)

    def __len__(self) -> int:
        return len(self._sealed)


@contextmanager
def held(settings: Settings, *, wait: bool = False) -> Iterator[None]:
    """Nobody else seals anew, restores or backs up meanwhile.

    Raises SealError where somebody does, unless it is to ``wait``.
    """
    with (settings.data_dir / "seal.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise SealError(
                "a backup, a restore or a change of the master key is going on: try again when it has ended"
            ) from None
        yield


def make_ready(settings: Settings, store: Store, authority: Authority) -> None:
    """Before a gateway starts: is it the right master key?

    Keys that an earlier version left open are sealed and wiped out, and a change of the master key that was cut off is
    taken to its end. Power may go at any moment, then it is done anew. Raises SealError where the devices' keys are
    sealed under another master key, or lie open without cause.
    """
    vault = authority.vault
    if vault.masters.unfinished or len(vault.masters.keys) > 1:
        with held(settings, wait=True):
            vault.reload()
            _seal_what_lies_open(store, vault)
            if len(vault.masters.keys) > 1:
                _reseal(settings, store, authority)
                vault.keep(replace(vault.masters, keys=vault.masters.keys[:1]))
    with store.read() as connection:
        others = [row.key for row in device_keys.every(connection)]
        _known_all(vault, [*devices.sealed_keys(connection).values(), *others])


def _seal_what_lies_open(store: Store, vault: Vault) -> None:
    if vault.masters.unfinished == "look":
        with store.read() as connection:
            found = _open_keys(connection)
        vault.finish("seal" if found else "")
    if vault.masters.unfinished == "seal":
        with store.write() as connection:
            count = seal_open_keys(connection, vault)
        log.info("the devices' keys are sealed from now on", devices=count)
        vault.finish("wipe")
    if vault.masters.unfinished == "wipe":
        if wiped(store):
            vault.finish("")
        else:
            log.warning("keys may lie open in freed places of the store until the next start")


def wiped(store: Store) -> bool:
    """Write the store anew, so that nothing is left of what was written over; False where that can not be done now."""
    try:
        return dialect.scrub(store.engine, rewrite=True, within_s=_WIPING_S)
    except (DBAPIError, sqlite3.Error) as error:
        log.warning("the store could not be written anew", problem=logs.safe(error))
        return False


def _known_all(vault: Vault, sealed: Iterable[bytes]) -> None:
    masters = {seal.master_of(one) if seal.is_sealed(one) else "" for one in sealed}
    foreign = masters - {seal.id_of(key) for key in vault.masters.keys}
    if "" in foreign:
        raise SealError(
            "keys of devices lie open in the store, which were sealed before: somebody has changed it. "
            "`tagwatch check` names them; restore a backup, or revoke those devices"
        )
    if foreign:
        raise SealError(
            f"the devices' keys are sealed under master key {', '.join(sorted(foreign))}, and {vault.path} holds "
            f"{vault.present}: put the file back that belongs to this store (docs/keys.md)"
        )


def seal_open_keys(connection: Connection, vault: Vault) -> int:
    """Seal what lies open; returns of how many devices."""
    lie_open = _open_keys(connection)
    devices.put_keys(
        connection, {device: vault.seal(DEVICE_KEY, device, key) for device, key in lie_open.items()}
    )
    return len(lie_open)


def _open_keys(connection: Connection) -> dict[str, bytes]:
    kept = devices.all_keys(connection)
    return {device: key for device, key in kept.items() if key and not seal.is_sealed(key)}


def seal_anew(connection: Connection, vault: Vault) -> int:
    """Seal every device's keys under the present master key; returns of how many they were not. Raises SealError."""
    kept = devices.all_keys(connection)
    anew = {device: vault.resealed(DEVICE_KEY, device, sealed) for device, sealed in kept.items() if sealed}
    changed = {device: sealed for device, sealed in anew.items() if sealed != kept[device]}
    devices.put_keys(connection, changed)
    others = {
        (row.device, row.number): sealed
        for row in device_keys.every(connection)
        if (sealed := vault.resealed(PURPOSES[row.use], row.device, row.key)) != row.key
    }
    device_keys.put(connection, others)
    return len(changed.keys() | {device for device, _ in others})


@dataclass(frozen=True, slots=True)
class Changed:
    """What a change of the master key came to: ids of the old and the new, and how many devices it was done for."""

    old: str
    new: str
    keys: int


def change_master(settings: Settings, store: Store) -> Changed:
    """Seal everything under a new master key; a gateway may run meanwhile.

    The file first holds both keys, then everything is sealed anew, then the old key goes: whenever power is cut, each
    key can be opened, and this can be done again. Raises SealError and OSError.
    """
    with held(settings):
        authority = Authority.of(settings)
        vault = authority.vault
        old = vault.present
        vault.keep(replace(vault.masters, keys=(secrets.token_bytes(KEY_BYTES), *vault.masters.keys)))
        count = _reseal(settings, store, authority)
        vault.keep(replace(vault.masters, keys=vault.masters.keys[:1]))
    return Changed(old, vault.present, count)


def _reseal(settings: Settings, store: Store, authority: Authority) -> int:
    with store.write() as connection:
        count = seal_anew(connection, authority.vault)
    try:
        VisitList(settings.data_dir, authority.vault).reseal()
    except SealError as error:  # a list for tonight must not keep a gateway from its keys
        log.warning("the list of planned visits can not be opened and stays as it is", problem=str(error))
    authority.reseal()
    return count
