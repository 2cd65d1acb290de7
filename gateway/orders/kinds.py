"""What kinds of changes an order has: those by which the order service names variations, and the rest of its life."""

from __future__ import annotations

from enum import StrEnum


class Kind(StrEnum):
    """A change of an order, in the words of domain.md where it has one."""

    ADDRESS = "Change to Address"
    HOURS = "Change to Curfew Hours"
    NEW_ZONE = "Change to add an Inclusion or Exclusion Zone(s)"
    ZONE = "Change to an existing Inclusion or Exclusion Zone(s)"
    SUSPENSION = "Order Suspension"
    DEVICE = "Change to Device Type"
    CONDITION = "Change to Enforceable Condition"
    PERSON = "Change to Personal Details"
    ERROR = "Admin Error"
    OTHER = "Other"
    # what a variation is not
    MESSAGE = "Message of the order service"
    TYPED = "Order typed in"
    COMPLETION = "Condition completed"
    RESUMED = "Suspension ended"
    REVOKED = "Revocation"
    END = "End of monitoring"
    ABSENCE = "Authorised absence"
    EXCUSE = "Reasonable excuse"
    TAKEN_BACK = "Absence or excuse taken back"
    # records that make no version
    REFUSED = "Variation refused"
    APPEAL = "Appeal against a refusal"
    COURT_TOLD = "Notice given to the court"


VARIATIONS = (
    *(Kind.ADDRESS, Kind.HOURS, Kind.NEW_ZONE, Kind.ZONE, Kind.SUSPENSION, Kind.DEVICE, Kind.CONDITION),
    *(Kind.PERSON, Kind.ERROR, Kind.OTHER),
)
"""The kinds that the order service has for a variation, as it words them."""
