"""The JSON interface for programs, version 1."""

from __future__ import annotations

from collections.abc import Sequence
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Path, Query, Request
from pydantic import BaseModel, Field

from gateway.web.book import LARGEST_NUMBER, AlertBook, AlertRecord, AlertState, Revision, Status
from gateway.web.looks import ViewerNow, audit
from gateway.web.problems import ProblemError, documented

router = APIRouter(prefix="/api/v1", tags=["alerts"])

AlertId = Annotated[str, Path(pattern="^[0-9a-f]{1,128}$", description="An alert's id.")]
BAD = HTTPStatus.UNPROCESSABLE_ENTITY
MISSING = HTTPStatus.NOT_FOUND
UNREADABLE = HTTPStatus.SERVICE_UNAVAILABLE


class Alerts(BaseModel):
    """Alerts in the order in which they last changed, oldest change first."""

    alerts: Sequence[AlertRecord]
    latest_revision: int = Field(description="The highest revision number of the whole store at that moment.")
    next_after_revision: int | None = Field(
        description="Give this as after_revision to read on; null when everything has been read."
    )


class Revisions(BaseModel):
    """Everything that was ever said in one alert, first said first."""

    revisions: Sequence[Revision]


def _book(request: Request) -> AlertBook:
    return request.app.state.book  # type: ignore[no-any-return]


@router.get("/alerts", responses=documented(BAD, UNREADABLE))
def alerts(
    request: Request,
    who: ViewerNow,
    state: AlertState | None = None,
    device: Annotated[str | None, Query(pattern="^[a-z0-9]{4,16}$")] = None,
    after_revision: Annotated[
        int,
        Query(ge=0, le=LARGEST_NUMBER, description="Only alerts that changed after this revision number."),
    ] = 0,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> Alerts:
    """Alerts as they stand now. To follow them, read on from ``next_after_revision``, then listen to the events."""
    book = _book(request)
    # the number first: an alert that changes between the two reads is told twice rather than never
    latest = book.latest_revision()
    page = book.changed(after_revision, limit, state, device)
    audit(request, who, "api alerts", page.alerts)
    return Alerts(
        alerts=page.alerts,
        latest_revision=latest,
        next_after_revision=page.alerts[-1].revision_number if page.more else None,
    )


@router.get("/alerts/{alert_id}", responses=documented(MISSING, BAD, UNREADABLE))
def alert(request: Request, who: ViewerNow, alert_id: AlertId) -> AlertRecord:
    """One alert as it stands now."""
    found = _book(request).alert(alert_id)
    if found is None:
        raise _no_such_alert(alert_id)
    audit(request, who, "api alert", [found])
    return found


@router.get("/alerts/{alert_id}/revisions", responses=documented(MISSING, BAD, UNREADABLE))
def revisions(request: Request, who: ViewerNow, alert_id: AlertId) -> Revisions:
    """What the alert said, revision by revision."""
    found = _book(request).revisions(alert_id)
    if not found:
        raise _no_such_alert(alert_id)
    audit(request, who, "api revisions", [found[-1].alert])
    return Revisions(revisions=found)


@router.get("/status", tags=["status"])
def status(request: Request) -> Status:
    """How the gateway is. What is not known is null."""
    return _book(request).status()


def _no_such_alert(alert_id: str) -> ProblemError:
    return ProblemError(MISSING, "not-found", f"There is no alert with the id {alert_id}.")
