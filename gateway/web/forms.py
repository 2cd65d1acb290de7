"""What a form of the page sends: small, of this page's own, or refused."""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from http import HTTPStatus
from typing import Annotated
from urllib.parse import parse_qsl

from fastapi import Depends, Request

from gateway.web.problems import ProblemError
from gateway.web.signed_in import asked

TOKEN = "form_token"
_MOST_BYTES = 16 * 1024
_MOST_FIELDS = 20


async def posted(request: Request) -> Mapping[str, str]:
    """The form's fields by name. Raises ProblemError where it is no form, too large, or not made for this browser."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/x-www-form-urlencoded":
        raise ProblemError(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "bad-request", "A form of this page is wanted here."
        )
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > _MOST_BYTES:
            raise ProblemError(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "bad-request", "That is more than fits here."
            )
    try:
        pairs = parse_qsl(
            body.decode("utf-8"),
            keep_blank_values=True,
            errors="strict",
            max_num_fields=_MOST_FIELDS,
        )
    except ValueError:
        raise ProblemError(HTTPStatus.BAD_REQUEST, "bad-request", "The form can not be read.") from None
    fields = dict(pairs)
    wanted = asked(request).form_token
    if not wanted or not hmac.compare_digest(fields.get(TOKEN, "").encode(), wanted.encode()):
        detail = "This form was not made for this browser, or is too old, and nothing was done. Open the page again."
        raise ProblemError(HTTPStatus.FORBIDDEN, "not-allowed", detail)
    return fields


Posted = Annotated[Mapping[str, str], Depends(posted)]
