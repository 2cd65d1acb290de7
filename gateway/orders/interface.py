"""The HTTP interface for orders, as the Ministry's order service calls it (docs/intake.md)."""

from __future__ import annotations

import asyncio
import binascii
from base64 import b64decode
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from http import HTTPStatus
from typing import Annotated, Any, TypeVar, get_args
from urllib.parse import parse_qs

import anyio
import anyio.to_thread
import structlog
from fastapi import Depends, FastAPI, Path, Query, Request
from fastapi.responses import Response
from fastapi.security import HTTPBasic, HTTPBearer
from pydantic import BaseModel, Field
from sqlalchemy.exc import DBAPIError
from starlette.requests import ClientDisconnect

from gateway import logs, replica
from gateway.orders import clients, intake, refusals
from gateway.orders.attachments import Arriving
from gateway.orders.clients import Credentials
from gateway.orders.intake import Operation, UnknownCaseError
from gateway.orders.reading import NoMessageError, as_text
from gateway.orders.refusals import RefusalError, documented
from gateway.settings import Settings
from gateway.store import Store, StoreError

T = TypeVar("T")

log = structlog.get_logger(__name__)

_THREADS = 8
"""So many requests work on the store at a time; one writes, the others wait for it."""
_HASHING = 2
"""So many credentials are tried at a time: each takes 16 MiB, and whoever guesses is to wait for that."""
_WAITING = 16
"""So many wait for the second store at a time; others can be answered meanwhile."""
_COPIED_S = 10.0
"""So long they do: the gateway copies every second or so what others than tags have written."""
_PIECE_S = 30.0
"""How long the next piece of a request may take to arrive."""
_DRAIN = 4
"""So many times the limit of what is too large is read and thrown away, so that a sender hears the answer."""
_ID = 64
_NAME = 400


class Receipt(BaseModel):
    """One wearer or order, taken in under this id."""

    id: str
    message: str = ""


class Receipts(BaseModel):
    """What was taken in."""

    result: list[Receipt]


class Token(BaseModel):
    """A token, to be sent as ``Authorization: Bearer``."""

    access_token: str
    token_type: str = "Bearer"
    expires_in: int = Field(description="Seconds.")


class Kept(BaseModel):
    """A file, as it was kept."""

    sys_id: str
    file_name: str
    size_bytes: str


class KeptFile(BaseModel):
    """The answer to a file."""

    result: Kept


class State(BaseModel):
    """1 new, 3 closed, 10 open, 18 awaiting information."""

    state: str


class StateOf(BaseModel):
    """The answer to a question about the state."""

    result: State


class BothMessages(BaseModel):
    """What was sent last, word for word."""

    case_id: str
    device_wearer: dict[str, Any] | None
    monitoring_order: dict[str, Any] | None


_ERRORS = (
    HTTPStatus.BAD_REQUEST,
    HTTPStatus.UNAUTHORIZED,
    HTTPStatus.INTERNAL_SERVER_ERROR,
    HTTPStatus.SERVICE_UNAVAILABLE,
)
_OF_BODIES = (HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
_ANY_OBJECT: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "description": "A JSON object, at most `order_body_bytes`. Every object is kept, whatever its fields: what "
        "can not be understood becomes a task for a person (docs/intake.md).",
        "content": {"application/json": {"schema": {"type": "object"}}},
    }
}
_FORM: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/x-www-form-urlencoded": {
                "schema": {
                    "type": "object",
                    "required": ["grant_type", "username", "password"],
                    "properties": {
                        "grant_type": {"type": "string", "enum": ["password"]},
                        "username": {"type": "string"},
                        "password": {"type": "string"},
                    },
                }
            }
        },
    }
}
_FILE: dict[str, Any] = {
    "requestBody": {
        "required": False,
        "description": "The file, which may be empty, at most `order_attachment_bytes`.",
        "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
    }
}

_BASIC = HTTPBasic(auto_error=False)
"""Stands in the description; `_Desk.token` looks at the credentials, and answers 403 as the order service expects."""
_BEARER = HTTPBearer(auto_error=False)


async def _caller(request: Request, _token: Annotated[object, Depends(_BEARER)]) -> str:
    desk: _Desk = request.app.state.desk
    return await desk.client(request)


Caller = Annotated[str, Depends(_caller)]
"""Which order service calls."""


