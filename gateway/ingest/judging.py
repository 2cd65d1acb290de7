"""Keeps a judge at work over what is committed, whatever a rule does: committing evidence goes on.

The judge (`gateway.judge`) is a cache of the store: where judging fails it is thrown away and made anew. Then wearers
are judged one by one, and one at whom it fails alone is put aside, so that the others are judged (`gateway.suspects`).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError

import structlog
from sqlalchemy.exc import DBAPIError

from gateway.checkpoints import Checkpoints
from gateway.clock import Clock
from gateway.control import ControlError
from gateway.heartbeat import Heartbeat
from gateway.ingest.progress import Progress
from gateway.judge import CannotJudgeError, Judge
from gateway.orders import Orders
from gateway.settings import Settings
from gateway.store import Store
from gateway.store.marks import Mark
from gateway.suspects import Suspects

log = structlog.get_logger(__name__)

LOADING_S = 180.0
"""So long judging a piece of what is stored anew may take, before this process counts as hung: some 65,000 readings, or
all of one wearer."""
_REBUILD_S = 30.0
_FAILED_FIRST = 4
"""Where judging fails at so many without one at whom it does not, it is not the fault of one wearer."""
_MARK_S = 3600.0
"""How often it is written down up to where everything is judged; whoever needs it now asks (`gateway.retention`)."""
_SETTLE_S = 45.0
"""So long whoever asks waits for that."""


class Judging:
    """Used by the ingest's thread; ``settle``, ``judge_again`` and the properties from any."""

    def __init__(
        self,
        settings: Settings,
        store: Store,
        clock: Clock,
        heart: Heartbeat,
        orders: Orders,
        checkpoints: Checkpoints,
        suspects: Suspects,
        progress: Progress,
    ) -> None:
        self._stepped = settings.clock != "system"
        self._store = store
        self._clock = clock
        self._heart = heart
        self._orders = orders
        self._checkpoints = checkpoints
        self._suspects = suspects
        self._progress = progress
        self._judge: Judge | None = None
        self._judged_s: float | None = None
        self._careful = False
        """Judging has failed: wearers are judged one by one, to find at whom."""
        self._failed_first: list[str] = []
        """At whom it failed before anybody else had been judged: they are judged last."""
        self._again_s = 0.0
        self._take_back = threading.Event()
        self._settling: list[Future[Mark]] = []
        """Who waits to be told that everything is judged."""
        self._mark_s = time.monotonic() + _MARK_S

    @property
    def behind(self) -> int:
        """How many wearers are still to be judged by what is stored of them; meanwhile messages are committed."""
        judge = self._judge
        return 0 if judge is None else judge.behind

    @property
    def ahead(self) -> dict[str, int]:
        """Readings that wait for the clock, by activation."""
        judge = self._judge
        return {} if judge is None else dict(judge.held)

    @property
    def judged_ago_s(self) -> float | None:
        """How long ago everything was judged last, seconds; None where that says nothing: time stands, or a start."""
        if self._judged_s is None or self._stepped:
            return None
        return round(time.monotonic() - self._judged_s, 3)

    def forget(self) -> None:
        """Gateway time was not right: everything is judged anew by what is stored."""
        self._judge = None

    def judge_now(self, *, stepped: bool = False) -> int | None:
        """Judge at the present instant; returns how many alerts were written, None where it could not be done.

        Between its steps a stepped clock stands behind those of the tags.
        """
        now_ms = self._clock.now_ms()
        if now_ms is None or time.monotonic() < self._again_s:
            return None
        if self._judge is None:
            self._heart.beat(LOADING_S)
            self._judge = Judge(
                self._store,
                compiled=self._orders,
                checkpoints=self._checkpoints,
                going_on=lambda: self._heart.beat(LOADING_S),
                aside=self._suspects.aside,
                careful=self._failed_first if self._careful or self._suspects.careful else None,
                about=self._judging_one,
            )
        if not self.have(Judge.refresh):
            return None
        written: list[int] = []
        present = stepped or self._clock.certain
        # who steps the clock waits until all is judged; who does not can have tags told what is committed meanwhile
        whole = self._stepped
        self.have(lambda judge: written.append(judge.judge(now_ms, present=present, whole=whole)))
        if written and not self.behind:
            self._judged_s = time.monotonic()
            self._suspects.judged()
            self._careful = False
            self._failed_first.clear()
        return written[0] if written else None

    def judge_step(self) -> int | None:
        """The same at the instant that a clock was stepped to, for whoever waits for it."""
        judged = self.judge_now(stepped=True)
        while judged is None and self._judge is None and time.monotonic() >= self._again_s:
            judged = self.judge_now(stepped=True)  # with care now, or without whom it fails at
        return judged

    def have(self, work: Callable[[Judge], object]) -> bool:
        """Let the judge work, if there is one; False where there is none, or it failed."""
        if self._judge is None:
            return False
        self._suspects.judging()
        try:
            work(self._judge)
        except DBAPIError as error:
            self._progress.say_trouble(error)
            return False
        except CannotJudgeError as error:
            self._doubt(error)
            return False
        except Exception:
            # committing evidence goes on, whatever a rule does; the monitor is made anew from the store
            log.exception("judging failed; wearers are judged one by one")
            self._judge_anew(_REBUILD_S if self._careful else 0.0)
            return False
        finally:
            self._suspects.idle()
        return True

    def see_to_wishes(self) -> None:
        """Do what ``settle`` and ``judge_again`` have asked for, and now and then what ``settle`` does."""
        if self._settling or time.monotonic() >= self._mark_s:
            self._mark()
        if self._take_back.is_set():
            self._take_back.clear()
            for name in self._suspects.take_back():
                log.info("a wearer who was put aside is judged again", activation=name)
            self._judge = None

    def settle(self) -> Mark:
        """Have it written down up to where everything is judged, and wait for that. Raises ControlError."""
        wish: Future[Mark] = Future()
        self._settling.append(wish)
        try:
            return wish.result(_SETTLE_S)
        except FutureTimeoutError:
            raise ControlError(
                f"not everything was judged within {_SETTLE_S:.0f} s: the status says why"
            ) from None
        finally:
            self._settling.remove(wish)

    def judge_again(self) -> list[str]:
        """Have everybody judged again, soon; returns who had been put aside."""
        put_aside = sorted(self._suspects.aside)
        self._take_back.set()
        return put_aside

    def close(self) -> None:
        """Keep what was judged for the next start."""
        self.have(Judge.rest)
        self._checkpoints.close()

    def _mark(self) -> None:
        """Write down, now and then or when somebody asks, up to where everything is judged."""
        self._mark_s = time.monotonic() + _MARK_S
        waiting = [wish for wish in self._settling if not wish.done()]
        if waiting:
            self.judge_now()
        marks: list[Mark | None] = []
        self.have(lambda judge: marks.append(judge.mark()))
        if marks and marks[0] is not None:
            for wish in waiting:
                wish.set_result(marks[0])

    def _judging_one(self, activation_id: str) -> None:
        self._suspects.judging(activation_id)
        self._heart.beat(LOADING_S)

    def _doubt(self, error: CannotJudgeError) -> None:
        """It failed at one wearer: put aside, where it does not fail at everybody, so that the others are judged."""
        name = error.activation
        if error.others or name in self._failed_first:
            why = f"the program fails at it ({type(error.__cause__).__name__})"
            log.error(
                "a wearer can not be judged and is put aside", activation=name, exc_info=error.__cause__
            )
            self._suspects.put_aside(name, why)
            self._judge_anew(0.0)
        elif len(self._failed_first) < _FAILED_FIRST:
            self._failed_first.append(name)
            self._judge_anew(0.0)
        else:
            log.error("judging fails at everybody; it is tried again", exc_info=error.__cause__)
            self._failed_first.clear()
            self._judge_anew(_REBUILD_S)

    def _judge_anew(self, after_s: float) -> None:
        self._progress.counts["judge_errors"] += 1
        self._judge = None
        self._careful = True
        self._checkpoints.discard()  # whatever it stumbled over is not to be there again
        self._again_s = time.monotonic() + after_s
