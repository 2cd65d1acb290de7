"""The notifier: takes what is to be told from the store, decides by `plan`, and sends, one worker a contact.

What it knows lies in the store alone. Killed at any moment it continues where it was: an attempt is written down before
it is made, its success after, and between the two lies the one moment at which a message can be repeated, with the same
key.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence

import structlog
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from gateway import logs
from gateway.delivery import message, paths, plan
from gateway.delivery import routes as routing
from gateway.delivery.modem import Modem, ModemError, plain
from gateway.delivery.routes import Routes
from gateway.store import Store, outbox, state
from gateway.store.outbox import MODEM, Delivery, Path

Work = Callable[[], None]
"""Sends one message. Raises PathError or ModemError."""

log = structlog.get_logger(__name__)

POLL_S = 0.5
_WORKER_S = 5.0
_TROUBLE_S = 1.0
_STOP_S = 3.0
_HANGS_S = 90.0
HOPELESS = 10
"""A provider that holds on to a message for so many times its timeout is got rid of only with this process."""


class Planner:
    """Decides what waits in the outbox. Used by one thread.

    While the time is not ``known`` nobody's hours are looked at: to wake somebody is better than to tell nobody.
    ``beat`` is called between any two decisions.
    """

    def __init__(
        self,
        store: Store,
        routes: Routes,
        now_ms: Callable[[], int],
        known: Callable[[], bool] = lambda: True,
        beat: Callable[[], object] = lambda: None,
    ) -> None:
        self._store = store
        self._routes_by_hour = self._routes = routes
        self._routes_at_any = routing.at_any_hour(routes)
        self._now_ms = now_ms
        self._known = known
        self._beat = beat

    def begin(self) -> None:
        """What an earlier notifier left is taken up; at the very first start nobody is told of what is past."""
        now_ms = self._now_ms()
        with self._store.write() as connection:
            outbox.resume(connection, now_ms)
            if not state.number(connection, state.TOLD_FROM_MS):
                state.set_number(connection, state.TOLD_FROM_MS, max(now_ms, 1))
                passed = outbox.pass_over(connection, now_ms)
                if passed:
                    log.info("nobody is told of what was said before there were routes", tellings=passed)

    def due(self) -> bool:
        """Whether anything waits for this instant."""
        now_ms = self._now_ms()
        with self._store.read() as connection:
            return outbox.due(connection, now_ms, now_ms + plan.LONGEST_MS)

    def decide(self) -> int:
        """Decide what can be decided now; returns how many messages that made."""
        now_ms = self._now_ms()
        self._routes = self._routes_by_hour if self._known() else self._routes_at_any
        with self._store.read() as connection:
            waiting = sorted(outbox.undecided(connection))
            escalations = [
                (one.alert, one.route)
                for one in outbox.escalations(connection)
                if plan.is_due(one.next_ms, plan.LONGEST_MS, now_ms)
            ]
        made = 0
        for number in waiting:
            self._beat()
            with self._store.write() as connection:
                made += self._tell(connection, number, now_ms)
        for number, route in escalations:
            self._beat()
            made += self._escalate(number, route, now_ms)
        return made

    def _tell(self, connection: Connection, number: int, now_ms: int) -> int:
        waiting = outbox.undecided(connection, number).get(number)
        if not waiting:
            return 0
        last = outbox.last_told(connection, number)
        merged = plan.merge(waiting, last, now_ms)
        if merged is None:
            return 0
        outbox.decide(connection, merged.others, "merged", now_ms)
        if not merged.worth:
            outbox.decide(connection, [merged.newest.id], "unchanged", now_ms)
            return 0
        decision = plan.decide(
            merged.newest,
            last,
            outbox.about(connection, number),
            outbox.of_alert(connection, number),
            outbox.acknowledged(connection, number),
            self._routes,
            state.generation(connection),
            now_ms,
        )
        if decision is None:
            return 0
        outbox.decide(connection, [merged.newest.id], decision.outcome, now_ms)
        outbox.finish(connection, decision.dropped, "dropped: overtaken", now_ms)
        if merged.newest.state == "withdrawn":
            outbox.end_escalations(connection, number, "withdrawn")
        outbox.add(connection, decision.messages)
        outbox.put_escalations(connection, decision.escalations)
        if decision.outcome == "told":
            log.info(
                "people are told",
                alert=number,
                revision=merged.newest.revision,
                messages=len(decision.messages),
            )
        return len(decision.messages)

    def _escalate(self, number: int, route: str, now_ms: int) -> int:
        with self._store.read() as connection:
            found = self._next_round(connection, number, route, now_ms)
        if found is None:
            return 0
        with self._store.write() as connection:
            found = self._next_round(connection, number, route, now_ms)  # somebody may have acknowledged
            if found is None:
                return 0
            escalation, messages = found
            outbox.put_escalations(connection, [escalation])
            outbox.add(connection, messages)
        log.warning(
            "nobody has acknowledged: the next on the rota is told",
            alert=number,
            round=escalation.round,
        )
        return len(messages)

    def _next_round(
        self, connection: Connection, number: int, route: str, now_ms: int
    ) -> tuple[outbox.Escalation, tuple[Delivery, ...]] | None:
        newest = outbox.last_told(connection, number)
        standing = [one for one in outbox.escalations(connection, number) if one.route == route]
        if newest is None or not standing:
            return None
        return plan.next_round(standing[0], newest, self._routes, state.generation(connection), now_ms)


class Attempt:
    """One message on its way to a provider, in a thread of its own, because a provider may hold on to it for ever."""

    def __init__(self, ids: Sequence[int], work: Work) -> None:
        self.ids = list(ids)
        self.error: str | None = None
        self._thread = threading.Thread(target=self._run, args=(work,), daemon=True)
        self._thread.start()

    def _run(self, work: Work) -> None:
        try:
            work()
        except (paths.PathError, ModemError) as error:
            self.error = str(error)
        except Exception as error:  # a fault of this program: the message waits, and the others go on
            log.exception("sending failed")
            self.error = type(error).__name__

    def wait(self, timeout_s: float) -> bool:
        """Whether it has come to an end."""
        self._thread.join(timeout_s)
        return not self._thread.is_alive()


class Worker:
    """Sends to one contact over its own path; the modem's worker to all that are to get an SMS. Used by one thread."""

    def __init__(
        self,
        store: Store,
        routes: Routes,
        name: str,
        now_ms: Callable[[], int],
        known: Callable[[], bool] = lambda: True,
    ) -> None:
        self.name = name
        self._known = known
        self.seen_s = time.monotonic()
        """When its thread last showed a sign of life."""
        self._store = store
        self._routes = routes
        self._now_ms = now_ms
        self._sms = name == MODEM
        self._late: Attempt | None = None
        self._unwritten: tuple[list[int], str | None] | None = None
        self.late_s = 0.0
        if self._sms:
            assert routes.modem is not None, "there is a modem's worker only where there is a modem"
            self.timeout_s = routes.modem.timeout_s + 30
        else:
            self.timeout_s = routes.contacts[name].timeout_s

    def step(self) -> bool:
        """Send the next message, if there is one; whether there may be more to do at once. Raises DBAPIError."""
        if self._unwritten is not None:
            self._note(*self._unwritten)
        if self._late is not None and not self._finished_late(self._late):
            return False
        batch = self._begun()
        if not batch:
            return False
        attempt = Attempt([one.id for one in batch], self._work(batch))
        if attempt.wait(self.timeout_s):
            self._note(attempt.ids, attempt.error)
        else:
            self._late, self.late_s = attempt, 0.0
            self._note(attempt.ids, f"no answer in {self.timeout_s:.0f} s")
        return True

    def _finished_late(self, late: Attempt) -> bool:
        if not late.wait(0):
            return False
        self._late = None
        if late.error is None:  # taken after all
            self._note(late.ids, None)
        return True

    @property
    def hangs(self) -> bool:
        """Whether its thread has done nothing for longer than a message and a busy store can take."""
        return time.monotonic() - self.seen_s > self.timeout_s + _HANGS_S

    @property
    def waits_for_ever(self) -> bool:
        """Whether a provider holds on to a message."""
        return self._late is not None and not self._late.wait(0)

    def _begun(self) -> list[Delivery]:
        """What to send next, with the attempt written down."""
        with self._store.read() as connection:
            if not self._next(connection):
                return []
        with self._store.write() as connection:
            batch = self._next(connection)  # it may have been withdrawn meanwhile
            if not batch:
                return []
            attempts = 1 + max(one.sms_attempts if self._sms else one.attempts for one in batch)
            next_ms = self._now_ms() + plan.back_off_ms(attempts)
            outbox.begin(connection, [one.id for one in batch], sms=self._sms, next_ms=next_ms)
        return batch

    def _next(self, connection: Connection) -> list[Delivery]:
        now_ms = self._now_ms()
        known = outbox.paths(connection)
        mine = known.get(self.name, Path(self.name))
        if not plan.is_due(mine.retry_ms, plan.LAST_RETRY_MS, now_ms):
            return []
        if not self._sms:
            waiting = outbox.waiting(connection, self.name)
            if not self._known():  # a digest comes at an hour
                waiting = [one for one in waiting if not one.digest]
            return plan.next_messages(waiting, now_ms)
        found = plan.by_sms(outbox.waiting(connection), known, self._routes, now_ms)
        if found and found[0].digest:
            first = found[0]
            return [one for one in found if (one.contact, one.route) == (first.contact, first.route)]
        return found[:1]

    def _work(self, batch: Sequence[Delivery]) -> Work:
        first = batch[0]
        contact = self._routes.contacts[first.contact]
        link = self._routes.link
        if first.digest:
            facts = [(one.alert, one.revision, one.state, one.severity, one.doubtful) for one in batch]
            body = message.digest(facts, link, f"digest.{batch[-1].key}")
        else:
            body = message.text(
                first.alert,
                first.revision,
                first.state,
                first.severity,
                link,
                first.key,
                doubtful=first.doubtful,
            )
        if self._sms:
            assert contact.sms is not None
            return sending_sms(self._routes, contact.sms, body)
        assert contact.url is not None
        return sending(contact.url.get_secret_value(), contact.timeout_s, body)

    def _note(self, ids: list[int], error: str | None) -> None:
        """Write down what came of an attempt; should that fail, it is done before anything else is sent."""
        self._unwritten = (ids, error)
        now_ms = self._now_ms()
        with self._store.write() as connection:
            mine = outbox.paths(connection).get(self.name, Path(self.name))
            outbox.put_path(connection, plan.after(mine, error, now_ms))
            if error is None:
                outbox.finish(connection, ids, "sent by sms" if self._sms else "sent", now_ms)
                if mine.failing_ms is not None and not self._sms:
                    outbox.hurry(connection, self.name, now_ms)
            else:
                outbox.failed(connection, ids, error)
        self._unwritten = None
        if error is not None and mine.failing_ms is None:
            log.warning("a message was not taken; it is tried again", path=self.name, problem=error)
        elif error is None and mine.failing_ms is not None:
            log.info("messages are taken again", path=self.name, after_failures=mine.failures)


