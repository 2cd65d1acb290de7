"""Signing in and out, and choosing another password. All of it works without scripts."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from gateway.sign_in import SignIn, SignInError, TooOftenError
from gateway.users import LEAST_PASSWORD, UserError
from gateway.web.forms import Posted
from gateway.web.problems import ProblemError
from gateway.web.signed_in import (
    Asked,
    Cookies,
    SignedInNow,
    address_of,
    asked,
    form_token,
    new_form_secret,
    note,
    safe_path,
)

router = APIRouter(include_in_schema=False, default_response_class=HTMLResponse)


def _sign_in_of(request: Request) -> SignIn:
    return request.app.state.sign_in  # type: ignore[no-any-return]


def _cookies_of(request: Request) -> Cookies:
    return request.app.state.cookies  # type: ignore[no-any-return]


SignInNow = Annotated[SignIn, Depends(_sign_in_of)]
CookiesNow = Annotated[Cookies, Depends(_cookies_of)]


def _page(
    request: Request,
    template: str,
    status: HTTPStatus = HTTPStatus.OK,
    *,
    next_path: str = "",
    name: str = "",
    mistakes: dict[str, str] | None = None,
) -> Response:
    context = {
        "next": next_path,
        "name": name,
        "mistakes": mistakes or {},
        "least": LEAST_PASSWORD,
    }
    templates = request.app.state.templates
    return templates.TemplateResponse(request, template, context, status_code=status)  # type: ignore[no-any-return]


def _sign_in_page(request: Request, cookies: Cookies, next_path: str) -> Response:
    """The empty form, bound to this browser by a cookie."""
    secret = ""
    if not asked(request).form_token:
        secret = new_form_secret()
        note(request, Asked(None, form_token(secret)))
    answer = _page(request, "sign_in.html", next_path=next_path)
    if secret:
        cookies.give(answer, cookies.form, secret)
    return answer


@router.get("/sign-in")
def sign_in_page(
    request: Request, cookies: CookiesNow, to: Annotated[str, Query(alias="next")] = ""
) -> Response:
    """Name and password; whoever is signed in goes on."""
    if asked(request).person is not None:
        return RedirectResponse(safe_path(to) or "/alerts", HTTPStatus.SEE_OTHER)
    return _sign_in_page(request, cookies, safe_path(to))


@router.post("/sign-in")
def sign_in(request: Request, fields: Posted, door: SignInNow, cookies: CookiesNow) -> Response:
    """Sign in, and go on to where the person wanted to go."""
    to = safe_path(fields.get("next", ""))
    name, password = fields.get("name", ""), fields.get("password", "")
    mistakes = {}
    if not name.strip():
        mistakes["name"] = "Enter your user name"
    if not password:
        mistakes["password"] = "Enter your password"
    if mistakes:
        status = HTTPStatus.UNPROCESSABLE_ENTITY
        return _page(request, "sign_in.html", status, next_path=to, name=name, mistakes=mistakes)
    before = request.cookies.get(cookies.session, "")
    browser = request.cookies.get(cookies.browser, "")
    try:
        made = door.sign_in(name, password, address_of(request), browser, before)
    except SignInError as error:
        mistakes = {"name": str(error)}
        answer = _page(request, "sign_in.html", _status(error), next_path=to, name=name, mistakes=mistakes)
        _tell_when(answer, error)
        return answer
    answer = RedirectResponse("/password" if made.must_change else to or "/alerts", HTTPStatus.SEE_OTHER)
    cookies.welcome(answer, made)
    return answer


@router.post("/sign-out")
def sign_out(
    request: Request, _fields: Posted, who: SignedInNow, door: SignInNow, cookies: CookiesNow
) -> Response:
    """End the session."""
    door.sign_out(who, address_of(request))
    answer = RedirectResponse("/sign-in", HTTPStatus.SEE_OTHER)
    cookies.take(answer, cookies.session)
    return answer


@router.get("/password")
def password_page(request: Request, who: SignedInNow) -> Response:
    """Choose another password."""
    if not who.session:
        raise ProblemError(HTTPStatus.FORBIDDEN, "not-allowed", "A machine's token has no password.")
    return _page(request, "password.html")


@router.post("/password")
def password(
    request: Request, fields: Posted, who: SignedInNow, door: SignInNow, cookies: CookiesNow
) -> Response:
    """Change it: every other browser is signed out."""
    old, new, again = (fields.get(name, "") for name in ("old", "new", "again"))
    mistakes = {}
    if not old and not who.must_change:
        mistakes["old"] = "Enter the password that you have now"
    if not new:
        mistakes["new"] = "Enter a new password"
    elif new != again:
        mistakes["again"] = "Enter the same new password twice"
    if mistakes:
        return _page(request, "password.html", HTTPStatus.UNPROCESSABLE_ENTITY, mistakes=mistakes)
    browser = request.cookies.get(cookies.browser, "")
    try:
        made = door.change_password(who, old, new, address_of(request), browser)
    except SignInError as error:
        answer = _page(request, "password.html", _status(error), mistakes={"old": str(error)})
        _tell_when(answer, error)
        return answer
    except UserError as error:
        said = str(error)
        mistakes = {"new": said[:1].upper() + said[1:]}
        return _page(request, "password.html", HTTPStatus.UNPROCESSABLE_ENTITY, mistakes=mistakes)
    answer = RedirectResponse("/alerts", HTTPStatus.SEE_OTHER)
    cookies.welcome(answer, made)
    return answer


def _status(error: SignInError) -> HTTPStatus:
    too_often = isinstance(error, TooOftenError)
    return HTTPStatus.TOO_MANY_REQUESTS if too_often else HTTPStatus.UNPROCESSABLE_ENTITY


def _tell_when(answer: Response, error: SignInError) -> None:
    if isinstance(error, TooOftenError):
        answer.headers["retry-after"] = str(max(1, round(error.wait_s + 0.5)))
