"""Who is told of what: ``routes.toml`` in the data folder, typed and checked; and which routes an alert takes.

The file holds secrets (provider URLs), so nobody but its owner may read it. Its errors name the key, never the value of
a URL.
"""

from __future__ import annotations

import stat
import tomllib
from collections.abc import Iterator, Sequence
from datetime import time
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    model_validator,
)

from core.alerts import Severity
from core.order import Regime
from gateway.delivery.hours import Hours, clock_time, hours, within
from gateway.mistakes import in_words
from gateway.store.outbox import HEARTBEAT, MODEM, About

FILE_NAME = "routes.toml"

Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,31}$")]
Number = Annotated[str, Field(pattern=r"^\+?[0-9]{3,15}$")]


class RoutesError(ValueError):
    """The routes can not be used; the text names the file, the key, the fact and the remedy."""


def _hours(given: object) -> object:
    return hours(given) if isinstance(given, str) else given


def _time(given: object) -> object:
    return clock_time(given) if isinstance(given, str) else given


def _step(given: object) -> object:
    return (given,) if isinstance(given, str) else given


def _zone(given: object) -> object:
    if not isinstance(given, str):
        return given
    try:
        return ZoneInfo(given)
    except (KeyError, ValueError, OSError):
        raise ValueError(f"{given!r} is no time zone: write it like 'Europe/London'") from None


Spans = tuple[Annotated[Hours, BeforeValidator(_hours)], ...]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)


class Contact(_Part):
    """A path to somebody: a provider's URL as apprise knows them, a number for the SMS modem, or both."""

    url: SecretStr | None = Field(
        None, description="apprise URL: mailtos://, jsons://, ... Kept out of logs."
    )
    sms: Number | None = Field(
        None, description="Number for the SMS modem: the second path, or the only one."
    )
    hours: Spans = Field((), description="On duty then; outside of them the next on the rota is told.")
    timeout_s: float = Field(30, ge=1, le=300, description="So long a provider may take for one message.")

    @model_validator(mode="after")
    def _some_path(self) -> Contact:
        if self.url is None and self.sms is None:
            raise ValueError("give url, sms, or both")
        return self


class Route(_Part):
    """Which alerts it is for, and who is told of them, one after the other until somebody acknowledges."""

    name: Name
    rota: tuple[Annotated[tuple[Name, ...], BeforeValidator(_step)], ...] = Field(
        min_length=1, description="Contacts in order; a list within it is told at once."
    )
    minutes: float = Field(
        10, ge=1, le=24 * 60, description="Unacknowledged for so long, the next on the rota is told."
    )
    rules: tuple[str, ...] = Field((), description="Only these rules; left out: all.")
    severities: tuple[Severity, ...] = Field((), description="Only these; left out: all.")
    regimes: tuple[Regime, ...] = Field((), description="Only orders of these regimes; left out: all.")
    officers: tuple[str, ...] = Field((), description="Only wearers of these officers; left out: all.")
    hours: Spans = Field((), description="Only alerts told in these civil hours; left out: at any time.")
    digest: tuple[Annotated[time, BeforeValidator(_time)], ...] = Field(
        (), description="Not at once but together, at these times of day, and nobody has to acknowledge."
    )
    otherwise: bool = Field(False, description="Only alerts that no other route takes.")

    @model_validator(mode="after")
    def _digest_has_one_step(self) -> Route:
        if self.digest and len(self.rota) > 1:
            raise ValueError(
                "rota: a digest is not escalated, so give one step: [['one', 'other']] tells both"
            )
        if not all(self.rota):
            raise ValueError("rota: a step of it is empty")
        return self


class Officer(_Part):
    """Whose wearers are whose: the order does not tell."""

    name: str
    wearers: tuple[str, ...] = Field(description="Their ids, as the orders have them; no names.")


class Modem(_Part):
    """An SMS modem on a serial line, for when the uplink is dead."""

    device: str = Field(description="Where it is, e.g. /dev/ttyUSB0.")
    baud: int = Field(115_200, ge=300, le=4_000_000)
    timeout_s: float = Field(60, ge=1, le=300, description="So long the network may take for one message.")
    dead_after_minutes: float = Field(
        5, ge=0, le=24 * 60, description="No provider reached for so long: messages go by SMS."
    )
    urgent_after_minutes: float = Field(
        3, ge=0, le=24 * 60, description="A critical or high alert undelivered for so long goes by SMS, too."
    )


class Heartbeat(_Part):
    """The dead man's switch: an outside address that is called while, and only while, this gateway is healthy."""

    url: SecretStr
    every_s: float = Field(60, ge=1, le=120, description="A silent gateway must trip it within 5 minutes.")
    timeout_s: float = Field(20, ge=1, le=60)

    @model_validator(mode="after")
    def _is_web(self) -> Heartbeat:
        parts = urlsplit(self.url.get_secret_value())
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("url: write https://...")
        return self


