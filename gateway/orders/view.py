"""Orders as people look at them: a list, one whole, and what waits for a person.

``unsure_ms`` is from which stamp on this gateway had not been told the time (`gateway.gateway_time.unsure_from_ms`):
what was stamped then is told as “not before”, until it is put right.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection

from core.order import Order, OrderError, order_from_json
from gateway.clock import utc_text
from gateway.orders import history
from gateway.orders.intake import meaning_now
from gateway.orders.told import NOT_MONITORED, addresses_told, conditions_by_id, duties_told, local, stamped
from gateway.store import intake, orders


def listing(connection: Connection, unsure_ms: int | None = None) -> list[dict[str, Any]]:
    """Every order in its newest version, that which changed last first."""
    waiting = intake.standing_counts(connection)
    called = {case.id: case.reference for case in intake.cases(connection, "order")}
    newest = sorted(orders.newest(connection).values(), key=lambda one: one.known_at_ms, reverse=True)
    return [
        {
            "order": one.order_id,
            "called": called.get(one.order_id, ""),
            "version": one.version,
            "wearer": one.wearer_name,
            "regime": _regime(one),
            "since": stamped(one.known_at_ms, unsure_ms, utc_text),
            "monitoring": _monitoring(_read(one)),
            "tasks": waiting.get(one.order_id, 0),
        }
        for one in newest
    ]


def one(connection: Connection, name: str, now_ms: int, unsure_ms: int | None = None) -> dict[str, Any]:
    """All that is known of an order. Raises LookupError where none, or more than one, is called so."""
    order_id = found(connection, name)
    versions = orders.versions(connection, order_id)
    case = intake.case(connection, order_id)
    order = _read(versions[-1])
    shown: dict[str, Any] = {
        "order": order_id,
        "called": "" if case is None else case.reference,
        "version": versions[-1].version,
        "wearer": f"{versions[-1].wearer_name} ({versions[-1].wearer_id})",
        "regime": _regime(versions[-1]),
        "monitoring": _monitoring(order),
    }
    if order is not None:
        shown["conditions"] = conditions_by_id(order)
        shown["exceptions"] = [f"{one.condition}: {one.text}" for one in order.exceptions]
    meaning = None if case is None else meaning_now(connection, case, now_ms)
    if meaning is not None:
        shown["addresses"] = addresses_told(meaning)
        shown["duties"] = duties_told(meaning)
        shown["kept only"] = list(meaning.unused)
    elif case is not None:
        shown["deleted"] = (
            "what the order service said about it was deleted by policy: `tagwatch retention proofs`"
        )
    shown["history"] = history.of_order(connection, order_id, unsure_ms)
    shown["tasks"] = [f"{row.id} {row.kind}: {row.sentence}" for row in intake.tasks(connection, order_id)]
    if case is not None:
        about = [case.id] if case.wearer is None else [case.wearer, case.id]
        shown["messages"] = [
            {
                "at": stamped(row.received_ms, unsure_ms, utc_text),
                "operation": row.operation,
                "from": row.client,
                "sha256": row.sha256,
                "times": f"came {row.times} times, last {stamped(row.last_ms, unsure_ms, utc_text)}"
                if row.times > 1
                else "",
            }
            for case_id in about
            for row in intake.messages(connection, case_id)
        ]
        shown["attachments"] = [
            {"id": row.id, "file": row.file_name, "size": row.size, "sha256": row.sha256}
            for case_id in about
            for row in intake.attachments(connection, case_id)
        ]
    return shown


def tasks(
    connection: Connection, name: str | None, *, standing: bool, unsure_ms: int | None = None
) -> list[dict[str, Any]]:
    """What waits for a person, or everything that ever did; of one order or of all. Raises LookupError."""
    order_id = None if name is None else found(connection, name)
    newest = orders.newest(connection)
    return [
        {
            "task": row.id,
            "order": row.order_id,
            "wearer": newest[row.order_id].wearer_name if row.order_id in newest else "",
            "kind": row.kind,
            "about": row.about,
            "sentence": row.sentence,
            "raised": stamped(row.raised_ms, unsure_ms, local),
            "done": None if row.done_ms is None else stamped(row.done_ms, unsure_ms, local),
            "by": row.done_by,
            "note": row.note,
        }
        for row in intake.tasks(connection, order_id, standing=standing)
    ]


def found(connection: Connection, name: str) -> str:
    """The id of the order of that id, or that the order service calls so. Raises LookupError."""
    if orders.versions(connection, name):
        return name
    called = intake.orders_called(connection, name)
    if len(called) == 1:
        return called[0].id
    if called:
        ids = ", ".join(case.id for case in called)
        raise LookupError(f"several orders are called {name}: give one of {ids}")
    raise LookupError(f"no order is called {name}: see `tagwatch order list`")


def _read(version: orders.OrderVersion) -> Order | None:
    try:
        return order_from_json(json.loads(version.document))
    except OrderError:
        return None


def _monitoring(order: Order | None) -> str:
    if order is None:
        return f"{NOT_MONITORED}: this program can not read it"
    missing, all_of_it = len(order.unmonitored), len(order.unmonitored) + len(order.conditions)
    return f"{NOT_MONITORED}: {missing} of {all_of_it} conditions" if missing else "all conditions"


def _regime(version: orders.OrderVersion) -> str:
    document: Mapping[str, Any] = json.loads(version.document)
    return str(document.get("regime", ""))
