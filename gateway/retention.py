"""``tagwatch retention``: what the policy no longer keeps is deleted, with proof; what anybody still needs never is.

The unit is the order. While a tag is worn under it, an alert of it is open, somebody is still to be told of one, a
legal hold covers it or it has not been judged to the end, all of it stays. Then it is *closed*: nobody is judged by it
any more, so no alert is ever withdrawn because its readings are gone. Only when the judge has taken note of that does
anything go: in batches, each one transaction with its proof (`gateway.store.erasures`). Wherever power is cut, what is
gone and what is proven to be gone are the same.

An envelope is deleted when no order that is not closed, not due or held could need any reading of it: a home unit's
envelopes are about many wearers. Who needs what stands in `gateway.still_needed`, what is due in `gateway.due`.
"""

from __future__ import annotations

import fcntl
import secrets
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy import Connection, or_, select

from gateway import order_erasure, visit_erasure
from gateway.clock import utc_text
from gateway.control import Control, ControlError, IngestGoneError
from gateway.due import OF_ORDERS, Taken, Work, works
from gateway.policy import DAY_MS, Kind, Policy
from gateway.settings import Settings
from gateway.still_needed import Case, Survey, as_closed, survey_of, token_of
from gateway.store import Store, devices, dialect, erasures, state
from gateway.store.erasures import Proof
from gateway.store.marks import Mark, marked
from gateway.store.tables import envelope

QUIET_MS = 7 * DAY_MS
"""A clock that is so far beyond the last message may be wrong, and a wrong clock would delete everything."""
_SETTLE_TRIES = 5
_SCRUB_S = 20.0
_ANSWER_S = 60.0


class RetentionError(RuntimeError):
    """Nothing can be deleted now; the text says why and what to do."""


Settle = Callable[[], Mark]
"""Has everything judged that can be, and tells the mark. Raises RetentionError."""


