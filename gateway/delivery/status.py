"""How it goes with telling people: what waits, what failed and why, since when; each with its remedy."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from gateway.clock import utc_text
from gateway.delivery.routes import Routes
from gateway.store import Store, outbox, state
from gateway.store.outbox import HEARTBEAT, MODEM, Delivery, Path

_SLOW_MS = 60_000
"""What has waited less than this is on its way."""
_SILENT_MS = 5 * 60_000


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is not as it should be. ``what`` names no person; ``since`` is UTC."""

    what: str
    since: str
    why: str
    remedy: str


def findings(store: Store, routes: Routes, now_ms: int) -> list[Finding]:
    """Everything that waits or fails at ``now_ms``, the most pressing first; [] where all is well."""
    with store.read() as connection:
        undecided = outbox.undecided(connection)
        waiting = outbox.waiting(connection)
        escalations = outbox.escalations(connection)
        paths = outbox.paths(connection)
        told_from_ms = state.number(connection, state.TOLD_FROM_MS)
        healthy_ms = state.number(connection, state.HEALTHY_MS)
    found = [
        Finding(
            f"alert {one.alert}, revision {one.revision}, waits for an acknowledgement (route {one.route})",
            utc_text(one.began_ms),
            f"told {one.round + 1} times, nobody has acknowledged; the next is told at {utc_text(one.next_ms)}",
            f"look at it, then `tagwatch alert ack {one.alert} --by NAME`",
        )
        for one in escalations
    ]
    found += _paths(paths, waiting, routes)
    slow = [one for one in waiting if not one.digest and now_ms - one.made_ms >= _SLOW_MS]
    for contact in sorted({one.contact for one in slow}):
        mine = [one for one in slow if one.contact == contact]
        found.append(_slow(contact, mine, routes))
    for number, tellings in undecided.items():
        first = tellings[0]
        if now_ms - first.at_ms < _SILENT_MS + _SLOW_MS:
            continue  # told at most once in 5 minutes
        found.append(
            Finding(
                f"alert {number} waits for a route that takes it",
                utc_text(first.at_ms),
                "no route takes it at this hour, or the notifier does not run",
                "add a [[route]] with otherwise = true to routes.toml, and see that `tagwatch serve` runs",
            )
        )
    if routes.route and not told_from_ms:
        found.append(
            Finding(
                "nobody was ever told of anything",
                "",
                "the notifier has not run since there are routes",
                "start the gateway again: it looks for routes.toml at its start",
            )
        )
    if routes.heartbeat is not None and now_ms - healthy_ms > _SILENT_MS:
        found.append(
            Finding(
                "the dead man's switch is not looked after",
                utc_text(healthy_ms) if healthy_ms else "",
                "the notifier does not run, or the store can not be written",
                "start the gateway, then see its log",
            )
        )
    return found


def _paths(paths: Mapping[str, Path], waiting: list[Delivery], routes: Routes) -> Iterator[Finding]:
    for name, one in sorted(paths.items()):
        if one.failing_ms is None:
            continue
        if name == HEARTBEAT:
            what, remedy = (
                "the dead man's switch is not reached",
                "see the reason; check the address and the uplink",
            )
        elif name == MODEM:
            what, remedy = "the SMS modem does not send", "see the reason; check cable, SIM and reception"
        elif name in routes.contacts:
            count = sum(other.contact == name for other in waiting)
            what = f"messages to {name} are not taken ({count} wait)"
            remedy = f"check the provider, then `tagwatch delivery test --to {name}`"
        else:
            continue
        yield Finding(what, utc_text(one.failing_ms), f"{one.error} ({one.failures} times)", remedy)


def _slow(contact: str, mine: list[Delivery], routes: Routes) -> Finding:
    first = min(mine, key=lambda one: one.made_ms)
    numbers = ", ".join(str(number) for number in sorted({one.alert for one in mine})[:10])
    if contact in routes.contacts:
        why = first.error or "not tried yet"
        remedy = "nothing is lost: it is sent when the provider is back; give the contact an sms number"
    else:
        why = "routes.toml has no such contact any more"
        remedy = f"add [contacts.{contact}] again, or tell people by hand and acknowledge the alerts"
    return Finding(
        f"{len(mine)} messages to {contact} wait (alerts {numbers})", utc_text(first.made_ms), why, remedy
    )
