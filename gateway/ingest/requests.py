"""What the ingest answers at its control socket (`gateway.control`), on threads of that.

Whatever moves something is handed to the ingest's own thread, and waited for.
"""

from __future__ import annotations

import os
import time
from typing import Any

from sqlalchemy.exc import DBAPIError

from gateway.clock import Clock
from gateway.control import ControlError
from gateway.gateway_time import BoxClock
from gateway.heartbeat import Heartbeat
from gateway.ingest.answers import Answers
from gateway.ingest.judging import Judging
from gateway.ingest.progress import Progress
from gateway.ingest.steps import Steps
from gateway.replica import Copier
from gateway.settings import Settings
from gateway.store import Store, alerts, state
from gateway.suspects import Suspects
from gateway.uplink import Uplink


class Requests:
    """Safe to use from several threads."""

    def __init__(
        self,
        settings: Settings,
        store: Store,
        link: Uplink,
        clock: Clock,
        heart: Heartbeat,
        copier: Copier | None,
        suspects: Suspects,
        judging: Judging,
        answers: Answers,
        steps: Steps,
        progress: Progress,
    ) -> None:
        self._settings = settings
        self._store = store
        self._link = link
        self._clock = clock
        self._heart = heart
        self._copier = copier
        self._suspects = suspects
        self._judging = judging
        self._answers = answers
        self._steps = steps
        self._progress = progress
        self._told: tuple[dict[str, int], dict[str, int]] = ({}, {})
        """Counters, and alerts by state, when the store was last read for somebody who asked."""

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        """Answer one request of the control socket. Raises ControlError or ValueError."""
        if request.get("do") == "status":
            return self.status()
        if request.get("do") == "link":
            return {
                "connected": self._link.subscribed.is_set(),
                "refused_s": round(self._link.refused_s, 3),
            }
        if request.get("do") == "advance":
            t_ms = request.get("t_ms")
            if type(t_ms) is not int:
                raise ControlError("advance needs t_ms, a whole number of milliseconds since 1970")
            return {"t_ms": t_ms, "judged": self._steps.advance(t_ms)}
        if request.get("do") == "settle":
            return self._judging.settle()._asdict()
        if request.get("do") == "judge_again":
            return {"put_aside": self._judging.judge_again()}
        raise ControlError(
            f"{request.get('do')!r} is nothing to do: ask for status, link, advance, settle or judge_again"
        )

    def status(self) -> dict[str, Any]:
        """How it goes: counters since the store was made, and what this process does now."""
        trouble = self._progress.trouble
        try:
            with self._store.read() as connection:
                self._told = state.counters(connection), alerts.count_by_state(connection)
        except DBAPIError as error:  # whoever asks is told that, and what was true before
            trouble = trouble or str(error.orig)
        counters, alert_states = self._told
        prefix = "quarantined_"
        return {
            "clock": self._settings.clock,
            "now_ms": self._clock.now_ms(),
            "time": self._time(),
            "connected": self._link.subscribed.is_set(),
            "trouble": trouble,
            "stalled_s": round(self._heart.stalled_s, 3),
            "judged_ago_s": self._judging.judged_ago_s,
            "unjudged": self._judging.behind,
            "put_aside": dict(self._suspects.aside),
            "working": self._progress.working,
            "queue": self._link.waiting,
            "messages": counters.get("messages", 0),
            "committed": counters.get("readings", 0),
            "duplicates": counters.get("duplicates", 0),
            "conflicts": counters.get("conflicts", 0),
            "forgotten": counters.get("forgotten", 0),
            "hellos": counters.get("hellos", 0),
            "ahead": self._judging.ahead,
            "quarantined": counters.get("quarantined", 0),
            "quarantined_by_reason": {
                name.removeprefix(prefix): value
                for name, value in counters.items()
                if name.startswith(prefix)
            },
            "alerts": sum(alert_states.values()),
            "alerts_by_state": alert_states,
            "replica": None if self._copier is None else self._replica(self._copier),
            "process": {"pid": os.getpid(), **self._progress.counts, **self._link.counts},
        }

    def _time(self) -> dict[str, Any] | None:
        """Upon what gateway time rests, and what speaks against it; None with a stepped clock."""
        if not isinstance(self._clock, BoxClock):
            return None
        return {
            "basis": self._clock.line.basis.name.lower(),
            "known": self._clock.line.known,
            "certain": self._clock.certain,
            "doubt": self._clock.doubt,
            "box_off_s": round(self._clock.off_ms / 1000, 3),
        }

    def _replica(self, copier: Copier) -> dict[str, Any]:
        failing_s = copier.failing_s
        return {
            "place": copier.place,
            "trouble": copier.trouble,
            "failing_s": 0.0 if failing_s is None else round(time.monotonic() - failing_s, 3),
            "unanswered": self._answers.unanswered,
        }
