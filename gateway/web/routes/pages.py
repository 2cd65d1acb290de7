"""The pages for people, and the parts of them that htmx fetches again when something has changed."""

from __future__ import annotations

from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from gateway.delivery.notice import LONGEST_NOTE
from gateway.web.book import LARGEST_NUMBER, AlertBook, AlertRecord
from gateway.web.changes import changes
from gateway.web.looks import Viewer, ViewerNow, audit
from gateway.web.problems import ProblemError
from gateway.web.signed_in import asked

# More rows than this no one reads; the rest is counted on the page and lies in the interface.
OPEN_SHOWN = 200
RECENT_SHOWN = 50

router = APIRouter(include_in_schema=False, default_response_class=HTMLResponse)


def _book(request: Request) -> AlertBook:
    return request.app.state.book  # type: ignore[no-any-return]


def render(
    request: Request, template: str, context: dict[str, Any], status_code: HTTPStatus = HTTPStatus.OK
) -> Response:
    """A page, made by its template."""
    context = {"status": request.app.state.watch.status} | context
    templates = request.app.state.templates
    return templates.TemplateResponse(request, template, context, status_code=status_code)  # type: ignore[no-any-return]


def _lists(request: Request, who: Viewer, view: str) -> dict[str, Any]:
    book = _book(request)
    # the number first: what is written between the two reads is then told again rather than missed
    latest = book.latest_revision()
    lasting = book.page(["open"], OPEN_SHOWN)
    recent = book.page(["ended", "withdrawn"], RECENT_SHOWN)
    audit(request, who, view, [*lasting.alerts, *recent.alerts])
    shown = [alert.number for alert in (*lasting.alerts, *recent.alerts)]
    return {
        "latest": latest,
        "noticed": book.noticed(shown),
        "open": lasting,
        "open_count": book.open_count(),
        "recent": recent,
        "shown_at": datetime.now(UTC),
    }


def may_notice(request: Request, alert: AlertRecord) -> bool:
    """Whether who looks may take notice of it; of what did not happen nobody has to."""
    person = asked(request).person
    return person is not None and person.may("acknowledge") and alert.state != "withdrawn"


def one_alert_of(request: Request, who: Viewer, view: str, number: int) -> dict[str, Any]:
    """What the page of an alert shows. Raises ProblemError where there is none of that number."""
    book = _book(request)
    latest = book.latest_revision()
    alert = book.numbered(number) if number <= LARGEST_NUMBER else None
    if alert is None:
        raise ProblemError(HTTPStatus.NOT_FOUND, "not-found", f"There is no alert {number}.")
    audit(request, who, view, [alert])
    told = changes(book.revisions(alert.id))
    return {
        "latest": latest,
        "alert": alert,
        "changes": told,
        "deletions": book.deletions(alert.number),
        "notices": book.notices(alert.number),
        "may_notice": may_notice(request, alert),
        "somebody": asked(request).person is not None,
        "longest_note": LONGEST_NOTE,
        "shown_at": datetime.now(UTC),
    }


@router.get("/")
def front() -> Response:
    """The service's front page is the list of alerts."""
    return RedirectResponse("/alerts", HTTPStatus.SEE_OTHER)


@router.get("/alerts")
def alert_list(request: Request, who: ViewerNow) -> Response:
    """Open alerts, then those that ended or were withdrawn, newest first."""
    return render(request, "alerts.html", _lists(request, who, "alerts"))


@router.get("/alerts/list")
def alert_list_again(request: Request, who: ViewerNow) -> Response:
    """The list alone."""
    return render(request, "parts/alert_list.html", _lists(request, who, "alerts"))


@router.get("/alerts/{number:int}")
def one_alert(request: Request, who: ViewerNow, number: int) -> Response:
    """One alert: what happened, what it rests on, how it came to be said."""
    return render(request, "alert.html", one_alert_of(request, who, "alert", number))


@router.get("/alerts/{number:int}/detail")
def one_alert_again(request: Request, who: ViewerNow, number: int) -> Response:
    """One alert's content alone."""
    return render(request, "parts/alert.html", one_alert_of(request, who, "alert", number))


@router.get("/gateway")
def gateway(request: Request) -> Response:
    """How the gateway is, with every counter. It shows nothing about anybody."""
    status = _book(request).status()
    return render(request, "gateway.html", {"shown_at": datetime.now(UTC), "status": status})
