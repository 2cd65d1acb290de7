"""The one way in which a person changes an order: what is in force is read, changed, checked and written anew.

**A version acts only from its effective time.** Of the versions that are effective the highest holds, so a change from
tomorrow on that is made while another is already recorded for next week must not bring next week's words forward, nor
lose them: the change is made to what will be in force tomorrow, and again to each version that begins to hold after
it. One change may so make several versions; all of them and the record of who made it are one transaction.

A change of the lists that every version carries whole (absences, excuses, suspensions), or of who the wearer is, is for
all times: it is made to the newest version alone, and moves nothing forward.
"""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from sqlalchemy import Connection

from core.activation import in_turn
from core.law import LegalProblem, check_order
from core.order import Order, OrderError, order_from_json
from core.rules import DEFAULT_RULES
from core.schedule import ALWAYS_MS
from gateway.clock import utc_text
from gateway.orders import legal_tasks, unwatched
from gateway.orders.register import OrderRefused, refuse_closed
from gateway.store import order_changes, orders
from gateway.store.order_changes import ChangeRow

Document = dict[str, Any]
Change = Callable[[Document], Document]
"""Makes of what a version says what the next one is to say; it may change what it was given.

Raises OrderRefused where that can not be.
"""

FACTS = ("suspensions", "discounts", "conviction", "wearer")
"""What holds for all times, whichever version is in force: the newest says it."""
_OWN = ("version", "effective")


