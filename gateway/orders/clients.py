"""Credentials of order services: made once, kept as hashes, exchanged for tokens that expire.

This is all that the interface knows of who calls it (`issue`, `client_of`); another way of signing in takes its place
here.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from base64 import b64decode, b64encode
from dataclasses import dataclass

from gateway.store import Store, order_clients

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{1,63}")
_COST = {"n": 1 << 14, "r": 8, "p": 1}
"""scrypt: 16 MiB and some 50 ms a try. The secrets are 256 random bits; the cost is for whoever chose one by hand."""
_NOBODY = "scrypt$" + "A" * 24 + "$" + "A" * 44
"""Compared with where no such client is known, so that an answer takes as long either way."""


class ClientError(ValueError):
    """Something about an order service that can not be done; the text says why and what to do."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """What an order service is told once: HTTP Basic with client id and secret, the form with user and password."""

    client_id: str
    client_secret: str
    username: str
    password: str


def add(store: Store, name: str, now_ms: int) -> Credentials:
    """A new order service. Raises ClientError where the name can not be used or is taken, also by a revoked one."""
    if not _NAME.fullmatch(name):
        raise ClientError(f"{name!r} can not be a name: give 2 to 64 small letters, digits, dots or hyphens")
    made = Credentials(name, secrets.token_urlsafe(32), name, secrets.token_urlsafe(32))
    client = order_clients.Client(name, hashed(made.client_secret), hashed(made.password), now_ms)
    with store.write() as connection:
        if order_clients.one(connection, name) is not None:
            raise ClientError(f"{name} is known, or was: give another name")
        order_clients.add(connection, client)
    return made


def revoke(store: Store, name: str, now_ms: int) -> None:
    """It may send nothing any more, from this moment on. Raises ClientError where it is not known."""
    with store.write() as connection:
        known = order_clients.one(connection, name)
        if known is None or known.revoked_at_ms is not None:
            raise ClientError(f"{name} is not known, or is revoked already: see `tagwatch order client list`")
        order_clients.revoke(connection, name, now_ms)


def issue(store: Store, given: Credentials, now_ms: int, lasts_s: int) -> str | None:
    """A token for right credentials, good for ``lasts_s``; None for wrong ones, without telling which part is wrong."""
    with store.read() as connection:
        known = order_clients.one(connection, given.client_id)
    right = known if known is not None and known.revoked_at_ms is None else None
    ok = matches(given.client_secret, _NOBODY if right is None else right.secret)
    ok &= matches(given.password, _NOBODY if right is None else right.password)
    ok &= hmac.compare_digest(given.username.encode(), given.client_id.encode())
    if right is None or not ok:
        return None
    token = secrets.token_urlsafe(32)
    with store.write() as connection:
        still = order_clients.one(connection, right.name)
        if still != right:
            return None
        order_clients.add_token(connection, _digest(token), right.name, now_ms + lasts_s * 1000, now_ms)
    return token


def client_of(store: Store, token: str, now_ms: int) -> str | None:
    """Whose token it is; None where it is nobody's, or has expired."""
    with store.read() as connection:
        return order_clients.client_of(connection, _digest(token), now_ms)


def hashed(secret: str) -> str:
    """As it is kept: ``scrypt$salt$hash``."""
    salt = secrets.token_bytes(16)
    return f"scrypt${b64encode(salt).decode()}${b64encode(_scrypt(secret, salt)).decode()}"


def matches(secret: str, kept: str) -> bool:
    """Whether it is the one that was hashed so."""
    _, salt, digest = kept.split("$")
    return hmac.compare_digest(_scrypt(secret, b64decode(salt)), b64decode(digest))


def _scrypt(secret: str, salt: bytes) -> bytes:
    return hashlib.scrypt(secret.encode("utf-8", "surrogatepass"), salt=salt, dklen=32, **_COST)


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()
