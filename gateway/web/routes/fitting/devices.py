"""What a visit has done about one device: its keys, the lines to its console, what was found of it."""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from http import HTTPStatus

from fastapi import APIRouter, Depends, Request

from gateway.web.problems import ProblemError
from gateway.web.routes.fitting.messages import (
    BeaconKey,
    Certificate,
    DeviceId,
    Line,
    New,
    OrderId,
    Provisioning,
    Report,
    Reported,
    Signature,
    Wiped,
)
from gateway.web.routes.fitting.sitting import OPERATOR, Officer, not_anothers, place_of, sitting, sized

_SAID = frozenset(
    {"read", "put", "provision", "self_test", "counters", "sky", "survey", "baseline", "check", "tags"}
    | {"hear", "unhear", "lock"}
)
"""Lines to a console that a visit has use for. Not ``reset``, which empties what is not committed, nor ``unlock``."""
_PROBE = "??"
"""What a visit has signed to see which key a device has; no line of the console (`gateway.fitting.console`)."""
router = APIRouter()
sent = APIRouter(dependencies=[Depends(sized)])
"""What has a body."""


@sent.put("/devices/{device}/enrolment")
def enrol(request: Request, who: Officer, device: DeviceId, order: OrderId, new: New) -> Certificate:
    """Take in a new device under that number. Its private key stays where it was made; its MAC key comes here once."""
    with sitting(request, who, "device enrolled", order=order, device=device) as desk:
        made = desk.enrol_with(device, new.kind, bytes.fromhex(new.key), _decoded(new.request))
        return Certificate(certificate=b64encode(made).decode(), place=place_of(desk))


@sent.post("/devices/{device}/signature")
def signature(request: Request, who: Officer, device: DeviceId, order: OrderId, said: Line) -> Signature:
    """Sign a line to a device's console that a visit has use for; the key does not leave the gateway."""
    do = _said(said.line)
    with sitting(request, who, f"line signed: {do}", order=order, device=device) as desk:
        not_anothers(desk, device, order)
        made = desk.signature(device, said.nonce, said.line.encode(), following=said.following)
        return Signature(signature=made.decode())


@router.post("/devices/{device}/credentials")
def credentials(request: Request, who: Officer, device: DeviceId, order: OrderId) -> Provisioning:
    """What a device is provisioned with that was added at the gateway and not fitted yet."""
    with sitting(request, who, "credentials handed out", order=order, device=device) as desk:
        not_anothers(desk, device, order)
        found = desk.credentials(device)
        return Provisioning(
            key=found.key.hex(),
            private_key=b64encode(found.key_der).decode(),
            certificate=b64encode(found.cert_der).decode(),
            place=place_of(desk),
        )


@router.post("/devices/{device}/wiping")
def wipe(request: Request, who: Officer, device: DeviceId, order: OrderId) -> Wiped:
    """What a device was provisioned with lies at the gateway no more."""
    with sitting(request, who, "credentials wiped", order=order, device=device) as desk:
        not_anothers(desk, device, order)
        return Wiped(wiped=bool(desk.wipe([device])))


@router.post("/devices/{device}/beacon-key")
def beacon_key(request: Request, who: Officer, device: DeviceId, order: OrderId) -> BeaconKey:
    """By which a home unit believes the beacons of an RF tag."""
    with sitting(request, who, "beacon key handed out", order=order, device=device) as desk:
        not_anothers(desk, device, order)
        return BeaconKey(key=desk.beacon_key(device).hex())


@sent.post("/devices/{device}/report")
def report(request: Request, who: Officer, device: DeviceId, order: OrderId, said: Report) -> Reported:
    """Write what a visit has found of a device into its history. Said again for the same visit it stands once."""
    with sitting(request, who, f"device reported: {said.what}", order=order, device=device) as desk:
        not_anothers(desk, device, order)
        if said.what in ("checked", "lost") and not desk.was_of(order, device):
            detail = f"{device} was never on the wearer of this order"
            raise ProblemError(HTTPStatus.CONFLICT, "visit-stops", detail, OPERATOR)
        desk.report(device, said.what, said.why, said.visit)
        return Reported(device=device)


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
