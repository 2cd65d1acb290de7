"""From committed positions to alerts in the store: the monitor, fed and asked.

The monitor's state is a cache. At the start it is made again from the stored envelopes, so a gateway that was killed
between commit and alert raises that alert when it is back; what the store says already is not said twice.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import numpy as np
import structlog
from sqlalchemy import Connection

from core.activation import Activation
from core.monitor import Monitor
from core.readings import Positions
from core.rules import DEFAULT_RULES, RuleSet
from gateway import incidents
from gateway.orders import Orders
from gateway.store import Store, alerts, state
from gateway.store.envelopes import Stored
from gateway.trail import positions_of

log = structlog.get_logger(__name__)


class Judge:
    """Keeps the monitor in step with the store. Used by one thread; ``refresh`` before anything else.

    Every method raises ``sqlalchemy.exc.DBAPIError`` where the store fails; the call can be made again.
    """

    def __init__(self, store: Store, rules: RuleSet = DEFAULT_RULES) -> None:
        self._store = store
        self._monitor = Monitor(rules)
        self._orders = Orders()
        self._bound: dict[str, Activation] = {}
        self._by_device: dict[str, list[Activation]] = {}
        self._changes = -1
        self._unwritten: dict[str, alerts.AlertEntry] = {}
        self._reconciled = False

    def refresh(self) -> None:
        """Take over activations and orders that are new or have changed, with the positions stored for them."""
        with self._store.read() as connection:
            changes = state.changes(connection)
            if changes == self._changes:
                return
            for activation in self._orders.activations(connection):
                known = self._bound.get(activation.id)
                if known == activation:
                    continue
                if known is None:
                    self._monitor.bind(activation)
                    self._monitor.add(activation.id, _stored(connection, activation))
                else:
                    self._monitor.rebind(activation)
                self._bound[activation.id] = activation
            self._by_device = {}
            for activation in self._bound.values():
                self._by_device.setdefault(activation.device, []).append(activation)
            self._changes = changes

    def add(self, positions: Mapping[str, Positions]) -> None:
        """Positions of each device that were committed just now."""
        for device, found in positions.items():
            for activation in self._by_device.get(device, ()):
                mine = _within(found, activation)
                if len(mine):
                    self._monitor.add(activation.id, mine)

    def judge(self, now_ms: int) -> int:
        """Judge everything at ``now_ms`` (gateway time); returns how many alerts were written."""
        for alert in self._monitor.judge(now_ms):
            self._unwritten[alert.id] = alerts.entry(alert, self._bound[alert.activation].device)
        if not self._reconciled:
            self._reconcile(now_ms)
        if not self._unwritten:
            return 0
        with self._store.write() as connection:
            written = alerts.put(connection, list(self._unwritten.values()), now_ms)
        self._unwritten.clear()
        return len(written)

    def _reconcile(self, now_ms: int) -> None:
        """Withdraw what an earlier run has said and the stored readings no longer say.

        Not while the clock stands before the newest revision: then silence has not yet become what it was.
        """
        with self._store.read() as connection:
            if now_ms < alerts.last_changed_ms(connection):
                return
            standing = alerts.standing(connection, incidents.RULES)
        current = {alert.id for alert in self._monitor.alerts()}
        for entry in standing.values():
            if entry.id not in current and entry.id not in self._unwritten:
                self._unwritten[entry.id] = alerts.withdrawn(entry)
        self._reconciled = True


def _stored(connection: Connection, activation: Activation) -> Positions:
    found = positions_of(
        connection,
        activation.device,
        activation.fitted_ms,
        activation.removed_ms,
        unreadable=partial(_tell_unreadable, activation.device),
    )
    return _within(found, activation)


def _tell_unreadable(device: str, stored: Stored, error: ValueError) -> None:
    # one changed row must not keep everybody else from being judged
    log.error(
        "a stored envelope can not be read and is not judged",
        device=device,
        row=stored.id,
        problem=str(error),
    )


def _within(positions: Positions, activation: Activation) -> Positions:
    """The positions from fitting until removal."""
    inside = positions.t_ms >= activation.fitted_ms
    if activation.removed_ms is not None:
        inside &= positions.t_ms < activation.removed_ms
    return positions if inside.all() else positions.take(np.flatnonzero(inside))