class NothingChangesError(OrderRefused):
    """The order says that already."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """What is recorded of a change: which kind, who and why; ``details`` is whatever else belongs to it, as JSON."""

    kind: str
    by: str
    reason: str
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Step:
    """One version that a change makes: ``before`` is what would hold from then on without it."""

    before: Document
    document: Document
    order: Order
    effective_ms: int


@dataclass(frozen=True, slots=True)
class Plan:
    """What a change comes to, before anything of it is written.

    ``steps`` are the versions that it makes, the first from ``effective_ms`` on; none where ``again`` is the same
    change, recorded before. ``problems`` is what the law has against the order as changed.
    """

    order_id: str
    recorded: Recorded
    identity: str
    effective_ms: int
    steps: tuple[Step, ...]
    problems: tuple[LegalProblem, ...]
    again: ChangeRow | None = None


def plan(
    connection: Connection,
    order_id: str,
    change: Change,
    recorded: Recorded,
    now_ms: int,
    effective_ms: int | None = None,
    *,
    replaces_later: bool = False,
    may_precede: bool = False,
) -> Plan:
    """What ``change`` makes of an order from ``effective_ms`` on (UTC ms; None: from now on, or from its beginning).

    With ``replaces_later`` versions that begin to hold after it are given up rather than changed too. With
    ``may_precede`` it may hold before any version did: the order then begins so much earlier.

    Raises OrderRefused where there is no such order, it is closed, what would come of it can not be used, or a later
    version has changed the same; NothingChangesError where the order says that already and nobody has recorded it so.
    """
    refuse_closed(connection, order_id)
    known = orders.versions(connection, order_id)
    if not known:
        raise OrderRefused(f"order {order_id} is not known: see `tagwatch order list`")
    documents = {one.version: json.loads(one.document) for one in known}
    typed = [_typed(document, f"version {number} of the order") for number, document in documents.items()]
    identity = _identity(recorded, effective_ms)
    newest = documents[known[-1].version]
    changed = change(copy.deepcopy(newest))
    parts = _parts(newest, changed)
    if parts and parts <= {(name, "") for name in FACTS}:
        from_ms = max(typed[-1].effective_ms, now_ms)
        pairs = [(newest, changed, from_ms)]
    else:
        pairs = _through(documents, typed, change, now_ms, effective_ms, replaces_later, may_precede)
        from_ms = pairs[0][2]
    if all(_says(before) == _says(after) for before, after, _ in pairs):
        again = order_changes.same(connection, order_id, identity)
        if again is None:
            raise NothingChangesError(f"order {order_id} says that already from {utc_text(from_ms)} on")
        return Plan(order_id, recorded, identity, again.effective_ms, (), (), again)
    steps = []
    for number, (before, after, at_ms) in enumerate(pairs, known[-1].version + 1):
        document = {**after, "order_id": order_id, "version": number, "effective": utc_text(at_ms)}
        order = _typed(document, "the order as changed")
        steps.append(Step(before, document, order, order.effective_ms))
    every = [*typed, *(step.order for step in steps)]
    problems = check_order(every[-1], DEFAULT_RULES.timezone, every[:-1])
    return Plan(order_id, recorded, identity, steps[0].effective_ms, tuple(steps), tuple(problems))


def write(
    connection: Connection, planned: Plan, now_ms: int, more: Mapping[str, Any] | None = None
) -> ChangeRow:
    """Write a plan, made in the same transaction; returns the change. One that was recorded before changes nothing.

    ``more`` is kept beside what was asked for: what was made of it, such as a notice.
    """
    if planned.again is not None:
        return planned.again
    orders.add_version(
        connection,
        *(
            orders.OrderVersion(
                planned.order_id,
                step.order.version,
                step.effective_ms,
                now_ms,
                step.order.wearer.id,
                step.order.wearer.name,
                json.dumps(step.document, ensure_ascii=False),
            )
            for step in planned.steps
        ),
    )
    first, last = planned.steps[0].order.version, planned.steps[-1].order.version
    number = _record(
        connection,
        planned.order_id,
        replace(planned.recorded, details={**planned.recorded.details, **(more or {})}),
        planned.identity,
        (first, last),
        planned.effective_ms,
        now_ms,
    )
    unwatched.sync(connection, planned.order_id, now_ms)
    legal_tasks.see_to(connection, planned.order_id, planned.problems, last, now_ms)
    found = order_changes.one(connection, number)
    assert found is not None
    return found


def note(
    connection: Connection, order_id: str, recorded: Recorded, now_ms: int, effective_ms: int | None = None
) -> ChangeRow:
    """Record something about an order that makes no version: a refusal, an appeal. The same again changes nothing.

    Raises OrderRefused where there is no such order.
    """
    known = orders.versions(connection, order_id)
    if not known:
        raise OrderRefused(f"order {order_id} is not known: see `tagwatch order list`")
    identity = _identity(recorded, effective_ms)
    found = order_changes.same(connection, order_id, identity)
    if found is None:
        at_ms = now_ms if effective_ms is None else effective_ms
        newest = known[-1].version
        number = _record(connection, order_id, recorded, identity, (newest, None), at_ms, now_ms)
        found = order_changes.one(connection, number)
    assert found is not None
    return found


def _identity(recorded: Recorded, effective_ms: int | None) -> str:
    asked = [str(recorded.kind), recorded.by, recorded.reason, dict(recorded.details), effective_ms]
    return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()


def _record(
    connection: Connection,
    order_id: str,
    recorded: Recorded,
    identity: str,
    versions: tuple[int, int | None],
    effective_ms: int,
    now_ms: int,
) -> int:
    return order_changes.add(
        connection,
        order_id=order_id,
        version=versions[0],
        last_version=versions[1],
        kind=recorded.kind,
        by=recorded.by,
        at_ms=now_ms,
        effective_ms=effective_ms,
        reason=recorded.reason,
        details=recorded.details,
        identity=identity,
    )


def _through(
    documents: Mapping[int, Document],
    typed: list[Order],
    change: Change,
    now_ms: int,
    effective_ms: int | None,
    replaces_later: bool,
    may_precede: bool,
) -> list[tuple[Document, Document, int]]:
    """(what would hold, what is to hold, from when), for ``effective_ms`` and every version that begins after it."""
    begins_ms = min(order.effective_ms for order in typed)
    from_ms = max(now_ms, begins_ms) if effective_ms is None else effective_ms
    if from_ms < begins_ms and not may_precede:
        raise OrderRefused(
            f"the order begins to hold at {utc_text(begins_ms)}, so nothing of it can change from "
            f"{utc_text(from_ms)} on: give that instant or a later one"
        )
    newest = documents[typed[-1].version]
    facts = {name: newest[name] for name in FACTS if name in newest}
    found: list[tuple[Document, Document, int]] = []
    for at_ms, _, order in in_turn(typed, from_ms, ALWAYS_MS):
        if found and replaces_later:
            break
        at_ms = at_ms if found else from_ms
        held = {name: said for name, said in documents[order.version].items() if name not in FACTS} | facts
        try:
            after = change(copy.deepcopy(held))
        except OrderRefused as error:
            if found:
                raise OrderRefused(
                    f"in version {order.version}, from {utc_text(at_ms)} on: {error}"
                ) from error
            raise
        if found:
            first, first_after, _ = found[0]
            touched = _parts(first, first_after) | _parts(held, after)
            theirs = sorted(part for part in touched if _part(first, part) != _part(held, part))
            if theirs:
                what = ", ".join(f"condition {name}" if name else key for key, name in theirs)
                raise OrderRefused(
                    f"version {order.version}, which holds from {utc_text(at_ms)} on, says something else of the same "
                    f"({what}): have the change begin with it or later, or have it replace that (--replaces-later)"
                )
        found.append((held, after, at_ms))
    return found


def _says(document: Mapping[str, Any]) -> Document:
    return {key: value for key, value in document.items() if key not in _OWN}


def _parts(before: Mapping[str, Any], after: Mapping[str, Any]) -> set[tuple[str, str]]:
    """What differs: a key of the order, or of its conditions each by its id."""
    keys = (before.keys() | after.keys()) - {*_OWN, "conditions"}
    found = {(key, "") for key in keys if before.get(key) != after.get(key)}
    ids = {str(one.get("id")) for said in (before, after) for one in said.get("conditions", ())}
    named = {("conditions", name) for name in ids}
    return found | {part for part in named if _part(before, part) != _part(after, part)}


def _part(document: Mapping[str, Any], part: tuple[str, str]) -> Any:
    key, name = part
    if not name:
        return document.get(key)
    return next((one for one in document.get("conditions", ()) if str(one.get("id")) == name), None)


def _typed(document: Mapping[str, object], what: str) -> Order:
    try:
        return order_from_json(document)
    except OrderError as error:
        raise OrderRefused(f"{what} can not be used: {error}") from error
