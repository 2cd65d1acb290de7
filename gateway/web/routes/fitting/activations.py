"""What a visit has done about what somebody wears: a tag is bound, exchanged for another, or taken off."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Request

from gateway.web.routes.fitting.messages import (
    Binding,
    BoundAnswer,
    EndedAnswer,
    Ending,
    Exchange,
    ExchangedAnswer,
    OrderId,
    UnitsAnswer,
)
from gateway.web.routes.fitting.sitting import Officer, about_now, sitting, sized

ActivationId = Annotated[str, Path(pattern=r"^[a-z0-9]{4,16}-[0-9]{1,9}$")]
router = APIRouter()
sent = APIRouter(dependencies=[Depends(sized)])
"""What has a body."""


@sent.post("/activations")
def bind(request: Request, who: Officer, order: OrderId, bound: Binding) -> BoundAnswer:
    """Bind a tag, and its home unit, to an order. The same again gives the same activation."""
    with sitting(request, who, "device bound", order=order, device=bound.device) as desk:
        about_now(desk, bound.fitted_ms)
        made = desk.bind(order, bound.device, bound.fitted_ms, bound.unit, bound.address)
        return BoundAnswer(activation=made.activation, fitted_ms=made.fitted_ms, beyond=list(made.beyond))


@sent.post("/activations/{activation}/end")
def unbind(
    request: Request,
    who: Officer,
    order: OrderId,
    activation: ActivationId,
    ending: Ending,
) -> EndedAnswer:
    """End an activation. One that has ended stays as it is."""
    with sitting(request, who, "activation ended", order=order, activation=activation) as desk:
        about_now(desk, ending.removed_ms)
        desk.must_be_of(order, activation)
        made = desk.unbind(activation, ending.removed_ms)
        return EndedAnswer(removed_ms=made.removed_ms, units=list(made.units))


@sent.post("/activations/{activation}/exchange")
def exchange(
    request: Request,
    who: Officer,
    order: OrderId,
    activation: ActivationId,
    asked: Exchange,
) -> ExchangedAnswer:
    """Have another tag take a tag's place, in one transaction. The same again gives the same activation."""
    with sitting(
        request, who, "tag exchanged", order=order, activation=activation, device=asked.device
    ) as desk:
        about_now(desk, asked.at_ms)
        desk.must_be_of(order, activation)
        made = desk.exchange(activation, asked.device, asked.at_ms, silent=asked.silent)
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
    activation: ActivationId,
) -> UnitsAnswer:
    """The home units that listen for what an activation is of."""
    with sitting(request, who, "home units", order=order, activation=activation) as desk:
        desk.must_be_of(order, activation)
        return UnitsAnswer(units=list(desk.units_of(activation)))