@dataclass(slots=True)
class Planned:
    """What a run would delete, and what it would keep although its period is over."""

    items: dict[Kind, int] = field(default_factory=dict)
    orders: list[str] = field(default_factory=list)
    kept: dict[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(slots=True)
class Done:
    """What a run has deleted: its proofs, and whether nothing of it is left in the store's files."""

    run: str
    proofs: list[Proof] = field(default_factory=list)
    items: Counter[str] = field(default_factory=Counter)
    bytes: int = 0
    unreadable: int = 0
    scrubbed: bool = True


class _ChangedError(Exception):
    """What decided has changed; look again."""


def plan(store: Store, policy: Policy, now_ms: int, data_dir: Path | None = None) -> Planned:
    """What `run` would delete now. It changes nothing. ``data_dir`` is where records of visits lie."""
    found = Planned()
    with store.read() as connection:
        survey = survey_of(connection, now_ms)
        for case in survey.cases.values():
            over = [kind for kind in (*OF_ORDERS, visit_erasure.KIND) if _over(case, policy, kind, now_ms)]
            if over and case.needed:
                found.kept[case.order_id] = case.needed
            elif over:
                found.orders.append(case.order_id)
        closing = as_closed(survey)
        for work in works(closing, policy, now_ms):
            counted = connection.execute(work.count()).scalar_one()
            if counted:
                found.items[work.kind] = found.items.get(work.kind, 0) + counted
    if data_dir is not None:
        visits = sum(1 for _ in visit_erasure.due(data_dir, survey, policy, now_ms))
        found.items |= {"visits": visits} if visits else {}
        if policy.order_messages is not None:
            with store.read() as connection:
                cases = order_erasure.due_cases(closing, policy, now_ms)
                files = sum(len(of) for _, of in order_erasure.due_files(connection, cases, policy, now_ms))
            if files:
                found.items["order_messages"] = found.items.get("order_messages", 0) + files
    return found


def run(
    store: Store,
    policy: Policy,
    now_ms: int,
    by: str,
    settle: Settle,
    *,
    trust_clock: bool = False,
    rewrite: bool = False,
    pause: Callable[[float], None] = time.sleep,
    data_dir: Path | None = None,
) -> Done:
    """Delete what the policy no longer keeps. May be cut off at any moment and run again.

    ``by`` is who has it done, ``data_dir`` where records of visits lie. With ``rewrite`` the store's files are written
    anew, which takes their size once more and holds up the gateway meanwhile. Raises RetentionError, OSError, and
    ``sqlalchemy.exc.DBAPIError`` where the store fails.
    """
    if not trust_clock:
        _refuse_a_clock_that_is_far_ahead(store, now_ms)
    done = Done(secrets.token_hex(8))
    mark = settle()
    mark = _close(store, policy, now_ms, by, mark, settle)
    moved = True
    while moved:
        moved = False
        with store.read() as connection:
            survey = survey_of(connection, now_ms)
        try:
            for work in works(survey, policy, now_ms, mark):
                _carry_out(store, survey, work, policy, now_ms, by, done, pause)
        except _ChangedError:
            moved = True
    if data_dir is not None:
        _erase_attachments(store, policy, now_ms, by, done, data_dir)
        _erase_visits(store, policy, now_ms, by, done, data_dir)
    with store.read() as connection:
        due = bool(state.number(connection, state.SCRUB_DUE))
    if due or rewrite:
        done.scrubbed = dialect.scrub(store.engine, rewrite=rewrite, within_s=_SCRUB_S)
        if done.scrubbed:
            with store.write() as connection:
                state.set_number(connection, state.SCRUB_DUE, 0)
    return done


def _erase_attachments(
    store: Store, policy: Policy, now_ms: int, by: str, done: Done, data_dir: Path
) -> None:
    """Delete files of orders that are due, and what an earlier run has proven and not deleted. Raises OSError."""
    with store.read() as connection:
        order_erasure.sweep(data_dir, erasures.proofs(connection))
        survey = survey_of(connection, now_ms)
        cases = order_erasure.due_cases(survey, policy, now_ms)
        going = (
            []
            if policy.order_messages is None
            else list(order_erasure.due_files(connection, cases, policy, now_ms))
        )
    for case_id, files in going:
        with store.write() as connection:
            if token_of(connection) != survey.token:
                return  # the next run looks again
            proof = order_erasure.prove(
                connection, data_dir, case_id, files, policy, run=done.run, now_ms=now_ms, by=by
            )
            state.set_number(connection, state.SCRUB_DUE, 1)
        order_erasure.sweep(data_dir, [proof])
        done.proofs.append(proof)
        done.items[proof.kind] += len(files)
        done.bytes += proof.bytes


def _erase_visits(store: Store, policy: Policy, now_ms: int, by: str, done: Done, data_dir: Path) -> None:
    """Delete records of visits that are due, and what an earlier run has proven and not deleted. Raises OSError."""
    with store.read() as connection:
        visit_erasure.sweep(data_dir, erasures.proofs(connection))
        survey = survey_of(connection, now_ms)
    for order_id, visit in list(visit_erasure.due(data_dir, survey, policy, now_ms)):
        with store.write() as connection:
            if token_of(connection) != survey.token:
                return  # the next run looks again
            proof = visit_erasure.prove(
                connection, order_id, visit, policy, run=done.run, now_ms=now_ms, by=by
            )
        visit_erasure.sweep(data_dir, iter([proof]))
        done.proofs.append(proof)
        done.items["visits"] += 1
        done.bytes += proof.bytes


def _refuse_a_clock_that_is_far_ahead(store: Store, now_ms: int) -> None:
    with store.read() as connection:
        newest = max(devices.last_heard(connection).values(), default=None)
    if newest is not None and not newest - DAY_MS <= now_ms <= newest + QUIET_MS:
        raise RetentionError(
            f"the clock says {utc_text(now_ms)}, and the last message came at {utc_text(newest)}: a wrong clock would "
            "delete too much, so nothing was deleted. If the clock is right, say --trust-clock"
        )


def _over(case: Case, policy: Policy, kind: Kind, now_ms: int) -> bool:
    rule = policy.rule(kind)
    return rule is not None and case.ended_ms is not None and case.ended_ms + rule.days * DAY_MS <= now_ms


def _close(store: Store, policy: Policy, now_ms: int, by: str, mark: Mark, settle: Settle) -> Mark:
    """Close every order of which something is due, once it is judged to the end, and have the judge take note."""
    for _ in range(_SETTLE_TRIES):
        with store.write() as connection:
            survey = survey_of(connection, now_ms)
            names = [
                case.order_id
                for case in survey.cases.values()
                if not case.closed and any(case.due(policy, kind, now_ms) for kind in OF_ORDERS)
            ]
            if not names:
                return mark
            if mark.changes == state.changes(connection):
                ready = [name for name in names if _judged(connection, survey, name, mark)]
                for name in ready:
                    change = erasures.close(connection, name, now_ms, by)
                if ready and len(ready) == len(names):
                    break
        mark = settle()
    else:
        raise RetentionError(
            "orders are being changed, or readings judged, at this moment: nothing was deleted; try again"
        )
    mark = settle()
    if mark.changes < change:
        raise RetentionError(
            "the judge has not taken note that orders were closed: nothing was deleted; try again"
        )
    return mark


def _judged(connection: Connection, survey: Survey, order_id: str, mark: Mark) -> bool:
    for device, windows in survey.windows.items():
        mine = [window.overlaps() for window in windows if window.order_id == order_id]
        if mine:
            query = select(envelope.c.id).where(
                envelope.c.device == device, envelope.c.id > mark.envelope, or_(*mine)
            )
            if connection.execute(query.limit(1)).first() is not None:
                return False
    return True


def _carry_out(
    store: Store,
    survey: Survey,
    work: Work,
    policy: Policy,
    now_ms: int,
    by: str,
    done: Done,
    pause: Callable[[float], None],
) -> None:
    with store.read() as connection:  # most have nothing: that must not wait for other writers
        if connection.execute(work.batch(0).with_only_columns(work.key).limit(1)).first() is None:
            return
    after = 0
    while True:
        began_s = time.monotonic()
        taken = Taken()
        with store.write() as connection:
            if token_of(connection) != survey.token:
                raise _ChangedError
            rows = connection.execute(work.batch(after)).all()
            if not rows:
                return
            after = int(rows[-1]._mapping[work.key])
            work.take(connection, rows, taken)
            if taken.gone:
                proof = erasures.prove(
                    connection,
                    taken.gone,
                    run=done.run,
                    at_ms=now_ms,
                    by=by,
                    kind=work.kind,
                    about={**work.about, "rows": dict(taken.rows), "policy_sha256": policy.digest},
                    version=policy.version,
                    policy=policy.said(work.kind),
                    size=taken.bytes,
                )
                state.set_number(connection, state.SCRUB_DUE, 1)
        # what is told has happened: a transaction that failed is not counted
        done.unreadable += taken.unreadable
        if taken.gone:
            done.proofs.append(proof)
            done.items[work.kind] += proof.items
            done.bytes += proof.bytes
        pause(time.monotonic() - began_s)


def _runs(settings: Settings) -> bool:
    """Whether a gateway runs on this folder, its ingest just now or not."""
    try:
        with (settings.data_dir / "serve.lock").open("rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


def settle_by(settings: Settings, store: Store) -> Settle:
    """How `run` has everything judged: the gateway is asked; where none runs, what it has written last must do."""
    checked = False

    def settle() -> Mark:
        nonlocal checked
        control = Control(settings.control_path, timeout_s=_ANSWER_S)
        try:
            return Mark(**control.ask({"do": "settle"}))
        except IngestGoneError as error:
            if _runs(settings):
                raise RetentionError(f"nothing was deleted, try again: {error}") from None
        except (ControlError, TypeError) as error:
            raise RetentionError(f"nothing was deleted: {error}") from None
        finally:
            control.close()
        # nobody judges now, and whoever begins to reads first what is closed
        with store.read() as connection:
            mark, changes = marked(connection), state.changes(connection)
        if not checked and mark.changes != changes:
            raise RetentionError(
                "nothing was deleted: the gateway does not run, and has not judged everything yet; start it first"
            )
        checked = True
        return Mark(mark.envelope, changes)

    return settle
