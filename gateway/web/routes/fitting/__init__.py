"""What a fitting visit asks of the gateway from elsewhere (docs/fitting.md), for officers with a token of their own.

Each call says for which order it is made, is recorded with it before it is answered, and does its thing once however
often it is said. `gateway.fitting.desk` says what each is for; what that refuses is a problem ``visit-stops``, whose
``detail`` is the fact and whose ``remedy`` what to do.

``messages`` is what is asked and answered; ``sitting`` who may ask, how fast, and that it is recorded; the calls are
in ``looking``, ``devices``, ``activations`` and ``visits``.
"""

from __future__ import annotations

from http import HTTPStatus

from fastapi import APIRouter

from gateway.web.problems import documented
from gateway.web.routes.fitting import activations, devices, looking, visits

ERRORS = documented(
    HTTPStatus.BAD_REQUEST,
    HTTPStatus.UNAUTHORIZED,
    HTTPStatus.FORBIDDEN,
    HTTPStatus.CONFLICT,
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    HTTPStatus.UNPROCESSABLE_ENTITY,
    HTTPStatus.TOO_MANY_REQUESTS,
    HTTPStatus.SERVICE_UNAVAILABLE,
)

router = APIRouter(prefix="/api/v1/fitting", tags=["fitting"], responses=ERRORS)
for calls in (
    looking.router,
    devices.router,
    devices.sent,
    activations.router,
    activations.sent,
    visits.sent,
):
    router.include_router(calls)
