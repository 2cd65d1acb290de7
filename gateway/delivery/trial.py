"""A test message over every path: what people ask of delivery by hand."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.delivery import message
from gateway.delivery.modem import ModemError
from gateway.delivery.notifier import Work, sending, sending_sms
from gateway.delivery.paths import PathError
from gateway.delivery.routes import Routes


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


def _tried(name: str, path: str, work: Work) -> Tried:
    try:
        work()
    except (PathError, ModemError) as error:
        return Tried(name, path, str(error))
    return Tried(name, path, None)
