"""What the stored readings of an alcohol tag say of its wearer's days."""

from __future__ import annotations

from core.sober_days import sober_days
from core.sober_rates import SoberDay
from gateway import evidence
from gateway.orders import Orders
from gateway.register import Register
from gateway.store import Store, installations
from gateway.trail import messages_of


def calendar(store: Store, activation_id: str, now_ms: int) -> dict[str, tuple[SoberDay, ...]]:
    """The calendar of each alcohol condition by its id, as `core.sober_days` makes it of what is committed."""
    with store.read() as connection:
        activation = Orders().activation(connection, activation_id)
        if activation is None:
            return {}
        register = Register([activation], installations.every(connection))
        said = evidence.said(messages_of(connection, activation.device))
    readings = register.readings(activation_id, activation.device, said)
    return sober_days(activation, readings.samples, readings.events, now_ms)
