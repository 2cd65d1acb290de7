"""An order that is in force while nobody wears a tag under it: one alert of the order, until a tag is fitted.

Before the fitting there is no device that an alert could be of, so this one is of the order (docs/decisions/0028).
It is told like any other, again and again, until somebody acknowledges it (`gateway.delivery`). ``medium`` while the
order has not begun and a condition of it is NOT MONITORED: there is time to complete it. ``high``, and told anew, from
the order's beginning on, for nothing of it is watched then.

Each order has an instant at which it is to be looked at next (`gateway.store.orders`), so that a caseload costs one
question a second. What nothing watches of an order under which a tag is worn (`gateway.orders.unwatched`) is looked at
then, too: a version that was recorded for later begins to act with nobody there.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import structlog
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from core.alerts import About, Alert, Severity, civil, iso_utc, raise_alert
from core.order import Order, OrderError, order_from_json
from core.rules import DEFAULT_RULES
from core.schedule import ALWAYS_MS, Interval, without
from gateway import lasting
from gateway.orders import unwatched
from gateway.store import Store, alerts, erasures, orders

log = structlog.get_logger(__name__)

RULE = "order_not_monitored"
CONDITION = "order"
SOON_MS = 5 * 60_000
"""An order and its fitting are often entered one after the other; nobody is to be told in between."""
SWAP_MS = 60 * 60_000
"""So long may pass between taking one tag off and fitting another."""
_AGAIN_MS = 24 * 60 * 60_000
_MOST = 200
_NAMED = 5


@dataclass(frozen=True, slots=True)
class Unfitted:
    """What is to be told of an order at an instant: how severe it is (None: nothing is), since when nothing is watched,
    and when the answer may be another (None: never, as things stand)."""

    severity: Severity | None
    since_ms: int
    next_ms: int | None


def in_force(versions: Sequence[Order]) -> list[Interval]:
    """When anything of an order is in force, by all that is known of it; UTC ms, ascending, suspensions left out."""
    spans: list[Interval] = []
    for i, version in enumerate(versions):
        until = min((later.effective_ms for later in versions[i + 1 :]), default=ALWAYS_MS)
        for condition in (*version.conditions, *version.unmonitored):
            start, end = version.dates_of(condition)
            start, end = max(start, version.effective_ms), min(end, until)
            if start < end:
                spans.append((start, end))
    merged: list[Interval] = []
    for start, end in sorted(spans):
        if merged and start <= merged[-1][1]:
            merged[-1] = merged[-1][0], max(end, merged[-1][1])
        else:
            merged.append((start, end))
    suspended = [(one.from_ms, one.to_ms) for one in versions[-1].suspensions]
    return without(merged, suspended)


def unfitted(versions: Sequence[Order], worn: Sequence[orders.ActivationRow], now_ms: int) -> Unfitted:
    """What is to be told of an order at ``now_ms``; ``versions`` ascending, ``worn`` its activations."""
    spans = in_force(versions)
    marks = [edge for span in spans for edge in span]
    removed = [row.removed_ms for row in worn if row.removed_ms is not None]
    off_ms = max(removed, default=None)
    if off_ms is not None:
        marks += [off_ms, off_ms + SWAP_MS]
    next_ms = min((mark for mark in marks if now_ms < mark < ALWAYS_MS), default=None)
    severity: Severity | None = None
    since_ms = now_ms
    mine = next((span for span in spans if span[0] <= now_ms < span[1]), None)
    if _is_worn(worn, now_ms):
        pass
    elif mine is not None:
        since_ms = mine[0] if off_ms is None else max(mine[0], off_ms)
        # an order without an end is over, as far as anybody has said, when its tag is taken off
        goes_on = off_ms is None or (mine[1] < ALWAYS_MS and now_ms >= off_ms + SWAP_MS)
        severity = "high" if goes_on else None
    elif off_ms is None and versions[-1].unmonitored and any(start > now_ms for start, _ in spans):
        severity, since_ms = "medium", min(start for start, _ in spans if start > now_ms)
    return Unfitted(severity, since_ms, next_ms)


def look(store: Store, now_ms: int, within_s: float = math.inf) -> list[int]:
    """See to the orders for which it is time (``now_ms``: gateway time); the numbers of the alerts that changed.

    After ``within_s`` what is left is the next time's. Raises ``sqlalchemy.exc.DBAPIError``.
    """
    with store.read() as connection:
        due = orders.due(connection, now_ms, _MOST)
    if not due:
        return []
    until_s = time.monotonic() + within_s
    written: list[int] = []
    with store.write() as connection:
        for order_id, due_ms in orders.due(connection, now_ms, _MOST):
            try:
                written += _see_to(connection, order_id, due_ms, now_ms)
            except DBAPIError:
                raise
            except Exception:
                # one order that this can not deal with must not keep the others from being looked at
                log.exception("it can not be seen whether an order is monitored")
                orders.look_at(connection, order_id, now_ms + _AGAIN_MS)
            if time.monotonic() > until_s:
                break
    return written


def settle(connection: Connection, order_id: str, now_ms: int) -> list[int]:
    """A tag was fitted: what stands of the order's alert is over. In the transaction that binds it."""
    standing = _standing(connection, order_id)
    worn = [] if standing is None else orders.activations_of(connection, order_id)
    if standing is None or not _is_worn(worn, now_ms):
        return []
    return alerts.put(connection, [_over(standing, now_ms)], now_ms)


