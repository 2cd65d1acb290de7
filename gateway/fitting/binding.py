"""What makes a fitted device count: the activation, the home unit's place, the lock, and its keys out of our folder."""

from __future__ import annotations

from gateway.devices import forget_credentials
from gateway.fitting.console import Refused
from gateway.fitting.context import Context
from gateway.fitting.identity import ANOTHER, bound_here
from gateway.fitting.journal import Facts
from gateway.fitting.stops import Stop
from gateway.installations import install, uninstall
from gateway.orders import OrderRefused, activate, beyond, deactivate
from gateway.store import installations, orders


def bind(context: Context, tag: str, fitted_ms: int, unit: str | None) -> Facts:
    """The tag is this wearer's from ``fitted_ms`` on, and the home unit stands for it. What was done before stays."""
    activation = bound_here(context, tag)
    try:
        if activation is None:
            activation = activate(context.store, tag, context.order.order_id, fitted_ms)
        if unit is not None and not _stands(context, unit, activation):
            install(context.store, unit, activation, context.asked.address, fitted_ms)
    except OrderRefused as error:
        raise Stop(
            str(error), "call the gateway's operator; the tag is on and its readings are kept"
        ) from None
    row = context.worn(tag)
    assert row is not None, "it was activated just now, or before"
    return {
        "device": tag,
        "unit": unit,
        "activation": activation,
        "fitted_ms": row.fitted_ms,
        "not_monitored_by_it": [one.id for one in beyond(context.store, activation)],
    }


def _stands(context: Context, unit: str, activation: str) -> bool:
    with context.store.read() as connection:
        return any(
            one.unit == unit and one.activation == activation and one.removed_ms is None
            for one in installations.every(connection)
        )


def unbind(context: Context, activation: str, device: str, removed_ms: int) -> Facts:
    """The device is nobody's any more from ``removed_ms`` on, nor does a home unit stand for it."""
    try:
        with context.store.read() as connection:
            stands = [
                one
                for one in installations.every(connection)
                if one.activation == activation and one.removed_ms is None
            ]
            row = orders.one_activation(connection, activation)
        for one in stands:
            uninstall(context.store, one.unit, activation, removed_ms)
        if row is not None and row.removed_ms is None:
            deactivate(context.store, activation, removed_ms)
    except OrderRefused as error:
        raise Stop(str(error), "call the gateway's operator") from None
    return {
        "device": device,
        "activation": activation,
        "removed_ms": row.removed_ms if row is not None and row.removed_ms is not None else removed_ms,
        "units": [one.unit for one in stands],
    }


def lock(context: Context) -> Facts:
    """From now on the device obeys nobody who does not know its key."""
    side = context.on_the_line
    try:
        if not side.again().locked:
            side.console.ask("lock")
    except Refused as error:
        raise Stop(f"{side.device} can not be locked ({error})", ANOTHER) from None
    if not side.again().locked:
        raise Stop(f"{side.device} does not stay locked", ANOTHER)
    return {"device": side.device}


def wipe(context: Context, *device_ids: str) -> Facts:
    """What the devices were provisioned with lies open in the gateway's folder no longer."""
    return {"wiped": [one for one in device_ids if one and forget_credentials(context.settings, one)]}
