"""A wearer's tag is changed for another: in one transaction, so that nobody is ever without one, or has two."""

from __future__ import annotations

from gateway.orders.register import OrderRefused, activate, deactivate
from gateway.store import Store, devices, installations, orders
from gateway.store.installations import Installation


def exchange(store: Store, activation_id: str, device: str, at_ms: int, by: str = "") -> str:
    """From ``at_ms`` on (UTC ms) ``device`` is in the place of what the activation was of; returns the new activation.

    The home units that listen for the one listen for the other from then on, each where it stands. Said again after it
    was done it changes nothing. Raises OrderRefused where the activation has ended otherwise or had not begun, the
    device is of another kind, or may not be fitted.
    """
    with store.write() as connection:
        before = orders.one_activation(connection, activation_id)
        if before is None:
            raise OrderRefused(f"activation {activation_id} is not known")
        made = orders.one_activation_of(connection, device)
        if made is not None and (made.order_id, made.fitted_ms) == (before.order_id, before.removed_ms):
            return made.id
        kinds = devices.kinds(connection)
        if device in kinds and kinds[device] != kinds[before.device]:
            raise OrderRefused(
                f"{device} is a {kinds[device]} and {before.device} a {kinds[before.device]}: remove the one, "
                "and fit the other"
            )
        stands = [
            one
            for one in installations.every(connection)
            if one.activation == activation_id and one.removed_ms is None
        ]
        for one in stands:
            if at_ms < one.installed_ms:
                raise OrderRefused(
                    f"home unit {one.unit} was installed later than that: give a later instant"
                )
            installations.end(connection, one, at_ms)
        deactivate(store, activation_id, at_ms, by=by, within=connection)
        activation = activate(store, device, before.order_id, at_ms, by=by, within=connection)
        for one in stands:
            installations.add(connection, Installation(one.unit, activation, at_ms, None, one.place))
    return activation
