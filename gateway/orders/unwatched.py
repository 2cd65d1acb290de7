"""A condition that nothing watches while its wearer wears a tag: an alert, so that people are told until somebody acts.

Before a tag is fitted nothing is monitored, and the order itself has an alert (`gateway.orders.unfitted`). From the
fitting on, each condition of the order that is NOT MONITORED is an open alert of its own: whoever sees a tag worn would
think that all is watched. Like every alert it is told, again and again, until somebody acknowledges it
(`gateway.delivery`). It ends when a version of the order that can be monitored there is in force, with the condition or
the order, or when the tag is taken off. A version that acts only later ends nothing before: `gateway.orders.unfitted`
looks again as time passes.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace

from sqlalchemy import Connection

from core.activation import Activation, in_turn
from core.alerts import About, Alert, raise_alert
from core.conditions import UnmonitoredCondition
from core.order import Order, OrderError, order_from_json
from core.rules import DEFAULT_RULES
from core.schedule import ALWAYS_MS
from gateway import lasting
from gateway.store import alerts, orders

RULE = "not_monitored"
EXCEPTION = "stated_exception"
"""The figure of an alert that tells what the court excepts, in its words."""


def with_exception(alert: Alert, activation: Activation) -> Alert:
    """An alert with what the court excepts from its condition, for the person who weighs it; it suppresses nothing."""
    versions = (activation.order, *activation.earlier)
    order = next((one for one in versions if one.version == alert.order_version), activation.order)
    exception = order.exception_to(alert.condition)
    if not exception:
        return alert
    return replace(alert, figures={**alert.figures, EXCEPTION: exception})


def sync(connection: Connection, order_id: str, now_ms: int) -> list[int]:
    """Bring the alerts about an order's unwatched conditions up to date; returns the numbers of those that changed."""
    try:
        versions = [
            order_from_json(json.loads(one.document)) for one in orders.versions(connection, order_id)
        ]
    except OrderError:
        return []  # the log tells of it wherever it is read
    return see_to(connection, versions, orders.activations_of(connection, order_id), now_ms)


def see_to(
    connection: Connection, versions: Sequence[Order], worn: Sequence[orders.ActivationRow], now_ms: int
) -> list[int]:
    """The same where ``versions`` (ascending) of an order and its activations are at hand."""
    if not versions or not worn:
        return []
    order, missing = unwatched(versions, now_ms)
    wanted: dict[str, alerts.AlertEntry] = {}
    for row in worn:
        if row.removed_ms is None:
            for condition in missing:
                found = alerts.entry(_raised(row, order, condition, now_ms), row.device)
                wanted[found.id] = found
    mine = {row.id for row in worn}
    standing = {one.id: one for one in alerts.open_of_rule(connection, RULE) if one.activation in mine}
    changed = [
        lasting.over(one, now_ms, lambda said: f"{said.split(' Complete it')[0]} This is over.")
        for one in standing.values()
        if one.id not in wanted
    ]
    # one that stands begins when it began
    changed += [one if one.id not in standing else _since(one, standing[one.id]) for one in wanted.values()]
    return alerts.put(connection, changed, now_ms)


def unwatched(versions: Sequence[Order], now_ms: int) -> tuple[Order, tuple[UnmonitoredCondition, ...]]:
    """The version of an order that is in force (before any is: the first that will be), and what of it nothing watches.

    What is over is left out; what begins later is not, for it is to be completed before it does.
    """
    order = in_turn(versions, now_ms, ALWAYS_MS)[0][2]
    return order, tuple(one for one in order.unmonitored if order.dates_of(one)[1] > now_ms)


def next_ms(versions: Sequence[Order], now_ms: int) -> int | None:
    """When `unwatched` may next be another; None: never, as things stand."""
    marks = [version.effective_ms for version in versions]
    marks += [version.dates_of(one)[1] for version in versions for one in version.unmonitored]
    return min((mark for mark in marks if now_ms < mark < ALWAYS_MS), default=None)


def _raised(row: orders.ActivationRow, order: Order, condition: UnmonitoredCondition, now_ms: int) -> Alert:
    called = condition.name or condition.type
    exception = order.exception_to(condition.id)
    return raise_alert(
        About(row.id, condition.id, order.version, DEFAULT_RULES.version),
        RULE,
        "high",
        now_ms,
        None,
        f"The condition “{called}” is NOT MONITORED, although the wearer of device {row.device} wears a tag: "
        f"{condition.reason}. Complete it in the order.",
        {"time": "gateway", "why": condition.reason, **({EXCEPTION: exception} if exception else {})},
        (),
        (0,),
    )


def _since(fresh: alerts.AlertEntry, before: alerts.AlertEntry) -> alerts.AlertEntry:
    alert = replace(alerts.alert_of(fresh), start_ms=before.start_ms)
    known = alerts.alert_of(before)
    if replace(alert, order_version=known.order_version) == known:
        return before  # another version of the order says the same of it
    return alerts.entry(alert, fresh.device)
