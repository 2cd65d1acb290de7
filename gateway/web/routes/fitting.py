"""What a fitting visit asks of the gateway from elsewhere (docs/fitting.md), for officers with a token of their own.

Each call says for which order it is made, is recorded with it before it is answered, and does its thing once however
often it is said. `gateway.fitting.desk` says what each is for; what that refuses is a problem ``visit-stops``, whose
``detail`` is the fact and whose ``remedy`` what to do.
"""

from __future__ import annotations

import json
import threading
import time
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Annotated, Any, Literal

from fastapi import APIRouter, Body, Depends, Path, Query, Request
from pydantic import BaseModel, Field

from gateway import logs, users
from gateway.sign_in import Person
from gateway.store import Store, looks
from gateway.users import who_may
from gateway.web.book import LARGEST_NUMBER, StoreUnreadableError
from gateway.web.problems import ProblemError, documented
from gateway.web.signed_in import address_of, signed_in

if TYPE_CHECKING:
    from gateway.fitting.local_desk import LocalDesk

OPERATOR = "call the gateway's operator"
MOST_BYTES = 1 << 19
"""Of a request; the longest is the record of a visit."""
BURST, EVERY_S = 400, 0.1
"""So many requests an officer may make at once, then ten a second: a visit makes two in each second at the most."""
_SAID = frozenset(
    {"read", "put", "provision", "self_test", "counters", "sky", "survey", "baseline", "check", "tags"}
    | {"hear", "unhear", "lock"}
)
"""Lines to a console that a visit has use for. Not ``reset``, which empties what is not committed, nor ``unlock``."""
_AHEAD_MS = 366 * users.DAY_MS
_BACK_MS = 31 * users.DAY_MS
"""How far from now a fitting or removal may be told to have been: a visit that is finished late, a release to come."""

ERRORS = documented(
    HTTPStatus.BAD_REQUEST,
    HTTPStatus.UNAUTHORIZED,
    HTTPStatus.FORBIDDEN,
    HTTPStatus.CONFLICT,
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    HTTPStatus.UNPROCESSABLE_ENTITY,
    HTTPStatus.TOO_MANY_REQUESTS,
    HTTPStatus.SERVICE_UNAVAILABLE,
)

_PROBE = "??"
"""What a visit has signed to see which key a device has; no line of the console (`gateway.fitting.console`)."""
_PLAIN = r"^[^\x00-\x1f\x7f]+$"
_VISIT = r"^[0-9]{8}T[0-9]{6}(\.[0-9]{1,3})?Z-[0-9a-f]{8}$"
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


class Reading(BaseModel):
    """A message that is committed."""

    received_ms: int
    row: int


class ReadingAnswer(BaseModel):
    """The first message since; null where none came yet."""

    reading: Reading | None


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


class Wiped(BaseModel):
    """Whether something lay at the gateway."""

    wiped: bool


class Task(BaseModel):
    """Somebody has to see to this. ``about`` is the visit."""

    kind: Annotated[str, Field(pattern="^[a-z_]{1,40}$")]
    about: Annotated[str, Field(min_length=1, max_length=100, pattern=_PLAIN)]
    sentence: Annotated[str, Field(min_length=1, max_length=2000, pattern=_PLAIN)]


class Report(BaseModel):
    """What a visit has found of a device: ``failed`` puts it into quarantine."""

    what: Literal["failed", "checked", "lost", "rekeyed"]
    why: Annotated[str, Field(min_length=1, max_length=1000, pattern=_PLAIN)]
    visit: Annotated[str, Field(min_length=1, max_length=100, pattern=_PLAIN)]


class Reported(BaseModel):
    """The device that has it in its history now."""

    device: str


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

    visit: Annotated[str, Field(pattern=_VISIT)]
    began_ms: Instant


class Kept(BaseModel):
    """The visit whose record is kept."""

    visit: str


# ---------------------------------------------------------------------------------------------- who, and how fast


