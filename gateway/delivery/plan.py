"""Who is told of what, and when: rules without clock, store or network, so that years run through in milliseconds.

Every instant is gateway time, UTC ms.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from gateway.delivery import message
from gateway.delivery.hours import next_time
from gateway.delivery.routes import Modem, Route, Routes, on_duty, taken
from gateway.store.outbox import About, Delivery, Escalation, Path, Telling

AT_MOST_MS = 5 * 60_000
"""People are told of one alert at most once in 5 minutes (law 3)."""
_FIRST_RETRY_MS = 5_000
LAST_RETRY_MS = 15 * 60_000
"""A provider that is back after days is found within a quarter of an hour."""
_LONGEST_ROUND_MS = 60 * 60_000
"""When the whole rota has been told and nobody answered, rounds grow longer, up to an hour: people are not to learn to
look away."""
_RANK = {"low": 0, "medium": 1, "high": 2, "critical": 3}
URGENT = ("critical", "high")
_DAY_MS = 86_400_000
LONGEST_MS = 2 * _DAY_MS
"""Nothing is put off for longer: what is due later was put off under a clock that has been set back since."""


@dataclass(frozen=True, slots=True)
class Merged:
    """What is to be told of one alert now: ``newest``, in place of ``others`` that came within 5 minutes."""

    newest: Telling
    others: tuple[int, ...]
    worth: bool
    """False where the newest says what was told last."""


@dataclass(frozen=True, slots=True)
class Decision:
    """What comes of a telling: messages, who has to acknowledge, and waiting messages that are dropped."""

    outcome: str
    messages: tuple[Delivery, ...] = ()
    escalations: tuple[Escalation, ...] = ()
    dropped: tuple[int, ...] = ()


def merge(waiting: Sequence[Telling], last: Telling | None, now_ms: int) -> Merged | None:
    """What is to be told of an alert at ``now_ms``; None while it is not 5 minutes since it was told of last.

    ``waiting`` is ascending and not empty. A clock that was set back does not hold anything up.
    """
    newest = waiting[-1]
    told_ms = None if last is None else last.decided_ms
    if told_ms is not None and told_ms <= now_ms < told_ms + AT_MOST_MS:
        return None
    # somebody who never heard of it is not to learn of it by a doubt about it
    unheard = all(one.only_doubt for one in waiting)
    unborn = last is None and (newest.state == "withdrawn" or unheard)
    return Merged(newest, tuple(one.id for one in waiting[:-1]), not unborn and not _same(newest, last))


def decide(
    telling: Telling,
    last: Telling | None,
    about: About,
    sent: Sequence[Delivery],
    acknowledged: int,
    routes: Routes,
    generation: int,
    now_ms: int,
) -> Decision | None:
    """Who is told of a revision at ``now_ms``; None where it waits, because no route takes it at this hour.

    ``last`` is what was told of the alert before, ``sent`` every message about it so far, ``acknowledged`` the revision
    up to which somebody has acknowledged it.

    A withdrawn alert is told to exactly those who were, or may have been, told of it, and so is that its evidence is
    doubtful, or no longer. Any other change is told to them, and to whoever a route now names for the first time.
    """
    heard = _heard(sent, routes)
    if telling.state == "withdrawn":
        dropped = tuple(one.id for one in sent if one.outcome is None and not one.begun)
        return Decision("told", _repeat(telling, heard, routes, generation, now_ms), (), dropped)
    if acknowledged >= telling.revision:
        return Decision("acknowledged")
    if last is not None and last.doubtful != telling.doubtful and _same(_as_sure_as(telling, last), last):
        # nothing has happened that was not told: nobody has to get up again
        return Decision("told", _repeat(telling, heard, routes, generation, now_ms))
    chosen = taken(routes, about, telling.severity, now_ms)
    if not chosen and not heard:
        return None
    anew = last is None or _rank(telling) > _rank(last) or (telling.state == "open" != last.state)
    known = {one.route for one in sent}
    begun = [route for route in chosen if anew or route.name not in known]
    first = [
        _message(telling, route, contact, 0, routes, generation, now_ms)
        for route in begun
        for contact in on_duty(routes, route, now_ms)[0]
    ]
    repeated = _repeat(telling, heard, routes, generation, now_ms)
    told = {one.contact: one for one in (*repeated, *first)}  # nobody is told twice of one revision
    dropped = tuple(one.id for one in sent if one.digest and one.outcome is None and one.contact in told)
    escalations = tuple(
        Escalation(telling.alert, route.name, telling.revision, now_ms, 0, now_ms + round_ms(route, 0))
        for route in begun
        if not route.digest
    )
    return Decision("told", tuple(told.values()), escalations, dropped)


def next_round(
    waiting: Escalation, newest: Telling, routes: Routes, generation: int, now_ms: int
) -> tuple[Escalation, tuple[Delivery, ...]] | None:
    """The next on the rota, where nobody acknowledged in time; None while there is time.

    ``newest`` is what was told of the alert last. Rounds that went by while the gateway was off are one.
    """
    route = routes.named(waiting.route)
    if route is None:
        return replace(waiting, outcome="route gone"), ()
    wait_ms = round_ms(route, waiting.round)
    if waiting.next_ms - wait_ms <= now_ms < waiting.next_ms:
        return None
    number = waiting.round + 1
    steps = on_duty(routes, route, now_ms)
    step = steps[number % len(steps)]
    messages = tuple(_message(newest, route, contact, number, routes, generation, now_ms) for contact in step)
    return replace(waiting, round=number, next_ms=now_ms + round_ms(route, number)), messages


def round_ms(route: Route, number: int) -> int:
    """How long round ``number`` waits for somebody: twice as long with every time the whole rota was told."""
    minutes_ms = round(route.minutes * 60_000)
    return max(minutes_ms, min(minutes_ms << min(number // len(route.rota), 12), _LONGEST_ROUND_MS))


def back_off_ms(failures: int) -> int:
    """How long to wait after so many failures in a row (1 or more): 5 s, 10 s, ... 15 min, for as long as it takes."""
    return min(_FIRST_RETRY_MS << min(max(failures, 1) - 1, 12), LAST_RETRY_MS)


def is_due(next_ms: int, longest_ms: int, now_ms: int) -> bool:
    """Whether the time has come; also where the clock was set back since ``next_ms`` was made."""
    return next_ms <= now_ms or next_ms - now_ms > longest_ms


def next_messages(waiting: Sequence[Delivery], now_ms: int) -> list[Delivery]:
    """What to send a contact next: the digest that is due as one, or the one message that matters most.

    What was tried least goes first, so that a message that a provider will not take holds up no other.
    """
    single = [one for one in waiting if not one.digest and is_due(one.next_ms, LAST_RETRY_MS, now_ms)]
    if single:
        return [min(single, key=lambda one: (one.attempts, -_RANK.get(one.severity, 0), one.id))]
    digest = [one for one in waiting if one.digest and is_due(one.next_ms, LONGEST_MS, now_ms)]
    return [one for one in digest if one.route == digest[0].route] if digest else []


def by_sms(
    waiting: Sequence[Delivery],
    paths: Mapping[str, Path],
    routes: Routes,
    now_ms: int,
) -> list[Delivery]:
    """Messages that the modem is to send at ``now_ms``, the most urgent first.

    Those of contacts that have no other path; those whose contact's own path fails while every path that was tried has
    been failing for some minutes (the uplink is dead); and urgent ones that have been undelivered for some minutes.
    """
    modem = routes.modem
    if modem is None:
        return []
    dead = uplink_dead(paths, routes, modem, now_ms)
    urgent_ms = round(modem.urgent_after_minutes * 60_000)

    def chosen(one: Delivery) -> bool:
        contact = routes.contacts.get(one.contact)
        if contact is None or contact.sms is None or not is_due(one.sms_next_ms, LAST_RETRY_MS, now_ms):
            return False
        if contact.url is None:
            return is_due(one.next_ms, LONGEST_MS, now_ms)
        failing = one.contact in paths and paths[one.contact].failing_ms is not None
        late = one.severity in URGENT and now_ms - one.made_ms >= urgent_ms
        return not one.digest and ((dead and failing) or late)

    found = [one for one in waiting if chosen(one)]
    return sorted(found, key=lambda one: (one.sms_attempts, -_RANK.get(one.severity, 0), one.id))


def uplink_dead(paths: Mapping[str, Path], routes: Routes, modem: Modem, now_ms: int) -> bool:
    """Whether providers have been failing for some minutes, and none has taken a message since the first did."""
    tried = [paths[name] for name, one in routes.contacts.items() if one.url is not None and name in paths]
    failing = [one.failing_ms for one in tried if one.failing_ms is not None]
    if not failing:
        return False
    began_ms = min(failing)
    long_ms = round(modem.dead_after_minutes * 60_000)
    reached = any(one.sent_ms is not None and one.sent_ms >= began_ms for one in tried)
    return now_ms - began_ms >= long_ms and not reached


def after(path: Path, error: str | None, now_ms: int) -> Path:
    """How it goes with a path after one more attempt; ``error`` is None where it got through."""
    if error is None:
        return Path(path.contact, None, 0, 0, now_ms, None)
    failing_ms = now_ms if path.failing_ms is None else path.failing_ms
    failures = path.failures + 1
    return replace(
        path, failing_ms=failing_ms, failures=failures, retry_ms=now_ms + back_off_ms(failures), error=error
    )


def _same(newest: Telling, last: Telling | None) -> bool:
    facts: Callable[[Telling], object] = lambda one: (one.state, one.severity, one.start_ms, one.doubtful)  # noqa: E731
    return last is not None and facts(newest) == facts(last)


def _as_sure_as(telling: Telling, last: Telling) -> Telling:
    return replace(telling, doubtful=last.doubtful)


def _rank(one: Telling) -> int:
    return _RANK.get(one.severity, 0)


def _heard(sent: Sequence[Delivery], routes: Routes) -> list[Delivery]:
    """Of each contact that heard of the alert, may have, or is going to, the first message."""
    found: dict[str, Delivery] = {}
    for one in sent:
        gone = one.outcome is not None and one.outcome.startswith("dropped") and not one.begun
        if not gone and one.contact in routes.contacts:
            found.setdefault(one.contact, one)
    return list(found.values())


def _repeat(
    telling: Telling, heard: Sequence[Delivery], routes: Routes, generation: int, now_ms: int
) -> tuple[Delivery, ...]:
    """A message to each who heard of it, by the same route; who only waits for it need not hear that it is nothing."""
    found = []
    for one in heard:
        if telling.state == "withdrawn" and not one.begun:
            continue
        route = routes.named(one.route)
        digest = route is not None and bool(route.digest)
        next_ms = now_ms
        if digest and route is not None:
            next_ms = next_time(route.digest, now_ms, routes.timezone)
        found.append(
            _made(telling, one.route, one.contact, 0, generation, now_ms, next_ms=next_ms, digest=digest)
        )
    return tuple(found)


def _message(
    telling: Telling, route: Route, contact: str, number: int, routes: Routes, generation: int, now_ms: int
) -> Delivery:
    next_ms = next_time(route.digest, now_ms, routes.timezone) if route.digest else now_ms
    digest = bool(route.digest)
    return _made(telling, route.name, contact, number, generation, now_ms, next_ms=next_ms, digest=digest)


def _made(
    telling: Telling,
    route: str,
    contact: str,
    number: int,
    generation: int,
    now_ms: int,
    *,
    next_ms: int,
    digest: bool,
) -> Delivery:
    return Delivery(
        id=0,
        alert=telling.alert,
        revision=telling.revision,
        state=telling.state,
        severity=telling.severity,
        route=route,
        contact=contact,
        round=number,
        key=message.key(generation, telling.alert, telling.revision, route, contact, number),
        digest=digest,
        made_ms=now_ms,
        next_ms=next_ms,
        sms_next_ms=now_ms,
        doubtful=telling.doubtful,
    )
