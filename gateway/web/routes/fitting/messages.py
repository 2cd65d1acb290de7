"""What is asked and answered about a fitting visit, as JSON: the shapes that the OpenAPI document describes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from fastapi import Path, Query
from pydantic import BaseModel, Field

from gateway.web.book import LARGEST_NUMBER

_PLAIN = r"^[^\x00-\x1f\x7f]+$"
VISIT = r"^[0-9]{8}T[0-9]{6}(\.[0-9]{1,3})?Z-[0-9a-f]{8}$"
DeviceId = Annotated[str, Path(pattern="^[a-z0-9]{4,16}$", description="A device's number.")]
OrderId = Annotated[
    str, Query(min_length=1, max_length=200, pattern=_PLAIN, description="For which order it is asked.")
]
Hex = Annotated[str, Field(pattern="^([0-9a-f]{2})+$", max_length=128)]
Base64 = Annotated[str, Field(pattern="^[A-Za-z0-9+/]+={0,2}$", max_length=16_384)]
Instant = Annotated[int, Field(ge=0, le=LARGEST_NUMBER, description="Milliseconds since 1970, UTC.")]


class Place(BaseModel):
    """Where devices find the broker. ``authority``: whom they trust there (DER, one or two, Base64)."""

    host: str
    port: int
    server_name: str
    tls: bool
    authority: str
    changing: bool = Field(description="The authority is being changed.")


class Now(BaseModel):
    """How the gateway is, for a visit, and who asks."""

    officer: str
    full_name: str
    time_ms: int
    time_known: bool
    not_ready: str = Field(
        description="Why no reading could arrive now, and what to do; empty where one can."
    )
    newest_row: int
    place: Place


class OrderFound(BaseModel):
    """The newest version of an order, as it was taken in."""

    order: dict[str, Any]


class DoorstepFound(BaseModel):
    """Who is visited, as whoever knocks has to know it, and whom wearers call."""

    doorstep: dict[str, Any]
    phone: str
    phone_hours: str


class DeviceFound(BaseModel):
    """A device as the gateway has it; null where it was never added."""

    id: str
    kind: str
    certificate_sha256: str
    revoked: bool
    kept: bool = Field(description="What it is provisioned with lies at the gateway.")
    following_sha256: str = Field(
        description="Of the certificate that it is to change to; '' where there is none."
    )
    key_changes: str = Field(
        description="air or console: how it is given its next key; '' where there is none."
    )
    aside: str = Field(
        description="Why it is not to be fitted (quarantine, retired, lost); '' where it may be."
    )


class DeviceAnswer(BaseModel):
    """The answer about a device."""

    device: DeviceFound | None


class WornFound(BaseModel):
    """A device on somebody, now."""

    activation: str
    device: str
    kind: str
    order_id: str
    fitted_ms: int


class WornAnswer(BaseModel):
    """What is worn, by the order asked for or of the device asked for."""

    worn: Sequence[WornFound]


class Reading(BaseModel):
    """A message that is committed."""

    received_ms: int
    row: int


class ReadingAnswer(BaseModel):
    """The first message since; null where none came yet."""

    reading: Reading | None


class New(BaseModel):
    """A new device. ``request`` is a certificate signing request (DER, Base64) for a P-256 key."""

    kind: Annotated[str, Field(pattern="^(gps_tag|rf_tag|home_unit|alcohol_tag)$")]
    key: Annotated[str, Field(pattern="^[0-9a-f]{64}$", description="Its MAC key, made where it is fitted.")]
    request: Base64


class Certificate(BaseModel):
    """A device's certificate (DER, Base64), and where it is to go with it."""

    certificate: str
    place: Place


class Provisioning(BaseModel):
    """What a device is provisioned with that was added at the gateway (Base64; ``key`` hexadecimal)."""

    key: str
    private_key: str
    certificate: str
    place: Place


class Line(BaseModel):
    """A line to a device's console, and the nonce that the device has just given."""

    nonce: Hex
    line: Annotated[str, Field(min_length=2, max_length=1024)]
    following: bool = Field(False, description="Under the key that the device is to change to.")


class Signature(BaseModel):
    """What goes before the line."""

    signature: str


class BeaconKey(BaseModel):
    """By which a home unit believes an RF tag's beacons (hexadecimal)."""

    key: str


class Report(BaseModel):
    """What a visit has found of a device: ``failed`` puts it into quarantine."""

    what: Literal["failed", "checked", "lost", "rekeyed"]
    why: Annotated[str, Field(min_length=1, max_length=1000, pattern=_PLAIN)]
    visit: Annotated[str, Field(min_length=1, max_length=100, pattern=_PLAIN)]


class Reported(BaseModel):
    """The device that has it in its history now."""

    device: str


class Wiped(BaseModel):
    """Whether something lay at the gateway."""

    wiped: bool


class Binding(BaseModel):
    """A tag is the wearer's from then on; with it the home unit at that address."""

    device: Annotated[str, Field(pattern="^[a-z0-9]{4,16}$")]
    fitted_ms: Instant
    unit: Annotated[str | None, Field(pattern="^[a-z0-9]{4,16}$")] = None
    address: Annotated[str | None, Field(min_length=1, max_length=200, pattern=_PLAIN)] = None


class BoundAnswer(BaseModel):
    """The activation. ``beyond`` are conditions that this device can not tell of."""

    activation: str
    fitted_ms: int
    beyond: Sequence[str]


class Ending(BaseModel):
    """When it was taken off."""

    removed_ms: Instant


class EndedAnswer(BaseModel):
    """When it ended, and the home units that are free."""

    removed_ms: int
    units: Sequence[str]


class Exchange(BaseModel):
    """One tag is to be in the place of another; ``silent``: the one that goes is lost, or says nothing any more."""

    device: Annotated[str, Field(pattern="^[a-z0-9]{4,16}$")]
    at_ms: Instant
    silent: bool


class ExchangedAnswer(BaseModel):
    """One tag is in the place of another."""

    activation: str
    fitted_ms: int
    ended: str
    unproven_ms: int | None
    units: Sequence[str]
    beyond: Sequence[str]


class UnitsAnswer(BaseModel):
    """Home units."""

    units: Sequence[str]


class Task(BaseModel):
    """Somebody has to see to this. ``about`` is the visit."""

    kind: Annotated[str, Field(pattern="^[a-z_]{1,40}$")]
    about: Annotated[str, Field(min_length=1, max_length=100, pattern=_PLAIN)]
    sentence: Annotated[str, Field(min_length=1, max_length=2000, pattern=_PLAIN)]


class Raised(BaseModel):
    """The order that has the task now."""

    order: str


class BundleFor(BaseModel):
    """For which orders, with which devices, for how long."""

    orders: Annotated[
        list[Annotated[str, Field(min_length=1, max_length=200, pattern=_PLAIN)]],
        Field(min_length=1, max_length=20),
    ]
    devices: Annotated[list[Annotated[str, Field(pattern="^[a-z0-9]{4,16}$")]], Field(max_length=60)]
    hours: Annotated[int, Field(ge=1, le=168)] = 24


class SignedBundle(BaseModel):
    """What the gateway says (JSON), and by what it is known (Base64). It holds keys: encrypt it at once."""

    document: str
    certificate: str
    signature: str


class Used(BaseModel):
    """The visit that a bundle was used for, and when it was begun."""

    visit: Annotated[str, Field(pattern=VISIT)]
    began_ms: Instant


class Kept(BaseModel):
    """The visit whose record is kept."""

    visit: str
