"""Readings dated far ahead of the gateway's clock: one of the clocks is wrong, and a person has to find out which.

They are kept, and judged when the gateway's clock gets there (`core.monitor.Monitor.held`). One alert stands for each
wearer while that lasts (`gateway.lasting`).
"""

from __future__ import annotations

from collections.abc import Mapping

import structlog
from sqlalchemy import Connection

from core.activation import Activation
from core.alerts import Alert
from core.rules import RuleSet
from gateway import lasting
from gateway.clock import utc_text
from gateway.store.alerts import AlertEntry

log = structlog.get_logger(__name__)

RULE = "readings_ahead"


def changes(
    connection: Connection,
    held: Mapping[str, int],
    activations: Mapping[str, Activation],
    now_ms: int,
    rules: RuleSet,
) -> list[AlertEntry]:
    """The alerts to be written for ``held`` (readings that wait for the clock, per activation) at ``now_ms``."""

    def raised(worn: Activation, count: int) -> Alert:
        log.warning("readings are dated ahead of this gateway's clock", device=worn.device, readings=count)
        ahead_min = rules.ahead_s // 60
        sentence = (
            f"{count} readings about the wearer of device {worn.device} were dated more than {ahead_min} min after "
            f"this gateway's clock ({utc_text(now_ms)}). One of the clocks is wrong; they are judged when this clock "
            "gets there."
        )
        figures = {"readings": count, "ahead_min": ahead_min}
        return lasting.alert(worn, RULE, "medium", now_ms, sentence, figures, rules)

    def ended(standing: AlertEntry) -> AlertEntry:
        log.info("no readings are ahead of this gateway's clock any more", device=standing.device)
        return lasting.over(standing, now_ms, lambda said: f"{said} Over at {utc_text(now_ms)}.")

    return lasting.changes(connection, RULE, held, activations, raised, ended)
