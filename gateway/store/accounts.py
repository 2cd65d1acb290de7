"""Accounts of people and machines, their sessions and their tokens. Rules about them stand in `gateway.users`.

Of a password only its Argon2id hash is kept, of a session's or machine's token only its SHA-256.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeVar

from sqlalchemy import Connection, Table, delete, insert, select, update

from gateway.store.tables import access_token, account, session


@dataclass(frozen=True, slots=True)
class Account:
    """One person or machine. ``password`` is None where it can not sign in on the page."""

    name: str
    full_name: str
    role: str
    password: str | None = field(repr=False)
    password_ms: int | None
    once: bool
    made_ms: int
    disabled_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Session:
    """One browser in which somebody is, or was, signed in."""

    id: str = field(repr=False)
    account: str
    made_ms: int
    seen_ms: int
    address: str
    ended_ms: int | None = None
    why: str | None = None


@dataclass(frozen=True, slots=True)
class Token:
    """One token of a machine; ``id`` may be shown."""

    id: str
    account: str
    hash: str = field(repr=False)
    purpose: str
    made_ms: int
    expires_ms: int
    used_ms: int | None = None
    revoked_ms: int | None = None


_Kind = TypeVar("_Kind", Session, Token)


def any_at_all(connection: Connection) -> bool:
    """Whether there is, or ever was, anybody; accounts are never deleted."""
    return connection.execute(select(account.c.name).limit(1)).first() is not None


def find(connection: Connection, name: str) -> Account | None:
    """The account of that name."""
    row = connection.execute(select(account).where(account.c.name == name)).one_or_none()
    return None if row is None else Account(*row)


def every(connection: Connection) -> list[Account]:
    """All accounts, by name."""
    return [Account(*row) for row in connection.execute(select(account).order_by(account.c.name))]


def add(connection: Connection, one: Account) -> None:
    """A new account."""
    connection.execute(insert(account).values({name: getattr(one, name) for name in Account.__slots__}))


def set_password(connection: Connection, name: str, hashed: str, now_ms: int, *, once: bool = False) -> None:
    """It has this password from now on."""
    connection.execute(
        update(account).where(account.c.name == name).values(password=hashed, password_ms=now_ms, once=once)
    )


def rehash(connection: Connection, name: str, old: str, new: str) -> None:
    """The same password, hashed at today's cost; nothing where it has changed meanwhile."""
    same = (account.c.name == name) & (account.c.password == old)
    connection.execute(update(account).where(same).values(password=new))


def set_disabled(connection: Connection, name: str, disabled_ms: int | None) -> None:
    """Keep it out, or let it in again."""
    connection.execute(update(account).where(account.c.name == name).values(disabled_ms=disabled_ms))


def begin_session(connection: Connection, one: Session) -> None:
    """Somebody signed in."""
    connection.execute(insert(session).values({name: getattr(one, name) for name in Session.__slots__}))


def find_session(connection: Connection, session_id: str) -> tuple[Session, Account] | None:
    """A session and whose it is."""
    return _with_account(connection, session, Session, session_id)


def see_session(connection: Connection, session_id: str, now_ms: int) -> None:
    """The person has just done something."""
    open_still = (session.c.id == session_id) & session.c.ended_ms.is_(None)
    connection.execute(update(session).where(open_still).values(seen_ms=now_ms))


def end_session(connection: Connection, session_id: str, now_ms: int, why: str) -> bool:
    """It is over; False where it was already."""
    open_still = (session.c.id == session_id) & session.c.ended_ms.is_(None)
    return connection.execute(update(session).where(open_still).values(ended_ms=now_ms, why=why)).rowcount > 0


def end_sessions(connection: Connection, name: str | None, now_ms: int, why: str) -> int:
    """End all sessions of an account, or of everybody; returns how many were open."""
    change = update(session).where(session.c.ended_ms.is_(None)).values(ended_ms=now_ms, why=why)
    if name is not None:
        change = change.where(session.c.account == name)
    return connection.execute(change).rowcount


def sessions(connection: Connection, name: str | None = None) -> list[Session]:
    """Sessions of one or of all, the newest first; those that are over stay for a while."""
    query = select(session).order_by(session.c.made_ms.desc(), session.c.id)
    if name is not None:
        query = query.where(session.c.account == name)
    return [Session(*row) for row in connection.execute(query)]


def forget_sessions(connection: Connection, before_ms: int) -> None:
    """Delete those in which nobody has done anything since."""
    connection.execute(delete(session).where(session.c.seen_ms < before_ms))


def add_token(connection: Connection, one: Token) -> None:
    """A new token."""
    connection.execute(insert(access_token).values({name: getattr(one, name) for name in Token.__slots__}))


def find_token(connection: Connection, token_id: str) -> tuple[Token, Account] | None:
    """A token and whose it is."""
    return _with_account(connection, access_token, Token, token_id)


def use_token(connection: Connection, token_id: str, now_ms: int) -> None:
    """It has just been used."""
    connection.execute(update(access_token).where(access_token.c.id == token_id).values(used_ms=now_ms))


def revoke_token(connection: Connection, token_id: str, now_ms: int) -> bool:
    """It is believed no longer; False where there is no such token, or it was revoked already."""
    valid = (access_token.c.id == token_id) & access_token.c.revoked_ms.is_(None)
    return connection.execute(update(access_token).where(valid).values(revoked_ms=now_ms)).rowcount > 0


def tokens(connection: Connection, name: str | None = None) -> list[Token]:
    """Tokens of one or of all, the newest first."""
    query = select(access_token).order_by(access_token.c.made_ms.desc(), access_token.c.id)
    if name is not None:
        query = query.where(access_token.c.account == name)
    return [Token(*row) for row in connection.execute(query)]


def _with_account(
    connection: Connection, table: Table, kind: type[_Kind], named: str
) -> tuple[_Kind, Account] | None:
    columns = [table.c[name] for name in kind.__slots__]
    query = select(*columns, *account.c).join(account, account.c.name == table.c.account)
    row = connection.execute(query.where(table.c.id == named)).one_or_none()
    if row is None:
        return None
    split = len(columns)
    return kind(*row[:split]), Account(*row[split:])
