"""Keys at rest: each is sealed under the master key, which lies in a file of its own and never in the store.

A sealed key is version (1 byte), which master key (4), which key of that owner (4, big-endian, counted from 1), nonce
(12), ciphertext and tag (16), by ChaCha20-Poly1305 (RFC 8439): the small boxes have no AES instructions. Purpose, owner
and number are authenticated with it, so a sealed key is of no use in another's row.

The file holds more than one master key only while they are changed: what is written is sealed under the first, what was
sealed under the others can still be opened.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import secrets
import stat
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from gateway.whole_files import sync_folder, write_whole

MASTER_FILE = "master.key"
DEVICE_KEY = "device key"
NEXT_KEY = "next device key"
RETIRED_KEY = "retired device key"
"""A key that was sealed as the one to come, or as one that was, is of no use in the place of the one in use."""
AUTHORITY_KEY = "authority key"
AUTHORITY = "ca"

_VERSION = 1
KEY_BYTES = 32
_ID_BYTES = 4
_NUMBER = slice(1 + _ID_BYTES, 1 + _ID_BYTES + 4)
_HEAD_BYTES = _NUMBER.stop
_NONCE_BYTES = 12
_OTHERS = stat.S_IRWXG | stat.S_IRWXO

Unfinished = Literal["", "look", "seal", "wipe"]
"""What is still to be done with keys of an earlier version, that lie open: they are to be looked for, sealed, and what
is left of them in freed places of the store is to be wiped out. Each step is noted before it is begun."""


class SealError(RuntimeError):
    """A key can not be opened, or the master key not be used; the text says why and what to do."""


@dataclass(frozen=True, slots=True)
class Masters:
    """What the file of the master key holds: the keys by their ids, the present one first."""

    keys: tuple[bytes, ...] = field(repr=False)
    unfinished: Unfinished = ""

    def to_bytes(self) -> bytes:
        """As it stands in the file."""
        document = {"tagwatch_master_key": 1, "keys": [key.hex() for key in self.keys]}
        if self.unfinished:
            document["unfinished"] = self.unfinished
        return (json.dumps(document, indent=1) + "\n").encode()

    @classmethod
    def read(cls, path: Path) -> Masters:
        """Raises FileNotFoundError where there is none, and SealError where it is not to be used."""
        with path.open("rb") as file:
            status = os.fstat(file.fileno())
            if status.st_mode & _OTHERS:
                raise SealError(
                    f"the master key {path} may be read by others (mode {status.st_mode & 0o777:03o}): "
                    f"chmod 600 {path}, and change it with `tagwatch keys rotate-master`"
                )
            if status.st_uid not in (0, os.geteuid()):
                raise SealError(f"the master key {path} belongs to another user: chown it to the gateway's")
            data = file.read()
        try:
            document = json.loads(data)
            if document["tagwatch_master_key"] != 1:
                raise ValueError("it is of a newer form")
            keys = tuple(bytes.fromhex(one) for one in document["keys"])
            if not keys or any(len(key) != KEY_BYTES for key in keys):
                raise ValueError("a master key has 64 hexadecimal digits")
            return cls(keys, document.get("unfinished", ""))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise SealError(
                f"{path} holds no master key that can be used ({error}): put the copy back"
            ) from None


def id_of(master: bytes) -> str:
    """By which a master key is known, 8 hexadecimal digits; it tells nothing of the key."""
    return hmac.digest(master, b"tagwatch master key", hashlib.sha256)[:_ID_BYTES].hex()


class Vault:
    """Seals keys, and opens them, with the master keys of one file. Used by one thread."""

    def __init__(self, path: Path, masters: Masters) -> None:
        self.path = path
        self._take(masters)

    def _take(self, masters: Masters) -> None:
        self.masters = masters
        self._ciphers = {id_of(key): ChaCha20Poly1305(key) for key in masters.keys}

    @classmethod
    def open(cls, path: Path) -> Vault:
        """Raises SealError where there is no master key, or none that may be used."""
        try:
            return cls(path, Masters.read(path))
        except FileNotFoundError:
            raise SealError(
                f"the master key {path} is missing, and without it no key of a device can be opened: "
                "put the copy back that was kept apart (docs/keys.md)"
            ) from None
        except OSError as error:
            raise SealError(f"the master key {path} can not be read: {error}") from None

    @classmethod
    def open_or_make(cls, path: Path) -> Vault:
        """The same, with a new master key where there is none. Only for who knows that nothing is sealed yet."""
        if not path.exists():
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            made = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
            write_whole(made, Masters((secrets.token_bytes(KEY_BYTES),), "look").to_bytes(), 0o600)
            with suppress(FileExistsError):  # another program was faster: its key counts
                os.link(made, path)
            made.unlink()
            sync_folder(path.parent)
        return cls.open(path)

    def reload(self) -> None:
        """Read the file again: somebody may have changed the master key. Raises SealError."""
        self._take(Vault.open(self.path).masters)

    def also(self, keys: tuple[bytes, ...]) -> None:
        """Open what is sealed under these master keys, too, until the file is read or written again."""
        self._take(replace(self.masters, keys=tuple(dict.fromkeys((*self.masters.keys, *keys)))))

    def keep(self, masters: Masters) -> None:
        """Write the file anew: on disk, whole or not at all. Raises OSError."""
        write_whole(self.path, masters.to_bytes(), 0o600)
        self._take(masters)

    def finish(self, unfinished: Unfinished) -> None:
        """Note what is still to be done with keys that lay open. Raises OSError."""
        if self.masters.unfinished != unfinished:
            self.keep(replace(self.masters, unfinished=unfinished))

    @property
    def present(self) -> str:
        """The id of the master key under which is sealed now."""
        return id_of(self.masters.keys[0])

    def seal(self, purpose: str, owner: str, plain: bytes, number: int = 1) -> bytes:
        """``plain``, the ``number``-th key of ``owner``, as it may be kept."""
        present = self.present
        head = bytes((_VERSION,)) + bytes.fromhex(present) + number.to_bytes(4, "big")
        nonce = secrets.token_bytes(_NONCE_BYTES)
        return head + nonce + self._ciphers[present].encrypt(nonce, plain, _about(head, purpose, owner))

    def open_sealed(self, purpose: str, owner: str, sealed: bytes) -> bytes:
        """What was sealed for this purpose and owner. Raises SealError: another's, changed, or of another master."""
        if not is_sealed(sealed):
            raise SealError(f"the {purpose} of {owner} lies open or is damaged, and is not believed")
        master = master_of(sealed)
        if master not in self._ciphers:
            with suppress(SealError):
                self.reload()
        if master not in self._ciphers:
            raise SealError(
                f"the {purpose} of {owner} is sealed under master key {master}, and {self.path} holds "
                f"{', '.join(self._ciphers)}: put the file back that belongs to it (docs/keys.md)"
            )
        head, rest = sealed[:_HEAD_BYTES], sealed[_HEAD_BYTES:]
        nonce, hidden = rest[:_NONCE_BYTES], rest[_NONCE_BYTES:]
        try:
            return self._ciphers[master].decrypt(nonce, hidden, _about(head, purpose, owner))
        except InvalidTag:
            raise SealError(
                f"what is kept as the {purpose} of {owner} was not sealed as that: somebody has changed it"
            ) from None

    def resealed(self, purpose: str, owner: str, sealed: bytes) -> bytes:
        """The same key under the present master key. Raises SealError."""
        if is_sealed(sealed) and master_of(sealed) == self.present:
            return sealed
        return self.seal(purpose, owner, self.open_sealed(purpose, owner, sealed), number_of(sealed))


def is_sealed(data: bytes) -> bool:
    """Whether this is of the form of a sealed key; a key that lies open (32 bytes) is not."""
    return len(data) >= _HEAD_BYTES + _NONCE_BYTES + 16 and data[0] == _VERSION


def master_of(sealed: bytes) -> str:
    """The id of the master key that it is sealed under."""
    return sealed[1 : 1 + _ID_BYTES].hex()


def number_of(sealed: bytes) -> int:
    """The how manieth key of its owner it is."""
    return int.from_bytes(sealed[_NUMBER], "big")


def _about(head: bytes, purpose: str, owner: str) -> bytes:
    return head + json.dumps([purpose, owner]).encode()
