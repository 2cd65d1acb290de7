"""From committed readings to alerts in the store: the monitor, fed and asked.

The monitor's state is a cache. At the start it is made again from the stored envelopes, from a checkpoint on where one
is good (`gateway.checkpoints`), so a gateway that was killed between commit and alert raises that alert when it is
back; what the store says already is not said twice. Of each
activation only the newest readings are kept in memory, and of the alerts those that are not settled or have been so for
less than a month; the store is asked for earlier ones when they are needed again.
"""

from __future__ import annotations

import hashlib
import itertools
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import NamedTuple

import structlog
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from core.activation import ALWAYS_MS, Activation
from core.alerts import Alert
from core.contact import NO_CONTACT, ended
from core.monitor import REMEMBER_S, Memory, Monitor
from core.readings import Kind, Readings
from core.rules import DEFAULT_RULES, RuleSet
from gateway import clock_alarm, evidence, incidents, logs, put_aside
from gateway.beacons import Beacons
from gateway.checkpoints import Basis, Checkpoints, Found
from gateway.group import Committed
from gateway.orders import Orders, excuses, unfitted, unwatched
from gateway.register import Register, joined
from gateway.store import Store, alerts, devices, envelopes, erasures, installations, state
from gateway.store.envelopes import Stored
from gateway.store.marks import Mark, marked
from gateway.successions import Successions
from gateway.trail import messages_of, messages_since

log = structlog.get_logger(__name__)

KEEP_READINGS = 512
"""So many are kept of each activation, some 64 bytes each: four hours of a position and a contact every minute. A home
unit and a tag that are both connected are never so far apart."""
CHECKPOINT_READINGS = 256
_NOT_THE_MONITORS = (*incidents.RULES, clock_alarm.RULE, unwatched.RULE, unfitted.RULE, put_aside.RULE)
"""Alerts that others write."""
_LOAD_READINGS = 65_536
"""At the start so many stored readings are judged at a time, so that memory stays bounded then, too."""
KEEP_AFTER = 64
"""After so many more readings of an activation a checkpoint of it is kept: about once an hour, some hundred bytes. A
start judges as many of each anew at most."""
_LOAD_ACTIVATIONS = 500
_KEEP_AT_ONCE = 50
"""So many at a time, so that no commit waits for more than some 20 ms."""
_WRITE_S = 60.0
"""How often it is written at least up to where the checkpoints hold."""


def _nothing() -> None:
    pass


def _nobody(activation_id: str) -> None:
    pass


class CannotJudgeError(Exception):
    """Judging fails at one wearer. ``others``: some others were judged well before, by the same judge."""

    def __init__(self, activation_id: str, others: bool) -> None:
        super().__init__(f"activation {activation_id} can not be judged")
        self.activation, self.others = activation_id, others


class _Tail(NamedTuple):
    """A checkpoint, the stored readings after it, and the alerts told since or unsettled then, as they stand."""

    memory: Memory
    readings: Readings
    told: list[alerts.AlertEntry]


