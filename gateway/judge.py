"""From committed readings to alerts in the store: the monitor, fed and asked.

The monitor's state is a cache. At the start it is made again from the stored envelopes, so a gateway that was killed
between commit and alert raises that alert when it is back; what the store says already is not said twice. Of each
activation only the newest readings are kept in memory, and of the alerts those that are not settled or have been so for
less than a month; the store is asked for earlier ones when they are needed again.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial

import structlog
from sqlalchemy import Connection

from core.activation import Activation
from core.alerts import Alert
from core.contact import NO_CONTACT, ended
from core.monitor import REMEMBER_S, Monitor
from core.readings import Kind, Readings
from core.rules import DEFAULT_RULES, RuleSet
from gateway import clock_alarm, evidence, incidents, logs
from gateway.beacons import Beacons
from gateway.group import Committed
from gateway.orders import Orders
from gateway.register import Register, joined
from gateway.store import Store, alerts, devices, envelopes, erasures, installations, state
from gateway.store.envelopes import Stored
from gateway.store.marks import Mark, marked
from gateway.successions import Successions
from gateway.trail import messages_of

log = structlog.get_logger(__name__)

KEEP_READINGS = 512
"""So many are kept of each activation, some 64 bytes each: four hours of a position and a contact every minute. A home
unit and a tag that are both connected are never so far apart."""
CHECKPOINT_READINGS = 256
_NOT_THE_MONITORS = (*incidents.RULES, clock_alarm.RULE)
"""Alerts that others write."""
_LOAD_READINGS = 65_536
"""At the start so many stored readings are judged at a time, so that memory stays bounded then, too."""


class Judge:
    """Keeps the monitor in step with the store. Used by one thread; ``refresh`` before anything else.

    ``compiled`` may be shared with others in that thread, so that no order is compiled twice.

    Every method raises ``sqlalchemy.exc.DBAPIError`` where the store fails; the call can be made again.
    """

    def __init__(
        self,
        store: Store,
        rules: RuleSet = DEFAULT_RULES,
        keep_readings: int = KEEP_READINGS,
        checkpoint_readings: int = CHECKPOINT_READINGS,
        remember_s: int = REMEMBER_S,
        compiled: Orders | None = None,
    ) -> None:
        self._store = store
        self._rules = rules
        self._monitor = Monitor(
            rules,
            checkpoint_readings,
            self._recall,
            keep_readings,
            recall_alerts=self._recall_alerts,
            remember_s=remember_s,
        )
        self._successions = Successions()
        self._orders = Orders() if compiled is None else compiled
        self._register = Register()
        self._beacons = Beacons()
        self._incidents: list[incidents.Incident] = []
        self._unread: list[str] = []
        """Activations whose stored readings the monitor has not been given."""
        self._changes = -1
        self._unwritten: dict[str, alerts.AlertEntry] = {}
        self._reconciled = False
        self._moved: set[str] = set()
        """Activations that are judged as if new, and have not been compared with what they said."""
        self._alarmed: frozenset[str] | None = None
        self._told_unreadable: set[int] = set()
        self.held: dict[str, int] = {}
        """Readings that wait for the gateway's clock, per activation, as judged last."""

    def refresh(self) -> None:
        """Take over activations, orders and home units that are new or have changed."""
        with self._store.read() as connection:
            changes = state.changes(connection)
            if changes == self._changes:
                return
            # one that is no longer among them, because its order can not be read, is watched as it was
            known_now = {one.id: one for one in self._orders.activations(connection)}
            closed = erasures.closed_activations(connection)
            register = Register(
                [one for one in (self._register.activations | known_now).values() if one.id not in closed],
                installations.every(connection),
                devices.kinds(connection),
            )
            heard = devices.last_heard(connection)
        for name in self._register.activations.keys() - register.activations.keys():
            self._let_go(name)
        for activation in register.activations.values():
            known = self._register.activations.get(activation.id)
            moved = self._register.units(activation.id) != register.units(activation.id)
            if known is not None and moved:
                # other readings belong to it now: it is judged as if new, and what it said compared with that
                self._let_go(activation.id)
                self._moved.add(activation.id)
            carrying = replace(activation, carried=self._successions.carried(activation.id))
            if known is None or moved:
                self._monitor.bind(carrying)
                self._unread.append(activation.id)
                self._monitor.heard(activation.id, register.last_heard(activation.id, heard))
            elif known != activation:
                self._monitor.rebind(carrying)
        self._register = register
        self._changes = changes

    def _let_go(self, activation_id: str) -> None:
        """Forget an activation; what was said of it and is written stands."""
        self._monitor.unbind(activation_id)
        self._unwritten = {
            name: entry for name, entry in self._unwritten.items() if entry.activation != activation_id
        }
        self._unread = [name for name in self._unread if name != activation_id]
        self._moved.discard(activation_id)

    def mark(self) -> Mark | None:
        """Write down up to where everything is judged and written; None where something is still to be.

        To be called after `judge` in the thread that commits, so that there is nothing that it was not given.
        """
        if not self._in_step or self._unread or self._unwritten or self._incidents:
            return None
        with self._store.read() as connection:
            known = marked(connection)
            reached = Mark(envelopes.newest(connection), self._changes)
        if reached != known:
            with self._store.write() as connection:
                state.set_number(connection, state.JUDGED_ENVELOPE, reached.envelope)
                state.set_number(connection, state.JUDGED_CHANGES, reached.changes)
        return reached

    def add(self, committed: Committed) -> None:
        """What was committed just now."""
        for device, understood in committed.understood.items():
            owners = self._register.owners(device)
            # most of what nobody is judged by is not even decoded
            if not owners and not any(
                block.kind == Kind.RF_CONTACT for up, _ in understood for block in up.blocks
            ):
                continue
            said = evidence.said(understood)
            self._compare(device, said)
            for activation_id in owners:
                mine = self._register.readings(activation_id, device, said)
                if len(mine):
                    self._monitor.add(activation_id, mine)
        for device, received_ms in committed.heard.items():
            for activation_id in self._register.heard(device, received_ms):
                self._monitor.heard(activation_id, received_ms)

    def judge(self, now_ms: int, *, present: bool = True) -> int:
        """Judge everything at ``now_ms`` (gateway time); returns how many alerts were written.

        ``present`` is False where a stepped clock may stand behind the tags': then nothing is said of clocks.
        """
        while self._unread:
            self._load()
            self._ask(now_ms)
        self._ask(now_ms)
        self.held = self._monitor.held()
        if not self._in_step:
            self._reconcile(now_ms)
        if present and self._alarmed != self.held.keys():
            self._alarm(now_ms)
        if not self._unwritten and not self._incidents:
            return 0
        with self._store.write() as connection:
            written = alerts.put(connection, list(self._unwritten.values()), now_ms)
            written += incidents.record(connection, self._incidents, now_ms)
        self._unwritten.clear()
        self._incidents.clear()
        return len(written)

    @property
    def _in_step(self) -> bool:
        """Has what was said before been compared with what is said now? Until then no alert may be forgotten."""
        return self._reconciled and not self._moved

    def _ask(self, now_ms: int) -> None:
        again = True
        while again:
            for alert in self._monitor.judge(now_ms, forgetting=self._in_step):
                device = self._register.activations[alert.activation].device
                self._unwritten[alert.id] = alerts.entry(alert, device)
            again = self._successions.hand_on(self._monitor, self._register.chains, now_ms)

    def _load(self) -> None:
        """Give the monitor the stored readings of some activations."""
        count = 0
        with self._store.read() as connection:
            while self._unread and count < _LOAD_READINGS:
                readings = self._stored(connection, self._unread[-1])
                self._monitor.add(self._unread[-1], readings)
                count += len(readings)
                self._unread.pop()

    def _recall(self, activation_id: str, from_ms: int) -> Readings:
        with self._store.read() as connection:
            return self._stored(connection, activation_id, from_ms)

    def _recall_alerts(self, activation_id: str) -> list[Alert]:
        """What was said of an activation and stands; some of it may not have been written yet."""
        with self._store.read() as connection:
            stored = self._said(connection, self._register.activations[activation_id])
        said = {entry.id: entry for entry in stored} | {
            entry.id: entry for entry in self._unwritten.values() if entry.activation == activation_id
        }
        return [alerts.alert_of(entry) for entry in said.values() if entry.state != "withdrawn"]

    def _said(self, connection: Connection, activation: Activation) -> list[alerts.AlertEntry]:
        return alerts.standing_of(connection, activation.device, activation.id, _NOT_THE_MONITORS)

    def _stored(self, connection: Connection, activation_id: str, from_ms: int | None = None) -> Readings:
        """The stored readings of an activation, dated ``from_ms`` and later; some earlier ones may be among them."""
        activation = self._register.activations[activation_id]
        begin_ms = activation.fitted_ms if from_ms is None else max(from_ms, activation.fitted_ms)
        parts = []
        for device in self._register.devices(activation_id):
            messages = messages_of(
                connection,
                device,
                begin_ms,
                activation.removed_ms,
                unreadable=partial(self._tell_unreadable, device),
            )
            said = evidence.said(messages)
            self._compare(device, said)
            parts.append(self._register.readings(activation_id, device, said))
        return joined(parts)

    def _compare(self, device: str, said: evidence.Said) -> None:
        if len(said.contacts):
            self._incidents += self._beacons.see(device, said, self._register.beacons)

    def _tell_unreadable(self, device: str, stored: Stored, error: ValueError) -> None:
        # one changed row must not keep everybody else from being judged
        if stored.id not in self._told_unreadable:
            self._told_unreadable.add(stored.id)
            log.error(
                "a stored envelope can not be read and is not judged",
                device=device,
                row=stored.id,
                problem=logs.safe(error),
            )

    def _reconcile(self, now_ms: int) -> None:
        """Withdraw what an earlier run has said and the stored readings no longer say.

        Not while the clock stands before the newest revision: then silence has not yet become what it was. What was
        said of a device's silence is never withdrawn, but over once the device has been heard.
        """
        with self._store.read() as connection:
            if now_ms < alerts.last_changed_ms(connection):
                return
            if self._reconciled:
                moved = [self._register.activations[name] for name in sorted(self._moved)]
                standing = [entry for activation in moved for entry in self._said(connection, activation)]
            else:
                standing = list(alerts.standing(connection, _NOT_THE_MONITORS).values())
            heard = devices.last_heard(connection)
        current = {alert.id for alert in self._judged()}
        for entry in standing:
            if entry.id in current or entry.id in self._unwritten:
                continue
            if entry.activation not in self._register.activations:
                continue  # nobody judges it any more, or can: what was said stands
            if entry.rule == NO_CONTACT:
                end_ms = self._silent_until(entry, heard)
                if entry.state == "open" and end_ms is not None:
                    over = ended(alerts.alert_of(entry), end_ms, self._rules)
                    self._unwritten[entry.id] = alerts.entry(over, entry.device)
            else:
                self._unwritten[entry.id] = alerts.withdrawn(entry)
        self._reconciled = True
        self._moved.clear()
        self._monitor.forget()

    def _judged(self) -> Iterator[Alert]:
        """The alerts of the activations that are to be compared; none of them has been forgotten."""
        if not self._reconciled:
            yield from self._monitor.alerts()
            return
        for name in self._moved:
            yield from self._monitor.alerts(name)

    def _silent_until(self, entry: alerts.AlertEntry, heard: dict[str, int]) -> int | None:
        """When a silence that an earlier run told of was over; None where it goes on."""
        activation = self._register.activations.get(entry.activation or "")
        if activation is None:
            return None
        heard_ms = self._register.last_heard(activation.id, heard)
        if heard_ms > entry.start_ms - self._rules.no_contact_s * 1000:
            return max(entry.start_ms, heard_ms)
        return activation.removed_ms

    def _alarm(self, now_ms: int) -> None:
        with self._store.read() as connection:
            changed = clock_alarm.changes(
                connection, self.held, self._register.activations, now_ms, self._rules
            )
        for entry in changed:
            self._unwritten[entry.id] = entry
        self._alarmed = frozenset(self.held)
