"""The web application, put together."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from fastapi import FastAPI
from fastapi.templating import Jinja2Templates
from jinja2 import ChoiceLoader, Environment, FileSystemLoader, PackageLoader, PrefixLoader
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.staticfiles import StaticFiles

from gateway.settings import Settings
from gateway.sign_in import SignIn
from gateway.store import Store
from gateway.web import problems, words
from gateway.web.book import AlertBook
from gateway.web.headers import Headers
from gateway.web.looks import Looks
from gateway.web.routes import api, events, fitting, health, notice, pages, people
from gateway.web.routes.fitting.sitting import Pace
from gateway.web.signed_in import Asked, Cookies, Door
from gateway.web.watch import Watch

HERE = Path(__file__).parent

# Names under which a browser on this machine reaches the page. Any other name in the Host header is some other site's
# attempt to read the page through the browser of someone who can (DNS rebinding).
LOOPBACK_NAMES = ("127.0.0.1", "localhost", "[::1]")


def create_app(
    book: AlertBook,
    looks: Looks,
    sign_in: SignIn,
    store: Store,
    settings: Settings,
    *,
    hosts: Sequence[str] = LOOPBACK_NAMES,
    tls: bool = False,
) -> FastAPI:
    """The application over a book of alerts, and the store that actions are written to.

    ``hosts`` are the names it answers to; ``tls``: it is served over TLS.
    """
    watch = Watch(book)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        await watch.open()
        yield
        await watch.close()

    app = FastAPI(
        title="Tagwatch",
        version="1",
        summary="Alerts of the electronic monitoring gateway, how it is, and what a fitting visit asks of it.",
        description="An alert is what the system detected. Whether it is a violation, a person decides. "
        "Errors are problems (RFC 9457); their `type` is stable. Every call that shows a person's data is recorded.",
        openapi_url="/api/v1/openapi.json",
        # the usual documentation pages load scripts from elsewhere
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
    )
    app.state.book = book
    app.state.settings = settings
    app.state.looks = looks
    app.state.watch = watch
    app.state.sign_in = sign_in
    app.state.store = store
    app.state.pace = Pace()
    app.state.cookies = Cookies(tls)
    app.state.templates = _templates()
    problems.install(app)
    for router in (
        pages.router,
        notice.router,
        people.router,
        events.pages,
        api.router,
        events.api,
        fitting.router,
        health.router,
    ):
        app.include_router(router)
    app.mount("/static", StaticFiles(directory=HERE / "static"), name="static")
    app.add_middleware(Door)
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=list(hosts), www_redirect=False)
    app.add_middleware(Headers, tls=tls)
    return app


def _templates() -> Jinja2Templates:
    kit = PrefixLoader({"govuk_frontend_jinja": PackageLoader("govuk_frontend_jinja")})
    environment = Environment(
        loader=ChoiceLoader([FileSystemLoader(HERE / "templates"), kit]),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "plain": words.plain,
        "rule_words": words.rule_words,
        "alert_kind": words.alert_kind,
        "figure_words": words.figure_words,
        "figure_value": words.figure_value,
        "clock_time": words.clock_time,
        "day": words.day,
        "day_short": words.day_short,
        "utc": words.utc,
        "iso": words.iso,
        "reading_groups": words.reading_groups,
    }
    environment.globals |= {
        "asked": lambda request: getattr(request.state, "asked", Asked(None, "")),
        "STATES": words.STATES,
        "STATE_MEANINGS": words.STATE_MEANINGS,
        "UNKNOWN": words.UNKNOWN,
    }
    return Jinja2Templates(env=environment)
