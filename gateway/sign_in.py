"""Who somebody is: signing in with a password, sessions of browsers, tokens of machines.

A session's token is made when somebody signs in, never taken from the browser, and kept as its SHA-256 only; whoever
reads the store can not act as anybody. It ends by itself when nothing was done for a while and after a shift, and at
once when the user signs out, is disabled or gets another password. Every sign-in, and every one that was refused, goes
into the log of looks.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field

import structlog
from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from gateway import users
from gateway.store import Store, accounts, looks
from gateway.store.accounts import Account, Session
from gateway.throttle import Throttle
from gateway.users import MAY, Right, UserError

log = structlog.get_logger(__name__)

_SEEN_MS = 60_000
"""How exactly it is known when somebody last did something: each note is a write to the disk."""
_USED_MS = 3_600_000
_KEPT_MS = 30 * users.DAY_MS
"""How long it can be told when and from where somebody was signed in."""
_MOST_AT_ONCE = 8
"""Passwords that wait to be tried: a crowd of guessers must not take all the threads that answer others."""
_SESSION = re.compile(r"[A-Za-z0-9_-]{43}")
_BROWSER = re.compile(r"([A-Za-z0-9_-]{22})\.([0-9a-f]{64})")


class SignInError(Exception):
    """Nobody is signed in; the text says to the person why and what to do."""


class WrongError(SignInError):
    """Name and password do not belong together, or the user is kept out: which of it is not told."""


class TooOftenError(SignInError):
    """Too many attempts; ``wait_s`` until the next."""

    def __init__(self, wait_s: float) -> None:
        super().__init__("There were too many attempts. Wait a little, then try again.")
        self.wait_s = wait_s


@dataclass(frozen=True, slots=True)
class Limits:
    """When a session ends by itself: nothing done for ``idle_ms``, or begun ``longest_ms`` ago."""

    idle_ms: int
    longest_ms: int


@dataclass(frozen=True, slots=True)
class Person:
    """Who makes a request. ``session`` is the session's token, "" for a machine with a token of its own.

    With ``must_change`` nothing may be done before the password that an operator gave was changed.
    """

    name: str
    full_name: str
    role: str
    session: str = field(default="", repr=False)
    must_change: bool = False

    def may(self, right: Right) -> bool:
        """Whether the role allows it; a role that this program does not know allows nothing."""
        return right in MAY.get(self.role, frozenset())


@dataclass(frozen=True, slots=True)
class SignedIn:
    """What the browser is given: the session's token, and what proves later that this user has signed in there."""

    session: str = field(repr=False)
    browser: str = field(repr=False)
    must_change: bool


def over(session: Session, now_ms: int, limits: Limits) -> str:
    """Why a session has ended by itself; "" where it goes on."""
    if now_ms - session.seen_ms >= limits.idle_ms:
        return "nothing was done for too long"
    if now_ms - session.made_ms >= limits.longest_ms:
        return "it was a shift old"
    return ""


