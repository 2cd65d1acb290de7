"""An enrolment bundle: what a visit needs of the gateway, fetched before it, for a place without a connection.

The gateway signs what it says (orders, whom to expect, devices with their keys) with a key of its own making that its
authority certifies for this one bundle. Whoever writes the file adds the private keys of new devices and encrypts all
of it under the officer's passphrase: Argon2id, then ChaCha20-Poly1305 with the open head authenticated. So the file
alone tells who it is for and until when, and nothing else.
"""

from __future__ import annotations

import json
import secrets
from base64 import b64decode, b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from argon2.low_level import Type, hash_secret_raw
from cryptography import x509
from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.x509.oid import NameOID

from gateway.authority import Authority
from gateway.clock import utc_text
from gateway.fitting.stops import Stop
from gateway.whole_files import write_whole

FORM = 1
SIGNER = "tagwatch-bundle"
"""Has a hyphen, so that no device can be called so; nothing lets it in at the broker."""
LEAST_PASSPHRASE = 12
MOST_HOURS = 7 * 24
_PURPOSE = b"tagwatch enrolment bundle\n"
_MEMORY_KIB, _ROUNDS = 65_536, 3
"""A second of a laptop (RFC 9106, second choice): whoever finds the file tries passphrases for as long as he likes."""
_MOST_KIB, _MOST_ROUNDS = 1 << 20, 16
"""A file that asks for more was made to exhaust whoever opens it."""
NEW_ONE = "fetch a new bundle where there is a connection (`tagwatch fit bundle`)"


@dataclass(frozen=True, slots=True)
class Signed:
    """What the gateway says, and by what it is known."""

    document: str = field(repr=False)
    certificate: bytes
    signature: bytes


@dataclass(frozen=True, slots=True)
class Bundle:
    """A bundle that was opened and is this gateway's. ``private`` are keys of new devices (DER) by their numbers."""

    said: Mapping[str, Any] = field(repr=False)
    private: Mapping[str, bytes] = field(repr=False)
    path: Path

    @property
    def id(self) -> str:
        """By which the gateway knows it."""
        return str(self.said["id"])

    @property
    def issued_ms(self) -> int:
        """Gateway time."""
        return int(self.said["issued_ms"])

    @property
    def expires_ms(self) -> int:
        """Until then a visit may be begun with it."""
        return int(self.said["expires_ms"])

    @property
    def orders(self) -> Sequence[str]:
        """For which orders it is."""
        return [str(one["order_id"]) for one in self.said["orders"]]


def sign(authority: Authority, document: str, expires_ms: int) -> Signed:
    """What the gateway says, signed with a key that is made for this and forgotten at once."""
    key = ec.generate_private_key(ec.SECP256R1())
    until = datetime.fromtimestamp(expires_ms / 1000, UTC).replace(microsecond=0)
    certificate = authority.sign(key.public_key(), SIGNER, until=until)
    return Signed(document, certificate, key.sign(_PURPOSE + document.encode(), ec.ECDSA(hashes.SHA256())))


def write(path: Path, signed: Signed, private: Mapping[str, bytes], passphrase: str) -> None:
    """Write the file, readable by its owner only. Raises Stop where the passphrase is too short, OSError."""
    if len(passphrase) < LEAST_PASSPHRASE:
        raise Stop(
            f"the passphrase has {len(passphrase)} characters",
            f"give one of at least {LEAST_PASSPHRASE}: three random words make a good one",
        )
    said = json.loads(signed.document)
    head = {
        "tagwatch_bundle": FORM,
        "id": said["id"],
        "officer": said["officer"],
        "expires": utc_text(said["expires_ms"]),
        "memory_kib": _MEMORY_KIB,
        "rounds": _ROUNDS,
        "salt": secrets.token_hex(16),
        "nonce": secrets.token_hex(12),
    }
    within = {
        "document": signed.document,
        "certificate": b64encode(signed.certificate).decode(),
        "signature": b64encode(signed.signature).decode(),
        "private": {name: b64encode(key).decode() for name, key in private.items()},
    }
    sealed = _cipher(head, passphrase).encrypt(
        bytes.fromhex(str(head["nonce"])), json.dumps(within).encode(), _about(head)
    )
    whole = {**head, "sealed": b64encode(sealed).decode()}
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_whole(path, (json.dumps(whole, indent=1) + "\n").encode(), 0o600)


