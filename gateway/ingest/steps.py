"""A stepped clock moves when everything that was published before is committed and answered.

Whoever asks (the simulator, over the control socket) has the link send itself an echo through the broker. Where that
comes back, all that was published before it has been taken: then time moves, and everybody is judged at that instant.
"""

from __future__ import annotations

import secrets
import threading
import time
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from dataclasses import dataclass, field

from sqlalchemy.exc import DBAPIError

from gateway.clock import Clock, ClockError, SteppedClock
from gateway.control import ControlError
from gateway.heartbeat import Heartbeat
from gateway.ingest.answers import Answers
from gateway.ingest.judging import Judging
from gateway.ingest.progress import Progress
from gateway.store import Store, state
from gateway.uplink import Uplink

_REPLICA_S = 20.0
"""So long a step of the clock waits for the replica."""
_ADVANCE_S = 45.0
"""So long a step of the clock waits for the broker; not counting the time in which this process is at work."""
_ECHO_AGAIN_S = 2.0


@dataclass(slots=True)
class _Step:
    """A wish to move the clock, until it is fulfilled."""

    t_ms: int
    done: Future[int] = field(default_factory=Future)


class Steps:
    """``advance`` is called from any thread, ``came_back`` by the ingest's."""

    def __init__(
        self,
        store: Store,
        link: Uplink,
        clock: Clock,
        heart: Heartbeat,
        answers: Answers,
        judging: Judging,
        progress: Progress,
        stopping: threading.Event,
    ) -> None:
        self._store = store
        self._link = link
        self._clock = clock
        self._heart = heart
        self._answers = answers
        self._judging = judging
        self._progress = progress
        self._stopping = stopping
        self._wished: dict[str, _Step] = {}

    def advance(self, t_ms: int) -> int:
        """Move the clock to ``t_ms``; returns how many alerts were written then. Raises ControlError."""
        if not isinstance(self._clock, SteppedClock):
            raise ControlError(
                "this gateway follows the system's clock; set clock = 'stepped' to move it by hand"
            )
        token = secrets.token_hex(8)
        step = self._wished[token] = _Step(t_ms)
        deadline = time.monotonic() + _ADVANCE_S
        try:
            while time.monotonic() < deadline and not self._stopping.is_set():
                sent = self._link.echo(token)
                try:
                    return step.done.result(_ECHO_AGAIN_S if sent else 0.05)
                except FutureTimeoutError:  # the connection was lost, or is not there yet
                    if self._progress.working:
                        deadline = time.monotonic() + _ADVANCE_S
            raise ControlError(f"the broker did not come back within {_ADVANCE_S:.0f} s: time was not moved")
        finally:
            del self._wished[token]

    def came_back(self, token: str) -> None:
        """An echo has come back, and what came before it is committed."""
        step = self._wished.get(token)
        if step is None or step.done.done():
            return
        if self._answers.answer_all(_REPLICA_S, self._going_on):
            self._take(step)
        else:
            step.done.set_exception(ControlError("the replica can not be written: time was not moved"))

    def _going_on(self) -> bool:
        self._heart.beat()
        return not self._stopping.is_set()

    def _take(self, step: _Step) -> None:
        assert isinstance(self._clock, SteppedClock)
        try:
            self._clock.advance(step.t_ms)
        except ClockError as error:
            step.done.set_exception(ControlError(str(error)))
            return
        try:
            with self._store.write() as connection:
                state.set_number(connection, state.JUDGED_MS, step.t_ms)
        except DBAPIError as error:
            self._progress.say_trouble(error)
            step.done.set_exception(ControlError(f"the store can not be written: {error.orig}"))
            return
        self._answers.say_commands(present=True)
        judged = self._judging.judge_step()
        if judged is None:
            step.done.set_exception(ControlError("judging failed; the log of the ingest says why"))
        else:
            step.done.set_result(judged)
