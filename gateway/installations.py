"""Home units: installing one at an address of an order, and taking it away."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from datetime import datetime

from sqlalchemy import Connection

from core.conditions import CurfewCondition
from core.order import Order
from gateway.clock import utc_text
from gateway.orders import OrderRefused, Orders, instant_ms
from gateway.stock import register
from gateway.store import Store, devices, installations, stock
from gateway.store.installations import Installation

HOME_UNIT = "home_unit"
MOST_TAGS = 30
"""So many tags a home unit hears (docs/rf.md)."""


def install(
    store: Store,
    unit: str,
    activation_id: str,
    address: str | None = None,
    installed: datetime | int | None = None,
    *,
    within: Connection | None = None,
) -> Installation:
    """A home unit was installed for a wearer, at the address of that name in the order's curfew.

    ``address`` may be left out where there is only one; ``installed`` is a datetime (UTC where it has no zone),
    milliseconds, or None for now; ``within`` is the transaction that it is part of. Raises OrderRefused where unit,
    activation or address are not known, the unit is in quarantine, or where the unit, or another at that address,
    listens for the wearer already, or the unit for `MOST_TAGS` others.
    """
    installed_ms = instant_ms(store, installed)
    with store.write() if within is None else nullcontext(within) as connection:
        entry = devices.one(connection, unit)
        if entry is None or entry.revoked_at_ms is not None or entry.kind != HOME_UNIT:
            raise OrderRefused(
                f"{unit} is no home unit that is known: add it with `tagwatch device add {unit} --kind home_unit`"
            )
        aside = stock.refusal(connection, unit)
        if aside:
            raise OrderRefused(
                f"{aside}: install another, or have it tested and `tagwatch device release {unit}`"
            )
        worn = Orders().activation(connection, activation_id)
        if worn is None:
            raise OrderRefused(
                f"activation {activation_id} is not known: it is told by `tagwatch order add --device`"
            )
        if worn.removed_ms is not None and worn.removed_ms <= installed_ms:
            raise OrderRefused(f"activation {activation_id} ended at {utc_text(worn.removed_ms)}")
        place = _place(worn.order, address)
        listens = 0
        for one in installations.every(connection):
            overlaps = one.removed_ms is None or installed_ms < one.removed_ms
            if one.activation == activation_id and overlaps and (one.unit == unit or one.place == place):
                end = "now" if one.removed_ms is None else utc_text(one.removed_ms)
                raise OrderRefused(
                    f"home unit {one.unit} listens for {activation_id} at this address from "
                    f"{utc_text(one.installed_ms)} until {end}: record its removal first"
                    if one.place == place
                    else f"home unit {unit} listens for {activation_id} at another address: "
                    "record its removal there first"
                )
            listens += one.unit == unit and overlaps
        if listens >= MOST_TAGS:
            raise OrderRefused(
                f"home unit {unit} listens for {listens} wearers, which is all it can: install another unit"
            )
        made = Installation(unit, activation_id, installed_ms, None, place)
        installations.add(connection, made)
    return made


def uninstall(
    store: Store,
    unit: str,
    activation_id: str | None = None,
    removed: datetime | int | None = None,
    *,
    within: Connection | None = None,
) -> list[Installation]:
    """A home unit was taken away: from one activation, or from all for which it listens; returns where it stood.

    ``within`` is the transaction that it is part of. Raises OrderRefused where it is installed for none, or was
    installed later than ``removed``.
    """
    removed_ms = instant_ms(store, removed)
    with store.write() if within is None else nullcontext(within) as connection:
        gone = [
            one
            for one in installations.every(connection)
            if one.unit == unit and one.removed_ms is None and activation_id in (None, one.activation)
        ]
        if not gone:
            raise OrderRefused(
                f"home unit {unit} is not installed" + (f" for {activation_id}" if activation_id else "")
            )
        for one in gone:
            if removed_ms < one.installed_ms:
                raise OrderRefused(
                    f"{utc_text(removed_ms)} lies before it was installed ({utc_text(one.installed_ms)}): "
                    "give a later instant"
                )
            installations.end(connection, one, removed_ms)
        if not register.in_use(connection, unit).get(unit):
            register.swapped(connection, unit, "operator", removed_ms, "it was taken away")
    return gone


def _place(order: Order, address: str | None) -> int:
    """Where an address stands in the list of the order's curfew."""
    lists = [
        [place.address.name for place in condition.places]
        for condition in order.conditions
        if isinstance(condition, CurfewCondition)
    ]
    names: Sequence[str] = list(dict.fromkeys(name for one in lists for name in one))
    if not names:
        raise OrderRefused(f"order {order.order_id} has no curfew: no address for a home unit to stand at")
    if address is None:
        if len(names) > 1:
            raise OrderRefused(
                f"order {order.order_id} has several addresses: give one of {', '.join(names)}"
            )
        address = names[0]
    places = {one.index(address) for one in lists if address in one}
    if not places:
        raise OrderRefused(
            f"order {order.order_id} has no address {address!r}: give one of {', '.join(names)}"
        )
    if len(places) > 1:
        raise OrderRefused(
            f"the curfews of order {order.order_id} list address {address!r} in different places: "
            "give a version of the order that lists the addresses alike"
        )
    return places.pop()
