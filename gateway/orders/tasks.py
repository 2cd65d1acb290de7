"""What a person has to see to, in one plain sentence each: what is missing, contradictory, unlawful or not understood.

A finding's ``kind`` and ``about`` say which task it is: the same one found in the next version is the same task.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from core.statute import LegalProblem
from gateway.orders.words import is_absent, text


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing to be seen to; ``about`` is the condition or the field concerned, '' for the order as a whole."""

    kind: str
    sentence: str
    about: str = ""


LAW = "law"
OF_VARIATION = "variation"
REMOVE_TAG = "remove_tag"
OF_PEOPLE = (OF_VARIATION, REMOVE_TAG, "swap_device", "device_in_quarantine")
"""Kinds that come of what people have recorded: no version settles them."""
OF_ONE_MESSAGE = (
    *("wearer_not_known", "wearer_ambiguous", "no_case_id", "no_order_id", "sent_as_new_again"),
    *("other_order_id", "varies_what_is_not_here", "came_again", "closed", "ended", "overruled"),
)
"""Kinds of what was doubtful about one message as it came: no later message settles it, only a person."""

OF_A_VISIT = (
    *("visit_no_answer", "visit_refused", "visit_unsafe", "visit_rebook", "visit_adjustment"),
    "visit_interpreter",
)
"""Kinds of what an officer has found at the door: no message settles it either, nor does its sender wait for it."""


def wearer_not_known() -> Finding:
    """An update about nobody who is known here."""
    return Finding(
        "wearer_not_known",
        "This came as a change to a device wearer, but nobody here has any of these numbers, or this name and date of "
        "birth: it was taken in as somebody new. Find out whose order it belongs to.",
    )


def wearer_ambiguous(count: int) -> Finding:
    """An update that could be about several."""
    return Finding(
        "wearer_ambiguous",
        f"A change to this device wearer came without an id, and {count} cases here are of this person: it was taken "
        "for the newest. Check that the others need no change.",
    )


def no_case_id() -> Finding:
    """An order that does not say whose it is."""
    return Finding(
        "no_case_id",
        "The order does not say which device wearer it is for (case_id is missing or empty), so nothing of it can be "
        "monitored. Find out who it is, and have it sent again.",
        "case_id",
    )


def no_order_id() -> Finding:
    """An order without the order service's own id."""
    return Finding(
        "no_order_id",
        "The order carries no order_id: a later change to it may not be recognised. Ask the sender for it.",
        "order_id",
    )


def sent_as_new_again(reference: str) -> Finding:
    """A create for an order that is here."""
    return Finding(
        "sent_as_new_again",
        f"Order {reference} was sent as new although it is known here; it was taken in as a further version. "
        "Check that this is meant.",
    )


def other_order_id(given: str, known: str) -> Finding:
    """An update under another id."""
    called = f"calls itself {given}" if given else "has no order_id"
    return Finding(
        "other_order_id",
        f"A change {called}, and the only order of this device wearer is {known or 'without an id'}: it was taken "
        "for a change of that one. Check that this is meant.",
        "order_id",
    )


def varies_what_is_not_here(reference: str) -> Finding:
    """An update of an order that never came."""
    return Finding(
        "varies_what_is_not_here",
        f"A change to order {reference or '(without an id)'} came, and that order is not here: it was taken in as a "
        "new one. Find out what it changes.",
    )


def missing(about: str, what: str, why: str) -> Finding:
    """Something that has to be known."""
    return Finding("missing", f"The message does not tell {what}. {why}", about)


def unreadable(about: str, value: object, wanted: str) -> Finding:
    """A value that is no such thing."""
    return Finding(
        "unreadable", f"{about} says {shown(value)}, which is not {wanted}. Ask the sender.", about
    )


def unknown_word(about: str, value: object, known: str) -> Finding:
    """A word that stands for nothing that is known here."""
    return Finding(
        "unknown_word",
        f"{about} says {shown(value)}, which is not known here (known: {known}). Find out what is meant.",
        about,
    )