class Pace:
    """How fast each officer may ask. Safe to use from several threads."""

    def __init__(self) -> None:
        self._full_at: dict[str, float] = {}
        self._guard = threading.Lock()

    def wait_s(self, who: str, now_s: float) -> float:
        """Count a request: 0.0 where it may be answered, else how long to wait."""
        with self._guard:  # there are as many entries as officers
            full_at = max(self._full_at.get(who, now_s), now_s)
            wait_s = full_at - now_s - (BURST - 1) * EVERY_S
            if wait_s <= 0:
                self._full_at[who] = full_at + EVERY_S
            return max(wait_s, 0.0)


def _officer(request: Request, who: Annotated[Person, Depends(signed_in(*who_may("fit")))]) -> Person:
    pace: Pace = request.app.state.pace
    wait_s = pace.wait_s(who.name, time.monotonic())
    if wait_s > 0:
        raise ProblemError(
            HTTPStatus.TOO_MANY_REQUESTS, "too-fast", "This officer asks too often.", "wait a second"
        )
    return who


Officer = Annotated[Person, Depends(_officer)]


def _sized(request: Request) -> None:
    """Refuse what is too large, or does not say how large it is, before it is read."""
    size = request.headers.get("content-length", "")
    if not size.isascii() or not size.isdigit() or int(size[:12]) > MOST_BYTES:
        detail = f"A request says its length, and has at most {MOST_BYTES} bytes."
        raise ProblemError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "too-much", detail)


@dataclass(frozen=True, slots=True)
class Sitting:
    """One request at the desk: the gateway's desk, and the note of who asks for what."""

    desk: LocalDesk
    note: Callable[..., None] = field(repr=False)


@contextmanager
def sitting(request: Request, who: Person, doing: str, **about: str) -> Iterator[Sitting]:
    """The gateway's desk for one request, which is recorded first; what it can not do becomes a problem."""
    from gateway.fitting.local_desk import LocalDesk  # a page that no officer asks starts without all this
    from gateway.fitting.stops import Stop
    from gateway.seal import SealError

    store: Store = request.app.state.store

    def note(what: str, **more: str) -> None:
        with store.write() as connection:
            looks.add(
                connection,
                users.present_ms(connection),
                who.name,
                f"fitting: {what}",
                address=address_of(request),
                **more,
            )

    try:
        note(doing, **about)
        yield Sitting(LocalDesk(request.app.state.settings, store, who.full_name), note)
    except Stop as stop:
        raise ProblemError(HTTPStatus.CONFLICT, "visit-stops", stop.fact, stop.remedy) from None
    except (SealError, OSError) as error:
        raise StoreUnreadableError(logs.safe(error)) from error


router = APIRouter(prefix="/api/v1/fitting", tags=["fitting"], responses=ERRORS)
_sent = APIRouter(dependencies=[Depends(_sized)])
"""What has a body."""


# -------------------------------------------------------------------------------------------------------- looking


@router.get("/gateway")
def gateway(request: Request, who: Officer) -> Now:
    """How the gateway is, where devices find it, and what time it has."""
    from gateway.fitting.stops import Stop

    with sitting(request, who, "gateway asked") as now:
        present = now.desk.present()
        try:
            now.desk.ready()
            not_ready = ""
        except Stop as stop:
            not_ready = str(stop)
        return Now(
            officer=who.name,
            full_name=who.full_name,
            time_ms=present.ms,
            time_known=present.known,
            not_ready=not_ready,
            newest_row=now.desk.newest_row(),
            place=place_of(now.desk),
        )


@router.get("/order")
def order(request: Request, who: Officer, order: OrderId) -> OrderFound:
    """The order that a visit is for, with its wearer."""
    with sitting(request, who, "order shown", order=order) as now:
        return OrderFound(order=now.desk.order_document(order))


@router.get("/doorstep")
def doorstep(request: Request, who: Officer, order: OrderId) -> DoorstepFound:
    """What has to be known before the door is knocked at."""
    with sitting(request, who, "doorstep shown", order=order) as now:
        contact = now.desk.contact()
        return DoorstepFound(
            doorstep=now.desk.doorstep(order).as_data(), phone=contact.phone, phone_hours=contact.hours
        )


