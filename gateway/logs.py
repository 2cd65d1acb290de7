"""Structured logs on standard error: what happened to which device, never to whom or where.

Device and activation ids may be told: without them nobody finds the tag that is broken, and only the store knows who
wears it. Names, addresses, positions, keys, and sentences of alerts or orders may not (docs/decisions/0014). So the
texts of exceptions are left out, for they quote what could not be read: type and place remain.
"""

from __future__ import annotations

import logging
import sys
import threading
import traceback
from contextlib import suppress
from functools import partial
from types import TracebackType
from typing import Literal, TextIO, cast

import structlog

Form = Literal["auto", "json", "text"]

_MOST_FRAMES = 12


class _Unfailing:
    """Standard error, as far as it can be written: a full disk under the log must stop no one."""

    def write(self, text: str) -> int:
        with suppress(OSError, ValueError):
            sys.stderr.write(text)
        return len(text)

    def flush(self) -> None:
        with suppress(OSError, ValueError):
            sys.stderr.flush()


def configure(process: str, form: Form = "auto") -> None:
    """Log from now on as ``process``, also what libraries log and what nothing has caught.

    One JSON object a line, or text for people; ``auto`` is text on a terminal only.
    """
    as_text = sys.stderr.isatty() if form == "auto" else form == "text"
    renderer: structlog.typing.Processor = (
        structlog.dev.ConsoleRenderer(colors=False) if as_text else structlog.processors.JSONRenderer()
    )
    structlog.configure(
        processors=[
            partial(_of_process, process),
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _without_texts,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        # text and end of line in one write: other processes write into the same file
        logger_factory=structlog.WriteLoggerFactory(cast(TextIO, _Unfailing())),
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(handlers=[_Libraries()], level=logging.WARNING, force=True)
    sys.excepthook = _uncaught
    threading.excepthook = lambda told: _uncaught(told.exc_type, told.exc_value, told.exc_traceback)


def safe(error: BaseException) -> str:
    """What may be told of an error: its type, and what the system or the database said, not what it was given."""
    name = type(error).__name__
    given = getattr(error, "orig", None)  # SQLAlchemy's: the driver's own error
    if isinstance(given, BaseException):
        said = str(given).splitlines()  # PostgreSQL quotes rows from the second line on
        return f"{name}: {said[0]}" if said else name
    if isinstance(error, OSError) and error.strerror:
        return f"{name}: {error.strerror}"
    return name


class _Libraries(logging.Handler):
    """What libraries log, told as ours. Their texts are their own words, without what they put into them."""

    def emit(self, record: logging.LogRecord) -> None:
        told = structlog.get_logger(record.name)
        level = min(record.levelno, logging.ERROR)
        told.log(
            level, "a library tells", library=record.name, words=str(record.msg), exc_info=record.exc_info
        )


def _uncaught(kind: type[BaseException], error: BaseException | None, trace: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        return
    structlog.get_logger(__name__).error("this process fails", exc_info=(kind, error, trace))


def _without_texts(
    _logger: object, _method: str, event: structlog.typing.EventDict
) -> structlog.typing.EventDict:
    """An exception's type and place instead of its text, with those that led to it."""
    given = event.pop("exc_info", None)
    if given is True:
        given = sys.exc_info()
    error = given[1] if isinstance(given, tuple) else given
    if not isinstance(error, BaseException):
        return event
    event["error"] = safe(error)
    frames = traceback.extract_tb(error.__traceback__)[-_MOST_FRAMES:]
    event["at"] = [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames]
    cause = error.__cause__ or error.__context__
    if cause is not None:
        event["because"] = safe(cause)
    return event


def _of_process(
    process: str, _logger: object, _method: str, event: structlog.typing.EventDict
) -> structlog.typing.EventDict:
    event["process"] = process
    return event