def head_of(path: Path) -> dict[str, Any]:
    """What the file tells without a passphrase: nothing of it is proven. Raises Stop."""
    try:
        head = json.loads(path.read_bytes())
        if head["tagwatch_bundle"] != FORM:
            raise ValueError("it is of a newer form")
        memory, rounds = int(head["memory_kib"]), int(head["rounds"])
        if not (8 <= memory <= _MOST_KIB and 1 <= rounds <= _MOST_ROUNDS):
            raise ValueError("it asks for too much memory or time")
        for name in ("id", "officer", "expires", "salt", "nonce", "sealed"):
            if not isinstance(head[name], str):
                raise ValueError(f"its {name} is no text")
        return dict(head)
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise Stop(f"{path} is no enrolment bundle that can be used ({error})", NEW_ONE) from None


def read(path: Path, passphrase: str, authority: bytes, officer: str) -> Bundle:
    """Open a bundle. ``authority`` is the gateway's (DER, one or two), ``officer`` the account that is signed in here.

    Raises Stop where the passphrase is wrong, or the bundle was changed, is of another gateway or another officer's.
    Whether it may still be used is another question (`BundleDesk`).
    """
    head = head_of(path)
    sealed = head.pop("sealed")
    try:
        plain = _cipher(head, passphrase).decrypt(
            bytes.fromhex(head["nonce"]), b64decode(sealed), _about(head)
        )
        within = json.loads(plain)
        signed = Signed(within["document"], b64decode(within["certificate"]), b64decode(within["signature"]))
        private = {str(name): b64decode(key) for name, key in within["private"].items()}
    except (InvalidTag, ValueError, KeyError, TypeError, AttributeError):
        raise Stop(
            f"{path} can not be opened: the passphrase is wrong, or somebody has changed the file",
            "type the passphrase again, or " + NEW_ONE,
        ) from None
    if not _is_of(signed, authority):
        raise Stop(f"{path} was not made by this officer's gateway", NEW_ONE)
    said = json.loads(signed.document)
    if said["officer"] != officer:
        raise Stop(f"this bundle is {said['full_name']}'s, and was made for nobody else", NEW_ONE)
    return Bundle(said, private, path)


def _is_of(signed: Signed, authority: bytes) -> bool:
    try:
        certificate = x509.load_der_x509_certificate(signed.certificate)
        names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        key = certificate.public_key()
        if [one.value for one in names] != [SIGNER] or not isinstance(key, ec.EllipticCurvePublicKey):
            return False
        key.verify(signed.signature, _PURPOSE + signed.document.encode(), ec.ECDSA(hashes.SHA256()))
    except (ValueError, InvalidSignature):
        return False
    for issuer in _certificates(authority):
        try:
            certificate.verify_directly_issued_by(issuer)
        except (ValueError, TypeError, InvalidSignature):
            continue
        return True
    return False


def _certificates(authority: bytes) -> list[x509.Certificate]:
    """DER, one after the other: while the authority is changed there are two."""
    found = []
    while len(authority) > 4:
        size = 4 + int.from_bytes(authority[2:4], "big")  # certificates are longer than 255 bytes
        found.append(x509.load_der_x509_certificate(authority[:size]))
        authority = authority[size:]
    return found


def _cipher(head: Mapping[str, Any], passphrase: str) -> ChaCha20Poly1305:
    return ChaCha20Poly1305(
        hash_secret_raw(
            passphrase.encode(),
            bytes.fromhex(head["salt"]),
            time_cost=int(head["rounds"]),
            memory_cost=int(head["memory_kib"]),
            parallelism=1,
            hash_len=32,
            type=Type.ID,
        )
    )


def _about(head: Mapping[str, Any]) -> bytes:
    return json.dumps(head, sort_keys=True).encode()
