"""A person's completion of an order, as one transaction: the next version, who and why, and the tasks it settles."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection

from core.conditions import UnmonitoredCondition
from gateway.orders import next_version
from gateway.orders.completed import settles
from gateway.orders.completing import DrawnZone, Given, added_zone, completed
from gateway.orders.kinds import Kind
from gateway.orders.next_version import Document, Plan, Recorded
from gateway.orders.register import OrderRefused
from gateway.store import Store, intake, orders


@dataclass(frozen=True, slots=True)
class Who:
    """Who completes it, why, when (gateway time) and from when on (None: from now on)."""

    by: str
    why: str
    now_ms: int
    effective_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Made:
    """What came of it. ``settled`` are the numbers of the tasks that are done by it."""

    plan: Plan
    condition: str
    settled: tuple[int, ...] = ()

    @property
    def still_open(self) -> tuple[UnmonitoredCondition, ...]:
        """What of the order is NOT MONITORED all the same."""
        return self.plan.steps[-1].order.unmonitored


def complete(
    store: Store,
    order_id: str,
    condition_id: str,
    given: Given,
    who: Who,
    details: Mapping[str, Any],
    *,
    dry_run: bool = False,
) -> Made:
    """Complete one condition that is NOT MONITORED. Raises OrderRefused; then, and in a dry run, nothing is written."""

    def change(document: Document) -> Document:
        return document | {"conditions": completed(document["conditions"], condition_id, given)}

    told = {"condition": condition_id, "what": given.what, **details}
    recorded = Recorded(Kind.COMPLETION, who.by, who.why, told)
    with store.read() as connection:
        planned = next_version.plan(connection, order_id, change, recorded, who.now_ms, who.effective_ms)
    if dry_run:
        return Made(planned, condition_id)
    with store.write() as connection:
        before = _newest(connection, order_id)
        planned = next_version.plan(connection, order_id, change, recorded, who.now_ms, who.effective_ms)
        next_version.write(connection, planned, who.now_ms)
        return Made(planned, condition_id, _settle(connection, planned, before, condition_id, who.now_ms))


def add_zone(
    store: Store,
    order_id: str,
    name: str,
    zone: DrawnZone,
    who: Who,
    details: Mapping[str, Any],
    dates: Mapping[str, Any],
    *,
    dry_run: bool = False,
) -> Made:
    """Add a zone to an order that does not name it yet. Raises OrderRefused."""
    with store.read() as connection:
        _, condition_id = added_zone(_newest(connection, order_id)["conditions"], name, zone, dates)

    def change(document: Document) -> Document:
        return document | {"conditions": added_zone(document["conditions"], name, zone, dates)[0]}

    recorded = Recorded(Kind.NEW_ZONE, who.by, who.why, {"condition": condition_id, **details})
    with store.read() if dry_run else store.write() as connection:
        planned = next_version.plan(connection, order_id, change, recorded, who.now_ms, who.effective_ms)
        if not dry_run:
            next_version.write(connection, planned, who.now_ms)
    return Made(planned, condition_id)


def _newest(connection: Connection, order_id: str) -> Document:
    versions = orders.versions(connection, order_id)
    if not versions:
        raise OrderRefused(f"order {order_id} is not known: see `tagwatch order list`")
    document: Document = json.loads(versions[-1].document)
    return document


def _settle(
    connection: Connection, planned: Plan, before: Document, condition_id: str, now_ms: int
) -> tuple[int, ...]:
    """The tasks whose reason is gone; not those that another condition has, too."""
    waiting = [one for one in before["conditions"] if "not_monitored" in one]
    mine = [one for one in waiting if str(one["id"]) == condition_id]
    others = [one for one in waiting if str(one["id"]) != condition_id]
    gone = {pair for one in mine for pair in settles(one)} - {pair for one in others for pair in settles(one)}
    rows = [row.id for row in intake.tasks(connection, planned.order_id) if (row.kind, row.about) in gone]
    intake.settle(connection, rows, f"{intake.BY_VERSION}{planned.steps[-1].order.version}", now_ms)
    return tuple(rows)
