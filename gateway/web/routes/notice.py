"""Taking notice of an alert on its page: the same as `tagwatch alert ack`, by whoever is signed in."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Depends, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from gateway import gateway_time
from gateway.delivery.notice import AcknowledgementError, Signed, acknowledge
from gateway.sign_in import Person
from gateway.store import Store
from gateway.users import who_may
from gateway.web.book import LARGEST_NUMBER
from gateway.web.forms import Posted
from gateway.web.looks import ViewerNow
from gateway.web.problems import ProblemError
from gateway.web.routes.pages import one_alert_of, render
from gateway.web.signed_in import address_of, signed_in

router = APIRouter(include_in_schema=False, default_response_class=HTMLResponse)

Acknowledger = Annotated[Person, Depends(signed_in(*who_may("acknowledge")))]


@router.post("/alerts/{number:int}/notice")
def take_notice(
    request: Request, fields: Posted, who: Acknowledger, viewer: ViewerNow, number: int
) -> Response:
    """The person has seen the alert in the revision that the form names; nobody else is told of that any more."""
    revision = fields.get("revision", "")
    if not revision.isascii() or not revision.isdigit() or not 0 < int(revision[:17]) <= LARGEST_NUMBER:
        raise ProblemError(HTTPStatus.BAD_REQUEST, "bad-request", "The form does not say what was seen.")
    if number > LARGEST_NUMBER:
        raise ProblemError(HTTPStatus.NOT_FOUND, "not-found", f"There is no alert {number}.")
    store: Store = request.app.state.store
    with store.read() as connection:
        now_ms = gateway_time.present(connection, request.app.state.settings.clock).ms
    note = fields.get("note", "")
    try:
        acknowledge(
            store,
            number,
            who.full_name,
            now_ms,
            Signed(who.name, address_of(request), int(revision[:17]), note),
        )
    except AcknowledgementError as error:
        context = one_alert_of(request, viewer, "alert", number)  # 404 where that is what is wrong
        told = str(error)
        context |= {"note": note, "mistakes": {"note": told[:1].upper() + told[1:]}}
        return render(request, "alert.html", context, HTTPStatus.UNPROCESSABLE_ENTITY)
    return RedirectResponse(f"/alerts/{number}#notice", HTTPStatus.SEE_OTHER)