@router.get("/worn")
def worn(request: Request, who: Officer, order: OrderId) -> WornAnswer:
    """What the wearer of an order has on now."""
    with sitting(request, who, "what is worn shown", order=order) as now:
        return WornAnswer(worn=[WornFound(**asdict(one)) for one in now.desk.on_order(order)])


@router.get("/devices/{device}")
def device(request: Request, who: Officer, device: DeviceId, order: OrderId) -> DeviceAnswer:
    """What the gateway has of a device."""
    with sitting(request, who, "device shown", order=order, device=device) as now:
        found = now.desk.device(device)
        return DeviceAnswer(device=None if found is None else DeviceFound(**asdict(found)))


@router.get("/devices/{device}/worn")
def device_worn(request: Request, who: Officer, device: DeviceId, order: OrderId) -> WornAnswer:
    """On whom a device is now."""
    with sitting(request, who, "who wears it shown", order=order, device=device) as now:
        found = now.desk.worn(device)
        return WornAnswer(worn=[] if found is None else [WornFound(**asdict(found))])


@router.get("/devices/{device}/reading")
def reading(
    request: Request,
    who: Officer,
    device: DeviceId,
    order: OrderId,
    after_row: Annotated[int, Query(ge=0, le=LARGEST_NUMBER)],
    about: Annotated[str | None, Query(pattern="^[a-z0-9]{4,16}$")] = None,
    from_ms: Annotated[int, Query(ge=0, le=LARGEST_NUMBER)] = 0,
) -> ReadingAnswer:
    """When the first message of a device came after a row; ``about``: in which it tells of that tag."""
    # not noted each time: it is asked once a second, and tells only that there is one
    with sitting_quietly(request) as desk:
        found = desk.reading_since(device, after_row, about, from_ms)
        return ReadingAnswer(
            reading=None if found is None else Reading(received_ms=found.received_ms, row=found.row)
        )


# --------------------------------------------------------------------------------------------------------- acting


@_sent.put("/devices/{device}/enrolment")
def enrol(request: Request, who: Officer, device: DeviceId, order: OrderId, new: New) -> Certificate:
    """Take in a new device under that number. Its private key stays where it was made; its MAC key comes here once."""
    with sitting(request, who, "device enrolled", order=order, device=device) as now:
        made = now.desk.enrol_with(device, new.kind, bytes.fromhex(new.key), _decoded(new.request))
        return Certificate(certificate=b64encode(made).decode(), place=place_of(now.desk))


@_sent.post("/devices/{device}/signature")
def signature(request: Request, who: Officer, device: DeviceId, order: OrderId, said: Line) -> Signature:
    """Sign a line to a device's console that a visit has use for; the key does not leave the gateway."""
    do = _said(said.line)
    with sitting(request, who, f"line signed: {do}", order=order, device=device) as now:
        _not_anothers(now.desk, device, order)
        made = now.desk.signature(device, said.nonce, said.line.encode(), following=said.following)
        return Signature(signature=made.decode())


@router.post("/devices/{device}/credentials")
def credentials(request: Request, who: Officer, device: DeviceId, order: OrderId) -> Provisioning:
    """What a device is provisioned with that was added at the gateway and not fitted yet."""
    with sitting(request, who, "credentials handed out", order=order, device=device) as now:
        _not_anothers(now.desk, device, order)
        found = now.desk.credentials(device)
        return Provisioning(
            key=found.key.hex(),
            private_key=b64encode(found.key_der).decode(),
            certificate=b64encode(found.cert_der).decode(),
            place=place_of(now.desk),
        )


@router.post("/devices/{device}/wiping")
def wipe(request: Request, who: Officer, device: DeviceId, order: OrderId) -> Wiped:
    """What a device was provisioned with lies at the gateway no more."""
    with sitting(request, who, "credentials wiped", order=order, device=device) as now:
        _not_anothers(now.desk, device, order)
        return Wiped(wiped=bool(now.desk.wipe([device])))


