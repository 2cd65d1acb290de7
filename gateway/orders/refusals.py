"""Errors as the interface for orders documents them: ``{"error": {"message", "detail"}, "status": "failure"}``."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any, Literal

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema
from sqlalchemy.exc import SQLAlchemyError
from starlette.exceptions import HTTPException

from gateway import logs

log = structlog.get_logger(__name__)


class Reason(BaseModel):
    """What went wrong, in short and at length."""

    message: str
    detail: str


class Failure(BaseModel):
    """Every answer that is not a success."""

    error: Reason
    status: Literal["failure"] = "failure"


MESSAGES = {
    HTTPStatus.BAD_REQUEST: "The request can not be used",
    HTTPStatus.UNAUTHORIZED: "User Not Authenticated",
    HTTPStatus.FORBIDDEN: "Wrong credentials",
    HTTPStatus.NOT_FOUND: "No Record found",
    HTTPStatus.METHOD_NOT_ALLOWED: "Method not supported",
    HTTPStatus.REQUEST_TIMEOUT: "The request did not arrive",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "The request is too large",
    HTTPStatus.INTERNAL_SERVER_ERROR: "The gateway has failed",
    HTTPStatus.SERVICE_UNAVAILABLE: "The gateway can not store anything just now",
    HTTPStatus.INSUFFICIENT_STORAGE: "The gateway can not store anything just now",
}


class RefusalError(Exception):
    """An answer other than the one asked for; raised by routes."""

    def __init__(self, status: HTTPStatus, detail: str) -> None:
        super().__init__(detail)
        self.status, self.detail = status, detail


def answer(status: int, detail: str, headers: dict[str, str] | None = None) -> JSONResponse:
    """A failure as it is sent."""
    known = HTTPStatus(status)
    reason = Reason(message=MESSAGES.get(known, known.phrase), detail=detail)
    more = {"WWW-Authenticate": "Bearer"} if known == HTTPStatus.UNAUTHORIZED else {}
    if known == HTTPStatus.SERVICE_UNAVAILABLE:
        more["Retry-After"] = "5"
    return JSONResponse(Failure(error=reason).model_dump(), status, headers={**more, **(headers or {})})


def documented(*statuses: HTTPStatus) -> dict[int | str, dict[str, Any]]:
    """The ``responses`` of a route for the interface's description."""
    schema = {"$ref": f"#/components/schemas/{Failure.__name__}"}
    return {
        int(status): {
            "description": MESSAGES[status],
            "content": {"application/json": {"schema": schema}},
        }
        for status in statuses
    }


def install(app: FastAPI) -> None:
    """Make every error of ``app`` answer in this way, and its description of itself say so."""
    described = app.openapi

    def with_failures() -> dict[str, Any]:
        document = described()
        _, schemas = models_json_schema(
            [(Failure, "serialization")], ref_template="#/components/schemas/{model}"
        )
        document["components"]["schemas"].update(schemas["$defs"])
        for operations in document["paths"].values():
            for operation in operations.values():
                operation["responses"].pop("422", None)  # what can not be used is told as 400
        for name in ("HTTPValidationError", "ValidationError"):
            document["components"]["schemas"].pop(name, None)
        return document

    app.openapi = with_failures  # type: ignore[method-assign]

    @app.exception_handler(RefusalError)
    async def refused(_request: Request, error: RefusalError) -> JSONResponse:
        return answer(error.status, error.detail)

    @app.exception_handler(RequestValidationError)
    async def invalid(_request: Request, error: RequestValidationError) -> JSONResponse:
        said = "; ".join(
            f"{'.'.join(str(part) for part in problem['loc'])}: {problem['msg']}"
            for problem in error.errors()
        )
        return answer(HTTPStatus.BAD_REQUEST, said)

    @app.exception_handler(SQLAlchemyError)
    async def unwritten(request: Request, error: SQLAlchemyError) -> JSONResponse:
        log.error(
            "the store failed; nothing of this was kept", path=request.url.path, problem=logs.safe(error)
        )
        return answer(HTTPStatus.SERVICE_UNAVAILABLE, "Nothing was stored. Send it again.")

    @app.exception_handler(OSError)
    async def full(request: Request, error: OSError) -> JSONResponse:
        log.error(
            "the disk failed; nothing of this was kept", path=request.url.path, problem=logs.safe(error)
        )
        return answer(HTTPStatus.SERVICE_UNAVAILABLE, "Nothing was stored. Send it again.")

    @app.exception_handler(HTTPException)
    async def other(request: Request, error: HTTPException) -> JSONResponse:
        details = {404: "Nothing lies at this address.", 405: f"{request.method} is not possible here."}
        detail = details.get(error.status_code, str(error.detail))
        return answer(error.status_code, detail, dict(error.headers or {}))

    @app.exception_handler(Exception)
    async def failed(_request: Request, _error: Exception) -> JSONResponse:
        # the server logs what it was
        return answer(HTTPStatus.INTERNAL_SERVER_ERROR, "Nothing was stored. Send it again.")
