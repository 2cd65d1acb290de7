"""What the messages about an order mean: a typed order, and what a person has to see to. No clock, no store.

The mapping is that of docs/intake.md; it is made from the description of the interface, and takes every message.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo

from core.alerts import instant_ms
from core.law import check_order
from core.order import Order, OrderError, Regime, order_from_json
from gateway.clock import utc_text
from gateway.orders import tasks
from gateway.orders.completed import taken_over
from gateway.orders.imposed import conditions_of
from gateway.orders.reading import Message
from gateway.orders.regime import regime_of
from gateway.orders.stated import Imposed, span_of
from gateway.orders.stated_life import life_of
from gateway.orders.tasks import Finding
from gateway.orders.visit import Parties, Visit, parties_of, visit_of
from gateway.orders.wearer import NAMES_OF_IDS, StatedWearer, no_texts, not_understood, wearer_of
from gateway.orders.wearer import USED as USED_OF_WEARER
from gateway.orders.words import civil, folded, is_absent, text

TIMEZONE = "Europe/London"
"""Civil times in messages are those of the courts of England and Wales."""

ACTED_ON = (
    *("case_id", "order_id", "device_wearer", "condition_type", "order_type", "order_request_type"),
    *("order_start", "order_end", "order_variation_date", "order_variation_type", "order_variation_details"),
    *("enforceable_condition", "curfew_start", "curfew_end", "curfew_duration", "curfew_description"),
    *("conditional_release_date", "conditional_release_start_time", "conditional_release_end_time"),
    *("exclusion_zones", "inclusion_zones", "restriction_zones", "trail_monitoring", "abstinence", "hdc"),
    *("atv_allowance", "sentence_type", "service_end_date", "responsible_organization", "ro_region"),
    *("tag_at_source", "tag_at_source_details", "date_and_time_installation_will_take_place", "device_type"),
    *(f"installation_address_{n}" for n in (1, 2, 3, 4, "post_code")),
    *("notifying_organization", "no_name", "no_email", "no_phone_number", "no_post_code"),
    *(f"no_address_{n}" for n in (1, 2, 3, 4)),
    *("ro_email", "ro_phone", "ro_post_code", "pdu_responsible", "responsible_officer_name"),
    *(f"ro_address_{n}" for n in (1, 2, 3, 4)),
    *("responsible_officer_phone", "responsible_officer_email", "responsible_officer_details_received"),
)
"""Fields whose meaning is taken over."""
SEEN_TO = (
    *("allday_lockdown", "exclusion_allday", "schedule", "checkin_schedule", "revocation_date"),
    *("revocation_type", "reason_for_order_ending_early", "technical_bail", "dapo_order_clause_numbers"),
)
"""Fields that change what is to be monitored: each becomes a task, but where its dates are stated (`stated_life`)."""
KEPT = (
    *("ac_eligible_offences", "business_unit", "court", "court_order_email", "dapol_missed_in_error"),
    *(
        "crown_court_case_reference_number",
        "magistrate_court_case_reference_number",
        "install_at_source_pilot",
    ),
    *("interim_court_date", "issp", "issuing_organisation", "media_interest", "new_order_received"),
    *("notifying_officer_email", "notifying_officer_name", "offence", "offence_additional_details"),
    *("offence_date", "offences", "order_status", "order_type_description", "order_type_detail", "pilot"),
    *("order_variation_req_received_date", "pdu_responsible_email", "planned_order_end_date"),
    *(
        "released_under_prarr",
        "sentence_date",
        "sentence_expiry",
        "subcategory",
        "trial_date",
        "trial_outcome",
    ),
)
"""Fields that change nothing of what is monitored: kept with the message, and shown with it."""
_LISTS = (
    *("enforceable_condition", "curfew_duration", "exclusion_zones", "inclusion_zones", "restriction_zones"),
    *("ac_eligible_offences", "offences"),
)
_REQUESTS = {"neworder": False, "variation": True}
_VARIATIONS = {
    *("changetoaddress", "changeofaddress", "changetocurfewhours", "changeofcurfewhours", "other"),
    *("changetoaddaninclusionorexclusionzones", "changetoanexistinginclusionorexclusionzones"),
    *("ordersuspension", "changetodevicetype", "changetoenforceablecondition", "changetopersonaldetails"),
    "adminerror",
}
_AMEND_ONLY = ("sr08", "")


@dataclass(frozen=True, slots=True)
class Known:
    """What is on record of an order already: its versions' documents, ascending; none for a new one."""

    order_id: str
    wearer_id: str
    documents: Sequence[Mapping[str, Any]] = ()
    said: Mapping[str, Any] | None = None
    """What the messages before these meant by themselves; None where that is not known."""
    ended_ms: int | None = None
    """When people here have ended it; no message goes beyond that."""


