"""What leaves the gateway: number, revision and urgency of an alert, and a link (law 10). It knows nothing else."""

from __future__ import annotations

from collections.abc import Sequence

TITLE = "Tagwatch"
SMS_LENGTH = 160
_SHOWN = 8
"""Alerts that a digest names; the others are counted, so that it fits one SMS."""


def key(generation: int, number: int, revision: int, route: str, contact: str, round_: int) -> str:
    """What names one message: the same whenever it is repeated, different for every other.

    ``generation`` rises when a backup is restored, after which numbers are given anew.
    """
    return f"{generation}.{number}.{revision}.{route}.{contact}.{round_}"


DOUBTFUL = "doubtful evidence"
"""A device that fed the alert was found faulty; which and how stands on the page only."""


def urgency(state: str, severity: str) -> str:
    """One word for how urgent it is; what was withdrawn is not any more."""
    return "withdrawn" if state == "withdrawn" else severity


def text(
    number: int,
    revision: int,
    state: str,
    severity: str,
    link: str,
    reference: str,
    *,
    doubtful: bool = False,
) -> str:
    """One alert."""
    where = f" {link}{number}" if link else ""
    doubt = f", {DOUBTFUL}" if doubtful else ""
    return f"Alert {number}, revision {revision}: {urgency(state, severity)}{doubt}.{where} [{reference}]"


def digest(alerts: Sequence[tuple[int, int, str, str, bool]], link: str, reference: str) -> str:
    """Several at once, each as (number, revision, state, severity, doubtful)."""
    named = ", ".join(
        f"{number}.{revision} {urgency(state, severity)}{' doubtful' if doubtful else ''}"
        for number, revision, state, severity, doubtful in alerts[:_SHOWN]
    )
    more = f" and {len(alerts) - _SHOWN} more" if len(alerts) > _SHOWN else ""
    where = f" {link}" if link else ""
    return f"{len(alerts)} alerts: {named}{more}.{where} [{reference}]"


def trial(contact: str) -> str:
    """A message that proves that a path works."""
    return f"Test of the path to {contact}. No alert. [test.{contact}]"
