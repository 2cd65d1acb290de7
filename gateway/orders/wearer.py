"""What the order service tells of a device wearer, typed: for the order, and for the visit at which a tag is fitted."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from gateway.orders import tasks
from gateway.orders.tasks import Finding
from gateway.orders.words import birthday, flag, folded, is_absent, listed, text

LOCATIONS = ("primary", "secondary", "tertiary")
_PREFIX = {"primary": "", "secondary": "secondary_", "tertiary": "tertiary_"}
_NONE = ("", "na", "none")
"""What stands in a line of an address that has none."""

USED = (
    *("title", "first_name", "middle_name", "last_name", "alias", "date_of_birth", "adult_child", "sex"),
    *("gender_identity", "disability", "no_fixed_address", "phone_number", "risk_serious_harm"),
    *("risk_self_harm", "risk_details", "risk_categories", "mappa", "mappa_case_type", "mappa_category"),
    *("responsible_adult_required", "parent", "guardian", "parent_phone_number", "parent_dob"),
    *("interpreter_required", "language", "pnc_id", "nomis_id", "delius_id", "prison_number"),
    *("home_office_case_reference_number", "cepr"),
    *(f"{prefix}address_{n}" for prefix in ("", "secondary_", "tertiary_", "parent_") for n in (1, 2, 3, 4)),
    *(f"{prefix}address_post_code" for prefix in ("", "secondary_", "tertiary_", "parent_")),
)
"""Fields whose meaning is taken over; ``case_id`` and its like say which wearer an update is about."""
NAMES_OF_IDS = ("case_id", "id", "sys_id", "u_case_id")


@dataclass(frozen=True, slots=True)
class PostalAddress:
    """An address as it was written: its lines, and the postcode, '' where there is none."""

    lines: tuple[str, ...]
    post_code: str

    def __str__(self) -> str:
        return ", ".join((*self.lines, *([self.post_code] if self.post_code else [])))


@dataclass(frozen=True, slots=True)
class Risk:
    """What whoever knocks at the door has to know."""

    serious_harm: str = ""
    self_harm: str = ""
    details: str = ""
    categories: tuple[str, ...] = ()
    mappa: str = ""
    mappa_category: str = ""
    mappa_case_type: str = ""


@dataclass(frozen=True, slots=True)
class ResponsibleAdult:
    """Who has to stand by the wearer at the visit. ``required`` is None where it was not told, or not readably."""

    required: bool | None
    name: str = ""
    relation: str = ""
    phone: str = ""
    address: PostalAddress | None = None
    born: date | None = None


@dataclass(frozen=True, slots=True)
class StatedWearer:
    """A device wearer as the order service tells of them. None, '' and () mean that it was not told."""

    name: str
    alias: str
    born: date | None
    adult: bool | None
    sex: str
    gender_identity: str
    disabilities: tuple[str, ...]
    addresses: Mapping[str, PostalAddress]
    no_fixed_address: bool | None
    phone: str
    risk: Risk
    responsible_adult: ResponsibleAdult
    interpreter_required: bool | None
    language: str
    numbers: Mapping[str, str]


_NUMBERS = (
    *("pnc_id", "nomis_id", "delius_id", "prison_number"),
    *("home_office_case_reference_number", "cepr"),
)


def wearer_of(fields: Mapping[str, Any]) -> tuple[StatedWearer, list[Finding]]:
    """What a message tells of a wearer, and what is missing or contradictory in it."""
    found: list[Finding] = []
    name = " ".join(
        part for key in ("first_name", "middle_name", "last_name") if (part := text(fields.get(key)))
    )
    born = None if is_absent(fields.get("date_of_birth")) else birthday(fields.get("date_of_birth"))
    adult = _adult(fields, found)
    addresses = {
        where: address for where in LOCATIONS if (address := postal(fields, f"{_PREFIX[where]}address"))
    }
    flags = {
        key: _flag(fields, key, found)
        for key in ("no_fixed_address", "responsible_adult_required", "interpreter_required")
    }
    guardian, parent = text(fields.get("guardian")), text(fields.get("parent"))
    stated = StatedWearer(
        name=name,
        alias=text(fields.get("alias")),
        born=born,
        adult=adult,
        sex=text(fields.get("sex")),
        gender_identity=text(fields.get("gender_identity")),
        disabilities=_names(fields, "disability", found),
        addresses=addresses,
        no_fixed_address=flags["no_fixed_address"],
        phone=text(fields.get("phone_number")),
        risk=Risk(
            text(fields.get("risk_serious_harm")),
            text(fields.get("risk_self_harm")),
            text(fields.get("risk_details")),
            _names(fields, "risk_categories", found, "category"),
            text(fields.get("mappa")),
            text(fields.get("mappa_category")),
            text(fields.get("mappa_case_type")),
        ),
        responsible_adult=ResponsibleAdult(
            flags["responsible_adult_required"],
            parent or guardian,
            "parent" if parent else "guardian" if guardian else "",
            text(fields.get("parent_phone_number")),
            postal(fields, "parent_address"),
            birthday(fields.get("parent_dob")),
        ),
        interpreter_required=flags["interpreter_required"],
        language=text(fields.get("language")),
        numbers={key: said for key in _NUMBERS if (said := text(fields.get(key)))},
    )
    odd = no_texts(fields, (name for name in USED if name not in _LISTS))
    return stated, [*found, *odd, *_doubts(stated, fields)]


def postal(fields: Mapping[str, Any], prefix: str) -> PostalAddress | None:
    """The address of the fields ``prefix_1`` to ``prefix_4`` and ``prefix_post_code``; None where they say nothing."""
    lines = [text(fields.get(f"{prefix}_{n}")) for n in (1, 2, 3, 4)]
    written = tuple(line for line in lines if folded(line) not in _NONE)
    post_code = text(fields.get(f"{prefix}_post_code"))
    post_code = "" if folded(post_code) in _NONE else post_code
    return PostalAddress(written, post_code) if written or post_code else None


def not_understood(fields: Mapping[str, Any], used: tuple[str, ...]) -> list[str]:
    """Fields that say something and that nothing here reads."""
    return sorted(text(name) for name, value in fields.items() if name not in used and not is_absent(value))


_LISTS = ("disability", "risk_categories")


def no_texts(fields: Mapping[str, Any], names: Iterable[str]) -> list[Finding]:
    """Fields that should be a text and are a list or an object: what they say would be lost."""
    return [
        tasks.unreadable(name, fields[name], "a text")
        for name in names
        if not is_absent(fields.get(name)) and not text(fields[name])
    ]


def _doubts(stated: StatedWearer, fields: Mapping[str, Any]) -> list[Finding]:
    found = []
    if not stated.name:
        found.append(tasks.missing("name", "the device wearer's name", "Nobody can be visited without it."))
    if stated.born is None:
        if is_absent(fields.get("date_of_birth")):
            found.append(
                tasks.missing("date_of_birth", "the date of birth", "It is needed to identify the wearer.")
            )
        else:
            found.append(tasks.unreadable("date_of_birth", fields.get("date_of_birth"), "a date of birth"))
    if stated.no_fixed_address and "primary" in stated.addresses:
        found.append(
            tasks.contradiction(
                "no_fixed_address", "The wearer has no fixed address, yet a primary address is given"
            )
        )
    if stated.no_fixed_address is not True and "primary" not in stated.addresses:
        found.append(
            tasks.missing("address_1", "the primary address", "Nothing says that there is no fixed address.")
        )
    if stated.interpreter_required and not stated.language:
        found.append(tasks.missing("language", "the language", "An interpreter is required."))
    adult = stated.responsible_adult
    if adult.required is None and is_absent(fields.get("responsible_adult_required")):
        what = "whether a responsible adult is required"
        found.append(tasks.missing("responsible_adult_required", what, "Find out before the visit."))
    if adult.required and not adult.name:
        found.append(tasks.missing("parent", "the responsible adult's name", "One is required at the visit."))
    if stated.adult is False and adult.required is False:
        found.append(
            tasks.contradiction(
                "responsible_adult_required", "The wearer is a child, yet no responsible adult is required"
            )
        )
    return found


def _adult(fields: Mapping[str, Any], found: list[Finding]) -> bool | None:
    word = folded(fields.get("adult_child"))
    known = {"adult": True, "child": False}
    if not word:
        found.append(
            tasks.missing("adult_child", "whether the wearer is an adult", "A child is visited otherwise.")
        )
    elif word not in known:
        found.append(tasks.unknown_word("adult_child", fields.get("adult_child"), "adult, child"))
    return known.get(word)


def _flag(fields: Mapping[str, Any], key: str, found: list[Finding]) -> bool | None:
    value = fields.get(key)
    said = flag(value)
    if said is None and not is_absent(value):
        found.append(tasks.unreadable(key, value, "yes or no"))
    return said


def _names(
    fields: Mapping[str, Any], key: str, found: list[Finding], inner: str | None = None
) -> tuple[str, ...]:
    """A list of objects that each hold a name, or of names."""
    names = []
    for entry in listed(fields.get(key)):
        said = text(entry.get(inner or key)) if isinstance(entry, Mapping) else text(entry)
        if said:
            names.append(said)
        else:
            found.append(tasks.unreadable(key, entry, "a list of names"))
    return tuple(names)