@dataclass(frozen=True, slots=True)
class Meaning:
    """What the messages mean.

    ``says`` is what they mean by themselves, whatever people have completed or varied; ``ended_ms`` is when they end
    the order early.
    ``document`` is the typed order (docs/orders.md) and ``order`` the same, read; ``found`` is what is to be seen to;
    ``unused`` names the fields that say something and change nothing of what is monitored.
    """

    document: dict[str, Any]
    order: Order
    found: tuple[Finding, ...]
    wearer: StatedWearer | None
    visit: Visit
    parties: Parties
    is_variation: bool
    unused: tuple[str, ...]
    says: dict[str, Any]
    why: str = ""
    """What the message says of why it varies the order."""
    ended_ms: int | None = None


def meaning_of(order: Message, wearer: Message | None, known: Known, received_ms: int) -> Meaning:
    """What the newest messages about an order and its wearer mean, as its next version."""
    fields, zone = order.fields, ZoneInfo(TIMEZONE)
    found = [tasks.twice(text(name)) for name in order.twice]
    stated, of_wearer = (None, []) if wearer is None else wearer_of(wearer.fields)
    if wearer is not None:
        found += [tasks.twice(text(name)) for name in wearer.twice]
        unread = not_understood(wearer.fields, (*USED_OF_WEARER, *NAMES_OF_IDS))
        of_wearer += [tasks.not_understood(name, wearer.fields.get(name)) for name in unread]
    found += [*of_wearer, *_same_name(fields, stated)]
    regime, doubts = regime_of(fields, None if stated is None else stated.adult)
    dates = Imposed()
    whole = span_of(dates, fields, ("order_start", "order_end"), "the order", zone)
    is_variation, effective_ms = _request(fields, whole[0], known, received_ms, zone, found)
    imposed = conditions_of(fields, stated, whole, zone)
    found += [*doubts, *dates.found, *_dates(fields, whole, zone), *imposed.found]
    found += _other_law(imposed.documents, regime)
    visit, of_visit = visit_of(fields, zone)
    texts = (name for name in (*ACTED_ON, *KEPT) if name not in _LISTS)
    found += [*of_visit, *no_texts(fields, texts)]
    early = life_of(fields, whole, known.documents, is_variation, effective_ms, zone)
    found += [*early.found, *_seen_to(fields, early.acted_on)]
    last = known.documents[-1] if known.documents else {}
    says: dict[str, Any] = {
        "regime": str(regime),
        "wearer": {
            "id": known.wearer_id,
            "name": (stated.name if stated else "") or text(fields.get("device_wearer")) or "name not told",
        },
        "conditions": imposed.documents,
    }
    whole = whole[0], early.end_ms
    says |= {key: utc_text(ms) for key, ms in zip(("start", "end"), whole, strict=True) if ms is not None}
    if early.suspensions:
        says["suspensions"] = early.suspensions
    allowance = _allowance(fields, found)
    if allowance is not None:
        says["atv_allowance_min"] = allowance
    # what people have recorded is theirs: a message of the order service says nothing of it
    held, kept = taken_over(last, known.said, says)
    document: dict[str, Any] = {
        **not_after(held, known.ended_ms),
        "order_id": known.order_id,
        "version": len(known.documents) + 1 if not last else int(last["version"]) + 1,
        "effective": utc_text(effective_ms),
    }
    found = [one for one in found if (one.kind, one.about) not in kept]
    typed, document, more = _typed(document, known)
    used = (*ACTED_ON, *SEEN_TO)
    unused = tuple(sorted(text(name) for name in fields if name not in used and not is_absent(fields[name])))
    return Meaning(
        document,
        typed,
        _once([*found, *more]),
        stated,
        visit,
        parties_of(fields),
        is_variation,
        unused,
        says,
        _why(fields),
        early.ended_ms,
    )


def not_after(document: Mapping[str, Any], ended_ms: int | None) -> dict[str, Any]:
    """The order, ending no later than people have ended it."""
    if ended_ms is None or ("end" in document and instant_ms(document["end"]) <= ended_ms):
        return dict(document)
    ended = {**document, "end": utc_text(ended_ms)}
    if "start" in ended and instant_ms(ended["start"]) >= ended_ms:
        del ended["start"]  # it never begins
    return ended


def _typed(document: dict[str, Any], known: Known) -> tuple[Order, dict[str, Any], list[Finding]]:
    """The document read as an order, and what the law says of it with its earlier versions."""
    found = []
    try:
        typed = order_from_json(document)
    except OrderError as error:
        # nothing of what a message says should lead here; should it, people are told rather than an order lost
        found.append(tasks.can_not_be_typed(str(error)))
        reason = "the order could not be put into the form that is monitored"
        document = {key: document[key] for key in ("order_id", "version", "regime", "wearer", "effective")}
        document["conditions"] = [{"id": "none", "type": "unknown", "not_monitored": reason}]
        typed = order_from_json(document)
    earlier = []
    for one in known.documents:
        try:
            earlier.append(order_from_json(one))
        except OrderError:
            continue  # taken in by another program: the law is asked without it
    found += [tasks.of_law(problem) for problem in check_order(typed, TIMEZONE, earlier)]
    return typed, document, found