def sending(url: str, timeout_s: float, body: str) -> Work:
    """The work of sending ``body`` over a provider."""
    return lambda: paths.send(url, timeout_s, body)


def sending_sms(routes: Routes, number: str, body: str) -> Work:
    """The work of sending ``body`` over the modem."""
    chosen = routes.modem
    assert chosen is not None, "checked when the routes were read"

    def work() -> None:
        with Modem(chosen.device, chosen.baud, chosen.timeout_s) as modem:
            modem.send(number, plain(body))

    return work


def workers(
    store: Store, routes: Routes, now_ms: Callable[[], int], known: Callable[[], bool] = lambda: True
) -> list[Worker]:
    """One for each contact with a path of its own, and one for the modem."""
    names = [name for name, contact in routes.contacts.items() if contact.url is not None]
    if routes.modem is not None:
        names.append(MODEM)
    return [Worker(store, routes, name, now_ms, known) for name in names]


class Notifier:
    """Planner and workers together; ``run`` until stopped. ``beat`` is called for as long as both go on."""

    def __init__(
        self,
        store: Store,
        routes: Routes,
        now_ms: Callable[[], int],
        known: Callable[[], bool] = lambda: True,
        beat: Callable[[], object] = lambda: None,
    ) -> None:
        self._planner = Planner(store, routes, now_ms, known, beat)
        self._workers = workers(store, routes, now_ms, known)
        self._beat = beat
        self._news = {worker.name: threading.Event() for worker in self._workers}

    def run(self, stopping: threading.Event, changed: Callable[[], bool]) -> bool:
        """Work until stopped, until ``changed`` (the routes are others), or until only a new process helps (False)."""
        threads = [
            threading.Thread(target=self._send, args=(worker, stopping), name=worker.name, daemon=True)
            for worker in self._workers
        ]
        begun = False
        for thread in threads:
            thread.start()
        try:
            while not stopping.is_set() and not changed():
                self._beat()
                try:
                    if not begun:
                        self._planner.begin()
                        begun = True
                    if self._planner.due():
                        self._planner.decide()
                        for news in self._news.values():
                            news.set()
                except DBAPIError as error:
                    log.error("the store does not answer; telling waits", problem=logs.safe(error))
                    stopping.wait(_TROUBLE_S)
                if any(worker.late_s > HOPELESS * worker.timeout_s for worker in self._workers):
                    log.error("a provider holds on to a message; the notifier begins anew")
                    return False
                hung = [one.name for one in self._workers if one.hangs]
                if hung:
                    log.error("a sender hangs; the notifier begins anew", path=hung[0])
                    return False
                for worker in self._workers:
                    worker.late_s = worker.late_s + POLL_S if worker.waits_for_ever else 0.0
                stopping.wait(POLL_S)
        finally:
            stopping.set()
            for thread in threads:
                self._news[thread.name].set()
            for thread in threads:
                thread.join(_STOP_S / max(1, len(threads)))
        return True

    def _send(self, worker: Worker, stopping: threading.Event) -> None:
        news = self._news[worker.name]
        while not stopping.is_set():
            news.wait(_WORKER_S)
            news.clear()
            worker.seen_s = time.monotonic()
            try:
                while not stopping.is_set() and worker.step():
                    worker.seen_s = time.monotonic()
            except DBAPIError as error:
                log.error("the store does not answer; telling waits", problem=logs.safe(error))
                stopping.wait(_TROUBLE_S)
