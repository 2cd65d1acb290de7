"""What decides what may go: each order with its readings' times, and why anybody still needs it.

An order is needed while a tag is worn under it, an alert of it is open, somebody is still to be told of one, or a hold
covers it. A survey is all of that at one moment; its token changes when any of it does.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, Select, and_, func, select

from gateway import clock_alarm, incidents
from gateway.clock import utc_text
from gateway.policy import DAY_MS, Kind, Policy
from gateway.store import devices, erasures, installations, intake, orders, state
from gateway.store.alerts import ORDER_OF
from gateway.store.erasures import Hold
from gateway.store.tables import (
    acknowledgement,
    activation,
    alert,
    delivery,
    envelope,
    escalation,
    hold,
    telling,
)

_NEVER_END = (*incidents.RULES, clock_alarm.RULE)
"""Alerts that stay open for ever: what settles them is a person who has acknowledged them."""


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
    wearers: Mapping[str, str]
    """Of orders that came in as messages, the case of their wearer, by their id."""


def survey_of(connection: Connection, now_ms: int) -> Survey:
    """What there is, at this moment of gateway time (UTC ms)."""
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
    alert_of: dict[int, str | None] = dict(
        iter(connection.execute(_under(select(alert.c.number, ORDER_OF)).where(alert.c.number.in_(numbers))))
    )
    reasons: dict[str, list[str]] = {}
    for order_id, why in waiting:
        reasons.setdefault(order_id, []).append(why)
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
        token=token_of(connection),
        wearers={one.id: one.wearer for one in intake.cases(connection, "order") if one.wearer},
    )


def token_of(connection: Connection) -> tuple[int, ...]:
    """What changes when anything does that a survey rests on."""
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
    held = order_of.get(one.name) if one.scope == "activation" else alert_of.get(int(one.name))
    return [] if held is None else [held]


def _under(query: Select[Any]) -> Select[Any]:
    """A query about alerts that can ask `ORDER_OF` each is."""
    return query.select_from(alert).outerjoin(activation, activation.c.id == alert.c.activation)


def _still_needed(connection: Connection) -> Iterator[tuple[str, str]]:
    """Orders with something unfinished, and what that is."""
    seen = dict(
        iter(
            connection.execute(
                select(acknowledgement.c.alert, func.max(acknowledgement.c.revision)).group_by(
                    acknowledgement.c.alert
                )
            )
        )
    )
    query = _under(select(ORDER_OF.label("under"), alert.c.number, alert.c.rule, alert.c.revision))
    for row in connection.execute(query.where(alert.c.state == "open", ORDER_OF.is_not(None))):
        if row.rule in _NEVER_END and seen.get(row.number, 0) >= row.revision:
            continue
        yield row.under, f"alert {row.number} is open"
    untold = [
        _under(select(ORDER_OF, alert.c.number))
        .join(table, table.c.alert == alert.c.number)
        .where(table.c.outcome.is_(None), ORDER_OF.is_not(None))
        for table in (telling, delivery, escalation)
    ]
    told_from = state.number(connection, state.TOLD_FROM_MS)
    if told_from:  # else nobody is ever told: there is no notifier
        found = {(str(name), int(number)) for query in untold for name, number in connection.execute(query)}
        for order_id, number in sorted(found):
            yield order_id, f"somebody is still to be told of alert {number}"


def as_closed(survey: Survey) -> Survey:
    """As it would be with everything closed that may be."""
    cases = {
        name: Case(case.order_id, case.activations, case.ended_ms, True, case.needed)
        for name, case in survey.cases.items()
    }
    return replace(survey, cases=cases)