def contradiction(about: str, what: str) -> Finding:
    """Two things that can not both be."""
    return Finding("contradiction", f"{what}. Find out which is right.", about)


def shown(value: object) -> str:
    """A value of a message as a sentence quotes it, shortened."""
    said = text(value) or json.dumps(value, default=lambda one: text(one))
    return f"“{said[:200]}{'…' if len(said) > 200 else ''}”"


def ends_before_start(about: str, start: str, end: str) -> Finding:
    """Dates the wrong way round."""
    return Finding(
        "ends_before_start",
        f"{about[:1].upper()}{about[1:]} ends at {end}, not after it begins at {start}: the end is left open "
        "until it is "
        "put right. Ask the court or the prison.",
        about,
    )


def outside_order(about: str, start: str, end: str, order_start: str, order_end: str) -> Finding:
    """A condition that reaches beyond its order."""
    return Finding(
        "outside_order",
        f"{about} is from {start} to {end}, and the order only from {order_start} to {order_end}: outside the "
        "order nothing "
        "is monitored. Find out which is right.",
        about,
    )


def no_condition() -> Finding:
    """An order that imposes nothing."""
    return Finding(
        "no_condition",
        "The order names no condition, so nothing is monitored. Find out what was imposed.",
        "enforceable_condition",
    )


def condition_unknown(name: str) -> Finding:
    """A condition of a kind that is not known."""
    return Finding(
        "condition_unknown",
        f"The condition {shown(name)} is not known here, so it is NOT MONITORED. Find out what it asks.",
        f"condition {name}",
    )


def not_fitted(name: str) -> Finding:
    """A device that nobody wears."""
    return Finding(
        "condition_unknown",
        f"The condition {shown(name)} is for a device that is not fitted, which this version can not monitor: "
        "it is NOT "
        "MONITORED. See that it is monitored elsewhere.",
        f"condition {name}",
    )


def no_timetable(description: str) -> Finding:
    """A curfew without hours."""
    said = f" The court's words: {shown(description)}." if description else ""
    return Finding(
        "no_timetable",
        f"The order imposes a curfew without a timetable, so it is NOT MONITORED.{said} Find out days, hours "
        "and address.",
        "curfew",
    )


def no_place(name: str, address: str) -> Finding:
    """An address that is text."""
    return Finding(
        "no_place",
        f"The {name} curfew address, {address}, has no place on the map yet, so the curfew is NOT MONITORED "
        "there. Find "
        "the place.",
        f"curfew address {name}",
    )


def no_address(name: str, no_home: bool) -> Finding:
    """A curfew at an address that was not told."""
    why = "the wearer has no fixed address" if no_home else "no such address is told of the wearer"
    return Finding(
        "no_address",
        f"The curfew is at the {name} address, and {why}, so it is NOT MONITORED there. Find out where the "
        "wearer is to "
        "be.",
        f"curfew address {name}",
    )


def release_night(told: str) -> Finding:
    """Other hours on the day of release."""
    return Finding(
        "release_night",
        f"There is a curfew on the day of release with hours of its own ({told}). Check that it agrees with the order.",
        "release-curfew",
    )


def court_words(about: str, description: str) -> Finding:
    """Text beside a timetable."""
    return Finding(
        "court_words",
        f"Beside the timetable the order says of the {about}: {shown(description)}. Check that they agree.",
        about,
    )


def court_text(about: str, kind: str, description: str) -> Finding:
    """A zone that is only told in words."""
    return Finding(
        "court_text",
        f"The {kind} zone is court text without a place on the map, so it is NOT MONITORED: "
        f"{shown(description)}. Draw it.",
        about,
    )


