"""What an order service sends is taken in: kept word for word, and made into a version of an order.

One message is one transaction: the message, the case that it makes or changes, what it means and the tasks for people
are on disk together, or nothing is. The same message again changes nothing and gets the same answer, whoever sends it
at the same time and whenever power went.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from sqlalchemy import Connection

from gateway.orders import tasks, unwatched
from gateway.orders.meaning import Known, Meaning, meaning_of
from gateway.orders.reading import Message, read
from gateway.orders.tasks import Finding
from gateway.orders.words import text
from gateway.store import Store, erasures, intake, orders
from gateway.store.intake import Case

Operation = Literal[
    "createDW", "updateDW", "createMO", "updateMO", "createCPDW", "updateCPDW", "createCPMO", "updateCPMO"
]


class UnknownCaseError(LookupError):
    """There is no case of that id; the text names it."""

    def __init__(self, case_id: str) -> None:
        super().__init__(f"no case is called {case_id}")


@dataclass(frozen=True, slots=True)
class ReadBack:
    """What was sent last about a wearer and about an order; None where nothing was."""

    case_id: str
    wearer: bytes | None
    order: bytes | None


def take_in(store: Store, operation: Operation, client: str, data: bytes, now_ms: int) -> str:
    """Take in one message; returns the id of the wearer or order that it is about.

    Raises NoMessageError where it is none, UnknownCaseError where it names a wearer that is not known, DBAPIError where
    the store fails. In each of these cases nothing is stored.
    """
    message = read(data)
    with store.write() as connection:
        before = intake.known(connection, operation, message.content)
        if before is not None:
            _again(connection, before, now_ms)
            return before.case_id
        is_wearer = operation.endswith("DW")
        found = (_wearer if is_wearer else _order)(connection, operation, message, now_ms)
        if found.case is None:
            case = Case(
                secrets.token_hex(16),
                "wearer" if is_wearer else "order",
                found.wearer,
                "" if is_wearer else text(message.fields.get("order_id")),
                now_ms,
            )
            intake.add_case(connection, case)
        else:
            case = found.case
        sha256 = hashlib.sha256(data).hexdigest()
        intake.add_message(connection, case.id, operation, client, now_ms, sha256, message.content, data)
        if is_wearer:
            strong, weak = identities(message.fields)
            intake.identify(connection, case.id, [*strong, *weak])
        for order in intake.orders_of(connection, case.id) if is_wearer else [case]:
            _make_version(connection, order, now_ms)
        for doubt in found.doubts:
            version = len(orders.versions(connection, case.id))
            intake.raise_task(connection, case.id, doubt.kind, doubt.about, doubt.sentence, version, now_ms)
    return case.id


def _again(connection: Connection, before: intake.MessageRow, now_ms: int) -> None:
    intake.came_again(connection, before.id, now_ms)
    newest = intake.newest_message(connection, before.case_id)
    if newest is not None and newest.id != before.id:
        version = len(orders.versions(connection, before.case_id))
        doubt = tasks.came_again(version)
        about = f"message {before.id}"
        intake.raise_task(connection, before.case_id, doubt.kind, about, doubt.sentence, version, now_ms)


def _make_version(connection: Connection, case: Case, now_ms: int) -> None:
    """What the newest messages about an order mean becomes its next version, where that says anything new."""
    if case.id in erasures.closed_orders(connection):
        doubt = tasks.closed()
        intake.raise_task(connection, case.id, doubt.kind, doubt.about, doubt.sentence, 0, now_ms)
        return
    meaning = meaning_now(connection, case, now_ms)
    known = orders.versions(connection, case.id)
    document = meaning.document
    if not known or _says(document) != _says(json.loads(known[-1].document)):
        orders.add_version(
            connection,
            orders.OrderVersion(
                case.id,
                meaning.order.version,
                meaning.order.effective_ms,
                now_ms,
                meaning.order.wearer.id,
                meaning.order.wearer.name,
                json.dumps(document, ensure_ascii=False),
            ),
        )
        version = meaning.order.version
        unwatched.sync(connection, case.id, now_ms)
    else:
        version = known[-1].version
    found = {(one.kind, one.about): one for one in meaning.found}
    for one in found.values():
        intake.raise_task(connection, case.id, one.kind, one.about, one.sentence, version, now_ms)
    gone = [
        row.id
        for row in intake.tasks(connection, case.id)
        if row.kind not in _STAND and (row.kind, row.about) not in found
    ]
    intake.settle(connection, gone, f"{intake.BY_VERSION}{version}", now_ms)


def meaning_now(connection: Connection, case: Case, now_ms: int) -> Meaning:
    """What the newest messages about an order and its wearer mean, beside the versions that there are."""
    said = [None if one is None else intake.newest_message(connection, one) for one in (case.id, case.wearer)]
    order, wearer = (None if one is None else read(one.data) for one in said)
    assert order is not None, "an order is known by its messages"
    documents = [json.loads(one.document) for one in orders.versions(connection, case.id)]
    return meaning_of(order, wearer, Known(case.id, case.wearer or UNKNOWN_WEARER, documents), now_ms)


_STAND = (*tasks.OF_ONE_MESSAGE, *tasks.OF_A_VISIT, *tasks.OF_PEOPLE)
"""Kinds of task that no message settles."""
UNKNOWN_WEARER = "unknown"


def _says(document: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in document.items() if key not in ("version", "effective")}


@dataclass(frozen=True, slots=True)
class Found:
    """What a message is about: a case that is known (None: a new one), of which wearer, and what is doubtful there."""

    case: Case | None
    wearer: str | None = None
    doubts: tuple[Finding, ...] = ()


def _wearer(connection: Connection, operation: str, message: Message, _now_ms: int) -> Found:
    """The messages about wearers carry no id of ours: who is meant is found by the numbers that others know them by."""
    if operation.startswith("create"):
        return Found(None)
    named = _named(connection, message, "case_id", "id", "sys_id", "u_case_id")
    if named is not None:
        return Found(named)
    strong, weak = identities(message.fields)
    candidates = intake.wearers_known_by(connection, strong) or intake.wearers_known_by(connection, weak)
    if not candidates:
        return Found(None, doubts=(tasks.wearer_not_known(),))
    doubts = (tasks.wearer_ambiguous(len(candidates)),) if len(candidates) > 1 else ()
    return Found(candidates[-1], doubts=doubts)


def _order(connection: Connection, operation: str, message: Message, now_ms: int) -> Found:
    wearer = _named(connection, message, "case_id")
    reference = text(message.fields.get("order_id"))
    if wearer is None:
        called = intake.orders_called(connection, reference) if reference else []
        if len(called) == 1:
            return Found(called[0], called[0].wearer, (tasks.no_case_id(),))
        return Found(None, None, (tasks.no_case_id(),))
    if reference:
        # an order that came without its wearer, and is sent again with it
        lost = [one for one in intake.orders_called(connection, reference) if one.wearer is None]
        if len(lost) == 1:
            intake.belongs_to(connection, lost[0].id, wearer.id)
            no_wearer = [
                one.id for one in intake.tasks(connection, lost[0].id) if one.kind == tasks.no_case_id().kind
            ]
            intake.settle(connection, no_wearer, f"{intake.BY_VERSION}with its wearer", now_ms)
            return Found(replace(lost[0], wearer=wearer.id), wearer.id)
    theirs = intake.orders_of(connection, wearer.id)
    called = [one for one in theirs if reference and one.reference == reference]
    if called:
        again = operation.startswith("create")
        return Found(called[-1], wearer.id, (tasks.sent_as_new_again(reference),) if again else ())
    if operation.startswith("create"):
        return Found(None, wearer.id, () if reference else (tasks.no_order_id(),))
    if len(theirs) == 1:
        return Found(theirs[0], wearer.id, (tasks.other_order_id(reference, theirs[0].reference),))
    return Found(None, wearer.id, (tasks.varies_what_is_not_here(reference),))


def _named(connection: Connection, message: Message, *names: str) -> Case | None:
    """The wearer that a message names by our id; None where it names none. Raises UnknownCaseError."""
    for name in names:
        case_id = text(message.fields.get(name))
        if case_id:
            case = intake.case(connection, case_id)
            if case is not None and case.kind == "order" and case.wearer is not None:
                case = intake.case(connection, case.wearer)
            if case is None or case.kind != "wearer":
                raise UnknownCaseError(case_id)
            return case
    return None


_NUMBERS = (
    *("pnc_id", "nomis_id", "delius_id", "prison_number"),
    *("home_office_case_reference_number", "cepr"),
)


def identities(fields: Mapping[str, Any]) -> tuple[list[str], list[str]]:
    """By what a wearer is known elsewhere: numbers, and name with date of birth, which two people may share."""
    strong = [f"{name}={_plain(fields.get(name))}" for name in _NUMBERS if _plain(fields.get(name))]
    person = [_plain(fields.get(name)) for name in ("first_name", "last_name", "date_of_birth")]
    return strong, ["person=" + "|".join(person)] if all(person) else []


def _plain(value: object) -> str:
    return "".join(text(value).casefold().split())


def state_of(store: Store, case_id: str) -> str:
    """The state of an order, or of a wearer's newest order, by the interface's numbers. Raises UnknownCaseError."""
    with store.read() as connection:
        case = _case(connection, case_id)
        if case.kind == "wearer":
            theirs = intake.orders_of(connection, case.id)
            if not theirs:
                return NEW
            case = theirs[-1]
        if case.id in erasures.closed_orders(connection):
            return CLOSED
        of_both = [case.id] if case.wearer is None else [case.id, case.wearer]
        waits = intake.standing_counts(connection, of_both, without=tasks.OF_A_VISIT)
        return AWAITS_INFORMATION if waits else OPEN


NEW, CLOSED, OPEN, AWAITS_INFORMATION = "1", "3", "10", "18"


def read_back(store: Store, case_id: str) -> ReadBack:
    """What was sent last about a wearer and the newest order of theirs. Raises UnknownCaseError."""
    with store.read() as connection:
        case = _case(connection, case_id)
        if case.kind == "wearer":
            wearer: str | None = case.id
            theirs = intake.orders_of(connection, case.id)
            order = theirs[-1].id if theirs else None
        else:
            wearer, order = case.wearer, case.id
        said = [None if one is None else intake.newest_message(connection, one) for one in (wearer, order)]
    about, of_order = (None if one is None else one.data for one in said)
    return ReadBack(case.id if wearer is None else wearer, about, of_order)


def _case(connection: Connection, case_id: str) -> Case:
    case = intake.case(connection, case_id)
    if case is None:
        raise UnknownCaseError(case_id)
    return case
