"""Signed envelopes, what is known of each device's numbers, gaps and conflicts."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from sqlalchemy import (
    BigInteger,
    Connection,
    Row,
    Text,
    and_,
    bindparam,
    column,
    delete,
    func,
    or_,
    select,
    values,
)

from core.envelope import MAX_ENVELOPE_BYTES
from gateway.sequences import Range, Span
from gateway.store.dialect import put_rows, upsert
from gateway.store.tables import conflict, envelope, gap, sequence_range

WIDE = MAX_ENVELOPE_BYTES // 3
"""Consecutive readings that one envelope can hold at most (no record is below 3 bytes).

An envelope whose numbers span more (an urgent reading beside old ones) is marked *wide*, so that a look for a number
needs to search only that far back.
"""


_AT_ONCE = 500
"""So many devices are asked for in one statement; SQLite takes 32,766 values."""

_RANGES = (
    select(
        sequence_range.c.device,
        sequence_range.c.epoch,
        sequence_range.c.first,
        sequence_range.c.last,
        sequence_range.c.how,
    )
    .where(sequence_range.c.device.in_(bindparam("some", expanding=True)))
    .order_by(sequence_range.c.device, sequence_range.c.epoch, sequence_range.c.first)
)


class EnvelopeRow(NamedTuple):
    """An envelope with fresh readings. Times of its dated readings in tag time, None where it has none.

    ``fresh`` are those of its numbers that were not stored before; None means all.
    """

    device: str
    epoch: int
    first_seq: int
    last_seq: int
    first_t_ms: int | None
    last_t_ms: int | None
    received_ms: int
    data: bytes
    fresh: tuple[Span, ...] | None = None


class Stored(NamedTuple):
    """A stored envelope as it is read back: its bytes, and which of its numbers count (None: all).

    ``id`` is its row, 0 while it has none.
    """

    data: bytes
    fresh: tuple[Span, ...] | None
    received_ms: int
    id: int


_COLUMNS = (
    "device",
    "epoch",
    "first_seq",
    "last_seq",
    "wide",
    "first_t_ms",
    "last_t_ms",
    "received_ms",
    "fresh",
    "data",
)


def add(connection: Connection, rows: Sequence[EnvelopeRow]) -> None:
    """Write envelopes, in the order in which they were heard."""
    put_rows(
        connection,
        envelope,
        _COLUMNS,
        [
            (
                row.device,
                row.epoch,
                row.first_seq,
                row.last_seq,
                row.last_seq - row.first_seq >= WIDE,
                row.first_t_ms,
                row.last_t_ms,
                row.received_ms,
                None if row.fresh is None else json.dumps(row.fresh, separators=(",", ":")),
                row.data,
            )
            for row in rows
        ],
    )


_HOLDING = (
    select(envelope.c.data, envelope.c.fresh, envelope.c.received_ms, envelope.c.id)
    .where(
        envelope.c.device == bindparam("of"),
        envelope.c.epoch == bindparam("in_epoch"),
        or_(
            and_(envelope.c.wide.is_(False), envelope.c.first_seq >= bindparam("near")),
            envelope.c.wide.is_(True),
        ),
        envelope.c.first_seq <= bindparam("to"),
        envelope.c.last_seq >= bindparam("from"),
    )
    .order_by(envelope.c.id)
)


def holding(connection: Connection, device: str, epoch: int, first: int, last: int) -> Iterator[Stored]:
    """The envelopes that may hold any of the numbers ``first`` to ``last``, in the order of their hearing."""
    wanted = {"of": device, "in_epoch": epoch, "near": first - WIDE, "to": last, "from": first}
    for data, fresh, received_ms, row_id in connection.execute(_HOLDING, wanted):
        yield Stored(data, _spans(fresh), received_ms, row_id)


def of_device(
    connection: Connection, device: str, from_ms: int | None = None, to_ms: int | None = None
) -> Iterator[Stored]:
    """The envelopes of a device that may hold readings of a span of tag time, in the order of their hearing.

    ``from_ms`` and ``to_ms`` are inclusive, milliseconds; None is open.
    """
    query = select(envelope.c.data, envelope.c.fresh, envelope.c.received_ms, envelope.c.id).where(
        envelope.c.device == device
    )
    if from_ms is not None:
        query = query.where(envelope.c.last_t_ms >= from_ms)
    if to_ms is not None:
        query = query.where(envelope.c.first_t_ms <= to_ms)
    rows = connection.execute(query.order_by(envelope.c.id), execution_options={"yield_per": 2000})
    for data, fresh, received_ms, row_id in rows:
        yield Stored(data, _spans(fresh), received_ms, row_id)


def since(connection: Connection, wanted: Sequence[tuple[str, int]]) -> Iterator[tuple[str, Stored]]:
    """The envelopes of many devices that may hold readings from an instant on (tag time), each device's in the order of
    their hearing.
    """
    for at in range(0, len(wanted), _AT_ONCE):
        some = values(column("device", Text), column("from_ms", BigInteger))
        asked = some.data(list(wanted[at : at + _AT_ONCE])).cte("asked")
        query = (
            select(
                envelope.c.device, envelope.c.data, envelope.c.fresh, envelope.c.received_ms, envelope.c.id
            )
            .join_from(
                asked,
                envelope,
                and_(envelope.c.device == asked.c.device, envelope.c.last_t_ms >= asked.c.from_ms),
            )
            .order_by(envelope.c.id)
        )
        for device, data, fresh, received_ms, row_id in connection.execute(query):
            yield device, Stored(data, _spans(fresh), received_ms, row_id)


def of_row(row: Row[Any]) -> Stored:
    """What a whole row of the table tells."""
    return Stored(row.data, _spans(row.fresh), row.received_ms, row.id)


def count(connection: Connection) -> int:
    """How many envelopes are stored."""
    return connection.execute(select(func.count()).select_from(envelope)).scalar_one()


def newest(connection: Connection) -> int:
    """The row of the envelope that was stored last; 0 where there is none."""
    return connection.execute(select(func.max(envelope.c.id))).scalar() or 0


def at_row(connection: Connection, row_id: int) -> bytes | None:
    """The envelope of a row, or None."""
    return connection.execute(select(envelope.c.data).where(envelope.c.id == row_id)).scalar()


def of_device_after(connection: Connection, device: str, row_id: int) -> list[Stored]:
    """The envelopes of a device that were stored after that row, in the order of their hearing."""
    query = (
        select(envelope.c.data, envelope.c.fresh, envelope.c.received_ms, envelope.c.id)
        .where(envelope.c.id > row_id, envelope.c.device == device)
        .order_by(envelope.c.id)
    )
    return [
        Stored(data, _spans(fresh), received_ms, row_id)
        for data, fresh, received_ms, row_id in connection.execute(query)
    ]


def earliest_after(connection: Connection, row_id: int) -> dict[str, int]:
    """Of each device that was heard after that row: the tag time of the earliest dated reading that came with it."""
    query = (
        select(envelope.c.device, func.min(envelope.c.first_t_ms))
        .where(envelope.c.id > row_id, envelope.c.first_t_ms.is_not(None))
        .group_by(envelope.c.device)
    )
    return {device: int(first_ms) for device, first_ms in connection.execute(query)}


def ranges(connection: Connection, device: str) -> dict[int, list[Range]]:
    """What is known of the numbers of a device: for each epoch its ranges, ascending."""
    return ranges_of(connection, [device])[device]


def ranges_of(connection: Connection, devices: Sequence[str]) -> dict[str, dict[int, list[Range]]]:
    """The same of each of several devices, also of those of which nothing is known."""
    known: dict[str, dict[int, list[Range]]] = {device: {} for device in devices}
    for at in range(0, len(devices), _AT_ONCE):
        some = devices[at : at + _AT_ONCE]
        for device, epoch, first, last, how in connection.execute(_RANGES, {"some": some}):
            known[device].setdefault(epoch, []).append(Range(first, last, how))
    return known


def change_ranges(
    connection: Connection,
    gone: Iterable[tuple[str, int, int]],
    written: Iterable[tuple[str, int, Range]],
) -> None:
    """Write what has changed in the ranges: ``gone`` are (device, epoch, first), ``written`` replace what stands."""
    keys = [{"d": device, "e": epoch, "f": first} for device, epoch, first in gone]
    if keys:
        statement = delete(sequence_range).where(
            sequence_range.c.device == bindparam("d"),
            sequence_range.c.epoch == bindparam("e"),
            sequence_range.c.first == bindparam("f"),
        )
        connection.execute(statement, keys)
    put_rows(
        connection,
        sequence_range,
        ("device", "epoch", "first", "last", "how"),
        [(device, epoch, part.first, part.last, part.how) for device, epoch, part in written],
        ("device", "epoch", "first"),
        ("last", "how"),
    )


def add_gaps(connection: Connection, rows: Sequence[dict[str, Any]]) -> None:
    """Write gap records: ``device``, ``epoch``, ``seq``, ``first``, ``count``, ``reason``; known ones stay."""
    upsert(connection, gap, rows, ["device", "epoch", "seq"])


def add_conflicts(connection: Connection, rows: Sequence[dict[str, Any]]) -> None:
    """Keep envelopes that disagree with the evidence; the same disagreement is kept once."""
    upsert(connection, conflict, rows, ["device", "epoch", "first_seq", "sha256"])


def conflicts(connection: Connection, device: str | None = None) -> list[dict[str, Any]]:
    """The envelopes that disagree with the evidence, in the order of their hearing."""
    query = select(conflict).order_by(conflict.c.id)
    if device is not None:
        query = query.where(conflict.c.device == device)
    return [dict(row._mapping) for row in connection.execute(query)]


def gaps(connection: Connection, device: str) -> list[dict[str, Any]]:
    """The gap records of a device."""
    query = select(gap).where(gap.c.device == device).order_by(gap.c.epoch, gap.c.seq)
    return [dict(row._mapping) for row in connection.execute(query)]


def _spans(fresh: str | None) -> tuple[Span, ...] | None:
    return None if fresh is None else tuple(Span(first, last) for first, last in json.loads(fresh))
