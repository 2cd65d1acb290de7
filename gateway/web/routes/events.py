"""Events as they happen (server-sent events): one for each revision of an alert, its id the revision's number.

A listener that gives the last id it has seen gets everything after it, once and in order.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import aclosing
from http import HTTPStatus
from typing import Annotated

import structlog
from fastapi import APIRouter, Header, Query, Request
from fastapi.responses import StreamingResponse
from fastapi.sse import format_sse_event
from starlette.concurrency import run_in_threadpool

from gateway.web.book import LARGEST_NUMBER, LookNotRecordedError, Revision, Status, StoreUnreadableError
from gateway.web.looks import Viewer, ViewerNow, audit
from gateway.web.problems import ProblemError, documented
from gateway.web.signed_in import goes_on
from gateway.web.watch import Heard, Restored, Watch
from gateway.web.words import STATES, rule_words

log = structlog.get_logger(__name__)

# Each costs a connection and some kilobytes. A browser holds one for each visible page.
MOST_LISTENERS = 500
# How long a browser waits before it connects again, ms.
RETRY_MS = 1000

Number = Annotated[int, Query(ge=0, le=LARGEST_NUMBER)]
LastEventId = Annotated[int | None, Header(ge=0, le=LARGEST_NUMBER, description="Wins over after_revision.")]
Tell = Callable[[Heard], Iterator[bytes]]

pages = APIRouter(include_in_schema=False)
api = APIRouter(prefix="/api/v1", tags=["events"])


@pages.get("/events")
async def page_events(
    request: Request, after: Number | None = None, last_event_id: LastEventId = None
) -> StreamingResponse:
    """What the pages listen to. It says which alert changed, never about whom: the page then asks for what it shows."""
    health = request.app.state.templates.get_template("parts/health.html")

    def tell(heard: Heard) -> Iterator[bytes]:
        if isinstance(heard, Status):
            yield format_sse_event(event="status", data_str=health.render(status=heard))
        elif isinstance(heard, Restored):
            yield _restored(heard)
        else:
            yield from (_notice(revision) for revision in heard)

    return _answer(request, after if last_event_id is None else last_event_id, tell)


@api.get(
    "/events",
    response_class=StreamingResponse,
    responses={
        200: {
            "description": "`hello` (data: generation, latest_revision) first; then for each revision an event "
            "`revision` with the number as id and a Revision as data; `restored` (data: latest_revision) if the store "
            "was set back behind what you have seen: read everything again. Comments keep the connection alive.",
            "content": {"text/event-stream": {"schema": {"type": "string"}}},
        },
        **documented(HTTPStatus.UNPROCESSABLE_ENTITY, HTTPStatus.SERVICE_UNAVAILABLE),
    },
)
async def api_events(
    request: Request, who: ViewerNow, after_revision: Number | None = None, last_event_id: LastEventId = None
) -> StreamingResponse:
    """Every revision above ``after_revision`` or ``Last-Event-ID``, then new ones; without either only new ones."""

    def tell(heard: Heard) -> Iterator[bytes]:
        if isinstance(heard, Status):
            yield format_sse_event(comment="alive")
        elif isinstance(heard, Restored):
            yield _restored(heard)
        else:
            for revision in heard:
                yield format_sse_event(
                    event="revision", id=str(revision.number), data_str=revision.model_dump_json()
                )

    return _answer(request, after_revision if last_event_id is None else last_event_id, tell, who)


def _notice(revision: Revision) -> bytes:
    alert = revision.alert
    data = {
        "alert": alert.number,
        "rule": rule_words(alert.rule),
        "state": STATES[alert.state].lower(),
        "raised": alert.revision == 1,
    }
    return format_sse_event(event="revision", id=str(revision.number), data_str=json.dumps(data))


def _restored(heard: Restored) -> bytes:
    data = json.dumps({"latest_revision": heard.latest})
    return format_sse_event(event="restored", id=str(heard.latest), data_str=data)


def _answer(request: Request, after: int | None, tell: Tell, who: Viewer | None = None) -> StreamingResponse:
    watch: Watch = request.app.state.watch
    if watch.listeners >= MOST_LISTENERS:
        detail = f"{watch.listeners} listeners are connected, the most there may be. Close some, or try again later."
        raise ProblemError(HTTPStatus.SERVICE_UNAVAILABLE, "too-many-listeners", detail)
    start = watch.latest if after is None else after
    return StreamingResponse(_stream(request, watch, start, tell, who), media_type="text/event-stream")


async def _stream(
    request: Request, watch: Watch, after: int, tell: Tell, who: Viewer | None
) -> AsyncIterator[bytes]:
    """The stream's bytes. Each piece is handed over only when the one before has gone to the connection.

    ``who`` is given where the events hold a person's data: then each batch is a look.
    """
    hello = {"generation": watch.status.generation, "latest_revision": watch.latest}
    yield format_sse_event(event="hello", id=str(after), retry=RETRY_MS, data_str=json.dumps(hello))
    for piece in tell(watch.status):
        yield piece
    try:
        async with aclosing(watch.follow(after)) as all_heard:
            async for heard in all_heard:
                if not await run_in_threadpool(goes_on, request):
                    return  # whoever was signed in is not any more; the page asks again, and is sent to sign in
                if who is not None and not isinstance(heard, Status | Restored):
                    shown = [revision.alert for revision in heard]
                    await run_in_threadpool(audit, request, who, "events", shown)
                for piece in tell(heard):
                    yield piece
    except (StoreUnreadableError, LookNotRecordedError) as problem:
        # the answer has begun; ending it makes the listener come again with its last id
        log.warning("events_cut", reason=str(problem))
