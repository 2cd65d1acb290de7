"""Sending one message over a provider that apprise knows, and what to tell of a failure without telling secrets."""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from urllib.parse import unquote

from gateway.delivery.message import TITLE

_HIDDEN = "***"
_SHORTEST = 3
"""Pieces of a URL shorter than this are no secrets, and hiding them would leave nothing to read."""
_LONGEST = 300


class PathError(RuntimeError):
    """A message was not taken; the text says why, without any part of a URL."""


class _Complaints(logging.Handler):
    """What apprise complains of, by thread: it tells its callers only that something failed."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._said: dict[int, list[str]] = {}

    def emit(self, record: logging.LogRecord) -> None:
        said = self._said.get(threading.get_ident())
        if said is not None:
            said.append(record.getMessage())

    @contextmanager
    def listening(self) -> Iterator[list[str]]:
        """What is said in this thread meanwhile."""
        said = self._said[threading.get_ident()] = []
        try:
            yield said
        finally:
            del self._said[threading.get_ident()]


_complaints = _Complaints()


def send(url: str, timeout_s: float, body: str) -> None:
    """Send ``body`` to the provider at ``url``; it has ``timeout_s`` for connecting and for every answer.

    Returns when the provider has taken it. Raises PathError. Loads apprise (0.8 s) when called first.
    """
    import apprise

    logger = logging.getLogger("apprise")
    if _complaints not in logger.handlers:
        logger.handlers = [_complaints]
        logger.propagate = False  # it would write URLs to standard error
    with _complaints.listening() as said:
        provider = apprise.Apprise.instantiate(url, suppress_exceptions=True)
        if provider is None:
            raise PathError("the URL is none that apprise knows: see docs/delivery.md")
        provider.socket_connect_timeout = provider.socket_read_timeout = timeout_s
        try:
            taken = provider.notify(body=body, title=TITLE)
        except Exception as error:  # noqa: BLE001  (a plugin of a hundred; whatever it raises, the message waits)
            raise PathError(redacted(f"{type(error).__name__}: {error}", [url])) from None
        if not taken:
            raise PathError(redacted(" / ".join(said) or "the provider did not take it", [url]))


def redacted(text: str, urls: Iterable[str]) -> str:
    """``text`` in one line, without any piece of the ``urls``, plain or percent-encoded."""
    pieces = {
        piece
        for url in urls
        for form in (url, unquote(url))
        for piece in (form, *re.split(r"[/:@?&=#,;+\s]+", form.partition("://")[2]))
        if len(piece) >= _SHORTEST
    }
    for piece in sorted(pieces, key=len, reverse=True):
        text = text.replace(piece, _HIDDEN)
    return " ".join(text.split())[:_LONGEST]
