"""``tagwatch retention``: what the policy no longer keeps is deleted, with proof; what anybody still needs never is.

The unit is the order. While a tag is worn under it, an alert of it is open, somebody is still to be told of one, a
legal hold covers it or it has not been judged to the end, all of it stays. Then it is *closed*: nobody is judged by it
any more, so no alert is ever withdrawn because its readings are gone. Only when the judge has taken note of that does
anything go: in batches, each one transaction with its proof (`gateway.store.erasures`). Wherever power is cut, what is
gone and what is proven to be gone are the same.

An envelope is deleted when no order that is not closed, not due or held could need any reading of it: a home unit's
envelopes are about many wearers.
"""

from __future__ import annotations

import fcntl
import json
import secrets
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, Select, Table, and_, delete, func, not_, or_, select

from gateway import clock_alarm, evidence, incidents, merkle, topics
from gateway.clock import utc_text
from gateway.control import Control, ControlError, IngestGoneError
from gateway.policy import DAY_MS, Kind, Policy
from gateway.sequences import How, Known, Span
from gateway.settings import Settings
from gateway.store import Store, devices, dialect, envelopes, erasures, installations, orders, state
from gateway.store.erasures import Gone, Hold, Proof
from gateway.store.marks import Mark, marked
from gateway.store.tables import (
    acknowledgement,
    alert,
    alert_revision,
    conflict,
    delivery,
    envelope,
    escalation,
    hold,
    quarantine,
    telling,
)

BATCH = 500
"""Rows of one transaction: some tens of milliseconds, in which a commit waits."""
QUIET_MS = 7 * DAY_MS
"""A clock that is so far beyond the last message may be wrong, and a wrong clock would delete everything."""
OF_ORDERS: tuple[Kind, ...] = ("readings", "alerts", "notifications")
_NEVER_END = (*incidents.RULES, clock_alarm.RULE)
"""Alerts that stay open for ever: what settles them is a person who has acknowledged them."""
_SETTLE_TRIES = 5
_SCRUB_S = 20.0
_ANSWER_S = 60.0


class RetentionError(RuntimeError):
    """Nothing can be deleted now; the text says why and what to do."""


Settle = Callable[[], Mark]
"""Has everything judged that can be, and tells the mark. Raises RetentionError."""


class Window(NamedTuple):
    """A span of tag time in which readings of a device may belong to an order; ``to_ms`` is None while it goes on."""

    order_id: str
    from_ms: int
    to_ms: int | None

    def overlaps(self) -> ColumnElement[bool]:
        """The envelopes that the judge would read for it."""
        since = envelope.c.last_t_ms >= self.from_ms
        return since if self.to_ms is None else and_(since, envelope.c.first_t_ms <= self.to_ms)


@dataclass(frozen=True, slots=True)
class Case:
    """An order as retention sees it. ``ended_ms`` is from when periods count; ``needed`` says why all of it stays."""

    order_id: str
    activations: tuple[str, ...]
    ended_ms: int | None
    closed: bool
    needed: tuple[str, ...]

    def due(self, policy: Policy, kind: Kind, now_ms: int) -> bool:
        """Whether the policy no longer keeps its rows of a kind, and nobody needs it."""
        rule = policy.rule(kind)
        if rule is None or self.needed or self.ended_ms is None:
            return False
        return self.ended_ms + rule.days * DAY_MS <= now_ms


@dataclass(frozen=True, slots=True)
class Survey:
    """Everything that decides what may go, at one moment; ``token`` changes when any of it does."""

    cases: Mapping[str, Case]
    windows: Mapping[str, tuple[Window, ...]]
    held: frozenset[str]
    """Devices of which nothing may go."""
    all_held: bool
    devices: tuple[str, ...]
    token: tuple[int, ...]


