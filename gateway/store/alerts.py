"""Alerts with all their revisions. What the page and the command line show comes from here."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, and_, func, insert, select, update

from core.alerts import Alert, Source, instant_ms
from gateway.store import doubts, outbox
from gateway.store.stock import Fault
from gateway.store.tables import activation, alert, alert_revision, order_version

ORDER_OF = func.coalesce(activation.c.order_id, alert.c.order_id)
"""Under which order an alert is, in a query that joins activations to alerts."""
_AT_ONCE = 500
"""So many are asked for in one statement; SQLite takes 32,766 values."""


@dataclass(frozen=True, slots=True)
class AlertEntry:
    """An alert as it is to be written; ``document`` is its JSON text, and differs whenever the alert does.

    It is of a device, or, where nobody wears one yet, of an order (``order_id``).
    """

    id: str
    device: str | None
    activation: str | None
    rule: str
    state: str
    severity: str
    start_ms: int
    document: str
    order_id: str | None = None


def entry(found: Alert, device: str | None, order_id: str | None = None) -> AlertEntry:
    """An alert about ``device``, or about an order under which none is worn, as it is to be written."""
    document = found.to_json() | {"activation": found.activation or None}
    return AlertEntry(
        id=found.id,
        device=device,
        activation=found.activation or None,
        rule=found.rule,
        state=found.state,
        severity=found.severity,
        start_ms=found.start_ms,
        document=json.dumps(document, separators=(",", ":"), ensure_ascii=False),
        order_id=order_id,
    )


def alert_of(entry: AlertEntry) -> Alert:
    """The alert that was written so; its end, if it has one, in whole seconds."""
    document = json.loads(entry.document)
    end = document["end"]
    return Alert(
        id=entry.id,
        activation=entry.activation or "",
        condition=document["condition"],
        rule=entry.rule,
        state=document["state"],
        severity=document["severity"],
        start_ms=entry.start_ms,
        end_ms=None if end is None else instant_ms(end),
        order_version=document["order_version"],
        rule_set=document["rule_set"],
        sentence=document["sentence"],
        figures=document["figures"],
        readings=tuple((epoch, number) for epoch, number in document["readings"]),
        sources=tuple(Source(*source) for source in document.get("sources", ())),
    )


def withdrawn(entry: AlertEntry) -> AlertEntry:
    """The same alert, withdrawn."""
    document = json.loads(entry.document) | {"state": "withdrawn"}
    text = json.dumps(document, separators=(",", ":"), ensure_ascii=False)
    return replace(entry, state="withdrawn", document=text)


def put(connection: Connection, entries: Sequence[AlertEntry], at_ms: int) -> list[int]:
    """Write alerts that are new or differ from what stands, each as a further revision; with it, in the outbox, what
    people are to be told.

    What of their evidence is doubtful is worked out here (`gateway.store.doubts`). ``at_ms`` is gateway time. Returns
    the numbers of those that were written.
    """
    written: list[int] = []
    doubted = doubts.Doubts(connection) if entries else None
    for judged in entries:
        assert doubted is not None
        entry = replace(judged, document=doubted.upon(judged.document, judged.device))
        known = _standing(connection, alert.c.id == entry.id)
        if known is not None and known.document == entry.document:
            continue
        if entry.state == "withdrawn" and (known is None or known.state == "withdrawn"):
            continue  # thought of and withdrawn before anybody could see it
        written.append(_write(connection, entry, known, at_ms))
    return written


def doubt(connection: Connection, fault: Fault, at_ms: int) -> list[int]:
    """Flag every alert that a device has fed in the time in which it was found faulty, or take that back.

    Nothing else of them changes. Returns the numbers of those that changed.
    """
    doubted = doubts.Doubts(connection)
    names = [alert.c[name] for name in AlertEntry.__slots__]
    query = select(*names).where(doubts.may_have_fed(fault.device)).order_by(alert.c.number)
    written = []
    for row in connection.execute(query).all():
        known = AlertEntry(*row)
        entry = replace(known, document=doubted.upon(known.document, known.device, fault))
        if entry.document != known.document:
            standing = _standing(connection, alert.c.id == entry.id)
            written.append(_write(connection, entry, standing, at_ms))
    return written


def _standing(connection: Connection, of: ColumnElement[bool]) -> Any:
    names = (alert.c[name] for name in ("number", "revision", "state", "severity", "start_ms", "document"))
    return connection.execute(select(*names).where(of)).one_or_none()


def _write(connection: Connection, entry: AlertEntry, known: Any, at_ms: int) -> int:
    """Write a revision after ``known``, or the first; returns the alert's number."""
    values = {name: getattr(entry, name) for name in AlertEntry.__slots__} | {"changed_at_ms": at_ms}
    if known is None:
        revision = 1
        result = connection.execute(insert(alert).values(**values, revision=revision, raised_at_ms=at_ms))
        key = result.inserted_primary_key
        assert key is not None
        number = int(key[0])
    else:
        number, revision = int(known.number), known.revision + 1
        connection.execute(update(alert).where(alert.c.number == number).values(**values, revision=revision))
    connection.execute(
        insert(alert_revision).values(alert=number, revision=revision, at_ms=at_ms, document=entry.document)
    )
    now = (entry.state, entry.severity, entry.start_ms)
    same = known is not None and now == (known.state, known.severity, known.start_ms)
    named = doubts.named_in(entry.document)
    doubted = known is not None and named != doubts.named_in(known.document)
    # an extension only updates the page (law 3), and of what was withdrawn nobody need doubt anything
    if not same or (doubted and entry.state != "withdrawn"):
        outbox.tell(connection, number, revision, *now, at_ms, doubtful=bool(named), only_doubt=same)
    return number


