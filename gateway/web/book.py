"""What the web needs to know, and from whom: the narrow face of the store that pages and interface are written against.

Nothing here knows SQL; `gateway.web.stored` answers these questions from the real store.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Literal, Protocol

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

# SQLite's integers end at 2**63 - 1; JavaScript reads whole numbers exactly up to here.
LARGEST_NUMBER = 2**53 - 1

AlertState = Literal["open", "ended", "withdrawn"]


def _aware(instant: datetime) -> datetime:
    """Refuse a time without a zone: it could be an hour off and nobody would see it."""
    if instant.tzinfo is None:
        raise ValueError("the time has no zone; the store writes UTC with a Z")
    return instant


Instant = Annotated[datetime, AfterValidator(_aware)]


class Wearer(BaseModel):
    """The device wearer an alert is about. ``name`` is None where the order does not tell it."""

    model_config = ConfigDict(frozen=True)

    id: str
    name: str | None = None


class Doubt(BaseModel):
    """Why evidence of an alert is doubtful: a device that fed it was found faulty."""

    model_config = ConfigDict(frozen=True)

    finding: int = Field(
        description="The finding's number; it can be taken back, and then it is not here any more."
    )
    device: str = Field(description="The device that was found faulty: the tag, or a home unit.")
    sensor: str | None = Field(description="Which part of it; null: all of it.")
    from_: Instant = Field(alias="from", description="Since when, tag time, UTC.")
    to: Instant | None = Field(description="Until when; null: from then on.")
    reason: str
    by: str = Field(description="Who has found it.")


class AlertRecord(BaseModel):
    """One alert as its newest revision says it."""

    model_config = ConfigDict(frozen=True)

    id: str = Field(description="What the alert is about, hashed: the same event has the same id for ever.")
    number: int = Field(description="The small number people call the alert by.")
    revision: int = Field(
        description="How often this alert has been said: 1 when raised, one more at every change."
    )
    revision_number: int = Field(
        description="Where its newest revision stands in the one count of all alerts' revisions; see after_revision."
    )
    activation: str | None = Field(
        description="The device on this wearer, from fitting to removal; null where nobody wears one."
    )
    device: str | None = Field(
        description="The device; null where the alert is about an order under which no tag is worn."
    )
    order: str | None = Field(description="The order it is about; null for equipment that nobody wears.")
    wearer: Wearer | None = Field(description="The device wearer, or null if the store does not know them.")
    condition: str | None = Field(description="The monitoring condition's id within the order.")
    rule: str
    state: AlertState
    severity: str
    start: Instant = Field(description="Tag time, UTC.")
    end: Instant | None = Field(description="Tag time, UTC; null while it lasts, or if no end is known.")
    order_version: str | int | None = Field(
        description="The version of the order that the alert was judged by."
    )
    rule_set: str | int | None = Field(
        description="The version of the rule set that the alert was judged by."
    )
    sentence: str = Field(description="What happened, in one sentence.")
    figures: Mapping[str, float | int | str | bool | None] = Field(default_factory=dict)
    readings: Sequence[tuple[int, int]] = Field(
        default_factory=list, description="The readings it rests on: [journal epoch, sequence number]."
    )
    sources: Sequence[tuple[str, int | None]] = Field(
        default_factory=list,
        description="Whose each is: [kind, null] for the tag's, [kind, index] for a home unit's.",
    )
    doubts: Sequence[Doubt] = Field(
        default_factory=list,
        description="What of its evidence is doubtful: a device that fed it was found faulty. The alert stands.",
    )


class Revision(BaseModel):
    """What one alert said from this revision on."""

    model_config = ConfigDict(frozen=True)

    number: int = Field(
        description="Counts every revision of every alert; a higher one is later, holes are possible."
    )
    at: Instant | None = Field(description="When the gateway recorded it (gateway time), or null if unknown.")
    alert: AlertRecord


@dataclass(frozen=True)
class Deletion:
    """Readings that were deleted by policy: the number of the proof, when, and the policy in its own words."""

    proof: int
    at: datetime
    version: str
    policy: str
    hash: str


@dataclass(frozen=True)
class Notice:
    """Who has taken notice of an alert up to ``revision``, when, and what they wrote beside it."""

    person: str
    revision: int
    at: datetime
    note: str
    account: str | None
    """Who was signed in; None where the command said it."""


@dataclass(frozen=True)
class AlertPage:
    """Some alerts, and whether there are more of those that were asked for."""

    alerts: Sequence[AlertRecord]
    more: bool


class Status(BaseModel):
    """How the gateway is. What the store does not tell is null: unknown, never guessed."""

    model_config = ConfigDict(frozen=True)

    store: bool = Field(description="Whether the store could be read just now.")
    generation: int | None = Field(default=None, description="Raised whenever a backup is restored.")
    latest_revision: int | None = None
    last_committed: Instant | None = Field(
        default=None, description="Gateway time at which a reading was last committed to disk."
    )
    ingest_alive: bool | None = Field(
        default=None, description="Whether the ingest answers and is connected to the broker."
    )
    quarantined: int | None = Field(
        default=None, description="Messages put aside because they were not right, ever."
    )
    open_alerts: int | None = None
    counters: Mapping[str, int] = Field(default_factory=dict)


class StoreUnreadableError(Exception):
    """The store could not be read; the message says what the store said."""


class LookNotRecordedError(Exception):
    """The look could not be written down, so it must not happen."""


class AlertBook(Protocol):
    """Read access to alerts. Every method is one short read, safe to call from several threads.

    Every method but ``status`` raises `StoreUnreadableError` when the store is missing, locked for too long or damaged.
    """

    def page(self, states: Sequence[AlertState], limit: int) -> AlertPage:
        """The newest ``limit`` alerts in one of ``states``, newest number first."""
        ...

    def changed(
        self, after: int, limit: int, state: AlertState | None = None, device: str | None = None
    ) -> AlertPage:
        """Alerts whose newest revision is above ``after``, in the order in which they last changed."""
        ...

    def alert(self, alert_id: str) -> AlertRecord | None:
        """The alert of that id, or None."""
        ...

    def numbered(self, number: int) -> AlertRecord | None:
        """The alert that people call ``number`` (at most `LARGEST_NUMBER`), or None."""
        ...

    def revisions(self, alert_id: str) -> Sequence[Revision]:
        """Every revision of an alert, first one first; empty if there is no such alert."""
        ...

    def deletions(self, number: int) -> Sequence[Deletion]:
        """By which proofs readings that the alert ``number`` rests on were deleted; empty where none was."""
        ...

    def notices(self, number: int) -> Sequence[Notice]:
        """Who has taken notice of the alert ``number``, the last first."""
        ...

    def noticed(self, numbers: Collection[int]) -> Mapping[int, int]:
        """Up to which revision somebody has taken notice of each of some alerts; left out where nobody has."""
        ...

    def since(self, number: int, limit: int) -> Sequence[Revision]:
        """The first ``limit`` revisions above ``number``, of all alerts, ascending."""
        ...

    def open_count(self) -> int:
        """How many alerts are open."""
        ...

    def latest_revision(self) -> int:
        """The highest revision number there is, 0 if there is none."""
        ...

    def last_committed(self) -> datetime | None:
        """Gateway time at which a reading was last committed to disk; None where none was."""
        ...

    def status(self) -> Status:
        """How the gateway is; never raises, says ``store=False`` instead."""
        ...
