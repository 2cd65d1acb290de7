"""Users: who may do what, what names and passwords may be, and what an operator does with accounts.

How somebody signs in, and how a request is known to be theirs, stands in `gateway.sign_in`.
"""

from __future__ import annotations

import hashlib
import re
import secrets
import threading
import unicodedata
from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal, get_args

from sqlalchemy import Connection

from gateway import gateway_time
from gateway.store import Store, accounts, looks
from gateway.store.accounts import Account, Token

if TYPE_CHECKING:
    from argon2 import PasswordHasher

Role = Literal["operator", "practitioner", "field_officer", "order_service", "monitor"]
Right = Literal["look", "acknowledge", "fit", "order", "measure"]

ROLES: tuple[Role, ...] = get_args(Role)
MAY: Mapping[str, frozenset[Right]] = {
    "operator": frozenset({"look", "acknowledge", "measure"}),
    "practitioner": frozenset({"look", "acknowledge"}),
    "field_officer": frozenset({"look", "acknowledge", "fit"}),
    "order_service": frozenset({"order"}),
    "monitor": frozenset({"measure"}),
}
"""What each role may do: ``look`` at alerts about people, ``acknowledge`` one, ``fit`` devices and remove them, hand in
and change an ``order``, read the gateway's numbers (``measure``). How the gateway is may be seen by all."""
MACHINES: tuple[Role, ...] = ("order_service", "monitor")
"""They have tokens, and no use for a page."""

NAME = re.compile(r"[a-z][a-z0-9._-]{1,31}")
_TAKEN = ("local", "nobody", "command", "gateway", "tagwatch", "system")
"""Words of the log of looks."""
_LONGEST_FULL_NAME = 100
LEAST_PASSWORD, MOST_PASSWORD = 12, 256
_LEAST_OWN = 8
_LEAST_DIFFERENT = 5

ONCE_MS = 24 * 3_600_000
"""How long a password that an operator has handed out is good for."""
DAY_MS = 86_400_000
MOST_DAYS = 400
TOKEN = re.compile(r"tagwatch_([0-9a-f]{12})_[A-Za-z0-9_-]{43}")

_HASH_KIB, _HASH_ROUNDS = 19_456, 2
"""Argon2id as OWASP's cheat sheet on storing passwords has it first: 19 MiB, two rounds, one lane. A gateway of 1 GB
has room for that, once at a time."""
NOBODYS = "$argon2id$v=19$m=19456,t=2,p=1$cm9vbSBmb3Igbm9ib2R5IQ$zdwvj6TbGb7xNmiE0tpdN8NPI1yxktEYiDhctADIeIk"
"""Tried where there is no such user, so that it takes as long."""
_one_at_a_time = threading.Lock()


class UserError(ValueError):
    """It can not be done so; the text says why and what to do."""


def who_may(right: Right) -> tuple[Role, ...]:
    """The roles that may do it."""
    return tuple(role for role in ROLES if right in MAY[role])


def password_problem(password: str, name: str, full_name: str) -> str:
    """Why this can not be the password of that user; "" where it can.

    Length counts, and that it is not the name: rules about kinds of characters make passwords worse (NIST SP 800-63B).
    """
    plain = unicodedata.normalize("NFKC", password)
    if len(plain) < LEAST_PASSWORD:
        return (
            f"it has {len(plain)} characters, and needs {LEAST_PASSWORD}: three random words make a good one"
        )
    if len(plain) > MOST_PASSWORD:
        return f"it has more than {MOST_PASSWORD} characters"
    own = plain.casefold()
    if len(set(own)) < _LEAST_DIFFERENT:
        return "it says the same few characters again and again"
    words = [word for word in re.split(r"\W+", f"{name} {full_name} tagwatch".casefold()) if len(word) > 2]
    for word in sorted([name.casefold(), *words], key=len, reverse=True):
        own = own.replace(word, "")
    if len(re.sub(r"[\W\d_]", "", own)) < _LEAST_OWN and own != plain.casefold():
        return "it is hardly more than the name, which others guess first"
    return ""


def hashed(password: str) -> str:
    """As it is kept."""
    with _one_at_a_time:
        return _hasher().hash(unicodedata.normalize("NFKC", password))


def is_password(kept: str, password: str) -> bool:
    """Whether that is the password; takes as long either way."""
    from argon2.exceptions import InvalidHashError, VerificationError

    try:
        with _one_at_a_time:
            return _hasher().verify(kept, unicodedata.normalize("NFKC", password))
    except (VerificationError, InvalidHashError):
        return False


def outdated(kept: str) -> bool:
    """Whether it was hashed at another cost than today's."""
    return _hasher().check_needs_rehash(kept)


def digest(token: str) -> str:
    """By which a random token is known: it needs no slow hash, for nobody guesses 256 bits."""
    return hashlib.sha256(token.encode()).hexdigest()


