"""The way of a group of messages: taken from the link, committed in one transaction, acknowledged, answered, judged.

The loop that does that does everything else in between: time passes, alerts are due by silence, commands are said.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from functools import partial

import structlog
from sqlalchemy.exc import DBAPIError

from core.rules import DEFAULT_RULES
from gateway import checkpoints, compiling, gateway_time
from gateway.checkpoints import Checkpoints
from gateway.clock import Clock
from gateway.commit import Committer
from gateway.control import WORKING
from gateway.gateway_time import BoxClock
from gateway.group import Committed, Received
from gateway.heartbeat import Heartbeat
from gateway.ingest.answers import Answers
from gateway.ingest.floods import Floods
from gateway.ingest.judging import LOADING_S, Judging
from gateway.ingest.progress import Progress
from gateway.ingest.requests import Requests
from gateway.ingest.steps import Steps
from gateway.judge import Judge
from gateway.orders import Orders
from gateway.rates import Rates
from gateway.replica import Copier
from gateway.seal import Vault
from gateway.settings import Settings
from gateway.store import Store
from gateway.suspects import Suspects
from gateway.uplink import Echo, Unread, Uplink

log = structlog.get_logger(__name__)

TICK_S = 1.0
"""How often silence is judged, at least (law 4)."""

_WAKE_S = 0.25  # how soon a stop is noticed
_COPYING_S = 0.005
_RETRY_S = (0.05, 5.0)
_COMPILING_S = 1800.0
"""So long compiling the rules may take, on the slowest of small boxes, before this process counts as hung."""


class Ingest:
    """The pipeline of one gateway. ``run`` it on the main thread; ``stop`` and ``requests`` from anywhere."""

    def __init__(
        self,
        settings: Settings,
        store: Store,
        vault: Vault,
        link: Uplink,
        clock: Clock,
        rates: Rates,
        heart: Heartbeat | None = None,
        copier: Copier | None = None,
        keep_out: Callable[[Sequence[str]], None] = lambda devices: None,
    ) -> None:
        self._settings = settings
        self._link = link
        self._clock = clock
        self._copier = copier
        self._heart = heart = Heartbeat(None, settings.hung_after_s) if heart is None else heart
        self._stopping = threading.Event()
        self._progress = progress = Progress()
        self._committer = Committer(
            store,
            vault,
            quarantine_rows=settings.quarantine_rows,
            quarantine_bytes=settings.quarantine_bytes,
        )
        orders = Orders()
        program = checkpoints.program(DEFAULT_RULES)
        kept = Checkpoints(settings.judged_path, program)
        self._suspects = suspects = Suspects(settings.data_dir, program)
        self._floods = Floods(store, rates, keep_out, progress)
        self._judging = judging = Judging(settings, store, clock, heart, orders, kept, suspects, progress)
        self._answers = answers = Answers(
            settings, store, vault, link, clock, self._committer, orders, copier, progress
        )
        self._steps = steps = Steps(store, link, clock, heart, answers, judging, progress, self._stopping)
        self.requests = Requests(
            *(settings, store, link, clock, heart, copier, suspects, judging, answers, steps, progress)
        )

    def run(self) -> None:
        """Work until stopped. Raises LinkDeadError where only a new process helps."""
        self._compile()
        self._look_at_clock()
        self._judging.judge_now()
        self._link.start()
        next_tick = time.monotonic() + TICK_S
        while not self._stopping.is_set():
            self._heart.beat()
            wait_s = max(0.0, min(self._wake_s, next_tick - time.monotonic()))
            items = self._link.take(self._settings.group_size, wait_s, self._settings.group_s)
            self._progress.working = "committing and judging" if items else ""
            self._work(items)
            self._progress.working = ""
            if self._judging.behind and not items and self._judging.judge_now() is None:
                self._stopping.wait(_WAKE_S)  # the store can not be read, or what time it is
            self._answers.answer_owed()
            self._floods.bar()
            if time.monotonic() >= next_tick:
                next_tick = time.monotonic() + TICK_S
                if self._copier is not None:
                    self._copier.ask()  # alerts, and what others have written
                self._link.check()
                if self._settings.clock == "system":
                    self._look_at_clock()
                    self._answers.say_commands(present=self._clock.certain)
                    self._judging.judge_now()
            self._judging.see_to_wishes()
        self._judging.close()
        self._suspects.close()

    def stop(self) -> None:
        """End ``run`` after what it is doing now."""
        self._stopping.set()

    @property
    def _wake_s(self) -> float:
        """How long to wait for messages: hardly, while the replica is about to have what tags wait to be told, and not
        at all while there are wearers to be judged."""
        if self._judging.behind:
            return 0.0
        return _COPYING_S if self._answers.imminent else _WAKE_S

    def _compile(self) -> None:
        """Have the rules compiled before anybody is told that this gateway is ready."""
        if compiling.compiled():
            return
        self._progress.working = WORKING
        self._heart.beat(_COMPILING_S)
        log.info("compiling the rules, once after an update: it takes a minute or more")
        began_s = time.monotonic()
        compiling.compile_all()
        log.info("the rules are compiled", after_s=round(time.monotonic() - began_s, 1))
        self._progress.working = ""

    def _look_at_clock(self) -> None:
        """See whether gateway time is right; where it was not, everything is judged anew by what is stored."""
        clock = self._clock
        if not isinstance(clock, BoxClock):
            return
        changed: list[int | None] = []
        self._progress.look(lambda: changed.append(clock.look(lambda: self._heart.beat(LOADING_S))))
        if changed and changed[0] is not None:
            self._judging.forget()
            self._answers.forget()

    def _work(self, items: Sequence[Received | Unread | Echo]) -> None:
        """Commit messages; at an echo of a step of the clock, what came before it is done first."""
        messages: list[Received | Unread] = []
        for item in items:
            if isinstance(item, Unread):
                messages.append(item)
                continue
            if isinstance(item, Received):
                # it was stamped by a clock that is never set; what time that was is known best now
                messages.append(item._replace(received_ms=self._clock.at(item.received_ms)))
                continue
            self._handle(messages)
            messages = []
            self._link.acknowledge([item.ticket])
            self._steps.came_back(item.token)
        self._handle(messages)

    def _handle(self, messages: Sequence[Received | Unread]) -> None:
        if not messages:
            return
        wanted = [message for message in messages if isinstance(message, Received)]
        done = [pair for part in self._suspects.apart(wanted) for pair in self._committed(part)]
        # only now, with everything on disk, may anyone be told
        if sum(len(group) for group, _ in done) == len(wanted):
            self._link.acknowledge([message.ticket for message in messages])
        else:
            self._link.acknowledge([message.ticket for group, _ in done for message in group])
        for _, committed in done:
            self._answers.answer(committed)
            self._progress.counts["groups"] += 1
            if isinstance(self._clock, BoxClock):
                gateway_time.witnesses(committed.understood, committed.heard, self._clock)
            self._judging.have(partial(Judge.add, committed=committed))
        self._judging.judge_now()

    def _committed(self, messages: Sequence[Received]) -> list[tuple[Sequence[Received], Committed]]:
        """Commit ``messages``, trying again for as long as the store can not be written; [] when stopped meanwhile."""
        wait_s, longest_s = _RETRY_S
        decide = partial(self._committer.commit, messages)
        if len(messages) == 1 and self._suspects.is_guilty(messages[0]):
            log.error("a message at which the gateway ended again and again is put aside")
            decide = partial(self._committer.refuse, messages[0], "the gateway ended over it")
        # before the commit: what is bound here must not find in the store what is added to it afterwards
        self._judging.have(Judge.refresh)
        while not self._stopping.is_set():
            self._heart.beat()
            self._suspects.deciding(messages)
            try:
                committed = decide()
            except DBAPIError as error:
                self._suspects.idle()  # a disk that does not take it is no fault of theirs
                self._progress.say_trouble(error)
                self._stopping.wait(wait_s)
                wait_s = min(2 * wait_s, longest_s)
                continue
            except Exception as error:
                # a fault of this program over some message must not stop all the others
                log.exception("a group could not be decided upon", messages=len(messages))
                self._progress.counts["internal_errors"] += 1
                if len(messages) == 1:
                    decide = partial(self._committer.refuse, messages[0], type(error).__name__)
                    continue
                return [pair for message in messages for pair in self._committed([message])]
            self._suspects.decided(messages)
            self._progress.written()
            return [(messages, committed)]
        return []
