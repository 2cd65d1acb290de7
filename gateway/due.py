"""What is due: the rows that a policy no longer keeps and nobody needs, table by table, and how a batch of them goes.

Each batch tells what is gone: the numbers and a hash of every row, of which the proof is made
(`gateway.store.erasures`). Nothing here begins a transaction.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, Table, and_, delete, func, not_, or_, select

from gateway import evidence, merkle, order_erasure, topics
from gateway.policy import DAY_MS, Kind, Policy
from gateway.sequences import How, Known, Span
from gateway.still_needed import Case, Survey, Window
from gateway.store import envelopes
from gateway.store.erasures import Gone
from gateway.store.marks import Mark
from gateway.store.tables import (
    acknowledgement,
    alert,
    alert_revision,
    conflict,
    delivery,
    envelope,
    escalation,
    order_message,
    order_task,
    quarantine,
    telling,
)

BATCH = 500
"""Rows of one transaction: some tens of milliseconds, in which a commit waits."""
OF_ORDERS: tuple[Kind, ...] = ("readings", "alerts", "notifications", order_erasure.KIND)


@dataclass(frozen=True, slots=True)
class Work:
    """Rows of one table of which all that match go, in batches; ``take`` deletes one batch and tells what is gone."""

    kind: Kind
    about: Mapping[str, Any]
    table: Table
    key: ColumnElement[int]
    condition: ColumnElement[bool]
    take: Callable[[Connection, Sequence[Any], Taken], None]

    def count(self) -> Select[Any]:
        """How many there are."""
        return select(func.count()).select_from(self.table).where(self.condition)

    def batch(self, after: int) -> Select[Any]:
        """The next so many, after a key."""
        query = select(self.table).where(self.condition, self.key > after)
        return query.order_by(self.key).limit(BATCH)


@dataclass(slots=True)
class Taken:
    """What one batch has deleted."""

    gone: list[Gone] = field(default_factory=list)
    rows: Counter[str] = field(default_factory=Counter)
    bytes: int = 0
    unreadable: int = 0


def works(survey: Survey, policy: Policy, now_ms: int, mark: Mark | None = None) -> Iterator[Work]:
    """Everything that is due, order by order, then device by device."""
    if survey.all_held:
        return
    due = {
        kind: {
            case.order_id for case in survey.cases.values() if case.closed and case.due(policy, kind, now_ms)
        }
        for kind in OF_ORDERS
    }
    for device in survey.devices:
        if device in survey.held:
            continue
        windows = survey.windows.get(device, ())
        going = [window for window in windows if window.order_id in due["readings"]]
        staying = [window for window in windows if window.order_id not in due["readings"]]
        yield from _of_device(policy, device, going, staying, now_ms, mark)
    for case in survey.cases.values():
        if case.order_id in due["alerts"]:
            assert policy.alerts is not None
            yield Work(
                "alerts",
                {"order": case.order_id},
                alert,
                alert.c.number,
                and_(
                    _of_case(case),
                    alert.c.changed_at_ms <= now_ms - policy.alerts.days * DAY_MS,
                ),
                _take_alerts,
            )
        if case.order_id in due["notifications"]:
            of_order = select(alert.c.number).where(_of_case(case))
            for table, key in ((delivery, delivery.c.id), (telling, telling.c.id)):
                about = {"order": case.order_id, "table": table.name}
                yield Work("notifications", about, table, key, table.c.alert.in_(of_order), _take_rows(table))
    for case_id in order_erasure.due_cases(survey, policy, now_ms):
        yield from _of_intake(policy, case_id, now_ms)
    yield from _set_aside(policy, survey, due["readings"], now_ms)


def _of_intake(policy: Policy, case_id: str, now_ms: int) -> Iterator[Work]:
    """What came in about an order or a wearer, and what people had to see to; each for as long from its coming."""
    assert policy.order_messages is not None
    before_ms = now_ms - policy.order_messages.days * DAY_MS
    message = and_(order_message.c.case_id == case_id, order_message.c.last_ms <= before_ms)
    seen_to = func.coalesce(order_task.c.done_ms, order_task.c.raised_ms)
    task = and_(order_task.c.order_id == case_id, order_task.c.raised_ms <= before_ms, seen_to <= before_ms)
    for table, wanted in ((order_message, message), (order_task, task)):
        about = {"case": case_id, "table": table.name}
        yield Work(order_erasure.KIND, about, table, table.c.id, wanted, _take_rows(table))


def _of_case(case: Case) -> ColumnElement[bool]:
    """Alerts of an order: of what was worn under it, and of itself, where nothing was."""
    return or_(alert.c.activation.in_(case.activations), alert.c.order_id == case.order_id)


def _of_device(
    policy: Policy,
    device: str,
    going: Sequence[Window],
    staying: Sequence[Window],
    now_ms: int,
    mark: Mark | None,
) -> Iterator[Work]:
    # SQLite gives the highest row's number away again when that row goes: it stays until there is a higher one
    newest = select(func.max(envelope.c.id)).scalar_subquery()
    mine = and_(envelope.c.device == device, envelope.c.id < newest)
    if mark is not None:
        mine = and_(mine, envelope.c.id <= mark.envelope)
    if going and policy.readings is not None:
        named = sorted({window.order_id for window in going})
        wanted = and_(mine, or_(*(window.overlaps() for window in going)))
        if staying:
            wanted = and_(wanted, not_(or_(*(window.overlaps() for window in staying))))
        about = {"device": device, "orders": named}
        yield Work("readings", about, envelope, envelope.c.id, wanted, _take_envelopes)
        if not staying:
            old = and_(
                conflict.c.device == device,
                conflict.c.received_ms <= now_ms - policy.readings.days * DAY_MS,
            )
            about |= {"table": "conflict"}
            yield Work("readings", about, conflict, conflict.c.id, old, _take_rows(conflict))
    if policy.unworn is not None:
        unworn = or_(
            envelope.c.last_t_ms.is_(None) if not staying else envelope.c.id < 0,
            and_(
                envelope.c.last_t_ms.is_not(None),
                *(not_(window.overlaps()) for window in (*going, *staying)),
            ),
        )
        old = envelope.c.received_ms <= now_ms - policy.unworn.days * DAY_MS
        yield Work(
            "unworn", {"device": device}, envelope, envelope.c.id, and_(mine, old, unworn), _take_envelopes
        )


def _set_aside(policy: Policy, survey: Survey, going: set[str], now_ms: int) -> Iterator[Work]:
    """Messages in quarantine. What a device said and nobody could read counts as read: it stays while it is needed."""
    if policy.quarantine is None:
        return
    old = quarantine.c.received_ms <= now_ms - policy.quarantine.days * DAY_MS
    needed = {
        topics.up(device)
        for device in survey.devices
        if device in survey.held
        or any(window.order_id not in going for window in survey.windows.get(device, ()))
    }
    held = [topics.up(device) for device in survey.held]
    if len(needed) > 10_000:  # more than a statement takes: they stay, all of them
        wanted = and_(old, quarantine.c.unread.is_(False), quarantine.c.topic.not_in(held))
    else:
        wanted = and_(
            old,
            quarantine.c.topic.not_in(held),
            or_(quarantine.c.unread.is_(False), quarantine.c.topic.not_in(sorted(needed))),
        )
    yield Work(
        "quarantine", {"table": "quarantine"}, quarantine, quarantine.c.id, wanted, _take_rows(quarantine)
    )


def _take_envelopes(connection: Connection, rows: Sequence[Any], taken: Taken) -> None:
    parts: dict[tuple[str, int], list[Any]] = {}
    for row in rows:
        try:
            _, fresh = evidence.read(envelopes.of_row(row))
        except ValueError:  # which numbers it holds is not known, so nobody could prove that they are gone
            taken.unreadable += 1
            continue
        parts.setdefault((row.device, row.epoch), []).append((row, fresh))
    for (device, epoch), found in parts.items():
        known = Known()
        for _, spans in found:
            for span in spans:
                known.fill(span.first, span.last, How.STORED)
        dated = [row for row, _ in found if row.first_t_ms is not None]
        taken.gone.append(
            Gone(
                device,
                epoch,
                tuple(Span(part.first, part.last) for part in known.ranges),
                min((row.first_t_ms for row in dated), default=None),
                max((row.last_t_ms for row in dated), default=None),
                tuple(merkle.leaf(row.data) for row, _ in found),
            )
        )
        taken.rows["envelope"] += len(found)
        taken.bytes += sum(len(row.data) for row, _ in found)
        _delete(connection, envelope, envelope.c.id, [row.id for row, _ in found])


def _take_rows(table: Table) -> Callable[[Connection, Sequence[Any], Taken], None]:
    """Rows that stand for themselves; those with bytes are proven by these, the others by all that they say."""

    def take(connection: Connection, rows: Sequence[Any], taken: Taken) -> None:
        leaves = []
        for row in rows:
            data = bytes(row.data) if "data" in table.c else _text(row)
            leaves.append(merkle.leaf(data))
            taken.bytes += len(data)
        spans = _spans([row.id for row in rows])
        taken.gone.append(Gone("", 0, spans, None, None, tuple(leaves)))
        taken.rows[table.name] += len(rows)
        _delete(connection, table, table.c.id, [row.id for row in rows])

    return take


def _take_alerts(connection: Connection, rows: Sequence[Any], taken: Taken) -> None:
    numbers = [row.number for row in rows]
    belonging = (acknowledgement, escalation, delivery, telling, alert_revision)
    found: dict[int, list[bytes]] = {row.number: [_text(row)] for row in rows}
    for table in belonging:
        query = select(table).where(table.c.alert.in_(numbers)).order_by(*table.primary_key.columns)
        for part in connection.execute(query):
            found[part.alert].append(_text(part))
            taken.rows[table.name] += 1
        _delete(connection, table, table.c.alert, numbers)
    leaves = []
    for row in rows:
        data = b"\n".join(found[row.number])
        leaves.append(merkle.leaf(data))
        taken.bytes += len(data)
    taken.rows["alert"] += len(rows)
    taken.gone.append(Gone("", 0, _spans(numbers), None, None, tuple(leaves)))
    _delete(connection, alert, alert.c.number, numbers)


def _delete(connection: Connection, table: Table, key: ColumnElement[int], values: Sequence[int]) -> None:
    if values:
        connection.execute(delete(table).where(key.in_(values)))


def _spans(numbers: Sequence[int]) -> tuple[Span, ...]:
    known = Known()
    for number in numbers:
        known.put(number, number, How.STORED)
    return tuple(Span(part.first, part.last) for part in known.ranges)


def _text(row: Any) -> bytes:
    """All that a row says, always the same way."""
    return json.dumps(
        dict(row._mapping), separators=(",", ":"), sort_keys=True, ensure_ascii=False, default=bytes.hex
    ).encode()