def create_app(store: Store, settings: Settings, now_ms: Callable[[], int]) -> FastAPI:
    """The application. ``now_ms`` tells gateway time, by which tokens expire and messages are dated."""
    app = FastAPI(
        title="Tagwatch: orders in",
        version="1",
        summary="Device wearers and monitoring orders, as the Ministry's order service sends them.",
        description="The same message twice makes one version. What is missing or contradictory is accepted, answered "
        "with state 18, and becomes a task for a person.",
        openapi_url="/openapi.json",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    refusals.install(app)
    desk = app.state.desk = _Desk(store, settings, now_ms)

    @app.post(
        settings.order_token_path,
        response_model=Token,
        dependencies=[Depends(_BASIC)],
        responses=documented(HTTPStatus.FORBIDDEN, *(set(_ERRORS) - {HTTPStatus.UNAUTHORIZED}), *_OF_BODIES),
        openapi_extra=_FORM,
        tags=["token"],
    )
    async def token(request: Request) -> Token:
        """A token for client id and secret (HTTP Basic) with user name and password (form)."""
        return await desk.token(request)

    for operation in get_args(Operation):
        kind = "device_wearer" if operation.endswith("DW") else "monitoring_order"
        app.add_api_route(
            f"{settings.order_prefix}/{kind}/{operation}",
            _taking_in(desk, operation),
            methods=["POST"],
            name=operation,
            response_model=Receipts,
            responses=documented(*_ERRORS, *_OF_BODIES, *([HTTPStatus.NOT_FOUND] if kind[0] == "m" else [])),
            openapi_extra=_ANY_OBJECT,
            tags=["orders"],
        )

    @app.post(
        "/now/v1/attachment_csm/file",
        response_model=KeptFile,
        responses=documented(*_ERRORS, *_OF_BODIES, HTTPStatus.NOT_FOUND),
        openapi_extra=_FILE,
        tags=["attachments"],
    )
    async def attach(
        request: Request,
        client: Caller,
        table_name: Annotated[str, Query(min_length=1, max_length=_NAME)],
        table_sys_id: Annotated[str, Query(min_length=1, max_length=_ID)],
        file_name: Annotated[str, Query(min_length=1, max_length=_NAME)],
    ) -> KeptFile:
        """A file that belongs to a wearer or an order."""
        return await desk.attach(request, client, table_name, table_sys_id, file_name)

    @app.get(
        "/now/table/x_serg2_ems_csm_case/{case_id}",
        response_model=StateOf,
        responses=documented(*_ERRORS, HTTPStatus.NOT_FOUND),
        tags=["state"],
    )
    async def state(
        _client: Caller,
        case_id: Annotated[str, Path(min_length=1, max_length=_ID)],
        sysparm_fields: Annotated[str, Query(max_length=_NAME)] = "state",
    ) -> StateOf:
        """The state of an order, or of a wearer's newest order. ``state`` is what can be asked for."""
        return StateOf(
            result=State(state=await desk.work(intake.state_of, store, clean(case_id), desk.now_ms()))
        )

    retrieve = "/monitoring_order/retrieveDWandMO"
    for place in dict.fromkeys((retrieve, settings.order_prefix + retrieve)):
        app.add_api_route(
            place,
            _reading_back(desk),
            methods=["GET"],
            response_model=BothMessages,
            responses=documented(*_ERRORS, HTTPStatus.NOT_FOUND),
            name=f"retrieveDWandMO {place}",
            tags=["state"],
        )
    return app


class _Desk:
    """What the routes share: the store, and how much is done at a time."""

    def __init__(self, store: Store, settings: Settings, now_ms: Callable[[], int]) -> None:
        self.store, self.settings, self.now_ms = store, settings, now_ms
        self._threads = anyio.CapacityLimiter(_THREADS)
        self._hashing = anyio.CapacityLimiter(_HASHING)
        self._waiting = anyio.CapacityLimiter(_WAITING)

    async def work(self, do: Callable[..., T], *arguments: Any) -> T:
        """Do something that waits for the disk, in a thread. What is not known is answered so."""
        try:
            return await anyio.to_thread.run_sync(partial(do, *arguments), limiter=self._threads)
        except UnknownCaseError as error:
            raise RefusalError(HTTPStatus.NOT_FOUND, f"{error}.") from None

    async def token(self, request: Request) -> Token:
        """Check credentials and give a token."""
        given = _credentials(request, await self.body(request, self.settings.order_body_bytes))
        lasts_s = self.settings.order_token_s

        def issue() -> str | None:
            return clients.issue(self.store, given, self.now_ms(), lasts_s)

        issued = await anyio.to_thread.run_sync(issue, limiter=self._hashing)
        if issued is None:
            raise RefusalError(HTTPStatus.FORBIDDEN, "These are not the credentials of any order service.")
        return Token(access_token=issued, expires_in=lasts_s)

    async def client(self, request: Request) -> str:
        """Who calls, by the token."""
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer" and token.strip():
            name = await self.work(clients.client_of, self.store, token.strip(), self.now_ms())
            if name is not None:
                return name
        raise RefusalError(
            HTTPStatus.UNAUTHORIZED, "The token is missing, wrong or has expired: get a new one."
        )

    async def attach(
        self, request: Request, client: str, table_name: str, case_id: str, file_name: str
    ) -> KeptFile:
        """Receive a file."""
        await self.work(intake.state_of, self.store, clean(case_id))  # refused before 16 MiB are received
        second = self.settings.replica_place is not None
        with Arriving(self.settings.data_dir, as_rows=second) as arriving:
            async for piece in _pieces(request, self.settings.order_attachment_bytes):
                await anyio.to_thread.run_sync(arriving.write, piece, limiter=self._threads)
            told = clean(file_name), clean(table_name), client, self.now_ms()
            kept = await self.work(arriving.keep, self.store, clean(case_id), *told)
            await self.copied()
            return KeptFile(result=Kept(sys_id=kept, file_name=file_name, size_bytes=str(arriving.size)))

    async def copied(self) -> None:
        """Wait until the second store, if there is one, has it, too. Raises RefusalError where that takes too long."""
        place = self.settings.replica_place
        if place is None:
            return
        try:
            look = partial(replica.holds, self.store, place, within_s=_COPIED_S)
            holds = await anyio.to_thread.run_sync(look, limiter=self._waiting)
        except (StoreError, DBAPIError) as error:
            log.warning("the replica can not be reached", problem=logs.safe(error))
            holds = False
        if not holds:
            raise RefusalError(
                HTTPStatus.SERVICE_UNAVAILABLE,
                "It is stored, but the second store does not have it yet. Send it again: nothing is done twice.",
            )

    async def body(self, request: Request, most: int) -> bytes:
        """A whole body of at most so many bytes."""
        return b"".join([piece async for piece in _pieces(request, most)])


def _taking_in(desk: _Desk, operation: Operation) -> Callable[..., Awaitable[Receipts]]:
    async def take(request: Request, client: Caller) -> Receipts:
        data = await desk.body(request, desk.settings.order_body_bytes)
        try:
            case_id = await desk.work(intake.take_in, desk.store, operation, client, data, desk.now_ms())
        except NoMessageError as error:
            raise RefusalError(HTTPStatus.BAD_REQUEST, f"This is no message: {error}.") from None
        await desk.copied()
        return Receipts(result=[Receipt(id=case_id)])

    what = "device wearer" if operation.endswith("DW") else "monitoring order"
    take.__doc__ = f"{'A new' if operation.startswith('create') else 'What has changed about a'} {what}."
    return take


def _reading_back(desk: _Desk) -> Callable[..., Awaitable[Response]]:
    async def retrieve(
        client: Caller, u_case_id: Annotated[str, Query(min_length=1, max_length=_ID)]
    ) -> Response:
        """What was sent last about a wearer and their newest order, word for word."""
        found = await desk.work(intake.read_back, desk.store, clean(u_case_id))
        said = ", ".join(
            f'"{name}": {"null" if data is None else as_text(data)}'
            for name, data in (("device_wearer", found.wearer), ("monitoring_order", found.order))
        )
        text = f'{{"case_id": "{found.case_id}", {said}}}'
        return Response(text.encode("utf-8", "surrogatepass"), media_type="application/json")

    return retrieve


def clean(text: str) -> str:
    """Text that every database can hold."""
    return text.encode("utf-8", "replace").decode().replace("\x00", "�")


def _credentials(request: Request, body: bytes) -> Credentials:
    """What the caller says of itself. Raises RefusalError where it is not in the form that is documented."""
    try:
        form = parse_qs(body.decode(), keep_blank_values=True, max_num_fields=50)
    except ValueError:
        raise RefusalError(HTTPStatus.BAD_REQUEST, "The form can not be read.") from None
    grant = form.get("grant_type", [""])[-1]
    if grant != "password":
        raise RefusalError(HTTPStatus.BAD_REQUEST, "The form has to say grant_type=password.")
    if not {"username", "password"} <= form.keys():
        raise RefusalError(HTTPStatus.BAD_REQUEST, "The form has to say username and password.")
    scheme, _, encoded = request.headers.get("authorization", "").partition(" ")
    try:
        if scheme.lower() != "basic":
            raise ValueError
        client_id, colon, secret = b64decode(encoded.strip(), validate=True).decode().partition(":")
        if not colon:
            raise ValueError
    except (ValueError, binascii.Error):
        raise RefusalError(HTTPStatus.FORBIDDEN, "Client id and secret are to come as HTTP Basic.") from None
    return Credentials(clean(client_id), secret, clean(form["username"][-1]), form["password"][-1])


async def _pieces(request: Request, most: int) -> AsyncIterator[bytes]:
    """The body as it arrives. Raises RefusalError where it is too large, or does not arrive."""
    arrived = 0
    stream = request.stream()
    while True:
        try:
            async with asyncio.timeout(_PIECE_S):
                piece = await anext(stream)
        except StopAsyncIteration:
            break
        except (TimeoutError, ClientDisconnect):
            raise RefusalError(
                HTTPStatus.REQUEST_TIMEOUT, "The request ended half-way; nothing was kept."
            ) from None
        arrived += len(piece)
        if arrived <= most:
            yield piece
        elif arrived > _DRAIN * most:
            break
    if arrived > most:
        detail = f"At most {most} bytes are taken; nothing was kept."
        raise RefusalError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, detail)