class Routes(_Part):
    """The whole file."""

    link: str = Field(
        "",
        pattern=r"^(https?://[A-Za-z0-9.:/?=&%-]+)?$",
        description="Where people open an alert: its number is put behind this. '' sends no link. No letter in it "
        "that an SMS has not.",
    )
    timezone: Annotated[ZoneInfo, BeforeValidator(_zone)] = Field(ZoneInfo("Europe/London"))
    contacts: dict[Name, Contact] = Field(default_factory=dict)
    route: tuple[Route, ...] = ()
    officer: tuple[Officer, ...] = ()
    modem: Modem | None = None
    heartbeat: Heartbeat | None = None

    @model_validator(mode="after")
    def _fits_together(self) -> Routes:
        seen: set[str] = set()
        for number, one in enumerate(self.route):
            if one.name in seen:
                raise ValueError(
                    f"route.{number}.name: {one.name!r} stands twice: give each a name of its own"
                )
            seen.add(one.name)
            for name in (name for step in one.rota for name in step):
                if name not in self.contacts:
                    raise ValueError(
                        f"route.{number}.rota: no contact is called {name!r}: add [contacts.{name}]"
                    )
            for officer in one.officers:
                if officer not in {known.name for known in self.officer}:
                    raise ValueError(f"route.{number}.officers: no [[officer]] is called {officer!r}")
        for name in (MODEM, HEARTBEAT):
            if name in self.contacts:
                raise ValueError(f"contacts.{name}: that name is taken by the gateway: choose another")
        if self.modem is None:
            for name, contact in self.contacts.items():
                if contact.url is None:
                    raise ValueError(f"contacts.{name}.sms: there is no [modem] to send by: add it, or a url")
        if not self.route and self.heartbeat is None:
            raise ValueError("route: nobody is told of anything: add a [[route]]")
        return self

    def secrets(self) -> Iterator[str]:
        """Every URL that must not be seen."""
        for contact in self.contacts.values():
            if contact.url is not None:
                yield contact.url.get_secret_value()
        if self.heartbeat is not None:
            yield self.heartbeat.url.get_secret_value()

    def named(self, name: str) -> Route | None:
        """The route of that name; None where there is none any more."""
        return next((one for one in self.route if one.name == name), None)


def read(file: Path) -> Routes:
    """Read routes. Raises RoutesError."""
    try:
        mode = stat.S_IMODE(file.stat().st_mode)
        document = tomllib.loads(file.read_text("utf-8"))
    except OSError as error:
        raise RoutesError(f"{file} can not be read: {error.strerror}") from None
    except ValueError as error:
        raise RoutesError(f"{file} is not TOML: {error}") from None
    if mode & 0o077:
        raise RoutesError(f"{file} holds secrets and others may read it: chmod 600 {file}")
    return of(document, str(file))


def of(document: dict[str, Any], file: str = FILE_NAME) -> Routes:
    """Routes of a document read from TOML. Raises RoutesError."""
    try:
        return Routes.model_validate(document)
    except ValidationError as error:
        raise RoutesError(f"{file} can not be used: {in_words(error, 'there is no such key')}") from None


def taken(routes: Routes, about: About, severity: str, now_ms: int) -> list[Route]:
    """The routes that an alert takes when it is told at ``now_ms``; [] where it has to wait for some hours."""
    officers = {one.name for one in routes.officer if about.wearer and about.wearer in one.wearers}
    matching = [
        one
        for one in routes.route
        if (not one.rules or about.rule in one.rules)
        and (not one.severities or severity in one.severities)
        and (not one.regimes or about.regime in one.regimes)
        and (not one.officers or officers & set(one.officers))
        and within(one.hours, now_ms, routes.timezone)
    ]
    return [one for one in matching if not one.otherwise] or matching


def on_duty(routes: Routes, route: Route, now_ms: int) -> Sequence[Sequence[str]]:
    """The steps of the rota as they are at ``now_ms``: without those off duty, but never nobody."""
    steps = [
        [name for name in step if within(routes.contacts[name].hours, now_ms, routes.timezone)]
        for step in route.rota
    ]
    return [step for step in steps if step] or route.rota


def at_any_hour(routes: Routes) -> Routes:
    """The same routes without hours: for whoever does not know what hour it is, and must not leave anybody untold."""
    contacts = {name: one.model_copy(update={"hours": ()}) for name, one in routes.contacts.items()}
    chosen = [one.model_copy(update={"hours": ()}) for one in routes.route]
    return routes.model_copy(update={"contacts": contacts, "route": chosen})