def exception(about: str, description: str) -> Finding:
    """An exception in words."""
    return Finding(
        "exception",
        f"The condition has an exception in words: {shown(description)}. It is shown with every alert and "
        "suppresses none; "
        "enter what is agreed as authorised absence.",
        about,
    )


def no_level() -> Finding:
    """Alcohol monitoring to a level that is not stated."""
    return Finding(
        "no_level",
        "The order allows alcohol up to a level (abstinence is no) and does not state the level, so it is "
        "NOT MONITORED. "
        "Find out the level: no default stands in for a court.",
        "alcohol",
    )


def alcohol_mode(value: object) -> Finding:
    """Neither abstinence nor a level."""
    said = "does not say" if is_absent(value) else f"says {shown(value)}, which does not tell"
    return Finding(
        "alcohol_mode",
        f"The order {said} whether the wearer has to abstain or to stay under a level, so alcohol is NOT "
        "MONITORED. Find "
        "out.",
        "alcohol",
    )


def not_understood(about: str, value: object) -> Finding:
    """A field that nothing here reads."""
    return Finding(
        "not_understood",
        f"The field {about} says {shown(value)}, and nothing here reads it. See whether it matters.",
        about,
    )


def not_acted_on(about: str, value: object) -> Finding:
    """A field that is known, and that no part of this version acts on."""
    return Finding(
        "not_acted_on",
        f"{about} says {shown(value)}. This version does not act on it by itself: see to it.",
        about,
    )


def twice(name: str) -> Finding:
    """A key that stands more than once in a message."""
    return Finding(
        "contradiction", f"{name} stands twice in the message; the last one counts. Ask the sender.", name
    )


def of_law(problem: LegalProblem) -> Finding:
    """What `core.law` or `core.variation` has found."""
    about = f"{problem.check}: {', '.join(problem.conditions)}" if problem.conditions else str(problem.check)
    return Finding(LAW, str(problem), about)


def suspended(since: str) -> Finding:
    """A suspension of which nobody has said how long it lasts."""
    return Finding(
        "suspended",
        f"The order is suspended from {since} on: nothing of it is monitored from then, and the message does not say "
        "until when. Find out, and end it with `tagwatch order resume`.",
        "order_variation_type",
    )


def remove_tag(device: str, activation: str, when: str) -> Finding:
    """A tag that is worn under an order which ends."""
    return Finding(
        REMOVE_TAG,
        f"Monitoring ends at {when}, and the wearer wears device {device}: have it taken off then, and record it "
        "(`tagwatch fit --remove`).",
        activation,
    )


def swap_device(wanted: str) -> Finding:
    """Another type of device is wanted."""
    return Finding(
        "swap_device", f"The wearer is to wear another device: {wanted}. Arrange a visit.", "device"
    )


def order_has_ended(when: str) -> Finding:
    """A message about an order that has ended."""
    return Finding(
        "ended",
        f"A message came about this order, which ended at {when}: it was kept, and nothing is monitored again by it. "
        "See whether the order goes on after all.",
    )


def overruled(what: str) -> Finding:
    """A message that could not be brought together with what was recorded for later."""
    return Finding(
        "overruled",
        f"A message of the order service took the place of what was recorded for later ({what}). Check that it is "
        "meant so, and record again what is still to come.",
    )


def came_again(version: int) -> Finding:
    """An earlier message, after a later one."""
    return Finding(
        "came_again",
        f"A message that was taken in before came once more after a later one (version {version}); nothing "
        "was changed. If "
        "the order is to go back to what it says, have it sent as a change.",
    )


def closed() -> Finding:
    """A message about an order whose readings are gone."""
    return Finding(
        "closed",
        "A message came about this order, which is closed: it was kept and changes nothing. See to it.",
    )


def can_not_be_typed(problem: str) -> Finding:
    """A fault of this program."""
    return Finding(
        "can_not_be_typed",
        f"The order could not be put into the form that is monitored ({problem}), so all of it is NOT MONITORED.",
    )
