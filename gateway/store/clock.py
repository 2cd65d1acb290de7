"""Gateway time in the store: the line that stamps lie along (`gateway.trust`), and putting stamps right with it.

All of it stands in one transaction with the change of the line: no stamp is right by one and wrong by the other.
"""

from __future__ import annotations

from dataclasses import replace

from sqlalchemy import Column, Connection, Table, and_, delete, false, func, select, update

from core.contact import NO_CONTACT
from core.rules import DEFAULT_RULES
from gateway.store import alerts, state
from gateway.store.tables import (
    access_token,
    account,
    acknowledgement,
    alert,
    alert_revision,
    bundle,
    bundle_visit,
    command,
    conflict,
    delivery,
    envelope,
    escalation,
    heard,
    look,
    order_attachment,
    order_case,
    order_change,
    order_message,
    order_task,
    order_token,
    order_version,
    path,
    quarantine,
    session,
    telling,
)
from gateway.trust import Basis, Line

BOOT = "clock_boot"
OFFSET_MS = "clock_offset_ms"
BASIS = "clock_basis"
FROM_MS = "clock_from_ms"
LEAST_MS = "clock_least_ms"
AGREED_MS = "clock_agreed_ms"
FLOOR_MS = "clock_floor_ms"
ENVELOPE = "clock_envelope"
"""No envelope up to this row was stamped along the line."""
BELIEVE = "clock_believe"
"""When, by the steady clock, the operator said that the box's clock is right; 0: not said."""
_NONE = -1

_STAMPS: tuple[tuple[Table, tuple[str, ...]], ...] = (
    (heard, ("received_ms",)),
    (conflict, ("received_ms",)),
    (quarantine, ("received_ms",)),
    (order_version, ("known_at_ms",)),
    (order_change, ("at_ms",)),
    (order_case, ("added_at_ms",)),
    (order_message, ("received_ms", "last_ms")),
    (order_attachment, ("received_ms",)),
    (order_task, ("raised_ms", "done_ms")),
    (alert, ("raised_at_ms", "changed_at_ms")),
    (alert_revision, ("at_ms",)),
    (look, ("at_ms",)),
    (telling, ("at_ms", "decided_ms")),
    (acknowledgement, ("at_ms",)),
    (path, ("failing_ms", "retry_ms", "sent_ms")),
    (account, ("password_ms", "made_ms", "disabled_ms")),
    (session, ("made_ms", "seen_ms", "ended_ms")),
    (access_token, ("used_ms", "revoked_ms")),
    (bundle, ("revoked_ms",)),
    (bundle_visit, ("at_ms",)),
)
"""Columns of gateway time in which each stamp says itself when it was made."""


def load(connection: Connection) -> Line | None:
    """The line as it was written last; None in a store whose gateway has never had one."""
    boot = state.number(connection, BOOT, _NONE)
    if boot == _NONE:
        return None
    return Line(
        boot,
        state.number(connection, OFFSET_MS),
        Basis(state.number(connection, BASIS)),
        state.number(connection, FROM_MS),
        state.number(connection, LEAST_MS),
        state.number(connection, AGREED_MS),
    )


def save(connection: Connection, line: Line) -> None:
    """Write the line that stamps are made along from now on."""
    for name, value in (
        (BOOT, line.boot),
        (OFFSET_MS, line.offset_ms),
        (BASIS, int(line.basis)),
        (FROM_MS, line.from_ms),
        (LEAST_MS, line.least_ms),
        (AGREED_MS, line.agreed_ms),
    ):
        state.set_number(connection, name, value)


def newest_ms(connection: Connection) -> int:
    """The newest stamp of this gateway; 0 where nothing has ever happened."""
    heard_ms = connection.execute(select(func.max(heard.c.received_ms))).scalar() or 0
    return max(heard_ms, alerts.last_changed_ms(connection), state.number(connection, FLOOR_MS))


def begin(connection: Connection, boot: int, steady_ms: int, built_ms: int) -> Line:
    """The line of a gateway that begins at ``steady_ms`` of this boot: the one before goes on, or a new one begins.

    A new one rests on nothing: it is not before what was stamped last, nor before the program was made (``built_ms``).
    Where the one before rested on nothing either its stamps are still to be put right, together with the new ones.
    """
    known = load(connection)
    if known is not None and known.boot == boot:
        return known
    newest = newest_ms(connection)
    floor_ms = max(newest, built_ms)
    open_still = known is not None and known.basis == Basis.FLOOR
    from_ms = known.from_ms if known is not None and open_still else floor_ms + 1
    # the boot before ended before this one began; of what was stamped before there were lines that is not known
    offset_ms = floor_ms + 1 - (steady_ms if known is None else 0)
    line = Line(boot, offset_ms, Basis.FLOOR, from_ms, offset_ms - 1, steady_ms, fresh=not newest)
    if not open_still:
        _mark(connection)
    save(connection, line)
    return line


