"""A test message over every path, and an acknowledgement by name: what people ask of delivery by hand."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.delivery import message
from gateway.delivery.modem import ModemError
from gateway.delivery.notifier import Work, sending, sending_sms
from gateway.delivery.paths import PathError
from gateway.delivery.routes import Routes
from gateway.store import Store, outbox

_LONGEST_NAME = 100


class AcknowledgementError(ValueError):
    """It can not be acknowledged so; the text says why and what to do."""


@dataclass(frozen=True, slots=True)
class Tried:
    """One path and what came of it; ``error`` is None where the message was taken."""

    contact: str
    path: str
    error: str | None


def try_all(routes: Routes, contact: str | None = None) -> list[Tried]:
    """Send a test message over every path of every contact, or of one, one after the other. Raises KeyError."""
    chosen = routes.contacts if contact is None else {contact: routes.contacts[contact]}
    found = []
    for name, one in chosen.items():
        body = message.trial(name)
        if one.url is not None:
            found.append(_tried(name, "provider", sending(one.url.get_secret_value(), one.timeout_s, body)))
        if one.sms is not None and routes.modem is not None:
            found.append(_tried(name, "sms", sending_sms(routes, one.sms, body)))
    return found


def acknowledge(store: Store, number: int, person: str, now_ms: int) -> int:
    """``person`` takes notice of an alert; nobody else is told of it any more. Returns the revision that stands.

    Raises AcknowledgementError where there is no such alert, or nobody is named.
    """
    name = " ".join(person.split())
    if not name or len(name) > _LONGEST_NAME or not name.isprintable():
        raise AcknowledgementError(
            "an alert is acknowledged by a named person: give a name of up to 100 letters"
        )
    with store.write() as connection:
        revision = outbox.acknowledge(connection, number, name, now_ms)
    if revision is None:
        raise AcknowledgementError(f"there is no alert {number}: see `tagwatch alerts`")
    return revision


def _tried(name: str, path: str, work: Work) -> Tried:
    try:
        work()
    except (PathError, ModemError) as error:
        return Tried(name, path, str(error))
    return Tried(name, path, None)
