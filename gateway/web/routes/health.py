"""Whether this process does its work, for whoever supervises it. It shows nothing about anybody."""

from __future__ import annotations

from http import HTTPStatus
from typing import Literal

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel

router = APIRouter(tags=["status"])


class Health(BaseModel):
    """The web process itself; how the gateway is stands in /api/v1/status."""

    status: Literal["ok", "store unreadable"]


@router.get("/health", responses={503: {"model": Health, "description": "The store can not be read."}})
def health(request: Request, response: Response) -> Health:
    """200 while pages can be served, 503 while the store can not be read."""
    if request.app.state.book.status().store:
        return Health(status="ok")
    response.status_code = HTTPStatus.SERVICE_UNAVAILABLE
    return Health(status="store unreadable")
