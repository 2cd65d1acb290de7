"""Alerts of the gateway itself about a wearer: one stands for as long as what it tells lasts, also through restarts.

Their times are the gateway's: they are as much about the gateway as about the wearer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TypeVar

from sqlalchemy import Connection

from core.activation import Activation
from core.alerts import About, Alert, Severity, raise_alert
from core.contact import CONDITION
from core.rules import RuleSet
from gateway.store import alerts
from gateway.store.alerts import AlertEntry

What = TypeVar("What")


def changes(
    connection: Connection,
    rule: str,
    lasting: Mapping[str, What],
    activations: Mapping[str, Activation],
    raised: Callable[[Activation, What], Alert],
    ended: Callable[[AlertEntry], AlertEntry],
) -> list[AlertEntry]:
    """The alerts of ``rule`` to be written where ``lasting`` (what it is, by activation) is so now."""
    standing = {entry.activation: entry for entry in alerts.open_of_rule(connection, rule)}
    begun = [
        alerts.entry(raised(activations[name], what), activations[name].device)
        for name, what in lasting.items()
        if name not in standing and name in activations
    ]
    return begun + [ended(entry) for entry in standing.values() if entry.activation not in lasting]


def alert(
    activation: Activation,
    rule: str,
    severity: Severity,
    now_ms: int,
    sentence: str,
    figures: Mapping[str, int | float | str],
    rules: RuleSet,
) -> Alert:
    """That something begins at ``now_ms``."""
    about = About(activation.id, CONDITION, activation.order.version, rules.version)
    return raise_alert(
        about, rule, severity, now_ms, None, sentence, {"time": "gateway", **figures}, (), (now_ms,)
    )


def over(standing: AlertEntry, now_ms: int, sentence: Callable[[str], str]) -> AlertEntry:
    """An alert that stands, ended at ``now_ms``; ``sentence`` makes what it says then of what it has said."""
    before = alerts.alert_of(standing)
    after = replace(
        before, state="ended", end_ms=max(now_ms, before.start_ms), sentence=sentence(before.sentence)
    )
    return alerts.entry(after, standing.device, standing.order_id)
