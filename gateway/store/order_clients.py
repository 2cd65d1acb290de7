"""Who may send orders: its credentials, hashed, and the tokens that it was given."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, delete, insert, select, update

from gateway.store.tables import order_client, order_token


@dataclass(frozen=True, slots=True)
class Client:
    """One order service; ``secret`` and ``password`` are hashes."""

    name: str
    secret: str
    password: str
    added_at_ms: int
    revoked_at_ms: int | None = None


def add(connection: Connection, client: Client) -> None:
    """Write a new one."""
    values = {name: getattr(client, name) for name in Client.__slots__}
    connection.execute(insert(order_client).values(**values))


def one(connection: Connection, name: str) -> Client | None:
    """The client of that name, revoked or not."""
    row = connection.execute(select(order_client).where(order_client.c.name == name)).one_or_none()
    return None if row is None else Client(*row)


def every(connection: Connection) -> list[Client]:
    """All of them, by name."""
    return [Client(*row) for row in connection.execute(select(order_client).order_by(order_client.c.name))]


def revoke(connection: Connection, name: str, at_ms: int) -> None:
    """It may send nothing any more; its tokens go."""
    connection.execute(update(order_client).where(order_client.c.name == name).values(revoked_at_ms=at_ms))
    connection.execute(delete(order_token).where(order_token.c.client == name))


def add_token(connection: Connection, digest: str, client: str, expires_ms: int, now_ms: int) -> None:
    """Write a token, and forget those that have expired."""
    connection.execute(delete(order_token).where(order_token.c.expires_ms <= now_ms))
    connection.execute(insert(order_token).values(hash=digest, client=client, expires_ms=expires_ms))


def client_of(connection: Connection, digest: str, now_ms: int) -> str | None:
    """Whose token that is, where it has not expired."""
    query = select(order_token.c.client).where(
        order_token.c.hash == digest, order_token.c.expires_ms > now_ms
    )
    return connection.execute(query).scalar()
