"""Orders and activations: taking in an order, fitting a device, taking it off."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from datetime import datetime

import structlog
from sqlalchemy import Connection

from core.activation import Activation
from core.law import check_order
from core.order import Condition, DiscountedTime, DiscountKind, Order, OrderError, order_from_json
from core.rules import DEFAULT_RULES
from core.senses import SENSES
from gateway import gateway_time, logs
from gateway.clock import utc_ms, utc_text
from gateway.orders import legal_tasks, tasks, unfitted, unwatched
from gateway.orders.kinds import Kind
from gateway.stock.register import swapped
from gateway.store import Store, devices, erasures, intake, order_changes, orders, stock

log = structlog.get_logger(__name__)


class OrderRefused(ValueError):  # noqa: N818 - it is a refusal, and read so where it is caught
    """An order or an activation that can not be taken; the text names it, the fact and the remedy."""


def add_order(
    store: Store, document: Mapping[str, object], *, by: str = "", reason: str = "", clock: str = "system"
) -> Order:
    """Take in an order, or a new version of one; ``document`` is kept as given, with ``by`` whom and why beside it.

    ``clock`` is the setting (`gateway.gateway_time.present`).

    Raises OrderRefused with every problem in the document, or where this version is known already with other content.
    The same document again changes nothing.
    """
    try:
        order = order_from_json(document)
    except OrderError as error:
        raise OrderRefused(f"the order can not be used: {error}") from error
    text = json.dumps(document, ensure_ascii=False)
    with store.write() as connection:
        refuse_closed(connection, order.order_id)
        known = orders.versions(connection, order.order_id)
        for version in known:
            if version.version == order.version:
                if json.loads(version.document) == json.loads(text):
                    return order
                raise OrderRefused(
                    f"order {order.order_id} has another version {order.version} already: "
                    f"give the changed order version {known[-1].version + 1}"
                )
        known_ms = gateway_time.now(store, clock).ms
        orders.add_version(
            connection,
            orders.OrderVersion(
                order.order_id,
                order.version,
                order.effective_ms,
                known_ms,
                order.wearer.id,
                order.wearer.name,
                text,
            ),
        )
        if by:
            order_changes.add(
                connection,
                order_id=order.order_id,
                version=order.version,
                last_version=order.version,
                kind=Kind.TYPED,
                by=by,
                at_ms=known_ms,
                effective_ms=order.effective_ms,
                reason=reason,
                details={},
                identity="",
            )
        unwatched.sync(connection, order.order_id, known_ms)
        earlier = [version for version in known if version.version < order.version]
        problems = check_order(order, DEFAULT_RULES.timezone, _readable(earlier))
        legal_tasks.see_to(connection, order.order_id, problems, order.version, known_ms)
    return order


def _readable(versions: Sequence[orders.OrderVersion]) -> list[Order]:
    """Those that this program can read; one that another took in is left out of what the law is asked about."""
    found = []
    for version in versions:
        try:
            found.append(order_from_json(json.loads(version.document)))
        except OrderError:
            continue
    return found


def activate(
    store: Store,
    device: str,
    order_id: str,
    fitted: datetime | int | None = None,
    *,
    by: str = "",
    within: Connection | None = None,
) -> str:
    """A device is fitted to the wearer of an order; returns the activation's id.

    ``fitted`` is the instant in tag time: a datetime (UTC where it has no zone), milliseconds, or None for now; ``by``
    is who has done it, ``within`` the transaction that it is part of. Raises OrderRefused where device or order are
    unknown, the device is a home unit, is in quarantine, or it is worn already.
    """
    fitted_ms = instant_ms(store, fitted)
    with store.write() if within is None else nullcontext(within) as connection:
        entry = devices.one(connection, device)
        if entry is None or entry.revoked_at_ms is not None:
            raise OrderRefused(
                f"device {device} is not known or was revoked: add it with `tagwatch device add`"
            )
        if entry.kind not in SENSES:
            raise OrderRefused(
                f"device {device} is a {entry.kind}, which nobody wears: fit the tag, and install this for it with "
                "`tagwatch device install`"
            )
        aside = stock.refusal(connection, device)
        if aside:
            raise OrderRefused(
                f"{aside}: fit another, or have it tested and `tagwatch device release {device}`"
            )
        refuse_closed(connection, order_id)
        if erasures.gone_from(connection, device, fitted_ms):
            raise OrderRefused(
                f"readings of {device} from {utc_text(fitted_ms)} on were deleted by policy, so nobody can be judged "
                "by them: give a later instant, see `tagwatch retention proofs`"
            )
        if not orders.versions(connection, order_id):
            raise OrderRefused(f"order {order_id} is not known: add it with `tagwatch order add`")
        before = orders.activations(connection, device)
        for worn in before:
            if worn.removed_ms is None or fitted_ms < worn.removed_ms:
                end = "now" if worn.removed_ms is None else utc_text(worn.removed_ms)
                raise OrderRefused(
                    f"device {device} is worn from {utc_text(worn.fitted_ms)} until {end} ({worn.id}): "
                    "record its removal first"
                )
        activation_id = f"{device}-{len(before) + 1}"
        orders.add_activation(
            connection, orders.ActivationRow(activation_id, device, order_id, fitted_ms, None)
        )
        if by:
            stock.add_event(
                connection, device, "fitted", by, f"under order {order_id}", fitted_ms, activation_id
            )
        unfitted.settle(connection, order_id, fitted_ms)
        unwatched.sync(connection, order_id, fitted_ms)
    return activation_id


def deactivate(
    store: Store,
    activation_id: str,
    removed: datetime | int | None = None,
    *,
    by: str = "",
    within: Connection | None = None,
) -> None:
    """The device was taken off, ``by`` whom; ``within`` is the transaction that it is part of.

    Raises OrderRefused where the activation is unknown, has ended, or had not begun.
    """
    removed_ms = instant_ms(store, removed)
    with store.write() if within is None else nullcontext(within) as connection:
        worn = orders.one_activation(connection, activation_id)
        if worn is None or worn.removed_ms is not None:
            raise OrderRefused(f"activation {activation_id} is not known, or has ended before")
        if removed_ms < worn.fitted_ms:
            raise OrderRefused(
                f"{utc_text(removed_ms)} lies before it was fitted ({utc_text(worn.fitted_ms)}): "
                "give a later instant"
            )
        orders.end_activation(connection, activation_id, removed_ms)
        taken_off = [
            row.id
            for row in intake.tasks(connection, worn.order_id)
            if (row.kind, row.about) == (tasks.REMOVE_TAG, activation_id)
        ]
        intake.settle(connection, taken_off, "the removal", removed_ms)
        swapped(connection, worn.device, by or "operator", removed_ms, "it was removed")
        if by:
            stock.add_event(connection, worn.device, "removed", by, "", removed_ms, activation_id)
        unwatched.sync(connection, worn.order_id, removed_ms)


def refuse_closed(connection: Connection, order_id: str) -> None:
    """Raises OrderRefused where the order's readings are gone: nobody is judged by it any more."""
    if order_id in erasures.closed_orders(connection):
        raise OrderRefused(
            f"order {order_id} is closed: its readings are deleted by policy, so nobody is judged by it any more. "
            "Give a new order another id"
        )


