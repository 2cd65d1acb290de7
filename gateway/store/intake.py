"""Orders as they came in: messages word for word, what each made or changed, attachments, and tasks for people."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import Connection, Select, delete, func, insert, select, update

from gateway.store.tables import (
    order_attachment,
    order_attachment_piece,
    order_case,
    order_identity,
    order_message,
    order_task,
)

CaseKind = Literal["wearer", "order"]
BY_VERSION = "version "
"""Who has settled a task where no person has: the version of the order in which it is not found any more."""


@dataclass(frozen=True, slots=True)
class Case:
    """A device wearer or an order, under the id that the order service was told."""

    id: str
    kind: CaseKind
    wearer: str | None
    reference: str
    added_at_ms: int


@dataclass(frozen=True, slots=True)
class MessageRow:
    """One message as it came first; ``times`` says how often the same came."""

    id: int
    case_id: str
    operation: str
    client: str
    received_ms: int
    sha256: str
    content: str
    data: bytes
    times: int
    last_ms: int


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file that belongs to a case; its bytes lie beside the store."""

    id: str
    case_id: str
    file_name: str
    about: str
    client: str
    received_ms: int
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class TaskRow:
    """Something that a person has to see to; ``done_ms`` is None while it stands."""

    id: int
    order_id: str
    kind: str
    about: str
    sentence: str
    version: int
    raised_ms: int
    done_ms: int | None
    done_by: str | None
    note: str | None


def add_case(connection: Connection, case: Case) -> None:
    """Write a new case."""
    connection.execute(insert(order_case).values(**{name: getattr(case, name) for name in Case.__slots__}))


def case(connection: Connection, case_id: str) -> Case | None:
    """The case of that id."""
    row = connection.execute(select(order_case).where(order_case.c.id == case_id)).one_or_none()
    return None if row is None else Case(*row)


def orders_of(connection: Connection, wearer: str) -> list[Case]:
    """The orders of a wearer, the oldest first."""
    query = select(order_case).where(order_case.c.kind == "order", order_case.c.wearer == wearer)
    return [
        Case(*row) for row in connection.execute(query.order_by(order_case.c.added_at_ms, order_case.c.id))
    ]


def cases(connection: Connection, kind: CaseKind) -> list[Case]:
    """Every wearer, or every order, the newest first."""
    query = select(order_case).where(order_case.c.kind == kind)
    return [
        Case(*row)
        for row in connection.execute(query.order_by(order_case.c.added_at_ms.desc(), order_case.c.id))
    ]


def orders_called(connection: Connection, reference: str) -> list[Case]:
    """Orders that the order service calls so, the oldest first."""
    query = select(order_case).where(order_case.c.kind == "order", order_case.c.reference == reference)
    return [
        Case(*row) for row in connection.execute(query.order_by(order_case.c.added_at_ms, order_case.c.id))
    ]


def belongs_to(connection: Connection, order_id: str, wearer: str) -> None:
    """An order that named no wearer is this one's."""
    connection.execute(update(order_case).where(order_case.c.id == order_id).values(wearer=wearer))


def identify(connection: Connection, case_id: str, tokens: Collection[str]) -> None:
    """By these a wearer is known from now on."""
    connection.execute(delete(order_identity).where(order_identity.c.case_id == case_id))
    for token in sorted(tokens):
        connection.execute(insert(order_identity).values(case_id=case_id, token=token))


def identified(connection: Connection, case_id: str) -> list[str]:
    """By what a wearer is known, as `identify` wrote it."""
    query = select(order_identity.c.token).where(order_identity.c.case_id == case_id)
    return list(connection.execute(query.order_by(order_identity.c.token)).scalars())


def wearers_known_by(connection: Connection, tokens: Collection[str]) -> list[Case]:
    """The wearers that are known by any of these, the oldest first."""
    if not tokens:
        return []
    mine = select(order_identity.c.case_id).where(order_identity.c.token.in_(sorted(tokens)))
    query = select(order_case).where(order_case.c.id.in_(mine))
    return [
        Case(*row) for row in connection.execute(query.order_by(order_case.c.added_at_ms, order_case.c.id))
    ]


def known(connection: Connection, operation: str, content: str) -> MessageRow | None:
    """The message of that content that came over that operation before."""
    query = select(order_message).where(
        order_message.c.operation == operation, order_message.c.content == content
    )
    row = connection.execute(query).one_or_none()
    return None if row is None else MessageRow(*row)


def came_again(connection: Connection, message_id: int, at_ms: int) -> None:
    """The same message once more."""
    connection.execute(
        update(order_message)
        .where(order_message.c.id == message_id)
        .values(times=order_message.c.times + 1, last_ms=at_ms)
    )


def add_message(
    connection: Connection,
    case_id: str,
    operation: str,
    client: str,
    received_ms: int,
    sha256: str,
    content: str,
    data: bytes,
) -> int:
    """Write a message; returns its number."""
    done = connection.execute(
        insert(order_message).values(
            case_id=case_id,
            operation=operation,
            client=client,
            received_ms=received_ms,
            sha256=sha256,
            content=content,
            data=data,
            times=1,
            last_ms=received_ms,
        )
    )
    key = done.inserted_primary_key
    assert key is not None
    return int(key[0])


def messages(connection: Connection, case_id: str) -> list[MessageRow]:
    """What came about a case, the oldest first."""
    query = select(order_message).where(order_message.c.case_id == case_id).order_by(order_message.c.id)
    return [MessageRow(*row) for row in connection.execute(query)]