def listing(
    connection: Connection,
    *,
    state: str | None = None,
    device: str | None = None,
    before: int | None = None,
    limit: int = 200,
) -> list[dict[str, Any]]:
    """Alerts as people see them, newest number first: their JSON with number, revision, device (None where it is about
    an order under which none is worn), order and wearer.

    ``state`` and ``device`` select; ``before`` and ``limit`` page by number.
    """
    query = _select().order_by(alert.c.number.desc()).limit(limit)
    conditions: list[ColumnElement[bool]] = []
    if state is not None:
        conditions.append(alert.c.state == state)
    if device is not None:
        conditions.append(alert.c.device == device)
    if before is not None:
        conditions.append(alert.c.number < before)
    return [_shown(row._mapping) for row in connection.execute(query.where(*conditions))]


def one(connection: Connection, number: int) -> dict[str, Any] | None:
    """The alert called ``number``, or None."""
    row = connection.execute(_select().where(alert.c.number == number)).one_or_none()
    return None if row is None else _shown(row._mapping)


def revisions(connection: Connection, number: int) -> list[dict[str, Any]]:
    """Every revision of an alert, first to last: its JSON with ``revision`` and ``at_ms`` (gateway time)."""
    rows = connection.execute(
        select(alert_revision).where(alert_revision.c.alert == number).order_by(alert_revision.c.revision)
    )
    return [json.loads(row.document) | {"revision": row.revision, "at_ms": row.at_ms} for row in rows]


def notices_after(connection: Connection, notice: int, limit: int = 500) -> list[dict[str, Any]]:
    """Alerts that changed after notice ``notice``, each in its present form with ``notice`` beside it, ascending.

    An alert that changed several times stands once, at its last change.
    """
    last = (
        select(func.max(alert_revision.c.number).label("notice"), alert_revision.c.alert)
        .where(alert_revision.c.number > notice)
        .group_by(alert_revision.c.alert)
        .subquery()
    )
    query = (
        _select()
        .add_columns(last.c.notice)
        .join(last, last.c.alert == alert.c.number)
        .order_by(last.c.notice)
        .limit(limit)
    )
    return [_shown(row._mapping) | {"notice": row.notice} for row in connection.execute(query)]


def last_notice(connection: Connection) -> int:
    """The number of the newest revision of any alert; 0 where there is none."""
    return connection.execute(select(func.max(alert_revision.c.number))).scalar() or 0


def count_by_state(connection: Connection) -> dict[str, int]:
    """How many alerts are in each state."""
    rows = connection.execute(select(alert.c.state, func.count()).group_by(alert.c.state))
    return dict(iter(rows))


def standing(connection: Connection, rules_excepted: Sequence[str]) -> dict[str, AlertEntry]:
    """Alerts by id that are not withdrawn and not of ``rules_excepted``."""
    names = [alert.c[name] for name in AlertEntry.__slots__]
    query = select(*names).where(alert.c.state != "withdrawn", alert.c.rule.not_in(rules_excepted))
    return {row.id: AlertEntry(*row) for row in connection.execute(query)}


def standing_of(
    connection: Connection, device: str, activation_id: str, rules_excepted: Sequence[str]
) -> list[AlertEntry]:
    """Alerts of one activation, of ``device``, that are not withdrawn and not of ``rules_excepted``."""
    names = [alert.c[name] for name in AlertEntry.__slots__]
    query = select(*names).where(
        alert.c.device == device,
        alert.c.activation == activation_id,
        alert.c.state != "withdrawn",
        alert.c.rule.not_in(rules_excepted),
    )
    return [AlertEntry(*row) for row in connection.execute(query)]