def _why(fields: Mapping[str, Any]) -> str:
    said = (text(fields.get(name)) for name in ("order_variation_type", "order_variation_details"))
    return ": ".join(" ".join(one.split()) for one in said if one)[:500]


def _once(found: Sequence[Finding]) -> tuple[Finding, ...]:
    return tuple({(one.kind, one.about): one for one in reversed(found)}.values())[::-1]


def _request(
    fields: Mapping[str, Any],
    start_ms: int | None,
    known: Known,
    received_ms: int,
    zone: ZoneInfo,
    found: list[Finding],
) -> tuple[bool, int]:
    """Whether this varies an order, and from when it holds."""
    value = fields.get("order_request_type")
    is_variation = _REQUESTS.get(folded(value), bool(known.documents))
    if is_absent(value):
        found.append(
            tasks.missing("order_request_type", "whether the order is new or varies one", "Ask the sender.")
        )
    elif folded(value) not in _REQUESTS:
        found.append(tasks.unknown_word("order_request_type", value, "New Order, Variation"))
    kind = fields.get("order_variation_type")
    if not is_absent(kind) and folded(kind) not in _VARIATIONS:
        found.append(tasks.unknown_word("order_variation_type", kind, "see docs/intake.md"))
    subcategory = text(fields.get("subcategory"))
    if not subcategory.casefold().startswith("sr08") and subcategory:
        found.append(tasks.not_acted_on("subcategory", subcategory))
    varied = fields.get("order_variation_date")
    day = civil(varied)
    if day is None and not is_absent(varied):
        found.append(tasks.unreadable("order_variation_date", varied, "a date"))
    if is_variation and not known.documents:
        found.append(tasks.varies_what_is_not_here(text(fields.get("order_id"))))
    if not known.documents:
        return is_variation, received_ms if start_ms is None else start_ms
    if day is None and is_variation:
        found.append(
            tasks.missing(
                "order_variation_date", "from when the variation holds", "It was taken from now on."
            )
        )
    return is_variation, received_ms if day is None else day.ms(zone)


def _same_name(fields: Mapping[str, Any], stated: StatedWearer | None) -> list[Finding]:
    name = text(fields.get("device_wearer"))
    if stated is None or not name or not stated.name:
        return []
    if not set(name.casefold().split()) ^ set(stated.name.casefold().split()):
        return []
    return [
        tasks.contradiction(
            "device_wearer",
            f"The order is for {tasks.shown(name)}, and the device wearer is {tasks.shown(stated.name)}",
        )
    ]


def _dates(fields: Mapping[str, Any], whole: tuple[int | None, int | None], zone: ZoneInfo) -> list[Finding]:
    found = []
    for key, ms, what in zip(("order_start", "order_end"), whole, ("begins", "ends"), strict=True):
        if ms is None and is_absent(fields.get(key)):
            why = (
                "It holds from the moment at which it came."
                if what == "begins"
                else "It holds until it is changed."
            )
            found.append(tasks.missing(key, f"when the order {what}", why))
    service = civil(fields.get("service_end_date"))
    if service is None and not is_absent(fields.get("service_end_date")):
        found.append(tasks.unreadable("service_end_date", fields["service_end_date"], "a date"))
    end = civil(fields.get("order_end"))
    if service is not None and end is not None and service.day != end.day:
        what = f"The order ends on {end.day}, and its service on {service.day}; it is monitored until the order ends"
        found.append(tasks.contradiction("service_end_date", what))
    return found


_ALCOHOL = {
    "aamr": (Regime.COMMUNITY_ORDER, Regime.SUSPENDED_SENTENCE, Regime.YOUTH_REHABILITATION),
    "aml": (Regime.LICENCE, Regime.HOME_DETENTION_CURFEW),
}
"""Alcohol abstinence and monitoring requirement: of sentences in the community; alcohol monitoring on licence."""


def _other_law(documents: Sequence[Mapping[str, Any]], regime: Regime) -> list[Finding]:
    found = []
    for one in documents:
        fitting = _ALCOHOL.get(folded(one.get("name")))
        if fitting is not None and regime not in (*fitting, Regime.UNKNOWN):
            what = f"{one['name']} is imposed, which does not belong to an order of this kind ({regime})"
            found.append(tasks.contradiction(f"condition {one['name']}", what))
    return found


def _seen_to(fields: Mapping[str, Any], acted_on: Collection[str]) -> list[Finding]:
    found = [
        tasks.not_acted_on(name, fields[name])
        for name in SEEN_TO
        if not is_absent(fields.get(name)) and name not in acted_on
    ]
    known = (*ACTED_ON, *SEEN_TO, *KEPT)
    unread = not_understood(fields, known)
    return [*found, *(tasks.not_understood(name, fields.get(name)) for name in unread)]


def _allowance(fields: Mapping[str, Any], found: list[Finding]) -> int | None:
    value = fields.get("atv_allowance")
    if is_absent(value):
        return None
    said = text(value)
    if said.isascii() and said.isdigit() and len(said) <= 5:
        return int(said)
    found.append(tasks.unreadable("atv_allowance", value, "minutes"))
    return None