class Orders:
    """Reads activations with their orders as the core takes them; each version of an order is compiled once."""

    def __init__(self) -> None:
        self._compiled: dict[tuple[str, int], Order] = {}
        self._prints: dict[str, bytes] = {}

    def fingerprint(self, activation_id: str) -> bytes:
        """A digest of all that the store said of an activation and its order when it was read last."""
        return self._prints[activation_id]

    def activations(self, connection: Connection) -> list[Activation]:
        """Every activation, with all versions of its order.

        One whose order this program can not read (it was taken in by another) is left out, and told of in the log: it
        must not keep everybody else from being judged.
        """
        # in three questions, however many there are
        versions, kinds = orders.every_version(connection), devices.kinds(connection, in_use=True)
        every = [
            self._with_order(row, versions[row.order_id], kinds[row.device])
            for row in orders.activations(connection)
        ]
        return [activation for activation in every if activation is not None]

    def activation(self, connection: Connection, activation_id: str) -> Activation | None:
        """The activation of that id, or None; also where its order can not be read."""
        row = orders.one_activation(connection, activation_id)
        if row is None:
            return None
        entry = devices.one(connection, row.device)
        assert entry is not None, "an activation is of a device that is known"
        return self._with_order(row, orders.versions(connection, row.order_id), entry.kind)

    def _with_order(
        self, row: orders.ActivationRow, versions: Sequence[orders.OrderVersion], kind: str
    ) -> Activation | None:
        try:
            known = on_record([self._read(version) for version in versions], versions)
        except ValueError as error:
            log.error(
                "an order can not be read: NOT MONITORED; add it again to be told what is wrong with it",
                activation=row.id,
                problem=logs.safe(error),
            )
            return None
        said = [(one.version, one.effective_ms, one.known_at_ms, one.document) for one in versions]
        self._prints[row.id] = hashlib.sha256(repr((row, kind, said)).encode()).digest()
        return Activation(
            row.id,
            row.device,
            known[-1],
            row.fitted_ms,
            row.removed_ms,
            tuple(known[:-1]),
            senses=SENSES[kind],
        )

    def _read(self, version: orders.OrderVersion) -> Order:
        key = version.order_id, version.version
        if key not in self._compiled:
            self._compiled[key] = order_from_json(json.loads(version.document))
        return self._compiled[key]