def standing_among(
    connection: Connection, activations: Mapping[str, str], rules_excepted: Sequence[str]
) -> list[AlertEntry]:
    """The same of several activations, each with its device."""
    names = [alert.c[name] for name in AlertEntry.__slots__]
    found: list[AlertEntry] = []
    every = sorted(activations)
    for at in range(0, len(every), _AT_ONCE):
        some = every[at : at + _AT_ONCE]
        query = select(*names).where(
            alert.c.device.in_(sorted({activations[name] for name in some})),
            alert.c.activation.in_(some),
            alert.c.state != "withdrawn",
            alert.c.rule.not_in(rules_excepted),
        )
        found += [AlertEntry(*row) for row in connection.execute(query)]
    return found


def among(connection: Connection, ids: Iterable[str]) -> dict[str, tuple[int, AlertEntry]]:
    """The alerts of these identities, by id, each with its number; those that were never written are left out."""
    names = [alert.c[name] for name in AlertEntry.__slots__]
    found: dict[str, tuple[int, AlertEntry]] = {}
    every = sorted(set(ids))
    for at in range(0, len(every), _AT_ONCE):
        query = select(alert.c.number, *names).where(alert.c.id.in_(every[at : at + _AT_ONCE]))
        found |= {row.id: (row.number, AlertEntry(*row[1:])) for row in connection.execute(query)}
    return found


def newest(connection: Connection) -> int:
    """The number of the last alert; 0 where there is none."""
    return connection.execute(select(func.max(alert.c.number))).scalar() or 0


def told_after(connection: Connection, notice: int, without: Collection[str]) -> list[tuple[str, str]]:
    """The activation and the id of every alert that changed after notice ``notice``, but those of rules ``without``."""
    query = (
        select(alert.c.activation, alert.c.id)
        .join(alert_revision, alert_revision.c.alert == alert.c.number)
        .where(alert_revision.c.number > notice, alert.c.activation.is_not(None))
        .where(alert.c.rule.not_in(without))
        .distinct()
    )
    return [(str(activation), str(alert_id)) for activation, alert_id in connection.execute(query)]


def open_of_rule(connection: Connection, rule: str) -> list[AlertEntry]:
    """The open alerts of a rule."""
    names = [alert.c[name] for name in AlertEntry.__slots__]
    query = select(*names).where(alert.c.state == "open", alert.c.rule == rule)
    return [AlertEntry(*row) for row in connection.execute(query)]


def open_of_order(connection: Connection, order_id: str) -> list[AlertEntry]:
    """The open alerts of an order itself, not of a device that is worn under it."""
    names = [alert.c[name] for name in AlertEntry.__slots__]
    query = select(*names).where(alert.c.order_id == order_id, alert.c.state == "open")
    return [AlertEntry(*row) for row in connection.execute(query)]


def one_by_id(connection: Connection, alert_id: str) -> AlertEntry | None:
    """The alert with that identity as it was last written, or None."""
    names = [alert.c[name] for name in AlertEntry.__slots__]
    row = connection.execute(select(*names).where(alert.c.id == alert_id)).one_or_none()
    return None if row is None else AlertEntry(*row)


def last_changed_ms(connection: Connection) -> int:
    """Gateway time of the newest revision; 0 where there is none."""
    return connection.execute(select(func.max(alert.c.changed_at_ms))).scalar() or 0


def _select() -> Select[Any]:
    newest = (
        select(order_version.c.order_id, func.max(order_version.c.version).label("version"))
        .group_by(order_version.c.order_id)
        .subquery()
    )
    return (
        select(alert, ORDER_OF.label("under"), order_version.c.wearer_id, order_version.c.wearer_name)
        .select_from(alert)
        .outerjoin(activation, activation.c.id == alert.c.activation)
        .outerjoin(newest, newest.c.order_id == ORDER_OF)
        .outerjoin(
            order_version,
            and_(order_version.c.order_id == newest.c.order_id, order_version.c.version == newest.c.version),
        )
    )


def _shown(row: Any) -> dict[str, Any]:
    wearer = None if row["wearer_id"] is None else {"id": row["wearer_id"], "name": row["wearer_name"]}
    shown: dict[str, Any] = json.loads(row["document"])
    return shown | {
        "number": row["number"],
        "revision": row["revision"],
        "device": row["device"],
        "order": row["under"],
        "wearer": wearer,
    }