def go_on(connection: Connection, line: Line, now_ms: int, *, proven: bool) -> None:
    """Write down that it is not before ``now_ms`` any more; ``proven``: and that all stamps up to now are right."""
    state.set_number(connection, FLOOR_MS, now_ms)
    if proven:
        _mark(connection)
    save(connection, line)


def _mark(connection: Connection) -> None:
    newest = connection.execute(select(func.max(envelope.c.id))).scalar() or 0
    state.set_number(connection, ENVELOPE, newest)


def correct(connection: Connection, old: Line, new: Line, now_ms: int) -> Line:
    """Go on along ``new``: every stamp along ``old`` is put right, and none is left ahead of ``now_ms`` (by ``new``).

    Alerts of a silence that was measured from a wrong stamp, or that has not come yet, are withdrawn; who is silent is
    told anew. Returns the line as written.
    """
    by_ms = new.offset_ms - old.offset_ms
    if by_ms:
        _shift(connection, old.from_ms, by_ms)
        new = replace(new, from_ms=old.from_ms + by_ms)
    # what an earlier program stamped by a clock that was ahead
    connection.execute(update(heard).where(heard.c.received_ms > now_ms).values(received_ms=now_ms))
    connection.execute(update(alert).where(alert.c.changed_at_ms > now_ms).values(changed_at_ms=now_ms))
    _withdraw_silences(connection, old.from_ms if by_ms else None, now_ms)
    floor_ms = state.number(connection, FLOOR_MS)
    if floor_ms >= old.from_ms or floor_ms > now_ms:
        state.set_number(connection, FLOOR_MS, min(floor_ms + by_ms, now_ms))
    save(connection, new)
    return new


def _shift(connection: Connection, from_ms: int, by_ms: int) -> None:
    """Move every stamp from ``from_ms`` on."""
    for table, names in _STAMPS:
        for name in names:
            _move(connection, table, (name,), table.c[name] >= from_ms, by_ms)
    later = and_(envelope.c.id > state.number(connection, ENVELOPE), envelope.c.received_ms >= from_ms)
    _move(connection, envelope, ("received_ms",), later, by_ms)
    _move(connection, command, ("made_at_ms", "expires_at_ms"), command.c.made_at_ms >= from_ms, by_ms)
    made = access_token.c.made_ms >= from_ms
    _move(connection, access_token, ("made_ms", "expires_ms"), made, by_ms)
    # from when to when one of these counts nobody can say any more; the order service gets another where one is refused
    connection.execute(delete(order_token).where(order_token.c.expires_ms >= from_ms))
    _move(connection, bundle, ("issued_ms", "expires_ms"), bundle.c.issued_ms >= from_ms, by_ms)
    # before the messages: each round's were made when it began
    told = (
        select(delivery.c.id)
        .where(
            delivery.c.alert == escalation.c.alert,
            delivery.c.route == escalation.c.route,
            delivery.c.round == escalation.c.round,
            delivery.c.made_ms >= from_ms,
        )
        .exists()
    )
    _move(connection, escalation, ("next_ms",), told, by_ms)
    _move(connection, escalation, ("began_ms",), escalation.c.began_ms >= from_ms, by_ms)
    made = delivery.c.made_ms >= from_ms
    # a digest keeps its hour of the day
    _move(connection, delivery, ("next_ms",), and_(made, delivery.c.digest == false()), by_ms)
    _move(connection, delivery, ("done_ms",), delivery.c.done_ms >= from_ms, by_ms)
    _move(connection, delivery, ("made_ms", "sms_next_ms"), made, by_ms)
    for name in (state.HEALTHY_MS, state.TOLD_FROM_MS):
        known = state.number(connection, name)
        if known >= from_ms:
            state.set_number(connection, name, known + by_ms)


def _move(connection: Connection, table: Table, names: tuple[str, ...], where: object, by_ms: int) -> None:
    columns: list[Column[int]] = [table.c[name] for name in names]
    connection.execute(update(table).where(where).values({one: one + by_ms for one in columns}))  # type: ignore[arg-type]


def _withdraw_silences(connection: Connection, from_ms: int | None, now_ms: int) -> None:
    wait_ms = DEFAULT_RULES.no_contact_s * 1000
    names = [alert.c[name] for name in alerts.AlertEntry.__slots__]
    untrue = alert.c.start_ms > now_ms
    if from_ms is not None:
        untrue = untrue | (alert.c.start_ms - wait_ms >= from_ms)
    query = select(*names).where(alert.c.rule == NO_CONTACT, alert.c.state != "withdrawn", untrue)
    found = [alerts.AlertEntry(*row) for row in connection.execute(query)]
    alerts.put(connection, [alerts.withdrawn(one) for one in found], now_ms)
