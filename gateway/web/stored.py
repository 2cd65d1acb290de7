"""The book of alerts, read from the gateway's store in short transactions that never hold up a writer."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Row, Select, and_, func, select
from sqlalchemy.exc import SQLAlchemyError

from gateway import gateway_time, logs
from gateway.control import Control, ControlError
from gateway.store import Store, erasures, looks, outbox, state
from gateway.store.alerts import ORDER_OF, last_notice
from gateway.store.tables import activation, alert, alert_revision, envelope, order_version
from gateway.web.book import (
    AlertPage,
    AlertRecord,
    AlertState,
    Deletion,
    LookNotRecordedError,
    Notice,
    Revision,
    Status,
    StoreUnreadableError,
)
from gateway.web.looks import Look, Viewer

_ANSWER_S = 1.0
"""An ingest that is busy answers within milliseconds; a page must not wait for one that hangs."""


class StoredBook:
    """`gateway.web.book.AlertBook` over a store. Safe to use from several threads.

    ``control_path`` is the ingest's socket: the only thing that is not read from the store is whether it answers there.
    """

    def __init__(self, store: Store, control_path: Path | None = None) -> None:
        self._store = store
        self._control_path = control_path

    def page(self, states: Sequence[AlertState], limit: int) -> AlertPage:
        """The newest ``limit`` alerts in one of ``states``, newest number first."""
        query = _now().where(alert.c.state.in_(states)).order_by(alert.c.number.desc())
        return self._page(query, limit)

    def changed(
        self, after: int, limit: int, state: AlertState | None = None, device: str | None = None
    ) -> AlertPage:
        """Alerts whose newest revision is above ``after``, in the order in which they last changed."""
        query = _now().where(alert_revision.c.number > after).order_by(alert_revision.c.number)
        if state is not None:
            query = query.where(alert.c.state == state)
        if device is not None:
            query = query.where(alert.c.device == device)
        return self._page(query, limit)

    def alert(self, alert_id: str) -> AlertRecord | None:
        """The alert of that id, or None."""
        return self._one(_now().where(alert.c.id == alert_id))

    def numbered(self, number: int) -> AlertRecord | None:
        """The alert that people call ``number``, or None."""
        return self._one(_now().where(alert.c.number == number))

    def revisions(self, alert_id: str) -> Sequence[Revision]:
        """Every revision of an alert, first one first; empty if there is no such alert."""
        query = _said().where(alert.c.id == alert_id).order_by(alert_revision.c.revision)
        with self._reading() as connection:
            return [_revision(row) for row in connection.execute(query)]

    def deletions(self, number: int) -> Sequence[Deletion]:
        """By which proofs readings that the alert ``number`` rests on were deleted; empty where none was."""
        with self._reading() as connection:
            found = erasures.proofs_of_alert(connection, number)
        return [
            Deletion(proof.id, _instant(proof.at_ms), proof.version, proof.policy, proof.hash)
            for proof in found
        ]

    def notices(self, number: int) -> Sequence[Notice]:
        """Who has taken notice of the alert ``number``, the last first."""
        with self._reading() as connection:
            found = outbox.acknowledgements(connection, number)
        return [
            Notice(one.person, one.revision, _instant(one.at_ms), one.note, one.account)
            for one in reversed(found)
        ]

    def noticed(self, numbers: Collection[int]) -> Mapping[int, int]:
        """Up to which revision somebody has taken notice of each of some alerts; left out where nobody has."""
        with self._reading() as connection:
            return outbox.acknowledged_of(connection, numbers)

    def since(self, number: int, limit: int) -> Sequence[Revision]:
        """The first ``limit`` revisions above ``number``, of all alerts, ascending."""
        query = _said().where(alert_revision.c.number > number).order_by(alert_revision.c.number).limit(limit)
        with self._reading() as connection:
            return [_revision(row) for row in connection.execute(query)]

    def open_count(self) -> int:
        """How many alerts are open."""
        with self._reading() as connection:
            return _open_count(connection)

    def latest_revision(self) -> int:
        """The highest revision number there is, 0 if there is none."""
        with self._reading() as connection:
            return last_notice(connection)

    def last_committed(self) -> datetime | None:
        """Gateway time at which a reading was last committed to disk; None where none was."""
        with self._reading() as connection:
            return _last_committed(connection)

    def status(self) -> Status:
        """How the gateway is; never raises, says ``store=False`` instead."""
        alive = None if self._control_path is None else _receives(self._control_path)
        try:
            with self._reading() as connection:
                counters = state.counters(connection)
                return Status(
                    store=True,
                    generation=state.generation(connection),
                    latest_revision=last_notice(connection),
                    last_committed=_last_committed(connection),
                    ingest_alive=alive,
                    quarantined=counters.get("quarantined", 0),
                    open_alerts=_open_count(connection),
                    counters=counters,
                )
        except StoreUnreadableError:
            return Status(store=False, ingest_alive=alive)

    def _page(self, query: Select[Any], limit: int) -> AlertPage:
        with self._reading() as connection:
            rows = connection.execute(query.limit(limit + 1)).all()
            return AlertPage([_record(row) for row in rows[:limit]], more=len(rows) > limit)

    def _one(self, query: Select[Any]) -> AlertRecord | None:
        with self._reading() as connection:
            row = connection.execute(query).one_or_none()
            return None if row is None else _record(row)

    @contextmanager
    def _reading(self) -> Iterator[Connection]:
        try:
            with self._store.read() as connection:
                yield connection
        except (SQLAlchemyError, ValueError) as problem:
            raise StoreUnreadableError(logs.safe(problem)) from problem


class StoredLooks:
    """`gateway.web.looks.Looks` in the store's table of looks."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def record(self, viewer: Viewer, look: Look) -> None:
        """Write one look. People look in their own time, also while a simulator owns the gateway's.

        Alerts are named ``number.revision``. Raises LookNotRecordedError if it is not on disk.
        """
        shown = [f"{number}.{revision}" for number, revision in look.shown]
        try:
            with self._store.write() as connection:
                looks.add(
                    connection,
                    gateway_time.present(connection, "system").ms,
                    viewer.name,
                    look.view,
                    alerts=shown,
                    activations=look.activations,
                )
        except SQLAlchemyError as problem:
            raise LookNotRecordedError(logs.safe(problem)) from problem


