"""What people are to be told of alerts, to whom it was told, and who has acknowledged it.

``tell`` is called in the transaction that writes the alert. The rest belongs to the notifier (`gateway.delivery`), to
the page and to the command line; whatever belongs together stands in one transaction of the caller.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, and_, func, insert, or_, select, update

from gateway.store.dialect import upsert
from gateway.store.tables import (
    acknowledgement,
    activation,
    alert,
    delivery,
    escalation,
    order_version,
    path,
    telling,
)

MODEM = "modem"
"""The path of that name is the modem itself."""
HEARTBEAT = "heartbeat"
"""And that one the dead man's switch."""
BEGUN = "an attempt was begun, and nothing was heard of its end"


@dataclass(frozen=True, slots=True)
class Telling:
    """A revision that people are to be told of. ``decided_ms`` is None until it is known who is told."""

    id: int
    alert: int
    revision: int
    state: str
    severity: str
    start_ms: int
    at_ms: int
    decided_ms: int | None = None
    outcome: str | None = None
    doubtful: bool = False
    """A device that fed the alert was found faulty."""
    only_doubt: bool = False
    """Nothing but that has changed: of interest to those only who know of the alert."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """One message to one contact; it waits while ``outcome`` is None."""

    id: int
    alert: int
    revision: int
    state: str
    severity: str
    route: str
    contact: str
    round: int
    key: str
    digest: bool
    made_ms: int
    next_ms: int
    attempts: int = 0
    sms_next_ms: int = 0
    sms_attempts: int = 0
    error: str | None = None
    done_ms: int | None = None
    outcome: str | None = None
    doubtful: bool = False

    @property
    def begun(self) -> bool:
        """Whether it may have got through: an attempt is written down before it is made."""
        return self.attempts > 0 or self.sms_attempts > 0


@dataclass(frozen=True, slots=True)
class Escalation:
    """An alert that somebody has to acknowledge; ``round`` was told last, the next one is due at ``next_ms``."""

    alert: int
    route: str
    revision: int
    began_ms: int
    round: int
    next_ms: int
    outcome: str | None = None


@dataclass(frozen=True, slots=True)
class Path:
    """How it goes with one contact's path, or with the modem. ``failing_ms`` is None while messages get through."""

    contact: str
    failing_ms: int | None = None
    failures: int = 0
    retry_ms: int = 0
    sent_ms: int | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True)
class About:
    """What routes are chosen by, beside the revision. None and "" where nobody wears the device."""

    rule: str
    regime: str = ""
    wearer: str = ""


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    """Who has taken notice of an alert up to ``revision``; ``account`` is None where that was said by the command."""

    alert: int
    revision: int
    person: str
    at_ms: int
    note: str = ""
    account: str | None = None


def tell(
    connection: Connection,
    number: int,
    revision: int,
    state: str,
    severity: str,
    start_ms: int,
    at_ms: int,
    *,
    doubtful: bool = False,
    only_doubt: bool = False,
) -> None:
    """People are to be told of this revision. In the transaction that writes it."""
    connection.execute(
        insert(telling).values(
            alert=number,
            revision=revision,
            state=state,
            severity=severity,
            start_ms=start_ms,
            at_ms=at_ms,
            doubtful=doubtful,
            only_doubt=only_doubt,
        )
    )


def newest_telling(connection: Connection) -> int:
    """The id of what was written into the outbox last; 0 where it is empty."""
    return connection.execute(select(func.max(telling.c.id))).scalar() or 0


def undecided(connection: Connection, number: int | None = None) -> dict[int, list[Telling]]:
    """What waits for a decision, by alert; each ascending. All, or of one alert."""
    found: dict[int, list[Telling]] = {}
    query = select(telling).where(telling.c.outcome.is_(None))
    if number is not None:
        query = query.where(telling.c.alert == number)
    for row in connection.execute(query.order_by(telling.c.alert, telling.c.id)):
        found.setdefault(row.alert, []).append(Telling(*row))
    return found


def last_told(connection: Connection, number: int) -> Telling | None:
    """What was decided to be told of an alert last."""
    query = (
        select(telling)
        .where(telling.c.alert == number, telling.c.outcome.in_(("told", "acknowledged")))
        .order_by(telling.c.id.desc())
        .limit(1)
    )
    row = connection.execute(query).one_or_none()
    return None if row is None else Telling(*row)


