"""Readings dated far ahead of the gateway's clock: one of the clocks is wrong, and a person has to find out which.

They are kept, and judged when the gateway's clock gets there (`core.monitor.Monitor.held`). The alert is about the
gateway as much as about the device, so its times are the gateway's; it is raised once while it lasts, also through
restarts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import structlog
from sqlalchemy import Connection

from core.activation import Activation
from core.alerts import About, Alert, raise_alert
from core.contact import CONDITION
from core.rules import RuleSet
from gateway.clock import utc_text
from gateway.store import alerts

log = structlog.get_logger(__name__)

RULE = "readings_ahead"


def changes(
    connection: Connection,
    held: Mapping[str, int],
    activations: Mapping[str, Activation],
    now_ms: int,
    rules: RuleSet,
) -> list[alerts.AlertEntry]:
    """The alerts to be written for ``held`` (readings that wait for the clock, per activation) at ``now_ms``."""
    standing = {entry.activation: entry for entry in alerts.open_of_rule(connection, RULE)}
    found = []
    for name, count in held.items():
        if name not in standing:
            worn = activations[name]
            log.warning(
                "readings are dated ahead of this gateway's clock", device=worn.device, readings=count
            )
            found.append(alerts.entry(_raised(worn, count, now_ms, rules), worn.device))
    for entry in standing.values():
        if entry.activation not in held:
            log.info("no readings are ahead of this gateway's clock any more", device=entry.device)
            found.append(alerts.entry(_ended(alerts.alert_of(entry), now_ms), entry.device))
    return found


def _raised(activation: Activation, count: int, now_ms: int, rules: RuleSet) -> Alert:
    return raise_alert(
        About(activation.id, CONDITION, activation.order.version, rules.version),
        RULE,
        "medium",
        now_ms,
        None,
        f"{count} readings about the wearer of device {activation.device} were dated more than "
        f"{rules.ahead_s // 60} min after this gateway's clock ({utc_text(now_ms)}). One of the clocks is wrong; "
        "they are judged when this clock gets there.",
        {"time": "gateway", "readings": count, "ahead_min": rules.ahead_s // 60},
        (),
        (now_ms,),
    )


def _ended(alert: Alert, now_ms: int) -> Alert:
    sentence = f"{alert.sentence} Over at {utc_text(now_ms)}."
    return replace(alert, state="ended", end_ms=max(now_ms, alert.start_ms), sentence=sentence)
