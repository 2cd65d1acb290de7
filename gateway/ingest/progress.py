"""How it goes with the ingest: what it is at, what it has counted, and what the store can not do now.

Written by the ingest's thread; whoever asks at the control socket reads it from another.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import structlog
from sqlalchemy.exc import DBAPIError

from gateway import logs

log = structlog.get_logger(__name__)


class Progress:
    """Shared by the parts of one ingest."""

    def __init__(self) -> None:
        self.working = ""
        """What is being done, where somebody may have to wait for it."""
        self.trouble = ""
        """Why the store can not be written, while it can not."""
        self.counts: Counter[str] = Counter()
        """Since this process began."""

    def say_trouble(self, error: DBAPIError) -> None:
        """The store could not be used; it is logged once for each reason."""
        text = logs.safe(error)
        self.counts["failed_writes"] += 1
        if text != self.trouble:
            log.error("the store can not be written; nothing is acknowledged until it can", problem=text)
            self.trouble = text

    def written(self) -> None:
        """The store took what was to be written."""
        if self.trouble:
            log.info("the store can be written again")
            self.trouble = ""

    def look(self, work: Callable[[], object]) -> bool:
        """Look into the store; False where that can not be done now: what was known before goes on."""
        try:
            work()
        except DBAPIError as error:
            self.say_trouble(error)
            return False
        return True
