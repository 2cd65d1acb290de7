"""Who is visited, as whoever knocks has to know it: made from what the order service told of the wearer.

An order that was added by hand tells only a name; then nothing here is guessed: what is not known is None or empty.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime
from typing import Any, Self

from sqlalchemy import Connection

from gateway.orders.intake import meaning_now
from gateway.orders.meaning import Meaning
from gateway.store import intake, orders

OF_AGE = 18


@dataclass(frozen=True, slots=True)
class Doorstep:
    """What has to be known before the door. None, '' and () mean that it was not told.

    ``child`` is whether the wearer is under 18 on the day: by the date of birth where it was told, and always where the
    message calls the wearer a child. ``planned_ms`` is UTC ms.
    """

    order_id: str
    order_version: int
    wearer: str
    born: str = ""
    child: bool | None = None
    adult_needed: bool | None = None
    adult: str = ""
    adult_relation: str = ""
    adult_phone: str = ""
    interpreter: bool | None = None
    language: str = ""
    phone: str = ""
    addresses: tuple[str, ...] = ()
    no_fixed_address: bool | None = None
    at_source: str = ""
    disabilities: tuple[str, ...] = ()
    risks: tuple[str, ...] = ()
    officer: str = ""
    device_type: str = ""
    planned_ms: int | None = None

    @property
    def needs_adult(self) -> bool:
        """Must a responsible adult stand by?"""
        return bool(self.child) or bool(self.adult_needed)

    @property
    def speaks_welsh(self) -> bool:
        """Is Welsh the language that the order tells?"""
        return self.language.strip().casefold() in ("welsh", "cymraeg", "cy", "cym", "wel")

    def as_data(self) -> dict[str, Any]:
        """All of it, for JSON."""
        return asdict(self)

    @classmethod
    def from_data(cls, told: Mapping[str, Any]) -> Self:
        """The same, read from JSON."""
        values: dict[str, Any] = {
            name: tuple(one) if isinstance(one, list) else one for name, one in told.items()
        }
        return cls(**values)


def doorstep_of(connection: Connection, order_id: str, now_ms: int) -> Doorstep | None:
    """What is known of the wearer of an order; None where there is no such order."""
    versions = orders.versions(connection, order_id)
    if not versions:
        return None
    newest = versions[-1]
    case = intake.case(connection, order_id)
    meaning = None if case is None or case.kind != "order" else meaning_now(connection, case, now_ms)
    if meaning is None:
        return Doorstep(order_id, newest.version, newest.wearer_name)
    return _stated(meaning, order_id, newest, now_ms)


def _stated(meaning: Meaning, order_id: str, newest: orders.OrderVersion, now_ms: int) -> Doorstep:
    wearer, visit = meaning.wearer, meaning.visit
    at_source = visit.at_source_details or "before release" if visit.at_source else ""
    told: dict[str, Any] = {
        "at_source": at_source,
        "device_type": visit.device_type,
        "planned_ms": visit.planned_ms,
        "officer": _joined(meaning.parties.officer.name, meaning.parties.officer.phone),
        "addresses": () if visit.address is None else (f"visit: {visit.address}",),
    }
    if wearer is None:
        return Doorstep(order_id, newest.version, newest.wearer_name, **told)
    risk, adult = wearer.risk, wearer.responsible_adult
    risks = (
        *(f"risk of serious harm: {said}" for said in [risk.serious_harm] if said),
        *(f"risk of self-harm: {said}" for said in [risk.self_harm] if said),
        *(said for said in [risk.details] if said),
        *risk.categories,
        *(
            f"MAPPA {said}"
            for said in [_joined(risk.mappa, risk.mappa_category, risk.mappa_case_type)]
            if said
        ),
    )
    told["addresses"] += tuple(f"{where}: {one}" for where, one in wearer.addresses.items())
    return Doorstep(
        order_id,
        newest.version,
        wearer.name or newest.wearer_name,
        born="" if wearer.born is None else wearer.born.isoformat(),
        child=_child(wearer.born, wearer.adult, now_ms),
        adult_needed=adult.required,
        adult=adult.name,
        adult_relation=adult.relation,
        adult_phone=adult.phone,
        interpreter=wearer.interpreter_required,
        language=wearer.language,
        phone=wearer.phone,
        no_fixed_address=wearer.no_fixed_address,
        disabilities=wearer.disabilities,
        risks=risks,
        **told,
    )


def _joined(*parts: str) -> str:
    return ", ".join(part for part in parts if part)


def _child(born: date | None, adult: bool | None, now_ms: int) -> bool | None:
    """Under 18 by either word: what speaks for a child is believed, a birthday alone makes an adult."""
    by_birthday = None if born is None else under_age(born, datetime.fromtimestamp(now_ms / 1000, UTC).date())
    if by_birthday or adult is False:
        return True
    return False if by_birthday is False or adult else None


def under_age(born: date, today: date) -> bool:
    """Whether somebody born then is under 18 on that day; who was born on 29 February is of age on 1 March."""
    years = today.year - born.year - ((today.month, today.day) < (born.month, born.day))
    return years < OF_AGE