def _receives(path: Path) -> bool:
    """Whether the ingest answers, and has its connection to the broker."""
    control = Control(path, timeout_s=_ANSWER_S)
    try:
        return bool(control.status()["connected"])
    except (ControlError, KeyError):
        return False
    finally:
        control.close()


def _last_committed(connection: Connection) -> datetime | None:
    newest = select(envelope.c.received_ms).order_by(envelope.c.id.desc()).limit(1)
    committed = connection.execute(newest).scalar()
    return None if committed is None else _instant(committed)


def _open_count(connection: Connection) -> int:
    query = select(func.count()).select_from(alert).where(alert.c.state == "open")
    return connection.execute(query).scalar_one()


def _said() -> Select[Any]:
    """Revisions, each with what does not change from one to the next, and the wearer as the newest order names them."""
    versions = order_version.alias("versions")
    newest = (
        select(func.max(versions.c.version))
        .where(versions.c.order_id == ORDER_OF)
        .correlate(activation, alert)
        .scalar_subquery()
    )
    return (
        select(
            alert_revision.c.number.label("revision_number"),
            alert_revision.c.revision,
            alert_revision.c.at_ms,
            alert_revision.c.document,
            alert.c.number,
            alert.c.device,
            alert.c.activation,
            ORDER_OF.label("order_id"),
            order_version.c.wearer_id,
            order_version.c.wearer_name,
        )
        .select_from(alert_revision)
        .join(alert, alert.c.number == alert_revision.c.alert)
        .outerjoin(activation, activation.c.id == alert.c.activation)
        .outerjoin(
            order_version,
            and_(order_version.c.order_id == ORDER_OF, order_version.c.version == newest),
        )
    )


def _now() -> Select[Any]:
    """Alerts as their newest revision says them."""
    return _said().where(alert_revision.c.revision == alert.c.revision)


def _record(row: Row[Any]) -> AlertRecord:
    wearer = None if row.wearer_id is None else {"id": row.wearer_id, "name": row.wearer_name or None}
    document: dict[str, Any] = json.loads(row.document)
    return AlertRecord.model_validate(
        {"condition": None, "order_version": None, "rule_set": None, "end": None}
        | document
        | {
            "number": row.number,
            "revision": row.revision,
            "revision_number": row.revision_number,
            "activation": row.activation,
            "device": row.device,
            "order": row.order_id,
            "wearer": wearer,
        }
    )


def _revision(row: Row[Any]) -> Revision:
    return Revision(number=row.revision_number, at=_instant(row.at_ms), alert=_record(row))


def _instant(ms: int) -> datetime:
    # from the epoch by addition: exact, and far dates raise no platform error
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=ms)
