"""Whether this gateway does its work, for whoever supervises it: machines. It shows nothing about anybody.

`/health` is about this process alone, `/ready` about the gateway, `/metrics` has its numbers (docs/operation.md).
"""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Literal

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, Field

from gateway import metrics
from gateway.users import who_may
from gateway.web.book import StoreUnreadableError
from gateway.web.signed_in import from_this_machine, signed_in

router = APIRouter(tags=["status"])


class Health(BaseModel):
    """The web process itself; how the gateway is tells /ready."""

    status: Literal["ok"]


class Ready(BaseModel):
    """Whether readings are received, committed and judged just now."""

    ready: bool
    parts: Mapping[str, str] = Field(
        description="broker, ingest, store, judging, clock: 'ok' or what is wrong."
    )


@router.get("/health")
async def health() -> Health:
    """200 for as long as this process lives and can answer."""
    return Health(status="ok")


@router.get(
    "/ready", responses={503: {"model": Ready, "description": "Something does not work; parts name it."}}
)
def ready(request: Request, response: Response) -> Ready:
    """200 where broker, ingest, store, judging and clock all work, else 503 and what is wrong with which."""
    found = metrics.parts(_vitals(request))
    is_ready = not any(part.problem for part in found)
    if not is_ready:
        response.status_code = HTTPStatus.SERVICE_UNAVAILABLE
    return Ready(ready=is_ready, parts={part.name: part.problem or "ok" for part in found})


@router.get("/metrics", response_class=Response)
def numbers(request: Request) -> Response:
    """The gateway's numbers in Prometheus' text format; also while it is not ready.

    Freely on the gateway's own machine; from elsewhere with a token whose user may measure.
    """
    if not from_this_machine(request):
        signed_in(*who_may("measure"))(request)
    return Response(metrics.exposition(_vitals(request)), media_type=metrics.CONTENT_TYPE_LATEST)


def _vitals(request: Request) -> metrics.Vitals:
    committed, readable = None, True
    try:
        committed = request.app.state.book.last_committed()
    except StoreUnreadableError:
        readable = False
    seconds = None if committed is None else committed.timestamp()
    return metrics.look(request.app.state.settings, readable, seconds)