@dataclass(slots=True)
class Planned:
    """What a run would delete, and what it would keep although its period is over."""

    items: dict[Kind, int] = field(default_factory=dict)
    orders: list[str] = field(default_factory=list)
    kept: dict[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(slots=True)
class Done:
    """What a run has deleted: its proofs, and whether nothing of it is left in the store's files."""

    run: str
    proofs: list[Proof] = field(default_factory=list)
    items: Counter[str] = field(default_factory=Counter)
    bytes: int = 0
    unreadable: int = 0
    scrubbed: bool = True


class _ChangedError(Exception):
    """What decided has changed; look again."""


def plan(store: Store, policy: Policy, now_ms: int) -> Planned:
    """What `run` would delete now. It changes nothing."""
    found = Planned()
    with store.read() as connection:
        survey = _survey(connection, now_ms)
        for case in survey.cases.values():
            over = [kind for kind in OF_ORDERS if _over(case, policy, kind, now_ms)]
            if over and case.needed:
                found.kept[case.order_id] = case.needed
            elif over:
                found.orders.append(case.order_id)
        closing = _as_closed(survey)
        for work in _works(closing, policy, now_ms):
            counted = connection.execute(work.count()).scalar_one()
            if counted:
                found.items[work.kind] = found.items.get(work.kind, 0) + counted
    return found


def run(
    store: Store,
    policy: Policy,
    now_ms: int,
    by: str,
    settle: Settle,
    *,
    trust_clock: bool = False,
    rewrite: bool = False,
    pause: Callable[[float], None] = time.sleep,
) -> Done:
    """Delete what the policy no longer keeps. May be cut off at any moment and run again.

    ``by`` is who has it done. With ``rewrite`` the store's files are written anew, which takes their size once more and
    holds up the gateway meanwhile. Raises RetentionError, and ``sqlalchemy.exc.DBAPIError`` where the store fails.
    """
    if not trust_clock:
        _refuse_a_clock_that_is_far_ahead(store, now_ms)
    done = Done(secrets.token_hex(8))
    mark = settle()
    mark = _close(store, policy, now_ms, by, mark, settle)
    moved = True
    while moved:
        moved = False
        with store.read() as connection:
            survey = _survey(connection, now_ms)
        try:
            for work in _works(survey, policy, now_ms, mark):
                _carry_out(store, survey, work, policy, now_ms, by, done, pause)
        except _ChangedError:
            moved = True
    with store.read() as connection:
        due = bool(state.number(connection, state.SCRUB_DUE))
    if due or rewrite:
        done.scrubbed = dialect.scrub(store.engine, rewrite=rewrite, within_s=_SCRUB_S)
        if done.scrubbed:
            with store.write() as connection:
                state.set_number(connection, state.SCRUB_DUE, 0)
    return done


def _refuse_a_clock_that_is_far_ahead(store: Store, now_ms: int) -> None:
    with store.read() as connection:
        newest = max(devices.last_heard(connection).values(), default=None)
    if newest is not None and not newest - DAY_MS <= now_ms <= newest + QUIET_MS:
        raise RetentionError(
            f"the clock says {utc_text(now_ms)}, and the last message came at {utc_text(newest)}: a wrong clock would "
            "delete too much, so nothing was deleted. If the clock is right, say --trust-clock"
        )


def _over(case: Case, policy: Policy, kind: Kind, now_ms: int) -> bool:
    rule = policy.rule(kind)
    return rule is not None and case.ended_ms is not None and case.ended_ms + rule.days * DAY_MS <= now_ms


def _survey(connection: Connection, now_ms: int) -> Survey:
    rows = orders.activations(connection)
    units = installations.every(connection)
    closed = erasures.closed_orders(connection)
    known_at = {name: version.known_at_ms for name, version in orders.newest(connection).items()}
    in_force = [one for one in erasures.holds(connection) if one.holds(now_ms)]
    waiting = _still_needed(connection)
    of_order: dict[str, list[orders.ActivationRow]] = {}
    for row in rows:
        of_order.setdefault(row.order_id, []).append(row)
    order_of = {row.id: row.order_id for row in rows}
    numbers = [int(one.name) for one in in_force if one.scope == "alert"]
    alert_of = dict(
        iter(
            connection.execute(select(alert.c.number, alert.c.activation).where(alert.c.number.in_(numbers)))
        )
    )
    reasons: dict[str, list[str]] = {}
    for activation_id, why in waiting:
        if activation_id in order_of:
            reasons.setdefault(order_of[activation_id], []).append(why)
    for one in in_force:
        for order_id in _orders_held(one, of_order, order_of, alert_of):
            reasons.setdefault(order_id, []).append(
                f"hold {one.id} ({one.who}: {one.why}; "
                f"{'until it is lifted' if one.until_ms is None else 'until ' + utc_text(one.until_ms)})"
            )
    cases: dict[str, Case] = {}
    windows: dict[str, list[Window]] = {}
    for order_id, mine in of_order.items():
        worn = [row.id for row in mine if row.removed_ms is None]
        removed = [row.removed_ms for row in mine if row.removed_ms is not None]
        # an excuse or another change of the order that was learnt later begins the period anew
        ended = None if worn else max(*removed, known_at.get(order_id, 0), 0)
        needed = [f"{name} is worn" for name in worn] + reasons.get(order_id, [])
        cases[order_id] = Case(
            order_id, tuple(row.id for row in mine), ended, order_id in closed, tuple(needed)
        )
        for row in mine:
            window = Window(order_id, row.fitted_ms, row.removed_ms)
            named = [row.device, *(one.unit for one in units if one.activation == row.id)]
            for device in dict.fromkeys(named):
                windows.setdefault(device, []).append(window)
    return Survey(
        cases=cases,
        windows={device: tuple(found) for device, found in windows.items()},
        held=frozenset(one.name for one in in_force if one.scope == "device"),
        all_held=any(one.scope == "everything" for one in in_force),
        devices=tuple(devices.kinds(connection)),
        token=_token(connection),
    )


def _token(connection: Connection) -> tuple[int, ...]:
    return (
        connection.execute(select(func.max(hold.c.id))).scalar() or 0,
        state.changes(connection),
    )


def _orders_held(
    one: Hold,
    of_order: Mapping[str, Sequence[orders.ActivationRow]],
    order_of: Mapping[str, str],
    alert_of: Mapping[int, str | None],
) -> Iterable[str]:
    if one.scope == "everything":
        return list(of_order)
    if one.scope == "order":
        return [one.name]
    if one.scope == "device":
        return [name for name, rows in of_order.items() if any(row.device == one.name for row in rows)]
    activation_id = one.name if one.scope == "activation" else alert_of.get(int(one.name)) or ""
    return [order_of[activation_id]] if activation_id in order_of else []


def _still_needed(connection: Connection) -> Iterator[tuple[str, str]]:
    """Activations with something unfinished, and what that is."""
    seen = dict(
        iter(
            connection.execute(
                select(acknowledgement.c.alert, func.max(acknowledgement.c.revision)).group_by(
                    acknowledgement.c.alert
                )
            )
        )
    )
    for row in connection.execute(
        select(alert).where(alert.c.state == "open", alert.c.activation.is_not(None))
    ):
        if row.rule in _NEVER_END and seen.get(row.number, 0) >= row.revision:
            continue
        yield row.activation, f"alert {row.number} is open"
    untold = [
        select(alert.c.activation, alert.c.number)
        .join(table, table.c.alert == alert.c.number)
        .where(table.c.outcome.is_(None), alert.c.activation.is_not(None))
        for table in (telling, delivery, escalation)
    ]
    told_from = state.number(connection, state.TOLD_FROM_MS)
    if told_from:  # else nobody is ever told: there is no notifier
        found = {(str(name), int(number)) for query in untold for name, number in connection.execute(query)}
        for activation_id, number in sorted(found):
            yield activation_id, f"somebody is still to be told of alert {number}"


def _as_closed(survey: Survey) -> Survey:
    """As it would be with everything closed that may be."""
    cases = {
        name: Case(case.order_id, case.activations, case.ended_ms, True, case.needed)
        for name, case in survey.cases.items()
    }
    return Survey(cases, survey.windows, survey.held, survey.all_held, survey.devices, survey.token)


def _close(store: Store, policy: Policy, now_ms: int, by: str, mark: Mark, settle: Settle) -> Mark:
    """Close every order of which something is due, once it is judged to the end, and have the judge take note."""
    for _ in range(_SETTLE_TRIES):
        with store.write() as connection:
            survey = _survey(connection, now_ms)
            names = [
                case.order_id
                for case in survey.cases.values()
                if not case.closed and any(case.due(policy, kind, now_ms) for kind in OF_ORDERS)
            ]
            if not names:
                return mark
            if mark.changes == state.changes(connection):
                ready = [name for name in names if _judged(connection, survey, name, mark)]
                for name in ready:
                    change = erasures.close(connection, name, now_ms, by)
                if ready and len(ready) == len(names):
                    break
        mark = settle()
    else:
        raise RetentionError(
            "orders are being changed, or readings judged, at this moment: nothing was deleted; try again"
        )
    mark = settle()
    if mark.changes < change:
        raise RetentionError(
            "the judge has not taken note that orders were closed: nothing was deleted; try again"
        )
    return mark


def _judged(connection: Connection, survey: Survey, order_id: str, mark: Mark) -> bool:
    for device, windows in survey.windows.items():
        mine = [window.overlaps() for window in windows if window.order_id == order_id]
        if mine:
            query = select(envelope.c.id).where(
                envelope.c.device == device, envelope.c.id > mark.envelope, or_(*mine)
            )
            if connection.execute(query.limit(1)).first() is not None:
                return False
    return True


@dataclass(frozen=True, slots=True)
class _Work:
    """Rows of one table of which all that match go, in batches; ``take`` deletes one batch and tells what is gone."""

    kind: Kind
    about: Mapping[str, Any]
    table: Table
    key: ColumnElement[int]
    condition: ColumnElement[bool]
    take: Callable[[Connection, Sequence[Any], _Taken], None]

    def count(self) -> Select[Any]:
        return select(func.count()).select_from(self.table).where(self.condition)

    def batch(self, after: int) -> Select[Any]:
        query = select(self.table).where(self.condition, self.key > after)
        return query.order_by(self.key).limit(BATCH)


@dataclass(slots=True)
class _Taken:
    """What one batch has deleted."""

    gone: list[Gone] = field(default_factory=list)
    rows: Counter[str] = field(default_factory=Counter)
    bytes: int = 0
    unreadable: int = 0


def _works(survey: Survey, policy: Policy, now_ms: int, mark: Mark | None = None) -> Iterator[_Work]:
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
            yield _Work(
                "alerts",
                {"order": case.order_id},
                alert,
                alert.c.number,
                and_(
                    alert.c.activation.in_(case.activations),
                    alert.c.changed_at_ms <= now_ms - policy.alerts.days * DAY_MS,
                ),
                _take_alerts,
            )
        if case.order_id in due["notifications"]:
            of_order = select(alert.c.number).where(alert.c.activation.in_(case.activations))
            for table, key in ((delivery, delivery.c.id), (telling, telling.c.id)):
                about = {"order": case.order_id, "table": table.name}
                yield _Work(
                    "notifications", about, table, key, table.c.alert.in_(of_order), _take_rows(table)
                )
    yield from _set_aside(policy, survey, due["readings"], now_ms)


def _of_device(
    policy: Policy,
    device: str,
    going: Sequence[Window],
    staying: Sequence[Window],
    now_ms: int,
    mark: Mark | None,
) -> Iterator[_Work]:
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
        yield _Work("readings", about, envelope, envelope.c.id, wanted, _take_envelopes)
        if not staying:
            old = and_(
                conflict.c.device == device,
                conflict.c.received_ms <= now_ms - policy.readings.days * DAY_MS,
            )
            about |= {"table": "conflict"}
            yield _Work("readings", about, conflict, conflict.c.id, old, _take_rows(conflict))
    if policy.unworn is not None:
        unworn = or_(
            envelope.c.last_t_ms.is_(None) if not staying else envelope.c.id < 0,
            and_(
                envelope.c.last_t_ms.is_not(None),
                *(not_(window.overlaps()) for window in (*going, *staying)),
            ),
        )
        old = envelope.c.received_ms <= now_ms - policy.unworn.days * DAY_MS
        yield _Work(
            "unworn", {"device": device}, envelope, envelope.c.id, and_(mine, old, unworn), _take_envelopes
        )


def _set_aside(policy: Policy, survey: Survey, going: set[str], now_ms: int) -> Iterator[_Work]:
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
    yield _Work(
        "quarantine", {"table": "quarantine"}, quarantine, quarantine.c.id, wanted, _take_rows(quarantine)
    )


def _carry_out(
    store: Store,
    survey: Survey,
    work: _Work,
    policy: Policy,
    now_ms: int,
    by: str,
    done: Done,
    pause: Callable[[float], None],
) -> None:
    with store.read() as connection:  # most have nothing: that must not wait for other writers
        if connection.execute(work.batch(0).with_only_columns(work.key).limit(1)).first() is None:
            return
    after = 0
    while True:
        began_s = time.monotonic()
        taken = _Taken()
        with store.write() as connection:
            if _token(connection) != survey.token:
                raise _ChangedError
            rows = connection.execute(work.batch(after)).all()
            if not rows:
                return
            after = int(rows[-1]._mapping[work.key])
            work.take(connection, rows, taken)
            if taken.gone:
                proof = erasures.prove(
                    connection,
                    taken.gone,
                    run=done.run,
                    at_ms=now_ms,
                    by=by,
                    kind=work.kind,
                    about={**work.about, "rows": dict(taken.rows), "policy_sha256": policy.digest},
                    version=policy.version,
                    policy=policy.said(work.kind),
                    size=taken.bytes,
                )
                state.set_number(connection, state.SCRUB_DUE, 1)
        # what is told has happened: a transaction that failed is not counted
        done.unreadable += taken.unreadable
        if taken.gone:
            done.proofs.append(proof)
            done.items[work.kind] += proof.items
            done.bytes += proof.bytes
        pause(time.monotonic() - began_s)


def _take_envelopes(connection: Connection, rows: Sequence[Any], taken: _Taken) -> None:
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


def _take_rows(table: Table) -> Callable[[Connection, Sequence[Any], _Taken], None]:
    """Rows that stand for themselves; those with bytes are proven by these, the others by all that they say."""

    def take(connection: Connection, rows: Sequence[Any], taken: _Taken) -> None:
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


def _take_alerts(connection: Connection, rows: Sequence[Any], taken: _Taken) -> None:
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


def _runs(settings: Settings) -> bool:
    """Whether a gateway runs on this folder, its ingest just now or not."""
    try:
        with (settings.data_dir / "serve.lock").open("rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


def settle_by(settings: Settings, store: Store) -> Settle:
    """How `run` has everything judged: the gateway is asked; where none runs, what it has written last must do."""
    checked = False

    def settle() -> Mark:
        nonlocal checked
        control = Control(settings.control_path, timeout_s=_ANSWER_S)
        try:
            return Mark(**control.ask({"do": "settle"}))
        except IngestGoneError as error:
            if _runs(settings):
                raise RetentionError(f"nothing was deleted, try again: {error}") from None
        except (ControlError, TypeError) as error:
            raise RetentionError(f"nothing was deleted: {error}") from None
        finally:
            control.close()
        # nobody judges now, and whoever begins to reads first what is closed
        with store.read() as connection:
            mark, changes = marked(connection), state.changes(connection)
        if not checked and mark.changes != changes:
            raise RetentionError(
                "nothing was deleted: the gateway does not run, and has not judged everything yet; start it first"
            )
        checked = True
        return Mark(mark.envelope, changes)

    return settle
