"""The two ways of running a scenario: straight into the rules, and through real firmware, broker and gateway.

`run_direct` gives the readings that tags would have made to a monitor of its own, at the instants at which they would
have arrived, and lets it judge once a minute. `run_firmware` (in `sim.stage`) lets the devices make them. Faults of the
world between are changed arrival: late, twice, in another order; a gateway that crashes is a monitor that is built anew
from what had arrived.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from core.activation import Activation
from core.alerts import Alert
from core.monitor import Monitor
from core.order import order_from_json
from core.readings import I64, Columns, Readings
from core.senses import SENSES
from gateway.successions import Successions
from sim import noise
from sim.faults import Fault
from sim.scenario import Scenario, Wearer
from sim.tags import Sent, wear
from sim.verdict import Raised
from sim.way import Bool

Moved = Callable[[float], None]
"""Hears of how much of a run is done, 0 to 1."""

_STEP_MS = 60_000
_AGAIN_MS = 45 * 60_000
"""How much later what arrives twice arrives again."""
_MOST_SHUFFLED_MS = 3 * 3_600_000
_RESTART_MS = 1_000


def run_direct(scenario: Scenario, moved: Moved = lambda share: None) -> list[Raised]:
    """Run a scenario without firmware; the alerts that were told, by start.

    Raises ValueError for a scenario that only firmware can show.
    """
    if scenario.only_firmware:
        raise ValueError(f"{scenario.name} needs firmware: run it with --firmware")
    desk = Desk(scenario)
    down = [fault for fault in scenario.faults if fault.kind == "gateway"]
    instants = _instants(scenario, down)
    for now_ms in instants:
        if any(fault.start_ms <= now_ms < fault.end_ms for fault in down):
            continue
        if any(now_ms == fault.end_ms for fault in down):
            desk.crash()
        desk.judge(now_ms)
        moved((now_ms - scenario.start_ms) / (scenario.end_ms - scenario.start_ms))
    return desk.raised()


def _instants(scenario: Scenario, down: list[Fault]) -> list[int]:
    """Once a minute, when something else happens to the gateway, and at the end."""
    grid = range(scenario.start_ms + _STEP_MS, scenario.end_ms, _STEP_MS)
    told = (version.told_ms for wearer in scenario.wearers for version in wearer.versions[1:])
    return sorted({*grid, *told, *(fault.end_ms for fault in down), scenario.end_ms})


@dataclass
class _Post:
    """What one device has sent: which readings of each kind are delivered next."""

    activation: Activation
    wearer: Wearer
    kind: str
    mail: list[tuple[Columns, I64]]
    """Readings of each kind in the order in which they arrive, and when they do."""
    delivered: list[int]

    def until(self, now_ms: int) -> tuple[Readings, int]:
        """What arrives up to an instant and has not been delivered, and when the last of it did (0: nothing)."""
        parts, last_ms = [], 0
        for i, (columns, arrived_ms) in enumerate(self.mail):
            end = int(np.searchsorted(arrived_ms, now_ms, side="right"))
            parts.append(columns.take(slice(self.delivered[i], end)))
            if end > self.delivered[i]:
                last_ms = max(last_ms, int(arrived_ms[end - 1]))
            self.delivered[i] = end
        return Readings(*parts), last_ms  # type: ignore[arg-type]  # of each kind its own


class Desk:
    """A monitor, what arrives at it, and what it has told."""

    def __init__(self, scenario: Scenario) -> None:
        self._scenario = scenario
        self._told: dict[str, tuple[Alert, int]] = {}
        self._posts = {post.activation.id: post for post in _posts(scenario)}
        orders: dict[str, list[str]] = {}
        for post in self._posts.values():
            orders.setdefault(post.activation.order.order_id, []).append(post.activation.id)
        self._chains = {
            name: tuple(sorted(some)) for some in orders.values() if len(some) > 1 for name in some
        }
        self._begin()

    def _begin(self) -> None:
        self._monitor = Monitor()
        self._successions = Successions()
        for post in self._posts.values():
            self._monitor.bind(post.activation)
            self._monitor.heard(post.activation.id, post.activation.fitted_ms)

    def crash(self) -> None:
        """The gateway is killed: the monitor is built again from what had been committed."""
        self._begin()
        for post in self._posts.values():
            post.delivered = [0] * len(post.delivered)

    def judge(self, now_ms: int) -> bool:
        """Take in what has arrived, and what was told of orders, and judge; whether anything was told by it."""
        news = False
        for post in self._posts.values():
            known = [version for version in post.wearer.versions if version.told_ms <= now_ms]
            if len(known) > 1 + len(post.activation.earlier):
                orders = [order_from_json(version.document) for version in known]
                post.activation = replace(post.activation, order=orders[-1], earlier=tuple(orders[:-1]))
                self._monitor.rebind(post.activation)
            readings, last_ms = post.until(now_ms)
            if len(readings):
                self._monitor.add(post.activation.id, readings)
                self._monitor.heard(post.activation.id, last_ms)
        again = True
        while again:
            for alert in self._monitor.judge(now_ms):
                news = True
                _, told_ms = self._told.get(alert.id, (alert, now_ms))
                if alert.state != "withdrawn" or alert.id in self._told:
                    self._told[alert.id] = alert, told_ms
            again = self._successions.hand_on(self._monitor, self._chains, now_ms)
        return news

    def raised(self) -> list[Raised]:
        """What has been told, as it stands."""
        found = []
        for alert, told_ms in self._told.values():
            post = self._posts[alert.activation]
            found.append(
                Raised(
                    alert.id,
                    post.wearer.life.name,
                    post.activation.device,
                    post.kind,
                    alert.rule,
                    alert.condition,
                    alert.state,
                    alert.start_ms,
                    alert.end_ms,
                    told_ms,
                    alert.sentence,
                    alert.figures,
                )
            )
        return sorted(found, key=lambda one: (one.start_ms, one.rule, one.device))


def _posts(scenario: Scenario) -> Iterator[_Post]:
    for wearer in scenario.wearers:
        for kind, sent in sorted(wear(wearer.life).items()):
            device = wearer.device(kind)
            activation = Activation(
                f"{device}-1",
                device,
                order_from_json(wearer.versions[0].document),
                scenario.start_ms,
                senses=SENSES[kind],
            )
            mail = list(_mail(scenario, wearer, kind, sent))
            yield _Post(activation, wearer, kind, mail, [0] * len(mail))


def _mail(scenario: Scenario, wearer: Wearer, kind: str, sent: Sent) -> Iterator[tuple[Columns, I64]]:
    """What arrives when, after the scenario's faults."""
    for number, (columns, arrived_ms) in enumerate(zip(sent.readings.kinds(), sent.arrived_ms, strict=True)):
        index = np.arange(len(columns))
        at_ms = arrived_ms.copy()
        for fault in scenario.faults:
            if fault.kind == "power" and (fault.wearer, fault.device) == (wearer.life.name, kind):
                made = ~_within(columns.t_ms[index], fault)
                index, at_ms = index[made], at_ms[made]
                at_ms[_within(at_ms, fault)] = fault.end_ms
            elif fault.kind in ("gateway", "outage"):
                at_ms[_within(at_ms, fault)] = fault.end_ms + _RESTART_MS
            elif fault.kind == "twice":
                index, at_ms = np.concatenate([index, index]), np.concatenate([at_ms, at_ms + _AGAIN_MS])
            elif fault.kind == "shuffled":
                drawn = noise.uniform(scenario.seed, number, np.arange(len(at_ms)))
                at_ms = at_ms + (drawn * _MOST_SHUFFLED_MS).astype(np.int64)
        if any(fault.kind in ("twice", "shuffled") for fault in scenario.faults):
            at_ms = np.minimum(at_ms, np.maximum(scenario.end_ms - _STEP_MS, columns.t_ms[index]))
        turn = np.argsort(at_ms, kind="stable")
        yield columns.take(index[turn]), at_ms[turn]


def _within(t_ms: I64, fault: Fault) -> Bool:
    inside: Bool = (t_ms >= fault.start_ms) & (t_ms < fault.end_ms)
    return inside