def _see_to(connection: Connection, order_id: str, due_ms: int, now_ms: int) -> list[int]:
    standing = _standing(connection, order_id)
    worn = orders.activations_of(connection, order_id)
    if due_ms == 0 and standing is None and not _is_worn(worn, now_ms):
        orders.look_at(connection, order_id, now_ms + SOON_MS)
        return []
    versions = _versions(connection, order_id)
    written: list[int] = []
    next_ms: int | None = None
    if not versions or order_id in erasures.closed_orders(connection):
        found = Unfitted(None, now_ms, None)
    else:
        found = unfitted(versions, worn, now_ms)
        if worn:
            written = unwatched.see_to(connection, versions, worn, now_ms)
            next_ms = unwatched.next_ms(versions, now_ms)
    looks = [mark for mark in (found.next_ms, next_ms) if mark is not None]
    orders.look_at(connection, order_id, min(looks, default=None))
    if found.severity is not None:
        raised = _raised(versions[-1], found, now_ms)
        if standing is not None:
            raised = replace(raised, start_ms=standing.start_ms)
        return written + alerts.put(connection, [alerts.entry(raised, None, order_id)], now_ms)
    return written + ([] if standing is None else alerts.put(connection, [_over(standing, now_ms)], now_ms))


def _is_worn(worn: Sequence[orders.ActivationRow], now_ms: int) -> bool:
    return any(row.removed_ms is None or row.removed_ms > now_ms for row in worn)


def _versions(connection: Connection, order_id: str) -> list[Order]:
    """Those that this program can read: of one that it can not, the log tells wherever it is read."""
    found = []
    for version in orders.versions(connection, order_id):
        try:
            found.append(order_from_json(json.loads(version.document)))
        except OrderError:
            continue
    return found


def _standing(connection: Connection, order_id: str) -> alerts.AlertEntry | None:
    return next((one for one in alerts.open_of_order(connection, order_id) if one.rule == RULE), None)


def _raised(order: Order, found: Unfitted, now_ms: int) -> Alert:
    assert found.severity is not None
    missing = [f"“{one.name or one.type}” ({one.reason})" for one in order.unmonitored]
    count = len(order.unmonitored) + len(order.conditions)
    named = "; ".join(missing[:_NAMED])
    named += f"; and {len(missing) - _NAMED} more" if len(missing) > _NAMED else ""
    since = (
        civil(found.since_ms, DEFAULT_RULES.timezone) if abs(found.since_ms) < ALWAYS_MS else "its beginning"
    )
    if found.severity == "high":
        sentence = (
            f"Order {order.order_id} is in force, and nobody has worn a tag under it since {since}: nothing of it is "
            "monitored. Fit a tag."
        )
        if missing:
            sentence += (
                f" Even then {len(missing)} of {count} conditions are NOT MONITORED: {named}. Complete them."
            )
    else:
        sentence = (
            f"Order {order.order_id} begins at {since}, and {len(missing)} of {count} conditions are NOT MONITORED: "
            f"{named}. Complete them before."
        )
    figures: dict[str, int | float | str] = {
        "time": "gateway",
        "since": iso_utc(found.since_ms) if abs(found.since_ms) < ALWAYS_MS else "",
        "not_monitored": len(missing),
        "conditions": count,
    }
    about = About("", CONDITION, order.version, DEFAULT_RULES.version)
    known_as = f"order {order.order_id}"
    return raise_alert(
        about, RULE, found.severity, now_ms, None, sentence, figures, (), (0,), known_as=known_as
    )


def _over(standing: alerts.AlertEntry, now_ms: int) -> alerts.AlertEntry:
    return lasting.over(standing, now_ms, "{} This is over.".format)
