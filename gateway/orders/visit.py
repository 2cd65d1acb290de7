"""What an order's message tells for the visit at which the tag is fitted, and who is to be told of the order."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo

from gateway.orders import tasks
from gateway.orders.tasks import Finding
from gateway.orders.wearer import PostalAddress, postal
from gateway.orders.words import civil, flag, is_absent, text


@dataclass(frozen=True, slots=True)
class Organisation:
    """Who imposed the order, or is responsible for the wearer; '' where it was not told."""

    kind: str
    name: str = ""
    email: str = ""
    phone: str = ""
    region: str = ""
    unit: str = ""
    address: PostalAddress | None = None


@dataclass(frozen=True, slots=True)
class Visit:
    """Where, when and how the tag is to be fitted. None, '' mean that it was not told.

    ``at_source`` is fitting in prison or court before release. ``planned_ms`` is UTC ms.
    """

    address: PostalAddress | None
    at_source: bool | None
    at_source_details: str
    planned_ms: int | None
    device_type: str


@dataclass(frozen=True, slots=True)
class Officer:
    """The responsible officer."""

    name: str
    phone: str
    email: str
    told: bool | None


@dataclass(frozen=True, slots=True)
class Parties:
    """Who is concerned with an order."""

    notifying: Organisation
    responsible: Organisation
    officer: Officer


def visit_of(fields: Mapping[str, Any], zone: ZoneInfo) -> tuple[Visit, list[Finding]]:
    """What is told of the visit, and what of it is missing."""
    found: list[Finding] = []
    at_source = flag(fields.get("tag_at_source"))
    if at_source is None and not is_absent(fields.get("tag_at_source")):
        found.append(tasks.unreadable("tag_at_source", fields["tag_at_source"], "yes or no"))
    when = fields.get("date_and_time_installation_will_take_place")
    planned = civil(when)
    if planned is None and not is_absent(when):
        found.append(tasks.unreadable("date_and_time_installation_will_take_place", when, "a date"))
    visit = Visit(
        postal(fields, "installation_address"),
        at_source,
        text(fields.get("tag_at_source_details")),
        None if planned is None else planned.ms(zone),
        text(fields.get("device_type")),
    )
    if at_source and visit.address is None and not visit.at_source_details:
        found.append(
            tasks.missing("tag_at_source_details", "where the tag is to be fitted", "It is to be at source.")
        )
    return visit, found


def parties_of(fields: Mapping[str, Any]) -> Parties:
    """Who imposed the order, and who is responsible."""

    def said(key: str) -> str:
        return text(fields.get(key))

    return Parties(
        Organisation(
            said("notifying_organization"),
            said("no_name"),
            said("no_email"),
            said("no_phone_number"),
            address=postal(
                {**fields, "no_address_post_code": fields.get("no_post_code")},
                "no_address",
            ),
        ),
        Organisation(
            said("responsible_organization"),
            email=said("ro_email"),
            phone=said("ro_phone"),
            region=said("ro_region"),
            unit=said("pdu_responsible"),
            address=postal(
                {**fields, "ro_address_post_code": fields.get("ro_post_code")},
                "ro_address",
            ),
        ),
        Officer(
            said("responsible_officer_name"),
            said("responsible_officer_phone"),
            said("responsible_officer_email"),
            flag(fields.get("responsible_officer_details_received")),
        ),
    )