def add(store: Store, name: str, full_name: str, role: str, password: str | None, by: str) -> Account:
    """A new user. Raises UserError."""
    said = " ".join(full_name.split())
    if not NAME.fullmatch(name) or name in _TAKEN:
        raise UserError(
            f"{name!r} can not be a user's name: 2 to 32 small letters, digits, dots and hyphens, a letter first"
        )
    if not said or len(said) > _LONGEST_FULL_NAME or not said.isprintable():
        raise UserError("give the full name, by which colleagues know the person, of up to 100 letters")
    if role not in ROLES:
        raise UserError(f"{role!r} is no role: give one of {', '.join(ROLES)}")
    kept = None if password is None else checked(password, name, said)
    with store.write() as connection:
        if accounts.find(connection, name) is not None:
            raise UserError(f"there is a user {name} already: see `tagwatch user list`")
        now_ms = present_ms(connection)
        made = Account(name, said, role, kept, None if kept is None else now_ms, once=False, made_ms=now_ms)
        accounts.add(connection, made)
        looks.add(connection, now_ms, by, f"user added as {role}", user=name)
    return made


def set_password(store: Store, name: str, password: str, by: str) -> int:
    """Give a user a password; ends every session of theirs, and returns how many. Raises UserError."""
    found = _found(store, name)
    kept = checked(password, name, found.full_name)
    with store.write() as connection:
        now_ms = present_ms(connection)
        accounts.set_password(connection, name, kept, now_ms)
        looks.add(connection, now_ms, by, "password set", user=name)
        return accounts.end_sessions(connection, name, now_ms, "the password was changed")


def reset(store: Store, name: str, by: str) -> str:
    """A random password for one sign-in within a day, in which it must be changed; ends every session of theirs.

    Raises UserError.
    """
    _found(store, name)
    once = "-".join(secrets.token_hex(3) for _ in range(4))
    kept = hashed(once)
    with store.write() as connection:
        now_ms = present_ms(connection)
        accounts.set_password(connection, name, kept, now_ms, once=True)
        accounts.end_sessions(connection, name, now_ms, "the password was reset")
        looks.add(connection, now_ms, by, "password reset", user=name)
    return once


def disable(store: Store, name: str, by: str) -> int:
    """Keep a user out; ends every session and token of theirs, and returns how many. Raises UserError."""
    _found(store, name)
    with store.write() as connection:
        now_ms = present_ms(connection)
        accounts.set_disabled(connection, name, now_ms)
        ended = accounts.end_sessions(connection, name, now_ms, "the user was disabled")
        for token in accounts.tokens(connection, name):
            ended += accounts.revoke_token(connection, token.id, now_ms)
        looks.add(connection, now_ms, by, "user disabled", user=name)
    return ended


def enable(store: Store, name: str, by: str) -> None:
    """Let a user in again, with the password of before; tokens are to be made anew. Raises UserError."""
    _found(store, name)
    with store.write() as connection:
        accounts.set_disabled(connection, name, None)
        looks.add(connection, present_ms(connection), by, "user enabled", user=name)


def end_sessions(store: Store, name: str, by: str) -> int:
    """Sign a user out everywhere; returns of how many browsers. Raises UserError."""
    _found(store, name)
    with store.write() as connection:
        now_ms = present_ms(connection)
        looks.add(connection, now_ms, by, "sessions ended", user=name)
        return accounts.end_sessions(connection, name, now_ms, "an operator ended it")


def issue_token(store: Store, name: str, purpose: str, days: float, by: str) -> tuple[str, Token]:
    """A new token for a machine that acts as this user: the token itself, which is kept nowhere. Raises UserError."""
    found = _found(store, name)
    if found.disabled_ms is not None:
        raise UserError(f"{name} is disabled: `tagwatch user enable {name}` first")
    if not 0 < days <= MOST_DAYS:
        raise UserError(f"a token is good for 1 to {MOST_DAYS} days: give --days")
    said = " ".join(purpose.split())
    if not said or len(said) > _LONGEST_FULL_NAME or not said.isprintable():
        raise UserError("say in up to 100 letters what the token is for, so that somebody knows it again")
    token_id = secrets.token_hex(6)
    token = f"tagwatch_{token_id}_{secrets.token_urlsafe(32)}"
    with store.write() as connection:
        now_ms = present_ms(connection)
        made = Token(token_id, name, digest(token), said, now_ms, now_ms + round(days * DAY_MS))
        accounts.add_token(connection, made)
        looks.add(connection, now_ms, by, f"token {token_id} issued", user=name)
    return token, made


def revoke_token(store: Store, token_id: str, by: str) -> None:
    """Believe a token no longer. Raises UserError."""
    with store.write() as connection:
        found = accounts.find_token(connection, token_id)
        now_ms = present_ms(connection)
        if found is None or not accounts.revoke_token(connection, token_id, now_ms):
            raise UserError(f"there is no token {token_id} that is valid: see `tagwatch user tokens`")
        looks.add(connection, now_ms, by, f"token {token_id} revoked", user=found[1].name)


def checked(password: str, name: str, full_name: str) -> str:
    """The password as it is kept, if it can be that user's. Raises UserError."""
    problem = password_problem(password, name, full_name)
    if problem:
        raise UserError(f"this can not be the password: {problem}")
    return hashed(password)


def _found(store: Store, name: str) -> Account:
    with store.read() as connection:
        found = accounts.find(connection, name)
    if found is None:
        raise UserError(f"there is no user {name}: see `tagwatch user list`")
    return found


def present_ms(connection: Connection) -> int:
    """When something is done here, gateway time."""
    # people sign in in their own time, also while a simulator owns the gateway's
    return gateway_time.present(connection, "system").ms


def _hasher() -> PasswordHasher:
    from argon2 import PasswordHasher  # not before a password is there: the page starts without

    return PasswordHasher(time_cost=_HASH_ROUNDS, memory_cost=_HASH_KIB, parallelism=1)