class SignIn:
    """Signs people in and knows them again. Safe to use from several threads."""

    def __init__(self, store: Store, limits: Limits, throttle: Throttle | None = None) -> None:
        self._store = store
        self._limits = limits
        self._throttle = Throttle() if throttle is None else throttle
        self._waiting = threading.BoundedSemaphore(_MOST_AT_ONCE)
        self._anybody = False
        self._told_s = float("-inf")

    def anybody(self) -> bool:
        """Whether there is, or ever was, a user: from then on everybody has to sign in."""
        if not self._anybody:
            with self._store.read() as connection:
                self._anybody = accounts.any_at_all(connection)
        return self._anybody

    def sign_in(self, name: str, password: str, address: str, browser: str, before: str = "") -> SignedIn:
        """Sign somebody in; ``browser`` is what an earlier sign-in gave this one, ``before`` its session as yet.

        Raises SignInError. One who does not exist, is disabled, or has no password, costs the same time.
        """
        said = name.strip().casefold()
        found = self._usable(said)
        known = _proven(browser, found)
        self._try(said, password, found, address, known, "sign in")
        assert found is not None and found.password is not None
        anew = users.hashed(password) if users.outdated(found.password) else ""
        with self._store.write() as connection:
            now_ms = users.present_ms(connection)
            if not _same(connection, found):
                raise WrongError("The user was changed at this moment. Try again.")
            if anew:
                accounts.rehash(connection, said, found.password, anew)
            if found.once:  # for this one sign-in: nobody who has read it over a shoulder can use it
                accounts.set_password(connection, said, "", now_ms, once=True)
            accounts.forget_sessions(connection, now_ms - _KEPT_MS)
            if before:
                accounts.end_session(connection, users.digest(before), now_ms, "somebody signed in anew")
            token = _begin(connection, said, address, now_ms)
            looks.add(connection, now_ms, said, "sign in", address=address)
        self._throttle.succeeded(said, address, known)
        return SignedIn(token, _proof(anew or found.password), found.once)

    def who(self, token: str, *, active: bool) -> Person | None:
        """Whose session this is; None where it is nobody's, or over. ``active``: the person has just done something.

        Raises SQLAlchemyError where the store can not be read.
        """
        if not _SESSION.fullmatch(token):
            return None
        session_id = users.digest(token)
        with self._store.read() as connection:
            found = accounts.find_session(connection, session_id)
            now_ms = users.present_ms(connection)
        if found is None or found[0].ended_ms is not None or found[1].disabled_ms is not None:
            return None
        session, account = found
        why = over(session, now_ms, self._limits)
        if why:
            with self._store.write() as connection:
                if accounts.end_session(connection, session_id, now_ms, why):
                    looks.add(connection, now_ms, account.name, "signed out: " + why)
            return None
        if active and now_ms - session.seen_ms >= _SEEN_MS:
            with (
                suppress(SQLAlchemyError),
                self._store.write() as connection,
            ):  # on a full disk people still read
                accounts.see_session(connection, session_id, now_ms)
        return Person(account.name, account.full_name, account.role, token, account.once)

    def bearer(self, token: str) -> Person | None:
        """Whose token this is; None where it is not valid, or not any more. Raises SQLAlchemyError."""
        matched = users.TOKEN.fullmatch(token)
        found = None
        if matched is not None:
            with self._store.read() as connection:
                found = accounts.find_token(connection, matched[1])
                now_ms = users.present_ms(connection)
        if found is None or not hmac.compare_digest(found[0].hash, users.digest(token)):
            self._tell_of_a_refused_token()
            return None
        one, account = found
        if one.revoked_ms is not None or now_ms >= one.expires_ms or account.disabled_ms is not None:
            self._tell_of_a_refused_token()
            return None
        if one.used_ms is None or now_ms - one.used_ms >= _USED_MS:
            with suppress(SQLAlchemyError), self._store.write() as connection:
                accounts.use_token(connection, one.id, now_ms)
        return Person(account.name, account.full_name, account.role)

    def sign_out(self, person: Person, address: str) -> None:
        """End the session."""
        with self._store.write() as connection:
            now_ms = users.present_ms(connection)
            if accounts.end_session(connection, users.digest(person.session), now_ms, "signed out"):
                looks.add(connection, now_ms, person.name, "sign out", address=address)

    def change_password(self, person: Person, old: str, new: str, address: str, browser: str) -> SignedIn:
        """Give oneself another password; every session ends, and this browser gets a new one.

        Raises SignInError where ``old`` is wrong (it is not asked of who must change it), UserError of the new one.
        """
        with self._store.read() as connection:
            found = accounts.find(connection, person.name)
        assert found is not None
        if not found.once:
            known = _proven(browser, found)
            self._try(found.name, old, found, address, known, "password change")
            self._throttle.succeeded(found.name, address, known)
            if new == old:
                raise UserError("this can not be the password: it is the one of before")
        kept = users.checked(new, found.name, found.full_name)
        with self._store.write() as connection:
            now_ms = users.present_ms(connection)
            if not _same(connection, found):
                raise WrongError("The user was changed at this moment. Sign in again.")
            accounts.set_password(connection, found.name, kept, now_ms)
            accounts.end_sessions(connection, found.name, now_ms, "the password was changed")
            token = _begin(connection, found.name, address, now_ms)
            looks.add(connection, now_ms, found.name, "password changed", address=address)
        return SignedIn(token, _proof(kept), must_change=False)

    def _usable(self, name: str) -> Account | None:
        if not users.NAME.fullmatch(name):
            return None
        with self._store.read() as connection:
            found = accounts.find(connection, name)
            now_ms = users.present_ms(connection)
        if found is None or found.disabled_ms is not None or not found.password:
            return None
        if found.once and (found.password_ms is None or now_ms - found.password_ms >= users.ONCE_MS):
            return None
        return found

    def _try(
        self, name: str, password: str, found: Account | None, address: str, known: str | None, what: str
    ) -> None:
        """Is that the password? Raises SignInError, and writes down that it was not."""
        wait_s = self._throttle.begin(name, address, known, time.monotonic())
        if wait_s > 0:
            raise TooOftenError(wait_s)
        if not self._waiting.acquire(blocking=False):
            self._throttle.succeeded(name, address, known)
            raise TooOftenError(1.0)
        try:
            kept = users.NOBODYS if found is None or not found.password else found.password
            right = users.is_password(kept, password) and found is not None
        finally:
            self._waiting.release()
        if right:
            return
        last = self._throttle.exhausted(name, address, known, time.monotonic())
        with self._store.write() as connection:
            # what was typed is not written down where it is no user's name: it may be a password
            exists = users.NAME.fullmatch(name) and accounts.find(connection, name) is not None
            viewer, now_ms = name if exists else "nobody", users.present_ms(connection)
            looks.add(connection, now_ms, viewer, f"{what} refused", address=address)
            if last:
                looks.add(connection, now_ms, viewer, f"{what} held up: too many attempts", address=address)
        if last:
            log.warning("passwords are being guessed")
        raise WrongError("Name and password do not belong together.")

    def _tell_of_a_refused_token(self) -> None:
        if time.monotonic() - self._told_s >= 60:
            self._told_s = time.monotonic()
            log.warning("a token was refused")


def _begin(connection: Connection, name: str, address: str, now_ms: int) -> str:
    token = secrets.token_urlsafe(32)
    accounts.begin_session(connection, Session(users.digest(token), name, now_ms, now_ms, address))
    return token


def _same(connection: Connection, found: Account) -> bool:
    """Whether nobody has disabled the user or changed the password since it was looked at."""
    present = accounts.find(connection, found.name)
    return present is not None and present.disabled_ms is None and present.password == found.password


def _proof(kept: str) -> str:
    """A cookie that only who knows the hash of this user's password can have made; of no use to sign in."""
    nonce = secrets.token_urlsafe(16)
    return f"{nonce}.{_mac(nonce, kept)}"


def _proven(browser: str, found: Account | None) -> str | None:
    """By which the browser is known, where this user has signed in there with the present password."""
    matched = _BROWSER.fullmatch(browser)
    if matched is None or found is None or not found.password:
        return None
    return matched[1] if hmac.compare_digest(matched[2], _mac(matched[1], found.password)) else None


def _mac(nonce: str, kept: str) -> str:
    return hmac.new(kept.encode(), b"tagwatch browser " + nonce.encode(), hashlib.sha256).hexdigest()
