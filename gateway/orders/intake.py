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

from gateway.clock import utc_text
from gateway.orders import history, life, tasks, unwatched
from gateway.orders.completed import taken_over
from gateway.orders.kinds import Kind
from gateway.orders.meaning import Known, Meaning, meaning_of, not_after
from gateway.orders.next_version import NothingChangesError, Recorded, plan, write
from gateway.orders.reading import Message, read
from gateway.orders.register import OrderRefused
from gateway.orders.tasks import Finding
from gateway.orders.times import told
from gateway.orders.words import text
from gateway.store import Store, erasures, intake, order_changes, orders
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
            _make_version(connection, order, now_ms, client, of_order=not is_wearer)
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


def _make_version(connection: Connection, case: Case, now_ms: int, client: str, *, of_order: bool) -> None:
    """What the newest messages about an order mean becomes its next version, where that says anything new.

    ``of_order``: the message is about the order itself, and says from when on; else it holds from now on.
    """
    if case.id in erasures.closed_orders(connection):
        doubt = tasks.closed()
        intake.raise_task(connection, case.id, doubt.kind, doubt.about, doubt.sentence, 0, now_ms)
        return
    said = last_said(connection, case.id)
    meaning = meaning_now(connection, case, now_ms)
    assert meaning is not None, "only what is said of closed orders is ever deleted"
    found = {(one.kind, one.about): one for one in meaning.found}
    if not orders.versions(connection, case.id) or any(kind == "can_not_be_typed" for kind, _ in found):
        made = _as_it_is(connection, case, meaning, client, now_ms)
    else:
        made = _onto(connection, case, meaning, said, client, now_ms, of_order=of_order)
    version = orders.versions(connection, case.id)[-1].version
    if not made and said != meaning.says:
        _note(connection, case.id, meaning, client, (version, None), now_ms)
    ended_by_people = history.ended_by_people_ms(connection, case.id)
    if of_order and ended_by_people is not None:
        one = tasks.order_has_ended(told(ended_by_people))
        intake.raise_task(connection, case.id, one.kind, one.about, one.sentence, version, now_ms)
    if meaning.ended_ms is not None:
        life.removal(connection, case.id, meaning.ended_ms, version, now_ms)
    for one in found.values():
        intake.raise_task(connection, case.id, one.kind, one.about, one.sentence, version, now_ms)
    gone = [
        row.id
        for row in intake.tasks(connection, case.id)
        if row.kind not in _STAND and (row.kind, row.about) not in found
    ]
    intake.settle(connection, gone, f"{intake.BY_VERSION}{version}", now_ms)


def _as_it_is(connection: Connection, case: Case, meaning: Meaning, client: str, now_ms: int) -> bool:
    """The first version, or one that can not be put on what there is."""
    known = orders.versions(connection, case.id)
    if known and _says(meaning.document) == _says(json.loads(known[-1].document)):
        return False
    order = meaning.order
    orders.add_version(
        connection,
        orders.OrderVersion(
            case.id,
            order.version,
            order.effective_ms,
            now_ms,
            order.wearer.id,
            order.wearer.name,
            json.dumps(meaning.document, ensure_ascii=False),
        ),
    )
    _note(connection, case.id, meaning, client, (order.version, order.version), now_ms)
    unwatched.sync(connection, case.id, now_ms)
    return True


def _onto(
    connection: Connection,
    case: Case,
    meaning: Meaning,
    said: Mapping[str, Any] | None,
    client: str,
    now_ms: int,
    *,
    of_order: bool,
) -> bool:
    """What a message says anew, put onto what holds then and what follows; was there anything?"""
    ended_ms = history.ended_by_people_ms(connection, case.id)

    def change(held: dict[str, Any]) -> dict[str, Any]:
        return not_after(taken_over(held, said, meaning.says)[0], ended_ms)

    recorded = Recorded(Kind.MESSAGE, f"order service {client}", meaning.why, _details(meaning))
    effective_ms = meaning.order.effective_ms if of_order else None
    try:
        planned = plan(connection, case.id, change, recorded, now_ms, effective_ms, may_precede=True)
    except NothingChangesError:
        return False
    except OrderRefused as error:
        planned = plan(
            connection, case.id, change, recorded, now_ms, effective_ms, may_precede=True, replaces_later=True
        )
        one = tasks.overruled(str(error))
        number = orders.versions(connection, case.id)[-1].version
        intake.raise_task(connection, case.id, one.kind, one.about, one.sentence, number, now_ms)
    if planned.again is not None:
        return False
    write(connection, planned, now_ms)
    return True


def _note(
    connection: Connection,
    order_id: str,
    meaning: Meaning,
    client: str,
    versions: tuple[int, int | None],
    now_ms: int,
) -> None:
    """What a message meant by itself, beside the version that it made, if any."""
    order_changes.add(
        connection,
        order_id=order_id,
        version=versions[0],
        last_version=versions[1],
        kind=Kind.MESSAGE,
        by=f"order service {client}",
        at_ms=now_ms,
        effective_ms=meaning.order.effective_ms,
        reason=meaning.why,
        details=_details(meaning),
        identity="",
    )


def _details(meaning: Meaning) -> dict[str, Any]:
    ended = {} if meaning.ended_ms is None else {"ends": utc_text(meaning.ended_ms)}
    return {**ended, "says": meaning.says}


def last_said(connection: Connection, order_id: str) -> dict[str, Any] | None:
    """What the last message about an order meant by itself; None where an earlier program took it in."""
    for row in reversed(order_changes.of_order(connection, order_id)):
        if row.kind == Kind.MESSAGE:
            says: dict[str, Any] = row.details["says"]
            return says
    return None


def meaning_now(connection: Connection, case: Case, now_ms: int) -> Meaning | None:
    """What the newest messages about an order and its wearer mean, beside the versions that there are.

    None where the policy of retention has deleted what was said about the order.
    """
    said = [None if one is None else intake.newest_message(connection, one) for one in (case.id, case.wearer)]
    order, wearer = (None if one is None else read(one.data) for one in said)
    if order is None:
        return None
    known = Known(
        case.id,
        case.wearer or UNKNOWN_WEARER,
        [json.loads(one.document) for one in orders.versions(connection, case.id)],
        last_said(connection, case.id),
        history.ended_by_people_ms(connection, case.id),
    )
    return meaning_of(order, wearer, known, now_ms)


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


def state_of(store: Store, case_id: str, now_ms: int | None = None) -> str:
    """The state of an order, or of a wearer's newest order, by the interface's numbers. Raises UnknownCaseError.

    With ``now_ms`` one that has been revoked, or has ended early, is closed.
    """
    with store.read() as connection:
        case = _case(connection, case_id)
        if case.kind == "wearer":
            theirs = intake.orders_of(connection, case.id)
            if not theirs:
                return NEW
            case = theirs[-1]
        if case.id in erasures.closed_orders(connection):
            return CLOSED
        ended_ms = history.ended_ms(connection, case.id)
        if now_ms is not None and ended_ms is not None and ended_ms <= now_ms:
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
