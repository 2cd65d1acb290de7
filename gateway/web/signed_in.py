"""The door: who makes a request, and who is let through. Everything is behind it but what `OPEN` names.

While there is no user at all, and the page can be reached from this machine only, everybody there may look: so a new
gateway, and the demo, show themselves. To act somebody has to be named, so `signed_in` never takes "nobody".
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Annotated, Final

import structlog
from fastapi import Depends, Request
from fastapi.responses import RedirectResponse, Response
from sqlalchemy.exc import SQLAlchemyError
from starlette.concurrency import run_in_threadpool
from starlette.types import ASGIApp, Receive, Scope, Send

from gateway import logs
from gateway.sign_in import Person, SignedIn, SignIn
from gateway.users import Role
from gateway.web import problems
from gateway.web.book import StoreUnreadableError
from gateway.web.problems import ProblemError

log = structlog.get_logger(__name__)

OPEN: Final = ("/health", "/ready", "/sign-in")
"""For everybody; nothing there is about anybody. So is what lies below /static/."""
_WHILE_PASSWORD_IS_OLD = ("/password", "/sign-out")
_SAFE = ("GET", "HEAD", "OPTIONS")
_PATH = re.compile(r"(?:/[A-Za-z0-9_-]+)+")
_BROWSER_DAYS = 180


@dataclass(frozen=True, slots=True)
class Cookies:
    """What the cookies are called. Over TLS no other name or port of this host can set them (``__Host-``)."""

    secure: bool

    @property
    def _prefix(self) -> str:
        return "__Host-tagwatch" if self.secure else "tagwatch"

    @property
    def session(self) -> str:
        """Holds the session's token."""
        return self._prefix

    @property
    def form(self) -> str:
        """Binds the sign-in form to the browser, before there is a session."""
        return f"{self._prefix}-form"

    @property
    def browser(self) -> str:
        """Proves that a user has signed in in this browser before."""
        return f"{self._prefix}-browser"

    def give(self, answer: Response, name: str, value: str, days: int | None = None) -> None:
        """Have the browser keep it: for this host and these pages alone, and unreadable for scripts."""
        age = None if days is None else days * 86_400
        answer.set_cookie(name, value, age, path="/", secure=self.secure, httponly=True, samesite="strict")

    def take(self, answer: Response, name: str) -> None:
        """Have the browser forget it."""
        answer.delete_cookie(name, path="/", secure=self.secure, httponly=True, samesite="strict")

    def welcome(self, answer: Response, made: SignedIn) -> None:
        """Give the browser what belongs to a new session."""
        self.give(answer, self.session, made.session)
        self.give(answer, self.browser, made.browser, _BROWSER_DAYS)
        self.take(answer, self.form)


@dataclass(frozen=True, slots=True)
class Asked:
    """Who makes a request, as the door found: ``person`` is None where nobody is signed in.

    ``form_token`` stands in every form of the answer; what is posted without it is refused.
    """

    person: Person | None
    form_token: str


class Door:
    """ASGI middleware that finds out who it is, and lets nobody through who may not."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer as the app does, or with a refusal."""
        if scope["type"] != "http" or scope["path"].startswith("/static/"):
            await self._app(scope, receive, send)
            return
        request = Request(scope)
        try:
            refusal = await run_in_threadpool(_meet, request)
        except SQLAlchemyError as error:
            log.warning("store_unreadable", path=scope["path"], reason=logs.safe(error))
            refusal = problems.answer(request, problems.store_unreadable())
        await (self._app if refusal is None else refusal)(scope, receive, send)


def _meet(request: Request) -> Response | None:
    """Note who it is; what to answer instead where they may not go on."""
    path, method = request.url.path, request.method
    if path in ("/health", "/ready"):
        note(request, Asked(None, ""))
        return None
    found = _who(request)
    note(request, found)
    if method not in _SAFE and not _bearer(request) and _from_elsewhere(request):
        return _refused(request, "Another site's page has sent this: nothing was done.")
    if path in OPEN or (path == "/metrics" and from_this_machine(request)):
        return None
    if found.person is None:
        return None if _open_to_all(request) else _to_sign_in(request)
    if found.person.must_change and path not in _WHILE_PASSWORD_IS_OLD:
        if _is_page(request):
            return RedirectResponse("/password", HTTPStatus.SEE_OTHER)
        return _refused(request, "Sign in on the page first, and choose a password of your own there.")
    return None


def _open_to_all(request: Request) -> bool:
    """Whether everybody on this machine may look: there has never been a user, and nobody else can reach the page."""
    sign_in: SignIn = request.app.state.sign_in
    return bool(request.app.state.settings.page_on_this_machine) and not sign_in.anybody()


