"""What stays of a visit: its record, tasks for the practitioner, and the bundle of one that had no connection."""

from __future__ import annotations

from base64 import b64encode
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Body, Depends, Path, Request

from gateway.web.problems import ProblemError
from gateway.web.routes.fitting.messages import (
    VISIT,
    BundleFor,
    Kept,
    OrderId,
    Raised,
    SignedBundle,
    Task,
    Used,
)
from gateway.web.routes.fitting.sitting import OPERATOR, Officer, sitting, sized

BundleId = Annotated[
    str, Path(pattern="^[0-9a-f]{16}$", description="A bundle's id, made by who asks for it.")
]
sent = APIRouter(dependencies=[Depends(sized)])
"""What has a body."""


@sent.post("/tasks")
def task(request: Request, who: Officer, order: OrderId, told: Task) -> Raised:
    """A task of the order, for the practitioner. Said again it is the same one."""
    from gateway.orders.tasks import OF_A_VISIT

    with sitting(request, who, "task raised", order=order, task=told.kind) as desk:
        if told.kind not in OF_A_VISIT:
            raise ProblemError(
                HTTPStatus.CONFLICT, "visit-stops", "this is no task that a visit ends with", OPERATOR
            )
        desk.order_document(order)  # there is such an order
        desk.task(order, told.kind, told.about, told.sentence)
        return Raised(order=order)


@sent.put("/visits/{visit}")
def keep(
    request: Request,
    who: Officer,
    order: OrderId,
    visit: Annotated[str, Path(pattern=VISIT)],
    record: Annotated[dict[str, Any], Body(description="The record, as `record.json` of a visit has it.")],
) -> Kept:
    """Keep the record of a visit. The same again changes nothing."""
    with sitting(request, who, "visit's record kept", order=order, visit=visit) as desk:
        desk.keep_from_elsewhere(visit, order, record, who.name)
        return Kept(visit=visit)


@sent.put("/bundles/{bundle}")
def make_bundle(
    request: Request, who: Officer, order: OrderId, bundle: BundleId, wanted: BundleFor
) -> SignedBundle:
    """What visits need that have no connection, for this officer alone. The same again gives the same."""
    from gateway.fitting import issuing

    with sitting(request, who, "bundle asked for", order=order, bundle=bundle) as desk:
        made = issuing.issue(desk, bundle, who.name, wanted.orders, wanted.devices, wanted.hours)
        return SignedBundle(
            document=made.document,
            certificate=b64encode(made.certificate).decode(),
            signature=b64encode(made.signature).decode(),
        )


@sent.post("/bundles/{bundle}/visits")
def use_bundle(request: Request, who: Officer, order: OrderId, bundle: BundleId, used: Used) -> Kept:
    """A visit was made with a bundle, and is to be finished. Each bundle is good for one visit to each order."""
    from gateway.fitting import issuing

    with sitting(request, who, "bundle used", order=order, bundle=bundle) as desk:
        issuing.claim(desk, bundle, who.name, order, used.visit, used.began_ms)
        return Kept(visit=used.visit)
