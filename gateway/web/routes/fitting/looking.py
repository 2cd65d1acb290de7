"""What a visit has to know: the gateway, the order, the doorstep, devices and what is worn."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

from fastapi import APIRouter, Query, Request

from gateway.web.book import LARGEST_NUMBER
from gateway.web.routes.fitting.messages import (
    DeviceAnswer,
    DeviceFound,
    DeviceId,
    DoorstepFound,
    Now,
    OrderFound,
    OrderId,
    Reading,
    ReadingAnswer,
    WornAnswer,
    WornFound,
)
from gateway.web.routes.fitting.sitting import Officer, place_of, sitting, sitting_quietly

router = APIRouter()


@router.get("/gateway")
def gateway(request: Request, who: Officer) -> Now:
    """How the gateway is, where devices find it, and what time it has."""
    from gateway.fitting.stops import Stop

    with sitting(request, who, "gateway asked") as desk:
        present = desk.present()
        try:
            desk.ready()
            not_ready = ""
        except Stop as stop:
            not_ready = str(stop)
        return Now(
            officer=who.name,
            full_name=who.full_name,
            time_ms=present.ms,
            time_known=present.known,
            not_ready=not_ready,
            newest_row=desk.newest_row(),
            place=place_of(desk),
        )


@router.get("/order")
def order(request: Request, who: Officer, order: OrderId) -> OrderFound:
    """The order that a visit is for, with its wearer."""
    with sitting(request, who, "order shown", order=order) as desk:
        return OrderFound(order=desk.order_document(order))


@router.get("/doorstep")
def doorstep(request: Request, who: Officer, order: OrderId) -> DoorstepFound:
    """What has to be known before the door is knocked at."""
    with sitting(request, who, "doorstep shown", order=order) as desk:
        contact = desk.contact()
        return DoorstepFound(
            doorstep=desk.doorstep(order).as_data(), phone=contact.phone, phone_hours=contact.hours
        )


@router.get("/worn")
def worn(request: Request, who: Officer, order: OrderId) -> WornAnswer:
    """What the wearer of an order has on now."""
    with sitting(request, who, "what is worn shown", order=order) as desk:
        return WornAnswer(worn=[WornFound(**asdict(one)) for one in desk.on_order(order)])


@router.get("/devices/{device}")
def device(request: Request, who: Officer, device: DeviceId, order: OrderId) -> DeviceAnswer:
    """What the gateway has of a device."""
    with sitting(request, who, "device shown", order=order, device=device) as desk:
        found = desk.device(device)
        return DeviceAnswer(device=None if found is None else DeviceFound(**asdict(found)))


@router.get("/devices/{device}/worn")
def device_worn(request: Request, who: Officer, device: DeviceId, order: OrderId) -> WornAnswer:
    """On whom a device is now."""
    with sitting(request, who, "who wears it shown", order=order, device=device) as desk:
        found = desk.worn(device)
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
