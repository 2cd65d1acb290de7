"""Wearers whom this program can not judge: people are told, once, until they are judged again.

Their readings are committed and kept; whatever they show is judged, and told, when the program is mended.
See `gateway.suspects` for how they are found.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from sqlalchemy import Connection

from core.activation import Activation
from core.alerts import About, Alert, raise_alert
from core.contact import CONDITION
from core.rules import RuleSet
from gateway.clock import utc_text
from gateway.store import alerts

RULE = "not_judged"


def changes(
    connection: Connection,
    aside: Mapping[str, str],
    activations: Mapping[str, Activation],
    now_ms: int,
    rules: RuleSet,
) -> list[alerts.AlertEntry]:
    """The alerts to be written at ``now_ms`` where ``aside`` (why, per activation) are put aside."""
    standing = {entry.activation: entry for entry in alerts.open_of_rule(connection, RULE)}
    raised = [
        alerts.entry(_raised(activations[name], why, now_ms, rules), activations[name].device)
        for name, why in aside.items()
        if name not in standing and name in activations
    ]
    over = [
        alerts.entry(_ended(alerts.alert_of(entry), now_ms), entry.device)
        for entry in standing.values()
        if entry.activation not in aside
    ]
    return raised + over


def _raised(activation: Activation, why: str, now_ms: int, rules: RuleSet) -> Alert:
    return raise_alert(
        About(activation.id, CONDITION, activation.order.version, rules.version),
        RULE,
        "high",
        now_ms,
        None,
        f"The wearer of device {activation.device} can not be judged: {why}. Readings are kept; what they show is not "
        "known. Watch this person otherwise, and have the gateway's operator look at it.",
        {"time": "gateway", "why": why},
        (),
        (now_ms,),
    )


def _ended(alert: Alert, now_ms: int) -> Alert:
    sentence = f"{alert.sentence.split(' Readings are kept')[0]} Judged again since {utc_text(now_ms)}."
    return replace(alert, state="ended", end_ms=max(now_ms, alert.start_ms), sentence=sentence)