def newest_message(connection: Connection, case_id: str) -> MessageRow | None:
    """What came about a case last."""
    query = _of_case(case_id).order_by(order_message.c.id.desc()).limit(1)
    row = connection.execute(query).one_or_none()
    return None if row is None else MessageRow(*row)


def newest_messages(connection: Connection, kind: CaseKind) -> list[MessageRow]:
    """What came last about every wearer, or every order; the newest first."""
    last = (
        select(func.max(order_message.c.id))
        .join(order_case, order_case.c.id == order_message.c.case_id)
        .where(order_case.c.kind == kind)
        .group_by(order_message.c.case_id)
    )
    query = select(order_message).where(order_message.c.id.in_(last)).order_by(order_message.c.id.desc())
    return [MessageRow(*row) for row in connection.execute(query)]


def _of_case(case_id: str) -> Select[Any]:
    return select(order_message).where(order_message.c.case_id == case_id)


def add_attachment(connection: Connection, one: Attachment) -> None:
    """Write of a file that lies on the disk."""
    values = {name: getattr(one, name) for name in Attachment.__slots__}
    connection.execute(insert(order_attachment).values(**values))


def add_pieces(connection: Connection, attachment_id: str, pieces: Iterable[bytes]) -> None:
    """Keep the bytes of a file in the store, too; a copy of the store has them then."""
    for n, data in enumerate(pieces):
        connection.execute(insert(order_attachment_piece).values(attachment=attachment_id, n=n, data=data))


def pieces(connection: Connection, attachment_id: str) -> Iterator[bytes]:
    """The bytes of a file, as far as the store has them, piece by piece."""
    query = select(order_attachment_piece.c.data).where(order_attachment_piece.c.attachment == attachment_id)
    rows = connection.execute(query.order_by(order_attachment_piece.c.n), execution_options={"yield_per": 4})
    yield from rows.scalars()


def in_pieces(connection: Connection) -> set[str]:
    """The files whose bytes the store has."""
    return set(connection.execute(select(order_attachment_piece.c.attachment).distinct()).scalars())


def same_attachment(connection: Connection, case_id: str, file_name: str, sha256: str) -> Attachment | None:
    """The same file under the same name, where it came before."""
    query = select(order_attachment).where(
        order_attachment.c.case_id == case_id,
        order_attachment.c.file_name == file_name,
        order_attachment.c.sha256 == sha256,
    )
    row = connection.execute(query).one_or_none()
    return None if row is None else Attachment(*row)


def attachments(connection: Connection, case_id: str | None = None) -> list[Attachment]:
    """The files of a case, or all; the oldest first."""
    query = select(order_attachment).order_by(order_attachment.c.received_ms, order_attachment.c.id)
    if case_id is not None:
        query = query.where(order_attachment.c.case_id == case_id)
    return [Attachment(*row) for row in connection.execute(query)]


def forget_attachments(connection: Connection, ids: Collection[str]) -> None:
    """Nothing tells of these files any more."""
    for one in ids:
        connection.execute(delete(order_attachment_piece).where(order_attachment_piece.c.attachment == one))
        connection.execute(delete(order_attachment).where(order_attachment.c.id == one))


def raise_task(
    connection: Connection, order_id: str, kind: str, about: str, sentence: str, version: int, at_ms: int
) -> None:
    """Somebody has to see to this.

    What stands already stays. What a version had settled stands again; what a person has settled only where it says
    something else now.
    """
    same = (order_task.c.order_id == order_id, order_task.c.kind == kind, order_task.c.about == about)
    before = connection.execute(select(order_task).where(*same)).one_or_none()
    if before is None:
        connection.execute(
            insert(order_task).values(
                order_id=order_id, kind=kind, about=about, sentence=sentence, version=version, raised_ms=at_ms
            )
        )
        return
    if (
        before.done_ms is not None
        and before.sentence == sentence
        and not before.done_by.startswith(BY_VERSION)
    ):
        return
    anew = (
        {} if before.done_ms is None else {"raised_ms": at_ms, "done_ms": None, "done_by": None, "note": None}
    )
    connection.execute(update(order_task).where(*same).values(sentence=sentence, version=version, **anew))


def settle(connection: Connection, ids: Collection[int], by: str, at_ms: int, note: str | None = None) -> int:
    """These are done; returns how many still stood."""
    done = connection.execute(
        update(order_task)
        .where(order_task.c.id.in_(list(ids)), order_task.c.done_ms.is_(None))
        .values(done_ms=at_ms, done_by=by, note=note)
    )
    return int(done.rowcount)


def tasks(connection: Connection, order_id: str | None = None, *, standing: bool = True) -> list[TaskRow]:
    """Tasks of one order, or of all, the oldest first; with ``standing`` only those that nobody has seen to."""
    query = select(order_task).order_by(order_task.c.id)
    if order_id is not None:
        query = query.where(order_task.c.order_id == order_id)
    if standing:
        query = query.where(order_task.c.done_ms.is_(None))
    return [TaskRow(*row) for row in connection.execute(query)]


def standing_counts(
    connection: Connection, order_ids: Sequence[str] | None = None, *, without: Collection[str] = ()
) -> dict[str, int]:
    """How many tasks stand, by order; those of the kinds ``without`` left out."""
    query = select(order_task.c.order_id, func.count()).where(order_task.c.done_ms.is_(None))
    if without:
        query = query.where(order_task.c.kind.not_in(list(without)))
    if order_ids is not None:
        query = query.where(order_task.c.order_id.in_(list(order_ids)))
    return dict(iter(connection.execute(query.group_by(order_task.c.order_id))))
