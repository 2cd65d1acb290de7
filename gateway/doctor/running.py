"""What the doctor concludes about what runs: settings, gateway, broker, and whether a restart would be quick."""

from __future__ import annotations

from gateway import findings
from gateway.doctor.facts import Facts
from gateway.findings import Finding, IngestFacts


def settings(facts: Facts) -> list[Finding]:
    """Can the settings be used?"""
    if facts.settings_problem:
        return [
            Finding(
                "settings",
                "problem",
                facts.settings_problem,
                "The gateway does not start with them.",
                "Correct the named setting; `tagwatch settings --template` shows each with its description.",
            )
        ]
    return [Finding("settings", "good", "the settings can be used")]


def gateway(facts: Facts) -> list[Finding]:
    """Does it run, and how is its ingest?"""
    if not facts.runs:
        return [
            Finding(
                "gateway",
                "warning",
                "the gateway does not run",
                "No reading is received; tags keep theirs meanwhile.",
                "systemctl start tagwatch; `journalctl -u tagwatch -n 50` tells why it ended.",
            )
        ]
    ingest = facts.ingest or IngestFacts(problem="it was not asked")
    return list(findings.ingest(ingest)) or [Finding("ingest", "good", "the ingest commits and judges")]


_NEVER_RELOADS = Finding(
    "broker reload",
    "warning",
    "the outside broker is not told to read its files again: broker_reload is not set",
    "A tag that says too much is thrown off and comes back at once, and all others wait for seconds; a device that was "
    "revoked is let in until somebody does it by hand.",
    "Set broker_reload as the README of `tagwatch broker config mosquitto` says.",
)


def broker(facts: Facts) -> list[Finding]:
    """Does the broker let the gateway in, and keep out whoever it is told to?"""
    reloads = [] if facts.broker_reloads else [_NEVER_RELOADS]
    if facts.broker_problem is None:
        return reloads
    if not facts.broker_problem:
        return [
            Finding(
                "broker", "good", f"the broker at {facts.broker_place} answers over TLS and accepts a client"
            ),
            *reloads,
        ]
    return [
        *reloads,
        Finding(
            "broker",
            "problem",
            f"the broker at {facts.broker_place} can not be used: {facts.broker_problem}",
            "No tag can hand over its readings; they keep them meanwhile.",
            "Embedded: broker/broker.log in the data folder. Outside: is it up, and does it trust authority/ca.pem?",
        ),
    ]


def kernels(facts: Facts) -> list[Finding]:
    """Would a restart be quick?"""
    if facts.kernels_kept is None:
        return [
            Finding(
                "kernels",
                "unknown",
                "whether the rules are compiled only the gateway's user can tell",
                "A start without them takes a minute or more.",
                "sudo -u tagwatch tagwatch doctor",
            )
        ]
    if not facts.kernels_kept:
        return [
            Finding(
                "kernels",
                "warning",
                "compiled rules can not be kept anywhere",
                "Every start compiles them anew, a minute or more in which nobody is judged.",
                "Make the data folder writable for the gateway's user.",
            )
        ]
    if not facts.kernels_warm:
        return [
            Finding(
                "kernels",
                "note",
                "the rules are not compiled yet",
                "The next start takes a minute or more, once.",
                "Nothing; or start the gateway when that does not matter.",
            )
        ]
    return [Finding("kernels", "good", "the rules are compiled and kept")]
