"""What makes a fitted device count: the activation, the home unit's place, the lock, its keys out of every folder."""

from __future__ import annotations

from gateway.fitting.console import Refused
from gateway.fitting.context import Context
from gateway.fitting.identity import ANOTHER, bound_here
from gateway.fitting.journal import Facts
from gateway.fitting.stops import Stop


def bind(context: Context, tag: str, fitted_ms: int, unit: str | None) -> Facts:
    """The tag is this wearer's from ``fitted_ms`` on, and the home unit stands for it. What was done before stays."""
    worn = context.worn(tag)
    if worn is not None and bound_here(context, tag) is not None:
        fitted_ms = worn.fitted_ms
    bound = context.desk.bind(context.order.order_id, tag, fitted_ms, unit, context.asked.address)
    return {
        "device": tag,
        "unit": unit,
        "activation": bound.activation,
        "fitted_ms": bound.fitted_ms,
        "not_monitored_by_it": list(bound.beyond),
    }


def unbind(context: Context, activation: str, device: str, removed_ms: int) -> Facts:
    """The device is nobody's any more from ``removed_ms`` on, nor does a home unit stand for it."""
    ended = context.desk.unbind(activation, removed_ms)
    if context.asked.lost and context.journal is not None:
        context.desk.report(device, "lost", "not there at a visit, or silent", context.journal.visit)
    return {
        "device": device,
        "activation": activation,
        "removed_ms": ended.removed_ms,
        "units": list(ended.units),
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
    """What the devices were provisioned with lies open nowhere any longer."""
    return {
        "wiped": list(
            context.desk.wipe([one for one in device_ids if one and not _has_to_change(context, one)])
        )
    }


def _has_to_change(context: Context, device: str) -> bool:
    """Whether what lies at the gateway of a device is what it is still to change to: only that copy is there."""
    entry = context.entry(device)
    if entry is None:
        return False
    read = next(
        (
            context.facts[name]
            for name in ("read back", "unit read back")
            if name in context.facts and context.facts[name]["device"] == device
        ),
        {},
    )
    other_certificate = entry.following_sha256 not in ("", read.get("certificate_sha256"))
    return other_certificate or (entry.key_changes == "console" and not read.get("following_key"))
