"""What was deleted by policy: the chain of proofs, closed orders, holds.

A proof is written in the transaction that deletes, so what is gone and what is proven to be gone are always the same.
Each proof holds the hash of the one before it. Nothing here is ever changed or deleted, but for the lifting of a hold.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, NamedTuple

from sqlalchemy import Connection, func, insert, select, update

from gateway import merkle
from gateway.sequences import Span
from gateway.store import state
from gateway.store.tables import activation, alert, closure, erased, erasure, hold, installation

Scope = Literal["order", "activation", "device", "alert", "everything"]
SCOPES: tuple[Scope, ...] = ("order", "activation", "device", "alert", "everything")
FIRST = "0" * 64
"""What the first proof has for the hash of the one before."""


class Gone(NamedTuple):
    """What was deleted of one device and epoch: its numbers, tag time of its dated readings, a leaf for each item."""

    device: str
    epoch: int
    spans: tuple[Span, ...]
    first_t_ms: int | None
    last_t_ms: int | None
    leaves: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Proof:
    """A proof as it stands in the chain. ``about`` is JSON; ``root``, ``previous`` and ``hash`` are hex."""

    id: int
    run: str
    at_ms: int
    by: str
    kind: str
    about: str
    version: str
    policy: str
    items: int
    bytes: int
    root: str
    previous: str
    hash: str


@dataclass(frozen=True, slots=True)
class Hold:
    """Something that must not be deleted: ``who`` demands it, ``why``, and until when (None: until it is lifted)."""

    id: int
    scope: Scope
    name: str
    who: str
    why: str
    from_ms: int
    until_ms: int | None
    lifted_ms: int | None
    lifted_by: str | None

    def holds(self, now_ms: int) -> bool:
        """Whether it is in force."""
        return self.lifted_ms is None and (self.until_ms is None or now_ms < self.until_ms)


def prove(
    connection: Connection,
    gone: Sequence[Gone],
    *,
    run: str,
    at_ms: int,
    by: str,
    kind: str,
    about: Mapping[str, Any],
    version: str,
    policy: str,
    size: int,
) -> Proof:
    """Add a proof to the chain, in the transaction that deletes. ``size`` is how many bytes are gone."""
    last = connection.execute(
        select(erasure.c.id, erasure.c.hash).order_by(erasure.c.id.desc()).limit(1)
    ).one_or_none()
    leaves = [leaf for part in gone for leaf in part.leaves]
    proof = Proof(
        id=1 if last is None else last.id + 1,
        run=run,
        at_ms=at_ms,
        by=by,
        kind=kind,
        about=json.dumps(about, separators=(",", ":"), sort_keys=True, ensure_ascii=False),
        version=version,
        policy=policy,
        items=len(leaves),
        bytes=size,
        root=merkle.root(leaves).hex(),
        previous=FIRST if last is None else last.hash,
        hash="",
    )
    rows = [
        {
            "erasure": proof.id,
            "device": part.device,
            "epoch": part.epoch,
            "first": part.spans[0].first,
            "last": part.spans[-1].last,
            "spans": json.dumps(part.spans, separators=(",", ":")),
            "first_t_ms": part.first_t_ms,
            "last_t_ms": part.last_t_ms,
            "leaves": b"".join(part.leaves),
        }
        for part in sorted(gone, key=lambda part: (part.device, part.epoch))
    ]
    found = Proof(**(asdict(proof) | {"hash": _hash(proof, rows)}))
    connection.execute(insert(erasure).values(**asdict(found)))
    connection.execute(insert(erased), rows)
    return found


def proofs(connection: Connection, run: str | None = None) -> Iterator[Proof]:
    """The chain, first proof first; of one run only."""
    query = select(erasure).order_by(erasure.c.id)
    if run is not None:
        query = query.where(erasure.c.run == run)
    for row in connection.execute(query, execution_options={"yield_per": 500}):
        yield Proof(*row)


def head(connection: Connection) -> Proof | None:
    """The last proof; its hash stands for the whole chain."""
    row = connection.execute(select(erasure).order_by(erasure.c.id.desc()).limit(1)).one_or_none()
    return None if row is None else Proof(*row)


def faults(connection: Connection) -> Iterator[tuple[str, str]]:
    """What is wrong with the chain: where, and what."""
    before = FIRST
    expected = 1
    for proof in list(proofs(connection)):
        where = f"proof {proof.id} of deletion"
        if proof.id != expected:
            yield where, f"follows {expected - 1}: one between is missing"
        if proof.previous != before:
            yield where, "does not continue the proof before it"
        rows = _parts(connection, proof.id)
        if _hash(proof, rows) != proof.hash:
            yield where, "is not what was written: its hash is another"
        try:
            leaves = [leaf for row in rows for leaf in merkle.split(row["leaves"])]
            if (len(leaves), merkle.root(leaves).hex()) != (proof.items, proof.root):
                yield where, "its digest is not that of what it lists"
        except ValueError as error:
            yield where, str(error)
        before, expected = proof.hash, proof.id + 1


def spans_of(
    connection: Connection, device: str, epoch: int | None = None, kinds: Iterable[str] = ()
) -> dict[int, list[Span]]:
    """The numbers of a device that are gone, for each epoch."""
    query = select(erased.c.epoch, erased.c.spans).where(erased.c.device == device)
    if epoch is not None:
        query = query.where(erased.c.epoch == epoch)
    wanted = tuple(kinds)
    if wanted:
        query = query.join(erasure, erasure.c.id == erased.c.erasure).where(erasure.c.kind.in_(wanted))
    found: dict[int, list[Span]] = {}
    for row in connection.execute(query.order_by(erased.c.erasure)):
        found.setdefault(row.epoch, []).extend(_spans(row.spans))
    return found


READINGS = ("readings", "unworn")
"""The kinds of proof whose numbers are readings."""


def numbers_gone(connection: Connection, device: str, epoch: int, first: int, last: int) -> set[int]:
    """Which of the numbers ``first`` to ``last`` were stored and are deleted."""
    query = (
        select(erased.c.spans)
        .join(erasure, erasure.c.id == erased.c.erasure)
        .where(
            erasure.c.kind.in_(READINGS),
            erased.c.device == device,
            erased.c.epoch == epoch,
            erased.c.first <= last,
            erased.c.last >= first,
        )
    )
    return {
        number
        for spans in connection.execute(query).scalars()
        for span in _spans(spans)
        for number in range(max(first, span.first), min(last, span.last) + 1)
    }


def gone_from(connection: Connection, device: str, from_ms: int) -> bool:
    """Whether readings of a device, dated ``from_ms`` or later, were deleted."""
    query = select(erased.c.erasure).where(erased.c.device == device, erased.c.last_t_ms >= from_ms).limit(1)
    return connection.execute(query).one_or_none() is not None


def highest(connection: Connection, kind: str) -> int:
    """The highest number of what was deleted under proofs of that kind; 0 where nothing was."""
    query = select(func.max(erased.c.last)).join(erasure, erasure.c.id == erased.c.erasure)
    return connection.execute(query.where(erasure.c.kind == kind)).scalar() or 0


def proofs_of(
    connection: Connection, devices: Iterable[str], readings: Iterable[tuple[int, int]]
) -> list[Proof]:
    """The proofs of the deletion of any of these readings, each (epoch, number), of any of these devices."""
    wanted: dict[int, list[int]] = {}
    for epoch, number in readings:
        wanted.setdefault(epoch, []).append(number)
    found: dict[int, Proof] = {}
    for epoch, numbers in wanted.items():
        rows = connection.execute(
            select(erasure, erased.c.spans)
            .join(erased, erased.c.erasure == erasure.c.id)
            .where(
                erasure.c.kind.in_(READINGS),
                erased.c.device.in_(list(devices)),
                erased.c.epoch == epoch,
                erased.c.first <= max(numbers),
                erased.c.last >= min(numbers),
            )
        )
        for row in rows:
            spans = _spans(row.spans)
            if any(span.first <= number <= span.last for span in spans for number in numbers):
                found[row.id] = Proof(*row[:-1])
    return [found[key] for key in sorted(found)]


def proofs_of_alert(connection: Connection, number: int) -> list[Proof]:
    """The proofs of the deletion of any of the readings that an alert rests on, and of the alert itself."""
    row = connection.execute(select(alert).where(alert.c.number == number)).one_or_none()
    if row is None:
        query = (
            select(erasure, erased.c.spans)
            .join(erased, erased.c.erasure == erasure.c.id)
            .where(erasure.c.kind == "alerts", erased.c.first <= number, erased.c.last >= number)
        )
        return [
            Proof(*found[:-1])
            for found in connection.execute(query)
            if any(span.first <= number <= span.last for span in _spans(found.spans))
        ]
    units = select(installation.c.unit).where(installation.c.activation == row.activation)
    named = [row.device, *connection.execute(units).scalars()]
    return proofs_of(connection, named, json.loads(row.document).get("readings", []))


def proof_of_item(connection: Connection, data: bytes) -> tuple[Proof, list[tuple[bool, bytes]]] | None:
    """The proof that exactly these bytes were there and were deleted, and the path from them to its root."""
    wanted = merkle.leaf(data)
    rows = connection.execute(select(erased.c.erasure, erased.c.leaves).order_by(erased.c.erasure))
    for row in rows:
        if wanted not in merkle.split(row.leaves):
            continue
        proof = Proof(*connection.execute(select(erasure).where(erasure.c.id == row.erasure)).one())
        leaves = [leaf for part in _parts(connection, proof.id) for leaf in merkle.split(part["leaves"])]
        return proof, merkle.path(leaves, leaves.index(wanted))
    return None


def close(connection: Connection, order_id: str, at_ms: int, by: str) -> int:
    """Nobody is judged by this order any more; returns the number of the change that says so to the judge."""
    connection.execute(insert(closure).values(order_id=order_id, at_ms=at_ms, by=by))
    state.note_change(connection)
    return state.changes(connection)


def closed_orders(connection: Connection) -> set[str]:
    """The orders by which nobody is judged any more."""
    return set(connection.execute(select(closure.c.order_id)).scalars())


def closed_activations(connection: Connection) -> set[str]:
    """The activations under such orders."""
    query = select(activation.c.id).join(closure, closure.c.order_id == activation.c.order_id)
    return set(connection.execute(query).scalars())


def add_hold(
    connection: Connection, scope: str, name: str, who: str, why: str, from_ms: int, until_ms: int | None
) -> int:
    """Write a hold; returns its number."""
    made = connection.execute(
        insert(hold).values(scope=scope, name=name, who=who, why=why, from_ms=from_ms, until_ms=until_ms)
    )
    key = made.inserted_primary_key
    assert key is not None
    return int(key[0])


def lift_hold(connection: Connection, number: int, by: str, at_ms: int) -> bool:
    """End a hold; False where there is none of that number, or it was lifted before."""
    changed = connection.execute(
        update(hold)
        .where(hold.c.id == number, hold.c.lifted_ms.is_(None))
        .values(lifted_ms=at_ms, lifted_by=by)
    )
    return bool(changed.rowcount)


def holds(connection: Connection) -> list[Hold]:
    """Every hold that ever was, in the order of their making."""
    return [Hold(*row) for row in connection.execute(select(hold).order_by(hold.c.id))]


def count(connection: Connection) -> int:
    """How many proofs there are."""
    return connection.execute(select(func.count()).select_from(erasure)).scalar_one()


def _parts(connection: Connection, proof_id: int) -> list[dict[str, Any]]:
    rows = [
        dict(row._mapping) for row in connection.execute(select(erased).where(erased.c.erasure == proof_id))
    ]
    # not by the database, which may sort text by the rules of a language
    return sorted(rows, key=lambda row: (row["device"], row["epoch"]))


def _hash(proof: Proof, rows: Sequence[Mapping[str, Any]]) -> str:
    facts = {name: value for name, value in asdict(proof).items() if name != "hash"}
    parts = [{**row, "leaves": hashlib.sha256(row["leaves"]).hexdigest()} for row in rows]
    text = json.dumps([facts, parts], separators=(",", ":"), sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def _spans(text: str) -> list[Span]:
    return [Span(first, last) for first, last in json.loads(text)]