@router.post("/devices/{device}/beacon-key")
def beacon_key(request: Request, who: Officer, device: DeviceId, order: OrderId) -> BeaconKey:
    """By which a home unit believes the beacons of an RF tag."""
    with sitting(request, who, "beacon key handed out", order=order, device=device) as now:
        _not_anothers(now.desk, device, order)
        return BeaconKey(key=now.desk.beacon_key(device).hex())


@_sent.post("/devices/{device}/report")
def report(request: Request, who: Officer, device: DeviceId, order: OrderId, said: Report) -> Reported:
    """Write what a visit has found of a device into its history. Said again for the same visit it stands once."""
    with sitting(request, who, f"device reported: {said.what}", order=order, device=device) as now:
        _not_anothers(now.desk, device, order)
        if said.what in ("checked", "lost") and not now.desk.was_of(order, device):
            detail = f"{device} was never on the wearer of this order"
            raise ProblemError(HTTPStatus.CONFLICT, "visit-stops", detail, OPERATOR)
        now.desk.report(device, said.what, said.why, said.visit)
        return Reported(device=device)


@_sent.post("/activations")
def bind(request: Request, who: Officer, order: OrderId, bound: Binding) -> BoundAnswer:
    """Bind a tag, and its home unit, to an order. The same again gives the same activation."""
    with sitting(request, who, "device bound", order=order, device=bound.device) as now:
        _about_now(now.desk, bound.fitted_ms)
        made = now.desk.bind(order, bound.device, bound.fitted_ms, bound.unit, bound.address)
        return BoundAnswer(activation=made.activation, fitted_ms=made.fitted_ms, beyond=list(made.beyond))


@_sent.post("/activations/{activation}/end")
def unbind(
    request: Request,
    who: Officer,
    order: OrderId,
    activation: Annotated[str, Path(pattern=r"^[a-z0-9]{4,16}-[0-9]{1,9}$")],
    ending: Ending,
) -> EndedAnswer:
    """End an activation. One that has ended stays as it is."""
    with sitting(request, who, "activation ended", order=order, activation=activation) as now:
        _about_now(now.desk, ending.removed_ms)
        now.desk.must_be_of(order, activation)
        made = now.desk.unbind(activation, ending.removed_ms)
        return EndedAnswer(removed_ms=made.removed_ms, units=list(made.units))


@_sent.post("/activations/{activation}/exchange")
def exchange(
    request: Request,
    who: Officer,
    order: OrderId,
    activation: Annotated[str, Path(pattern=r"^[a-z0-9]{4,16}-[0-9]{1,9}$")],
    asked: Exchange,
) -> ExchangedAnswer:
    """Have another tag take a tag's place, in one transaction. The same again gives the same activation."""
    with sitting(
        request, who, "tag exchanged", order=order, activation=activation, device=asked.device
    ) as now:
        _about_now(now.desk, asked.at_ms)
        now.desk.must_be_of(order, activation)
        made = now.desk.exchange(activation, asked.device, asked.at_ms, silent=asked.silent)
        return ExchangedAnswer(
            activation=made.activation,
            fitted_ms=made.fitted_ms,
            ended=made.ended,
            unproven_ms=made.unproven_ms,
            units=list(made.units),
            beyond=list(made.beyond),
        )


@router.get("/activations/{activation}/units")
def units(
    request: Request,
    who: Officer,
    order: OrderId,
    activation: Annotated[str, Path(pattern=r"^[a-z0-9]{4,16}-[0-9]{1,9}$")],
) -> UnitsAnswer:
    """The home units that listen for what an activation is of."""
    with sitting(request, who, "home units", order=order, activation=activation) as now:
        now.desk.must_be_of(order, activation)
        return UnitsAnswer(units=list(now.desk.units_of(activation)))


@_sent.post("/tasks")
def task(request: Request, who: Officer, order: OrderId, told: Task) -> Raised:
    """A task of the order, for the practitioner. Said again it is the same one."""
    from gateway.orders.tasks import OF_A_VISIT

    with sitting(request, who, "task raised", order=order, task=told.kind) as now:
        if told.kind not in OF_A_VISIT:
            raise ProblemError(
                HTTPStatus.CONFLICT, "visit-stops", "this is no task that a visit ends with", OPERATOR
            )
        now.desk.order_document(order)  # there is such an order
        now.desk.task(order, told.kind, told.about, told.sentence)
        return Raised(order=order)