def decide(connection: Connection, ids: Collection[int], outcome: str, now_ms: int) -> None:
    """Write down what came of some tellings."""
    if ids:
        connection.execute(
            update(telling).where(telling.c.id.in_(list(ids))).values(outcome=outcome, decided_ms=now_ms)
        )


def pass_over(connection: Connection, now_ms: int) -> int:
    """Nobody is told of what waits now: it is older than the routes. Returns how many tellings that were."""
    done = connection.execute(
        update(telling).where(telling.c.outcome.is_(None)).values(outcome="before", decided_ms=now_ms)
    )
    return int(done.rowcount)


def about(connection: Connection, number: int) -> About:
    """What the routes of an alert are chosen by: the regime of the newest version of its order, and its wearer."""
    row = connection.execute(
        select(alert.c.rule, order_version.c.document, order_version.c.wearer_id)
        .select_from(alert)
        .outerjoin(activation, activation.c.id == alert.c.activation)
        .outerjoin(
            order_version,
            order_version.c.order_id == func.coalesce(activation.c.order_id, alert.c.order_id),
        )
        .where(alert.c.number == number)
        .order_by(order_version.c.version.desc())
        .limit(1)
    ).one()
    if row.document is None:
        return About(row.rule)
    return About(row.rule, str(json.loads(row.document).get("regime", "")), row.wearer_id)


def of_alert(connection: Connection, number: int) -> list[Delivery]:
    """Every message about an alert, first to last."""
    query = select(delivery).where(delivery.c.alert == number).order_by(delivery.c.id)
    return [Delivery(*row) for row in connection.execute(query)]


def add(connection: Connection, rows: Iterable[Delivery]) -> None:
    """Messages to be sent; their ids are given here. One whose key is known already stands."""
    values = [{name: getattr(row, name) for name in Delivery.__slots__ if name != "id"} for row in rows]
    upsert(connection, delivery, values, ["key"])


def waiting(connection: Connection, contact: str | None = None) -> list[Delivery]:
    """Messages that have not got through, the oldest first; of one contact, or of all."""
    query = select(delivery).where(delivery.c.outcome.is_(None)).order_by(delivery.c.id)
    if contact is not None:
        query = query.where(delivery.c.contact == contact)
    return [Delivery(*row) for row in connection.execute(query)]


def begin(connection: Connection, ids: Collection[int], *, sms: bool, next_ms: int) -> None:
    """An attempt is about to be made; should nothing more be heard of it, the next one is due at ``next_ms``."""
    count = delivery.c.sms_attempts if sms else delivery.c.attempts
    due = delivery.c.sms_next_ms if sms else delivery.c.next_ms
    connection.execute(
        update(delivery)
        .where(delivery.c.id.in_(list(ids)))
        .values({count: count + 1, due: next_ms, delivery.c.error: BEGUN})
    )


def resume(connection: Connection, now_ms: int) -> None:
    """The notifier begins: what an earlier one was sending when it ended is due at once."""
    for due, attempts in (
        (delivery.c.next_ms, delivery.c.attempts),
        (delivery.c.sms_next_ms, delivery.c.sms_attempts),
    ):
        connection.execute(
            update(delivery)
            .where(delivery.c.outcome.is_(None), delivery.c.error == BEGUN, attempts > 0)
            .values({due: now_ms})
        )


def finish(connection: Connection, ids: Collection[int], outcome: str, now_ms: int) -> None:
    """Messages that got through, or are not to be sent any more; those that are done already stand."""
    connection.execute(
        update(delivery)
        .where(delivery.c.id.in_(list(ids)), delivery.c.outcome.is_(None))
        .values(outcome=outcome, done_ms=now_ms, error=None)
    )


def failed(connection: Connection, ids: Collection[int], error: str) -> None:
    """The attempt that was begun has failed."""
    connection.execute(
        update(delivery).where(delivery.c.id.in_(list(ids)), delivery.c.outcome.is_(None)).values(error=error)
    )


def hurry(connection: Connection, contact: str, next_ms: int) -> None:
    """A path works again: what was put off because of it is due at ``next_ms``. Digests keep their time."""
    connection.execute(
        update(delivery)
        .where(
            delivery.c.contact == contact,
            delivery.c.outcome.is_(None),
            delivery.c.digest.is_(False),
            delivery.c.next_ms > next_ms,
        )
        .values(next_ms=next_ms)
    )


def paths(connection: Connection) -> dict[str, Path]:
    """How it goes with every path that was ever tried."""
    return {row.contact: Path(*row) for row in connection.execute(select(path))}


