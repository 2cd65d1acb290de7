"""Wearers whom this program can not judge: people are told, once, until they are judged again.

Their readings are committed and kept; whatever they show is judged, and told, when the program is mended.
See `gateway.suspects` for how they are found.
"""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import Connection

from core.activation import Activation
from core.alerts import Alert
from core.rules import RuleSet
from gateway import lasting
from gateway.clock import utc_text
from gateway.store.alerts import AlertEntry

RULE = "not_judged"


def changes(
    connection: Connection,
    aside: Mapping[str, str],
    activations: Mapping[str, Activation],
    now_ms: int,
    rules: RuleSet,
) -> list[AlertEntry]:
    """The alerts to be written at ``now_ms`` where ``aside`` (why, per activation) are put aside."""

    def raised(activation: Activation, why: str) -> Alert:
        sentence = (
            f"The wearer of device {activation.device} can not be judged: {why}. Readings are kept; what they show is "
            "not known. Watch this person otherwise, and have the gateway's operator look at it."
        )
        return lasting.alert(activation, RULE, "high", now_ms, sentence, {"why": why}, rules)

    def ended(standing: AlertEntry) -> AlertEntry:
        return lasting.over(
            standing,
            now_ms,
            lambda said: f"{said.split(' Readings are kept')[0]} Judged again since {utc_text(now_ms)}.",
        )

    return lasting.changes(connection, RULE, aside, activations, raised, ended)