@_sent.put("/visits/{visit}")
def keep(
    request: Request,
    who: Officer,
    order: OrderId,
    visit: Annotated[str, Path(pattern=_VISIT)],
    record: Annotated[dict[str, Any], Body(description="The record, as `record.json` of a visit has it.")],
) -> Kept:
    """Keep the record of a visit. The same again changes nothing."""
    with sitting(request, who, "visit's record kept", order=order, visit=visit) as now:
        now.desk.keep_from_elsewhere(visit, order, record, who.name)
        return Kept(visit=visit)


BundleId = Annotated[
    str, Path(pattern="^[0-9a-f]{16}$", description="A bundle's id, made by who asks for it.")
]


@_sent.put("/bundles/{bundle}")
def make_bundle(
    request: Request, who: Officer, order: OrderId, bundle: BundleId, wanted: BundleFor
) -> SignedBundle:
    """What visits need that have no connection, for this officer alone. The same again gives the same."""
    from gateway.fitting import issuing

    with sitting(request, who, "bundle asked for", order=order, bundle=bundle) as now:
        made = issuing.issue(now.desk, bundle, who.name, wanted.orders, wanted.devices, wanted.hours)
        return SignedBundle(
            document=made.document,
            certificate=b64encode(made.certificate).decode(),
            signature=b64encode(made.signature).decode(),
        )


@_sent.post("/bundles/{bundle}/visits")
def use_bundle(request: Request, who: Officer, order: OrderId, bundle: BundleId, used: Used) -> Kept:
    """A visit was made with a bundle, and is to be finished. Each bundle is good for one visit to each order."""
    from gateway.fitting import issuing

    with sitting(request, who, "bundle used", order=order, bundle=bundle) as now:
        issuing.claim(now.desk, bundle, who.name, order, used.visit, used.began_ms)
        return Kept(visit=used.visit)


@contextmanager
def sitting_quietly(request: Request) -> Iterator[LocalDesk]:
    """The same without a note."""
    from gateway.fitting.local_desk import LocalDesk

    yield LocalDesk(request.app.state.settings, request.app.state.store)


def place_of(desk: LocalDesk) -> Place:
    """As it is told."""
    found = desk.place()
    return Place(
        host=found.host,
        port=found.port,
        server_name=found.server_name,
        tls=found.tls,
        authority=b64encode(found.authority).decode(),
        changing=found.changing,
    )


def _not_anothers(desk: LocalDesk, device: str, order_id: str) -> None:
    """A device that somebody wears is for visits to that wearer alone."""
    from gateway.fitting.stops import Stop

    found = desk.worn(device)
    if found is not None and found.order_id != order_id:
        raise Stop(f"{device} is on another wearer on record", "take another one")


def _about_now(desk: LocalDesk, at_ms: int) -> None:
    from gateway.fitting.stops import Stop

    now_ms = desk.now_ms()
    if not now_ms - _BACK_MS <= at_ms <= now_ms + _AHEAD_MS:
        raise Stop(
            "the time of the fitting or removal lies too far from now",
            "set this computer's clock, or have the gateway's operator record it",
        )


def _said(line: str) -> str:
    if line == _PROBE:
        return "nothing, to see under which key"
    try:
        told = json.loads(line)
    except (ValueError, RecursionError):
        told = None
    do = told.get("do") if isinstance(told, dict) else None
    if not isinstance(do, str) or do not in _SAID:
        detail = "this line is none of those that a visit says to a device"
        raise ProblemError(HTTPStatus.CONFLICT, "visit-stops", detail, OPERATOR)
    return do


def _decoded(text: str) -> bytes:
    try:
        return b64decode(text, validate=True)
    except ValueError:
        detail = "the certificate signing request is not Base64"
        raise ProblemError(HTTPStatus.CONFLICT, "visit-stops", detail, OPERATOR) from None


router.include_router(_sent)