class Judge:
    """Keeps the monitor in step with the store. Used by one thread; ``refresh`` before anything else.

    ``compiled`` may be shared with others in that thread, so that no order is compiled twice. With ``checkpoints`` it
    goes on from them, and keeps them; left out, all that is stored is judged anew. ``going_on`` is called now and then
    while much is judged. ``aside`` are activations that it leaves out, and why (`gateway.put_aside`). With ``careful``
    it begins with one activation at a time, those named in it last; it says to ``about`` which one, and raises
    CannotJudgeError at one that fails.

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
        checkpoints: Checkpoints | None = None,
        going_on: Callable[[], None] = _nothing,
        aside: Mapping[str, str] | None = None,
        careful: Sequence[str] | None = None,
        about: Callable[[str], None] = _nobody,
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
        self._unread: dict[str, None] = {}
        """Activations that the monitor does not know yet, in order: their readings are in the store."""
        self._changes = -1
        self._unwritten: dict[str, alerts.AlertEntry] = {}
        self._bound: set[str] = set()
        """Activations that the monitor knows."""
        self._moved: set[str] = set()
        """Activations that are judged as if new, and have not been compared with what they said."""
        self._discounted: dict[str, None] = {}
        """Activations of whose order something else is discounted than what their alerts were told with."""
        self._going_on = going_on
        self._aside = {} if aside is None else dict(aside)
        self._aside_activations: dict[str, Activation] = {}
        self._told_aside = False
        self._careful, self._about = careful, about
        self._checkpoints = checkpoints
        self._begun = checkpoints is None
        self._recollected: dict[str, int] = {}
        """Up to which instant an activation goes by a checkpoint of an earlier life."""
        self._silences: list[alerts.AlertEntry] = []
        """Silences that were open in an earlier life, of activations that go by a checkpoint."""
        self._since_kept: Counter[str] = Counter()
        """How many readings have come of an activation since a checkpoint of it was kept."""
        self._due: dict[str, None] = {}
        """Activations of which a checkpoint is to be kept, those first of which it has long been so."""
        self._written_s = time.monotonic()
        self._reach_ms = ALWAYS_MS
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
                [
                    one
                    for one in (self._register.activations | known_now).values()
                    if one.id not in closed and one.id not in self._aside
                ],
                installations.every(connection),
                devices.kinds(connection, in_use=True),
            )
        self._aside_activations = {name: known_now[name] for name in self._aside if name in known_now}
        for name in self._register.activations.keys() - register.activations.keys():
            self._let_go(name)
            self._forget_checkpoints(name)
            del self._unread[name]
        for activation in register.activations.values():
            known = self._register.activations.get(activation.id)
            moved = self._register.units(activation.id) != register.units(activation.id)
            if known is None or moved:
                # other readings belong to it now: it is judged as if new, and what it said compared with that
                self._let_go(activation.id)
            elif known != activation and activation.id not in self._unread:
                self._forget_checkpoints(activation.id)
                if known.order.discounts != activation.order.discounts:
                    self._discounted[activation.id] = None
                self._monitor.rebind(replace(activation, carried=self._successions.carried(activation.id)))
        self._register = register
        self._changes = changes

    def _let_go(self, activation_id: str) -> None:
        """Have an activation read from the store, as if it were new; what was said of it and is written stands."""
        if activation_id in self._bound:
            self._bound.discard(activation_id)
            self._monitor.unbind(activation_id)
        self._unwritten = {
            name: entry for name, entry in self._unwritten.items() if entry.activation != activation_id
        }
        self._unread[activation_id] = None
        self._moved.discard(activation_id)
        self._recollected.pop(activation_id, None)

    def mark(self) -> Mark | None:
        """Write down up to where everything is judged and written; None where something is still to be.

        To be called after `judge` in the thread that commits, so that there is nothing that it was not given.
        """
        if not self._in_step or self._unread or self._unwritten or self._incidents:
            return None
        if self._aside:
            return None  # nobody knows what their readings show: nothing may be forgotten yet
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
                    self._take(activation_id, mine)
        for device, received_ms in committed.heard.items():
            for activation_id in self._register.heard(device, received_ms):
                if activation_id in self._bound:
                    self._monitor.heard(activation_id, received_ms)

    def _take(self, activation_id: str, readings: Readings) -> None:
        first_ms = min(int(rows.t_ms.min()) for rows in readings.kinds() if len(rows))
        if self._checkpoints is not None:
            self._checkpoints.late(activation_id, first_ms)
            self._since_kept[activation_id] += len(readings)
            if self._since_kept[activation_id] >= KEEP_AFTER:
                self._due[activation_id] = None
        if activation_id not in self._bound:
            return  # it will be read from the store
        if first_ms <= self._recollected.get(activation_id, first_ms - 1):
            # it belongs before the checkpoint that this one goes by: an older one will do, or none
            self._let_go(activation_id)
        else:
            self._monitor.add(activation_id, readings)

    @property
    def behind(self) -> int:
        """How many activations are still to be judged by what is stored of them."""
        return len(self._unread)

    def judge(self, now_ms: int, *, present: bool = True, whole: bool = True) -> int:
        """Judge everything at ``now_ms`` (gateway time); returns how many alerts were written.

        ``present`` is False where a stepped clock may stand behind the tags': then nothing is said of clocks. Without
        ``whole`` some of what the store has to be asked for is left for the next call (``behind`` says how many).
        """
        written = 0
        if not self._begun:
            self._begin()
        reach_ms = now_ms + self._rules.ahead_s * 1000
        if self._checkpoints is not None and reach_ms < self._reach_ms:
            self._checkpoints.reach(reach_ms)
        self._reach_ms = reach_ms
        if not self._told_aside:
            self._tell_aside(now_ms)
        while self._unread:
            self._going_on()
            if self._careful is None:
                self._load(now_ms)
                self._ask(now_ms)
            else:
                self._load_carefully(now_ms, self._careful)
            written += self._write(now_ms)
            self._keep(now_ms, most=len(self._due))
            if not whole:
                break
        self._ask(now_ms)
        self.held = self._monitor.held()
        # of those that are still to be judged nobody knows yet whether their clocks are right
        if present and not self._unread and self._alarmed != self.held.keys():
            self._alarm(now_ms)
        self._tell_excuses()
        written += self._write(now_ms)
        self._discounted.clear()
        self._keep(now_ms)
        return written

    def _tell_excuses(self) -> None:
        """Alerts that are as they were, which the monitor does not tell anew, say what is discounted of their time."""
        if not self._discounted:
            return
        with self._store.read() as connection:
            for name in self._discounted:
                worn = self._register.activations.get(name)
                if worn is None:
                    continue  # nobody is judged by it any more
                for entry in self._said(connection, worn):
                    alert = alerts.alert_of(entry)
                    told = excuses.with_excuses(alert, worn)
                    if told is not alert and entry.id not in self._unwritten:
                        self._unwritten[entry.id] = alerts.entry(told, worn.device)
                        if self._checkpoints is not None:
                            self._checkpoints.tell(name, entry.id)

    def rest(self) -> None:
        """Before the end, after everything was judged: keep checkpoints of all that has changed."""
        self._due |= {name: None for name, count in self._since_kept.items() if count}
        self._keep(None, most=len(self._due))

    def _write(self, now_ms: int) -> int:
        """Write what is to be said; returns how many alerts that were."""
        if not self._in_step:
            self._reconcile(now_ms)
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
        return not self._moved and not self._silences

    def _ask(self, now_ms: int) -> None:
        again = True
        while again:
            for alert in self._monitor.judge(now_ms, forgetting=self._in_step):
                worn = self._register.activations[alert.activation]
                told = excuses.with_excuses(unwatched.with_exception(alert, worn), worn)
                self._unwritten[alert.id] = alerts.entry(told, worn.device)
                if self._checkpoints is not None:
                    self._checkpoints.tell(alert.activation, alert.id)
            whole = {
                name: chain
                for name, chain in self._register.chains.items()
                if not self._unread or self._bound.issuperset(chain)
            }
            again = self._successions.hand_on(self._monitor, whole, now_ms)

    def _load_carefully(self, now_ms: int, last: Sequence[str]) -> None:
        """Have the monitor judge one activation more. Raises CannotJudgeError."""
        name = next((one for one in self._unread if one not in last), next(iter(self._unread)))
        others = bool(self._bound)
        self._about(name)
        try:
            self._load(now_ms, (name,))
            self._ask(now_ms)
        except DBAPIError:
            raise
        except Exception as error:
            raise CannotJudgeError(name, others) from error

    def _load(self, now_ms: int, only: Sequence[str] = ()) -> None:
        """Have the monitor judge some activations more, or one of them, by what is stored of them."""
        count = 0
        with self._store.read() as connection:
            heard = devices.last_heard(connection, in_use=True)
            # while the clock stands before the newest revision, silence has not yet become what was told of it
            behind = now_ms < alerts.last_changed_ms(connection)
            while self._unread and count < _LOAD_READINGS:
                some = only or list(self._unread)[:_LOAD_ACTIVATIONS]
                tails = {} if behind else self._tails(connection, some)
                for name in some:
                    count += self._begin_with(connection, name, tails.get(name))
                    self._monitor.heard(name, self._register.last_heard(name, heard))
                    self._bound.add(name)
                    del self._unread[name]
                    if count >= _LOAD_READINGS:
                        break
                if only:
                    break

    def _tails(self, connection: Connection, activations: Sequence[str]) -> dict[str, _Tail]:
        """What there is beside a checkpoint, of those activations that can go on from one."""
        if self._checkpoints is None:
            return {}
        since = alerts.among(
            connection, [one for name in activations for one in self._checkpoints.told(name)]
        )
        found: dict[str, Found] = {}
        for name in activations:
            for one in self._checkpoints.newest_first(name, self._made_for(name)):
                changed = one.told_since.difference(one.memory.unsettled)
                # what had been settled by then, and has changed all the same, is not as this memory has it
                if not any(one.last_alert >= since[told][0] for told in changed if told in since):
                    found[name] = one
                    break
        told = since | alerts.among(
            connection, [id_ for one in found.values() for id_ in one.memory.unsettled]
        )
        from_ms: dict[str, int] = {}
        for name, (memory, *_) in found.items():
            for device in self._register.devices(name):
                from_ms[device] = min(from_ms.get(device, ALWAYS_MS), memory.upto_ms + 1)
        said: dict[str, evidence.Said] = {}
        for device, messages in messages_since(connection, from_ms, self._tell_unreadable).items():
            said[device] = evidence.said(messages)
            self._compare(device, said[device])
        tails = {}
        for name, one in found.items():
            parts = [
                self._register.readings(name, device, said[device])
                for device in self._register.devices(name)
                if device in said
            ]
            ids = dict.fromkeys((*one.memory.unsettled, *sorted(one.told_since)))
            mine = [told[id_][1] for id_ in ids if id_ in told and told[id_][1].state != "withdrawn"]
            tails[name] = _Tail(one.memory, joined(parts) if parts else Readings(), mine)
        return tails

    def _begin_with(self, connection: Connection, activation_id: str, tail: _Tail | None) -> int:
        """Give the monitor what is stored of an activation, from a checkpoint on if there is one; how many readings."""
        activation = self._register.activations[activation_id]
        carrying = replace(activation, carried=self._successions.carried(activation_id))
        if tail is not None:
            self._monitor.bind(carrying)
            try:
                self._monitor.recollect(
                    activation_id, tail.memory, map(alerts.alert_of, tail.told), tail.readings
                )
            except ValueError as error:
                self._monitor.unbind(activation_id)
                log.warning(
                    "a checkpoint can not be used", activation=activation_id, problem=logs.safe(error)
                )
            else:
                self._recollected[activation_id] = tail.memory.upto_ms
                self._since_kept[activation_id] = len(tail.readings)
                if len(tail.readings) >= KEEP_AFTER:
                    self._due[activation_id] = None
                self._silences += [one for one in tail.told if one.rule == NO_CONTACT and one.state == "open"]
                return len(tail.readings)
        readings = self._stored(connection, activation_id)
        self._forget_checkpoints(activation_id)
        self._monitor.bind(carrying)
        self._monitor.add(activation_id, readings)
        self._moved.add(activation_id)
        return len(readings)

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
            moved = {name: self._register.activations[name].device for name in self._moved}
            standing = alerts.standing_among(connection, moved, _NOT_THE_MONITORS)
            heard = devices.last_heard(connection, in_use=True) if self._silences or standing else {}
        # none of these has been forgotten
        current = {alert.id for name in sorted(moved) for alert in self._monitor.alerts(name)}
        silences = {entry.activation for entry in self._silences}
        current |= {alert.id for name in silences if name for alert in self._monitor.alerts(name)}
        for entry in [*standing, *self._silences]:
            if entry.id in self._unwritten or (entry.id in current and entry.rule != NO_CONTACT):
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
        self._moved.clear()
        self._silences.clear()
        self._monitor.forget()

    def _silent_until(self, entry: alerts.AlertEntry, heard: dict[str, int]) -> int | None:
        """When a silence that an earlier run told of was over; None where it goes on."""
        activation = self._register.activations.get(entry.activation or "")
        if activation is None:
            return None
        heard_ms = self._register.last_heard(activation.id, heard)
        if heard_ms > entry.start_ms - self._rules.no_contact_s * 1000:
            return max(entry.start_ms, heard_ms)
        return activation.removed_ms

    def _begin(self) -> None:
        """Take over what the checkpoints of an earlier life tell, as far as it is true of this store."""
        assert self._checkpoints is not None
        basis = self._checkpoints.begin()
        if basis is not None:
            with self._store.read() as connection:
                late = self._late(connection, basis)
                told = [] if late is None else alerts.told_after(connection, basis.notice, _NOT_THE_MONITORS)
            if late is None:
                log.warning("the store is not the one that the checkpoints were made of: all is judged anew")
                self._checkpoints.discard()
            else:
                for device, first_ms in late.items():
                    for name in self._register.owners(device):
                        self._checkpoints.late(name, first_ms)
                for name, alert_id in told:
                    self._checkpoints.tell(name, alert_id)
                self._checkpoints.drop_others(self._register.activations)
                for number, text in self._checkpoints.beacons().items():
                    self._beacons.recollect(number, text)
        self._begun = True

    def _late(self, connection: Connection, basis: Basis) -> dict[str, int] | None:
        """Of each device, tag time of its earliest reading since ``basis``; None where that is another store's."""
        if basis.generation != state.generation(connection):
            return None
        data = envelopes.at_row(connection, basis.envelope)
        if data is None or hashlib.sha256(data).hexdigest() != basis.sha256:
            return None
        return envelopes.earliest_after(connection, basis.envelope)

    def _made_for(self, activation_id: str) -> bytes:
        """A digest of what a checkpoint of an activation is good for, beside the program and the readings."""
        units = repr(self._register.units(activation_id)).encode()
        return hashlib.sha256(self._orders.fingerprint(activation_id) + units).digest()

    def _forget_checkpoints(self, activation_id: str) -> None:
        self._recollected.pop(activation_id, None)
        if self._checkpoints is not None:
            self._checkpoints.drop(activation_id)
            self._due[activation_id] = None

    def _keep(self, now_ms: int | None, *, most: int = _KEEP_AT_ONCE) -> None:
        """Keep checkpoints of activations of which much has come since; where all that was said is written."""
        if self._checkpoints is None or not self._begun or not self._in_step:
            return
        if self._unwritten or self._incidents:
            return
        due = list(itertools.islice(self._due, most))
        due_s = time.monotonic() >= self._written_s + _WRITE_S
        if not due and not (due_s and now_ms is not None):
            return
        kept = []
        for name in due:
            memory = self._monitor.memory(name) if name in self._bound else None
            if memory is not None:
                self._checkpoints.keep(name, self._made_for(name), memory)
                kept.append(name)
            del self._since_kept[name], self._due[name]
        units = {unit.unit for name in kept for unit in self._register.units(name)}
        for number in self._beacons.changed_by(units):
            self._checkpoints.keep_beacon(number, self._beacons.heard_of(number))
        with self._store.read() as connection:
            row = envelopes.newest(connection)
            data = envelopes.at_row(connection, row) or b""
            basis = Basis(
                state.generation(connection),
                row,
                hashlib.sha256(data).hexdigest(),
                alerts.newest(connection),
                alerts.last_notice(connection),
            )
        self._written_s = time.monotonic()
        if not self._checkpoints.write(basis):
            self._due |= dict.fromkeys(self._bound)

    def _tell_aside(self, now_ms: int) -> None:
        """Have people told of those that can not be judged, and of those that are judged again."""
        with self._store.read() as connection:
            changed = put_aside.changes(connection, self._aside, self._aside_activations, now_ms, self._rules)
        self._unwritten |= {entry.id: entry for entry in changed}
        self._told_aside = True

    def _alarm(self, now_ms: int) -> None:
        with self._store.read() as connection:
            changed = clock_alarm.changes(
                connection, self.held, self._register.activations, now_ms, self._rules
            )
        for entry in changed:
            self._unwritten[entry.id] = entry
        self._alarmed = frozenset(self.held)
