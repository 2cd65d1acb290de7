"""Enrolment bundles at the gateway: handing one out, taking back what was done with it, revoking it."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import asdict

from sqlalchemy import Connection

from gateway import users
from gateway.clock import utc_text
from gateway.devices import DeviceError, revoke_device
from gateway.fitting import bundle
from gateway.fitting.bundle import MOST_HOURS, Signed
from gateway.fitting.local_desk import OPERATOR, LocalDesk
from gateway.fitting.stops import Stop
from gateway.store import accounts, bundles, devices, installations, looks, orders, stock
from gateway.store.bundles import BundleRow

HOUR_MS = 3_600_000
DEFAULT_HOURS = 24
MOST_ORDERS, MOST_DEVICES = 20, 60
"""A night's visits, with something to spare: a lost bundle is to hold no more than that."""
KEEP_MS = 14 * 24 * HOUR_MS
"""A visit that was begun in time is finished whenever there is a connection: so long the numbers wait for it."""
_ENROLLED_MS = HOUR_MS
"""A number that came on record so shortly before a bundle with it was made came for that bundle."""
_EARLY_MS = 900_000
"""A laptop's clock may be so far from the gateway's."""


def issue(
    desk: LocalDesk,
    bundle_id: str,
    account: str,
    order_ids: Sequence[str],
    numbers: Sequence[str],
    hours: int,
) -> Signed:
    """What the gateway says for visits to these orders with these devices, for that officer alone.

    The same id again gives the same until it expires. Raises Stop.
    """
    officer = _may_fit(desk, account)
    if not 0 < hours <= MOST_HOURS or not order_ids or len(order_ids) > MOST_ORDERS:
        raise Stop(
            f"a bundle is for 1 to {MOST_ORDERS} orders and {MOST_HOURS} hours at most", "ask for less"
        )
    if len(numbers) > MOST_DEVICES:
        raise Stop(f"a bundle has {MOST_DEVICES} devices at most", "ask for less")
    now_ms = desk.now_ms()
    row = BundleRow(
        bundle_id, account, now_ms, now_ms + hours * HOUR_MS, None, tuple(order_ids), tuple(numbers)
    )
    visited = [
        {
            "order_id": order_id,
            "order": desk.order_document(order_id),
            "doorstep": desk.doorstep(order_id).as_data(),
            "worn": [asdict(one) for one in desk.on_order(order_id)],
        }
        for order_id in order_ids
    ]
    taken = [_device(desk, one) for one in numbers]
    with desk.store.write() as connection:
        before = bundles.one(connection, bundle_id)
        if before is None:
            bundles.add(connection, row)
            looks.add(
                connection,
                users.present_ms(connection),
                account,
                "fitting: bundle made",
                bundle=bundle_id,
                orders=", ".join(order_ids),
                devices=", ".join(numbers),
            )
        elif (before.account, before.orders, before.devices, before.revoked_ms) == (
            account,
            row.orders,
            row.devices,
            None,
        ):
            row = before
        else:
            raise Stop(f"bundle {bundle_id} was made for something else", "ask for another one")
    sweep(desk)  # not before: this bundle may have a number that waited
    place, contact = desk.place(), desk.contact()
    document = {
        "tagwatch_bundle": bundle.FORM,
        "id": row.id,
        "officer": account,
        "full_name": officer,
        "issued_ms": row.issued_ms,
        "expires_ms": row.expires_ms,
        "place": {**asdict(place), "authority": b64encode(place.authority).decode()},
        "contact": {"phone": contact.phone, "hours": contact.hours},
        "orders": visited,
        "devices": taken,
    }
    return bundle.sign(desk.authority, json.dumps(document), row.expires_ms)


def claim(desk: LocalDesk, bundle_id: str, account: str, order_id: str, visit: str, began_ms: int) -> None:
    """This visit, begun then, is the one that the bundle was used for. Said again it is the same. Raises Stop."""
    now_ms = desk.now_ms()
    on = "the tag is on, and nobody is monitored by it, or it is off, and its alerts go on"
    with desk.store.write() as connection:
        row = bundles.one(connection, bundle_id)
        if row is None:
            raise Stop(f"bundle {bundle_id} was not made by this gateway; {on}", OPERATOR)
        if row.account != account:
            raise Stop(f"bundle {bundle_id} is another officer's; {on}", "have that officer finish the visit")
        if row.revoked_ms is not None:
            raise Stop(f"bundle {bundle_id} was revoked at {utc_text(row.revoked_ms)}; {on}", OPERATOR)
        if order_id not in row.orders:
            raise Stop(f"bundle {bundle_id} is not for order {order_id}; {on}", OPERATOR)
        if began_ms > row.expires_ms or began_ms < row.issued_ms - _EARLY_MS or began_ms > now_ms + _EARLY_MS:
            raise Stop(
                f"this visit began at {utc_text(began_ms)}, and bundle {bundle_id} was good from "
                f"{utc_text(row.issued_ms)} until {utc_text(row.expires_ms)}; {on}",
                OPERATOR,
            )
        before = bundles.visits(connection, bundle_id).get(order_id)
        if before is None:
            bundles.use(connection, bundle_id, order_id, visit, now_ms)
        elif before != visit:
            raise Stop(
                f"bundle {bundle_id} was used for another visit to order {order_id} ({before}); {on}",
                OPERATOR,
            )


