"""What `tagwatch doctor` concludes: facts about a gateway and its box in, findings out. Nothing here looks anywhere.

Each finding has the fact, why it matters and what to do. What could not be found out is told as that, never as good.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict

from gateway.doctor.facts import Facts
from gateway.doctor.keeping import replica, store
from gateway.doctor.machine import clock, disk, listening
from gateway.doctor.people import alerts, page
from gateway.doctor.running import broker, gateway, kernels, settings
from gateway.doctor.trust import certificates, keys, secrets
from gateway.findings import Finding, Severity

ORDER: tuple[Severity, ...] = ("good", "note", "unknown", "warning", "problem")
"""From what needs nothing to what needs somebody now."""

CHECKS: tuple[Callable[[Facts], list[Finding]], ...] = (
    settings,
    clock,
    disk,
    certificates,
    secrets,
    keys,
    gateway,
    broker,
    store,
    kernels,
    alerts,
    replica,
    page,
    listening,
)


def examine(facts: Facts) -> list[Finding]:
    """Every finding, the gravest first; of the same severity in the order in which they are looked at."""
    found = [finding for check in CHECKS for finding in check(facts)]
    return sorted(found, key=lambda finding: -ORDER.index(finding.severity))


def exit_code(findings: Iterable[Finding]) -> int:
    """2 where something is a problem, 1 where something is a warning or could not be found out, else 0."""
    worst = max((ORDER.index(finding.severity) for finding in findings), default=0)
    return 2 if worst >= ORDER.index("problem") else 1 if worst >= ORDER.index("unknown") else 0


def as_json(findings: Sequence[Finding]) -> dict[str, object]:
    """What ``--json`` prints."""
    return {"exit_code": exit_code(findings), "findings": [asdict(finding) for finding in findings]}