def put_path(connection: Connection, one: Path) -> None:
    """Write down how it goes with a path."""
    values = {name: getattr(one, name) for name in Path.__slots__}
    upsert(connection, path, [values], ["contact"], replace=[name for name in values if name != "contact"])


def escalations(connection: Connection, number: int | None = None) -> list[Escalation]:
    """Alerts that wait for somebody to acknowledge them; all, or of one."""
    query = select(escalation).where(escalation.c.outcome.is_(None))
    if number is not None:
        query = query.where(escalation.c.alert == number)
    return [Escalation(*row) for row in connection.execute(query.order_by(escalation.c.alert))]


def put_escalations(connection: Connection, rows: Sequence[Escalation]) -> None:
    """Write them down; of one alert and route there is one."""
    values = [{name: getattr(row, name) for name in Escalation.__slots__} for row in rows]
    names = ["revision", "began_ms", "round", "next_ms", "outcome"]
    upsert(connection, escalation, values, ["alert", "route"], replace=names)


def end_escalations(connection: Connection, number: int, outcome: str, upto: int | None = None) -> None:
    """Nobody has to acknowledge this alert any more, up to revision ``upto``: what was still to be escalated is not."""
    revisions = escalation.c.revision <= upto if upto is not None else escalation.c.revision > 0
    connection.execute(
        update(escalation)
        .where(escalation.c.alert == number, escalation.c.outcome.is_(None), revisions)
        .values(outcome=outcome)
    )
    if escalations(connection, number):
        return
    connection.execute(
        update(delivery)
        .where(delivery.c.alert == number, delivery.c.outcome.is_(None), delivery.c.round > 0)
        .values(outcome=f"dropped: {outcome}")
    )


def acknowledged(connection: Connection, number: int) -> int:
    """Up to which revision somebody has acknowledged an alert; 0 where nobody has."""
    query = select(func.max(acknowledgement.c.revision)).where(acknowledgement.c.alert == number)
    return connection.execute(query).scalar() or 0


def acknowledge(
    connection: Connection,
    number: int,
    person: str,
    at_ms: int,
    *,
    seen: int | None = None,
    note: str = "",
    account: str | None = None,
) -> int | None:
    """``person`` takes notice of an alert as it stands, or as it was in the revision that was ``seen``.

    Returns the revision, None where there is no such alert. What one who was signed in says twice stands once.
    """
    revision = connection.execute(select(alert.c.revision).where(alert.c.number == number)).scalar()
    if revision is None:
        return None
    if seen is not None:
        revision = min(revision, seen)
    said = {"alert": number, "revision": revision, "note": note, "account": account}
    known = select(acknowledgement.c.id).where(*(acknowledgement.c[name] == of for name, of in said.items()))
    if account is None or connection.execute(known.limit(1)).first() is None:
        connection.execute(insert(acknowledgement).values(**said, person=person, at_ms=at_ms))
    end_escalations(connection, number, "acknowledged", revision)
    return int(revision)


def acknowledgements(connection: Connection, number: int) -> list[Acknowledgement]:
    """Who acknowledged an alert, first to last."""
    columns = [acknowledgement.c[name] for name in Acknowledgement.__slots__]
    query = select(*columns).where(acknowledgement.c.alert == number).order_by(acknowledgement.c.id)
    return [Acknowledgement(*row) for row in connection.execute(query)]


def acknowledged_of(connection: Connection, numbers: Collection[int]) -> dict[int, int]:
    """Up to which revision somebody has acknowledged each of some alerts; those that nobody has are left out."""
    query = select(acknowledgement.c.alert, func.max(acknowledgement.c.revision)).where(
        acknowledgement.c.alert.in_(list(numbers))
    )
    return dict(iter(connection.execute(query.group_by(acknowledgement.c.alert))))


def due(connection: Connection, now_ms: int, latest_ms: int) -> bool:
    """Whether anything waits for this instant: cheap, asked several times a second.

    What is due later than ``latest_ms`` was put off under a clock that has been set back since.
    """
    late = or_(delivery.c.next_ms <= now_ms, delivery.c.next_ms > latest_ms)
    queries: list[Any] = [
        select(telling.c.id).where(telling.c.outcome.is_(None)),
        select(delivery.c.id).where(and_(delivery.c.outcome.is_(None), late)),
        select(escalation.c.alert).where(
            escalation.c.outcome.is_(None),
            or_(escalation.c.next_ms <= now_ms, escalation.c.next_ms > latest_ms),
        ),
    ]
    return any(connection.execute(query.limit(1)).one_or_none() is not None for query in queries)
