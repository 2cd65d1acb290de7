"""What the doctor concludes about people: does somebody hear of an alert, and who can look at the page?"""

from __future__ import annotations

from gateway.doctor.facts import DAY_MS, EXPIRES_PROBLEM_DAYS, Facts
from gateway.findings import Finding

_PAGE_WARNING_DAYS = 21
"""Those who renew certificates every three months do so when 30 days are left."""


def alerts(facts: Facts) -> list[Finding]:
    """Does somebody hear of an alert if one way fails?"""
    why = "If this one way fails nobody hears of an alert, and nobody notices that."
    if not facts.alert_paths:
        return [
            Finding(
                "alerts",
                "warning",
                "alerts are only shown on the page: nobody is told",
                "An alert at night waits until somebody looks.",
                "Set up two ways of telling people that do not share an uplink.",
            )
        ]
    if len(facts.alert_paths) == 1:
        return [
            Finding(
                "alerts",
                "warning",
                f"there is a single way of telling people of an alert: {facts.alert_paths[0]}",
                why,
                "Set up a second one that does not share its uplink, such as an SMS modem.",
            )
        ]
    return [Finding("alerts", "good", f"people are told by {', '.join(facts.alert_paths)}")]


def page(facts: Facts) -> list[Finding]:
    """Who can look at the page, and act on it?"""
    served = facts.page
    if served is None:
        return []
    if served.refusal:
        return [
            Finding(
                "page",
                "problem",
                served.refusal,
                "The gateway refuses to start so: nothing listens beyond this machine until TLS and a user exist.",
                "Mend the setting that is named first; `tagwatch settings` explains it.",
            )
        ]
    found = []
    if served.expires_ms is not None:
        days = (served.expires_ms - facts.clock.now_ms) // DAY_MS
        if days < _PAGE_WARNING_DAYS:
            found.append(
                Finding(
                    "page",
                    "problem" if days < EXPIRES_PROBLEM_DAYS else "warning",
                    "the page's certificate "
                    + (f"ends in {days} days" if days >= 0 else f"ended {-days} days ago"),
                    "Browsers refuse the page then, and nobody can look or acknowledge there.",
                    "Have it renewed; the gateway takes up the new files by itself.",
                )
            )
    if served.users is None:
        return found  # the finding about the store tells why
    if not served.users:
        return [
            *found,
            Finding(
                "page",
                "warning",
                "there is no user: whoever is on this machine may look, and nobody can acknowledge on the page",
                "Looks are recorded under no name.",
                "tagwatch user add NAME --name 'Full Name' --role practitioner",
            ),
        ]
    found.append(Finding("page", "good", f"{served.users} users can sign in"))
    if served.own:
        found.append(
            Finding(
                "page",
                "note",
                "the page shows a certificate of the gateway's own authority",
                "Browsers believe it only where that authority was added to them by hand.",
                "Give a certificate that they believe: web_certificate and web_key.",
            )
        )
    return found