def on_record(orders_: Sequence[Order], versions: Sequence[orders.OrderVersion]) -> list[Order]:
    """Versions of an order (ascending) in which each authorised absence says since when it stands in the store.

    What its text says of that is somebody's word. What was there when the order came was so before anybody was judged
    by it: of that the text stands.
    """
    first_ms = min((version.known_at_ms for version in versions), default=0)
    known: dict[DiscountedTime, int | None] = {}
    ascending = sorted(zip(versions, orders_, strict=True), key=lambda one: one[0].known_at_ms)
    for version, order in ascending:
        # whole seconds, as all that alerts say
        at_ms = -(-version.known_at_ms // 1000) * 1000
        for one in order.discounts:
            since_ms = one.recorded_ms if version.known_at_ms == first_ms else at_ms
            known.setdefault(replace(one, recorded_ms=None), since_ms)
    found = []
    for order in orders_:
        said = tuple(
            replace(one, recorded_ms=known[replace(one, recorded_ms=None)])
            if one.kind == DiscountKind.AUTHORISED_ABSENCE
            else one
            for one in order.discounts
        )
        found.append(order if said == order.discounts else replace(order, discounts=said))
    return found


def left_out(store: Store, order: Order) -> list[DiscountedTime]:
    """Absences and excuses that the version before ``order`` had and it does not say: lists are carried whole."""
    with store.read() as connection:
        known = [one for one in orders.versions(connection, order.order_id) if one.version < order.version]
    try:
        before = order_from_json(json.loads(known[-1].document)).discounts if known else ()
    except OrderError:
        return []
    return [one for one in before if one not in order.discounts]


def beyond(store: Store, activation_id: str) -> list[Condition]:
    """The conditions of an activation's order, as worded last, that its device can not tell of."""
    with store.read() as connection:
        activation = Orders().activation(connection, activation_id)
    if activation is None:
        return []
    return [one for one in activation.order.conditions if type(one) not in activation.senses]


def instant_ms(store: Store, given: datetime | int | None) -> int:
    """What an operator gave as an instant: a datetime (UTC where it has no zone), milliseconds, or None for now.

    Raises OrderRefused where it is to be now and this gateway does not know what time it is.
    """
    if given is None:
        now = gateway_time.now(store, "system")
        if not now.known:
            raise OrderRefused(
                "this gateway has not been told the time since it was switched on: give the instant"
            )
        return now.ms
    return utc_ms(given) if isinstance(given, datetime) else given
