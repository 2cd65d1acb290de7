"""Law 3 for everything at once: every condition, every kind of reading, several wearers in one monitor.

The other tests of the law look at one family closely, against a reference. This one asks of all families together only
that they give the same however readings arrive, with as few readings and checkpoints kept as can be, orders that become
known version by version, clocks that go back, and stretches of hours that arrive last.
"""

from __future__ import annotations

import itertools
from collections import Counter
from dataclasses import replace

import numpy as np
from hypothesis import HealthCheck, Phase, event, given, settings
from hypothesis import strategies as st

from core.activation import Activation
from core.alerts import Alert
from core.monitor import Monitor, evaluate
from core.readings import Readings
from tests.core.lives import HOUR_MS, Life, lives

Named = tuple[str, int, int]
"""A reading: whose, which kind, which of them."""


def names(life: Life) -> list[Named]:
    """All readings of a life in the order in which they were made."""
    dated = [
        (int(t_ms), kind, i)
        for kind, rows in enumerate(life.readings.kinds())
        for i, t_ms in enumerate(rows.t_ms)
    ]
    return [(life.activation.id, kind, i) for _, kind, i in sorted(dated)]


def pick(whole: Readings, which: list[Named]) -> Readings:
    chosen = [np.array([i for _, kind, i in which if kind == k], np.intp) for k in range(4)]
    return Readings(*(rows.take(some) for rows, some in zip(whole.kinds(), chosen, strict=True)))  # type: ignore[arg-type]


def as_first_known(activation: Activation) -> Activation:
    """The activation before anything but its first version was known."""
    first = min((*activation.earlier, activation.order), key=lambda order: order.version)
    return replace(activation, order=first, earlier=(), removed_ms=None)


@st.composite
def arrivals(draw: st.DrawFn, order: list[Named]) -> list[list[Named]]:
    """The readings in batches: stretches that come late, some readings out of turn, some twice."""
    order = list(order)
    n = len(order)
    for _ in range(draw(st.integers(0, 3)) if n else 0):
        lo = draw(st.integers(0, n - 1))
        late = order[lo : lo + draw(st.integers(1, 30))]
        del order[lo : lo + len(late)]
        at = draw(st.integers(0, len(order)))
        order[at:at] = late[::-1] if draw(st.booleans()) else late
    if n and draw(st.integers(0, 3)) == 0:
        order = draw(st.permutations(order))
    if n:
        order += draw(st.lists(st.sampled_from(order), max_size=6))
    one_by_one = range(len(order) if draw(st.integers(0, 3)) == 0 else 0)
    cuts = sorted({0, len(order), *one_by_one, *draw(st.lists(st.integers(0, len(order)), max_size=10))})
    return [order[lo:hi] for lo, hi in itertools.pairwise(cuts)]


class Gateway:
    """Hands readings to a monitor, remembers what it was told, and gives back what the monitor forgot."""

    def __init__(self, everyone: dict[str, Life], forgetful: bool, checkpoint: int, keep: int) -> None:
        self.everyone = everyone
        self.arrived: list[Named] = []
        self.told: dict[str, Alert] = {}
        self.monitor = Monitor(
            checkpoint_readings=checkpoint, recall=self.recall if forgetful else None, keep_readings=keep
        )

    def recall(self, name: str, from_ms: int) -> Readings:
        kinds = self.everyone[name].readings.kinds()
        mine = [one for one in self.arrived if one[0] == name and kinds[one[1]].t_ms[one[2]] >= from_ms]
        return pick(self.everyone[name].readings, mine)

    def add(self, some: list[Named]) -> None:
        self.arrived += some
        for name, life in self.everyone.items():
            mine = [one for one in some if one[0] == name]
            if mine:
                self.monitor.add(name, pick(life.readings, mine))

    def judge(self, now_ms: int) -> None:
        for alert in self.monitor.judge(now_ms):
            assert self.told.get(alert.id) != alert, "told without a change"
            assert alert.state != "withdrawn" or alert.id in self.told, "withdrawn and never told"
            self.told[alert.id] = alert


@given(st.data(), st.integers(1, 3))
@settings(max_examples=200, deadline=None)
def test_every_rule_ends_the_same_however_readings_orders_and_the_clock_come(
    data: st.DataObject, wearers: int
) -> None:
    everyone = {f"a{i}": data.draw(lives(f"a{i}", 40 // wearers)) for i in range(wearers)}
    now_ms = max(life.now_ms for life in everyone.values())
    gateway = Gateway(
        everyone,
        forgetful=data.draw(st.booleans()),
        checkpoint=data.draw(st.sampled_from([1, 2, 5, 256])),
        keep=data.draw(st.sampled_from([1, 4, 30])),
    )
    known: dict[str, Activation] = {}
    for name, life in everyone.items():
        known[name] = data.draw(st.sampled_from([life.activation, as_first_known(life.activation)]))
        gateway.monitor.bind(known[name])
    order = [one for life in everyone.values() for one in names(life)]
    clocks = [int(everyone[name].readings.kinds()[kind].t_ms[i]) for name, kind, i in order] or [now_ms]
    for batch in data.draw(arrivals(order)):
        gateway.add(batch)
        if data.draw(st.booleans()):
            beside_ms = data.draw(st.sampled_from([0, 0, 151_000, -2 * HOUR_MS, 5 * HOUR_MS, 80 * HOUR_MS]))
            gateway.judge(data.draw(st.sampled_from(clocks)) + beside_ms)
        if data.draw(st.integers(0, 5)) == 0:
            name = data.draw(st.sampled_from(sorted(everyone)))
            known[name] = everyone[name].activation
            gateway.monitor.rebind(known[name])
    for name, life in everyone.items():
        if known[name] != life.activation:
            gateway.monitor.rebind(life.activation)
    gateway.judge(now_ms)
    whole = evaluate(
        [life.activation for life in everyone.values()],
        {name: life.readings for name, life in everyone.items()},
        now_ms,
    )
    for rule in {alert.rule for alert in whole}:
        event(rule)
    assert gateway.monitor.alerts() == whole
    final = {alert.id: alert for alert in gateway.told.values() if alert.state != "withdrawn"}
    assert final == {alert.id: alert for alert in whole}
    assert len(final) == len(whole), "two occurrences of one identity"
    assert gateway.monitor.judge(now_ms) == []
    alone = [
        alert
        for name, life in everyone.items()
        for alert in evaluate([life.activation], {name: life.readings}, now_ms)
    ]
    assert whole == alone


def test_the_lives_made_up_here_reach_the_rules_of_every_family() -> None:
    """Else the property above would hold of rules that it never saw."""
    found: Counter[str] = Counter()

    @given(lives())
    @settings(
        max_examples=250,
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    def look(life: Life) -> None:
        alerts = evaluate([life.activation], {life.activation.id: life.readings}, life.now_ms)
        found.update({alert.rule for alert in alerts})

    look()
    assert found.keys() >= {
        "in_exclusion_zone",
        "outside_inclusion_zone",
        "outside_restriction_zone",
        "whereabouts_unknown",
        "attendance_unverified",
        "absent_during_curfew",
        "drinking_event",
        "no_position",
        "battery",
        "home_unit_moved",
        "strap_tamper",
    }
