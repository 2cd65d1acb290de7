"""Errors as answers: a typed problem (RFC 9457) for programs, a page in plain words for people."""

from __future__ import annotations

from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, Field
from pydantic.json_schema import models_json_schema
from sqlalchemy.exc import SQLAlchemyError
from starlette.exceptions import HTTPException

from gateway import logs
from gateway.web.book import LookNotRecordedError, StoreUnreadableError

log = structlog.get_logger(__name__)

MEDIA_TYPE = "application/problem+json"


class BadParameter(BaseModel):
    """One thing in the request that can not be used."""

    where: str = Field(description="`query`, `path` or `header`, and the name.")
    message: str


class Problem(BaseModel):
    """What went wrong (RFC 9457). ``type`` is one of those in `TYPES`; programs switch on it, never on the text."""

    type: str
    title: str
    status: int
    detail: str
    parameters: Sequence[BadParameter] = ()
    remedy: str = Field(default="", description="What to do next, where the interface can tell.")


TYPES = {
    "bad-request": "The request can not be used",
    "not-found": "There is no such thing",
    "method-not-allowed": "This address can not be used in that way",
    "store-unreadable": "The store can not be read",
    "look-not-recorded": "The look could not be recorded",
    "not-signed-in": "Nobody is signed in",
    "not-allowed": "You may not do this",
    "too-many-listeners": "Too many pages are listening",
    "refused": "The request was refused",
    "visit-stops": "The visit can not go on so",
    "too-much": "The request is too large",
    "too-fast": "There were too many requests",
}


class ProblemError(Exception):
    """An answer other than the one asked for; raised by routes."""

    def __init__(self, status: HTTPStatus, kind: str, detail: str, remedy: str = "") -> None:
        super().__init__(detail)
        self.problem = Problem(type=kind, title=TYPES[kind], status=status, detail=detail, remedy=remedy)


def documented(*statuses: HTTPStatus) -> dict[int | str, dict[str, Any]]:
    """The ``responses`` of a route for the interface's description: its problems by status."""
    schema = {"$ref": f"#/components/schemas/{Problem.__name__}"}
    return {
        int(status): {
            "description": status.phrase,
            "content": {MEDIA_TYPE: {"schema": schema}},
        }
        for status in statuses
    }


def answer(request: Request, problem: Problem) -> Response:
    """A problem told. JSON below /api and wherever JSON is asked for, else a page."""
    wants_json = request.url.path.startswith("/api/") or "json" in request.headers.get("accept", "")
    if wants_json or not hasattr(request.app.state, "templates"):
        return JSONResponse(problem.model_dump(mode="json"), problem.status, media_type=MEDIA_TYPE)
    return request.app.state.templates.TemplateResponse(  # type: ignore[no-any-return]
        request, "problem.html", {"problem": problem}, status_code=problem.status
    )


def store_unreadable() -> Problem:
    """The store can not be read."""
    detail = "The store can not be read just now, so nothing can be shown. Try again in a moment."
    return ProblemError(HTTPStatus.SERVICE_UNAVAILABLE, "store-unreadable", detail).problem


def install(app: FastAPI) -> None:
    """Make every error of ``app`` answer in this way, and its description of itself say so."""
    described = app.openapi

    def with_problems() -> dict[str, Any]:
        document = described()
        _, schemas = models_json_schema(
            [(Problem, "serialization")], ref_template="#/components/schemas/{model}"
        )
        document["components"]["schemas"].update(schemas["$defs"])
        return document

    app.openapi = with_problems  # type: ignore[method-assign]

    @app.exception_handler(ProblemError)
    async def raised(request: Request, error: ProblemError) -> Response:
        return answer(request, error.problem)

    @app.exception_handler(StoreUnreadableError)
    async def unreadable(request: Request, error: StoreUnreadableError) -> Response:
        log.warning("store_unreadable", path=request.url.path, reason=str(error))
        return answer(request, store_unreadable())

    @app.exception_handler(SQLAlchemyError)
    async def failed(request: Request, error: SQLAlchemyError) -> Response:
        log.warning("store_unreadable", path=request.url.path, reason=logs.safe(error))
        return answer(request, store_unreadable())

    @app.exception_handler(LookNotRecordedError)
    async def unrecorded(request: Request, error: LookNotRecordedError) -> Response:
        log.error("look_not_recorded", path=request.url.path, reason=str(error))
        detail = (
            "Every look at a person's data is recorded, and this one could not be. Try again in a moment."
        )
        status = HTTPStatus.SERVICE_UNAVAILABLE
        return answer(request, ProblemError(status, "look-not-recorded", detail).problem)

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> Response:
        bad = [
            BadParameter(where=".".join(str(part) for part in problem["loc"]), message=problem["msg"])
            for problem in error.errors()
        ]
        status = HTTPStatus.UNPROCESSABLE_ENTITY
        detail = "; ".join(f"{one.where}: {one.message}" for one in bad)
        problem = Problem(
            type="bad-request", title=TYPES["bad-request"], status=status, detail=detail, parameters=bad
        )
        return answer(request, problem)

    @app.exception_handler(HTTPException)
    async def other(request: Request, error: HTTPException) -> Response:
        kinds = {404: "not-found", 405: "method-not-allowed"}
        details = {404: "Nothing lies at this address.", 405: f"{request.method} is not possible here."}
        kind = kinds.get(error.status_code, "refused")
        problem = Problem(
            type=kind,
            title=TYPES[kind],
            status=error.status_code,
            detail=details.get(error.status_code, str(error.detail)),
        )
        found = answer(request, problem)
        found.headers.update(error.headers or {})
        return found