def revoke(desk: LocalDesk, bundle_id: str) -> list[str]:
    """A bundle is lost: no visit is finished with it, and its devices that nobody was ever fitted with are revoked.

    Returns those that were revoked. Raises Stop.
    """
    with desk.store.write() as connection:
        if not bundles.revoke(connection, bundle_id, users.present_ms(connection)):
            raise Stop(
                f"there is no bundle {bundle_id} that is good",
                "see `tagwatch fit bundles` for those there are",
            )
        row = bundles.one(connection, bundle_id)
        assert row is not None
        unused = [one for one in row.devices if not orders.activations(connection, one)]
    gone = []
    for one in unused:
        try:
            revoke_device(desk.store, one, settings=desk.settings)
        except DeviceError:
            continue  # it was before
        gone.append(one)
    return gone


def waiting(connection: Connection, row: BundleRow) -> list[str]:
    """Numbers of a bundle that came on record for it, and with which nobody was ever fitted and nothing ever heard.

    One that was in stock before is none: it is a device that somebody has. An RF tag is heard by home units alone, so
    of its number nobody can say that.
    """
    heard, units = devices.last_heard(connection), {one.unit for one in installations.every(connection)}
    found = []
    for name in row.devices:
        entry = devices.one(connection, name)
        if (
            entry is not None
            and entry.revoked_at_ms is None
            and entry.kind != "rf_tag"
            and 0 <= row.issued_ms - entry.added_at_ms <= _ENROLLED_MS
            and name not in heard
            and name not in units
            and not orders.activations(connection, name)
            and not stock.events(connection, name)
        ):
            found.append(name)
    return found


def sweep(desk: LocalDesk) -> list[str]:
    """Revoke the numbers that came on record for bundles which expired `KEEP_MS` ago and were never used.

    Returns them. One that another bundle has still waits.
    """
    now_ms = desk.now_ms()
    with desk.store.read() as connection:
        every = bundles.every(connection)
        over = [one for one in every if one.expires_ms + KEEP_MS <= now_ms]
        kept = {name for one in every if one not in over for name in one.devices}
        unused = sorted({name for one in over for name in waiting(connection, one)} - kept)
    gone = []
    for name in unused:
        try:
            revoke_device(desk.store, name, settings=desk.settings)
        except DeviceError:
            continue  # somebody else was faster
        gone.append(name)
    return gone


def _may_fit(desk: LocalDesk, account: str) -> str:
    with desk.store.read() as connection:
        found = accounts.find(connection, account)
    if found is None or found.disabled_ms is not None or found.role not in users.who_may("fit"):
        raise Stop(
            f"{account} is no user who may fit devices",
            f"see `tagwatch user list`; roles that may: {', '.join(users.who_may('fit'))}",
        )
    return found.full_name


def _device(desk: LocalDesk, device: str) -> dict[str, str]:
    entry, worn = desk.entry(device), desk.worn(device)
    if entry is None:
        raise Stop(f"{device} was never added to this gateway", "read the number on the case again")
    if entry.revoked_at_ms is not None:
        raise Stop(f"{device} was revoked: nothing that it says is believed", "take another one")
    if worn is not None:
        # no key of a tag that somebody wears leaves the gateway
        raise Stop(f"{device} is on a wearer on record ({worn.activation})", "take another one")
    found = desk.device(device)
    if found is not None and found.aside:
        raise Stop(f"{device} is not to be fitted: {found.aside}", "take another one")
    if found is not None and found.key_changes:
        raise Stop(f"{device} is changing its key", "take another one, or fit it where there is a connection")
    return {
        "id": device,
        "kind": entry.kind,
        "certificate": b64encode(entry.certificate).decode(),
        "key": desk.key(device).hex(),
    }
