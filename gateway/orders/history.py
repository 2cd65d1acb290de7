"""What has become of an order: each version with who, when, why and from when on, and what was recorded beside them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection

from core.alerts import instant_ms
from core.order import OrderError, order_from_json
from gateway.orders.kinds import Kind
from gateway.orders.life import Done
from gateway.orders.times import told
from gateway.orders.told import conditions_told, stamped
from gateway.store import order_changes, orders
from gateway.store.order_changes import ChangeRow


def of_order(connection: Connection, order_id: str, unsure_ms: int | None = None) -> list[dict[str, Any]]:
    """Every version and every record of an order, as it came; ``unsure_ms`` as in `gateway.orders.told.stamped`."""
    changes = order_changes.of_order(connection, order_id)
    made = {
        number: row
        for row in changes
        if row.last_version is not None
        for number in range(row.version, row.last_version + 1)
    }
    found = [_version(one, made.get(one.version), unsure_ms) for one in orders.versions(connection, order_id)]
    found += [_told(row, row.effective_ms, None, unsure_ms) for row in changes if row.last_version is None]
    return [entry for _, entry in sorted(found, key=lambda one: one[0])]


def _version(
    one: orders.OrderVersion, row: ChangeRow | None, unsure_ms: int | None
) -> tuple[tuple[int, int], dict[str, Any]]:
    if row is not None:
        return _told(row, one.effective_ms, one.version, unsure_ms)
    who = "typed in as a document, or by an earlier program" if one.version > 1 else "as it was made"
    return (one.known_at_ms, one.version), {
        "version": f"version {one.version}",
        "holds": f"from {told(one.effective_ms)}",
        "kind": who,
        "by": "",
        "at": _on(one.known_at_ms, unsure_ms),
        "reason": "",
        "more": "",
        "change": "",
    }


def _on(ms: int, unsure_ms: int | None) -> str:
    said = stamped(ms, unsure_ms, told)
    return said if said.startswith("not before") else f"on {said}"


def _told(
    row: ChangeRow, effective_ms: int, version: int | None, unsure_ms: int | None
) -> tuple[tuple[int, int], dict[str, Any]]:
    return (row.at_ms, row.version if version is None else version), {
        "version": "no version" if version is None else f"version {version}",
        "holds": "" if version is None else f"from {told(effective_ms)}",
        "kind": row.kind,
        "by": f"by {row.by}",
        "at": _on(row.at_ms, unsure_ms),
        "reason": row.reason,
        "more": _more(row),
        "change": f"change {row.id}",
    }


_KEPT = ("notice", "by_probation", "of", "says")


def _more(row: ChangeRow) -> str:
    """What else was recorded, in words; a notice is told of, not shown."""
    details = row.details
    said = []
    if details.get("by_probation"):
        consent = {True: "given", False: "refused", None: "not recorded"}[details["consent"]]
        said.append(f"by probation itself, consent {consent}")
    for name, value in details.items():
        if name not in (*_KEPT, "consent") and value not in (None, ""):
            said.append(f"{name.replace('_', ' ')}: {_value(value)}")
    if "notice" in details:
        said.append("with a notice to the court (`tagwatch order notice`)")
    return ", ".join(said)


def _value(value: object) -> str:
    if isinstance(value, str) and value.endswith("Z") and "T" in value:
        try:
            return told(instant_ms(value))
        except ValueError:
            return value
    return str(value)


def told_of(connection: Connection, order_id: str, done: Done | ChangeRow, *, trial: bool) -> dict[str, Any]:
    """What came of a command, for programs, and as ``lines`` for people."""
    if isinstance(done, ChangeRow):
        words = f"order {order_id}: {done.kind} is on record as change {done.id}"
        return {"order": order_id, "change": done.id, "kind": done.kind, "versions": [], "lines": [words]}
    planned, row = done.planned, done.row
    shown: dict[str, Any] = {
        "order": order_id,
        "kind": str(planned.recorded.kind),
        "change": None if row is None else row.id,
        "again": done.again,
        "dry_run": trial,
        "effective": told(planned.effective_ms),
        "versions": [
            {
                "version": step.order.version,
                "effective": told(step.effective_ms),
                "was": _lines(step.before),
                "becomes": conditions_told(step.order),
                "document": step.document,
            }
            for step in planned.steps
        ],
        "law": [str(one) for one in planned.problems],
        "to_do": [str(one) for one in done.doubts],
        "alerts": list(done.alerts),
    }
    return shown | {"lines": _words(order_id, shown, done)}


def _lines(document: Mapping[str, Any]) -> list[str]:
    try:
        return conditions_told(order_from_json(document))
    except OrderError:
        return []


def _words(order_id: str, shown: Mapping[str, Any], done: Done) -> list[str]:
    if done.again:
        assert done.row is not None
        return [f"order {order_id}: that is on record already as change {done.row.id}; nothing was changed"]
    would = "would become" if shown["dry_run"] else "becomes"
    lines = []
    for step in shown["versions"]:
        stays = step["was"] == step["becomes"]
        what = "; what its conditions ask stays" if stays else f", which holds from {step['effective']}"
        lines.append(f"order {order_id} {would} version {step['version']}{what}")
        if not stays:
            lines += [f"  before: {line}" for line in step["was"] if line not in step["becomes"]]
            lines += [f"  after:  {line}" for line in step["becomes"] if line not in step["was"]]
    if shown["alerts"]:
        kind = "say so, and stay" if shown["kind"] == Kind.EXCUSE else "lie in its time"
        lines.append(f"alerts {', '.join(map(str, shown['alerts']))} {kind}")
    if shown["change"] is not None:
        lines.append(f"on record as change {shown['change']}")
    return [*lines, *(f"TO BE LOOKED AT: {said}" for said in (*shown["law"], *shown["to_do"]))]


def ended_by_people_ms(connection: Connection, order_id: str) -> int | None:
    """When people here have ended an order, or recorded that it was revoked; None where nobody has."""
    ends = [
        row.effective_ms
        for row in order_changes.of_order(connection, order_id)
        if row.kind in (Kind.REVOKED, Kind.END)
    ]
    return min(ends) if ends else None


def ended_ms(connection: Connection, order_id: str) -> int | None:
    """When an order was ended early, by people or by its newest message; None where it was not."""
    found = [ended_by_people_ms(connection, order_id)]
    messages = [row for row in order_changes.of_order(connection, order_id) if row.kind == Kind.MESSAGE]
    if messages and "ends" in messages[-1].details:
        found.append(instant_ms(messages[-1].details["ends"]))
    return min((one for one in found if one is not None), default=None)