def _who(request: Request) -> Asked:
    sign_in: SignIn = request.app.state.sign_in
    cookies: Cookies = request.app.state.cookies
    token = _bearer(request)
    if token:
        return Asked(sign_in.bearer(token), "")
    session = request.cookies.get(cookies.session, "")
    # programs that change something show a token: a cookie goes along by itself, whoever's page has asked
    by_cookie = request.method in _SAFE or not request.url.path.startswith("/api/")
    person = None
    if session and by_cookie:
        # what the page fetches by itself does not keep a session alive that nobody sits at
        by_itself = "hx-request" in request.headers or request.url.path.endswith("/events")
        person = sign_in.who(session, active=not by_itself)
    if person is not None:
        return Asked(person, form_token(person.session))
    return Asked(None, form_token(request.cookies.get(cookies.form, "")))


def _to_sign_in(request: Request) -> Response:
    if not _is_page(request):
        detail = "Sign in, or show a token: Authorization: Bearer …"
        answer = problems.answer(
            request, ProblemError(HTTPStatus.UNAUTHORIZED, "not-signed-in", detail).problem
        )
        answer.headers["www-authenticate"] = "Bearer"
        return answer
    path = safe_path(request.url.path)
    followed = request.headers.get("sec-fetch-site") in ("cross-site", "same-site")
    if path and followed and request.app.state.cookies.session not in request.cookies:
        # A link in an e-mail: the browser holds the cookie back (SameSite=Strict). A page of ours that asks for the
        # same again gets it.
        templates = request.app.state.templates
        return templates.TemplateResponse(request, "again.html", {"path": path})  # type: ignore[no-any-return]
    to = f"/sign-in?next={path}" if path and request.method == "GET" else "/sign-in"
    return RedirectResponse(to, HTTPStatus.SEE_OTHER)


def goes_on(request: Request) -> bool:
    """Whether who began this request would be let in still: asked again and again of a stream that never ends.

    Raises StoreUnreadableError.
    """
    before = asked(request).person
    try:
        if before is None:
            return _open_to_all(request)
        present = _who(request).person
    except SQLAlchemyError as error:
        raise StoreUnreadableError(logs.safe(error)) from error
    return present is not None and present.name == before.name


def note(request: Request, found: Asked) -> None:
    """What the door found, for routes and templates."""
    request.state.asked = found


def asked(request: Request) -> Asked:
    """Who makes this request, as the door found."""
    return request.state.asked  # type: ignore[no-any-return]


def signed_in(*roles: Role) -> Callable[[Request], Person]:
    """A dependency: whoever is signed in, by session or token, in one of ``roles``; in any where none is named.

    ``Annotated[Person, Depends(signed_in("order_service"))]``. Without anybody the answer is 401, for others 403.
    """

    def person(request: Request) -> Person:
        found = asked(request).person
        if found is None:
            detail = "Somebody has to be named for this: sign in, or show a token (Authorization: Bearer …)."
            raise ProblemError(HTTPStatus.UNAUTHORIZED, "not-signed-in", detail)
        if roles and found.role not in roles:
            detail = f"{found.full_name} is signed in as {found.role}, which may not do this."
            raise ProblemError(HTTPStatus.FORBIDDEN, "not-allowed", detail)
        return found

    return person


SignedInNow = Annotated[Person, Depends(signed_in())]


def safe_path(path: str) -> str:
    """The path itself where it is one of ours to go to after signing in, else "": never another site's address."""
    return path if _PATH.fullmatch(path) and len(path) < 200 else ""


def form_token(secret: str) -> str:
    """What stands in a form for a browser that holds ``secret`` in a cookie; "" where it holds none.

    Another site can neither read the cookie nor work this out, and this tells nothing of the cookie.
    """
    return hmac.new(secret.encode(), b"tagwatch form", hashlib.sha256).hexdigest() if secret else ""


def new_form_secret() -> str:
    """For the cookie of a browser in which nobody is signed in."""
    return secrets.token_urlsafe(32)


def address_of(request: Request) -> str:
    """Where the request comes from."""
    return request.client.host if request.client is not None else ""


def from_this_machine(request: Request) -> bool:
    """Whether it was made on this machine."""
    try:
        return ipaddress.ip_address(address_of(request)).is_loopback
    except ValueError:
        return False


def _bearer(request: Request) -> str:
    kind, _, token = request.headers.get("authorization", "").partition(" ")
    return token.strip() if kind.lower() == "bearer" else ""


def _from_elsewhere(request: Request) -> bool:
    """Whether a page of another site had the browser send it, by the browser's own word."""
    site = request.headers.get("sec-fetch-site")
    origin = request.headers.get("origin")
    if site not in (None, "same-origin", "none"):
        return True
    return origin is not None and origin != f"{request.url.scheme}://{request.headers.get('host', '')}"


def _is_page(request: Request) -> bool:
    """Whether a person waits for a page, rather than a program or a script of the page for data."""
    return (
        not request.url.path.startswith("/api/")
        and "hx-request" not in request.headers
        and "text/html" in request.headers.get("accept", "")
    )


def _refused(request: Request, detail: str) -> Response:
    return problems.answer(request, ProblemError(HTTPStatus.FORBIDDEN, "not-allowed", detail).problem)
